package router

import (
	"regexp/syntax"
	"slices"
	"strings"
)

// maxTrials bounds how many regex paths one regex path is tried against.
const maxTrials = 256

// findTies looks among the candidates of one priority for those that match a request together. Candidates with plain hosts are found by host
// and path; those with wildcards, or without hosts, are compared with each other when their path is the same.
func (v *reviewer) findTies() {
	ranked := v.router.ranked
	for from := 0; from < len(ranked); {
		to := from + 1
		for to < len(ranked) && compareRank(ranked[from], ranked[to]) == 0 {
			to++
		}
		if to > from+1 {
			v.tiesAmong(ranked[from:to])
		}
		from = to
	}
}

// tiesAmong finds, for each candidate and path, the first candidate before it that ties with it. What is hidden has no part in it.
func (v *reviewer) tiesAmong(equal []*candidate) {
	byPath := map[string][]filed{}
	var order []string
	for rank, c := range equal {
		for _, path := range c.at {
			if v.hidden[hiddenPath{c.route, path}] {
				continue
			}
			key := pathKey(c, path)
			if byPath[key] == nil {
				order = append(order, key)
			}
			byPath[key] = append(byPath[key], filed{c, path, rank})
		}
	}
	for _, key := range order {
		if len(byPath[key]) == 1 {
			continue
		}
		before := newTieIndex()
		for _, f := range byPath[key] {
			if t, ok := v.firstTie(f, before.near(f)); ok {
				v.found.Ties = append(v.found.Ties, t)
			}
			before.add(f)
		}
	}
}

// firstTie is the tie with the candidate that comes first, of those in lists that are each in the order of the router.
func (v *reviewer) firstTie(f filed, lists [][]filed) (best Tie, found bool) {
	trials, rank := 0, f.rank
	for _, list := range lists {
		for _, b := range list {
			if b.rank >= rank || trials >= maxTrials {
				break
			}
			if b.route == f.route {
				continue
			}
			if t, ok := v.tie(b, f, &trials); ok {
				best, found, rank = t, true, b.rank
				break
			}
		}
	}
	return best, found
}

// tie reports whether some request matches both, and one such request. A header with a value of each is not thought of.
func (v *reviewer) tie(winner, loser filed, trials *int) (Tie, bool) {
	t := Tie{Winner: winner.route, Loser: loser.route, WinnerPath: winner.path, LoserPath: loser.path}
	var ok bool
	if t.Host, ok = sharedHost(winner.hosts, loser.hosts); !ok {
		return t, false
	}
	if t.Method, ok = sharedMethod(winner.methods, loser.methods); !ok {
		return t, false
	}
	if v.router.options.StrictProtocols && winner.schemes&loser.schemes == 0 || !sharedHeaders(winner.headers, loser.headers) {
		return t, false
	}
	if _, ok = sharedHost(winner.snis, loser.snis); !ok {
		return t, false
	}
	t.Path, ok = v.sharedPath(winner, loser, trials)
	if ok {
		t.Rule, _, _ = v.router.options.decide(winner.candidate, loser.candidate)
	}
	return t, ok
}

// sharedHost is a name that both match; no patterns match any, and give "".
func sharedHost(a, b []hostPattern) (string, bool) {
	if len(a) == 0 && len(b) == 0 {
		return "", true
	}
	if len(a) == 0 {
		return b[0].example(), true
	}
	if len(b) == 0 {
		return a[0].example(), true
	}
	for _, p := range a {
		for _, q := range b {
			if p.port != 0 && q.port != 0 && p.port != q.port {
				continue
			}
			if name, ok := p.shared(q); ok {
				return name, true
			}
		}
	}
	return "", false
}

// example is a name that a pattern matches.
func (p hostPattern) example() string {
	switch {
	case p.suffix != "":
		return "any" + p.suffix
	case p.prefix != "":
		return p.prefix + "any"
	}
	return p.exact
}

// shared is a name that two patterns match.
func (p hostPattern) shared(q hostPattern) (string, bool) {
	name := p.example()
	switch {
	case !p.wildcard():
		return name, q.matches(name)
	case !q.wildcard():
		return q.exact, p.matches(q.exact)
	case p.suffix != "" && q.suffix != "":
		if len(q.suffix) > len(p.suffix) {
			return q.shared(p)
		}
		return name, strings.HasSuffix(p.suffix, q.suffix)
	case p.prefix != "" && q.prefix != "":
		if len(q.prefix) > len(p.prefix) {
			return q.shared(p)
		}
		return name, strings.HasPrefix(p.prefix, q.prefix)
	}
	return p.prefix + q.prefix + "any" + p.suffix + q.suffix, true // the beginning is of one, the end of the other
}

