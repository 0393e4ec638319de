package proxy

import (
	"testing"
	"time"
)

// Memory is given back after many connections were parked, not after some, and not more often than said.
func TestGiveBack(t *testing.T) {
	var g giveBack
	defer g.end()
	now := time.Now()
	for range manyParked - 1 {
		g.parkedOne(now)
	}
	if g.timer != nil {
		t.Fatal("planned for few")
	}
	g.parkedOne(now)
	if g.timer == nil {
		t.Fatal("not planned for many")
	}
	g.timer.Stop()
	g.collect()
	if g.timer != nil || g.parked != 0 || g.last.Before(now) {
		t.Fatalf("after a collection: %d parked, last %v", g.parked, g.last)
	}
	for range manyParked {
		g.parkedOne(g.last.Add(giveBackEvery - time.Hour))
	}
	if !g.timer.Stop() {
		t.Error("planned before its time")
	}
	g.end()
	for range manyParked {
		g.parkedOne(now)
	}
	if g.timer != nil {
		t.Error("planned after the end")
	}
}
