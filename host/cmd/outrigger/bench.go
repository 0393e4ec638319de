package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/outrigger-gateway/outrigger/bench"
	"github.com/outrigger-gateway/outrigger/bench/roles"
	"github.com/outrigger-gateway/outrigger/bench/runner"
	"github.com/outrigger-gateway/outrigger/bench/scenario"
	"github.com/outrigger-gateway/outrigger/host/internal/authoring"
	"github.com/outrigger-gateway/outrigger/host/internal/transport/lanebench"
)

const benchUsage = `outrigger bench measures what plugins cost on this machine: gateway, plugin servers, upstream and load generator are processes of this program.

Usage:
  outrigger bench [--quick] [--json] [--scenarios NAMES] [--results DIR] ...
  outrigger bench --settings outrigger.yaml [--config gateway.yaml] [--request "GET /path"] [-H "Name: value"] ...
  outrigger bench compare OLD.json NEW.json [--tolerance 0.05]
  outrigger bench --plans

Without flags it runs all scenarios, which takes about twenty minutes, and writes tables, charts and a JSON file into a directory. Needs Linux;
plugins in Python and JavaScript need Python 3.11 and Node.js 20, and take the network once, for the packages that the SDKs need.

  --quick               3 rounds of the scenario quick: less than two minutes
  --json                print {"results": [...]} instead of the table: medians, for programs
  --scenarios NAMES     with commas: %s,
                        or paths of your own, such as ./mine.yaml
  --variant TEXT        only the baseline and the variants with this text in their names; may be given again
  --connections NUMBERS only loads with these numbers of connections, with commas
  --rounds 5            interleaved rounds; --time 800ms is the length of one measurement, --warm-up 500ms that of the load before the first round
  --results DIR         where files go: for a run of everything bench/results in a checkout, else bench-results; without it other runs write none
  --profiles DIR        take CPU profiles of gateways and Go plugin servers after the last round, of --profile-time 10s
  --cache DIR           where plugins in Python and JavaScript, and peers, are prepared once; outrigger/bench in your cache directory
  --plans               instead: what it takes to build and look up plans and to find routes; in a checkout

What will my plugins cost? --settings and --config name a configuration of yours: it is measured without plugins, with each alone, and with all.
--request and -H say what is sent, beside the headers of a browser. Services are sent to an upstream of the benchmark's; --own-upstreams leaves
them where they point to.

compare says what got better or worse from one run to another: exit code 1 when something got worse by more than the tolerance, and by more than the
spreads of both runs.

Exit code 0: everything was measured; 1: a point is invalid because of errors, or something could not be started; 2: the command line is wrong.
docs/guides/benchmarks.md says how it measures and how to read it.
`

// benchCommand is outrigger bench.
func benchCommand(args []string, out, errOut io.Writer) int {
	if slices.Contains(args, "--help") || slices.Contains(args, "-h") {
		return help([]string{"bench"}, out, errOut)
	}
	if len(args) > 0 && args[0] == "compare" {
		return benchCompare(args[1:], out, errOut)
	}
	o, err := parseBench(args)
	if err != nil {
		fmt.Fprintf(errOut, "outrigger bench: %v\nSee: outrigger help bench\n", err)
		return exitUsage
	}
	o.Command = commandLine(append([]string{"outrigger", "bench"}, args...))
	if err := placeRunner(&o.Runner); err != nil {
		return failAs(o.JSON, out, errOut, err)
	}
	o.Runner.Progress, o.Runner.IdleFor = errOut, 6*time.Second
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	run := bench.Run
	if o.Plans {
		run = bench.RunPlans
	}
	if err := run(ctx, o, out); err != nil {
		return failAs(o.JSON, out, errOut, fmt.Errorf("outrigger bench: %w", err))
	}
	return exitOK
}

// benchCompare is outrigger bench compare.
func benchCompare(args []string, out, errOut io.Writer) int {
	tolerance := 0.05
	value, files, err := takeValue(args, "--tolerance")
	if err == nil && value != "" {
		if tolerance, err = strconv.ParseFloat(value, 64); err != nil || !(tolerance >= 0 && tolerance <= 10) {
			err = fmt.Errorf("--tolerance is %q: expected a share such as 0.05", value)
		}
	}
	if err != nil {
		fmt.Fprintf(errOut, "outrigger bench compare: %v\nSee: outrigger help bench\n", err)
		return exitUsage
	}
	if len(files) != 2 {
		fmt.Fprintf(errOut, "outrigger bench compare: found %d files; expected two: OLD.json NEW.json\nSee: outrigger help bench\n", len(files))
		return exitUsage
	}
	worse, err := bench.Compare(files[0], files[1], tolerance, out)
	if err != nil {
		return fail(errOut, fmt.Errorf("outrigger bench compare: %w", err))
	}
	if worse > 0 {
		return exitFailed
	}
	return exitOK
}

