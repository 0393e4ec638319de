package admin

import (
	"context"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
	"github.com/valyala/fasthttp/fasthttputil"
)

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		pattern, path string
		want          map[string]string
		ok            bool
	}{
		{"/status", "/status", nil, true},
		{"/status", "/status/", nil, false},
		{"/plugin-servers/{name}/replace", "/plugin-servers/py/replace", map[string]string{"name": "py"}, true},
		{"/plugin-servers/{name}/replace", "/plugin-servers//replace", nil, false},
		{"/plugin-servers/{name}/replace", "/plugin-servers/a/b/replace", nil, false},
		{"/plugin-servers/{name}/replace", "/plugin-servers/py", nil, false},
		{"/plugin-servers/{name}", "/plugin-servers/py/replace", nil, false},
		{"/{a}/x/{b}", "/1/x/2", map[string]string{"a": "1", "b": "2"}, true},
	} {
		params, ok := match(c.pattern, c.path)
		if ok != c.ok || ok && !maps.Equal(params, c.want) {
			t.Errorf("%s, %s: found %v, %t; expected %v, %t", c.pattern, c.path, params, ok, c.want, c.ok)
		}
	}
}

// Routes are found by path and method; what a web page sends is not obeyed.
func TestRoutes(t *testing.T) {
	s := New(&fakeGateway{}, slog.New(slog.DiscardHandler))
	s.routes = []Route{
		{http.MethodGet, "/things/{id}", func(r *Request) Answer { return Answer{Text: []byte(r.Param("id")), ContentType: "text/plain"} }},
		{http.MethodPost, "/things/{id}", func(r *Request) Answer { return Answer{Status: http.StatusAccepted, Body: string(r.Body())} }},
	}
	ln := fasthttputil.NewInmemoryListener()
	s.Serve(ln)
	t.Cleanup(func() {
		if err := s.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	client := &fasthttp.Client{Dial: func(string) (net.Conn, error) { return ln.Dial() }, ReadTimeout: 20 * time.Second}
	for _, c := range []struct {
		method, path, origin, body, allow string
		status                            int
	}{
		{"GET", "/things/7", "", "7", "", 200},
		{"GET", "/things/7", "http://a.page", "7", "", 200},
		{"POST", "/things/7", "", "\"sent\"\n", "", 202},
		{"POST", "/things/7", "http://a.page", "", "", 403},
		{"PUT", "/things/7", "", "", "GET, POST, HEAD", 405},
		{"GET", "/things", "", "", "", 404},
	} {
		req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
		req.SetRequestURI("http://localhost" + c.path)
		req.Header.SetMethod(c.method)
		if c.method != "GET" {
			req.SetBodyString("sent")
		}
		if c.origin != "" {
			req.Header.Set("Origin", c.origin)
		}
		if err := client.Do(req, resp); err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode() != c.status || c.body != "" && string(resp.Body()) != c.body || string(resp.Header.Peek("Allow")) != c.allow {
			t.Errorf("%s %s: found %d %q, Allow %q; expected %+v", c.method, c.path, resp.StatusCode(), resp.Body(), resp.Header.Peek("Allow"), c)
		}
	}
}
