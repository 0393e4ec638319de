package generation

import (
	"sync"
	"testing"
)

// A request may take a generation in the moment in which it is replaced. Its instances are let go once, not once per such request.
func TestGenerationIsDrainedOnce(t *testing.T) {
	drained := 0
	g := &Generation{drained: func(*Generation) { drained++ }}
	var h Holder
	h.Swap(g)
	h.Swap(nil) // the last holder goes
	g.Retain()  // what Acquire does before it sees that the generation was replaced
	g.Release()
	if drained != 1 {
		t.Errorf("drained %d times, want once", drained)
	}
}

// inUse changes a holder while it is used: nobody gets a generation that was drained, and each of the made ones is drained once.
func inUse(t *testing.T, made int, change func(h *Holder, fresh func() *Generation)) {
	t.Helper()
	var h Holder
	var mu sync.Mutex
	drained := map[*Generation]int{}
	fresh := func() *Generation {
		return &Generation{drained: func(g *Generation) {
			mu.Lock()
			defer mu.Unlock()
			drained[g]++
		}}
	}
	h.Swap(fresh())
	stop := make(chan struct{})
	var users sync.WaitGroup
	for range 4 {
		users.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				g := h.Acquire()
				mu.Lock()
				gone := drained[g] > 0
				mu.Unlock()
				if gone {
					t.Error("a generation in use was drained")
				}
				g.Release()
			}
		})
	}
	change(&h, fresh)
	close(stop)
	users.Wait()
	h.Swap(nil)
	if len(drained) != made {
		t.Errorf("%d generations were drained, want %d", len(drained), made)
	}
	for _, n := range drained {
		if n != 1 {
			t.Fatalf("a generation was drained %d times", n)
		}
	}
}

func TestHolderUnderSwaps(t *testing.T) {
	inUse(t, 2001, func(h *Holder, fresh func() *Generation) {
		for range 2000 {
			h.Swap(fresh())
		}
	})
}

// A canary takes its share, evenly spread, and nothing after its end.
func TestCanaryShare(t *testing.T) {
	for _, c := range []struct {
		share    float64
		requests int
		want     int
	}{{0.05, 1000, 50}, {0.5, 100, 50}, {1, 100, 100}, {0, 100, 0}, {0.333333, 3000, 1000}, {0.000001, 1_000_000, 1}} {
		var h Holder
		var drained []*Generation
		one := func() *Generation {
			return &Generation{drained: func(g *Generation) { drained = append(drained, g) }}
		}
		current, canary := one(), one()
		h.Swap(current)
		h.SwapCanary(canary, c.share)
		took, inRow := 0, 0
		for range c.requests {
			g := h.Acquire()
			if g == canary {
				took++
				if inRow++; inRow > 1 && c.share < 0.38 {
					t.Fatalf("share %v: two requests in a row", c.share)
				}
			} else {
				inRow = 0
			}
			g.Release()
		}
		if off := took - c.want; off < -1 || off > 1 || c.share == float64(int(c.share)) && off != 0 {
			t.Errorf("share %v: %d of %d requests, want %d, or one more or less", c.share, took, c.requests, c.want)
		}
		h.SwapCanary(nil, 0)
		if len(drained) != 1 || drained[0] != canary {
			t.Errorf("share %v: drained %d generations after the end of the canary, want it alone", c.share, len(drained))
		}
		if g := h.Acquire(); g != current {
			t.Errorf("share %v: a canary takes a request after its end", c.share)
		}
	}
}

// Clients that take turns, so that each has every n-th request, meet the canary as often as all together.
func TestCanaryShareOfEachClient(t *testing.T) {
	for _, share := range []float64{0.05, 0.25, 0.5} {
		for clients := 1; clients <= 8; clients++ {
			var h Holder
			current, canary := &Generation{drained: func(*Generation) {}}, &Generation{drained: func(*Generation) {}}
			h.Swap(current)
			h.SwapCanary(canary, share)
			took := make([]int, clients)
			const each = 1000
			for i := range each * clients {
				g := h.Acquire()
				if g == canary {
					took[i%clients]++
				}
				g.Release()
			}
			for client, n := range took {
				if off := float64(n) - share*each; off < -10 || off > 10 {
					t.Errorf("share %v, client %d of %d: %d of %d requests", share, client, clients, n, each)
				}
			}
		}
	}
}

// A promotion makes the canary the current generation: whoever acquires meanwhile has one of the two, and none that was drained.
func TestCanaryUnderPromotions(t *testing.T) {
	inUse(t, 1001, func(h *Holder, fresh func() *Generation) {
		for i := range 1000 {
			next := fresh()
			h.SwapCanary(next, 0.5)
			if i%2 == 0 { // promoted
				h.Swap(next)
			}
			h.SwapCanary(nil, 0)
		}
	})
}

func BenchmarkAcquire(b *testing.B) {
	for name, share := range map[string]float64{"current": -1, "canary": 0.05} {
		b.Run(name, func(b *testing.B) {
			var h Holder
			h.Swap(&Generation{})
			if share > 0 {
				h.SwapCanary(&Generation{}, share)
			}
			b.ReportAllocs()
			for b.Loop() {
				h.Acquire().Release()
			}
		})
	}
}
