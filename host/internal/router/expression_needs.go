package router

import (
	"math"
	"regexp/syntax"
	"slices"
	"strings"
	"unicode/utf8"
)

// needs is what a request has for certain when an expression is true: one of hosts, and a path that begins with one of paths; nil: any. It says where
// the index files the expression, and may be wider than the expression.
type needs struct {
	hosts []hostPattern
	paths []string
}

// maxPlaces bounds in how many places of the index one expression is filed. One that would take more is filed by its hosts alone, or its paths, or
// under everything.
const maxPlaces = 4096

// tidy drops paths that begin with others, and what would take too many places.
func (n needs) tidy() needs {
	slices.Sort(n.paths)
	var paths []string
	for _, p := range n.paths {
		if last := len(paths) - 1; last < 0 || !strings.HasPrefix(p, paths[last]) {
			paths = append(paths, p)
		}
	}
	n.paths = paths
	n.hosts = unique(n.hosts)
	if len(n.hosts) > maxPlaces {
		n.hosts = nil
	}
	if max(1, len(n.hosts))*len(n.paths) > maxPlaces {
		n.paths = nil
	}
	return n
}

// unique drops hosts that are there already.
func unique(hosts []hostPattern) []hostPattern {
	seen := map[hostPattern]bool{}
	return slices.DeleteFunc(hosts, func(h hostPattern) bool {
		again := seen[h]
		seen[h] = true
		return again
	})
}

// needs finds what a term needs. The lists are the caller's to change.
func (t *term) needs() needs {
	switch t.join {
	case joinAnd:
		all := t.parts[0].needs()
		for i := range t.parts[1:] {
			n := t.parts[1+i].needs()
			all.hosts = narrower(all.hosts, n.hosts, -len(all.hosts), -len(n.hosts))
			all.paths = narrower(all.paths, n.paths, shortest(all.paths), shortest(n.paths))
		}
		return all
	case joinOr:
		all := t.parts[0].needs()
		for i := range t.parts[1:] {
			n := t.parts[1+i].needs()
			all.hosts = both(all.hosts, n.hosts)
			all.paths = both(all.paths, n.paths)
		}
		return all
	case joinNot:
		return needs{}
	}
	return t.test.needs()
}

// narrower is one of two lists that both are needed: that with the larger worth.
func narrower[T any](a, b []T, worthA, worthB int) []T {
	if a == nil || b != nil && worthB > worthA {
		return b
	}
	return a
}

// both is what is needed when one of two lists is.
func both[T any](a, b []T) []T {
	if a == nil || b == nil {
		return nil
	}
	return append(a, b...)
}

// shortest is the length of the shortest path.
func shortest(paths []string) int {
	n := math.MaxInt
	for _, p := range paths {
		n = min(n, len(p))
	}
	return n
}

// needs finds what a comparison needs. Hosts are in lower case already; what is put into lower case of a path is not known.
func (c *comparison) needs() needs {
	switch {
	case c.field.kind == fieldHost:
		return needs{hosts: c.hostsNeeded()}
	case c.field.kind != fieldPath || c.lower:
		return needs{}
	case c.operator == opEqual || c.operator == opPrefix:
		return needs{paths: []string{c.text}}
	case c.operator == opRegex:
		return needs{paths: []string{beginning(c.text)}}
	}
	return needs{}
}

// hostsNeeded are the hosts of a comparison; nil: any. The index knows suffixes and prefixes only up to a dot.
func (c *comparison) hostsNeeded() []hostPattern {
	switch {
	case c.operator == opEqual:
		return []hostPattern{{exact: c.text}}
	case c.operator == opSuffix && strings.HasPrefix(c.text, ".") && len(c.text) > 1:
		return []hostPattern{{suffix: c.text}, {exact: c.text}}
	case c.operator == opPrefix && strings.HasSuffix(c.text, ".") && len(c.text) > 1:
		return []hostPattern{{prefix: c.text}}
	}
	return nil
}

// beginning is the text with which all that a pattern matches begins, if it is anchored there; otherwise "".
func beginning(pattern string) string {
	tree, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return ""
	}
	tree = tree.Simplify()
	if tree.Op != syntax.OpConcat || len(tree.Sub) < 2 || tree.Sub[0].Op != syntax.OpBeginText {
		return ""
	}
	text := tree.Sub[1]
	if text.Op != syntax.OpLiteral || text.Flags&syntax.FoldCase != 0 || slices.Contains(text.Rune, utf8.RuneError) {
		return "" // RuneError matches bytes that are no UTF-8
	}
	return string(text.Rune)
}
