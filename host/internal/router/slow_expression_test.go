package router

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"pgregory.net/rapid"
)

// slowExpression is an expression as text, and what it means as functions.
type slowExpression struct {
	text  string
	holds func(*Request) bool
	// note writes down what a true expression says of the path: what it begins with, and captures; nil: nothing.
	note func(*Request, *way)
}

func (x slowExpression) String() string { return x.text }

// anyExpression makes expressions of at most so many levels.
func anyExpression(depth int) *rapid.Generator[slowExpression] {
	return rapid.Custom(func(t *rapid.T) slowExpression {
		if depth == 0 {
			return anyComparison(t)
		}
		parts := rapid.SliceOfN(anyExpression(depth-1), 2, 3)
		switch rapid.IntRange(0, 4).Draw(t, "join") {
		case 0:
			return slowAll(parts.Draw(t, "parts"))
		case 1:
			return slowOne(parts.Draw(t, "parts"))
		case 2:
			x := anyExpression(depth-1).Draw(t, "part")
			return slowExpression{text: "!(" + x.text + ")", holds: func(r *Request) bool { return !x.holds(r) }}
		}
		return anyComparison(t)
	})
}

func joinTexts(parts []slowExpression, with string) string {
	var texts []string
	for _, p := range parts {
		texts = append(texts, "("+p.text+")")
	}
	return strings.Join(texts, with)
}

func slowAll(parts []slowExpression) slowExpression {
	x := slowExpression{text: joinTexts(parts, " && ")}
	x.holds = func(r *Request) bool {
		return !slices.ContainsFunc(parts, func(p slowExpression) bool { return !p.holds(r) })
	}
	x.note = func(r *Request, w *way) {
		for _, p := range parts {
			if p.note != nil {
				p.note(r, w)
			}
		}
	}
	return x
}

func slowOne(parts []slowExpression) slowExpression {
	x := slowExpression{text: joinTexts(parts, "||")}
	x.holds = func(r *Request) bool {
		return slices.ContainsFunc(parts, func(p slowExpression) bool { return p.holds(r) })
	}
	x.note = func(r *Request, w *way) {
		if i := slices.IndexFunc(parts, func(p slowExpression) bool { return p.holds(r) }); parts[i].note != nil {
			parts[i].note(r, w)
		}
	}
	return x
}

// slowField is a field with its values in a request.
type slowField struct {
	name   string
	values func(*Request) []string
}

func one(s string) []string {
	if s == "" {
		return nil
	}
	return []string{s}
}

func slowSegments(path string) []string {
	return slices.DeleteFunc(strings.Split(path, "/"), func(s string) bool { return s == "" })
}

func anyComparison(t *rapid.T) slowExpression {
	switch rapid.IntRange(0, 5).Draw(t, "type") {
	case 0:
		return anyNumberComparison(t)
	case 1:
		return anyAddressComparison(t)
	}
	fields := []slowField{
		{"http.path", func(r *Request) []string { return one(r.Path) }},
		{"http.path", func(r *Request) []string { return one(r.Path) }},
		{"http.host", func(r *Request) []string { return one(r.Host) }},
		{"http.method", func(r *Request) []string { return one(r.Method) }},
		{"net.protocol", func(r *Request) []string { return one(r.Scheme) }},
		{"tls.sni", func(r *Request) []string { return one(strings.TrimSuffix(r.SNI, ".")) }},
		{"http.headers.x_a", func(r *Request) []string { return r.Headers.(headerMap)["x-a"] }},
		{"http.headers.X_B", func(r *Request) []string { return r.Headers.(headerMap)["x-b"] }},
		{"http.queries.q", func(r *Request) []string { q, _ := url.ParseQuery(r.Query); return q["q"] }},
		{"http.path.segments.0", func(r *Request) []string { return slowRange(r, 0, 0) }},
		{"http.path.segments.1", func(r *Request) []string { return slowRange(r, 1, 1) }},
		{"http.path.segments.0_1", func(r *Request) []string { return slowRange(r, 0, 1) }},
		{"http.path.segments.1_2", func(r *Request) []string { return slowRange(r, 1, 2) }},
	}
	f := rapid.SampledFrom(fields).Draw(t, "field")
	values := []string{"/a", "/a/b", "/b", "/", "a", "b", "a.b", ".b", "a.", "1", "two", "Two", "GET", "http", "a b", "", "/b/12"}
	if f.name == "http.path" {
		values = []string{"/", "/a", "/ab", "/a/", "/a/b", "/b/1", "/b/", "b", "/abc", "/c/x"}
	}
	op := rapid.SampledFrom([]string{"==", "!=", "^=", "=^", "contains", "~"}).Draw(t, "operator")
	value := rapid.SampledFrom(values).Draw(t, "value")
	if op == "~" {
		value = rapid.SampledFrom([]string{"^/a", "^/a/(.)", "b$", "^/b/([0-9])([0-9])?", "[0-9]", "^(?:/a|/b)", "(/)b", "^a", "(?i)^/A", "^/a?", ""}).Draw(t, "pattern")
	}
	lower, anyOf := rapid.Bool().Draw(t, "lower"), rapid.Bool().Draw(t, "any")
	text := f.name
	if lower {
		text = "lower(" + text + ")"
	}
	if anyOf {
		text = "any(" + text + ")"
	}
	quoted := strconv.Quote(value)
	if rapid.Bool().Draw(t, "raw") {
		quoted = `r#"` + value + `"#`
	}
	x := slowExpression{text: text + " " + op + " " + quoted}
	lowered := func(s string) string {
		if lower {
			return strings.ToLower(s)
		}
		return s
	}
	x.holds = func(r *Request) bool {
		return slowQuantity(anyOf, f.values(r), func(v string) bool { return slowText(op, lowered(v), value) })
	}
	if f.name == "http.path" {
		x.note = slowNote(op, value, lowered)
	}
	return x
}

