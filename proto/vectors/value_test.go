package vectors

import (
	"encoding/json"
	"math"
	"testing"

	"pgregory.net/rapid"
)

// spelt is a value after the way through JSON.
func spelt(t testing.TB, v any) any {
	t.Helper()
	text, err := json.Marshal(Spell(v))
	if err != nil {
		t.Fatal(err)
	}
	back, err := decode(text)
	if err != nil {
		t.Fatal(err)
	}
	return back
}

func TestSpellingIsReversible(t *testing.T) {
	scalar := rapid.OneOf(
		rapid.Int64().AsAny(), rapid.Uint64Min(1<<63).AsAny(), rapid.String().AsAny(), rapid.SliceOf(rapid.Byte()).AsAny(), rapid.Bool().AsAny(),
		rapid.Float64().Filter(func(f float64) bool { return !math.IsInf(f, 0) && f != 0 }).AsAny(),
		rapid.Custom(func(t *rapid.T) any { return string(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes")) }),
	)
	rapid.Check(t, func(rt *rapid.T) {
		v := any([]any{scalar.Draw(rt, "item"), map[string]any{"k": scalar.Draw(rt, "value"), "l": nil}})
		got, err := Value(spelt(t, v))
		if err == nil {
			err = Equal(got, v)
		}
		if err != nil {
			rt.Fatal(err)
		}
	})
}

func TestCompare(t *testing.T) {
	for name, c := range map[string]struct {
		found, expected any
		differs         bool
	}{
		"numbers by value":          {1.0, json.Number("1"), false},
		"large floats":              {1.2345678901234568e18, json.Number("1.2345678901234568e+18"), false},
		"large integers":            {int64(math.MaxInt64), map[string]any{"int": "9223372036854775807"}, false},
		"an integer beyond 64 bits": {uint64(math.MaxUint64), map[string]any{"int": "18446744073709551616"}, true},
		"a number is no text":       {int64(1), "1", true},
		"bytes are no text":         {[]byte("a"), "a", true},
		"text that is no UTF-8":     {"\xe9", map[string]any{"text": "e9"}, false},
		"null is not false":         {nil, false, true},
		"null is not empty":         {nil, []any{}, true},
		"an absent field is null":   {map[string]any{"a": "b"}, map[string]any{"fields": map[string]any{"a": "b", "c": nil}}, false},
		"a field":                   {map[string]any{"a": "b"}, map[string]any{"fields": map[string]any{"a": "c"}}, true},
		"no entity":                 {"a", map[string]any{"fields": map[string]any{}}, true},
		"JSON keeps integers":       {`{"a": [9007199254740993]}`, map[string]any{"json": map[string]any{"a": []any{map[string]any{"int": "9007199254740993"}}}}, false},
		"JSON is taken as it is":    {`{"hex": "61"}`, map[string]any{"json": map[string]any{"hex": "61"}}, true},
		"no JSON":                   {"{", map[string]any{"json": nil}, true},
		"lines":                     {map[string]any{"pairs": []any{[]any{"a", "1"}}, "truncated": false}, map[string]any{"pairs": []any{[]any{"a", "1"}}, "truncated": false}, false},
		"more lines":                {map[string]any{"pairs": []any{[]any{"a", "1"}}, "truncated": false}, map[string]any{"size": json.Number("2"), "truncated": false}, true},
		"cut lines":                 {map[string]any{"pairs": []any{}, "truncated": true}, map[string]any{"size": json.Number("0"), "truncated": false}, true},
		"lines that are a list":     {[]any{}, map[string]any{"size": json.Number("0"), "truncated": false}, true},
	} {
		if err := Compare(c.found, c.expected); (err != nil) != c.differs {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What nobody would compare is refused.
func TestParseRefuses(t *testing.T) {
	for _, text := range []string{`{"name": "n", "fact": {}}`, `{"name": "n", "facts": {"requests": {}}}`, `{"calls": [{"fn": "f", "arguments": []}]}`, `[]`} {
		if v, err := Parse("file", []byte(text)); err == nil {
			t.Errorf("%s is taken: %+v", text, v)
		}
	}
	for _, text := range []string{
		`{"phase": "certificate"}`, `{"phase": "access", "facts": {"request": {"target": 5}}}`, `{"phase": "access", "facts": {"chunk": "text"}}`,
		`{"phase": "access", "facts": {"shared": {"a": {"hex": "6"}}}}`,
	} {
		v, err := Parse("file", []byte(text))
		if err != nil {
			t.Errorf("%s: %v", text, err)
		} else if c, err := v.Call(); err == nil {
			t.Errorf("%s is a call: %+v", text, c)
		}
	}
}
