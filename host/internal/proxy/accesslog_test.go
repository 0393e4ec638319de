package proxy

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/outrigger-gateway/outrigger/host/internal/accesslog"
	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/plugins/keyauth"
)

const withKeys = `
_format_version: "3.0"
services:
- name: s
  id: 44444444-4444-4444-8444-444444444444
  url: "http://UPSTREAM/base"
  routes:
  - {name: r, id: 55555555-5555-4555-8555-555555555555, paths: [/api]}
  - {id: 66666666-6666-4666-8666-666666666666, paths: [/key], plugins: [{name: key-auth}]}
- {name: dead, url: "http://127.0.0.1:1", retries: 0, routes: [{name: dead, paths: [/dead]}]}
consumers: [{id: 11111111-1111-4111-8111-111111111111, custom_id: c-7, keyauth_credentials: [{key: k}]}]
`

// logging opens an access log with these fields; lines reads what is in it so far.
func logging(t testing.TB, names ...string) (log *accesslog.Log, lines func() []map[string]any) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "access.log")
	var fields []accesslog.Field
	for _, name := range names {
		f, err := accesslog.ParseField(name)
		if err != nil {
			t.Fatal(err)
		}
		fields = append(fields, f)
	}
	log, err := accesslog.Open(accesslog.Options{Path: path, Fields: fields, Room: 1 << 20, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := log.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return log, func() (list []map[string]any) {
		t.Helper()
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(data)) {
			if !strings.HasSuffix(line, "\n") {
				continue // it is being written
			}
			entry := map[string]any{}
			if err := json.Unmarshal([]byte(line), &entry); err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			list = append(list, entry)
		}
		return list
	}
}

// allFields are all, with a header for those that need one.
func allFields() []string {
	var names []string
	for _, name := range accesslog.Names() {
		names = append(names, strings.Replace(name, "NAME", "X-One", 1))
	}
	return names
}

func TestAccessLogFields(t *testing.T) {
	log, lines := logging(t, allFields()...)
	up := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("X-One", "from above")
		w.WriteHeader(http.StatusAccepted)
		for range 3 {
			_, _ = io.WriteString(w, "piece")
			w.(http.Flusher).Flush()
		}
	})
	exit := &access{func(k *pdk.PDK) error {
		if do, _ := k.Request.GetHeader("X-Do"); do == "exit" {
			return k.Response.Exit(429, "slow down", nil)
		}
		return k.ServiceRequest.SetHeader("User-Agent", "changed")
	}}
	g := start(t, up, withKeys+"plugins: [{name: do, route: r}]\n", []pdk.Plugin{plugin("do", 1, exit), keyauth.Plugin}, func(o *Options) {
		trustLoopback(o)
		o.AccessLog = log
	})
	upstream := g.upstream
	for _, c := range []struct {
		name    string
		request string
		want    map[string]any // nil: the field is not there
	}{
		{"proxied, body in pieces", "POST /api/x%20y?q=%22 HTTP/1.1\r\nHost: Shop.Example:81\r\nUser-Agent: \"me\"\r\nReferer: /from\r\nX-One: 1\r\nx-one: 2\r\nX-Real-IP: 1.2.3.4:56\r\nContent-Length: 5\r\n\r\nhello", map[string]any{
			"client_ip": "1.2.3.4", "client_port": 56.0, "peer_ip": "127.0.0.1", "method": "POST", "scheme": "http", "host": "shop.example", "path": "/api/x%20y", "query": "q=%22",
			"protocol": "HTTP/1.1", "status": 202.0, "source": "service", "route": "r", "route_id": "55555555-5555-4555-8555-555555555555", "service": "s",
			"service_id": "44444444-4444-4444-8444-444444444444", "consumer": nil, "consumer_id": nil, "upstream": upstream, "upstream_status": 202.0,
			"request_bytes": 5.0, "response_bytes": 15.0, "user_agent": `"me"`, "referer": "/from", "request_header.X-One": "1", "response_header.X-One": "from above",
		}},
		{"a consumer, HTTP/1.0", "GET /key HTTP/1.0\r\nHost: a\r\napikey: k\r\n\r\n", map[string]any{
			"client_ip": "127.0.0.1", "protocol": "HTTP/1.0", "route": "66666666-6666-4666-8666-666666666666", "consumer": "c-7", "consumer_id": "11111111-1111-4111-8111-111111111111",
			"query": nil, "user_agent": nil, "referer": nil, "request_header.X-One": nil, "request_bytes": 0.0, "status": 202.0,
		}},
		{"answered by a plugin", "GET /api HTTP/1.1\r\nHost: a\r\nX-Do: exit\r\n\r\n", map[string]any{
			"status": 429.0, "source": "exit", "route": "r", "upstream": nil, "upstream_status": nil, "upstream_ms": nil, "response_bytes": 9.0, "response_header.X-One": nil,
		}},
		{"no route", "GET /none HTTP/1.1\r\nHost: a\r\n\r\n", map[string]any{"status": 404.0, "source": "error", "route": nil, "service": nil, "service_id": nil, "upstream": nil}},
		{"no upstream", "GET /dead HTTP/1.1\r\nHost: a\r\n\r\n", map[string]any{"status": 502.0, "source": "error", "route": "dead", "upstream": "127.0.0.1:1", "upstream_status": nil}},
		{"HEAD", "HEAD /none HTTP/1.1\r\nHost: a\r\n\r\n", map[string]any{"method": "HEAD", "status": 404.0, "response_bytes": 0.0}},
		{"bytes that are no text", "GET /\xffnone HTTP/1.1\r\nHost: a\r\nUser-Agent: \xfe\x1b\r\nX-One: a\tb\r\n\r\n", nil},
		{"a request that cannot be read", "GET /api HTTP/1.1\r\nHost : a\r\n\r\n", map[string]any{"status": 400.0, "source": "error", "client_ip": "127.0.0.1", "peer_ip": "127.0.0.1", "method": nil, "path": nil, "route": nil}},
	} {
		before := len(lines())
		answer := exchanged(t, g.addr, c.request)
		eventually(t, "the line of "+c.name, func() bool { return len(lines()) == before+1 })
		entry := lines()[before]
		for name, want := range c.want {
			if got, there := entry[name]; got != want || there == (want == nil) {
				t.Errorf("%s: %s is %v, expected %v", c.name, name, got, want)
			}
		}
		if ids := answer.values("X-Kong-Request-Id"); len(ids) != 1 || entry["request_id"] != ids[0] {
			t.Errorf("%s: request_id %v, the client was told %v", c.name, entry["request_id"], ids)
		}
		if strings.Contains(answer.first, " ") && !strings.Contains(answer.first, fmt.Sprint(entry["status"])) {
			t.Errorf("%s: status %v, the client got %s", c.name, entry["status"], answer.first)
		}
		if c.want["method"] != nil || c.name == "no route" {
			took, ok := entry["duration_ms"].(float64)
			if until, known := entry["gateway_ms"].(float64); !ok || !known || took < 0 || until > took {
				t.Errorf("%s: times %v of %v", c.name, entry["gateway_ms"], entry["duration_ms"])
			}
		}
	}
	if log.Dropped() != 0 {
		t.Errorf("%d lines dropped", log.Dropped())
	}
}

