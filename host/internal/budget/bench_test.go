package budget

import (
	"testing"
	"time"
)

func benchChain() Chain {
	var r Registry
	l := Limits{MaxInFlight: 1 << 20, Errors: Errors{Ratio: 0.5, Calls: 20, Window: 10 * time.Second, OpenFor: time.Second, Probes: 1}}
	return Chain{r.Use(Scope{Server: "s"}, l), r.Use(Scope{Server: "s", Plugin: "p"}, l), r.Use(Scope{Server: "s", Plugin: "p", Record: "r"}, l)}
}

// BenchmarkChain is the cost of a call under a number of budgets, each with a limiter and a breaker.
func BenchmarkChain(b *testing.B) {
	all := benchChain()
	for n := 1; n <= len(all); n++ {
		c := all[:n]
		b.Run([]string{"", "one", "two", "three"}[n], func(b *testing.B) {
			b.ReportAllocs()
			now := time.Now()
			var e Entry
			for b.Loop() {
				if _, ok := c.Enter(&e, 1, now, now); ok {
					c.Leave(&e, now, Success, false)
				}
			}
		})
	}
	b.Run("three in parallel", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			now := time.Now()
			var e Entry
			for pb.Next() {
				if _, ok := all.Enter(&e, 1, now, now); ok {
					all.Leave(&e, now, Success, false)
				}
			}
		})
	})
}

func TestACallUnderBudgetsDoesNotAllocate(t *testing.T) {
	c := benchChain()
	now := time.Now()
	var e Entry
	if n := testing.AllocsPerRun(100, func() {
		if _, ok := c.Enter(&e, 1, now, now); ok {
			c.Leave(&e, now, Success, false)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
