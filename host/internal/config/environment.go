package config

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A document may take values from the environment, as decK's do: ${{ env "NAME" }}, with a conversion behind it: ${{ env "PORT" | toInt }}.
//
// decK replaces the text before it reads the document, so that a value with a quote or a line break makes another document of it. Here each
// expression becomes a mark of the same length first, the document is read, and the marks are replaced by values inside the tree: a value is
// never syntax, and places stay what they are.

// Runes of marks, of the private area of Unicode: begin, two that number the expression, padding, end.
const (
	markBegin = '\uE000'
	markPad   = '\uE001'
	markEnd   = '\uE002'
	markDigit = '\uE100' // and the 4095 behind it
	digitBits = 12
)

// longestExpression is how far its end is looked for, in bytes: what costs nothing must not cost much for a document that is full of beginnings.
const longestExpression = 1 << 10

// expression is one ${{ … }} of a document.
type expression struct {
	text    string // as it is written
	plain   string // the same without the backslashes of a JSON document or of double quotes
	name    string // of the variable
	convert string // toInt, toBool, toFloat; "": none
	wrong   string // what is expected instead; "": the expression is fine
}

// mark replaces the expressions of a document. The text is that of the document itself when it has none.
func mark(data []byte) (text []byte, found []expression) {
	const begin, end = "${{", "}}"
	if !bytes.Contains(data, []byte(begin)) {
		return data, nil
	}
	var out bytes.Buffer
	for {
		i := bytes.Index(data, []byte(begin))
		if i < 0 {
			break
		}
		ahead := data[i:min(i+longestExpression, len(data))]
		length := bytes.Index(ahead, []byte(end))
		line := bytes.IndexByte(ahead, '\n')
		if length < 0 || line >= 0 && line < length || len(found) >= 1<<(2*digitBits) { // it does not end: YAML or JSON says what is wrong
			out.Write(data[:i+len(begin)])
			data = data[i+len(begin):]
			continue
		}
		e := parseExpression(string(data[i : i+length+len(end)]))
		out.Write(data[:i])
		out.WriteRune(markBegin)
		out.WriteRune(markDigit + rune(len(found)>>digitBits))
		out.WriteRune(markDigit + rune(len(found)&(1<<digitBits-1)))
		for range utf8.RuneCountInString(e.text) - 4 {
			out.WriteRune(markPad)
		}
		out.WriteRune(markEnd)
		found = append(found, e)
		data = data[i+length+len(end):]
	}
	out.Write(data)
	return out.Bytes(), found
}

// HasExpressions reports whether a document takes values from the environment.
func HasExpressions(data []byte) bool {
	_, found := mark(data)
	return len(found) > 0
}

