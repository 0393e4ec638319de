package config

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// compileSchema compiles the JSON Schema of a plugin's configuration. A schema may only refer to itself: nothing is loaded from
// files or the network. An empty schema accepts everything.
func compileSchema(text []byte) (*jsonschema.Schema, error) {
	if len(bytes.TrimSpace(text)) == 0 {
		text = []byte("{}")
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("not JSON: %w", err)
	}
	markKeywords(doc)
	const url = "outrigger:///config"
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.UseLoader(noLoader{})
	if err := c.AddResource(url, doc); err != nil {
		return nil, err
	}
	return c.Compile(url)
}

type noLoader struct{}

func (noLoader) Load(string) (any, error) {
	return nil, errors.New("a schema may only refer to itself")
}

// markKeywords turns our keywords into ones that the compiled schema shows: x-secret into writeOnly, x-referenceable into readOnly, which means
// nothing in a configuration.
func markKeywords(doc any) {
	switch v := doc.(type) {
	case map[string]any:
		if v["x-secret"] == true {
			v["writeOnly"] = true
		}
		if flag, isFlag := v["readOnly"].(bool); isFlag && flag {
			delete(v, "readOnly")
		}
		if v["x-referenceable"] == true {
			v["readOnly"] = true
		}
		for key, child := range v {
			switch key {
			case "default", "const", "enum", "examples":
			default:
				markKeywords(child)
			}
		}
	case []any:
		for _, child := range v {
			markKeywords(child)
		}
	}
}

// children calls f for every schema that says something about the same value as s, s included: references, allOf and, when
// branches is set, the branches of which only some apply. It stops after a bounded number, as references may go in circles.
func children(s *jsonschema.Schema, branches bool, f func(*jsonschema.Schema)) {
	seen := map[*jsonschema.Schema]bool{}
	var walk func(s *jsonschema.Schema)
	walk = func(s *jsonschema.Schema) {
		if s == nil || seen[s] {
			return
		}
		seen[s] = true
		f(s)
		walk(s.Ref)
		walk(s.RecursiveRef)
		if s.DynamicRef != nil {
			walk(s.DynamicRef.Ref)
		}
		for _, sub := range s.AllOf {
			walk(sub)
		}
		if branches {
			for _, list := range [][]*jsonschema.Schema{s.AnyOf, s.OneOf, {s.If, s.Then, s.Else, s.Not}} {
				for _, sub := range list {
					walk(sub)
				}
			}
			for _, sub := range s.DependentSchemas {
				walk(sub)
			}
		}
	}
	walk(s)
}

// below calls f for every schema of the property or item called step of a value that s describes.
func below(s *jsonschema.Schema, step string, branches bool, f func(*jsonschema.Schema)) {
	children(s, branches, func(s *jsonschema.Schema) {
		matched := false
		if sub, ok := s.Properties[step]; ok {
			matched = true
			f(sub)
		}
		for pattern, sub := range s.PatternProperties {
			if pattern.MatchString(step) {
				matched = true
				f(sub)
			}
		}
		if sub, ok := s.AdditionalProperties.(*jsonschema.Schema); ok && !matched {
			f(sub)
		}
		if !isDigits(step) {
			return
		}
		var index int
		fmt.Sscan(step, &index)
		list, rest := s.PrefixItems, s.Items2020
		switch items := s.Items.(type) { // drafts before 2020-12
		case *jsonschema.Schema:
			rest = items
		case []*jsonschema.Schema:
			list = items
			rest, _ = s.AdditionalItems.(*jsonschema.Schema)
		}
		switch {
		case index < len(list):
			f(list[index])
		case rest != nil:
			f(rest)
		}
		if branches && s.Contains != nil {
			f(s.Contains)
		}
	})
}

// secret reports whether the value at a place must not be shown: a schema on the way to it says so, or none knows the place.
func secret(root *jsonschema.Schema, at []string) bool {
	said, known := marked(root, at, func(s *jsonschema.Schema) bool { return s.WriteOnly })
	return said || !known
}

// referenceable reports whether the value at a place may be a reference to a secret: a schema on the way to it says so.
func referenceable(root *jsonschema.Schema, at []string) bool {
	said, _ := marked(root, at, func(s *jsonschema.Schema) bool { return s.ReadOnly })
	return said
}

// marked looks for a schema with a mark on the way to a place. known is false when no schema knows the place.
func marked(root *jsonschema.Schema, at []string, mark func(*jsonschema.Schema) bool) (said, known bool) {
	level := []*jsonschema.Schema{root}
	for i := 0; ; i++ {
		for _, s := range level {
			children(s, true, func(s *jsonschema.Schema) { said = said || mark(s) })
		}
		if said || len(level) == 0 || i == len(at) {
			return said, len(level) > 0
		}
		var next []*jsonschema.Schema
		for _, s := range level {
			below(s, at[i], true, func(s *jsonschema.Schema) {
				if len(next) < 256 {
					next = append(next, s)
				}
			})
		}
		level = next
	}
}

// properties lists the names of the properties that a value at a place may have.
func properties(root *jsonschema.Schema, at []string) []string {
	level := []*jsonschema.Schema{root}
	for _, step := range at {
		var next []*jsonschema.Schema
		for _, s := range level {
			below(s, step, true, func(s *jsonschema.Schema) {
				if len(next) < 256 {
					next = append(next, s)
				}
			})
		}
		level = next
	}
	var names []string
	for _, s := range level {
		children(s, true, func(s *jsonschema.Schema) {
			for name := range s.Properties {
				names = append(names, name)
			}
		})
	}
	return names
}
