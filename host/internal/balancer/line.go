package balancer

import (
	"slices"
	"sync"
	"time"
)

// line is the requests of an upstream that wait for a connection, in the order in which they came. The first one is called when something may be free, and
// chooses; meanwhile nobody else does. Who finds nothing is the first one again, and who is served calls the next.
type line struct {
	mu      sync.Mutex
	waiting []*waiter
	busy    bool // somebody was called and chooses
	again   bool // something became free meanwhile
}

type waiter struct {
	turn chan struct{} // has a value when it is called
}

// await chooses when a connection may be free and nobody has waited longer. It gives up when too many wait already, when the patience is over, and when the
// client has gone.
func (b *Balancer) await(c *Choice) (*Place, error) {
	defer b.pending.Add(-1)
	if b.pending.Add(1) > int64(b.Upstream.Breaker.MaxPendingRequests) {
		return b.chooseNow(c)
	}
	gone, over := c.watch()
	defer over()
	timer := time.NewTimer(c.Patience)
	defer timer.Stop()
	w := &waiter{turn: make(chan struct{}, 1)}
	for called := b.line.stand(w); ; called = b.line.back(w) {
		if !called {
			select {
			case <-w.turn:
			case <-timer.C:
				b.line.leave(w)
				return nil, ErrFull
			case <-gone:
				b.line.leave(w)
				return nil, ErrGone
			}
			c.Now = time.Now()
		}
		c.called = true
		if p, err := b.chooseNow(c); err != ErrFull {
			b.line.served()
			return p, err
		}
	}
}

// stand puts a request at the end of the line. It is called at once when nobody is before it: a connection may have become free before it stood there.
func (l *line) stand(w *waiter) (called bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.busy && len(l.waiting) == 0 {
		l.busy = true
		return true
	}
	l.waiting = append(l.waiting, w)
	return false
}

// back puts the request that was called for nothing back to the front. It is called again at once when something became free meanwhile.
func (l *line) back(w *waiter) (called bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.again {
		l.again = false
		return true
	}
	l.busy = false
	l.waiting = slices.Insert(l.waiting, 0, w)
	return false
}

// served says that the request that was called chooses no more. There may be something for the next one, too.
func (l *line) served() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.busy = false
	l.call()
}

// leave takes a request out that waits no longer. When it was just called, the next one is instead.
func (l *line) leave(w *waiter) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if at := slices.Index(l.waiting, w); at >= 0 {
		l.waiting = slices.Delete(l.waiting, at, at+1)
		return
	}
	l.busy = false
	l.call()
}

// freed says that something may be free.
func (l *line) freed() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.call()
}

// call calls the first one in the line; mu is held.
func (l *line) call() {
	if l.again = l.busy; l.busy || len(l.waiting) == 0 {
		return
	}
	l.busy = true
	l.waiting[0].turn <- struct{}{}
	l.waiting = slices.Delete(l.waiting, 0, 1)
}
