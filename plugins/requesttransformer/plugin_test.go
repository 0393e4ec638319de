package requesttransformer

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/pdk/pdktest"
)

func run(t *testing.T, config string, req pdktest.Request) pdktest.Result {
	t.Helper()
	x := pdktest.New(req)
	x.MaxBody = 1000
	if err := x.Use(Plugin, config); err != nil {
		t.Fatal(err)
	}
	return x.Run()
}

// proxied is run for what must reach the upstream.
func proxied(t *testing.T, config string, req pdktest.Request) *pdktest.Upstream {
	t.Helper()
	res := run(t, config, req)
	for _, f := range res.Failures {
		t.Fatalf("%s: %s failed in %s: %+v", config, f.Plugin, f.Phase, f.Err)
	}
	if res.Upstream == nil {
		t.Fatalf("%s: answered with %d %s", config, res.Response.Status, res.Response.Body)
	}
	return res.Upstream
}

func TestHeaders(t *testing.T) {
	header := http.Header{"X-A": {"1", "2"}, "X-B": {"3"}}
	for _, c := range []struct {
		name, config string
		want         http.Header // beside Host
	}{
		{"nothing", `{}`, header},
		{"remove", `{"remove": {"headers": ["x-a", "x-none"]}}`, http.Header{"X-B": {"3"}}},
		{"remove ignores a value", `{"remove": {"headers": ["X-B:3"]}}`, http.Header{"X-A": {"1", "2"}}},
		{"rename all values", `{"rename": {"headers": ["x-a:x-c", "x-none:x-b"]}}`, http.Header{"X-C": {"1", "2"}, "X-B": {"3"}}},
		{"rename onto another", `{"rename": {"headers": ["X-A:X-B"]}}`, http.Header{"X-B": {"1", "2"}}},
		{"rename to itself", `{"rename": {"headers": ["X-A:x-a"]}}`, header},
		{"replace", `{"replace": {"headers": ["x-a:new", "x-none:new"]}}`, http.Header{"X-A": {"new"}, "X-B": {"3"}}},
		{"replace by nothing", `{"replace": {"headers": ["x-a:"]}}`, http.Header{"X-B": {"3"}}},
		{"add", `{"add": {"headers": ["x-a:new", "X-New:a:b", "x-empty:"]}}`, http.Header{"X-A": {"1", "2"}, "X-B": {"3"}, "X-New": {"a:b"}}},
		{"append", `{"append": {"headers": ["x-b:4", "x-new:5", "x-empty:"]}}`, http.Header{"X-A": {"1", "2"}, "X-B": {"3", "4"}, "X-New": {"5"}}},
		{
			"order of operations",
			`{"append": {"headers": ["x-c:5"]}, "add": {"headers": ["x-a:4", "x-c:no"]}, "replace": {"headers": ["x-c:new"]}, "rename": {"headers": ["x-b:x-c"]}, "remove": {"headers": ["x-a"]}}`,
			http.Header{"X-C": {"new", "5"}, "X-A": {"4"}},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := proxied(t, c.config, pdktest.Request{Header: header}).Header
			got.Del("Host")
			if !maps.EqualFunc(got, c.want, slices.Equal) {
				t.Errorf("upstream sees %v, want %v", got, c.want)
			}
		})
	}
}

func TestHostCanOnlyBeReplaced(t *testing.T) {
	const others = `{"remove": {"headers": ["Host"]}, "rename": {"headers": ["host:x-host", "x-a:Host"]}, "add": {"headers": ["host:a.test"]}, "append": {"headers": ["host:b.test"]}}`
	u := proxied(t, others, pdktest.Request{Header: http.Header{"X-A": {"c.test"}}})
	if got := u.Header.Values("Host"); len(got) != 1 || got[0] != "gw.test:8000" || u.Header.Get("X-A") != "c.test" {
		t.Errorf("upstream sees %v", u.Header)
	}
	u = proxied(t, `{"replace": {"headers": ["HOST:new.test"]}}`, pdktest.Request{})
	if got := u.Header.Values("Host"); len(got) != 1 || got[0] != "new.test" {
		t.Errorf("Host is %q", got)
	}
}

