package proxy

import (
	"bufio"
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"
)

const plainRequest = "GET /a/b?c=d HTTP/1.1\r\nHost: shop.example:8080\r\nUser-Agent: x/1.0 (y; z)\r\nX-Empty: \r\nCookie: a=b; c=d\r\nCookie: e=f\r\n\r\n"

func TestPlainHead(t *testing.T) {
	h := plainHead([]byte(plainRequest))
	if h == nil {
		t.Fatal("not taken as plain")
	}
	defer h.release()
	if string(h.method) != "GET" || string(h.target) != "/a/b?c=d" || string(h.host) != "shop.example:8080" || h.hosts != 1 || h.http10 || h.broken || !h.verbatim {
		t.Errorf("%q %q %q, %d hosts, %v %v %v", h.method, h.target, h.host, h.hosts, h.http10, h.broken, h.verbatim)
	}
	var lines []string
	for _, l := range h.lines {
		lines = append(lines, string(l.name)+"|"+string(l.value))
	}
	if !slices.Equal(lines, []string{"Host|shop.example:8080", "User-Agent|x/1.0 (y; z)", "X-Empty|", "Cookie|a=b; c=d", "Cookie|e=f"}) {
		t.Errorf("%q", lines)
	}
	loose := plainHead([]byte("HEAD / HTTP/1.1\r\nHost:  x\r\nA:b\r\nC: d\t \r\n\r\n"))
	if loose == nil || loose.verbatim {
		t.Fatalf("a head with other blanks: %+v", loose)
	}
	loose.release()
}

// What is not plain goes to fasthttp as it came.
func TestNotPlain(t *testing.T) {
	const end = "Host: x\r\n\r\n"
	for _, data := range []string{
		"", "\r\n\r\n", "GET / HTTP/1.1\r\n", "GET / HTTP/1.1\r\nHost: x\r\n", // not all there
		"GET / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\nHost:\r\n\r\n", "GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: x y\r\n\r\n", "GET / HTTP/1.1\r\nHost: x:y\r\n\r\n", "GET / HTTP/1.1\r\nHost: [::1]\r\n\r\n", "GET / HTTP/1.1\r\nHost: x/y\r\n\r\n",
		"POST / HTTP/1.1\r\n" + end, "get / HTTP/1.1\r\n" + end, "GET  / HTTP/1.1\r\n" + end, "GET / HTTP/1.0\r\n" + end, "GET / HTTP/1.1 \r\n" + end, "GET /\r\n" + end,
		"GET HTTP/1.1\r\n" + end, "GET x HTTP/1.1\r\n" + end, "GET http://x/ HTTP/1.1\r\n" + end, "GET /a b HTTP/1.1\r\n" + end, "GET /\x00 HTTP/1.1\r\n" + end, "GET /\xc3\xa4 HTTP/1.1\r\n" + end,
		"GET / HTTP/1.1\r\n" + end + "GET / HTTP/1.1\r\n" + end, // two requests
		"GET / HTTP/1.1\r\n" + end + "body\r\n\r\n",
		"GET / HTTP/1.1\n" + end, "GET / HTTP/1.1\r\nA: b\nHost: x\r\n\r\n", "GET / HTTP/1.1\r\nA: b\rc\r\n" + end, "GET / HTTP/1.1\r\r\n" + end,
		"GET / HTTP/1.1\r\nA\r\n" + end, "GET / HTTP/1.1\r\n: b\r\n" + end, "GET / HTTP/1.1\r\nA : b\r\n" + end, "GET / HTTP/1.1\r\nA: b\r\n c\r\n" + end, "GET / HTTP/1.1\r\n A: b\r\n" + end,
		"GET / HTTP/1.1\r\nA: b\x00\r\n" + end, "GET / HTTP/1.1\r\nA: 12345678\x7f\r\n" + end, "GET / HTTP/1.1\r\nA: 1\x012345678\r\n" + end, "GET / HTTP/1.1\r\nA: 1\t2\r\n" + end,
		"GET / HTTP/1.1\r\nContent-Length: 0\r\n" + end, "GET / HTTP/1.1\r\ncontent_length: 1\r\n" + end, "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" + end,
		"GET / HTTP/1.1\r\nConnection: close\r\n" + end, "GET / HTTP/1.1\r\nConnection: keep-alive, x\r\n" + end, "GET / HTTP/1.1\r\nProxy-Connection: close\r\n" + end,
		"GET / HTTP/1.1\r\nExpect: 100-continue\r\n" + end, "GET / HTTP/1.1\r\nUpgrade: x\r\n" + end, "GET / HTTP/1.1\r\nTrailer: x\r\n" + end,
	} {
		if h := plainHead([]byte(data)); h != nil {
			t.Errorf("taken as plain: %q", data)
		}
	}
}

