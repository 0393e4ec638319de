package config

import (
	"cmp"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	jskind "github.com/santhosh-tekuri/jsonschema/v6/kind"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
	"github.com/outrigger-gateway/outrigger/proto/nearest"
)

// schemaErrors says in our words, and with places, what a schema refused. Values that the schema calls secret are not shown.
func schemaErrors(p *entity.Plugin, schema *jsonschema.Schema, err error) Errors {
	t := &translator{plugin: p, schema: schema}
	var invalid *jsonschema.ValidationError
	if !errors.As(err, &invalid) {
		t.add(nil, false, Error{Found: "a configuration that cannot be checked", Expected: "one that the schema accepts"})
		return t.errs
	}
	t.translate(invalid)
	if len(t.errs) == 0 {
		t.add(nil, false, Error{Found: "a configuration that the schema refuses", Expected: "one that it accepts"})
	}
	return t.errs
}

type translator struct {
	plugin *entity.Plugin
	schema *jsonschema.Schema
	errs   Errors
}

// mostErrors of one configuration are reported: finding their places costs.
const mostErrors = 100

// add records an error at a place inside the configuration; key: at the key instead of the value.
func (t *translator) add(at []string, key bool, e Error) {
	if len(t.errs) >= mostErrors {
		return
	}
	pos := t.plugin.Pos
	find := t.plugin.At
	if key {
		find = t.plugin.KeyAt
	}
	if find != nil {
		pos = find(at)
	}
	e.File, e.Line, e.Col = pos.File, pos.Line, pos.Col
	e.Path = t.path(at)
	e.Code = CodePluginConfig
	for _, other := range t.errs {
		if *other == e {
			return // several branches of a schema say the same
		}
	}
	t.errs = append(t.errs, &e)
}

// path writes the place as the rest of the document does: list items in brackets.
func (t *translator) path(at []string) string {
	var b strings.Builder
	b.WriteString(strings.TrimPrefix(t.plugin.Path+".config", "."))
	var v any = t.plugin.Config
	for _, step := range at {
		_, list := v.([]any)
		if list {
			b.WriteString("[" + step + "]")
		} else {
			b.WriteString("." + plainKey(step))
		}
		v = stepInto(v, step)
	}
	return b.String()
}

func stepInto(v any, step string) any {
	switch v := v.(type) {
	case map[string]any:
		return v[step]
	case []any:
		if i, err := strconv.Atoi(step); err == nil && i >= 0 && i < len(v) {
			return v[i]
		}
	}
	return nil
}

// found describes the value at a place.
func (t *translator) found(at []string) string {
	var v any = t.plugin.Config
	for _, step := range at {
		v = stepInto(v, step)
	}
	switch v := v.(type) {
	case []any:
		if len(v) == 0 {
			return "an empty list"
		}
		return "a list"
	case map[string]any:
		return "a mapping"
	case nil:
		return "null"
	}
	if secret(t.schema, at) {
		return "a value that is not shown"
	}
	if s, ok := v.(string); ok {
		return quote(s)
	}
	return fmt.Sprint(v)
}

