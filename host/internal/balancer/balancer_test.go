package balancer

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
	"github.com/outrigger-gateway/outrigger/host/internal/resolve"
)

// patience is how long tests wait for what must happen.
const patience = 30 * time.Second

// names is a resolver that knows what a test says.
type names struct {
	mu      sync.Mutex
	answers map[string][]resolve.Record
	ttl     time.Duration
	asked   int
	fails   error                    // of every question
	hold    chan struct{}            // no question is answered before it is closed; nil: all are
	holds   map[string]chan struct{} // the same for one name
}

func (n *names) Lookup(ctx context.Context, host string) (*resolve.Answer, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.asked++
	for _, hold := range []chan struct{}{n.hold, n.holds[host]} {
		if hold == nil {
			continue
		}
		n.mu.Unlock()
		select {
		case <-hold:
		case <-ctx.Done():
		}
		n.mu.Lock()
	}
	if n.fails != nil {
		return nil, n.fails
	}
	records, ok := n.answers[host]
	if !ok {
		return nil, &net.DNSError{Err: "no such name", Name: host, IsNotFound: true}
	}
	end := time.Now().Add(n.ttl)
	return &resolve.Answer{Records: records, Expires: end, Serves: end.Add(time.Hour)}, nil
}

func (n *names) set(host string, addrs ...string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.answers, host)
	for _, a := range addrs {
		n.answers[host] = append(n.answers[host], resolve.Record{Addr: netip.MustParseAddr(a)})
	}
}

// fail makes every question fail; nil: no more.
func (n *names) fail(err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.fails = err
}

// silence keeps every further question without an answer until the end of the test.
func (n *names) silence(t *testing.T) {
	t.Helper()
	hold := make(chan struct{})
	t.Cleanup(func() { close(hold) })
	n.mu.Lock()
	defer n.mu.Unlock()
	n.hold = hold
}

func upstream(algorithm string, targets ...any) *entity.Upstream {
	u := &entity.Upstream{ID: "id", Name: "u", Algorithm: algorithm}
	for i := 0; i < len(targets); i += 2 {
		u.Targets = append(u.Targets, &entity.Target{Target: targets[i].(string), Weight: targets[i+1].(int)})
	}
	return u
}

func start(t *testing.T, u *entity.Upstream, o Options) *Balancer {
	t.Helper()
	b, _ := registered(t, u, o)
	return b
}

func registered(t *testing.T, u *entity.Upstream, o Options) (*Balancer, *Registry) {
	t.Helper()
	if o.Resolver == nil {
		o.Resolver = &names{answers: map[string][]resolve.Record{}}
	}
	r := NewRegistry(o)
	b, err := r.Take(u)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		r.Return(b)
		r.Close()
	})
	return b, r
}

func choice() *Choice { return &Choice{Now: time.Now(), Patience: patience} }

func choose(t *testing.T, b *Balancer, c *Choice) *Place {
	t.Helper()
	p, err := b.Choose(c)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// spread chooses n times, each after the one before is over.
func spread(t *testing.T, b *Balancer, n int) map[string]int {
	t.Helper()
	got := map[string]int{}
	for range n {
		p := choose(t, b, choice())
		got[p.Address()]++
		b.Release(p)
	}
	return got
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never happened: %s", what)
		}
	}
}

// place is the place with an address.
func place(t *testing.T, b *Balancer, address string) *Place {
	t.Helper()
	for _, p := range b.view.Load().places {
		if p.Address() == address {
			return p
		}
	}
	t.Fatalf("no place %s", address)
	return nil
}

// Over as many choices as the reduced weights add up to, each target gets exactly its weight; one of weight 0 gets none.
func TestRoundRobin(t *testing.T) {
	b := start(t, upstream("round-robin", "10.0.0.1:1", 500, "10.0.0.2:2", 100, "[::1]:3", 200, "10.0.0.4:4", 0), Options{})
	got := map[string]int{}
	longest, run, last := 0, 0, ""
	for range 8 * 10 {
		p := choose(t, b, choice())
		got[p.Address()]++
		if run++; p.Host != last {
			run, last = 1, p.Host
		}
		longest = max(longest, run)
	}
	if got["10.0.0.1:1"] != 50 || got["10.0.0.2:2"] != 10 || got["[::1]:3"] != 20 || len(got) != 3 {
		t.Errorf("choices %v", got)
	}
	if longest > 3 {
		t.Errorf("the same target came %d times in a row: the choices are not spread", longest)
	}
}

