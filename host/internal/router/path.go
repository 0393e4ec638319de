package router

import "strings"

// Byte classes of a path.
const (
	reserved  = 1 << iota // kept percent-encoded by Normalize
	printable             // sent upstream as it is by EscapePath
)

// pathClass classifies every byte, see Normalize and EscapePath.
var pathClass = func() (t [256]uint8) {
	for _, c := range []byte("!*'();:@&=+$,/?%#[]") {
		t[c] |= reserved
	}
	for c := range 256 {
		b := byte(c)
		if b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9' || strings.IndexByte("!#$&'()*+,/:;=?@[]-_.~%", b) >= 0 {
			t[b] |= printable
		}
	}
	return t
}()

const upperHex = "0123456789ABCDEF"

// unhex is the value of a hexadecimal digit; ok is false for any other byte.
func unhex(c byte) (v byte, ok bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10, true
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10, true
	}
	return 0, false
}

// triplet decodes the percent-encoded byte at s[i:]; ok is false when s[i] does not start one.
func triplet(s string, i int) (c byte, ok bool) {
	if i+2 >= len(s) || s[i] != '%' {
		return 0, false
	}
	hi, ok1 := unhex(s[i+1])
	lo, ok2 := unhex(s[i+2])
	return hi<<4 | lo, ok1 && ok2
}

// kept reports whether the triplet at path[i:] for c stays encoded: c is reserved, or c is a hexadecimal digit that would make a
// triplet out of a stray % before it, which would then mean another byte to whoever decodes once more.
func kept(path string, i int, c byte) bool {
	if pathClass[c]&reserved != 0 {
		return true
	}
	if _, hex := unhex(c); !hex || i == 0 {
		return false
	}
	if path[i-1] == '%' {
		return true
	}
	_, hex := unhex(path[i-1])
	return hex && i > 1 && path[i-2] == '%'
}

// Normalize brings the path of a request, without query, into the form that routes are matched against and that goes upstream:
// percent-encoded bytes are decoded unless they are reserved (! * ' ( ) ; : @ & = + $ , / ? % # [ ]), kept triplets are written in
// upper case, dot segments are removed as in RFC 3986 section 5.2.4 but never above the root, and then runs of slashes become one.
// The result starts with a slash. A path that is normal already is returned as it is, without allocation.
func Normalize(path string) string {
	if IsNormal(path) {
		return path
	}
	b := make([]byte, 0, len(path)+1)
	if path == "" || path[0] != '/' {
		b = append(b, '/')
	}
	b = decode(b, path)
	return string(mergeSlashes(removeDotSegments(b)))
}

// IsNormal reports whether Normalize would leave the path alone.
func IsNormal(path string) bool {
	if path == "" || path[0] != '/' {
		return false
	}
	for i := 0; i < len(path); i++ {
		switch path[i] {
		case '%':
			c, ok := triplet(path, i)
			if ok && (!kept(path, i, c) || path[i+1] >= 'a' || path[i+2] >= 'a') {
				return false
			}
		case '/':
			rest := path[i+1:]
			if rest != "" && rest[0] == '/' || dotSegment(rest) > 0 {
				return false
			}
		}
	}
	return true
}

// dotSegment is the length of the dot segment that s starts with, 1 for "." and 2 for "..", or 0 if it starts with another segment.
func dotSegment[T string | []byte](s T) int {
	n := 0
	for n < len(s) && n < 3 && s[n] == '.' {
		n++
	}
	if n > 2 || n < len(s) && s[n] != '/' {
		return 0
	}
	return n
}

// decode appends path to b with every triplet decoded that does not stand for a reserved byte.
func decode(b []byte, path string) []byte {
	for i := 0; i < len(path); i++ {
		c, ok := triplet(path, i)
		switch {
		case !ok:
			b = append(b, path[i])
			continue
		case kept(path, i, c):
			b = append(b, '%', upperHex[c>>4], upperHex[c&15])
		default:
			b = append(b, c)
		}
		i += 2
	}
	return b
}

// removeDotSegments follows RFC 3986 section 5.2.4, in place. b starts with a slash.
func removeDotSegments(b []byte) []byte {
	out := b[:0]
	for i := 0; i < len(b); {
		// b[i] is the slash before a segment.
		end := i + 1
		for end < len(b) && b[end] != '/' {
			end++
		}
		switch dots := dotSegment(b[i+1 : end]); dots {
		case 0:
			out = append(out, b[i:end]...)
		default:
			if dots == 2 {
				for len(out) > 0 && out[len(out)-1] != '/' {
					out = out[:len(out)-1]
				}
				if len(out) > 0 {
					out = out[:len(out)-1]
				}
			}
			if end == len(b) {
				out = append(out, '/')
			}
		}
		i = end
	}
	return out
}

