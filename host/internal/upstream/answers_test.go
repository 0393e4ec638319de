package upstream

import (
	"bufio"
	"io"
	"net"
	"strings"
	"testing"
)

// After each kind of answer: what came, and whether the connection may be used again.
func TestAnswersAndTheirConnections(t *testing.T) {
	big := strings.Repeat("x", 100<<10)
	chunked := "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;ext=1\r\n world\r\n0\r\n"
	for _, c := range []struct {
		name, method, answer string
		status               int
		body                 string
		kept                 bool
	}{
		{"small", "GET", ok, 200, "ok", true},
		{"large", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 102400\r\n\r\n" + big, 200, big, true},
		{"chunked", "GET", chunked + "\r\n", 200, "hello world", true},
		{"trailers", "GET", chunked + "X-T: 1\r\nX-U: 2\r\n\r\n", 200, "hello world", true},
		{"until close", "GET", "HTTP/1.1 200 OK\r\n\r\nhello", 200, "hello", false},
		{"HTTP/1.0", "GET", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, "ok", false},
		{"HTTP/1.0 kept", "GET", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok", 200, "ok", true},
		{"close", "GET", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", 200, "ok", false},
		{"Close in a list", "GET", "HTTP/1.1 200 OK\r\nconnection: X-A, Close\r\nContent-Length: 2\r\n\r\nok", 200, "ok", false},
		{"HEAD", "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 102400\r\n\r\n", 200, "", true},
		{"HEAD of chunked", "HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 200, "", true},
		{"204", "GET", "HTTP/1.1 204 No Content\r\n\r\n", 204, "", true},
		{"304 with a length", "GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", 304, "", true},
		{"100 before", "POST", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + ok, 200, "ok", true},
		{"bytes behind", "GET", ok + "HTTP/1.1 200 OK\r\n", 200, "ok", false},
		{"bytes behind chunked", "GET", chunked + "\r\nHTTP/1.1", 200, "hello world", false},
		{"empty", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, "", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPeer(t, func(_ int, conn net.Conn, br *bufio.Reader) {
				answers(c.answer)(0, conn, br)
				if c.kept {
					_, _ = br.ReadByte() // until the gateway closes
				}
			})
			tr := transport(t, Options{})
			status, body, err := try(tr, p.target(), c.method, nil, 0)
			if err != nil || status != c.status || body != c.body {
				t.Errorf("%d, %d bytes, %v", status, len(body), err)
			}
			if n := idle(tr); n != map[bool]int{true: 1}[c.kept] {
				t.Errorf("%d connections are kept", n)
			}
		})
	}
}

// A body that ends too early is an error, never a shorter body.
func TestTruncatedBodies(t *testing.T) {
	for name, answer := range map[string]string{
		"small":               "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nok",
		"large":               "HTTP/1.1 200 OK\r\nContent-Length: 102400\r\n\r\nok",
		"inside a chunk":      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
		"between chunks":      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
		"before the trailers": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
		"inside the trailers": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-T: 1",
		"broken chunk size":   "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			p := newPeer(t, answers(answer))
			tr := transport(t, Options{})
			_, body, err := try(tr, p.target(), "GET", nil, 5)
			if err == nil {
				t.Errorf("%q looks complete", body)
			}
			if n := p.conns.Load(); n != 1 {
				t.Errorf("the request was sent %d times although the upstream had answered", n)
			}
			if idle(tr) != 0 {
				t.Error("the connection is kept")
			}
		})
	}
}

// An upstream that answers before it has read the whole body, and closes: the client gets the answer.
func TestEarlyAnswer(t *testing.T) {
	p := newPeer(t, func(_ int, c net.Conn, br *bufio.Reader) {
		if _, err := br.Peek(1); err != nil {
			return
		}
		_, _ = io.WriteString(c, "HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig")
		_ = c.(*net.TCPConn).CloseWrite()
		_ = c.(*net.TCPConn).SetReadBuffer(1)
	})
	tr := transport(t, Options{})
	status, body, err := try(tr, p.target(), "POST", io.LimitReader(zeros{}, 256<<20), 0)
	if status != 413 || body != "big" {
		t.Errorf("%d %q %v", status, body, err)
	}
	if idle(tr) != 0 {
		t.Error("a connection with half a request on it is kept")
	}
}
