// Package plans measures what it takes to build plans and to look them up, and to find a route: the Go benchmarks of the host's packages, run in
// turns. It needs a checkout and the Go toolchain.
package plans

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/outrigger-gateway/outrigger/bench/report"
	"github.com/outrigger-gateway/outrigger/bench/runner"
	"github.com/outrigger-gateway/outrigger/bench/stats"
)

// Report is what the benchmarks found: the content of the JSON file.
type Report struct {
	Date    time.Time         `json:"date"`
	Commit  string            `json:"commit"`
	Command string            `json:"command"`
	Machine report.Machine    `json:"machine"`
	Version map[string]string `json:"versions"`
	Rounds  int               `json:"rounds"`
	// Benchmarks by name, each with its measures by name, such as legacy-ns: the ordering and what was measured.
	Benchmarks map[string]map[string]stats.Spread `json:"benchmarks"`
}

// planBenchmarks are the packages with the benchmarks of plans.
var planBenchmarks = []struct{ pkg, pattern, time string }{
	{"./host/internal/generation", "^BenchmarkGeneration$", "3x"},
	{"./host/internal/plan", "^BenchmarkCompile$", "10x"},
	{"./host/internal/plan", "^BenchmarkLookup$", "500ms"},
	{"./host/internal/router", "^BenchmarkMatch$", "300ms"},
}

// planTarget is what a lookup with ordering rules may take of one without; routeTarget what finding one of 10,000 routes may take of one of 10.
const (
	planTarget  = 1.05
	routeTarget = 1.5
)

// Options of a run.
type Options struct {
	Rounds   int
	Results  string // directory of the files
	Command  string // what one types to run this again
	Progress io.Writer
}