// placeRunner says where this program and its cache are, and how plugin directories are prepared.
func placeRunner(r *runner.Runner) error {
	var err error
	if r.Program, err = os.Executable(); err != nil {
		return err
	}
	if r.Cache == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return fmt.Errorf("looking for a directory for the plugins of the benchmark: %w; say one with --cache", err)
		}
		r.Cache = filepath.Join(cache, "outrigger", "bench")
	}
	if r.Cache, err = filepath.Abs(r.Cache); err != nil {
		return err
	}
	r.Prepare = func(ctx context.Context, dir string, out io.Writer) ([]string, error) {
		command, _, err := authoring.Prepare(ctx, dir, out)
		return command, err
	}
	r.SDK = func(language string) (string, error) { return authoring.SDK(authoring.Language(language)) }
	return nil
}

// parseBench reads the command line. What is given stays, beside --quick too.
func parseBench(args []string) (bench.Options, error) {
	var o bench.Options
	var own scenario.OwnOptions
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.BoolVar(&o.Quick, "quick", false, "")
	flags.BoolVar(&o.JSON, "json", false, "")
	flags.BoolVar(&o.Plans, "plans", false, "")
	flags.IntVar(&o.Runner.Rounds, "rounds", 5, "")
	flags.DurationVar(&o.Runner.Sample, "time", 800*time.Millisecond, "")
	flags.DurationVar(&o.Runner.WarmUp, "warm-up", 500*time.Millisecond, "")
	flags.StringVar(&o.Results, "results", "", "")
	flags.StringVar(&o.Runner.Cache, "cache", "", "")
	flags.StringVar(&o.Runner.Profiles, "profiles", "", "")
	flags.DurationVar(&o.Runner.Profile, "profile-time", 10*time.Second, "")
	scenarios := flags.String("scenarios", "", "")
	connections := flags.String("connections", "", "")
	flags.Func("variant", "", func(text string) error {
		o.Variants = append(o.Variants, text)
		return nil
	})
	flags.StringVar(&own.Settings, "settings", "", "")
	flags.StringVar(&own.Config, "config", "", "")
	flags.BoolVar(&own.KeepUpstreams, "own-upstreams", false, "")
	request := flags.String("request", "", "")
	var headers []string
	flags.Func("H", "", func(text string) error {
		headers = append(headers, text)
		return nil
	})
	if err := flags.Parse(args); err != nil {
		return o, flagError(err, flags)
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("found the argument %q%s; expected flags, or compare OLD.json NEW.json", flags.Arg(0), suggest("", flags.Arg(0), []string{"compare"}))
	}
	given := map[string]bool{}
	flags.Visit(func(f *flag.Flag) { given[f.Name] = true })
	if o.Plans {
		for name := range given {
			if !slices.Contains([]string{"plans", "rounds", "results"}, name) {
				return o, fmt.Errorf("found %s beside --plans: expected --rounds and --results at most", flagName(name))
			}
		}
	}
	if o.Quick && !given["rounds"] {
		o.Runner.Rounds = 3
	}
	if o.Runner.Rounds < 1 || o.Runner.Rounds > 1000 {
		return o, fmt.Errorf("--rounds is %d: expected 1 to 1000", o.Runner.Rounds)
	}
	for name, d := range map[string]time.Duration{"time": o.Runner.Sample, "warm-up": o.Runner.WarmUp, "profile-time": o.Runner.Profile} {
		if d < 100*time.Millisecond || d > time.Hour {
			return o, fmt.Errorf("--%s is %s: expected 100ms to 1h", name, d)
		}
	}
	o.Scenarios = commaList(*scenarios)
	for _, w := range commaList(*connections) {
		n, err := strconv.Atoi(w)
		if err != nil || n < 1 || n > 10000 {
			return o, fmt.Errorf("--connections has %q: expected numbers from 1 to 10000", w)
		}
		o.Connections = append(o.Connections, n)
	}
	part := o.Quick || given["scenarios"] || given["variant"] || given["connections"] || given["settings"] || given["config"]
	if o.Results == "" && !part {
		o.Results = defaultResults()
	}
	if o.Runner.Profiles != "" {
		var err error
		if o.Runner.Profiles, err = filepath.Abs(o.Runner.Profiles); err != nil {
			return o, err
		}
	}
	if given["settings"] || given["config"] {
		if given["scenarios"] || given["variant"] {
			return o, errors.New("found --scenarios or --variant beside --settings or --config: expected the scenarios of the program, or a configuration of your own")
		}
		var err error
		if own.Request, err = ownRequest(*request, headers); err != nil {
			return o, err
		}
		if own.Connections = o.Connections; len(own.Connections) == 0 {
			own.Connections = []int{64, 1}
		}
		o.Own = &own
	} else if given["request"] || given["H"] || given["own-upstreams"] {
		return o, errors.New("found --request, -H or --own-upstreams without --settings or --config: expected the configuration that the request is for")
	}
	return o, nil
}

