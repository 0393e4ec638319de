package main

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Report is all that one run found: the content of the JSON file.
type Report struct {
	Date    time.Time `json:"date"`
	Commit  string    `json:"commit"`
	Command string    `json:"command"`
	Machine Machine   `json:"machine"`
	// Versions of go, python, node and wrk.
	Versions map[string]string `json:"versions"`
	Rounds   int               `json:"rounds"`
	// SampleSeconds is the length of one measurement.
	SampleSeconds float64  `json:"sample_seconds"`
	Scenarios     []Result `json:"scenarios"`
}

// Result is what one scenario found.
type Result struct {
	Name     string  `json:"name"`
	Question string  `json:"question"`
	CPUs     string  `json:"cpus,omitempty"`
	Baseline string  `json:"baseline"`
	Points   []Point `json:"points"`
}

// othersLimit is the part of the machine that others may use before the report says that it was not quiet.
const othersLimit = 0.05

// write stores the report as <date>-<commit>.md and .json and returns the path of the table.
func (r *Report) write(dir string) (string, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	base := filepath.Join(dir, r.Date.Format(time.DateOnly)+"-"+r.Commit)
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(base+".json", append(b, '\n'), 0o644); err != nil {
		return "", err
	}
	return base + ".md", os.WriteFile(base+".md", []byte(r.markdown()), 0o644)
}

// markdown is the report for people.
func (r *Report) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Benchmark of %s, commit %s\n\n", r.Date.Format(time.DateOnly), r.Commit)
	fmt.Fprintf(&b, "`%s` on %s, %d cores, %s of memory, Linux %s; %s.\n\n", r.Command, r.Machine.CPU, r.Machine.Cores, gib(r.Machine.Memory),
		r.Machine.Kernel, versions(r.Versions))
	fmt.Fprintf(&b, "Each figure is the median of %d interleaved rounds of %s s, with the smallest and the largest; ratios are taken within a round. CPU is "+
		"processor time per request, of the gateway and of its plugin servers. Trust ratios more than absolutes: load generator, gateway, plugin server "+
		"and upstream share the machine.\n", r.Rounds, short(r.SampleSeconds))
	for i := range r.Scenarios {
		r.Scenarios[i].markdown(&b)
	}
	return b.String()
}

func (s *Result) markdown(b *strings.Builder) {
	fmt.Fprintf(b, "\n## %s\n\n%s", s.Name, s.Question)
	if s.CPUs != "" {
		fmt.Fprintf(b, " Everything is bound to processor %s.", s.CPUs)
	}
	b.WriteString("\n")
	if most := mostOthers(s.Points); most > othersLimit {
		fmt.Fprintf(b, "\n**The machine was not quiet: others used up to %.0f %% of it during a measurement.**\n", 100*most)
	}
	connections := 0
	for i := range s.Points {
		p := &s.Points[i]
		if p.Connections != connections {
			connections = p.Connections
			fmt.Fprintf(b, "\n### %s: %d %s\n\n", s.Name, connections, plural(connections, "connection"))
			fmt.Fprintf(b, "| variant | requests/s | × %s | p50 µs | p99 µs | CPU host µs | CPU servers µs | errors |\n", s.Baseline)
			b.WriteString("|---|---|---|---|---|---|---|---|\n")
		}
		p.row(b, p.Variant == s.Baseline)
	}
}

// row writes a line of the table. An invalid point shows its errors and no figures.
func (p *Point) row(b *strings.Builder, baseline bool) {
	if !p.Valid() {
		var why []string
		if p.Errors.Total() > 0 {
			why = append(why, p.Errors.String())
		}
		why = append(why, p.Problems...)
		if len(p.Samples) == 0 {
			why = append(why, "not measured")
		}
		text := strings.Join(strings.Fields(strings.ReplaceAll(strings.Join(why, "; "), "|", "/")), " ")
		fmt.Fprintf(b, "| %s | invalid | – | – | – | – | – | %s |\n", p.Variant, text)
		return
	}
	ratio := "1"
	if !baseline {
		ratio = p.Ratio.text(2)
	}
	fmt.Fprintf(b, "| %s | %s | %s | %s | %s | %s | %s | 0 |\n", p.Variant, p.PerSecond.text(0), ratio, p.P50.text(0), p.P99.text(0),
		p.HostCPU.text(1), p.ServerCPU.text(1))
}

// text is the median with the ends in parentheses; the ends are left out when they say nothing.
func (s Spread) text(decimals int) string {
	m, low, high := number(s.Median, decimals), number(s.Min, decimals), number(s.Max, decimals)
	if low == m && high == m {
		return m
	}
	return m + " (" + low + "–" + high + ")"
}

// number writes a value with commas between thousands.
func number(v float64, decimals int) string {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return "–"
	}
	whole, fraction, _ := strings.Cut(strconv.FormatFloat(v, 'f', decimals, 64), ".")
	for i := len(whole) - 3; i > 0 && whole[i-1] != '-'; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	if fraction == "" {
		return whole
	}
	return whole + "." + fraction
}

// short writes a number without needless decimals.
func short(v float64) string { return strconv.FormatFloat(v, 'g', 4, 64) }

func gib(bytes int64) string { return number(float64(bytes)/(1<<30), 0) + " GiB" }

func plural(n int, word string) string {
	if n == 1 {
		return word
	}
	return word + "s"
}

func versions(v map[string]string) string {
	var parts []string
	for _, name := range []string{"go", "python", "node", "wrk"} {
		if v[name] != "" {
			parts = append(parts, name+" "+v[name])
		}
	}
	return strings.Join(parts, ", ")
}
