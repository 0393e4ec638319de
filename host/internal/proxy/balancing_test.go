package proxy

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/outrigger-gateway/outrigger/host/internal/balancer"
	"github.com/outrigger-gateway/outrigger/host/internal/entity"
	"github.com/outrigger-gateway/outrigger/host/internal/resolve"
	"github.com/outrigger-gateway/outrigger/host/internal/upstream"
	"github.com/outrigger-gateway/outrigger/pdk"
)

// pooled is a configuration with an upstream of the given targets, and fields of the upstream.
func pooled(fields string, targets ...string) string {
	var list []string
	for _, target := range targets {
		list = append(list, fmt.Sprintf("{target: %q}", target))
	}
	return `
_format_version: "3.0"
consumers: [{username: ann, id: 6f1f5c2e-2a3f-4c57-9b60-2f2a1f1b7a10}, {username: bob}]
services:
- name: pooled
  host: pool
  retries: 5
  routes: [{name: r, paths: [/], strip_path: false}, {name: captured, paths: ["~/users/(?<user>[a-z]+)/(\\d+)"], strip_path: false}]
upstreams:
- {name: pool, ` + fields + `, targets: [` + strings.Join(list, ", ") + `]}
`
}

func several(t *testing.T, n int) []string {
	t.Helper()
	list := make([]string, n)
	for i := range list {
		list[i] = named(t, fmt.Sprint("n", i))
	}
	return list
}

func TestStickySessions(t *testing.T) {
	targets := several(t, 4)
	text := pooled("algorithm: sticky-sessions, sticky_sessions_cookie: at, healthchecks: {passive: {unhealthy: {tcp_failures: 1}}}", targets...)
	g := start(t, echo, text, nil)
	first := g.get("/")
	set := first.Header.Get("Set-Cookie")
	value, attributes, _ := strings.Cut(set, ";")
	if !strings.HasPrefix(value, "at=") || attributes != " Path=/; HttpOnly; SameSite=Lax" {
		t.Fatalf("cookie %q", set)
	}
	if address := strings.TrimPrefix(first.body[strings.Index(first.body, " as "):], " as "); strings.Contains(value, address) {
		t.Errorf("the cookie %q tells the address", value)
	}
	for range 8 {
		again := g.get("/", "Cookie", value)
		if again.body != first.body || again.Header.Get("Set-Cookie") != "" {
			t.Errorf("from %q to %q with %q", first.body, again.body, again.Header.Get("Set-Cookie"))
		}
	}
	_, address, _ := strings.Cut(first.body, " as ")
	gen := g.holder.Current()
	if !gen.SetHealth("pool", address, false) {
		t.Fatalf("no target %s", address)
	}
	moved := g.get("/", "Cookie", value)
	if moved.body == first.body || moved.Header.Get("Set-Cookie") == "" {
		t.Errorf("stays with %q, which is down", moved.body)
	}
	if forged := g.get("/", "Cookie", "at=nonsense"); forged.StatusCode != 200 || forged.Header.Get("Set-Cookie") == "" {
		t.Errorf("a cookie that stands for nothing: %d", forged.StatusCode)
	}
}

// Requests that fail take a target away; what is known of it outlives a reload.
func TestPassiveHealth(t *testing.T) {
	var tries atomic.Int32
	bad, good := dead(t, &tries), named(t, "good")
	text := pooled("healthchecks: {passive: {unhealthy: {tcp_failures: 3}}}", bad, good)
	g := start(t, echo, text, nil)
	for range 20 {
		g.get("/").want(t, 200, "good") // the further try answers
	}
	if n := tries.Load(); n != 3 {
		t.Errorf("%d tries of the bad target, want 3", n)
	}
	g.load(text + "# the same\n")
	for range 10 {
		g.get("/").want(t, 200, "good")
	}
	g.load(pooled("slots: 100, healthchecks: {passive: {unhealthy: {tcp_failures: 3}}}", bad, good, named(t, "good")))
	for range 10 {
		g.get("/").want(t, 200, "good")
	}
	if n := tries.Load(); n != 3 {
		t.Errorf("%d tries of the bad target after reloads, want 3", n)
	}
	g.load(pooled("healthchecks: {threshold: 60, passive: {unhealthy: {tcp_failures: 3}}}", bad, good))
	g.get("/").want(t, 503, "failure to get a peer from the ring-balancer")
}

