package schema

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/outrigger-gateway/outrigger/proto/nearest"
)

// Problem is one fault of a configuration.
type Problem struct {
	Path    string // dotted, such as limits.0.name; "" for the whole configuration
	Message string // found and expected
}

// Error lists the faults of a configuration.
type Error struct {
	Problems []Problem
}

func (e *Error) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.Message
		if p.Path != "" {
			lines[i] = p.Path + ": " + p.Message
		}
	}
	return "configuration: " + strings.Join(lines, "; ")
}

// Decode checks a configuration, a JSON object, against the schema of an instance, fills in the defaults, and decodes it over the instance. An empty
// text is an empty object. Lists and maps replace those that New put there. When the configuration is at fault, the error is an *Error that
// lists every fault and the instance is unchanged.
func Decode(instance any, config []byte) error {
	n, v, err := root(instance)
	if err != nil {
		return err
	}
	tree := any(map[string]any{})
	if len(strings.TrimSpace(string(config))) > 0 {
		if tree, err = parse(config); err != nil {
			return &Error{Problems: []Problem{{Message: "is no JSON: " + err.Error()}}}
		}
	}
	if tree == nil {
		tree = map[string]any{}
	}
	if fields, ok := tree.(map[string]any); ok {
		n.fill(fields)
	}
	if problems := n.check(nil, tree, nil); len(problems) > 0 {
		return &Error{Problems: problems}
	}
	full, err := json.Marshal(tree)
	if err != nil {
		return err
	}
	fresh := reflect.New(v.Type())
	fresh.Elem().Set(v)
	n.clear(fresh.Elem(), tree.(map[string]any))
	if err := json.Unmarshal(full, fresh.Interface()); err != nil {
		return &Error{Problems: []Problem{{Path: pathOf(err), Message: err.Error()}}}
	}
	v.Set(fresh.Elem())
	return nil
}

func pathOf(err error) string {
	if t, ok := err.(*json.UnmarshalTypeError); ok {
		return t.Field
	}
	return ""
}

// settle is fill for any value.
func (n *node) settle(v any) {
	switch t := v.(type) {
	case map[string]any:
		if n.kind == "object" {
			n.fill(t)
		} else if n.kind == "map" {
			for _, e := range t {
				n.elem.settle(e)
			}
		}
	case []any:
		if n.kind == "array" {
			for _, e := range t {
				n.elem.settle(e)
			}
		}
	}
}

// fill puts the defaults into an object, deeply.
func (n *node) fill(tree map[string]any) {
	for i := range n.fields {
		f := &n.fields[i]
		v, given := tree[f.name]
		if !given {
			switch {
			case f.def != nil:
				tree[f.name] = clone(f.def)
			case f.node.kind == "object" && !f.node.nullable && !f.required:
				inner := map[string]any{}
				f.node.fill(inner)
				if len(inner) > 0 {
					tree[f.name] = inner
				}
			}
			continue
		}
		f.node.settle(v)
	}
}

func clone(v any) any {
	switch t := v.(type) {
	case []any:
		out := make([]any, len(t))
		for i, e := range t {
			out[i] = clone(e)
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(t))
		for k, e := range t {
			out[k] = clone(e)
		}
		return out
	}
	return v
}

// clear empties the lists, maps and pointers that the configuration gives, because encoding/json would merge into them.
func (n *node) clear(v reflect.Value, tree map[string]any) {
	for i := range n.fields {
		f := &n.fields[i]
		given, there := tree[f.name]
		if !there {
			continue
		}
		value := v.FieldByIndex(f.index)
		if inner, ok := given.(map[string]any); ok && f.node.kind == "object" && value.Kind() == reflect.Struct {
			f.node.clear(value, inner)
			continue
		}
		value.SetZero()
	}
}

