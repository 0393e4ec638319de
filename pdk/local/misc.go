package local

import (
	"net/netip"
	"slices"

	"github.com/outrigger-gateway/outrigger/pdk"
)

// RouterGetRoute implements pdk.Backend.
func (h *handle) RouterGetRoute() *pdk.Route {
	s := h.read(pdk.FnRouterGetRoute)
	if s == nil {
		return nil
	}
	defer s.mu.Unlock()
	return known(s, pdk.FnRouterGetRoute, s.facts.Route, routeOf)
}

// RouterGetService implements pdk.Backend.
func (h *handle) RouterGetService() *pdk.Service {
	s := h.read(pdk.FnRouterGetService)
	if s == nil {
		return nil
	}
	defer s.mu.Unlock()
	return known(s, pdk.FnRouterGetService, s.facts.Service, serviceOf)
}

// IPIsTrusted implements pdk.Backend.
func (h *handle) IPIsTrusted(address string) bool {
	s := h.read(pdk.FnIPIsTrusted)
	if s == nil {
		return false
	}
	defer s.mu.Unlock()
	return IsTrusted(s.node.Trusted, address)
}

// IsTrusted reports whether an address is inside one of the prefixes. Everything is, when the whole of IPv4 and the whole of IPv6 are among
// them. An IPv4 address written as IPv6 counts as IPv4.
func IsTrusted(trusted []netip.Prefix, address string) bool {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return false
	}
	a = a.Unmap().WithZone("")
	return slices.ContainsFunc(trusted, func(p netip.Prefix) bool { return p.Contains(a) })
}
