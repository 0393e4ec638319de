package router

import (
	"cmp"
	"regexp/syntax"
	"slices"
	"strings"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
)

// Hidden says that requests which a route asks for never reach it, because other routes come first.
type Hidden struct {
	Route *entity.Route
	// Path is the place in Route.Paths of the path by which nothing reaches the route, while other paths do; -1: nothing reaches it at all.
	Path int
	// By are the routes that take the requests, the first one in the order of the router first.
	By []*entity.Route
}

// Tie says that two routes of one priority match the same request.
type Tie struct {
	Winner, Loser *entity.Route
	WinnerPath    int // place in Winner.Paths, -1: a route without paths
	LoserPath     int
	Rule          Rule // that decides between them: RuleCreated, RuleID or RuleUUID
	// Method, Host and Path are of one such request; Method is empty when any will do, Host too.
	Method, Host, Path string
}

// Review is what Router.Review found.
type Review struct {
	Hidden []Hidden
	// Ties has one tie for each route and path that loses one: that with the route which wins.
	Ties []Tie
}

// maxCells bounds the combinations of methods, header values and server names of one host and one path that are looked at. A route with
// more counts as reached.
const maxCells = 1024

// Review finds the routes that no request reaches, and those that differ in nothing but their age or id. It is sure of what it says, and
// silent where it cannot be: a regex path is hidden by the same regex, by a literal path, or by a regex without assertions that matches the
// literal text with which every path begins that it can match.
func (r *Router) Review() Review {
	return newReviewer(r).review()
}

func newReviewer(r *Router) *reviewer {
	v := &reviewer{router: r, free: map[*regexPath]bool{}, samples: map[*regexPath]string{}, lists: map[*entry]map[string]*part{}}
	v.snis = slices.ContainsFunc(r.ranked, func(c *candidate) bool { return len(c.snis) > 0 })
	return v
}

func (v *reviewer) review() Review {
	v.findHidden()
	v.findTies()
	return v.found
}

// reviewer compares candidates with those before them.
type reviewer struct {
	router  *Router
	snis    bool // of any candidate
	found   Review
	hidden  map[hiddenPath]bool
	free    map[*regexPath]bool // regexes without assertions, and those with
	samples map[*regexPath]string
	lists   map[*entry]map[string]*part // lists of the trie by their first entry, see near
	held    int                         // how often an entry was held against a cell
}

// hiddenPath is a path of a route; -1 is its only way when it has no paths.
type hiddenPath struct {
	route *entity.Route
	path  int
}

// cell is a part of what a candidate matches: all requests with one host, one method, one value of each header, one kind of server name,
// and one path or regex. Where the candidate says nothing the cell holds a value that no route names. So whatever matches the cell's values
// matches every request in it.
type cell struct {
	host    string
	port    int
	method  string
	headers []cellHeader
	tls     bool
	sni     string
	start   string // text with which every path in the cell begins
	ending  ending // where they may end, when start is a literal path
	regex   *regexPath
	schemes schemes
}

// cellHeader is one value that a request of the cell has, or the pattern that it matches.
type cellHeader struct {
	name, value, pattern string
}

// unnamed is a label, a method and a name that no route has.
const unnamed = "\x00"

// findHidden looks at every cell of every route for a candidate of another route that comes before and matches all of it.
func (v *reviewer) findHidden() {
	v.hidden = map[hiddenPath]bool{}
	type state struct {
		reached bool
		by      []taker
		paths   []Hidden
	}
	states := map[*entity.Route]*state{}
	var order []*entity.Route
	for rank, c := range v.router.ranked {
		s := states[c.route]
		if s == nil {
			s = &state{}
			states[c.route] = s
			order = append(order, c.route)
		}
		s.reached = s.reached || c.expression != nil // nobody knows what is left of it
		for _, path := range c.at {
			by, hidden := v.takers(c, uint64(rank), path)
			if !hidden {
				s.reached = true
				continue
			}
			s.by = append(s.by, by...)
			if !slices.ContainsFunc(by, func(t taker) bool { return t.own }) {
				s.paths = append(s.paths, Hidden{Route: c.route, Path: path, By: routesOf(by)})
			}
			v.hidden[hiddenPath{c.route, path}] = true
		}
	}
	for _, route := range order {
		switch s := states[route]; {
		case !s.reached:
			v.found.Hidden = append(v.found.Hidden, Hidden{Route: route, Path: -1, By: routesOf(s.by)})
		default:
			v.found.Hidden = append(v.found.Hidden, s.paths...)
		}
	}
}

