package router

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
)

// candidate is a route, or a part of it: some of its paths, with one rank.
type candidate struct {
	route   *entity.Route
	at      []int  // places in Route.Paths that it stands for; -1 alone: it has no paths; none: it is an expression
	mask    uint64 // of methods, see methodBits; 0: any method
	number  uint64 // larger wins, of routes of one priority
	uuid    string // decides ties by Options.uuids
	schemes schemes
	// conditions says that headers, snis, the ending or the expression are to be checked.
	conditions bool
	// expression is the whole condition, and hosts are only where to look; nil: the attributes are the condition.
	expression *expression

	hosts   []hostPattern // none: any host
	ending  ending        // of literal
	literal []string      // paths of one length; none together with no regex: any path (or the expression says)
	regex   []*regexPath
	methods []string
	headers []headerCondition
	snis    []hostPattern
}

// label names a route for messages.
func label(r *entity.Route) string {
	if r.Name != "" {
		return strconv.Quote(r.Name)
	}
	return r.ID
}

// place is where a route stands in its file, for messages.
func place(r *entity.Route) string {
	if at := r.Pos.String(); at != "" {
		return at + ": "
	}
	return ""
}

// servesHTTP reports whether the route is for HTTP at all. No protocols mean the default, http and https.
func servesHTTP(r *entity.Route) bool {
	return len(r.Protocols) == 0 || schemesOf(r) != 0
}

// schemes is a set of http and https.
type schemes uint8

const (
	plainHTTP schemes = 1 << iota
	tlsHTTP
)

func schemesOf(r *entity.Route) schemes {
	if len(r.Protocols) == 0 {
		return plainHTTP | tlsHTTP
	}
	var s schemes
	for _, p := range r.Protocols {
		switch p {
		case "http", "grpc", "ws":
			s |= plainHTTP
		case "https", "grpcs", "wss":
			s |= tlsHTTP
		}
	}
	return s
}

func (s schemes) has(scheme string) bool {
	if scheme == "https" {
		return s&tlsHTTP != 0
	}
	return s&plainHTTP != 0
}

// split makes the candidates of a route. In the flavour traditional each path is one; in the others all regex paths are one, and the literal paths of
// each length. A route without paths is one, and one with an expression too.
func split(r *entity.Route, o *Options) ([]*candidate, error) {
	if err := o.suits(r); err != nil {
		return nil, err
	}
	base, err := wholeRoute(r, o)
	if err != nil {
		return nil, err
	}
	ends, err := endingOf(r)
	if err != nil {
		return nil, err
	}
	parts := map[int]*candidate{}
	var all []*candidate
	for i, path := range r.Paths {
		pattern, regex := strings.CutPrefix(path, "~")
		key := i
		if o.Flavor != Traditional {
			if key = len(path); regex {
				key = 0
			}
		}
		c := parts[key]
		if c == nil {
			c = new(base)
			parts[key] = c
			all = append(all, c)
		}
		c.at = append(c.at, i)
		if !regex {
			if err := literalPath(path); err != nil {
				return nil, err
			}
			c.literal = append(c.literal, path)
			c.ending = ends
			c.conditions = c.conditions || ends != endsAnywhere
			continue
		}
		re, err := newRegexPath(pattern)
		if err != nil {
			return nil, err
		}
		c.regex = append(c.regex, re)
	}
	if len(all) == 0 {
		all = append(all, &base)
		if base.expression == nil {
			base.at = []int{-1}
		}
	}
	for _, c := range all {
		o.rank(c)
	}
	if o.uuids() {
		nameParts(all)
	}
	return all, nil
}

