package balancer

import (
	"errors"
	"net"
	"testing"
	"time"

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
		b.asking.since = time.Now().Add(-longestLook)
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
