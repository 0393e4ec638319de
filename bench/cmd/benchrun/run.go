package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"time"
)

// runner runs scenarios.
type runner struct {
	root    string // the project's directory
	scratch string // a directory for the files of this run
	rounds  int
	sample  time.Duration // length of one measurement
	warmUp  time.Duration // load on every variant before the first round
	// profiles is where CPU profiles go, empty: none are taken; profile is the length of one.
	profiles string
	profile  time.Duration
	progress io.Writer
}

// estimate is about how long the scenarios take.
func (r *runner) estimate(scenarios []Scenario) time.Duration {
	const start, overhead = time.Second, 150 * time.Millisecond
	var all time.Duration
	for _, s := range scenarios {
		variants := time.Duration(len(s.Variants))
		all += variants * (start + r.warmUp)
		all += variants * time.Duration(len(s.Connections)*r.rounds) * (r.sample + overhead)
		if r.profiles != "" {
			all += variants * (r.profile + overhead)
		}
	}
	return all
}

// scenario runs one scenario: all its variants are up at the same time, and one of them has load.
func (r *runner) scenario(ctx context.Context, s *Scenario) (_ Result, err error) {
	r.say("%s: %s", s.Name, s.Question)
	upstream, err := launch(ctx, "upstream", r.scratch, nil, append(pinned(s.CPUs), filepath.Join(r.root, "bin", "benchupstream"))...)
	if err != nil {
		return Result{}, err
	}
	defer func() { err = errors.Join(err, upstream.stop()) }()
	var gateways []*gateway
	defer func() { err = errors.Join(err, stopAll(gateways)) }()
	for i := range s.Variants {
		g, err := r.startGateway(ctx, s, &s.Variants[i], upstream)
		if err != nil {
			return Result{}, err
		}
		gateways = append(gateways, g)
		if err := g.probe(ctx); err != nil {
			return Result{}, err
		}
	}
	for _, g := range gateways {
		if _, err := g.drive(ctx, slices.Max(s.Connections), r.warmUp); err != nil {
			return Result{}, fmt.Errorf("warming up: %w", err)
		}
	}
	samples, err := r.measure(ctx, s, gateways)
	if err != nil {
		return Result{}, err
	}
	if err := r.takeProfiles(ctx, s, gateways); err != nil {
		return Result{}, err
	}
	points := summarise(s, samples)
	// What was proved before the first round must still hold after the last.
	for _, g := range gateways {
		if err := g.probe(ctx); err != nil {
			for i := range points {
				if points[i].Variant == g.variant.Name {
					points[i].Problems = append(points[i].Problems, "after the last round: "+err.Error())
				}
			}
		}
	}
	return Result{Name: s.Name, Question: s.Question, CPUs: s.CPUs, Baseline: s.Variants[0].Name, Points: points}, ctx.Err()
}

// measure takes the samples. A round measures every variant once at every number of connections; the order of the variants turns from round to
// round, so that none always follows the same other.
func (r *runner) measure(ctx context.Context, s *Scenario, gateways []*gateway) (map[key][]Sample, error) {
	samples := map[key][]Sample{}
	for round := range r.rounds {
		for _, n := range s.Connections {
			line := ""
			for i := range gateways {
				g := gateways[(i+round)%len(gateways)]
				x, err := g.measure(ctx, round+1, n, r.sample)
				if err != nil {
					return nil, err
				}
				k := key{n, g.variant.Name}
				samples[k] = append(samples[k], x)
				if x.valid() {
					line += fmt.Sprintf("  %s %s/s", g.variant.Name, number(x.PerSecond, 0))
				} else {
					line += fmt.Sprintf("  %s INVALID (%s%s)", g.variant.Name, x.Errors, x.Problem)
				}
			}
			r.say("%s: round %d of %d, %d %s:%s", s.Name, round+1, r.rounds, n, plural(n, "connection"), line)
		}
	}
	return samples, nil
}

func (r *runner) takeProfiles(ctx context.Context, s *Scenario, gateways []*gateway) error {
	if r.profiles == "" {
		return nil
	}
	for _, g := range gateways {
		r.say("%s: profile of %s into %s", s.Name, g.variant.Name, g.hostProfile)
		if err := g.profile(ctx, slices.Max(s.Connections), r.profile); err != nil {
			return err
		}
	}
	return nil
}

// stopAll ends gateways at the same time.
func stopAll(gateways []*gateway) error {
	results := make(chan error, len(gateways))
	for _, g := range gateways {
		go func() { results <- g.host.stop() }()
	}
	var errs []error
	for range gateways {
		errs = append(errs, <-results)
	}
	for _, g := range gateways {
		for _, pid := range g.servers {
			if st, err := readProcStat(pid); err == nil && st.Parent == g.host.pid() {
				errs = append(errs, fmt.Errorf("%s left process %d behind", g.host.name, pid))
			}
		}
	}
	return errors.Join(errs...)
}

func (r *runner) say(format string, args ...any) {
	fmt.Fprintf(r.progress, format+"\n", args...)
}

// problems lists the invalid points of a result.
func (s *Result) problems() []string {
	bad := map[string]bool{}
	for i := range s.Points {
		p := &s.Points[i]
		if !p.Valid() {
			bad[fmt.Sprintf("%s: %s at %d %s", s.Name, p.Variant, p.Connections, plural(p.Connections, "connection"))] = true
		}
	}
	return slices.Sorted(maps.Keys(bad))
}
