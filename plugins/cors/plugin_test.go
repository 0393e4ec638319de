package cors

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/pdk/pdktest"
)

func run(t *testing.T, config string, req pdktest.Request, upstream http.Header) pdktest.Result {
	t.Helper()
	x := pdktest.New(req)
	x.Answer = func(pdktest.Upstream) pdktest.Response {
		return pdktest.Response{Header: upstream, Body: []byte("upstream")}
	}
	if err := x.Use(Plugin, config); err != nil {
		t.Fatal(err)
	}
	res := x.Run()
	for _, f := range res.Failures {
		t.Errorf("%s failed in %s: %+v", f.Plugin, f.Phase, f.Err)
	}
	return res
}

// corsHeaders are the headers of the response that matter here, by their names; repeated ones joined.
func corsHeaders(h http.Header) map[string]string {
	got := map[string]string{}
	for name, values := range h {
		if name == "Vary" || strings.HasPrefix(name, "Access-Control-") {
			got[name] = strings.Join(values, ", ")
		}
	}
	return got
}

func wantHeaders(t *testing.T, h http.Header, want map[string]string) {
	t.Helper()
	got := corsHeaders(h)
	for name, value := range want {
		if g, has := got[name]; !has || g != value {
			t.Errorf("%s is %q, want %q", name, g, value)
		}
		delete(got, name)
	}
	if len(got) != 0 {
		t.Errorf("more headers: %v", got)
	}
}

const every = "GET,HEAD,PUT,PATCH,POST,DELETE,OPTIONS,TRACE,CONNECT"

func preflightFrom(origin string, more ...string) pdktest.Request {
	h := http.Header{"Origin": {origin}, "Access-Control-Request-Method": {"PUT"}}
	for i := 0; i < len(more); i += 2 {
		h.Set(more[i], more[i+1])
	}
	return pdktest.Request{Method: "OPTIONS", Header: h}
}

func TestPreflight(t *testing.T) {
	for _, c := range []struct {
		name, config string
		req          pdktest.Request
		want         map[string]string
	}{
		{"defaults", ``, preflightFrom("https://a.test"), map[string]string{
			allowOrigin: "*", allowMethods: every,
		}},
		{"nulls are the defaults", `{"origins": null, "methods": null, "headers": null, "exposed_headers": null, "max_age": null}`, preflightFrom("https://a.test"), map[string]string{
			allowOrigin: "*", allowMethods: every,
		}},
		{"the headers asked for", ``, preflightFrom("https://a.test", "Access-Control-Request-Headers", "x-a, x-b"), map[string]string{
			allowOrigin: "*", allowMethods: every, allowHeaders: "x-a, x-b",
		}},
		{"headers by configuration", `{"headers": ["X-A", "X-C"]}`, preflightFrom("https://a.test", "Access-Control-Request-Headers", "x-a, x-b"), map[string]string{
			allowOrigin: "*", allowMethods: every, allowHeaders: "X-A,X-C",
		}},
		{"an empty list is none", `{"headers": []}`, preflightFrom("https://a.test", "Access-Control-Request-Headers", "x-a"), map[string]string{
			allowOrigin: "*", allowMethods: every, allowHeaders: "x-a",
		}},
		{"methods and age", `{"methods": ["PUT", "GET"], "max_age": 3600}`, preflightFrom("https://a.test"), map[string]string{
			allowOrigin: "*", allowMethods: "PUT,GET", maxAge: "3600",
		}},
		{"age 0", `{"max_age": 0}`, preflightFrom("https://a.test"), map[string]string{
			allowOrigin: "*", allowMethods: every, maxAge: "0",
		}},
		{"private network", `{"private_network": true}`, preflightFrom("https://a.test", "Access-Control-Request-Private-Network", "true"), map[string]string{
			allowOrigin: "*", allowMethods: every, allowPrivateNetwork: "true",
		}},
		{"private network, not asked", `{"private_network": true}`, preflightFrom("https://a.test"), map[string]string{
			allowOrigin: "*", allowMethods: every,
		}},
		{"private network, asked otherwise", `{"private_network": true}`, preflightFrom("https://a.test", "Access-Control-Request-Private-Network", "yes"), map[string]string{
			allowOrigin: "*", allowMethods: every,
		}},
		{"private network is off", ``, preflightFrom("https://a.test", "Access-Control-Request-Private-Network", "true"), map[string]string{
			allowOrigin: "*", allowMethods: every,
		}},
		{"credentials for anybody", `{"credentials": true}`, preflightFrom("https://a.test:443"), map[string]string{
			allowOrigin: "https://a.test:443", "Vary": "Origin", allowCredentials: "true", allowMethods: every,
		}},
		{"one origin", `{"origins": ["https://a.test"], "credentials": true}`, preflightFrom("https://b.test"), map[string]string{
			allowOrigin: "https://a.test", "Vary": "Origin", allowCredentials: "true", allowMethods: every,
		}},
		{"one of several", `{"origins": ["https://a.test", "https://b.test"]}`, preflightFrom("https://b.test"), map[string]string{
			allowOrigin: "https://b.test", "Vary": "Origin", allowMethods: every,
		}},
		{"none of several", `{"origins": ["https://a.test", "https://b.test"], "credentials": true}`, preflightFrom("https://c.test"), map[string]string{
			"Vary": "Origin", allowCredentials: "true", allowMethods: every,
		}},
		{"exposed headers are not for preflights", `{"exposed_headers": ["X-A"]}`, preflightFrom("https://a.test"), map[string]string{
			allowOrigin: "*", allowMethods: every,
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			res := run(t, c.config, c.req, nil)
			if r := res.Response; r.Status != 200 || len(r.Body) != 0 || res.Source != "exit" || res.Upstream != nil {
				t.Errorf("answer %d %q from %s", r.Status, r.Body, res.Source)
			}
			wantHeaders(t, res.Response.Header, c.want)
		})
	}
}

