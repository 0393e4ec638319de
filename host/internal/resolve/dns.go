package resolve

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// client asks name servers.
type client struct {
	servers  []string // host:port
	search   *dns.ClientConfig
	attempts int
	udp, tcp dns.Client
}

// newClient makes one for servers that answer within a time, or are asked again.
func newClient(servers []string, search *dns.ClientConfig) *client {
	timeout := time.Duration(max(search.Timeout, 1)) * time.Second
	return &client{
		servers: servers, search: search, attempts: max(search.Attempts, 1),
		udp: dns.Client{Net: "udp", UDPSize: 1232, Timeout: timeout}, tcp: dns.Client{Net: "tcp", Timeout: timeout},
	}
}

// unsaid is what counts where no file says otherwise.
func unsaid() *dns.ClientConfig {
	return &dns.ClientConfig{Ndots: 1, Timeout: 5, Attempts: 2, Port: "53"}
}

// order is Options.Order as types; last is the one that had records before, 0: none.
func (r *Resolver) order(last uint16) []uint16 {
	var kinds []uint16
	for _, word := range r.opts.Order {
		kind := last
		switch word {
		case "SRV":
			kind = dns.TypeSRV
		case "A":
			kind = dns.TypeA
		case "AAAA":
			kind = dns.TypeAAAA
		}
		if kind != 0 && !slices.Contains(kinds, kind) {
			kinds = append(kinds, kind)
		}
	}
	return kinds
}

// find asks for the types in order, and with each domain of the search list when the name has few dots, until there are records. A failure of a server
// ends it: what comes later in the order must not take the place of what is only not known. But a name that never had SRV records may belong to a
// server that knows nothing of them: it is asked for them once.
func (c *client) find(ctx context.Context, host string, order []uint16, last uint16) (found, error) {
	var failed error
	for _, name := range c.search.NameList(host) {
		for _, kind := range order {
			unsure := kind == dns.TypeSRV && last != dns.TypeSRV
			if unsure && failed != nil {
				continue
			}
			f, err := c.inTime(ctx, name, kind, unsure)
			switch {
			case err != nil && !unsure:
				return found{}, err
			case err != nil:
				failed = err
			case len(f.records) > 0:
				return f, nil
			}
		}
	}
	if failed != nil {
		return found{}, failed
	}
	return found{}, notFound(host)
}

// inTime is records. A question that may be left without an answer takes half of the time at most, so that there is some for the others.
func (c *client) inTime(ctx context.Context, name string, kind uint16, half bool) (found, error) {
	if deadline, ok := ctx.Deadline(); ok && half {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(deadline)/2)
		defer cancel()
	}
	return c.records(ctx, name, kind)
}

// records are those of one type; none when the name has none.
func (c *client) records(ctx context.Context, name string, kind uint16) (found, error) {
	reply, err := c.ask(ctx, name, kind)
	if err != nil {
		return found{}, err
	}
	f := found{kind: kind, ttl: 24 * time.Hour}
	for _, rr := range reply.Answer {
		f.ttl = min(f.ttl, time.Duration(rr.Header().Ttl)*time.Second) // of aliases, too
		switch rr := rr.(type) {
		case *dns.A:
			if addr, ok := netip.AddrFromSlice(rr.A); ok && kind == dns.TypeA {
				f.records = append(f.records, Record{Addr: addr.Unmap()})
			}
		case *dns.AAAA:
			if addr, ok := netip.AddrFromSlice(rr.AAAA); ok && kind == dns.TypeAAAA {
				f.records = append(f.records, Record{Addr: addr})
			}
		}
	}
	if kind == dns.TypeSRV {
		err = c.services(ctx, reply, &f)
	}
	slices.SortFunc(f.records, compare)
	f.records = slices.Compact(f.records)
	return f, err
}

// compare gives records an order, the same on every node.
func compare(a, b Record) int {
	switch {
	case a.Addr != b.Addr:
		return a.Addr.Compare(b.Addr)
	case a.Port != b.Port:
		return a.Port - b.Port
	case a.Weight != b.Weight:
		return a.Weight - b.Weight
	}
	return strings.Compare(a.Name, b.Name)
}

