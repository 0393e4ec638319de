package pluginserver

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/pluginserver/launcher"
	"github.com/outrigger-gateway/outrigger/host/internal/pluginserver/reaper"
	"github.com/outrigger-gateway/outrigger/host/internal/transport"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// The test binary is also the reaper, the launcher, the fake plugin server, and a host that can be killed.
func TestMain(m *testing.M) {
	switch {
	case len(os.Args) > 1 && os.Args[1] == reaper.Arg:
		reaper.Main()
	case len(os.Args) > 1 && os.Args[1] == launcher.Arg:
		launcher.Main()
	case os.Getenv(fakeKey) != "":
		misbehave()
		fakeMain()
	case os.Getenv(hostKey) != "":
		hostMain()
	case os.Getenv(sdkKey) != "":
		sdkMain()
	}
	os.Exit(m.Run())
}

const patience = 20 * time.Second

// quick, as GORACE, makes binaries that are built with -race end at once instead of after a second.
const quick = "atexit_sleep_ms=0"

// eventually waits until ok, which is asked often.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within %v", what, patience)
		}
	}
}

// logLines collects what was logged.
type logLines struct {
	t  *testing.T
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logLines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

type logLine map[string]any

// has says whether a line with that message was logged.
func (l *logLines) has(msg string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Contains(l.b.Bytes(), []byte(`"msg":"`+msg+`"`))
}

// find returns the lines that have all of the attributes (key, value, key, value…).
func (l *logLines) find(attrs ...string) []logLine {
	l.mu.Lock()
	defer l.mu.Unlock()
	var found []logLine
next:
	for line := range bytes.Lines(l.b.Bytes()) {
		m := logLine{}
		if err := json.Unmarshal(line, &m); err != nil {
			l.t.Errorf("log line %q: %v", line, err)
		}
		for i := 0; i < len(attrs); i += 2 {
			if fmt.Sprint(m[attrs[i]]) != attrs[i+1] {
				continue next
			}
		}
		found = append(found, m)
	}
	return found
}

// world is one test's servers.
type world struct {
	*Servers
	t    *testing.T
	log  *logLines
	opts Options
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, log: &logLines{t: t}}
	w.opts = Options{
		RunDir:  shortDir(t),
		Hello:   wire.HostHello{Version: wire.Version, NodeID: "n", GatewayVersion: "test"},
		Logger:  slog.New(slog.NewJSONHandler(w.log, nil)),
		Reaper:  []string{"env", "GORACE=" + quick, os.Args[0], reaper.Arg},
		Backoff: Backoff{Min: 20 * time.Millisecond, Max: 200 * time.Millisecond},
		// Tests that check often are not to lose processes that a busy machine keeps from answering; those that stop processes set less.
		HealthTime: patience,
	}
	return w
}

// shortDir is a temporary directory whose path leaves room for sockets.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "ps")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// fakeServer configures a managed server that follows orders.
func fakeServer(name string, orders ...string) Config {
	return Config{
		Name: name, Command: []string{os.Args[0]}, Env: map[string]string{fakeKey: strings.Join(append(orders, "go"), ","), "GORACE": quick},
		StartTimeout: 15 * time.Second, DrainTimeout: 5 * time.Second,
	}
}

// start starts servers that the test's end shuts down.
func (w *world) start(configs ...Config) error {
	w.t.Helper()
	ss, err := Start(w.t.Context(), configs, w.opts)
	w.Servers = ss
	if ss != nil {
		w.t.Cleanup(func() {
			if w.t.Failed() {
				w.log.mu.Lock()
				w.t.Logf("log:\n%s", w.log.b.String())
				w.log.mu.Unlock()
			}
			w.shutdown()
		})
	}
	return err
}

func (w *world) mustStart(configs ...Config) {
	w.t.Helper()
	if err := w.start(configs...); err != nil {
		w.t.Fatal(err)
	}
}

