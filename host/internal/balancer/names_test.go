package balancer

import (
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
	"github.com/outrigger-gateway/outrigger/host/internal/resolve"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// A name expands to its records, each with the weight of the target; when its answer has run out, the next one counts.
func TestNames(t *testing.T) {
	dns := &names{answers: map[string][]resolve.Record{}, ttl: time.Hour}
	dns.set("a.test", "10.0.0.1", "10.0.0.2")
	b := start(t, upstream("", "a.test:80", 100, "10.0.0.9:90", 200), Options{Resolver: dns})
	eventually(t, "the name is known", func() bool {
		spread(t, b, 1)
		return len(b.view.Load().places) == 3
	})
	if got := spread(t, b, 40); got["10.0.0.1:80"] != 10 || got["10.0.0.2:80"] != 10 || got["10.0.0.9:90"] != 20 {
		t.Errorf("choices %v", got)
	}
	for range 100 {
		spread(t, b, 1)
	}
	if dns.asked != 1 {
		t.Errorf("asked %d times within the TTL", dns.asked)
	}
	if p := place(t, b, "10.0.0.1:80"); p.Name != "a.test" {
		t.Errorf("the place is called %q", p.Name)
	}
	if p := place(t, b, "10.0.0.9:90"); p.Name != "" {
		t.Errorf("an address is called %q", p.Name)
	}
}

func TestNamesChange(t *testing.T) {
	dns := &names{answers: map[string][]resolve.Record{}, ttl: time.Millisecond}
	dns.set("a.test", "10.0.0.1", "10.0.0.2")
	u := upstream("", "a.test:80", 100)
	u.Health.Passive.Unhealthy.TCP = 1
	b := start(t, u, Options{Resolver: dns})
	choose(t, b, choice())
	b.Report(place(t, b, "10.0.0.2:80"), Outcome{Failed: true})
	dns.set("a.test", "10.0.0.2", "10.0.0.3")
	eventually(t, "the new answer counts", func() bool {
		got := spread(t, b, 4)
		return got["10.0.0.3:80"] == 4
	})
	if place(t, b, "10.0.0.2:80").healthy.Load() {
		t.Error("an address that stayed lost what was known of it")
	}
	dns.set("a.test")
	var dnsError *net.DNSError
	eventually(t, "the name is gone", func() bool {
		_, err := b.Choose(choice())
		return errors.As(err, &dnsError)
	})
	if s := b.Status(); s.Health != reportDNS || s.Targets[0].Health != reportDNS || s.Targets[0].Error == "" {
		t.Errorf("status %+v", s)
	}
}

// The first request after a while waits for an answer of now: the address may be somebody else's.
func TestNamesThatWereNotUsed(t *testing.T) {
	dns := &names{answers: map[string][]resolve.Record{}, ttl: time.Hour}
	dns.set("a.test", "10.0.0.1")
	b := start(t, upstream("", "a.test:80", 100), Options{Resolver: dns})
	choose(t, b, choice())
	eventually(t, "all names have answered", func() bool {
		b.asking.Lock()
		defer b.asking.Unlock()
		return b.asking.round == nil
	})
	dns.set("a.test", "10.0.0.2")
	b.mu.Lock()
	b.targets[0].again = time.Now().Add(-2 * idleNames)
	b.build(true)
	b.mu.Unlock()
	if p := choose(t, b, choice()); p.Host != "10.0.0.2" {
		t.Errorf("chose %s", p.Host)
	}
}

// flapping is an upstream of a name with two addresses, of which the first is unhealthy and ejected, and has a request.
func flapping(t *testing.T) (*Balancer, *names, *Place) {
	t.Helper()
	dns := &names{answers: map[string][]resolve.Record{}, ttl: time.Millisecond}
	dns.set("a.test", "10.0.0.1", "10.0.0.2")
	u := upstream("", "a.test:80", 100)
	u.Health.Passive.Unhealthy = entity.Failures{TCP: 1}
	u.Outliers = entity.OutlierDetection{Consecutive5xx: 1, BaseEjection: time.Hour, MaxEjection: time.Hour, MaxEjectionPercent: 50}
	u.SlowStart = entity.SlowStart{Window: time.Hour, Aggression: 1, MinPercent: 10}
	b := start(t, u, Options{Resolver: dns})
	choose(t, b, choice())
	sick := place(t, b, "10.0.0.1:80")
	sick.open.Store(7)
	b.Report(sick, Outcome{Failed: true})
	if sick.healthy.Load() || !sick.away(time.Now()) {
		t.Fatal("it is not taken away")
	}
	return b, dns, sick
}

// Name servers that fail take no address away, even if the resolver has forgotten the last answer; not for longer than that may serve.
func TestNameServersThatFail(t *testing.T) {
	b, dns, sick := flapping(t)
	dns.fail(&net.DNSError{Err: "the server says SERVFAIL", Name: "a.test", IsTemporary: true})
	eventually(t, "the failure is seen", func() bool {
		if p, err := b.Choose(choice()); err != nil || p.Address() != "10.0.0.2:80" {
			t.Fatalf("chose %v, %v", p, err)
		}
		return b.Status().Targets[0].Error != ""
	})
	if p := place(t, b, "10.0.0.1:80"); p.state != sick.state {
		t.Error("what was known of an address is lost")
	}
	if s := b.Status(); s.Targets[0].Health != reportHealthy || len(s.Targets[0].Addresses) != 2 || s.Available != 50 {
		t.Errorf("status %+v", s)
	}
	b.mu.Lock()
	b.targets[0].answer.Serves, b.targets[0].again = time.Now(), time.Now()
	b.build(false)
	b.mu.Unlock()
	var dnsError *net.DNSError
	eventually(t, "the last answer is too old", func() bool {
		_, err := b.Choose(choice())
		return errors.As(err, &dnsError)
	})
}

// An address that left and comes back is the one that it was, also when its name was gone for a while, and over a reload.
func TestAddressesThatComeBack(t *testing.T) {
	b, dns, sick := flapping(t)
	is := func(b *Balancer, address string) bool {
		_, _ = b.Choose(choice())
		for _, p := range b.view.Load().places {
			if p.Address() == address {
				return true
			}
		}
		return false
	}
	again := func(b *Balancer) {
		t.Helper()
		eventually(t, "the address is back", func() bool {
			b.mu.Lock()
			b.targets[0].again = time.Now()
			b.build(false)
			b.mu.Unlock()
			return is(b, "10.0.0.1:80")
		})
		if p := place(t, b, "10.0.0.1:80"); p.state != sick.state || p.healthy.Load() || !p.away(time.Now()) || p.open.Load() != 7 {
			t.Error("it is a new one")
		}
		if p := place(t, b, "10.0.0.2:80"); p.since.Load() != 0 {
			t.Error("a healthy one starts slowly again")
		}
	}
	dns.set("a.test", "10.0.0.2", "10.0.0.3")
	eventually(t, "the address is gone", func() bool { return is(b, "10.0.0.3:80") && !is(b, "10.0.0.1:80") })
	dns.set("a.test", "10.0.0.1", "10.0.0.2")
	again(b)
	dns.set("a.test")
	eventually(t, "the name is gone", func() bool { return len(b.view.Load().places) == 0 || !is(b, "10.0.0.1:80") })
	next := newBalancer(b.Upstream, Options{Resolver: dns}, b) // as a reload makes one
	dns.set("a.test", "10.0.0.1", "10.0.0.2")
	again(b)
	again(next)
}

// What is kept of addresses that left is bounded in time and number, but for those that still have requests.
func TestAddressesThatAreForgotten(t *testing.T) {
	b := start(t, upstream(""), Options{})
	now := time.Now()
	id := func(n int) identity { return identity{addr: netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)})} }
	for n := range 5 {
		b.left[id(n)] = departed{newState(), now.Add(-2 * keptDeparted)}
	}
	b.left[id(1)].open.Store(1)
	b.depart(nil, now)
	if len(b.left) != 1 || b.left[id(1)].state == nil {
		t.Errorf("%d are kept after their time, want the one that has a request", len(b.left))
	}
	for n := range mostDeparted + 10 {
		b.left[id(n)] = departed{newState(), now.Add(time.Duration(n))}
	}
	b.depart(map[identity]*state{id(mostDeparted + 9): newState()}, now)
	if n := len(b.left); n != mostDeparted || b.left[id(8)].state != nil || b.left[id(9)].state == nil {
		t.Errorf("%d are kept, want the %d that left last", n, mostDeparted)
	}
}

