// Package resolve turns the names of services and targets into addresses: from the hosts file, else from DNS with records A, AAAA and SRV.
// Answers are kept as long as their TTL says, and longer while the name servers do not answer (spec/gateway.md 7.1).
//
//	resolve.go  names, answers and what is kept of them
//	dns.go      the questions to name servers
//	system.go   the name servers of the system
//	hosts.go    the hosts file
package resolve

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// Record is one place that a name stands for.
type Record struct {
	Addr   netip.Addr
	Port   int    // of an SRV record; 0: the name says nothing of it
	Weight int    // of an SRV record, at least 1; 0: the name says nothing of it
	Name   string // the target of an SRV record, without the last dot; "": none
}

// Answer is what a name stands for. It is not changed after it was made.
type Answer struct {
	Records []Record
	Expires time.Time // when to ask again
	Serves  time.Time // until when it is of use while the name servers do not answer
	Failed  error     // of the question after it: it serves although its time is over; nil: it is of its time
}

// Options of a resolver. The zero value is that of the system.
type Options struct {
	Servers   []string // of names, host:port; none: those of /etc/resolv.conf
	HostsFile string   // "": /etc/hosts
	// Order are the types that are asked for, one after another, until one has records: "SRV", "A", "AAAA", and "LAST" for the one that had some
	// when the name was asked for before. None: LAST, SRV, A, AAAA.
	Order []string
	// ValidTTL is how long answers are kept, whatever their TTL; 0: as long as that says.
	ValidTTL time.Duration
	// StaleTTL is how much longer the last answer is used while the servers do not answer.
	StaleTTL time.Duration
	// ErrorTTL is how long a failure is kept; 0: 1 s. NotFoundTTL is that for names that do not exist; 0: as long as ErrorTTL.
	ErrorTTL, NotFoundTTL time.Duration
}

// defaultOrder is Options.Order when that is empty.
var defaultOrder = []string{"LAST", "SRV", "A", "AAAA"}

// Resolver keeps answers. Many goroutines may use it.
type Resolver struct {
	opts   Options
	client *client // for the given servers; nil: those of the system are asked
	system system
	hosts  hosts

	mu    sync.Mutex
	names map[string]*name
}

// name is what is known of one name.
type name struct {
	answer *Answer // nil: none so far
	err    error   // of the last question; nil: it was answered
	again  time.Time
	stale  time.Time     // when answer is of no use any more
	last   uint16        // type that had records
	asking chan struct{} // closed when the question under way is answered; nil: there is none
}

// New makes a resolver.
func New(o Options) *Resolver {
	if len(o.Order) == 0 {
		o.Order = defaultOrder
	}
	if o.HostsFile == "" {
		o.HostsFile = "/etc/hosts"
	}
	if o.ErrorTTL == 0 {
		o.ErrorTTL = time.Second
	}
	if o.NotFoundTTL == 0 {
		o.NotFoundTTL = o.ErrorTTL
	}
	r := &Resolver{opts: o, hosts: hosts{file: watched{path: o.HostsFile}}, system: system{file: watched{path: "/etc/resolv.conf"}}, names: map[string]*name{}}
	if len(o.Servers) > 0 {
		r.client = newClient(o.Servers, unsaid())
	}
	return r
}

// mostNames bounds what is kept: plugins may send requests to any name.
const mostNames = 10_000

// Lookup finds what a name stands for: what is kept while it is fresh, else what the name servers say. An answer that is not fresh any more comes
// back when they do not answer. The error is a *net.DNSError. An IP address stands for itself.
func (r *Resolver) Lookup(ctx context.Context, host string) (*Answer, error) {
	if addr, err := netip.ParseAddr(host); err == nil {
		end := time.Now().Add(time.Hour)
		return &Answer{Records: []Record{{Addr: addr}}, Expires: end, Serves: end}, nil
	}
	host = strings.ToLower(host)
	for {
		r.mu.Lock()
		n := r.names[host]
		if n == nil {
			n = r.add(host)
		}
		if (n.answer != nil || n.err != nil) && time.Now().Before(n.again) {
			answer, err := n.answer, n.err
			r.mu.Unlock()
			if answer != nil {
				return answer, nil
			}
			return nil, err
		}
		if n.asking == nil {
			n.asking = make(chan struct{})
			go r.ask(host, n)
		}
		asking := n.asking
		r.mu.Unlock()
		select {
		case <-asking:
		case <-ctx.Done():
			return nil, &net.DNSError{Err: "the name servers did not answer in time", Name: host, IsTimeout: true}
		}
	}
}

