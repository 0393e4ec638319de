package guard

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
)

var limits = Limits{Head: 16 << 10, URI: 4 << 10, Line: 8 << 10, Fields: 100, Trailer: 4 << 10}

// take takes the first head of data, which is all that comes.
func take(data string) (*Head, bool, error) {
	r := Reader{Source: strings.NewReader(data)}
	h := new(Head)
	for {
		ok, err := r.Next(h, &limits)
		if ok || err != nil {
			return h, ok, err
		}
		if _, err := r.Fill(); err != nil {
			return h, false, nil
		}
	}
}

func TestHead(t *testing.T) {
	const plain = "GET /a/b?c=d HTTP/1.1\r\nHost: shop.example:8080\r\nUser-Agent: x/1.0 (y; z)\r\nX-Empty: \r\nCookie: a=b; c=d\r\nCookie: e=f\r\n\r\n"
	h, ok, err := take(plain)
	if !ok || err != nil {
		t.Fatal(ok, err)
	}
	if string(h.Method) != "GET" || string(h.Target) != "/a/b?c=d" || string(h.Host) != "shop.example:8080" || h.HTTP10 || !h.Verbatim || h.Length != 0 || h.Closes || h.Expects || h.Upgrades {
		t.Errorf("%+v", h)
	}
	var lines []string
	for _, f := range h.Fields {
		lines = append(lines, string(f.Name)+"|"+string(f.Value))
	}
	if !slices.Equal(lines, []string{"Host|shop.example:8080", "User-Agent|x/1.0 (y; z)", "X-Empty|", "Cookie|a=b; c=d", "Cookie|e=f"}) {
		t.Errorf("%q", lines)
	}
	if h, _, err := take("HEAD / HTTP/1.1\r\nHost:  x\r\nA:b\r\nC: d\t \r\n\r\n"); err != nil || h.Verbatim {
		t.Errorf("other blanks: %v, verbatim %v", err, h.Verbatim)
	}
}

// What a head says of its body and of the connection.
func TestMeaning(t *testing.T) {
	for _, c := range []struct {
		line, fields string
		length       int64
		flags        string // c: closes, e: expects, u: upgrades, 0: HTTP/1.0
	}{
		{"POST / HTTP/1.1", "Host: x\r\nContent-Length: 17\r\n", 17, ""},
		{"GET / HTTP/1.1", "Host: x\r\nConnection: " + strings.Repeat("a,", 63) + "close\r\n", 0, "c"},
		{"POST / HTTP/1.1", "Host: x\r\nContent-Length: 000\r\n", 0, ""},
		{"GET / HTTP/1.1", "Host: x\r\ncontent-length:5\r\n", 5, ""},
		{"POST / HTTP/1.1", "Host: x\r\nTransfer-Encoding: Chunked\r\n", Chunked, ""},
		{"POST / HTTP/1.1", "Host: x\r\nContent-Length: 999999999999999999\r\n", 999999999999999999, ""},
		{"POST / HTTP/1.1", "Host: x\r\nContent-Length: 1\r\nExpect: 100-Continue\r\n", 1, "e"},
		{"POST / HTTP/1.1", "Host: x\r\nExpect: 100-continue\r\n", 0, ""},
		{"POST / HTTP/1.0", "Content-Length: 1\r\nExpect: whatever\r\n", 1, "c0"},
		{"GET / HTTP/1.0", "Host: x\r\n", 0, "c0"},
		{"GET / HTTP/1.0", "Connection: Keep-Alive\r\n", 0, "0"},
		{"GET / HTTP/1.0", "Connection: x, keep-alive\r\nConnection: close\r\n", 0, "c0"},
		{"GET / HTTP/1.1", "Host: x\r\nConnection: x ,\tCLOSE\r\n", 0, "c"},
		{"GET / HTTP/1.1", "Host: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n", 0, "u"},
		{"GET / HTTP/1.1", "Host: x\r\nUpgrade: websocket\r\n", 0, ""},
		{"GET / HTTP/1.1", "Host: x\r\nConnection: upgrade\r\nUpgrade:\r\n", 0, ""},
		{"GET / HTTP/1.0", "Connection: upgrade, keep-alive\r\nUpgrade: x\r\n", 0, "0"},
		{"GET http://X:80/ HTTP/1.1", "Host: x\r\n", 0, ""},
		{"GET HTTPS://x:443?a HTTP/1.1", "Host: X:443\r\n", 0, ""},
		{"GET http://x HTTP/1.0", "", 0, "c0"},
		{"OPTIONS http://[::1]:8000/ HTTP/1.1", "Host: [::1]:8000\r\n", 0, ""},
		{"OPTIONS http://x?a HTTP/1.1", "Host: x\r\n", 0, ""},
		{"GET / HTTP/1.1", "Host: a_b.c-d.:\r\n", 0, ""},
		{"GET / HTTP/1.1", "Host: x\r\nX: a\tb\xff\r\n", 0, ""},
		{"\r\nGET / HTTP/1.1", "Host: x\r\n", 0, ""},
		{"GET /%41;a=b/.../..a/a..;x/.well-known/a.b?..%zz\\;/../ HTTP/1.1", "Host: x\r\n", 0, ""},
		{"GET /a/./b/../c/%2e%2E/d/\xc3\xa4\"<>|{}^` HTTP/1.1", "Host: x\r\n", 0, ""},
	} {
		h, ok, err := take(c.line + "\r\n" + c.fields + "\r\n")
		if !ok || err != nil {
			t.Errorf("%q %q: %v %v", c.line, c.fields, ok, err)
			continue
		}
		flags := ""
		for _, f := range []struct {
			set  bool
			name string
		}{{h.Closes, "c"}, {h.Expects, "e"}, {h.Upgrades, "u"}, {h.HTTP10, "0"}} {
			if f.set {
				flags += f.name
			}
		}
		if h.Length != c.length || flags != c.flags {
			t.Errorf("%q %q: length %d, flags %q, expected %d, %q", c.line, c.fields, h.Length, flags, c.length, c.flags)
		}
	}
}