// shutdown ends everything and looks for what is left.
func (w *world) shutdown() {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := w.Shutdown(ctx); err != nil {
		w.t.Errorf("shutdown: %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(w.opts.RunDir, reaper.DirPrefix+"*")); len(left) > 0 {
		w.t.Errorf("left behind: %v", left)
	}
}

func (w *world) ready(server string) bool { return w.Server(server).State().Ready }

// pids of the processes of a server that take calls.
func (w *world) pids(server string) []int {
	var pids []int
	for _, p := range w.Server(server).Status().Processes {
		if p.State == StateReady {
			pids = append(pids, int(p.PID))
		}
	}
	return pids
}

// configure makes instance id with a configuration that names it.
func (w *world) configure(server string, id uint64) error {
	return w.Server(server).Configure(w.t.Context(), Instance{ID: id, Plugin: "echo", Config: []byte(configOf(id)), InstanceName: fmt.Sprint("i", id)})
}

func (w *world) mustConfigure(server string, ids ...uint64) {
	w.t.Helper()
	for _, id := range ids {
		if err := w.configure(server, id); err != nil {
			w.t.Fatal(err)
		}
	}
}

func configOf(id uint64) string { return fmt.Sprintf(`{"id":%d}`, id) }

// noAsks fails every ask: the fake asks nothing.
type noAsks struct{}

func (noAsks) Answer(*wire.Ask) wire.Answer {
	return wire.Answer{Err: &wire.Error{Code: wire.CodeHostError, Message: "unexpected"}}
}

// call runs one call and returns the pid that answered and the configuration of its instance.
func (w *world) call(server string, id uint64, path string) (pid int, config string, err error) {
	c := &wire.Call{Instance: id, Phase: 2, TimeoutMS: uint32(patience.Milliseconds()), Facts: &wire.Facts{
		RequestID: "0123456789abcdef0123456789abcdef",
		Request:   wire.Request{Method: "GET", Scheme: "http", Host: "h", Port: 80, HTTPVersion: 11, Target: path, Path: path},
		Client:    wire.Client{IP: "127.0.0.1"},
	}}
	var out wire.Outcome
	if err := w.Server(server).Call(c, time.Now().Add(patience), noAsks{}, &out); err != nil {
		return 0, "", err
	}
	if out.Err != nil {
		return 0, "", out.Err
	}
	first, config, _ := strings.Cut(string(out.Body), " ")
	pid, err = strconv.Atoi(first)
	return pid, config, err
}

// late is a call that gives up soon.
func (w *world) late(server string, id uint64, enough time.Duration) error {
	c := &wire.Call{Instance: id, Phase: 2, TimeoutMS: uint32(enough.Milliseconds()), Facts: &wire.Facts{Request: wire.Request{Path: "/"}}}
	return w.Server(server).Call(c, time.Now().Add(enough), noAsks{}, &wire.Outcome{})
}

// answers checks that instances have their own configuration.
func (w *world) answers(server string, ids ...uint64) {
	w.t.Helper()
	for _, id := range ids {
		if _, config, err := w.call(server, id, "/"); err != nil || config != configOf(id) {
			w.t.Errorf("instance %d answers %q, %v; want its own configuration %q", id, config, err, configOf(id))
		}
	}
}

// gone says whether a process has ended.
func gone(pid int) bool { return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) }

func kill(t *testing.T, pid int, sig syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(pid, sig); err != nil {
		t.Fatalf("kill %d with %v: %v", pid, sig, err)
	}
}

// countLines counts the lines of a file; 0 when there is none.
func countLines(path string) int {
	b, _ := os.ReadFile(path)
	return bytes.Count(b, []byte("\n"))
}

// spawn starts the fake as an attached server; the test's end kills it.
func spawn(t *testing.T, orders ...string) *exec.Cmd {
	t.Helper()
	return spawnWith(t, map[string]string{fakeKey: strings.Join(orders, ","), "GORACE": quick})
}

// spawnWith starts the test binary; the test's end kills it.
func spawnWith(t *testing.T, env map[string]string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = os.Environ()
	for name, v := range env {
		cmd.Env = append(cmd.Env, name+"="+v)
	}
	cmd.Stderr = io.Discard
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return cmd
}

var _ transport.Asker = noAsks{}