// check appends the faults of a value at a path.
func (n *node) check(path []string, v any, problems []Problem) []Problem {
	fault := func(format string, args ...any) {
		problems = append(problems, Problem{Path: strings.Join(path, "."), Message: fmt.Sprintf(format, args...)})
	}
	if v == nil {
		if !n.nullable {
			fault("found null, expected %s", n.article())
		}
		return problems
	}
	if n.kind == "" {
		return problems
	}
	if !n.hasType(v) {
		fault("found %s, expected %s", n.found(v), n.article())
		return problems
	}
	if len(n.enum) > 0 && !slices.ContainsFunc(n.enum, func(e any) bool { return equal(e, v) }) {
		names := make([]string, len(n.enum))
		for i, e := range n.enum {
			names[i] = fmt.Sprint(e)
		}
		fault("found %s, expected one of %s", n.found(v), strings.Join(names, ", "))
	}
	switch t := v.(type) {
	case map[string]any:
		return n.checkMembers(path, t, problems)
	case []any:
		if n.minItems != nil && len(t) < *n.minItems {
			fault("found %d elements, expected at least %d", len(t), *n.minItems)
		}
		if n.maxItems != nil && len(t) > *n.maxItems {
			fault("found %d elements, expected at most %d", len(t), *n.maxItems)
		}
		for i, e := range t {
			problems = n.elem.check(append(slices.Clone(path), strconv.Itoa(i)), e, problems)
			if earlier := slices.IndexFunc(t[:i], func(o any) bool { return equal(o, e) }); n.unique && earlier >= 0 {
				fault("found element %d twice, at %d and %d; expected each once", earlier, earlier, i)
			}
		}
	case string:
		length := utf8.RuneCountInString(t)
		switch {
		case n.minLen != nil && length < *n.minLen:
			fault("found %s, expected at least %d characters", n.found(v), *n.minLen)
		case n.maxLen != nil && length > *n.maxLen:
			fault("found %d characters, expected at most %d", length, *n.maxLen)
		case n.re != nil && !n.re.MatchString(t):
			fault("found %s, expected a match of %s", n.found(v), n.pattern)
		case n.format != nil && !n.format.matches(t):
			fault("found %s, expected %s", n.found(v), n.format.expected)
		}
		if n.base64 {
			if _, err := base64.StdEncoding.DecodeString(t); err != nil {
				fault("found %s, expected base64", n.found(v))
			}
		}
	case json.Number:
		f, ok := numberOf(v)
		switch {
		case !ok:
			fault("found %s, which is out of range", n.found(v))
		case n.min != nil && f < *n.min:
			fault("found %s, expected at least %v", n.found(v), *n.min)
		case n.max != nil && f > *n.max:
			fault("found %s, expected at most %v", n.found(v), *n.max)
		case n.above != nil && f <= *n.above:
			fault("found %s, expected more than %v", n.found(v), *n.above)
		case n.below != nil && f >= *n.below:
			fault("found %s, expected less than %v", n.found(v), *n.below)
		}
	}
	return problems
}

func (n *node) checkMembers(path []string, members map[string]any, problems []Problem) []Problem {
	at := func(name string) []string { return append(slices.Clone(path), name) }
	names := make([]string, 0, len(members))
	for name := range members {
		names = append(names, name)
	}
	slices.Sort(names)
	if n.kind == "map" {
		fault := func(format string, args ...any) {
			problems = append(problems, Problem{Path: strings.Join(path, "."), Message: fmt.Sprintf(format, args...)})
		}
		if n.minProps != nil && len(members) < *n.minProps {
			fault("found %d entries, expected at least %d", len(members), *n.minProps)
		}
		if n.maxProps != nil && len(members) > *n.maxProps {
			fault("found %d entries, expected at most %d", len(members), *n.maxProps)
		}
		for _, name := range names {
			if n.keys != nil && !n.keys.MatchString(name) {
				fault("found the key %q, expected a match of %s", name, n.keys)
			}
			problems = n.elem.check(at(name), members[name], problems)
		}
		return problems
	}
	for i := range n.fields {
		f := &n.fields[i]
		if v, given := members[f.name]; given {
			problems = f.node.check(at(f.name), v, problems)
		} else if f.required {
			problems = append(problems, Problem{Path: strings.Join(at(f.name), "."), Message: "is missing, expected " + f.node.article()})
		}
	}
	for _, name := range names {
		if !slices.ContainsFunc(n.fields, func(f field) bool { return f.name == name }) {
			problems = append(problems, Problem{Path: strings.Join(at(name), "."), Message: n.unknown(name)})
		}
	}
	return problems
}

// unknown says that a name does not exist and which may be meant.
func (n *node) unknown(name string) string {
	known := make([]string, len(n.fields))
	for i, f := range n.fields {
		known[i] = f.name
	}
	best := nearest.Name(name, known)
	switch {
	case best != "":
		return fmt.Sprintf("is unknown; did you mean %q?", best)
	case len(known) == 0:
		return "is unknown; this plugin has no configuration"
	}
	return "is unknown; known are " + strings.Join(known, ", ")
}

func (n *node) hasType(v any) bool {
	switch t := v.(type) {
	case bool:
		return n.kind == "boolean"
	case string:
		return n.kind == "string"
	case []any:
		return n.kind == "array"
	case map[string]any:
		return n.kind == "object" || n.kind == "map"
	case json.Number:
		if n.kind == "integer" {
			if _, err := strconv.ParseInt(string(t), 10, 64); err == nil {
				return true
			}
			_, err := strconv.ParseUint(string(t), 10, 64)
			return err == nil
		}
		return n.kind == "number"
	}
	return false
}

// equal compares JSON values; numbers by value.
func equal(a, b any) bool {
	x, isNumber := numberOf(a)
	y, both := numberOf(b)
	if isNumber && both {
		return x == y && !math.IsNaN(x)
	}
	return reflect.DeepEqual(a, b)
}

// article names what is expected.
func (n *node) article() string {
	switch n.kind {
	case "":
		return "a value"
	case "string":
		return "text"
	case "boolean":
		return "true or false"
	case "integer":
		return "a whole number"
	case "number":
		return "a number"
	case "array":
		return "a list"
	}
	return "an object"
}

// found shows a value, cut when it is long. What is secret is not shown.
func (n *node) found(v any) string {
	if n.secret && v != nil {
		return "a secret value"
	}
	switch t := v.(type) {
	case map[string]any:
		return "an object"
	case []any:
		return "a list"
	case string:
		if len(t) > 60 {
			return strconv.Quote(t[:60]) + "…"
		}
		return strconv.Quote(t)
	}
	return fmt.Sprint(v)
}
