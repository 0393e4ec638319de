package config

import (
	"strings"
	"testing"
)

func TestExpressions(t *testing.T) {
	env := []string{"HOST=orders.example", "PORT=8443", "EMPTY=", "BIG=9007199254740993", "YES=true", "RATIO=0.5", "QUOTES=a\"b: c\n- d", "ZEROES=007", "HOST=last.example"}
	for _, c := range []struct{ name, document, want string }{
		{"a plain value", `host: ${{ env "HOST" }}`, "last.example"},
		{"inside double quotes", `host: "${{ env "HOST" }}"`, "last.example"},
		{"inside single quotes", `host: '${{ env "HOST" }}'`, "last.example"},
		{"in a flow mapping", `{host: ${{ env "HOST" }}}`, "last.example"},
		{"in JSON", `{"host": "${{ env \"HOST\" }}"}`, "last.example"},
		{"a part of a text", `host: api.${{env "HOST"}}.${{ env 'PORT' }}`, "api.last.example.8443"},
		{"a number without quotes", `host: ${{ env "PORT" }}`, "8443 (a number)"},
		{"a number in quotes", `host: "${{ env "PORT" }}"`, "8443"},
		{"toInt in quotes", `host: "${{ env "PORT" | toInt }}"`, "8443 (a number)"},
		{"a large number", `host: ${{ env "BIG" | toInt }}`, "9007199254740993 (a number)"},
		{"toBool", "host: ${{ env `YES` | toBool }}", "true (a boolean)"},
		{"toFloat", `host: ${{ env "RATIO" | toFloat }}`, "0.5 (a number)"},
		{"a value that would be syntax", `host: ${{ env "QUOTES" }}`, "a\"b: c\n- d"},
		{"indent, which decK needs for it", `host: ${{ env "QUOTES" | indent 4 }}`, "a\"b: c\n- d"},
		{"an octal number or not", `host: ${{ env "ZEROES" }}`, "007"},
		{"an empty value", `host: ${{ env "EMPTY" }}`, ""},
		{"an escape", `host: "\x24{{ env "HOST" }}"`, ""},
		{"an alias", "a: &x ${{ env \"HOST\" }}\nhost: *x", "last.example"},
		{"a comment", "# ${{ nonsense }}\nhost: plain", "plain"},
		{"no expression", `host: $ {{ "x" }}`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := &reader{file: "gateway.yaml"}
			root, values := parseWithEnvironment(r, []byte(c.document), env)
			if strings.HasPrefix(c.name, "an escape") || strings.HasPrefix(c.name, "no expression") {
				if len(values) > 0 {
					t.Errorf("took %q", values)
				}
				return
			}
			if len(r.errs) > 0 {
				t.Fatal(r.errs)
			}
			v := root.get("host")
			got := v.text
			if v.kind != kindText {
				got += " (" + v.kind.String() + ")"
			}
			if got != c.want {
				t.Errorf("found %q, expected %q", got, c.want)
			}
		})
	}
}

// Places are those of the document as it is written, and no value of the environment is shown.
func TestExpressionErrors(t *testing.T) {
	env := []string{"SECRET=s3cret word", "PORT=eighty", "PATH_OF_ROUTE=orders-s3cret", "MANY=70000"}
	document := `_format_version: "3.0"
services:
- {name: "${{ env "SECRET" }}", host: "${{ env "GONE" }}", port: ${{ env "PORT" | toInt }}, retries: oops}
- name: b
  host: ${{ evn "SECRET" }}
  path: ${{ env "PATH_OF_ROUTE" }}
  port: ${{ env "MANY" }}
  ${{ env "SECRET" }}: x
`
	_, _, err := Source{Name: "g.yaml", Data: []byte(document), Env: env}.Parse()
	want := `config g.yaml:3:10: services[0].name: found the value of ${{ env "SECRET" }}, expected a name of letters, digits, '.', '-', '_' and '~'
config g.yaml:3:39: services[0].host: found the expression ${{ env "GONE" }} of a variable that is not set, expected an environment variable of the gateway (fix: set GONE)
config g.yaml:3:66: services[0].port: found the expression ${{ env "PORT" | toInt }} of a variable that holds something else, expected a whole number in the variable PORT
config g.yaml:3:102: services[0].retries: found "oops", expected a whole number from 0 to 32767
`
	got := err.Error() + "\n"
	if strings.Contains(got, "s3cret") || strings.Contains(got, "eighty") || strings.Contains(got, "70000") {
		t.Errorf("a value is shown:\n%s", got)
	}
	for line := range strings.Lines(want) {
		if !strings.Contains(got, line) {
			t.Errorf("missing: %s", line)
		}
	}
	for _, part := range []string{
		`services[1].host: found the expression ${{ evn "SECRET" }}, expected ${{ env "NAME" }}`, `services[1].path: found the value of ${{ env "PATH_OF_ROUTE" }}, expected a path that starts with "/"`,
		`services[1].port: found the value of ${{ env "MANY" }}, expected a whole number`, `found the expression ${{ env "SECRET" }} as a key`,
	} {
		if !strings.Contains(got, part) {
			t.Errorf("missing: %s", part)
		}
	}
	if n := strings.Count(got, "\n"); n != 8 {
		t.Errorf("%d errors, expected 8: what is wrong with an expression is told once", n)
	}
	if t.Failed() {
		t.Log("\n" + got)
	}
}

// The hash is that of the content with what it takes from the environment, and a value in a plugin's configuration is a secret.
func TestExpressionsAreContent(t *testing.T) {
	document := []byte("_format_version: '3.0'\nplugins:\n- name: hello-go\n  config: {greeting: '${{ env \"G\" }}'}\n")
	parse := func(env ...string) (hash string, hidden []string) {
		set, _, err := Source{Name: "g.yaml", Data: document, Env: env}.Parse()
		if err != nil {
			t.Fatal(err)
		}
		return set.Hash, set.Plugins[0].Hidden
	}
	one, hidden := parse("G=hi", "OTHER=1")
	if same, _ := parse("G=hi", "OTHER=2"); same != one {
		t.Error("a variable that is not used makes another hash")
	}
	if other, _ := parse("G=ho"); other == one {
		t.Error("another value has the same hash")
	}
	if len(hidden) != 1 || hidden[0] != "hi" {
		t.Errorf("hidden %q", hidden)
	}
}

func FuzzExpressions(f *testing.F) {
	for _, s := range []string{`a: ${{ env "A" }}`, `{"a": "x${{ env \"B\" | toInt }}y"}`, "a: &x \"${{ env \"A\" }}\"\nb: *x\n", "a: ${{ env", "${{}}: ${{ | }}", "a: \ue000\ue100\ue100\ue002 ${{ env \"A\" }}"} {
		f.Add([]byte(s), "value")
	}
	f.Fuzz(func(t *testing.T, document []byte, value string) {
		text, found := mark(document)
		if restored := eachMark(string(text), found, func(e *expression) string { return e.text }); !strings.ContainsRune(string(document), markBegin) && restored != string(document) {
			t.Fatalf("marked and restored: %q, was %q", restored, document)
		}
		r := &reader{file: "fuzz.yaml"}
		root, _ := parseWithEnvironment(r, document, []string{"A=" + value, "B=7"})
		if root == nil && len(r.errs) == 0 {
			t.Fatal("neither a tree nor an error")
		}
		if root != nil {
			root.value()
		}
		complete(t, r.errs.result())
	})
}
