package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/explain"
	"github.com/outrigger-gateway/outrigger/host/internal/pluginserver"
)

// fakeGateway answers with what it was asked.
type fakeGateway struct {
	Replacer
	Upgrader
	LogLevels
	Differ
	asked explain.Query
	err   error

	unready []Reason
}

func (g *fakeGateway) Explain(q explain.Query) (*explain.Report, error) {
	g.asked = q
	return &explain.Report{Request: explain.Request{Method: q.Method}}, g.err
}

func (g *fakeGateway) Status() Status {
	return Status{Version: "1", Generation: Generation{Number: 7}, PluginServers: []pluginserver.Status{{State: pluginserver.State{Server: "py", State: "down"}}}}
}

func (g *fakeGateway) Unready() []Reason { return g.unready }

func (g *fakeGateway) Metrics() ([]byte, string, error) {
	return []byte("up 1\n"), "text/plain; version=0.0.4; charset=utf-8", g.err
}

// served starts an Admin server on a listener of the test, and a client for it.
func served(t *testing.T, g Gateway, address string) *http.Client {
	t.Helper()
	ln, err := Listen(address)
	if err != nil {
		t.Fatal(err)
	}
	s := New(g, slog.New(slog.DiscardHandler))
	s.Serve(ln)
	t.Cleanup(func() {
		if err := s.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, ln.Addr().Network(), ln.Addr().String())
	}
	return &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}
}

func ask(t *testing.T, client *http.Client, method, target string) (int, map[string]any) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://localhost"+target, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if got := resp.Header.Get("Content-Type"); got != "application/json; charset=utf-8" {
		t.Errorf("%s: content type %q", target, got)
	}
	body := map[string]any{}
	if err := json.Unmarshal(text, &body); err != nil {
		t.Fatalf("%s: %v in %q", target, err, text)
	}
	return resp.StatusCode, body
}

func TestAdmin(t *testing.T) {
	g := &fakeGateway{}
	client := served(t, g, "127.0.0.1:0")
	query := url.Values{
		"method": {"PUT"}, "url": {"http://h/p?a=b&c"}, "header": {"X-A: 1", "X-B: 2"}, "sni": {"s"}, "client_ip": {"::1"}, "consumer": {"ann"},
		"group": {"gold", "silver"}, "credential": {"key-auth=k=v"},
	}
	status, body := ask(t, client, "GET", "/explain?"+query.Encode())
	want := explain.Query{
		Method: "PUT", URL: "http://h/p?a=b&c", Headers: []string{"X-A: 1", "X-B: 2"}, SNI: "s", ClientIP: "::1", Consumer: "ann",
		Groups: []string{"gold", "silver"}, Credential: "key-auth=k=v",
	}
	if status != 200 || !reflect.DeepEqual(g.asked, want) || body["request"].(map[string]any)["method"] != "PUT" {
		t.Errorf("found %d, %v and the query %+v, expected %+v", status, body, g.asked, want)
	}
	if status, body = ask(t, client, "GET", "/status"); status != 200 || body["generation"].(map[string]any)["number"] != 7.0 || body["plugin_servers"].([]any)[0].(map[string]any)["server"] != "py" {
		t.Errorf("found %d %v", status, body)
	}
}

func TestAdminErrors(t *testing.T) {
	for _, c := range []struct {
		name, method, target string
		err                  error
		status               int
		want                 map[string]any
	}{
		{"path", "GET", "/routes", nil, 404, map[string]any{"message": "there is nothing at /routes; expected /status, /status/ready, /ready, /metrics, /upstreams/{name}/health, /upstreams/{name}/targets/{target}/healthy, /upstreams/{name}/targets/{target}/unhealthy, /upstreams/{name}/targets/{target}/{address}/healthy, /upstreams/{name}/targets/{target}/{address}/unhealthy, /debug/node/log-level, /debug/node/log-level/{level}, /explain, /config/diff, /plugin-servers/{name}/replace, /plugin-servers/{name}/promote, /plugin-servers/{name}/rollback or /upgrade"}},
		{"method", "POST", "/status", nil, 405, map[string]any{"message": "found method POST, expected GET"}},
		{"parameter", "GET", "/explain?path=/", nil, 400, map[string]any{
			"message": "unknown parameter", "field": "path", "found": "path", "expected": "method, url, header, sni, client_ip, consumer, group or credential",
		}},
		{"query", "GET", "/explain?consumer=an", &explain.QueryError{Field: "consumer", Found: "an", Expected: "a consumer"}, 400, map[string]any{
			"message": `consumer: found "an", expected a consumer`, "field": "consumer", "found": "an", "expected": "a consumer",
		}},
		{"metrics", "GET", "/metrics", errors.New("broken"), 500, map[string]any{"message": "broken"}},
		{"gateway", "GET", "/explain", errors.New("no configuration is live"), 503, map[string]any{"message": "no configuration is live"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			status, body := ask(t, served(t, &fakeGateway{err: c.err}, "127.0.0.1:0"), c.method, c.target)
			if status != c.status || !reflect.DeepEqual(body, c.want) {
				t.Errorf("found %d %v, expected %d %v", status, body, c.status, c.want)
			}
		})
	}
}

