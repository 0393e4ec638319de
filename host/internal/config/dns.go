package config

import (
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// DNS says how names of services and targets become addresses.
type DNS struct {
	Resolvers []string // host:port; none: those of the system
	HostsFile string
	Order     []string // LAST, SRV, A, AAAA
	// ValidTTL takes the place of the TTL of answers; 0: their own counts.
	ValidTTL, StaleTTL, ErrorTTL, NotFoundTTL time.Duration
}

// dnsSettings are the settings of DNS, with Kong's names.
func dnsSettings() []setting {
	return []setting{
		listSetting("dns_resolver", "", "name servers, address or address:port; none: those of /etc/resolv.conf", readResolvers),
		pathSetting("dns_hostsfile", "file of names that are not asked for; empty: /etc/hosts", func(s *Settings) *string { return &s.DNS.HostsFile }),
		listSetting("dns_order", "LAST, SRV, A, AAAA, CNAME", "types of records that a name is asked for, until it has some; LAST is the one that it had before. Aliases (CNAME) are followed with any type",
			func(r *settingReader, v *node, items []*node, at *path) {
				r.s.DNS.Order = nil
				for i, item := range items {
					word := strings.ToUpper(item.text)
					if p := oneOf("LAST", "SRV", "A", "AAAA", "CNAME")(word); p != nil {
						r.problem(itemAt(at, i), item, p)
					} else if word != "CNAME" && !slices.Contains(r.s.DNS.Order, word) {
						r.s.DNS.Order = append(r.s.DNS.Order, word)
					}
				}
				if !slices.ContainsFunc(r.s.DNS.Order, func(s string) bool { return s != "LAST" }) && len(r.errs) == 0 {
					r.fail(at, v, Error{Code: CodeMissing, Found: "no type with addresses", Expected: "at least one of SRV, A and AAAA"})
				}
			}),
		timeSetting("dns_valid_ttl", "0", "for which an answer is used, whatever its TTL; 0: as long as that says", 0,
			func(s *Settings) *time.Duration { return &s.DNS.ValidTTL }),
		timeSetting("dns_stale_ttl", "1h", "for which the last answer is used longer while the name servers do not answer", 0,
			func(s *Settings) *time.Duration { return &s.DNS.StaleTTL }),
		timeSetting("dns_error_ttl", "1s", "after which a name is asked for again when the name servers did not answer", time.Millisecond,
			func(s *Settings) *time.Duration { return &s.DNS.ErrorTTL }),
		timeSetting("dns_not_found_ttl", "30s", "after which a name is asked for again that did not exist", time.Millisecond,
			func(s *Settings) *time.Duration { return &s.DNS.NotFoundTTL }),
	}
}

func readResolvers(r *settingReader, _ *node, items []*node, at *path) {
	r.s.DNS.Resolvers = nil
	for i, item := range items {
		host, port, ok := splitPort(item.text)
		if !ok {
			port = "53"
		}
		addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
		if err != nil || !validPort(port) || port == "0" {
			r.problem(itemAt(at, i), item, &problem{expected: "the IP address of a name server, with optional port, such as 10.0.0.2 or [::1]:5353"})
			continue
		}
		r.s.DNS.Resolvers = append(r.s.DNS.Resolvers, net.JoinHostPort(addr.String(), port))
	}
}
