package balancer

import (
	"testing"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
)

// A target with all its connections is left out; when all have them, the request is refused at once without a queue.
func TestMaxConnections(t *testing.T) {
	for name := range algorithms {
		u := upstream(name, "10.0.0.1:1", 100, "10.0.0.2:1", 100)
		u.Breaker.MaxConnections = 2
		b := start(t, u, Options{})
		var all []*Place
		for range 4 {
			all = append(all, choose(t, b, choice()))
		}
		if place(t, b, "10.0.0.1:1").open.Load() != 2 {
			t.Errorf("%s: not two each", name)
		}
		if p, err := b.Choose(choice()); err != ErrFull {
			t.Errorf("%s: chose %v, %v", name, p, err)
		}
		b.Release(all[0])
		if p := choose(t, b, choice()); p.state != all[0].state {
			t.Errorf("%s: chose %s", name, p.Address())
		}
		if n := b.Status().Overflows; n != 1 {
			t.Errorf("%s: %d overflows", name, n)
		}
	}
}

func TestRetryBudget(t *testing.T) {
	u := upstream("", "10.0.0.1:1", 100)
	u.Budget = &entity.RetryBudget{Percent: 20, MinRetries: 1}
	b := start(t, u, Options{})
	for range 10 {
		b.Begin()
	}
	allowed := 0
	for range 5 {
		if b.MayRetry(false) {
			allowed++
		}
	}
	if allowed != 2 {
		t.Errorf("%d of 10 requests may be on a further try, want 2", allowed)
	}
	if !b.MayRetry(true) {
		t.Error("one that had leave may not go on")
	}
	b.End(true)
	b.Begin()
	if !b.MayRetry(false) || b.MayRetry(false) {
		t.Error("leave does not come back with the end of a request")
	}
	for range 8 {
		b.End(false)
	}
	b.End(true)
	b.End(true)
	if s := b.Status(); s.InFlight != 0 || s.Retries != 4 || s.Denied != 4 {
		t.Errorf("status %+v", s)
	}
	b.Begin()
	if !b.MayRetry(false) || b.MayRetry(false) {
		t.Error("min_retry_concurrency is not what a lone request gets")
	}
}