func TestPreflightContinue(t *testing.T) {
	own := http.Header{allowOrigin: {"https://upstream.test"}}
	res := run(t, `{"preflight_continue": true, "credentials": true, "exposed_headers": ["X-A"]}`, preflightFrom("https://a.test"), own)
	if res.Upstream == nil || string(res.Response.Body) != "upstream" {
		t.Fatalf("answer %d from %s", res.Response.Status, res.Source)
	}
	wantHeaders(t, res.Response.Header, map[string]string{allowOrigin: "https://upstream.test"})
}

// An OPTIONS request that is no preflight is a request like others.
func TestNoPreflight(t *testing.T) {
	for name, req := range map[string]pdktest.Request{
		"no Access-Control-Request-Method": {Method: "OPTIONS", Header: http.Header{"Origin": {"https://a.test"}}},
		"no Origin":                        {Method: "OPTIONS", Header: http.Header{"Access-Control-Request-Method": {"PUT"}}},
		"another method":                   {Method: "POST", Header: http.Header{"Origin": {"https://a.test"}, "Access-Control-Request-Method": {"PUT"}}},
	} {
		res := run(t, `{"preflight_continue": true}`, req, nil)
		if res.Upstream == nil {
			t.Errorf("%s: answered with %d", name, res.Response.Status)
		}
		wantHeaders(t, res.Response.Header, map[string]string{allowOrigin: "*"})
	}
}

