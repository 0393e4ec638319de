package main

import (
	"strings"
	"testing"
)

const planOutput = `goos: linux
BenchmarkLookup/before-2   	     894	         0 legacy-allocs	        18.00 legacy-ns	         1.20 legacy-ratio	         0 none-allocs	        15.00 none-ns	         1.000 none-ratio
BenchmarkCompile-2   	       6	   2613208 legacy-bytes	  66257079 legacy-ns
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
	for _, bad := range []string{"PASS\n", "BenchmarkLookup-2 \t 1 \t x ns/op\n"} {
		if err := readBenchmarks(bad, found); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}

func TestPlanReport(t *testing.T) {
	r := PlanReport{Rounds: 3, Benchmarks: map[string]map[string]Spread{
		"Lookup/before": {"none-ns": {Median: 15, Min: 14, Max: 16}, "legacy-ns": {Median: 18, Min: 18, Max: 18}, "legacy-ratio": {Median: 1.2, Min: 1.1, Max: 1.3}, "push-allocs": {Max: 1}},
		"Compile":       {"none-ns": {Median: 2e6, Min: 2e6, Max: 2e6}},
	}}
	for _, part := range []string{"| before authentication: the plan of the route | 15.0 (14.0–16.0) | 18.0 × 1.20 (1.10–1.30) |", "| of it: compiling the plans, ms | 2.0 |", " 1 |\n"} {
		if text := r.markdown(); !strings.Contains(text, part) {
			t.Errorf("found\n%s\nexpected it to hold %q", text, part)
		}
	}
	err := r.missed()
	if err == nil || !strings.Contains(err.Error(), "legacy: found 1.200 times") || !strings.Contains(err.Error(), "push: found 1 allocations") {
		t.Errorf("missed: %v", err)
	}
	if err := (&PlanReport{}).missed(); err != nil {
		t.Error(err)
	}
}
