package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/balancer"
)

// Active checks take a sick target away and bring it back, over reloads; what operators see says so.
func TestHealthOfTargets(t *testing.T) {
	var sick atomic.Bool
	serve := func(name string, answer func(w http.ResponseWriter)) string {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/health" {
				answer(w)
				return
			}
			_, _ = io.WriteString(w, name)
		}))
		t.Cleanup(s.Close)
		return s.Listener.Addr().String()
	}
	one := serve("one", func(w http.ResponseWriter) {
		if sick.Load() {
			w.WriteHeader(500)
		}
	})
	two := serve("two", func(http.ResponseWriter) {})
	text := fmt.Sprintf(`
services: [{name: s, host: pool, routes: [{name: r, paths: [/a]}]}]
upstreams:
- name: pool
  targets: [{target: %q}, {target: %q}]
  healthchecks:
    active: {http_path: /health, healthy: {interval: 0.02, successes: 1}, unhealthy: {interval: 0.02, http_failures: 2}}
`, one, two)
	h, get, set := started(t)
	reload := func(text string) {
		t.Helper()
		set(text)
		if err := h.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	status := func() balancer.Status { return operator{h, h.servers}.Status().Upstreams[0] }
	answers := func() map[string]int {
		got := map[string]int{}
		for range 10 {
			_, body := get("/a")
			got[body]++
		}
		return got
	}
	reload(text)
	if got := answers(); got["one"] != 5 || got["two"] != 5 {
		t.Errorf("answers %v", got)
	}
	sick.Store(true)
	await(t, "one is unhealthy", func() bool { return status().Targets[0].Health == "UNHEALTHY" })
	reload(text)
	if got := answers(); got["two"] != 10 {
		t.Errorf("answers %v while one is sick", got)
	}
	metrics, _, err := operator{h, h.servers}.Metrics()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		fmt.Sprintf("outrigger_upstream_target_healthy{address=%q,target=%q,upstream=\"pool\"} 0\n", one, one),
		fmt.Sprintf("outrigger_upstream_target_healthy{address=%q,target=%q,upstream=\"pool\"} 1\n", two, two),
		"outrigger_upstream_available_ratio{upstream=\"pool\"} 0.5\n",
	} {
		if !strings.Contains(string(metrics), want) {
			t.Errorf("no %q in the metrics", want)
		}
	}
	sick.Store(false)
	await(t, "one is healthy", func() bool { return status().Targets[0].Health == "HEALTHY" })
	if got := answers(); got["one"] != 5 || got["two"] != 5 {
		t.Errorf("answers %v", got)
	}
	reload("")
	if list := (operator{h, h.servers}).Upstreams(); len(list) != 0 {
		t.Errorf("upstreams %+v without any", list)
	}
}

func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never happened: %s", what)
		}
	}
}

func TestLookup(t *testing.T) {
	h, _, _ := started(t)
	addrs, err := h.lookup(context.Background(), "localhost")
	if err != nil || len(addrs) == 0 || !addrs[0].Addr().IsLoopback() {
		t.Errorf("%v, %v", addrs, err)
	}
	var missing *net.DNSError
	if _, err := h.lookup(context.Background(), "no-such-host.invalid"); !errors.As(err, &missing) {
		t.Errorf("error %v", err)
	}
}
