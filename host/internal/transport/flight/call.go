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

	ready chan struct{} // one signal: something has changed, look
	asked atomic.Bool   // asks wait; set before the signal
	// ended says that an outcome or an error is there. Nothing of the call changes once it is set, and it is set before the signal:
	// the caller reads outcome, gather and err without the lock.
	ended atomic.Bool

	start, due int64 // nanoseconds since the table's base
	instance   uint64
	phase      uint8
	requestID  string

	// Guarded by mu of the table.
	prev, next *Call[O, A]
	linked     bool
	err        *transport.Error
	outcome    O
	asks       []question[A]
	askBytes   int // of asks
	gather     wire.Gather
	held       int // of the bound on all bodies, for gather
}

// question is an ask that waits, with its size.
type question[A any] struct {
	ask  A
	size int
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

// Ended reports whether an outcome or an error waits: sending for this call has no purpose any more.
func (c *Call[O, A]) Ended() bool { return c.ended.Load() }

// Event is what a caller waited for: an ask, or the end.
type Event[O, A any] struct {
	Ask     A
	IsAsk   bool
	Outcome O
	Bulk    []byte           // gathered for the outcome
	Err     *transport.Error // the call ended without an outcome
}

// Wait blocks until the next event of a call. Once an outcome or an error has arrived, asks that still wait are forgotten.
func (t *Table[O, A]) Wait(c *Call[O, A]) Event[O, A] {
	for {
		switch {
		case c.ended.Load():
			return Event[O, A]{Outcome: c.outcome, Bulk: c.gather.Take(), Err: c.err}
		case c.asked.Load():
			if a, ok := t.takeAsk(c); ok {
				return Event[O, A]{Ask: a, IsAsk: true}
			}
		default:
			<-c.ready
		}
	}
}

func (t *Table[O, A]) takeAsk(c *Call[O, A]) (a A, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if c.ended.Load() || len(c.asks) == 0 {
		return a, false
	}
	q := c.asks[0]
	c.asks[0] = question[A]{} // what the list holds on to is what waits
	c.asks, c.askBytes = c.asks[1:], c.askBytes-q.size
	if len(c.asks) == 0 {
		c.asks = nil
		c.asked.Store(false)
	}
	return q.ask, true
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

// Outcome delivers the outcome of a call. One that nobody waits for any more is dropped.
func (t *Table[O, A]) Outcome(id uint32, o O) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	c, err := t.find(id, wire.TypeOutcome)
	if c == nil {
		return err
	}
	t.leave(c)
	c.outcome = o
	c.end()
	return nil
}

// Ask delivers a question of size bytes. More of them than the limits allow is an error.
func (t *Table[O, A]) Ask(id uint32, a A, size int) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	c, err := t.find(id, wire.TypeAsk)
	if c == nil {
		return err
	}
	if c.askBytes += size; len(c.asks) == wire.MaxAsks || c.askBytes > wire.MaxAskBytes {
		return fmt.Errorf("asks of call %d: more than %d, or more than %d bytes, wait for their answer", id, wire.MaxAsks, wire.MaxAskBytes)
	}
	c.asks = append(c.asks, question[A]{a, size})
	c.asked.Store(true)
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

// Origin fills in which call a log line belongs to; nothing for call 0 and for calls that have ended.
func (t *Table[O, A]) Origin(id uint32, rec *transport.LogRecord) error {
	if id == 0 {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	c, err := t.find(id, wire.TypeLog)
	if c == nil {
		return err
	}
	rec.Instance, rec.Phase, rec.RequestID = c.instance, c.phase, c.requestID
	return nil
}
