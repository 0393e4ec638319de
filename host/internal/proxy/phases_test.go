package proxy

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/outrigger-gateway/outrigger/pdk"
)

// trace collects the order of handler calls.
type trace struct {
	mu    sync.Mutex
	calls []string
}

func (t *trace) add(s string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.calls = append(t.calls, s)
}

func (t *trace) take() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := strings.Join(t.calls, " ")
	t.calls = nil
	return s
}

// all handles every phase except response, which excludes the filters.
type all struct {
	Fail string `json:"fail"` // phase in which it fails
	Exit string `json:"exit"` // phase in which it exits
	name string
	tr   *trace
}

func (a *all) run(k *pdk.PDK, phase string) error {
	a.tr.add(a.name + ":" + phase)
	if a.Fail == phase {
		return errTest
	}
	if a.Exit == phase {
		return k.Response.Exit(418, "exit in "+phase, map[string][]string{"X-Exit": {a.name}})
	}
	return nil
}

func (a *all) Rewrite(k *pdk.PDK) error      { return a.run(k, "rewrite") }
func (a *all) Access(k *pdk.PDK) error       { return a.run(k, "access") }
func (a *all) HeaderFilter(k *pdk.PDK) error { return a.run(k, "header_filter") }
func (a *all) Log(k *pdk.PDK) error          { return a.run(k, "log") }
func (a *all) BodyFilter(k *pdk.PDK, chunk []byte, last bool) ([]byte, error) {
	if last {
		return nil, a.run(k, "body_filter")
	}
	return nil, nil
}

func traced(tr *trace, names ...string) []pdk.Plugin {
	var ps []pdk.Plugin
	for i, name := range names {
		ps = append(ps, pdk.Plugin{Name: name, Version: "1", Priority: 100 - i, New: func() any { return &all{name: name, tr: tr} }})
	}
	return ps
}

// Short-circuit and failure of spec/gateway.md 3.2.
func TestPhasesAndShortCircuit(t *testing.T) {
	const full = "a:rewrite b:rewrite a:access b:access a:header_filter b:header_filter a:body_filter b:body_filter a:log b:log"
	for _, c := range []struct {
		name, config, path string
		status             int
		want               string
	}{
		{"everything runs", "", "/api", 200, full},
		{"no route: global filters and log run", "", "/none", 404, "a:rewrite b:rewrite a:header_filter b:header_filter a:body_filter b:body_filter a:log b:log"},
		{"exit in rewrite", "exit: rewrite", "/api", 418, "a:rewrite a:header_filter b:header_filter a:body_filter b:body_filter a:log b:log"},
		{"exit in access: the others are enrolled", "exit: access", "/api", 418, "a:rewrite b:rewrite a:access a:header_filter b:header_filter a:body_filter b:body_filter a:log b:log"},
		{"failure in access is a 500", "fail: access", "/api", 500, "a:rewrite b:rewrite a:access a:header_filter b:header_filter a:body_filter b:body_filter a:log b:log"},
		{"exit in header_filter replaces the response", "exit: header_filter", "/api", 418, "a:rewrite b:rewrite a:access b:access a:header_filter a:body_filter b:body_filter a:log b:log"},
		{"failure in header_filter is a 500 and log runs", "fail: header_filter", "/api", 500, "a:rewrite b:rewrite a:access b:access a:header_filter a:body_filter b:body_filter a:log b:log"},
		{"failure in log does not stop the others", "fail: log", "/api", 200, full},
	} {
		t.Run(c.name, func(t *testing.T) {
			tr := &trace{}
			g := start(t, echo, plain+fmt.Sprintf("plugins: [{name: a, config: {%s}}, {name: b}]\n", c.config), traced(tr, "a", "b"))
			r := g.get(c.path)
			if r.StatusCode != c.status {
				t.Errorf("status %d, want %d (%s)", r.StatusCode, c.status, r.body)
			}
			if c.status == 500 && !strings.Contains(r.body, "An unexpected error occurred") {
				t.Errorf("body %q", r.body)
			}
			if c.status == 418 && (!strings.HasPrefix(r.body, "exit in ") || r.Header.Get("X-Exit") != "a") {
				t.Errorf("body %q, header %q", r.body, r.Header.Get("X-Exit"))
			}
			got := ""
			eventually(t, "log phase", func() bool {
				if s := tr.take(); s != "" {
					got = strings.TrimSpace(got + " " + s)
				}
				return strings.HasSuffix(got, "b:log")
			})
			if got != c.want {
				t.Errorf("handlers\n  %s\nwant\n  %s", got, c.want)
			}
		})
	}
}

