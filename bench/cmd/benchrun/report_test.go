package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func sampleReport() *Report {
	valid := []Sample{{Round: 1, Others: 0.01}}
	return &Report{
		Date: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Commit: "abcdef0123", Command: "bench/run.sh --quick",
		Machine:  Machine{CPU: "Some CPU", Cores: 2, Memory: 8 << 30, Kernel: "6.1"},
		Versions: map[string]string{"go": "1.26.8", "wrk": "4.1.0"}, Rounds: 5, SampleSeconds: 2,
		Scenarios: []Result{{
			Name: "hello", Question: "What does it cost?", Baseline: "no plugin", CPUs: "0",
			Points: []Point{
				{Variant: "no plugin", Connections: 1, PerSecond: Spread{12345.6, 12000, 1234567}, Ratio: Spread{1, 1, 1}, P50: Spread{70, 70, 70},
					P99: Spread{99.5, 90, 1000}, HostCPU: Spread{21.26, 21, 22}, Samples: valid},
				{Variant: "Go", Connections: 1, PerSecond: Spread{10000, 9000, 11000}, Ratio: Spread{0.812, 0.8, 0.823}, P50: Spread{80, 79, 81},
					P99: Spread{100, 100, 100}, HostCPU: Spread{25, 25, 25}, ServerCPU: Spread{3, 2.9, 3.14}, Samples: valid},
				{Variant: "no plugin", Connections: 16, Ratio: Spread{1, 1, 1}, Samples: []Sample{{Others: 0.2}}},
				{Variant: "Go", Connections: 16, Errors: Errors{Status: 12, Timeout: 1}, Problems: []string{"ended:\na | b"}, Samples: valid},
			},
		}},
	}
}

func TestMarkdown(t *testing.T) {
	want := `# Benchmark of 2026-01-02, commit abcdef0123

` + "`bench/run.sh --quick`" + ` on Some CPU, 2 cores, 8 GiB of memory, Linux 6.1; go 1.26.8, wrk 4.1.0.

Each figure is the median of 5 interleaved rounds of 2 s, with the smallest and the largest; ratios are taken within a round. CPU is processor time per request, of the gateway and of its plugin servers. Trust ratios more than absolutes: load generator, gateway, plugin server and upstream share the machine.

## hello

What does it cost? Everything is bound to processor 0.

**The machine was not quiet: others used up to 20 % of it during a measurement.**

### hello: 1 connection

| variant | requests/s | × no plugin | p50 µs | p99 µs | CPU host µs | CPU servers µs | errors |
|---|---|---|---|---|---|---|---|
| no plugin | 12,346 (12,000–1,234,567) | 1 | 70 | 100 (90–1,000) | 21.3 (21.0–22.0) | 0.0 | 0 |
| Go | 10,000 (9,000–11,000) | 0.81 (0.80–0.82) | 80 (79–81) | 100 | 25.0 | 3.0 (2.9–3.1) | 0 |

### hello: 16 connections

| variant | requests/s | × no plugin | p50 µs | p99 µs | CPU host µs | CPU servers µs | errors |
|---|---|---|---|---|---|---|---|
| no plugin | 0 | 1 | 0 | 0 | 0.0 | 0.0 | 0 |
| Go | invalid | – | – | – | – | – | 12 no success, 1 timeout; ended: a / b |
`
	if got := sampleReport().markdown(); got != want {
		t.Fatalf("found\n%s\nexpected\n%s", got, want)
	}
}

func TestWrite(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "results")
	r := sampleReport()
	path, err := r.write(dir)
	if err != nil || filepath.Base(path) != "2026-01-02-abcdef0123.md" {
		t.Fatalf("found %q, %v", path, err)
	}
	b, err := os.ReadFile(strings.TrimSuffix(path, ".md") + ".json")
	if err != nil {
		t.Fatal(err)
	}
	var back Report
	if err := json.Unmarshal(b, &back); err != nil || back.Scenarios[0].Points[1].Ratio.Median != 0.812 {
		t.Fatalf("found %+v, %v", back, err)
	}
}

func TestNumber(t *testing.T) {
	for _, c := range []struct {
		v        float64
		decimals int
		want     string
	}{{0, 0, "0"}, {999, 0, "999"}, {1000, 0, "1,000"}, {-1234.5, 1, "-1,234.5"}, {-123, 0, "-123"}, {1234567.89, 2, "1,234,567.89"}} {
		if got := number(c.v, c.decimals); got != c.want {
			t.Errorf("%v: found %q, expected %q", c.v, got, c.want)
		}
	}
}

func TestMachineParts(t *testing.T) {
	if got := cpuModel("processor : 0\nmodel name\t: Some CPU @ 3 GHz\n"); got != "Some CPU @ 3 GHz" {
		t.Errorf("found %q", got)
	}
	if got := memory("MemTotal:       16384 kB\nMemFree: 1 kB\n"); got != 16<<20 {
		t.Errorf("found %d", got)
	}
	for text, want := range map[string]string{
		"Python 3.11.7\n": "3.11.7", "v20.20.2\n": "20.20.2", "wrk debian/4.1.0-3+b2 [epoll] Copyright (C) 2012 Will Glozer\n": "4.1.0", "none": "",
	} {
		if got := versionIn(text); got != want {
			t.Errorf("%q: found %q, expected %q", text, got, want)
		}
	}
}
