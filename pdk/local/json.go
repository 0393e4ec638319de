package local

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
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
		return withNumbers(v)
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

// withNumbers replaces every json.Number, in place. A number beyond every float is an error.
func withNumbers(v any) (any, error) {
	var err error
	switch t := v.(type) {
	case json.Number:
		return number(t.String())
	case []any:
		for i := range t {
			if t[i], err = withNumbers(t[i]); err != nil {
				return nil, err
			}
		}
	case map[string]any:
		for k := range t {
			if t[k], err = withNumbers(t[k]); err != nil {
				return nil, err
			}
		}
	}
	return v, nil
}

// number is an integer of 64 bits when the text is one, else a float.
func number(text string) (any, error) {
	if !strings.ContainsAny(text, ".eE") {
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			return n, nil
		}
		if n, err := strconv.ParseUint(text, 10, 64); err == nil {
			return n, nil
		}
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return nil, fmt.Errorf("%w: the number %.20s is beyond the range of a float", errJSON, text)
	}
	return f, nil
}

// bodyJSON is encodeJSON for bodies. Bytes in maps and lists are refused, as in every language: encoding/json would write base64. A struct may
// have fields of bytes, which is Go's own way to ask for that.
func bodyJSON(v any) ([]byte, error) {
	if holdsBytes(v) {
		return nil, errors.New("it holds bytes")
	}
	return encodeJSON(v, "")
}

func holdsBytes(v any) bool {
	switch t := v.(type) {
	case []byte:
		return true
	case []any:
		return slices.ContainsFunc(t, holdsBytes)
	case map[string]any:
		for _, item := range t {
			if holdsBytes(item) {
				return true
			}
		}
	}
	return false
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
