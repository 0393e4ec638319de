package config

import (
	"encoding/json"
	"reflect"

	"go.yaml.in/yaml/v4"
)

// What programs need that rewrite a document as a text.

// Mark replaces the ${{ … }} expressions of a document by marks that are plain text in YAML and JSON, one as long as the other. Put puts them back
// as they are written, value without the backslashes that quotes inside quotes need.
func Mark(data []byte) (text []byte, put, value func(text string) string) {
	text, found := mark(data)
	put = func(text string) string {
		return eachMark(text, found, func(e *expression) string { return e.text })
	}
	return text, put, func(text string) string { return restore(text, found) }
}

// Syntax reports what keeps a document from being read as YAML or JSON, as Errors; nil: nothing.
func Syntax(name string, data []byte) error {
	text, found := mark(data)
	if _, e := parseDocument(name, text); e != nil {
		e.Path, e.Found, e.Fix = restore(e.Path, found), restore(e.Found, found), restore(e.Fix, found)
		return Errors{e}
	}
	return nil
}

// SameValues reports whether two documents hold the same, whatever they look like. Expressions count as they are written; _format_version may be a
// number in one and text in the other.
func SameValues(a, b []byte) bool {
	va, oka := values(a)
	vb, okb := values(b)
	return oka && okb && reflect.DeepEqual(va, vb)
}

func values(data []byte) (any, bool) {
	text, found := mark(data)
	root, e := parseDocument("", text)
	if e != nil {
		return nil, false
	}
	if v := root.get("_format_version"); v != nil && v.kind != kindList && v.kind != kindMapping {
		v.kind = kindText
	}
	var put func(v any) any
	put = func(v any) any {
		switch v := v.(type) {
		case string:
			return restore(v, found)
		case []any:
			for i := range v {
				v[i] = put(v[i])
			}
		case map[string]any:
			out := make(map[string]any, len(v))
			for key, value := range v {
				out[restore(key, found)] = put(value)
			}
			return out
		}
		return v
	}
	return put(root.value()), true
}

// UpgradePath is a path of a route in the form of format 3.0: a regular expression begins with "~".
func UpgradePath(path string) string {
	if path == "" {
		return path
	}
	return newPath(path)
}

// Scalar is the value of a plain value as a document with it has it, by its tag, such as !!int. Numbers keep their digits.
func Scalar(tag, text string) (any, error) {
	n := node{}
	b := builder{}
	b.scalar(&yaml.Node{Kind: yaml.ScalarNode, Tag: tag, Value: text}, &n)
	if b.err != nil {
		return nil, b.err
	}
	if n.kind == kindFloat || n.kind == kindInt {
		if number := json.Number(n.text); json.Valid([]byte(number)) {
			return number, nil
		}
	}
	return n.value(), nil
}