func (t *translator) translate(e *jsonschema.ValidationError) {
	at := e.InstanceLocation
	expect := func(format string, args ...any) {
		t.add(at, false, Error{Found: t.found(at), Expected: fmt.Sprintf(format, args...)})
	}
	switch k := e.ErrorKind.(type) {
	case *jskind.Schema, *jskind.Group, *jskind.AllOf, *jskind.Reference:
		for _, cause := range e.Causes {
			t.translate(cause)
		}
		if len(e.Causes) == 0 {
			expect("a value that the schema accepts")
		}
	case *jskind.AnyOf:
		t.branches(e)
	case *jskind.OneOf:
		if len(k.Subschemas) > 1 {
			expect("a value that matches one form of the schema only, not forms %d and %d", k.Subschemas[0]+1, k.Subschemas[1]+1)
			return
		}
		t.branches(e)
	case *jskind.Type:
		t.add(at, false, Error{Found: t.found(at), Expected: typeNames(k.Want), Fix: t.typeFix(at, k.Want)})
	case *jskind.Enum:
		t.enum(at, k.Want)
	case *jskind.Const:
		t.enum(at, []any{k.Want})
	case *jskind.Required:
		for _, name := range k.Missing {
			t.add(at, false, Error{Found: "no " + quote(name), Expected: "this key, which the plugin requires"})
		}
	case *jskind.AdditionalProperties:
		t.unknown(at, k.Properties)
	case *jskind.FalseSchema:
		if len(at) > 0 {
			t.unknown(at[:len(at)-1], at[len(at)-1:])
		} else {
			expect("no configuration")
		}
	case *jskind.MinLength:
		expect("at least %s", counted(k.Want, "character"))
	case *jskind.MaxLength:
		expect("at most %s", counted(k.Want, "character"))
	case *jskind.Pattern:
		expect("text that matches %s", k.Want)
	case *jskind.Format:
		expect("text of the form %s", k.Want)
	case *jskind.Minimum:
		expect("a number of at least %s", number(k.Want))
	case *jskind.Maximum:
		expect("a number of at most %s", number(k.Want))
	case *jskind.ExclusiveMinimum:
		expect("a number greater than %s", number(k.Want))
	case *jskind.ExclusiveMaximum:
		expect("a number less than %s", number(k.Want))
	case *jskind.MultipleOf:
		expect("a multiple of %s", number(k.Want))
	case *jskind.MinItems:
		expect("at least %s", counted(k.Want, "item"))
	case *jskind.MaxItems:
		expect("at most %s", counted(k.Want, "item"))
	case *jskind.UniqueItems:
		t.add(append(slices.Clone(at), strconv.Itoa(k.Duplicates[1])), false, Error{
			Found: "the same item as item " + strconv.Itoa(k.Duplicates[0]), Expected: "each item once",
		})
	case *jskind.MinProperties:
		expect("at least %s", counted(k.Want, "key"))
	case *jskind.MaxProperties:
		expect("at most %s", counted(k.Want, "key"))
	case *jskind.PropertyNames:
		t.add(append(slices.Clone(at), k.Property), true, Error{Found: "the key " + quote(k.Property), Expected: "a key that the schema allows"})
	case *jskind.RefCycle:
		expect("a schema that does not refer to itself without end")
	case *jskind.DependentRequired:
		t.add(at, false, Error{Found: quote(k.Prop) + " without " + strings.Join(k.Missing, ", "), Expected: "both"})
	case *jskind.Dependency:
		t.add(at, false, Error{Found: quote(k.Prop) + " without " + strings.Join(k.Missing, ", "), Expected: "both"})
	default:
		t.other(e)
	}
}

// other translates rare keywords; the library's own texts may quote values and are not used.
func (t *translator) other(e *jsonschema.ValidationError) {
	keyword := "not"
	if path := e.ErrorKind.KeywordPath(); len(path) > 0 {
		keyword = path[0]
	}
	t.add(e.InstanceLocation, false, Error{
		Found: t.found(e.InstanceLocation), Expected: "a value that the schema's " + strconv.Quote(keyword) + " accepts",
	})
}

func (t *translator) enum(at []string, want []any) {
	words := make([]string, len(want))
	var texts []string
	for i, w := range want {
		switch w := w.(type) {
		case string:
			words[i] = quote(w)
			texts = append(texts, w)
		case []any, map[string]any:
			words[i] = "a certain structure"
		case nil:
			words[i] = "null"
		default:
			words[i] = fmt.Sprint(w)
		}
	}
	e := Error{Found: t.found(at), Expected: "one of " + strings.Join(words, ", ")}
	if len(words) == 1 {
		e.Expected = words[0]
	}
	var v any = t.plugin.Config
	for _, step := range at {
		v = stepInto(v, step)
	}
	if s, ok := v.(string); ok && !secret(t.schema, at) {
		e.Nearest = nearest.Name(s, texts)
	}
	t.add(at, false, e)
}