func TestQuery(t *testing.T) {
	const query = "a=1&a=%32&b&c=x%20y"
	for _, c := range []struct{ name, config, want string }{
		{"nothing", `{}`, query},
		{"remove", `{"remove": {"querystring": ["a", "none"]}}`, "b&c=x%20y"},
		{"rename", `{"rename": {"querystring": ["a:b", "none:c"]}}`, "b=1&b=%32&c=x%20y"},
		{"replace", `{"replace": {"querystring": ["a:n w", "b:v", "none:v"]}}`, "a=n%20w&b=v&c=x%20y"},
		{"replace by nothing", `{"replace": {"querystring": ["a:"]}}`, "b&c=x%20y"},
		{"add", `{"add": {"querystring": ["a:9", "d:&"]}}`, query + "&d=%26"},
		{"append", `{"append": {"querystring": ["a:9", "d:1"]}}`, query + "&a=9&d=1"},
		{"names with case", `{"remove": {"querystring": ["A"]}}`, query},
		{"all", `{"remove": {"querystring": ["a"]}, "rename": {"querystring": ["c:a"]}, "replace": {"querystring": ["a:1"]}, "add": {"querystring": ["c:2"]}, "append": {"querystring": ["c:3"]}}`, "b&a=1&c=2&c=3"},
	} {
		if got := proxied(t, c.config, pdktest.Request{URL: "http://gw.test/x?" + query}).Query; got != c.want {
			t.Errorf("%s: upstream gets %q, want %q", c.name, got, c.want)
		}
	}
}

func TestBodies(t *testing.T) {
	const all = `{"remove": {"body": ["r"]}, "rename": {"body": ["a:b"]}, "replace": {"body": ["c:new", "none:x"]}, "add": {"body": ["d:1", "c:no"]}, "append": {"body": ["e:2", "f:3"]}}`
	const form, json, multi = "application/x-www-form-urlencoded", "application/json; charset=utf-8", "multipart/form-data; boundary=b"
	part := func(name, value string) string {
		return "--b\r\nContent-Disposition: form-data; name=\"" + name + "\"\r\n\r\n" + value + "\r\n"
	}
	for _, c := range []struct{ name, config, contentType, body, want string }{
		{"form", all, form, "r=0&a=1&c=old&e=1&r", "b=1&c=new&e=1&d=1&e=2&f=3"},
		{"empty form", all, form, "", "d=1&c=no&e=2&f=3"},
		{"form without a match", `{"remove": {"body": ["x"]}}`, form, "a=%41", "a=%41"},
		{"JSON", all, json, `{"r":0, "a":{"x":1.50}, "c":1, "e":"1"}`, `{"b":{"x":1.50},"c":"new","e":["1","2"],"d":"1","f":["3"]}`},
		{"empty JSON", `{"add": {"body": ["a:1"]}}`, json, "", `{"a":"1"}`},
		{"JSON without a match", `{"remove": {"body": ["x"]}}`, json, `{ "a" : 1 }`, `{ "a" : 1 }`},
		{"JSON list", all, json, `[{"r":1}]`, `[{"r":1}]`},
		{"broken JSON", all, json, `{"r":1`, `{"r":1`},
		{"false is there", `{"add": {"body": ["a:1"]}, "replace": {"body": ["b:2"]}}`, json, `{"a":false,"b":null}`, `{"a":false,"b":"2"}`},
		{"multipart", all, multi, part("r", "0") + part("a", "1") + part("c", "old") + "--b--\r\n", part("b", "1") + part("c", "new") + part("d", "1") + "--b--\r\n"},
		{
			"multipart renames before it removes", `{"remove": {"body": ["b"]}, "rename": {"body": ["a:b"]}}`, multi,
			part("a", "1") + part("c", "2") + "--b--\r\n", part("c", "2") + "--b--\r\n",
		},
		{"form removes before it renames", `{"remove": {"body": ["b"]}, "rename": {"body": ["a:b"]}}`, form, "a=1&c=2", "b=1&c=2"},
		{"broken multipart", all, multi, part("r", "0"), part("r", "0")},
		{"other type", all, "text/plain", "r=1", "r=1"},
		{"no type", all, "", "r=1", "r=1"},
	} {
		header := http.Header{}
		if c.contentType != "" {
			header.Set("Content-Type", c.contentType)
		}
		u := proxied(t, c.config, pdktest.Request{Method: "POST", Header: header, Body: []byte(c.body)})
		if got := string(u.Body); got != c.want {
			t.Errorf("%s: upstream gets\n%s\nwant\n%s", c.name, got, c.want)
		}
	}
}

func TestCompressedBodyGoesOn(t *testing.T) {
	header := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "Content-Encoding": {"gzip"}}
	res := run(t, `{"remove": {"body": ["a"]}}`, pdktest.Request{Method: "POST", Header: header, Body: []byte("a=1")})
	if res.Upstream == nil || string(res.Upstream.Body) != "a=1" || len(res.Log) != 1 || !strings.Contains(res.Log[0].Message, "compressed") {
		t.Errorf("upstream got %+v, log %v", res.Upstream, res.Log)
	}
}

