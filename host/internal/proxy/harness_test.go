package proxy

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/budget"
	"github.com/outrigger-gateway/outrigger/host/internal/condition"
	"github.com/outrigger-gateway/outrigger/host/internal/config"
	"github.com/outrigger-gateway/outrigger/host/internal/dispatch"
	"github.com/outrigger-gateway/outrigger/host/internal/entity"
	"github.com/outrigger-gateway/outrigger/host/internal/generation"
	"github.com/outrigger-gateway/outrigger/host/internal/guard"
	"github.com/outrigger-gateway/outrigger/host/internal/plan"
	"github.com/outrigger-gateway/outrigger/host/internal/upstream"
	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/pdk/local"
)

// gateway is a proxy with native plugins in front of a test upstream.
type gateway struct {
	upstream string // host:port
	t        testing.TB
	addr     string
	proxy    *Proxy
	holder   *generation.Holder
	builder  *generation.Builder
	logs     *lockedBuffer
}

type noServers struct{}

func (noServers) Manifests() []entity.Manifest    { return nil }
func (noServers) Pending() map[string]string      { return nil }
func (noServers) Remote(string) plan.Remote       { return nil }
func (noServers) Policy(string) generation.Policy { return generation.Policy{} }
func (noServers) Release(string, ...uint64)       {}
func (noServers) Configure(context.Context, string, uint64, string, *entity.Plugin, []byte) error {
	return nil
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// start runs a gateway for a configuration. UPSTREAM in the text is replaced by the upstream's host:port.
func start(t testing.TB, up http.Handler, text string, plugins []pdk.Plugin, change ...func(*Options)) *gateway {
	t.Helper()
	server := httptest.NewServer(up)
	t.Cleanup(server.Close)
	g := &gateway{t: t, holder: &generation.Holder{}, logs: &lockedBuffer{}, upstream: server.Listener.Addr().String()}
	logger := slog.New(slog.NewTextHandler(g.logs, &slog.HandlerOptions{Level: slog.LevelInfo}))
	node := &local.Node{ID: "node", MaxBody: 1 << 20, MaxShared: 64 << 10}
	transport := upstream.New(upstream.Options{IdlePerTarget: 64})
	o := Options{
		Generations: g.holder, Upstream: transport, Logger: logger, Version: "test",
		RealIPHeader: "X-Real-IP", HeadersUpstream: true,
		Headers:          HeaderTokens{Via: true, Server: true, UpstreamLatency: true, ProxyLatency: true, ResponseLatency: true, RequestID: true},
		ErrorDefaultType: "text/plain", MaxBody: 1 << 20, Bodies: budget.NewBytes(1 << 30), LogQueue: 100, LogWorkers: 2,
		Dispatcher: &dispatch.Dispatcher{Node: node, Logger: logger, MaxInlineBody: 32 << 10, PluginLog: func(in *plan.Instance, id string, p pdk.Phase, level uint8, message string) {
			logger.Info(message, "plugin", in.Record.Name, "phase", p.String(), "request_id", id)
		}},
	}
	for _, c := range change {
		c(&o)
	}
	g.proxy = New(o)
	var err error
	if g.builder, err = generation.NewBuilder(plugins, noServers{}); err != nil {
		t.Fatal(err)
	}
	g.builder.Condition = func(text string) (plan.Condition, error) { return condition.Compile(text) }
	g.load(strings.ReplaceAll(text, "UPSTREAM", g.upstream))
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g.addr = ln.Addr().String()
	s := NewServer(g.proxy, testServer)
	s.Serve(ln)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		g.proxy.Close()
		g.holder.Swap(nil)
		transport.Close()
		if n := g.proxy.inFlight.Load(); n != 0 {
			t.Errorf("%d requests were never finished", n)
		}
		if n := o.Bodies.Used(); n != 0 {
			t.Errorf("%d bytes of bodies were never given back", n)
		}
	})
	return g
}

func (g *gateway) load(text string) {
	g.t.Helper()
	if err := g.tryLoad(text); err != nil {
		g.t.Fatal(err)
	}
}

func (g *gateway) tryLoad(text string) error {
	set, err := config.Parse("gateway.yaml", []byte(text))
	if err != nil {
		return err
	}
	catalog, err := g.builder.Catalog(set)
	if err != nil {
		return err
	}
	g.builder.Merge(set)
	if err := config.ResolvePlugins(set, catalog, nil); err != nil {
		return err
	}
	gen, err := g.builder.Build(context.Background(), set, catalog)
	if err != nil {
		return err
	}
	g.holder.Swap(gen)
	return nil
}

// reply is a response with its body read.
type reply struct {
	*http.Response
	body string
}

// get sends a request; headers are name, value pairs.
func (g *gateway) get(path string, headers ...string) reply {
	g.t.Helper()
	return g.do("GET", path, nil, headers...)
}

func (g *gateway) do(method, path string, body io.Reader, headers ...string) reply {
	g.t.Helper()
	req, err := http.NewRequest(method, "http://"+g.addr+path, body)
	if err != nil {
		g.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			req.Host = headers[i+1]
			continue
		}
		req.Header.Add(headers[i], headers[i+1])
	}
	resp, err := client.Do(req)
	if err != nil {
		g.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		g.t.Fatalf("%s %s: body: %v", method, path, err)
	}
	return reply{resp, string(b)}
}

var client = &http.Client{
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	Timeout:       20 * time.Second,
}

// raw sends bytes over a connection of its own and reads all responses until the gateway closes or the number is reached.
func (g *gateway) raw(request string, responses int) []reply {
	g.t.Helper()
	c, err := net.Dial("tcp", g.addr)
	if err != nil {
		g.t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		g.t.Fatal(err)
	}
	if _, err := io.WriteString(c, request); err != nil {
		g.t.Fatal(err)
	}
	br := bufio.NewReader(c)
	var all []reply
	for range responses {
		resp, err := http.ReadResponse(br, nil)
		if err != nil {
			g.t.Fatalf("response %d: %v", len(all)+1, err)
		}
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			g.t.Fatalf("response %d: body: %v", len(all)+1, err)
		}
		all = append(all, reply{resp, string(b)})
	}
	return all
}

// want checks a status and, when not empty, a part of the body.
func (r reply) want(t *testing.T, status int, body string) {
	t.Helper()
	if r.StatusCode != status || !strings.Contains(r.body, body) {
		t.Errorf("got %d %q, want %d with %q", r.StatusCode, r.body, status, body)
	}
}

// echo answers with the request as the upstream saw it.
var echo = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	w.Header().Set("X-Upstream", "yes")
	fmt.Fprintf(w, "%s %s\nHost: %s\n", r.Method, r.RequestURI, r.Host)
	for name, values := range r.Header {
		for _, v := range values {
			fmt.Fprintf(w, "%s: %s\n", name, v)
		}
	}
	fmt.Fprintf(w, "\n%s", body)
})

// plugin makes a native plugin of handlers.
func plugin(name string, priority int, instance any) pdk.Plugin {
	return pdk.Plugin{Name: name, Version: "1", Priority: priority, New: func() any { return instance }}
}

func trustLoopback(o *Options) { o.TrustedIPs = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} }

// testServer is how servers of tests are bounded.
var testServer = ServerOptions{
	Limits:        guard.Limits{Head: 16 << 10, URI: 12 << 10, Line: 12 << 10, Fields: 200, Trailer: 8 << 10},
	HeaderTimeout: patience, BodyTimeout: patience, IdleTimeout: patience, WriteTimeout: patience,
}
