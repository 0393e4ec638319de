package proxy

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/dispatch"
	"github.com/outrigger-gateway/outrigger/pdk"
)

// canned answers every connection with the same bytes and closes it, and keeps what it was sent.
func canned(t *testing.T, answer string) (addr string, heard func() string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	var mu sync.Mutex
	var all bytes.Buffer
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_ = c.SetDeadline(time.Now().Add(patience))
				var text bytes.Buffer
				r, err := http.ReadRequest(bufio.NewReader(io.TeeReader(c, &text)))
				if err != nil {
					return
				}
				_, _ = io.Copy(io.Discard, r.Body)
				mu.Lock()
				all.Write(text.Bytes())
				mu.Unlock()
				_, _ = io.WriteString(c, answer)
			}()
		}
	}()
	return ln.Addr().String(), func() string {
		mu.Lock()
		defer mu.Unlock()
		return all.String()
	}
}

func startCanned(t *testing.T, answer, config string, ps ...pdk.Plugin) (*gateway, func() string) {
	addr, heard := canned(t, answer)
	return start(t, echo, strings.ReplaceAll(plain, "UPSTREAM", addr)+config, ps), heard
}

// text sends bytes and reads until the gateway closes.
func (g *gateway) text(request string) string {
	g.t.Helper()
	c, err := net.Dial("tcp", g.addr)
	if err != nil {
		g.t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c, request); err != nil {
		g.t.Fatal(err)
	}
	b, err := io.ReadAll(c)
	if err != nil {
		g.t.Fatalf("after %q: %v", b, err)
	}
	return string(b)
}

// Responses whose status or method says that there is no body: whatever plugins make of them, the next response follows cleanly.
func TestBodylessResponses(t *testing.T) {
	const closing = "Connection: close\r\n"
	for _, c := range []struct {
		name, method, upstream string
		handler                any
		status                 int
		body                   string
		length                 string // Content-Length that the client sees
	}{
		{"exit over a 304", "GET", "HTTP/1.1 304 Not Modified\r\n" + closing + "\r\n", &response{func(k *pdk.PDK) error { return k.Response.Exit(418, "tea", nil) }}, 418, "tea", "3"},
		{"exit over a 204 in header_filter", "GET", "HTTP/1.1 204 No Content\r\n" + closing + "\r\n", &headerFilter{func(k *pdk.PDK) error { return k.Response.Exit(418, "tea", nil) }}, 418, "tea", "3"},
		{"204 becomes 200 with a body", "GET", "HTTP/1.1 204 No Content\r\n" + closing + "\r\n", &response{func(k *pdk.PDK) error {
			if err := k.Response.SetStatus(200); err != nil {
				return err
			}
			return k.Response.SetRawBody([]byte("now"))
		}}, 200, "now", "3"},
		{"a stream becomes 204", "GET", "HTTP/1.1 200 OK\r\n" + closing + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", &headerFilter{func(k *pdk.PDK) error { return k.Response.SetStatus(204) }}, 204, "", ""},
		{"a small body becomes 304", "GET", "HTTP/1.1 200 OK\r\n" + closing + "Content-Length: 3\r\n\r\nabc", &headerFilter{func(k *pdk.PDK) error { return k.Response.SetStatus(304) }}, 304, "", ""},
		{"exit 204 with a body", "GET", "", &access{func(k *pdk.PDK) error { return k.Response.Exit(204, "no", nil) }}, 204, "", ""},
		{"GET sent as HEAD", "GET", "HTTP/1.1 200 OK\r\n" + closing + "Content-Length: 500\r\n\r\n", &access{func(k *pdk.PDK) error { return k.ServiceRequest.SetMethod("HEAD") }}, 200, "", "0"},
		{"HEAD sent as GET, chunked", "HEAD", "HTTP/1.1 200 OK\r\n" + closing + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", &access{func(k *pdk.PDK) error { return k.ServiceRequest.SetMethod("GET") }}, 200, "", ""},
		{"HEAD with a body filter", "HEAD", "HTTP/1.1 200 OK\r\n" + closing + "Content-Length: 500\r\n\r\n", &bodyFilter{func(*pdk.PDK, []byte, bool) ([]byte, error) { return []byte("filtered"), nil }}, 200, "", ""},
		{"HEAD and exit", "HEAD", "", &access{func(k *pdk.PDK) error { return k.Response.Exit(403, "no", nil) }}, 403, "", "2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			g, _ := startCanned(t, c.upstream, "plugins: [{name: p}]\n", plugin("p", 1, c.handler))
			request := c.method + " /api HTTP/1.1\r\nHost: x\r\n"
			text := g.text(request + "\r\n" + request + "Connection: close\r\n\r\n")
			br := bufio.NewReader(strings.NewReader(text))
			for i := range 2 {
				resp, err := http.ReadResponse(br, &http.Request{Method: c.method})
				if err != nil {
					t.Fatalf("response %d: %v in\n%s", i+1, err, text)
				}
				body, err := io.ReadAll(resp.Body)
				if resp.StatusCode != c.status || string(body) != c.body || err != nil || resp.Header.Get("Content-Length") != c.length {
					t.Errorf("response %d: %d %q, length %q, %v in\n%s", i+1, resp.StatusCode, body, resp.Header.Get("Content-Length"), err, text)
				}
			}
			if rest, _ := io.ReadAll(br); len(rest) > 0 {
				t.Errorf("%q follows the responses", rest)
			}
		})
	}
}

// HTTP/1.0 knows no chunks.
func TestStreamToHTTP10(t *testing.T) {
	for _, filter := range []string{"", "plugins: [{name: p}]\n"} {
		g, heard := startCanned(t, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", filter,
			plugin("p", 1, &bodyFilter{func(_ *pdk.PDK, b []byte, _ bool) ([]byte, error) { return b, nil }}))
		text := g.text("GET /api HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\n\r\n")
		head, body, _ := strings.Cut(text, "\r\n\r\n")
		if body != "hello" || strings.Contains(strings.ToLower(head), "transfer-encoding") || !strings.Contains(head, "Connection: close") {
			t.Errorf("got\n%s", text)
		}
		if !strings.Contains(heard(), "Via: 1.0 outrigger/test\r\n") {
			t.Errorf("upstream heard\n%s", heard())
		}
	}
}

// What an upstream sends of a long body reaches the client before the rest, whatever frames it.
func TestPiecesOfABodyDoNotWait(t *testing.T) {
	const size = 100 << 10
	for _, length := range []string{strconv.Itoa(size), ""} {
		t.Run("length "+length, func(t *testing.T) {
			seen := make(chan struct{}, 1)
			g := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if length != "" {
					w.Header().Set("Content-Length", length)
				}
				for _, part := range []int{10, 20, size - 30} {
					_, _ = w.Write(make([]byte, part))
					_ = http.NewResponseController(w).Flush()
					select {
					case <-seen:
					case <-r.Context().Done():
					}
				}
			}), plain, nil)
			resp, err := client.Get("http://" + g.addr + "/api")
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			for _, part := range []int{10, 20, size - 30} {
				if _, err := io.CopyN(io.Discard, resp.Body, int64(part)); err != nil {
					t.Fatalf("%d bytes: %v", part, err)
				}
				seen <- struct{}{}
			}
			if rest, err := io.ReadAll(resp.Body); err != nil || len(rest) > 0 {
				t.Errorf("%d more bytes, %v", len(rest), err)
			}
		})
	}
}

