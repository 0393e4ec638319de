package proxy

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/outrigger-gateway/outrigger/host/internal/exchange"
	"github.com/outrigger-gateway/outrigger/pdk"
)

// The counters follow connections through reading, writing and waiting.
func TestStatistics(t *testing.T) {
	hold, release := make(chan struct{}), make(chan struct{})
	up := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/hold") {
			hold <- struct{}{}
			<-release
		}
		fmt.Fprint(w, "done")
	})
	g := start(t, up, plain, nil)
	expect := func(when string, want exchange.Statistics) {
		t.Helper()
		got := exchange.Statistics{}
		eventually(t, fmt.Sprintf("%s: %+v", when, want), func() bool {
			got = g.proxy.Statistics()
			return got == want
		})
	}
	expect("at first", exchange.Statistics{})

	idle := dial(t, g)
	send := func(c net.Conn, path string) {
		t.Helper()
		if _, err := io.WriteString(c, "GET "+path+" HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
	}
	receive := func(c net.Conn) {
		t.Helper()
		buf := make([]byte, 4096)
		for n := 0; !strings.HasSuffix(string(buf[:n]), "done"); {
			m, err := c.Read(buf[n:])
			if err != nil {
				t.Fatal(err)
			}
			n += m
		}
	}
	send(idle, "/api")
	receive(idle)
	expect("one answered", exchange.Statistics{Accepted: 1, Handled: 1, Requests: 1, Active: 1, Waiting: 1})

	working := dial(t, g)
	send(working, "/api/hold")
	<-hold
	expect("one at work", exchange.Statistics{Accepted: 2, Handled: 2, Requests: 2, Active: 2, Waiting: 1, Writing: 1})
	release <- struct{}{}
	receive(working)
	expect("both idle", exchange.Statistics{Accepted: 2, Handled: 2, Requests: 2, Active: 2, Waiting: 2})

	if _, err := io.WriteString(working, "GET /api HTTP/1.1\r\nHo"); err != nil {
		t.Fatal(err)
	}
	expect("half a head", exchange.Statistics{Accepted: 2, Handled: 2, Requests: 2, Active: 2, Waiting: 1, Reading: 1})
	working.Close()
	expect("one gone in the middle", exchange.Statistics{Accepted: 2, Handled: 2, Requests: 2, Active: 1, Waiting: 1})
	idle.Close()
	expect("all gone", exchange.Statistics{Accepted: 2, Handled: 2, Requests: 2})
}

func dial(t *testing.T, g *gateway) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", g.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// Variables of a real request, as they are in each phase.
func TestVariablesOfARequest(t *testing.T) {
	get := func(k *pdk.PDK, names ...string) string {
		var out []string
		for _, name := range names {
			value, ok, err := k.Nginx.GetVar(name)
			if err != nil {
				t.Error(err)
			}
			if !ok {
				value = "-"
			}
			out = append(out, value)
		}
		return strings.Join(out, " ")
	}
	logged := make(chan string, 1)
	text := plain + "plugins: [{name: a}, {name: h}, {name: l}]\n"
	g := start(t, echo, text, []pdk.Plugin{
		plugin("a", 3, &access{func(k *pdk.PDK) error {
			before := get(k, "request_method", "uri", "arg_q", "cookie_c", "hostname", "upstream_uri", "status", "upstream_status")
			return errors.Join(k.ServiceRequest.SetPath("/set"), k.ServiceRequest.SetRawQuery("z=1"), k.ServiceRequest.SetHeader("X-Before", before))
		}}),
		plugin("h", 2, &headerFilter{func(k *pdk.PDK) error {
			return k.Response.SetHeader("X-After", get(k, "upstream_uri", "status", "upstream_status", "upstream_http_x_upstream"))
		}}),
		plugin("l", 1, &logger{func(k *pdk.PDK) error {
			logged <- get(k, "upstream_uri", "status", "sent_http_x_upstream", "request_uri")
			return nil
		}}),
	}, withGateway)
	r := g.get("/api/x?q=1", "Cookie", "c=2")
	r.want(t, 200, "X-Before: GET /api/x 1 2 gw /base/x?q=1 - -\n")
	if got := r.Header.Get("X-After"); got != "/set?z=1 200 200 yes" {
		t.Errorf("in header_filter: %s", got)
	}
	if got := <-logged; got != "/set?z=1 200 yes /api/x?q=1" {
		t.Errorf("in log: %s", got)
	}
}