func TestResponses(t *testing.T) {
	for _, c := range []struct {
		name, config, origin string
		upstream             http.Header
		want                 map[string]string
	}{
		{"anybody", ``, "https://a.test", nil, map[string]string{allowOrigin: "*"}},
		{"anybody, without Origin", ``, "", nil, map[string]string{allowOrigin: "*"}},
		{"an empty list is anybody", `{"origins": []}`, "https://a.test", nil, map[string]string{allowOrigin: "*"}},
		{"star alone", `{"origins": ["*"]}`, "https://a.test", nil, map[string]string{allowOrigin: "*"}},
		{"without Origin, not wanted", `{"allow_origin_absent": false, "exposed_headers": ["X-A"]}`, "", nil, map[string]string{}},
		{"with Origin all the same", `{"allow_origin_absent": false, "exposed_headers": ["X-A"]}`, "https://a.test", nil, map[string]string{allowOrigin: "*", exposeHeaders: "X-A"}},
		{"exposed headers", `{"exposed_headers": ["X-A", "*"]}`, "", nil, map[string]string{allowOrigin: "*", exposeHeaders: "X-A,*"}},
		{"the upstream's own header goes", ``, "", http.Header{allowOrigin: {"https://upstream.test"}}, map[string]string{allowOrigin: "*"}},
		{"Vary of the upstream stays", `{"origins": ["https://a.test"]}`, "", http.Header{"Vary": {"Accept"}}, map[string]string{allowOrigin: "https://a.test", "Vary": "Accept, Origin"}},
		{"one origin, also for others", `{"origins": ["https://a.test"]}`, "https://b.test", nil, map[string]string{allowOrigin: "https://a.test", "Vary": "Origin"}},
		{"one origin, verbatim", `{"origins": ["https://a.test:443"]}`, "https://a.test", nil, map[string]string{allowOrigin: "https://a.test:443", "Vary": "Origin"}},
		{"credentials for anybody", `{"credentials": true}`, "https://a.test", nil, map[string]string{allowOrigin: "https://a.test", "Vary": "Origin", allowCredentials: "true"}},
		{"credentials for anybody, without Origin", `{"credentials": true}`, "", nil, map[string]string{allowOrigin: "*"}},
		{"credentials for one", `{"credentials": true, "origins": ["https://a.test"]}`, "", nil, map[string]string{allowOrigin: "https://a.test", "Vary": "Origin", allowCredentials: "true"}},
		{"star among several", `{"origins": ["https://a.test", "*"]}`, "https://a.test", nil, map[string]string{allowOrigin: "*", "Vary": "Origin"}},
		{"star among several, credentials", `{"credentials": true, "origins": ["https://a.test", "*"]}`, "https://b.test", nil, map[string]string{allowOrigin: "https://b.test", "Vary": "Origin", allowCredentials: "true"}},
		{"star among several, without Origin", `{"origins": ["https://a.test", "*"]}`, "", http.Header{allowOrigin: {"x"}}, map[string]string{"Vary": "Origin"}},
		{"no match removes the upstream's", `{"origins": ["https://a.test", "https://b.test"]}`, "https://c.test", http.Header{allowOrigin: {"*"}}, map[string]string{"Vary": "Origin"}},
		{"no match, credentials", `{"credentials": true, "origins": ["https://a.test", "https://b.test"]}`, "https://c.test", nil, map[string]string{"Vary": "Origin", allowCredentials: "true"}},
		{"headers of preflights do not show", `{"headers": ["X-A"], "max_age": 1, "private_network": true}`, "https://a.test", nil, map[string]string{allowOrigin: "*"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			req := pdktest.Request{Header: http.Header{}}
			if c.origin != "" {
				req.Header.Set("Origin", c.origin)
			}
			res := run(t, c.config, req, c.upstream)
			if res.Upstream == nil {
				t.Fatalf("answered with %d", res.Response.Status)
			}
			wantHeaders(t, res.Response.Header, c.want)
		})
	}
}

