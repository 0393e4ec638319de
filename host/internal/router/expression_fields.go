package router

import (
	"fmt"
	"strconv"
	"strings"
)

// field is something of a request that expressions compare.
type field struct {
	kind     fieldKind
	from, to uint16 // of segments: the first and the last
	name     string // of a header, in lower case with dashes, or of a query parameter
}

// fieldKind says what a field is.
type fieldKind uint8

const (
	fieldProtocol fieldKind = iota
	fieldSNI
	fieldMethod
	fieldHost
	fieldPath
	fieldSegments
	fieldSegmentCount
	fieldHeader
	fieldQuery
	fieldSourceIP
	fieldSourcePort
	fieldDestinationIP
	fieldDestinationPort
)

// valueType is what a field holds.
type valueType uint8

const (
	textValue valueType = iota
	numberValue
	addressValue
)

func (t valueType) String() string { return [...]string{"a text", "a number", "an address"}[t] }

func (k fieldKind) holds() valueType {
	switch k {
	case fieldSegmentCount, fieldSourcePort, fieldDestinationPort:
		return numberValue
	case fieldSourceIP, fieldDestinationIP:
		return addressValue
	}
	return textValue
}

// plainFields are the fields whose names are fixed.
func plainFields() []struct {
	name string
	kind fieldKind
} {
	return []struct {
		name string
		kind fieldKind
	}{
		{"http.host", fieldHost}, {"http.method", fieldMethod}, {"http.path", fieldPath}, {"http.path.segments.len", fieldSegmentCount},
		{"net.dst.ip", fieldDestinationIP}, {"net.dst.port", fieldDestinationPort}, {"net.protocol", fieldProtocol}, {"net.src.ip", fieldSourceIP},
		{"net.src.port", fieldSourcePort}, {"tls.sni", fieldSNI},
	}
}

// field looks up a name that was read at from.
func (p *expressionParser) field(c *comparison, name string, from int) error {
	for _, f := range plainFields() {
		if f.name == name {
			c.field.kind = f.kind
			return nil
		}
	}
	if header, ok := strings.CutPrefix(name, "http.headers."); ok && header != "" {
		if p.at < len(p.text) && p.text[p.at] == '-' {
			return p.failAt(from, "a dash in the name of a header", "_ in its place", "write "+name+"_…")
		}
		c.field = field{kind: fieldHeader, name: strings.ReplaceAll(lower(header), "_", "-")}
		return nil
	}
	if query, ok := strings.CutPrefix(name, "http.queries."); ok && query != "" {
		c.field = field{kind: fieldQuery, name: query}
		return nil
	}
	if places, ok := strings.CutPrefix(name, "http.path.segments."); ok {
		return p.segments(c, places, from)
	}
	expected := "one of http.headers.<name>, http.path.segments.<n>, http.queries.<name>"
	for _, f := range plainFields() {
		expected += ", " + f.name
	}
	return p.failAt(from, fmt.Sprintf("the field %q", name), expected, "")
}

// segments reads the numbers of one segment of the path, or of the first and the last of several.
func (p *expressionParser) segments(c *comparison, places string, from int) error {
	first, last, several := strings.Cut(places, "_")
	if !several {
		last = first
	}
	a, err1 := strconv.ParseUint(first, 10, 16)
	b, err2 := strconv.ParseUint(last, 10, 16)
	if err1 != nil || err2 != nil || several && a >= b {
		return p.failAt(from, fmt.Sprintf("http.path.segments.%s", places), "http.path.segments.<n> or <n>_<m>, counted from 0, n below m, or len", "")
	}
	c.field = field{kind: fieldSegments, from: uint16(a), to: uint16(b)}
	return nil
}

// between is the part of a path from one segment to another; ok is false when the path does not have so many. "/a/b/" has two.
func between(path string, from, to int) (text string, ok bool) {
	rest := strings.TrimSuffix(strings.TrimPrefix(path, "/"), "/")
	if rest == "" {
		return "", false
	}
	for range from {
		if _, rest, ok = strings.Cut(rest, "/"); !ok {
			return "", false
		}
	}
	end := 0
	for i := from; ; i++ {
		slash := strings.IndexByte(rest[end:], '/')
		switch {
		case slash < 0 && i < to:
			return "", false
		case slash < 0:
			return rest, true
		case i == to:
			return rest[:end+slash], true
		}
		end += slash + 1
	}
}

// segmentCount is the number of segments of a path.
func segmentCount(path string) int64 {
	rest := strings.TrimSuffix(strings.TrimPrefix(path, "/"), "/")
	if rest == "" {
		return 0
	}
	return int64(strings.Count(rest, "/")) + 1
}
