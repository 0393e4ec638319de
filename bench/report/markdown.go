package report

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/outrigger-gateway/outrigger/bench/scenario"
	"github.com/outrigger-gateway/outrigger/bench/stats"
)

// othersLimit is the part of the machine that others may use before the report says that it was not quiet.
const othersLimit = 0.05

// Write stores the report as <date>-<commit>.md and .json, with the charts of the scenarios in a directory of that name, and returns the path of
// the table.
func (r *Report) Write(dir string, scenarios []*scenario.Scenario) (string, error) {
	name := r.Date.Format(time.DateOnly) + "-" + r.Commit
	base := filepath.Join(dir, name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	if err := r.draw(base, name, scenarios); err != nil {
		return "", err
	}
	b, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(base+".json", append(b, '\n'), 0o644); err != nil {
		return "", err
	}
	return base + ".md", os.WriteFile(base+".md", []byte(r.Markdown()), 0o644)
}

// Markdown is the report for people.
func (r *Report) Markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Benchmark of %s, commit %s\n\n", r.Date.Format(time.DateOnly), r.Commit)
	fmt.Fprintf(&b, "`%s` on %s, %d cores, %s of memory, Linux %s; %s.\n\n", r.Command, r.Machine.CPU, r.Machine.Cores, GiB(r.Machine.Memory),
		r.Machine.Kernel, Versions(r.Versions))
	fmt.Fprintf(&b, "Each figure is the median of %d interleaved rounds of %s s, with the smallest and the largest; ratios and differences are taken within a "+
		"round. CPU is processor time per request, of the gateway and of its plugin servers. Trust ratios more than absolutes: load generator, gateway, "+
		"plugin server and upstream share the machine.\n", r.Rounds, short(r.SampleSeconds))
	for _, text := range r.Skipped {
		fmt.Fprintf(&b, "\n**Skipped:** %s\n", oneLine(text))
	}
	for _, name := range slices.Sorted(maps.Keys(r.Failed)) {
		fmt.Fprintf(&b, "\n**Failed:** scenario %s: %s\n", name, oneLine(r.Failed[name]))
	}
	r.targets(&b)
	for i := range r.Scenarios {
		r.Scenarios[i].markdown(&b)
	}
	return b.String()
}

