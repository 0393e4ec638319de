package schema

import (
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"slices"
	"strings"
)

// node is the schema of one Go type in one place.
type node struct {
	kind     string // object, map, array, string, integer, number, boolean; "" takes anything
	nullable bool
	secret   bool
	// referenceable: a text may be a reference to a secret, which the gateway replaces by the secret before the plugin sees it.
	referenceable bool

	// object
	fields []field
	// map and array
	elem *node
	// map
	keys               *regexp.Regexp
	minProps, maxProps *int

	enum      []any
	min, max  *float64
	above     *float64 // exclusive
	below     *float64 // exclusive
	minLen    *int
	maxLen    *int
	minItems  *int
	maxItems  *int
	unique    bool
	format    *format
	pattern   string
	re        *regexp.Regexp
	base64    bool // []byte
	anyFormat bool // the type unmarshals itself
}

// field is one property of an object.
type field struct {
	name     string
	index    []int // for reflect.Value.FieldByIndex
	required bool
	node     *node
	def      any // JSON value, nil: none
	doc      string
}

var (
	jsonUnmarshaler = reflect.TypeFor[json.Unmarshaler]()
	textUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()
	rawMessage      = reflect.TypeFor[json.RawMessage]()
)

// root makes the node of an instance as New returns it: a pointer to a struct.
func root(instance any) (*node, reflect.Value, error) {
	var in scope
	if w, ok := instance.(wrapped); ok {
		instance, in.lower = w.Configuration()
	}
	v := reflect.ValueOf(instance)
	if v.Kind() != reflect.Pointer || v.IsNil() || v.Elem().Kind() != reflect.Struct {
		return nil, v, fmt.Errorf("configuration of %T: expected a pointer to a struct, as New returns it", instance)
	}
	n, err := typeNode(v.Elem().Type(), in)
	if err != nil {
		return nil, v, fmt.Errorf("configuration of %T: %w", instance, err)
	}
	if err := n.takeDefaults(v.Elem()); err != nil {
		return nil, v, fmt.Errorf("configuration of %T: %w", instance, err)
	}
	return n, v.Elem(), nil
}

// scope is where a type stands.
type scope struct {
	above []reflect.Type // the structs around it
	// lower: fields without a json name are called by their Go name in lower case, and fields that no JSON value fits are left out.
	lower bool
}

// wrapped is an instance whose configuration is that of another value. Names are as scope says.
type wrapped interface {
	Configuration() (instance any, lowerCaseNames bool)
}

// typeNode makes the node of a type.
func typeNode(t reflect.Type, in scope) (*node, error) {
	switch {
	case t == rawMessage || t.Implements(jsonUnmarshaler) || reflect.PointerTo(t).Implements(jsonUnmarshaler):
		return &node{anyFormat: true, nullable: true}, nil
	case t.Kind() != reflect.Pointer && (t.Implements(textUnmarshaler) || reflect.PointerTo(t).Implements(textUnmarshaler)):
		return &node{kind: "string"}, nil
	}
	switch t.Kind() {
	case reflect.Pointer:
		n, err := typeNode(t.Elem(), in)
		if err == nil {
			n.nullable = true
		}
		return n, err
	case reflect.Bool:
		return &node{kind: "boolean"}, nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		n := &node{kind: "integer"}
		if bits := t.Bits(); bits < 64 {
			n.bound(-float64(int64(1)<<(bits-1)), float64(int64(1)<<(bits-1)-1))
		}
		return n, nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		n := &node{kind: "integer", min: new(float64)}
		if bits := t.Bits(); bits < 64 {
			n.bound(0, float64(uint64(1)<<bits-1))
		}
		return n, nil
	case reflect.Float32, reflect.Float64:
		return &node{kind: "number"}, nil
	case reflect.String:
		return &node{kind: "string"}, nil
	case reflect.Interface:
		return &node{nullable: true, anyFormat: true}, nil
	case reflect.Slice, reflect.Array:
		if t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8 {
			return &node{kind: "string", base64: true}, nil
		}
		elem, err := typeNode(t.Elem(), in)
		if err != nil {
			return nil, err
		}
		n := &node{kind: "array", elem: elem}
		if t.Kind() == reflect.Array {
			length := t.Len()
			n.minItems, n.maxItems = &length, &length
		}
		return n, nil
	case reflect.Map:
		if t.Key().Kind() != reflect.String {
			return nil, fmt.Errorf("%s: keys of a map must be strings", t)
		}
		elem, err := typeNode(t.Elem(), in)
		if err != nil {
			return nil, err
		}
		return &node{kind: "map", elem: elem}, nil
	case reflect.Struct:
		return structNode(t, in)
	}
	return nil, fmt.Errorf("%s has no JSON form", t)
}