func (t *translator) unknown(at []string, names []string) {
	valid := properties(t.schema, at)
	slices.Sort(valid)
	valid = slices.DeleteFunc(slices.Compact(valid), func(s string) bool { return slices.Contains(names, s) })
	for _, name := range names {
		e := Error{Found: "unknown key " + quote(name), Expected: "no keys here", Nearest: nearest.Name(name, valid)}
		switch {
		case e.Nearest != "":
			e.Expected = "a key of the configuration"
		case len(valid) > 0:
			e.Expected = "one of the keys " + strings.Join(valid, ", ")
		}
		t.add(append(slices.Clone(at), name), true, e)
	}
}

// branches reports a value that matches no branch of anyOf or oneOf: what is wrong inside the one branch that fits best, or what
// all of them want.
func (t *translator) branches(e *jsonschema.ValidationError) {
	here := len(e.InstanceLocation)
	var fitting []*translator
	var expected []string
	for _, cause := range e.Causes {
		sub := &translator{plugin: t.plugin, schema: t.schema}
		sub.translate(cause)
		if !refusesType(cause, here) {
			fitting = append(fitting, sub)
		}
		for _, e := range sub.errs {
			if e.Expected != "" && !slices.Contains(expected, e.Expected) {
				expected = append(expected, e.Expected)
			}
		}
	}
	if len(fitting) == 1 {
		for _, e := range fitting[0].errs {
			if !slices.ContainsFunc(t.errs, func(o *Error) bool { return *o == *e }) {
				t.errs = append(t.errs, e)
			}
		}
		return
	}
	const most = 6
	if len(expected) > most {
		expected = append(expected[:most], "…")
	}
	t.add(e.InstanceLocation, false, Error{Found: t.found(e.InstanceLocation), Expected: cmp.Or(strings.Join(expected, ", or "), "another form")})
}

// refusesType reports whether a branch wants another type of value at the place itself.
func refusesType(e *jsonschema.ValidationError, depth int) bool {
	if _, ok := e.ErrorKind.(*jskind.Type); ok {
		return len(e.InstanceLocation) == depth
	}
	return slices.ContainsFunc(e.Causes, func(c *jsonschema.ValidationError) bool { return refusesType(c, depth) })
}

// typeFix helps with the usual mistakes of quotes.
func (t *translator) typeFix(at []string, want []string) string {
	var v any = t.plugin.Config
	for _, step := range at {
		v = stepInto(v, step)
	}
	if secret(t.schema, at) || len(want) != 1 {
		return ""
	}
	switch v := v.(type) {
	case string:
		if want[0] == "boolean" {
			if b, ok := (&node{kind: kindText, text: v}).boolean(); ok {
				return "write " + strconv.FormatBool(b) + " without quotes"
			}
		}
		if want[0] == "array" && len(v) < 60 {
			return "write [" + quote(v) + "]"
		}
		if (want[0] == "integer" || want[0] == "number") && isDigits(v) {
			return "write " + v + " without quotes"
		}
	case bool, int64, float64:
		if want[0] == "string" {
			return "write " + quote(fmt.Sprint(v)) + " with the quotes"
		}
	}
	return ""
}

func typeNames(want []string) string {
	names := map[string]string{
		"string": "a string", "integer": "a whole number", "number": "a number", "boolean": "true or false", "array": "a list",
		"object": "a mapping", "null": "null",
	}
	out := make([]string, len(want))
	for i, w := range want {
		out[i] = cmp.Or(names[w], w)
	}
	return strings.Join(out, " or ")
}

func counted(n int, unit string) string {
	if n == 1 {
		return "1 " + unit
	}
	return strconv.Itoa(n) + " " + unit + "s"
}

func number(r *big.Rat) string {
	if r.IsInt() {
		return r.RatString()
	}
	f, _ := r.Float64()
	return strconv.FormatFloat(f, 'g', -1, 64)
}