// targets writes the table of the targets that have figures; of the others only how many there are.
func (r *Report) targets(b *strings.Builder) {
	without := 0
	for i, t := range r.Targets {
		if t.Found == nil {
			without++
			continue
		}
		if i == without {
			b.WriteString("\n## Targets\n\n| what | target | found | |\n|---|---|---|---|\n")
		}
		target, verdict := "report it", "–"
		switch {
		case t.AtLeast != nil:
			target = "at least " + short(*t.AtLeast)
		case t.AtMost != nil:
			target = "at most " + short(*t.AtMost)
		}
		switch {
		case t.AtLeast == nil && t.AtMost == nil:
		case t.Met:
			verdict = "met"
		default:
			verdict = "**missed**"
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s |\n", t.What, strings.TrimSpace(target+" "+t.Unit), Text(*t.Found, 2), verdict)
	}
	if without > 0 && without < len(r.Targets) {
		fmt.Fprintf(b, "\n%d further %s not measured in this run.\n", without, map[bool]string{true: "target was", false: "targets were"}[without == 1])
	}
}

func (s *Result) markdown(b *strings.Builder) {
	fmt.Fprintf(b, "\n## %s\n\n%s", s.Name, s.Question)
	if s.CPUs != "" {
		fmt.Fprintf(b, " Everything is bound to processor %s.", s.CPUs)
	}
	b.WriteString("\n")
	if most := s.mostOthers(); most > othersLimit {
		fmt.Fprintf(b, "\n**The machine was not quiet: others used up to %.0f %% of it during a measurement.**\n", 100*most)
	}
	for _, name := range s.Charts {
		fmt.Fprintf(b, "\n![%s](%s)\n", strings.TrimSuffix(filepath.Base(name), ".svg"), name)
	}
	var last scenario.Load
	for i := range s.Points {
		p := &s.Points[i]
		if p.Load != last {
			last = p.Load
			fmt.Fprintf(b, "\n### %s: %s\n\n", s.Name, last)
			s.head(b, last)
		}
		p.row(b, s.columns(last))
	}
}

// column is a measure in a table.
type column struct {
	measure, title string
	decimals       int
}

// columns of the tables: what compares differs between the closed loop and a fixed rate. A measure that no point has is left out.
func (s *Result) columns(l scenario.Load) []column {
	list := []column{
		{PerSecond, "requests/s", 0}, {Ratio, "× baseline", 2}, {P50, "p50 µs", 0}, {P99, "p99 µs", 0}, {HostCPU, "CPU host µs", 1},
		{ServerCPU, "CPU servers µs", 1}, {AddedCPU, "added CPU µs", 1}, {HostAllocs, "host allocations", 1}, {IdleMemory, "idle MB", 0},
	}
	if l.Rate > 0 {
		list = []column{
			{P50, "p50 µs", 0}, {AddedP50, "added p50 µs", 0}, {P90, "p90 µs", 0}, {P99, "p99 µs", 0}, {AddedP99, "added p99 µs", 0},
			{P999, "p99.9 µs", 0}, {HostCPU, "CPU host µs", 1}, {ServerCPU, "CPU servers µs", 1},
		}
	} else if l.Connections == 1 {
		list = slices.Insert(list, 3, column{AddedP50, "added p50 µs", 0})
	}
	return slices.DeleteFunc(list, func(c column) bool {
		return !slices.ContainsFunc(s.Points, func(p Point) bool { _, ok := p.Measures[c.measure]; return ok && p.Load == l })
	})
}

func (s *Result) head(b *strings.Builder, l scenario.Load) {
	b.WriteString("| variant |")
	columns := s.columns(l)
	for _, c := range columns {
		b.WriteString(" " + c.title + " |")
	}
	b.WriteString(" errors |\n|---|" + strings.Repeat("---|", len(columns)+1) + "\n")
}

// row writes a line of the table. An invalid point shows its errors and no figures.
func (p *Point) row(b *strings.Builder, columns []column) {
	b.WriteString("| " + p.Variant + " |")
	if !p.Valid() {
		var why []string
		if p.Errors.Total() > 0 {
			why = append(why, p.Errors.String())
		}
		why = append(why, p.Problems...)
		if len(p.Samples) == 0 {
			why = append(why, "not measured")
		}
		b.WriteString(" invalid |" + strings.Repeat(" – |", max(0, len(columns)-1)))
		fmt.Fprintf(b, " %s |\n", oneLine(strings.Join(why, "; ")))
		return
	}
	for _, c := range columns {
		m, ok := p.Measures[c.measure]
		switch {
		case !ok:
			b.WriteString(" |")
		case p.Variant == p.Baseline && (c.measure == Ratio || strings.HasPrefix(c.measure, "added")):
			b.WriteString(" " + number(m.Median, 0) + " |")
		default:
			b.WriteString(" " + Text(m, c.decimals) + " |")
		}
	}
	b.WriteString(" 0 |\n")
}

// oneLine makes text fit into a cell of a table.
func oneLine(text string) string {
	return strings.Join(strings.Fields(strings.ReplaceAll(text, "|", "/")), " ")
}

// Text is the median with the ends in parentheses; the ends are left out when they say nothing.
func Text(s stats.Spread, decimals int) string {
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

// GiB writes a size of memory.
func GiB(bytes int64) string { return number(float64(bytes)/(1<<30), 0) + " GiB" }

// Versions names the programs that took part.
func Versions(v map[string]string) string {
	var parts []string
	for _, name := range []string{"go", "python", "node"} {
		if v[name] != "" {
			parts = append(parts, name+" "+v[name])
		}
	}
	return strings.Join(parts, ", ")
}
