// Package httpbyte says which bytes the parts of an HTTP message may have, and compares names: the same for requests and responses.
package httpbyte

import "encoding/binary"

var token = func() (set [256]bool) {
	for c := range 128 {
		set[c] = '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z'
	}
	for _, c := range []byte("!#$%&'*+-.^_`|~") {
		set[c] = true
	}
	return set
}()

// InToken reports whether a byte may stand in a token, such as a header name (RFC 9110 section 5.6.2).
func InToken(c byte) bool { return token[c] }

// IsToken reports whether b is a token.
func IsToken(b []byte) bool {
	for _, c := range b {
		if !token[c] {
			return false
		}
	}
	return len(b) > 0
}

// IsText reports whether b may be the value of a header: no control characters but tabs.
func IsText(b []byte) bool {
	const (
		ones  = 0x0101010101010101
		highs = 0x8080808080808080
	)
	for ; len(b) >= 8; b = b[8:] {
		x := binary.LittleEndian.Uint64(b)
		del := x ^ 0x7f*ones
		// A byte below 0x20 borrows from its highest bit; so does a byte of del that is 0.
		if ((x-0x20*ones)&^x|(del-ones)&^del)&highs != 0 {
			break
		}
	}
	for _, c := range b {
		if c < 0x20 && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// IsBlank reports whether c is a blank or a tab.
func IsBlank(c byte) bool { return c == ' ' || c == '\t' }

// TrimBlanks takes blanks and tabs off both ends.
func TrimBlanks(b []byte) []byte {
	for len(b) > 0 && IsBlank(b[0]) {
		b = b[1:]
	}
	for len(b) > 0 && IsBlank(b[len(b)-1]) {
		b = b[:len(b)-1]
	}
	return b
}

// Lower compares a header name with a lower-case one of the same length, or its beginning with a shorter one.
func Lower(name []byte, lower string) bool {
	for i := range len(lower) {
		c := name[i]
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// Same compares text with lower-case text, whatever the case of its ASCII letters. Unlike bytes.EqualFold it knows no other letters: the sign for Kelvin is
// no k, and no peer takes it for one.
func Same(text []byte, lower string) bool { return len(text) == len(lower) && Lower(text, lower) }

// Fold is Lower with - and _ the same: an upstream may not tell them apart.
func Fold(name []byte, lower string) bool {
	for i := range len(lower) {
		c := name[i]
		switch {
		case 'A' <= c && c <= 'Z':
			c |= 0x20
		case c == '_':
			c = '-'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}