// panicky has a bug.
type panicky struct{ *fakeGateway }

func (panicky) Status() Status { panic("a bug") }

func TestAPanicIsAnAnswer(t *testing.T) {
	client := served(t, panicky{&fakeGateway{}}, "127.0.0.1:0")
	for range 2 {
		if status, body := ask(t, client, "GET", "/status"); status != 500 || body["message"] != "the gateway has a bug here: its log says more" {
			t.Errorf("found %d %v", status, body)
		}
	}
	if status, _ := ask(t, client, "GET", "/ready"); status != 200 {
		t.Errorf("found %d behind a panic", status)
	}
}

// A socket is its user's alone from the moment that it has a name.
func TestSocketsAreBornPrivate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	ln, err := private(path)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != socketMode {
		t.Errorf("found %v, %v; expected mode 0600", st.Mode(), err)
	}
}

// A socket is for its user alone; one that was left behind is replaced, one in use and another file are not.
func TestListenUnix(t *testing.T) {
	dir, err := os.MkdirTemp("", "adm")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "s")
	left, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	left.SetUnlinkOnClose(false)
	if err := left.Close(); err != nil {
		t.Fatal(err)
	}
	client := served(t, &fakeGateway{}, "unix://"+path)
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("found %v, %v; expected mode 0600", st, err)
	}
	if status, _ := ask(t, client, "GET", "/status"); status != 200 {
		t.Errorf("found %d", status)
	}
	if _, err := Listen("unix://" + path); err == nil {
		t.Error("a socket in use is taken over")
	}
	file := filepath.Join(dir, "f")
	if err := os.WriteFile(file, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen("unix://" + file); err == nil {
		t.Error("a file is replaced")
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != "mine" {
		t.Errorf("the file holds %q, %v", text, err)
	}
}

// An address that others may reach is named in the log, and a loopback one is not.
func TestListenPublic(t *testing.T) {
	for address, warned := range map[string]bool{"0.0.0.0:0": true, "127.0.0.1:0": false} {
		var log bytes.Buffer
		ln, err := Listen(address)
		if err != nil {
			t.Fatal(err)
		}
		_ = ln.Close()
		WarnReachable(ln.Addr(), slog.New(slog.NewTextHandler(&log, nil)))
		if strings.Contains(log.String(), "WARN") != warned {
			t.Errorf("%s: found the log %q", address, log.String())
		}
	}
}

func TestNamesThatPointHere(t *testing.T) {
	loopback, other := &net.TCPAddr{IP: net.IPv6loopback, Port: 1}, &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1}
	for _, c := range []struct {
		local net.Addr
		host  string
		want  bool
	}{
		{loopback, "localhost:8001", false}, {loopback, "localhost", false}, {loopback, "127.0.0.1:8001", false}, {loopback, "[::1]:8001", false}, {loopback, "[::1]", false},
		{loopback, "evil.example:8001", true}, {loopback, "localhost.evil.example", true}, {loopback, "", true},
		{other, "gateway.example:8001", false}, {&net.UnixAddr{Name: "/s", Net: "unix"}, "any", false},
	} {
		if got := misled(c.local, c.host); got != c.want {
			t.Errorf("%v, host %q: %t", c.local, c.host, got)
		}
	}
	client := served(t, &fakeGateway{}, "127.0.0.1:0")
	req, err := http.NewRequestWithContext(t.Context(), "GET", "http://evil.example/status", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusForbidden {
		t.Errorf("status %d", resp.StatusCode)
	}
}
