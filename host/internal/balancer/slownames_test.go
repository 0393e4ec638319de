package balancer

import (
	"errors"
	"net"
	"testing"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
	"github.com/outrigger-gateway/outrigger/host/internal/resolve"
)

// A request that was patient enough is told that the names have not resolved. They are asked for all the same, for those that come later.
func TestSilentNameServers(t *testing.T) {
	dns := &names{answers: map[string][]resolve.Record{}, ttl: time.Hour, hold: make(chan struct{})}
	dns.set("a.test", "10.0.0.1")
	b := start(t, upstream("", "a.test:80", 100), Options{Resolver: dns})
	c := choice()
	c.Patience = time.Millisecond
	var dnsError *net.DNSError
	if _, err := b.Choose(c); !errors.As(err, &dnsError) || dnsError.Name != "a.test" || !dnsError.IsTimeout {
		t.Errorf("error %v", err)
	}
	close(dns.hold)
	choose(t, b, choice())
	if dns.asked != 1 {
		t.Errorf("asked %d times", dns.asked)
	}
}

// A name that is slow is waited for once. Later requests go where those that are known say, or fail as the last one, and those that stand in line have
// waited enough.
func TestSlowNameHoldsNobodyUp(t *testing.T) {
	gone := make(chan struct{})
	close(gone) // who would wait gives up at once
	hurried := func() *Choice { return &Choice{Now: time.Now(), gone: gone} }
	slow := func(targets ...any) *Balancer {
		dns := &names{hold: make(chan struct{})}
		t.Cleanup(func() { close(dns.hold) })
		return start(t, upstream("", targets...), Options{Resolver: dns})
	}
	b := slow("10.0.0.1:80", 100, "slow.test:80", 100)
	if _, err := b.Choose(hurried()); err != ErrGone {
		t.Fatalf("the first one: error %v, want that it waits", err)
	}
	c := hurried()
	c.called = true
	if p, err := b.chooseNow(c); err != nil || p.Host != "10.0.0.1" {
		t.Errorf("one that stood in line: %v, %v", p, err)
	}
	waited := func(b *Balancer) {
		b.asking.Lock()
		defer b.asking.Unlock()
		b.asking.round.since = time.Now().Add(-longestLook)
	}
	waited(b)
	if p, err := b.Choose(hurried()); err != nil || p.Host != "10.0.0.1" {
		t.Errorf("one that comes later: %v, %v", p, err)
	}
	b = slow("slow.test:80", 100)
	b.mu.Lock()
	b.targets[0].err = &net.DNSError{Err: "no answer", Name: "slow.test"}
	b.build(true)
	b.mu.Unlock()
	if _, err := b.Choose(hurried()); err != ErrGone {
		t.Fatalf("the first one of a name that failed: error %v, want that it waits", err)
	}
	waited(b)
	var dnsError *net.DNSError
	if _, err := b.Choose(hurried()); !errors.As(err, &dnsError) || dnsError.Err != "no answer" {
		t.Errorf("one that comes later: error %v", err)
	}
}

// entered is a Quit that tells when a request begins to wait.
type entered func()

func (e entered) Enter(interface{ GiveUp(uint32) }, uint32) { e() }
func (entered) Leave()                                      {}

