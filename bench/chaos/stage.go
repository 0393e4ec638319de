package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/outrigger-gateway/outrigger/bench/probe"
)

// Times for what a stage does.
const (
	startLimit = 60 * time.Second // from the start of a gateway to right answers
	stopLimit  = 20 * time.Second // for a gateway to end in order
	goneLimit  = 2 * time.Second  // for what a killed gateway leaves behind to be gone
)

// setup is what stages have in common.
type setup struct {
	repo     string // root of the repository
	program  string // the gateway
	dir      string // private, for the stages
	logs     string // where the logs of the gateways go
	upstream string // host:port
	rate     float64
}

// variant of a stage.
type variant uint8

const (
	plain         variant = iota
	fullLog               // the gateway's log goes to a full disk
	anySystemCall         // the plugin server may make system calls that are refused by default, such as that for a time namespace
)

// stage is one gateway with one plugin server under constant load.
type stage struct {
	*setup
	language, carrier string
	mark              string // of its processes
	dir               string // the stage's own; $CHAOS_DIR of the plugin server
	variant           variant

	cmd     *exec.Cmd
	ended   chan struct{}
	gateway admin
	load    *load
	stop    context.CancelFunc
	stopped chan struct{}
}

var stages atomic.Int64

func (s *stage) name() string { return s.language + " " + s.carrier }

// commands start the fault plugin servers, from the root of the repository.
var commands = map[string][]string{
	"go":     {"bin/chaos-go"},
	"python": {".venv/bin/python", "-m", "outrigger", "serve", "bench/chaos/plugins/python"},
	"js":     {"node", "examples/js/node_modules/.bin/outrigger-js", "serve", "bench/chaos/plugins/js"},
}

// languages and carriers in the order of the table.
var (
	languages = []string{"go", "python", "js"}
	carriers  = []string{"msgpack", "grpc"}
)

// startStage starts a gateway and its load, and waits for right answers.
func startStage(ctx context.Context, set *setup, language, carrier string, v variant) (*stage, error) {
	number := stages.Add(1)
	s := &stage{setup: set, language: language, carrier: carrier, variant: v, mark: fmt.Sprintf("%d-%d", os.Getpid(), number)}
	s.dir = filepath.Join(set.dir, fmt.Sprint(number))
	if err := os.Mkdir(s.dir, 0o700); err != nil {
		return nil, err
	}
	if err := s.configure(); err != nil {
		return nil, err
	}
	if err := s.start(ctx); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// configure writes the files of the configuration.
func (s *stage) configure() error {
	server := map[string]any{
		"name": s.language, "carrier": s.carrier, "working_dir": s.repo,
		"command":       append([]string{"bench/chaos/launch.sh"}, commands[s.language]...),
		"env":           map[string]string{"CHAOS_DIR": s.dir, markVariable: s.mark},
		"start_timeout": "30s", "timeout": "500ms", "health_interval": "1s", "crash_loop": map[string]any{"deaths": 4, "within": "5s", "hold": "2s"}, "limits": map[string]any{"memory": "768m", "open_files": 256, "processes": 200},
	}
	if s.variant == anySystemCall {
		server["isolation"] = map[string]any{"seccomp": "off"}
	}
	settings := map[string]any{
		"proxy_listen": "127.0.0.1:0", "admin_listen": "unix://" + s.socket(), "run_dir": s.runDir(),
		"declarative_config": "gateway.yaml", "drain_timeout": "2s", "log_level": "info",
		"plugin_servers": []any{server},
	}
	type object = map[string]any
	record := func(plugin string, c chainStep) object {
		mode := "closed"
		if c.open {
			mode = "open"
		}
		r := object{"name": plugin + "-" + s.language, "fail_mode": mode, "config": object{"instance": c.instance, "letter": c.instance[:1]}}
		if c.failStatus != 0 {
			r["fail_status"], r["fail_body"] = c.failStatus, c.failBody
		}
		return r
	}
	route := func(path string, plugins ...object) object {
		return object{"name": path[1:], "paths": []string{path}, "plugins": plugins}
	}
	entities := object{
		"_format_version": "3.0",
		"plugins":         []object{record("chaos-rewrite", chainStep{instance: rewriteInstance, open: true})},
		"services": []object{{
			"name": "upstream", "url": "http://" + s.upstream,
			"routes": []object{
				route("/closed", record("chaos", closedGate)),
				route("/open", record("chaos", openGate), record("chaos-body", openBody)),
				route("/body", record("chaos-body", closedBody)),
				route("/response", record("chaos-response", closedResponse)),
			},
		}},
	}
	for name, value := range map[string]any{"outrigger.yaml": settings, "gateway.yaml": entities} {
		text, err := json.MarshalIndent(value, "", "  ") // JSON is YAML
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(s.dir, name), text, 0o600); err != nil {
			return err
		}
	}
	return os.MkdirAll(s.runDir(), 0o700)
}

func (s *stage) socket() string { return filepath.Join(s.dir, "admin.sock") }
func (s *stage) runDir() string { return filepath.Join(s.dir, "run") }
func (s *stage) pid() int       { return s.cmd.Process.Pid }

// start starts the gateway and its load.
func (s *stage) start(ctx context.Context) error {
	address, err := s.launch(ctx)
	if err != nil {
		return err
	}
	s.gateway = admin{probe.NewAdmin(s.socket(), clientLimit)}
	s.load = &load{client: &client{address: address}, rate: s.rate, name: s.mark}
	loading, stop := context.WithCancel(context.Background())
	s.stop, s.stopped = stop, make(chan struct{})
	go func() {
		defer close(s.stopped)
		s.load.run(loading)
	}()
	if _, err := s.recovered(ctx, time.Now(), startLimit); err != nil {
		return fmt.Errorf("%s: after the start: %w", s.name(), err)
	}
	return nil
}