// slowNote is what a comparison with the path says of it.
func slowNote(op, value string, lowered func(string) string) func(*Request, *way) {
	switch op {
	case "==", "^=":
		return func(r *Request, w *way) { w.matched = r.Path[:len(value)] }
	case "~":
		re := slowPattern(value)
		return func(r *Request, w *way) {
			path := lowered(r.Path)
			w.matched, w.captures = "", re.FindStringSubmatch(path)[1:]
			if at := re.FindStringIndex(path); at[0] == 0 {
				w.matched = path[:at[1]]
			}
		}
	}
	return nil
}

func slowRange(r *Request, from, to int) []string {
	all := slowSegments(r.Path)
	if to >= len(all) {
		return nil
	}
	return []string{strings.Join(all[from:to+1], "/")}
}

// slowQuantity is true of one value, or of all of at least one.
func slowQuantity[T any](anyOf bool, values []T, is func(T) bool) bool {
	n := 0
	for _, v := range values {
		if is(v) {
			n++
		}
	}
	if anyOf {
		return n > 0
	}
	return n > 0 && n == len(values)
}

func slowText(op, got, want string) bool {
	switch op {
	case "==":
		return got == want
	case "!=":
		return got != want
	case "^=":
		return strings.HasPrefix(got, want)
	case "=^":
		return strings.HasSuffix(got, want)
	case "contains":
		return strings.Contains(got, want)
	}
	return slowPattern(want).MatchString(got)
}

func anyNumberComparison(t *rapid.T) slowExpression {
	name := rapid.SampledFrom([]string{"net.dst.port", "net.src.port", "http.path.segments.len"}).Draw(t, "number")
	op := rapid.SampledFrom([]string{"==", "!=", "<", "<=", ">", ">="}).Draw(t, "operator")
	want := rapid.SampledFrom([]int{0, 1, 2, 3, 79, 80, 81, 8000}).Draw(t, "value")
	return slowExpression{text: fmt.Sprintf("%s %s %d", name, op, want), holds: func(r *Request) bool {
		got := 0
		switch name {
		case "net.dst.port":
			if got = r.HostPort; got == 0 {
				got = r.ListenPort
			}
		case "net.src.port":
			if _, got = r.Addresses.Source(); got == 0 {
				return false
			}
		default:
			got = len(slowSegments(r.Path))
		}
		return map[string]bool{"==": got == want, "!=": got != want, "<": got < want, "<=": got <= want, ">": got > want, ">=": got >= want}[op]
	}}
}

func anyAddressComparison(t *rapid.T) slowExpression {
	name := rapid.SampledFrom([]string{"net.src.ip", "net.dst.ip"}).Draw(t, "address")
	op := rapid.SampledFrom([]string{"==", "!=", "in", "not in"}).Draw(t, "operator")
	values := []string{"10.0.0.1", "10.1.0.1", "::1", "fd00::1"}
	if strings.HasSuffix(op, "in") {
		values = []string{"10.0.0.0/8", "10.0.0.0/16", "0.0.0.0/0", "fd00::/8", "::/0", "10.0.0.1/32"}
	}
	value := rapid.SampledFrom(values).Draw(t, "value")
	return slowExpression{text: fmt.Sprintf("%s %s %s", name, op, value), holds: func(r *Request) bool {
		got := r.Addresses.Destination()
		if name == "net.src.ip" {
			got, _ = r.Addresses.Source()
		}
		if !got.IsValid() {
			return false
		}
		inside := got.String() == value
		if strings.HasSuffix(op, "in") {
			inside = netip.MustParsePrefix(value).Contains(got)
		}
		return inside == (op == "==" || op == "in")
	}}
}
