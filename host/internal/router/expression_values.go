package router

import (
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
)

// operators are all operators as they are written; where one begins with another the longer one comes first.
func operators() []struct {
	text string
	op   operator
} {
	return []struct {
		text string
		op   operator
	}{
		{"==", opEqual}, {"=^", opSuffix}, {"!=", opNotEqual}, {"^=", opPrefix}, {"~", opRegex}, {">=", opGreaterEqual}, {">", opGreater},
		{"<=", opLessEqual}, {"<", opLess},
	}
}

// operator reads an operator, and refuses those that the field does not have.
func (p *expressionParser) operator(c *comparison) error {
	p.space()
	from := p.at
	found := false
	for _, o := range operators() {
		if p.take(o.text) {
			c.operator, found = o.op, true
			break
		}
	}
	if !found {
		switch p.word() {
		case "contains":
			c.operator = opContains
		case "in":
			c.operator = opIn
		case "not":
			if p.word() != "in" {
				p.at = from
				return p.fail("in after not", "write not in")
			}
			c.operator = opNotIn
		default:
			p.at = from
			return p.fail("an operator: ==, !=, ~, ^=, =^, contains, >, >=, <, <=, in, not in", "")
		}
	}
	holds := c.field.kind.holds()
	var allowed string
	ok := c.operator == opEqual || c.operator == opNotEqual
	switch holds {
	case textValue:
		allowed = "==, !=, ~, ^=, =^ or contains"
		ok = ok || c.operator == opRegex || c.operator == opPrefix || c.operator == opSuffix || c.operator == opContains
	case numberValue:
		allowed = "==, !=, >, >=, < or <="
		ok = ok || c.operator == opGreater || c.operator == opGreaterEqual || c.operator == opLess || c.operator == opLessEqual
	case addressValue:
		allowed = "==, !=, in or not in"
		ok = ok || c.operator == opIn || c.operator == opNotIn
	}
	if !ok {
		return p.failAt(from, fmt.Sprintf("%s with %s", strings.TrimSpace(p.text[from:p.at]), holds), allowed, "")
	}
	return nil
}

// value reads the value of a comparison, and refuses those of another type than the field has.
func (p *expressionParser) value(c *comparison) error {
	p.space()
	from := p.at
	rest := p.text[p.at:]
	if quoted := strings.HasPrefix(rest, `"`); quoted || strings.HasPrefix(rest, `r#"`) {
		read := p.raw
		if quoted {
			read = p.quoted
		}
		text, err := read()
		if err != nil {
			return err
		}
		if holds := c.field.kind.holds(); holds != textValue {
			return p.failAt(from, "a text", holds.String()+" without quotes", "write "+text)
		}
		return p.textValue(c, text, from)
	}
	for p.at < len(p.text) && (wordByte(p.text[p.at]) || strings.IndexByte(":/-", p.text[p.at]) >= 0) {
		p.at++
	}
	word := p.text[from:p.at]
	switch holds := c.field.kind.holds(); {
	case word == "":
		return p.fail("a value: "+holds.String(), "")
	case holds == textValue:
		return p.failAt(from, fmt.Sprintf("%q", word), "a text in quotes", fmt.Sprintf("write %q", word))
	case holds == numberValue:
		n, err := strconv.ParseInt(word, 0, 64) // 0x… and 0… too, as in Kong
		if err != nil || strings.ContainsAny(word, "_obOB") && !strings.HasPrefix(strings.TrimPrefix(word, "-"), "0x") {
			return p.failAt(from, fmt.Sprintf("%q", word), "a whole number", "")
		}
		c.number = n
		return nil
	}
	return p.addressValue(c, word, from)
}

// textValue takes a text; a pattern is compiled.
func (p *expressionParser) textValue(c *comparison, text string, from int) error {
	c.text = text
	if c.operator != opRegex {
		return nil
	}
	var err error
	if c.pattern, err = regexp.Compile(text); err != nil {
		reason := strings.TrimPrefix(err.Error(), "error parsing regexp: ")
		return p.failAt(from, fmt.Sprintf("the pattern %q (%s)", text, reason), "a regular expression in RE2 syntax", "")
	}
	c.groups = c.pattern.SubexpNames()[1:]
	return nil
}

// addressValue takes an address, or a network after in and not in.
func (p *expressionParser) addressValue(c *comparison, word string, from int) error {
	if c.operator != opIn && c.operator != opNotIn {
		a, err := netip.ParseAddr(word)
		if err != nil {
			fix := ""
			if _, err := netip.ParsePrefix(word); err == nil {
				fix = "use in or not in with a network"
			}
			return p.failAt(from, fmt.Sprintf("%q", word), "an address such as 10.0.0.1 or ::1", fix)
		}
		a = a.Unmap()
		c.network = netip.PrefixFrom(a, a.BitLen())
		return nil
	}
	network, err := netip.ParsePrefix(word)
	switch {
	case err != nil:
		fix := ""
		if _, err := netip.ParseAddr(word); err == nil {
			fix = "use == or != with an address"
		}
		return p.failAt(from, fmt.Sprintf("%q", word), "a network such as 10.0.0.0/8 or fd00::/8", fix)
	case network != network.Masked():
		return p.failAt(from, fmt.Sprintf("%q", word), "a network without bits behind its mask", "write "+network.Masked().String())
	case network.Addr().Is4In6():
		return p.failAt(from, fmt.Sprintf("%q", word), "a network of IPv4 as such, as in 10.0.0.0/8", "")
	}
	c.network = network
	return nil
}

// quoted reads a text in quotes, with the escapes \" \\ \n \r \t.
func (p *expressionParser) quoted() (string, error) {
	from := p.at
	var b strings.Builder
	for p.at++; p.at < len(p.text); p.at++ {
		c := p.text[p.at]
		if c == '"' {
			p.at++
			return b.String(), nil
		}
		if c != '\\' {
			b.WriteByte(c)
			continue
		}
		if p.at++; p.at == len(p.text) {
			break
		}
		i := strings.IndexByte(`"\nrt`, p.text[p.at])
		if i < 0 {
			p.at--
			return "", p.failAt(p.at, fmt.Sprintf("%q", p.text[p.at:p.at+2]), `one of \" \\ \n \r \t`, `write r#"…"#, where \ stands for itself`)
		}
		b.WriteByte("\"\\\n\r\t"[i])
	}
	return "", p.failAt(from, "a text without end", `" at its end`, "")
}

// raw reads r#"…"#, where everything stands for itself.
func (p *expressionParser) raw() (string, error) {
	text, rest, ok := strings.Cut(p.text[p.at+len(`r#"`):], `"#`)
	if !ok {
		return "", p.failAt(p.at, "a raw text without end", `"# at its end`, "")
	}
	p.at = len(p.text) - len(rest)
	return text, nil
}
