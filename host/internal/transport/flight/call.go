package flight

import (
	"fmt"
	"sync/atomic"

	"github.com/outrigger-gateway/outrigger/host/internal/transport"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// Call is one call in flight. Its caller waits on it; the fields below mu of the table are the table's.
type Call[O, A any] struct {
	ID uint32
	// Sent says that bytes of the call may have reached the server, so that giving up needs a cancel. It is the caller's.
	Sent bool
	// Room is memory for the values of outcomes, left by earlier calls: the carrier's.
	Room []string

	ready chan struct{} // one signal: something has changed, look
	post  atomic.Uint32 // what the caller does about reading the lane: lead.go
	news  atomic.Bool   // an ask, or an outcome that is not the last, waits; set before the signal
	// ended says that the last outcome or an error is there. Nothing of the call changes once it is set, and it is set before the signal:
	// the caller reads outcomes and err without the lock.
	ended atomic.Bool

	start     int64 // nanoseconds since the table's base
	instance  uint64
	phase     uint8
	requestID string
	rest      []wire.Step // the steps after the first; the caller's, who leaves them alone until its call has returned
	taken     int         // outcomes that the caller has; its own

	// Guarded by mu of the table.
	due        int64
	stepBegan  int64 // when the step that runs began
	prev, next *Call[O, A]
	linked     bool
	err        *transport.Error
	outcomes   []arrival[O] // one for each step that has ended
	asks       []question[A]
	askBytes   int // of asks
	gather     wire.Gather
	held       int // of the bound on all bodies, for gather and what it gave
}

// arrival is an outcome with what was gathered for it.
type arrival[O any] struct {
	outcome O
	bulk    wire.Gather
}

// question is an ask that waits, with its size and the step whose handler asks.
type question[A any] struct {
	ask  A
	size int
	step uint16
}

func (c *Call[O, A]) signal() { signal(c.ready) }

func signal(ready chan<- struct{}) {
	select {
	case ready <- struct{}{}:
	default: // one is waiting already, and whoever takes it looks at everything
	}
}

// end lets the caller go. It may be gone, and the call in use again, before the signal: who waits must bear a signal for nothing.
func (c *Call[O, A]) end() {
	ready := c.ready
	c.ended.Store(true)
	signal(ready)
}

// Wake makes the caller look around: for whoever makes it wait for something else than an event.
func (c *Call[O, A]) Wake() { c.signal() }

// Woken is signalled by every event and every Wake. Whoever takes a signal looks at Ended and at what it waits for.
func (c *Call[O, A]) Woken() <-chan struct{} { return c.ready }

// Ended reports whether nothing more will come: sending for this call has no purpose any more.
func (c *Call[O, A]) Ended() bool { return c.ended.Load() }

// Over reports whether an event waits for the caller. It makes the call a Waiter.
func (c *Call[O, A]) Over() bool { return c.ended.Load() || c.news.Load() }

// Event is what a caller waited for: an ask, the outcome of a step, or the end without one.
type Event[O, A any] struct {
	Ask     A
	IsAsk   bool
	Step    uint16 // of the ask
	Outcome O
	Bulk    []byte           // gathered for the outcome
	Err     *transport.Error // the call ended without an outcome
}

// Wait blocks until the next event of a call: the outcomes of its steps in order, the asks of the step that runs, an error. Asks of a step whose outcome
// has arrived are forgotten. Nothing follows an error or the outcome of the last step.
func (t *Table[O, A]) Wait(c *Call[O, A]) Event[O, A] {
	for {
		switch {
		case c.ended.Load():
			if ev, ok := c.take(); ok {
				return ev
			}
			panic("flight: a wait for a call that has ended")
		case c.news.Load():
			t.mu.Lock()
			ev, ok := c.take()
			t.mu.Unlock()
			if ok {
				return ev
			}
		case t.source != nil:
			t.waitOrLead(c)
		default:
			<-c.ready
		}
	}
}

// take gives the next event, if there is one. Unless the call has ended, the lock is held.
func (c *Call[O, A]) take() (ev Event[O, A], ok bool) {
	switch {
	case c.taken < len(c.outcomes):
		a := &c.outcomes[c.taken]
		ev.Outcome, ev.Bulk = a.outcome, a.bulk.Take() // who reads the lane does not copy it
		*a = arrival[O]{}
		c.taken++
	case c.err != nil:
		ev.Err = c.err
	case len(c.asks) > 0:
		q := c.asks[0]
		c.asks[0] = question[A]{} // what the list holds on to is what waits
		c.asks, c.askBytes = c.asks[1:], c.askBytes-q.size
		ev.Ask, ev.IsAsk, ev.Step = q.ask, true, q.step
	default:
		c.news.Store(false)
		return ev, false
	}
	return ev, true
}

// find returns the call in flight with an id; nil when it is no longer in flight. It is an error when there never was one.
func (t *Table[O, A]) find(id uint32, what wire.Type) (*Call[O, A], error) {
	if c := t.calls[id&uint32(len(t.calls)-1)]; c != nil && c.ID == id {
		return c, nil
	}
	if id == 0 || id >= t.next && !t.wrapped {
		return nil, fmt.Errorf("%s for call %d, which never existed", what, id)
	}
	return nil, nil
}

// Outcome delivers the outcome of a step of a call. One that nobody waits for any more is dropped; one out of its order is an error.
func (t *Table[O, A]) Outcome(id uint32, step uint16, o O) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	c, err := t.find(id, wire.TypeOutcome)
	if c == nil {
		return err
	}
	if int(step) != len(c.outcomes) {
		return fmt.Errorf("outcome of step %d of call %d, expected that of step %d (the call has %d, from 0 on)", step, id, len(c.outcomes), 1+len(c.rest))
	}
	t.delivered++
	c.outcomes = append(c.outcomes, arrival[O]{o, c.gather})
	c.gather = wire.Gather{}
	c.asks, c.askBytes = nil, 0
	if len(c.outcomes) > len(c.rest) {
		t.leave(c)
		c.end()
		return nil
	}
	c.due = never // until the caller says when the next step is
	c.news.Store(true)
	c.signal()
	return nil
}

