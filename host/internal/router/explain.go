package router

import (
	"cmp"
	"fmt"
	"iter"
	"math"
	"slices"
	"strings"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
)

// Explanation says which route a request gets, and why the others do not get it.
type Explanation struct {
	Found  bool
	Match  Match
	Losers []Loser // first those that match too, then those that miss the fewest attributes, each in the order of their priority
}

// Loser is a route that a request does not get.
type Loser struct {
	Route *entity.Route
	// Missed are the attributes of the route that the request does not fit. None: it fits, and Rule is why another route wins.
	Missed []Miss
	Rule   Rule
	// Ours and Winners are what the rule compared: that of this route, and that of the route that was chosen.
	Ours, Winners string
}

// Miss is an attribute that does not fit.
type Miss struct {
	Attribute string // hosts, port, paths, methods, protocols, snis, headers.<name>, expression
	Found     string // in the request
	Expected  string // what the route wants
}

// Rule is one of the rules of priority.
type Rule string

// The rules of priority, in the order in which they decide; which of them apply is the flavour's.
const (
	RuleExpression    Rule = "expression"     // an expression comes before other routes
	RulePriority      Rule = "priority"       // larger, as the routes have it
	RuleAttributes    Rule = "attributes"     // more of methods, hosts, headers, snis and paths are set
	RuleWeight        Rule = "weight"         // traditional: larger sum of host 64, headers 32, path 16, method 8, SNI 4
	RuleKind          Rule = "kind"           // traditional: larger sum of wildcard host with port 4, plain hosts 2, regex path 1
	RulePlainHosts    Rule = "plain_hosts"    // hosts without wildcards
	RuleHeaders       Rule = "headers"        // more header names
	RuleRegex         Rule = "regex_path"     // a regex path beats a literal one
	RuleRegexPriority Rule = "regex_priority" // larger
	RulePathLength    Rule = "path_length"    // longer literal path
	RulePathMatch     Rule = "path_match"     // exact before segment before prefix
	RuleUUID          Rule = "uuid"           // larger, where router_tie_break is kong
	RuleCreated       Rule = "created_at"     // earlier
	RuleID            Rule = "id"             // smaller
)

// Explain finds the route of a request as Match does, and looks at all the other routes with the same index and the same checks. It costs time
// and memory by the number of routes: it is for people and tools, not for requests.
func (r *Router) Explain(req *Request) Explanation {
	var x Explanation
	x.Found = r.Match(req, &x.Match)
	found := r.reach(req)
	var winner *candidate
	if x.Found {
		winner = r.ranked[slices.IndexFunc(found, func(f finding) bool { return f.fits })]
	}
	best := map[*entity.Route]int{} // place in Losers
	for rank, c := range r.ranked {
		if c.route == x.Match.Route {
			continue
		}
		l := Loser{Route: c.route, Missed: found[rank].missed(c, req)}
		if len(l.Missed) == 0 {
			l.Rule, l.Winners, l.Ours = r.options.decide(winner, c)
		}
		if i, seen := best[c.route]; !seen {
			best[c.route] = len(x.Losers)
			x.Losers = append(x.Losers, l)
		} else if len(l.Missed) < len(x.Losers[i].Missed) {
			x.Losers[i] = l
		}
	}
	slices.SortStableFunc(x.Losers, func(a, b Loser) int { return cmp.Compare(a.distance(), b.distance()) })
	return x
}

// distance orders losers: those that fit, then by the number of misses; routes of other hosts last.
func (l *Loser) distance() int {
	if len(l.Missed) > 0 && l.Missed[0].Attribute == "hosts" {
		return math.MaxInt
	}
	return len(l.Missed)
}

// finding is what the index and the checks say about one candidate.
type finding struct {
	host, path           bool // one of its hosts, and one of its paths below that host, fits
	method, port, scheme bool
	conditions           bool // headers and snis
	fits                 bool // all of it, in one entry
}

// reach walks the index as Match does, but to its end, and says what it found about each candidate, by rank.
func (r *Router) reach(req *Request) []finding {
	found := make([]finding, len(r.ranked))
	bit := r.methods.bit(req.Method)
	for roots := r.hosts.lookup(req.Host); roots.next(); {
		for e := range r.trie.below(roots.root.node) {
			f := &found[e.order>>32]
			f.host = true
			f.method, f.scheme = e.matchesMethod(req, bit), r.matchesScheme(e, req)
			f.port = f.port || e.matchesPort(req)
			f.conditions = !e.more || e.candidate.expression == nil && e.candidate.matchesConditions(req)
		}
		for _, list := range r.trie.collect(nil, roots.root.node, req.Path) {
			for i := range list {
				e, f := &list[i], &found[list[i].order>>32]
				var m Match
				f.path = f.path || e.matchesPath(req.Path, &m)
				f.fits = f.fits || r.matches(e, req, bit, &m)
			}
		}
	}
	return found
}

// matchesPath checks what the index has not of the path; an expression has its own word about it.
func (e *entry) matchesPath(path string, m *Match) bool {
	if e.regex != nil {
		return e.regex.match(path, m)
	}
	return e.candidate.ending.allows(path, int(e.literal))
}

