package proxy

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// The answer to a refused request has the form for which the request has asked before the line that is refused.
func TestRefusalsFollowAccept(t *testing.T) {
	g := start(t, echo, `_format_version: "3.0"`, nil)
	const line, host, accept = "POST / HTTP/1.1\r\n", "Host: a\r\n", "Accept: text/html\r\n"
	const html, plain, xml, json = "text/html", "text/plain", "application/xml", "application/json"
	cookie := "Cookie: " + strings.Repeat("x", 8<<10) + "\r\n"
	for _, c := range []struct {
		name, request string
		status        int
		form          string
	}{
		{"expectation", line + host + accept + "Expect: more\r\n\r\n", 417, html},
		{"length", line + accept + host + "Content-Length: 1234567890123456789\r\n\r\n", 413, html},
		{"coding", line + host + accept + "Transfer-Encoding: gzip, chunked\r\n\r\n", 501, html},
		{"second host", line + host + accept + host + "\r\n", 400, html},
		{"no host", line + accept + "\r\n", 400, html},
		{"another host", "GET http://b/ HTTP/1.1\r\n" + host + accept + "\r\n", 400, html},
		{"long line", line + host + accept + "Cookie: " + strings.Repeat("x", 13<<10) + "\r\n\r\n", 431, html},
		{"many lines", line + host + accept + strings.Repeat("X: y\r\n", 200) + "\r\n", 431, html},
		{"long head", line + host + accept + cookie + cookie + "\r\n", 431, html},
		{"long head without end", line + host + accept + cookie + cookie + cookie, 431, html},
		{"what comes behind the refused line", line + host + host + accept + "\r\n", 400, plain},
		{"what comes behind the limit", line + host + cookie + cookie + accept + "\r\n", 431, plain},
		{"long target", "GET /" + strings.Repeat("x", 13<<10) + " HTTP/1.1\r\n" + host + accept + "\r\n", 414, plain},
		{"method", "TRACE / HTTP/1.1\r\n" + host + accept + "\r\n", 405, plain},
		{"version", "GET / HTTP/1.9\r\n" + host + accept + "\r\n", 505, plain},
		{"qualities", line + host + "Accept: text/html;q=0.5\r\naccept: application/xml\r\n" + host + "\r\n", 400, xml},
		{"anything", line + host + "Accept: */*\r\n" + host + "\r\n", 400, json},
		{"no type of ours", line + host + "Accept: image/png\r\n" + host + "\r\n", 400, json},
		{"type of the request", line + host + "Content-Type: application/xml; charset=x\r\n" + host + "\r\n", 400, xml},
		{"Accept before the type", line + host + "Content-Type: application/xml\r\n" + accept + host + "\r\n", 400, html},
		{"neither", line + host + host + "\r\n", 400, plain},
		{"HTTP/1.0", "POST / HTTP/1.0\r\n" + accept + "Transfer-Encoding: chunked\r\n\r\n", 400, html},
	} {
		r := g.raw(c.request, 1)[0]
		if _, err := http.ParseTime(r.Header.Get("Date")); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if form := r.Header.Get("Content-Type"); r.StatusCode != c.status || form != c.form+"; charset=utf-8" || !r.Close {
			t.Errorf("%s: got %d, %s, close %v; expected %d, %s", c.name, r.StatusCode, form, r.Close, c.status, c.form)
		}
		if strings.HasPrefix(r.body, "<!doctype html>") != (c.form == html) {
			t.Errorf("%s: body %q", c.name, r.body)
		}
	}
}

// So does the answer to one that does not come to its end.
func TestUnfinishedHeadFollowsAccept(t *testing.T) {
	g := start(t, echo, `_format_version: "3.0"`, nil)
	for _, c := range []struct{ send, form, end string }{
		{"GET / HTTP/1.1\r\nAccept: text/html\r\nHo", "text/html", "</html>\n"},
		{"HEAD / HTTP/1.1\r\nHost: a\r\nAccept: te", "text/plain", "\r\n\r\n"},
		{"HEAD / HTTP/1.1", "text/plain", "\n"}, // nobody knows whether this was all of the line
	} {
		conn := dialTo(t, g.addr)
		sendTo(t, conn, c.send)
		if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(conn)
		if err != nil || !strings.HasPrefix(string(text), "HTTP/1.1 400 ") || !strings.Contains(string(text), "Content-Type: "+c.form) || !strings.HasSuffix(string(text), c.end) {
			t.Errorf("%q: %v, %q", c.send, err, text)
		}
	}
}

// A refused HEAD gets no body.
func TestRefusedHead(t *testing.T) {
	g := start(t, echo, `_format_version: "3.0"`, nil)
	c, err := net.Dial("tcp", g.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, "HEAD / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	br := bufio.NewReader(c)
	r, err := http.ReadResponse(br, &http.Request{Method: http.MethodHead})
	if err != nil {
		t.Fatal(err)
	}
	rest, err := io.ReadAll(br)
	if r.StatusCode != 400 || r.ContentLength <= 0 || len(rest) > 0 || err != nil {
		t.Errorf("got %d with Content-Length %d, then %q, %v", r.StatusCode, r.ContentLength, rest, err)
	}
}
