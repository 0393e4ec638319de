package bench_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/outrigger-gateway/outrigger/bench"
	"github.com/outrigger-gateway/outrigger/bench/report"
	"github.com/outrigger-gateway/outrigger/bench/roles"
	"github.com/outrigger-gateway/outrigger/bench/runner"
	"github.com/outrigger-gateway/outrigger/bench/scenario"
	"github.com/outrigger-gateway/outrigger/host"
	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/pdk/server"
)

// TestMain lets this program play the roles of a run, as command outrigger does.
func TestMain(m *testing.M) {
	if host.RunReaper() {
		return
	}
	if len(os.Args) > 1 && os.Args[1] == roles.Command {
		if err := roles.Run(os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if len(os.Args) > 1 && os.Args[1] == failing {
		os.Args = os.Args[:1]
		server.Serve(pdk.Plugin{Name: failing, Version: "0.1.0", New: func() any { return &fails{} }})
		return
	}
	os.Exit(m.Run())
}

// failing makes this program the server of a plugin that fails.
const failing = "failing"

type fails struct{}

func (*fails) Access(*pdk.PDK) error { return errors.New("no luck today") }

// scenarios are those of the program.
func scenarios(t *testing.T) []*scenario.Scenario {
	t.Helper()
	var list []*scenario.Scenario
	for _, name := range bench.Names() {
		text, err := os.ReadFile(filepath.Join("scenarios", name+".yaml"))
		if err != nil {
			t.Fatal(err)
		}
		s, err := scenario.Parse(name, text)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, s)
	}
	return list
}

// Every scenario of the program can be read, and names what it compares with first.
func TestScenarios(t *testing.T) {
	charts := map[string]bool{}
	for _, s := range scenarios(t) {
		name := s.Name
		if err := report.Draws(s); err != nil {
			t.Error(err)
		}
		if s.Variants[0].Name != "no-plugin" && !s.Lanes {
			t.Errorf("scenario %s: the first variant is %s, expected no-plugin", name, s.Variants[0].Name)
		}
		for _, c := range s.Charts {
			if charts[c.Name] {
				t.Errorf("scenario %s: chart %s: expected a name of its own", name, c.Name)
			}
			charts[c.Name] = true
		}
		for i := range s.Variants {
			if v := &s.Variants[i]; len(v.Plugins) > 0 && !s.Lanes && len(v.Proof.Response)+len(v.Proof.Upstream) == 0 && !strings.Contains(v.Name, "noop") &&
				!slices.Contains([]string{"native-chain-10", "calls-go-0", "calls-python-0", "calls-js-0"}, v.Name) {
				t.Errorf("scenario %s: variant %s proves nothing", name, v.Name)
			}
		}
	}
}

// Every figure of a target is one that a scenario of the program measures.
func TestTargetsAreMeasured(t *testing.T) {
	text, err := os.ReadFile("targets.yaml")
	if err != nil {
		t.Fatal(err)
	}
	targets, err := report.ParseTargets(text)
	if err != nil || len(targets) < 20 {
		t.Fatalf("%d targets, %v", len(targets), err)
	}
	known := map[string]bool{}
	for _, s := range scenarios(t) {
		name := s.Name
		for _, v := range s.Variants {
			for _, l := range s.Loads {
				known[fmt.Sprintf("%s/%s@%d", name, v.Name, l.Connections)] = true
				known[fmt.Sprintf("%s/%s-pinned@%d", name, v.Name, l.Connections)] = s.Lanes
			}
		}
		if s.Peers {
			peers, err := scenario.LoadPeers("peers/peers.yaml")
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range peers {
				for _, l := range s.Loads {
					known[fmt.Sprintf("%s/%s@%d", name, p.Name, l.Connections)] = true
					known[fmt.Sprintf("%s/%s-no-plugin@%d", name, p.Name, l.Connections)] = true
				}
			}
		}
	}
	known["lane/c-pingpong-pinned@1"] = true
	for _, target := range targets {
		for _, figure := range []string{target.Of, target.Less, target.Over, target.OverLess} {
			if point, _, ok := strings.Cut(figure, ":"); ok && !known[point] {
				t.Errorf("target %q: no scenario measures %s", target.What, figure)
			}
		}
	}
}

const small = `
question: Does it run?
idle: 20
loads: [{connections: 4}, {connections: 2, rate: 100}, {connections: 1, body: 3k, response: 2k}]
variants:
  - name: no-plugin
  - name: native
    native: [bench-work]
    plugins: [{name: bench-work}]
    proof: &proof {response: {X-Bench: "hello, bench"}, upstream: {X-Bench: "hello, bench"}}
  - name: go-${carrier}
    for: {carrier: [msgpack, grpc]}
    servers: [{kit: go, carrier: "${carrier}"}]
    plugins: [{name: bench-work}]
    proof: *proof
  - name: calls-${x}
    for: {x: [1, 30]}
    series: go
    servers: [{kit: go, only: bench-calls}]
    plugins: [{name: bench-calls, config: {calls: "${x}"}}]
    proof: {upstream: {X-Calls: "${x}"}}
  - name: bodies
    servers: [{kit: go}]
    plugins: [{name: bench-body}, {name: bench-response-body}]
    proof: {upstream: {X-Body-Length: "${BODY}"}, response: {X-Body-Length: "${RESPONSE}"}}
charts: [{name: small, title: Small, measure: ratio, x: variant, connections: 4}]
`

// options of a run of text that takes no longer than it must.
func options(t *testing.T, text string) bench.Options {
	t.Helper()
	path := filepath.Join(t.TempDir(), "small.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return bench.Options{Scenarios: []string{path}, Command: "outrigger bench", Runner: runner.Runner{
		Program: program, Cache: t.TempDir(), Rounds: 2, Sample: 200 * time.Millisecond, WarmUp: 100 * time.Millisecond, IdleFor: 50 * time.Millisecond, Progress: &bytes.Buffer{},
	}}
}