// A body of which the upstream sent only a part must not look complete to the client.
func TestTruncatedResponses(t *testing.T) {
	big := strings.Repeat("x", 70<<10)
	for _, answer := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + big,
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
	} {
		g, _ := startCanned(t, answer, "")
		resp, err := client.Get("http://" + g.addr + "/api")
		if err == nil {
			_, err = io.ReadAll(resp.Body)
			resp.Body.Close()
		}
		if err == nil {
			t.Errorf("%.60q looks complete", answer)
		}
		eventually(t, "the error in the log", func() bool { return strings.Contains(g.logs.String(), "response cut off") })
	}
}

// A client that goes in the middle of its body: neither the plugin nor the upstream may take what came for the whole.
func TestTruncatedRequests(t *testing.T) {
	var mu sync.Mutex
	complete := 0
	reads := &access{func(k *pdk.PDK) error {
		_, err := k.Request.GetRawBody()
		if err == nil {
			mu.Lock()
			complete++
			mu.Unlock()
		}
		return err
	}}
	up := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err == nil {
			mu.Lock()
			complete++
			mu.Unlock()
		}
	})
	for _, config := range []string{"", "plugins: [{name: reads}]\n", "plugins: [{name: reads, fail_mode: open}]\n"} {
		for _, body := range []string{
			"Content-Length: 100000\r\n\r\n" + strings.Repeat("x", 20<<10),
			"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
			"Transfer-Encoding: chunked\r\n\r\n5\r\nhe",
		} {
			g := start(t, up, plain+config, []pdk.Plugin{plugin("reads", 1, reads)})
			c, err := net.Dial("tcp", g.addr)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.WriteString(c, "POST /api HTTP/1.1\r\nHost: x\r\n"+body)
			_ = c.(*net.TCPConn).CloseWrite()
			_ = c.SetDeadline(time.Now().Add(patience))
			text, _ := io.ReadAll(c)
			c.Close()
			if strings.HasPrefix(string(text), "HTTP/1.1 2") {
				t.Errorf("%q %.50q: %s", config, body, text)
			}
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if complete != 0 {
		t.Errorf("%d truncated bodies were taken for whole ones", complete)
	}
}

// Every line of the head reaches plugins and the upstream as it came; only what nobody should pass on is refused.
func TestHeaderLinesAsTheyCame(t *testing.T) {
	var seen pdk.MultiMap
	look := &access{func(k *pdk.PDK) (err error) {
		seen, err = k.Request.GetHeaders(-1)
		return err
	}}
	write := &access{func(k *pdk.PDK) error { return k.ServiceRequest.SetHeader("X-W", "1") }}
	for _, config := range []string{"", "plugins: [{name: look}]\n", "plugins: [{name: write}]\n"} {
		g, heard := startCanned(t, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", config, plugin("look", 2, look), plugin("write", 1, write))
		text := g.text("POST /api HTTP/1.1\r\nHost: x\r\nContent-Type: a/b\r\nContent-Type: c/d\r\nUser-Agent: one\r\nUser-Agent: two\r\nCookie: a=1;  b=\"2\"; =;c\r\nCookie: d=3\r\n" +
			"X-Empty:\r\nx_under: \xff\xfe\r\nConnection: close, X-Hop\r\nConnection: X-Hop2\r\nX-Hop: 1\r\nX-Hop2: 1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Consumer-Id: forged\r\nX-Late: 1\r\n\r\n")
		if !strings.HasPrefix(text, "HTTP/1.1 200") {
			t.Fatal(text)
		}
		h := heard()
		for _, want := range []string{"Content-Type: a/b\r\nContent-Type: c/d\r\n", "User-Agent: one\r\nUser-Agent: two\r\n", "Cookie: a=1;  b=\"2\"; =;c\r\nCookie: d=3\r\n", "X-Empty: \r\nx_under: \xff\xfe\r\n", "Transfer-Encoding: chunked\r\n"} {
			if !strings.Contains(h, want) {
				t.Errorf("%q: the upstream did not hear %q in\n%q", config, want, h)
			}
		}
		for _, not := range []string{"X-Hop", "X-Late", "forged", "Content-Length"} {
			if strings.Contains(h, not) {
				t.Errorf("%q: the upstream heard %q in\n%q", config, not, h)
			}
		}
	}
	if got := seen.Values("content-type"); len(got) != 2 || got[0] != "a/b" {
		t.Errorf("the plugin saw %v", got)
	}
	g, heard := startCanned(t, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "plugins: [{name: write}]\n", plugin("write", 1, write))
	for _, request := range []string{
		"GET /api HTTP/1.1\r\nHost: x\r\nX-A: 1\r\n X-Folded: 2\r\n\r\n",
		"GET /api HTTP/1.1\r\nHost: x\r\nX A: 1\r\n\r\n",
		"GET /api HTTP/1.1\r\nX-A: 1\r\n\r\n",
	} {
		if rs := g.raw(request, 1); rs[0].StatusCode != 400 {
			t.Errorf("%q: %d", request, rs[0].StatusCode)
		}
	}
	if rs := g.raw("CONNECT example.com:443 HTTP/1.1\r\nHost: example.com\r\n\r\n", 1); rs[0].StatusCode != 405 {
		t.Errorf("CONNECT: %d", rs[0].StatusCode)
	}
	if h := heard(); h != "" {
		t.Errorf("the upstream heard\n%s", h)
	}
}

func TestDate(t *testing.T) {
	const date = "Sun, 06 Nov 1994 08:49:37 GMT"
	set := &headerFilter{func(k *pdk.PDK) error { return k.Response.SetHeader("X-P", "1") }}
	for _, c := range []struct{ name, upstream, config, path, want string }{
		{"forwarded", "Date: " + date + "\r\n", "", "/api", date},
		{"lower case", "date: " + date + "\r\n", "", "/api", date},
		{"kept under a plugin's writes", "Date: " + date + "\r\n", "plugins: [{name: set}]\n", "/api", date},
		{"added", "", "", "/api", ""},
		{"own answer", "", "", "/none", ""},
	} {
		g, _ := startCanned(t, "HTTP/1.1 200 OK\r\n"+c.upstream+"Content-Length: 2\r\n\r\nok", c.config, plugin("set", 1, set))
		r := g.get(c.path)
		got := r.Header.Values("Date")
		if len(got) != 1 || c.want != "" && got[0] != c.want {
			t.Errorf("%s: Date %q", c.name, got)
		} else if at, err := http.ParseTime(got[0]); err != nil || c.want == "" && time.Since(at) > time.Minute {
			t.Errorf("%s: Date %q", c.name, got)
		}
		if c.path == "/api" && r.body != "ok" {
			t.Errorf("%s: body %q", c.name, r.body)
		}
	}
}

func TestErrorFormats(t *testing.T) {
	g := start(t, echo, `
_format_version: "3.0"
services:
- {name: dead, url: "http://127.0.0.1:1", retries: 0, routes: [{name: dead, paths: [/dead]}]}
- {name: tls, url: "http://UPSTREAM", routes: [{name: tls, paths: [/tls], protocols: [https]}]}
`, nil)
	for _, c := range []struct{ path, accept, contentType, want string }{
		{"/none", "", "", "application/json"}, {"/none", "*/*", "", "application/json"}, {"/none", "image/png", "", "application/json"},
		{"/none", "image/png, text/html;q=0.5", "", "text/html"}, {"/none", "text/html;q=0, text/plain;q=0.1", "", "text/plain"},
		{"/none", "text/html; Q=0.2, application/xml;q=0.3", "", "application/xml"}, {"/none", "application/*", "", "application/json"}, {"/none", "", "text/html", "application/json"},
		{"/dead", "", "", "text/plain"}, {"/dead", "", "application/json", "application/json"}, {"/dead", "text/html", "application/json", "text/html"}, {"/dead", "*/*", "", "application/json"},
	} {
		var h []string
		if c.accept != "" {
			h = append(h, "Accept", c.accept)
		}
		if c.contentType != "" {
			h = append(h, "Content-Type", c.contentType)
		}
		if got := g.get(c.path, h...).Header.Get("Content-Type"); got != c.want+"; charset=utf-8" {
			t.Errorf("%+v: %s", c, got)
		}
	}
	r := g.get("/tls")
	if r.StatusCode != 426 || r.Header.Get("Connection") != "Upgrade" || r.Header.Get("Upgrade") != "TLS/1.2, HTTP/1.1" {
		t.Errorf("%d %v", r.StatusCode, r.Header)
	}
}

// A plugin's Host counts even when the client sent the same one.
func TestHostOfAPlugin(t *testing.T) {
	p := &access{func(k *pdk.PDK) error { return k.ServiceRequest.SetHeader("Host", "shop.example") }}
	g := start(t, echo, plain+"plugins: [{name: p}]\n", []pdk.Plugin{plugin("p", 1, p)})
	for _, sent := range []string{"shop.example", "other.example"} {
		g.get("/api", "Host", sent).want(t, 200, "\nHost: shop.example\n")
	}
}

func TestEnableBufferingInEachPhase(t *testing.T) {
	enable := func(k *pdk.PDK) error { return k.ServiceRequest.EnableBuffering() }
	up := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for range 4 {
			_, _ = w.Write(bytes.Repeat([]byte("x"), 40<<10))
			w.(http.Flusher).Flush()
		}
	})
	for name, handler := range map[string]any{"rewrite": &rewrite{enable}, "access": &access{enable}, "response": &response{enable}, "header_filter": &headerFilter{enable}} {
		calls := 0
		count := &bodyFilter{func(_ *pdk.PDK, b []byte, last bool) ([]byte, error) {
			calls++
			return []byte(fmt.Sprintf("%d bytes, last %t", len(b), last)), nil
		}}
		g := start(t, up, plain+"plugins: [{name: enable}, {name: count}]\n", []pdk.Plugin{plugin("enable", 2, handler), plugin("count", 1, count)})
		g.get("/api").want(t, 200, "163840 bytes, last true")
		if calls != 1 {
			t.Errorf("%s: %d calls", name, calls)
		}
	}
}

// A connection on which nothing was sent does not hold up a shutdown: the harness gives it less time than fasthttp would wait.
func TestShutdownWithSilentConnection(t *testing.T) {
	var c net.Conn
	t.Cleanup(func() { c.Close() }) // after the shutdown
	g := start(t, echo, plain, nil)
	var err error
	if c, err = net.Dial("tcp", g.addr); err != nil {
		t.Fatal(err)
	}
	g.get("/api").want(t, 200, "")
}

// A request that the shutdown did not wait for does no harm.
func TestLogQueueAfterClose(t *testing.T) {
	tr := &trace{}
	g := start(t, echo, plain+"plugins: [{name: a}]\n", traced(tr, "a"))
	g.proxy.Close()
	g.get("/api").want(t, 200, "")
	eventually(t, "the dropped log phase", func() bool { return g.proxy.LogsDropped() == 1 })
}

// A shutdown right behind Serve finds a server that does not accept yet; it must end all the same.
func TestShutdownRightAfterServe(t *testing.T) {
	p := New(Options{Logger: slog.New(slog.DiscardHandler), Dispatcher: &dispatch.Dispatcher{}})
	defer p.Close()
	for range 200 {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		s := NewServer(p, testServer)
		s.Serve(ln)
		if err := s.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}