// taker is a route that takes a cell, with its order.
type taker struct {
	order uint64
	route *entity.Route
	own   bool // another path of the cell's own route takes it too, before its own
}

// routesOf lists the routes of takers by their order, each once.
func routesOf(by []taker) []*entity.Route {
	slices.SortFunc(by, func(a, b taker) int { return cmp.Compare(a.order, b.order) })
	var routes []*entity.Route
	for _, t := range by {
		if !slices.Contains(routes, t.route) {
			routes = append(routes, t.route)
		}
	}
	return routes
}

// regexAt is the compiled regex of a place in Route.Paths; nil when the path is literal.
func (c *candidate) regexAt(path int) *regexPath {
	n := 0
	for _, i := range c.at {
		if i < 0 || !strings.HasPrefix(c.route.Paths[i], "~") {
			continue
		}
		if i == path {
			return c.regex[n]
		}
		n++
	}
	return nil
}

// takers finds who takes the cells of a path. hidden is false as soon as one cell is nobody's.
func (v *reviewer) takers(c *candidate, rank uint64, path int) (by []taker, hidden bool) {
	count := max(1, len(c.methods)) * (1 + len(c.snis))
	for i := range c.headers {
		count *= len(c.headers[i].values) + len(c.headers[i].patterns)
		if count > maxCells {
			return nil, false
		}
	}
	if count > maxCells {
		return nil, false
	}
	last := (*entity.Route)(nil)
	reached := !c.cells(path, v.snis, func(x *cell) bool {
		t := v.taker(c.route, rank, x)
		if t.route == nil {
			return false
		}
		if t.route != last || t.own {
			last = t.route
			by = append(by, t)
		}
		return true
	})
	return by, !reached
}

// cells calls f for the cells of a path until f says no, which is its answer too.
func (c *candidate) cells(path int, snis bool, f func(*cell) bool) bool {
	x := cell{start: "/", schemes: c.schemes}
	if path >= 0 {
		if x.regex = c.regexAt(path); x.regex == nil {
			x.start, x.ending = c.route.Paths[path], c.ending
		} else if x.regex.prefix != "" {
			x.start = x.regex.prefix
		}
	}
	hosts := c.hosts
	if len(hosts) == 0 {
		hosts = []hostPattern{{suffix: "." + unnamed}}
	}
	methods := c.methods
	if len(methods) == 0 {
		methods = []string{unnamed}
	}
	for _, h := range hosts {
		x.host, x.port = h.sample(), h.port
		for _, x.method = range methods {
			if !c.withHeaders(&x, 0, func() bool { return c.withNames(&x, snis, f) }) {
				return false
			}
		}
	}
	return true
}

// sample is a name that the pattern matches, and any other pattern only if that matches all that this one does.
func (p hostPattern) sample() string {
	switch {
	case p.suffix != "":
		return unnamed + p.suffix
	case p.prefix != "":
		return p.prefix + unnamed
	}
	return p.exact
}

// withHeaders goes through the values of the headers from the i-th on.
func (c *candidate) withHeaders(x *cell, i int, f func() bool) bool {
	if i == len(c.headers) {
		return f()
	}
	h := &c.headers[i]
	each := func(value, pattern string) bool {
		x.headers = append(x.headers[:i], cellHeader{h.name, value, pattern})
		return c.withHeaders(x, i+1, f)
	}
	for _, value := range h.values {
		if !each(value, "") {
			return false
		}
	}
	for _, p := range h.patterns {
		if !each("", p.String()) {
			return false
		}
	}
	return true
}

