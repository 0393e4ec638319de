package config

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// finite reports whether the text is a number that is neither infinite nor "not a number".
func finite(s string) bool {
	f, err := strconv.ParseFloat(strings.ReplaceAll(s, "_", ""), 64)
	return err == nil && !math.IsInf(f, 0) && !math.IsNaN(f)
}

// jsonReader builds nodes from JSON that is known to be valid. YAML parsers read most of JSON, but not its surrogate escapes.
type jsonReader struct {
	data    []byte
	decoder *json.Decoder
	line    int // place of data[at]
	col     int
	at      int
}

func parseJSON(data []byte) (*node, *Error) {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	r := &jsonReader{data: data, decoder: decoder, line: 1, col: 1}
	n, e := r.value(1)
	if e != nil {
		e.Path = strings.TrimPrefix(e.Path, ".")
	}
	return n, e
}

// inside puts the place of a value in front of that of what is wrong below it.
func (e *Error) inside(step string) *Error {
	e.Path = step + e.Path
	return e
}

// next reads a token and finds where it starts.
func (r *jsonReader) next() (json.Token, *node, *Error) {
	offset := int(r.decoder.InputOffset())
	for offset < len(r.data) && strings.IndexByte(" \t\r\n,:", r.data[offset]) >= 0 {
		offset++
	}
	for ; r.at < offset; r.at++ {
		if c := r.data[r.at]; c == '\n' {
			r.line, r.col = r.line+1, 1
		} else if utf8.RuneStart(c) {
			r.col++
		}
	}
	n := &node{line: int32(r.line), col: int32(r.col), size: 1}
	token, err := r.decoder.Token()
	if err != nil {
		return nil, n, &Error{Line: int(n.line), Col: int(n.col), Code: CodeSyntax, Found: err.Error(), Expected: "JSON"}
	}
	return token, n, nil
}

func (r *jsonReader) value(depth int) (*node, *Error) {
	token, n, e := r.next()
	if e != nil {
		return n, e
	}
	if depth > maxDepth {
		return n, tooDeep(int(n.line), int(n.col))
	}
	switch t := token.(type) {
	case nil:
		n.kind, n.text = kindNull, "null"
	case bool:
		n.kind, n.text = kindBool, strconv.FormatBool(t)
	case string:
		n.kind, n.text, n.quoted = kindText, t, true
	case json.Number:
		n.kind, n.text = kindInt, t.String()
		if strings.ContainsAny(n.text, ".eE") {
			n.kind = kindFloat
			if !finite(n.text) {
				return n, &Error{Line: int(n.line), Col: int(n.col), Code: CodeWrongValue, Found: n.text, Expected: "a finite number"}
			}
		}
	case json.Delim:
		if t == '[' {
			return n, r.list(n, depth)
		}
		return n, r.object(n, depth)
	}
	return n, nil
}

func (r *jsonReader) list(n *node, depth int) *Error {
	n.kind = kindList
	for r.decoder.More() {
		item, e := r.value(depth + 1)
		if e != nil {
			return e.inside("[" + strconv.Itoa(len(n.items)) + "]")
		}
		n.items = append(n.items, item)
		n.size += item.size
	}
	_, _, e := r.next()
	return e
}

func (r *jsonReader) object(n *node, depth int) *Error {
	n.kind = kindMapping
	seen := map[string]*node{}
	for r.decoder.More() {
		token, at, e := r.next()
		if e != nil {
			return e
		}
		at.kind = kindText
		at.text, _ = token.(string)
		if first, twice := seen[at.text]; twice {
			return &Error{
				Line: int(at.line), Col: int(at.col), Code: CodeDuplicateKey, Found: "the key " + quote(at.text) + " again",
				Expected: "each key once", Fix: "remove it, or the one in line " + strconv.Itoa(int(first.line)), Path: "." + plainKey(at.text),
			}
		}
		seen[at.text] = at
		v, e := r.value(depth + 1)
		if e != nil {
			return e.inside("." + plainKey(at.text))
		}
		n.pairs = append(n.pairs, pair{key: at.text, at: at, value: v})
		n.size += v.size + 1
	}
	_, _, e := r.next()
	return e
}