// Which entries let which origins in. Each is the second of a list, whose first is for somebody else.
func TestOrigins(t *testing.T) {
	for _, c := range []struct {
		entry, origin, want string // "" wants none
	}{
		{"https://a.test", "https://a.test", "https://a.test"},
		{"https://a.test", "https://a.test:443", "https://a.test"},
		{"https://a.test:443", "https://a.test", "https://a.test"},
		{"http://a.test", "http://a.test:80", "http://a.test"},
		{"https://a.test", "https://a.test:80", ""},
		{"https://a.test:8443", "https://a.test:8443", "https://a.test:8443"},
		{"https://a.test:8443", "https://a.test", ""},
		{"https://a.test", "http://a.test", ""},
		{"https://a.test", "https://a.test.evil.test", ""},
		{"https://a.test", "https://b.a.test", ""},
		{"https://a.test", "https://A.test", ""},
		{"a.test", "https://a.test", ""}, // a plain entry without a scheme is no origin
		{"null", "null", "null"},
		{"app-scheme://x", "app-scheme://x", "app-scheme://x"},

		{`.*\.a\.test`, "https://b.a.test", "https://b.a.test"},
		{`.*\.a\.test`, "http://b.a.test:8080", "http://b.a.test:8080"}, // any scheme, any port
		{`.*\.a\.test`, "https://b.a.test:443", "https://b.a.test"},
		{`.*\.a\.test`, "https://a.test", ""},
		{`.*\.a\.test`, "https://b.a.test.evil.test", ""},
		{`(.+\.)?a\.test`, "https://a.test", "https://a.test"},
		{`(.+\.)?a\.test`, "https://evila.test", ""},
		{`https://.*\.a\.test`, "https://b.a.test", "https://b.a.test"},
		{`https://.*\.a\.test`, "http://b.a.test", ""},
		{`https://.*\.a\.test`, "https://b.a.test:8443", ""},
		{`https://.*\.a\.test(:\d+)?`, "https://b.a.test:8443", "https://b.a.test:8443"},
		{`https?://a\.test`, "http://a.test:80", "http://a.test"},
		{`^https://a\.test$`, "https://a.test", "https://a.test"},
		{`https://a\.test|https://b\.test`, "https://a.test", "https://a.test"},
		{`https://a\.test|https://b\.test`, "https://a.test.evil.test", ""}, // both alternatives are whole
		{`https://a\.test|https://b\.test`, "https://x.https://b.test", ""},
		{`a\.test`, "https://a.test", "https://a.test"},
		{`(?i)a\.test`, "https://A.Test", "https://A.Test"},
		{`(?:a|b)\.test`, "https://a.test", ""}, // it has a colon, so it is for the whole origin
		{`[a-c]+\.test`, "https://user@a.test", ""},
		{`.*`, "null", "null"},
	} {
		config := `{"origins": ["https://first.test", "` + strings.ReplaceAll(c.entry, `\`, `\\`) + `"]}`
		res := run(t, config, pdktest.Request{Header: http.Header{"Origin": {c.origin}}}, nil)
		if got := res.Response.Header.Get(allowOrigin); got != c.want {
			t.Errorf("entry %s, Origin %s: %q, want %q", c.entry, c.origin, got, c.want)
		}
	}
}

// A single entry with other characters is a regular expression too.
func TestSingleExpression(t *testing.T) {
	for origin, want := range map[string]string{"https://b.a.test": "https://b.a.test", "https://c.test": ""} {
		res := run(t, `{"origins": [".*\\.a\\.test"]}`, pdktest.Request{Header: http.Header{"Origin": {origin}}}, nil)
		if got := res.Response.Header.Get(allowOrigin); got != want {
			t.Errorf("Origin %s: %q, want %q", origin, got, want)
		}
	}
}

// guard refuses everything, as an authentication plugin does.
type guard struct{}

func (guard) Access(k *pdk.PDK) error { return k.Response.Error(401, "", nil) }

// Preflights carry no credentials: they are answered before anybody asks for some. Pages may read the gateway's own answers.
func TestBeforeAuthentication(t *testing.T) {
	for _, c := range []struct {
		req    pdktest.Request
		status int
	}{
		{preflightFrom("https://a.test"), 200},
		{pdktest.Request{Header: http.Header{"Origin": {"https://a.test"}}}, 401},
	} {
		x := pdktest.New(c.req)
		if err := x.Use(pdk.Plugin{Name: "guard", Version: "1", Priority: 1250, New: func() any { return new(guard) }}, ""); err != nil {
			t.Fatal(err)
		}
		if err := x.Use(Plugin, ""); err != nil {
			t.Fatal(err)
		}
		res := x.Run()
		if res.Response.Status != c.status || res.Response.Header.Get(allowOrigin) != "*" {
			t.Errorf("%s: answer %d %v, want %d", c.req.Method, res.Response.Status, res.Response.Header, c.status)
		}
	}
}

func TestConfig(t *testing.T) {
	for config, want := range map[string]string{
		`{"origins": ["a.test", "*.a.test"]}`: `origins.1: found "*.a.test", expected *, an origin or a regular expression`,
		`{"origins": ["(a"]}`:                 "origins.0: found",
		`{"origins": ["a)|(b"]}`:              "origins.0: found",
		`{"origins": ["(?=a)b"]}`:             "origins.0: found", // PCRE only
		`{"origins": [""]}`:                   "origins.0: found",
		`{"methods": ["get"]}`:                "methods.0: found",
		`{"headers": ["a b"]}`:                "headers.0: found",
		`{"exposed_headers": ["a\nb"]}`:       "exposed_headers.0: found",
		`{"max_age": -2}`:                     "max_age: found -2",
		`{"credentials": null}`:               "credentials: found null",
	} {
		err := pdktest.New(pdktest.Request{}).Use(Plugin, config)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %s", config, err, want)
		}
	}
}

func TestMethodsAreTheSchemas(t *testing.T) {
	if got := strings.Join(methods(), ","); got != every || !slices.Equal(*Plugin.New().(*instance).Config.Methods, methods()) {
		t.Errorf("methods %s", got)
	}
}

func FuzzNormalise(f *testing.F) {
	for _, s := range []string{"https://a.test:443", "http://[::1]:80", "null", "https://a@b:80", "a://b:c:d/e?f#g", "://", "http://a:80:80", "https://[::1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		n := normalise(text)
		if !strings.HasPrefix(text, n.text) || !strings.Contains(n.text, n.host) {
			t.Fatalf("%q became %q with host %q", text, n.text, n.host)
		}
		if again := normalise(n.text); again != n {
			t.Errorf("%q became %+v, and that %+v", text, n, again)
		}
	})
}