// withNames goes through the server names: plain requests, for which they do not count, and those of TLS.
func (c *candidate) withNames(x *cell, snis bool, f func(*cell) bool) bool {
	x.tls, x.sni = false, ""
	if !f(x) {
		return false
	}
	if !snis {
		return true
	}
	x.tls, x.sni = true, unnamed
	if len(c.snis) == 0 {
		return f(x)
	}
	for _, name := range c.snis {
		x.sni = name.sample()
		if !f(x) {
			return false
		}
	}
	return true
}

// taker is the first way to a route other than that of the cell, before its rank, that matches all of the cell; its route is nil when there
// is none.
func (v *reviewer) taker(of *entity.Route, rank uint64, x *cell) taker {
	var room [listRoom][]entry
	bit := v.router.methods.bit(x.method)
	best := taker{order: rank << 32}
	for roots := v.router.hosts.lookup(x.host); roots.next(); {
		if roots.root.best >= best.order {
			continue
		}
		for _, list := range v.router.trie.collect(room[:0], roots.root.node, x.start) {
			for near := range v.near(list, x) {
				for _, e := range near {
					if e.order >= best.order {
						break
					}
					if !v.takes(e, x, bit) {
						continue
					}
					if e.route == of {
						best.own = true
						continue
					}
					best.order, best.route = e.order, e.route
					break
				}
			}
		}
	}
	return best
}

// takes reports whether an entry matches all of a cell. Its host and the literal part of its path do. Of expressions nobody knows.
func (v *reviewer) takes(e *entry, x *cell, methodBit uint64) bool {
	v.held++
	if e.candidate.expression != nil {
		return false
	}
	if e.mask != 0 && (e.mask&methodBit == 0 || methodBit == sharedMethodBit && !slices.Contains(e.route.Methods, x.method)) {
		return false
	}
	if e.port != 0 && int(e.port) != x.port || v.router.options.StrictProtocols && x.schemes&^e.schemes != 0 {
		return false
	}
	if x.tls && len(e.candidate.snis) > 0 && !slices.ContainsFunc(e.candidate.snis, func(p hostPattern) bool { return p.matches(x.sni) }) {
		return false
	}
	for i := range e.candidate.headers {
		if !e.candidate.headers[i].takes(x.headers) {
			return false
		}
	}
	if e.regex == nil && !e.candidate.ending.allowsAll(x, int(e.literal)) {
		return false
	}
	if e.regex == nil || x.regex != nil && x.regex.re.String() == e.regex.re.String() {
		return true
	}
	return e.regex.re.MatchString(x.start) && v.withoutAssertions(e.regex)
}

// takes reports whether one of the values that a cell has satisfies the condition for certain.
func (h *headerCondition) takes(has []cellHeader) bool {
	for _, x := range has {
		if x.name != h.name {
			continue
		}
		for _, re := range h.patterns {
			if x.pattern == re.String() || x.pattern == "" && re.MatchString(x.value) {
				return true
			}
		}
		if x.pattern == "" && slices.Contains(h.values, x.value) {
			return true
		}
	}
	return false
}

// withoutAssertions reports whether a regex that matches a text matches every text that begins with it.
func (v *reviewer) withoutAssertions(p *regexPath) bool {
	free, known := v.free[p]
	if known {
		return free
	}
	tree, err := syntax.Parse(p.re.String(), syntax.Perl)
	free = err == nil && !asserts(tree)
	v.free[p] = free
	return free
}

// asserts reports whether a regex looks at what follows.
func asserts(t *syntax.Regexp) bool {
	switch t.Op {
	case syntax.OpEndLine, syntax.OpEndText, syntax.OpWordBoundary, syntax.OpNoWordBoundary:
		return true
	}
	return slices.ContainsFunc(t.Sub, asserts)
}
