package config

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/accesslog"
	"github.com/outrigger-gateway/outrigger/host/internal/entity"
)

func writeFile(t *testing.T, name, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestSettingsDefaults(t *testing.T) {
	s, err := LoadSettings("", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := &Settings{
		VaultOnFailure: entity.OnFailureReject,
		ProxyListen:    []string{"127.0.0.1:8000"}, LogLevel: "notice", LogFormat: "text", TracingSamplingRate: 0.01, ServerTiming: "off", RealIPHeader: "X-Real-IP",
		IdentityHeaders: "drop", AccessLog: AccessLog{Room: 4 << 20},
		Headers:           HeaderTokens{Via: true, Server: true, ProxyLatency: true, UpstreamLatency: true, ResponseLatency: true, AdminLatency: true, RequestID: true},
		UpstreamRequestID: true,
		ErrorDefaultType:  "text/plain", RouterFlavor: "traditional_compatible", RouterTieBreak: "created_at",
		PluginOrderingAlgorithm: "legacy", OrderingMode: "pull",
		ClientHeaderTimeout: time.Minute, ClientBodyTimeout: time.Minute, SendTimeout: time.Minute, ClientMinRate: 240, SendMinRate: 240, KeepaliveTimeout: 75 * time.Second,
		MaxHeaderSize: 32 << 10, MaxURISize: 8 << 10, MaxHeaderLine: 16 << 10, MaxHeaders: 200, MaxBody: 8 << 20, MaxBodiesInMemory: 256 << 20, MaxShared: 64 << 10, LogQueueSize: 4096, PluginCacheSize: 64 << 20,
		UpstreamKeepalivePoolSize: 512, UpstreamKeepaliveMaxRequests: 10000, UpstreamMaxHeaderSize: 32 << 10, UpstreamKeepaliveIdleTimeout: time.Minute,
		DNS:          DNS{Order: []string{"LAST", "SRV", "A", "AAAA"}, StaleTTL: time.Hour, ErrorTTL: time.Second, NotFoundTTL: 30 * time.Second},
		DrainTimeout: 10 * time.Second, UpgradeTimeout: time.Minute, BlackBoxSize: 64 << 20,
	}
	for name := range strings.SplitSeq(accesslog.Default, ", ") {
		f, err := accesslog.ParseField(name)
		if err != nil {
			t.Fatal(err)
		}
		want.AccessLog.Fields = append(want.AccessLog.Fields, f)
	}
	if !reflect.DeepEqual(s, want) {
		t.Errorf("defaults are\n%+v, want\n%+v", s, want)
	}
	if s.LogLevelNumber() != 2 {
		t.Errorf("level notice is %d, want 2", s.LogLevelNumber())
	}
}

func TestSettingsPrecedence(t *testing.T) {
	file := writeFile(t, "outrigger.yaml", `
proxy_listen: [127.0.0.1:1, "127.0.0.1:11"]
log_level: debug
log_format: json
declarative_config: gateway.yaml
max_body: 1m
upstream_keepalive_idle_timeout: 7
real_ip_recursive: on
headers: off
trusted_ips: "10.0.0.0/8, ::1, unix:"
`)
	env := []string{"OUTRIGGER_PROXY_LISTEN=127.0.0.1:2, 127.0.0.1:22", "OUTRIGGER_LOG_LEVEL=info", "OUTRIGGER_LOG_FORMAT=", "PATH=/bin", "OUTRIGGER_SERVICE_HOST=10.1.1.1"}
	s, err := LoadSettings(file, env, map[string]string{"listen": "127.0.0.1:3"})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(s.ProxyListen, []string{"127.0.0.1:3"}) || s.LogLevel != "info" || s.LogFormat != "json" {
		t.Errorf("listen %q, level %s, format %s", s.ProxyListen, s.LogLevel, s.LogFormat)
	}
	if s.DeclarativeConfig != filepath.Join(filepath.Dir(file), "gateway.yaml") {
		t.Errorf("a path of the file must start from its directory: %s", s.DeclarativeConfig)
	}
	if s.MaxBody != 1<<20 || s.UpstreamKeepaliveIdleTimeout != 7*time.Second || !s.RealIPRecursive || s.Headers != (HeaderTokens{}) || len(s.TrustedIPs) != 2 {
		t.Errorf("settings %+v", s)
	}
	s, err = LoadSettings(file, env, map[string]string{"proxy_listen": "127.0.0.1:4", "config": "x.yaml"})
	if err != nil {
		t.Fatal(err)
	}
	if s.ProxyListen[0] != "127.0.0.1:4" || s.DeclarativeConfig != "x.yaml" {
		t.Errorf("listen %q, config %q", s.ProxyListen, s.DeclarativeConfig)
	}
}

func TestSettingsPluginServers(t *testing.T) {
	text := `[{name: go, command: ["./bin/x", "--a b"], carrier: grpc, processes: 2, timeout: 250, timeouts: {log: 5s}, fail_mode: open,
  fail_status: 503, max_in_flight: 9, env: {A: 1, B: "x"}, user: 1000, start_timeout: 3s, limits: {memory: 256m, open_files: 1024}},
 {name: py, address: "unix:///run/py.sock"}, {name: js, command: 'node "my server.js" --x\ y', env: [A=b=c],
  build: npm run build, watch: [src, /lib/shared]}, {name: js2, command: node x, build: [go, build], watch: src}]`
	s, err := LoadSettings("", []string{"OUTRIGGER_PLUGIN_SERVERS=" + text}, nil)
	if err != nil {
		t.Fatal(err)
	}
	got := s.PluginServers[0]
	want := PluginServer{
		Name: "go", Command: []string{"./bin/x", "--a b"}, Carrier: "grpc", Processes: 2,
		CallPolicy: entity.CallPolicy{
			Timeout: 250 * time.Millisecond, Timeouts: map[string]time.Duration{"log": 5 * time.Second}, FailMode: "open", FailStatus: 503, MaxInFlight: 9,
		},
		Env: map[string]string{"A": "1", "B": "x"}, User: "1000", StartTimeout: 3 * time.Second, Limits: Limits{MemoryLimit: 256 << 20, OpenFiles: 1024},
		Supervision: Supervision{HealthInterval: 5 * time.Second, Quarantine: "on"},
		Fuse:        true, Prefetch: true,
		Pos: got.Pos,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("server is\n%+v, want\n%+v", got, want)
	}
	if got.TimeoutOf("log") != 5*time.Second || got.TimeoutOf("access") != 250*time.Millisecond {
		t.Errorf("times %v %v", got.TimeoutOf("log"), got.TimeoutOf("access"))
	}
	if py := s.PluginServers[1]; !slices.Equal(py.Addresses, []string{"unix:///run/py.sock"}) || py.Timeout != time.Second || py.Carrier != "msgpack" || py.FailMode != "closed" {
		t.Errorf("server %+v", py)
	}
	if js := s.PluginServers[2]; !slices.Equal(js.Command, []string{"node", "my server.js", "--x y"}) || js.Env["A"] != "b=c" ||
		!slices.Equal(js.Build, []string{"npm", "run", "build"}) || !slices.Equal(js.Watch, []string{"src", "/lib/shared"}) {
		t.Errorf("server %+v", js)
	}
	if js := s.PluginServers[3]; !slices.Equal(js.Build, []string{"go", "build"}) || !slices.Equal(js.Watch, []string{"src"}) {
		t.Errorf("server %+v", js)
	}
}

func TestPoliciesOfPlugins(t *testing.T) {
	text := `[{name: go, command: x, fuse: no, prefetch: no, queue: 3, fail_body: sorry, error_budget: {ratio: 1},
  plugins: {auth: {timeout: 100, timeouts: {log: 2s}, fail_mode: closed, fail_status: 429, fail_body: "{}", max_in_flight: 4, queue: 2, error_budget: {ratio: 0.25, calls: 7, window: 1m, open_for: 2s, probes: 1, handler_errors: false}}}}]`
	s, err := LoadSettings("", []string{"OUTRIGGER_PLUGIN_SERVERS=" + text}, nil)
	if err != nil {
		t.Fatal(err)
	}
	got := s.PluginServers[0]
	if got.Fuse || got.Prefetch {
		t.Errorf("fuse is %t, prefetch %t", got.Fuse, got.Prefetch)
	}
	if want := (entity.CallPolicy{
		Timeout: time.Second, FailMode: "closed", FailBody: "sorry", MaxInFlight: 4096, Queue: 3,
		ErrorBudget: entity.ErrorBudget{Ratio: 1, Calls: 20, Window: 10 * time.Second, OpenFor: 5 * time.Second, Probes: 3, HandlerErrors: true},
	}); !reflect.DeepEqual(got.CallPolicy, want) {
		t.Errorf("server is\n%+v, want\n%+v", got.CallPolicy, want)
	}
	if want := (entity.CallPolicy{
		Timeout: 100 * time.Millisecond, Timeouts: map[string]time.Duration{"log": 2 * time.Second}, FailMode: "closed", FailStatus: 429, FailBody: "{}",
		MaxInFlight: 4, Queue: 2, ErrorBudget: entity.ErrorBudget{Ratio: 0.25, Calls: 7, Window: time.Minute, OpenFor: 2 * time.Second, Probes: 1},
	}); !reflect.DeepEqual(got.Plugins["auth"].CallPolicy, want) {
		t.Errorf("plugin is\n%+v, want\n%+v", got.Plugins["auth"].CallPolicy, want)
	}
}

func TestSettingDocs(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range SettingDocs() {
		if s.Name == "" || s.Type == "" || s.Doc == "" || s.Env != "OUTRIGGER_"+strings.ToUpper(s.Name) || seen[s.Name] || seen["--"+s.Flag] {
			t.Errorf("setting %+v", s)
		}
		seen[s.Name], seen["--"+s.Flag] = true, true
		for _, f := range s.Fields {
			if f.Name == "" || f.Type == "" || f.Doc == "" {
				t.Errorf("field %+v of %s", f, s.Name)
			}
		}
	}
}
