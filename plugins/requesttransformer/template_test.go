package requesttransformer

import (
	"strings"
	"testing"
)

func TestParseTemplateRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"$(":                            `found "", expected headers, query_params, uri_captures, shared or a text in quotes`,
		"$()":                           `found ")", expected headers`,
		"$(headers)":                    `found ")", expected .name or ["name"] after headers`,
		"$(headers.)":                   `found ")", expected a name after headers.`,
		"$(headers.x-y)":                `found "-y)", expected ); a name with dashes is written ["x-y"]`,
		"$(headers.x":                   `$( is not closed`,
		"$(headers['x)":                 `the text 'x) is not closed`,
		"$(headers['x')":                `found ")", expected ]`,
		"$(headers[1])":                 `found "1])", expected a name in quotes after headers[`,
		"$(uri_captures[0])":            `found uri_captures[0], expected a group number from 1 on or a name in quotes`,
		"$(uri_captures[x])":            `found uri_captures[x], expected a group number from 1 on or a name in quotes`,
		"$(headers.a .. 'x')":           `found ".. 'x')", expected ) or another value after or; other expressions are not supported`,
		"$(headers.a orx)":              `found "orx)", expected )`,
		"$(headers.a or)":               `found ")", expected headers`,
		"$(type(headers.a))":            `found "type", expected headers, query_params, uri_captures, shared or a text in quotes; other expressions are not supported`,
		"a $(headers.a) b $(os.exit())": `found "os", expected headers`,
		"$(headers.a.b)":                `found ".b)", expected )`,
	} {
		_, err := parseTemplate(text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %s", text, err, want)
		}
	}
}

func TestConstantTemplates(t *testing.T) {
	for text, constant := range map[string]bool{"a": true, "a)$b(": true, "$": true, "$(headers.a)": false, "x$('a')": false} {
		p, err := parseTemplate(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got, ok := p.constant(); ok != constant || ok && got != text {
			t.Errorf("%s: constant %q, %v", text, got, ok)
		}
	}
}
