package balancer

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
	"github.com/outrigger-gateway/outrigger/host/internal/resolve"
)

// Requests, reloads, health and names change at the same time, with every algorithm. Nothing is lost: in the end no place has a request, nobody waits, and
// every place gets requests again.
func TestChurn(t *testing.T) {
	for name := range algorithms {
		dns := &names{answers: map[string][]resolve.Record{}, ttl: time.Millisecond}
		dns.set("a.test", "10.0.1.1", "10.0.1.2")
		configured := func(n int) *entity.Upstream {
			u := upstream(name, "10.0.0.1:1", 100, "10.0.0.2:1", 100+n%3, "a.test:1", 50)
			u.Slots = 1000
			u.Health.Passive.Unhealthy.TCP = 3
			u.Health.Passive.Healthy = entity.Successes{Statuses: []int{200}, Successes: 1}
			u.Breaker = entity.CircuitBreakers{MaxConnections: 4, MaxPendingRequests: 50}
			u.Outliers = entity.OutlierDetection{Consecutive5xx: 5, BaseEjection: time.Millisecond, MaxEjection: 10 * time.Millisecond, MaxEjectionPercent: 50}
			u.SlowStart = entity.SlowStart{Window: 10 * time.Millisecond, Aggression: 1, MinPercent: 10}
			return u
		}
		first, r := registered(t, configured(0), Options{Resolver: dns})
		var all sync.WaitGroup
		for g := range 8 {
			all.Go(func() {
				for i := range 100 {
					b, err := r.Take(configured(i / 20))
					if err != nil {
						t.Error(err)
						return
					}
					b.Begin()
					c := choice()
					c.Hash = uint32(i*g) * 2654435761
					for range 2 {
						p, err := b.Choose(c)
						var dnsError *net.DNSError
						if err != nil && err != ErrNoPeer && err != ErrFull && !errors.As(err, &dnsError) {
							t.Error(err)
						}
						if err != nil {
							break
						}
						b.Report(p, Outcome{Status: 200 + 300*(i%7/6), Failed: i%11 == 0, Took: time.Millisecond})
						b.Release(p)
						c.Tried = append(c.Tried, p)
					}
					b.End(false)
					r.Return(b)
				}
			})
		}
		all.Go(func() {
			for i := range 60 {
				first.SetHealth("10.0.0.1:1", i%2 == 0)
				dns.set("a.test", fmt.Sprintf("10.0.1.%d", i%3), "10.0.1.9")
				_ = first.Status()
			}
		})
		all.Wait()
		dns.set("a.test", "10.0.1.9")
		seen, n := map[string]bool{}, uint32(0)
		eventually(t, name+": all places get requests again", func() bool {
			for _, p := range first.view.Load().places {
				first.SetHealth(p.Address(), true)
			}
			var taken []*Place
			for range 8 { // at once: else least-connections takes the heaviest alone
				c := choice()
				n++
				c.Hash = n * 2654435761
				p, err := first.Choose(c)
				if err != nil {
					break
				}
				seen[p.Address()], taken = true, append(taken, p)
			}
			for _, p := range taken {
				first.Report(p, Outcome{Status: 200, Took: time.Millisecond})
				first.Release(p)
			}
			return seen["10.0.0.1:1"] && seen["10.0.0.2:1"] && seen["10.0.1.9:1"]
		})
		s := first.Status()
		if s.Pending != 0 || s.InFlight != 0 {
			t.Errorf("%s: %d wait and %d are in flight", name, s.Pending, s.InFlight)
		}
		for _, target := range s.Targets {
			for _, p := range target.Addresses {
				if p.InFlight != 0 {
					t.Errorf("%s: %s has %d requests", name, p.Address, p.InFlight)
				}
			}
		}
	}
}
