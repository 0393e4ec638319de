package schema

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// Of makes the JSON Schema of the configuration of an instance, which is a pointer to a struct as New returns it.
func Of(instance any) ([]byte, error) {
	n, _, err := root(instance)
	if err != nil {
		return nil, err
	}
	doc := n.document()
	return encode(append(object{{"$schema", "https://json-schema.org/draft/2020-12/schema"}}, doc...))
}

// object is a JSON object that keeps its order, so that the same type gives the same bytes.
type object []member

type member struct {
	key   string
	value any
}

// MarshalJSON implements json.Marshaler.
func (o object) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, m := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		key, err := encode(m.key)
		if err != nil {
			return nil, err
		}
		value, err := encode(m.value)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", m.key, err)
		}
		b.Write(key)
		b.WriteByte(':')
		b.Write(value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// encode is json.Marshal without the escapes for HTML.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte{'\n'}), nil
}

// document lists the keywords of a node.
func (n *node) document() object {
	var doc object
	add := func(key string, value any) { doc = append(doc, member{key, value}) }
	if n.kind != "" {
		if n.nullable {
			add("type", []string{n.typeName(), "null"})
		} else {
			add("type", n.typeName())
		}
	}
	switch n.kind {
	case "object":
		n.describeFields(add)
	case "map":
		if n.keys != nil {
			add("propertyNames", object{{"pattern", n.keys.String()}})
		}
		add("additionalProperties", n.elem.document())
	case "array":
		add("items", n.elem.document())
	}
	if n.base64 {
		add("contentEncoding", "base64")
	}
	if len(n.enum) > 0 {
		enum := n.enum
		if n.nullable {
			enum = append(append([]any{}, enum...), nil)
		}
		add("enum", enum)
	}
	if n.min != nil {
		add("minimum", *n.min)
	}
	if n.max != nil {
		add("maximum", *n.max)
	}
	if n.above != nil {
		add("exclusiveMinimum", *n.above)
	}
	if n.below != nil {
		add("exclusiveMaximum", *n.below)
	}
	if n.minLen != nil {
		add("minLength", *n.minLen)
	}
	if n.maxLen != nil {
		add("maxLength", *n.maxLen)
	}
	if n.minItems != nil {
		add("minItems", *n.minItems)
	}
	if n.maxItems != nil {
		add("maxItems", *n.maxItems)
	}
	if n.unique {
		add("uniqueItems", true)
	}
	if n.minProps != nil {
		add("minProperties", *n.minProps)
	}
	if n.maxProps != nil {
		add("maxProperties", *n.maxProps)
	}
	if n.pattern != "" {
		add("pattern", n.pattern)
	}
	if n.format != nil {
		n.format.describe(n.pattern != "", add)
	}
	if n.secret {
		add("x-secret", true)
	}
	if n.referenceable {
		add("x-referenceable", true)
	}
	return doc
}

func (n *node) describeFields(add func(string, any)) {
	properties := object{}
	var required []string
	for i := range n.fields {
		f := &n.fields[i]
		doc := f.node.document()
		if f.doc != "" {
			doc = append(doc, member{"description", f.doc})
		}
		if f.def != nil {
			doc = append(doc, member{"default", f.def})
		}
		properties = append(properties, member{f.name, doc})
		if f.required && f.def == nil {
			required = append(required, f.name)
		}
	}
	add("properties", properties)
	if required != nil {
		add("required", required)
	}
	add("additionalProperties", false)
}