// add makes room for a name; mu is held.
func (r *Resolver) add(host string) *name {
	if len(r.names) >= mostNames {
		now := time.Now()
		for k, n := range r.names {
			if n.asking == nil && (now.After(n.again) || len(r.names) >= mostNames) {
				delete(r.names, k)
			}
		}
	}
	n := &name{}
	r.names[host] = n
	return n
}

// ask finds a name and keeps what came of it.
func (r *Resolver) ask(host string, n *name) {
	r.mu.Lock()
	last := n.last
	r.mu.Unlock()
	found, err := r.find(host, last)
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	close(n.asking)
	n.asking, n.err = nil, err
	if err == nil {
		ttl := found.ttl
		if r.opts.ValidTTL > 0 {
			ttl = r.opts.ValidTTL
		}
		n.again = now.Add(max(ttl, shortest))
		n.stale = n.again.Add(r.opts.StaleTTL)
		n.answer, n.last = &Answer{Records: found.records, Expires: n.again, Serves: n.stale}, found.kind
		return
	}
	var dns *net.DNSError
	missing := errors.As(err, &dns) && dns.IsNotFound
	n.again = now.Add(r.opts.ErrorTTL)
	if missing {
		n.again = now.Add(r.opts.NotFoundTTL)
	}
	switch {
	case n.answer == nil:
	case missing || now.After(n.stale):
		n.answer = nil
	default:
		n.answer = &Answer{Records: n.answer.Records, Expires: n.again, Serves: n.stale, Failed: err}
	}
}

// shortest is how long an answer of TTL 0 serves: whoever asked at the same time shares it.
const shortest = 100 * time.Millisecond

// found is the answer to a question.
type found struct {
	records []Record
	ttl     time.Duration
	kind    uint16 // of the records
}

// find asks for the types of records in order until one has records; last is the type that had some before, 0: none.
func (r *Resolver) find(host string, last uint16) (found, error) {
	order := r.order(last)
	if addrs := r.hosts.lookup(host); len(addrs) > 0 {
		return found{records: ofFamilies(addrs, order), ttl: hostsTTL}, nil
	}
	bare := strings.TrimSuffix(host, ".")
	if bare == "localhost" || strings.HasSuffix(bare, ".localhost") { // RFC 6761 section 6.3
		return found{records: ofFamilies([]netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}, order), ttl: time.Hour}, nil
	}
	if bare == "invalid" || strings.HasSuffix(bare, ".invalid") { // section 6.4
		return found{}, notFound(host)
	}
	ctx, cancel := context.WithTimeout(context.Background(), longest)
	defer cancel()
	client := r.client
	if client == nil {
		client = r.system.now()
	}
	return client.find(ctx, host, order, last)
}

// longest is how long all questions about one name may take.
const longest = 15 * time.Second

func notFound(host string) error {
	return &net.DNSError{Err: "no such name, or none with an address", Name: host, IsNotFound: true}
}

// Shuffled are the records in random order, for somebody who connects to one after another. The chance to be the first goes by weight.
func (a *Answer) Shuffled() []Record {
	type ticket struct {
		at float64 // the time of an event that comes as often as the weight says
		r  Record
	}
	tickets := make([]ticket, len(a.Records))
	for i, r := range a.Records {
		tickets[i] = ticket{rand.ExpFloat64() / float64(max(r.Weight, 1)), r}
	}
	slices.SortFunc(tickets, func(x, y ticket) int { return cmp.Compare(x.at, y.at) })
	list := make([]Record, len(tickets))
	for i, t := range tickets {
		list[i] = t.r
	}
	return list
}
