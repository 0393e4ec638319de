package balancer

import (
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
	"github.com/outrigger-gateway/outrigger/host/internal/resolve"
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
	b.targets[0].answer.Expires = time.Now().Add(-2 * idleNames)
	b.build(true)
	b.mu.Unlock()
	if p := choose(t, b, choice()); p.Host != "10.0.0.2" {
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
