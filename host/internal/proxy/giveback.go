package proxy

import (
	"runtime"
	"runtime/debug"
	"sync"
	"time"
)

// A burst of connections that become idle leaves memory behind that Go would keep until the heap has grown by as much again. When many were parked,
// what they had is collected and given back to the system.
const (
	manyParked    = 1000             // worth a collection
	giveBackAfter = 3 * time.Second  // when as many were parked: the rest of the burst is by then, and fasthttp has ended its goroutines
	giveBackEvery = 30 * time.Second // at most
)

// giveBack gives memory back after bursts. The zero value works.
type giveBack struct {
	mu     sync.Mutex
	parked int // since the last time
	last   time.Time
	timer  *time.Timer // nil: nothing is to come
	ended  bool
}

// parkedOne counts a connection that was parked.
func (g *giveBack) parkedOne(now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.parked++
	if g.timer == nil && g.parked >= manyParked && !g.ended {
		g.timer = time.AfterFunc(max(giveBackAfter, g.last.Add(giveBackEvery).Sub(now)), g.collect)
	}
}

func (g *giveBack) collect() {
	g.mu.Lock()
	g.parked, g.last, g.timer = 0, time.Now(), nil
	g.mu.Unlock()
	runtime.GC() // sync.Pool lets things go at the second collection
	debug.FreeOSMemory()
}

// end lets nothing come any more.
func (g *giveBack) end() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.ended = true
	if g.timer != nil {
		g.timer.Stop()
		g.timer = nil
	}
}
