package local

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
)

var errMultipart = errors.New("invalid multipart body")

// parseMultipart reads the fields of a multipart/form-data body, RFC 7578. Lines may end with a line feed alone. Parts without a name are
// dropped.
func parseMultipart(contentType string, raw []byte, maxParts int) (map[string]any, error) {
	boundary := parameter(contentType, "boundary")
	if boundary == "" {
		return nil, fmt.Errorf("%w: the content type %q has no boundary", errMultipart, contentType)
	}
	dash := []byte("--" + boundary)
	fields := map[string]any{}
	part, parts := -1, 0 // where the open part begins; -1: none is open
	for at := 0; at < len(raw); {
		next := len(raw)
		if end := bytes.IndexByte(raw[at:], '\n'); end >= 0 {
			next = at + end + 1
		}
		switch kind := delimiter(raw[at:next], dash); kind {
		case delimiterPart, delimiterEnd:
			if part >= 0 {
				name, value := readPart(raw[part:at])
				if name != "" && parts < maxParts {
					AddRepeated(fields, name, value)
					parts++
				}
			}
			if kind == delimiterEnd {
				return fields, nil
			}
			part = next
		}
		at = next
	}
	return nil, fmt.Errorf("%w: the closing delimiter --%s-- is missing", errMultipart, boundary)
}

const (
	noDelimiter = iota
	delimiterPart
	delimiterEnd
)

// delimiter tells whether a line is one, RFC 2046 section 5.1.1. dash is the boundary behind its two dashes.
func delimiter(line, dash []byte) int {
	rest, ok := bytes.CutPrefix(line, dash)
	if !ok {
		return noDelimiter
	}
	switch string(bytes.TrimRight(rest, " \t\r\n")) {
	case "":
		return delimiterPart
	case "--":
		return delimiterEnd
	}
	return noDelimiter
}

// readPart takes a part, with the line end before the delimiter that follows it, apart.
func readPart(raw []byte) (name, value string) {
	for len(raw) > 0 {
		var line []byte
		line, raw, _ = bytes.Cut(raw, []byte{'\n'})
		line = bytes.TrimSuffix(line, []byte{'\r'})
		if len(line) == 0 {
			raw = bytes.TrimSuffix(bytes.TrimSuffix(raw, []byte{'\n'}), []byte{'\r'})
			return name, string(raw)
		}
		header, content, _ := strings.Cut(string(line), ":")
		if strings.EqualFold(strings.TrimSpace(header), "content-disposition") {
			name = parameter(content, "name")
		}
	}
	return "", "" // no empty line ends the headers
}

// parameter is the value of a parameter behind a header value, quoted or not; "" when there is none.
func parameter(header, name string) string {
	_, rest, _ := cutQuoted(header)
	for rest != "" {
		var one string
		one, rest, _ = cutQuoted(rest)
		key, value, found := strings.Cut(one, "=")
		if found && strings.EqualFold(strings.TrimSpace(key), name) {
			return unquote(strings.TrimSpace(value))
		}
	}
	return ""
}

// cutQuoted cuts at the first semicolon outside quotes.
func cutQuoted(s string) (before, after string, found bool) {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case c == ';' && !quoted:
			return s[:i], s[i+1:], true
		}
	}
	return s, "", false
}

// unquote reads a quoted string. A backslash quotes only a quote and itself: browsers write paths with others.
func unquote(s string) string {
	if len(s) < 2 || s[0] != '"' {
		return s
	}
	s = s[1:]
	var b strings.Builder
	for i := 0; i < len(s) && s[i] != '"'; i++ {
		if s[i] == '\\' && i+1 < len(s) && (s[i+1] == '"' || s[i+1] == '\\') {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
