package pdkdef

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"

	"github.com/outrigger-gateway/outrigger/proto/nearest"
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

func (r *reader) pos(n *yaml.Node) Pos { return Pos{r.file, n.Line, n.Column} }

func (r *reader) failf(pos Pos, format string, args ...any) {
	r.problems = append(r.problems, Problem{pos, fmt.Sprintf(format, args...)})
}

// parse reads the trees of all documents of a file. When it is no YAML, that is the only problem of the file.
func (r *reader) parse(text []byte) []*yaml.Node {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var all []*yaml.Node
	for {
		var document yaml.Node
		err := decoder.Decode(&document)
		if err == io.EOF {
			return all
		}
		if err != nil {
			r.malformed(text, err)
			return nil
		}
		if n := document.Content[0]; n.ShortTag() != "!!null" || n.Value != "" { // no empty document
			all = append(all, n)
		}
	}
}

// malformed reports what the YAML parser says.
func (r *reader) malformed(text []byte, err error) {
	at, message := yaml.Mark{}, err.Error()
	var e *yaml.LoadError
	if errors.As(err, &e) {
		at, message = e.Mark, e.Message
		lines := bytes.Split(bytes.TrimRight(text, " \t\r\n"), []byte("\n"))
		if last := len(lines); at.Line > last { // it was noticed at the end of the text: tell where the unfinished thing begins
			at = e.ContextMark
			if at.Line < 1 || at.Line > last {
				at.Line, at.Column = last, utf8.RuneCount(lines[last-1])+1
			}
		}
	}
	r.failf(Pos{r.file, max(1, at.Line), max(1, at.Column)}, "%s", message)
}

// object is one YAML mapping with the keys that its reader knows.
type object struct {
	*reader
	what   string // for messages: function request.get_header
	at     Pos
	values map[string]*yaml.Node
	keys   []string // in the order of the file
	places map[string]Pos
}

// object reads n as a mapping whose keys are all among known; nil when n is no mapping.
func (r *reader) object(n *yaml.Node, what string, known ...string) *object {
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
func (r *reader) entries(n *yaml.Node, what string) *object {
	o := &object{reader: r, what: what, at: r.pos(n), values: map[string]*yaml.Node{}, places: map[string]Pos{}}
	if !is(n, yaml.MappingNode) {
		r.failf(o.at, "%s: found %s, expected a mapping", what, kindOf(n))
		return nil
	}
	for i := 0; i < len(n.Content); i += 2 {
		key, at := n.Content[i], r.pos(n.Content[i])
		if i == 0 {
			o.at = at
		}
		switch _, twice := o.values[key.Value]; {
		case !is(key, yaml.ScalarNode):
			r.failf(at, "%s: a key is %s, expected a text", what, kindOf(key))
		case twice:
			r.failf(at, "%s: key %q stands twice", what, key.Value)
		default:
			o.keys = append(o.keys, key.Value)
			o.values[key.Value] = n.Content[i+1]
			o.places[key.Value] = at
		}
	}
	return o
}

// hint names the nearest candidate, or all of them.
func hint(word string, candidates []string) string {
	if near := nearest.Name(word, candidates); near != "" {
		return fmt.Sprintf("; did you mean %q?", near)
	}
	return "; expected one of " + strings.Join(candidates, ", ")
}

// is reports whether n is of the kind. Something with an anchor or a tag is of none: a definition is plain.
func is(n *yaml.Node, kind yaml.Kind) bool {
	return n.Kind == kind && n.Anchor == "" && n.Style&yaml.TaggedStyle == 0
}

func kindOf(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.AliasNode:
		return "the alias *" + n.Value
	case n.Anchor != "":
		return "the anchor &" + n.Anchor
	case n.Style&yaml.TaggedStyle != 0:
		return "the tag " + n.Tag
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.Kind == yaml.MappingNode:
		return "a mapping"
	case n.ShortTag() == "!!null":
		return "nothing"
	}
	if s, ok := scalar(n).(string); ok {
		return fmt.Sprintf("the text %q", s)
	}
	return n.Value
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
func (o *object) list(key string) []*yaml.Node {
	n, ok := o.values[key]
	if !ok {
		return nil
	}
	if !is(n, yaml.SequenceNode) {
		o.failf(o.pos(n), "%s: %q is %s, expected a list", o.what, key, kindOf(n))
		return nil
	}
	if len(n.Content) == 0 {
		o.failf(o.pos(n), "%s: %q is an empty list; leave it out", o.what, key)
	}
	return n.Content
}

// scalar is the Go value of a plain YAML value: string, int, float64, bool, or nil for anything else.
func scalar(n *yaml.Node) any {
	if !is(n, yaml.ScalarNode) {
		return nil
	}
	switch n.ShortTag() {
	case "!!str", "!!timestamp", "!!merge":
		return n.Value
	}
	var v any
	if err := n.Decode(&v); err != nil {
		return nil
	}
	return v
}
