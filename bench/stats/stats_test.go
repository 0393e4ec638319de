package stats

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestSpread(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   Spread
	}{
		{nil, Spread{}},
		{[]float64{3}, Spread{3, 3, 3}},
		{[]float64{9, 1, 5}, Spread{5, 1, 9}},
		{[]float64{4, 1, 2, 3}, Spread{2.5, 1, 4}},
	} {
		if found := SpreadOf(c.values); found != c.want {
			t.Errorf("%v: found %v, expected %v", c.values, found, c.want)
		}
	}
	values := []float64{3, 1, 2}
	SpreadOf(values)
	if !slices.Equal(values, []float64{3, 1, 2}) {
		t.Errorf("the values were put in order: %v", values)
	}
}

func TestApart(t *testing.T) {
	for _, c := range []struct {
		a, b Spread
		want bool
	}{
		{Spread{2, 1, 3}, Spread{5, 4, 6}, true},
		{Spread{5, 4, 6}, Spread{2, 1, 3}, true},
		{Spread{2, 1, 4}, Spread{5, 4, 6}, false},
		{Spread{5, 1, 9}, Spread{5, 4, 6}, false},
	} {
		if found := c.a.Apart(c.b); found != c.want {
			t.Errorf("%v and %v: found %v", c.a, c.b, found)
		}
	}
}

// Every time is in a bucket whose middle is close to it, and buckets follow each other.
func TestBuckets(t *testing.T) {
	last := -1
	for d := time.Duration(0); d < 18*time.Minute; d += d/97 + 1 {
		b := bucketOf(d)
		if b < last {
			t.Fatalf("%v is in bucket %d, a shorter time in %d", d, b, last)
		}
		last = b
		if off := max(timeOf(b)-d, d-timeOf(b)); off > d/subs+1 {
			t.Fatalf("%v is in the bucket of %v", d, timeOf(b))
		}
	}
	if b := bucketOf(1 << 60); b != powers*subs-1 {
		t.Errorf("an endless time is in bucket %d, expected the last", b)
	}
}

// The quantiles agree with those of the sorted times.
func TestQuantiles(t *testing.T) {
	source := rand.New(rand.NewPCG(1, 2))
	var h Histogram
	var times []time.Duration
	for range 10_000 {
		d := time.Duration(source.ExpFloat64() * float64(time.Millisecond))
		times = append(times, d)
		h.Record(d)
	}
	slices.Sort(times)
	for _, q := range []float64{0.01, 0.5, 0.9, 0.99, 0.999, 1} {
		exact := times[min(len(times)-1, int(q*float64(len(times))+0.5)-1)]
		found := h.Quantile(q)
		if off := max(found-exact, exact-found); off > exact/64+1 {
			t.Errorf("quantile %v: found %v, expected %v", q, found, exact)
		}
	}
	if h.Count() != 10_000 || h.Max() != times[len(times)-1] {
		t.Errorf("found %d times up to %v", h.Count(), h.Max())
	}
	h.Reset()
	if h.Count() != 0 || h.Quantile(0.5) != 0 || h.Max() != 0 {
		t.Error("Reset left something")
	}
}

func TestRecordDoesNotAllocate(t *testing.T) {
	h := new(Histogram)
	if n := testing.AllocsPerRun(100, func() { h.Record(time.Millisecond) }); n != 0 {
		t.Errorf("found %v allocations", n)
	}
}
