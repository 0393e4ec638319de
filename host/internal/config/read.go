package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
	"github.com/outrigger-gateway/outrigger/proto/nearest"
)

// reader walks a document, takes values out of it and gathers everything that is wrong.
type reader struct {
	file string
	errs Errors

	selectTags []string            // that every entity has beside its own
	defaults   map[string]*node    // of the entities that are read by these words, such as "a service"
	fields     map[string][]string // that these entities were asked for
	shared     map[*node]*path     // values that several entities have, with their places: what is wrong there is told once
	told       map[sharedError]bool
}

// sharedError is what is wrong with a value that several entities have.
type sharedError struct {
	n    *node
	code string
}

// share notes that several entities have a value.
func (r *reader) share(n *node, at *path) {
	if _, known := r.shared[n]; known {
		return
	}
	if r.shared == nil {
		r.shared = map[*node]*path{}
	}
	r.shared[n] = at
	for i, item := range n.items {
		r.share(item, at.item(i))
	}
	for i := range n.pairs {
		r.share(n.pairs[i].value, at.key(n.pairs[i].key))
	}
}

// mostMistakes of one document are reported: nobody reads more, and a document of 64 MiB may have millions.
const mostMistakes = 1000

// tooMany stands for each of the others.
var tooMany = &Error{}

// fail records an error at a node; the node may be nil when there is no place.
func (r *reader) fail(at *path, n *node, e Error) {
	if n != nil && n.broken {
		return
	}
	if len(r.errs) >= mostMistakes {
		r.errs = append(r.errs, tooMany) // it still counts: what was wrong is not wrong in other ways too
		return
	}
	e.File = r.file
	if place, shared := r.shared[n]; shared {
		e.Path = place.String()
		if r.told[sharedError{n, e.Code}] {
			return
		}
		if r.told == nil {
			r.told = map[sharedError]bool{}
		}
		r.told[sharedError{n, e.Code}] = true
	}
	if e.Path == "" {
		e.Path = at.String()
	}
	if n != nil && n.env != "" { // they would be made of the value
		e.Fix, e.Nearest = "", ""
	}
	if n != nil && n.line > 0 {
		e.Line, e.Col = int(n.line), int(n.col)
	}
	r.errs = append(r.errs, &e)
}

func (r *reader) wrongType(at *path, n *node, expected string) {
	found := n.describe()
	if n.kind != kindText && n.env == "" {
		if k := n.kind.String(); n.kind != kindNull && n.kind != kindList && n.kind != kindMapping {
			found += " (" + k + ")"
		}
	}
	r.fail(at, n, Error{Code: CodeWrongType, Found: found, Expected: expected})
}

func (r *reader) pos(n *node) entity.Pos {
	return entity.Pos{File: r.file, Line: int(n.line), Col: int(n.col)}
}

// object reads the fields of one mapping. Every field is asked for by name; done reports the keys that nobody asked for.
type object struct {
	*reader
	what  string // "a route"
	at    *path
	n     *node
	asked []string
	// defaults is where fields are looked for that are absent; nil: nowhere.
	defaults *node
	later    []string // asked for only to say that they are not supported yet
}

// object starts to read a mapping; nil, with an error recorded, when the node is none.
func (r *reader) object(n *node, at *path, what string) *object {
	if n.kind != kindMapping {
		r.wrongType(at, n, what+", which is a mapping")
		return nil
	}
	return &object{reader: r, what: what, at: at, n: n, asked: make([]string, 0, 32), defaults: r.defaults[what]}
}

// has finds the value of a key; nil when it is absent or null.
func (o *object) has(key string) *node {
	o.asked = append(o.asked, key)
	v := o.n.get(key)
	if o.defaults != nil {
		if d := o.defaults.get(key); v == nil {
			v = d
		} else if d != nil && d.kind == kindMapping && v.kind == kindMapping {
			v = under(v, d)
		}
	}
	if v == nil || v.kind == kindNull {
		return nil
	}
	return v
}