// sharedMethod is a method that both match; "" when any will do.
func sharedMethod(a, b []string) (string, bool) {
	switch {
	case len(a) == 0 && len(b) == 0:
		return "", true
	case len(a) == 0:
		return b[0], true
	case len(b) == 0:
		return a[0], true
	}
	for _, m := range a {
		if slices.Contains(b, m) {
			return m, true
		}
	}
	return "", false
}

// sharedHeaders reports whether one value of each header can satisfy both. Two patterns are only known to when they are equal.
func sharedHeaders(a, b []headerCondition) bool {
	for i := range a {
		for j := range b {
			if a[i].name == b[j].name && !a[i].shares(&b[j]) && !b[j].shares(&a[i]) {
				return false
			}
		}
	}
	return true
}

// shares reports whether a value of h satisfies other, or a pattern is common to both.
func (h *headerCondition) shares(other *headerCondition) bool {
	has := make([]cellHeader, 1)
	for _, value := range h.values {
		if has[0] = (cellHeader{name: h.name, value: value}); other.takes(has) {
			return true
		}
	}
	for _, p := range h.patterns {
		if has[0] = (cellHeader{name: h.name, pattern: p.String()}); other.takes(has) {
			return true
		}
	}
	return false
}

// sharedPath is a path that both match. Two regexes are known to share one when the shortest path of one matches the other.
func (v *reviewer) sharedPath(a, b filed, trials *int) (string, bool) {
	if a.path < 0 {
		return "/", true
	}
	p, q := a.regexAt(a.path), b.regexAt(b.path)
	if p == nil {
		return a.route.Paths[a.path], true // equal, as they are filed under one path
	}
	if !strings.HasPrefix(p.prefix, q.prefix) && !strings.HasPrefix(q.prefix, p.prefix) {
		return "", false
	}
	*trials++
	for _, one := range []*regexPath{p, q} {
		if path, ok := v.shortest(one); ok && p.re.MatchString(path) && q.re.MatchString(path) {
			return path, true
		}
	}
	return "", false
}

// shortest is a short path that a regex matches; ok is false when none was found that a request may have.
func (v *reviewer) shortest(p *regexPath) (path string, ok bool) {
	if path, ok = v.samples[p]; ok {
		return path, path != ""
	}
	if tree, err := syntax.Parse(p.re.String(), syntax.Perl); err == nil {
		path = sampleOf(tree)
		if path == "" {
			path = "/"
		}
		if !IsNormal(path) || !p.re.MatchString(path) {
			path = ""
		}
	}
	v.samples[p] = path
	return path, path != ""
}

// sampleOf is a text that a regex matches, assertions left aside.
func sampleOf(t *syntax.Regexp) string {
	switch t.Op {
	case syntax.OpLiteral:
		return string(t.Rune)
	case syntax.OpCharClass:
		return string(sampleRune(t.Rune))
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return "a"
	case syntax.OpCapture, syntax.OpPlus:
		return sampleOf(t.Sub[0])
	case syntax.OpRepeat:
		return strings.Repeat(sampleOf(t.Sub[0]), t.Min)
	case syntax.OpConcat:
		var b strings.Builder
		for _, sub := range t.Sub {
			b.WriteString(sampleOf(sub))
		}
		return b.String()
	case syntax.OpAlternate:
		return sampleOf(t.Sub[0])
	}
	return ""
}

// sampleRune takes a letter or a digit out of a class if it has one; ranges are pairs of first and last.
func sampleRune(ranges []rune) rune {
	for _, want := range "a0A" {
		for i := 0; i+1 < len(ranges); i += 2 {
			if ranges[i] <= want && want <= ranges[i+1] {
				return want
			}
		}
	}
	for i := 0; i+1 < len(ranges); i += 2 {
		for r := max(ranges[i], '!'); r <= min(ranges[i+1], '~'); r++ {
			if r != '/' {
				return r
			}
		}
	}
	if len(ranges) > 0 {
		return ranges[0]
	}
	return 'a'
}