// Weights without a common divisor keep their shares, in a wheel of bounded length.
func TestWheelIsBounded(t *testing.T) {
	b := start(t, upstream("", "10.0.0.1:1", 65535, "10.0.0.2:1", 65534, "10.0.0.3:1", 1), Options{})
	if n := len(b.view.Load().wheel); n > longestWheel+3 {
		t.Errorf("a wheel of %d", n)
	}
	got := spread(t, b, 2*longestWheel)
	if share := float64(got["10.0.0.1:1"]) / float64(2*longestWheel); math.Abs(share-0.5) > 0.01 || got["10.0.0.3:1"] == 0 {
		t.Errorf("choices %v", got)
	}
}

// However many places there are, each has its turn.
func TestLargeWheel(t *testing.T) {
	places := make([]*Place, 70_000)
	for i := range places {
		places[i] = &Place{weight: 1 + i%2, state: newState()}
	}
	seen := make([]bool, len(places))
	for _, at := range wheel(places) {
		seen[at] = true
	}
	for i := range seen {
		if !seen[i] {
			t.Fatalf("place %d has no turn", i)
		}
	}
}

// A further try goes to a place that was not tried, whatever the weights, until all were; with every algorithm.
func TestTriedPlacesComeLast(t *testing.T) {
	for name := range algorithms {
		b := start(t, upstream(name, "10.0.0.1:1", 10000, "10.0.0.2:2", 1, "10.0.0.3:3", 1), Options{})
		for i := range 20 {
			c := choice()
			c.Hash = uint32(i) * 77777
			for range 3 {
				p := choose(t, b, c)
				if contains(c.Tried, p) {
					t.Fatalf("%s: %s was tried already", name, p.Host)
				}
				c.Tried = append(c.Tried, p)
			}
			if p := choose(t, b, c); p == nil {
				t.Fatalf("%s: no place although all were only tried", name)
			}
		}
	}
}

func TestNoTargets(t *testing.T) {
	for _, u := range []*entity.Upstream{upstream(""), upstream("", "10.0.0.1:1", 0), upstream("consistent-hashing"), upstream("latency")} {
		if p, err := start(t, u, Options{}).Choose(choice()); p != nil || !errors.Is(err, ErrNoPeer) {
			t.Errorf("chose %v, %v", p, err)
		}
	}
}

func TestLeastConnections(t *testing.T) {
	b := start(t, upstream("least-connections", "10.0.0.1:1", 100, "10.0.0.2:1", 200), Options{})
	for range 30 {
		choose(t, b, choice())
	}
	one, two := place(t, b, "10.0.0.1:1"), place(t, b, "10.0.0.2:1")
	if one.open.Load() != 10 || two.open.Load() != 20 {
		t.Errorf("%d and %d requests, want the shares of the weights", one.open.Load(), two.open.Load())
	}
	for range 15 {
		b.Release(two)
	}
	for range 10 { // 10 / 100 against 5 / 200: all go to the one that has become free
		if p := choose(t, b, choice()); p.state != two.state {
			t.Fatalf("chose %s", p.Address())
		}
	}
}

func TestLatency(t *testing.T) {
	b := start(t, upstream("latency", "10.0.0.1:1", 100, "10.0.0.2:1", 100), Options{})
	fast, slow := place(t, b, "10.0.0.1:1"), place(t, b, "10.0.0.2:1")
	b.Report(fast, Outcome{Status: 200, Took: time.Millisecond})
	b.Report(slow, Outcome{Status: 200, Took: 100 * time.Millisecond})
	if got := spread(t, b, 20); got["10.0.0.1:1"] != 20 {
		t.Errorf("choices %v, want the fast one alone", got)
	}
	b.Report(fast, Outcome{Failed: true}) // at once, which is no merit
	if got := spread(t, b, 20); got["10.0.0.2:1"] != 20 {
		t.Errorf("choices %v after a failure, want the other one alone", got)
	}
	later := choice()
	later.Now = later.Now.Add(2 * time.Minute)
	seen := map[string]bool{}
	for range 20 {
		p := choose(t, b, later)
		seen[p.Address()] = true
	}
	if len(seen) != 2 {
		t.Errorf("only %v after two minutes: what was slow is never tried again", seen)
	}
}

