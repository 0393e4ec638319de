package balancer

import (
	"slices"
	"testing"
	"time"

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

func TestPendingRequests(t *testing.T) {
	u := upstream("", "10.0.0.1:1", 100)
	u.Breaker = entity.CircuitBreakers{MaxConnections: 1, MaxPendingRequests: 2}
	b := start(t, u, Options{})
	first := choose(t, b, choice())
	type result struct {
		p   *Place
		err error
	}
	results := make(chan result, 2)
	gone := make(chan struct{})
	for range 2 {
		go func() {
			c := choice()
			c.Gone = gone
			p, err := b.Choose(c)
			results <- result{p, err}
		}()
	}
	eventually(t, "two requests wait", func() bool { return b.Status().Pending == 2 })
	if p, err := b.Choose(choice()); err != ErrFull {
		t.Errorf("a third one: %v, %v", p, err)
	}
	b.Release(first)
	r := <-results
	if r.err != nil || r.p.state != first.state {
		t.Errorf("the first that waited: %v", r.err)
	}
	eventually(t, "one waits", func() bool { return b.Status().Pending == 1 })
	close(gone)
	if r := <-results; r.err != ErrGone {
		t.Errorf("one that nobody waits for any more: %v", r.err)
	}
	c := choice()
	c.Patience = time.Millisecond
	if p, err := b.Choose(c); err != ErrFull {
		t.Errorf("out of patience: %v, %v", p, err)
	}
	b.Release(r.p)
	if n := b.Status(); n.Pending != 0 || n.Targets[0].Addresses[0].InFlight != 0 {
		t.Errorf("%+v is left", n)
	}
}

// Who was called and found no connection, because somebody else was faster, stays before those that came later.
func TestPendingRequestsKeepTheirTurn(t *testing.T) {
	u := upstream("", "10.0.0.1:1", 100)
	u.Breaker = entity.CircuitBreakers{MaxConnections: 1, MaxPendingRequests: 2}
	b := start(t, u, Options{})
	held := choose(t, b, choice())
	served := make(chan int, 2)
	queue := func() []chan struct{} {
		b.queue.Lock()
		defer b.queue.Unlock()
		return slices.Clone(b.queue.waiting)
	}
	for i := range 2 {
		go func() {
			p, err := b.Choose(choice())
			if err != nil {
				t.Error(err)
				return
			}
			served <- i
			b.Release(p)
		}()
		eventually(t, "it waits", func() bool { return len(queue()) == i+1 })
	}
	before := queue()
	b.freed() // though nothing is free
	eventually(t, "the first one waits again", func() bool {
		now := queue()
		return len(now) == 2 && !slices.Equal(now, before)
	})
	b.Release(held)
	if first, second := <-served, <-served; first != 0 || second != 1 {
		t.Errorf("served in the order %d, %d", first, second)
	}
}

// No wake-up is lost, however many come and go at the same time.
func TestManyPendingRequests(t *testing.T) {
	u := upstream("", "10.0.0.1:1", 100, "10.0.0.2:1", 100)
	u.Breaker = entity.CircuitBreakers{MaxConnections: 2, MaxPendingRequests: 100}
	b := start(t, u, Options{})
	errs := make(chan error, 50)
	for range 50 {
		go func() {
			for range 50 {
				p, err := b.Choose(choice())
				if err != nil {
					errs <- err
					return
				}
				b.Release(p)
			}
			errs <- nil
		}()
	}
	for range 50 {
		if err := <-errs; err != nil {
			t.Fatal(err)
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
