package ratelimiting

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// clock is a time that stands still until a test moves it.
type clock struct{ now atomic.Pointer[time.Time] }

func clockAt(t *testing.T, text string) *clock {
	c := &clock{}
	c.set(t, text)
	return c
}

func (c *clock) set(t *testing.T, text string) {
	t.Helper()
	now := at(t, text)
	c.now.Store(&now)
}

func (c *clock) time() time.Time { return *c.now.Load() }

// Of many requests at once exactly as many pass as the limits say, for each of several clients, in each window.
func TestExactUnderConcurrency(t *testing.T) {
	const (
		goroutines = 32
		requests   = 200 // of each goroutine and client
		limit      = 1000
	)
	clients := []string{"a", "b", "c"}
	l := limits{minute: limit, hour: limit + limit/2}
	time := clockAt(t, "2026-03-05T07:08:09Z")
	c := newCounters(time.time)
	for round, want := range []int64{limit, limit / 2, 0} { // the second round reaches the limit of the hour
		time.set(t, fmt.Sprintf("2026-03-05T07:%02d:59Z", 10+round))
		passed := make([]atomic.Int64, len(clients))
		var wg sync.WaitGroup
		for range goroutines {
			wg.Go(func() {
				for range requests {
					for i, who := range clients {
						if v := c.take(key{"record", byIP, who}, &l); !v.blocked {
							passed[i].Add(1)
						}
					}
				}
			})
		}
		wg.Wait()
		for i := range passed {
			if got := passed[i].Load(); got != want {
				t.Errorf("round %d: %d requests of client %s passed, want %d", round, got, clients[i], want)
			}
		}
	}
}

// While time moves on, no window lets more pass than its limit.
func TestExactWhileWindowsEnd(t *testing.T) {
	const limit = 50
	var ticks atomic.Int64 // thousandths of a second
	begin := at(t, "2026-03-05T07:08:09Z")
	c := newCounters(func() time.Time { return begin.Add(time.Duration(ticks.Add(1)) * time.Millisecond) })
	l := limits{second: limit}
	var mu sync.Mutex
	passed := map[int64]int{}
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for range 500 {
				if v := c.take(key{who: "a"}, &l); !v.blocked {
					mu.Lock()
					passed[v.used[second]]++
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	// 8000 calls end at 07:08:17.000: eight windows in which the counts 0 to 49 pass, and one with a single request.
	if len(passed) != limit {
		t.Errorf("%d different counts, want %d", len(passed), limit)
	}
	for count, n := range passed {
		want := 8
		if count == 0 {
			want = 9
		}
		if n != want {
			t.Errorf("%d requests passed after %d of a window, want %d", n, count, want)
		}
	}
}

func TestBlockedRequestsAreNotCounted(t *testing.T) {
	time := clockAt(t, "2026-03-05T07:08:09Z")
	c := newCounters(time.time)
	l := limits{second: 1, minute: 3}
	k := key{who: "a"}
	for i, blocked := range []bool{false, true, true, true} {
		if v := c.take(k, &l); v.blocked != blocked || v.used[minute] != int64(min(i, 1)) {
			t.Errorf("request %d: %+v", i, v)
		}
	}
	time.set(t, "2026-03-05T07:08:10Z")
	if v := c.take(k, &l); v.blocked || v.used != [periods]int64{minute: 1} {
		t.Errorf("in the next second: %+v", v)
	}
	time.set(t, "2026-03-05T07:08:08Z") // the clock was set back: another window
	if v := c.take(k, &l); v.blocked || v.used != [periods]int64{minute: 2} {
		t.Errorf("a second ago: %+v", v)
	}
}

func TestKeysAreApart(t *testing.T) {
	c := newCounters(clockAt(t, "2026-03-05T07:08:09Z").time)
	l := limits{minute: 1}
	long := strings.Repeat("x", longestWho+1)
	for _, k := range []key{
		{"r1", byIP, "a"}, {"r2", byIP, "a"}, {"r1", byHeader, "a"}, {"r1", byIP, "b"}, {"r1", byHeader, long}, {"r1", byHeader, long + "y"}, {"r1", byHeader, ""},
	} {
		if v := c.take(k, &l); v.blocked {
			t.Errorf("%+v has been counted under another key", k)
		}
		if v := c.take(k, &l); !v.blocked {
			t.Errorf("%+v was not counted", k)
		}
	}
}

// The key is kept, not what it pointed into.
func TestKeysAreCopied(t *testing.T) {
	c := newCounters(clockAt(t, "2026-03-05T07:08:09Z").time)
	l := limits{minute: 1}
	c.take(key{"r", byHeader, "abc"}, &l)
	for i := range c.shards {
		for k, n := range c.shards[i].byKey {
			if k != n.key || k.who != "abc" || k.record != "r" {
				t.Errorf("key %+v of counter %+v", k, n.key)
			}
		}
	}
}

// sizes checks the lists of all shards against their maps, and counts.
func (c *counters) sizes(t *testing.T) (all int) {
	t.Helper()
	for i := range c.shards {
		s := &c.shards[i]
		listed := 0
		var last *counter
		for n := s.newest; n != nil; n = n.older {
			if s.byKey[n.key] != n || n.newer != last {
				t.Fatalf("shard %d: the list is broken at %+v", i, n.key)
			}
			last = n
			listed++
		}
		if last != s.oldest || listed != len(s.byKey) {
			t.Fatalf("shard %d: %d listed, %d in the map", i, listed, len(s.byKey))
		}
		all += listed
	}
	return all
}

func TestCountersAreBounded(t *testing.T) {
	c := newCounters(clockAt(t, "2026-03-05T07:08:09Z").time)
	c.most = 4
	l := limits{minute: 1}
	busy := key{who: "busy"}
	for i := range 5000 {
		if v := c.take(busy, &l); v.blocked != (i > 0) {
			t.Fatalf("request %d: the counter in use was thrown out: %+v", i, v)
		}
		c.take(key{who: fmt.Sprint("client ", i)}, &l)
	}
	if n := c.sizes(t); n != shards*4 {
		t.Errorf("%d counters, want %d", n, shards*4)
	}
	if v := c.take(key{who: "client 0"}, &l); v.blocked {
		t.Error("the first client is still known after 5000")
	}
}

func TestCountersFromManyGoroutinesAreBounded(t *testing.T) {
	c := newCounters(clockAt(t, "2026-03-05T07:08:09Z").time)
	c.most = 8
	l := limits{minute: 1}
	var wg sync.WaitGroup
	for g := range 16 {
		wg.Go(func() {
			for i := range 500 {
				c.take(key{who: fmt.Sprint(g*i%700, " client")}, &l)
			}
		})
	}
	wg.Wait()
	if n := c.sizes(t); n > shards*8 {
		t.Errorf("%d counters, want at most %d", n, shards*8)
	}
}
