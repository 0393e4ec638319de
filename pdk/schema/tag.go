package schema

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// applyTag reads a schema tag. Keywords of values go to the elements of a list.
func (f *field) applyTag(tag string) error {
	for _, part := range splitTag(tag) {
		key, value, given := strings.Cut(part, "=")
		key = strings.TrimSpace(key)
		switch key {
		case "required", "secret", "referenceable", "unique":
			if given {
				return fmt.Errorf("%s takes no value, found %q", key, value)
			}
			if err := f.applyFlag(key); err != nil {
				return err
			}
			continue
		case "":
			continue
		}
		if !given {
			return fmt.Errorf("%s needs a value: %s=…", key, key)
		}
		if err := f.applyKeyword(key, value); err != nil {
			return fmt.Errorf("%s=%s: %w", key, value, err)
		}
	}
	return nil
}

func (f *field) applyFlag(key string) error {
	switch key {
	case "required":
		f.required = true
	case "secret":
		f.node.hide()
	case "referenceable":
		if !f.node.refer() {
			return fmt.Errorf("referenceable is for text, the field is %s", f.node.typeName())
		}
	case "unique":
		if f.node.kind != "array" {
			return fmt.Errorf("unique is for lists, the field is %s", f.node.typeName())
		}
		f.node.unique = true
	}
	return nil
}

// ofTheWhole are the keywords that speak of a list itself, not of its elements.
var ofTheWhole = []string{"minitems", "maxitems", "default"}

func (f *field) applyKeyword(key, value string) error {
	n := f.node
	for n.kind == "array" && !slices.Contains(ofTheWhole, key) {
		n = n.elem
	}
	var err error
	switch key {
	case "default":
		f.def, err = n.literal(value)
		if err == nil {
			err = firstProblem(n.check(nil, f.def, nil))
		}
	case "enum":
		for _, text := range strings.Split(value, "|") {
			v, err := n.literal(text)
			if err != nil {
				return err
			}
			n.enum = append(n.enum, v)
		}
	case "min":
		n.min, err = number(n, value)
	case "max":
		n.max, err = number(n, value)
	case "above":
		n.above, err = number(n, value)
	case "below":
		n.below, err = number(n, value)
	case "minlen":
		n.minLen, err = count(n, "string", value)
	case "maxlen":
		n.maxLen, err = count(n, "string", value)
	case "minitems":
		n.minItems, err = count(n, "array", value)
	case "maxitems":
		n.maxItems, err = count(n, "array", value)
	case "minprops":
		n.minProps, err = count(n, "map", value)
	case "maxprops":
		n.maxProps, err = count(n, "map", value)
	case "keys":
		if n.kind != "map" {
			return fmt.Errorf("is for maps, the field is %s", n.typeName())
		}
		n.keys, err = regexp.Compile(value)
	case "format":
		err = n.setFormat(value)
	case "pattern":
		if n.kind != "string" {
			return fmt.Errorf("is for text, the field is %s", n.typeName())
		}
		n.pattern = value
		n.re, err = regexp.Compile(value)
	default:
		return fmt.Errorf("unknown keyword; known are required, default, enum, min, max, above, below, minlen, maxlen, minitems, maxitems, unique, minprops, maxprops, keys, pattern, format, secret, referenceable")
	}
	return err
}

func firstProblem(problems []Problem) error {
	if len(problems) == 0 {
		return nil
	}
	return fmt.Errorf("%s", problems[0].Message)
}

// literal reads the value of a tag: plain text for a string, JSON for everything else.
func (n *node) literal(text string) (any, error) {
	if n.kind == "string" {
		return text, nil
	}
	v, err := parse([]byte(text))
	if err != nil {
		return nil, fmt.Errorf("expected a JSON %s: %w", n.typeName(), err)
	}
	return v, nil
}

func number(n *node, text string) (*float64, error) {
	if n.kind != "integer" && n.kind != "number" {
		return nil, fmt.Errorf("is for numbers, the field is %s", n.typeName())
	}
	v, err := strconv.ParseFloat(text, 64)
	return &v, err
}

func count(n *node, kind, text string) (*int, error) {
	if n.kind != kind {
		return nil, fmt.Errorf("is for %s, the field is %s", kind, n.typeName())
	}
	v, err := strconv.Atoi(text)
	if err == nil && v < 0 {
		err = fmt.Errorf("is negative")
	}
	return &v, err
}

// splitTag splits at commas; "\," is a comma.
func splitTag(tag string) []string {
	var parts []string
	var b strings.Builder
	for i := 0; i < len(tag); i++ {
		switch {
		case tag[i] == '\\' && i+1 < len(tag) && tag[i+1] == ',':
			i++
			b.WriteByte(',')
		case tag[i] == ',':
			parts = append(parts, b.String())
			b.Reset()
		default:
			b.WriteByte(tag[i])
		}
	}
	return append(parts, b.String())
}

// typeName is the JSON type for messages.
func (n *node) typeName() string {
	switch n.kind {
	case "":
		return "value"
	case "map":
		return "object"
	}
	return n.kind
}

// numberOf reads a JSON number.
func numberOf(v any) (float64, bool) {
	n, ok := v.(json.Number)
	if !ok {
		return 0, false
	}
	f, err := n.Float64()
	return f, err == nil
}

// hide makes a node secret, with everything in it.
func (n *node) hide() {
	n.secret = true
	if n.elem != nil {
		n.elem.hide()
	}
	for i := range n.fields {
		n.fields[i].node.hide()
	}
}

// refer makes the texts of a node referenceable; false when there are none.
func (n *node) refer() bool {
	switch {
	case n.kind == "string" && !n.base64:
		n.referenceable = true
		return true
	case n.kind == "array" || n.kind == "map":
		return n.elem.refer()
	}
	return false
}