// Of a place that has not answered yet nobody knows how fast it is: it gets one request, and further ones after its first answer.
func TestLatencyOfNewPlaces(t *testing.T) {
	b := start(t, upstream("latency", "10.0.0.1:1", 100, "10.0.0.2:1", 100, "10.0.0.3:1", 100), Options{})
	known, new1, new2 := place(t, b, "10.0.0.1:1"), place(t, b, "10.0.0.2:1"), place(t, b, "10.0.0.3:1")
	b.Report(known, Outcome{Status: 200, Took: 10 * time.Millisecond})
	for range 100 {
		choose(t, b, choice())
	}
	if a, c := new1.open.Load(), new2.open.Load(); a != 1 || c != 1 || known.open.Load() != 98 {
		t.Errorf("%d and %d requests of 100 before the first answer, want one each", a, c)
	}
	b.Report(new1, Outcome{Status: 200, Took: time.Millisecond})
	if p := choose(t, b, choice()); p.state != new1.state {
		t.Errorf("chose %s, want the fast one that has answered", p.Address())
	}
}

func TestPeakOfCost(t *testing.T) {
	var c cost
	now := time.Now()
	near := func(want float64) {
		t.Helper()
		if got := c.now(now); math.Abs(got-want) > 1e-9 {
			t.Errorf("cost %v, want %v", got, want)
		}
	}
	c.observe(100*time.Millisecond, now)
	near(0.1)
	c.observe(300*time.Millisecond, now) // a rise counts at once
	near(0.3)
	now = now.Add(decay)
	near(0.3 / math.E)
	c.observe(0, now)
	near(0.3 / math.E)
	c.observe(500*time.Millisecond, now)
	near(0.5)
	now = now.Add(decay)
	c.observe(100*time.Millisecond, now)
	near(0.5/math.E + 0.1*(1-1/math.E))
}

func TestSticky(t *testing.T) {
	u := upstream("sticky-sessions", "10.0.0.1:1", 100, "10.0.0.2:1", 100, "10.0.0.3:1", 100)
	u.Health.Passive.Unhealthy.TCP = 1
	b := start(t, u, Options{})
	first := choose(t, b, choice())
	for range 10 {
		c := choice()
		c.Sticky = first.Token
		if p := choose(t, b, c); p.state != first.state {
			t.Fatalf("the client went from %s to %s", first.Address(), p.Address())
		}
	}
	b.Report(first, Outcome{Failed: true})
	c := choice()
	c.Sticky = first.Token
	if p := choose(t, b, c); p.state == first.state || p.Token == first.Token {
		t.Errorf("the client stays with %s, which is down", p.Address())
	}
	if again := start(t, u, Options{}); place(t, again, first.Address()).Token != first.Token {
		t.Error("another node has another token")
	}
}

// Choosing takes no memory, with whatever algorithm.
func TestChoosingAllocatesNothing(t *testing.T) {
	for name := range algorithms {
		b := start(t, upstream(name, "10.0.0.1:1", 100, "10.0.0.2:1", 50), Options{})
		c := choice()
		if n := testing.AllocsPerRun(100, func() {
			b.Begin()
			p, err := b.Choose(c)
			if err != nil {
				t.Fatal(err)
			}
			b.Report(p, Outcome{Status: 200, Took: time.Millisecond})
			b.Release(p)
			b.End(false)
		}); n > 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkChoose(b *testing.B) {
	for name := range algorithms {
		b.Run("algorithm="+name, func(b *testing.B) {
			u := upstream(name)
			for i := range 20 {
				u.Targets = append(u.Targets, &entity.Target{Target: fmt.Sprintf("10.0.0.%d:1", i), Weight: 100})
			}
			bal, err := NewRegistry(Options{Resolver: &names{}}).Take(u)
			if err != nil {
				b.Fatal(err)
			}
			c := choice()
			b.ReportAllocs()
			for i := range b.N {
				c.Hash = uint32(i) * 2654435761
				p, err := bal.Choose(c)
				if err != nil {
					b.Fatal(err)
				}
				bal.Release(p)
			}
		})
	}
}
