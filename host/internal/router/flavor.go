package router

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
)

// Flavor is a way to match and order routes (setting router_flavor).
type Flavor string

// The flavours. The zero value is TraditionalCompatible.
const (
	// TraditionalCompatible orders routes by the number that numberOf makes: Kong's default.
	TraditionalCompatible Flavor = "traditional_compatible"
	// Traditional is Kong's older order, see weightOf; path_handling v1 counts, patterns of headers stand alone, and snis have no wildcards.
	Traditional Flavor = "traditional"
	// Expressions also takes routes with an expression. They come before all others, which are ordered as in
	// TraditionalCompatible.
	Expressions Flavor = "expressions"
)

// TieBreak decides between routes that are equal otherwise (setting router_tie_break).
type TieBreak string

// The rules for ties. The zero value is TieCreated.
const (
	TieCreated TieBreak = "created_at" // earlier created_at, then smaller id
	TieKong    TieBreak = "kong"       // larger UUID, as Kong has it; not in the flavour Traditional, where Kong too looks at created_at
)

// normal fills in the defaults, and refuses what is neither.
func (o Options) normal() (Options, error) {
	o.Flavor = cmp.Or(o.Flavor, TraditionalCompatible)
	o.TieBreak = cmp.Or(o.TieBreak, TieCreated)
	if !slices.Contains([]Flavor{TraditionalCompatible, Traditional, Expressions}, o.Flavor) {
		return o, fmt.Errorf("router flavour %q: expected traditional_compatible, traditional or expressions", o.Flavor)
	}
	if !slices.Contains([]TieBreak{TieCreated, TieKong}, o.TieBreak) {
		return o, fmt.Errorf("rule for ties %q: expected created_at or kong", o.TieBreak)
	}
	return o, nil
}

// uuids reports whether ties are decided by UUID.
func (o *Options) uuids() bool { return o.TieBreak == TieKong && o.Flavor != Traditional }

// suits refuses routes that the flavour cannot serve.
func (o *Options) suits(r *entity.Route) error {
	if r.Expression != "" && o.Flavor != Expressions {
		return fmt.Errorf("it has an expression, which needs the setting router_flavor: expressions, and the setting is %s", o.Flavor)
	}
	if o.Flavor != Traditional {
		return nil
	}
	for _, s := range r.SNIs {
		if strings.Contains(s, "*") {
			return fmt.Errorf("sni %q: the setting router_flavor is traditional, which has no wildcards in snis: list the names, or use traditional_compatible", s)
		}
	}
	return nil
}

// rank gives a candidate its number, by which it is ordered among those of equal priority. An expression has none.
func (o *Options) rank(c *candidate) {
	switch {
	case c.expression != nil:
	case o.Flavor == Traditional:
		c.number = weightOf(c)
	default:
		c.number = numberOf(c)
	}
}

// sort puts the candidate that wins first. Candidates of one route that are equal stay in the order of its paths.
func (o *Options) sort(all []*candidate) {
	slices.SortStableFunc(all, func(a, b *candidate) int { return cmp.Or(o.compare(a, b), strings.Compare(a.route.ID, b.route.ID)) })
}

// compare is negative when a wins, and 0 when only their ids differ.
func (o *Options) compare(a, b *candidate) int {
	if c := compareRank(a, b); c != 0 {
		return c
	}
	if o.uuids() {
		return strings.Compare(b.uuid, a.uuid)
	}
	return cmp.Compare(a.route.CreatedAt, b.route.CreatedAt)
}

// compareRank is compare without the rule for ties.
func compareRank(a, b *candidate) int {
	switch {
	case (a.expression != nil) != (b.expression != nil):
		if a.expression != nil {
			return -1
		}
		return 1
	case a.route.Priority != b.route.Priority:
		return cmp.Compare(b.route.Priority, a.route.Priority)
	case a.number != b.number:
		return cmp.Compare(b.number, a.number)
	case len(a.regex) > 0 && len(b.regex) > 0:
		return cmp.Compare(b.route.RegexPriority, a.route.RegexPriority) // beyond 32 bits
	}
	return cmp.Compare(b.ending, a.ending)
}

