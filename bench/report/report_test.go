package report

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/outrigger-gateway/outrigger/bench/load"
	"github.com/outrigger-gateway/outrigger/bench/scenario"
	"github.com/outrigger-gateway/outrigger/bench/stats"
)

var update = flag.Bool("update", false, "write the golden files")

// golden compares text with a file of testdata.
func golden(t *testing.T, name, found string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(found), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if found != string(want) {
		t.Errorf("%s differs (go test ./bench/report -update writes it): found\n%s", path, found)
	}
}

var (
	closed = scenario.Load{Connections: 64, Body: -1, Response: -1}
	fixed  = scenario.Load{Connections: 16, Rate: 2000, Body: -1, Response: -1}
)

func asked() *scenario.Scenario {
	one := 1.0
	return &scenario.Scenario{
		Name: "calls", Question: "What do calls cost?", Loads: scenario.Loads{closed, fixed},
		Variants: []scenario.Variant{{Name: "no-plugin"}, {Name: "go-1", Series: "go", X: 1}, {Name: "go-30", Series: "go", X: 30}, {Name: "broken", Series: "js", X: 1}},
		Charts: []scenario.Chart{
			{Name: "bars", Title: "Bars", Measure: Ratio, X: "variant"},
			{Name: "lines", Title: "Lines", Measure: P50, X: "x", XTitle: "calls", Rate: true},
			{Name: "flat", Title: "Flat", Measure: PerSecond, X: "x", XTitle: "calls", Relative: &one},
			{Name: "nothing", Title: "Nothing", Measure: IdleMemory, X: "x"},
		},
	}
}

// sampled are three rounds whose speed halves in the last, as that of a shared machine does.
func sampled() map[Key][]Sample {
	samples := map[Key][]Sample{}
	add := func(variant string, l scenario.Load, rps, p50, cpu float64) {
		for round := 1; round <= 3; round++ {
			slow := map[int]float64{1: 1, 2: 1.1, 3: 2}[round]
			samples[Key{variant, l}] = append(samples[Key{variant, l}], Sample{Round: round, Requests: 1000, Others: 0.01, Values: map[string]float64{
				PerSecond: rps / slow, P50: p50 * slow, P99: 3 * p50 * slow, HostCPU: cpu, ServerCPU: cpu / 4, CPU: 1.25 * cpu, HostAllocs: 1,
			}})
		}
	}
	for _, l := range []scenario.Load{closed, fixed} {
		add("no-plugin", l, 40_000, 100, 20)
		add("go-1", l, 36_000, 130, 24)
		add("go-30", l, 35_000, 140, 26)
		add("broken", l, 1, 1, 1)
	}
	samples[Key{"broken", closed}][1].Errors = load.Errors{Status: 2, First: "found status 500, expected 200"}
	samples[Key{"broken", fixed}] = nil
	return samples
}

func reported() *Report {
	limit, high := 0.95, 2.0
	r := &Report{
		Date: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Commit: "0123456789", Command: "outrigger bench", Rounds: 3, SampleSeconds: 2,
		Machine:  Machine{CPU: "A Processor", Cores: 2, Memory: 24 << 30, Kernel: "6.1"},
		Versions: map[string]string{"go": "1.26", "python": "3.11"}, Skipped: []string{"peer x: found no program x"},
	}
	r.Scenarios = []Result{Summarise(asked(), sampled())}
	r.Targets = r.Judge([]Target{
		{What: "flat", Of: "calls/go-30@64:rps", Over: "calls/go-1@64:rps", AtLeast: &limit},
		{What: "added", Of: "calls/go-1@64:cpu_us", Less: "calls/no-plugin@64:cpu_us", AtMost: &high, Unit: "µs"},
		{What: "reported", Of: "calls/go-1@16,2000:p50_us", Less: "calls/no-plugin@16,2000:p50_us", Over: "calls/go-30@16,2000:p50_us", OverLess: "calls/no-plugin@16,2000:p50_us"},
		{What: "not measured", Of: "plugins/native@64:ratio"},
		{What: "invalid", Of: "calls/broken@64:rps", AtLeast: &limit},
	})
	return r
}

