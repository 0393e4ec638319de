package balancer

import (
	"testing"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
)

// ill is an upstream whose first target is unhealthy, in a registry.
func ill(t *testing.T) (b *Balancer, r *Registry, again func(targets ...any) *entity.Upstream) {
	t.Helper()
	again = func(targets ...any) *entity.Upstream {
		u := upstream("", targets...)
		u.Health.Passive.Unhealthy.TCP = 1
		return u
	}
	r = NewRegistry(Options{})
	t.Cleanup(r.Close)
	b, err := r.Take(again("10.0.0.1:1", 100, "10.0.0.2:1", 100))
	if err != nil {
		t.Fatal(err)
	}
	b.Report(place(t, b, "10.0.0.1:1"), Outcome{Failed: true})
	return b, r, again
}

// next is what a reload makes of an upstream: it takes the new one, and gives the old one back.
func next(t *testing.T, r *Registry, old *Balancer, u *entity.Upstream) *Balancer {
	t.Helper()
	b, err := r.Take(u)
	if err != nil {
		t.Fatal(err)
	}
	if old != nil {
		r.Return(old)
	}
	return b
}

// A target that a reload took away is known when the next one brings it back, and a new one after a while.
func TestTargetThatComesBack(t *testing.T) {
	b, r, again := ill(t)
	b = next(t, r, b, again("10.0.0.2:1", 100))
	b = next(t, r, b, again("10.0.0.1:1", 100, "10.0.0.2:1", 100))
	if place(t, b, "10.0.0.1:1").healthy.Load() {
		t.Error("what was known of a target is lost with one reload")
	}
	b = next(t, r, b, again("10.0.0.2:1", 100))
	for id, d := range b.left {
		d.at = d.at.Add(-keptDeparted - time.Second)
		b.left[id] = d
	}
	b = next(t, r, b, again("10.0.0.1:1", 100, "10.0.0.2:1", 100))
	if !place(t, b, "10.0.0.1:1").healthy.Load() {
		t.Error("a target that was away for longer is still known")
	}
	r.Return(b)
}

// A target that was away, or had no weight, when the checks ended is healthy when it is back: nothing else would bring it back.
func TestTargetThatComesBackWithoutChecks(t *testing.T) {
	for name, without := range map[string][]any{
		"away": {"10.0.0.2:1", 100}, "no weight": {"10.0.0.1:1", 0, "10.0.0.2:1", 100},
	} {
		t.Run(name, func(t *testing.T) {
			b, r, again := ill(t)
			b = next(t, r, b, again(without...))
			b = next(t, r, b, upstream("", without...))
			b = next(t, r, b, upstream("", "10.0.0.1:1", 100, "10.0.0.2:1", 100))
			if !place(t, b, "10.0.0.1:1").healthy.Load() {
				t.Error("it is unhealthy without checks")
			}
			r.Return(b)
		})
	}
}

// Requests that began when there were checks take no target away after the checks ended; they do when the reload is taken back.
func TestLateFailuresAfterChecks(t *testing.T) {
	old, r, again := ill(t)
	both := []any{"10.0.0.1:1", 100, "10.0.0.2:1", 100}
	b := next(t, r, nil, upstream("", both...))
	old.Report(place(t, old, "10.0.0.2:1"), Outcome{Failed: true})
	for _, address := range []string{"10.0.0.1:1", "10.0.0.2:1"} {
		if !place(t, b, address).healthy.Load() {
			t.Errorf("%s is unhealthy without checks", address)
		}
	}
	r.Return(b)
	old.Report(place(t, old, "10.0.0.2:1"), Outcome{Failed: true})
	if place(t, old, "10.0.0.2:1").healthy.Load() {
		t.Error("checks that are back say nothing")
	}
	r.Return(next(t, r, old, again(both...)))
}

// What is known of targets outlives a whole upstream, too. One that comes back without checks has no targets that nobody would bring back.
func TestUpstreamThatComesBack(t *testing.T) {
	b, r, again := ill(t)
	both := []any{"10.0.0.1:1", 100, "10.0.0.2:1", 100}
	r.Return(b)
	b = next(t, r, nil, again(both...))
	if place(t, b, "10.0.0.1:1").healthy.Load() {
		t.Error("what was known of an upstream is lost with one reload")
	}
	r.Return(b)
	b = next(t, r, nil, upstream("", both...))
	if !place(t, b, "10.0.0.1:1").healthy.Load() {
		t.Error("it is unhealthy without checks")
	}
	r.Return(b)
	if len(r.left) != 0 {
		t.Error("an upstream without checks is kept")
	}
	b = next(t, r, nil, again(both...))
	b.Report(place(t, b, "10.0.0.1:1"), Outcome{Failed: true})
	r.Return(b)
	for id, u := range r.left {
		u.at = u.at.Add(-keptDeparted - time.Second)
		r.left[id] = u
	}
	b = next(t, r, nil, again(both...))
	if !place(t, b, "10.0.0.1:1").healthy.Load() {
		t.Error("an upstream that was away for longer is still known")
	}
	r.Return(b)
}
