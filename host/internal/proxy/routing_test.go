package proxy

import (
	"net/http"
	"strings"
	"testing"

	"github.com/outrigger-gateway/outrigger/host/internal/router"
	"github.com/outrigger-gateway/outrigger/pdk"
)

// protocolRoutes has a route for each answer of spec/gateway.md 2.7 to requests of another protocol.
const protocolRoutes = `_format_version: "3.0"
services:
- name: s
  url: http://UPSTREAM
  routes:
  - {name: both, paths: [/both]}
  - {name: plain, paths: [/plain], protocols: [http]}
  - {name: tls, paths: [/tls], protocols: [https]}
  - {name: moved, paths: [/301], protocols: [https], https_redirect_status_code: 301}
  - {name: found, paths: [/302], protocols: [https], https_redirect_status_code: 302}
  - {name: temporary, paths: [/307], protocols: [https], https_redirect_status_code: 307}
  - {name: permanent, paths: [/308], protocols: [https], https_redirect_status_code: 308}
  - {name: rpc, paths: [/rpc], protocols: [grpc]}
  - {name: rpcs, paths: [/secret.Rpc], protocols: [grpcs]}
`

func TestProtocolAnswers(t *testing.T) {
	const https, http2 = "TLS/1.2, HTTP/1.1", "HTTP/2"
	host := []string{"Host", "Shop.example:8000"}
	with := func(headers ...string) []string { return append(headers, host...) }
	secure := with("X-Forwarded-Proto", "https")
	gateways := map[bool]*gateway{true: start(t, echo, protocolRoutes, nil, trustLoopback), false: start(t, echo, protocolRoutes, nil)}
	for _, c := range []struct {
		name, path string
		headers    []string
		trusted    bool
		status     int
		location   string
		upgrade    string
		message    string
	}{
		{name: "both", path: "/both", headers: host, status: 200},
		{name: "plain", path: "/plain", headers: host, status: 200},
		{name: "plain over https", path: "/plain", headers: secure, trusted: true, status: 200},
		{name: "https", path: "/tls", headers: host, status: 426, upgrade: https, message: "Please use HTTPS protocol"},
		{name: "https of a trusted peer", path: "/tls", headers: secure, trusted: true, status: 200},
		{name: "https in capitals", path: "/tls", headers: with("X-Forwarded-Proto", "HTTPS"), trusted: true, status: 200},
		{name: "the first of several", path: "/tls", headers: with("X-Forwarded-Proto", "https, http"), trusted: true, status: 200},
		{name: "not the second of several", path: "/tls", headers: with("X-Forwarded-Proto", "http, https"), trusted: true, status: 426, upgrade: https},
		{name: "what only looks like https", path: "/tls", headers: with("X-Forwarded-Proto", "http\u017f"), trusted: true, status: 426, upgrade: https},
		{name: "https of anybody", path: "/tls", headers: secure, status: 426, upgrade: https},
		{name: "http of a trusted peer", path: "/tls", headers: with("X-Forwarded-Proto", "http"), trusted: true, status: 426, upgrade: https},
		{name: "301", path: "/301/a?b=c", headers: host, status: 301, location: "https://shop.example/301/a?b=c"},
		{name: "302", path: "/302", headers: host, status: 302, location: "https://shop.example/302"},
		{name: "307", path: "/307", headers: host, status: 307, location: "https://shop.example/307"},
		{name: "308", path: "/308", headers: host, status: 308, location: "https://shop.example/308"},
		{name: "as received", path: "/301/%41/../%2f?%41", headers: host, status: 301, location: "https://shop.example/301/%41/../%2f?%41"},
		{name: "an empty query", path: "/301?", headers: host, status: 301, location: "https://shop.example/301?"},
		{name: "the host that a trusted peer names", path: "/301", headers: with("X-Forwarded-Host", "Other.example:9"), trusted: true, status: 301, location: "https://other.example/301"},
		{name: "not the host that anybody names", path: "/301", headers: with("X-Forwarded-Host", "evil.example"), status: 301, location: "https://shop.example/301"},
		{name: "what a trusted peer names and is no host", path: "/301", headers: with("X-Forwarded-Host", "evil.example/path?x="), trusted: true, status: 301, location: "https://shop.example/301"},
		{name: "nor two words", path: "/301", headers: with("X-Forwarded-Host", "a b"), trusted: true, status: 301, location: "https://shop.example/301"},
		{name: "a literal that a trusted peer names", path: "/301", headers: with("X-Forwarded-Host", "[::1]:443"), trusted: true, status: 301, location: "https://[::1]/301"},
		{name: "the first of several that a trusted peer names", path: "/301", headers: with("X-Forwarded-Host", "one.example, two.example"), trusted: true, status: 301, location: "https://one.example/301"},
		{name: "redirected no more", path: "/301", headers: secure, trusted: true, status: 200},
		{name: "gRPC: no content type", path: "/rpc", headers: host, status: 415, message: "Non-gRPC request matched gRPC route"},
		{name: "gRPC: JSON", path: "/rpc", headers: with("Content-Type", "application/json"), status: 415, message: "Non-gRPC request matched gRPC route"},
		{name: "gRPC over HTTP/1", path: "/rpc", headers: with("Content-Type", "application/grpc"), status: 426, upgrade: http2},
		{name: "gRPC with a codec", path: "/rpc", headers: with("Content-Type", "Application/gRPC+proto"), status: 426, upgrade: http2},
		{name: "gRPC over TLS: JSON", path: "/secret.Rpc/Get", headers: host, status: 415},
		{name: "gRPC over TLS", path: "/secret.Rpc/Get", headers: with("Content-Type", "application/grpc"), status: 426, upgrade: http2},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := gateways[c.trusted].get(c.path, c.headers...)
			if r.StatusCode != c.status || r.Header.Get("Location") != c.location || r.Header.Get("Upgrade") != c.upgrade || !strings.Contains(r.body, c.message) {
				t.Errorf("got %d, Location %q, Upgrade %q, %q; expected %d, %q, %q, %q",
					r.StatusCode, r.Header.Get("Location"), r.Header.Get("Upgrade"), r.body, c.status, c.location, c.upgrade, c.message)
			}
			if (r.Header.Get("Connection") == "Upgrade") != (c.upgrade != "") {
				t.Errorf("Connection %q beside Upgrade %q", r.Header.Get("Connection"), c.upgrade)
			}
			if c.location != "" && r.body != "" {
				t.Errorf("body %q of a redirection", r.body)
			}
		})
	}
}

