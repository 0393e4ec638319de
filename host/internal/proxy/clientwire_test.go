package proxy

import (
	"bufio"
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

	"github.com/outrigger-gateway/outrigger/pdk"
)

// boundedBy serves the proxy of a gateway with other bounds, and connects to it.
func boundedBy(t *testing.T, g *gateway, change func(o *ServerOptions)) net.Conn {
	t.Helper()
	options := testServer
	change(&options)
	s := serveAlso(t, g, options)
	return dialTo(t, s)
}

// serveAlso serves the proxy of a gateway on another listener.
func serveAlso(t *testing.T, g *gateway, options ServerOptions) string {
	t.Helper()
	addr, _ := serveBounded(t, g, options)
	return addr
}

func serveBounded(t *testing.T, g *gateway, options ServerOptions) (string, *Server) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := NewServer(g.proxy, options)
	s.Serve(ln)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
	})
	return ln.Addr().String(), s
}

func dialTo(t *testing.T, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return c
}

func sendTo(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
}

// drip sends pieces with pauses that are shorter than any gap that is allowed, until the other side has enough.
func drip(c net.Conn, piece string, pause time.Duration) {
	for {
		if _, err := io.WriteString(c, piece); err != nil {
			return
		}
		time.Sleep(pause)
	}
}

// A head has to come whole in its time, however lively the client is; so has a body in pieces.
func TestSlowClients(t *testing.T) {
	g := start(t, echo, plain, nil)
	const short = 300 * time.Millisecond
	for _, c := range []struct {
		name, first, piece string
		status             string // of the answer; "": the connection is closed without one
	}{
		{"nothing comes", "", "", ""},
		{"an empty line", "\r\n", "", ""},
		{"half a request line", "GET /api", "", "408"},
		{"a head without end", "GET /api HTTP/1.1\r\nHost: x\r\n", "A: b\r\n", "408"},
		{"no body", "POST /api HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n", "", "408"},
		{"half a body", "POST /api HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\na", "", "408"},
		{"half a chunk", "POST /api HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\na", "", "408"},
		{"no last chunk", "POST /api HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", "", "408"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			conn := boundedBy(t, g, func(o *ServerOptions) { o.HeaderTimeout, o.BodyTimeout, o.IdleTimeout = short, short, short })
			sendTo(t, conn, c.first)
			if c.piece != "" {
				go drip(conn, c.piece, short/10)
			}
			text, _ := io.ReadAll(conn) // bytes on their way when the connection closes make it a reset
			line, _, _ := strings.Cut(string(text), "\r\n")
			if c.status == "" && len(text) > 0 || c.status != "" && !strings.HasPrefix(line, "HTTP/1.1 "+c.status) {
				t.Errorf("%q", line)
			}
		})
	}
}

// A client that sends its body slowly, but within the time between two pieces, is served.
func TestLivelyBody(t *testing.T) {
	g := start(t, echo, plain, nil)
	conn := boundedBy(t, g, func(o *ServerOptions) { o.HeaderTimeout, o.BodyTimeout = patience, 2*time.Second })
	sendTo(t, conn, "POST /api HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 40\r\n\r\n")
	for range 40 {
		sendTo(t, conn, "x")
		time.Sleep(60 * time.Millisecond) // all together longer than the time between two
	}
	text, err := io.ReadAll(conn)
	if err != nil || !strings.HasPrefix(string(text), "HTTP/1.1 200") || !strings.Contains(string(text), strings.Repeat("x", 40)) {
		t.Errorf("%v %s", err, text)
	}
}

// 100 Continue is for who waits for it, once somebody wants the body: not before a plugin has said no.
func TestContinue(t *testing.T) {
	reads := &access{func(k *pdk.PDK) error { _, err := k.Request.GetRawBody(); return err }}
	denies := &access{func(k *pdk.PDK) error { return k.Response.Exit(401, "no", nil) }}
	upstreamReads := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s, expect %q", b, r.Header.Get("Expect"))
	})
	const request = "POST /api HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"
	for _, c := range []struct{ name, config, send, want string }{
		{"the upstream wants it", "", request, "100"},
		{"a plugin wants it", "plugins: [{name: reads}]\n", request, "100"},
		{"chunked", "", strings.Replace(request, "Content-Length: 3", "Transfer-Encoding: chunked", 1), "100"},
		{"a plugin says no", "plugins: [{name: denies}]\n", strings.Replace(request, "Connection: close\r\n", "", 1), "401"},
		{"no route", "", strings.NewReplacer("/api", "/none", "Connection: close\r\n", "").Replace(request), "404"},
		{"the client does not wait", "", request + "abc", "200"},
		{"HTTP/1.0", "", strings.Replace(request, "HTTP/1.1", "HTTP/1.0", 1) + "abc", "200"},
		{"another expectation", "", strings.Replace(request, "100-continue", "a-miracle", 1), "417"},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := start(t, upstreamReads, plain+c.config, []pdk.Plugin{plugin("reads", 2, reads), plugin("denies", 1, denies)})
			conn := dialTo(t, g.addr)
			sendTo(t, conn, c.send)
			br := bufio.NewReader(conn)
			line, err := br.ReadString('\n')
			if err != nil || !strings.HasPrefix(line, "HTTP/1.1 "+c.want) {
				t.Fatalf("%q %v", line, err)
			}
			if c.want == "100" {
				if empty, err := br.ReadString('\n'); empty != "\r\n" || err != nil {
					t.Fatalf("%q %v", empty, err)
				}
				if strings.Contains(c.send, "chunked") {
					sendTo(t, conn, "3\r\nabc\r\n0\r\n\r\n")
				} else {
					sendTo(t, conn, "abc")
				}
				res, err := http.ReadResponse(br, nil)
				if err != nil {
					t.Fatal(err)
				}
				body, _ := io.ReadAll(res.Body)
				if res.StatusCode != 200 || string(body) != `abc, expect ""` {
					t.Errorf("%d %q", res.StatusCode, body)
				}
				return
			}
			rest, err := io.ReadAll(br)
			if err != nil || !strings.Contains(string(rest), "Connection: close\r\n") {
				t.Errorf("%v %s", err, rest)
			}
		})
	}
}

