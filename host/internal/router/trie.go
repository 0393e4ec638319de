package router

import (
	"cmp"
	"slices"
	"strings"
)

// entry is one way to one candidate: with one of its hosts and one of its paths.
type entry struct {
	order     uint64 // rank of the candidate, then place of the path in the route
	candidate *candidate
	regex     *regexPath
	literal   string // the literal path; "" for none
	port      int32  // of the host; 0: any
}

// trie holds all radix trees of literal path prefixes in one slice; the children of a node are neighbours.
type trie struct {
	nodes []node
}

// node stands for the text on the way from the root to it.
type node struct {
	text    string  // on the edge to this node
	firsts  string  // first byte of each child's text
	kids    uint32  // index of the first child
	entries []entry // whose literal path, or literal start of a regex, is the text so far; in the order of priority
}

// collect appends the non-empty entry lists of all nodes whose text path starts with.
func (t *trie) collect(lists [][]entry, root uint32, path string) [][]entry {
	n := &t.nodes[root]
	for {
		if len(n.entries) > 0 {
			lists = append(lists, n.entries)
		}
		if path == "" {
			return lists
		}
		i := strings.IndexByte(n.firsts, path[0])
		if i < 0 {
			return lists
		}
		n = &t.nodes[n.kids+uint32(i)]
		if !strings.HasPrefix(path, n.text) {
			return lists
		}
		path = path[len(n.text):]
	}
}

// trieBuilder is a node while the tree grows.
type trieBuilder struct {
	text    string
	kids    []*trieBuilder
	entries []entry
}

// addPaths files a candidate under its literal paths and the literal starts of its regex paths; at the root if it has neither.
func (t *trieBuilder) addPaths(c *candidate, rank, port int) {
	order := func(i int) uint64 { return uint64(rank)<<32 | uint64(i) }
	for i, path := range c.literal {
		t.insert(path, entry{order: order(i), candidate: c, literal: path, port: int32(port)})
	}
	for i, re := range c.regex {
		t.insert(re.prefix, entry{order: order(i), candidate: c, regex: re, port: int32(port)})
	}
	if len(c.literal)+len(c.regex) == 0 {
		t.insert("", entry{order: order(0), candidate: c, port: int32(port)})
	}
}

// insert puts an entry at the end of the list at text. Entries come in the order of priority.
func (t *trieBuilder) insert(text string, e entry) {
	if text == "" {
		t.entries = append(t.entries, e)
		return
	}
	for _, kid := range t.kids {
		if kid.text[0] != text[0] {
			continue
		}
		n := 1
		for n < len(kid.text) && n < len(text) && kid.text[n] == text[n] {
			n++
		}
		if n < len(kid.text) {
			rest := *kid
			rest.text = kid.text[n:]
			*kid = trieBuilder{text: kid.text[:n], kids: []*trieBuilder{&rest}}
		}
		kid.insert(text[n:], e)
		return
	}
	t.kids = append(t.kids, &trieBuilder{text: text, entries: []entry{e}})
}

// freeze copies a tree into the slice, children of one node side by side, and answers the place of its root.
func (t *trie) freeze(root *trieBuilder) uint32 {
	place := uint32(len(t.nodes))
	t.nodes = append(t.nodes, node{})
	t.fill(place, root)
	return place
}

func (t *trie) fill(place uint32, b *trieBuilder) {
	slices.SortFunc(b.kids, func(a, b *trieBuilder) int { return int(a.text[0]) - int(b.text[0]) })
	kids := uint32(len(t.nodes))
	firsts := make([]byte, len(b.kids))
	for i, kid := range b.kids {
		firsts[i] = kid.text[0]
		t.nodes = append(t.nodes, node{})
	}
	// One host given with two ports files a candidate's paths twice, one after the other.
	slices.SortStableFunc(b.entries, func(a, b entry) int { return cmp.Compare(a.order, b.order) })
	t.nodes[place] = node{text: b.text, firsts: string(firsts), kids: kids, entries: slices.Clip(b.entries)}
	for i, kid := range b.kids {
		t.fill(kids+uint32(i), kid)
	}
}
