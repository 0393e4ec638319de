package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// inARow is how many right answers in a row are a recovery: every kind of request is among them.
const inARow = 10

// recovery finds when the last of enough right answers in a row came, to requests that were sent after a time. Results are in the order of their
// answers.
func recovery(results []result, after time.Time) (time.Time, bool) {
	n := 0
	for _, r := range results {
		switch {
		case r.sent.Before(after):
		case r.verdict == right:
			if n++; n == inARow {
				return r.done, true
			}
		default:
			n = 0
		}
	}
	return time.Time{}, false
}

// blow is one fault on one stage: when it was on, and what came of it.
type blow struct {
	struck, lifted time.Time
	recovered      time.Time // zero: not within the limit
	errs           []error
}

// inflict lets a fault come over a stage and waits for its recovery.
func inflict(ctx context.Context, s *stage, f *fault) blow {
	b := blow{struck: time.Now()}
	note := func(what string, err error) {
		if err != nil {
			b.errs = append(b.errs, fmt.Errorf("%s: %w", what, err))
		}
	}
	s.load.excused.Store(f.gatewayDies)
	if f.strike != nil {
		note("strike", f.strike(ctx, s))
	}
	if f.orders != nil {
		s.load.order.Store(&order{texts: f.orders(s.carrier), every: f.every, same: f.same})
	}
	if f.during != nil {
		note("under the fault", f.during(ctx, s))
	} else {
		pause(ctx, f.hold)
	}
	s.load.order.Store(nil)
	if f.lift != nil {
		note("lift", f.lift(ctx, s))
	}
	s.load.excused.Store(false)
	b.lifted = time.Now()
	limit := f.limit
	if limit == 0 {
		limit = recoveryLimit
	}
	var err error
	b.recovered, err = s.recovered(ctx, b.lifted, limit)
	note("recovery", err)
	return b
}

// counts are the verdicts of some requests.
type counts struct {
	Requests int `json:"requests"`
	Right    int `json:"right"`
	Policy   int `json:"by_policy"`
	Wrong    int `json:"wrong"`
	// Stray are those by policy while no fault was on: a slow machine, or a fault that goes on when it should be over.
	Stray   int      `json:"stray"`
	Reasons []string `json:"reasons,omitempty"` // of the first wrong ones
}

// mostReasons bounds Reasons.
const mostReasons = 3

// count adds results up, given when the fault was on. Without a recovery it never ended.
func (c *counts) count(results []result, b blow) {
	for _, r := range results {
		c.Requests++
		switch r.verdict {
		case right:
			c.Right++
		case policy:
			c.Policy++
			if r.done.Before(b.struck) || (!b.recovered.IsZero() && r.sent.After(b.recovered)) {
				c.Stray++
			}
		default:
			c.Wrong++
			if len(c.Reasons) < mostReasons {
				c.Reasons = append(c.Reasons, r.reason)
			}
		}
	}
}

// Bounds on growth from before a fault to after it.
const (
	moreGoroutines  = 20
	moreHeapMiB     = 16
	moreRSSMiB      = 64
	moreDescriptors = 20
)

// settleLimit is how long the gateway may take to be as small as before. fasthttp looks every 10 s for goroutines that have had no connection
// for 10 s.
const settleLimit = 25 * time.Second

// growth lists what has grown beyond its bound.
func growth(before, after footprint) (leaks []string) {
	grew := func(what string, before, after, more float64) {
		if after > before+more {
			leaks = append(leaks, fmt.Sprintf("%s grew from %.0f to %.0f, more than by %.0f", what, before, after, more))
		}
	}
	grew("goroutines", float64(before.Goroutines), float64(after.Goroutines), moreGoroutines)
	grew("MiB of heap", before.HeapMiB, after.HeapMiB, moreHeapMiB)
	grew("MiB of memory", before.RSSMiB, after.RSSMiB, moreRSSMiB)
	grew("descriptors", float64(before.Descriptors), float64(after.Descriptors), moreDescriptors)
	grew("processes", float64(before.Processes), float64(after.Processes), 0)
	return leaks
}

// settle waits until a stage is as small as before, and says what has grown when it does not become so.
func settle(ctx context.Context, s *stage, before footprint) (after footprint, leaks []string, err error) {
	deadline := time.Now().Add(settleLimit)
	for first := true; ; first = false {
		f, err := s.measure()
		if err != nil {
			return after, nil, err
		}
		if first {
			after = f
		}
		after = leastOf(after, f)
		if leaks = growth(before, after); len(leaks) == 0 || time.Now().After(deadline) {
			return after, leaks, nil
		}
		if !pause(ctx, 200*time.Millisecond) {
			return after, leaks, ctx.Err()
		}
	}
}

// runRow lets a fault come over a stage and measures around it.
func runRow(ctx context.Context, s *stage, f *fault) row {
	r := row{Fault: f.name, Language: s.language, Carrier: s.carrier}
	if f.note != nil {
		r.Note = f.note(s.language)
	}
	fail := func(err error) {
		if err != nil {
			r.Errors = append(r.Errors, err.Error())
		}
	}
	s.load.take()
	var err error
	if r.Before, err = s.rest(ctx); err != nil {
		fail(fmt.Errorf("before the fault: %w", err))
		return r // there would be nothing to compare with
	}
	starts := s.starts()
	b := inflict(ctx, s, f)
	fail(errors.Join(b.errs...))
	if !b.recovered.IsZero() {
		r.Recovery = b.recovered.Sub(b.lifted).Seconds()
	}
	if f.gatewayDies {
		starts = 0 // another gateway counts
	}
	r.Starts = s.starts() - starts
	if f.mostStarts > 0 && r.Starts > f.mostStarts {
		fail(fmt.Errorf("the plugin server was started %d times, expected at most %d", r.Starts, f.mostStarts))
	}
	r.After, r.Leaks, err = settle(ctx, s, r.Before)
	fail(err)
	r.count(s.load.take(), b)
	if r.Policy == 0 && r.Starts == 0 && !f.unseen {
		fail(errors.New("nothing shows that the fault came over it"))
	}
	if r.After.Goroutines > r.Before.Goroutines+moreGoroutines {
		s.dump()
	}
	return r
}
