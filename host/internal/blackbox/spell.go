package blackbox

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// Text is bytes that stand for text: a JSON string, or {"base64": …} when they are no UTF-8.
type Text string

type encoded struct {
	Base64 []byte `json:"base64"`
}

// MarshalJSON implements json.Marshaler.
func (t Text) MarshalJSON() ([]byte, error) {
	if utf8.ValidString(string(t)) {
		return plain(string(t))
	}
	return json.Marshal(encoded{[]byte(t)})
}

// UnmarshalJSON implements json.Unmarshaler.
func (t *Text) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '{' {
		var e encoded
		err := json.Unmarshal(b, &e)
		*t = Text(e.Base64)
		return err
	}
	return json.Unmarshal(b, (*string)(t))
}

// MarshalJSON implements json.Marshaler.
func (l Line) MarshalJSON() ([]byte, error) {
	if strings.Contains(string(l[0]), ":") {
		return plain([2]Text(l))
	}
	return (l[0] + ": " + l[1]).MarshalJSON()
}

// UnmarshalJSON implements json.Unmarshaler.
func (l *Line) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '[' {
		return json.Unmarshal(b, (*[2]Text)(l))
	}
	var text Text
	if err := json.Unmarshal(b, &text); err != nil {
		return err
	}
	name, value, ok := strings.Cut(string(text), ": ")
	if !ok {
		return fmt.Errorf("found the header line %q, expected \"name: value\"", text)
	}
	*l = Line{Text(name), Text(value)}
	return nil
}

// plain is v as JSON with <, > and & as they are.
func plain(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// Body is a body: its size and sum always, its bytes as Text or Base64 when they are recorded.
type Body struct {
	Size   int     `json:"size"`
	SHA256 string  `json:"sha256,omitempty"` // of the bytes before anything was redacted
	Text   *string `json:"text,omitempty"`
	Base64 *[]byte `json:"base64,omitempty"`
}

// outlineOf is a body without its bytes; an empty one is whole.
func outlineOf(b []byte) *Body {
	sum := sha256.Sum256(b)
	body := &Body{Size: len(b), SHA256: hex.EncodeToString(sum[:])}
	if len(b) == 0 {
		body.Text = new(string)
	}
	return body
}

// bodyOf is a body with its bytes.
func bodyOf(b []byte) *Body {
	body := outlineOf(b)
	body.put(b)
	return body
}

func (b *Body) put(bytes []byte) {
	if utf8.Valid(bytes) {
		text := string(bytes)
		b.Text = &text
		return
	}
	b.Base64 = &bytes
}

// Bytes are what the body holds; ok is false when they were left out.
func (b *Body) Bytes() (body []byte, ok bool) {
	switch {
	case b.Text != nil:
		return []byte(*b.Text), true
	case b.Base64 != nil:
		return append([]byte{}, *b.Base64...), true
	}
	return nil, false
}

// Fits reports whether these are the bytes that the recording leaves out.
func (b *Body) Fits(bytes []byte) bool {
	sum := sha256.Sum256(bytes)
	return len(bytes) == b.Size && hex.EncodeToString(sum[:]) == b.SHA256
}

// Value is one free value of the wire in Go's types: nil, bool, int64, uint64, float64, string, []byte, []any, map[string]any. JSON holds what it
// can as it is; the rest is an object with one key: {"$bytes": base64}, {"$text": base64} (no UTF-8), {"$float": "3"}, {"$pairs": [[key, value]]}.
type Value struct{ V any }

// valueOf decodes one MessagePack value. What does not decode is spelt as its bytes.
func valueOf(raw []byte) Value {
	if raw == nil {
		return Value{}
	}
	v, err := wire.DecodeValue(raw)
	if err != nil {
		return Value{bytes.Clone(raw)}
	}
	return Value{v}
}

// Raw is the value as MessagePack.
func (v Value) Raw() ([]byte, error) { return wire.AppendValue(nil, v.V) }

// MarshalJSON implements json.Marshaler.
func (v Value) MarshalJSON() ([]byte, error) { return plain(spell(v.V)) }

// UnmarshalJSON implements json.Unmarshaler.
func (v *Value) UnmarshalJSON(b []byte) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var spelt any
	err := d.Decode(&spelt)
	if err == nil {
		v.V, err = unspell(spelt, 0)
	}
	return err
}

