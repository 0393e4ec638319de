package router

import (
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"unicode/utf8"
)

// maxExpression bounds the length of an expression in bytes, maxNesting how deep its parentheses go.
const (
	maxExpression = 16 << 10
	maxNesting    = 64
)

// expression is the compiled condition of a route: comparisons of fields of the request with literal values, joined by &&, || and !. docs/guides/routing.md
// describes the language.
type expression struct {
	root  term
	text  string
	needs needs
}

// term is a part of an expression: a comparison, or others that are joined.
type term struct {
	join  join
	test  comparison // of joinNone
	parts []term     // of and, or; one of not
	text  string     // as written
}

// join says how the parts of a term are joined.
type join uint8

const (
	joinNone join = iota // a comparison
	joinAnd
	joinOr
	joinNot
)

// comparison is a field, an operator and a value of the type that both want. What most comparisons look at stands together.
type comparison struct {
	operator operator
	lower    bool // the field is put into lower case first
	any      bool // one value of the field is enough; otherwise all of them count
	field    field
	text     string
	number   int64
	pattern  *regexp.Regexp
	groups   []string // names of the groups of pattern from the first; "" for an unnamed one
	network  netip.Prefix
}

// operator is how a comparison compares.
type operator uint8

const (
	opEqual operator = iota
	opNotEqual
	opRegex
	opPrefix
	opSuffix
	opContains
	opGreater
	opGreaterEqual
	opLess
	opLessEqual
	opIn
	opNotIn
)

// ExpressionError says what is wrong with an expression, and where.
type ExpressionError struct {
	Line, Col       int // from 1, in characters
	Found, Expected string
	Fix             string // "": none is known
}

func (e *ExpressionError) Error() string {
	s := fmt.Sprintf("expression at %d:%d: found %s, expected %s", e.Line, e.Col, e.Found, e.Expected)
	if e.Fix != "" {
		s += " (fix: " + e.Fix + ")"
	}
	return s
}

// CheckExpression says what is wrong with an expression; nil when it is fine. The error is an *ExpressionError.
func CheckExpression(text string) error {
	_, err := compileExpression(text)
	return err
}

func compileExpression(text string) (*expression, error) {
	p := &expressionParser{text: text}
	if len(text) > maxExpression {
		return nil, p.failAt(0, fmt.Sprintf("%d bytes", len(text)), fmt.Sprintf("at most %d", maxExpression), "")
	}
	root, err := p.whole()
	if err != nil {
		return nil, err
	}
	return &expression{text: text, root: *root, needs: root.needs().tidy()}, nil
}

// match reports whether the expression is true, and puts what it says of the path into m.
func (x *expression) match(req *Request, m *Match) bool {
	if !x.root.holds(req) {
		return false
	}
	m.MatchedPath = ""
	m.Captures.reset()
	x.root.note(req, m)
	return true
}

// missed says why the expression is false.
func (x *expression) missed(req *Request, f finding) []Miss {
	if x.root.holds(req) && !f.scheme { // nothing but strict_protocols is left
		return []Miss{{Attribute: "protocols", Found: req.Scheme, Expected: "the protocols of the route"}}
	}
	return []Miss{{Attribute: "expression", Found: x.root.blame(req).text + " is false", Expected: x.text}}
}

// expressionParser reads an expression from left to right.
type expressionParser struct {
	text  string
	at    int
	depth int
}

// failAt is an error at a byte of the text.
func (p *expressionParser) failAt(at int, found, expected, fix string) error {
	before := p.text[:at]
	line := strings.LastIndexByte(before, '\n') + 1
	return &ExpressionError{
		Line: 1 + strings.Count(before, "\n"), Col: 1 + utf8.RuneCountInString(before[line:]), Found: found, Expected: expected, Fix: fix,
	}
}

// fail is an error at what comes next.
func (p *expressionParser) fail(expected, fix string) error {
	return p.failAt(p.at, p.next(), expected, fix)
}

// next names what comes next, for messages.
func (p *expressionParser) next() string {
	rest := p.text[p.at:]
	if rest == "" {
		return "the end of the expression"
	}
	n := 0
	for n < len(rest) && wordByte(rest[n]) {
		n++
	}
	if n == 0 {
		_, n = utf8.DecodeRuneInString(rest)
	}
	return fmt.Sprintf("%q", rest[:min(n, 60)])
}

// space skips white space.
func (p *expressionParser) space() {
	for p.at < len(p.text) && strings.IndexByte(" \t\r\n", p.text[p.at]) >= 0 {
		p.at++
	}
}

