package responsetransformer

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/pdk/pdktest"
)

func run(t *testing.T, config string, answer pdktest.Response, others ...pdk.Plugin) pdktest.Result {
	t.Helper()
	x := pdktest.New(pdktest.Request{})
	x.Answer = func(pdktest.Upstream) pdktest.Response { return answer }
	for _, p := range others {
		if err := x.Use(p, ""); err != nil {
			t.Fatal(err)
		}
	}
	if err := x.Use(Plugin, config); err != nil {
		t.Fatal(err)
	}
	res := x.Run()
	for _, f := range res.Failures {
		t.Errorf("%s: %s failed in %s: %+v", config, f.Plugin, f.Phase, f.Err)
	}
	return res
}

func TestHeaders(t *testing.T) {
	header := http.Header{"X-A": {"1", "2"}, "X-B": {"3"}}
	for _, c := range []struct {
		name, config string
		want         http.Header // beside Content-Length
	}{
		{"nothing", `{}`, header},
		{"remove", `{"remove": {"headers": ["x-a", "x-none"]}}`, http.Header{"X-B": {"3"}}},
		{"remove ignores a value", `{"remove": {"headers": ["X-B:other"]}}`, http.Header{"X-A": {"1", "2"}}},
		{"rename", `{"rename": {"headers": ["x-a:X-C", "x-none:x-b"]}}`, http.Header{"X-C": {"1", "2"}, "X-B": {"3"}}},
		{"rename onto another", `{"rename": {"headers": ["X-A:X-B"]}}`, http.Header{"X-B": {"1", "2"}}},
		{"rename to itself", `{"rename": {"headers": ["X-A:x-a"]}}`, header},
		{"replace", `{"replace": {"headers": ["x-a:new", "x-none:new", "x-b:"]}}`, http.Header{"X-A": {"new"}, "X-B": {"3"}}},
		{"add", `{"add": {"headers": ["x-a:new", "x-new:a:b", "x-empty:"]}}`, http.Header{"X-A": {"1", "2"}, "X-B": {"3"}, "X-New": {"a:b"}}},
		{"append", `{"append": {"headers": ["x-b:4", "x-new:5", "x-empty:"]}}`, http.Header{"X-A": {"1", "2"}, "X-B": {"3", "4"}, "X-New": {"5"}}},
		{"no templates", `{"add": {"headers": ["x-t:$(headers.x)"]}}`, http.Header{"X-A": {"1", "2"}, "X-B": {"3"}, "X-T": {"$(headers.x)"}}},
		{
			"order of operations",
			`{"append": {"headers": ["x-c:5"]}, "add": {"headers": ["x-a:4", "x-c:no"]}, "replace": {"headers": ["x-c:new"]}, "rename": {"headers": ["x-b:x-c"]}, "remove": {"headers": ["x-a"]}}`,
			http.Header{"X-C": {"new", "5"}, "X-A": {"4"}},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			res := run(t, c.config, pdktest.Response{Header: header, Body: []byte("body")})
			got := res.Response.Header
			if got.Get("Content-Length") != "4" || string(res.Response.Body) != "body" {
				t.Errorf("body %q with Content-Length %s", res.Response.Body, got.Get("Content-Length"))
			}
			got.Del("Content-Length")
			if !maps.EqualFunc(got, c.want, slices.Equal) {
				t.Errorf("client sees %v, want %v", got, c.want)
			}
		})
	}
}

func TestJSON(t *testing.T) {
	for _, c := range []struct{ name, config, body, want string }{
		{"remove", `{"remove": {"json": ["a", "c:x", "none"]}}`, `{"a":1,"b":2.50,"c":3}`, `{"b":2.50}`},
		{"rename", `{"rename": {"json": ["a:b", "none:c"]}}`, `{"a":1,"b":2,"c":3}`, `{"b":1,"c":3}`},
		{"replace", `{"replace": {"json": ["a:x", "none:x", "b:"]}}`, `{"a":{"deep":1},"b":2}`, `{"a":"x","b":2}`},
		{"add", `{"add": {"json": ["a:x", "c:y:z", "d:"]}}`, `{"a":null}`, `{"a":null,"c":"y:z"}`},
		{"append", `{"append": {"json": ["a:x", "b:x", "c:x"]}}`, `{"a":["w"],"b":"w"}`, `{"a":["w","x"],"b":["w","x"],"c":["x"]}`},
		{
			"types", `{"add": {"json": ["n:1.50", "b:true", "f:no", "s:1", "plain:1", "e:1e3"], "json_types": ["number", "boolean", "boolean", "string"]}}`,
			`{}`, `{"n":1.50,"b":true,"f":false,"s":"1","plain":"1","e":"1e3"}`,
		},
		{
			"types of replace and append", `{"replace": {"json": ["a:2"], "json_types": ["number"]}, "append": {"json": ["l:true"], "json_types": ["boolean"]}}`,
			`{"a":1,"l":[1]}`, `{"a":2,"l":[1,true]}`,
		},
		{"an empty entry keeps its place for the types", `{"add": {"json": ["x:", "n:1"], "json_types": ["string", "number"]}}`, `{}`, `{"n":1}`},
		{"false can be replaced", `{"replace": {"json": ["a:x"]}}`, `{"a":false}`, `{"a":"x"}`},
		{
			"order of operations",
			`{"append": {"json": ["c:5"]}, "add": {"json": ["a:4", "c:no"]}, "replace": {"json": ["c:new"]}, "rename": {"json": ["b:c"]}, "remove": {"json": ["a"]}}`,
			`{"a":1,"b":2}`, `{"c":["new","5"],"a":"4"}`,
		},
		{"nothing to do", `{"remove": {"json": ["none"]}}`, `{ "a" : 1 }`, `{ "a" : 1 }`},
		{"quotes and slashes", `{"add": {"json": ["a:\"/\\<\u00fc"]}}`, `{}`, `{"a":"\"/\\<ü"}`},
	} {
		for _, contentType := range []string{"application/json", "Application/JSON ;charset=utf-8", "text/html, application/json"} {
			res := run(t, c.config, pdktest.Response{Header: http.Header{"Content-Type": {contentType}}, Body: []byte(c.body)})
			if got := string(res.Response.Body); got != c.want {
				t.Errorf("%s, %s: client gets %s, want %s", c.name, contentType, got, c.want)
			}
			if got := res.Response.Header.Values("Content-Length"); len(got) > 0 {
				t.Errorf("%s: Content-Length is still %q", c.name, got)
			}
		}
	}
}

