package server

import (
	"context"
	"sync"
	"sync/atomic"
)

// gauge counts what is under way, and lets others wait until nothing is. Unlike a sync.WaitGroup it may rise again while somebody waits.
type gauge struct {
	n       atomic.Int64
	waiting atomic.Int32 // how many wait

	mu   sync.Mutex
	zero chan struct{} // closed when n reaches 0; nil when nobody has asked for it
}

func (g *gauge) up() { g.n.Add(1) }

func (g *gauge) down() {
	if g.n.Add(-1) != 0 || g.waiting.Load() == 0 {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.zero != nil {
		close(g.zero)
		g.zero = nil
	}
}

// wait waits until nothing is under way. It reports false when ctx ended before.
func (g *gauge) wait(ctx context.Context) bool {
	g.waiting.Add(1)
	defer g.waiting.Add(-1)
	for {
		g.mu.Lock()
		if g.zero == nil {
			g.zero = make(chan struct{})
		}
		zero := g.zero
		g.mu.Unlock()
		if g.n.Load() == 0 {
			return true
		}
		select {
		case <-zero:
		case <-ctx.Done():
			return g.n.Load() == 0
		}
	}
}
