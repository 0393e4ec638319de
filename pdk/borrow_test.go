package pdk

import (
	"testing"
	"unsafe"
)

// A stack that grows takes borrowed lists along, wherever its end was when they were borrowed. The race detector's builds once left them behind.
func TestBorrowedListsMoveWithTheStack(t *testing.T) {
	moved := make(chan bool)
	for depth := range 1024 {
		go func() { moved <- borrowedAt(depth) }() // on a new, small stack
		if !<-moved {
			t.Fatalf("at depth %d the borrowed list is elsewhere", depth)
		}
	}
}

//go:noinline
func borrowedAt(depth int) bool {
	if depth > 0 {
		return borrowedAt(depth - 1)
	}
	return lend("a", "b")
}

//go:noinline
func lend(list ...string) bool { return same(borrowed(list), list) }

//go:noinline
func same(a, b []string) bool { return unsafe.SliceData(a) == unsafe.SliceData(b) && len(a) == len(b) }