// Statuses and timeouts count, too: 504 of the upstream is a timeout, a plugin's own answer is nothing.
func TestPassiveHealthOfAnswers(t *testing.T) {
	var status atomic.Int32
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(int(status.Load())) }))
	t.Cleanup(up.Close)
	exits := &access{func(k *pdk.PDK) error {
		if does(k, "exit") {
			return k.Response.Exit(500, "", nil)
		}
		return nil
	}}
	g := start(t, echo, pooled("healthchecks: {passive: {unhealthy: {http_failures: 2, timeouts: 2}}}", up.Listener.Addr().String())+"plugins: [{name: exits}]\n", []pdk.Plugin{plugin("exits", 1, exits)})
	state := func() string { return g.holder.Current().Balancing()[0].Targets[0].Addresses[0].State }
	for _, c := range []struct {
		status int
		do     string
		want   string
	}{
		{500, "", "mostly_healthy"}, {404, "", "mostly_healthy"}, {500, "exit", "mostly_healthy"}, {504, "", "mostly_healthy"}, {504, "", "unhealthy"},
	} {
		status.Store(int32(c.status))
		g.get("/", "X-Do", c.do).want(t, c.status, "")
		if got := state(); got != c.want {
			t.Errorf("after %d %s: %s, want %s", c.status, c.do, got, c.want)
		}
	}
	g.get("/").want(t, 503, "failure to get a peer")
}

// The time of a try counts, not that of the request: plugins may have taken their time, and the target is back meanwhile.
func TestTimeOfTheFirstTry(t *testing.T) {
	var sick atomic.Bool
	sick.Store(true)
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if sick.Load() {
			w.WriteHeader(500)
		}
	}))
	t.Cleanup(up.Close)
	var g *gateway
	ejected := func() bool { return g.holder.Current().Balancing()[0].Targets[0].Addresses[0].EjectedFor > 0 }
	slow := &access{func(k *pdk.PDK) error {
		for does(k, "wait") && ejected() {
			time.Sleep(time.Millisecond)
		}
		return nil
	}}
	g = start(t, echo, pooled("outlier_detection: {consecutive_5xx: 1, base_ejection_time: 0.3, max_ejection_percent: 100}", up.Listener.Addr().String())+
		"plugins: [{name: slow}]\n", []pdk.Plugin{plugin("slow", 1, slow)})
	g.get("/").want(t, 500, "")
	sick.Store(false)
	g.get("/", "X-Do", "wait").want(t, 200, "")
}

// A client that leaves while a name is asked for is not served any further.
func TestClientLeavesWhileANameIsAsked(t *testing.T) {
	asked, answer := make(chan struct{}), make(chan struct{})
	t.Cleanup(func() { close(answer) })
	ended := make(chan int, 1)
	logs := &logger{func(k *pdk.PDK) error {
		ended <- k.Response.GetStatus()
		return nil
	}}
	g := start(t, echo, `{_format_version: "3.0"}`, []pdk.Plugin{plugin("logs", 1, logs)})
	g.builder.Balancers = balancer.NewRegistry(balancer.Options{Resolver: lookupFunc(func() {
		close(asked)
		<-answer
	})})
	g.load(`
_format_version: "3.0"
services: [{name: s, host: slow.test, routes: [{name: r, paths: [/]}]}]
plugins: [{name: logs}]
`)
	client, err := net.Dial("tcp", g.addr)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(client, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	<-asked
	client.Close()
	select {
	case status := <-ended:
		if status != statusClientGone {
			t.Errorf("status %d", status)
		}
	case <-time.After(patience):
		t.Error("it is served on")
	}
}

// lookupFunc is a resolver that knows no name.
type lookupFunc func()

func (f lookupFunc) Lookup(_ context.Context, host string) (*resolve.Answer, error) {
	f()
	return nil, &net.DNSError{Err: "no such name", Name: host, IsNotFound: true}
}

// held is an upstream that answers when it is told to.
func held(t *testing.T) (address string, waiting func() int, release chan struct{}) {
	t.Helper()
	var n atomic.Int32
	release = make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		n.Add(1)
		<-release
		_, _ = io.WriteString(w, "held")
	}))
	t.Cleanup(server.Close)
	return server.Listener.Addr().String(), func() int { return int(n.Load()) }, release
}

