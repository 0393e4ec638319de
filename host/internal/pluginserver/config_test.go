package pluginserver

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	pluginv1 "github.com/outrigger-gateway/outrigger/proto/gen/outrigger/plugin/v1"
)

func TestConfigErrors(t *testing.T) {
	cmd := []string{"x"}
	for name, c := range map[string]struct {
		cfg  Config
		want string
	}{
		"no name":        {Config{Command: cmd}, "name is required"},
		"neither":        {Config{Name: "a"}, `plugin server "a": command: exactly one of command and address`},
		"both":           {Config{Name: "a", Command: cmd, Addresses: []string{"unix:///x"}}, "exactly one of command and address"},
		"carrier":        {Config{Name: "a", Command: cmd, Carrier: "http"}, `found "http", expected "msgpack" or "grpc"`},
		"processes":      {Config{Name: "a", Command: cmd, Processes: -1}, "found -1, expected at least 1"},
		"two attached":   {Config{Name: "a", Addresses: []string{"unix:///x"}, Processes: 2}, "has a process for each address"},
		"relative":       {Config{Name: "a", Addresses: []string{"unix://x.sock"}}, "expected an absolute path"},
		"long":           {Config{Name: "a", Addresses: []string{"unix:///" + strings.Repeat("x", 107)}}, "has 108 bytes, the system allows 107"},
		"scheme":         {Config{Name: "a", Addresses: []string{"http://x"}}, "expected unix:///path or tcp://host:port"},
		"no port":        {Config{Name: "a", Addresses: []string{"tcp://x"}}, "expected tcp://host:port"},
		"off loopback":   {Config{Name: "a", Addresses: []string{"tcp://10.0.0.1:80"}}, "TCP off loopback needs TLS"},
		"unknown user":   {Config{Name: "a", Command: cmd, User: "no-such-user"}, `there is no user "no-such-user"`},
		"name of env":    {Config{Name: "a", Command: cmd, Env: map[string]string{"A=B": ""}}, `found the name "A=B"`},
		"value of env":   {Config{Name: "a", Command: cmd, Env: map[string]string{"A": "\x00"}}, "the value of A holds a zero byte"},
		"empty program":  {Config{Name: "a", Command: []string{""}}, "the program is empty"},
		"negative times": {Config{Name: "a", Command: cmd, DrainTimeout: -1}, "expected positive durations"},
		"in flight":      {Config{Name: "a", Command: cmd, MaxInFlight: -1}, "max_in_flight: found -1"},
	} {
		t.Run(name, func(t *testing.T) {
			ss, err := Start(t.Context(), []Config{c.cfg}, Options{RunDir: shortDir(t)})
			if ss != nil || err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one that says %q", err, c.want)
			}
		})
	}
	_, err := Start(t.Context(), []Config{{Name: "a", Command: cmd}, {Name: "a", Addresses: []string{"unix:///x"}}}, Options{})
	if err == nil || !strings.Contains(err.Error(), `two plugin servers are named "a"`) {
		t.Errorf("error %v", err)
	}
	for _, ok := range []Config{
		{Name: "a", Addresses: []string{"tcp://127.0.0.1:1"}}, {Name: "a", Addresses: []string{"tcp://[::1]:1"}}, {Name: "a", Addresses: []string{"tcp://localhost:1"}},
		{Name: "a", Addresses: []string{"tcp://10.0.0.1:1"}, TLS: &TLS{}},
	} {
		if _, err := ok.withDefaults(); err != nil {
			t.Error(err)
		}
	}
}