func TestBodiesThatGoOn(t *testing.T) {
	for _, c := range []struct {
		name, contentType, encoding, body string
		length                            bool // Content-Length stays
		warn                              bool
	}{
		{"other type", "text/plain", "", `{"a":1}`, true, false},
		{"no type", "", "", `{"a":1}`, true, false},
		{"a JSON patch", "application/json-patch+json", "", `{"a":1}`, true, false},
		{"compressed", "application/json", "gzip", `{"a":1}`, true, true},
		{"broken", "application/json", "", `{"a":1`, false, true},
		{"a list", "application/json", "", `[{"a":1}]`, false, true},
		{"a number", "application/json", "", `1`, false, true},
		{"empty", "application/json", "", "", false, false},
	} {
		header := http.Header{}
		if c.contentType != "" {
			header.Set("Content-Type", c.contentType)
		}
		if c.encoding != "" {
			header.Set("Content-Encoding", c.encoding)
		}
		res := run(t, `{"remove": {"json": ["a"]}}`, pdktest.Response{Header: header, Body: []byte(c.body)})
		if got := string(res.Response.Body); got != c.body {
			t.Errorf("%s: client gets %s", c.name, got)
		}
		if got := res.Response.Header.Get("Content-Length") != ""; got != c.length {
			t.Errorf("%s: has Content-Length: %v, want %v", c.name, got, c.length)
		}
		if got := len(res.Log) == 1 && res.Log[0].Level == 3; got != c.warn {
			t.Errorf("%s: log %v, want a warning: %v", c.name, res.Log, c.warn)
		}
	}
}

// A body of several pieces is collected before it is edited.
func TestLargeBody(t *testing.T) {
	long := strings.Repeat("x", 100_000)
	res := run(t, `{"remove": {"json": ["a"]}}`, pdktest.Response{Header: http.Header{"Content-Type": {"application/json"}}, Body: []byte(`{"a":1,"b":"` + long + `"}`)})
	if got, want := string(res.Response.Body), `{"b":"`+long+`"}`; got != want {
		t.Errorf("client gets %d bytes, want %d", len(got), len(want))
	}
}

// refuser answers in access.
type refuser struct{}

func (refuser) Access(k *pdk.PDK) error {
	return k.Response.Exit(403, map[string]any{"message": "no", "internal": 1}, nil)
}

func TestAnswersOfTheGateway(t *testing.T) {
	other := pdk.Plugin{Name: "refuser", Version: "1", Priority: 1 << 20, New: func() any { return &refuser{} }}
	res := run(t, `{"remove": {"json": ["internal"]}, "add": {"headers": ["x-a:1"]}}`, pdktest.Response{}, other)
	if got := string(res.Response.Body); got != `{"message":"no"}` || res.Response.Header.Get("X-A") != "1" {
		t.Errorf("client gets %s, headers %v", got, res.Response.Header)
	}
}

func TestConfig(t *testing.T) {
	for config, want := range map[string]string{
		`{"add": {"headers": ["x-a"]}}`:                                           `add.headers.0: found "x-a"`,
		`{"add": {"headers": ["x a:1"]}}`:                                         `add.headers.0: "x a" is no header name`,
		`{"rename": {"headers": ["x-a:b c"]}}`:                                    `rename.headers.0: "b c" is no header name`,
		`{"rename": {"headers": ["x-a:"]}}`:                                       `rename.headers.0: found "x-a:"`,
		`{"remove": {"headers": ["x/a"]}}`:                                        `remove.headers.0: "x/a" is no header name`,
		`{"add": {"json": ["a:1"], "json_types": ["int"]}}`:                       `add.json_types.0: found "int"`,
		`{"append": {"json": ["b:1", "a:x"], "json_types": ["number","number"]}}`: `append.json.1: found "x", expected a number`,
		`{"replace": {"json": ["a:Inf"], "json_types": ["number"]}}`:              `replace.json.0: found "Inf", expected a finite number`,
		`{"replace": {"json": ["a:null"], "json_types": ["number"]}}`:             `replace.json.0: found "null", expected a number`,
		`{"rename": {"json_types": []}}`:                                          `rename.json_types: is unknown`,
	} {
		err := pdktest.New(pdktest.Request{}).Use(Plugin, config)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %s", config, err, want)
		}
	}
}