// The whole way: processes, load, proofs, figures, files.
func TestRun(t *testing.T) {
	o := options(t, small)
	o.JSON, o.Results = true, t.TempDir()
	var out bytes.Buffer
	if err := bench.Run(t.Context(), o, &out); err != nil {
		t.Fatalf("%v\n%s", err, o.Runner.Progress)
	}
	var brief report.Brief
	if err := json.Unmarshal(out.Bytes(), &brief); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, x := range brief.Results {
		names = append(names, x.Name)
		external := x.Name != "no-plugin" && x.Name != "native"
		if x.Connections != 4 || x.PerSecond <= 0 || x.P50 <= 0 || x.P99 < x.P50 || x.HostCPU <= 0 || x.Ratio <= 0 || external != (x.ServerCPU > 0.5) {
			t.Errorf("found %+v", x)
		}
	}
	if found := strings.Join(names, " "); found != "no-plugin native go-msgpack go-grpc calls-1 calls-30 bodies" {
		t.Errorf("found the results %s", found)
	}
	files, err := filepath.Glob(filepath.Join(o.Results, "*.json"))
	if err != nil || len(files) != 1 {
		t.Fatalf("found the files %v, %v", files, err)
	}
	r, err := report.Read(files[0])
	if err != nil {
		t.Fatal(err)
	}
	if memory := r.Scenarios[0].Points[0].Measures[report.IdleMemory].Median; memory < 1 {
		t.Errorf("found %v MB with idle connections", memory)
	}
	for _, p := range r.Scenarios[0].Points {
		if len(p.Samples) != 2 {
			t.Errorf("%s at %s: found %d samples", p.Variant, p.Load, len(p.Samples))
		}
		if p.Rate > 0 && p.Samples[0].Requests != 20 {
			t.Errorf("%s at %s: found %d requests in 200 ms, expected 20", p.Variant, p.Load, p.Samples[0].Requests)
		}
	}
	if _, err := os.Stat(filepath.Join(strings.TrimSuffix(files[0], ".json"), "small.svg")); err != nil {
		t.Error(err)
	}
}

// A plugin that does not do its work is no result.
func TestRunRefusesWithoutProof(t *testing.T) {
	o := options(t, strings.Replace(small, `X-Calls: "${x}"`, `X-Calls: "31"`, 1))
	var out bytes.Buffer
	err := bench.Run(t.Context(), o, &out)
	if err == nil || !strings.Contains(err.Error(), `variant "calls-1": request at the upstream: header X-Calls: found "1", expected "31": the plugin did not do its work`) || out.Len() > 0 {
		t.Errorf("found %v, %q", err, out.String())
	}
}

// A configuration that does not start is told with what the gateway says.
func TestRunTellsWhatDoesNotStart(t *testing.T) {
	o := options(t, strings.Replace(small, `calls: "${x}"`, `cals: "${x}"`, 1))
	err := bench.Run(t.Context(), o, &bytes.Buffer{})
	if err == nil || !strings.Contains(err.Error(), `gateway "calls-1" ended: exit status 1`) || !strings.Contains(err.Error(), "cals") {
		t.Errorf("found %v", err)
	}
}

