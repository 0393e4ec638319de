package proxy

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/outrigger-gateway/outrigger/pdk"
)

const plain = `
_format_version: "3.0"
services:
- {name: s, url: "http://UPSTREAM/base", routes: [{name: r, paths: [/api]}, {name: keep, paths: [/keep], strip_path: false, preserve_host: true}]}
`

func TestProxiesWithTheHeaderRules(t *testing.T) {
	g := start(t, echo, plain, nil)
	r := g.get("/api/x%20y?q=1&q=2", "Connection", "X-Hop", "X-Hop", "1", "X-Forwarded-For", "9.9.9.9", "X-Consumer-ID", "forged",
		"x_consumer_username", "forged", "TE", "trailers, deflate", "Keep-Alive", "5", "Proxy", "evil", "Via", "1.0 a")
	r.want(t, 200, "GET /base/x%20y?q=1&q=2\n")
	for _, want := range []string{
		"X-Forwarded-For: 9.9.9.9, 127.0.0.1\n", "X-Forwarded-Proto: http\n", "X-Forwarded-Prefix: /api\n", "X-Forwarded-Path: /api/x%20y\n",
		"X-Real-Ip: 127.0.0.1\n", "X-Kong-Request-Id: ", "Te: trailers\n", "Via: 1.0 a, 1.1 outrigger/test\n",
	} {
		if !strings.Contains(r.body, want) {
			t.Errorf("the upstream did not see %q in\n%s", want, r.body)
		}
	}
	for _, not := range []string{"X-Hop", "forged", "Keep-Alive: 5", "evil", "deflate"} {
		if strings.Contains(r.body, not) {
			t.Errorf("the upstream saw %q in\n%s", not, r.body)
		}
	}
	if r.Header.Get("X-Upstream") != "yes" || r.Header.Get("Via") != "1.1 outrigger/test" || r.Header.Get("X-Kong-Upstream-Latency") == "" || r.Header.Get("X-Kong-Proxy-Latency") == "" {
		t.Errorf("response headers %v", r.Header)
	}
	if id := r.Header.Get("X-Kong-Request-Id"); len(id) != 32 || !strings.Contains(r.body, id) {
		t.Errorf("request id %q is not the one the upstream saw", id)
	}
	g.get("/keep/a", "Host", "Shop.example:99").want(t, 200, "GET /base/keep/a\nHost: Shop.example:99\n")
}

func TestTrustedPeersSpeakForTheClient(t *testing.T) {
	g := start(t, echo, plain, nil, trustLoopback)
	r := g.get("/api", "X-Real-IP", "1.2.3.4", "X-Forwarded-Proto", "https", "X-Forwarded-Host", "Pub.example:444", "X-Forwarded-Prefix", "/p")
	for _, want := range []string{"X-Real-Ip: 1.2.3.4\n", "X-Forwarded-Proto: https\n", "X-Forwarded-Host: Pub.example:444\n", "X-Forwarded-Port: 444\n", "X-Forwarded-Prefix: /p\n"} {
		if !strings.Contains(r.body, want) {
			t.Errorf("the upstream did not see %q in\n%s", want, r.body)
		}
	}
}

func TestErrorsOfTheGateway(t *testing.T) {
	g := start(t, echo, `
_format_version: "3.0"
services:
- {name: dead, url: "http://127.0.0.1:1", retries: 0, routes: [{name: dead, paths: [/dead]}]}
- {name: lost, url: "http://no-such-host.invalid", retries: 0, routes: [{name: lost, paths: [/lost]}]}
- {name: tls, url: "http://UPSTREAM", routes: [{name: tls, paths: [/tls], protocols: [https]}, {name: move, paths: [/move], protocols: [https], https_redirect_status_code: 301}]}
routes: [{name: bare, paths: [/bare]}]
`, nil)
	r := g.get("/nothing")
	r.want(t, 404, "{\n  \"message\":\"no Route matched with those values\",\n  \"request_id\":\""+r.Header.Get("X-Kong-Request-Id")+"\"\n}")
	if got := r.Header.Get("Content-Type"); got != "application/json; charset=utf-8" {
		t.Errorf("content type %q", got)
	}
	if r.Header.Get("Server") != "outrigger/test" || r.Header.Get("X-Kong-Response-Latency") == "" || r.Header.Get("Via") != "" {
		t.Errorf("headers of the gateway's own answer: %v", r.Header)
	}
	g.get("/nothing", "Accept", "text/html").want(t, 404, "<p>no Route matched with those values.</p>")
	g.get("/nothing", "Accept", "application/xml;q=0.1, text/*;q=0.9").want(t, 404, "no Route matched with those values\nrequest_id: ")
	g.get("/nothing", "Accept", "application/xml").want(t, 404, "<message>no Route matched with those values</message>")
	g.get("/dead").want(t, 502, "An invalid response was received from the upstream server")
	g.get("/lost").want(t, 503, "name resolution failed")
	g.get("/bare").want(t, 503, "no Service found with those values")
	g.get("/tls").want(t, 426, "Please use HTTPS protocol")
	if r := g.get("/move?x=1", "Host", "pub.example:8000"); r.StatusCode != 301 || r.Header.Get("Location") != "https://pub.example/move?x=1" {
		t.Errorf("redirect: %d %q", r.StatusCode, r.Header.Get("Location"))
	}
}