func TestMarkdown(t *testing.T) { golden(t, "report.md", reported().Markdown()) }

// Ratios and differences are taken within a round: the slow third round does not show in them.
func TestSummarise(t *testing.T) {
	r := reported().Scenarios[0]
	p := r.Find("go-1", closed)
	if m := p.Measures[Ratio]; m.Min < 0.899 || m.Max > 0.901 {
		t.Errorf("ratio: found %v, expected 0.9 in all rounds", m)
	}
	if m := p.Measures[AddedCPU]; m != (stats.Spread{Median: 5, Min: 5, Max: 5}) {
		t.Errorf("added CPU: found %v, expected 5", m)
	}
	if m := p.Measures[PerSecond]; m.Median < 32_727 || m.Median > 32_728 || m.Min != 18_000 || m.Max != 36_000 {
		t.Errorf("requests/s: found %v", m)
	}
	if invalid := strings.Join(r.Invalid(), "; "); invalid != "calls: broken at 16 connections, 2000 requests/s; calls: broken at 64 connections" {
		t.Errorf("invalid: %s", invalid)
	}
}

// What --json prints is a contract.
func TestBrief(t *testing.T) {
	var b bytes.Buffer
	r := reported()
	r.Scenarios = append(r.Scenarios, r.Scenarios[0]) // the same variants in a second scenario
	if err := r.Brief().Write(&b); err != nil {
		t.Fatal(err)
	}
	var found struct {
		Results []map[string]any `json:"results"`
	}
	if err := json.Unmarshal(b.Bytes(), &found); err != nil {
		t.Fatal(err)
	}
	if len(found.Results) != 3 { // neither the invalid one nor those at a fixed rate
		t.Fatalf("found %d results in\n%s", len(found.Results), b.String())
	}
	x := found.Results[1]
	want := map[string]any{
		"name": "go-1", "connections": 64.0, "rps": 32727.273, "p50_us": 143.0, "p99_us": 429.0, "cpu_host_us": 24.0, "cpu_server_us": 6.0, "ratio_to_no_plugin": 0.9,
	}
	for name, value := range want {
		if x[name] != value {
			t.Errorf("%s: found %v, expected %v", name, x[name], value)
		}
	}
	if len(x) != len(want) {
		t.Errorf("found the fields %v", x)
	}
}

