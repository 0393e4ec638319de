package redirect

import (
	"net/url"
	"strings"
	"testing"

	"github.com/outrigger-gateway/outrigger/pdk/pdktest"
)

func run(t *testing.T, config string, req pdktest.Request) pdktest.Result {
	t.Helper()
	x := pdktest.New(req)
	if err := x.Use(Plugin, config); err != nil {
		t.Fatal(err)
	}
	res := x.Run()
	for _, f := range res.Failures {
		t.Errorf("%s failed in %s: %+v", f.Plugin, f.Phase, f.Err)
	}
	return res
}

func TestLocation(t *testing.T) {
	const from = "http://gw.test/a%2Fb/../c?x=1&y=%20&x"
	for _, c := range []struct {
		name     string
		config   string
		from     string
		status   int
		location string
	}{
		{"as configured", `{"location": "https://new.test/here?a=b#c"}`, from, 301, "https://new.test/here?a=b#c"},
		{"another status", `{"location": "http://new.test", "status_code": 308}`, from, 308, "http://new.test"},
		{"path and query of the request", `{"location": "https://new.test:8443/here?a=b#c", "keep_incoming_path": true}`, from, 301, "https://new.test:8443/a%2Fb/../c?x=1&y=%20&x"},
		{"no query", `{"location": "https://new.test/here?a=b", "keep_incoming_path": true}`, "http://gw.test/p", 301, "https://new.test/p"},
		{"an empty query", `{"location": "https://new.test", "keep_incoming_path": true}`, "http://gw.test/p?", 301, "https://new.test/p?"},
		{"a path that looks like a host", `{"location": "https://new.test", "keep_incoming_path": true}`, "http://gw.test//evil.test/%5C", 301, "https://new.test//evil.test/%5C"},
		{"beyond ASCII", `{"location": "https://new.test/ü"}`, from, 301, "https://new.test/%C3%BC"},
		{"an IPv6 host", `{"location": "http://[2001:db8::1]:80/x", "keep_incoming_path": true}`, "http://gw.test/", 301, "http://[2001:db8::1]:80/"},
	} {
		t.Run(c.name, func(t *testing.T) {
			res := run(t, c.config, pdktest.Request{URL: c.from})
			r := res.Response
			if r.Status != c.status || r.Header.Get("Location") != c.location || string(r.Body) != "redirecting" || res.Source != "exit" || res.Upstream != nil {
				t.Errorf("answer %d %v %s from %s, want %d, Location %s", r.Status, r.Header, r.Body, res.Source, c.status, c.location)
			}
			if r.Header.Get("Content-Type") != "" {
				t.Errorf("Content-Type is %q, expected none", r.Header.Get("Content-Type"))
			}
		})
	}
}

func TestIncoming(t *testing.T) {
	for target, want := range map[string]string{
		"/p?a?b":                      "/p?a?b",
		"http://gw.test/p?x=1":        "/p?x=1",
		"http://gw.test?x=http://a/b": "/?x=http://a/b",
		"http://gw.test":              "/",
		"/p?to=http://a.test/b":       "/p?to=http://a.test/b",
		"*":                           "/",
		"evil.test:443":               "/",
		"":                            "/",
		"/a b\xff?\x01":               "/a%20b%FF?%01",
	} {
		if got := incoming(target); got != want {
			t.Errorf("target %q: %q, want %q", target, got, want)
		}
	}
}

func TestConfig(t *testing.T) {
	for config, want := range map[string]string{
		`{}`:                                 "location: is missing",
		`{"location": "/here"}`:              "location: found",
		`{"location": "https://"}`:           "location: found",
		`{"location": "https://a.test/%zz"}`: "location: expected a URL",
		`{"location": "http://a.test", "status_code": 99}`:          "status_code: found 99",
		`{"location": "http://a.test", "status_code": 600}`:         "status_code: found 600",
		`{"location": "http://a.test", "keep_incoming_path": null}`: "keep_incoming_path: found null",
	} {
		err := pdktest.New(pdktest.Request{}).Use(Plugin, config)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %s", config, err, want)
		}
	}
}

// FuzzIncoming: the host is always the configured one, and nothing ends the header.
func FuzzIncoming(f *testing.F) {
	f.Add("/a?b")
	f.Add("http://evil.test/?\r\nX: 1")
	f.Add("@evil.test/")
	f.Add(`\\evil.test?#`)
	f.Add("/%zz?%")
	f.Fuzz(func(t *testing.T, target string) {
		to := "https://new.test" + incoming(target)
		if strings.ContainsFunc(to, func(r rune) bool { return r <= ' ' || r > '~' }) {
			t.Errorf("%q is no header value for a URL", to)
		}
		if u, err := url.Parse(to); err == nil && u.Host != "new.test" {
			t.Errorf("%q leads to %q", to, u.Host)
		}
	})
}
