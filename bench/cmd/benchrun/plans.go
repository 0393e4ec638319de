package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// PlanReport is what the benchmarks of plans found: the content of the JSON file.
type PlanReport struct {
	Date    time.Time         `json:"date"`
	Commit  string            `json:"commit"`
	Command string            `json:"command"`
	Machine Machine           `json:"machine"`
	Version map[string]string `json:"versions"`
	Rounds  int               `json:"rounds"`
	// Benchmarks by name, each with its measures by name, such as legacy-ns: the ordering and what was measured.
	Benchmarks map[string]map[string]Spread `json:"benchmarks"`
}

// planBenchmarks are the packages with the benchmarks of plans.
var planBenchmarks = []struct{ pkg, pattern, time string }{
	{"./host/internal/generation", "^BenchmarkGeneration$", "3x"},
	{"./host/internal/plan", "^BenchmarkCompile$", "10x"},
	{"./host/internal/plan", "^BenchmarkLookup$", "500ms"},
}

// planTarget is what a lookup with ordering rules may take of one without.
const planTarget = 1.05

// plans runs the benchmarks of plans, each round in processes of its own, and writes the report.
func (o *options) plans(ctx context.Context, args []string) (text, path string, err error) {
	r := PlanReport{
		Date: time.Now(), Commit: commit(ctx, o.runner.root), Command: commandLine(args), Machine: describeMachine(),
		Version: map[string]string{"go": strings.TrimPrefix(runtime.Version(), "go")}, Rounds: o.runner.rounds, Benchmarks: map[string]map[string]Spread{},
	}
	found := map[string]map[string][]float64{}
	for i := range o.runner.rounds {
		o.runner.say("round %d of %d", i+1, o.runner.rounds)
		for _, b := range planBenchmarks {
			cmd := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", b.pattern, "-benchtime", b.time, b.pkg)
			cmd.Dir = o.runner.root
			out, err := cmd.CombinedOutput()
			if err != nil {
				return "", "", fmt.Errorf("running the benchmarks of %s: %w\n%s", b.pkg, err, out)
			}
			if err := readBenchmarks(string(out), found); err != nil {
				return "", "", fmt.Errorf("reading the benchmarks of %s: %w", b.pkg, err)
			}
		}
	}
	for name, measures := range found {
		r.Benchmarks[name] = map[string]Spread{}
		for measure, values := range measures {
			r.Benchmarks[name][measure] = spreadOf(values)
		}
	}
	path, err = r.write(o.results)
	if err == nil {
		err = r.missed()
	}
	return r.markdown(), path, err
}

// readBenchmarks adds the measures of the output of go test: lines such as "BenchmarkLookup/before-2  100  18.5 legacy-ns  0 legacy-allocs".
func readBenchmarks(out string, found map[string]map[string][]float64) error {
	lines := 0
	for line := range strings.Lines(out) {
		fields := strings.Fields(line)
		name, ok := strings.CutPrefix(line, "Benchmark")
		if !ok || len(fields) < 4 {
			continue
		}
		name, _, _ = strings.Cut(name, "-")
		name = strings.TrimSpace(name)
		if found[name] == nil {
			found[name] = map[string][]float64{}
		}
		for i := 2; i+1 < len(fields); i += 2 {
			value, err := strconv.ParseFloat(fields[i], 64)
			if err != nil {
				return fmt.Errorf("found %q in the line %q, expected numbers with units: %w", fields[i], strings.TrimSpace(line), err)
			}
			found[name][fields[i+1]] = append(found[name][fields[i+1]], value)
		}
		lines++
	}
	if lines == 0 {
		return fmt.Errorf("found no benchmark in %q", out)
	}
	return nil
}

// write stores the report as <date>-<commit>-plans.md and .json and returns the path of the table.
func (r *PlanReport) write(dir string) (string, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	base := filepath.Join(dir, r.Date.Format(time.DateOnly)+"-"+r.Commit+"-plans")
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(base+".json", append(b, '\n'), 0o644); err != nil {
		return "", err
	}
	return base + ".md", os.WriteFile(base+".md", []byte(r.markdown()), 0o644)
}

// planLookups are the rows of the table of lookups.
var planLookups = []struct{ name, what string }{
	{"Lookup/before", "before authentication: the plan of the route"},
	{"Lookup/after", "after it: a consumer with records"},
	{"Lookup/stranger", "after it: a consumer without records"},
	{"Lookup/unscoped", "after it: a route without records for consumers"},
}

