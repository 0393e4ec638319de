package router

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
)

// candidate is a route, or the part of it whose paths are of one kind and length, with one priority.
type candidate struct {
	route    *entity.Route
	mask     uint64 // of methods, see methodBits; 0: any method
	priority uint64
	schemes  schemes
	// conditions says that headers or snis are to be checked.
	conditions bool

	hosts   []hostPattern // none: any host
	literal []string      // paths of one length; none together with no regex: any path
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

// split makes the candidates of a route: one for all regex paths, one for the literal paths of each length, or one in all for a
// route without paths.
func split(r *entity.Route) ([]*candidate, error) {
	base := candidate{route: r, schemes: schemesOf(r), methods: r.Methods}
	for _, h := range r.Hosts {
		p, err := parseHost(h)
		if err != nil {
			return nil, err
		}
		base.hosts = append(base.hosts, p)
	}
	for _, s := range r.SNIs {
		p, err := parseHost(strings.TrimSuffix(s, "."))
		if err != nil {
			return nil, err
		}
		base.snis = append(base.snis, p)
	}
	for _, name := range slices.Sorted(maps.Keys(r.Headers)) {
		h, err := newHeaderCondition(name, r.Headers[name])
		if err != nil {
			return nil, err
		}
		base.headers = append(base.headers, h)
	}
	base.conditions = len(base.headers) > 0 || len(base.snis) > 0

	var regexes *candidate
	byLength := map[int]*candidate{}
	var all []*candidate
	add := func() *candidate {
		c := base
		all = append(all, &c)
		return &c
	}
	for _, path := range r.Paths {
		if pattern, ok := strings.CutPrefix(path, "~"); ok {
			re, err := newRegexPath(pattern)
			if err != nil {
				return nil, err
			}
			if regexes == nil {
				regexes = add()
			}
			regexes.regex = append(regexes.regex, re)
			continue
		}
		if !IsNormal(path) {
			if path == "" || path[0] != '/' {
				return nil, fmt.Errorf("path %q must start with / or, for a regex, with ~", path)
			}
			return nil, fmt.Errorf("path %q is not in normal form: expected %q", path, Normalize(path))
		}
		c := byLength[len(path)]
		if c == nil {
			c = add()
			byLength[len(path)] = c
		}
		c.literal = append(c.literal, path)
	}
	if len(r.Paths) == 0 {
		add()
	}
	for _, c := range all {
		c.priority = priority(c)
	}
	return all, nil
}

// Layout of a priority, larger wins. Bits 61-63: how many of methods, hosts, headers, snis and paths are set; 60: hosts are set and
// none has a wildcard; 52-59: number of header names; 51: regex paths; 19-50: regex_priority, of regex paths only; 0-18: length of the
// literal path.
const (
	attributesShift    = 61
	plainHostsBit      = 1 << 60
	headersShift       = 52
	regexBit           = 1 << 51
	regexPriorityShift = 19
	maxHeaderNames     = 1<<8 - 1
	maxRegexPriority   = 1<<32 - 1
	maxLiteral         = 1<<19 - 1
)

// priority is the number of spec 2.3. A regex_priority outside 32 bits counts as the nearest number inside; compare tells such apart.
func priority(c *candidate) uint64 {
	var p, attributes uint64
	for _, set := range []bool{
		len(c.methods) > 0, len(c.hosts) > 0, len(c.headers) > 0, len(c.snis) > 0, len(c.literal)+len(c.regex) > 0,
	} {
		if set {
			attributes++
		}
	}
	p |= attributes << attributesShift
	if len(c.hosts) > 0 && !slices.ContainsFunc(c.hosts, hostPattern.wildcard) {
		p |= plainHostsBit
	}
	p |= uint64(min(len(c.headers), maxHeaderNames)) << headersShift
	if len(c.regex) > 0 {
		p |= regexBit | uint64(min(max(c.route.RegexPriority, 0), maxRegexPriority))<<regexPriorityShift
	} else if len(c.literal) > 0 {
		p |= uint64(min(len(c.literal[0]), maxLiteral))
	}
	return p
}

// sortCandidates puts the candidate that wins first.
func sortCandidates(all []*candidate) {
	slices.SortStableFunc(all, func(a, b *candidate) int { return cmp.Or(compareRank(a, b), strings.Compare(a.route.ID, b.route.ID)) })
}

// compareRank is negative when a wins. A tie of priorities goes to the earlier created_at, then to the smaller id.
func compareRank(a, b *candidate) int {
	if a.priority != b.priority {
		return cmp.Compare(b.priority, a.priority)
	}
	if len(a.regex) > 0 && len(b.regex) > 0 && a.route.RegexPriority != b.route.RegexPriority {
		return cmp.Compare(b.route.RegexPriority, a.route.RegexPriority)
	}
	return cmp.Compare(a.route.CreatedAt, b.route.CreatedAt)
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

// newHeaderCondition compiles the values of one header; those that start with ~* are patterns, matched without regard to case.
func newHeaderCondition(name string, values []string) (headerCondition, error) {
	h := headerCondition{name: lower(name)}
	for _, v := range values {
		pattern, ok := strings.CutPrefix(v, "~*")
		if !ok {
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
