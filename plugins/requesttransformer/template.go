package requesttransformer

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/plugins/internal/fields"
)

// template is text with expressions $(…). An expression is one or more terms joined by "or": the first that has a value is taken. A
// term is a text in quotes, or a lookup: headers.name, query_params.name, uri_captures.name, uri_captures[1], shared.name (shared.a.b
// inside a map). Each name can be written ["name"].
type template struct {
	parts []piece
}

// piece is a literal text, or an expression.
type piece struct {
	text  string
	terms []term // nil: text
}

// term is one alternative of an expression.
type term struct {
	source source
	path   []string // names; of a literal, its text
	index  int      // of uri_captures[n]; 0: by name
}

type source uint8

const (
	literal source = iota
	headers
	queryParams
	uriCaptures
	shared
)

var sources = map[string]source{"headers": headers, "query_params": queryParams, "uri_captures": uriCaptures, "shared": shared}

// constant is the text of a template without expressions.
func (t *template) constant() (string, bool) {
	if len(t.parts) == 1 && t.parts[0].terms == nil {
		return t.parts[0].text, true
	}
	return "", false
}

// uses reports whether an expression looks into s.
func (t *template) uses(s source) bool {
	for _, p := range t.parts {
		for _, x := range p.terms {
			if x.source == s {
				return true
			}
		}
	}
	return false
}

// facts are what templates look into: the request as it was before the plugin changed it.
type facts struct {
	k       *pdk.PDK
	headers pdk.MultiMap
	query   *fields.Args
}

// takeFacts reads what the templates use.
func takeFacts(k *pdk.PDK, needHeaders, needQuery bool) (*facts, error) {
	f := &facts{k: k}
	if needHeaders {
		var err error
		if f.headers, err = k.Request.GetHeaders(1000); err != nil {
			return nil, err
		}
	}
	if needQuery {
		f.query = fields.ParseArgs(k.Request.GetRawQuery())
	}
	return f, nil
}

// render fills the expressions in; what has no value is empty.
func (t *template) render(f *facts) (string, error) {
	if text, ok := t.constant(); ok {
		return text, nil
	}
	var b strings.Builder
	for _, p := range t.parts {
		b.WriteString(p.text)
		for _, x := range p.terms {
			text, ok, err := x.look(f)
			if err != nil {
				return "", err
			}
			if ok {
				b.WriteString(text)
				break
			}
		}
	}
	return b.String(), nil
}

// look finds the value of a term; ok is false when there is none. Of several values it is the first.
func (x term) look(f *facts) (text string, ok bool, err error) {
	switch x.source {
	case headers:
		text, ok = f.headers.Get(x.path[0])
	case queryParams:
		if values := f.query.Values(x.path[0]); len(values) > 0 {
			if text, ok = values[0].Text, true; values[0].Bare {
				text = "true"
			}
		}
	case uriCaptures:
		captures := f.k.Request.GetURICaptures()
		switch {
		case x.index == 0:
			text, ok = captures.Named[x.path[0]]
		case x.index <= len(captures.Unnamed):
			text, ok = captures.Unnamed[x.index-1], true
		}
	case shared:
		return x.lookShared(f.k.CtxShared.Get(x.path[0]))
	default:
		text, ok = x.path[0], true
	}
	return text, ok, nil
}

// lookShared follows the path into a shared value, which must end at a text, number or boolean.
func (x term) lookShared(value any) (string, bool, error) {
	for _, name := range x.path[1:] {
		m, ok := value.(map[string]any)
		if !ok {
			return "", false, nil
		}
		value = m[name]
	}
	switch v := value.(type) {
	case nil:
		return "", false, nil
	case string:
		return v, true, nil
	case []byte:
		return string(v), true, nil
	case map[string]any, []any:
		return "", false, fmt.Errorf("shared.%s is a %T, expected text, a number or a boolean", strings.Join(x.path, "."), v)
	default:
		return fmt.Sprint(v), true, nil
	}
}

// parseTemplate compiles a template.
func parseTemplate(text string) (*template, error) {
	t := &template{}
	for rest := text; rest != ""; {
		start := strings.Index(rest, "$(")
		if start < 0 {
			t.parts = append(t.parts, piece{text: rest})
			break
		}
		if start > 0 {
			t.parts = append(t.parts, piece{text: rest[:start]})
		}
		p := parser{rest: rest[start+2:]}
		terms, err := p.expression()
		if err != nil {
			return nil, fmt.Errorf("template %q: %w", text, err)
		}
		t.parts = append(t.parts, piece{terms: terms})
		rest = p.rest
	}
	return t, nil
}