func TestUpstreamTimeoutAndNonsense(t *testing.T) {
	hang := make(chan struct{})
	up := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/slow") {
			<-hang
			return
		}
		c, _, _ := w.(http.Hijacker).Hijack()
		_, _ = io.WriteString(c, "HTTP/nonsense\r\n\r\n")
		c.Close()
	})
	g := start(t, up, `
_format_version: "3.0"
services: [{name: s, url: "http://UPSTREAM", read_timeout: 100, retries: 0, routes: [{name: r, paths: [/]}]}]
`, nil)
	t.Cleanup(func() { close(hang) })
	g.get("/slow").want(t, 504, "The upstream server is timing out")
	g.get("/bad").want(t, 502, "An invalid response was received")
}

func TestRetriesDeadConnections(t *testing.T) {
	closeNext := true
	up := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if closeNext = !closeNext; closeNext {
			c, _, _ := w.(http.Hijacker).Hijack()
			c.Close()
			return
		}
		_, _ = io.WriteString(w, "fine")
	})
	g := start(t, up, plain, nil)
	for range 6 {
		g.get("/api").want(t, 200, "fine") // every second try dies and is repeated
	}
	closeNext = false
	g.do("POST", "/api", strings.NewReader("x")).want(t, 502, "") // it was sent: never again
}

// Bodies of both directions stream: neither is ever whole in memory, and their bytes survive.
func TestLargeBodiesStream(t *testing.T) {
	const size = 48 << 20
	sum := func(r io.Reader) string {
		h := sha256.New()
		n, err := io.Copy(h, r)
		return fmt.Sprintf("%d %x %v", n, h.Sum(nil), err)
	}
	random := func() io.Reader { return io.LimitReader(rand.NewChaCha8([32]byte{7}), size) }
	up := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "POST" {
			_, _ = io.WriteString(w, sum(r.Body))
			return
		}
		_, _ = io.Copy(w, random())
	})
	g := start(t, up, plain, nil)
	want := sum(random())
	g.do("POST", "/api", random()).want(t, 200, want) // chunked
	resp, err := client.Get("http://" + g.addr + "/api")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if got := sum(resp.Body); got != want {
		t.Errorf("download: %s, want %s", got, want)
	}
}

func TestServerSentEventsFlowWithoutDelay(t *testing.T) {
	next := make(chan struct{})
	up := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range 3 {
			fmt.Fprintf(w, "data: %d\n\n", i)
			w.(http.Flusher).Flush()
			<-next // the next event is sent only after the client has seen this one
		}
	})
	upper := &bodyFilter{func(_ *pdk.PDK, chunk []byte, _ bool) ([]byte, error) {
		return []byte(strings.ToUpper(string(chunk))), nil
	}}
	g := start(t, up, plain+"plugins: [{name: upper}]\n", []pdk.Plugin{plugin("upper", 1, upper)})
	resp, err := client.Get("http://" + g.addr + "/api")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	for i := range 3 {
		buf := make([]byte, len("data: 0\n\n"))
		if _, err := io.ReadFull(resp.Body, buf); err != nil || string(buf) != fmt.Sprintf("DATA: %d\n\n", i) {
			t.Fatalf("event %d: %q %v", i, buf, err)
		}
		next <- struct{}{}
	}
}

