package authoring

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// hidden is the folder of a plugin directory that this package owns.
const hidden = ".outrigger"

// project is a plugin directory.
type project struct {
	dir      string // absolute
	language Language
	kits     fs.FS
	out      io.Writer     // what is done, and the output of the tools that do it
	silence  time.Duration // for which it waits for others before it says so
	tools    tools
}

// tools are the steps in which the languages differ.
type tools interface {
	install(ctx context.Context) error // the SDK and other dependencies
	build(ctx context.Context) error   // what is served, from the sources
	command() []string                 // serves the plugin
	watch() []string                   // the sources
	testCommand() []string             // runs the unit tests; builds what they need
}

func open(dir string, kits fs.FS, out io.Writer) (*project, error) {
	language, err := Detect(dir)
	if err != nil {
		return nil, err
	}
	absolute, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("plugin directory %s: %w", dir, err)
	}
	p := &project{dir: absolute, language: language, kits: kits, out: out, silence: 3 * time.Second}
	switch language {
	case Go:
		p.tools = goTools{p}
	case Python:
		p.tools = pythonTools{p}
	default:
		p.tools = nodeTools{p}
	}
	return p, nil
}

// serve prepares; see Prepare.
func (p *project) serve(ctx context.Context) (command []string, watch []string, err error) {
	watch = p.tools.watch()
	if err := p.prepare(ctx, true); err != nil {
		return nil, watch, err
	}
	return p.tools.command(), watch, nil
}

// prepare installs and, for serving, builds. Only one process at a time does it in a directory.
func (p *project) prepare(ctx context.Context, serving bool) error {
	unlock, err := p.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if err := p.tools.install(ctx); err != nil {
		return err
	}
	if !serving {
		return nil
	}
	return p.tools.build(ctx)
}

// lock waits for others that prepare this directory. Their end, however it comes, releases it.
func (p *project) lock(ctx context.Context) (unlock func(), err error) {
	if err := p.makeHidden(); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(p.path(hidden, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("preparing the plugin: %w", err)
	}
	began := time.Now()
	for told := false; ; {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { f.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			f.Close()
			return nil, fmt.Errorf("preparing the plugin: locking %s: %w", f.Name(), err)
		}
		if !told && time.Since(began) >= p.silence {
			told = true
			p.say("waiting for another outrigger that prepares %s", p.dir)
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, fmt.Errorf("preparing the plugin: waiting for another outrigger: %w", context.Cause(ctx))
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// makeHidden makes the folder, which git ignores wherever it is.
func (p *project) makeHidden() error {
	if err := os.MkdirAll(p.path(hidden), 0o755); err != nil {
		return fmt.Errorf("preparing the plugin: %w", err)
	}
	if err := os.WriteFile(p.path(hidden, ".gitignore"), []byte("*\n"), 0o644); err != nil {
		return fmt.Errorf("preparing the plugin: %w", err)
	}
	return nil
}

func (p *project) path(names ...string) string {
	return filepath.Join(append([]string{p.dir}, names...)...)
}

func (p *project) exists(names ...string) bool {
	_, err := os.Stat(p.path(names...))
	return err == nil
}

// read returns the text of a file of the plugin; a missing file is empty.
func (p *project) read(names ...string) (string, error) {
	text, err := os.ReadFile(p.path(names...))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("preparing the plugin: %w", err)
	}
	return string(text), nil
}

// refersToKit tells that a file of the plugin names the SDK package in the hidden folder.
func (p *project) refersToKit(name string) (bool, error) {
	text, err := p.read(name)
	return strings.Contains(text, hidden+"/"), err
}

// fingerprint is over the files that decide what is installed, and the SDK package.
func (p *project) fingerprint(names ...string) (string, error) {
	h := sha256.New()
	for _, name := range append(names, filepath.Join(hidden, "kit")) {
		text, err := p.read(name)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(h, "%s %d\n%s", name, len(text), text)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// once runs install unless it has run for the same content of files and SDK package.
func (p *project) once(names []string, installed bool, install func() error) error {
	before, err := p.read(hidden, "prepared")
	if err != nil {
		return err
	}
	now, err := p.fingerprint(names...)
	if err != nil {
		return err
	}
	if installed && before == now {
		return nil
	}
	if err := install(); err != nil {
		return err
	}
	if now, err = p.fingerprint(names...); err != nil { // lock files may have been written
		return err
	}
	if err := os.WriteFile(p.path(hidden, "prepared"), []byte(now), 0o644); err != nil {
		return fmt.Errorf("preparing the plugin: %w", err)
	}
	return nil
}

func (p *project) say(format string, args ...any) {
	fmt.Fprintf(p.out, "outrigger: "+format+"\n", args...)
}

// run runs a tool in the plugin's directory. Its output goes to out.
func (p *project) run(ctx context.Context, doing string, command ...string) error {
	return p.runTo(ctx, p.out, doing, command...)
}

// runTo is run with another place for the standard output.
func (p *project) runTo(ctx context.Context, stdout io.Writer, doing string, command ...string) error {
	cmd := p.cmd(ctx, command)
	cmd.Stdout, cmd.Stderr = stdout, p.out
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			endRest(cmd)
			err = context.Cause(ctx)
		}
		return fmt.Errorf("%s in %s: %s: %w", doing, p.dir, strings.Join(command, " "), err)
	}
	return nil
}

func (p *project) cmd(ctx context.Context, command []string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Dir = p.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // what the tool starts ends with it: go test does not see to that
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// endRest ends what a tool that was told to end has left behind.
func endRest(cmd *exec.Cmd) {
	if cmd.Process != nil {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	}
}

// Test prepares a plugin directory and runs its unit tests: go test, pytest or npm test. What the tests write goes to out and errOut as they
// write it; code is the exit code of the tool.
func Test(ctx context.Context, dir string, out, errOut io.Writer) (code int, err error) {
	p, err := open(dir, embedded(), errOut)
	if err != nil {
		return 0, err
	}
	return p.test(ctx, out, errOut)
}

func (p *project) test(ctx context.Context, out, errOut io.Writer) (code int, err error) {
	// npm test compiles TypeScript itself; go test would leave the program of a Go plugin, which outrigger run starts, unmade.
	if err := p.prepare(ctx, p.language == Go); err != nil {
		return 0, err
	}
	cmd := p.cmd(ctx, p.tools.testCommand())
	cmd.Stdout, cmd.Stderr = out, errOut
	err = cmd.Run()
	var ended *exec.ExitError
	switch {
	case ctx.Err() != nil:
		endRest(cmd)
		return 0, fmt.Errorf("testing the plugin in %s: %w", p.dir, context.Cause(ctx))
	case errors.As(err, &ended) && ended.Exited():
		return ended.ExitCode(), nil
	case err != nil:
		return 0, fmt.Errorf("testing the plugin in %s: %s: %w", p.dir, strings.Join(cmd.Args, " "), err)
	}
	return 0, nil
}
