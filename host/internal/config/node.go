package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Bounds of one document; a file beyond them is refused before it costs much.
const (
	maxDocument = 64 << 20 // bytes
	maxDepth    = 100      // mappings and lists inside each other
	maxExpanded = 1 << 20  // values that aliases may add
)

type kind uint8

const (
	kindNull kind = iota
	kindBool
	kindInt
	kindFloat
	kindText
	kindList
	kindMapping
)

func (k kind) String() string {
	return [...]string{"null", "a boolean", "a number", "a number", "a string", "a list", "a mapping"}[k]
}

// node is one value of a document and its place. Aliases make several parents share a node.
type node struct {
	kind   kind
	quoted bool // text that stood in quotes or in a block
	line   int32
	col    int32
	size   int32 // values inside, itself included, aliases expanded
	text   string
	broken bool   // something is wrong with it that was told already
	env    string // what is written, when the text came from the environment: error texts show it in the place of the value
	items  []*node
	pairs  []pair
}

type pair struct {
	key    string
	at     *node // place of the key
	value  *node
	merged bool // came by a merge key: an explicit key wins
}

// get finds the value of a key; nil when there is none.
func (n *node) get(key string) *node {
	if n == nil {
		return nil
	}
	for i := range n.pairs {
		if n.pairs[i].key == key {
			return n.pairs[i].value
		}
	}
	return nil
}

// describe names the value for an error text.
func (n *node) describe() string {
	if n.env != "" {
		return "the value of " + n.env
	}
	switch n.kind {
	case kindText:
		return quote(n.text)
	case kindList, kindMapping:
		if len(n.items)+len(n.pairs) == 0 {
			return n.kind.String() + " that is empty"
		}
		return n.kind.String()
	case kindNull:
		return "null"
	default:
		return n.text
	}
}

// quote puts text into quotes and shortens it.
func quote(s string) string {
	const longest = 80
	if utf8.RuneCountInString(s) > longest {
		return strconv.Quote(string([]rune(s)[:longest])) + "…"
	}
	return strconv.Quote(s)
}

// integer reads a whole number. Numbers that start with a useless 0 are text: octal for one reader and decimal for another.
func (n *node) integer() (int64, bool) {
	if n.kind == kindFloat {
		f, err := strconv.ParseFloat(n.text, 64)
		if err != nil || f != math.Trunc(f) || math.Abs(f) > 1<<53 {
			return 0, false
		}
		return int64(f), true
	}
	if n.kind != kindInt {
		return 0, false
	}
	i, err := strconv.ParseInt(strings.TrimPrefix(n.text, "+"), 0, 64)
	return i, err == nil
}

// value is the Go value: nil, bool, int64, uint64, float64, string, []any or map[string]any.
func (n *node) value() any {
	switch n.kind {
	case kindNull:
		return nil
	case kindBool:
		return strings.EqualFold(n.text, "true")
	case kindInt:
		if i, ok := n.integer(); ok {
			return i
		}
		text := strings.TrimPrefix(n.text, "+")
		if u, err := strconv.ParseUint(text, 0, 64); err == nil {
			return u
		}
		f, _ := strconv.ParseFloat(strings.ReplaceAll(text, "_", ""), 64)
		return f
	case kindFloat:
		f, _ := strconv.ParseFloat(strings.ReplaceAll(n.text, "_", ""), 64)
		return f
	case kindText:
		return n.text
	case kindList:
		list := make([]any, len(n.items))
		for i, item := range n.items {
			list[i] = item.value()
		}
		return list
	default:
		m := make(map[string]any, len(n.pairs))
		for i := range n.pairs {
			m[n.pairs[i].key] = n.pairs[i].value.value()
		}
		return m
	}
}

// fromEnvironment adds the texts below a node that came from the environment.
func (n *node) fromEnvironment(texts []string) []string {
	if n.env != "" && n.text != "" {
		texts = append(texts, n.text)
	}
	for _, item := range n.items {
		texts = item.fromEnvironment(texts)
	}
	for i := range n.pairs {
		texts = n.pairs[i].value.fromEnvironment(texts)
	}
	return texts
}

// path is a place inside a document, built from the leaf so that it costs nothing until somebody prints it.
type path struct {
	parent *path
	name   string
	index  int // -1 for a key
}

func (p *path) key(name string) *path { return &path{parent: p, name: name, index: -1} }
func (p *path) item(i int) *path      { return &path{parent: p, index: i} }

func (p *path) String() string {
	if p == nil {
		return ""
	}
	before := p.parent.String()
	switch {
	case p.index >= 0:
		return fmt.Sprintf("%s[%d]", before, p.index)
	case before == "":
		return plainKey(p.name)
	default:
		return before + "." + plainKey(p.name)
	}
}

// plainKey quotes a key that would make a path hard to read.
func plainKey(name string) string {
	if name == "" || strings.ContainsAny(name, ". \t\n\"[]") {
		return quote(name)
	}
	return name
}