func TestMaxConnections(t *testing.T) {
	address, waiting, release := held(t)
	g := start(t, echo, pooled("circuit_breakers: {max_connections: 2, max_pending_requests: 1}", address), nil)
	var all sync.WaitGroup
	get := func() { all.Go(func() { g.get("/").want(t, 200, "held") }) }
	get()
	get()
	eventually(t, "two requests are at the upstream", func() bool { return waiting() == 2 })
	pending := func(n int64) func() bool {
		return func() bool { return g.holder.Current().Balancing()[0].Pending == n }
	}
	leaves, err := net.Dial("tcp", g.addr) // a client that does not wait
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(leaves, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it waits", pending(1))
	leaves.Close()
	eventually(t, "it has left its place", pending(0))
	get()
	eventually(t, "one waits", pending(1))
	g.get("/").want(t, 503, "The upstream server is currently unavailable")
	close(release)
	all.Wait()
	s := g.holder.Current().Balancing()[0]
	if s.Overflows != 1 || s.Pending != 0 {
		t.Errorf("status %+v", s)
	}
	eventually(t, "nothing is in flight", func() bool { return g.holder.Current().Balancing()[0].InFlight == 0 })
}

// The budget lets so many requests go on to a further try, and no more.
func TestRetryBudget(t *testing.T) {
	var tries atomic.Int32
	bad := dead(t, &tries)
	for _, c := range []struct {
		budget string
		tries  int32
	}{
		{"{budget_percent: 0, min_retry_concurrency: 0}", 1}, {"{budget_percent: 0, min_retry_concurrency: 1}", 6}, {"{budget_percent: 100}", 6},
	} {
		tries.Store(0)
		g := start(t, echo, pooled("retry_budget: "+c.budget, bad), nil)
		g.get("/").want(t, 502, "An invalid response was received from the upstream server")
		if n := tries.Load(); n != c.tries {
			t.Errorf("%s: %d tries, want %d", c.budget, n, c.tries)
		}
	}
}

// A target that refuses is no reason to fail while another one answers, whatever the method; once something was sent, only what may be sent twice is.
func TestRetriesAreSafe(t *testing.T) {
	var tries atomic.Int32
	good := named(t, "good")
	g := start(t, echo, pooled("slots: 100", refused(t), good), nil)
	for _, method := range []string{"GET", "POST", "PATCH", "LOCK", "PUT", "DELETE"} {
		for range 2 {
			g.do(method, "/", strings.NewReader("")).want(t, 200, "good")
		}
	}
	g = start(t, echo, pooled("slots: 100", dead(t, &tries)), nil)
	for method, want := range map[string]int32{"GET": 6, "DELETE": 6, "POST": 1, "PATCH": 1, "LOCK": 1} {
		tries.Store(0)
		g.do(method, "/", nil).want(t, 502, "")
		if n := tries.Load(); n != want {
			t.Errorf("%s: %d tries, want %d", method, n, want)
		}
	}
}

// twoAddresses are two upstreams on the same port of two addresses of this machine.
func twoAddresses(t *testing.T) (port int) {
	t.Helper()
	for range 20 {
		one, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port = one.Addr().(*net.TCPAddr).Port
		two, err := net.Listen("tcp", fmt.Sprintf("127.0.0.2:%d", port))
		if err != nil {
			one.Close()
			continue
		}
		for _, ln := range []net.Listener{one, two} {
			name := ln.Addr().(*net.TCPAddr).IP.String()
			s := &httptest.Server{Listener: ln, Config: &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				fmt.Fprintf(w, "%s as %s", name, r.Host)
			})}}
			s.Start()
			t.Cleanup(s.Close)
		}
		return port
	}
	t.Skip("this machine has one loopback address")
	return 0
}

