package main

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// runRows runs one fault after the other, each over all stages at the same time, and says which rows there should be.
func runRows(ctx context.Context, o *options, set *setup, p *report) (expected []string) {
	list, languages, carriers := o.chosen()
	var all []*stage
	defer func() { p.closeStages(all) }()
	for i := range list {
		f := &list[i]
		for _, language := range languages {
			for _, carrier := range carriers {
				expected = append(expected, (&row{Fault: f.name, Language: language, Carrier: carrier}).key())
			}
		}
		if ctx.Err() != nil {
			continue // its rows are missing
		}
		if f.needs != nil {
			if err := f.needs(); err != nil {
				p.skip(f, languages, carriers, err)
				continue
			}
		}
		if len(all) > 0 && all[0].variant != f.on {
			p.closeStages(all)
			all = nil
		}
		if len(all) == 0 {
			all = p.startStages(ctx, set, languages, carriers, f.on)
		}
		began := time.Now()
		rows := make([]row, len(all))
		var running sync.WaitGroup
		for i, s := range all {
			running.Go(func() { rows[i] = runRow(ctx, s, f) })
		}
		running.Wait()
		p.add(f, rows, time.Since(began))
		all = p.keepHealthy(all, rows)
	}
	return expected
}

// add takes the rows of a fault and prints a line about them.
func (p *report) add(f *fault, rows []row, took time.Duration) {
	p.Rows = append(p.Rows, rows...)
	var t counts
	worst := 0.0
	var bad []string
	for i := range rows {
		r := &rows[i]
		t.Requests += r.Requests
		t.Policy += r.Policy
		t.Wrong += r.Wrong
		worst = max(worst, r.Recovery)
		for _, problem := range r.problems() {
			bad = append(bad, fmt.Sprintf("  %s %s: %s", r.Language, r.Carrier, problem))
		}
	}
	fmt.Printf("%4.0fs  %-32s %5d requests, %4d by policy, %d wrong, recovery up to %.2f s (%.0f s)\n",
		time.Since(p.Started).Seconds(), f.name, t.Requests, t.Policy, t.Wrong, worst, took.Seconds())
	for _, line := range bad {
		fmt.Println(line)
	}
}

// skip adds rows that cannot run.
func (p *report) skip(f *fault, languages, carriers []string, why error) {
	fmt.Printf("%4.0fs  %-32s not run: %v\n", time.Since(p.Started).Seconds(), f.name, why)
	for _, language := range languages {
		for _, carrier := range carriers {
			p.Rows = append(p.Rows, row{Fault: f.name, Language: language, Carrier: carrier, NotRun: why.Error()})
		}
	}
}

// startStages starts a gateway for each language and carrier. One that does not start is an error, and its rows are missing.
func (p *report) startStages(ctx context.Context, set *setup, languages, carriers []string, v variant) (all []*stage) {
	var mu sync.Mutex
	var starting sync.WaitGroup
	slots := make([]*stage, len(languages)*len(carriers))
	for i, language := range languages {
		for j, carrier := range carriers {
			starting.Go(func() {
				s, err := startStage(ctx, set, language, carrier, v)
				if err != nil {
					mu.Lock()
					defer mu.Unlock()
					p.Errors = append(p.Errors, err.Error())
					return
				}
				slots[i*len(carriers)+j] = s
			})
		}
	}
	starting.Wait()
	for _, s := range slots {
		if s != nil {
			all = append(all, s)
		}
	}
	return all
}

// closeStages ends stages. What they leave behind is a leak.
func (p *report) closeStages(all []*stage) {
	var mu sync.Mutex
	var closing sync.WaitGroup
	for _, s := range all {
		closing.Go(func() {
			if err := s.close(); err != nil {
				mu.Lock()
				defer mu.Unlock()
				p.Errors = append(p.Errors, err.Error())
			}
		})
	}
	closing.Wait()
}

// keepHealthy leaves the stages alone when all have come through. Otherwise it ends them, so that the next fault meets healthy ones.
func (p *report) keepHealthy(all []*stage, rows []row) []*stage {
	for i := range rows {
		if len(rows[i].Errors) > 0 || rows[i].Leaks != nil {
			p.closeStages(all)
			return nil
		}
	}
	return all
}