// take skips white space and then the text, if it is there.
func (p *expressionParser) take(text string) bool {
	p.space()
	if !strings.HasPrefix(p.text[p.at:], text) {
		return false
	}
	p.at += len(text)
	return true
}

// word takes a name, such as http.path or contains; "" when there is none.
func (p *expressionParser) word() string {
	p.space()
	from := p.at
	if from == len(p.text) || !letter(p.text[from]) {
		return ""
	}
	for p.at < len(p.text) && wordByte(p.text[p.at]) {
		p.at++
	}
	return p.text[from:p.at]
}

func letter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

func wordByte(c byte) bool { return letter(c) || c >= '0' && c <= '9' || c == '_' || c == '.' }

func (p *expressionParser) whole() (*term, error) {
	if p.space(); p.at == len(p.text) {
		return nil, p.failAt(0, "an empty expression", "a comparison such as http.path ^= \"/orders\"", "")
	}
	t, err := p.joined()
	if err != nil {
		return nil, err
	}
	if p.space(); p.at < len(p.text) {
		return nil, p.fail("&&, || or the end", "")
	}
	return t, nil
}

// joined reads terms between && or ||. Kong's releases disagree about which of the two binds more tightly, so both side by side are refused.
func (p *expressionParser) joined() (*term, error) {
	p.space()
	from := p.at
	first, err := p.term()
	if err != nil {
		return nil, err
	}
	t := &term{parts: []term{*first}}
	for {
		end := p.at
		how := joinNone
		switch {
		case p.take("&&"):
			how = joinAnd
		case p.take("||"):
			how = joinOr
		}
		if how == joinNone {
			p.at = end
			break
		}
		if t.join != joinNone && t.join != how {
			return nil, p.failAt(p.at-2, "&& and || side by side", "one of the two, or parentheses", "put parentheses around the terms that belong together")
		}
		t.join = how
		next, err := p.term()
		if err != nil {
			return nil, err
		}
		t.parts = append(t.parts, *next)
	}
	if t.join == joinNone {
		return first, nil
	}
	t.text = p.text[from:p.at]
	return t, nil
}

// term reads a comparison, or an expression in parentheses, with or without ! before it.
func (p *expressionParser) term() (*term, error) {
	p.space()
	from := p.at
	not := p.take("!")
	if !p.take("(") {
		if not {
			return nil, p.fail("( after !", "write !(…)")
		}
		return p.comparison()
	}
	if p.depth++; p.depth > maxNesting {
		return nil, p.failAt(from, "parentheses nested deeper", fmt.Sprintf("at most %d", maxNesting), "")
	}
	t, err := p.joined()
	if err != nil {
		return nil, err
	}
	if !p.take(")") {
		return nil, p.fail("&&, || or )", "")
	}
	p.depth--
	if not {
		return &term{join: joinNot, parts: []term{*t}, text: p.text[from:p.at]}, nil
	}
	return t, nil
}

// comparison reads a field, perhaps in functions, an operator and a value.
func (p *expressionParser) comparison() (*term, error) {
	p.space()
	from := p.at
	var c comparison
	if err := p.operand(&c, 0); err != nil {
		return nil, err
	}
	if err := p.operator(&c); err != nil {
		return nil, err
	}
	if err := p.value(&c); err != nil {
		return nil, err
	}
	return &term{test: c, text: p.text[from:p.at]}, nil
}

// operand reads a field, or lower(…) or any(…) around one.
func (p *expressionParser) operand(c *comparison, depth int) error {
	p.space()
	from := p.at
	name := p.word()
	if name == "" {
		return p.fail("a field such as http.path, or (", "")
	}
	end := p.at
	if !p.take("(") {
		p.at = end
		return p.field(c, name, from)
	}
	switch name {
	case "lower":
		c.lower = true
	case "any":
		c.any = true
	default:
		return p.failAt(from, fmt.Sprintf("the function %q", name), "lower or any", "")
	}
	if depth > 2 {
		return p.failAt(from, "functions nested deeper", "lower and any once each", "")
	}
	if err := p.operand(c, depth+1); err != nil {
		return err
	}
	if !p.take(")") {
		return p.fail(")", "")
	}
	if c.lower && c.field.kind.holds() != textValue {
		return p.failAt(from, "lower of "+c.field.kind.holds().String(), "lower of a text", "")
	}
	return nil
}
