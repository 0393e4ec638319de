package guides

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Machines that test are busy.
const (
	patience = 3 * time.Minute // for commands to end, installing and compiling included
	effect   = time.Minute     // for a change to come into effect
)

// reader is somebody who follows a guide.
type reader struct {
	guide   string
	dir     string // where the last block of commands ended
	address string // of its gateways, instead of 127.0.0.1: guides are followed side by side
	running *background
}

// TestGuides follows every guide in a directory of its own, outside of the repository.
func TestGuides(t *testing.T) {
	guides, err := filepath.Glob("../../docs/guides/first-plugin-*.md")
	if err != nil || len(guides) < 3 {
		t.Fatalf("found the guides %q, %v; expected one for each language", guides, err)
	}
	for i, guide := range guides {
		t.Run(strings.TrimSuffix(filepath.Base(guide), ".md"), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(guide)
			if err != nil {
				t.Fatal(err)
			}
			steps, err := parse(string(text))
			if err != nil {
				t.Fatalf("%s: %v", guide, err)
			}
			r := &reader{
				guide: guide, dir: temporary(t),
				address: fmt.Sprintf("127.%d.%d.%d", 1+os.Getpid()>>8&127, 1+os.Getpid()&127, 2+i),
			}
			r.follow(t, steps)
		})
	}
}

// program is the folder of outrigger, with the SDK packages inside.
var program string

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	dir, err := os.MkdirTemp("/tmp", "guide-")
	if err == nil {
		defer os.RemoveAll(dir)
		program, err = dir, build(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "guides:", err)
		return 1
	}
	return m.Run()
}

func build(dir string) error {
	for _, kit := range []string{"*.whl", "*.tgz", "*.zip"} {
		if found, _ := filepath.Glob("../../host/internal/authoring/kits/" + kit); len(found) != 1 {
			return fmt.Errorf("host/internal/authoring/kits: found %d files %s, expected 1: run make kits", len(found), kit)
		}
	}
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", dir+"/", "./host/cmd/outrigger") // as make build
	cmd.Dir = "../.."
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	// Into a terminal curl writes no progress.
	return os.WriteFile(filepath.Join(dir, ".curlrc"), []byte("silent\nshow-error\n"), 0o600)
}

