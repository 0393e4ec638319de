package host_test

import (
	"encoding/json"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/outrigger-gateway/outrigger"

// layer says what the packages at a path may import beside the standard library. A path ending in "/..." means the package and
// everything below it.
type layer struct {
	path string
	ours []string // of this module
	mods []string // beginnings of the paths of other modules
}

var (
	grpcMods = []string{"google.golang.org/grpc", "google.golang.org/protobuf"}
	pdkWire  = []string{"pdk", "pdk/local", "proto/wire"}
)

// layers is who imports whom, from the bottom to the top. The first line that fits a package counts. A new edge is a decision about
// the architecture: think twice before a line here grows.
var layers = []layer{
	// The contract. What a plugin is linked with is small, and nothing of it knows the host.
	{"proto/wire", nil, nil},
	{"proto/wire/rawio", nil, nil},
	{"proto/gen/...", nil, grpcMods},
	{"proto/wirepb", []string{"proto/wire", "proto/gen/..."}, nil},
	{"proto/goplugin", nil, grpcMods},
	{"proto/tlsfiles", nil, nil},
	{"proto/vectors", []string{"proto/wire"}, nil},
	{"proto/nearest", nil, nil},
	{"proto/pdkdef", []string{"proto/nearest"}, []string{"go.yaml.in/yaml/"}},
	{"proto/cmd/pdkgen", []string{"proto/pdkdef"}, []string{"go.yaml.in/yaml/v4"}},
	{"pdk", nil, nil},
	{"pdk/schema", []string{"proto/nearest"}, nil},
	{"pdk/local", []string{"pdk", "proto/wire"}, nil},
	{"pdk/pdktest", slices.Concat(pdkWire, []string{"pdk/schema"}), nil},
	{"pdk/conformance", []string{"pdk", "proto/vectors"}, nil},
	{"pdk/conformance/server", []string{"pdk/conformance", "pdk/server"}, nil},
	{"pdk/kongcompat/server", []string{"pdk", "pdk/kongcompat", "pdk/server"}, nil},
	{"pdk/kongcompat/internal/plugins/...", []string{"pdk/kongcompat/..."}, nil},
	{"pdk/kongcompat/...", []string{"pdk", "pdk/kongcompat/..."}, nil},
	{"pdk/server", []string{"pdk", "pdk/local", "pdk/schema", "proto/..."}, append([]string{"golang.org/x/sys/"}, grpcMods...)},
	{"plugins/...", []string{"pdk", "plugins/..."}, nil},

	// The host. Only those that touch HTTP know fasthttp.
	{"host/internal/bytesx", nil, nil},
	{"host/internal/httpbyte", nil, nil},
	{"host/internal/accesslog", nil, nil},
	{"host/internal/telemetry", nil, nil},
	{"host/internal/timedconn", nil, nil},
	{"host/internal/guard", internal("httpbyte"), nil},
	{"host/internal/wirecorpus", nil, []string{"go.yaml.in/yaml/"}},
	{"host/internal/wirecorpus/responses", nil, []string{"go.yaml.in/yaml/"}},
	{"host/internal/parking", nil, []string{"golang.org/x/sys/"}},
	{"host/internal/budget", nil, nil},
	{"host/internal/serving", nil, []string{"github.com/valyala/fasthttp"}},
	{"host/internal/handover", internal("telemetry"), []string{"github.com/coreos/go-systemd/", "golang.org/x/sys/"}},
	{"host/internal/systemd", nil, []string{"github.com/coreos/go-systemd/", "golang.org/x/sys/"}},
	{"host/internal/entity", nil, nil},
	{"host/internal/watch", nil, []string{"github.com/fsnotify/fsnotify"}},
	{"host/internal/router", internal("entity"), []string{"github.com/google/uuid"}},
	{"host/internal/config", append(internal("accesslog", "entity", "router"), "proto/nearest"), []string{"github.com/google/uuid", "github.com/santhosh-tekuri/jsonschema/", "go.yaml.in/yaml/"}},
	{"host/internal/resolve", nil, []string{"github.com/miekg/dns"}},
	{"host/internal/balancer", internal("entity", "resolve"), nil},
	{"host/internal/certs", nil, []string{"github.com/jellydator/ttlcache/"}},
	{"host/internal/plugincache", nil, []string{"github.com/jellydator/ttlcache/"}},
	{"host/internal/vault", append(internal("entity"), "pdk", "pdk/local"), []string{"github.com/jellydator/ttlcache/"}},
	{"host/internal/lastgood", nil, nil},
	{"host/internal/dialect", internal("config"), []string{"go.yaml.in/yaml/"}},
	{"host/internal/entitydiff", internal("entity"), nil},
	{"host/internal/prefetch", []string{"pdk", "proto/wire"}, nil},
	{"host/internal/plan", append(internal("budget", "entity", "prefetch"), "pdk", "proto/wire"), nil},
	{"host/internal/plan/reference", nil, nil},
	{"host/internal/condition", append(internal("entity", "plan"), "pdk/local", "proto/wire"), []string{"cel.dev/cel-go/"}},
	{"host/internal/exchange", append(internal("budget", "entity", "plan"), pdkWire...), nil},
	{"host/internal/generation", append(append(internal("budget", "entity", "router", "plan", "balancer", "prefetch"), pdkWire...), "pdk/schema"), nil},
	{"host/internal/dispatch", append(internal("budget", "exchange", "plan", "prefetch", "transport"), pdkWire...), nil},
	{"host/internal/canary", append(internal("dispatch", "plan"), "proto/wire"), nil},
	{"host/internal/blackbox", append(internal("dispatch", "entity", "plan"), "pdk", "proto/wire"), nil},
	{"host/internal/transport/lanebench", append(internal("transport/..."), "proto/wire", "proto/gen/..."), append([]string{"golang.org/x/sys/"}, grpcMods...)},
	{"host/internal/transport/...", append(internal("budget", "transport/..."), "proto/wire", "proto/wire/rawio", "proto/wirepb", "proto/gen/..."), grpcMods},
	{"host/internal/pluginserver/cgroup", nil, []string{"golang.org/x/sys/"}},
	{"host/internal/pluginserver/launcher", nil, []string{"github.com/landlock-lsm/go-landlock/", "github.com/elastic/go-seccomp-bpf", "golang.org/x/net/bpf", "golang.org/x/sys/"}},
	{"host/internal/pluginserver/reaper", internal("pluginserver/cgroup"), nil},
	{"host/internal/pluginserver", append(internal("budget", "entity", "telemetry", "transport/...", "pluginserver/cgroup", "pluginserver/launcher", "pluginserver/reaper"), "proto/..."), append([]string{"github.com/hashicorp/", "golang.org/x/sys/"}, grpcMods...)},
	{"host/internal/upstream", internal("bytesx", "httpbyte", "timedconn"), []string{"github.com/valyala/fasthttp", "golang.org/x/sys/"}},
	{"host/internal/echo", internal("serving"), []string{"github.com/valyala/fasthttp"}},
	{"host/internal/proxy", append(internal("accesslog", "budget", "bytesx", "guard", "httpbyte", "parking", "serving", "timedconn", "entity", "router", "plan", "exchange", "generation", "dispatch", "balancer", "tracing", "upstream"), pdkWire...), []string{"github.com/valyala/fasthttp", "golang.org/x/sys/"}},
	{"host/internal/explain", append(internal("entity", "router", "plan", "generation"), "pdk", "proto/wire"), nil},
	{"host/internal/lint", append(internal("entity", "router", "config", "plan"), "pdk", "proto/nearest", "proto/wire"), nil},
	{"host/internal/metrics", append(internal("balancer", "budget", "dispatch", "plan", "pluginserver"), "pdk", "proto/wire"), []string{"github.com/prometheus/"}},
	{"host/internal/tracing", append(internal("dispatch", "exchange"), "pdk", "proto/wire"), []string{"go.opentelemetry.io/otel"}},
	{"host/internal/quarantine", append(internal("dispatch", "exchange", "plan", "transport"), "pdk", "proto/wire"), nil},
	{"host/internal/admin", internal("balancer", "entitydiff", "explain", "pluginserver", "quarantine", "serving"), []string{"github.com/valyala/fasthttp"}},
	{"host/internal/tracing/collector", nil, []string{"go.opentelemetry.io/proto/otlp/", "google.golang.org/protobuf/"}},
	{"host/internal/top", internal("admin", "pluginserver"), []string{"github.com/prometheus/", "golang.org/x/term"}},
	{"host/internal/conformance", append(append(internal("entity", "exchange", "plan", "pluginserver", "prefetch", "transport"), pdkWire...), "pdk/conformance", "pdk/pdktest", "pdk/schema", "proto/vectors"), nil},
	{"host/internal/replay", append(internal("blackbox", "dispatch", "entity", "exchange", "plan", "pluginserver", "transport"), "pdk", "proto/wire"), nil},
	{"host", append(internal("..."), pdkWire...), []string{"github.com/google/uuid"}},
	{"host/internal/authoring/...", nil, nil},
	{"host/internal/dev", append(internal("authoring", "config", "watch"), "host"), nil},
	{"host/cmd/conformance", internal("conformance", "pluginserver/launcher", "pluginserver/reaper"), nil},

	// The benchmark: its processes are roles of the program.
	{"bench/stats", nil, nil},
	{"bench/load", []string{"bench/stats"}, []string{"golang.org/x/sys/"}},
	{"bench/upstream", nil, nil},
	{"bench/plugins", []string{"pdk"}, nil},
	{"bench/scenario", []string{"proto/nearest"}, []string{"go.yaml.in/yaml/"}},
	{"bench/chart", nil, nil},
	{"bench/report", []string{"bench/chart", "bench/load", "bench/scenario", "bench/stats"}, []string{"go.yaml.in/yaml/"}},
	{"bench/roles/cpuprofile", nil, nil},
	{"bench/roles", []string{"bench/load", "bench/plugins", "bench/roles/cpuprofile", "bench/upstream", "host", "pdk/server", "plugins"}, []string{"golang.org/x/sys/"}},
	{"bench/runner", []string{"bench/load", "bench/plugins", "bench/report", "bench/roles/...", "bench/scenario", "bench/upstream"}, []string{"golang.org/x/sys/"}},
	{"bench/plans", []string{"bench/report", "bench/runner", "bench/stats"}, nil},
	{"bench", []string{"bench/plans", "bench/report", "bench/runner", "bench/scenario"}, nil},
	{"host/cmd/outrigger", append(internal("authoring", "blackbox", "config", "dev", "dialect", "entitydiff", "explain", "handover", "lastgood", "replay", "systemd", "telemetry", "top", "transport/lanebench"), "bench", "bench/roles", "bench/runner", "bench/scenario", "host", "pdk", "plugins"), nil},
}

func internal(names ...string) []string {
	paths := make([]string, 0, len(names)+4)
	for _, name := range names {
		paths = append(paths, "host/internal/"+name)
	}
	return paths
}

func fits(pattern, path string) bool {
	below, ok := strings.CutSuffix(pattern, "/...")
	return pattern == path || ok && (path == below || strings.HasPrefix(path, below+"/"))
}

// TestLayers holds the import graph to the table above.
func TestLayers(t *testing.T) {
	cmd := exec.Command("go", "list", "-json=ImportPath,Standard,Imports", "-deps", "./host/...", "./pdk/...", "./plugins/...", "./proto/...")
	cmd.Dir = ".."
	list, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	type pkg struct {
		ImportPath string
		Standard   bool
		Imports    []string
	}
	standard := map[string]bool{"C": true, "unsafe": true}
	var ours []pkg
	for d := json.NewDecoder(list); ; {
		var p pkg
		if err := d.Decode(&p); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal("reading the output of go list: ", err)
		}
		standard[p.ImportPath] = p.Standard
		if strings.HasPrefix(p.ImportPath, module+"/") {
			ours = append(ours, p)
		}
	}
	if err := cmd.Wait(); err != nil || len(ours) < len(layers) {
		t.Fatalf("go list: %v, %d packages of ours", err, len(ours))
	}
	used := map[string]bool{}
	for _, p := range ours {
		path := strings.TrimPrefix(p.ImportPath, module+"/")
		i := slices.IndexFunc(layers, func(l layer) bool { return fits(l.path, path) })
		if i < 0 {
			t.Errorf("package %s has no layer: say in the table what it may import", path)
			continue
		}
		used[layers[i].path] = true
		for _, imported := range p.Imports {
			if !standard[imported] && !layers[i].allows(imported) {
				t.Errorf("package %s imports %s, which its layer does not allow", path, imported)
			}
		}
	}
	for _, l := range layers {
		if !used[l.path] {
			t.Errorf("no package is in layer %s", l.path)
		}
	}
}

func (l layer) allows(imported string) bool {
	if path, ok := strings.CutPrefix(imported, module+"/"); ok {
		return slices.ContainsFunc(l.ours, func(p string) bool { return fits(p, path) })
	}
	return slices.ContainsFunc(l.mods, func(m string) bool { return strings.HasPrefix(imported, m) })
}
