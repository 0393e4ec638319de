package main

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// soakStage is a stage in the course of a soak.
type soakStage struct {
	*stage
	deck  []*fault // what is still to come before every fault comes again
	first footprint
	calm  counts // between faults
	rows  map[string]*row
}

// wholeSoak is the row of a soak that belongs to no fault: requests between faults, and the growth from the start to the end.
const wholeSoak = "the whole soak"

// runSoak lets a random fault come over a random stage every second, and looks at the end whether anything has grown.
func runSoak(ctx context.Context, o *options, set *setup, p *report) {
	p.Seed = cmp.Or(o.seed, rand.Uint64())
	fmt.Printf("soak of %s, seed %d\n", o.soak, p.Seed)
	random := rand.New(rand.NewPCG(p.Seed, 0))
	list, languages, carriers := o.chosen()
	list = slices.DeleteFunc(list, func(f fault) bool { return f.alone })
	for i := range list {
		list[i].hold /= 2 // a stage is free again sooner
	}
	started := p.startStages(ctx, set, languages, carriers, plain)
	defer func() { p.closeStages(started) }()
	var all []*soakStage
	for _, s := range started {
		n := &soakStage{stage: s, rows: map[string]*row{}}
		var err error
		if n.first, err = s.rest(ctx); err != nil {
			p.Errors = append(p.Errors, s.name()+": "+err.Error())
			continue
		}
		all = append(all, n)
	}
	strikeAtRandom(ctx, o.soak, all, list, random)
	for _, s := range all {
		p.Rows = append(p.Rows, s.finish(ctx)...)
	}
}

// strikeAtRandom strikes once a second. Stages that have not recovered from the last fault are spared until they have, or until their time for it is up.
func strikeAtRandom(ctx context.Context, length time.Duration, all []*soakStage, list []fault, random *rand.Rand) {
	began := time.Now()
	free := slices.Clone(all)
	done := make(chan *soakStage, len(all))
	var striking sync.WaitGroup
	defer striking.Wait()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	blows, spared := 0, 0
	for second := 1; time.Since(began) < length; second++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for len(done) > 0 {
			free = append(free, <-done)
		}
		if len(free) == 0 {
			spared++
		} else {
			i := random.IntN(len(free))
			s := free[i]
			free = slices.Delete(free, i, i+1)
			f := s.draw(list, random)
			blows++
			striking.Go(func() {
				s.suffer(ctx, f)
				done <- s
			})
		}
		if second%10 == 0 {
			fmt.Printf("%5.0fs  %d faults, %d seconds without a stage that had recovered\n", time.Since(began).Seconds(), blows, spared)
		}
	}
}

// draw takes a fault that the stage has not had since all of them came.
func (s *soakStage) draw(list []fault, random *rand.Rand) *fault {
	if len(s.deck) == 0 {
		for _, i := range random.Perm(len(list)) {
			s.deck = append(s.deck, &list[i])
		}
	}
	f := s.deck[0]
	s.deck = s.deck[1:]
	return f
}

// suffer lets a fault come over the stage and notes its figures.
func (s *soakStage) suffer(ctx context.Context, f *fault) {
	r := s.rows[f.name]
	if r == nil {
		r = &row{Fault: f.name, Language: s.language, Carrier: s.carrier}
		s.rows[f.name] = r
	}
	s.calm.count(s.load.take(), blow{struck: time.Now()}) // everything by policy is stray
	note := func(err error) {
		if err != nil && ctx.Err() == nil {
			r.Errors = append(r.Errors, err.Error())
		}
	}
	before, err := s.measure()
	note(err)
	if r.Times == 0 {
		r.Before = before
	}
	starts := s.starts()
	b := inflict(ctx, s.stage, f)
	for _, err := range b.errs {
		note(err)
	}
	r.Times++
	r.count(s.load.take(), b)
	r.Starts += s.starts() - starts
	if !b.recovered.IsZero() {
		r.Recovery = max(r.Recovery, b.recovered.Sub(b.lifted).Seconds())
	}
	r.After, err = s.measure()
	note(err)
}

// finish looks at what the stage uses after everything, and gives its rows.
func (s *soakStage) finish(ctx context.Context) (rows []row) {
	for _, r := range s.rows {
		rows = append(rows, *r)
	}
	slices.SortFunc(rows, func(a, b row) int { return cmp.Compare(a.Fault, b.Fault) })
	whole := row{Fault: wholeSoak, Language: s.language, Carrier: s.carrier, Times: 1, Before: s.first}
	var err error
	if whole.After, whole.Leaks, err = settle(ctx, s.stage, s.first); err != nil {
		whole.Errors = append(whole.Errors, err.Error())
	}
	s.calm.count(s.load.take(), blow{struck: time.Now()})
	whole.counts = s.calm
	whole.Starts = s.starts()
	if whole.After.Goroutines > whole.Before.Goroutines+moreGoroutines {
		s.dump()
	}
	return append(rows, whole)
}
