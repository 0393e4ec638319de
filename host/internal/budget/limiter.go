// Package budget bounds what a part of the gateway may take: calls at the same time (Limiter), failures (Breaker), memory (Bytes). A Registry keeps
// limiters and breakers beside the generations that use them.
//
// Everything here may be used by many requests at once, costs some tens of nanoseconds and allocates nothing unless a call has to wait.
package budget

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// ErrFull says that there is no room and none in the queue either; ErrWaited that none became free before the deadline.
var (
	ErrFull   = errors.New("no room, and the queue is full")
	ErrWaited = errors.New("no room before the deadline")
)

// Limiter bounds the calls in flight. Callers that find no room wait in a queue, first come first served.
type Limiter struct {
	most  uint32 // in flight
	queue uint32 // waiting
	// state holds the calls in flight in its low and those that wait in its high 32 bits. While somebody waits only the holder of mu changes it.
	state   atomic.Uint64
	refused atomic.Uint64

	mu         sync.Mutex
	head, tail *waiter
}

// waiter stands in the queue until it is handed a place.
type waiter struct {
	prev, next *waiter
	deadline   time.Time
	queued     bool
	has        bool // a place
	handed     chan struct{}
}

const oneWaits = 1 << 32

func split(state uint64) (inFlight, waiting uint32) { return uint32(state), uint32(state >> 32) }

// NewLimiter allows most calls in flight, at least 1, and queue more that wait.
func NewLimiter(most, queue int) *Limiter {
	return &Limiter{most: uint32(max(most, 1)), queue: uint32(max(queue, 0))}
}

// Enter takes a place, which Leave gives back. It waits in the queue at most until the deadline. The error is ErrFull or ErrWaited.
func (l *Limiter) Enter(deadline time.Time) error {
	for {
		state := l.state.Load()
		in, waiting := split(state)
		if waiting == 0 && in < l.most {
			if l.state.CompareAndSwap(state, state+1) {
				return nil
			}
			continue
		}
		if waiting >= l.queue {
			l.refused.Add(1)
			return ErrFull
		}
		if w := l.line(state, deadline); w != nil {
			return l.wait(w)
		}
	}
}

// full reports whether Enter would give ErrFull.
func (l *Limiter) full() bool {
	in, waiting := split(l.state.Load())
	return (waiting > 0 || in >= l.most) && waiting >= l.queue
}

// line puts a waiter at the end of the queue; nil when the state is no longer the given one.
func (l *Limiter) line(state uint64, deadline time.Time) *waiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.state.CompareAndSwap(state, state+oneWaits) {
		return nil
	}
	w := &waiter{prev: l.tail, deadline: deadline, queued: true, handed: make(chan struct{})}
	if l.tail != nil {
		l.tail.next = w
	} else {
		l.head = w
	}
	l.tail = w
	return w
}

func (l *Limiter) wait(w *waiter) error {
	timer := time.NewTimer(time.Until(w.deadline))
	defer timer.Stop()
	select {
	case <-w.handed:
		return nil
	case <-timer.C:
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if w.has {
		return nil // the place came just before the deadline
	}
	if w.queued {
		l.remove(w)
	}
	l.refused.Add(1)
	return ErrWaited
}

// remove takes a waiter out of the queue; mu is held.
func (l *Limiter) remove(w *waiter) {
	if w.prev != nil {
		w.prev.next = w.next
	} else {
		l.head = w.next
	}
	if w.next != nil {
		w.next.prev = w.prev
	} else {
		l.tail = w.prev
	}
	w.prev, w.next, w.queued = nil, nil, false
	l.state.Add(^uint64(oneWaits - 1)) // one waits less
}

// Leave gives a place back, to the first of the queue when somebody waits. It reports how many calls are in flight now.
func (l *Limiter) Leave() (left int) {
	for {
		state := l.state.Load()
		in, waiting := split(state)
		if waiting == 0 {
			if l.state.CompareAndSwap(state, state-1) {
				return int(in) - 1
			}
			continue
		}
		if l.hand() {
			return int(in)
		}
	}
}

// hand gives the caller's place to the first waiter that has time left; false when nobody waits any more. A place that comes with the deadline
// would make a call that cannot but fail.
func (l *Limiter) hand() bool {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	for w := l.head; w != nil; w = l.head {
		l.remove(w)
		if now.Before(w.deadline) {
			w.has = true
			close(w.handed)
			return true
		}
	}
	return false
}

// Usage is what a limiter holds now, and what it has refused so far.
type Usage struct {
	InFlight, Waiting int
	Refused           uint64
}

// Usage of the limiter now.
func (l *Limiter) Usage() Usage {
	in, waiting := split(l.state.Load())
	return Usage{InFlight: int(in), Waiting: int(waiting), Refused: l.refused.Load()}
}
