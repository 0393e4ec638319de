// Package router finds the route of a request, in Kong's three flavours, with routes compiled once into an index.
//
// A route matches when every attribute that it sets matches (methods, hosts, paths, headers, snis); the values of one attribute are
// alternatives. Protocols are no condition. Or it has an expression, which is the whole condition. Among the routes that match, the one with
// the highest priority wins; what that is, is all that the flavours differ in, see flavor.go.
//
// New splits routes into candidates (a route, or some of its paths), sorts them by priority, and files each under its hosts and, within a
// host, in a radix tree of literal path prefixes. For an expression these are the hosts and the beginnings of paths without which it cannot
// be true. Match collects the few lists that can hold the answer, and looks at their candidates in the order of priority until one matches
// entirely.
package router

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
)

// Options of New.
type Options struct {
	Flavor   Flavor
	TieBreak TieBreak
	// StrictProtocols makes the scheme a condition: http and grpc routes match scheme http only, https and grpcs routes https only.
	StrictProtocols bool
}

// Headers is the request's headers. HeaderValue gives the i-th value, from 0, of the header with that lower-case name, in arrival
// order; ok is false when there are not so many.
type Headers interface {
	HeaderValue(name string, i int) (value string, ok bool)
}

// Addresses are the two ends of a connection. They are asked for when an expression names them; what is not valid, or port 0, is unknown.
type Addresses interface {
	Source() (netip.Addr, int)
	Destination() netip.Addr
}

// Request is what is matched. Match keeps none of it.
type Request struct {
	Method     string
	Scheme     string    // http, https
	Host       string    // lower case, without port
	HostPort   int       // port in the Host header; 0: none was sent
	ListenPort int       // port of the listener
	Path       string    // as Normalize gives it
	TLS        bool      // the connection is TLS: snis count
	SNI        string    // server name of the TLS handshake, lower case; "" when none was sent
	Headers    Headers   // nil: no headers
	Query      string    // as received, without question mark
	Addresses  Addresses // nil: unknown
}

// Match is what was found. Its slices are used again by the next Match into it; its texts may be parts of Request.Path.
type Match struct {
	Route *entity.Route
	// MatchedPath is the literal path of the route, or what its regex matched; "" for a route without paths.
	MatchedPath string
	// Prefix is what X-Forwarded-Prefix carries upstream; "" for nothing.
	Prefix   string
	Captures Captures
	// Glued says that the route has path_handling v1 and the flavour heeds it, see UpstreamPath.
	Glued bool
}

// Captures are what the groups of a regex path matched.
type Captures struct {
	Unnamed []string       // every group, named or not, from the first; "" for a group that did not take part
	Named   []NamedCapture // groups that took part
}

// NamedCapture is one named group.
type NamedCapture struct {
	Name, Value string
}

func (m *Match) reset() {
	m.Route, m.MatchedPath, m.Prefix, m.Glued = nil, "", "", false
	m.Captures.reset()
}

func (c *Captures) reset() {
	c.Unnamed, c.Named = c.Unnamed[:0], c.Named[:0]
}

// Router finds routes. It does not change after New; any number of goroutines may call Match.
type Router struct {
	options Options
	hosts   hostIndex
	trie    trie
	methods methodBits
	routes  int
	// ranked are the candidates, the one that wins first. Only Explain needs them.
	ranked []*candidate
}

// New compiles routes. Routes of disabled services and routes for streams (tcp, tls, udp, tls_passthrough) are left out. Routes are
// kept, not copied. It fails on a path, host, header pattern or expression that cannot be compiled, and on what the flavour does not have.
func New(routes []*entity.Route, o Options) (*Router, error) {
	o, err := o.normal()
	if err != nil {
		return nil, err
	}
	r := &Router{options: o}
	var all []*candidate
	for _, route := range routes {
		if route.Service != nil && !route.Service.Enabled || !servesHTTP(route) {
			continue
		}
		cs, err := split(route, &o)
		if err != nil {
			return nil, fmt.Errorf("%sroute %s: %w", place(route), label(route), err)
		}
		all = append(all, cs...)
		r.routes++
	}
	o.sort(all)
	r.ranked = all
	b := newHostBuilder()
	for rank, c := range all {
		c.mask = r.methods.add(c.methods)
		b.add(c, rank)
	}
	r.hosts, r.trie = b.build()
	return r, nil
}