// The order of the fields is that of the setting, and a line has no others.
// A plugin may take the host of its target from a request: it stays one string.
func TestAccessLogTarget(t *testing.T) {
	for host, want := range map[string]string{
		"a.example": `"a.example:80"`, "::1": `"[::1]:80"`, "[::1]": `"[::1]:80"`, `a"b`: `"a\"b:80"`,
		`::1%","status":200,"b":"c`: `"[::1%\",\"status\":200,\"b\":\"c]:80"`, "\u009b": `"\u009b:80"`,
	} {
		if got := string(appendTarget(nil, host, 80)); got != want {
			t.Errorf("%q: found %s, expected %s", host, got, want)
		}
	}
}

func TestAccessLogChoice(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.log")
	var fields []accesslog.Field
	for _, name := range []string{"route", "status", "method"} {
		f, err := accesslog.ParseField(name)
		if err != nil {
			t.Fatal(err)
		}
		fields = append(fields, f)
	}
	log, err := accesslog.Open(accesslog.Options{Path: path, Fields: fields, Room: 1 << 20, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	g := start(t, echo, plain, nil, func(o *Options) { o.AccessLog = log })
	g.get("/none")
	g.get("/api")
	if err := log.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if want := "{\"status\":404,\"method\":\"GET\"}\n{\"route\":\"r\",\"status\":200,\"method\":\"GET\"}\n"; err != nil || string(data) != want {
		t.Errorf("found %s %v, expected %s", data, err, want)
	}
}

// A client that goes in the middle leaves a line too.
func TestAccessLogOfAnAbortedResponse(t *testing.T) {
	log, lines := logging(t, "status", "response_bytes", "path")
	up := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "begin")
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	})
	g := start(t, up, plain, nil, func(o *Options) { o.AccessLog = log })
	resp, err := client.Get("http://" + g.addr + "/api")
	if err == nil {
		_, err = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
	if err == nil {
		t.Error("the client saw a whole response")
	}
	eventually(t, "the line", func() bool { return len(lines()) == 1 })
	if e := lines()[0]; e["status"] != 200.0 || e["response_bytes"] != 5.0 {
		t.Errorf("%v", e)
	}
}
