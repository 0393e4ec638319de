package host

import (
	"context"
	"net/netip"

	"github.com/outrigger-gateway/outrigger/host/internal/balancer"
	"github.com/outrigger-gateway/outrigger/host/internal/resolve"
)

// startBalancing makes what finds and checks the targets of upstreams, before the first configuration is live.
func (h *Host) startBalancing() {
	d := &h.settings.DNS
	h.resolver = resolve.New(resolve.Options{
		Servers: d.Resolvers, HostsFile: d.HostsFile, Order: d.Order,
		ValidTTL: d.ValidTTL, StaleTTL: d.StaleTTL, ErrorTTL: d.ErrorTTL, NotFoundTTL: d.NotFoundTTL,
	})
	h.builder.Balancers = balancer.NewRegistry(balancer.Options{Resolver: h.resolver, Logger: h.logger, Probe: true})
}

// lookup finds the addresses of a name that a plugin sends a request to, with the ports that SRV records say.
func (h *Host) lookup(ctx context.Context, host string) ([]netip.AddrPort, error) {
	answer, err := h.resolver.Lookup(ctx, host)
	if err != nil {
		return nil, err
	}
	var addrs []netip.AddrPort
	for _, r := range answer.Shuffled() {
		addrs = append(addrs, netip.AddrPortFrom(r.Addr, uint16(r.Port)))
	}
	return addrs, nil
}

// Upstreams implements admin.Balancer.
func (o operator) Upstreams() []balancer.Status {
	gen := o.generations.AcquireCurrent()
	if gen == nil {
		return []balancer.Status{}
	}
	defer gen.Release()
	return gen.Balancing()
}

// SetHealth implements admin.Balancer.
func (o operator) SetHealth(upstream, target string, healthy bool) bool {
	gen := o.generations.AcquireCurrent()
	if gen == nil {
		return false
	}
	defer gen.Release()
	return gen.SetHealth(upstream, target, healthy)
}