// services adds the places of SRV records of the best priority. Their targets are names: the addresses came along, or are asked for.
func (c *client) services(ctx context.Context, reply *dns.Msg, f *found) error {
	var list []*dns.SRV
	for _, rr := range reply.Answer {
		srv, ok := rr.(*dns.SRV)
		if !ok || srv.Target == "." { // there is no such service, RFC 2782
			continue
		}
		if len(list) > 0 && srv.Priority < list[0].Priority {
			list = list[:0]
		}
		if len(list) == 0 || srv.Priority == list[0].Priority {
			list = append(list, srv)
		}
	}
	var failed error
	for _, srv := range list {
		addrs, ttl := along(reply.Extra, srv.Target)
		for _, kind := range []uint16{dns.TypeA, dns.TypeAAAA} {
			if len(addrs) > 0 {
				break
			}
			host, err := c.records(ctx, srv.Target, kind)
			if err != nil {
				failed = err
				break
			}
			for _, r := range host.records {
				addrs, ttl = append(addrs, r.Addr), host.ttl
			}
		}
		for _, a := range addrs {
			f.ttl = min(f.ttl, ttl)
			f.records = append(f.records, Record{Addr: a, Port: int(srv.Port), Weight: max(int(srv.Weight), 1), Name: strings.TrimSuffix(srv.Target, ".")})
		}
	}
	if len(f.records) > 0 {
		return nil // one service whose host is not known does not take the others away
	}
	return failed
}

// along are the addresses of a name in the additional section.
func along(extra []dns.RR, name string) (addrs []netip.Addr, ttl time.Duration) {
	ttl = 24 * time.Hour
	for _, rr := range extra {
		if !strings.EqualFold(rr.Header().Name, name) {
			continue
		}
		var ip net.IP
		switch rr := rr.(type) {
		case *dns.A:
			ip = rr.A
		case *dns.AAAA:
			ip = rr.AAAA
		}
		if addr, ok := netip.AddrFromSlice(ip); ok {
			addrs = append(addrs, addr.Unmap())
			ttl = min(ttl, time.Duration(rr.Header().Ttl)*time.Second)
		}
	}
	return addrs, ttl
}

// ask asks one server after another. An answer without records is one, too.
func (c *client) ask(ctx context.Context, name string, kind uint16) (*dns.Msg, error) {
	question := new(dns.Msg)
	question.SetQuestion(name, kind)
	question.SetEdns0(c.udp.UDPSize, false)
	var errs []error
	for try := range c.attempts * len(c.servers) {
		server := c.servers[try%len(c.servers)]
		question.Id = dns.Id()
		reply, err := c.exchange(ctx, question, server)
		if err == nil {
			return reply, nil
		}
		errs = append(errs, fmt.Errorf("%s: %w", server, err))
		if ctx.Err() != nil {
			break
		}
	}
	err := errors.Join(errs...)
	var timeout net.Error
	return nil, &net.DNSError{
		Err: strings.ReplaceAll(err.Error(), "\n", "; "), Name: strings.TrimSuffix(name, "."), Server: c.servers[0],
		IsTimeout: errors.As(err, &timeout) && timeout.Timeout(), IsTemporary: true,
	}
}

// exchange asks one server, over TCP when the answer does not fit into a datagram.
func (c *client) exchange(ctx context.Context, question *dns.Msg, server string) (*dns.Msg, error) {
	reply, _, err := c.udp.ExchangeContext(ctx, question, server)
	if err == nil && reply.Truncated {
		reply, _, err = c.tcp.ExchangeContext(ctx, question, server)
	}
	if err != nil {
		return nil, err
	}
	if reply.Rcode != dns.RcodeSuccess && reply.Rcode != dns.RcodeNameError {
		return nil, errors.New("the server says " + dns.RcodeToString[reply.Rcode])
	}
	return reply, nil
}
