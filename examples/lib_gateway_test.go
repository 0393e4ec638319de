package examples

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// settings is outrigger.yaml as data.
type settings map[string]any

// server is one entry of plugin_servers.
type server map[string]any

// with returns a copy with more fields.
func (s server) with(pairs ...any) server {
	c := server{}
	for k, v := range s {
		c[k] = v
	}
	for i := 0; i < len(pairs); i += 2 {
		c[pairs[i].(string)] = pairs[i+1]
	}
	return c
}

// language is one of the three that plugins are written in. name ends the names of its plugins, suffix the headers that they set.
type language struct{ name, suffix string }

var languages = []language{{"go", "Go"}, {"python", "Python"}, {"js", "Js"}}

var carriers = []string{"msgpack", "grpc"}

// exampleServer hosts the example plugins of one language.
func exampleServer(lang, carrier string) server {
	return pluginServer(lang, carrier, built.goExamples, filepath.Join(built.repo, "examples", lang))
}

// testServer hosts the plugins below internal/testplugins of one language.
func testServer(lang, carrier string) server {
	s := pluginServer(lang, carrier, built.goTests, filepath.Join(built.repo, "examples/internal/testplugins", lang))
	if lang == "go" {
		return s.with("env", map[string]string{"GORACE": raceOptions})
	}
	return s
}

func pluginServer(lang, carrier, goBinary, dir string) server {
	// A busy machine takes its time, for a call as for three interpreters that start at once. Where a deadline is the subject a test sets its own.
	return server{"name": lang, "carrier": carrier, "command": serverCommand(lang, goBinary, dir), "start_timeout": "60s", "timeout": "30s"}
}

// serverCommand is what starts a plugin server.
func serverCommand(lang, goBinary, dir string) []string {
	switch lang {
	case "go":
		return []string{goBinary}
	case "python":
		return []string{filepath.Join(built.repo, ".venv/bin/python"), "-m", "outrigger", "serve", dir}
	}
	return []string{"node", filepath.Join(built.repo, "examples/js/node_modules/.bin/outrigger-js"), "serve", dir}
}

// exampleServers are the example plugins of all languages.
func exampleServers(carrier string) []server { return everyLanguage(exampleServer, carrier) }

// testServers are the test plugins of all languages.
func testServers(carrier string) []server { return everyLanguage(testServer, carrier) }

func everyLanguage(of func(lang, carrier string) server, carrier string) []server {
	var all []server
	for _, l := range languages {
		all = append(all, of(l.name, carrier))
	}
	return all
}

// gateway is one running outrigger.
type gateway struct {
	dir      string // private, with the files of the configuration; run directories are made below it
	entities string // path of gateway.yaml
	address  string // host:port of the proxy
	pid      int
	log      *output // standard error
	out      *output // standard output

	cmd    *exec.Cmd
	ended  chan struct{} // closed when the process has ended
	client *http.Client
	stops  bool // somebody has asked it to end
}

// launch describes how to start a gateway.
type launch struct {
	binary   string // built.host when empty
	command  string // run when empty
	settings settings
	text     string // outrigger.yaml as text, instead of settings
	entities string // gateway.yaml
	args     []string
	env      []string
	late     bool       // not all plugin servers come up at the start
	alone    bool       // in a process namespace of its own, with the process id 1
	given    []*os.File // from descriptor 3 on
}

// start starts a gateway and waits until it is ready. The test's cleanup ends it.
func (l launch) start(t testing.TB) *gateway {
	t.Helper()
	g := l.begin(t)
	ready := g.out.waitWithin(t, startPatience, 0, "the line that says that the gateway is ready", func(l line) bool {
		return strings.Contains(l.text("text"), " is ready on ")
	})
	_, addresses, _ := strings.Cut(ready.text("text"), " is ready on ")
	g.address, _, _ = strings.Cut(addresses, ",")
	if !l.late {
		for _, n := range g.log.since(0) {
			if n.has("msg", "plugin server is down") {
				t.Fatalf("plugin server %v did not come up: %v", n["server"], n["error"])
			}
		}
	}
	return g
}

