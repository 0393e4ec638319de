package router

import (
	"iter"
	"slices"
)

// part holds the entries of a long list of the trie that have one value of a header, or none, so that a cell is held against few of them. Lists in it
// are in the order of the router.
type part struct {
	literal []*entry            // without a regex
	same    map[string][]*entry // those with a regex, by its text
	free    []*entry            // those whose regex has no assertions
	starts  map[string][]*entry // of free, those that match all paths with a beginning; filled as they are asked for
}

// near are the entries of a list that may take a cell, in parts that are each in the order of the list. A long list is taken apart by the first header
// of its entries and by their regexes: only those without headers, with a pattern, or with a value of the cell can take it; and of regexes the same
// one, or one that matches the beginning of all paths in the cell.
func (v *reviewer) near(list []entry, x *cell) iter.Seq[[]*entry] {
	return func(yield func([]*entry) bool) {
		parts := v.lists[&list[0]]
		if parts == nil {
			parts = v.takeApart(list)
			v.lists[&list[0]] = parts
		}
		if !v.nearIn(parts[""], x, yield) {
			return
		}
		for _, h := range x.headers {
			if h.pattern == "" && !v.nearIn(parts[h.name+" "+h.value], x, yield) {
				return
			}
		}
	}
}

// takeApart files the entries of a list; a short one is one part, as if there were no regexes.
func (v *reviewer) takeApart(list []entry) map[string]*part {
	parts := map[string]*part{}
	file := func(key string, e *entry) {
		p := parts[key]
		if p == nil {
			p = &part{same: map[string][]*entry{}, starts: map[string][]*entry{}}
			parts[key] = p
		}
		if e.regex == nil || len(list) <= few {
			p.literal = append(p.literal, e)
			return
		}
		text := e.regex.re.String()
		p.same[text] = append(p.same[text], e)
		if v.withoutAssertions(e.regex) {
			p.free = append(p.free, e)
		}
	}
	for i := range list {
		e := &list[i]
		h := e.candidate.firstHeader()
		if h == nil || len(h.patterns) > 0 || len(list) <= few {
			file("", e)
			continue
		}
		for j, value := range h.values {
			if !slices.Contains(h.values[:j], value) {
				file(h.name+" "+value, e)
			}
		}
	}
	return parts
}

// nearIn yields the entries of one part; nil has none.
func (v *reviewer) nearIn(p *part, x *cell, yield func([]*entry) bool) bool {
	if p == nil {
		return true
	}
	if !yield(p.literal) {
		return false
	}
	if x.regex != nil && !yield(p.same[x.regex.re.String()]) {
		return false
	}
	if len(p.free) == 0 {
		return true
	}
	matching, known := p.starts[x.start]
	if !known {
		for _, e := range p.free {
			if e.regex.re.MatchString(x.start) {
				matching = append(matching, e)
			}
		}
		p.starts[x.start] = matching
	}
	return yield(matching)
}