// Whatever is taken as plain, fasthttp would take too, whole, and find the same in it.
func FuzzPlainHead(f *testing.F) {
	f.Add([]byte(plainRequest))
	f.Add([]byte("HEAD /%zz?#/../ HTTP/1.1\r\nHost:\t1.2.3.4\r\nA:b\r\nConnection: Keep-Alive\r\nX: \xff\xfe ä\r\n\r\n"))
	f.Add([]byte("GET /a;b|c{}^` HTTP/1.1\r\nHost: a_b..c:65536\r\n!#$%&'*+-.^_`|~: \r\n\r\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		h := plainHead(data)
		if h == nil {
			return
		}
		defer h.release()
		var req fasthttp.Request
		req.Header.DisableNormalizing()
		br := bufio.NewReaderSize(bytes.NewReader(data), 64<<10)
		if err := req.Header.Read(br); err != nil {
			t.Fatalf("%q: fasthttp refuses it: %v", data, err)
		}
		if len(req.URI().Host()) == 0 {
			t.Fatalf("%q: fasthttp finds no host", data)
		}
		if req.Header.ConnectionClose() || req.Header.ContentLength() > 0 || req.MayContinue() || br.Buffered() != 0 {
			t.Fatalf("%q: fasthttp finds more than a request without a body", data)
		}
		want := parsedHead(&req.Header)
		defer want.release()
		if want.broken || want.http10 || want.hosts != 1 {
			t.Fatalf("%q: %+v", data, want)
		}
		if !bytes.Equal(h.method, want.method) || !bytes.Equal(h.target, want.target) || !bytes.Equal(h.host, want.host) || !slices.EqualFunc(h.lines, want.lines, sameLine) {
			t.Fatalf("%q:\nfound %s %s %q %q\nfasthttp %s %s %q %q", data, h.method, h.target, h.host, h.lines, want.method, want.target, want.host, want.lines)
		}
		if h.verbatim {
			var b strings.Builder
			for _, l := range h.lines {
				b.Write(l.name)
				b.WriteString(": ")
				b.Write(l.value)
				b.WriteString("\r\n")
			}
			if b.String()+"\r\n" != string(h.raw) {
				t.Fatalf("%q: not verbatim", data)
			}
		}
	})
}

func sameLine(a, b headerLine) bool {
	return bytes.Equal(a.name, b.name) && bytes.Equal(a.value, b.value)
}

func TestPlainHeadAllocatesNothing(t *testing.T) {
	data, h := []byte(plainRequest), new(head)
	take := func() {
		h.block = append(h.block[:0], data...)
		if !h.plain(len("GET")) {
			t.Fatal("not plain")
		}
		*h = head{block: h.block[:0], lines: h.lines[:0]}
	}
	if n := testing.AllocsPerRun(100, take); n != 0 {
		t.Errorf("%v allocations, expected 0", n)
	}
}

func BenchmarkPlainHead(b *testing.B) {
	data := []byte("GET /bench/orders/17?page=2&sort=price HTTP/1.1\r\nHost: 127.0.0.1:8000\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n" +
		"Accept: text/html,application/xhtml+xml,application/json;q=0.9,*/*;q=0.8\r\nAccept-Language: en-GB,en;q=0.7,de;q=0.3\r\nAccept-Encoding: gzip, deflate, br\r\n" +
		"Cookie: session=7f3c9a1e5b2d4c68; theme=dark; consent=1\r\nReferer: https://shop.example/orders\r\nCache-Control: no-cache\r\nX-Name: wrk\r\n\r\n")
	b.ReportAllocs()
	for b.Loop() {
		h := plainHead(data)
		if h == nil {
			b.Fatal("not plain")
		}
		h.release()
	}
}