// launch starts the gateway's process and waits for its address.
func (s *stage) launch(ctx context.Context) (string, error) {
	log, err := os.OpenFile(filepath.Join(s.logs, strings.ReplaceAll(s.name(), " ", "-")+".log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if s.variant == fullLog {
		log, err = os.OpenFile("/dev/full", os.O_WRONLY, 0)
	}
	if err != nil {
		return "", err
	}
	defer func() { _ = log.Close() }() // the child has its own
	s.cmd = exec.Command(s.program, "run", "--settings", filepath.Join(s.dir, "outrigger.yaml"))
	s.cmd.Env = append(os.Environ(), markVariable+"="+s.mark)
	s.cmd.Stderr = log
	// A group of its own: Ctrl-C is for this program, which ends everything in order. When this program is killed, the gateway is too.
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	s.cmd.WaitDelay = 5 * time.Second // for what it started to let go of standard output
	out := &readyLine{found: make(chan string, 1)}
	s.cmd.Stdout = out
	if err := s.cmd.Start(); err != nil {
		return "", err
	}
	s.ended = make(chan struct{})
	go func(cmd *exec.Cmd, ended chan struct{}) {
		_ = cmd.Wait() // how it ended is in ProcessState
		close(ended)
	}(s.cmd, s.ended)
	late := time.NewTimer(startLimit)
	defer late.Stop()
	select {
	case address := <-out.found:
		return address, nil
	case <-s.ended:
		return "", fmt.Errorf("%s: the gateway ended before it was ready: %v; see %s", s.name(), s.cmd.ProcessState, log.Name())
	case <-late.C:
		return "", fmt.Errorf("%s: the gateway was not ready within %s; see %s", s.name(), startLimit, log.Name())
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// readyLine looks for the line that tells the gateway's address and drops the rest.
type readyLine struct {
	found chan string // capacity 1
	line  []byte
}

func (r *readyLine) Write(b []byte) (int, error) {
	for _, c := range b {
		if c != '\n' {
			r.line = append(r.line, c)
			continue
		}
		if _, rest, ok := strings.Cut(string(r.line), " is ready on "); ok {
			address, _, _ := strings.Cut(rest, ",")
			select {
			case r.found <- strings.TrimSpace(address):
			default:
			}
		}
		r.line = r.line[:0]
	}
	return len(b), nil
}

// recovered waits until enough right answers in a row have come to requests sent after a time, and returns when that was.
func (s *stage) recovered(ctx context.Context, after time.Time, limit time.Duration) (time.Time, error) {
	deadline := time.Now().Add(limit)
	for time.Now().Before(deadline) {
		if at, ok := recovery(s.load.peek(), after); ok {
			return at, nil
		}
		if !pause(ctx, 50*time.Millisecond) {
			return time.Time{}, ctx.Err()
		}
	}
	reason := ""
	if st, err := s.gateway.status(); err != nil {
		reason = err.Error()
	} else {
		reason = fmt.Sprintf("ready %t %s", st.Ready, st.Reason)
	}
	return time.Time{}, fmt.Errorf("no %d right answers in a row within %s; the plugin server: %s", inARow, limit, reason)
}

// starts of plugin server processes so far; 0: the gateway does not say.
func (s *stage) starts() int {
	st, err := s.gateway.status()
	if err != nil {
		return 0
	}
	return st.starts()
}

// signalServer sends a signal to the processes of the plugin server.
func (s *stage) signalServer(sig syscall.Signal) error {
	st, err := s.gateway.status()
	if err != nil {
		return err
	}
	for _, p := range st.Processes {
		if p.PID != 0 {
			if err := syscall.Kill(p.PID, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
				return err
			}
		}
	}
	return nil
}

// dump lets the gateway write its goroutines into its log, which ends it.
func (s *stage) dump() {
	_ = s.cmd.Process.Signal(syscall.SIGQUIT)
	select {
	case <-s.ended:
	case <-time.After(stopLimit):
	}
}

// kill kills the gateway with SIGKILL and says what is still there after the time for that.
func (s *stage) kill(ctx context.Context) error {
	_ = s.cmd.Process.Kill() // an error: it has ended
	<-s.ended
	return s.gone(ctx, goneLimit)
}

// gone waits until nothing is left of the gateway: processes and sockets.
func (s *stage) gone(ctx context.Context, limit time.Duration) error {
	deadline := time.Now().Add(limit)
	for {
		pids, err := marked(s.mark)
		if err != nil {
			return err
		}
		sockets, err := filepath.Glob(filepath.Join(s.runDir(), "*", "*"))
		if err != nil {
			return err
		}
		if len(pids) == 0 && len(sockets) == 0 {
			return nil
		}
		if time.Now().After(deadline) || !pause(ctx, 20*time.Millisecond) {
			return fmt.Errorf("%s after the gateway's end there are still the processes %v and the files %q", limit, pids, sockets)
		}
	}
}

// close ends the stage. What the gateway leaves behind is an error, and is removed.
func (s *stage) close() error {
	if s.stop != nil {
		s.stop()
		<-s.stopped
	}
	var err error
	if s.ended != nil {
		_ = s.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-s.ended:
		case <-time.After(stopLimit):
			err = fmt.Errorf("%s: the gateway did not end within %s and was killed", s.name(), stopLimit)
			_ = s.cmd.Process.Kill()
			<-s.ended
		}
		if left := s.gone(context.Background(), goneLimit); left != nil {
			err = errors.Join(err, fmt.Errorf("%s: %w", s.name(), left))
		}
	}
	pids, _ := marked(s.mark)
	for _, pid := range pids {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	return errors.Join(err, os.RemoveAll(s.dir))
}
