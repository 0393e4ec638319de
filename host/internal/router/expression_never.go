package router

import (
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Never is a comparison of an expression that no request makes true.
type Never struct {
	Comparison string // as it is written
	Reason     string
	Fix        string // "": none is known
}

// NeverTrue finds the comparisons of an expression that no request makes true, because the gateway never has such a value in that field. It is sure of
// what it says, but for methods in small letters, which clients could send and do not. An expression that does not compile has none.
func NeverTrue(expression string) []Never {
	x, err := compileExpression(expression)
	if err != nil {
		return nil
	}
	return x.root.never(nil)
}

// never appends the comparisons below a term that are never true.
func (t *term) never(found []Never) []Never {
	for i := range t.parts {
		found = t.parts[i].never(found)
	}
	if t.join != joinNone {
		return found
	}
	if reason, want := t.test.neverTrue(); reason != "" {
		n := Never{Comparison: t.text, Reason: reason}
		if want != "" && utf8.ValidString(want) { // an expression is a text of YAML
			n.Fix = "write " + strconv.Quote(want)
		}
		found = append(found, n)
	}
	return found
}

// neverTrue says why a comparison is never true, and which text was meant, if that is known; "" when it may be true.
func (c *comparison) neverTrue() (reason, want string) {
	text := c.text
	if c.field.kind.holds() != textValue || !slices.Contains([]operator{opEqual, opPrefix, opSuffix, opContains}, c.operator) {
		return "", ""
	}
	if c.lower && lower(text) != text {
		return "lower(…) has no capital letters", lower(text)
	}
	begins := c.operator == opEqual || c.operator == opPrefix
	switch c.field.kind {
	case fieldHost:
		name, port, found := strings.Cut(text, ":")
		switch {
		case lower(text) != text:
			return "hosts are compared in lower case", lower(text)
		case found && name != "" && !strings.Contains(name, "[") && port != "" && strings.Trim(port, "0123456789") == "":
			return "http.host has no port: that is net.dst.port", name
		}
	case fieldProtocol:
		if c.operator == opEqual && text != "http" && text != "https" {
			return "net.protocol is http or https", ""
		}
	case fieldMethod:
		if methods := []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}; c.operator == opEqual && !c.lower &&
			!slices.Contains(methods, text) && slices.Contains(methods, strings.ToUpper(text)) {
			return "methods are sent in capital letters", strings.ToUpper(text)
		}
	case fieldPath:
		switch {
		case begins && text != "" && text[0] != '/':
			return "every path begins with /", "/" + text
		case strings.Contains(text, "?"):
			return "http.path has no query: that is in http.queries.<name>", ""
		case strings.Contains(text, "//") || strings.Contains(text, "/./") || strings.Contains(text, "/../"):
			return "paths are normalised first: double slashes and dot segments are gone", ""
		case c.operator == opEqual && !c.lower && !IsNormal(text):
			return "paths are normalised first", Normalize(text)
		}
	case fieldSegments:
		switch {
		case begins && strings.HasPrefix(text, "/"):
			return "segments begin behind the slash", strings.TrimPrefix(text, "/")
		case c.field.from == c.field.to && strings.Contains(text, "/"):
			return "one segment has no slash", ""
		}
	}
	return "", ""
}