// begin starts a gateway and does not wait.
func (l launch) begin(t testing.TB) *gateway {
	t.Helper()
	g, args := l.files(t)
	if l.binary == "" {
		l.binary = built.host
	}
	g.log, g.out = newOutput(), newOutput()
	g.ended = make(chan struct{})
	if l.command == "" {
		l.command = "run"
	}
	g.cmd = exec.Command(l.binary, append(append([]string{l.command}, args...), l.args...)...)
	g.cmd.Env = append(environment(g.dir), l.env...)
	g.cmd.Dir = g.dir
	g.cmd.ExtraFiles = l.given
	// A group of its own: a Ctrl-C in the terminal is for the tests, which end it in order.
	g.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if l.alone {
		g.cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWPID
	}
	stdout, err := g.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr, err := g.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := g.cmd.Start(); l.alone && errors.Is(err, syscall.EPERM) {
		t.Skip("this user may not make a process namespace")
	} else if err != nil {
		t.Fatal(err)
	}
	g.pid = g.cmd.Process.Pid
	read := make(chan struct{}, 2)
	go func() { g.out.read(stdout); read <- struct{}{} }()
	go func() { g.log.read(stderr); read <- struct{}{} }()
	go func() {
		<-read
		<-read
		_ = g.cmd.Wait() // the exit code is in ProcessState
		close(g.ended)
	}()
	g.client = newClient()
	t.Cleanup(func() { g.cleanUp(t) })
	return g
}

// files makes the directory of a gateway and writes its configuration there.
func (l launch) files(t testing.TB) (*gateway, []string) {
	t.Helper()
	dir, err := os.MkdirTemp(built.temp, "g")
	if err != nil {
		t.Fatal(err)
	}
	g := &gateway{dir: dir, entities: filepath.Join(dir, "gateway.yaml")}
	var args []string
	if l.settings != nil || l.text != "" {
		path := filepath.Join(dir, "outrigger.yaml")
		text := []byte(l.text)
		if l.text == "" {
			s := settings{"proxy_listen": "127.0.0.1:0", "log_level": "info", "log_format": "json", "drain_timeout": "5s"}
			for k, v := range l.settings {
				s[k] = v
			}
			if text, err = json.MarshalIndent(s, "", "  "); err != nil {
				t.Fatal(err)
			}
		}
		write(t, path, string(text))
		args = append(args, "--settings", path)
	}
	if l.entities != "" {
		write(t, g.entities, l.entities)
		args = append(args, "--config", g.entities)
	}
	return g, args
}

// environment is what every process of the tests gets.
func environment(dir string) []string {
	return []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "TMPDIR=" + dir, "GORACE=" + raceOptions}
}

// raceOptions make a program with the race detector go on after a race, tell it by its exit code, and end without waiting a second.
const raceOptions = "halt_on_error=0 exitcode=66 atexit_sleep_ms=0"

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// url is the address of a path on the gateway.
func (g *gateway) url(path string) string { return "http://" + g.address + path }

// reload replaces gateway.yaml, sends SIGHUP and waits until the new configuration is live.
func (g *gateway) reload(t testing.TB, entities string) {
	t.Helper()
	l := g.hup(t, entities)
	if l.text("msg") != configurationIsLive {
		t.Fatalf("the reload was refused: %v", l)
	}
}

const (
	configurationIsLive = "configuration is live"
	reloadRefused       = "reload refused, the old configuration stays"
)

// hup replaces gateway.yaml, sends SIGHUP and returns the line that tells how it went.
func (g *gateway) hup(t testing.TB, entities string) line {
	t.Helper()
	write(t, g.entities, entities)
	mark := g.log.mark()
	g.signal(t, syscall.SIGHUP)
	return g.log.wait(t, mark, "the end of the reload", func(l line) bool {
		return l.has("msg", configurationIsLive) || l.has("msg", reloadRefused)
	})
}

func (g *gateway) signal(t testing.TB, s syscall.Signal) {
	t.Helper()
	if s == syscall.SIGTERM || s == syscall.SIGKILL || s == syscall.SIGINT {
		g.stops = true
	}
	if err := g.cmd.Process.Signal(s); err != nil {
		t.Fatalf("sending %v to the gateway: %v", s, err)
	}
}

// exit waits until the process has ended and returns its exit code.
func (g *gateway) exit(t testing.TB) int {
	t.Helper()
	select {
	case <-g.ended:
		return g.cmd.ProcessState.ExitCode()
	case <-time.After(patience):
		t.Fatalf("the gateway does not end within %v", patience)
		return -1
	}
}

