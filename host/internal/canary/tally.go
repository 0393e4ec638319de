package canary

import (
	"math/bits"
	"sync/atomic"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/dispatch"
	"github.com/outrigger-gateway/outrigger/host/internal/plan"
)

// The histogram has eight steps in each doubling of the time, so that what it tells is at most an eighth too long. It begins at about a
// microsecond and ends beyond an hour.
const (
	unit    = 1 << 10 // nanoseconds
	stepLog = 3
	buckets = 33 << stepLog
)

// tally counts the calls of one build.
type tally struct {
	remote plan.Remote
	errors atomic.Uint64
	times  [buckets]atomic.Uint64 // calls by bucket of their duration
}

func (t *tally) add(c *dispatch.Call) {
	if c.Code != dispatch.OK {
		t.errors.Add(1)
	}
	t.times[bucketOf(c.Duration)].Add(1)
}

// counts reads the tally. Calls that end meanwhile may be in or not.
func (t *tally) counts() Counts {
	n := Counts{Errors: t.errors.Load()} // before the calls: never more errors than calls
	var times [buckets]uint64
	for i := range t.times {
		times[i] = t.times[i].Load()
		n.Calls += times[i]
	}
	seen := uint64(0)
	for i, calls := range times {
		if seen += calls; calls > 0 && 2*seen >= n.Calls {
			n.Median = upTo(i)
			break
		}
	}
	n.Errors = min(n.Errors, n.Calls)
	return n
}

// bucketOf is the bucket of a duration.
func bucketOf(d time.Duration) int {
	v := uint64(max(d, 0)) / unit
	if v < 1<<stepLog {
		return int(v)
	}
	doublings := bits.Len64(v) - stepLog - 1
	return min(int(v>>doublings)+doublings<<stepLog, buckets-1)
}

// upTo is where a bucket ends.
func upTo(bucket int) time.Duration {
	if bucket < 1<<stepLog {
		return time.Duration(bucket+1) * unit
	}
	doublings := bucket>>stepLog - 1
	return time.Duration(bucket-doublings<<stepLog+1) << doublings * unit
}
