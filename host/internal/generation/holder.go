package generation

import "sync/atomic"

// Holder holds the current generation, and beside it that of a canary while there is one.
type Holder struct {
	current atomic.Pointer[Generation]
	canary  atomic.Pointer[canary]
	turn    atomic.Uint64 // of the request, counted while there is a canary
}

// canary is a generation that takes a share of the requests.
type canary struct {
	*Generation
	share uint64 // of shareUnit
}

// shareUnit is the share of all requests.
const shareUnit = 1 << 63

// golden is the odd number next to 2^64 divided by the golden ratio.
const golden = 0x9e3779b97f4a7c15

// takes says whether the n-th request is the canary's. Multiples of the golden ratio are spread evenly however many there are, and whatever step they
// are taken in: a client whose requests are every fourth one gets the same share as all together.
func (c *canary) takes(n uint64) bool {
	return n*golden>>1 < c.share
}

// Acquire takes a generation for a request: the current one, or that of the canary when it is its turn. The caller releases it. It is nil before
// the first Swap.
func (h *Holder) Acquire() *Generation {
	for {
		c := h.canary.Load()
		if c == nil || !c.takes(h.turn.Add(1)) {
			return h.AcquireCurrent()
		}
		c.refs.Add(1)
		if h.canary.Load() == c {
			return c.Generation
		}
		c.Release() // ended between the two steps: it may already have been let go
	}
}

// AcquireCurrent takes the current generation, whatever a canary does; the caller releases it. It is nil before the first Swap.
func (h *Holder) AcquireCurrent() *Generation {
	for {
		g := h.current.Load()
		if g == nil {
			return nil
		}
		g.refs.Add(1)
		if h.current.Load() == g {
			return g
		}
		g.Release() // replaced between the two steps: it may already have been let go
	}
}

// Current is the current generation without taking it, for status displays.
func (h *Holder) Current() *Generation { return h.current.Load() }

// Swap makes g the current generation. The old one goes when its last request is done. A nil g ends the last generation.
func (h *Holder) Swap(g *Generation) {
	if g != nil {
		g.refs.Add(1)
	}
	if old := h.current.Swap(g); old != nil {
		old.Release()
	}
}

// SwapCanary lets g take a share of the requests, from 0 to 1, in the place of the canary before it. That one goes when its last request is done.
// A nil g ends the canary: from then on every request takes the current generation.
func (h *Holder) SwapCanary(g *Generation, share float64) {
	var next *canary
	if g != nil {
		g.refs.Add(1)
		next = &canary{g, uint64(min(max(share, 0), 1) * shareUnit)}
	}
	if old := h.canary.Swap(next); old != nil {
		old.Release()
	}
}