func spell(v any) any {
	switch v := v.(type) {
	case string:
		if !utf8.ValidString(v) {
			return map[string]any{"$text": []byte(v)}
		}
	case []byte:
		return map[string]any{"$bytes": v}
	case float64:
		if text := strconv.FormatFloat(v, 'g', -1, 64); math.IsNaN(v) || math.IsInf(v, 0) || !strings.ContainsAny(text, ".e") || v == 0 {
			return map[string]any{"$float": text}
		}
	case []any:
		list := make([]any, len(v))
		for i := range v {
			list[i] = spell(v[i])
		}
		return list
	case map[string]any:
		return spellMap(v)
	}
	return v
}

func spellMap(v map[string]any) any {
	m, asPairs := make(map[string]any, len(v)), false
	for k := range v {
		m[k] = spell(v[k])
		asPairs = asPairs || !utf8.ValidString(k) || len(v) == 1 && strings.HasPrefix(k, "$")
	}
	if !asPairs {
		return m
	}
	pairs := make([][2]any, 0, len(v))
	for k := range m {
		pairs = append(pairs, [2]any{spell(k), m[k]})
	}
	return map[string]any{"$pairs": pairs}
}

func unspell(spelt any, depth int) (any, error) {
	if depth > wire.MaxDepth {
		return nil, fmt.Errorf("a value is nested deeper than %d", wire.MaxDepth)
	}
	switch s := spelt.(type) {
	case json.Number:
		return unspellNumber(s.String())
	case []any:
		list := make([]any, len(s))
		for i := range s {
			var err error
			if list[i], err = unspell(s[i], depth+1); err != nil {
				return nil, err
			}
		}
		return list, nil
	case map[string]any:
		if len(s) == 1 {
			for k, v := range s {
				if strings.HasPrefix(k, "$") {
					return unspellSpecial(k, v, depth)
				}
			}
		}
		m := make(map[string]any, len(s))
		for k := range s {
			var err error
			if m[k], err = unspell(s[k], depth+1); err != nil {
				return nil, err
			}
		}
		return m, nil
	}
	return spelt, nil
}

func unspellNumber(text string) (any, error) {
	if strings.ContainsAny(text, ".eE") {
		return strconv.ParseFloat(text, 64)
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return n, nil
	}
	return strconv.ParseUint(text, 10, 64)
}

func unspellSpecial(kind string, v any, depth int) (any, error) {
	text, isText := v.(string)
	switch {
	case kind == "$bytes" && isText:
		return base64.StdEncoding.DecodeString(text)
	case kind == "$text" && isText:
		b, err := base64.StdEncoding.DecodeString(text)
		return string(b), err
	case kind == "$float" && isText:
		return strconv.ParseFloat(text, 64)
	case kind == "$pairs":
		return unspellPairs(v, depth)
	}
	return nil, fmt.Errorf("found {%q: %v}, expected $bytes, $text or $float with text, or $pairs with a list", kind, v)
}

func unspellPairs(v any, depth int) (any, error) {
	list, _ := v.([]any)
	m := make(map[string]any, len(list))
	for _, item := range list {
		pair, _ := item.([]any)
		if len(pair) != 2 {
			return nil, fmt.Errorf("found %v in $pairs, expected a key and its value", item)
		}
		key, err := unspell(pair[0], depth+1)
		if err != nil {
			return nil, err
		}
		name, ok := key.(string)
		if !ok {
			return nil, fmt.Errorf("found the key %v in $pairs, expected text", key)
		}
		if m[name], err = unspell(pair[1], depth+1); err != nil {
			return nil, err
		}
	}
	return m, nil
}
