package router

import (
	"cmp"
	"slices"
	"strings"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
)

// entry is one way to one candidate: with one of its hosts and one of its paths. What most matches need is in here, so that they need
// not touch the candidate's memory.
type entry struct {
	order     uint64 // rank of the candidate, then place of the path in the route
	mask      uint64 // of the candidate's methods
	route     *entity.Route
	candidate *candidate
	regex     *regexPath
	literal   uint32 // length of the literal path
	port      uint16 // of the host; 0: any
	schemes   schemes
	more      bool // there are headers, snis, an ending or an expression to check
}

// trie holds all radix trees of literal path prefixes in a few slices, so that a match touches little memory.
type trie struct {
	nodes   []node
	entries []entry
	text    string
}

// node stands for the text on the way from the root to it. Its children are neighbours in trie.nodes, its entries in trie.entries.
type node struct {
	text, textLen     uint32 // in trie.text: the text on the edge to this node; the first byte of each child's text follows it
	kids, kidCount    uint32 // in trie.nodes
	first, entryCount uint32 // in trie.entries: those whose literal path, or literal start of a regex, is the text so far, by order
}

// collect appends the non-empty entry lists of all nodes whose text path starts with.
func (t *trie) collect(lists [][]entry, root uint32, path string) [][]entry {
	n := &t.nodes[root]
	for {
		end := n.text + n.textLen
		if !strings.HasPrefix(path, t.text[n.text:end]) {
			return lists
		}
		path = path[n.textLen:]
		if n.entryCount > 0 {
			lists = append(lists, t.entries[n.first:n.first+n.entryCount])
		}
		if n.kidCount == 0 || path == "" {
			return lists
		}
		i := strings.IndexByte(t.text[end:end+n.kidCount], path[0])
		if i < 0 {
			return lists
		}
		n = &t.nodes[n.kids+uint32(i)]
	}
}

// trieBuilder is a node while the tree grows.
type trieBuilder struct {
	text    string
	kids    []*trieBuilder
	entries []entry
}

// addPaths files a candidate under its literal paths and the literal starts of its regex paths, or under what its expression needs paths to begin
// with; at the root if there is nothing of that.
func (t *trieBuilder) addPaths(c *candidate, rank, port int) {
	e := entry{mask: c.mask, route: c.route, candidate: c, port: uint16(port), schemes: c.schemes, more: c.conditions}
	order := func(i int) uint64 { return uint64(rank)<<32 | uint64(i) }
	if c.expression != nil {
		for i, text := range c.expression.needs.paths {
			e.order = order(i)
			t.insert(text, e)
		}
		if len(c.expression.needs.paths) > 0 {
			return
		}
	}
	for i, path := range c.literal {
		e.order, e.literal = order(i), uint32(len(path))
		t.insert(path, e)
	}
	for i, re := range c.regex {
		e.order, e.regex = order(i), re
		t.insert(re.prefix, e)
	}
	if len(c.literal)+len(c.regex) == 0 {
		e.order = order(0)
		t.insert("", e)
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

// frozen is a trie that is being written.
type frozen struct {
	nodes   []node
	entries []entry
	text    []byte
}

func (f *frozen) trie() trie {
	return trie{nodes: slices.Clip(f.nodes), entries: slices.Clip(f.entries), text: string(f.text)}
}

// add writes a tree.
func (f *frozen) add(b *trieBuilder) root {
	for len(b.entries) == 0 && len(b.kids) == 1 {
		kid := *b.kids[0]
		kid.text = b.text + kid.text
		b = &kid
	}
	place, first := uint32(len(f.nodes)), len(f.entries)
	f.nodes = append(f.nodes, node{})
	f.fill(place, b)
	best := noOrder
	for _, e := range f.entries[first:] {
		best = min(best, e.order)
	}
	return root{best: best, node: place}
}

func (f *frozen) fill(place uint32, b *trieBuilder) {
	slices.SortFunc(b.kids, func(a, b *trieBuilder) int { return int(a.text[0]) - int(b.text[0]) })
	// One host given with two ports files a candidate's paths twice, one after the other.
	slices.SortStableFunc(b.entries, func(a, b entry) int { return cmp.Compare(a.order, b.order) })
	kids := uint32(len(f.nodes))
	f.nodes[place] = node{
		text: uint32(len(f.text)), textLen: uint32(len(b.text)), kids: kids, kidCount: uint32(len(b.kids)),
		first: uint32(len(f.entries)), entryCount: uint32(len(b.entries)),
	}
	f.entries = append(f.entries, b.entries...)
	f.text = append(f.text, b.text...)
	for _, kid := range b.kids {
		f.text = append(f.text, kid.text[0])
		f.nodes = append(f.nodes, node{})
	}
	for i, kid := range b.kids {
		f.fill(kids+uint32(i), kid)
	}
}