func TestNoServers(t *testing.T) {
	ss, err := Start(t.Context(), nil, Options{RunDir: shortDir(t)})
	if err != nil {
		t.Fatal(err)
	}
	if len(ss.Ready())+len(ss.Manifests())+len(ss.Status()) > 0 || ss.Server("x") != nil || ss.RunDir() != "" {
		t.Error("there is something where nothing is configured")
	}
	if err := ss.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestRunDir(t *testing.T) {
	long := filepath.Join(shortDir(t), strings.Repeat("d", 80))
	if _, err := makeRunDir(long); err == nil || !strings.Contains(err.Error(), "leave room for socket paths of 107") {
		t.Errorf("error %v", err)
	}
	short := shortDir(t)
	for what, env := range map[string][2]string{"run time directory": {short, "/nowhere"}, "temporary": {"", short}, "long ones": {long, long}} {
		t.Setenv("XDG_RUNTIME_DIR", env[0])
		t.Setenv("TMPDIR", env[1])
		dir, err := makeRunDir("")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		if parent := filepath.Dir(dir); (what == "long ones") != (parent == "/tmp") || what != "long ones" && parent != short {
			t.Errorf("%s: made %s", what, dir)
		}
	}
}

func TestBackoff(t *testing.T) {
	w := waits{Backoff: Backoff{}.withDefaults(true)}
	want := []time.Duration{100, 200, 400, 800, 1600, 3200, 6400, 10000, 10000}
	for i, ms := range want {
		if got, mid := w.wait(time.Second), ms*time.Millisecond; got < mid*8/10 || got > mid*12/10 {
			t.Errorf("wait %d is %v, want about %v", i, got, mid)
		}
	}
	if got := w.wait(30 * time.Second); got > 120*time.Millisecond {
		t.Errorf("after a healthy life the wait is %v", got)
	}
	// Who restarts an attached server waits for it.
	w = waits{Backoff: Backoff{}.withDefaults(false)}
	for i, ms := range []time.Duration{50, 100, 200, 400, 800, 1000, 1000} {
		if got, mid := w.wait(0), ms*time.Millisecond; got < mid*8/10 || got > mid*12/10 {
			t.Errorf("attached: wait %d is %v, want about %v", i, got, mid)
		}
	}
}

// The line that is told of a process that ended is the reason, as interpreters write it.
func TestLastLine(t *testing.T) {
	for _, c := range []struct{ lines, want string }{
		{"a\n\nb\n \n", `stderr: "b"`},
		{"Traceback (most recent call last):\n  File \"x.py\", line 1\nSyntaxError: invalid syntax", `stderr: "SyntaxError: invalid syntax"`},
		{"x.js:1\nclass {{{\n      ^\nSyntaxError: Unexpected token '{'\n    at compile (node:internal:346:16)\n    at async run\n\nNode.js v20.11.1", `stderr: "SyntaxError: Unexpected token '{'"`},
		{"  only\n\tframes", `stderr: "frames"`},
		{"  frames\nreason", `stderr: "reason"`},
		{"", ""},
	} {
		var l lastLine
		for line := range strings.SplitSeq(c.lines, "\n") {
			l.set("stderr", line)
		}
		if got := l.String(); got != c.want {
			t.Errorf("of %q: %s, want %s", c.lines, got, c.want)
		}
	}
}

func TestDuplicatePlugins(t *testing.T) {
	w := newWorld(t)
	err := w.start(fakeServer("b"), fakeServer("a"), fakeServer("c", "plugin=other"))
	var dup *DuplicatePluginError
	if !errors.As(err, &dup) || dup.Plugin != "echo" || dup.Servers != [2]string{"a", "b"} {
		t.Fatalf("error %v, want both servers named", err)
	}
	if !w.ready("c") || w.ready("a") == w.ready("b") {
		t.Errorf("states %+v", w.Ready())
	}
	if m := w.Manifests(); len(m) != 2 {
		t.Errorf("manifests %+v", m)
	}
}

func TestManifestsAreChecked(t *testing.T) {
	good := &pluginv1.PluginManifest{Name: "p", Phases: []string{"log"}}
	for want, list := range map[string][]*pluginv1.PluginManifest{
		"hosts no plugin":         nil,
		"without a name":          {{Phases: []string{"log"}}},
		`two plugins named "p"`:   {good, good},
		"handles no phase":        {{Name: "p"}},
		`unknown phase "preread"`: {{Name: "p", Phases: []string{"preread"}}},
		"is not JSON":             {{Name: "p", Phases: []string{"log"}, ConfigSchema: []byte("{")}},
	} {
		if _, err := manifests(list, "s"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one that says %q", err, want)
		}
	}
}

func TestChoosePlane(t *testing.T) {
	control := address{"tcp", "127.0.0.1:7000"}
	for _, c := range []struct {
		carrier string
		control address
		planes  []*pluginv1.DataPlane
		want    plane
		err     string
	}{
		{CarrierMsgpack, control, []*pluginv1.DataPlane{{Carrier: "grpc"}, {Carrier: "msgpack", Network: "tcp", Address: ":1"}, {Carrier: "msgpack", Network: "unix", Address: "/a"}}, plane{"unix", "/a", nil}, ""},
		{CarrierMsgpack, control, []*pluginv1.DataPlane{{Carrier: "msgpack", Network: "tcp", Address: ":1", Token: []byte("t")}}, plane{"tcp", "127.0.0.1:1", []byte("t")}, ""},
		{CarrierMsgpack, address{"unix", "/x"}, []*pluginv1.DataPlane{{Carrier: "msgpack", Network: "tcp", Address: ":1"}}, plane{"tcp", "127.0.0.1:1", nil}, ""},
		{CarrierMsgpack, address{"unix", "/x"}, []*pluginv1.DataPlane{{Carrier: "msgpack", Network: "tcp"}}, plane{}, "has no address"},
		{CarrierMsgpack, control, []*pluginv1.DataPlane{{Carrier: "msgpack", Network: "tcp", Address: "10.0.0.1:1"}}, plane{}, "TCP off loopback needs TLS"},
		{CarrierMsgpack, control, []*pluginv1.DataPlane{{Carrier: "grpc"}}, plane{}, `no data plane for carrier "msgpack" that can be reached from here; it offers ["grpc"]`},
		{CarrierMsgpack, control, []*pluginv1.DataPlane{{Carrier: "msgpack", Network: "udp"}}, plane{}, `network "udp"`},
		{CarrierGRPC, control, []*pluginv1.DataPlane{{Carrier: "grpc", Network: "tcp", Address: "1.2.3.4:1"}}, plane{}, ""},
		{CarrierMsgpack, address{}, []*pluginv1.DataPlane{{Carrier: "msgpack", Network: "unix", Address: "/a"}}, plane{"unix", "/a", nil}, ""},
		{CarrierMsgpack, address{"tcp", "10.0.0.1:7"}, []*pluginv1.DataPlane{{Carrier: "msgpack", Network: "unix", Address: "/a"}, {Carrier: "msgpack", Network: "tcp", Address: "127.0.0.1:1"}}, plane{"tcp", "127.0.0.1:1", nil}, ""},
		{CarrierMsgpack, address{"tcp", "10.0.0.1:7"}, []*pluginv1.DataPlane{{Carrier: "grpc"}, {Carrier: "msgpack", Network: "unix", Address: "/a"}}, plane{}, `no data plane for carrier "msgpack" that can be reached from here; it offers ["grpc"]`},
	} {
		got, err := choosePlane(c.planes, &Config{Carrier: c.carrier}, c.control)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("error %v, want one that says %q", err, c.err)
			}
		} else if err != nil || got.network != c.want.network || got.addr != c.want.addr || string(got.token) != string(c.want.token) {
			t.Errorf("%+v, %v; want %+v", got, err, c.want)
		}
	}
}

