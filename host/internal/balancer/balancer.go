// Package balancer chooses the target of an upstream for each try of a request (spec/gateway.md section 7.1).
package balancer

import (
	"math/rand/v2"
	"net"
	"strconv"
	"sync"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
)

// Target is one place of an upstream.
type Target struct {
	Host   string // a name or an address, IPv6 without brackets
	Port   int
	weight int

	current int // of the smooth weighted round-robin; guarded by Balancer.mu
}

// Balancer chooses targets by weighted round-robin: each gets its share of the choices, spread as evenly as the weights allow. Many
// requests may use it at once.
type Balancer struct {
	// HostHeader is what targets get as Host; "": their own name.
	HostHeader string

	targets []*Target // those of a weight above 0
	total   int       // sum of the weights
	mu      sync.Mutex
}

// New makes the balancer of an upstream. It starts at any target, so that gateways that start together do not all begin with the same one.
func New(u *entity.Upstream) *Balancer {
	b := &Balancer{HostHeader: u.HostHeader}
	for _, t := range u.Targets {
		if t.Weight == 0 {
			continue
		}
		host, port, err := net.SplitHostPort(t.Target)
		if err != nil {
			continue // not after package config has checked it
		}
		n, _ := strconv.Atoi(port)
		b.targets = append(b.targets, &Target{Host: host, Port: n, weight: t.Weight})
		b.total += t.Weight
	}
	if len(b.targets) > 0 {
		for range rand.IntN(len(b.targets)) {
			b.next()
		}
	}
	return b
}

// Next chooses a target that is not among those tried already, as long as there is one. It is nil when the upstream has none that may be used.
func (b *Balancer) Next(tried []*Target) *Target {
	if len(b.targets) == 0 {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	t := b.next()
	if !contains(tried, t) {
		return t
	}
	for _, other := range b.targets {
		if !contains(tried, other) {
			return other
		}
	}
	return t
}

// next is a step of the smooth weighted round-robin of nginx: every target gains its weight, the largest is taken and loses the sum of all.
func (b *Balancer) next() *Target {
	var best *Target
	for _, t := range b.targets {
		t.current += t.weight
		if best == nil || t.current > best.current {
			best = t
		}
	}
	best.current -= b.total
	return best
}

func contains(list []*Target, t *Target) bool {
	for _, other := range list {
		if other == t {
			return true
		}
	}
	return false
}