func TestBodyFilterFailureCutsTheResponse(t *testing.T) {
	up := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for range 10 {
			_, _ = w.Write(make([]byte, 64<<10))
			w.(http.Flusher).Flush()
		}
	})
	fail := &bodyFilter{func(*pdk.PDK, []byte, bool) ([]byte, error) { return nil, errTest }}
	g := start(t, up, plain+"plugins: [{name: f}]\n", []pdk.Plugin{plugin("f", 1, fail)})
	resp, err := client.Get("http://" + g.addr + "/api")
	if err == nil {
		defer resp.Body.Close()
		_, err = resp.Body.Read(make([]byte, 1))
	}
	if err == nil {
		t.Error("a response whose filter failed looks complete")
	}
	eventually(t, "the failure in the log", func() bool { return strings.Contains(g.logs.String(), errTest.Error()) })
}

func TestPanicsAndFailModes(t *testing.T) {
	boom := &access{func(*pdk.PDK) error { panic("boom") }}
	text := plain + "plugins: [{name: boom, route: r%s}]\n"
	g := start(t, echo, fmt.Sprintf(text, ""), []pdk.Plugin{plugin("boom", 1, boom)})
	g.get("/api").want(t, 500, "An unexpected error occurred")
	g.get("/keep").want(t, 200, "GET /base/keep")
	if l := g.logs.String(); !strings.Contains(l, "boom") || !strings.Contains(l, "harness_test.go") && !strings.Contains(l, "phases_test.go") {
		t.Errorf("the panic and its place are not in the log:\n%s", l)
	}
	g2 := start(t, echo, fmt.Sprintf(text, ", fail_mode: open"), []pdk.Plugin{plugin("boom", 1, boom)})
	g2.get("/api").want(t, 200, "GET /base")
	g3 := start(t, echo, fmt.Sprintf(text, ", fail_status: 503"), []pdk.Plugin{plugin("boom", 1, boom)})
	g3.get("/api").want(t, 503, "The upstream server is currently unavailable")
}

// Nothing of a failed handler stays: neither headers nor ctx.shared.
func TestFailedHandlersLeaveNothing(t *testing.T) {
	failing := &access{func(k *pdk.PDK) error {
		if err := k.ServiceRequest.SetHeader("X-Half", "1"); err != nil {
			return err
		}
		if err := k.CtxShared.Set("half", true); err != nil {
			return err
		}
		return errTest
	}}
	look := &access{func(k *pdk.PDK) error {
		return k.ServiceRequest.SetHeader("X-Seen", fmt.Sprint(k.CtxShared.Get("half")))
	}}
	g := start(t, echo, plain+"plugins: [{name: failing, fail_mode: open}, {name: look}]\n", []pdk.Plugin{plugin("failing", 2, failing), plugin("look", 1, look)})
	r := g.get("/api")
	r.want(t, 200, "X-Seen: <nil>\n")
	if strings.Contains(r.body, "X-Half") {
		t.Errorf("a header of the failed handler reached the upstream:\n%s", r.body)
	}
}

func TestWritesReachUpstreamAndClient(t *testing.T) {
	p := &access{func(k *pdk.PDK) error {
		for _, err := range []error{
			k.ServiceRequest.SetHeader("X-A", "1", "2"),
			k.ServiceRequest.ClearHeader("X-Gone"),
			k.ServiceRequest.SetMethod("PUT"),
			k.ServiceRequest.SetPath("/else where"),
			k.ServiceRequest.SetRawQuery("z=1"),
			k.ServiceRequest.SetRawBody([]byte("new body")),
			k.Response.SetHeader("X-R", "from access"),
		} {
			if err != nil {
				return err
			}
		}
		return nil
	}}
	g := start(t, echo, plain+"plugins: [{name: p}]\n", []pdk.Plugin{plugin("p", 1, p)})
	r := g.do("POST", "/api", strings.NewReader("old body"), "X-Gone", "1", "X-A", "0")
	r.want(t, 200, "PUT /else%20where?z=1\n")
	r.want(t, 200, "X-A: 1\nX-A: 2\n")
	r.want(t, 200, "\n\nnew body")
	if strings.Contains(r.body, "X-Gone") || r.Header.Get("X-R") != "from access" || r.Header.Get("X-Upstream") != "yes" {
		t.Errorf("body\n%s\nheaders %v", r.body, r.Header)
	}
}

