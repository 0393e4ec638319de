package local

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// maxNesting is how many lists and maps of a JSON body may stand inside one another.
const maxNesting = 512

var errJSON = errors.New("invalid json body")

// parseJSON reads an object or an array. Integers are int64, uint64 above that, and float64 beyond 64 bits; of equal keys the last counts.
func parseJSON(raw []byte) (any, error) {
	if !json.Valid(raw) {
		return nil, errJSON
	}
	if nesting(raw) > maxNesting {
		return nil, fmt.Errorf("%w: nested deeper than %d", errJSON, maxNesting)
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, fmt.Errorf("%w: %w", errJSON, err)
	}
	switch v.(type) {
	case map[string]any, []any:
		return withNumbers(v), nil
	}
	return nil, fmt.Errorf("%w: expected an object or an array", errJSON)
}

// nesting is how deep valid JSON is nested.
func nesting(raw []byte) int {
	depth, deepest, quoted := 0, 0, false
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{', c == '[':
			depth++
			deepest = max(deepest, depth)
		case c == '}', c == ']':
			depth--
		}
	}
	return deepest
}

// withNumbers replaces every json.Number, in place.
func withNumbers(v any) any {
	switch t := v.(type) {
	case json.Number:
		if !strings.ContainsAny(t.String(), ".eE") {
			if n, err := strconv.ParseInt(t.String(), 10, 64); err == nil {
				return n
			}
			if n, err := strconv.ParseUint(t.String(), 10, 64); err == nil {
				return n
			}
		}
		f, _ := strconv.ParseFloat(t.String(), 64) // infinite beyond its range, as in other languages
		return f
	case []any:
		for i := range t {
			t[i] = withNumbers(t[i])
		}
	case map[string]any:
		for k := range t {
			t[k] = withNumbers(t[k])
		}
	}
	return v
}

// encodeJSON writes a value as JSON, the keys of maps sorted, without escapes that other languages do not make.
func encodeJSON(v any, indent string) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", indent)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return plainSeparators(bytes.TrimSuffix(buf.Bytes(), []byte{'\n'})), nil
}

// plainSeparators writes U+2028 and U+2029 as they are: encoding/json always escapes them, for JavaScript in HTML.
func plainSeparators(raw []byte) []byte {
	if !bytes.Contains(raw, []byte(`\u202`)) {
		return raw
	}
	out := raw[:0]
	for i := 0; i < len(raw); i++ {
		if raw[i] != '\\' {
			out = append(out, raw[i])
			continue
		}
		if rest := string(raw[i:min(i+6, len(raw))]); rest == `\u2028` || rest == `\u2029` {
			out = append(out, 0xe2, 0x80, 0xa8+rest[5]-'8')
			i += 5
			continue
		}
		out = append(out, raw[i], raw[i+1])
		i++
	}
	return out
}
