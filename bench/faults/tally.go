package main

import (
	"fmt"
	"sync"
	"time"
)

// tally counts what happened.
type tally struct {
	clients sync.WaitGroup
	begun   time.Time

	mu     sync.Mutex
	counts counts
	faulty map[verdict][]string // the first of each
	away   map[*pluginServer][]absence
	moved  string    // where the name leads to
	since  time.Time // when it moved there
}

// counts are what a report tells.
type counts struct {
	Answers    int                       `json:"answers"`
	Wrong      int                       `json:"wrong"`
	Crossed    int                       `json:"crossed"`
	Faults     map[string]map[int]int    `json:"faults"` // answers by fault of the upstream and status
	Ways       map[string]int            `json:"ways"`   // answers by way of the client
	Places     map[string]map[string]int `json:"places"` // answers by place and class
	Other      map[string]int            `json:"other"`
	Unlucky    int                       `json:"unlucky"`
	Addresses  map[string]int            `json:"addresses"` // answers of the moving name by address
	LateMoves  int                       `json:"late_moves"`
	Operations map[string]*operation     `json:"operations"`
	Footprints []footprint               `json:"footprints"`
}

// operation is something that the operator did.
type operation struct {
	Times   int       `json:"times"`
	Failed  []string  `json:"failed"`
	Seconds []float64 `json:"seconds"`
}

// absence is when a plugin server was away; over is zero while it is.
type absence struct{ begun, over time.Time }

// kept is how many faulty answers are told in full.
const kept = 20

func newTally() *tally {
	return &tally{
		begun: time.Now(), faulty: map[verdict][]string{}, away: map[*pluginServer][]absence{},
		counts: counts{
			Faults: map[string]map[int]int{}, Ways: map[string]int{}, Places: map[string]map[string]int{}, Other: map[string]int{}, Addresses: map[string]int{}, Operations: map[string]*operation{},
		},
	}
}

func (t *tally) wait() { t.clients.Wait() }

// judged counts an answer.
func (t *tally) judged(s *sent, status int, v verdict, why string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if v == policy && !t.wasAway(s.place.failed(status), s.at) {
		v, why = wrong, why+": its fail mode answered, but nobody had killed it"
	}
	c := &t.counts
	c.Answers++
	if c.Faults[s.fault.name] == nil {
		c.Faults[s.fault.name] = map[int]int{}
	}
	if c.Places[s.place.name] == nil {
		c.Places[s.place.name] = map[string]int{}
	}
	if s.exit < 0 && v == right {
		c.Faults[s.fault.name][status]++
	}
	c.Ways[s.way]++
	c.Places[s.place.name][v.String()]++
	switch v {
	case unlucky:
		c.Unlucky++
	case wrong, crossed:
		t.note(v, s.fault.name, why)
	}
}

func (v verdict) String() string {
	return [...]string{"upstream", "exit", "fail mode", "unlucky", "wrong", "crossed"}[v]
}

// found counts something wrong or crossed that is no answer.
func (t *tally) found(v verdict, fault, what string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.note(v, fault, what)
}

// note keeps the first faulty answers; t is locked.
func (t *tally) note(v verdict, fault, what string) {
	if v == crossed {
		t.counts.Crossed++
	} else {
		t.counts.Wrong++
	}
	if len(t.faulty[v]) < kept {
		t.faulty[v] = append(t.faulty[v], fault+": "+what)
	}
}

func (t *tally) count(what string, n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.counts.Other[what] += n
}

// done counts something that the operator did.
func (t *tally) done(what string, took time.Duration, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	o := t.counts.Operations[what]
	if o == nil {
		o = &operation{Failed: []string{}}
		t.counts.Operations[what] = o
	}
	o.Times++
	o.Seconds = append(o.Seconds, took.Seconds())
	if err != nil {
		o.Failed = append(o.Failed, fmt.Sprintf("%s: %v", time.Now().Format("15:04:05.000"), err))
	}
}

func (t *tally) sample(f footprint) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f.Second = time.Since(t.begun).Seconds()
	t.counts.Footprints = append(t.counts.Footprints, f)
}

// goesAway notes that a plugin server is about to be killed.
func (t *tally) goesAway(p *pluginServer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.away[p] = append(t.away[p], absence{begun: time.Now()})
}

// isBack notes that another process takes its calls.
func (t *tally) isBack(p *pluginServer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.away[p][len(t.away[p])-1].over = time.Now()
}

// wasAway says whether a plugin server was away at some moment since a time; t is locked.
func (t *tally) wasAway(p *pluginServer, since time.Time) bool {
	list := t.away[p]
	if len(list) == 0 {
		return false
	}
	last := list[len(list)-1]
	return last.over.IsZero() || last.over.After(since)
}

// nameMoved notes that the moving name leads somewhere else from now on.
func (t *tally) nameMoved(address string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.moved, t.since = address, time.Now()
}

// movedTo counts an answer of the moving name to a request that was sent at a time. One from the former address is late when the record had long expired.
func (t *tally) movedTo(address string, sent time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.counts.Addresses[address]++
	if t.moved != "" && address != t.moved && sent.Sub(t.since) > nameTTL+nameGrace {
		t.counts.LateMoves++
	}
}