// What follows an unread body on the connection must never be taken for a request.
func TestUnreadBodyDoesNotBecomeARequest(t *testing.T) {
	deny := &access{func(k *pdk.PDK) error { return k.Response.Exit(403, "no", nil) }}
	g := start(t, echo, plain+"plugins: [{name: deny}]\n", []pdk.Plugin{plugin("deny", 1, deny)})
	inner := "GET /api/smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
	body := strings.Repeat("x", 20<<10) + inner
	rs := g.raw(fmt.Sprintf("POST /api HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", len(body), body), 1)
	rs[0].want(t, 403, "no")
	if !rs[0].Close {
		t.Error("the connection stays open behind an unread body")
	}
	small := "hello"
	rs = g.raw(fmt.Sprintf("POST /api HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%sGET /api HTTP/1.1\r\nHost: x\r\n\r\n", len(small), small), 2)
	rs[1].want(t, 403, "no")
}

// A client that sends all of its body before it reads must still see the answer to a request that nobody wanted to read.
func TestAnswerToAnUnreadBodyArrives(t *testing.T) {
	deny := &access{func(k *pdk.PDK) error { return k.Response.Exit(403, "no", nil) }}
	g := start(t, echo, plain+"plugins: [{name: deny}]\n", []pdk.Plugin{plugin("deny", 1, deny)})
	const size = 16 << 20
	head := fmt.Sprintf("POST /api HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", size)
	rs := g.raw(head+strings.Repeat("x", size), 1)
	rs[0].want(t, 403, "no")
	chunked := "POST /api HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + strings.Repeat("10000\r\n"+strings.Repeat("x", 0x10000)+"\r\n", size>>16) + "0\r\n\r\n"
	rs = g.raw(chunked, 1)
	rs[0].want(t, 403, "no")
	rs = g.raw("GET /api HTTP/1.1\r\nHost: x\r\nX-Long: "+strings.Repeat("x", 4<<20)+"\r\n\r\n", 1)
	rs[0].want(t, 431, "")
}

func TestClientMaxBodySize(t *testing.T) {
	g := start(t, echo, plain, nil, func(o *Options) { o.MaxRequestBody = 10 })
	g.do("POST", "/api", strings.NewReader("0123456789")).want(t, 200, "0123456789")
	g.do("POST", "/api", strings.NewReader("0123456789x")).want(t, 413, "Payload too large")
	chunked := io.MultiReader(strings.NewReader("0123456789"), strings.NewReader("x"))
	g.do("POST", "/api", chunked).want(t, 413, "Payload too large")
}

func TestHeadAndNoContent(t *testing.T) {
	up := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/204") {
			w.WriteHeader(204)
			return
		}
		w.Header().Set("Content-Length", "12345")
		if r.Method != "HEAD" {
			_, _ = w.Write(make([]byte, 12345))
		}
	})
	g := start(t, up, plain, nil)
	if r := g.do("HEAD", "/api", nil); r.StatusCode != 200 || r.ContentLength != 12345 || r.body != "" {
		t.Errorf("HEAD: %d, length %d, body %q", r.StatusCode, r.ContentLength, r.body)
	}
	g.get("/api/204").want(t, 204, "")
	if r := g.get("/api"); len(r.body) != 12345 {
		t.Errorf("GET after HEAD: %d bytes", len(r.body))
	}
}

// handlers for instances made in tests

type (
	access       struct{ f func(*pdk.PDK) error }
	rewrite      struct{ f func(*pdk.PDK) error }
	response     struct{ f func(*pdk.PDK) error }
	headerFilter struct{ f func(*pdk.PDK) error }
	logger       struct{ f func(*pdk.PDK) error }
	bodyFilter   struct {
		f func(*pdk.PDK, []byte, bool) ([]byte, error)
	}
)

func (h access) Access(k *pdk.PDK) error             { return h.f(k) }
func (h rewrite) Rewrite(k *pdk.PDK) error           { return h.f(k) }
func (h response) Response(k *pdk.PDK) error         { return h.f(k) }
func (h logger) Log(k *pdk.PDK) error                { return h.f(k) }
func (h headerFilter) HeaderFilter(k *pdk.PDK) error { return h.f(k) }
func (h bodyFilter) BodyFilter(k *pdk.PDK, chunk []byte, last bool) ([]byte, error) {
	return h.f(k, chunk, last)
}

var errTest = errors.New("test failure")

// patience is how long a test waits for what must happen. It is long: the machine may be busy.
const patience = 20 * time.Second

// eventually waits for a condition.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", patience, what)
		}
		time.Sleep(time.Millisecond)
	}
}