// A request that waits for a name ends when its client has gone.
func TestClientLeavesWhileANameIsAsked(t *testing.T) {
	dns := &names{hold: make(chan struct{})}
	b := start(t, upstream("", "a.test:80", 100), Options{Resolver: dns})
	var quit wire.Quit
	ended := make(chan error, 1)
	go func() {
		c := choice()
		c.Quit = &quit
		_, err := b.Choose(c)
		ended <- err
	}()
	quit.Go()
	select {
	case err := <-ended:
		if err != ErrGone {
			t.Errorf("error %v", err)
		}
	case <-time.After(patience / 2):
		t.Error("it waits on")
	}
	close(dns.hold)
}

// The first request after a failure that is over does not get that: it asks anew.
func TestNameThatIsBack(t *testing.T) {
	dns := &names{answers: map[string][]resolve.Record{}, ttl: time.Hour}
	b := start(t, upstream("", "a.test:80", 100), Options{Resolver: dns})
	c := choice()
	var dnsError *net.DNSError
	if _, err := b.Choose(c); !errors.As(err, &dnsError) {
		t.Fatalf("error %v", err)
	}
	dns.set("a.test", "10.0.0.1")
	b.mu.Lock()
	b.targets[0].again = time.Now()
	b.build(false)
	b.mu.Unlock()
	eventually(t, "the question before is over", func() bool {
		b.asking.Lock()
		defer b.asking.Unlock()
		return b.asking.round == nil
	})
	if p := choose(t, b, choice()); p.Host != "10.0.0.1" {
		t.Errorf("chose %s", p.Host)
	}
}

