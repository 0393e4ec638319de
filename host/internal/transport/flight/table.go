// Package flight keeps the calls that are in flight on one lane: who waits for what, until when, and what has arrived for whom.
// Both carriers use it, so that deadlines, limits, late outcomes and the death of a lane mean the same over both.
//
// One goroutine at a time delivers (Outcome, Ask, Chunk, Log), and never blocks: the reader of the carrier, or whoever leads (lead.go). Each caller
// waits on its own Call. Deadlines need no timer per call: one timer per lane stands at the earliest deadline known when it was set, and a
// sweep finds who is due.
package flight

import (
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/budget"
	"github.com/outrigger-gateway/outrigger/host/internal/transport"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

const (
	firstTable = 256 // slots; a power of two
	lastTable  = 1 << 20
	// sweepGap is the shortest time between two sweeps: how late a deadline may be noticed.
	sweepGap = int64(time.Millisecond)
	never    = int64(math.MaxInt64)
	// DefaultMaxBody bounds the gathered chunks of one call when the host's hello says nothing.
	DefaultMaxBody = 8 << 20
)

// Table holds the calls of one lane. O is an outcome as it arrived, A an ask.
type Table[O, A any] struct {
	maxCalls int // 0: no bound but lastTable
	maxBody  int
	bodies   *budget.Bytes
	who      func(instance uint64) any // see transport.Options.Who
	base     time.Time
	done     chan struct{}
	pool     sync.Pool
	inFlight atomic.Int64
	oldest   atomic.Int64 // start of the oldest call, nanoseconds since base; never: none

	mu         sync.Mutex
	calls      []*Call[O, A] // a call sits at its id modulo the length
	next       uint32
	wrapped    bool // next has gone round once: every id existed
	head, tail *Call[O, A]
	timer      *time.Timer
	armed      int64 // when the timer goes off; never: it does not
	dead       *transport.Error

	lead[O, A] // who reads the lane; unused without a source
}

// NewTable makes the table of a lane that allows o.MaxInFlight calls and gathers o.Hello.MaxBody bytes (0: DefaultMaxBody) per call, of all calls
// together no more than o.Bodies allows.
func NewTable[O, A any](o transport.Options) *Table[O, A] {
	t := &Table[O, A]{
		maxCalls: o.MaxInFlight, maxBody: int(min(o.Hello.MaxBody, 1<<40)), bodies: o.Bodies, who: o.Who, base: time.Now(), done: make(chan struct{}),
		calls: make([]*Call[O, A], firstTable), next: 1, armed: never,
	}
	if t.maxCalls <= 0 || t.maxCalls > lastTable/2 {
		t.maxCalls = lastTable / 2
	}
	if t.maxBody == 0 {
		t.maxBody = DefaultMaxBody
	}
	t.oldest.Store(never)
	t.pool.New = func() any { return &Call[O, A]{ready: make(chan struct{}, 1)} }
	return t
}

// Begin enters a call with all its steps. It fails with Closed, Overloaded, or Timeout when the deadline has passed already. A zero deadline is none.
// Whoever began a call ends it with End.
func (t *Table[O, A]) Begin(c *wire.Call, deadline time.Time) (*Call[O, A], error) {
	now, due := int64(time.Since(t.base)), never
	if !deadline.IsZero() {
		if due = int64(deadline.Sub(t.base)); due <= now {
			return nil, &transport.Error{Kind: transport.Timeout, Msg: "the deadline had passed before the call was sent"}
		}
	}
	call := t.pool.Get().(*Call[O, A])
	call.start, call.stepBegan, call.due = now, now, due
	call.instance, call.phase, call.requestID, call.rest = c.Instance, c.Phase, c.RequestID, c.Rest

	t.mu.Lock()
	defer t.mu.Unlock()
	n := int(t.inFlight.Load())
	switch {
	case t.dead != nil:
		t.pool.Put(call)
		return nil, t.dead
	case n >= t.maxCalls:
		t.pool.Put(call)
		return nil, &transport.Error{Kind: transport.Overloaded, Msg: fmt.Sprintf("%d calls in flight, at most %d are allowed", n, t.maxCalls)}
	case 2*(n+1) > len(t.calls):
		t.grow()
	}
	t.enter(call)
	t.inFlight.Store(int64(n + 1))
	if due < t.armed {
		t.arm(due, now)
	}
	return call, nil
}

// Extend begins the next step of a call, with a deadline of its own; zero is none. An outcome of that step that has arrived already met it.
func (t *Table[O, A]) Extend(c *Call[O, A], deadline time.Time) {
	now, due := int64(time.Since(t.base)), never
	if !deadline.IsZero() {
		due = int64(deadline.Sub(t.base))
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	c.stepBegan = now
	if !c.linked || len(c.outcomes) > c.taken {
		return
	}
	if c.due = due; due < t.armed {
		t.arm(due, now)
	}
}

// enter gives the call an id and its places.
func (t *Table[O, A]) enter(call *Call[O, A]) {
	mask := uint32(len(t.calls) - 1)
	for t.next == 0 || t.calls[t.next&mask] != nil {
		t.skipID() // at most half of the places are taken
	}
	call.ID = t.next
	t.skipID()
	t.calls[call.ID&mask] = call
	call.linked = true
	if call.prev = t.tail; t.tail != nil {
		t.tail.next = call
	} else {
		t.head = call
		t.oldest.Store(call.start)
	}
	t.tail = call
}

func (t *Table[O, A]) skipID() {
	if t.next++; t.next == 0 {
		t.wrapped = true
		t.next = 1
	}
}

// grow doubles the table. Ids that differ modulo the old length differ modulo the new one.
func (t *Table[O, A]) grow() {
	calls := make([]*Call[O, A], 2*len(t.calls))
	for c := t.head; c != nil; c = c.next {
		calls[c.ID&uint32(len(calls)-1)] = c
	}
	t.calls = calls
}

// leave takes a call out: nothing is delivered to it any more.
func (t *Table[O, A]) leave(call *Call[O, A]) {
	if !call.linked {
		return
	}
	call.linked = false
	t.calls[call.ID&uint32(len(t.calls)-1)] = nil
	if call.prev != nil {
		call.prev.next = call.next
	} else {
		t.head = call.next
		if t.head != nil {
			t.oldest.Store(t.head.start)
		} else {
			t.oldest.Store(never)
		}
	}
	if call.next != nil {
		call.next.prev = call.prev
	} else {
		t.tail = call.prev
	}
	call.prev, call.next = nil, nil
	t.inFlight.Add(-1)
}

// End gives a call back. Nobody may use it afterwards.
func (t *Table[O, A]) End(call *Call[O, A]) {
	if !call.ended.Load() { // else it has left
		t.mu.Lock()
		t.leave(call)
		t.mu.Unlock()
	}
	t.bodies.Give(call.held)
	select { // a signal that nobody took
	case <-call.ready:
	default:
	}
	clear(call.outcomes)
	*call = Call[O, A]{ready: call.ready, outcomes: call.outcomes[:0], Room: call.Room}
	t.pool.Put(call)
}

// arm sets the timer to go off at due.
func (t *Table[O, A]) arm(due, now int64) {
	t.armed = due
	wait := time.Duration(max(due-now, sweepGap))
	if t.timer == nil {
		t.timer = time.AfterFunc(wait, t.sweep)
	} else {
		t.timer.Reset(wait)
	}
}

// sweep expires every call that is due and sets the timer for the rest.
func (t *Table[O, A]) sweep() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.dead != nil {
		return
	}
	now, earliest := int64(time.Since(t.base)), never
	for c := t.head; c != nil; {
		next := c.next
		if c.due <= now {
			t.finish(c, &transport.Error{
				Kind: transport.Timeout,
				Msg:  fmt.Sprintf("no outcome after %s: the deadline passed", time.Duration(now-c.stepBegan).Round(time.Millisecond)),
			})
			t.interrupt(c)
		} else {
			earliest = min(earliest, c.due)
		}
		c = next
	}
	t.armed = never
	if earliest != never {
		t.arm(earliest, now)
	}
}

// finish ends the wait of a call without an outcome.
func (t *Table[O, A]) finish(call *Call[O, A], err *transport.Error) {
	t.leave(call)
	call.err = err
	call.end()
}

// GiveUp ends the wait of a call in flight because nobody wants its outcome any more. The server is told, if it may have the call.
func (t *Table[O, A]) GiveUp(id uint32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if c, _ := t.find(id, wire.TypeCancel); c != nil && t.dead == nil {
		t.finish(c, &transport.Error{Kind: transport.Cancelled, Msg: "nobody waits for the outcome any more"})
		t.interrupt(c)
	}
}

// Fail kills the table: calls in flight and later ones get err. The first Fail counts; it reports whether this was it.
func (t *Table[O, A]) Fail(err *transport.Error) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.dead != nil {
		return false
	}
	t.dead = err
	for t.head != nil {
		t.finish(t.head, err)
	}
	if t.timer != nil {
		t.timer.Stop()
	}
	close(t.done)
	if t.source != nil {
		t.watch.Stop()
		t.source.Interrupt() // whoever leads
	}
	return true
}

// Err is why the lane is dead; nil while it lives.
func (t *Table[O, A]) Err() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.dead == nil {
		return nil
	}
	return t.dead
}

// Done is closed when the lane is dead.
func (t *Table[O, A]) Done() <-chan struct{} { return t.done }

// Dead reports whether the lane is dead, at less cost than Err.
func (t *Table[O, A]) Dead() bool {
	select {
	case <-t.done:
		return true
	default:
		return false
	}
}

// InFlight is the number of calls that wait.
func (t *Table[O, A]) InFlight() int { return int(t.inFlight.Load()) }

// Oldest is when the oldest waiting call began; zero when none waits.
func (t *Table[O, A]) Oldest() time.Time {
	start := t.oldest.Load()
	if start == never {
		return time.Time{}
	}
	return t.base.Add(time.Duration(start))
}
