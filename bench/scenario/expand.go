package scenario

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// expand makes the variants of For. A text that is nothing but ${NAME} becomes the value itself, with its type.
func (v *Variant) expand() ([]Variant, error) {
	if len(v.For) == 0 {
		return []Variant{*v}, nil
	}
	combinations := []map[string]any{{}}
	for _, name := range slices.Sorted(maps.Keys(v.For)) {
		if len(v.For[name]) == 0 {
			return nil, fmt.Errorf("for.%s has no values", name)
		}
		var longer []map[string]any
		for _, c := range combinations {
			for _, value := range v.For[name] {
				with := maps.Clone(c)
				with[name] = value
				longer = append(longer, with)
			}
		}
		combinations = longer
	}
	var list []Variant
	for _, c := range combinations {
		made := *v
		made.For = nil
		made.Name = fmt.Sprint(fill(v.Name, c))
		made.Series = fmt.Sprint(fill(v.Series, c))
		if x, ok := c["x"]; ok && v.X == 0 {
			if err := number(x, &made.X); err != nil {
				return nil, fmt.Errorf("for.x: %w", err)
			}
		}
		made.Native = nil
		for _, name := range v.Native {
			made.Native = append(made.Native, fmt.Sprint(fill(name, c)))
		}
		made.Servers = nil
		for _, server := range v.Servers {
			made.Servers = append(made.Servers, fill(server, c).(map[string]any))
		}
		if v.Plugins != nil {
			made.Plugins = fill(v.Plugins, c).([]any)
		}
		made.Proof = Proof{Response: fillTexts(v.Proof.Response, c), Upstream: fillTexts(v.Proof.Upstream, c)}
		list = append(list, made)
	}
	return list, nil
}

// number reads a value as YAML does.
func number(value any, to *float64) error {
	b, err := yaml.Marshal(value)
	if err != nil {
		return err
	}
	return yaml.Unmarshal(b, to)
}

func fillTexts(texts map[string]string, values map[string]any) map[string]string {
	if texts == nil {
		return nil
	}
	m := make(map[string]string, len(texts))
	for name, text := range texts {
		m[name] = fmt.Sprint(fill(text, values))
	}
	return m
}

// fill copies a YAML value with ${NAME} replaced in its texts. An item of a list that is nothing but ${NAME} whose value is a list becomes its
// items.
func fill(v any, values map[string]any) any {
	switch v := v.(type) {
	case string:
		if name, ok := strings.CutPrefix(v, "${"); ok && strings.HasSuffix(name, "}") {
			if value, known := values[strings.TrimSuffix(name, "}")]; known {
				if _, text := value.(string); !text {
					return value
				}
			}
		}
		for name, value := range values {
			v = strings.ReplaceAll(v, "${"+name+"}", fmt.Sprint(value))
		}
		return v
	case []any:
		list := make([]any, 0, len(v))
		for _, item := range v {
			filled := fill(item, values)
			if several, ok := filled.([]any); ok {
				if _, text := item.(string); text {
					list = append(list, several...)
					continue
				}
			}
			list = append(list, filled)
		}
		return list
	case map[string]any:
		m := make(map[string]any, len(v))
		for name, item := range v {
			m[name] = fill(item, values)
		}
		return m
	}
	return v
}