// wholeRoute is the candidate of a route without its paths.
func wholeRoute(r *entity.Route, o *Options) (candidate, error) {
	c := candidate{route: r, schemes: schemesOf(r), methods: r.Methods}
	if r.Expression != "" {
		x, err := compileExpression(r.Expression)
		if err != nil {
			return c, err
		}
		c.expression, c.hosts, c.conditions = x, x.needs.hosts, true
		return c, nil
	}
	for _, h := range r.Hosts {
		p, err := parseHost(h)
		if err != nil {
			return c, err
		}
		c.hosts = append(c.hosts, p)
	}
	for _, s := range r.SNIs {
		p, err := parseHost(strings.TrimSuffix(s, "."))
		if err != nil {
			return c, err
		}
		c.snis = append(c.snis, p)
	}
	for _, name := range slices.Sorted(maps.Keys(r.Headers)) {
		values := r.Headers[name]
		h, err := newHeaderCondition(name, values, o.Flavor != Traditional || len(values) == 1)
		if err != nil {
			return c, err
		}
		c.headers = append(c.headers, h)
	}
	c.conditions = len(c.headers) > 0 || len(c.snis) > 0
	return c, nil
}

// literalPath refuses literal paths that no request can have.
func literalPath(path string) error {
	switch {
	case IsNormal(path):
		return nil
	case path == "" || path[0] != '/':
		return fmt.Errorf("path %q must start with / or, for a regex, with ~", path)
	}
	return fmt.Errorf("path %q is not in normal form: expected %q", path, Normalize(path))
}

// methodBits gives each method that a route names a bit. The last bit is shared by all methods that found no bit of their own.
type methodBits struct {
	bits map[string]uint64
}

const sharedMethodBit = 1 << 63

// add is the mask of a route's methods; 0 for none.
func (b *methodBits) add(methods []string) uint64 {
	var mask uint64
	for _, m := range methods {
		bit, ok := b.bits[m]
		if !ok {
			if b.bits == nil {
				b.bits = map[string]uint64{}
			}
			bit = sharedMethodBit
			if n := len(b.bits); n < 63 {
				bit = 1 << n
			}
			b.bits[m] = bit
		}
		mask |= bit
	}
	return mask
}

// bit is the bit of a request's method, 0 for a method that no route names.
func (b *methodBits) bit(method string) uint64 {
	if b.bits == nil {
		return 0
	}
	return b.bits[method]
}

// matchesConditions checks headers and snis.
func (c *candidate) matchesConditions(req *Request) bool {
	if !c.matchesSNI(req) {
		return false
	}
	for i := range c.headers {
		if !c.headers[i].matches(req.Headers) {
			return false
		}
	}
	return true
}

// matchesSNI compares the name of the TLS handshake; requests that are not TLS match any snis.
func (c *candidate) matchesSNI(req *Request) bool {
	if len(c.snis) == 0 || !req.TLS {
		return true
	}
	name := strings.TrimSuffix(req.SNI, ".")
	return slices.ContainsFunc(c.snis, func(p hostPattern) bool { return p.matches(name) })
}

// headerCondition wants one value of one header to equal one of values, or to be found by one of patterns.
type headerCondition struct {
	name     string   // lower case
	values   []string // lower case
	patterns []*regexp.Regexp
}

// newHeaderCondition compiles the values of one header; those that start with ~* are patterns, if there may be any, and match without regard to
// case.
func newHeaderCondition(name string, values []string, patterns bool) (headerCondition, error) {
	h := headerCondition{name: lower(name)}
	for _, v := range values {
		pattern, ok := strings.CutPrefix(v, "~*")
		if !ok || !patterns {
			h.values = append(h.values, lower(v))
			continue
		}
		re, err := regexp.Compile("(?i)" + pattern)
		if err != nil {
			return h, fmt.Errorf("header %s: pattern %q: %w", name, v, err)
		}
		h.patterns = append(h.patterns, re)
	}
	return h, nil
}

func (h *headerCondition) matches(headers Headers) bool {
	if headers == nil {
		return false
	}
	for i := 0; ; i++ {
		value, ok := headers.HeaderValue(h.name, i)
		if !ok {
			return false
		}
		for _, want := range h.values {
			if equalLower(value, want) {
				return true
			}
		}
		for _, re := range h.patterns {
			if re.MatchString(value) {
				return true
			}
		}
	}
}

// lower is s with its ASCII letters in lower case; other bytes are left alone.
func lower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// equalLower reports whether s in lower case is want, which is in lower case.
func equalLower(s, want string) bool {
	if len(s) != len(want) {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != want[i] {
			return false
		}
	}
	return true
}