// mergeSlashes makes one slash of each run of slashes, in place.
func mergeSlashes(b []byte) []byte {
	out := b[:0]
	for i, c := range b {
		if c == '/' && i > 0 && b[i-1] == '/' {
			continue
		}
		out = append(out, c)
	}
	return out
}

// EscapePath percent-encodes what may not stand in a request line: every byte but letters, digits and
// ! # $ & ' ( ) * + , / : ; = ? @ [ ] - _ . ~ %. Triplets that are there are left alone. Without such a byte it does not allocate.
func EscapePath(path string) string {
	n := 0
	for i := range len(path) {
		if pathClass[path[i]]&printable == 0 {
			n++
		}
	}
	if n == 0 {
		return path
	}
	b := make([]byte, 0, len(path)+2*n)
	for i := range len(path) {
		if c := path[i]; pathClass[c]&printable == 0 {
			b = append(b, '%', upperHex[c>>4], upperHex[c&15])
		} else {
			b = append(b, c)
		}
	}
	return string(b)
}

// UpstreamPath joins the path of the service ("" is "/") with the normalised path of the request, from which the matched path is
// taken away when strip is set: with one slash between them (path_handling v0), or without adding one if the match is glued (v1).
// The result is not escaped yet.
func UpstreamPath(servicePath string, m *Match, reqPath string, strip bool) string {
	base := servicePath
	if base == "" {
		base = "/"
	}
	if m.Glued {
		return gluedPath(base, m, reqPath, strip)
	}
	if !strip {
		switch {
		case reqPath == "/":
			return base
		case base == "/":
			return reqPath
		case base[len(base)-1] == '/':
			return base + reqPath[1:]
		}
		return base + reqPath
	}
	rest := afterMatch(m, reqPath)
	if rest == "" {
		return emptyRest(base, reqPath)
	}
	if base[len(base)-1] == '/' {
		base = base[:len(base)-1]
	}
	if rest[0] == '/' {
		if base == "" {
			return rest
		}
		return base + rest
	}
	if at := len(reqPath) - len(rest); base == "" && at > 0 && reqPath[at-1] == '/' {
		return reqPath[at-1:] // rest is the end of it
	}
	return base + "/" + rest
}

// gluedPath is the upstream path of path_handling v1: what is left of the request path right behind the service path, but for one of two slashes.
// What is not stripped comes without its first slash.
func gluedPath(base string, m *Match, reqPath string, strip bool) string {
	rest := strings.TrimPrefix(reqPath, "/")
	if strip {
		rest = afterMatch(m, reqPath)
	}
	if strings.HasSuffix(base, "/") && strings.HasPrefix(rest, "/") {
		rest = rest[1:]
	}
	return base + rest
}

// afterMatch is what follows the matched path; without one the request path but for its first slash.
func afterMatch(m *Match, reqPath string) string {
	if m.MatchedPath == "" || len(m.MatchedPath) > len(reqPath) {
		return strings.TrimPrefix(reqPath, "/")
	}
	return withoutDots(reqPath[len(m.MatchedPath):])
}

// withoutDots takes away the dot segment that stripping laid bare, as in /api../secret for the route path /api. It may be one that only some services see: with
// parameters as in /api..;/secret, or before something that they take for a slash. The others of the path were looked at when the request came.
func withoutDots(rest string) string {
	dots := 0
	for dots < len(rest) && rest[dots] == '.' {
		dots++
	}
	end := rest[dots:]
	if dots == 0 || dots > 2 || end != "" && slash(end) == 0 && end[0] != ';' && !strings.HasPrefix(end, "%3B") {
		return rest
	}
	for end != "" && slash(end) == 0 {
		end = end[1:]
	}
	return end[slash(end):]
}

// slash is the length of what s starts with when that is a slash, or taken for one by some services; 0 otherwise. Escapes are in upper case.
func slash(s string) int {
	switch {
	case s == "":
		return 0
	case s[0] == '/', s[0] == '\\':
		return 1
	case strings.HasPrefix(s, "%2F"), strings.HasPrefix(s, "%5C"):
		return len("%2F")
	}
	return 0
}

// emptyRest is the upstream path when stripping took everything: the service path, with a slash at its end only if the request had
// one there.
func emptyRest(base, reqPath string) string {
	switch {
	case base == "/":
		return base
	case base[len(base)-1] == '/':
		if reqPath[len(reqPath)-1] == '/' {
			return base
		}
		return base[:len(base)-1]
	case len(reqPath) > 1 && reqPath[len(reqPath)-1] == '/':
		return base + "/"
	}
	return base
}