// A request line in absolute form and clients without a host are redirected to where the client wanted to go, or not at all.
func TestRedirectedForms(t *testing.T) {
	g := start(t, echo, protocolRoutes, nil)
	for _, c := range []struct{ name, request, status, location string }{
		{"absolute form", "GET http://a.example:81/301/x?y HTTP/1.1\r\nHost: a.example:81\r\n\r\n", "301", "https://a.example/301/x?y"},
		{"IPv6", "GET /301 HTTP/1.1\r\nHost: [::1]:8000\r\n\r\n", "301", "https://[::1]/301"},
		{"no host", "GET /301 HTTP/1.0\r\n\r\n", "426", ""},
	} {
		r := g.raw(c.request, 1)[0]
		if !strings.HasPrefix(r.Status, c.status) || r.Header.Get("Location") != c.location {
			t.Errorf("%s: got %s with Location %q, expected %s with %q", c.name, r.Status, r.Header.Get("Location"), c.status, c.location)
		}
	}
}

// What is turned away does not come to access, and gets the filters of global records alone.
func TestTurnedAwayMeetsNoAccess(t *testing.T) {
	seen := &trace{}
	on := func(o *Options) { o.PluginDebugHeader = "X-Plugins" }
	g := start(t, echo, protocolRoutes+"plugins: [{name: a}, {name: b, route: tls}, {name: b, route: rpc}]\n", traced(seen, "a", "b"), on)
	for _, path := range []string{"/tls", "/301", "/rpc"} {
		if got := g.get(path).Header.Values("X-Plugins"); got != nil {
			t.Errorf("%s: plugins %q of access", path, got)
		}
	}
	if got := g.get("/both").Header.Get("X-Plugins"); got == "" {
		t.Error("/both: no plugins")
	}
}

// With strict_protocols the scheme selects routes, and a trusted peer's word is the scheme.
func TestStrictProtocols(t *testing.T) {
	text := `_format_version: "3.0"
services: [{name: s, url: "http://UPSTREAM", routes: [{name: tls, paths: [/x], protocols: [https], strip_path: false}, {name: plain, paths: [/x], protocols: [http]}]}]
`
	g := start(t, echo, text, nil, trustLoopback)
	g.builder.Router = router.Options{StrictProtocols: true}
	g.load(strings.ReplaceAll(text, "UPSTREAM", g.upstream))
	g.get("/x/1").want(t, 200, "GET /1\n")
	g.get("/x/1", "X-Forwarded-Proto", "https").want(t, 200, "GET /x/1\n")
}

