package router

import (
	"net/netip"
	"regexp"
	"strings"
)

// holds reports whether a term is true.
func (t *term) holds(req *Request) bool {
	switch t.join {
	case joinAnd:
		for i := range t.parts {
			if !t.parts[i].holds(req) {
				return false
			}
		}
		return true
	case joinOr:
		for i := range t.parts {
			if t.parts[i].holds(req) {
				return true
			}
		}
		return false
	case joinNot:
		return !t.parts[0].holds(req)
	}
	return t.test.holds(req)
}

// note puts what a term that is true says of the path into m: the text with which it begins, and captures. Of several comparisons with http.path the
// last one counts, of those on which the truth rests: all parts of &&, the first part of || that is true, and nothing in !.
func (t *term) note(req *Request, m *Match) {
	switch t.join {
	case joinAnd:
		for i := range t.parts {
			t.parts[i].note(req, m)
		}
	case joinOr:
		for i := range t.parts {
			if part := &t.parts[i]; part.holds(req) {
				part.note(req, m)
				return
			}
		}
	case joinNone:
		if t.test.field.kind == fieldPath {
			t.test.notePath(req.Path, m)
		}
	}
}

// notePath is note of one comparison with the path.
func (c *comparison) notePath(path string, m *Match) {
	switch c.operator {
	case opEqual, opPrefix:
		m.MatchedPath = path[:len(c.text)]
	case opRegex:
		if c.lower {
			path = lowered(path)
		}
		m.MatchedPath = ""
		m.Captures.reset()
		if len(c.groups) == 0 {
			m.MatchedPath = atStart(c.pattern, path)
			return
		}
		at := c.pattern.FindStringSubmatchIndex(path)
		if at[0] == 0 {
			m.MatchedPath = path[:at[1]]
		}
		m.Captures.take(path, at, c.groups)
	}
}

// atStart is the text with which a path begins and that a pattern without groups matches first; "" when its first match is elsewhere.
func atStart(pattern *regexp.Regexp, path string) string {
	text := pattern.FindString(path) // FindStringIndex would allocate
	if strings.HasPrefix(path, text) {
		return text // the first match is as far left as can be
	}
	return ""
}

// blame is the innermost part on which it rests that a term is false.
func (t *term) blame(req *Request) *term {
	if t.join == joinAnd {
		for i := range t.parts {
			if part := &t.parts[i]; !part.holds(req) {
				return part.blame(req)
			}
		}
	}
	return t
}

// holds reports whether a comparison is true: of all values of its field, or of one if any is set. A field without a value makes it false, != too.
func (c *comparison) holds(req *Request) bool {
	switch c.field.kind {
	case fieldHeader:
		if req.Headers == nil {
			return false
		}
		for i := 0; ; i++ {
			value, ok := req.Headers.HeaderValue(c.field.name, i)
			if !ok {
				return i > 0 && !c.any
			}
			if c.holdsText(value) == c.any {
				return c.any
			}
		}
	case fieldQuery:
		return c.holdsQuery(req.Query)
	case fieldProtocol:
		return req.Scheme != "" && c.holdsText(req.Scheme)
	case fieldSNI:
		name := strings.TrimSuffix(req.SNI, ".")
		return name != "" && c.holdsText(name)
	case fieldMethod:
		return req.Method != "" && c.holdsText(req.Method)
	case fieldHost:
		return req.Host != "" && c.holdsText(req.Host)
	case fieldPath:
		return c.holdsText(req.Path)
	case fieldSegments:
		text, ok := between(req.Path, int(c.field.from), int(c.field.to))
		return ok && c.holdsText(text)
	case fieldSegmentCount:
		return c.holdsNumber(segmentCount(req.Path))
	case fieldDestinationPort:
		port := req.HostPort
		if port == 0 {
			port = req.ListenPort
		}
		return port != 0 && c.holdsNumber(int64(port))
	}
	if req.Addresses == nil {
		return false
	}
	if c.field.kind == fieldDestinationIP {
		return c.holdsAddress(req.Addresses.Destination())
	}
	a, port := req.Addresses.Source()
	if c.field.kind == fieldSourcePort {
		return port != 0 && c.holdsNumber(int64(port))
	}
	return c.holdsAddress(a)
}

// holdsText compares one text.
func (c *comparison) holdsText(v string) bool {
	if c.lower {
		switch n := len(c.text); c.operator {
		case opEqual:
			return equalLower(v, c.text)
		case opNotEqual:
			return !equalLower(v, c.text)
		case opPrefix:
			return len(v) >= n && equalLower(v[:n], c.text)
		case opSuffix:
			return len(v) >= n && equalLower(v[len(v)-n:], c.text)
		}
		v = lowered(v)
	}
	switch c.operator {
	case opEqual:
		return v == c.text
	case opNotEqual:
		return v != c.text
	case opPrefix:
		return strings.HasPrefix(v, c.text)
	case opSuffix:
		return strings.HasSuffix(v, c.text)
	case opContains:
		return strings.Contains(v, c.text)
	case opRegex:
		return c.pattern.MatchString(v)
	}
	return false
}

// lowered is lower, without an allocation where nothing changes.
func lowered(s string) string {
	for i := range len(s) {
		if s[i] >= 'A' && s[i] <= 'Z' {
			return lower(s)
		}
	}
	return s
}

func (c *comparison) holdsNumber(n int64) bool {
	switch c.operator {
	case opEqual:
		return n == c.number
	case opNotEqual:
		return n != c.number
	case opGreater:
		return n > c.number
	case opGreaterEqual:
		return n >= c.number
	case opLess:
		return n < c.number
	case opLessEqual:
		return n <= c.number
	}
	return false
}

func (c *comparison) holdsAddress(a netip.Addr) bool {
	if !a.IsValid() {
		return false
	}
	inside := c.network.Contains(a.Unmap())
	if c.operator == opNotEqual || c.operator == opNotIn {
		return !inside
	}
	return inside
}

// holdsQuery compares the values of a query parameter. One without = has an empty value.
func (c *comparison) holdsQuery(query string) bool {
	found := false
	for query != "" {
		var pair string
		pair, query, _ = strings.Cut(query, "&")
		key, value, _ := strings.Cut(pair, "=")
		if pair == "" || decoded(key) != c.field.name {
			continue
		}
		found = true
		if c.holdsText(decoded(value)) == c.any {
			return c.any
		}
	}
	return found && !c.any
}

// decoded is a part of a query with + as a space and triplets decoded; what is no triplet stays. Text without either is returned as it is.
func decoded(s string) string {
	if strings.IndexByte(s, '%') < 0 && strings.IndexByte(s, '+') < 0 {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		c, ok := triplet(s, i)
		switch {
		case ok:
			b = append(b, c)
			i += 2
		case s[i] == '+':
			b = append(b, ' ')
		default:
			b = append(b, s[i])
		}
	}
	return string(b)
}
