package examples

import (
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// With nothing but defaults the gateway starts, answers 404 and ends in order. The port is given by the environment, as 8000 may be taken.
func TestRunWithNothing(t *testing.T) {
	t.Parallel()
	g := launch{env: []string{"OUTRIGGER_PROXY_LISTEN=127.0.0.1:0"}}.start(t)
	a := g.get(t, "/").want(t, 404)
	if !strings.Contains(string(a.body), "no Route matched with those values") || a.header.Get("Server") == "" {
		t.Errorf("found %v, expected the error body of an unknown route", a)
	}
	g.signal(t, syscall.SIGINT)
	if code := g.exit(t); code != 0 {
		t.Errorf("the gateway ended with code %d after SIGINT, expected 0", code)
	}
	if text := g.out.text(); strings.Count(text, "\n") != 0 {
		t.Errorf("standard output is %q, expected one line", text)
	}
}

// Settings come from flags, from variables and from the file, in this order.
func TestSettings(t *testing.T) {
	t.Parallel()
	up := echoUpstream(t)
	g := launch{
		text:     "log_level: emerg\nlog_format: json\nproxy_listen: 127.0.0.1:1\nheaders: off\n",
		entities: routes(up.URL, route("/", "{name: hello-js}")),
		env: []string{
			"OUTRIGGER_PROXY_LISTEN=127.0.0.1:0, 127.0.0.2:0", "OUTRIGGER_LOG_LEVEL=crit", "OUTRIGGER_HEADERS=X-Kong-Request-Id",
			fmt.Sprintf("OUTRIGGER_PLUGIN_SERVERS=[{name: js, carrier: grpc, start_timeout: 60s, timeout: 30s, command: [%s]}]", strings.Join(serverCommand("js", "", filepath.Join(built.repo, "examples/js")), ", ")),
		},
		args: []string{"--log-level=info", "--allow-debug-header"},
	}.start(t)
	a := g.get(t, "/", "Kong-Debug", "1").want(t, 200).wantHeader(t, "X-Hello-Js", "hello, world")
	if a.header.Get("X-Kong-Request-Id") == "" || a.header.Get("Kong-Route-Name") != "r-" {
		t.Errorf("found the headers %v, expected the request id and the name of the route", a.header)
	}
	a.wantHeader(t, "Via").wantHeader(t, "X-Kong-Proxy-Latency")
	if g.log.count(0, "level", "info") == 0 {
		t.Error("the log has no line of level info: the flag was not heard")
	}
	ready := g.out.text()
	if n := strings.Count(ready, "127.0.0."); n != 2 {
		t.Errorf("the line %q names %d addresses, expected 2", ready, n)
	}
}

// What is wrong with the command line or the settings is said in one line each, with what was expected.
func TestCommandLine(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, c := range []struct {
		args, env []string
		settings  string
		code      int
		parts     []string
	}{
		{args: []string{"run", "--lisen", "127.0.0.1:0"}, code: 2, parts: []string{"unknown flag --lisen", "did you mean --listen"}},
		{args: []string{"run", "--listen"}, code: 2, parts: []string{"--listen", "needs a value"}},
		{args: []string{"run", "--listen=127.0.0.1:0", "--listen=127.0.0.1:0"}, code: 2, parts: []string{"given twice"}},
		{args: []string{"run", "gateway.yaml"}, code: 2, parts: []string{`"gateway.yaml"`, "--config"}},
		{args: []string{"rum"}, code: 2, parts: []string{`unknown command "rum"`, "run, dev, check"}},
		{args: []string{"run", "--listen", "8000"}, code: 1, parts: []string{"--listen", `"8000"`, "127.0.0.1:8000"}},
		{args: []string{"run", "--settings", "/nowhere/outrigger.yaml"}, code: 1, parts: []string{"/nowhere/outrigger.yaml"}},
		{args: []string{"run", "--config", "/nowhere/gateway.yaml", "--listen=127.0.0.1:0"}, code: 1, parts: []string{"/nowhere/gateway.yaml"}},
		{args: []string{"run", "--listen", taken.Addr().String()}, code: 1, parts: []string{"proxy_listen", taken.Addr().String(), "in use"}},
		{args: []string{"run"}, env: []string{"OUTRIGGER_LOG_LEVEL=loud"}, code: 1, parts: []string{"OUTRIGGER_LOG_LEVEL", `"loud"`, "notice"}},
		{args: []string{"run"}, env: []string{"OUTRIGGER_PROXY_LISTN=127.0.0.1:0"}, code: 1, parts: []string{"OUTRIGGER_PROXY_LISTN", "OUTRIGGER_PROXY_LISTEN"}},
		{args: []string{"run"}, settings: "proxy_listn: 127.0.0.1:0\n", code: 1, parts: []string{"outrigger.yaml:1:1", `unknown key "proxy_listn"`, "nearest: proxy_listen"}},
		{args: []string{"run"}, settings: "plugin_servers:\n- name: a\n  comand: x\n", code: 1, parts: []string{"outrigger.yaml:3:3", "plugin_servers[0].comand", "nearest: command"}},
		{args: []string{"run"}, settings: "plugin_servers:\n- name: a\n  command: x\n  carrier: carrier-pigeon\n", code: 1, parts: []string{"outrigger.yaml:4:12", "carrier-pigeon", "msgpack"}},
	} {
		args := c.args
		if c.settings != "" {
			dir := t.TempDir()
			write(t, filepath.Join(dir, "outrigger.yaml"), c.settings)
			args = append(args, "--settings", filepath.Join(dir, "outrigger.yaml"))
		}
		r := outrigger(t, c.env, args...)
		if r.code != c.code || r.out != "" {
			t.Errorf("%q %q: found code %d and standard output %q, expected %d and nothing; standard error: %s", c.args, c.env, r.code, r.out, c.code, r.err)
		}
		wantLine(t, r.err, c.parts...)
	}
	for _, args := range [][]string{{"help"}, {"help", "settings"}, {"--help"}, {}, {"version"}} {
		if r := outrigger(t, nil, args...); r.code != 0 || !strings.Contains(strings.ToLower(r.out), "outrigger") {
			t.Errorf("%q: found code %d and standard output %q", args, r.code, r.out)
		}
	}
}
