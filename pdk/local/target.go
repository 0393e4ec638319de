package local

import (
	"fmt"
	"slices"
	"strings"

	"github.com/outrigger-gateway/outrigger/pdk"
)

// Methods that service.request.set_method takes.
var methods = []string{
	"GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS", "MKCOL", "COPY", "MOVE", "PROPFIND", "PROPPATCH", "LOCK", "UNLOCK", "PATCH", "TRACE",
}

// CheckMethod refuses a method that service.request.set_method does not take.
func CheckMethod(method string) error {
	if !slices.Contains(methods, method) {
		return fmt.Errorf("method %q is not one of %s", method, strings.Join(methods, ", "))
	}
	return nil
}

// CheckScheme refuses what is neither http nor https.
func CheckScheme(scheme string) error {
	if scheme != "http" && scheme != "https" {
		return fmt.Errorf("scheme %q is not http or https", scheme)
	}
	return nil
}

// CheckRawQuery refuses bytes that would end the request target: blanks and control characters.
func CheckRawQuery(query string) error {
	for i := range len(query) {
		if c := query[i]; c <= ' ' || c == 0x7f {
			return fmt.Errorf("query has the byte 0x%02x at %d; expected it percent-encoded", c, i)
		}
	}
	return nil
}

const (
	upperHex = "0123456789ABCDEF"
	// pathKept are the bytes of a path, beside letters, digits and triplets, that stay as they are.
	pathKept = "-._~!$&'()*+,;=:@/[]"
)

// EscapePath percent-encodes the bytes of a path that need it. Triplets and reserved characters stay; "?" and "#" are encoded, because
// they would end the path. The path must start with "/". Escaping twice changes nothing.
func EscapePath(path string) (string, error) {
	if !strings.HasPrefix(path, "/") {
		return "", fmt.Errorf("path %q does not start with /", path)
	}
	for i := range len(path) {
		if !pathByte(path, i) {
			return escapePath(path), nil
		}
	}
	return path, nil
}

func escapePath(path string) string {
	b := make([]byte, 0, len(path)+16)
	for i := range len(path) {
		if pathByte(path, i) {
			b = append(b, path[i])
		} else {
			b = append(b, '%', upperHex[path[i]>>4], upperHex[path[i]&15])
		}
	}
	return string(b)
}

func pathByte(path string, i int) bool {
	c := path[i]
	if c == '%' {
		return i+2 < len(path) && unhex(path[i+1]) >= 0 && unhex(path[i+2]) >= 0
	}
	return alnum(c) || strings.IndexByte(pathKept, c) >= 0
}

func alnum(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

func unhex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// Argument limits of request.get_query, request.get_headers and their like.
const (
	defaultMax = 100
	maxMax     = 1000
)

// checkMax gives the limit that an argument asks for; -1 is the default.
func checkMax(name string, n int) (int, error) {
	if n == -1 {
		return defaultMax, nil
	}
	if n < 1 || n > maxMax {
		return 0, fmt.Errorf("%s is %d; expected 1 to %d", name, n, maxMax)
	}
	return n, nil
}

// nextArg cuts the next argument with a name off a raw query, still encoded. ok is false at the end.
func nextArg(query string) (name, value string, bare bool, rest string, ok bool) {
	for query != "" {
		var part string
		part, query, _ = strings.Cut(query, "&")
		name, value, found := strings.Cut(part, "=")
		if name != "" {
			return name, value, !found, query, true
		}
	}
	return "", "", false, "", false
}

// DecodeQuery decodes one name or value of a query: percent triplets, and "+" as a blank. A "%" without two digits stays.
func DecodeQuery(s string) string {
	if strings.IndexByte(s, '%') < 0 && strings.IndexByte(s, '+') < 0 {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '+':
			b = append(b, ' ')
		case c == '%' && i+2 < len(s) && unhex(s[i+1]) >= 0 && unhex(s[i+2]) >= 0:
			b = append(b, byte(unhex(s[i+1])<<4|unhex(s[i+2])))
			i += 2
		default:
			b = append(b, c)
		}
	}
	return string(b)
}

// queryArg finds the first argument of that name among the first 100.
func queryArg(query, name string) (pdk.QueryValue, bool) {
	for range defaultMax {
		n, v, bare, rest, ok := nextArg(query)
		if !ok {
			break
		}
		if DecodeQuery(n) == name {
			return pdk.QueryValue{Text: DecodeQuery(v), Bare: bare}, true
		}
		query = rest
	}
	return pdk.QueryValue{}, false
}

// EncodeQuery writes query arguments sorted by name, percent-encoded, with a blank as %20. A name with an empty list is left out.
func EncodeQuery(args map[string][]pdk.QueryValue) string {
	names := make([]string, 0, len(args))
	for name := range args {
		names = append(names, name)
	}
	slices.Sort(names)
	var b []byte
	for _, name := range names {
		for _, v := range args[name] {
			if name == "" && v.Bare {
				continue // nothing would be left of it but the separator
			}
			if len(b) > 0 {
				b = append(b, '&')
			}
			b = appendQuery(b, name)
			if !v.Bare {
				b = append(b, '=')
				b = appendQuery(b, v.Text)
			}
		}
	}
	return string(b)
}

func appendQuery(b []byte, s string) []byte {
	for i := range len(s) {
		c := s[i]
		if alnum(c) || c == '-' || c == '.' || c == '_' || c == '~' {
			b = append(b, c)
		} else {
			b = append(b, '%', upperHex[c>>4], upperHex[c&15])
		}
	}
	return b
}

// QueryMap is the query as a log entry shows it: text, true for a bare name, a list for a repeated one; at most 100 arguments.
func QueryMap(query string) map[string]any { return parseForm(query, defaultMax) }

// AddRepeated adds a value that is not nil to a map of a log entry: the values of a repeated name become a list.
func AddRepeated(m map[string]any, name string, value any) {
	switch old := m[name].(type) {
	case nil:
		m[name] = value
	case []any:
		m[name] = append(old, value)
	default:
		m[name] = []any{old, value}
	}
}
