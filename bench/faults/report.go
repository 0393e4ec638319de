package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// report is what a run came to.
type report struct {
	Command  string    `json:"command"`
	Commit   string    `json:"commit"`
	Started  time.Time `json:"started"`
	Seconds  float64   `json:"seconds"`
	Clients  int       `json:"clients"`
	Tunnels  int       `json:"tunnels"`
	Seed     uint64    `json:"seed"`
	counts             // flat in JSON
	Fused    int       `json:"fused_calls"` // of the last process of the gateway
	Before   footprint `json:"before"`      // of the first process, without load
	After    footprint `json:"after"`       // of the last one, likewise
	Trends   []trend   `json:"trends"`
	Problems []string  `json:"problems"` // what is against the run, each in a line
	Details  []string  `json:"details"`  // the first wrong and crossed answers
	Passed   bool      `json:"passed"`
}

// maxUnlucky is the largest share of answers that are nobody's fault. A request with a body, which must not be sent twice, meets a kept connection that
// its upstream is just closing; a request meets bytes that its upstream sends unasked, before it was read. Both are rare when kept connections are looked
// at before they are used.
const maxUnlucky = 0.01

// conclude finds what is against a run.
func (r *report) conclude(t *tally) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r.counts = t.counts
	against := func(format string, args ...any) { r.Problems = append(r.Problems, fmt.Sprintf(format, args...)) }
	if r.Answers == 0 {
		against("there was no answer")
	}
	if r.Wrong > 0 {
		against("%d wrong", r.Wrong)
	}
	if r.Crossed > 0 {
		against("%d crossed", r.Crossed)
	}
	for _, v := range []verdict{wrong, crossed} {
		for _, text := range t.faulty[v] {
			r.Details = append(r.Details, v.String()+": "+text)
		}
	}
	if float64(r.Unlucky) > maxUnlucky*float64(r.Answers) {
		against("%d of %d answers met a connection that was being closed, or bytes sent unasked, expected at most %g of them", r.Unlucky, r.Answers, maxUnlucky)
	}
	if r.LateMoves > 0 {
		against("%d answers from a former address of the moving name", r.LateMoves)
	}
	for _, what := range []string{"reloads", "kills of plugin servers", "replacements by command", "replacements by signal", "upgrades"} {
		o := r.Operations[what]
		if o == nil {
			against("there were no %s", what)
			continue
		}
		for _, text := range o.Failed {
			against("%s: %s", what, text)
		}
	}
	for _, p := range pluginServers {
		if r.through(p) == 0 {
			against("no request went through the plugins of %s", p.name)
		}
	}
	if r.Fused == 0 {
		against("no call carried several plugins")
	}
	var err error
	if r.Trends, err = trends(r.Footprints); err != nil {
		against("%v", err)
	}
	for _, m := range r.Trends {
		if !m.Flat {
			against("%s grow: %.0f in the second quarter of the last process's life, %.0f in the last one, expected at most %.0f", m.What, m.Second, m.Last, m.Allowed)
		}
	}
	r.Passed = len(r.Problems) == 0
}

// through is how many answers a plugin server had a part in.
func (r *report) through(server *pluginServer) (n int) {
	for i := range places {
		if slices.Contains(places[i].servers(), server) {
			n += r.Places[places[i].name][right.String()] + r.Places[places[i].name][exited.String()]
		}
	}
	return n
}