// StrictProtocols reports whether the scheme is a condition.
func (r *Router) StrictProtocols() bool { return r.options.StrictProtocols }

// HeedsPathHandling reports whether path_handling v1 of a route counts.
func (r *Router) HeedsPathHandling() bool { return r.options.Flavor == Traditional }

// Len is the number of routes that the router serves.
func (r *Router) Len() int { return r.routes }

// listRoom is how many candidate lists a match keeps on the stack; nested prefixes beyond that cost an allocation.
const listRoom = 32

// Match finds the route of a request. It fills m and reports true, or resets m and reports false. It allocates only for captures, and
// where an expression looks at text that has to be decoded or put into lower case first.
func (r *Router) Match(req *Request, m *Match) bool {
	m.reset()
	var room [listRoom][]entry
	bit := r.methods.bit(req.Method)
	best := noOrder
	for roots := r.hosts.lookup(req.Host); roots.next(); {
		if roots.root.best < best {
			lists := r.trie.collect(room[:0], roots.root.node, req.Path)
			best = r.matchFirst(lists, best, req, bit, m)
		}
	}
	if best == noOrder {
		return false
	}
	if m.Route.StripPath && m.MatchedPath != "/" {
		m.Prefix = m.MatchedPath
	}
	m.Glued = r.HeedsPathHandling() && m.Route.PathHandling == "v1"
	return true
}

// matchFirst looks at the entries of lists, each sorted, in their common order, up to below the limit. The first that matches goes
// into m, and its order is the answer; else the answer is the limit.
func (r *Router) matchFirst(lists [][]entry, limit uint64, req *Request, methodBit uint64, m *Match) uint64 {
	for len(lists) > 0 {
		next := 0
		for i := 1; i < len(lists); i++ {
			if lists[i][0].order < lists[next][0].order {
				next = i
			}
		}
		e := &lists[next][0]
		if e.order >= limit {
			return limit
		}
		if r.matches(e, req, methodBit, m) {
			m.Route = e.route
			return e.order
		}
		if lists[next] = lists[next][1:]; len(lists[next]) == 0 {
			last := len(lists) - 1
			lists[next] = lists[last]
			lists = lists[:last]
		}
	}
	return limit
}

// matches checks what the index has not: its hosts and the literal part of its path are known to match.
func (r *Router) matches(e *entry, req *Request, methodBit uint64, m *Match) bool {
	if !e.matchesMethod(req, methodBit) || !e.matchesPort(req) || !r.matchesScheme(e, req) {
		return false
	}
	if e.more {
		if x := e.candidate.expression; x != nil {
			return x.match(req, m)
		}
		if !e.candidate.matchesConditions(req) || !e.candidate.ending.allows(req.Path, int(e.literal)) {
			return false
		}
	}
	if e.regex != nil {
		return e.regex.match(req.Path, m)
	}
	m.Captures.reset() // of a match in another trie
	m.MatchedPath = req.Path[:e.literal]
	return true
}

func (e *entry) matchesMethod(req *Request, bit uint64) bool {
	return e.mask == 0 || e.mask&bit != 0 && (bit != sharedMethodBit || slices.Contains(e.route.Methods, req.Method))
}

// matchesPort compares the port of a route's host with the port in the Host header or, when none was sent, with the listener's.
func (e *entry) matchesPort(req *Request) bool {
	if req.HostPort != 0 {
		return e.port == 0 || int(e.port) == req.HostPort
	}
	return e.port == 0 || int(e.port) == req.ListenPort
}

func (r *Router) matchesScheme(e *entry, req *Request) bool {
	return !r.options.StrictProtocols || e.schemes.has(req.Scheme)
}
