package local

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

func TestRequestLine(t *testing.T) {
	r := newTester()
	r.facts.Request = wire.Request{
		Method: "PURGE", Scheme: "https", Host: "example.com", Port: 8443, HTTPVersion: 20,
		Target: "/a/../b//c?x=1&y", Path: "/b/c", RawQuery: "x=1&y",
	}
	r.access(t, func(k *pdk.PDK) {
		q := k.Request
		for _, c := range []struct {
			name      string
			got, want any
		}{
			{"scheme", q.GetScheme(), "https"},
			{"host", q.GetHost(), "example.com"},
			{"port", q.GetPort(), 8443},
			{"version", q.GetHTTPVersion(), 2.0},
			{"method", q.GetMethod(), "PURGE"},
			{"path", q.GetPath(), "/b/c"},
			{"raw path", q.GetRawPath(), "/a/../b//c"},
			{"path with query", q.GetPathWithQuery(), "/a/../b//c?x=1&y"},
			{"raw query", q.GetRawQuery(), "x=1&y"},
			{"start time", q.GetStartTime(), 1700000000123},
			{"forwarded scheme", q.GetForwardedScheme(), "https"},
			{"forwarded host", q.GetForwardedHost(), "example.com"},
			{"forwarded port", q.GetForwardedPort(), 8443},
			{"forwarded path", q.GetForwardedPath(), "/b/c"},
		} {
			if c.got != c.want {
				t.Errorf("%s is %v, expected %v", c.name, c.got, c.want)
			}
		}
		if p, ok := q.GetForwardedPrefix(); ok {
			t.Errorf("forwarded prefix is %q", p)
		}
	})
	r.facts.Forwarded = wire.Forwarded{Set: true, Scheme: "http", Host: "fwd.test", Port: 81, Path: "/a?b#c", Prefix: "/api", HasPrefix: true}
	r.access(t, func(k *pdk.PDK) {
		q := k.Request
		prefix, ok := q.GetForwardedPrefix()
		if q.GetForwardedScheme() != "http" || q.GetForwardedHost() != "fwd.test" || q.GetForwardedPort() != 81 || q.GetForwardedPath() != "/a?b#c" || prefix != "/api" || !ok {
			t.Errorf("forwarded: %s %s %d %s %s", q.GetForwardedScheme(), q.GetForwardedHost(), q.GetForwardedPort(), q.GetForwardedPath(), prefix)
		}
	})
}

func TestHTTPVersionsAreExact(t *testing.T) {
	for code, want := range map[int]float64{10: 1, 11: 1.1, 20: 2, 30: 3} {
		r := newTester()
		r.facts.Request.HTTPVersion = code
		r.access(t, func(k *pdk.PDK) {
			if got := k.Request.GetHTTPVersion(); got != want {
				t.Errorf("%d is %v, expected %v", code, got, want)
			}
		})
	}
}

func TestQueryArg(t *testing.T) {
	many := make([]string, 150)
	for i := range many {
		many[i] = fmt.Sprintf("a%d=%d", i, i)
	}
	for _, c := range []struct {
		query, name string
		want        pdk.QueryValue
		found       bool
	}{
		{"s=one%20two&b&e=", "s", pdk.QueryValue{Text: "one two"}, true}, // PQ7
		{"s=one%20two&b&e=", "b", pdk.QueryValue{Bare: true}, true},
		{"s=one%20two&b&e=", "e", pdk.QueryValue{}, true},
		{"s=one%20two&b&e=", "nope", pdk.QueryValue{}, false},
		{"a=1&a=2", "a", pdk.QueryValue{Text: "1"}, true},         // PQ8
		{"Foo=1&foo=2", "foo", pdk.QueryValue{Text: "2"}, true},   // PQ9
		{"a=x+y", "a", pdk.QueryValue{Text: "x y"}, true},         // PQ10
		{"=v&k=1", "", pdk.QueryValue{}, false},                   // PQ11
		{"a%62=1", "ab", pdk.QueryValue{Text: "1"}, true},         //
		{"a=100%&b=%zz", "a", pdk.QueryValue{Text: "100%"}, true}, // stray percent signs stay
		{"a=100%&b=%zz", "b", pdk.QueryValue{Text: "%zz"}, true},
		{"a=b=c", "a", pdk.QueryValue{Text: "b=c"}, true},
		{strings.Join(many, "&"), "a99", pdk.QueryValue{Text: "99"}, true},
		{strings.Join(many, "&"), "a100", pdk.QueryValue{}, false}, // PQ16
	} {
		r := newTester().target("/p?" + c.query)
		r.access(t, func(k *pdk.PDK) {
			got, found := k.Request.GetQueryArg(c.name)
			if got != c.want || found != c.found {
				t.Errorf("%q of %.40q is %v %v, expected %v %v", c.name, c.query, got, found, c.want, c.found)
			}
		})
	}
}

