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

func TestHolderUnderSwaps(t *testing.T) {
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
	for range 2000 {
		h.Swap(fresh())
	}
	close(stop)
	users.Wait()
	h.Swap(nil)
	if len(drained) != 2001 {
		t.Errorf("%d generations were drained, want 2001", len(drained))
	}
	for _, n := range drained {
		if n != 1 {
			t.Fatalf("a generation was drained %d times", n)
		}
	}
}