// Paths that a service could take for others.
func TestPaths(t *testing.T) {
	for path, good := range map[string]bool{
		"/": true, "/a/../b": true, "/a/b/../../c": true, "/a/./.": true, "/a/..": true, "/%2e%2e%2ea": true, "/a%2Fb": true, "/a\\b": true, "/a;b/c": true, "/a/..b/..": true,
		"/..": false, "/../a": false, "/a/../../b": false, "/%2e%2e/a": false, "/a/.%2E/../b": false, "//..": false, "/a//../b": false,
		"/a/..%2Fb": false, "/a/..%2f": false, "/a%2f..": false, "/a%2f../b": false, "/a/..%5cb": false, "/a/..\\b": false, "/a\\..\\b": false, "/a/..;/b": false, "/a/.;x/b": false, "/a/%2e%2e;x=y": false,
		"/a/..%3b/b": false, "/a/%00": false, "/%": false, "/%4": false, "/%zz": false, "/a%2f.": false,
	} {
		if err := checkOrigin([]byte(path)); (err == nil) != good {
			t.Errorf("%s: %v", path, err)
		}
		if err := checkOrigin([]byte("/a?" + path)); err != nil {
			t.Errorf("query %s: %v", path, err)
		}
	}
}

// What is refused is refused as soon as it can be: nothing of this waits for more.
func TestRefusedAtOnce(t *testing.T) {
	for _, c := range []struct {
		data   string
		status int
	}{
		{"GET /\r\n", 400}, {"\x16\x03\x01\x02\x00\x01", 400}, {"get / HTTP/1.1", 400}, {" GET", 400}, {"\n", 400}, {"GET / HTTP/1.1\n", 400}, {"GET / HTTP/1.1\r\nA: b\n", 400},
		{"\r\n\r\n", 400}, {"PRI * HTTP/2.0\r\n", 505}, {"GET / HTTP/1.1\rx", 400}, {strings.Repeat("A", longestMethod+1), 400}, {"CONNECT x:443 HTTP/1.1\r\n", 405}, {"TRACE / HTTP/1.1\r\n", 405},
		{"GET /" + strings.Repeat("a", limits.Head), 414}, {"GET /" + strings.Repeat("a", limits.URI) + " HTTP/1.1\r\n", 414}, {"GET / HTTP/1.1\r\nA: " + strings.Repeat("a", limits.Head), 431},
	} {
		_, ok, err := take(c.data)
		var r *Refusal
		if ok || !errors.As(err, &r) || r.Status != c.status {
			t.Errorf("%.50q: %v %v, expected %d", c.data, ok, err, c.status)
		}
	}
}

