package config

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// What no editor shows is said in words; what is fine is read, whatever the editor was.
func TestEncodings(t *testing.T) {
	const document = "_format_version: '3.0'\nservices:\n- name: a\n  hots: h\n"
	utf16 := func(order func(b byte) string) string {
		var b strings.Builder
		for i := range len(document) {
			b.WriteString(order(document[i]))
		}
		return b.String()
	}
	for name, c := range map[string]struct{ text, want string }{
		"plain":            {document, "g.yaml:4:3: services[0].hots: found unknown key"},
		"UTF-8 with mark":  {"\xef\xbb\xbf" + document, "g.yaml:4:3: services[0].hots: found unknown key"},
		"CRLF":             {strings.ReplaceAll(document, "\n", "\r\n"), "g.yaml:4:3: services[0].hots: found unknown key"},
		"little UTF-16":    {"\xff\xfe" + utf16(func(b byte) string { return string([]byte{b, 0}) }), "g.yaml:1:1: found UTF-16, by its byte order mark, expected UTF-8 text (fix: save"},
		"big UTF-16":       {"\xfe\xff" + utf16(func(b byte) string { return string([]byte{0, b}) }), "g.yaml:1:1: found UTF-16, by its byte order mark, expected UTF-8 text (fix: save"},
		"UTF-16, no mark":  {utf16(func(b byte) string { return string([]byte{b, 0}) }), "g.yaml:1:2: found the control character 0x00, expected text without control characters (fix: save the file as UTF-8"},
		"another encoding": {strings.Replace(document, "hots", "caf\xe9", 1), "g.yaml:4:6: found the byte 0xe9, expected UTF-8 text (fix: save"},
	} {
		_, err := Parse("g.yaml", []byte(c.text))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: found %v, expected %s", name, err, c.want)
		}
	}
}

// A document with a million mistakes has them told in bounds, and is refused as any other.
func TestManyMistakes(t *testing.T) {
	var b strings.Builder
	b.WriteString(`{"_format_version": "3.0", "plugins": [`)
	for i := range 2000 {
		fmt.Fprintf(&b, `{"name": "p", "service": "s%d", "consumer": "c"},`, i)
	}
	b.WriteString(`{"name": 5}], "acls": [{"consumer": "nobody", "group": "g"}]}`)
	_, err := Parse("g.json", []byte(b.String()))
	var errs Errors
	if !errors.As(err, &errs) || len(errs) != mostMistakes+1 {
		t.Fatalf("found %d errors: %.200v", len(errs), err)
	}
	last := errs[len(errs)-1].Error()
	if want := "config g.json: found 3002 more mistakes, expected none: the first 1000 are above"; last != want {
		t.Errorf("found %q, expected %q", last, want)
	}
	for _, e := range errs[:mostMistakes] {
		if e.Line == 0 || e.Found == "" {
			t.Fatalf("found %+v", e)
		}
	}
}