func TestResponsePhase(t *testing.T) {
	p := &response{func(k *pdk.PDK) error {
		body, err := k.ServiceResponse.GetRawBody()
		if err != nil {
			return err
		}
		if err := k.Response.SetHeader("X-Length", fmt.Sprint(len(body))); err != nil {
			return err
		}
		if err := k.Response.SetStatus(201); err != nil {
			return err
		}
		return k.Response.SetRawBody([]byte(strings.ToUpper(string(body))))
	}}
	up := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := 10
		if strings.HasSuffix(r.URL.Path, "/big") {
			n = 300 << 10
		}
		if strings.HasSuffix(r.URL.Path, "/huge") {
			n = 2 << 20
		}
		_, _ = w.Write([]byte(strings.Repeat("a", n)))
	})
	g := start(t, up, plain+"plugins: [{name: p}]\n", []pdk.Plugin{plugin("p", 1, p)})
	for path, n := range map[string]int{"/api": 10, "/api/big": 300 << 10} {
		r := g.get(path)
		if r.StatusCode != 201 || r.Header.Get("X-Length") != fmt.Sprint(n) || r.body != strings.Repeat("A", n) {
			t.Errorf("%s: %d, X-Length %s, %d bytes", path, r.StatusCode, r.Header.Get("X-Length"), len(r.body))
		}
	}
	g.get("/api/huge").want(t, 500, "An unexpected error occurred") // over max_body
	if !strings.Contains(g.logs.String(), "over the limit") {
		t.Errorf("the limit is not in the log:\n%s", g.logs.String())
	}
}

// A response handler that only edits headers never waits for the body.
func TestHeaderOnlyResponsePhaseStreams(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	up := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		<-release
		_, _ = w.Write([]byte("late"))
	})
	p := &response{func(k *pdk.PDK) error { return k.Response.SetHeader("X-P", "1") }}
	g := start(t, up, plain+"plugins: [{name: p}]\n", []pdk.Plugin{plugin("p", 1, p)})
	resp, err := client.Get("http://" + g.addr + "/api")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.Header.Get("X-P") != "1" {
		t.Error("header is missing")
	}
}

func TestReloadKeepsTheOldGenerationOnErrors(t *testing.T) {
	g := start(t, echo, plain, nil)
	err := g.tryLoad("_format_version: \"3.0\"\nservices: [{name: s, url: \"http://x\", routes: [{name: r, paths: [orders]}]}]\n")
	if err == nil || !strings.Contains(err.Error(), "gateway.yaml:2:") {
		t.Errorf("error %v, expected one that names the line", err)
	}
	g.get("/api").want(t, 200, "GET /base")
	err = g.tryLoad("_format_version: \"3.0\"\nplugins: [{name: nonsense}]\n")
	if err == nil || !strings.Contains(err.Error(), "nonsense") {
		t.Errorf("unknown plugin: %v", err)
	}
	g.get("/api").want(t, 200, "GET /base")
}

// Requests run while generations are swapped: each sees one generation from start to end.
func TestNoRequestSeesAMixOfGenerations(t *testing.T) {
	ps := []pdk.Plugin{
		{Name: "one", Version: "1", Priority: 2, New: func() any { return &marker{header: "X-One"} }},
		{Name: "two", Version: "1", Priority: 1, New: func() any { return &marker{header: "X-Two"} }},
	}
	text := func(v int) string {
		return fmt.Sprintf("_format_version: \"3.0\"\nroutes: [{name: r, paths: [/]}]\nplugins: [{name: one, config: {v: %d}}, {name: two, config: {v: %d}}]\n", v, v)
	}
	g := start(t, echo, text(0), ps)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				r := g.get("/")
				if a, b := r.Header.Get("X-One"), r.Header.Get("X-Two"); a != b || a == "" {
					t.Errorf("a request saw %q and %q", a, b)
					return
				}
			}
		})
	}
	for v := 1; v <= 50; v++ {
		g.load(text(v))
		if r := g.get("/"); r.Header.Get("X-One") != fmt.Sprint(v) {
			t.Errorf("the request after reload %d saw %q", v, r.Header.Get("X-One"))
		}
	}
	close(stop)
	wg.Wait()
}

type marker struct {
	V      int `json:"v"`
	header string
}

func (m *marker) HeaderFilter(k *pdk.PDK) error {
	return k.Response.SetHeader(m.header, fmt.Sprint(m.V))
}
