package plans

import (
	"strings"
	"testing"

	"github.com/outrigger-gateway/outrigger/bench/stats"
)

const planOutput = `goos: linux
BenchmarkLookup/before-2   	     894	         0 legacy-allocs	        18.00 legacy-ns	         1.20 legacy-ratio	         0 none-allocs	        15.00 none-ns	         1.000 none-ratio
BenchmarkCompile-2   	       6	   2613208 legacy-bytes	  66257079 legacy-ns
BenchmarkMatch/one_request/routes=10000-2   	 2994032	       80.25 ns/op	       0 B/op	       0 allocs/op
PASS
`

func TestReadBenchmarks(t *testing.T) {
	found := map[string]map[string][]float64{}
	for range 2 {
		if err := readBenchmarks(planOutput, found); err != nil {
			t.Fatal(err)
		}
	}
	if v := found["Lookup/before"]["legacy-ns"]; len(v) != 2 || v[0] != 18 {
		t.Errorf("legacy-ns: %v", v)
	}
	if v := found["Compile"]["legacy-bytes"]; len(v) != 2 || v[1] != 2613208 {
		t.Errorf("legacy-bytes: %v", v)
	}
	if v := found["Match/one_request/routes=10000"]["ns/op"]; len(v) != 2 || v[0] != 80.25 {
		t.Errorf("ns/op: %v", v)
	}
	for _, bad := range []string{"PASS\n", "BenchmarkLookup-2 \t 1 \t x ns/op\n"} {
		if err := readBenchmarks(bad, found); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}

func TestPlanReport(t *testing.T) {
	r := Report{Rounds: 3, Benchmarks: map[string]map[string]stats.Spread{
		"Lookup/before": {"none-ns": {Median: 15, Min: 14, Max: 16}, "legacy-ns": {Median: 18, Min: 18, Max: 18}, "legacy-ratio": {Median: 1.2, Min: 1.1, Max: 1.3}, "push-allocs": {Max: 1}},
		"Compile":       {"none-ns": {Median: 2e6, Min: 2e6, Max: 2e6}},

		"Match/one_request/routes=10":    {"ns/op": {Median: 50, Min: 50, Max: 50}},
		"Match/one_request/routes=10000": {"ns/op": {Median: 80, Min: 80, Max: 80}},
	}}
	for _, part := range []string{"| before authentication: the plan of the route | 15.0 (14.0–16.0) | 18.0 × 1.20 (1.10–1.30) |", "| of it: compiling the plans, ms | 2.0 |", " 1 |\n", "| one request | 50.0 | 80.0 | 1.60 |"} {
		if text := r.markdown(); !strings.Contains(text, part) {
			t.Errorf("found\n%s\nexpected it to hold %q", text, part)
		}
	}
	err := r.missed()
	if err == nil || !strings.Contains(err.Error(), "legacy: found 1.200 times") || !strings.Contains(err.Error(), "push: found 1 allocations") || !strings.Contains(err.Error(), "routes: found 1.60 times") {
		t.Errorf("missed: %v", err)
	}
	if err := (&Report{}).missed(); err != nil {
		t.Error(err)
	}
}