// done reports unknown keys. _comment and _ignore are allowed everywhere.
func (o *object) done() {
	if o.defaults != nil && o.fields[o.what] == nil {
		if o.fields == nil {
			o.fields = map[string][]string{}
		}
		o.fields[o.what] = o.asked
	}
	for i := range o.n.pairs {
		p := &o.n.pairs[i]
		if p.key == "_comment" || p.key == "_ignore" || slices.Contains(o.asked, p.key) || slices.Contains(o.later, p.key) {
			continue
		}
		o.unknown(p)
	}
}

func (o *object) unknown(p *pair) {
	if len(o.errs) >= mostMistakes { // a guess, and the names to write instead, take the longest of all
		o.fail(nil, p.at, Error{})
		return
	}
	e := Error{Code: CodeUnknownKey, Found: "unknown key " + quote(p.key), Nearest: nearest.Name(p.key, o.asked)}
	e.Expected = "a key of " + o.what
	if e.Nearest == "" {
		names := slices.Sorted(slices.Values(o.asked))
		e.Expected += ": " + strings.Join(slices.Compact(names), ", ")
	}
	o.fail(o.at.key(p.key), p.at, e)
}

// unsupported reports fields that Kong has and that do not work here yet.
func (o *object) unsupported(keys ...string) {
	for _, key := range keys {
		v := o.n.get(key)
		o.later = append(o.later, key)
		empty := v == nil || v.kind == kindNull || (v.kind == kindList || v.kind == kindMapping) && len(v.items)+len(v.pairs) == 0
		if empty {
			continue
		}
		o.fail(o.at.key(key), v, Error{
			Code: CodeUnsupported, Found: quote(key) + ", which is not supported yet", Expected: o.what + " without it", Fix: "remove it",
		})
	}
}

// lacks reports whether a field is absent, or null, which means the same.
func (o *object) lacks(key string) bool { return o.has(key) == nil }

// missing reports a required field.
func (o *object) missing(key, expected string) {
	if v := o.n.get(key); v != nil && v.kind == kindNull {
		o.fail(o.at.key(key), v, Error{Code: CodeMissing, Found: "null", Expected: expected})
		return
	}
	o.fail(o.at, o.n, Error{Code: CodeMissing, Found: "no " + quote(key), Expected: expected})
}

// rule checks a text; nil when it is fine.
type rule func(s string) *problem

// problem says what a text should have been.
type problem struct {
	expected string
	fix      string
	nearest  string
	code     string // "" is CodeWrongValue
}

// text reads a string; "" when it is absent. The empty string is refused.
func (o *object) text(key string, rules ...rule) string {
	v := o.has(key)
	if v == nil {
		return ""
	}
	return o.textOf(v, o.at, key, rules...)
}

// textOf reads a string; name is its key below at, or "" when at is the place itself.
func (r *reader) textOf(v *node, at *path, name string, rules ...rule) string {
	place := func() *path {
		if name == "" {
			return at
		}
		return at.key(name)
	}
	if v.kind != kindText {
		if v.kind == kindList || v.kind == kindMapping || v.kind == kindNull {
			r.wrongType(place(), v, "a string")
			return ""
		}
		r.fail(place(), v, Error{
			Code: CodeWrongType, Found: v.describe() + " (" + v.kind.String() + ")", Expected: "a string",
			Fix: "write " + quote(v.text) + " with the quotes",
		})
		return ""
	}
	if v.text == "" {
		r.fail(place(), v, Error{Code: CodeWrongValue, Found: "an empty string", Expected: "at least one character"})
		return ""
	}
	for _, check := range rules {
		if p := check(v.text); p != nil {
			r.problem(place(), v, p)
			return ""
		}
	}
	return v.text
}

func (r *reader) problem(at *path, v *node, p *problem) {
	e := Error{Code: CodeWrongValue, Found: v.describe(), Expected: p.expected, Fix: p.fix, Nearest: p.nearest}
	if p.code != "" {
		e.Code = p.code
	}
	r.fail(at, v, e)
}