func TestBodyOverTheLimit(t *testing.T) {
	header := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
	res := run(t, `{"remove": {"body": ["a"]}}`, pdktest.Request{Method: "POST", Header: header, Body: []byte("a=" + strings.Repeat("x", 1000))})
	if res.Upstream != nil || res.Response.Status != 413 || len(res.Failures) != 0 {
		t.Errorf("answer %d, failures %v", res.Response.Status, res.Failures)
	}
	res = run(t, `{"remove": {"headers": ["a"]}}`, pdktest.Request{Method: "POST", Header: header, Body: []byte("a=" + strings.Repeat("x", 1000))})
	if res.Upstream == nil {
		t.Errorf("a body that nobody edits was answered with %d", res.Response.Status)
	}
}

func TestMethod(t *testing.T) {
	header := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
	for _, c := range []struct {
		config                   string
		method, query, body      string
		wantMethod, wantQ, wantB string
	}{
		{`{"http_method": "PUT"}`, "POST", "q=1", "a=1", "PUT", "q=1", "a=1"},
		{`{"http_method": "GET"}`, "POST", "q=1", "a=%31+x&b&q=2\n", "GET", "q=1&a=1%20x&b&q=2%0A", ""},
		{`{"http_method": "HEAD"}`, "POST", "", "a=1", "HEAD", "a=1", ""},
		{`{"http_method": "TRACE"}`, "POST", "", "", "TRACE", "", ""},
		{`{"http_method": "GET", "remove": {"querystring": ["a"]}}`, "POST", "q=1", "a=1&b=2", "GET", "q=1&b=2", ""},
		{`{"http_method": "GET", "add": {"querystring": ["x:$(query_params.a or 'before')"]}}`, "POST", "", "a=1", "GET", "a=1&x=before", ""},
	} {
		u := proxied(t, c.config, pdktest.Request{Method: c.method, URL: "http://gw.test/x?" + c.query, Header: header, Body: []byte(c.body)})
		if u.Method != c.wantMethod || u.Query != c.wantQ || string(u.Body) != c.wantB {
			t.Errorf("%s: upstream gets %s, query %q, body %q, want %s, %q, %q", c.config, u.Method, u.Query, u.Body, c.wantMethod, c.wantQ, c.wantB)
		}
	}
	u := proxied(t, `{"http_method": "GET"}`, pdktest.Request{Method: "POST", Header: http.Header{"Content-Type": {"application/json"}}, Body: []byte(`{"a":1}`)})
	if u.Query != "" || string(u.Body) != `{"a":1}` {
		t.Errorf("JSON: upstream gets query %q, body %q", u.Query, u.Body)
	}
}

func TestTemplates(t *testing.T) {
	req := pdktest.Request{
		URL:      "http://gw.test/u/42/x?name=A%20da&flag&name=B&empty=",
		Header:   http.Header{"X-Token": {"t-1", "t-2"}, "Plain": {"p"}, "X-Old": {"old"}},
		Captures: pdk.Captures{Unnamed: []string{"42", "", "x"}, Named: map[string]string{"id": "42"}},
		Shared:   map[string]any{"text": "s", "number": 7, "yes": true, "map": map[string]any{"a": map[string]any{"b": "deep"}}, "nothing": nil},
	}
	for _, c := range []struct{ template, want string }{
		{"plain", "plain"},
		{"$(headers.plain)", "p"},
		{"$(headers.Plain)", "p"},
		{`$(headers["x-token"])`, "t-1"},
		{"$(headers['X_Token'])", "t-1"},
		{"$(headers.x_token)", "t-1"},
		{"a$( headers.plain )b$(headers.plain)c", "apbpc"},
		{"$(headers.none)", ""},
		{"$(headers.none or 'default')", "default"},
		{`$(headers.none or "it's \"ok\"")`, `it's "ok"`},
		{"$(headers.none or query_params.none or headers.plain or 'x')", "p"},
		{"$(headers.plain or 'x')", "p"},
		{"$('lit)eral')", "lit)eral"},
		{"$(query_params.name)", "A da"},
		{"$(query_params.flag)", "true"},
		{"$(query_params.empty or 'x')", ""},
		{"$(query_params.NAME or 'case')", "case"},
		{"$(uri_captures.id)", "42"},
		{"$(uri_captures['id'])", "42"},
		{"$(uri_captures[1])/$(uri_captures[3])", "42/x"},
		{"$(uri_captures[2] or 'x')", ""},
		{"$(uri_captures[4] or 'none')", "none"},
		{"$(uri_captures.other or 'none')", "none"},
		{"$(shared.text)$(shared.number)$(shared.yes)", "s7true"},
		{"$(shared.map.a.b)", "deep"},
		{`$(shared["map"]["a"].b)`, "deep"},
		{"$(shared.map.none.b or 'none')", "none"},
		{"$(shared.text.b or 'none')", "none"},
		{"$(shared.nothing or 'none')", "none"},
		{"$(shared.none or 'none')", "none"},
		{"cost: 5$ (or $6)", "cost: 5$ (or $6)"},
	} {
		config := `{"add": {"querystring": ["out:` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(c.template) + `"]}, "remove": {"headers": ["plain"], "querystring": ["name", "flag", "empty"]}}`
		u := proxied(t, config, req)
		want := ""
		if c.want != "" {
			want = "out=" + escaped(c.want)
		}
		if u.Query != want {
			t.Errorf("%s: query %q, want %q", c.template, u.Query, want)
		}
	}
}