// below gives every entry of a trie.
func (t *trie) below(root uint32) iter.Seq[*entry] {
	return func(yield func(*entry) bool) {
		for todo := []uint32{root}; len(todo) > 0; {
			n := &t.nodes[todo[0]]
			todo = todo[1:]
			for i := range n.entryCount {
				if !yield(&t.entries[n.first+i]) {
					return
				}
			}
			for i := range n.kidCount {
				todo = append(todo, n.kids+i)
			}
		}
	}
}

// missed lists the attributes that do not fit.
func (f finding) missed(c *candidate, req *Request) []Miss {
	if f.fits {
		return nil
	}
	if c.expression != nil {
		return c.expression.missed(req, f)
	}
	var all []Miss
	miss := func(attribute, found string, expected ...string) {
		all = append(all, Miss{Attribute: attribute, Found: found, Expected: strings.Join(expected, ", ")})
	}
	if !f.host {
		// Nothing below a host that the index did not lead to was looked at.
		miss("hosts", req.Host, c.route.Hosts...)
		return all
	}
	if !f.port {
		port := req.HostPort
		if port == 0 {
			port = req.ListenPort
		}
		miss("port", fmt.Sprint(port), c.route.Hosts...)
	}
	if !f.path {
		miss("paths", req.Path, wantedPaths(c)...)
	}
	if !f.method {
		miss("methods", req.Method, c.route.Methods...)
	}
	if !f.scheme {
		miss("protocols", req.Scheme, c.route.Protocols...)
	}
	if !f.conditions {
		if !c.matchesSNI(req) {
			miss("snis", req.SNI, c.route.SNIs...)
		}
		for i := range c.headers {
			if h := &c.headers[i]; !h.matches(req.Headers) {
				miss("headers."+h.name, strings.Join(valuesOf(req.Headers, h.name), ", "), wanted(c.route, h.name)...)
			}
		}
	}
	return all
}

// wantedPaths are the paths of a route as they are written, and what path_match makes of the literal ones.
func wantedPaths(c *candidate) []string {
	if c.ending == endsAnywhere {
		return c.route.Paths
	}
	paths := slices.Clone(c.route.Paths)
	for i, p := range paths {
		if !strings.HasPrefix(p, "~") {
			paths[i] = p + " (" + c.ending.String() + ")"
		}
	}
	return paths
}

// wanted are the values of a header condition as they are written.
func wanted(r *entity.Route, header string) []string {
	for name, values := range r.Headers {
		if equalLower(name, header) {
			return values
		}
	}
	return nil
}

func valuesOf(headers Headers, name string) (values []string) {
	if headers == nil {
		return nil
	}
	for i := 0; ; i++ {
		v, ok := headers.HeaderValue(name, i)
		if !ok {
			return values
		}
		values = append(values, v)
	}
}

// numberField is a part of the number by which candidates are ordered.
type numberField struct {
	rule        Rule
	shift, bits uint
}

// numberFields are the parts of the number, most significant first; length is of literal candidates, regex of the others.
func (o *Options) numberFields(c *candidate) []numberField {
	switch {
	case c.expression != nil:
		return nil
	case o.Flavor == Traditional:
		last := numberField{RulePathLength, 0, traditionalLength}
		if len(c.regex) > 0 {
			last.rule = RuleRegexPriority
		}
		return []numberField{{RuleAttributes, attributesShift, 3}, {RuleWeight, weightShift, 7}, {RuleKind, kindShift, 3}, {RuleHeaders, headerNamesShift, 8}, last}
	}
	return []numberField{
		{RuleAttributes, attributesShift, 3}, {RulePlainHosts, plainHostsShift, 1}, {RuleHeaders, headersShift, 8}, {RuleRegex, regexShift, 1},
		{RuleRegexPriority, regexPriorityShift, 32}, {RulePathLength, 0, regexPriorityShift},
	}
}

// decide names the rule by which one candidate comes before another, and what both have there.
func (o *Options) decide(winner, loser *candidate) (rule Rule, won, lost string) {
	if loser.expression == nil && winner.expression != nil {
		return RuleExpression, "yes", "no"
	}
	if a, b := winner.route.Priority, loser.route.Priority; a != b {
		return RulePriority, fmt.Sprint(a), fmt.Sprint(b)
	}
	for _, f := range o.numberFields(winner) {
		mask := uint64(1)<<f.bits - 1
		a, b := winner.number>>f.shift&mask, loser.number>>f.shift&mask
		switch {
		case a == b:
		case f.bits == 1:
			return f.rule, yesNo(a), yesNo(b)
		default:
			return f.rule, fmt.Sprint(a), fmt.Sprint(b)
		}
	}
	a, b := winner.route, loser.route
	switch {
	case winner.ending != loser.ending:
		return RulePathMatch, winner.ending.String(), loser.ending.String()
	case compareRank(winner, loser) != 0:
		return RuleRegexPriority, fmt.Sprint(a.RegexPriority), fmt.Sprint(b.RegexPriority) // beyond 32 bits
	case o.uuids() && winner.uuid != loser.uuid:
		return RuleUUID, winner.uuid, loser.uuid
	case !o.uuids() && a.CreatedAt != b.CreatedAt:
		return RuleCreated, fmt.Sprint(a.CreatedAt), fmt.Sprint(b.CreatedAt)
	}
	return RuleID, a.ID, b.ID
}

func yesNo(bit uint64) string {
	if bit != 0 {
		return "yes"
	}
	return "no"
}
