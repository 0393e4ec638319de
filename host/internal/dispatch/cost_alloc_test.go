//go:build !race

package dispatch_test

import (
	"testing"

	"github.com/outrigger-gateway/outrigger/host/internal/plan"
)

// What a call costs beside its lane and the copy of the request's head: nothing on the heap, with everything that a gateway has around it.
func TestExternalCallDoesNotAllocate(t *testing.T) {
	x := newCost(t, external())
	if n := testing.AllocsPerRun(500, x.request); n > 0 {
		t.Errorf("%v allocations per call", n)
	}
}

// Over the wire a step allocates now and then: the values of its operations outlive its outcome, and come some at a time. A further step of a fused call
// costs no more than the first.
func TestStepsOverTheWireDoNotAllocate(t *testing.T) {
	for name, c := range map[string]struct {
		steps    int
		together bool
	}{"one": {1, true}, "three together": {3, true}, "three apart": {3, false}} {
		x := newCost(t, wired(t, c.steps, c.together)...)
		if n := testing.AllocsPerRun(500, x.request); n > 0.4*float64(c.steps) {
			t.Errorf("%s: %v allocations per request", name, n)
		}
	}
}

// A native plugin costs no allocation, however many there are. Handles come by the 32, because a plugin may keep one.
func TestNativeChainDoesNotAllocate(t *testing.T) {
	for name, ins := range map[string][]*plan.Instance{"one": {inside(hello)}, "ten that do nothing": tenOf(nothing), "ten that read and write": tenOf(hello)} {
		x := newCost(t, ins...)
		if n := testing.AllocsPerRun(500, x.request); n > float64(len(ins))/16 {
			t.Errorf("%s: %v allocations per request", name, n)
		}
	}
}