func TestQuery(t *testing.T) {
	many := make([]string, 150)
	for i := range many {
		many[i] = fmt.Sprintf("a%d=%d", i, i)
	}
	get := func(query string, limit int) (q pdk.Query, err error) {
		newTester().target("/p?"+query).access(t, func(k *pdk.PDK) { q, err = k.Request.GetQuery(limit) })
		return q, err
	}
	q, _ := get("b=1&b&b=3&=v&k=%C3%A9", -1) // PQ11, PQ12
	if want := []pdk.QueryValue{{Text: "1"}, {Bare: true}, {Text: "3"}}; !slices.Equal(q.Values("b"), want) || q.Len() != 4 || q.Truncated() {
		t.Errorf("query: %v", q)
	}
	if q, _ = get(strings.Join(many, "&"), -1); q.Len() != 100 || !q.Truncated() { // PQ13
		t.Errorf("%d arguments, truncated %v", q.Len(), q.Truncated())
	}
	if q, _ = get(strings.Join(many, "&"), 150); q.Len() != 150 || q.Truncated() { // PQ14
		t.Errorf("%d arguments, truncated %v", q.Len(), q.Truncated())
	}
	for _, bad := range []int{0, 1001, -2} { // PQ15
		_, err := get("a=1", bad)
		wantKind(t, err, pdk.ErrArg)
	}
	if q, _ = get("", -1); q.Len() != 0 {
		t.Errorf("an empty query has %d arguments", q.Len())
	}
}

func TestRequestHeaders(t *testing.T) {
	r := newTester().headers("X-Foo", "a", "X-Empty", "", "X-A", "1st", "X-A", "2nd", "X-List", "a, b", "X-Bytes", "caf\xe9")
	r.access(t, func(k *pdk.PDK) {
		for name, want := range map[string]string{
			"x-foo": "a", "X_FOO": "a", "x-empty": "", "x-a": "1st", "x-list": "a, b", "x-bytes": "caf\xe9",
		} {
			if got, found := k.Request.GetHeader(name); got != want || !found {
				t.Errorf("%s is %q %v, expected %q", name, got, found, want)
			}
		}
		if _, found := k.Request.GetHeader("x-none"); found {
			t.Error("x-none is there")
		}
		all, err := k.Request.GetHeaders(-1)
		if err != nil || all.Len() != 6 || !slices.Equal(all.Values("x_a"), []string{"1st", "2nd"}) {
			t.Errorf("headers: %v %v", all, err)
		}
		for name := range all.All() {
			if name != FoldName(name) {
				t.Errorf("name %q is not folded", name)
			}
		}
		for _, bad := range []int{0, 1001} { // HD8
			_, err := k.Request.GetHeaders(bad)
			wantKind(t, err, pdk.ErrArg)
		}
	})
	r = newTester()
	for i := range 130 { // HD7
		r.headers(fmt.Sprintf("x-%d", i), "v")
	}
	r.access(t, func(k *pdk.PDK) {
		first, _ := k.Request.GetHeaders(-1)
		more, _ := k.Request.GetHeaders(200)
		last, found := k.Request.GetHeader("x-129")
		if first.Len() != 100 || !first.Truncated() || more.Len() != 130 || more.Truncated() || last != "v" || !found {
			t.Errorf("%d %v, %d %v, %q %v", first.Len(), first.Truncated(), more.Len(), more.Truncated(), last, found)
		}
	})
}

