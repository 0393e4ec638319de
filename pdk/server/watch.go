package server

import (
	"sync"
	"sync/atomic"
	"time"
)

const (
	// look is how often the watch looks at the leaders. One that is found twice in the same place holds up its lane, for one to two
	// looks: docs/wire.md section 5.3 wants outcomes of finished steps to wait for a millisecond at most.
	look = 500 * time.Microsecond
	// restLooks is how many looks without a call let the watch rest.
	restLooks = 40
)

// watch looks after the leaders of all lanes of a server while there are calls. It is one goroutine, which lives as long as there are lanes.
type watch struct {
	resting atomic.Bool   // there is nothing to look at
	rouse   chan struct{} // ends the rest; whoever sets resting to false sends

	mu     sync.Mutex
	crews  map[*crew]struct{}
	active bool // the goroutine lives
}

func newWatch() *watch {
	return &watch{rouse: make(chan struct{}, 1), crews: map[*crew]struct{}{}}
}

// add has a crew watched until it is removed.
func (w *watch) add(c *crew) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.crews[c] = struct{}{}
	if !w.active {
		w.active = true
		go w.run()
	}
}

func (w *watch) remove(c *crew) {
	w.mu.Lock()
	delete(w.crews, c)
	w.mu.Unlock()
	w.stir()
}

// stir ends the rest.
func (w *watch) stir() {
	if w.resting.Load() && w.resting.CompareAndSwap(true, false) {
		w.rouse <- struct{}{}
	}
}

func (w *watch) run() {
	tick := newTicker(look)
	defer tick.close()
	idle, late := 0, false
	for before := time.Now(); ; {
		tick.wait()
		now := time.Now()
		late = !late && now.Sub(before) > 2*look // this process did not run either: the leaders may be as quick as ever
		before = now
		switch moved, lanes := w.look(late); {
		case lanes == 0 && w.over():
			return
		case moved:
			idle = 0
		default:
			if idle++; idle > restLooks {
				tick.pause()
				w.rest()
				tick.resume()
				idle, before = 0, time.Now()
			}
		}
	}
}

// over reports, and notes, that there is nothing to watch any more.
func (w *watch) over() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.active = len(w.crews) > 0
	return !w.active
}

// look looks at all leaders, and takes the lead from those that are held up, unless none is to be blamed. It reports whether there were calls since the
// last look, and how many lanes there are.
func (w *watch) look(blameless bool) (moved bool, lanes int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := range w.crews {
		if c.look(blameless) {
			moved = true
		}
	}
	return moved, len(w.crews)
}

// rest waits until a leader begins something, or a crew is gone.
func (w *watch) rest() {
	w.resting.Store(true)
	if moved, lanes := w.look(true); (moved || lanes == 0) && w.resting.CompareAndSwap(true, false) {
		return
	}
	<-w.rouse
}

// look takes the lead from a leader that is where it was at the last look. It reports whether the leader did anything since then, or does.
func (c *crew) look(blameless bool) bool {
	state := c.state.Load()
	switch {
	case state != c.seen:
		c.seen = state
	case state%2 == 0:
		return false
	case !blameless && c.take(state):
		c.pace.blocked(time.Now())
		c.lane.server.pool.lead(c)
	}
	return true
}
