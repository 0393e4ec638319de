package admin

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"reflect"
	"testing"
	"time"
)

// The status listener answers those who watch, and explains nothing.
func TestStatusListener(t *testing.T) {
	g := &fakeGateway{}
	s := NewStatus(g, slog.New(slog.DiscardHandler))
	ln, err := Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.Serve(ln)
	t.Cleanup(func() {
		if err := s.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	get := func(path string) (int, string, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+ln.Addr().String()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, resp.Header.Get("Content-Type"), string(body)
	}
	if status, kind, body := get("/metrics"); status != 200 || kind != "text/plain; version=0.0.4; charset=utf-8" || body != "up 1\n" {
		t.Errorf("found %d %q %q", status, kind, body)
	}
	if status, _, _ := get("/status"); status != 200 {
		t.Errorf("/status: found %d", status)
	}
	if status, _, _ := get("/explain?url=http://h/"); status != 404 {
		t.Errorf("/explain: found %d, expected 404", status)
	}
}

func TestReady(t *testing.T) {
	for _, path := range []string{"/ready", "/status/ready"} {
		if status, body := ask(t, served(t, &fakeGateway{}, "127.0.0.1:0"), "GET", path); status != 200 || !reflect.DeepEqual(body, map[string]any{"ready": true}) {
			t.Errorf("%s: found %d %v", path, status, body)
		}
		g := &fakeGateway{unready: []Reason{{Server: "py", State: "down", Reason: "exit status 1"}}}
		status, body := ask(t, served(t, g, "127.0.0.1:0"), "GET", path)
		want := map[string]any{"ready": false, "reasons": []any{map[string]any{"server": "py", "state": "down", "reason": "exit status 1"}}}
		if status != 503 || !reflect.DeepEqual(body, want) {
			t.Errorf("%s: found %d %v, expected 503 %v", path, status, body, want)
		}
	}
}
