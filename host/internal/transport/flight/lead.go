package flight

import (
	"sync/atomic"
	"time"
)

// Source is a lane as it is read by whoever leads: one goroutine at a time.
type Source interface {
	// Read waits for bytes on behalf of w and delivers every frame that is whole by then. It returns after it has delivered something, after an Interrupt,
	// and when w is over; false only when the lane has failed. It asks w after everything it does that may undo an Interrupt.
	Read(w Waiter) bool
	// Interrupt makes a Read that waits return, or else the next one. It may come too late, and hit somebody whom it does not mean.
	Interrupt()
}

// Waiter is whom a Source reads for.
type Waiter interface {
	// Over reports whether the waiter has what it waits for.
	Over() bool
}

const (
	// crowd is how many calls in flight, or outcomes of one read, make a background reader worth its wake-ups: with more of them, a lead that
	// went from caller to caller would cost one wake-up for each batch that one read brings. With half as many it is given up again.
	crowd = 4
	// idle is how long a lane without calls goes unread at most: until a goaway, a log line or the end of the connection is noticed.
	idle = 10 * time.Millisecond
)

// What a caller does about reading the lane.
const (
	elsewhere uint32 = iota // it does not wait
	waiting                 // it waits, and takes the lead when it gets it
	promoted                // it has got the lead, and will find out when it wakes
)

// lead is who reads a lane. A caller that waits for its outcome reads the socket itself and delivers what comes to the others; when it has its own, it
// passes the lead on. So a lone call needs no other goroutine: no wake-up between the socket and its caller. With a crowd in flight a background
// reader does better, and it reads too where nobody waits for long.
//
// The lead is free, or one goroutine has it. Who gives it up looks for somebody who waits; who begins to wait says so first and then
// tries to take a free lead: one of the two sees the other.
type lead[O, A any] struct {
	_ [64]byte // who waits reads leader; what is written for each call sits in another cache line, on both sides

	source     Source
	leader     atomic.Pointer[Call[O, A]] // nil: the lead is free
	background Call[O, A]                 // stands for the background reader; never over

	watch    *time.Timer // looks whether a lane is idle
	watching atomic.Bool // it is set

	delivered uint64 // outcomes; written by who leads, with mu of the table
	seen      uint64 // of them, at the last look; of watch
}

// Lead makes the callers of the table read its lane.
func (t *Table[O, A]) Lead(source Source) {
	t.mu.Lock() // look may come at once
	defer t.mu.Unlock()
	t.source = source
	t.watching.Store(true)
	t.watch = time.AfterFunc(idle, t.look)
}

// waitOrLead waits for a signal, or reads the lane until c is over.
func (t *Table[O, A]) waitOrLead(c *Call[O, A]) {
	c.post.Store(waiting)
	if t.leader.Load() == nil && t.leader.CompareAndSwap(nil, c) {
		c.post.Store(elsewhere)
	} else {
		<-c.ready
		if c.post.Swap(elsewhere) != promoted {
			return
		}
	}
	before := t.delivered
	for !c.Over() {
		if before = t.delivered; !t.source.Read(c) {
			break
		}
	}
	t.handOver(t.delivered - before)
}

// handOver gives the lead to somebody who waits for it, or sets it free. The last read brought so many outcomes.
func (t *Table[O, A]) handOver(brought uint64) {
	for !t.promote(brought) {
		t.leader.Store(nil)
		if !t.awaited() || !t.leader.CompareAndSwap(nil, &t.background) {
			break // whoever begins to wait now takes it, or has taken it
		}
	}
	if !t.watching.Load() && t.watching.CompareAndSwap(false, true) {
		t.watch.Reset(idle)
	}
}

// promote gives the lead of the caller of this method to the newest call that waits, whose outcome comes last, or to a background reader.
func (t *Table[O, A]) promote(brought uint64) bool {
	n := t.inFlight.Load()
	if n > crowd || brought > crowd { // those who have their outcomes will be back
		t.leader.Store(&t.background)
		go t.readInBackground()
		return true
	}
	if n == 0 {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for c := t.tail; c != nil; c = c.prev {
		if c.post.Load() != waiting {
			continue
		}
		t.leader.Store(c) // first: once it is promoted it may lead, and hand over
		if c.post.CompareAndSwap(waiting, promoted) {
			c.signal()
			return true
		}
	}
	return false
}

// awaited reports whether a call waits for the lead.
func (t *Table[O, A]) awaited() bool {
	if t.inFlight.Load() == 0 {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for c := t.tail; c != nil; c = c.prev {
		if c.post.Load() == waiting {
			return true
		}
	}
	return false
}

// readInBackground leads until the lane dies, or a read brings few outcomes and leaves few calls, who can do it themselves.
func (t *Table[O, A]) readInBackground() {
	for {
		before := t.delivered
		if !t.source.Read(&t.background) {
			return
		}
		if brought := t.delivered - before; t.inFlight.Load() <= crowd/2 && brought > 0 && brought <= crowd/2 {
			t.handOver(brought)
			return
		}
	}
}

// look makes a background reader of a lane that nobody reads. While outcomes come, some caller will read it soon.
func (t *Table[O, A]) look() {
	t.watching.Store(false)
	t.mu.Lock()
	quiet, dead := t.delivered == t.seen, t.dead != nil
	t.seen = t.delivered
	t.mu.Unlock()
	switch {
	case dead:
	case !quiet:
		if t.watching.CompareAndSwap(false, true) {
			t.watch.Reset(idle)
		}
	case t.leader.CompareAndSwap(nil, &t.background):
		t.readInBackground()
	} // else somebody leads, and sets the watch when he is done
}

// interrupt wakes a call that has ended if it leads.
func (t *Table[O, A]) interrupt(c *Call[O, A]) {
	if t.source != nil && t.leader.Load() == c {
		t.source.Interrupt()
	}
}