func TestRawBody(t *testing.T) {
	t.Run("asked once", func(t *testing.T) {
		r := newTester()
		r.host.answers = map[wire.AskFn]wire.Answer{wire.AskRequestGetRawBody: {Bytes: []byte{0, 0xff}, IsBytes: true}}
		r.access(t, func(k *pdk.PDK) {
			for range 2 {
				b, err := k.Request.GetRawBody()
				if err != nil || !bytes.Equal(b, []byte{0, 0xff}) {
					t.Fatalf("body is %x, %v", b, err)
				}
				b[0] = 7 // it is the plugin's own
			}
		})
		if len(r.host.asked) != 1 {
			t.Errorf("asked %d times", len(r.host.asked))
		}
	})
	t.Run("sent with the call", func(t *testing.T) {
		r := newTester()
		r.call.RequestBody, r.call.HasRequestBody = []byte("hello"), true
		r.access(t, func(k *pdk.PDK) {
			if b, err := k.Request.GetRawBody(); err != nil || string(b) != "hello" {
				t.Errorf("body is %q, %v", b, err)
			}
		})
		if len(r.host.asked) != 0 {
			t.Error("asked although it was there")
		}
	})
	t.Run("set before", func(t *testing.T) { // SR27
		r := newTester()
		out := r.access(t, func(k *pdk.PDK) {
			body := []byte{0, 0xff}
			if err := k.ServiceRequest.SetRawBody(body); err != nil {
				t.Fatal(err)
			}
			body[0] = 9
			if b, err := k.Request.GetRawBody(); err != nil || !bytes.Equal(b, []byte{0, 0xff}) {
				t.Errorf("body is %x, %v", b, err)
			}
		})
		if !out.Ops[0].HasBody || !bytes.Equal(out.Ops[0].Body, []byte{0, 0xff}) {
			t.Errorf("operation %+v", out.Ops[0])
		}
	})
	t.Run("too large", func(t *testing.T) {
		r := newTester()
		r.host.answers = map[wire.AskFn]wire.Answer{wire.AskRequestGetRawBody: {Err: &wire.Error{Code: wire.CodeTooLarge, Message: "9 > 8"}}}
		r.node.MaxBody = 3
		r.access(t, func(k *pdk.PDK) {
			_, err := k.Request.GetRawBody()
			wantKind(t, err, pdk.ErrData)
			wantKind(t, k.ServiceRequest.SetRawBody([]byte("long")), pdk.ErrArg)
		})
	})
	t.Run("empty is not nil", func(t *testing.T) {
		r := newTester()
		r.host.answers = map[wire.AskFn]wire.Answer{wire.AskRequestGetRawBody: {IsBytes: true}}
		r.access(t, func(k *pdk.PDK) {
			if b, err := k.Request.GetRawBody(); b == nil || len(b) != 0 || err != nil {
				t.Errorf("body is %v, %v", b, err)
			}
		})
	})
}

func TestCaptures(t *testing.T) {
	r := newTester()
	r.access(t, func(k *pdk.PDK) {
		if c := k.Request.GetURICaptures(); c.Unnamed == nil || c.Named == nil || len(c.Unnamed)+len(c.Named) != 0 {
			t.Errorf("captures: %v", c)
		}
	})
	r.facts.Captures = wire.Captures{Unnamed: []string{"42"}, Named: []wire.Header{{Name: "id", Value: "42"}}}
	r.access(t, func(k *pdk.PDK) {
		if c := k.Request.GetURICaptures(); !slices.Equal(c.Unnamed, []string{"42"}) || c.Named["id"] != "42" {
			t.Errorf("captures: %v", c)
		}
	})
}

func TestClientAndNode(t *testing.T) {
	r := newTester()
	r.node.Trusted = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	r.access(t, func(k *pdk.PDK) {
		if k.Client.GetIP() != "10.0.0.9" || k.Client.GetPort() != 40000 || k.Client.GetForwardedIP() != "10.0.0.9" {
			t.Error("addresses of the client")
		}
		if port, ok := k.Client.GetForwardedPort(); ok {
			t.Errorf("forwarded port %d", port)
		}
		for address, want := range map[string]bool{
			"10.1.1.1": true, "11.0.0.1": false, "junk": false, "": false, "::ffff:10.1.1.1": true, "fd00::1": true, "fe80::1": false,
		} {
			if k.IP.IsTrusted(address) != want {
				t.Errorf("trust in %q is %v", address, !want)
			}
		}
		if k.Node.GetID() != "n" || k.Node.GetHostname() != "h" {
			t.Error("node")
		}
	})
}