// After a pause a request waits for the names whose addresses are in use, and not for one beside them.
func TestSlowNameBesideOthers(t *testing.T) {
	dns := &names{answers: map[string][]resolve.Record{}, ttl: time.Hour}
	dns.set("a.test", "10.0.0.1")
	b := start(t, upstream("", "a.test:80", 100, "gone.test:80", 100), Options{Resolver: dns})
	choose(t, b, choice())
	eventually(t, "all names were asked for", func() bool {
		b.asking.Lock()
		defer b.asking.Unlock()
		return b.asking.round == nil
	})
	answer, never := make(chan struct{}), make(chan struct{})
	t.Cleanup(func() { close(never) })
	dns.set("a.test", "10.0.0.2")
	dns.mu.Lock()
	dns.holds = map[string]chan struct{}{"a.test": answer, "gone.test": never}
	dns.mu.Unlock()
	b.mu.Lock()
	for _, target := range b.targets {
		target.again = time.Now().Add(-2 * idleNames)
	}
	b.build(true)
	b.mu.Unlock()
	b.refresh().since = time.Now().Add(time.Hour) // it has all its patience
	chosen := make(chan *Place, 1)
	go func() {
		c := choice()
		c.Quit = entered(func() { close(answer) })
		p, err := b.Choose(c)
		if err != nil {
			t.Error(err)
		}
		chosen <- p
	}()
	select {
	case p := <-chosen:
		if p == nil || p.Host != "10.0.0.2" {
			t.Errorf("chose %v", p)
		}
	case <-time.After(patience / 2):
		t.Error("it waits for a name that nobody needs")
	}
}

// A name without addresses is nothing to wait for as long as others serve, however long nobody has used the upstream; nor is one that a reload adds.
// When the others cannot serve, it is.
func TestNameThatNobodyNeeds(t *testing.T) {
	gone := make(chan struct{})
	close(gone) // who would wait gives up at once
	dns := &names{answers: map[string][]resolve.Record{}, ttl: time.Hour}
	u := upstream("", "10.0.0.1:80", 100, "gone.test:80", 100)
	u.Health.Passive.Unhealthy.TCP = 1
	b := start(t, u, Options{Resolver: dns})
	choose(t, b, choice()) // all are asked for
	eventually(t, "all names were asked for", func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.settled
	})
	dns.silence(t)
	later := func() *Choice { return &Choice{Now: time.Now().Add(time.Hour), gone: gone} }
	if p, err := b.Choose(later()); err != nil || p.Host != "10.0.0.1" {
		t.Errorf("after an hour: %v, %v", p, err)
	}
	more := upstream("", "10.0.0.1:80", 100, "gone.test:80", 100, "new.test:80", 100)
	more.Health = u.Health
	next := newBalancer(more, Options{Resolver: dns}, b)
	if p, err := next.Choose(later()); err != nil || p.Host != "10.0.0.1" {
		t.Errorf("with a name that is new: %v, %v", p, err)
	}
	next.Report(place(t, next, "10.0.0.1:80"), Outcome{Failed: true})
	if p, err := next.Choose(later()); err != ErrGone {
		t.Errorf("without another target: %v, %v, want that it waits", p, err)
	}
}

// A reload before the first request, and one that brings an upstream back, leave names that nobody has asked for: the first request waits for them, beside
// whatever serves.
func TestNamesAfterReload(t *testing.T) {
	gone := make(chan struct{})
	close(gone) // who would wait gives up at once
	checked := func(threshold float64) *entity.Upstream {
		u := upstream("consistent-hashing", "10.0.0.1:80", 100, "a.test:80", 100)
		u.Health.Passive.Unhealthy.TCP, u.Health.Threshold = 1, threshold
		return u
	}
	waits := func(b *Balancer, when string) {
		t.Helper()
		if p, err := b.Choose(&Choice{Now: time.Now(), gone: gone}); err != ErrGone {
			t.Errorf("%s: %v, %v, want that it waits", when, p, err)
		}
	}
	dns := &names{answers: map[string][]resolve.Record{}, ttl: time.Hour}
	dns.set("a.test", "10.0.0.2")
	first := make(chan struct{})
	dns.holds = map[string]chan struct{}{"a.test": first}
	r := NewRegistry(Options{Resolver: dns})
	defer r.Close()
	b := next(t, r, nil, checked(1))
	b = next(t, r, b, checked(2))
	waits(b, "a reload before the first request")
	close(first)
	choose(t, b, choice())
	eventually(t, "all names were asked for", func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.settled
	})
	r.Return(b)
	dns.silence(t)
	b = next(t, r, nil, checked(2))
	waits(b, "an upstream that comes back")
	r.Return(b)
}
