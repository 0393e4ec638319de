package vectors

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Value is what a vector spells, in Go's types: nil, bool, int64, uint64 and *big.Int (only beyond the smaller ones), float64, string,
// []byte, []any, map[string]any. A number beyond 2^53 is a float64: integers of that size are spelt {"int": …}.
func Value(spelt any) (any, error) {
	switch s := spelt.(type) {
	case nil, bool, string:
		return s, nil
	case json.Number:
		if n, err := strconv.ParseInt(s.String(), 10, 64); err == nil && n <= maxExact && n >= -maxExact {
			return n, nil
		}
		return s.Float64() // as every language's JSON reads it
	case []any:
		list := make([]any, len(s))
		for i := range s {
			var err error
			if list[i], err = Value(s[i]); err != nil {
				return nil, err
			}
		}
		return list, nil
	case map[string]any:
		if len(s) == 1 {
			for key, item := range s {
				if text, ok := item.(string); ok && (key == "hex" || key == "text" || key == "int") {
					return special(key, text)
				}
			}
		}
		m := make(map[string]any, len(s))
		for k := range s {
			var err error
			if m[k], err = Value(s[k]); err != nil {
				return nil, err
			}
		}
		return m, nil
	}
	return nil, fmt.Errorf("found %T %v; expected a value as encoding/json reads it", spelt, spelt)
}

func special(key, text string) (any, error) {
	if key == "int" {
		n, ok := new(big.Int).SetString(text, 10)
		switch {
		case !ok:
			return nil, fmt.Errorf("int: found %q; expected decimal digits", text)
		case n.IsInt64():
			return n.Int64(), nil
		case n.IsUint64():
			return n.Uint64(), nil
		}
		return n, nil
	}
	b, err := hex.DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	if key == "text" {
		return string(b), nil
	}
	return append([]byte{}, b...), nil
}

// maxExact is the largest integer up to which every language's JSON keeps integers exact.
const maxExact = 1<<53 - 1

// Spell is the reverse of Value: a value in the spelling of vectors, ready for encoding/json.
func Spell(v any) any {
	switch v := v.(type) {
	case string:
		if !utf8.ValidString(v) {
			return map[string]any{"text": hex.EncodeToString([]byte(v))}
		}
	case []byte:
		return map[string]any{"hex": hex.EncodeToString(v)}
	case int:
		return Spell(int64(v))
	case int64:
		if v > maxExact || v < -maxExact {
			return map[string]any{"int": strconv.FormatInt(v, 10)}
		}
	case uint64:
		if v > maxExact {
			return map[string]any{"int": strconv.FormatUint(v, 10)}
		}
	case float64:
		if v > maxExact || v < -maxExact {
			return json.Number(strconv.FormatFloat(v, 'e', -1, 64)) // so that nobody takes it for an integer
		}
	case []string:
		list := make([]any, len(v))
		for i := range v {
			list[i] = Spell(v[i])
		}
		return list
	case []any:
		list := make([]any, len(v))
		for i := range v {
			list[i] = Spell(v[i])
		}
		return list
	case map[string]any:
		m := make(map[string]any, len(v))
		for k := range v {
			m[k] = Spell(v[k])
		}
		return m
	}
	return v
}

// Equal compares two values in Go's types: numbers by value, bytes unlike text. The error says what differs.
func Equal(found, expected any) error {
	if got, want := canonical(found), canonical(expected); got != want {
		return fmt.Errorf("found %s, expected %s", short(got), short(want))
	}
	return nil
}

// short keeps what a person reads short.
func short(text string) string {
	if len(text) > 300 {
		return text[:300] + "…"
	}
	return text
}

