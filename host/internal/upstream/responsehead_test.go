package upstream

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"
)

// What a head says, and what of it the HTTP library gets to see.
func TestHeads(t *testing.T) {
	for _, c := range []struct {
		name, head string
		want       string // status, then what is out of the ordinary
		left       string // the lines that stay
	}{
		{"plain", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nA: b\r\n\r\n", "200 length=5", "Content-Length: 5\r\nA: b\r\n"},
		{"no reason", "HTTP/1.1 404\r\n\r\n", "404", ""},
		{"unknown status", "HTTP/1.1 799 Odd\r\n\r\n", "799", ""},
		{"text above ASCII", "HTTP/1.1 200 \xc3\xa4\r\nA: \xff\tb\r\n\r\n", "200", "A: \xff\tb\r\n"},
		{"HTTP/1.0", "HTTP/1.0 200 OK\r\n\r\n", "200 old closes", ""},
		{"HTTP/1.0 kept", "HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nA: b\r\n\r\n", "200 old", "A: b\r\n"},
		{"dated", "HTTP/1.1 200 OK\r\ndate: x\r\n\r\n", "200 dated", "date: x\r\n"},
		{"closes", "HTTP/1.1 200 OK\r\nA: b\r\nConnection: x, CLOSE\r\nC: d\r\n\r\n", "200 closes", "A: b\r\nC: d\r\n"},
		{"nominated", "HTTP/1.1 200 OK\r\nX-a: 1\r\nKeep-Alive: timeout=5\r\nConnection: x-A ,content-length\r\nContent-Length: 3\r\nx-A: 2\r\nX-B: 3\r\n\r\n", "200 length=3", "Content-Length: 3\r\nX-B: 3\r\n"},
		{"chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked \r\nTrailer: A, B\r\n\r\n", "200 chunked trailers=A, B", "Transfer-Encoding: Chunked \r\n"},
		{"upgrade", "HTTP/1.1 101 S\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", "101 upgrade=websocket", ""},
		{"an offer to upgrade", "HTTP/1.1 426 U\r\nConnection: upgrade\r\nUpgrade: TLS/1.0\r\nA: b\r\n\r\n", "426 upgrade=TLS/1.0", "A: b\r\n"},
		{"hop lines alone", "HTTP/1.1 204 N\r\nKeep-Alive: a\r\nProxy-Connection: b\r\nTrailer:\r\n\r\n", "204 trailers=", ""},
	} {
		var h head
		data := []byte(c.head + "HTTP/1.1 body")
		if err := h.parse(data); err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if got := said(&h); got != c.want {
			t.Errorf("%s: %s, expected %s", c.name, got, c.want)
		}
		first, _, _ := strings.Cut(c.head, "\r\n")
		left := string(data[h.compact(data):h.size])
		if want := first + "\r\n" + c.left + "\r\n"; left != want {
			t.Errorf("%s: %q is left, expected %q", c.name, left, want)
		}
		if string(data[h.size:]) != "HTTP/1.1 body" {
			t.Errorf("%s: what follows the head was changed: %q", c.name, data[h.size:])
		}
	}
}

// said is a head in words.
func said(h *head) string {
	s := fmt.Sprint(h.status)
	for _, w := range []struct {
		is   bool
		word string
	}{
		{h.old, "old"}, {h.length >= 0, fmt.Sprint("length=", h.length)}, {h.chunked, "chunked"}, {h.closes, "closes"}, {h.dated, "dated"},
		{h.upgrade, "upgrade=" + string(h.protocol)}, {len(h.trailers) > 0, "trailers=" + string(bytes.Join(h.trailers, []byte("|")))},
	} {
		if w.is {
			s += " " + w.word
		}
	}
	return s
}

// Every beginning of a head is either refused or waits for more, and never taken for a whole one.
func TestHeadsInPieces(t *testing.T) {
	const whole = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\n"
	for n := range len(whole) {
		var h head
		if err := h.parse([]byte(whole[:n])); err != errMore {
			t.Errorf("%q: %v", whole[:n], err)
		}
	}
	for text, want := range map[string]string{
		"SSH-2.0-x":                      "begins with",
		"H\n":                            "begins with",
		"HTTP/1.1 200 OK\n":              "LF alone",
		"HTTP/1.1 200 OK\r\nA: b\n":      "LF alone",
		"HTTP/1.1 200 OK\r\nA: b\r\n\n ": "LF alone",
	} {
		var h head
		if err := h.parse([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, expected %q", text, err, want)
		}
	}
}

// usualHead is what a service behind nginx answers with.
const usualHead = "HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Sun, 22 Nov 2026 00:00:00 GMT\r\nContent-Type: application/json\r\nContent-Length: 12\r\n" +
	"Connection: keep-alive\r\nETag: \"5f3b-12\"\r\nX-Request-Id: 5b1f7e3a\r\n\r\n"

// readHeads reads one head over and over, as a connection does.
func readHeads(strict bool) func() error {
	source := bytes.NewReader(nil)
	c := &conn{longest: readBuffer, br: bufio.NewReaderSize(source, readBuffer)}
	resp := &fasthttp.Response{}
	resp.Header.DisableNormalizing()
	req := &Request{Method: "GET"}
	text := []byte(usualHead)
	return func() error {
		source.Reset(text)
		c.br.Reset(source)
		if strict {
			return c.readHead(req, resp)
		}
		return resp.Header.Read(c.br)
	}
}

func TestHeadsAllocateNothing(t *testing.T) {
	read := readHeads(true)
	if n := testing.AllocsPerRun(100, func() {
		if err := read(); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations, expected 0", n)
	}
}

// BenchmarkHead compares our reading in front of the library's with the library's alone.
func BenchmarkHead(b *testing.B) {
	for _, strict := range []bool{false, true} {
		b.Run(map[bool]string{false: "library", true: "strict"}[strict], func(b *testing.B) {
			read := readHeads(strict)
			b.ReportAllocs()
			for b.Loop() {
				if err := read(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkRoundTrip is one request after another over a kept connection.
func BenchmarkRoundTrip(b *testing.B) {
	for _, once := range []bool{false, true} {
		method := map[bool]string{false: "GET", true: "POST"}[once] // POST: the connection is asked first whether it lives
		b.Run(method, func(b *testing.B) {
			p := newPeer(b, func(_ int, c net.Conn, _ *bufio.Reader) {
				buf, answer := make([]byte, 4<<10), []byte(usualHead+"hello, world")
				for {
					if n, err := c.Read(buf); err != nil || !bytes.HasSuffix(buf[:n], []byte("\r\n\r\n")) {
						return
					}
					if _, err := c.Write(answer); err != nil {
						return
					}
				}
			})
			tr := transport(b, Options{})
			req, resp := request(method), &fasthttp.Response{}
			resp.Header.DisableNormalizing()
			b.ReportAllocs()
			for b.Loop() {
				if err := tr.RoundTrip(p.target(), req, resp, 0); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