// Run runs the benchmarks, each round in processes of its own, prints the table to out and writes the files. What misses a target is an error
// that comes after that.
func Run(ctx context.Context, o Options, out io.Writer) error {
	if _, err := os.Stat("host/internal/plan"); err != nil {
		return errors.New("found no host/internal/plan here: --plans runs Go benchmarks, in the directory of a checkout")
	}
	r := Report{
		Date: time.Now(), Commit: runner.Commit(ctx), Command: o.Command, Machine: runner.Machine(),
		Version: map[string]string{"go": strings.TrimPrefix(runtime.Version(), "go")}, Rounds: o.Rounds, Benchmarks: map[string]map[string]stats.Spread{},
	}
	found := map[string]map[string][]float64{}
	for i := range o.Rounds {
		fmt.Fprintf(o.Progress, "round %d of %d\n", i+1, o.Rounds)
		for _, b := range planBenchmarks {
			cmd := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", b.pattern, "-benchtime", b.time, b.pkg)
			said, err := cmd.CombinedOutput()
			if err != nil {
				return fmt.Errorf("running the benchmarks of %s: %w\n%s", b.pkg, err, said)
			}
			if err := readBenchmarks(string(said), found); err != nil {
				return fmt.Errorf("reading the benchmarks of %s: %w", b.pkg, err)
			}
		}
	}
	for name, measures := range found {
		r.Benchmarks[name] = map[string]stats.Spread{}
		for measure, values := range measures {
			r.Benchmarks[name][measure] = stats.SpreadOf(values)
		}
	}
	path, err := r.write(o.Results)
	if err != nil {
		return fmt.Errorf("writing the results: %w", err)
	}
	fmt.Fprintf(o.Progress, "written: %s, and the same with .json\n", path)
	if _, err := io.WriteString(out, r.markdown()); err != nil {
		return err
	}
	return r.missed()
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
func (r *Report) write(dir string) (string, error) {
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
func (r *Report) missed() error {
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
	if few, many := r.route(routeKinds[0], 10).Median, r.route(routeKinds[0], 10_000).Median; few > 0 && many/few > routeTarget {
		missed = append(missed, fmt.Sprintf("routes: found %.2f times the time with 10,000 routes, expected at most %.2f", many/few, routeTarget))
	}
	if len(missed) > 0 {
		return fmt.Errorf("plans: %s", strings.Join(missed, "; "))
	}
	return nil
}

// markdown is the report for people.
func (r *Report) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Benchmark of plans of %s, commit %s\n\n", r.Date.Format(time.DateOnly), r.Commit)
	fmt.Fprintf(&b, "`%s` on %s, %d cores, %s of memory, Linux %s; %s.\n\n", r.Command, r.Machine.CPU, r.Machine.Cores, report.GiB(r.Machine.Memory), r.Machine.Kernel,
		report.Versions(r.Version))
	fmt.Fprintf(&b, "10,000 routes of 1,000 services, 1,000 consumers in 100 groups, 2,000 plugin records of 20 plugins. Each figure is the median of %d rounds, "+
		"with the smallest and the largest. Within a round the orderings take turns, in one process; ratios are taken from turn to turn. The rules are four, "+
		"on records of all: each moves a plugin three places forward in access.\n\n", r.Rounds)

	b.WriteString("## Building\n\n| | no rules | legacy | × no rules |\n|---|---|---|---|\n")
	g := r.Benchmarks["Generation"]
	fmt.Fprintf(&b, "| reading the document, ms | %s | %s | |\n", report.Text(g["none-read-ns"].Scaled(1e-6), 0), report.Text(g["legacy-read-ns"].Scaled(1e-6), 0))
	fmt.Fprintf(&b, "| building the generation, ms | %s | %s | %s |\n", report.Text(g["none-ns"].Scaled(1e-6), 0), report.Text(g["legacy-ns"].Scaled(1e-6), 0), report.Text(g["legacy-ratio"], 2))
	fmt.Fprintf(&b, "| bytes of a generation with its entities, MiB | %s | %s | |\n", report.Text(g["none-bytes"].Scaled(1.0/(1<<20)), 1), report.Text(g["legacy-bytes"].Scaled(1.0/(1<<20)), 1))
	c := r.Benchmarks["Compile"]
	fmt.Fprintf(&b, "| of it: compiling the plans, ms | %s | %s | %s |\n", report.Text(c["none-ns"].Scaled(1e-6), 1), report.Text(c["legacy-ns"].Scaled(1e-6), 1), report.Text(c["legacy-ratio"], 2))
	fmt.Fprintf(&b, "| of it: bytes of the plans, MiB | %s | %s | |\n", report.Text(c["none-bytes"].Scaled(1.0/(1<<20)), 1), report.Text(c["legacy-bytes"].Scaled(1.0/(1<<20)), 1))

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
			fmt.Fprintf(&b, " %s", report.Text(m[o.name+"-ns"], 1))
			if i > 0 {
				fmt.Fprintf(&b, " × %s", report.Text(m[o.name+"-ratio"], 2))
			}
			b.WriteString(" |")
			allocs = max(allocs, m[o.name+"-allocs"].Max)
		}
		fmt.Fprintf(&b, " %s |\n", strconv.FormatFloat(allocs, 'g', 4, 64))
	}
	b.WriteString("\n## Routes\n\nNanoseconds to find the route of a request.\n\n| | 10 routes | 10,000 routes | × 10 routes, at most 1.5 |\n|---|---|---|---|\n")
	for _, kind := range routeKinds {
		few, many := r.route(kind, 10), r.route(kind, 10_000)
		fmt.Fprintf(&b, "| %s | %s | %s | %.2f |\n", strings.ReplaceAll(kind, "_", " "), report.Text(few, 1), report.Text(many, 1), many.Median/few.Median)
	}
	return b.String()
}

// routeKinds are the rows of the table of routes: only the first has a target. Requests for all routes in turn also pay for a processor's caches.
var routeKinds = []string{"one_request", "all_in_turn"}

func (r *Report) route(kind string, routes int) stats.Spread {
	return r.Benchmarks[fmt.Sprintf("Match/%s/routes=%d", kind, routes)]["ns/op"]
}