// parser reads one expression.
type parser struct {
	rest string // not read yet
}

// expression reads terms up to the closing bracket.
func (p *parser) expression() ([]term, error) {
	var terms []term
	for {
		t, err := p.term()
		if err != nil {
			return nil, err
		}
		terms = append(terms, t)
		p.blanks()
		switch {
		case p.take(")"):
			return terms, nil
		case p.word("or"):
			continue
		case p.rest == "":
			return nil, fmt.Errorf("$( is not closed")
		}
		if strings.HasPrefix(p.rest, "-") {
			return nil, fmt.Errorf("found %q, expected ); a name with dashes is written [\"x-y\"]", p.rest)
		}
		return nil, fmt.Errorf("found %q, expected ) or another value after or; other expressions are not supported", p.rest)
	}
}

// term reads a text in quotes or a lookup.
func (p *parser) term() (term, error) {
	p.blanks()
	if text, ok, err := p.quoted(); ok || err != nil {
		return term{source: literal, path: []string{text}}, err
	}
	name := p.name()
	s, ok := sources[name]
	if !ok {
		found := name
		if found == "" {
			found = p.rest
		}
		return term{}, fmt.Errorf("found %q, expected headers, query_params, uri_captures, shared or a text in quotes; other expressions are not supported", found)
	}
	t := term{source: s}
	for len(t.path) == 0 && t.index == 0 || s == shared && p.more() {
		if err := p.step(&t, name); err != nil {
			return t, err
		}
	}
	return t, nil
}

// more reports whether another step of a lookup follows.
func (p *parser) more() bool {
	return strings.HasPrefix(p.rest, ".") || strings.HasPrefix(p.rest, "[")
}

// step reads .name, ["name"] or, for uri_captures, [n].
func (p *parser) step(t *term, of string) error {
	if p.take(".") {
		name := p.name()
		if name == "" {
			return fmt.Errorf("found %q, expected a name after %s", p.rest, of+".")
		}
		t.path = append(t.path, name)
		return nil
	}
	if !p.take("[") {
		return fmt.Errorf("found %q, expected .name or [\"name\"] after %s", p.rest, of)
	}
	p.blanks()
	name, ok, err := p.quoted()
	switch {
	case err != nil:
		return err
	case ok:
		t.path = append(t.path, name)
	case t.source == uriCaptures:
		digits := p.name()
		if t.index, err = strconv.Atoi(digits); err != nil || t.index < 1 {
			return fmt.Errorf("found uri_captures[%s], expected a group number from 1 on or a name in quotes", digits)
		}
	default:
		return fmt.Errorf("found %q, expected a name in quotes after %s[", p.rest, of)
	}
	p.blanks()
	if !p.take("]") {
		return fmt.Errorf("found %q, expected ]", p.rest)
	}
	return nil
}

// quoted reads a text in single or double quotes; a backslash takes the next byte as it is.
func (p *parser) quoted() (text string, ok bool, err error) {
	if p.rest == "" || p.rest[0] != '\'' && p.rest[0] != '"' {
		return "", false, nil
	}
	quote := p.rest[0]
	var b strings.Builder
	for i := 1; i < len(p.rest); i++ {
		switch c := p.rest[i]; {
		case c == quote:
			p.rest = p.rest[i+1:]
			return b.String(), true, nil
		case c == '\\' && i+1 < len(p.rest):
			i++
			b.WriteByte(p.rest[i])
		default:
			b.WriteByte(c)
		}
	}
	return "", false, fmt.Errorf("the text %s is not closed", p.rest)
}

// name reads letters, digits and underscores; none is "".
func (p *parser) name() string {
	n := 0
	for n < len(p.rest) && nameByte(p.rest[n]) {
		n++
	}
	name := p.rest[:n]
	p.rest = p.rest[n:]
	return name
}

func nameByte(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

func (p *parser) blanks() { p.rest = strings.TrimLeft(p.rest, " \t") }

// take reads a text if it comes next.
func (p *parser) take(text string) bool {
	rest, ok := strings.CutPrefix(p.rest, text)
	p.rest = rest
	return ok
}

// word reads a whole word if it comes next.
func (p *parser) word(text string) bool {
	rest, ok := strings.CutPrefix(p.rest, text)
	if !ok || rest != "" && nameByte(rest[0]) {
		return false
	}
	p.rest = rest
	return true
}
