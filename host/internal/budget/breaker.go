package budget

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// Errors is how many failures are allowed. It is comparable.
type Errors struct {
	Ratio  float64       // of the calls that opens the breaker, above 0 to 1
	Calls  int           // in the window, below which nothing opens it
	Window time.Duration // that is looked at
	// OpenFor is how long calls are refused before it is tried again; up to a tenth is added or taken away, so that many gateways do not
	// try at once.
	OpenFor time.Duration
	Probes  int // calls that must succeed, one after the other or at once, before it closes
}

// Result is how a call ended, as a breaker counts it.
type Result uint8

// Results of calls.
const (
	Success Result = iota
	Failure
	// Neither says nothing about the plugin: the call was not sent, or the caller gave up.
	Neither
)

// State of a breaker.
type State uint8

// States of a breaker.
const (
	StateClosed   State = iota // calls pass
	StateOpen                  // calls are refused
	StateHalfOpen              // a few calls pass, to try
)

func (s State) String() string { return [...]string{"closed", "open", "half_open"}[s] }

// Ticket is a call that a breaker has let pass. It says in which term of a state, so that a late result does not count in another.
type Ticket uint64

func (t Ticket) state() State { return State(t & 3) }

// parts of a window: results leave it in steps of this size.
const parts = 10

type tally struct{ calls, failures int }

// Breaker stops calls to what fails too often.
type Breaker struct {
	errors Errors
	base   time.Time
	jitter func() float64 // 0 to 1
	// term counts the states so far in its upper bits, the lower two are the state.
	term    atomic.Uint64
	opened  atomic.Uint64
	refused atomic.Uint64
	// fresh are successes that the window does not hold yet: nothing needs the lock for them before ends, when the newest part of the window is over.
	fresh atomic.Int64
	ends  atomic.Int64 // nanoseconds since base

	mu      sync.Mutex
	part    int64 // number of the newest part of the window, since base
	window  [parts]tally
	sum     tally
	until   time.Time // it is open
	begun   int       // probes
	settled int       // probes that succeeded
}

// NewBreaker makes a closed one.
func NewBreaker(e Errors) *Breaker {
	b := new(Breaker)
	b.init(e)
	return b
}

func (b *Breaker) init(e Errors) { b.errors, b.base, b.jitter = e, time.Now(), rand.Float64 }

// Allow lets a call pass at the time now, and Done must be told of its end. Otherwise it says how long to wait.
func (b *Breaker) Allow(now time.Time) (t Ticket, wait time.Duration, ok bool) {
	if t := Ticket(b.term.Load()); t.state() == StateClosed {
		return t, 0, true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	t = Ticket(b.term.Load())
	if t.state() == StateOpen && !now.Before(b.until) {
		t = b.enter(StateHalfOpen)
	}
	switch t.state() {
	case StateClosed:
		return t, 0, true
	case StateHalfOpen:
		if b.begun < b.errors.Probes {
			b.begun++
			return t, 0, true
		}
		wait = time.Second // its probes are under way
	case StateOpen:
		wait = b.until.Sub(now)
	}
	b.refused.Add(1)
	return t, wait, false
}

// stopped reports whether Allow would refuse a call.
func (b *Breaker) stopped(now time.Time) bool {
	if Ticket(b.term.Load()).state() == StateClosed {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	switch Ticket(b.term.Load()).state() {
	case StateOpen:
		return now.Before(b.until)
	case StateHalfOpen:
		return b.begun >= b.errors.Probes
	}
	return false
}

// Done counts the end of a call at the time now.
func (b *Breaker) Done(t Ticket, now time.Time, r Result) {
	if t.state() == StateClosed {
		if r == Neither {
			return
		}
		if r == Success && int64(now.Sub(b.base)) < b.ends.Load() && uint64(t) == b.term.Load() {
			b.fresh.Add(1)
			return
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if uint64(t) != b.term.Load() {
		return
	}
	if t.state() == StateHalfOpen {
		b.probed(now, r)
		return
	}
	b.slide(now)
	p := &b.window[b.part%parts]
	p.calls++
	b.sum.calls++
	if r == Failure {
		p.failures++
		b.sum.failures++
		if b.sum.calls >= b.errors.Calls && float64(b.sum.failures) >= b.errors.Ratio*float64(b.sum.calls) {
			b.open(now)
		}
	}
}

func (b *Breaker) probed(now time.Time, r Result) {
	switch r {
	case Success:
		if b.settled++; b.settled >= b.errors.Probes {
			b.enter(StateClosed)
		}
	case Failure:
		b.open(now)
	case Neither:
		b.begun-- // another one may try
	}
}

// slide counts the successes that wait for it, and forgets the parts of the window that are too old at the time now.
func (b *Breaker) slide(now time.Time) {
	fresh := int(b.fresh.Swap(0))
	b.window[b.part%parts].calls += fresh
	b.sum.calls += fresh
	length := max(b.errors.Window/parts, 1)
	part := int64(now.Sub(b.base) / length)
	b.ends.Store((max(part, b.part) + 1) * int64(length))
	if part-b.part >= parts {
		b.window, b.sum, b.part = [parts]tally{}, tally{}, part
		return
	}
	for b.part < part {
		b.part++
		old := &b.window[b.part%parts]
		b.sum.calls -= old.calls
		b.sum.failures -= old.failures
		*old = tally{}
	}
}

func (b *Breaker) open(now time.Time) {
	b.enter(StateOpen)
	b.opened.Add(1)
	b.until = now.Add(time.Duration(float64(b.errors.OpenFor) * (0.9 + 0.2*b.jitter())))
}

// enter begins a term of another state; mu is held.
func (b *Breaker) enter(s State) Ticket {
	t := Ticket((b.term.Load()>>2+1)<<2 | uint64(s))
	b.window, b.sum, b.begun, b.settled = [parts]tally{}, tally{}, 0, 0
	b.fresh.Store(0)
	b.term.Store(uint64(t))
	return t
}

// State of the breaker, how often it opened, and how many calls it has refused.
func (b *Breaker) State() (s State, opened, refused uint64) {
	return Ticket(b.term.Load()).state(), b.opened.Load(), b.refused.Load()
}