// parseExpression takes ${{ … }} apart.
func parseExpression(text string) expression {
	const expected = `${{ env "NAME" }}, with | toInt, | toBool or | toFloat behind the name to have another type than text`
	e := expression{text: text, plain: strings.ReplaceAll(text, `\`, "")}
	inside := strings.TrimSpace(e.plain[len("${{") : len(e.plain)-len("}}")])
	call, conversions, converted := strings.Cut(inside, "|")
	argument, ok := strings.CutPrefix(strings.TrimSpace(call), "env")
	argument = strings.TrimSpace(argument)
	if n := len(argument); ok && n > 2 && argument[0] == argument[n-1] && strings.IndexByte("\"'`", argument[0]) >= 0 {
		e.name = argument[1 : n-1]
	}
	if e.name == "" || strings.ContainsAny(e.name, "= \t\"'`") {
		e.wrong = expected
		return e
	}
	if !converted {
		return e
	}
	for word := range strings.SplitSeq(conversions, "|") {
		switch word = strings.TrimSpace(word); {
		case e.convert == "" && (word == "toInt" || word == "toBool" || word == "toFloat"):
			e.convert = word
		case strings.HasPrefix(word, "indent ") && isDigits(strings.TrimSpace(word[len("indent "):])):
			// decK needs it for values of several lines; here they stay whole by themselves.
		default:
			e.wrong = expected
		}
	}
	return e
}

// restore puts the expressions back into a value with marks.
func restore(text string, found []expression) string {
	if len(found) == 0 || !strings.ContainsRune(text, markBegin) {
		return text
	}
	return eachMark(text, found, func(e *expression) string { return e.plain })
}

// eachMark replaces the marks of a text. Runes that look like one and are none stay.
func eachMark(text string, found []expression, value func(e *expression) string) string {
	if len(found) == 0 {
		return text
	}
	const longestMark = 3 * longestExpression // each of its runes takes three bytes
	var out strings.Builder
	for {
		i := strings.IndexRune(text, markBegin)
		if i < 0 {
			break
		}
		runes := []rune{}
		rest := text[i:]
		end := strings.IndexRune(rest[:min(longestMark, len(rest))], markEnd)
		if end >= 0 {
			runes = []rune(rest[:end])
		}
		n := -1
		if len(runes) >= 3 && runes[1] >= markDigit && runes[2] >= markDigit {
			n = int(runes[1]-markDigit)<<digitBits | int(runes[2]-markDigit)
		}
		if n < 0 || n >= len(found) {
			out.WriteString(text[:i+utf8.RuneLen(markBegin)])
			text = text[i+utf8.RuneLen(markBegin):]
			continue
		}
		out.WriteString(text[:i])
		out.WriteString(value(&found[n]))
		text = rest[end+utf8.RuneLen(markEnd):]
	}
	out.WriteString(text)
	return out.String()
}

// substitution replaces the marks of a tree by values of the environment.
type substitution struct {
	*reader
	found []expression
	env   map[string]string
	done  map[*node]bool
	// used are the values that were taken, which are a part of what the configuration is.
	used []string
}

// environ is an environment in the form of os.Environ by name; the last entry of a name counts.
func environ(env []string) map[string]string {
	values := make(map[string]string, len(env))
	for _, entry := range env {
		if name, value, ok := strings.Cut(entry, "="); ok {
			values[name] = value
		}
	}
	return values
}

// substitute replaces the marks below a node.
func (s *substitution) substitute(n *node, at *path) {
	if s.done[n] {
		return // an alias
	}
	s.done[n] = true
	switch n.kind {
	case kindText:
		if strings.ContainsRune(n.text, markBegin) {
			s.text(n, at)
		}
	case kindList:
		for i, item := range n.items {
			s.substitute(item, at.item(i))
		}
	case kindMapping:
		for i := range n.pairs {
			p := &n.pairs[i]
			if strings.ContainsRune(p.key, markBegin) {
				p.key = restore(p.key, s.found)
				s.fail(at.key(p.key), p.at, Error{Code: CodeSyntax, Found: "the expression " + p.key + " as a key", Expected: "expressions in values only"})
				p.at.broken = true
			}
			s.substitute(p.value, at.key(p.key))
		}
	}
}

// text replaces the marks of one value. An expression that is the whole of a value without quotes gives what it would be if it stood there; every
// other one gives text.
func (s *substitution) text(n *node, at *path) {
	written := restore(n.text, s.found)
	var whole *expression
	value := eachMark(n.text, s.found, func(e *expression) string {
		if e.plain == written {
			whole = e
		}
		v, wrong := s.value(e)
		if wrong != nil {
			wrong.Found = "the expression " + e.plain + wrong.Found
			s.fail(at, n, *wrong)
			n.broken = true
		}
		return v
	})
	n.text, n.env = value, written
	if n.broken {
		n.text, n.env = written, ""
		return
	}
	switch {
	case whole == nil:
	case whole.convert == "toInt":
		n.kind = kindInt
	case whole.convert == "toFloat":
		n.kind = kindFloat
	case whole.convert == "toBool":
		n.kind = kindBool
	case !n.quoted:
		n.kind = plainKind(value)
	}
}

// plainKind is the kind of a value that stands in a YAML document without quotes. What is not surely something else is text.
func plainKind(value string) kind {
	digits := strings.TrimLeft(value, "-")
	switch _, err := strconv.ParseInt(value, 10, 64); {
	case value == "true" || value == "false":
		return kindBool
	case err == nil && !ambiguousOctal(value) && !strings.HasPrefix(value, "+"):
		return kindInt
	case digits != "" && digits[0] >= '0' && digits[0] <= '9' && strings.Contains(digits, ".") && strings.Trim(digits, "0123456789.") == "" && finite(value):
		return kindFloat
	}
	return kindText
}

// value evaluates an expression. Of an error only what follows the name of the expression is said, and never the value.
func (s *substitution) value(e *expression) (string, *Error) {
	if e.wrong != "" {
		return "", &Error{Code: CodeSyntax, Expected: e.wrong}
	}
	v, ok := s.env[e.name]
	if !ok {
		return "", &Error{
			Code: CodeWrongValue, Found: " of a variable that is not set", Expected: "an environment variable of the gateway", Fix: "set " + e.name,
		}
	}
	s.used = append(s.used, e.name+"="+v)
	var err error
	switch e.convert {
	case "toInt":
		var i int64
		if i, err = strconv.ParseInt(v, 10, 64); err == nil {
			v = strconv.FormatInt(i, 10)
		}
	case "toFloat":
		if !finite(v) {
			err = strconv.ErrSyntax
		}
	case "toBool":
		var b bool
		if b, err = strconv.ParseBool(v); err == nil {
			v = strconv.FormatBool(b)
		}
	}
	if err != nil {
		return "", &Error{
			Code: CodeWrongValue, Found: " of a variable that holds something else",
			Expected: fmt.Sprintf("%s in the variable %s", map[string]string{"toInt": "a whole number", "toFloat": "a number", "toBool": "true or false"}[e.convert], e.name),
		}
	}
	return v, nil
}

// parseWithEnvironment reads a document with expressions. Values are what the environment holds that they had.
func parseWithEnvironment(r *reader, data []byte, env []string) (root *node, values []string) {
	text, found := mark(data)
	if len(found) > 0 && bytes.ContainsRune(data, markBegin) {
		r.errs = append(r.errs, &Error{
			File: r.file, Code: CodeSyntax, Found: "the private character U+E000 in a document with ${{ … }}", Expected: "a document without it", Fix: "write it as \"\\ue000\"",
		})
		return nil, nil
	}
	root, e := parseDocument(r.file, text)
	if e != nil {
		e.Found, e.Fix = restore(e.Found, found), restore(e.Fix, found)
		r.errs = append(r.errs, e)
		return nil, nil
	}
	if len(found) > 0 {
		s := substitution{reader: r, found: found, env: environ(env), done: map[*node]bool{}}
		s.substitute(root, nil)
		values = s.used
	}
	return root, values
}
