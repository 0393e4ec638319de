// Package bench is outrigger bench: it chooses scenarios, runs them, and writes what was found.
//
//	scenario   what is asked, as data; scenarios/ has the questions of the program, targets.yaml what should be found
//	runner     starts the processes and takes the samples
//	roles      what those processes do: gateway, plugin server, upstream (package upstream), load generator (package load)
//	plugins    the plugins that are measured, in three languages
//	plans      Go benchmarks of what a request pays for its route and plan
//	report     figures, targets, files, comparison; stats and chart help it
package bench

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/outrigger-gateway/outrigger/bench/plans"
	"github.com/outrigger-gateway/outrigger/bench/report"
	"github.com/outrigger-gateway/outrigger/bench/runner"
	"github.com/outrigger-gateway/outrigger/bench/scenario"
)

//go:embed scenarios/*.yaml
var files embed.FS

//go:embed targets.yaml
var targets []byte

// Options of a run.
type Options struct {
	// Runner has its lengths, its cache and how plugin directories are prepared.
	Runner runner.Runner
	// Scenarios are names of the program's, or paths of files of the user's; none: all but Quick.
	Scenarios []string
	// Quick runs the scenario of that name if no other is named.
	Quick bool
	// Own, if not nil, asks what the plugins of a user's configuration cost, instead of any scenario.
	Own *scenario.OwnOptions
	// Plans runs package plans instead.
	Plans bool
	// Variants and Connections narrow the scenarios; see scenario.Narrow.
	Variants    []string
	Connections []int
	// Results is the directory of the files; "": none are written.
	Results string
	// JSON prints the brief results instead of the table.
	JSON bool
	// Command is what one types to run this again.
	Command string
}

// Names lists the scenarios of the program.
func Names() []string {
	entries, err := files.ReadDir("scenarios")
	if err != nil {
		panic(err) // it is embedded
	}
	var names []string
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(e.Name(), ".yaml"))
	}
	return names
}

const quick = "quick"

// scenarios that the options name.
func (o *Options) scenarios() ([]*scenario.Scenario, error) {
	if o.Own != nil {
		s, err := scenario.OwnScenario(*o.Own)
		if err != nil {
			return nil, err
		}
		return []*scenario.Scenario{s}, nil
	}
	names := o.Scenarios
	switch {
	case len(names) > 0:
	case o.Quick:
		names = []string{quick}
	default:
		names = slices.DeleteFunc(Names(), func(name string) bool { return name == quick })
	}
	var list []*scenario.Scenario
	for _, name := range names {
		s, err := read(name)
		if err != nil {
			return nil, err
		}
		if err := report.Draws(s); err != nil { // not after it was measured
			return nil, err
		}
		if err := s.Narrow(o.Variants, o.Connections); err != nil {
			return nil, err
		}
		list = append(list, s)
	}
	return list, nil
}

// read reads a scenario of the program by its name, or one of the user's by its path.
func read(name string) (*scenario.Scenario, error) {
	if strings.HasSuffix(name, ".yaml") || strings.HasSuffix(name, ".yml") || strings.Contains(name, "/") {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("reading a scenario: %w", err)
		}
		return scenario.Parse(strings.TrimSuffix(filepath.Base(name), filepath.Ext(name)), text)
	}
	text, err := files.ReadFile(path.Join("scenarios", name+".yaml"))
	if errors.Is(err, fs.ErrNotExist) {
		known := Names()
		return nil, fmt.Errorf("unknown scenario %q%s; expected %s, or a path such as ./mine.yaml", name, scenario.Nearest(name, known), strings.Join(known, ", "))
	}
	if err != nil {
		return nil, err
	}
	return scenario.Parse(name, text)
}

// Run runs the scenarios and writes what was found: the table or the brief results to out, files into the directory of the results. The error
// of points that are invalid comes after that.
func Run(ctx context.Context, o Options, out io.Writer) (err error) {
	scenarios, err := o.scenarios()
	if err != nil {
		return err
	}
	wanted, err := report.ParseTargets(targets)
	if err != nil {
		return err
	}
	var peers []scenario.Peer
	if _, err := os.Stat(runner.PeersFile); err == nil {
		if peers, err = scenario.LoadPeers(runner.PeersFile); err != nil {
			return err
		}
	}
	r := &o.Runner
	defer func() { err = errors.Join(err, r.Close()) }()
	if err := r.Open(ctx, scenarios, peers); err != nil {
		return err
	}
	estimate := r.Estimate(scenarios)
	fmt.Fprintf(r.Progress, "%d %s, about %s\n", len(scenarios), plural(len(scenarios), "scenario"), estimate.Round(time.Second))
	ctx, cancel := context.WithTimeoutCause(ctx, 3*estimate+10*time.Minute, errors.New("the run took more than three times as long as expected"))
	defer cancel()
	found := &report.Report{
		Date: time.Now(), Commit: runner.Commit(ctx), Command: o.Command, Machine: runner.Machine(), Versions: r.Versions(ctx), Rounds: r.Rounds,
		SampleSeconds: r.Sample.Seconds(), Failed: map[string]string{},
	}
	var failed []error
	var invalid []string
	for _, s := range scenarios {
		result, err := r.Run(ctx, s)
		if err != nil {
			failed = append(failed, fmt.Errorf("scenario %s: %w", s.Name, err))
			found.Failed[s.Name], _, _ = strings.Cut(err.Error(), "\n")
			if ctx.Err() != nil {
				break
			}
			continue
		}
		found.Scenarios = append(found.Scenarios, result)
		invalid = append(invalid, result.Invalid()...)
	}
	if ctx.Err() != nil || len(found.Scenarios) == 0 {
		return errors.Join(failed...)
	}
	found.Skipped, found.Targets = r.Skipped(), found.Judge(wanted)
	if err := o.write(found, scenarios, out); err != nil {
		return errors.Join(append(failed, err)...)
	}
	if len(invalid) > 0 {
		failed = append(failed, fmt.Errorf("%d invalid %s: %s", len(invalid), plural(len(invalid), "point"), strings.Join(invalid, "; ")))
	}
	return errors.Join(failed...)
}

// RunPlans measures plans and routes instead of requests.
func RunPlans(ctx context.Context, o Options, out io.Writer) error {
	return plans.Run(ctx, plans.Options{Rounds: o.Runner.Rounds, Results: o.Results, Command: o.Command, Progress: o.Runner.Progress}, out)
}

// Compare prints what changed from one run to another, and says how much of it got worse by more than the tolerance, a share such as 0.05.
func Compare(older, newer string, tolerance float64, out io.Writer) (worse int, err error) {
	a, err := report.Read(older)
	if err != nil {
		return 0, err
	}
	b, err := report.Read(newer)
	if err != nil {
		return 0, err
	}
	c := report.Compare(a, b, tolerance)
	return c.Regressions(), c.Write(out, tolerance)
}

func (o *Options) write(found *report.Report, scenarios []*scenario.Scenario, out io.Writer) error {
	if o.Results != "" {
		path, err := found.Write(o.Results, scenarios)
		if err != nil {
			return fmt.Errorf("writing the results: %w", err)
		}
		fmt.Fprintf(o.Runner.Progress, "written: %s, with .json and charts beside it\n", path)
	}
	if o.JSON {
		return found.Brief().Write(out)
	}
	_, err := io.WriteString(out, found.Markdown())
	return err
}

func plural(n int, word string) string {
	if n == 1 {
		return word
	}
	return word + "s"
}