func TestTargetsRefused(t *testing.T) {
	for text, want := range map[string]string{
		"targets: [{what: a, of: x}]":                         `found the figure "x"`,
		"targets: [{what: a, of: s/v@64:speed}]":              `unknown measure "speed"`,
		"targets: [{what: a, of: s/v@many:rps}]":              "expected one such as",
		"targets: [{what: a, of: 's/v@1,x:rps'}]":             "expected one such as",
		"targets: [{what: a}]":                                "expected what, of",
		"targets: [{what: a, of: s/v@1:rps, over_les: a}]":    "over_les",
		"targets: [{what: a, of: s/v@1:rps, over_less: s/v}]": "over where over_less is",
	} {
		if _, err := ParseTargets([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: found %v, expected %q", text, err, want)
		}
	}
}

func TestWriteAndRead(t *testing.T) {
	dir := t.TempDir()
	r := reported()
	path, err := r.Write(dir, []*scenario.Scenario{asked()})
	if err != nil || path != filepath.Join(dir, "2026-01-02-0123456789.md") {
		t.Fatal(path, err)
	}
	var files []string
	for _, c := range r.Scenarios[0].Charts {
		text, err := os.ReadFile(filepath.Join(dir, c))
		if err != nil || !bytes.HasPrefix(text, []byte("<svg ")) {
			t.Errorf("%s: %v", c, err)
		}
		files = append(files, filepath.Base(c))
	}
	if found := strings.Join(files, " "); found != "bars.svg lines.svg flat.svg" {
		t.Errorf("found the charts %s", found)
	}
	again, err := Read(filepath.Join(dir, "2026-01-02-0123456789.json"))
	if err != nil {
		t.Fatal(err)
	}
	if again.Markdown() != r.Markdown() {
		t.Error("what was read differs from what was written")
	}
	c := Compare(again, r, 0.05)
	if len(c.Changes) == 0 || c.Regressions() != 0 {
		t.Errorf("compared with itself: %d figures, %d regressions", len(c.Changes), c.Regressions())
	}
}

func TestCompare(t *testing.T) {
	slower := func(variant string, l scenario.Load, measure string, by float64) *Report {
		samples := sampled()
		for _, x := range samples[Key{variant, l}] {
			x.Values[measure] *= by
		}
		r := reported()
		r.Scenarios = []Result{Summarise(asked(), samples)}
		return r
	}
	for _, c := range []struct {
		name        string
		new         *Report
		regressions int
		text        string
	}{
		{"throughput", slower("go-1", closed, PerSecond, 0.8), 1, "| calls | go-1 | 64 connections | ratio | 0.90 | 0.72 | -20.0 % | **worse** |"},
		{"within the tolerance", slower("go-1", closed, PerSecond, 0.97), 0, "0 of 7 figures changed"},
		{"better", slower("go-1", closed, PerSecond, 1.2), 0, "+20.0 % |  |"},
		{"processor time", slower("go-30", closed, CPU, 1.3), 1, "| calls | go-30 | 64 connections | cpu_us |"},
		{"latency, within the spreads", slower("go-30", fixed, P50, 1.1), 0, "0 of 7 figures changed"},
		{"latency", slower("go-30", fixed, P50, 2), 1, "| added_p50_us |"},
		{"the whole machine", slower("no-plugin", fixed, PerSecond, 0.5), 0, "0 of 7"},
	} {
		found := Compare(reported(), c.new, 0.05)
		var b bytes.Buffer
		if err := found.Write(&b, 0.05); err != nil {
			t.Fatal(err)
		}
		if found.Regressions() != c.regressions || !strings.Contains(b.String(), c.text) {
			t.Errorf("%s: found %d regressions, expected %d and %q, in\n%s", c.name, found.Regressions(), c.regressions, c.text, b.String())
		}
	}
	broken, missing := reported(), reported()
	broken.Scenarios[0].Find("go-1", closed).Errors.Read = 1
	missing.Scenarios[0].Points = missing.Scenarios[0].Points[:1]
	if found := Compare(reported(), broken, 0.05); found.Regressions() != 1 || len(found.Broken) != 1 {
		t.Errorf("a point that broke: %+v", found)
	}
	if found := Compare(reported(), missing, 0.05); found.Regressions() != 0 || len(found.Missing) != 5 {
		t.Errorf("points that are gone: %+v", found.Missing)
	}
	missing.Scenarios, missing.Failed = nil, map[string]string{reported().Scenarios[0].Name: "the plugin server did not start"}
	if found := Compare(reported(), missing, 0.05); found.Regressions() != 6 || len(found.Missing) != 0 {
		t.Errorf("a scenario that failed: %+v", found)
	}
}

func TestReadRefuses(t *testing.T) {
	dir := t.TempDir()
	for text, want := range map[string]string{
		"{":                                "unexpected end",
		`{"results": []}`:                  "not what --json prints",
		`{"scenarios": [{"points":[{}]}]}`: "has no measures",
	} {
		path := filepath.Join(dir, "r.json")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Read(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: found %v, expected %q", text, err, want)
		}
	}
}

func TestNumber(t *testing.T) {
	for _, c := range []struct {
		v        float64
		decimals int
		want     string
	}{{1234567.4, 0, "1,234,567"}, {999, 0, "999"}, {-1234.5, 1, "-1,234.5"}, {0.123, 2, "0.12"}} {
		if found := number(c.v, c.decimals); found != c.want {
			t.Errorf("%v: found %s, expected %s", c.v, found, c.want)
		}
	}
}
