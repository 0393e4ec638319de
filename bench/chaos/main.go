// Command chaos lets faults come over real gateways with real plugin servers in three languages, over both carriers, under constant
// load, and judges every answer. The faults are the table in faults.go; what a right answer is says judge.go. It ends with exit code 1 when an answer was
// wrong, something leaked, a gateway did not recover, or a row is missing. See docs/chaos.md.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// options are the flags.
type options struct {
	repo, out, gateway       string
	fault, language, carrier string // parts of names; empty: all
	rate                     float64
	soak                     time.Duration
	seed                     uint64
	withoutRoot              bool
}

func main() {
	var o options
	flag.StringVar(&o.repo, "repo", ".", "root of the repository")
	flag.StringVar(&o.gateway, "gateway", "bin/outrigger", "program of the gateway")
	flag.StringVar(&o.out, "out", "build/chaos", "directory for table, figures and logs")
	flag.StringVar(&o.fault, "fault", "", "only faults whose names contain this")
	flag.StringVar(&o.language, "language", "", "only this language")
	flag.StringVar(&o.carrier, "carrier", "", "only this carrier")
	flag.Float64Var(&o.rate, "rate", 25, "requests a second for each language and carrier")
	flag.DurationVar(&o.soak, "soak", 0, "instead of the rows: a random fault every second for so long")
	flag.Uint64Var(&o.seed, "seed", 0, "of the random faults; 0: a new one, which is printed")
	flag.BoolVar(&o.withoutRoot, "without-root", false, "rows that need root may be missing")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "chaos: found the argument %q, expected flags only\n", flag.Arg(0))
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	passed, err := run(ctx, &o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
	}
	if err != nil || !passed {
		os.Exit(1)
	}
}

// run does everything. What it started has ended when it returns.
func run(ctx context.Context, o *options) (passed bool, err error) {
	set, err := prepare(o)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(set.dir)) }()
	up, err := startUpstream()
	if err != nil {
		return false, err
	}
	defer up.close()
	set.upstream = up.address
	p := &report{Name: "chaos", Started: time.Now()}
	var expected []string
	if o.soak > 0 {
		p.Name = "soak"
		runSoak(ctx, o, set, p)
	} else {
		expected = runRows(ctx, o, set, p)
	}
	if ctx.Err() != nil {
		p.Errors = append(p.Errors, "interrupted")
	}
	p.Seconds = time.Since(p.Started).Seconds()
	p.finish(expected, o.withoutRoot)
	if err := p.write(o.out); err != nil {
		return false, err
	}
	p.print()
	return p.Totals.Passed, nil
}

// prepare makes the directories.
func prepare(o *options) (*setup, error) {
	repo, err := filepath.Abs(o.repo)
	if err != nil {
		return nil, err
	}
	for _, needed := range []string{"bin/chaos-go", ".venv/bin/python", "examples/js/node_modules/.bin/outrigger-js"} {
		if _, err := os.Stat(filepath.Join(repo, needed)); err != nil {
			return nil, fmt.Errorf("%w; make chaos builds it", err)
		}
	}
	gateway, err := filepath.Abs(o.gateway)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(gateway); err != nil {
		return nil, fmt.Errorf("%w; make chaos builds it", err)
	}
	logs := filepath.Join(o.out, "logs")
	if err := errors.Join(os.RemoveAll(logs), os.MkdirAll(logs, 0o755)); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "chaos") // short: paths of sockets are
	if err != nil {
		return nil, err
	}
	return &setup{repo: repo, program: gateway, dir: dir, logs: logs, rate: o.rate}, nil
}

// chosen are the faults, languages and carriers that the flags name.
func (o *options) chosen() (f []fault, l, c []string) {
	for _, x := range faults() {
		if strings.Contains(x.name, o.fault) {
			f = append(f, x)
		}
	}
	pick := func(all []string, one string) []string {
		if one == "" {
			return all
		}
		return []string{one}
	}
	return f, pick(languages, o.language), pick(carriers, o.carrier)
}

// print shows what is wrong, the table, and the last line.
func (p *report) print() {
	fmt.Println()
	fmt.Print(p.table())
	fmt.Println()
	for i := range p.Rows {
		r := &p.Rows[i]
		for _, reason := range r.Reasons {
			fmt.Printf("wrong: %s: %s\n", r.key(), reason)
		}
		if r.NotRun != "" {
			continue // it is missing, or excused
		}
		for _, problem := range r.problems() {
			fmt.Printf("failed: %s: %s\n", r.key(), problem)
		}
	}
	for _, key := range p.Missing {
		fmt.Println("missing:", key)
	}
	for _, e := range p.Errors {
		fmt.Println("error:", e)
	}
	fmt.Println(p.lastLine())
}
