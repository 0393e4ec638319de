package upstream

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"
)

// headOf is a response whose head has so many bytes, with a body of 2.
func headOf(size int) string {
	const rest = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX: \r\n\r\n"
	return strings.Replace(rest, "X: ", "X: "+strings.Repeat("x", size-len(rest)), 1) + "ok"
}

// Heads up to the limit pass and keep their connection, at once and in pieces; what is longer is refused, and the error says by which setting.
func TestLargestHead(t *testing.T) {
	for _, limit := range []int{1 << 10, readBuffer, 32 << 10, 100_000} {
		for _, over := range []int{0, 1, 3 * limit} {
			p := newPeer(t, func(_ int, c net.Conn, br *bufio.Reader) {
				for {
					if _, err := http.ReadRequest(br); err != nil {
						return
					}
					text := headOf(limit + over)
					for _, piece := range []string{text[:limit/2], text[limit/2 : limit-1], text[limit-1:]} {
						if _, err := io.WriteString(c, piece); err != nil {
							return
						}
					}
				}
			})
			tr := transport(t, Options{MaxHead: limit})
			for range 2 {
				status, text, err := try(tr, p.target(), "GET", nil, 1)
				switch {
				case over == 0 && (status != 200 || text != "ok" || p.conns.Load() != 1):
					t.Errorf("a head of %d bytes: %d, %q, %v, connection %d", limit, status, text, err, p.conns.Load())
				case over > 0 && (kind(err) != "bad response" || !strings.Contains(err.Error(), fmt.Sprintf("upstream_max_header_size allows %d", limit))):
					t.Errorf("a head of %d bytes, with a limit of %d: %d, %v", limit+over, limit, status, err)
				}
			}
			for _, pool := range tr.pools {
				for _, c := range pool.idle {
					if c.br.Size() != readBuffer {
						t.Errorf("an idle connection keeps a buffer of %d bytes", c.br.Size())
					}
				}
			}
		}
	}
}

// A head may name thousands of headers in Connection, and have thousands of lines: it is read once.
func TestManyNominatedHeaders(t *testing.T) {
	var names, lines strings.Builder
	const n = 100_000
	for i := range n {
		fmt.Fprintf(&names, "%x,", i)
		fmt.Fprintf(&lines, "%X: 1\r\n", i)
	}
	text := "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: " + names.String() + "\r\nStays: 1\r\n" + lines.String() + "\r\n"
	var h head
	data := []byte(text)
	if err := h.parse(data); err != nil {
		t.Fatal(err)
	}
	if left := string(data[h.compact(data):]); left != "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nStays: 1\r\n\r\n" {
		t.Errorf("%d lines are left: %.200q", strings.Count(left, "\n"), left)
	}
}

// As many names as there may be trailers are announced, and more trailers break the response off.
func TestMostTrailers(t *testing.T) {
	for _, n := range []int{mostTrailers, mostTrailers + 1} {
		var names, lines strings.Builder
		for i := range n {
			fmt.Fprintf(&names, "a%d,", i)
			fmt.Fprintf(&lines, "a%d: 1\r\n", i)
		}
		p := newPeer(t, answers("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: "+names.String()+"\r\n\r\n2\r\nok\r\n0\r\n"+lines.String()+"\r\n"))
		req, resp := request("GET"), &fasthttp.Response{}
		req.Trailers = true
		if err := transport(t, Options{}).RoundTrip(p.target(), req, resp, 0); err != nil {
			t.Fatal(err)
		}
		body := resp.BodyStream().(*Body)
		_, err := io.Copy(io.Discard, body)
		if (err == nil) != (n <= mostTrailers) || len(body.Announced) != mostTrailers {
			t.Errorf("%d trailers: %v, %d are announced", n, err, len(body.Announced))
		}
		_ = resp.CloseBodyStream()
	}
}

// A Date that Connection names is this hop's: the response has none for the client.
func TestNominatedDate(t *testing.T) {
	for text, want := range map[string]bool{"Connection: close": true, "Connection: close, DATE": false} {
		var h head
		if err := h.parse([]byte("HTTP/1.1 200 OK\r\nDate: x\r\n" + text + "\r\n\r\n")); err != nil || h.dated != want {
			t.Errorf("%s: %v, dated %t", text, err, h.dated)
		}
	}
}
