package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// row is a line of the table: one fault on one gateway with a plugin server of one language over one carrier.
type row struct {
	Fault    string `json:"fault"`
	Language string `json:"language"`
	Carrier  string `json:"carrier"`
	Times    int    `json:"times,omitempty"` // how often, in a soak
	counts
	Recovery float64   `json:"recovery_seconds"` // the longest
	Starts   int       `json:"starts"`           // of plugin server processes, in the course of it
	Before   footprint `json:"before"`
	After    footprint `json:"after"`
	Leaks    []string  `json:"leaks,omitempty"`
	Errors   []string  `json:"errors,omitempty"`
	Note     string    `json:"note,omitempty"`
	NotRun   string    `json:"not_run,omitempty"` // why; such a row counts as missing
}

// mostStray is the share of answers by policy without a fault that a row may have: on a machine that is busy with other things a deadline of 300 ms
// passes now and then. fewAreFine is allowed whatever the share.
const (
	mostStray  = 0.25
	fewAreFine = 10
)

// problems of a row; none: it is fine.
func (r *row) problems() (list []string) {
	if r.NotRun != "" {
		return []string{"not run: " + r.NotRun}
	}
	if r.Requests == 0 {
		list = append(list, "no request was sent")
	}
	if r.Wrong > 0 {
		list = append(list, fmt.Sprintf("%d wrong answers", r.Wrong))
	}
	if r.Stray > max(fewAreFine, int(mostStray*float64(r.Requests))) {
		list = append(list, fmt.Sprintf("%d answers by policy without a fault", r.Stray))
	}
	return slices.Concat(list, r.Leaks, r.Errors)
}

// key is what there is one row of.
func (r *row) key() string { return r.Fault + ", " + r.Language + ", " + r.Carrier }

// report is the whole run.
type report struct {
	Name    string    `json:"name"` // chaos, soak
	Started time.Time `json:"started"`
	Seconds float64   `json:"seconds"`
	Seed    uint64    `json:"seed,omitempty"`
	Rows    []row     `json:"rows"`
	Missing []string  `json:"missing"` // rows that should be there
	Errors  []string  `json:"errors"`  // of the run as a whole
	Excused bool      `json:"without_root"`
	Totals  totals    `json:"totals"`
}

type totals struct {
	Rows     int  `json:"rows"`
	Requests int  `json:"requests"`
	Right    int  `json:"right"`
	Policy   int  `json:"by_policy"`
	Wrong    int  `json:"wrong"`
	Leaks    int  `json:"leaks"`
	NotRun   int  `json:"not_run"`
	Failed   int  `json:"failed_rows"`
	Passed   bool `json:"passed"`
}

// finish compares the rows with those that are expected and adds everything up. Rows that were not run count as missing unless excused.
func (p *report) finish(expected []string, excused bool) {
	p.Excused = excused
	have := map[string]bool{}
	t := totals{Rows: len(p.Rows)}
	for i := range p.Rows {
		r := &p.Rows[i]
		have[r.key()] = true
		t.Requests += r.Requests
		t.Right += r.Right
		t.Policy += r.Policy
		t.Wrong += r.Wrong
		t.Leaks += len(r.Leaks)
		switch {
		case r.NotRun != "":
			t.NotRun++
			if !excused {
				p.Missing = append(p.Missing, r.key())
			}
		case len(r.problems()) > 0:
			t.Failed++
		}
	}
	for _, key := range expected {
		if !have[key] {
			p.Missing = append(p.Missing, key)
		}
	}
	t.Passed = t.Failed == 0 && len(p.Missing) == 0 && len(p.Errors) == 0 && t.Rows > 0
	p.Totals = t
}

// lastLine is the summary.
func (p *report) lastLine() string {
	t, end := p.Totals, "FAILED"
	if t.Passed {
		end = "passed"
	}
	s := fmt.Sprintf("%s: %d rows, %d requests, %d by policy, %d wrong answers, %d leaks", p.Name, t.Rows, t.Requests, t.Policy, t.Wrong, t.Leaks)
	for _, more := range []struct {
		n    int
		what string
	}{{len(p.Missing), "missing"}, {t.NotRun, "not run"}, {t.Failed, "rows failed"}, {len(p.Errors), "errors"}} {
		if more.n > 0 {
			s += fmt.Sprintf(", %d %s", more.n, more.what)
		}
	}
	return s + ", " + end
}

// table is the rows in Markdown.
func (p *report) table() string {
	var b strings.Builder
	times := ""
	if p.Name == "soak" {
		times = " Times |"
	}
	fmt.Fprintf(&b, "| Fault | Language | Carrier |%s Requests | Right | By policy | Wrong | Recovery | Starts | Heap MiB | RSS MiB | Goroutines | Result |\n", times)
	b.WriteString("|---|---|---|" + strings.Repeat("---:|", strings.Count(times, "|")+9) + "---|\n")
	for i := range p.Rows {
		r := &p.Rows[i]
		result := "ok"
		if r.Note != "" {
			result = "ok; " + r.Note
		}
		if list := r.problems(); len(list) > 0 {
			result = strings.ReplaceAll(strings.Join(list, "; "), "|", "\\|")
			result = strings.ReplaceAll(result, "\n", " ")
		}
		if times != "" {
			times = fmt.Sprintf(" %d |", r.Times)
		}
		fmt.Fprintf(&b, "| %s | %s | %s |%s %d | %d | %d | %d | %.2f s | %d | %.1f → %.1f | %.0f → %.0f | %d → %d | %s |\n",
			r.Fault, r.Language, r.Carrier, times, r.Requests, r.Right, r.Policy, r.Wrong, r.Recovery, r.Starts,
			r.Before.HeapMiB, r.After.HeapMiB, r.Before.RSSMiB, r.After.RSSMiB, r.Before.Goroutines, r.After.Goroutines, result)
	}
	return b.String()
}

// write puts the table and the figures into files.
func (p *report) write(dir string) error {
	text, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, p.Name+".json"), append(text, '\n'), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, p.Name+".md"), []byte(p.table()+"\n"+p.lastLine()+"\n"), 0o644)
}