// A scenario that does not start does not take the figures of the others with it.
func TestRunGoesOn(t *testing.T) {
	const one = "question: Does it run?\nloads: [{connections: 2}]\nvariants: [{name: no-plugin%s}]\n"
	o := options(t, fmt.Sprintf(one, ", plugins: [{name: nowhere}]"))
	good := filepath.Join(t.TempDir(), "good.yaml")
	if err := os.WriteFile(good, fmt.Appendf(nil, one, ""), 0o600); err != nil {
		t.Fatal(err)
	}
	o.Scenarios = append(o.Scenarios, good)
	var out bytes.Buffer
	err := bench.Run(t.Context(), o, &out)
	if err == nil || !strings.Contains(err.Error(), `scenario small: gateway "no-plugin" ended`) || !strings.Contains(out.String(), "### good: 2 connections") ||
		!strings.Contains(out.String(), `**Failed:** scenario small: gateway "no-plugin" ended`) {
		t.Errorf("found %v\n%s", err, out.String())
	}
}

// A plugin that fails is no result, also when its failure is let through.
func TestRunSeesFailuresThatAreLetThrough(t *testing.T) {
	dir := t.TempDir()
	settings, config := filepath.Join(dir, "outrigger.yaml"), filepath.Join(dir, "gateway.yaml")
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for path, text := range map[string]string{
		settings: "plugin_servers: [{name: bench, command: [" + program + ", " + failing + "]}]\n",
		config: "_format_version: \"3.0\"\nservices: [{name: s, url: \"http://127.0.0.1:1\", routes: [{name: r, paths: [/]}],\n" +
			"  plugins: [{name: failing, fail_mode: open}]}]\n",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	o := options(t, small)
	o.Own = &scenario.OwnOptions{Settings: settings, Config: config, Request: scenario.DefaultRequest(), Connections: []int{2}}
	var out bytes.Buffer
	err = bench.Run(t.Context(), o, &out)
	if err == nil || err.Error() != "1 invalid point: own: failing at 2 connections" || !strings.Contains(out.String(), "the log of the gateway has: ") ||
		!strings.Contains(out.String(), "no luck today") {
		t.Errorf("found %v\n%s", err, out.String())
	}
}

func TestRunStops(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := bench.Run(ctx, options(t, small), &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), "context canceled") {
		t.Errorf("found %v", err)
	}
}

// A chart of nothing is refused before anything is measured.
func TestUnknownMeasure(t *testing.T) {
	err := bench.Run(t.Context(), options(t, strings.Replace(small, "measure: ratio", "measure: rato", 1)), &bytes.Buffer{})
	if err == nil || !strings.Contains(err.Error(), `scenario small: chart small: unknown measure "rato"; did you mean ratio?: expected added_allocs, `) {
		t.Errorf("found %v", err)
	}
}

func TestUnknownScenario(t *testing.T) {
	o := options(t, small)
	o.Scenarios = []string{"plugin"}
	if err := bench.Run(t.Context(), o, &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), `unknown scenario "plugin"; did you mean plugins?; expected calls, `) {
		t.Errorf("found %v", err)
	}
}

// What do the plugins of a user's configuration cost? Without them, with each, with all; to the upstream of the bench.
func TestRunOwn(t *testing.T) {
	config := filepath.Join(t.TempDir(), "gateway.yaml")
	text := `{_format_version: "3.0", services: [{name: a, url: "http://nowhere.invalid", routes: [{name: a, paths: [/orders]}],
		plugins: [{name: correlation-id}, {name: key-auth}]}], consumers: [{username: ann, keyauth_credentials: [{key: secret}]}]}`
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(key string) (string, error) {
		o := options(t, small)
		o.Runner.Rounds = 1
		o.JSON = true
		request := scenario.Request{Method: "GET", Path: "/orders/1", Headers: map[string]string{"apikey": key}}
		o.Own = &scenario.OwnOptions{Config: config, Request: request, Connections: []int{2}}
		var out bytes.Buffer
		err := bench.Run(t.Context(), o, &out)
		return out.String(), err
	}
	out, err := run("secret")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"no-plugin", "correlation-id", "key-auth", "all-plugins"} {
		if !strings.Contains(out, `"name": "`+name+`"`) {
			t.Errorf("found no %s in\n%s", name, out)
		}
	}
	if _, err := run("wrong"); err == nil || !strings.Contains(err.Error(), `variant "all-plugins"`) && !strings.Contains(err.Error(), `variant "key-auth": found status 401`) || !strings.Contains(err.Error(), "say with --request and -H") {
		t.Errorf("with a wrong key: found %v", err)
	}
}