// temporary is a directory with a path short enough for sockets, outside of every module and repository.
func temporary(t *testing.T) string {
	dir, err := os.MkdirTemp("/tmp", "guide-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func (r *reader) follow(t *testing.T, steps []step) {
	defer func() {
		if r.running != nil {
			r.running.stop(t)
			if t.Failed() {
				t.Logf("the block of line %d wrote\n%s", r.running.line, r.running.output())
			}
		}
	}()
	for _, s := range steps {
		if t.Failed() {
			return
		}
		at := fmt.Sprintf("%s:%d", filepath.Base(r.guide), s.line)
		switch s.kind {
		case stop:
			if r.running == nil {
				t.Fatalf("%s: nothing runs that Ctrl-C would end", at)
			}
			r.running.stop(t)
			r.running = nil
		case more:
			r.hear(t, at, r.local(s.text))
		case change:
			r.change(t, at, s.text)
		case shown:
			r.checkShown(t, at, s.text)
		case commands:
			s.text, s.want = r.local(s.text), r.local(s.want)
			switch {
			case s.background:
				r.begin(t, at, s)
			case strings.HasPrefix(s.text, "curl "):
				r.look(t, at, s)
			default:
				r.run(t, at, s)
			}
		}
	}
}

// local puts this reader's address into a text of the guide.
func (r *reader) local(text string) string { return strings.ReplaceAll(text, "127.0.0.1", r.address) }

func (r *reader) run(t *testing.T, at string, s step) {
	out, code := r.bash(t, at, s.text)
	if code != s.code || s.hasWant && !pattern(s.want, whole).MatchString(out) {
		t.Fatalf("%s: %sfound exit code %d and the output\n%s\nexpected %d and\n%s", at, s.text, code, out, s.code, s.want)
	}
	// The gateway of a plugin that was just made gets this reader's address.
	for _, name := range []string{"outrigger.yaml", "gateway.yaml"} {
		path := filepath.Join(r.dir, name)
		text, err := os.ReadFile(path)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err == nil && strings.Contains(string(text), "127.0.0.1") {
			err = os.WriteFile(path, []byte(r.local(string(text))), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// look repeats what has no effect until it shows what the guide says.
func (r *reader) look(t *testing.T, at string, s step) {
	for end := time.Now().Add(effect); ; time.Sleep(50 * time.Millisecond) {
		out, code := r.bash(t, at, s.text)
		out = strings.ReplaceAll(out, "\r", "")
		if !strings.HasSuffix(out, "\n") {
			out += "\n"
		}
		if code == s.code && pattern(s.want, whole).MatchString(out) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s: %sfound exit code %d and the output\n%s\nexpected %d and\n%s", at, s.text, code, out, s.code, s.want)
		}
	}
}

// bash runs a block of commands; each of its commands must succeed, and the next block begins where this one ended.
func (r *reader) bash(t *testing.T, at, text string) (out string, code int) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	where := filepath.Join(r.dir, "..", filepath.Base(r.dir)+".where")
	cmd := r.command(ctx, text+"\npwd > '"+where+"'\n")
	defer os.Remove(where)
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 10 * time.Second
	written, err := cmd.CombinedOutput()
	var ended *exec.ExitError
	if err != nil && !errors.As(err, &ended) || ctx.Err() != nil {
		t.Fatalf("%s: %s%v, %v\n%s", at, text, err, ctx.Err(), written)
	}
	if dir, err := os.ReadFile(where); err == nil {
		r.dir = strings.TrimSpace(string(dir))
	}
	return string(written), cmd.ProcessState.ExitCode()
}

func (r *reader) command(ctx context.Context, text string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "bash", "-e", "-c", text)
	cmd.Dir = r.dir
	for _, v := range os.Environ() {
		if name, _, _ := strings.Cut(v, "="); !strings.HasPrefix(name, "OUTRIGGER_") && name != "VIRTUAL_ENV" && name != "PATH" {
			cmd.Env = append(cmd.Env, v)
		}
	}
	cmd.Env = append(cmd.Env, "PATH="+program+":"+os.Getenv("PATH"), "NO_COLOR=1", "CURL_HOME="+program)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd
}

func (r *reader) change(t *testing.T, at, diff string) {
	name, text, err := patch(diff, func(name string) (string, error) {
		text, err := os.ReadFile(filepath.Join(r.dir, name))
		return string(text), err
	})
	if err == nil {
		err = os.WriteFile(filepath.Join(r.dir, name), []byte(text), 0o600)
	}
	if err != nil {
		t.Fatalf("%s: %v", at, err)
	}
}

// checkShown looks for a piece of source in the files of the plugin.
func (r *reader) checkShown(t *testing.T, at, text string) {
	files, err := filepath.Glob(filepath.Join(r.dir, "*.*"))
	if err != nil {
		t.Fatal(err)
	}
	deeper, err := filepath.Glob(filepath.Join(r.dir, "src", "*.*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range append(files, deeper...) {
		if content, err := os.ReadFile(f); err == nil && strings.Contains(string(content), r.local(text)) {
			return
		}
	}
	t.Fatalf("%s: no file of the plugin has\n%s", at, text)
}

// background is a block of commands that runs on.
type background struct {
	line  int
	seen  int // bytes of the output that the guide has shown
	cmd   *exec.Cmd
	ended chan struct{}

	mu  sync.Mutex
	out bytes.Buffer
}

func (b *background) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.out.Write(p)
}

func (b *background) output() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.out.String()
}

func (r *reader) begin(t *testing.T, at string, s step) {
	if r.running != nil {
		t.Fatalf("%s: the block of line %d still runs; expected Ctrl-C before", at, r.running.line)
	}
	b := &background{line: s.line, ended: make(chan struct{})}
	b.cmd = r.command(context.Background(), "exec "+s.text)
	b.cmd.Stdout, b.cmd.Stderr = b, b
	if err := b.cmd.Start(); err != nil {
		t.Fatalf("%s: %v", at, err)
	}
	go func() {
		_ = b.cmd.Wait() // how it ended is in ProcessState
		close(b.ended)
	}()
	r.running = b
	r.await(t, at, pattern(s.want, beginning), s.want)
}

// hear waits until the block in the background has written some lines, after those that were seen before.
func (r *reader) hear(t *testing.T, at, want string) {
	if r.running == nil {
		t.Fatalf("%s: nothing runs that could write\n%s", at, want)
	}
	r.await(t, at, pattern(want, part), want)
}

// await waits until what the block in the background has written since the last time matches.
func (r *reader) await(t *testing.T, at string, pattern *regexp.Regexp, want string) {
	b := r.running
	for end := time.Now().Add(patience); ; {
		if found := pattern.FindStringIndex(b.output()[b.seen:]); found != nil {
			b.seen += found[1]
			return
		}
		select {
		case <-b.ended:
			t.Fatalf("%s: it ended, %v; expected it to run, and to write\n%s", at, b.cmd.ProcessState, want)
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(end) {
			t.Fatalf("%s: it did not write within %v\n%s", at, patience, want)
		}
	}
}

// stop is Ctrl-C in a terminal: every process of the group gets the signal.
func (b *background) stop(t *testing.T) {
	_ = syscall.Kill(-b.cmd.Process.Pid, syscall.SIGINT) // it may have ended
	select {
	case <-b.ended:
		if code := b.cmd.ProcessState.ExitCode(); code != 0 {
			t.Errorf("the block of line %d ended with code %d after Ctrl-C, expected 0", b.line, code)
		}
	case <-time.After(patience):
		t.Errorf("the block of line %d does not end within %v after Ctrl-C", b.line, patience)
	}
	_ = syscall.Kill(-b.cmd.Process.Pid, syscall.SIGKILL) // whatever is left, if anything is
	<-b.ended
}
