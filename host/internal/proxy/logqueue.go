package proxy

import (
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/outrigger-gateway/outrigger/host/internal/dispatch"
	"github.com/outrigger-gateway/outrigger/host/internal/exchange"
	"github.com/outrigger-gateway/outrigger/host/internal/generation"
	"github.com/outrigger-gateway/outrigger/pdk"
)

// logQueue runs the log phase of finished requests beside them. The chain of one request runs in order; a full queue drops and counts.
type logQueue struct {
	queue   chan logged
	workers sync.WaitGroup
	closing sync.RWMutex // guards closed; held for reading while something is pushed
	closed  bool
	dropped atomic.Uint64
	logger  *slog.Logger
}

type logged struct {
	ex  *exchange.Exchange
	gen *generation.Generation
}

func newLogQueue(d *dispatch.Dispatcher, logger *slog.Logger, size, workers int) *logQueue {
	q := &logQueue{queue: make(chan logged, size), logger: logger}
	for range workers {
		q.workers.Go(func() {
			for l := range q.queue {
				d.RunLog(l.ex, l.ex.Chain(pdk.PhaseLog))
				l.ex.DropAll()
				l.gen.Release()
			}
		})
	}
	return q
}

// push queues a detached exchange, or drops it.
func (q *logQueue) push(ex *exchange.Exchange, gen *generation.Generation) {
	q.closing.RLock()
	defer q.closing.RUnlock()
	if q.closed { // a request that the shutdown did not wait for
		q.dropped.Add(1)
		gen.Release()
		return
	}
	why := "max_bodies_in_memory is reached"
	if ex.HoldLog() == nil {
		select {
		case q.queue <- logged{ex, gen}:
			return
		default:
			ex.DropAll()
			why = "log_queue_size is reached"
		}
	}
	if n := q.dropped.Add(1); n&(n-1) == 0 { // the first, second, fourth, … so that a flood does not become a flood of lines
		q.logger.Warn("log phases are dropped", "reason", why, "dropped", n)
	}
	gen.Release()
}

// close runs what is queued and ends. What is pushed later is dropped.
func (q *logQueue) close() {
	q.closing.Lock()
	if !q.closed {
		q.closed = true
		close(q.queue)
	}
	q.closing.Unlock()
	q.workers.Wait()
}
