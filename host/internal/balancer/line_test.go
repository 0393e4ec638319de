package balancer

import (
	"slices"
	"testing"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

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
	var quits [2]wire.Quit
	for i := range quits {
		go func() {
			c := choice()
			c.Quit = &quits[i]
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
	quits[0].Go()
	quits[1].Go()
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

// crowded is an upstream whose one target has all its connections, and n requests that wait, in order. Each tells its number when it is served.
func crowded(t *testing.T, n int) (b *Balancer, held *Place, served <-chan int) {
	t.Helper()
	u := upstream("", "10.0.0.1:1", 100)
	u.Breaker = entity.CircuitBreakers{MaxConnections: 1, MaxPendingRequests: n + 1}
	b = start(t, u, Options{})
	held = choose(t, b, choice())
	numbers := make(chan int, n)
	for i := range n {
		go func() {
			p, err := b.Choose(choice())
			if err != nil {
				t.Error(err)
				numbers <- -1
				return
			}
			numbers <- i
			b.Release(p)
		}()
		eventually(t, "it waits", func() bool { return len(inLine(b)) == i+1 })
	}
	return b, held, numbers
}

// inLine are those that wait, and were not called.
func inLine(b *Balancer) []*waiter {
	b.line.mu.Lock()
	defer b.line.mu.Unlock()
	return slices.Clone(b.line.waiting)
}

func wantOrder(t *testing.T, served <-chan int, n int) {
	t.Helper()
	for want := range n {
		select {
		case got := <-served:
			if got != want {
				t.Errorf("number %d was served, want %d", got, want)
			}
		case <-time.After(patience):
			t.Fatalf("number %d is never served", want)
		}
	}
}

// Those that wait keep their order when there is another view, and when somebody is called for nothing.
func TestPendingRequestsKeepTheirTurn(t *testing.T) {
	const n = 20
	b, held, served := crowded(t, n)
	before := inLine(b)
	for range 20 {
		b.rebuild()
		b.kin.freed() // though nothing is free
	}
	eventually(t, "all wait again", func() bool { return slices.Equal(inLine(b), before) })
	b.Release(held)
	wantOrder(t, served, n)
}

// Who comes later does not overtake those that wait.
func TestPendingRequestsComeFirst(t *testing.T) {
	b, held, served := crowded(t, 1)
	held.open.Add(-1) // it is free, and the first one in the line does not know yet
	later := make(chan *Place, 1)
	go func() {
		p, err := b.Choose(choice())
		if err != nil {
			t.Error(err)
		}
		later <- p
	}()
	eventually(t, "the later one waits, too", func() bool { return len(inLine(b)) == 2 })
	b.kin.freed()
	wantOrder(t, served, 1)
	if p := <-later; p == nil || p.open.Load() != 1 {
		t.Error("the later one is not served")
	}
}

// A connection that a request of an older generation gives back is one for those of the newer, too.
func TestPendingRequestsOfGenerations(t *testing.T) {
	u := upstream("", "10.0.0.1:1", 100)
	u.Breaker = entity.CircuitBreakers{MaxConnections: 1, MaxPendingRequests: 1}
	old, r := registered(t, u, Options{})
	held := choose(t, old, choice())
	newer := upstream("", "10.0.0.1:1", 200)
	newer.Breaker = u.Breaker
	b, err := r.Take(newer)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() {
		p, err := b.Choose(choice())
		if err == nil {
			b.Release(p)
		}
		served <- err
	}()
	eventually(t, "it waits", func() bool { return len(inLine(b)) == 1 })
	old.Release(held)
	select {
	case err := <-served:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(patience / 2):
		t.Fatal("it is never called")
	}
	if n := len(old.kin.list()); n != 2 {
		t.Errorf("%d balancers of the upstream", n)
	}
	r.Return(b)
	if n := len(old.kin.list()); n != 1 {
		t.Errorf("%d balancers of the upstream when one is gone", n)
	}
}

// One call is enough for all that is free: whoever is served calls the next one.
func TestServedCallTheNext(t *testing.T) {
	u := upstream("", "10.0.0.1:1", 100)
	u.Breaker = entity.CircuitBreakers{MaxConnections: 3, MaxPendingRequests: 3}
	b := start(t, u, Options{})
	held := choose(t, b, choice())
	held.open.Store(3)
	served := make(chan error, 3)
	for i := range 3 {
		go func() {
			_, err := b.Choose(choice())
			served <- err
		}()
		eventually(t, "it waits", func() bool { return len(inLine(b)) == i+1 })
	}
	held.open.Store(0)
	b.kin.freed()
	for range 3 {
		select {
		case err := <-served:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(patience / 2):
			t.Fatal("one waits for what is free")
		}
	}
}