func TestNameThatDoesNotResolve(t *testing.T) {
	dns := &names{answers: map[string][]resolve.Record{}, ttl: time.Hour}
	b := start(t, upstream("", "gone.test:80", 1000, "10.0.0.1:80", 1), Options{Resolver: dns})
	if got := spread(t, b, 20); got["10.0.0.1:80"] != 20 {
		t.Errorf("choices %v", got)
	}
	eventually(t, "its weight counts as gone", func() bool { return b.Status().Available < 1 })
	again := b.view.Load().expires
	b.SetHealth("10.0.0.1:1", true)
	if b.rebuild(); !b.view.Load().expires.Equal(again) {
		t.Error("a change of health puts off the next question")
	}
	alone := start(t, upstream("consistent-hashing", "gone.test:80", 1), Options{Resolver: dns})
	var dnsError *net.DNSError
	if _, err := alone.Choose(choice()); !errors.As(err, &dnsError) || dnsError.Name != "gone.test" {
		t.Errorf("error %v", err)
	}
}

// SRV records bring ports, weights and names of their own.
func TestServiceRecords(t *testing.T) {
	dns := &names{ttl: time.Hour, answers: map[string][]resolve.Record{"_http._tcp.test": {
		{Addr: netip.MustParseAddr("10.0.0.1"), Port: 8001, Weight: 3, Name: "one.test"},
		{Addr: netip.MustParseAddr("10.0.0.2"), Port: 8002, Weight: 1, Name: "two.test"},
	}}}
	u := upstream("", "_http._tcp.test:80", 100)
	got := spread(t, start(t, u, Options{Resolver: dns}), 40)
	if got["10.0.0.1:8001"] != 30 || got["10.0.0.2:8002"] != 10 {
		t.Errorf("choices %v", got)
	}
	u.UseSRVName = true
	b := start(t, u, Options{Resolver: dns})
	if p := choose(t, b, choice()); p.Name != "one.test" && p.Name != "two.test" {
		t.Errorf("the place is called %q", p.Name)
	}
	u.Targets[0].Weight = 0
	if p, err := start(t, u, Options{Resolver: dns}).Choose(choice()); err == nil {
		t.Errorf("a drained target gets requests: %s", p.Address())
	}
}