// markdown is the report for people.
func (r *report) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Load with faults\n\n`%s`, commit %s, %s, %.0f s, %d clients, %d tunnels, seed %d.\n", r.Command, r.Commit, r.Started.UTC().Format(time.DateTime), r.Seconds, r.Clients, r.Tunnels, r.Seed)
	b.WriteString("\n| Fault of the upstream | Answers |\n|---|---|\n")
	for _, f := range append(slices.Clone(faults), tunnelFault) {
		var parts []string
		for _, status := range slices.Sorted(maps.Keys(r.Faults[f.name])) {
			parts = append(parts, fmt.Sprintf("%d × %d", r.Faults[f.name][status], status))
		}
		fmt.Fprintf(&b, "| %s | %s |\n", f.name, strings.Join(parts, ", "))
	}
	b.WriteString("\n| Client | Answers |\n|---|---|\n")
	for _, way := range slices.Sorted(maps.Keys(r.Ways)) {
		fmt.Fprintf(&b, "| %s | %d |\n", way, r.Ways[way])
	}
	b.WriteString("\n| Place | of the upstream | exit of a plugin | fail mode, its server killed | unlucky | wrong | crossed |\n|---|---|---|---|---|---|---|\n")
	for _, p := range append(slices.Clone(places), tunnels) {
		fmt.Fprintf(&b, "| %s |", p.name)
		for v := right; v <= crossed; v++ {
			fmt.Fprintf(&b, " %d |", r.Places[p.name][[...]verdict{right, exited, policy, unlucky, wrong, crossed}[v].String()])
		}
		b.WriteString("\n")
	}
	b.WriteString("\n| While it served | Times | Failed | Median | Longest |\n|---|---|---|---|---|\n")
	for _, what := range slices.Sorted(maps.Keys(r.Operations)) {
		o := r.Operations[what]
		took := slices.Sorted(slices.Values(o.Seconds))
		fmt.Fprintf(&b, "| %s | %d | %d | %.2f s | %.2f s |\n", what, o.Times, len(o.Failed), took[len(took)/2], took[len(took)-1])
	}
	b.WriteString("\n| Of the last process | second quarter | last quarter | allowed | before the load | after it |\n|---|---|---|---|---|---|\n")
	for i, m := range r.Trends {
		of := measures[i].of
		fmt.Fprintf(&b, "| %s | %.0f | %.0f | %.0f | %.0f | %.0f |\n", m.What, m.Second, m.Last, m.Allowed, of(r.Before), of(r.After))
	}
	b.WriteString("\n")
	for _, what := range slices.Sorted(maps.Keys(r.Other)) {
		fmt.Fprintf(&b, "- %s: %d\n", what, r.Other[what])
	}
	for _, a := range slices.Sorted(maps.Keys(r.Addresses)) {
		fmt.Fprintf(&b, "- answers of the moving name from %s: %d\n", a, r.Addresses[a])
	}
	fmt.Fprintf(&b, "- calls of the last process that carried several plugins: %d\n", r.Fused)
	section := func(title string, list []string) {
		if len(list) > 0 {
			fmt.Fprintf(&b, "\n## %s\n\n- %s\n", title, strings.Join(list, "\n- "))
		}
	}
	section("What is against it", r.Problems)
	section("The first wrong and crossed answers", r.Details)
	fmt.Fprintf(&b, "\n%s\n", r.lastLine())
	return b.String()
}

func (r *report) lastLine() string {
	verdict := "passed"
	if !r.Passed {
		verdict = fmt.Sprintf("failed: %d problems", len(r.Problems))
	}
	flat := 0
	for _, m := range r.Trends {
		if m.Flat {
			flat++
		}
	}
	times := func(what string) int {
		if o := r.Operations[what]; o != nil {
			return o.Times
		}
		return 0
	}
	return fmt.Sprintf("faults: %d answers, %d wrong, %d crossed, %d reloads, %d upgrades, %d plugin servers killed, %d replaced, %d of %d measures flat: %s", r.Answers, r.Wrong, r.Crossed,
		times("reloads"), times("upgrades"), times("kills of plugin servers"), times("replacements by command")+times("replacements by signal"), flat, len(measures), verdict)
}

// write writes both forms.
func (r *report) write(dir string) error {
	text, err := r.json()
	if err != nil {
		return err
	}
	return errors.Join(os.WriteFile(filepath.Join(dir, "faults.md"), []byte(r.markdown()), 0o644), os.WriteFile(filepath.Join(dir, "faults.json"), text, 0o644))
}

func (r *report) json() ([]byte, error) {
	text, err := json.MarshalIndent(r, "", "  ")
	return append(text, '\n'), err
}
