package guard

import "encoding/binary"

// byteSet is a set of bytes.
type byteSet [256]bool

// setOf has the bytes from first to last and more.
func setOf(first, last byte, more string) (s byteSet) {
	for c := int(first); c <= int(last); c++ {
		s[c] = true
	}
	for i := range len(more) {
		s[more[i]] = true
	}
	return s
}

const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

var (
	digits      = setOf('0', '9', "")
	hexDigits   = setOf('0', '9', "abcdefABCDEF")
	methodBytes = setOf('A', 'Z', "0123456789-_")
	hostBytes   = setOf('0', '9', letters+"-._")
	ipv6Bytes   = setOf('0', '9', "abcdefABCDEF:.")
	tokenBytes  = setOf('0', '9', letters+"!#$%&'*+-.^_`|~") // RFC 9110 section 5.6.2
)

func allOf(set *byteSet, b []byte) bool {
	for _, c := range b {
		if !set[c] {
			return false
		}
	}
	return true
}

// text reports whether b may be the value of a header: no control characters but tabs.
func text(b []byte) bool {
	if printable(b) {
		return true
	}
	for _, c := range b {
		if c < 0x20 && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// printable reports whether b has no control characters. A tab is one here.
func printable(b []byte) bool {
	const (
		ones  = 0x0101010101010101
		highs = 0x8080808080808080
	)
	for ; len(b) >= 8; b = b[8:] {
		x := binary.LittleEndian.Uint64(b)
		del := x ^ 0x7f*ones
		// A byte below 0x20 borrows from its highest bit; so does a byte of del that is 0.
		if ((x-0x20*ones)&^x|(del-ones)&^del)&highs != 0 {
			return false
		}
	}
	for _, c := range b {
		if c < 0x20 || c == 0x7f {
			return false
		}
	}
	return true
}

// trimBlanks takes blanks and tabs off both ends.
func trimBlanks(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t') {
		b = b[:len(b)-1]
	}
	return b
}

// Fold compares a header name with a lower-case one of the same length, with - and _ the same: an upstream may not tell them apart.
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