func TestHeadLimits(t *testing.T) {
	const line = "GET / HTTP/1.1\r\nHost: x\r\n"
	for _, c := range []struct {
		data   string
		status int // 0: it passes
	}{
		{line + "A: " + strings.Repeat("a", limits.Line-3) + "\r\n\r\n", 0},
		{line + "A: " + strings.Repeat("a", limits.Line-2) + "\r\n\r\n", 431},
		{line + strings.Repeat("A: b\r\n", limits.Fields-1) + "\r\n", 0},
		{line + "Connection: " + strings.Repeat("a,", mostOptions-1) + "b\r\n\r\n", 0},
		{line + "Connection: " + strings.Repeat("a,", mostOptions) + "\r\n\r\n", 431},
		{line + strings.Repeat("A: b\r\n", limits.Fields) + "\r\n", 431},
		{"GET /" + strings.Repeat("a", limits.URI-1) + " HTTP/1.1\r\nHost: x\r\n\r\n", 0},
		{"GET /" + strings.Repeat("a", limits.URI) + " HTTP/1.1\r\nHost: x\r\n\r\n", 414},
		{line + "A: " + strings.Repeat("a", limits.Line-3) + "\r\nB: " + strings.Repeat("b", limits.Line-3) + "\r\n\r\n", 431},
	} {
		_, ok, err := take(c.data)
		var r *Refusal
		if c.status == 0 && !ok || c.status != 0 && (!errors.As(err, &r) || r.Status != c.status) {
			t.Errorf("%d bytes: %v %v, expected %d", len(c.data), ok, err, c.status)
		}
	}
}

func TestHeadAllocatesNothing(t *testing.T) {
	data := []byte("GET /a/b?c=d HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: x\r\nConnection: keep-alive\r\nContent-Length: 3\r\nA: b\tc\r\n\r\nabc")
	src := bytes.NewReader(data)
	r := Reader{Source: src}
	h := new(Head)
	var body Body
	var p [8]byte
	if n := testing.AllocsPerRun(100, func() {
		src.Reset(data)
		for {
			ok, err := r.Next(h, &limits)
			if err != nil {
				t.Fatal(err)
			}
			if ok {
				break
			}
			if _, err := r.Fill(); err != nil {
				t.Fatal(err)
			}
		}
		body.Reset(&r, h.Length, &limits)
		if n, _ := body.Read(p[:]); n != 3 {
			t.Fatal(n)
		}
		h.Reset()
	}); n != 0 {
		t.Errorf("%v allocations, expected 0", n)
	}
}

func BenchmarkHead(b *testing.B) {
	data := []byte("GET /bench/orders/17?page=2&sort=price HTTP/1.1\r\nHost: 127.0.0.1:8000\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n" +
		"Accept: text/html,application/xhtml+xml,application/json;q=0.9,*/*;q=0.8\r\nAccept-Language: en-GB,en;q=0.7,de;q=0.3\r\nAccept-Encoding: gzip, deflate, br\r\n" +
		"Cookie: session=7f3c9a1e5b2d4c68; theme=dark; consent=1\r\nReferer: https://shop.example/orders\r\nCache-Control: no-cache\r\nX-Name: wrk\r\n\r\n")
	src := bytes.NewReader(data)
	r := Reader{Source: src}
	h := new(Head)
	b.ReportAllocs()
	for b.Loop() {
		src.Reset(data)
		if _, err := r.Fill(); err != nil {
			b.Fatal(err)
		}
		if ok, err := r.Next(h, &limits); !ok {
			b.Fatal(err)
		}
		h.Reset()
	}
}
