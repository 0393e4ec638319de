package router

import (
	"iter"
	"slices"
	"strings"
)

// filed is a candidate with one of its paths.
type filed struct {
	*candidate
	path int
	rank int // place among the candidates of its priority
}

// tieIndex finds, for a candidate, those filed before it that may tie with it: by host, by the value of a header, or by the beginning of a
// regex, whichever leaves the fewest.
type tieIndex struct {
	all    []filed
	hosts  map[string][]filed
	values map[string][]filed
	names  []string // of headers, that are keys of values
	starts map[string][]filed
}

// few is how many candidates are compared without an index.
const few = 16

func newTieIndex() *tieIndex {
	return &tieIndex{hosts: map[string][]filed{}, values: map[string][]filed{}, starts: map[string][]filed{}}
}

// add files a candidate.
func (x *tieIndex) add(f filed) {
	x.all = append(x.all, f)
	put := func(m map[string][]filed, key string) {
		if list := m[key]; len(list) == 0 || list[len(list)-1] != f {
			m[key] = append(list, f)
		}
	}
	if len(f.hosts) == 0 {
		put(x.hosts, "any")
	}
	for _, h := range f.hosts {
		for key := range h.ownKeys() {
			put(x.hosts, key)
		}
	}
	if h := f.firstHeader(); h != nil {
		put(x.values, "all "+h.name)
		if !slices.Contains(x.names, h.name) {
			x.names = append(x.names, h.name)
		}
		if len(h.patterns) > 0 {
			put(x.values, "pattern "+h.name)
		}
		for _, value := range h.values {
			put(x.values, "value "+h.name+" "+value)
		}
	} else {
		put(x.values, "none")
	}
	if re := f.regexAt(f.path); re != nil {
		put(x.starts, "is "+re.prefix)
		for i := range len(re.prefix) {
			put(x.starts, "below "+re.prefix[:i])
		}
	}
}

// near is a superset of the candidates filed that tie with one.
func (x *tieIndex) near(f filed) [][]filed {
	if len(x.all) <= few {
		return [][]filed{x.all}
	}
	best := [][]filed{x.all}
	least := len(x.all)
	try := func(m map[string][]filed, keys []string) {
		var lists [][]filed
		n := 0
		for _, key := range keys {
			if list := m[key]; len(list) > 0 {
				lists = append(lists, list)
				n += len(list)
			}
		}
		if n < least {
			best, least = lists, n
		}
	}
	if len(f.hosts) > 0 {
		keys := []string{"any"}
		for _, h := range f.hosts {
			for key := range h.nearKeys() {
				keys = append(keys, key)
			}
		}
		try(x.hosts, keys)
	}
	if h := f.firstHeader(); h != nil {
		keys := []string{"none"}
		for _, name := range x.names {
			if name != h.name || len(h.patterns) > 0 {
				keys = append(keys, "all "+name)
			}
		}
		if len(h.patterns) == 0 {
			keys = append(keys, "pattern "+h.name)
			for _, value := range h.values {
				keys = append(keys, "value "+h.name+" "+value)
			}
		}
		try(x.values, keys)
	}
	if re := f.regexAt(f.path); re != nil {
		keys := []string{"below " + re.prefix}
		for i := range len(re.prefix) + 1 {
			keys = append(keys, "is "+re.prefix[:i])
		}
		try(x.starts, keys)
	}
	return best
}

// firstHeader is the condition on the header whose name sorts first; nil: there is none.
func (c *candidate) firstHeader() *headerCondition {
	var first *headerCondition
	for i := range c.headers {
		if h := &c.headers[i]; first == nil || h.name < first.name {
			first = h
		}
	}
	return first
}

// ownKeys are the keys that a host pattern is filed under: itself, its kind, and all that it is below.
func (p hostPattern) ownKeys() iter.Seq[string] {
	return func(yield func(string) bool) {
		name := p.exact + p.suffix + p.prefix
		switch {
		case p.suffix != "":
			if !yield("suffix "+name) || !yield("suffixes") {
				return
			}
		case p.prefix != "":
			if !yield("prefix "+name) || !yield("prefixes") {
				return
			}
		default:
			if !yield("is " + name) {
				return
			}
		}
		for i := range len(name) {
			if name[i] != '.' {
				continue
			}
			if p.prefix == "" && i > 0 && !yield("below "+name[i:]) {
				return
			}
			if p.suffix == "" && i+1 < len(name) && !yield("above "+name[:i+1]) {
				return
			}
		}
	}
}

// nearKeys are the keys under which patterns are filed that may share a name with this one.
func (p hostPattern) nearKeys() iter.Seq[string] {
	return func(yield func(string) bool) {
		name := p.exact + p.suffix + p.prefix
		switch {
		case p.suffix != "":
			if !yield("below "+name) || !yield("prefixes") {
				return
			}
		case p.prefix != "":
			if !yield("above "+name) || !yield("suffixes") {
				return
			}
		default:
			if !yield("is " + name) {
				return
			}
		}
		for i := range len(name) {
			if name[i] != '.' {
				continue
			}
			if p.prefix == "" && !yield("suffix "+name[i:]) || p.suffix == "" && !yield("prefix "+name[:i+1]) {
				return
			}
		}
	}
}

// pathKey is the path by which candidates of one priority are held against each other; those with regex paths share one.
func pathKey(c *candidate, path int) string {
	switch {
	case path < 0:
		return ""
	case strings.HasPrefix(c.route.Paths[path], "~"):
		return "~"
	}
	return c.route.Paths[path]
}
