package config

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strconv"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// fillDefaults puts the schema's defaults into a configuration, at every depth. A null where the schema wants something else counts
// as absent, as in Kong.
func fillDefaults(s *jsonschema.Schema, v any) error {
	_, err := fill(s, v, 0)
	return err
}

var errEndless = errors.New("its defaults nest without end")

// fill returns v with defaults; mappings and lists are changed in place.
func fill(s *jsonschema.Schema, v any, depth int) (any, error) {
	if depth > maxDepth {
		return v, errEndless
	}
	var err error
	into := func(sub *jsonschema.Schema, child any) any {
		if err == nil && sub != nil {
			child, err = fill(sub, child, depth+1)
		}
		return child
	}
	switch v := v.(type) {
	case map[string]any:
		children(s, false, func(s *jsonschema.Schema) { fillMapping(s, v, into) })
	case []any:
		for i := range v {
			below(s, strconv.Itoa(i), false, func(sub *jsonschema.Schema) { v[i] = into(sub, v[i]) })
		}
	}
	return v, err
}

func fillMapping(s *jsonschema.Schema, m map[string]any, into func(*jsonschema.Schema, any) any) {
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		sub := s.Properties[name]
		if v, ok := m[name]; ok && v == nil && !nullable(sub) {
			delete(m, name)
		}
		if _, ok := m[name]; !ok {
			if v, ok := defaultOf(sub); ok {
				m[name] = v
			}
		}
		if v, ok := m[name]; ok {
			m[name] = into(sub, v)
		}
	}
	for name, v := range m {
		if _, declared := s.Properties[name]; declared {
			continue
		}
		below(&jsonschema.Schema{PatternProperties: s.PatternProperties, AdditionalProperties: s.AdditionalProperties}, name, false,
			func(sub *jsonschema.Schema) { m[name] = into(sub, v) })
	}
}

// nullable reports whether a schema may accept null.
func nullable(s *jsonschema.Schema) bool {
	seen := map[*jsonschema.Schema]bool{}
	var accepts func(s *jsonschema.Schema) bool
	accepts = func(s *jsonschema.Schema) bool {
		if seen[s] {
			return false // a circle adds nothing
		}
		seen[s] = true
		may := true
		children(s, false, func(s *jsonschema.Schema) {
			seen[s] = true
			switch {
			case s.Bool != nil:
				may = may && *s.Bool
			case s.Types != nil && !slices.Contains(s.Types.ToStrings(), "null"):
				may = false
			case s.Enum != nil && !slices.Contains(s.Enum.Values, nil):
				may = false
			case len(s.AnyOf) > 0 && !slices.ContainsFunc(s.AnyOf, accepts):
				may = false
			case len(s.OneOf) > 0 && !slices.ContainsFunc(s.OneOf, accepts):
				may = false
			}
		})
		return may
	}
	return accepts(s)
}

// defaultOf is a fresh copy of the first default that the schema, or one that it refers to, names.
func defaultOf(s *jsonschema.Schema) (value any, ok bool) {
	children(s, false, func(s *jsonschema.Schema) {
		if s.Default != nil && !ok {
			value, ok = plain(*s.Default), true
		}
	})
	return value, ok
}

// plain copies a decoded JSON value; numbers become int64 where they are whole, else float64.
func plain(v any) any {
	switch v := v.(type) {
	case json.Number:
		if i, err := v.Int64(); err == nil {
			return i
		}
		f, _ := v.Float64()
		return f
	case []any:
		list := make([]any, len(v))
		for i := range v {
			list[i] = plain(v[i])
		}
		return list
	case map[string]any:
		m := make(map[string]any, len(v))
		for key := range v {
			m[key] = plain(v[key])
		}
		return m
	default:
		return v
	}
}