// A priority of a route comes before what its fields count for, and path_match keeps a path from taking what only begins so.
func TestPriorityAndPathMatch(t *testing.T) {
	g := start(t, echo, `_format_version: "3.0"
services:
- {name: a, url: "http://UPSTREAM/a", routes: [{name: a, paths: [/x], priority: 1}]}
- {name: b, url: "http://UPSTREAM/b", routes: [{name: b, paths: [/x/y, /z], methods: [GET]}]}
- {name: c, url: "http://UPSTREAM/c", routes: [{name: c, paths: [/seg], path_match: segment}, {name: d, paths: [/se], path_match: prefix}]}
`, nil)
	g.get("/x/y").want(t, 200, "GET /a/y\n")
	g.get("/z").want(t, 200, "GET /b\n")
	g.get("/seg/x").want(t, 200, "GET /c/x\n")
	g.get("/segx").want(t, 200, "GET /c/gx\n")
}

// The flavours see what is on the wire: path_handling v1, addresses, queries, and what a plugin changed before the router ran.
func TestFlavorsOnTheWire(t *testing.T) {
	text := `_format_version: "3.0"
services: [{name: s, url: "http://UPSTREAM/s", routes: [{name: v1, paths: [/v1], path_handling: v1, strip_path: false}]}]
`
	g := start(t, echo, text, nil)
	g.get("/v1/x").want(t, 200, "GET /s/v1/x\n") // v1 means nothing in the default flavour
	g.builder.Router = router.Options{Flavor: router.Traditional}
	g.load(strings.ReplaceAll(text, "UPSTREAM", g.upstream))
	g.get("/v1/x").want(t, 200, "GET /sv1/x\n")

	expressions := `_format_version: "3.0"
services:
- {name: s, url: "http://UPSTREAM", routes: [
  {name: near, expression: 'net.src.ip in 127.0.0.0/8 && net.dst.ip == 127.0.0.1 && net.src.port > 0 && http.path ^= "/near"', strip_path: false},
  {name: far, expression: 'net.src.ip == 203.0.113.9 && http.path ^= "/near"', priority: 5, strip_path: false},
  {name: query, expression: 'http.queries.a == "b c" && http.path == "/q"', strip_path: false},
  {name: made, expression: 'http.queries.made == "1"', strip_path: false},
  {name: port, expression: 'net.dst.port == 81', strip_path: false},
  {name: groups, expression: 'http.path ~ r#"^/users/(?<id>\d+)"#'}]}
plugins: [{name: before}]
`
	before := plugin("before", 1, &rewrite{func(k *pdk.PDK) error {
		if k.Request.GetPath() == "/made" {
			return k.ServiceRequest.SetRawQuery("made=1")
		}
		return nil
	}})
	g = start(t, echo, "_format_version: \"3.0\"\n", []pdk.Plugin{before}, trustLoopback, func(o *Options) { o.DebugHeader = true })
	g.builder.Router = router.Options{Flavor: router.Expressions}
	g.load(strings.ReplaceAll(expressions, "UPSTREAM", g.upstream))
	for _, c := range []struct{ path, want, header, value string }{
		{"/near/1", "near", "", ""},
		{"/near/1", "far", "X-Real-IP", "203.0.113.9"},
		{"/q?a=b+c", "query", "", ""},
		{"/q?a=b%20c&a=b%20c", "query", "", ""},
		{"/q?a=b+c&a=d", "", "", ""},
		{"/made", "made", "", ""},
		{"/else", "port", "Host", "any.example:81"},
		{"/users/17/x", "groups", "", ""},
	} {
		headers := []string{"Kong-Debug", "1"}
		if c.header != "" {
			headers = append(headers, c.header, c.value)
		}
		r := g.get(c.path, headers...)
		if got := r.Header.Get("Kong-Route-Name"); got != c.want || (c.want == "") != (r.StatusCode == http.StatusNotFound) {
			t.Errorf("%s %s: got %d from route %q, expected %q", c.path, c.value, r.StatusCode, got, c.want)
		}
	}
	g.get("/users/17/x").want(t, 200, "GET /x\n") // what the pattern matched is stripped
}
