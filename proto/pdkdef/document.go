package pdkdef

import (
	"fmt"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// reader walks the YAML of one file and gathers what is wrong with it.
type reader struct {
	file     string
	problems []Problem
}

// Problem is one fault of the definition.
type Problem struct {
	Pos     Pos
	Message string
}

func (p Problem) String() string { return p.Pos.String() + ": " + p.Message }

func (r *reader) pos(n ast.Node) Pos {
	if t := n.GetToken(); t != nil && t.Position != nil {
		return Pos{r.file, t.Position.Line, t.Position.Column}
	}
	return Pos{File: r.file, Line: 1, Col: 1}
}

func (r *reader) failf(pos Pos, format string, args ...any) {
	r.problems = append(r.problems, Problem{pos, fmt.Sprintf(format, args...)})
}

// object is one YAML mapping with the keys that its reader knows.
type object struct {
	*reader
	what   string // for messages: function request.get_header
	at     Pos
	values map[string]ast.Node
	keys   []string // in the order of the file
	places map[string]Pos
}

// object reads n as a mapping whose keys are all among known; nil when n is no mapping.
func (r *reader) object(n ast.Node, what string, known ...string) *object {
	o := r.entries(n, what)
	if o != nil {
		o.only(known...)
	}
	return o
}

// only reports keys that are not among known.
func (o *object) only(known ...string) {
	for _, key := range o.keys {
		if !slices.Contains(known, key) {
			o.failf(o.places[key], "%s: unknown key %q%s", o.what, key, hint(key, known))
		}
	}
}

// entries reads n as a mapping with any keys.
func (r *reader) entries(n ast.Node, what string) *object {
	o := &object{reader: r, what: what, at: r.pos(n), values: map[string]ast.Node{}, places: map[string]Pos{}}
	var pairs []*ast.MappingValueNode
	switch n := n.(type) {
	case *ast.MappingNode:
		pairs = n.Values
	case *ast.MappingValueNode:
		pairs = []*ast.MappingValueNode{n}
	default:
		r.failf(r.pos(n), "%s: found %s, expected a mapping", what, kindOf(n))
		return nil
	}
	for i, pair := range pairs {
		key := pair.Key.GetToken().Value
		if i == 0 {
			o.at = r.pos(pair.Key)
		}
		if _, twice := o.values[key]; twice {
			r.failf(r.pos(pair.Key), "%s: key %q stands twice", what, key)
			continue
		}
		o.keys = append(o.keys, key)
		o.values[key] = pair.Value
		o.places[key] = r.pos(pair.Key)
	}
	return o
}

// hint names the nearest candidate, or all of them.
func hint(word string, candidates []string) string {
	if near := nearest(word, candidates); near != "" {
		return fmt.Sprintf("; did you mean %q?", near)
	}
	return "; expected one of " + strings.Join(candidates, ", ")
}

func kindOf(n ast.Node) string {
	switch n.(type) {
	case *ast.NullNode:
		return "nothing"
	case *ast.StringNode, *ast.LiteralNode:
		return fmt.Sprintf("the text %q", n.GetToken().Value)
	case *ast.SequenceNode:
		return "a list"
	case *ast.MappingNode, *ast.MappingValueNode:
		return "a mapping"
	}
	return n.String()
}

func (o *object) has(key string) bool { _, ok := o.values[key]; return ok }

func (o *object) place(key string) Pos {
	if n, ok := o.values[key]; ok {
		return o.pos(n)
	}
	return o.at
}

// text reads a string; a missing one that is required is a problem.
func (o *object) text(key string, required bool) string {
	n, ok := o.values[key]
	if !ok {
		if required {
			o.failf(o.at, "%s: %q is missing", o.what, key)
		}
		return ""
	}
	s, ok := scalar(n).(string)
	if !ok {
		o.failf(o.pos(n), "%s: %q is %s, expected a text", o.what, key, kindOf(n))
		return ""
	}
	if s = strings.Join(strings.Fields(s), " "); s == "" {
		o.failf(o.pos(n), "%s: %q is empty", o.what, key)
	}
	return s
}

// oneOf reads a string that must be among allowed.
func (o *object) oneOf(key string, allowed []string, required bool) string {
	s := o.text(key, required)
	if s != "" && !slices.Contains(allowed, s) {
		o.failf(o.place(key), "%s: unknown %s %q%s", o.what, key, s, hint(s, allowed))
		return ""
	}
	return s
}

// number reads an integer of lo to hi; 0 when it is left out.
func (o *object) number(key string, lo, hi int) int {
	n, ok := o.values[key]
	if !ok {
		return 0
	}
	v, ok := scalar(n).(int)
	if !ok || v < lo || v > hi {
		o.failf(o.pos(n), "%s: %q is %s, expected an integer of %d to %d", o.what, key, kindOf(n), lo, hi)
		return 0
	}
	return v
}

// truth reads a bool; false when it is left out.
func (o *object) truth(key string) bool {
	n, ok := o.values[key]
	if !ok {
		return false
	}
	v, ok := scalar(n).(bool)
	if !ok {
		o.failf(o.pos(n), "%s: %q is %s, expected true or false", o.what, key, kindOf(n))
	}
	return v
}

// list reads a sequence; empty when it is left out.
func (o *object) list(key string) []ast.Node {
	n, ok := o.values[key]
	if !ok {
		return nil
	}
	seq, ok := n.(*ast.SequenceNode)
	if !ok {
		o.failf(o.pos(n), "%s: %q is %s, expected a list", o.what, key, kindOf(n))
		return nil
	}
	if len(seq.Values) == 0 {
		o.failf(o.pos(n), "%s: %q is an empty list; leave it out", o.what, key)
	}
	return seq.Values
}

// scalar is the Go value of a plain YAML value: string, int, float64, bool, or nil for anything else.
func scalar(n ast.Node) any {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value
	case *ast.LiteralNode:
		return n.Value.Value
	case *ast.BoolNode:
		return n.Value
	case *ast.FloatNode:
		return n.Value
	case *ast.IntegerNode:
		switch v := n.Value.(type) {
		case int64:
			return int(v)
		case uint64:
			return int(v)
		}
	}
	return nil
}
