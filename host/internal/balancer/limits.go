package balancer

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// limits bound what all requests of an upstream do together, and count it.
type limits struct {
	active   atomic.Int64 // requests between Begin and End
	retrying atomic.Int64 // of those, which are on a further try

	retries, denied    atomic.Uint64 // further tries, and those that the budget did not allow
	overflows, ejected atomic.Uint64

	pending atomic.Int64 // requests that wait for a connection
	queue   struct {
		sync.Mutex
		waiting []chan struct{}
	}
}

// Begin counts a request of the upstream until End.
func (b *Balancer) Begin() { b.active.Add(1) }

// End says that a request is over; retried: that MayRetry allowed it a further try.
func (b *Balancer) End(retried bool) {
	b.active.Add(-1)
	if retried {
		b.retrying.Add(-1)
	}
}

// MayRetry asks the budget for a further try of a request; again: it has had one before, which lasts until End.
func (b *Balancer) MayRetry(again bool) bool {
	if budget := b.Upstream.Budget; !again {
		n := b.retrying.Add(1)
		if budget != nil && n > max(int64(budget.MinRetries), b.active.Load()*int64(budget.Percent)/100) {
			b.retrying.Add(-1)
			b.denied.Add(1)
			return false
		}
	}
	b.retries.Add(1)
	return true
}

// await chooses again each time that a connection may be free. It gives up when too many wait already, and when the patience is over.
func (b *Balancer) await(c *Choice) (*Place, error) {
	defer b.pending.Add(-1)
	if b.pending.Add(1) > int64(b.Upstream.Breaker.MaxPendingRequests) {
		return nil, ErrFull
	}
	timer := time.NewTimer(c.Patience)
	defer timer.Stop()
	for called := false; ; called = true {
		turn := make(chan struct{})
		b.stand(turn, called)
		// One that became free before this request stood in the queue is found here.
		if p, err := b.choose(b.current(c), c); err != ErrFull {
			b.leave(turn)
			return p, err
		}
		select {
		case <-turn:
		case <-timer.C:
			b.leave(turn)
			return nil, ErrFull
		case <-c.Gone:
			b.leave(turn)
			return nil, ErrGone
		}
		c.Now = time.Now()
	}
}

// stand puts a request into the queue: at its end, or before the others when it was called already and somebody else was faster.
func (b *Balancer) stand(turn chan struct{}, called bool) {
	b.queue.Lock()
	defer b.queue.Unlock()
	at := len(b.queue.waiting)
	if called {
		at = 0
	}
	b.queue.waiting = slices.Insert(b.queue.waiting, at, turn)
}

// freed lets the request choose that has waited for the longest time.
func (b *Balancer) freed() {
	if b.pending.Load() == 0 {
		return
	}
	b.queue.Lock()
	defer b.queue.Unlock()
	if len(b.queue.waiting) > 0 {
		close(b.queue.waiting[0])
		b.queue.waiting = append(b.queue.waiting[:0], b.queue.waiting[1:]...)
	}
}

// freedAll lets all requests choose that wait: there is another view.
func (b *Balancer) freedAll() {
	if b.pending.Load() == 0 {
		return
	}
	b.queue.Lock()
	defer b.queue.Unlock()
	for _, turn := range b.queue.waiting {
		close(turn)
	}
	b.queue.waiting = nil
}

// leave takes a request out of the queue. When it was just called, it calls the next one.
func (b *Balancer) leave(turn chan struct{}) {
	b.queue.Lock()
	for i, w := range b.queue.waiting {
		if w == turn {
			b.queue.waiting = append(b.queue.waiting[:i], b.queue.waiting[i+1:]...)
			b.queue.Unlock()
			return
		}
	}
	b.queue.Unlock()
	b.freed()
}
