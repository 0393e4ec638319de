package server

import (
	"sync/atomic"
	"time"
)

// feed is the reading side of a carrier. One goroutine at a time uses it: the leader.
type feed interface {
	// next waits for messages, takes in all that are there, and gives the calls among them, linked by next, and when they came. With an error, after
	// which it is not called again, it may give calls too.
	next() (calls *run, received time.Time, err error)
}

// crew are the goroutines that serve a lane. One leads: it reads a batch of calls, runs the handlers of those that are quick, one after the other,
// sends their outcomes at once, and reads on. The watch of the server looks after it. When a handler blocks, or computes for long, another goroutine gets
// the lead with the rest of the batch, and the handler ends where it is. The same happens, at once, when a handler asks the host. Handlers that were
// slow lately (pace) run on goroutines of the pool from the start.
type crew struct {
	lane *lane
	feed feed

	// state is odd while the leader does what may take long: it runs a handler, or writes. Every change counts it up, so a turn is known by its number.
	// Whoever moves it from an odd number on has the lead.
	state atomic.Uint64
	over  chan struct{} // closed at the end of the lane
	err   error         // why it ended; set before over is closed

	seen uint64 // state at the last look; for the watch

	// For the leader.
	queue    *run  // calls of the batch that have not run, linked by next
	pace     *pace // of the handler that runs inline
	received time.Time
	ran      int  // calls of the batch that ran inline
	timing   bool // the last batch was slow: each run of this one is timed
}

func newCrew(l *lane, f feed) *crew {
	return &crew{lane: l, feed: f, over: make(chan struct{})}
}

// serve serves the lane until it ends. The handlers that still run then do not hold it up.
func (c *crew) serve() error {
	w := c.lane.server.watch
	w.add(c)
	defer w.remove(c)
	c.lane.server.pool.lead(c)
	<-c.over
	return c.err
}

// turn is a leader's hold on the lead while it does what may take long.
type turn struct {
	crew   *crew
	number uint64 // of crew.state
	timed  bool   // crew.timing, when the turn began
}

func (t *turn) begin(p *pace) {
	c := t.crew
	c.pace, t.timed = p, c.timing
	t.number = c.state.Load() + 1
	c.state.Store(t.number)
	c.lane.server.watch.stir()
}

// end reports false when another goroutine has taken the lead meanwhile.
func (t *turn) end() bool { return t.crew.take(t.number) }

// take ends a turn. Whoever gets true has the lead.
func (c *crew) take(turn uint64) bool { return c.state.CompareAndSwap(turn, turn+1) }

// holds reports whether the goroutine whose turn it is still has the lead. Turn 0 is nobody's.
func (c *crew) holds(turn uint64) bool { return turn != 0 && c.state.Load() == turn }

// lead leads until the lane ends or another goroutine takes the lead. The caller has it.
func (c *crew) lead() {
	t, returned := turn{crew: c}, false
	defer func() {
		if !returned && t.end() { // a handler has called runtime.Goexit
			c.lane.server.pool.lead(c)
		}
	}()
	if t.flush() { // what the leader before had gathered
		for t.batch() {
		}
	}
	returned = true
}

// batch runs what is queued, sends the outcomes and reads on. It reports false when the lead is lost or the lane has ended.
func (t *turn) batch() bool {
	c := t.crew
	for c.queue != nil {
		r := c.queue
		c.queue, r.next = r.next, nil
		if !t.run(r) {
			return false
		}
	}
	if c.ran > 0 {
		c.timing = time.Since(c.received) > time.Duration(c.ran)*quickRun
		if !t.flush() {
			return false
		}
	}
	calls, received, err := c.feed.next()
	if err != nil {
		c.lane.server.pool.submit(calls)
		c.err = err
		close(c.over)
		return false
	}
	c.queue, c.received, c.ran = c.divide(calls), received, 0
	return true
}

// run runs a call inline.
func (t *turn) run(r *run) bool {
	c := t.crew
	t.begin(r.pace)
	steps := r.execute(t)
	if !t.end() {
		c.lane.carrier.flush(true)
		return false
	}
	c.ran += steps
	return true
}

// flush sends the outcomes that are gathered.
func (t *turn) flush() bool {
	t.begin(nil)
	t.crew.lane.carrier.flush(false)
	return t.end()
}

// divide hands the calls whose handlers were slow lately to the pool and gives the others.
func (c *crew) divide(calls *run) (quick *run) {
	var slow *run
	q, s := &quick, &slow
	for r := calls; r != nil; r = r.next {
		if r.quick() {
			*q, q = r, &r.next
		} else {
			*s, s = r, &r.next
		}
	}
	*q, *s = nil, nil
	c.lane.server.pool.submit(slow)
	return quick
}