// defaultResults is bench/results in a checkout, else a directory here.
func defaultResults() string {
	if _, err := os.Stat(filepath.Join("bench", "results")); err == nil {
		return filepath.Join("bench", "results")
	}
	return "bench-results"
}

// ownRequest reads "GET /path" and the headers "Name: value"; what a browser sends is sent too.
func ownRequest(text string, headers []string) (scenario.Request, error) {
	r := scenario.DefaultRequest()
	if text != "" {
		words := strings.Fields(text)
		switch len(words) {
		case 1:
			r.Path = words[0]
		case 2:
			r.Method, r.Path = words[0], words[1]
		default:
			return r, fmt.Errorf("--request is %q: expected a method and a path such as \"GET /orders\"", text)
		}
	}
	for _, h := range headers {
		name, value, ok := strings.Cut(h, ":")
		if !ok || strings.TrimSpace(name) == "" {
			return r, fmt.Errorf("-H is %q: expected a name and a value such as \"apikey: secret\"", h)
		}
		for known := range r.Headers {
			if strings.EqualFold(known, strings.TrimSpace(name)) {
				delete(r.Headers, known)
			}
		}
		r.Headers[strings.TrimSpace(name)] = strings.TrimSpace(value)
	}
	return r, nil
}

// flagError says which flag was meant.
func flagError(err error, flags *flag.FlagSet) error {
	name, unknown := strings.CutPrefix(err.Error(), "flag provided but not defined: -")
	if !unknown {
		if m := wrongValue.FindStringSubmatch(err.Error()); m != nil {
			expected := "a length of time such as 800ms or 2s"
			if m[2] == "rounds" {
				expected = "a whole number"
			}
			return fmt.Errorf("--%s is %s: expected %s", m[2], m[1], expected)
		}
		if name, lacks := strings.CutPrefix(err.Error(), "flag needs an argument: -"); lacks {
			return fmt.Errorf("%s has no value", flagName(strings.TrimPrefix(name, "-")))
		}
		return err
	}
	var known []string
	flags.VisitAll(func(f *flag.Flag) { known = append(known, f.Name) })
	return fmt.Errorf("unknown flag --%s%s", strings.TrimPrefix(name, "-"), suggest("--", strings.TrimPrefix(name, "-"), known))
}

// wrongValue is what package flag says of a number or a length of time that it cannot read.
var wrongValue = regexp.MustCompile(`^invalid value (".*") for flag -(rounds|time|warm-up|profile-time): parse error$`)

// flagName writes a flag as one types it.
func flagName(name string) string {
	if len(name) == 1 {
		return "-" + name
	}
	return "--" + name
}

// commaList splits a list with commas.
func commaList(s string) []string {
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
	words := slices.Clone(args)
	for i, a := range words {
		if strings.ContainsAny(a, " \t*?$\"'\\") {
			words[i] = strconv.Quote(a)
		}
	}
	return strings.Join(words, " ")
}

// benchRole is a process of the benchmark.
func benchRole(args []string, out, errOut io.Writer) int {
	var err error
	if len(args) > 0 && args[0] == "lane" {
		err = lanebench.Run(args[1:], out)
	} else {
		err = roles.Run(args)
	}
	if err != nil {
		return fail(errOut, err)
	}
	return exitOK
}