// Generations with the same upstream share its balancer. One that was changed takes over what is known of places that both have.
func TestStateOutlivesReloads(t *testing.T) {
	u := upstream("", "10.0.0.1:1", 100, "10.0.0.2:1", 100)
	u.Health.Passive.Unhealthy.TCP = 1
	b, r := registered(t, u, Options{})
	b.Report(place(t, b, "10.0.0.1:1"), Outcome{Failed: true})
	same := upstream("", "10.0.0.1:1", 100, "10.0.0.2:1", 100)
	same.Health, same.Tags, same.Pos = u.Health, []string{"new"}, entity.Pos{Line: 7}
	again, err := r.Take(same)
	if err != nil || again != b {
		t.Fatalf("an upstream that is the same has another balancer: %v", err)
	}
	r.Return(again)
	changed := upstream("", "10.0.0.1:1", 100, "10.0.0.2:1", 200, "10.0.0.3:1", 200)
	changed.Health = u.Health
	next, err := r.Take(changed)
	if err != nil {
		t.Fatal(err)
	}
	if got := spread(t, next, 20); got["10.0.0.1:1"] != 0 || got["10.0.0.2:1"] != 10 || got["10.0.0.3:1"] != 10 {
		t.Errorf("choices %v after a reload: what was unhealthy is to stay so", got)
	}
	for _, healthy := range []bool{false, true} {
		for _, target := range []string{"10.0.0.1:1", "10.0.0.2:1"} {
			next.SetHealth(target, healthy)
		}
		if got := reported(b) == reportHealthy; got != healthy {
			t.Errorf("the old one reports healthy: %v, expected %v", got, healthy)
		}
	}
	if got := spread(t, b, 20); got["10.0.0.1:1"] != 10 {
		t.Errorf("choices %v of the old one, which knows nothing of the change", got)
	}
	r.Return(next)
	if len(r.byContent) != 1 || len(r.byID["id"]) != 1 {
		t.Errorf("%d balancers are kept", len(r.byContent))
	}
}

// A reload that goes back to an upstream which older generations still have makes that one the newest again: it is checked, the one between is not.
func TestBackToAnOlderUpstream(t *testing.T) {
	u := checked("127.0.0.1:1", "tcp")
	between := upstream("", "127.0.0.1:1", 100)
	b, r := registered(t, u, Options{Probe: true})
	next, err := r.Take(between)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Return(next) })
	again, err := r.Take(u)
	if err != nil || again != b {
		t.Fatalf("another balancer than the one that there is: %v", err)
	}
	t.Cleanup(func() { r.Return(again) })
	list := r.byID["id"]
	if len(list) != 2 || list[1].Balancer != b || list[1].prober == nil || list[0].prober != nil {
		t.Error("the upstream that is live again is not checked")
	}
}

// Who takes the checks away brings every target back: nothing else would.
func TestHealthEndsWithTheChecks(t *testing.T) {
	u := upstream("", "10.0.0.1:1", 100, "10.0.0.2:1", 100)
	u.Health.Passive.Unhealthy.TCP = 1
	b, r := registered(t, u, Options{})
	unchecked, err := r.Take(upstream("", "10.0.0.1:1", 100, "10.0.0.2:1", 100))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Return(unchecked) })
	for range 2 { // a new balancer without checks, and one that was there before
		checked, err := r.Take(u)
		if err != nil || checked != b {
			t.Fatalf("another balancer than the one that there is: %v", err)
		}
		t.Cleanup(func() { r.Return(checked) })
		b.Report(place(t, b, "10.0.0.1:1"), Outcome{Failed: true})
		if got := spread(t, b, 10); got["10.0.0.1:1"] != 0 {
			t.Fatalf("choices %v: the unhealthy one has some", got)
		}
		next, err := r.Take(unchecked.Upstream)
		if err != nil || next != unchecked {
			t.Fatalf("another balancer than the one that there is: %v", err)
		}
		t.Cleanup(func() { r.Return(next) })
		if got := spread(t, next, 10); got["10.0.0.1:1"] != 5 {
			t.Errorf("choices %v without checks: what they took away is to come back", got)
		}
	}
	unchecked.SetHealth("10.0.0.1:1", false)
	own := upstream("", "10.0.0.1:1", 100, "10.0.0.2:1", 300)
	last, err := r.Take(own)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Return(last) })
	if got := spread(t, last, 10); got["10.0.0.1:1"] != 0 {
		t.Errorf("choices %v: what was taken away by hand is to stay away", got)
	}
}