func (n *node) bound(lowest, highest float64) { n.min, n.max = &lowest, &highest }

func structNode(t reflect.Type, in scope) (*node, error) {
	if slices.Contains(in.above, t) {
		return nil, fmt.Errorf("%s contains itself", t)
	}
	n := &node{kind: "object"}
	in.above = append(slices.Clone(in.above), t)
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "-" && options == "" || !f.IsExported() && !f.Anonymous {
			continue
		}
		if f.Anonymous && name == "" {
			if inner := deref(f.Type); inner.Kind() == reflect.Struct {
				if f.Type.Kind() == reflect.Pointer {
					return nil, fmt.Errorf("field %s: an embedded pointer is not supported, embed the struct", f.Name)
				}
				embedded, err := structNode(inner, in)
				if err != nil {
					return nil, err
				}
				for _, e := range embedded.fields {
					e.index = append([]int{i}, e.index...)
					n.fields = append(n.fields, e)
				}
				continue
			}
		}
		if !f.IsExported() {
			continue
		}
		if name == "" {
			if name = f.Name; in.lower {
				name = strings.ToLower(name)
			}
		}
		child, err := typeNode(f.Type, in)
		if err != nil && in.lower {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("field %s: %w", f.Name, err)
		}
		entry := field{name: name, index: []int{i}, node: child, doc: f.Tag.Get("doc")}
		if err := entry.applyTag(f.Tag.Get("schema")); err != nil {
			return nil, fmt.Errorf("field %s: schema tag: %w", f.Name, err)
		}
		if slices.ContainsFunc(n.fields, func(o field) bool { return o.name == name }) {
			return nil, fmt.Errorf("two fields are called %q", name)
		}
		n.fields = append(n.fields, entry)
	}
	return n, nil
}

func deref(t reflect.Type) reflect.Type {
	if t.Kind() == reflect.Pointer {
		return t.Elem()
	}
	return t
}

// takeDefaults makes the values of an instance that New has set the defaults of its fields.
func (n *node) takeDefaults(v reflect.Value) error {
	for i := range n.fields {
		f := &n.fields[i]
		value := v.FieldByIndex(f.index)
		if f.node.kind == "object" && value.Kind() == reflect.Struct {
			if err := f.node.takeDefaults(value); err != nil {
				return err
			}
			continue
		}
		if value.IsZero() {
			continue
		}
		def, err := jsonValue(value.Interface())
		if err != nil {
			return fmt.Errorf("default of %s: %w", f.name, err)
		}
		f.node.rename(def)
		f.def = def
		if f.node.kind == "object" {
			f.node.settle(def)
		}
		if problems := f.node.check(nil, def, nil); len(problems) > 0 {
			return fmt.Errorf("default of %s: %s", f.name, problems[0].Message)
		}
	}
	return nil
}

// rename gives the fields of a default, which encoding/json has written, the names of the schema where these are in lower case.
func (n *node) rename(v any) {
	switch t := v.(type) {
	case []any:
		for _, e := range t {
			if n.kind == "array" {
				n.elem.rename(e)
			}
		}
	case map[string]any:
		for _, e := range t {
			if n.kind == "map" {
				n.elem.rename(e)
			}
		}
		for i := range n.fields {
			f := &n.fields[i]
			for key, value := range t {
				if key != f.name && strings.EqualFold(key, f.name) {
					delete(t, key)
					t[f.name] = value
				}
			}
			f.node.rename(t[f.name])
		}
	}
}

// jsonValue is v as encoding/json reads it back: nil, bool, json.Number, string, []any, map[string]any.
func jsonValue(v any) (any, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return parse(b)
}

func parse(text []byte) (any, error) {
	d := json.NewDecoder(strings.NewReader(string(text)))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) { // More takes a closing bracket for the end
		return nil, errors.New("text goes on behind the JSON value")
	}
	return v, nil
}
