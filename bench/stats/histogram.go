package stats

import (
	"math/bits"
	"time"
)

// A histogram has subs buckets for every power of two, so that no value is off by more than 1/subs of itself. It covers all times up to about
// eighteen minutes; longer ones count as that.
const (
	subBits = 7
	subs    = 1 << subBits
	powers  = 41 - subBits
)

// Histogram counts times, in memory that does not grow. The zero value is empty and ready.
type Histogram struct {
	counts [powers * subs]uint64
	total  uint64
	max    time.Duration
}

// Record counts one time; a negative one counts as zero.
func (h *Histogram) Record(d time.Duration) {
	d = max(d, 0)
	h.counts[bucketOf(d)]++
	h.total++
	h.max = max(h.max, d)
}

// bucketOf finds the bucket of a time: small times have one each; of larger ones the first subBits bits behind the highest count.
func bucketOf(d time.Duration) int {
	v := uint64(d)
	if v < subs {
		return int(v)
	}
	shift := bits.Len64(v) - subBits - 1
	return min((shift+1)<<subBits|int(v>>shift&(subs-1)), powers*subs-1)
}

// timeOf is the middle of a bucket.
func timeOf(bucket int) time.Duration {
	if bucket < subs {
		return time.Duration(bucket)
	}
	shift := bucket>>subBits - 1
	low := uint64(bucket&(subs-1)|subs) << shift
	return time.Duration(low + uint64(1)<<shift/2)
}

// Count is the number of recorded times.
func (h *Histogram) Count() uint64 { return h.total }

// Max is the longest time, exactly; 0 when nothing was recorded.
func (h *Histogram) Max() time.Duration { return h.max }

// Quantile is the time that a share q of the recorded times does not exceed, 0 < q <= 1; 0 when nothing was recorded.
func (h *Histogram) Quantile(q float64) time.Duration {
	if h.total == 0 {
		return 0
	}
	wanted := max(1, uint64(q*float64(h.total)+0.5))
	var seen uint64
	for i, n := range h.counts {
		if seen += n; seen >= wanted {
			return min(timeOf(i), h.max)
		}
	}
	return h.max
}

// Reset empties the histogram.
func (h *Histogram) Reset() { *h = Histogram{} }
