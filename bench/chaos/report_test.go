package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// at is a time so many milliseconds after the beginning.
func at(ms int) time.Time { return time.Unix(1_000_000, 0).Add(time.Duration(ms) * time.Millisecond) }

func TestRecovery(t *testing.T) {
	var list []result
	for i := range 10 { // before the end of the fault
		list = append(list, result{sent: at(i), done: at(i + 1), verdict: right})
	}
	if _, ok := recovery(list, at(100)); ok {
		t.Error("found a recovery before the end of the fault")
	}
	for i := range 9 {
		list = append(list, result{sent: at(100 + i), done: at(101 + i), verdict: right})
	}
	list = append(list, result{sent: at(200), done: at(201), verdict: policy})
	if _, ok := recovery(list, at(100)); ok {
		t.Error("found a recovery with nine right answers in a row")
	}
	for i := range 12 {
		list = append(list, result{sent: at(300 + i), done: at(310 + i), verdict: right})
	}
	if found, ok := recovery(list, at(100)); !ok || !found.Equal(at(319)) {
		t.Errorf("found the recovery %v %v, expected %v, the tenth of the right answers", found, ok, at(319))
	}
}

func TestCount(t *testing.T) {
	b := blow{struck: at(100), lifted: at(200), recovered: at(300)}
	list := []result{
		{sent: at(0), done: at(10), verdict: right},
		{sent: at(10), done: at(20), verdict: policy}, // nothing was wrong yet
		{sent: at(90), done: at(150), verdict: policy},
		{sent: at(250), done: at(260), verdict: policy},
		{sent: at(290), done: at(350), verdict: policy},
		{sent: at(310), done: at(350), verdict: policy}, // nothing was wrong any more
		{sent: at(150), done: at(160), verdict: wrong, reason: "why"},
	}
	var c counts
	c.count(list, b)
	want := counts{Requests: 7, Right: 1, Policy: 5, Wrong: 1, Stray: 2, Reasons: []string{"why"}}
	if c.Requests != want.Requests || c.Right != want.Right || c.Policy != want.Policy || c.Wrong != want.Wrong || c.Stray != want.Stray || !slices.Equal(c.Reasons, want.Reasons) {
		t.Errorf("found %+v, expected %+v", c, want)
	}
}

func TestGrowth(t *testing.T) {
	before := footprint{Goroutines: 100, HeapMiB: 10, RSSMiB: 50, Descriptors: 30, Processes: 3}
	if leaks := growth(before, footprint{Goroutines: 110, HeapMiB: 20, RSSMiB: 80, Descriptors: 40, Processes: 3}); len(leaks) != 0 {
		t.Errorf("within the bounds: found %q", leaks)
	}
	for name, after := range map[string]footprint{
		"goroutines":  {Goroutines: 121},
		"heap":        {HeapMiB: 26.5},
		"memory":      {RSSMiB: 115},
		"descriptors": {Descriptors: 51},
		"processes":   {Processes: 4},
	} {
		if leaks := growth(before, after); len(leaks) != 1 || !strings.Contains(leaks[0], name) {
			t.Errorf("more %s: found %q", name, leaks)
		}
	}
}

func goodRow() row {
	return row{Fault: "kill", Language: "go", Carrier: "grpc", counts: counts{Requests: 100, Right: 90, Policy: 10}, Recovery: 0.5}
}

// A run fails for each reason alone.
func TestReportFails(t *testing.T) {
	key := func() string { r := goodRow(); return r.key() }()
	for _, c := range []struct {
		name    string
		spoil   func(p *report)
		excused bool
		expect  []string
		passes  bool
	}{
		{name: "everything is fine", spoil: func(*report) {}, passes: true},
		{name: "a wrong answer", spoil: func(p *report) { p.Rows[0].Wrong = 1 }},
		{name: "a leak", spoil: func(p *report) { p.Rows[0].Leaks = []string{"goroutines"} }},
		{name: "no recovery", spoil: func(p *report) { p.Rows[0].Errors = []string{"recovery"} }},
		{name: "no requests", spoil: func(p *report) { p.Rows[0].counts = counts{} }},
		{name: "failing without a fault", spoil: func(p *report) { p.Rows[0].Stray = 26 }},
		{name: "a few failures without a fault", spoil: func(p *report) { p.Rows[0].Stray = 25 }, passes: true},
		{name: "a missing row", spoil: func(*report) {}, expect: []string{"hang, go, grpc"}},
		{name: "a row that was not run", spoil: func(p *report) { p.Rows[0] = row{Fault: "kill", Language: "go", Carrier: "grpc", NotRun: "needs root"} }},
		{name: "a row that need not run", spoil: func(p *report) { p.Rows[0] = row{Fault: "kill", Language: "go", Carrier: "grpc", NotRun: "needs root"} }, excused: true, passes: true},
		{name: "an error beside the rows", spoil: func(p *report) { p.Errors = []string{"left behind"} }},
		{name: "no rows", spoil: func(p *report) { p.Rows = nil }},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := &report{Name: "chaos", Rows: []row{goodRow()}}
			c.spoil(p)
			p.finish(append(c.expect, key), c.excused)
			if p.Totals.Passed != c.passes {
				t.Errorf("passed is %t; the last line is %q, missing are %q", p.Totals.Passed, p.lastLine(), p.Missing)
			}
			if ends := strings.HasSuffix(p.lastLine(), ", passed"); ends != c.passes {
				t.Errorf("the last line is %q", p.lastLine())
			}
		})
	}
}

func TestReportFiles(t *testing.T) {
	dir := t.TempDir()
	spoiled := goodRow()
	spoiled.Fault, spoiled.Wrong, spoiled.Leaks = "hang", 2, []string{"goroutines grew | much"}
	p := &report{Name: "chaos", Rows: []row{goodRow(), spoiled}}
	p.finish(nil, false)
	if err := p.write(dir); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "chaos.md"))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	if len(lines) != 6 || lines[5] != "chaos: 2 rows, 200 requests, 20 by policy, 2 wrong answers, 1 leaks, 1 rows failed, FAILED" {
		t.Errorf("found the table\n%s", text)
	}
	for i, want := range map[int]string{2: "| ok |", 3: `| 2 wrong answers; goroutines grew \| much |`} {
		if !strings.HasSuffix(lines[i], want) {
			t.Errorf("line %d is %q, expected it to end with %q", i+1, lines[i], want)
		}
	}
	var back report
	if text, err = os.ReadFile(filepath.Join(dir, "chaos.json")); err == nil {
		err = json.Unmarshal(text, &back)
	}
	if err != nil || len(back.Rows) != 2 || back.Rows[1].Wrong != 2 || back.Totals.Wrong != 2 {
		t.Errorf("read back %+v %v", back, err)
	}
}
