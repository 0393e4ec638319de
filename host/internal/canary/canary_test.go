package canary

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/dispatch"
	"github.com/outrigger-gateway/outrigger/host/internal/plan"
)

// build stands in for a build of a plugin server; only who it is counts.
type build struct {
	plan.Remote
	name string
}

// calls feeds an observer.
func calls(o *Observer, of plan.Remote, n int, took time.Duration, code dispatch.Code) {
	c := &dispatch.Call{Instance: &plan.Instance{Remote: of}, Duration: took, Code: code}
	for range n {
		o.After(c)
	}
}

func TestJudge(t *testing.T) {
	type fed struct {
		of   string
		n    int
		took time.Duration
		code dispatch.Code
	}
	const ok, ms = dispatch.OK, time.Millisecond
	bounds := Bounds{Share: 0.05, For: time.Minute, MinCalls: 100, Errors: 0.01, Latency: 2}
	for _, c := range []struct {
		name   string
		bounds Bounds
		after  time.Duration
		fed    []fed
		want   Verdict
		reason string
	}{
		{"at the beginning", bounds, 0, nil, Watching, "for 1m0s more"},
		{"good, too early", bounds, 59 * time.Second, []fed{{"new", 500, ms, ok}}, Watching, "for 1s more"},
		{"good", bounds, time.Minute, []fed{{"new", 500, ms, ok}, {"old", 9500, ms, ok}}, Good, "0 of 500 calls failed"},
		{"no traffic", bounds, time.Hour, nil, Watching, "until it has served 100 calls more"},
		{"little traffic", bounds, time.Hour, []fed{{"new", 99, ms, ok}}, Watching, "until it has served 1 calls more"},
		{"time alone", Bounds{Share: 0.05, For: time.Minute}, time.Minute, nil, Good, ""},
		{"one error of a hundred", bounds, time.Second, []fed{{"new", 1, ms, dispatch.Timeout}}, Watching, ""},
		{"two errors of a hundred", bounds, time.Second, []fed{{"new", 2, ms, dispatch.HandlerError}}, Bad, "2 of 2 calls failed, of the old build 0 of 0; expected at most 1% more"},
		{"errors of many", bounds, time.Second, []fed{{"new", 990, ms, ok}, {"new", 10, ms, dispatch.Closed}}, Watching, ""},
		{"more errors of many", bounds, time.Second, []fed{{"new", 989, ms, ok}, {"new", 11, ms, dispatch.Closed}}, Bad, "11 of 1000"},
		{"both fail", bounds, time.Minute, []fed{{"new", 90, ms, ok}, {"new", 10, ms, dispatch.HandlerError}, {"old", 900, ms, ok}, {"old", 100, ms, dispatch.HandlerError}}, Good, "10 of 100"},
		{"the old build fails once at the start", bounds, time.Second, []fed{{"new", 3, ms, dispatch.HandlerError}, {"old", 1, ms, dispatch.HandlerError}}, Bad, ""},
		{"no error allowed", Bounds{For: time.Minute, MinCalls: 100}, 0, []fed{{"new", 1, ms, dispatch.HandlerError}}, Bad, ""},
		{"what says nothing", bounds, 0, []fed{{"new", 50, ms, dispatch.Cancelled}, {"new", 50, ms, dispatch.BreakerOpen}, {"new", 50, ms, dispatch.Quarantined}, {"new", 50, ms, dispatch.TooLarge}}, Watching, ""},
		{"slow", bounds, time.Second, []fed{{"new", 100, 5 * ms, ok}, {"old", 100, 2 * ms, ok}}, Bad, "half of its calls take longer than"},
		{"slow, too few calls", bounds, time.Second, []fed{{"new", 99, 5 * ms, ok}, {"old", 100, 2 * ms, ok}}, Watching, ""},
		{"slow, nothing to compare with", bounds, time.Minute, []fed{{"new", 100, 5 * ms, ok}}, Good, ""},
		{"slow, not judged", Bounds{For: time.Minute, MinCalls: 100, Errors: 0.01}, time.Minute, []fed{{"new", 100, 500 * ms, ok}, {"old", 100, ms, ok}}, Good, ""},
		{"slower by nothing", bounds, time.Minute, []fed{{"new", 100, 400 * time.Microsecond, ok}, {"old", 100, 100 * time.Microsecond, ok}}, Good, ""},
		{"a few slow calls", bounds, time.Minute, []fed{{"new", 80, 2 * ms, ok}, {"new", 30, time.Second, ok}, {"old", 100, 2 * ms, ok}}, Good, ""},
		{"others are slow", bounds, time.Second, []fed{{"other", 1000, time.Second, dispatch.HandlerError}}, Watching, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			begin := time.Now()
			builds := map[string]plan.Remote{"new": &build{name: "new"}, "old": &build{name: "old"}, "other": &build{name: "other"}}
			w := NewWatch(c.bounds, builds["new"], builds["old"], begin)
			var o Observer
			o.Follow(w)
			for _, f := range c.fed {
				calls(&o, builds[f.of], f.n, f.took, f.code)
			}
			if got, reason := w.Judge(begin.Add(c.after)); got != c.want || !strings.Contains(reason, c.reason) {
				t.Errorf("found %v, %q; expected %v, %q", got, reason, c.want, c.reason)
			}
		})
	}
}

// A failed call wakes who watches; without a watch nothing is counted, and nothing is ever allocated.
func TestObserver(t *testing.T) {
	next, old := &build{name: "new"}, &build{name: "old"}
	w := NewWatch(Bounds{MinCalls: 1}, next, old, time.Now())
	var o Observer
	calls(&o, next, 5, time.Second, dispatch.Closed)
	o.Follow(w)
	calls(&o, old, 3, time.Second, dispatch.Closed)
	select {
	case <-w.Failed():
		t.Error("a failure of the old build wakes")
	default:
	}
	calls(&o, next, 2, time.Second, dispatch.Closed)
	<-w.Failed()
	o.Follow(nil)
	calls(&o, next, 5, time.Second, dispatch.Closed)
	n, m := w.Counts()
	if n.Calls != 2 || n.Errors != 2 || m.Calls != 3 || n.Median < time.Second || n.Median > 1150*time.Millisecond {
		t.Errorf("found %+v and %+v", n, m)
	}
	o.Follow(w)
	c := &dispatch.Call{Instance: &plan.Instance{Remote: next}, Duration: time.Millisecond}
	if allocs := testing.AllocsPerRun(100, func() { o.After(c) }); allocs > 0 {
		t.Errorf("%v allocations per call", allocs)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() { calls(&o, old, 1000, time.Millisecond, dispatch.OK) })
	}
	for range 100 {
		if _, m := w.Counts(); m.Errors > m.Calls {
			t.Errorf("found %+v", m)
		}
	}
	wg.Wait()
}

// Each duration is in a bucket that ends not before it, and at most an eighth behind.
func TestBuckets(t *testing.T) {
	last := -1
	for d := time.Duration(0); d < 2*time.Hour; d += d/20 + 100 {
		b := bucketOf(d)
		if b < last || b >= buckets {
			t.Fatalf("%v is in bucket %d after %d", d, b, last)
		}
		last = b
		if end := upTo(b); end <= d || float64(end-d) > float64(d)/8+unit {
			t.Fatalf("%v is in bucket %d, which ends at %v", d, b, end)
		}
	}
	if bucketOf(-1) != 0 || bucketOf(1<<62) != buckets-1 {
		t.Error("what is no time of a call is in no bucket")
	}
}
