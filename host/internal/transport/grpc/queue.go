package grpc

import (
	"slices"
	"sync"

	"github.com/outrigger-gateway/outrigger/proto/gen/outrigger/plugin/v1"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// maxPending bounds the bytes, roughly, that wait to be sent: whoever finds more waits for room.
const maxPending = 256 << 10

// waiter is who waits for room: a call.
type waiter interface{ Wake() }

// queue holds the messages that wait for the goroutine that sends: gRPC lets one goroutine send, and blocks it while the peer does
// not read.
type queue struct {
	mu      sync.Mutex
	pending []*pluginv1.DispatchRequest
	size    int
	closing bool // nothing may be queued any more
	waiters []waiter
	more    chan struct{} // one signal: messages, or closing
}

func newQueue() *queue { return &queue{more: make(chan struct{}, 1)} }

// room reports whether something may be queued. The lock is held, as in the other methods up to take.
func (q *queue) room() bool { return q.size < maxPending }

func (q *queue) put(id uint32, m *pluginv1.DispatchRequest, size int) {
	m.CallId = id
	q.pending = append(q.pending, m)
	q.size += size + wire.HeaderSize
	select {
	case q.more <- struct{}{}:
	default:
	}
}

func (q *queue) enlist(c waiter) { q.waiters = append(q.waiters, c) }

func (q *queue) delist(c waiter) {
	if i := slices.Index(q.waiters, c); i >= 0 {
		q.waiters = slices.Delete(q.waiters, i, i+1)
	}
}

// take gives everything that is pending and wakes those who wait for room; last says that nothing will follow.
func (q *queue) take(old []*pluginv1.DispatchRequest) (batch []*pluginv1.DispatchRequest, last bool) {
	clear(old)
	q.mu.Lock()
	defer q.mu.Unlock()
	batch, q.pending, q.size = q.pending, old[:0], 0
	for i, c := range q.waiters {
		c.Wake()
		q.waiters[i] = nil
	}
	q.waiters = q.waiters[:0]
	return batch, q.closing
}

// close queues a last message, if there is one, and lets nothing follow it.
func (q *queue) close(last *pluginv1.DispatchRequest) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closing {
		return
	}
	if last != nil {
		q.put(0, last, 0)
	}
	q.closing = true
	select {
	case q.more <- struct{}{}:
	default:
	}
}