// What a plugin keeps in the cache is there for its instances in later requests, and for no other plugin.
func TestPluginCache(t *testing.T) {
	counting := func(name string) *access {
		return &access{func(k *pdk.PDK) error {
			v, err := k.Cache.Get("count")
			n, _ := v.(int64)
			if err == nil {
				err = k.Cache.Set("count", n+1, 0)
			}
			if again, _ := k.Cache.Get("count"); again != n+1 {
				return fmt.Errorf("the handler does not see its own write: %v", again)
			}
			return errors.Join(err, k.ServiceRequest.SetHeader("X-"+name, fmt.Sprint(n)))
		}}
	}
	g := start(t, echo, plain+"plugins: [{name: a, route: r}, {name: a, route: keep}, {name: b}]\n", []pdk.Plugin{
		plugin("a", 2, counting("A")), plugin("b", 1, counting("B")),
	}, withGateway)
	g.get("/api").want(t, 200, "X-A: 0\n")
	g.get("/keep").want(t, 200, "X-A: 1\n")
	if r := g.get("/api"); !strings.Contains(r.body, "X-A: 2\n") || !strings.Contains(r.body, "X-B: 2\n") {
		t.Errorf("third request:\n%s", r.body)
	}
}

// A later plugin sees the body that an earlier one put into the response, and the upstream's own body too.
func TestResponseBodyOfAnEarlierPlugin(t *testing.T) {
	seen := make(chan string, 1)
	g := start(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "original") }), plain+"plugins: [{name: a}, {name: b}]\n", []pdk.Plugin{
		plugin("a", 2, &response{func(k *pdk.PDK) error { return k.Response.SetRawBody([]byte("replaced")) }}),
		plugin("b", 1, &response{func(k *pdk.PDK) error {
			now, err1 := k.Response.GetRawBody()
			original, err2 := k.ServiceResponse.GetRawBody()
			seen <- fmt.Sprintf("%s %s", now, original)
			return errors.Join(err1, err2)
		}}),
	})
	g.get("/api").want(t, 200, "replaced")
	if got := <-seen; got != "replaced original" {
		t.Errorf("the second plugin saw %s", got)
	}
}

// Requests of gRPC get answers of gRPC: from plugins and from the gateway itself.
func TestGRPCAnswers(t *testing.T) {
	g := start(t, echo, plain+"plugins: [{name: e, route: r}]\n", []pdk.Plugin{plugin("e", 1, &access{func(k *pdk.PDK) error {
		return k.Response.Exit(401, "no", nil)
	}})})
	for path, want := range map[string][3]string{"/api": {"16", "no", "401"}, "/none": {"5", "no Route matched with those values", "404"}} {
		r := g.do("POST", path, strings.NewReader(""), "Content-Type", "application/grpc+proto")
		if strconv.Itoa(r.StatusCode) != want[2] || r.Header.Get("Grpc-Status") != want[0] || r.Header.Get("Grpc-Message") != want[1] || r.Header.Get("Content-Type") != "application/grpc" || r.body != "" {
			t.Errorf("%s: %d %v %q", path, r.StatusCode, r.Header, r.body)
		}
	}
	g.do("POST", "/api", strings.NewReader(""), "Content-Type", "text/plain").want(t, 401, "no")
}

// Spans of handlers, what they keep in ctx.plugin and what they say of the client's certificate are in the log entry.
func TestSpansInTheLogEntry(t *testing.T) {
	entries := make(chan string, 1)
	both := &struct {
		access
		logger
	}{
		access{func(k *pdk.PDK) error {
			outer := k.Tracing.StartSpan("outer", map[string]any{"a": 1})
			inner := k.Tracing.StartSpan("inner", nil)
			inner.Finish()
			outer.Finish()
			return errors.Join(k.CtxPlugin.Set("k", "kept"), k.ClientTLS.SetClientVerify("FAILED:self-signed"))
		}},
		logger{func(k *pdk.PDK) error {
			text, err := k.Log.Serialize()
			entries <- fmt.Sprint(k.CtxPlugin.Get("k"), " ", text)
			return err
		}},
	}
	g := start(t, echo, plain+"plugins: [{name: p}]\n", []pdk.Plugin{plugin("p", 1, both)})
	g.get("/api").want(t, 200, "")
	kept, text, _ := strings.Cut(<-entries, " ")
	var entry struct {
		Request struct{ TLS map[string]string }
		Spans   []struct {
			ID, Parent          int
			Name, Plugin, Phase string
		}
	}
	if err := json.Unmarshal([]byte(text), &entry); err != nil {
		t.Fatal(err)
	}
	if kept != "kept" || entry.Request.TLS["client_verify"] != "FAILED:self-signed" || len(entry.Spans) != 2 || entry.Spans[1].Parent != 1 ||
		entry.Spans[0].Name != "outer" || entry.Spans[1].Name != "inner" || entry.Spans[1].Plugin != "p" || entry.Spans[1].Phase != "access" {
		t.Errorf("%s %+v", kept, entry)
	}
}