// A service whose host is a name is asked at each address in turn, and at others when its records change.
func TestServiceOfAName(t *testing.T) {
	var addresses atomic.Pointer[[]string]
	server := &dns.Server{Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg)
		m.SetReply(q)
		if q.Question[0].Qtype == dns.TypeA && strings.HasSuffix(q.Question[0].Name, "orders.test.") {
			for _, a := range *addresses.Load() {
				m.Answer = append(m.Answer, &dns.A{Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET}, A: net.ParseIP(a)})
			}
		}
		_ = w.WriteMsg(m)
	})}
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	started, ended := make(chan struct{}), make(chan struct{})
	server.PacketConn, server.NotifyStartedFunc = conn, func() { close(started) }
	go func() {
		defer close(ended)
		_ = server.ActivateAndServe()
	}()
	<-started
	t.Cleanup(func() {
		_ = server.Shutdown()
		<-ended
	})
	port := twoAddresses(t)
	addresses.Store(&[]string{"127.0.0.1", "127.0.0.2"})
	text := fmt.Sprintf(`
_format_version: "3.0"
services:
- {name: s, host: orders.test, port: %d, routes: [{name: r, paths: [/api]}]}
- {name: other, host: nowhere.test, port: %d, routes: [{name: nowhere, paths: [/nowhere]}]}
- {name: balanced, host: pool, routes: [{name: p, paths: [/pool]}]}
upstreams: [{name: pool, targets: [{target: "v2.orders.test:%d"}]}]
`, port, port, port)
	g := start(t, echo, `{_format_version: "3.0"}`, nil)
	g.builder.Balancers = balancer.NewRegistry(balancer.Options{Resolver: resolve.New(resolve.Options{Servers: []string{conn.LocalAddr().String()}})})
	g.load(text)
	for _, c := range []struct{ path, host string }{{"/api", "orders.test"}, {"/pool", "v2.orders.test"}} {
		got := map[string]int{}
		for range 10 {
			r := g.get(c.path)
			r.want(t, 200, fmt.Sprintf(" as %s:%d", c.host, port))
			name, _, _ := strings.Cut(r.body, " ")
			got[name]++
		}
		if got["127.0.0.1"] != 5 || got["127.0.0.2"] != 5 {
			t.Errorf("%s: answers %v", c.path, got)
		}
	}
	addresses.Store(&[]string{"127.0.0.2"})
	for _, path := range []string{"/api", "/pool"} {
		run := 0
		for deadline := time.Now().Add(patience); run < 5; {
			if r := g.get(path); strings.HasPrefix(r.body, "127.0.0.2 ") {
				run++
			} else if run = 0; time.Now().After(deadline) {
				t.Fatalf("%s: the change is never seen", path)
			}
		}
	}
	g.get("/nowhere").want(t, 503, "name resolution failed")
}

// A place is an address; the certificate that it shows is that of the name.
func TestNameOfTheCertificate(t *testing.T) {
	var name atomic.Value
	server := httptest.NewUnstartedServer(echo)
	server.TLS = &tls.Config{GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		name.Store(h.ServerName)
		return nil, nil
	}}
	server.StartTLS()
	t.Cleanup(server.Close)
	_, port := split(t, server.Listener.Addr().String())
	service := fmt.Sprintf(`
_format_version: "3.0"
services:
- {name: s, url: "https://localhost:%d", routes: [{name: r, paths: [/name]}]}
- {name: p, url: "https://pool", routes: [{name: p, paths: [/pool]}]}
- {name: h, url: "https://hosted", routes: [{name: h, paths: [/hosted]}]}
upstreams:
- {name: pool, targets: [{target: "pool.localhost:%d"}]}
- {name: hosted, host_header: "shop.example:99", targets: [{target: "127.0.0.1:%d"}]}
`, port, port, port)
	g := start(t, echo, service, nil)
	for path, want := range map[string]string{"/name": "localhost", "/pool": "pool.localhost", "/hosted": "shop.example"} {
		host := fmt.Sprintf("Host: %s:%d\n", want, port)
		if path == "/hosted" {
			host = "Host: shop.example:99\n"
		}
		if g.get(path).want(t, 200, host); name.Load() != want {
			t.Errorf("%s: asked for the certificate of %q", path, name.Load())
		}
	}
}

// Under latency a try that failed costs the time that it took; how long a client took to send its body is not the target's doing.
func TestLatencyOfTries(t *testing.T) {
	registry := balancer.NewRegistry(balancer.Options{})
	t.Cleanup(registry.Close)
	b, err := registry.Take(&entity.Upstream{ID: "id", Name: "pool", Algorithm: "latency", Targets: []*entity.Target{{Target: "10.0.0.1:80", Weight: 1}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { registry.Return(b) })
	cost := func() float64 { return b.Status().Targets[0].Addresses[0].LatencyMS }
	for _, c := range []struct {
		body        io.Reader
		outcome     upstream.Outcome
		least, most float64
	}{
		{strings.NewReader("long"), upstream.Outcome{Status: 200, Head: time.Hour}, 0, 0},
		{nil, upstream.Outcome{Status: 200, Head: 100 * time.Second}, 1, 100_000},
		{nil, upstream.Outcome{Err: &upstream.Error{Kind: upstream.KindTimeout, Err: errNoBudget}, Lost: time.Hour}, 200_000, 3_600_000},
	} {
		r := &request{}
		r.out.Stream = c.body
		p, err := b.Choose(&balancer.Choice{Now: time.Now()})
		if err != nil {
			t.Fatal(err)
		}
		r.dest.balancer, r.dest.place = b, p
		b.Begin()
		r.Done(0, c.outcome)
		r.dest.reset()
		if got := cost(); got < c.least || got > c.most {
			t.Errorf("%+v costs %v ms, want %v to %v", c.outcome, got, c.least, c.most)
		}
	}
}