// cleanUp ends the process and fails the test for what it left or complained about.
func (g *gateway) cleanUp(t testing.TB) {
	g.client.CloseIdleConnections()
	if !g.stops {
		_ = g.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-g.ended:
			if code := g.cmd.ProcessState.ExitCode(); code != 0 {
				t.Errorf("the gateway ended with code %d after SIGTERM, expected 0", code)
			}
		case <-time.After(patience):
			t.Errorf("the gateway does not end within %v after SIGTERM", patience)
		}
	}
	select {
	case <-g.ended:
	default:
		_ = g.cmd.Process.Kill()
		<-g.ended
	}
	text := g.log.text()
	for _, bad := range []string{"DATA RACE", "panic:", "fatal error:"} {
		// A plugin's panic is in the fields of a line; one of the gateway stands at the beginning.
		for l := range strings.Lines(text) {
			if strings.Contains(l, bad) && !strings.HasPrefix(l, "{") {
				t.Errorf("the gateway wrote %q", strings.TrimSpace(l))
			}
		}
		for _, l := range g.log.since(0) {
			if bad == "DATA RACE" && strings.Contains(l.text("msg"), bad) {
				t.Errorf("plugin server %v wrote %q", l["server"], l["msg"])
			}
		}
	}
	if dirs, _ := filepath.Glob(filepath.Join(g.dir, "outrigger-*")); len(dirs) > 0 && g.cmd.ProcessState.ExitCode() >= 0 {
		t.Errorf("the gateway left %s", strings.Join(dirs, ", "))
	}
	if t.Failed() {
		const most = 24 << 10
		if len(text) > most {
			text = "…" + text[len(text)-most:]
		}
		t.Logf("log of the gateway:\n%s", text)
	}
}

// serverPID finds the process of a plugin server.
func (g *gateway) serverPID(t testing.TB, lang string) int {
	t.Helper()
	all := g.serverPIDs(t, lang)
	if len(all) != 1 {
		t.Fatalf("plugin server %q has the processes %v, expected one", lang, all)
	}
	return all[0]
}

// serverPIDs finds the running processes of a plugin server by its name in their environment.
func (g *gateway) serverPIDs(t testing.TB, lang string) []int {
	t.Helper()
	children, err := descendants(g.pid)
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for _, p := range children {
		env, _ := os.ReadFile("/proc/" + strconv.Itoa(p.pid) + "/environ") // gone meanwhile: not the one we look for
		for v := range strings.SplitSeq(string(env), "\x00") {
			if v == "OUTRIGGER_SERVER="+lang {
				pids = append(pids, p.pid)
			}
		}
	}
	return pids
}

// result is how a command ended.
type result struct {
	code     int
	out, err string
}

// outrigger runs a command of the gateway to its end.
func outrigger(t testing.TB, env []string, args ...string) result {
	t.Helper()
	dir, err := os.MkdirTemp(built.temp, "c")
	if err != nil {
		t.Fatal(err)
	}
	return command(t, dir, env, args...)
}

func command(t testing.TB, dir string, env []string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, built.host, args...)
	cmd.Env = append(environment(dir), env...)
	cmd.Dir = dir
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	var out, errOut strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("outrigger %s: %v", strings.Join(args, " "), err)
	}
	r := result{code: cmd.ProcessState.ExitCode(), out: out.String(), err: errOut.String()}
	if strings.Contains(r.err, "DATA RACE") {
		t.Errorf("outrigger %s:\n%s", strings.Join(args, " "), r.err)
	}
	return r
}

// check runs outrigger check with a configuration.
func (l launch) check(t testing.TB) result {
	t.Helper()
	g, args := l.files(t)
	return command(t, g.dir, l.env, append([]string{"check"}, args...)...)
}

// freePort takes a port of loopback until the test ends. Nobody answers there but a program that is told to listen there: the socket that holds the port
// does not listen, and the kernel gives the port to no one who asks for any. Only for programs that cannot tell which one they were given.
func freePort(t testing.TB) int {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	// With it, servers may listen beside the socket: they set it too.
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		t.Fatal(err)
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	at, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return at.(*unix.SockaddrInet4).Port
}

// routes writes the entities of one service with routes; each route is its YAML fields in flow style.
func routes(upstream string, routes ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "_format_version: \"3.0\"\nservices:\n- name: upstream\n  url: %s\n  routes:\n", upstream)
	for _, r := range routes {
		fmt.Fprintf(&b, "  - %s\n", r)
	}
	return b.String()
}

// route is one route without path stripping; plugins are flow-style records.
func route(path string, plugins ...string) string {
	name := strings.ReplaceAll(strings.Trim(path, "/"), "/", "-")
	return fmt.Sprintf("{name: r-%s, paths: [%s], strip_path: false, plugins: [%s]}", name, path, strings.Join(plugins, ", "))
}
