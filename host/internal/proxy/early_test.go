package proxy

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// upload begins a request whose body is sent by the test, in chunks.
func (g *gateway) upload(headers string) (net.Conn, *bufio.Reader) {
	g.t.Helper()
	c, err := net.Dial("tcp", g.addr)
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	fmt.Fprint(c, "POST /api HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"+headers+"\r\n")
	return c, bufio.NewReader(c)
}

func chunk(c io.Writer, text string) { fmt.Fprintf(c, "%x\r\n%s\r\n", len(text), text) }

// hasty is an upstream that answers when it has read the head of a request, and reads no more of it.
func hasty(t *testing.T, answer string) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var served sync.WaitGroup
	served.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			served.Go(func() {
				defer c.Close()
				_ = c.SetDeadline(time.Now().Add(patience))
				br := bufio.NewReader(c)
				if _, err := http.ReadRequest(br); err != nil {
					return
				}
				fmt.Fprint(c, answer)
				_, _ = io.Copy(io.Discard, br) // until the gateway gives the connection up
			})
		}
	})
	t.Cleanup(func() {
		ln.Close()
		served.Wait()
	})
	return ln.Addr().String()
}

// An answer that comes before the request body has been sent reaches the client at once, and ends its connection.
func TestAnswerBeforeTheBody(t *testing.T) {
	big := strings.Repeat("x", 200<<10) // more than is sent in one piece
	for _, c := range []struct {
		name, answer string
		status, size int
	}{
		{"small", "HTTP/1.1 413 Much\r\nContent-Length: 5\r\n\r\nhello", 413, 5},
		{"long", "HTTP/1.1 413 Much\r\nContent-Length: 204800\r\n\r\n" + big, 413, len(big)},
		{"in chunks", "HTTP/1.1 413 Much\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", 413, 5},
		{"without a body", "HTTP/1.1 304 Same\r\n\r\n", 304, 0},
	} {
		for _, sent := range []string{"", "hello"} {
			t.Run(c.name+" "+sent, func(t *testing.T) {
				g := start(t, echo, strings.ReplaceAll(plain, "UPSTREAM", hasty(t, c.answer)), nil)
				nc, br := g.upload("")
				if sent != "" {
					chunk(nc, sent)
				}
				resp, err := http.ReadResponse(br, nil)
				if err != nil {
					t.Fatal(err)
				}
				body, err := io.ReadAll(resp.Body)
				if err != nil || resp.StatusCode != c.status || !resp.Close || len(body) != c.size {
					t.Errorf("%s, %d bytes, close %t, %v", resp.Status, len(body), resp.Close, err)
				}
				chunk(nc, "GET / HTTP/1.1\r\nHost: x\r\n\r\n") // is a part of the body, and not a request
				if text, _ := io.ReadAll(br); len(text) > 0 {
					t.Errorf("behind the response: %q", text)
				}
				if r := g.get("/api"); r.StatusCode != c.status || len(r.body) != c.size {
					t.Errorf("the next request: %s, %d bytes", r.Status, len(r.body))
				}
			})
		}
	}
}

// Request and response may be under way at the same time, for as long as both go on.
func TestBothWaysAtOnce(t *testing.T) {
	t.Parallel() // it waits: long enough for a machine that is busy
	g := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		control := http.NewResponseController(w)
		_ = control.EnableFullDuplex()
		w.WriteHeader(200)
		_ = control.Flush()
		for br := bufio.NewReader(r.Body); ; {
			line, err := br.ReadString('\n')
			if err != nil {
				return
			}
			fmt.Fprint(w, "back ", line)
			_ = control.Flush()
		}
	}), strings.Replace(plain, "{name: s, ", "{name: s, read_timeout: 2000, ", 1), nil)
	c, br := g.upload("")
	resp, err := http.ReadResponse(br, nil)
	if err != nil {
		t.Fatal(err)
	}
	body := bufio.NewReader(resp.Body)
	for begin := time.Now(); time.Since(begin) < 2200*time.Millisecond; { // longer than the read timeout: who is still sending is not late
		chunk(c, "line\n")
		wantLine(t, body, "back line")
	}
	fmt.Fprint(c, "0\r\n\r\n")
	if rest, err := io.ReadAll(body); err != nil || len(rest) > 0 {
		t.Errorf("%q %v", rest, err)
	}
}

// Bodies that are sent whole leave the connections of both sides as they were.
func TestLongBodiesKeepTheirConnections(t *testing.T) {
	var conns atomic.Int32
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	up := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, n, err)
	}), ConnState: func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			conns.Add(1)
		}
	}}
	go func() { _ = up.Serve(ln) }()
	t.Cleanup(func() { up.Close() })
	g := start(t, echo, strings.ReplaceAll(plain, "UPSTREAM", ln.Addr().String()), nil)
	var used atomic.Int32
	one := &http.Client{Transport: &http.Transport{DialContext: counting(&used)}, Timeout: patience}
	defer one.CloseIdleConnections()
	body := make([]byte, 1<<20)
	for i := range 10 {
		var reader io.Reader = bytes.NewReader(body)
		if i%2 == 1 {
			reader = struct{ io.Reader }{reader} // of unknown length
		}
		resp, err := one.Post("http://"+g.addr+"/api", "text/plain", reader)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if string(text) != fmt.Sprint(len(body), nil) {
			t.Fatalf("%s %q", resp.Status, text)
		}
	}
	if conns.Load() != 1 || used.Load() != 1 {
		t.Errorf("10 requests took %d connections of the client and %d of the upstream", used.Load(), conns.Load())
	}
}

// Trailers reach clients that take them, and nobody else.
func TestTrailers(t *testing.T) {
	g, _ := startCanned(t, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-Both: head\r\nTrailer: X-T, X-None, X-Both, Content-Length\r\n\r\n"+
		"5\r\nhello\r\n0\r\nX-T: 1\r\nX-T: 2\r\nX-Both: tail\r\nX-New: 3\r\nSet-Cookie: a=b\r\nConnection: close\r\n\r\n", "")
	const request = "GET /api HTTP/1.1\r\nHost: x\r\nConnection: close, te\r\n"
	text := g.text(request + "TE: trailers\r\n\r\n")
	head, body, _ := strings.Cut(text, "\r\n\r\n")
	if body != "5\r\nhello\r\n0\r\nX-T: 1, 2\r\nX-New: 3\r\n\r\n" || !strings.Contains(head, "\r\nTrailer: X-T, X-None\r\n") || !strings.Contains(head, "\r\nX-Both: head\r\n") {
		t.Errorf("with TE: %s", text)
	}
	for name, more := range map[string]string{"without TE": request, "TE of something else": request + "TE: deflate\r\n"} {
		if text := g.text(more + "\r\n"); !strings.HasSuffix(text, "\r\n\r\n5\r\nhello\r\n0\r\n\r\n") || strings.Contains(text, "Trailer") {
			t.Errorf("%s: %s", name, text)
		}
	}
	if text := g.text("GET /api HTTP/1.0\r\nHost: x\r\nTE: trailers\r\n\r\n"); !strings.HasSuffix(text, "\r\n\r\nhello") {
		t.Errorf("HTTP/1.0: %s", text)
	}
}

// counting dials and counts.
func counting(n *atomic.Int32) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		n.Add(1)
		var d net.Dialer
		return d.DialContext(ctx, network, address)
	}
}
