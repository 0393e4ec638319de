package generation

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/outrigger-gateway/outrigger/host/internal/balancer"
	"github.com/outrigger-gateway/outrigger/host/internal/entity"
)

// balance finds the balancers of upstreams, and of services whose host is a name.
func (g *Generation) balance(set *entity.Set, r *balancer.Registry) (err error) {
	g.registry = r
	g.upstreams = make(map[string]*entity.Upstream, len(set.Upstreams))
	g.balancers = make(map[*entity.Upstream]*balancer.Balancer, len(set.Upstreams))
	g.named = map[*entity.Service]*balancer.Balancer{}
	for _, u := range set.Upstreams {
		g.upstreams[u.Name] = u
		if g.balancers[u], err = r.Take(u); err != nil {
			delete(g.balancers, u)
			return fmt.Errorf("upstream %q: %w", u.Name, err)
		}
	}
	for _, s := range set.Services {
		if _, aerr := netip.ParseAddr(s.Host); aerr == nil || s.Upstream != nil {
			continue
		}
		g.named[s] = r.TakeName(s.Host, s.Port)
	}
	return nil
}

// endBalancing gives the balancers back.
func (g *Generation) endBalancing() {
	for _, b := range g.balancers {
		g.registry.Return(b)
	}
	for _, b := range g.named {
		g.registry.Return(b)
	}
}

// Balancer chooses the targets of an upstream of this generation.
func (g *Generation) Balancer(u *entity.Upstream) *balancer.Balancer { return g.balancers[u] }

// Named chooses the addresses of a service whose host is a name; nil for others.
func (g *Generation) Named(s *entity.Service) *balancer.Balancer {
	if len(g.named) == 0 {
		return nil
	}
	return g.named[s]
}

// Balancing is the state of all upstreams, by name.
func (g *Generation) Balancing() []balancer.Status {
	list := make([]balancer.Status, 0, len(g.balancers))
	for _, b := range g.balancers {
		list = append(list, b.Status())
	}
	slices.SortFunc(list, func(a, b balancer.Status) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// SetHealth makes a target of an upstream, or one of its addresses, healthy or unhealthy until checks say otherwise; false when there is none.
func (g *Generation) SetHealth(upstream, target string, healthy bool) bool {
	b := g.balancers[g.upstreams[upstream]]
	return b != nil && b.SetHealth(target, healthy)
}
