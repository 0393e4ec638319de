package iprestriction

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// networks are the ranges of addresses that a list names: sorted, without overlap, IPv4 before IPv6. Looking an address up is a binary search.
type networks []span

// span is a range of addresses of one family, both ends in it.
type span struct{ first, last netip.Addr }

// contain reports whether a is in one of the networks. a has no zone and is not IPv4-mapped.
func (n networks) contain(a netip.Addr) bool {
	i, found := slices.BinarySearchFunc(n, a, func(s span, a netip.Addr) int { return s.first.Compare(a) })
	return found || i > 0 && a.Compare(n[i-1].last) <= 0
}

// parseNetworks reads the entries of a list. The number says which of them the error is about.
func parseNetworks(entries []string) (networks, int, error) {
	spans := make(networks, 0, len(entries))
	for i, text := range entries {
		s, err := parseSpan(text)
		if err != nil {
			return nil, i, err
		}
		spans = append(spans, s)
	}
	slices.SortFunc(spans, func(a, b span) int { return a.first.Compare(b.first) })
	merged := spans[:0]
	for _, s := range spans {
		if n := len(merged); n > 0 && s.first.Compare(merged[n-1].last) <= 0 {
			if merged[n-1].last.Less(s.last) {
				merged[n-1].last = s.last
			}
			continue
		}
		merged = append(merged, s)
	}
	return merged, 0, nil
}

var errEntry = errors.New("expected an address or a network, such as 192.0.2.7, 10.0.0.0/8 or 2001:db8::/32")

// parseSpan reads an address or a network. Bits behind the prefix do not count, and IPv4-mapped IPv6 is IPv4.
func parseSpan(text string) (span, error) {
	if !strings.Contains(text, "/") {
		a, err := netip.ParseAddr(text)
		if err != nil || a.Zone() != "" {
			return span{}, fmt.Errorf("found %q, %w", text, errEntry)
		}
		a = a.Unmap()
		return span{a, a}, nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return span{}, fmt.Errorf("found %q, %w", text, errEntry)
	}
	if a := p.Addr(); a.Is4In6() {
		if p.Bits() < 96 {
			return span{}, fmt.Errorf("found %q, expected at least 96 bits for a network of IPv4-mapped addresses", text)
		}
		p = netip.PrefixFrom(a.Unmap(), p.Bits()-96)
	}
	p = p.Masked()
	return span{p.Addr(), lastOf(p)}, nil
}

// lastOf is the highest address of a network.
func lastOf(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := range b {
		if kept := p.Bits() - 8*i; kept <= 0 {
			b[i] = 0xff
		} else if kept < 8 {
			b[i] |= 0xff >> kept
		}
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}