// Requests one behind the other are answered in order, each with its own body, and nothing of one is taken for another; what is no request ends it.
func TestPipelining(t *testing.T) {
	var served atomic.Int32
	up := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		served.Add(1)
		b, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "<%s %s>", r.URL.Path, b)
	})
	g := start(t, up, plain, nil)
	const (
		get     = "GET /api/%d HTTP/1.1\r\nHost: x\r\n\r\n"
		sized   = "POST /api/%d HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nGET "
		chunked = "POST /api/%d HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nGET /\r\n0\r\nA: b\r\n\r\n"
	)
	var all, want strings.Builder
	for i := range 60 {
		fmt.Fprintf(&all, []string{get, sized, chunked}[i%3], i)
		fmt.Fprintf(&want, "</base/%d %s>", i, []string{"", "GET ", "GET /"}[i%3])
	}
	text := all.String()
	for _, step := range []int{len(text), 7, 1000} {
		served.Store(0)
		conn := dialTo(t, g.addr)
		var sending sync.WaitGroup
		sending.Go(func() {
			for rest := text + "garbage\r\n\r\n" + fmt.Sprintf(get, 99); len(rest) > 0; {
				n := min(step, len(rest))
				if _, err := io.WriteString(conn, rest[:n]); err != nil {
					return
				}
				rest = rest[n:]
			}
		})
		br := bufio.NewReader(conn)
		var got strings.Builder
		for range 60 {
			res, err := http.ReadResponse(br, nil)
			if err != nil {
				t.Fatalf("pieces of %d: after %s: %v", step, &got, err)
			}
			b, _ := io.ReadAll(res.Body)
			got.Write(b)
		}
		if got.String() != want.String() {
			t.Errorf("pieces of %d: %s", step, &got)
		}
		res, err := http.ReadResponse(br, nil)
		if err != nil || res.StatusCode != 400 || !res.Close {
			t.Errorf("pieces of %d: behind garbage %+v %v", step, res, err)
		}
		sending.Wait()
		if n := served.Load(); n != 60 {
			t.Errorf("pieces of %d: the service had %d requests", step, n)
		}
		conn.Close()
	}
}

// A body that nobody reads does not become the next request, and does not cost a connection when it is short.
func TestUnreadBodies(t *testing.T) {
	g := start(t, echo, plain, nil)
	const next = "GET /api/next HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
	const smuggled = "GET /api/smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
	for _, c := range []struct {
		name, request string
		kept          bool
	}{
		{"short", fmt.Sprintf("POST /none HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", len(smuggled), smuggled), true},
		{"long", fmt.Sprintf("POST /none HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", skipMost+len(smuggled), strings.Repeat("x", skipMost)+smuggled), false},
		{"chunked", fmt.Sprintf("POST /none HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(smuggled), smuggled), false},
	} {
		conn := dialTo(t, g.addr)
		var sending sync.WaitGroup
		sending.Go(func() { _, _ = io.WriteString(conn, c.request+next) })
		text, err := io.ReadAll(conn)
		sending.Wait()
		kept := strings.Contains(string(text), "/base/next")
		if err != nil || !strings.HasPrefix(string(text), "HTTP/1.1 404") || strings.Contains(string(text), "smuggled") || kept != c.kept {
			t.Errorf("%s: %v\n%s", c.name, err, text)
		}
	}
}

// HTTP/1.0 keeps a connection only when it asks for that.
func TestHTTP10(t *testing.T) {
	g := start(t, echo, plain, nil)
	const head = "GET /api/%d HTTP/1.0\r\n%s\r\n"
	conn := dialTo(t, g.addr)
	sendTo(t, conn, fmt.Sprintf(head, 1, "Connection: keep-alive\r\n")+fmt.Sprintf(head, 2, "")+fmt.Sprintf(head, 3, ""))
	text, err := io.ReadAll(conn)
	first, second, _ := strings.Cut(string(text), "GET /base/1")
	if err != nil || !strings.Contains(first, "Connection: keep-alive\r\n") || !strings.Contains(second, "Connection: close\r\n") || !strings.Contains(second, "/base/2") || strings.Contains(second, "/base/3") {
		t.Errorf("%v\n%s", err, text)
	}
}
