// Package canary compares a new build of a plugin server with the old one while both serve: it counts the calls of each, and says when the new
// build is good enough to take all requests, or too bad to keep its share.
package canary

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/dispatch"
	"github.com/outrigger-gateway/outrigger/host/internal/plan"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// Bounds are what a new build has to keep to.
type Bounds struct {
	// Share of the requests that the new build takes, above 0 to 1.
	Share float64
	// For is how long both builds serve at least before the new one is promoted.
	For time.Duration
	// MinCalls of the new build are needed before it is promoted, and before its latency is judged.
	MinCalls int
	// Errors is by how much the part of its calls that fail may be above that of the old build, 0 to 1.
	Errors float64
	// Latency is how many times the median of the old build its own may be; 0: latency is not judged.
	Latency float64
}

// noise is by how much the median of the new build must be above that of the old one to be judged: a call of 40 µs that takes 90 µs for a minute
// says more about the machine than about the build.
const noise = time.Millisecond

// Watch counts the calls of two builds from its beginning on.
type Watch struct {
	bounds   Bounds
	begin    time.Time
	newBuild tally
	oldBuild tally
	failed   chan struct{} // cap 1: a call of the new build failed
}

// NewWatch begins to compare two builds. Remotes are as in the instances of generations.
func NewWatch(b Bounds, next, old plan.Remote, now time.Time) *Watch {
	w := &Watch{bounds: b, begin: now, failed: make(chan struct{}, 1)}
	w.newBuild.remote, w.oldBuild.remote = next, old
	return w
}

// Bounds of the watch.
func (w *Watch) Bounds() Bounds { return w.bounds }

// Failed tells that a call of the new build has failed since the last look.
func (w *Watch) Failed() <-chan struct{} { return w.failed }

// count counts a call that has ended.
func (w *Watch) count(c *dispatch.Call) {
	switch c.Code {
	case dispatch.Cancelled, dispatch.BreakerOpen, dispatch.Quarantined:
		return // the client went, or nothing was sent: it says nothing about the build
	case dispatch.TooLarge:
		if !c.Sent { // the body of a client
			return
		}
	}
	switch c.Instance.Remote {
	case w.newBuild.remote:
		w.newBuild.add(c)
		if c.Code != dispatch.OK {
			select {
			case w.failed <- struct{}{}:
			default:
			}
		}
	case w.oldBuild.remote:
		w.oldBuild.add(c)
	}
}

// Counts are the calls of one build.
type Counts struct {
	Calls  uint64
	Errors uint64
	Median time.Duration // 0 without calls
}

// Counts of the new build and of the old one until now.
func (w *Watch) Counts() (next, old Counts) { return w.newBuild.counts(), w.oldBuild.counts() }

// Verdict on a new build.
type Verdict int

// Verdicts.
const (
	Watching Verdict = iota // it keeps its share
	Good                    // it is to take all requests
	Bad                     // it is to take none
)

func (v Verdict) String() string { return [...]string{"watching", "good", "bad"}[v] }

// Judge says what the calls until now mean, and why.
//
// Errors count at once: as soon as the new build has failed more calls than MinCalls, or all its calls if they are more, may have of them, no later
// success can help it. Latency counts when both builds have had MinCalls. Without calls enough a build is not promoted, however long it serves.
func (w *Watch) Judge(now time.Time) (Verdict, string) {
	b := &w.bounds
	next, old := w.Counts()
	least := max(uint64(b.MinCalls), 1)
	usual := float64(old.Errors) / float64(max(old.Calls, least))
	if most := (b.Errors + usual) * float64(max(next.Calls, least)); next.Errors > 0 && float64(next.Errors) > most {
		return Bad, fmt.Sprintf("%d of %d calls failed, of the old build %d of %d; expected at most %s more", next.Errors, next.Calls, old.Errors, old.Calls, percent(b.Errors))
	}
	enough := next.Calls >= least
	if b.Latency > 0 && enough && old.Calls >= least {
		if float64(next.Median) > b.Latency*float64(old.Median) && next.Median-old.Median > noise {
			return Bad, fmt.Sprintf("half of its calls take longer than %v, of the old build %v; expected at most %v times as long",
				next.Median.Round(10*time.Microsecond), old.Median.Round(10*time.Microsecond), b.Latency)
		}
	}
	switch passed := now.Sub(w.begin); {
	case passed < b.For:
		return Watching, fmt.Sprintf("for %v more", (b.For - passed).Round(time.Second))
	case next.Calls < uint64(b.MinCalls):
		return Watching, fmt.Sprintf("until it has served %d calls more", uint64(b.MinCalls)-next.Calls)
	}
	return Good, fmt.Sprintf("%d of %d calls failed, of the old build %d of %d", next.Errors, next.Calls, old.Errors, old.Calls)
}

func percent(f float64) string { return fmt.Sprintf("%.4g%%", f*100) }

// Observer is the interceptor that counts for the watch under way. Without one it does nothing.
type Observer struct {
	watch atomic.Pointer[Watch]
}

// Follow lets w count from now on; nil: nobody.
func (o *Observer) Follow(w *Watch) { o.watch.Store(w) }

// Before implements dispatch.Interceptor.
func (o *Observer) Before(*dispatch.Call) error { return nil }

// Asked implements dispatch.Interceptor.
func (o *Observer) Asked(*dispatch.Call, *wire.Ask, *wire.Answer) {}

// After implements dispatch.Interceptor.
func (o *Observer) After(c *dispatch.Call) {
	if w := o.watch.Load(); w != nil {
		w.count(c)
	}
}