// kongNamespace is the namespace of the UUIDs of the parts of a split route.
var kongNamespace = uuid.MustParse("7f145bf9-0dce-4f91-98eb-debbce4b9f6b")

// nameParts gives the parts of a route the UUIDs that they have in Kong: that of the route for a whole one, else one made of it and of the number
// of the part, from 1 in the order of the paths.
func nameParts(parts []*candidate) {
	for i, c := range parts {
		c.uuid = lower(c.route.ID)
		if len(parts) > 1 {
			c.uuid = uuid.NewSHA1(kongNamespace, fmt.Appendf(nil, "%s#%d", c.uuid, i+1)).String()
		}
	}
}

// Layout of the number in the flavour traditional_compatible, larger wins. Bits 61-63: how many of methods, hosts, headers, snis and paths are set;
// 60: hosts are set and none has a wildcard; 52-59: number of header names; 51: regex paths; 19-50: regex_priority, of regex paths only; 0-18:
// length of the literal path.
const (
	attributesShift    = 61
	plainHostsShift    = 60
	headersShift       = 52
	regexShift         = 51
	regexPriorityShift = 19
	maxHeaderNames     = 1<<8 - 1
	maxRegexPriority   = 1<<32 - 1
	maxLiteral         = 1<<19 - 1
)

// numberOf is the number of the flavour traditional_compatible. A regex_priority outside 32 bits counts as the nearest number inside; compareRank
// tells such apart.
func numberOf(c *candidate) uint64 {
	p := c.attributes()<<attributesShift | uint64(min(len(c.headers), maxHeaderNames))<<headersShift
	if c.plainHosts() {
		p |= 1 << plainHostsShift
	}
	if len(c.regex) > 0 {
		return p | 1<<regexShift | c.regexPriority()<<regexPriorityShift
	}
	return p | c.literalLength()
}

// Layout of the number in the flavour traditional, larger wins. Bits 61-63: how many attributes are set; 54-60: the sum of their weights, host 64,
// headers 32, path 16, method 8, SNI 4; 51-53: the kind, a wildcard host with a port 4, only plain hosts 2, a regex path 1; 43-50: number of header
// names; 0-31: regex_priority, or the length of the literal path.
const (
	weightShift       = 54
	kindShift         = 51
	headerNamesShift  = 43
	traditionalLength = 32
)

// weightOf is the number of the flavour traditional.
func weightOf(c *candidate) uint64 {
	p := c.attributes()<<attributesShift | uint64(min(len(c.headers), maxHeaderNames))<<headerNamesShift
	for _, a := range []struct {
		weight uint64
		set    int
	}{{64, len(c.hosts)}, {32, len(c.headers)}, {16, len(c.literal) + len(c.regex)}, {8, len(c.methods)}, {4, len(c.snis)}} {
		if a.set > 0 {
			p += a.weight << weightShift
		}
	}
	if slices.ContainsFunc(c.hosts, func(h hostPattern) bool { return h.wildcard() && h.port != 0 }) {
		p |= 4 << kindShift
	}
	if c.plainHosts() {
		p |= 2 << kindShift
	}
	if len(c.regex) > 0 {
		return p | 1<<kindShift | c.regexPriority()
	}
	return p | c.literalLength()
}

// attributes counts the attributes that are set.
func (c *candidate) attributes() (n uint64) {
	for _, values := range []int{len(c.methods), len(c.hosts), len(c.headers), len(c.snis), len(c.literal) + len(c.regex)} {
		if values > 0 {
			n++
		}
	}
	return n
}

func (c *candidate) plainHosts() bool {
	return len(c.hosts) > 0 && !slices.ContainsFunc(c.hosts, hostPattern.wildcard)
}

func (c *candidate) regexPriority() uint64 {
	return uint64(min(max(c.route.RegexPriority, 0), maxRegexPriority))
}

func (c *candidate) literalLength() uint64 {
	if len(c.literal) == 0 {
		return 0
	}
	return uint64(min(len(c.literal[0]), maxLiteral))
}
