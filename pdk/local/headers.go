package local

import (
	"fmt"
	"slices"
	"strings"

	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// fold maps a byte of a header name to the form in which names are compared: lower case, and "_" as "-".
var fold = func() (t [256]byte) {
	for i := range t {
		c := byte(i)
		switch {
		case 'A' <= c && c <= 'Z':
			c += 'a' - 'A'
		case c == '_':
			c = '-'
		}
		t[i] = c
	}
	return t
}()

// tokenByte tells the bytes of a token, RFC 9110 section 5.6.2.
var tokenByte = func() (t [256]bool) {
	for c := byte('a'); c <= 'z'; c++ {
		t[c], t[c-'a'+'A'] = true, true
	}
	for c := byte('0'); c <= '9'; c++ {
		t[c] = true
	}
	for _, c := range []byte("!#$%&'*+-.^_`|~") {
		t[c] = true
	}
	return t
}()

// SameHeader reports whether two header names are the same to the PDK: case does not matter, and "-" and "_" are the same.
func SameHeader(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if a[i] != b[i] && fold[a[i]] != fold[b[i]] {
			return false
		}
	}
	return true
}

// FoldName is the form of a header name that the PDK's maps use: lower case with dashes.
func FoldName(name string) string {
	for i := range len(name) {
		if fold[name[i]] != name[i] {
			b := make([]byte, len(name))
			for j := range len(name) {
				b[j] = fold[name[j]]
			}
			return string(b)
		}
	}
	return name
}

// CheckHeaderName refuses what is no token of RFC 9110 section 5.6.2.
func CheckHeaderName(name string) error {
	if name == "" {
		return fmt.Errorf("the header name is empty")
	}
	for i := range len(name) {
		if !tokenByte[name[i]] {
			return fmt.Errorf("header name %q has the byte %q at %d; expected letters, digits and !#$%%&'*+-.^_`|~", name, name[i], i)
		}
	}
	return nil
}

// CheckHeaderValue refuses control characters other than tab; RFC 9110 section 5.5. Bytes from 0x80 on are allowed.
func CheckHeaderValue(name, value string) error {
	for i := range len(value) {
		if c := value[i]; c < ' ' && c != '\t' || c == 0x7f {
			return fmt.Errorf("value of header %q has the control character 0x%02x at %d", name, c, i)
		}
	}
	return nil
}

// TrimValue removes the blanks around a header value: they would vanish on the wire.
func TrimValue(v string) string {
	if n := len(v); n == 0 || !blank(v[0]) && !blank(v[n-1]) {
		return v
	}
	return strings.Trim(v, " \t")
}

func blank(c byte) bool { return c == ' ' || c == '\t' }

// responseName is the name under which a response header is written.
func responseName(name string) string { return strings.ReplaceAll(name, "_", "-") }

// findHeader returns the first value of a header.
func findHeader(hs []wire.Header, name string) (string, bool) {
	for i := range hs {
		if SameHeader(hs[i].Name, name) {
			return hs[i].Value, true
		}
	}
	return "", false
}

// setHeader puts the values where the first line of that name stands, or at the end, and removes all other lines of that name. It
// works in place.
func setHeader(hs []wire.Header, name string, values []string) []wire.Header {
	if len(values) == 0 {
		return clearHeader(hs, name)
	}
	first := slices.IndexFunc(hs, func(h wire.Header) bool { return SameHeader(h.Name, name) })
	if first < 0 {
		return addHeader(hs, name, values)
	}
	hs[first] = wire.Header{Name: name, Value: values[0]}
	n := first + 1
	for i := n; i < len(hs); i++ {
		if !SameHeader(hs[i].Name, name) {
			hs[n] = hs[i]
			n++
		}
	}
	clear(hs[n:])
	hs = hs[:n]
	for i, v := range values[1:] {
		hs = slices.Insert(hs, first+1+i, wire.Header{Name: name, Value: v})
	}
	return hs
}

// addHeader appends one line per value.
func addHeader(hs []wire.Header, name string, values []string) []wire.Header {
	for _, v := range values {
		hs = append(hs, wire.Header{Name: name, Value: v})
	}
	return hs
}

// clearHeader removes every line of a header, in place.
func clearHeader(hs []wire.Header, name string) []wire.Header {
	return slices.DeleteFunc(hs, func(h wire.Header) bool { return SameHeader(h.Name, name) })
}

// addRequestHeader is addHeader with the rule of Host: a request has one, and the last wins.
func addRequestHeader(hs []wire.Header, name string, values []string) []wire.Header {
	if len(values) > 0 && SameHeader(name, "host") {
		return setHeader(hs, name, values[len(values)-1:])
	}
	return addHeader(hs, name, values)
}

// setRequestHeader is setHeader with the rule of Host.
func setRequestHeader(hs []wire.Header, name string, values []string) []wire.Header {
	if len(values) > 1 && SameHeader(name, "host") {
		values = values[len(values)-1:]
	}
	return setHeader(hs, name, values)
}