// canonical writes a value so that equal values have equal texts.
func canonical(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case string:
		if utf8.ValidString(v) {
			return strconv.Quote(v)
		}
		return fmt.Sprintf("text %x", v)
	case []byte:
		if v == nil {
			return "null"
		}
		return fmt.Sprintf("bytes %x", v)
	case float64:
		return number(new(big.Float).SetFloat64(v))
	case int:
		return number(new(big.Float).SetInt64(int64(v)))
	case int64:
		return number(new(big.Float).SetInt64(v))
	case uint64:
		return number(new(big.Float).SetUint64(v))
	case *big.Int:
		return number(new(big.Float).SetInt(v))
	case []string:
		parts := make([]string, len(v))
		for i := range v {
			parts[i] = canonical(v[i])
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case []any:
		parts := make([]string, len(v))
		for i := range v {
			parts[i] = canonical(v[i])
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case map[string]any:
		var parts []string
		for _, k := range slices.Sorted(maps.Keys(v)) {
			parts = append(parts, canonical(k)+": "+canonical(v[k]))
		}
		return "{" + strings.Join(parts, ", ") + "}"
	}
	return fmt.Sprint(v)
}

func number(f *big.Float) string { return f.Text('g', 40) }

// Compare compares a value, in Go's types, with what a vector expects, which may be one of the forms that only results and operations
// have, at any depth: any, json, fields, pairs. The error says where they differ.
func Compare(found, expected any) error {
	m, _ := expected.(map[string]any)
	if len(m) == 1 && m["any"] == true {
		return nil
	}
	if want, ok := m["json"]; ok && len(m) == 1 {
		return compareJSON(found, want)
	}
	if fields, ok := m["fields"].(map[string]any); ok && len(m) == 1 {
		got, ok := found.(map[string]any)
		if !ok {
			return fmt.Errorf("found %s, expected an entity or a map", short(canonical(found)))
		}
		for _, name := range slices.Sorted(maps.Keys(fields)) {
			if err := Compare(got[name], fields[name]); err != nil {
				return fmt.Errorf("field %s: %w", name, err)
			}
		}
		return nil
	}
	if _, ok := m["truncated"]; ok {
		return comparePairs(found, m)
	}
	if list, ok := expected.([]any); ok {
		return compareList(found, list)
	}
	want, err := Value(expected)
	if err != nil {
		return err
	}
	if got, ok := found.(map[string]any); ok && m != nil {
		if _, isMap := want.(map[string]any); isMap {
			return compareMap(got, m)
		}
	}
	return Equal(found, want)
}

func compareList(found any, expected []any) error {
	got, ok := found.([]any)
	if texts, are := found.([]string); are {
		ok = true
		for _, t := range texts {
			got = append(got, t)
		}
	}
	if !ok || len(got) != len(expected) {
		return fmt.Errorf("found %s, expected a list of %d: %s", short(canonical(found)), len(expected), short(fmt.Sprint(expected)))
	}
	for i := range got {
		if err := Compare(got[i], expected[i]); err != nil {
			return fmt.Errorf("[%d]: %w", i, err)
		}
	}
	return nil
}

func compareMap(found, expected map[string]any) error {
	if got, want := slices.Sorted(maps.Keys(found)), slices.Sorted(maps.Keys(expected)); !slices.Equal(got, want) {
		return fmt.Errorf("found the keys %q, expected %q", got, want)
	}
	for _, key := range slices.Sorted(maps.Keys(expected)) {
		if err := Compare(found[key], expected[key]); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
	}
	return nil
}

func compareJSON(found, want any) error {
	var text []byte
	switch v := found.(type) {
	case string:
		text = []byte(v)
	case []byte:
		text = v
	default:
		return fmt.Errorf("found %s, expected text or bytes that hold JSON", short(canonical(found)))
	}
	parsed, err := decode(text)
	if err != nil {
		return fmt.Errorf("%q is no JSON: %w", short(string(text)), err)
	}
	got, err := natural(parsed)
	if err != nil {
		return err
	}
	return Compare(got, want)
}

// natural is what JSON says: integers of any size, and objects that are nothing but objects.
func natural(parsed any) (any, error) {
	var err error
	switch v := parsed.(type) {
	case json.Number:
		if _, isInt := new(big.Int).SetString(v.String(), 10); isInt {
			return special("int", v.String())
		}
		return v.Float64()
	case []any:
		for i := range v {
			if v[i], err = natural(v[i]); err != nil {
				return nil, err
			}
		}
	case map[string]any:
		for k := range v {
			if v[k], err = natural(v[k]); err != nil {
				return nil, err
			}
		}
	}
	return parsed, nil
}

// comparePairs compares the lines of a map of headers or a query, which drivers report as {"pairs": …, "truncated": …}.
func comparePairs(found any, expected map[string]any) error {
	got, _ := found.(map[string]any)
	pairs, ok := got["pairs"].([]any)
	if !ok {
		return fmt.Errorf("found %s, expected a map of headers or a query", short(canonical(found)))
	}
	if err := Equal(got["truncated"], expected["truncated"]); err != nil {
		return fmt.Errorf("truncated: %w", err)
	}
	if size, ok := expected["size"]; ok {
		return Compare(len(pairs), size)
	}
	return Compare(pairs, expected["pairs"])
}

// decode reads JSON with its numbers as they are written.
func decode(text []byte) (any, error) {
	var v any
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	err := d.Decode(&v)
	return v, err
}