// integer reads a whole number between low and high.
func (o *object) integer(key string, absent, low, high int) int {
	v := o.has(key)
	if v == nil {
		return absent
	}
	expected := fmt.Sprintf("a whole number from %d to %d", low, high)
	i, ok := v.integer()
	if !ok && v.kind != kindFloat && v.kind != kindInt {
		e := Error{Code: CodeWrongType, Found: v.describe(), Expected: expected}
		if v.kind == kindText {
			if plain := (&node{kind: kindInt, text: strings.TrimLeft(v.text, "0")}); isDigits(v.text) && plain.text != "" {
				if e.Fix = "write " + plain.text; v.quoted {
					e.Fix += " without quotes"
				}
			}
		}
		o.fail(o.at.key(key), v, e)
		return absent
	}
	if !ok || i < int64(low) || i > int64(high) {
		o.fail(o.at.key(key), v, Error{Code: CodeWrongValue, Found: v.describe(), Expected: expected})
		return absent
	}
	return int(i)
}

func isDigits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// boolean reads true or false; yes, no, on and off without quotes too, as YAML 1.1 has it.
func (o *object) boolean(key string, absent bool) bool {
	v := o.has(key)
	if v == nil {
		return absent
	}
	b, ok := v.boolean()
	if !ok {
		o.fail(o.at.key(key), v, Error{Code: CodeWrongType, Found: v.describe(), Expected: "true or false"})
		return absent
	}
	return b
}

func (n *node) boolean() (value, ok bool) {
	if n.kind != kindBool && (n.kind != kindText || n.quoted) {
		return false, false
	}
	switch strings.ToLower(n.text) {
	case "true", "yes", "on":
		return true, true
	case "false", "no", "off":
		return false, true
	}
	return false, false
}

// choice reads one word of a list.
func (o *object) choice(key, absent string, words ...string) string {
	if s := o.text(key, oneOf(words...)); s != "" {
		return s
	}
	return absent
}

// oneOf is the rule of choice.
func oneOf(words ...string) rule {
	return func(s string) *problem {
		if slices.Contains(words, s) {
			return nil
		}
		p := &problem{expected: "one of " + strings.Join(words, ", "), nearest: nearest.Name(s, words)}
		if len(words) == 1 {
			p.expected = words[0]
		}
		return p
	}
}

// texts reads a list of strings; duplicates are dropped when it is a set. Absent and empty lists are nil.
func (o *object) texts(key string, set bool, rules ...rule) []string {
	v := o.has(key)
	if v == nil {
		return nil
	}
	return o.textsOf(v, o.at.key(key), set, rules...)
}

func (r *reader) textsOf(v *node, at *path, set bool, rules ...rule) []string {
	if v.kind != kindList {
		e := Error{Code: CodeWrongType, Found: v.describe(), Expected: "a list of strings"}
		if v.kind == kindText && len(v.text) < 80 {
			e.Fix = "write [" + quote(v.text) + "]"
		}
		r.fail(at, v, e)
		return nil
	}
	var out []string
	var seen map[string]bool // of long sets
	for i, item := range v.items {
		s := r.textOf(item, at.item(i), "", rules...)
		if s == "" || set && (seen[s] || seen == nil && slices.Contains(out, s)) {
			continue
		}
		out = append(out, s)
		if seen != nil {
			seen[s] = true
		} else if set && len(out) > 32 {
			seen = make(map[string]bool, len(v.items))
			for _, s := range out {
				seen[s] = true
			}
		}
	}
	return out
}

// list calls read for every item of a list; absent and null lists have none.
func (o *object) list(key string, read func(n *node, at *path)) {
	v := o.has(key)
	if v == nil {
		return
	}
	at := o.at.key(key)
	if v.kind != kindList {
		if v.kind == kindMapping && len(v.pairs) == 0 {
			return // an empty table of Lua tools
		}
		o.wrongType(at, v, "a list")
		return
	}
	for i, item := range v.items {
		read(item, at.item(i))
	}
}
