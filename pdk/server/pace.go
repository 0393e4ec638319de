package server

import (
	"sync/atomic"
	"time"
)

const (
	// quickRun is how long a handler may take, on average, to be worth no goroutine of its own: handing a call over costs a few microseconds.
	quickRun = 20 * time.Microsecond
	// blockedRun is from when on a handler counts as one that blocks.
	blockedRun = 500 * time.Microsecond
	// wantedRuns is how many quick runs bring a handler back that was found slow. If it holds up others again within relapse, it takes twice as
	// many, to maxStrikes times.
	wantedRuns = 64
	relapse    = 10 * time.Millisecond
	maxStrikes = 10
	// setback is how many quick runs a slow one costs.
	setback = 16
)

// pace is how quickly the handler of one phase of one instance ran lately. It decides where its calls run: on the goroutine that reads the lane,
// as long as they are quick, or on one of the pool. A nil pace is quick.
type pace struct {
	away     atomic.Int32 // quick runs in the pool that bring the handler back; 0: it is quick
	strikes  atomic.Int32
	returned atomic.Int64 // when it came back, nanoseconds since the epoch
	mean     atomic.Int64 // moving average of the runs that were timed inline, nanoseconds
}

// quick says whether the next call runs inline.
func (p *pace) quick() bool { return p == nil || p.away.Load() == 0 }

func (p *pace) wanted() int32 { return wantedRuns << p.strikes.Load() }

// blocked notes that others waited for the handler.
func (p *pace) blocked(now time.Time) {
	if p == nil {
		return
	}
	if strikes := p.strikes.Load(); now.UnixNano()-p.returned.Load() < int64(relapse) {
		p.strikes.Store(min(strikes+1, maxStrikes))
	} else {
		p.strikes.Store(max(strikes-1, 0))
	}
	p.away.Store(p.wanted())
}

// asked notes that the handler waits for the host.
func (p *pace) asked() {
	if p != nil && p.away.Load() < wantedRuns {
		p.away.Store(wantedRuns)
	}
}

// inline notes how long a run took that others waited for.
func (p *pace) inline(took time.Duration) {
	if p == nil {
		return
	}
	took = min(took, 8*quickRun) // a machine that is busy elsewhere shows as rare long runs
	mean := p.mean.Load()
	if mean += (int64(took) - mean) / 8; mean > int64(quickRun) {
		mean = 0
		p.away.Store(p.wanted())
	}
	p.mean.Store(mean)
}

// pooled notes a run of the pool.
func (p *pace) pooled(began, ended time.Time) {
	if p == nil {
		return
	}
	took, n := ended.Sub(began), p.away.Load()
	switch {
	case n == 0:
	case took >= blockedRun:
		p.away.Store(p.wanted())
	case took > quickRun:
		p.away.CompareAndSwap(n, min(n+setback, p.wanted()))
	default:
		if n == 1 {
			p.returned.Store(ended.UnixNano())
		}
		p.away.CompareAndSwap(n, n-1)
	}
}