// planOrderings are the columns, by their names in the benchmarks.
var planOrderings = []struct{ name, title string }{
	{"none", "no rules"}, {"legacy", "legacy"}, {"push", "legacy, push"}, {"priority_preserving", "priority_preserving"},
}

// missed is an error when a lookup allocates, or takes too long with ordering rules.
func (r *PlanReport) missed() error {
	var missed []string
	for _, l := range planLookups {
		for _, o := range planOrderings {
			m := r.Benchmarks[l.name]
			if ratio := m[o.name+"-ratio"].Median; ratio > planTarget {
				missed = append(missed, fmt.Sprintf("%s, %s: found %.3f times the time without rules, expected at most %.2f", l.what, o.title, ratio, planTarget))
			}
			if n := m[o.name+"-allocs"].Max; n > 0 {
				missed = append(missed, fmt.Sprintf("%s, %s: found %v allocations, expected none", l.what, o.title, n))
			}
		}
	}
	if len(missed) > 0 {
		return fmt.Errorf("plans: %s", strings.Join(missed, "; "))
	}
	return nil
}

// markdown is the report for people.
func (r *PlanReport) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Benchmark of plans of %s, commit %s\n\n", r.Date.Format(time.DateOnly), r.Commit)
	fmt.Fprintf(&b, "`%s` on %s, %d cores, %s of memory, Linux %s; %s.\n\n", r.Command, r.Machine.CPU, r.Machine.Cores, gib(r.Machine.Memory), r.Machine.Kernel,
		versions(r.Version))
	fmt.Fprintf(&b, "10,000 routes of 1,000 services, 1,000 consumers in 100 groups, 2,000 plugin records of 20 plugins. Each figure is the median of %d rounds, "+
		"with the smallest and the largest. Within a round the orderings take turns, in one process; ratios are taken from turn to turn. The rules are four, "+
		"on records of all: each moves a plugin three places forward in access.\n\n", r.Rounds)

	b.WriteString("## Building\n\n| | no rules | legacy | × no rules |\n|---|---|---|---|\n")
	g := r.Benchmarks["Generation"]
	fmt.Fprintf(&b, "| reading the document, ms | %s | %s | |\n", g["none-read-ns"].scaled(1e-6).text(0), g["legacy-read-ns"].scaled(1e-6).text(0))
	fmt.Fprintf(&b, "| building the generation, ms | %s | %s | %s |\n", g["none-ns"].scaled(1e-6).text(0), g["legacy-ns"].scaled(1e-6).text(0), g["legacy-ratio"].text(2))
	fmt.Fprintf(&b, "| bytes of a generation with its entities, MiB | %s | %s | |\n", g["none-bytes"].scaled(1.0/(1<<20)).text(1), g["legacy-bytes"].scaled(1.0/(1<<20)).text(1))
	c := r.Benchmarks["Compile"]
	fmt.Fprintf(&b, "| of it: compiling the plans, ms | %s | %s | %s |\n", c["none-ns"].scaled(1e-6).text(1), c["legacy-ns"].scaled(1e-6).text(1), c["legacy-ratio"].text(2))
	fmt.Fprintf(&b, "| of it: bytes of the plans, MiB | %s | %s | |\n", c["none-bytes"].scaled(1.0/(1<<20)).text(1), c["legacy-bytes"].scaled(1.0/(1<<20)).text(1))

	b.WriteString("\n## Lookup\n\nNanoseconds per lookup; with rules also × no rules, of which at most 1.05 is the target.\n\n| |")
	for _, o := range planOrderings {
		fmt.Fprintf(&b, " %s |", o.title)
	}
	b.WriteString(" allocations |\n|---|" + strings.Repeat("---|", len(planOrderings)+1) + "\n")
	for _, l := range planLookups {
		m := r.Benchmarks[l.name]
		fmt.Fprintf(&b, "| %s |", l.what)
		allocs := 0.0
		for i, o := range planOrderings {
			fmt.Fprintf(&b, " %s", m[o.name+"-ns"].text(1))
			if i > 0 {
				fmt.Fprintf(&b, " × %s", m[o.name+"-ratio"].text(2))
			}
			b.WriteString(" |")
			allocs = max(allocs, m[o.name+"-allocs"].Max)
		}
		fmt.Fprintf(&b, " %s |\n", short(allocs))
	}
	return b.String()
}

// scaled is the spread in another unit.
func (s Spread) scaled(by float64) Spread {
	return Spread{Median: s.Median * by, Min: s.Min * by, Max: s.Max * by}
}