func TestHandshakeLines(t *testing.T) {
	for line, want := range map[string]bool{
		"1|1|unix|/tmp/x.sock|grpc": true, " 1|1|tcp|127.0.0.1:1|grpc| ": true, "1|1|unix|/x|netrpc|cert": true,
		"": false, "1|1|unix|/x": false, "a|1|unix|/x|grpc": false, "1|1|pipe|/x|grpc": false, "warning: 1|1|unix|/x|grpc": false,
	} {
		if isHandshake(line) != want {
			t.Errorf("%q: %v", line, !want)
		}
	}
}

func TestEachLine(t *testing.T) {
	type got struct {
		line string
		part int
		more bool
	}
	exact := strings.Repeat("e", maxLine)
	var lines []got
	eachLine(strings.NewReader("a\r\n\nb\n"+exact+"\n"+exact+"z\nlast"), func(line string, part int, more bool) {
		lines = append(lines, got{line, part, more})
	})
	want := []got{{"a", 0, false}, {"", 0, false}, {"b", 0, false}, {exact, 1, true}, {"", 2, false}, {exact, 1, true}, {"z", 2, false}, {"last", 0, false}}
	if len(lines) != len(want) {
		t.Fatalf("%d lines, want %d", len(lines), len(want))
	}
	for i := range want {
		if lines[i] != want[i] {
			t.Errorf("line %d: %.20q part %d more %v", i, lines[i].line, lines[i].part, lines[i].more)
		}
	}
}

func TestDefaultLoggerIsQuiet(t *testing.T) {
	ss, err := prepare([]Config{{Name: "a", Addresses: []string{"unix:///x"}}}, Options{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if ss.opts.Logger.Handler() != slog.DiscardHandler || ss.opts.HealthInterval != defaultHealthInterval {
		t.Errorf("options %+v", ss.opts)
	}
}