// escaped percent-encodes what TestTemplates uses.
func escaped(s string) string {
	return strings.NewReplacer(" ", "%20", `"`, "%22", "'", "%27", "/", "%2F", "(", "%28", ")", "%29", "$", "%24", ":", "%3A").Replace(s)
}

func TestTemplatesEverywhere(t *testing.T) {
	u := proxied(t, `{
		"replace": {"uri": "/v2/$(uri_captures.id)/$(headers.name)", "headers": ["name:$(query_params.q)", "gone:$(headers.none)"]},
		"rename": {"headers": ["x-old:x-$(query_params.q)"]},
		"add": {"headers": ["x-add:$(headers.name)", "x-none:$(headers.none)"], "body": ["b:$(headers.name)"]},
		"append": {"headers": ["name:$(headers.none)"], "querystring": ["q:$(headers.name)"]}
	}`, pdktest.Request{
		Method: "POST", URL: "http://gw.test/users/42?q=new", Captures: pdk.Captures{Named: map[string]string{"id": "4 2"}},
		Header: http.Header{"Name": {"old"}, "X-Old": {"1"}, "Gone": {"1"}, "Content-Type": {"application/json"}}, Body: []byte(`{}`),
	})
	if u.Path != "/v2/4%202/old" || u.Query != "q=new&q=old" || string(u.Body) != `{"b":"old"}` {
		t.Errorf("path %s, query %s, body %s", u.Path, u.Query, u.Body)
	}
	want := http.Header{"Name": {"new"}, "X-New": {"1"}, "X-Add": {"old"}}
	for name, values := range want {
		if got := u.Header.Values(name); !slices.Equal(got, values) {
			t.Errorf("%s is %q, want %q", name, got, values)
		}
	}
	for _, name := range []string{"X-Old", "Gone", "X-None"} {
		if got := u.Header.Values(name); len(got) > 0 {
			t.Errorf("%s is %q, want none", name, got)
		}
	}
}

func TestTemplateFailure(t *testing.T) {
	res := run(t, `{"add": {"headers": ["x:$(shared.map)"]}}`, pdktest.Request{Shared: map[string]any{"map": map[string]any{}}})
	if res.Response.Status != 500 || len(res.Failures) != 1 || res.Upstream != nil {
		t.Errorf("answer %d, failures %v", res.Response.Status, res.Failures)
	}
	res = run(t, `{"replace": {"uri": "$(headers.none or 'no-slash')"}}`, pdktest.Request{})
	if res.Response.Status != 500 || len(res.Failures) != 1 {
		t.Errorf("answer %d, failures %v", res.Response.Status, res.Failures)
	}
	if u := proxied(t, `{"replace": {"uri": "$(headers.none)"}}`, pdktest.Request{URL: "http://gw.test/same"}); u.Path != "/same" {
		t.Errorf("path %s", u.Path)
	}
}

func TestConfig(t *testing.T) {
	for config, want := range map[string]string{
		`{"http_method": "get"}`:                     `http_method: found "get"`,
		`{"http_method": "PURGE"}`:                   `http_method: found "PURGE", expected one of GET, HEAD`,
		`{"add": {"headers": ["x-a"]}}`:              `add.headers.0: found "x-a"`,
		`{"add": {"headers": ["x a:1"]}}`:            `add.headers.0: "x a" is no header name`,
		`{"rename": {"headers": ["x-a:b c"]}}`:       `rename.headers.0: "b c" is no header name`,
		`{"rename": {"headers": ["x-a:"]}}`:          `rename.headers.0: "x-a" has no new name`,
		`{"remove": {"headers": ["ok", "x/a"]}}`:     `remove.headers.1: "x/a" is no header name`,
		`{"add": {"body": ["a:$(os.time())"]}}`:      `add.body.0: template "$(os.time())": found "os"`,
		`{"replace": {"uri": "$(headers.a"}}`:        `replace.uri: template "$(headers.a": $( is not closed`,
		`{"remove": {"uri": "/"}}`:                   `remove.uri: is unknown`,
		`{"append": {"querystring": ["a:$()", ""]}}`: `append.querystring.1: found ""`,
	} {
		err := pdktest.New(pdktest.Request{}).Use(Plugin, config)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %s", config, err, want)
		}
	}
}
