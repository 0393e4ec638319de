package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/outrigger-gateway/outrigger/bench/probe"
)

// footprint is what one process of the gateway uses at one moment.
type footprint struct {
	Second      float64 `json:"second"` // of the run
	PID         int     `json:"pid"`
	MB          float64 `json:"mb"` // resident memory
	Descriptors int     `json:"descriptors"`
	Goroutines  int     `json:"goroutines"`
}

// footprintOf measures the process that serves.
func (g *gateway) footprintOf() (footprint, error) {
	p := g.current()
	kib, err := probe.Resident(p.pid)
	if err != nil {
		return footprint{}, err
	}
	open, err := probe.Descriptors(p.pid)
	if err != nil {
		return footprint{}, err
	}
	goroutines, err := g.admin.goroutines()
	if err != nil {
		return footprint{}, err
	}
	if g.current() != p {
		return footprint{}, errors.New("another process has taken over meanwhile")
	}
	return footprint{PID: p.pid, MB: float64(kib<<10) / 1e6, Descriptors: open, Goroutines: goroutines}, nil
}

// watch takes samples until ctx ends, each of which has the process that serves.
func (g *gateway) watch(ctx context.Context, t *tally, length time.Duration) {
	tick := time.NewTicker(min(max(length/240, 200*time.Millisecond), 2*time.Second))
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if f, err := g.footprintOf(); err == nil { // an error: the process is being replaced, or has died, which others notice
				t.sample(f)
			}
		case <-ctx.Done():
			return
		case <-g.died.Done():
			return
		}
	}
}

// measure is one of the things that must not grow.
type measure struct {
	name   string
	of     func(footprint) float64
	factor float64 // the last quarter may have so many times the median of the second one,
	plus   float64 // and so much more
}

const residentMemory = "MB of resident memory"

// A process that is younger fills its pools and caches, and takes so much more memory meanwhile.
const (
	young     = time.Minute
	youngPlus = 64
)

// measures that are judged.
var measures = []measure{
	{residentMemory, func(f footprint) float64 { return f.MB }, 1.10, 16},
	{"descriptors", func(f footprint) float64 { return float64(f.Descriptors) }, 1.25, 50},
	{"goroutines", func(f footprint) float64 { return float64(f.Goroutines) }, 1.25, 50},
}

// trend is how one measure went over the life of the last process.
type trend struct {
	What    string  `json:"what"`
	Second  float64 `json:"second_quarter"` // medians
	Last    float64 `json:"last_quarter"`
	Allowed float64 `json:"allowed"`
	Flat    bool    `json:"flat"`
}

// leastSamples is how many samples a life must have to be judged.
const leastSamples = 8

// trends compares the last quarter of the last process's life with the second one: the first is that in which it fills its pools and caches. An error
// says that there is too little to judge by.
func trends(samples []footprint) ([]trend, error) {
	if len(samples) > 0 {
		last := samples[len(samples)-1].PID
		samples = slices.DeleteFunc(slices.Clone(samples), func(f footprint) bool { return f.PID != last })
	}
	if len(samples) < leastSamples {
		return nil, fmt.Errorf("the last process of the gateway was measured %d times, expected at least %d: memory cannot be judged", len(samples), leastSamples)
	}
	quarter := len(samples) / 4
	var list []trend
	for _, m := range measures {
		t := trend{What: m.name, Second: median(samples[quarter:2*quarter], m.of), Last: median(samples[len(samples)-quarter:], m.of)}
		t.Allowed = m.factor*t.Second + m.plus
		if life := samples[len(samples)-1].Second - samples[0].Second; m.name == residentMemory && life < young.Seconds() {
			t.Allowed += youngPlus
		}
		t.Flat = t.Last <= t.Allowed
		list = append(list, t)
	}
	return list, nil
}

func median(samples []footprint, of func(footprint) float64) float64 {
	var values []float64
	for _, s := range samples {
		values = append(values, of(s))
	}
	slices.Sort(values)
	return values[len(values)/2]
}

// What may be left of the load once it has ended, and how long the gateway may take for it: idle connections are kept for some seconds.
const (
	restDescriptors = 20
	restGoroutines  = 30
	restLimit       = 40 * time.Second
)

// settle waits until the gateway without load uses about what it did before. What it still has more then is an error.
func (g *gateway) settle(ctx context.Context, before footprint) (after footprint, err error) {
	for late := time.Now().Add(restLimit); ; time.Sleep(200 * time.Millisecond) {
		if after, err = g.footprintOf(); err != nil {
			return after, err
		}
		descriptors, goroutines := after.Descriptors-before.Descriptors, after.Goroutines-before.Goroutines
		switch {
		case descriptors <= restDescriptors && goroutines <= restGoroutines:
			return after, nil
		case time.Now().After(late) || ctx.Err() != nil:
			return after, fmt.Errorf("%v after the load there are %d descriptors and %d goroutines more than before it, expected at most %d and %d", restLimit, descriptors, goroutines, restDescriptors, restGoroutines)
		}
	}
}
