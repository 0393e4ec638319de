package schema

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// Resolve gives a configuration in which the references of referenceable fields are replaced by what secret says of them, as the gateway does before
// a plugin sees its configuration. secret answers false for a text that is no reference.
func Resolve(instance any, config []byte, secret func(text string) (value string, isReference bool, err error)) ([]byte, error) {
	n, _, err := root(instance)
	if err != nil || len(strings.TrimSpace(string(config))) == 0 {
		return config, err
	}
	tree, err := parse(config)
	if err != nil {
		return config, nil // Decode says what is wrong with it
	}
	problems := n.resolve("", tree, secret)
	if len(problems) > 0 {
		return nil, &Error{Problems: problems}
	}
	return json.Marshal(tree)
}

// resolve replaces the references inside v, in place.
func (n *node) resolve(path string, v any, secret func(string) (string, bool, error)) (problems []Problem) {
	one := func(below *node, step string, item any, put func(string)) {
		at := strings.TrimPrefix(path+"."+step, ".")
		text, isText := item.(string)
		if !isText || !below.referenceable {
			problems = append(problems, below.resolve(at, item, secret)...)
			return
		}
		value, isReference, err := secret(text)
		switch {
		case err != nil:
			problems = append(problems, Problem{Path: at, Message: fmt.Sprintf("expected a reference that leads to a secret: %v", err)})
		case isReference:
			put(value)
		}
	}
	switch t := v.(type) {
	case []any:
		for i := range t {
			if n.kind == "array" {
				one(n.elem, strconv.Itoa(i), t[i], func(s string) { t[i] = s })
			}
		}
	case map[string]any:
		for name, item := range t {
			if n.kind == "map" {
				one(n.elem, name, item, func(s string) { t[name] = s })
			}
		}
		for i := range n.fields {
			f := &n.fields[i]
			if item, given := t[f.name]; given {
				one(f.node, f.name, item, func(s string) { t[f.name] = s })
			}
		}
	}
	return problems
}