// Ask delivers a question of size bytes. More of them than the limits allow is an error, and so is one of a step that does not run yet; one of a step
// that has ended is dropped.
func (t *Table[O, A]) Ask(id uint32, step uint16, a A, size int) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	c, err := t.find(id, wire.TypeAsk)
	if c == nil {
		return err
	}
	if running := len(c.outcomes); int(step) < running {
		return nil
	} else if int(step) > running {
		return fmt.Errorf("ask of step %d of call %d while step %d runs", step, id, running)
	}
	if c.askBytes += size; len(c.asks) == wire.MaxAsks || c.askBytes > wire.MaxAskBytes {
		return fmt.Errorf("asks of call %d: more than %d, or more than %d bytes, wait for their answer", id, wire.MaxAsks, wire.MaxAskBytes)
	}
	c.asks = append(c.asks, question[A]{a, size, step})
	c.news.Store(true)
	c.signal()
	return nil
}

// Chunk gathers a piece of a large body, which it copies. Over the bound the call fails with TooLarge, and the rest is dropped.
func (t *Table[O, A]) Chunk(id uint32, piece []byte) error {
	if len(piece) > wire.ChunkSize {
		return fmt.Errorf("chunk of %d bytes, at most %d are allowed", len(piece), wire.ChunkSize)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	c, err := t.find(id, wire.TypeChunk)
	if c == nil {
		return err
	}
	if !t.bodies.Take(len(piece)) {
		t.finish(c, &transport.Error{Kind: transport.Overloaded, Msg: "the bodies in memory have reached max_bodies_in_memory"})
		return nil
	}
	c.held += len(piece)
	if !c.gather.Add(piece, t.maxBody) {
		t.finish(c, &transport.Error{Kind: transport.TooLarge, Msg: fmt.Sprintf("the server sent bodies of more than %d bytes", t.maxBody)})
	}
	return nil
}

// Origin fills in which step of which call a log line belongs to; nothing for call 0 and for calls that have ended.
func (t *Table[O, A]) Origin(id uint32, step uint16, rec *transport.LogRecord) error {
	if id == 0 {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	c, err := t.find(id, wire.TypeLog)
	if c == nil {
		return err
	}
	if int(step) > len(c.rest) {
		return fmt.Errorf("log line of step %d of call %d, which has %d, from 0 on", step, id, 1+len(c.rest))
	}
	rec.Instance, rec.Phase, rec.RequestID = c.instance, c.phase, c.requestID
	if step > 0 {
		rec.Instance = c.rest[step-1].Instance
	}
	if t.who != nil { // the call holds its instances: later they may be gone
		rec.Who = t.who(rec.Instance)
	}
	return nil
}
