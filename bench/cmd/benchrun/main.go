// Command benchrun runs the scenarios of bench/scenarios and writes a table and a JSON file into bench/results. bench/run.sh builds what it
// needs and calls it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "benchrun:", err)
		}
		os.Exit(1)
	}
}

// options of the command line.
type options struct {
	runner      runner
	scenarios   []string
	variants    []string
	connections []int
	results     string
	quick       bool
	onlyPlans   bool
}

// parseOptions reads the command line. --quick changes the defaults of the lengths, so what is given stays.
func parseOptions(args []string, errOut io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("bench/run.sh", flag.ContinueOnError)
	flags.SetOutput(errOut)
	flags.StringVar(&o.runner.root, "root", ".", "the project's `directory`")
	flags.BoolVar(&o.quick, "quick", false, "2 rounds of 1 s after 1 s of warm-up: under two minutes, to see whether everything works")
	flags.BoolVar(&o.onlyPlans, "plans", false, "instead of the scenarios: what it takes to build plans and to look them up, in one to two minutes")
	flags.IntVar(&o.runner.rounds, "rounds", 5, "interleaved `rounds`")
	flags.DurationVar(&o.runner.sample, "time", 2*time.Second, "`length` of one measurement, whole seconds")
	flags.DurationVar(&o.runner.warmUp, "warm-up", 3*time.Second, "`length` of the load on every variant before the first round, whole seconds")
	flags.StringVar(&o.results, "results", "", "`directory` of the results (default bench/results)")
	flags.StringVar(&o.runner.profiles, "profiles", "", "take CPU profiles into this `directory` after the last round, at the largest number of connections")
	flags.DurationVar(&o.runner.profile, "profile-time", 10*time.Second, "`length` of the load of a profile, whole seconds")
	scenarios := flags.String("scenarios", "", "`names` of the scenarios, with commas (default all)")
	flags.Func("variant", "only the baseline and the variants with this `text` in their names; may be given again", func(text string) error {
		o.variants = append(o.variants, text)
		return nil
	})
	connections := flags.String("connections", "", "`numbers` of connections, with commas, instead of the scenario's")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("found the argument %q, expected flags only", flags.Arg(0))
	}
	given := map[string]bool{}
	flags.Visit(func(f *flag.Flag) { given[f.Name] = true })
	if o.quick {
		for name, value := range map[string]string{"rounds": "2", "time": "1s", "warm-up": "1s"} {
			if !given[name] {
				if err := flags.Set(name, value); err != nil {
					return o, err
				}
			}
		}
	}
	if o.runner.rounds < 1 || o.runner.rounds > 1000 {
		return o, fmt.Errorf("--rounds is %d: expected 1 to 1000", o.runner.rounds)
	}
	for name, d := range map[string]time.Duration{"time": o.runner.sample, "warm-up": o.runner.warmUp, "profile-time": o.runner.profile} {
		if d < time.Second || d > time.Hour || d%time.Second != 0 {
			return o, fmt.Errorf("--%s is %s: expected whole seconds, 1s to 1h", name, d)
		}
	}
	o.scenarios = words(*scenarios)
	for _, w := range words(*connections) {
		n, err := strconv.Atoi(w)
		if err != nil || n < 1 || n > 10000 {
			return o, fmt.Errorf("--connections has %q: expected numbers from 1 to 10000", w)
		}
		o.connections = append(o.connections, n)
	}
	var err error
	if o.runner.root, err = filepath.Abs(o.runner.root); err != nil {
		return o, err
	}
	if o.results == "" {
		o.results = filepath.Join(o.runner.root, "bench", "results")
	}
	if o.runner.profiles != "" {
		if o.runner.profiles, err = filepath.Abs(o.runner.profiles); err != nil {
			return o, err
		}
	}
	return o, nil
}

// words splits a list with commas.
func words(s string) []string {
	var list []string
	for w := range strings.SplitSeq(s, ",") {
		if w = strings.TrimSpace(w); w != "" {
			list = append(list, w)
		}
	}
	return list
}

// commandLine is what one types to run this again.
func commandLine(args []string) string {
	line := "bench/run.sh"
	for _, a := range args {
		if strings.ContainsAny(a, " \t*?$\"'\\") {
			a = strconv.Quote(a)
		}
		line += " " + a
	}
	return line
}

func run(ctx context.Context, args []string, out, progress io.Writer) (err error) {
	o, err := parseOptions(args, progress)
	if err != nil {
		return err
	}
	if o.onlyPlans {
		o.runner.progress = progress
		text, path, err := o.plans(ctx, args)
		if path != "" {
			fmt.Fprintf(out, "%s\n", text)
			o.runner.say("written: %s, and the same with .json", path)
		}
		return err
	}
	if _, err := exec.LookPath("wrk"); err != nil {
		return fmt.Errorf("the load generator wrk is missing: bench/run.sh installs it: %w", err)
	}
	scenarios, err := loadScenarios(filepath.Join(o.runner.root, "bench", "scenarios"), o.scenarios)
	if err != nil {
		return err
	}
	for i := range scenarios {
		scenarios[i].narrow(o.variants, o.connections)
	}
	r := &o.runner
	r.progress = progress
	if r.scratch, err = os.MkdirTemp("", "outrigger-bench-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(r.scratch)) }()
	if r.profiles != "" {
		if err := os.MkdirAll(r.profiles, 0o755); err != nil {
			return err
		}
	}
	estimate := r.estimate(scenarios)
	r.say("%d scenarios, about %s", len(scenarios), estimate.Round(time.Second))
	ctx, cancel := context.WithTimeoutCause(ctx, 2*estimate+5*time.Minute, errors.New("the run took more than twice as long as expected"))
	defer cancel()

	report := Report{
		Date: time.Now(), Commit: commit(ctx, r.root), Command: commandLine(args),
		Machine: describeMachine(), Versions: toolVersions(ctx, r.root), Rounds: r.rounds, SampleSeconds: r.sample.Seconds(),
	}
	var invalid []string
	for i := range scenarios {
		result, err := r.scenario(ctx, &scenarios[i])
		if err != nil {
			if cause := context.Cause(ctx); cause != nil {
				return fmt.Errorf("scenario %s: stopped: %w", scenarios[i].Name, cause)
			}
			return fmt.Errorf("scenario %s: %w", scenarios[i].Name, err)
		}
		report.Scenarios = append(report.Scenarios, result)
		invalid = append(invalid, result.problems()...)
	}
	path, err := report.write(o.results)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%s\n", report.markdown())
	r.say("written: %s, and the same with .json", path)
	if len(invalid) > 0 {
		return fmt.Errorf("%d invalid %s: %s", len(invalid), plural(len(invalid), "point"), strings.Join(invalid, "; "))
	}
	return nil
}
