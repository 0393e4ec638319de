package httpbyte

import (
	"bytes"
	"strings"
	"testing"
)

// Every byte, at every place of a word that is looked at eight bytes at a time, counts as it does alone.
func TestEveryByte(t *testing.T) {
	for c := range 256 {
		b := byte(c)
		isToken := b < 128 && (b >= '0' && b <= '9' || b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || strings.IndexByte("!#$%&'*+-.^_`|~", b) >= 0)
		isText := b >= 0x20 && b != 0x7f || b == '\t'
		if InToken(b) != isToken || IsToken([]byte{b}) != isToken {
			t.Errorf("%q: token %t, expected %t", b, InToken(b), isToken)
		}
		for at := range 20 {
			text := bytes.Repeat([]byte("a"), 20)
			text[at] = b
			if IsText(text) != isText {
				t.Errorf("%q at %d: text %t, expected %t", b, at, IsText(text), isText)
			}
		}
	}
	if IsToken(nil) || !IsText(nil) {
		t.Error("nothing is a text and no token")
	}
}

func TestNames(t *testing.T) {
	for _, c := range []struct {
		name, lower  string
		exact, folds bool
	}{
		{"X-Real-IP", "x-real-ip", true, true},
		{"x_real-Ip", "x-real-ip", false, true},
		{"X-Real-I0", "x-real-ip", false, false},
		{"X-Consumer-ID", "x-consumer-", true, true},
	} {
		if Lower([]byte(c.name), c.lower) != c.exact || Fold([]byte(c.name), c.lower) != c.folds {
			t.Errorf("%s and %s: found %t, %t", c.name, c.lower, Lower([]byte(c.name), c.lower), Fold([]byte(c.name), c.lower))
		}
	}
	for text, same := range map[string]bool{"chunked": true, "CHunKed": true, "chunke": false, "chunkedd": false, "chun\u212aed": false, "chun+ed": false} {
		if Same([]byte(text), "chunked") != same {
			t.Errorf("%q is the same: %t", text, !same)
		}
	}
	if got := TrimBlanks([]byte(" \ta b\t ")); string(got) != "a b" {
		t.Errorf("found %q", got)
	}
}
