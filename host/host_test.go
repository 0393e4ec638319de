package host

import (
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/outrigger-gateway/outrigger/pdk"
)

// started is a gateway on a port of its own with a configuration that set changes.
func started(t *testing.T, plugins ...pdk.Plugin) (h *Host, get func(path string) (int, string), set func(text string)) {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "gateway.yaml")
	set = func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte("_format_version: \"3.0\"\n"+text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	set("routes: [{name: r, paths: [/a]}]\n")
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { log.Close() })
	h, err = New(Options{
		Flags:   map[string]string{"proxy_listen": "127.0.0.1:0", "declarative_config": path, "drain_timeout": "1s"},
		Plugins: plugins, Log: log,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Shutdown(context.Background()); err != nil {
			t.Errorf("shutdown: %v", err)
		}
	})
	client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	get = func(path string) (int, string) {
		t.Helper()
		resp, err := client.Get("http://" + h.Addresses()[0] + path)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(b)
	}
	return h, get, set
}

func TestReload(t *testing.T) {
	h, get, set := started(t)
	for path, want := range map[string]int{"/a": 503, "/b": 404} {
		if status, body := get(path); status != want {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	set("routes: [{name: r, paths: [/b]}]\n")
	if err := h.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if status, _ := get("/b"); status != 503 {
		t.Errorf("/b after the reload: %d", status)
	}
	set("routes: [{name: r, paths: [c]}]\n")
	if err := h.Reload(t.Context()); err == nil || !strings.Contains(err.Error(), "gateway.yaml:2:") {
		t.Errorf("error %v", err)
	}
	set("plugins: [{name: nonsense}]\n")
	if err := h.Reload(t.Context()); err == nil || !strings.Contains(err.Error(), "nonsense") {
		t.Errorf("error %v", err)
	}
	if err := os.Truncate(h.settings.DeclarativeConfig, 0); err != nil {
		t.Fatal(err)
	}
	if err := h.Reload(t.Context()); err == nil || !strings.Contains(err.Error(), "_format_version") {
		t.Errorf("a file without content: error %v", err)
	}
	if status, _ := get("/b"); status != 503 {
		t.Errorf("/b after refused reloads: %d", status)
	}
	set("")
	if err := h.Reload(t.Context()); err != nil {
		t.Errorf("an empty configuration: %v", err)
	}
	if status, _ := get("/b"); status != 404 {
		t.Errorf("/b without routes: %d", status)
	}
}

// A plugin server that comes up makes nothing live that nobody has asked for.
func TestCompletedWithoutTheFile(t *testing.T) {
	h, get, set := started(t)
	set("routes: [{name: r, paths: [/b]}]\n")
	before := h.generations.Current().Number
	if err := h.completed(t.Context()); err != nil {
		t.Fatal(err)
	}
	if now := h.generations.Current().Number; now != before+1 {
		t.Errorf("found generation %d, expected %d", now, before+1)
	}
	if status, _ := get("/b"); status != 404 {
		t.Errorf("found %d for a route of the file, expected 404", status)
	}
	if status, _ := get("/a"); status != 503 {
		t.Errorf("found %d for a live route, expected 503", status)
	}
}

// Reloads from all sides while the gateway shuts down: nothing becomes live behind the end, and nothing hangs.
func TestReloadsDuringShutdown(t *testing.T) {
	var mu sync.Mutex
	live := 0
	count := func(n int) error {
		mu.Lock()
		defer mu.Unlock()
		live += n
		return nil
	}
	h, _, set := started(t, pdk.Plugin{Name: "counted", Version: "1", Priority: 1, New: func() any { return &counted{count: count} }})
	set("plugins: [{name: counted, config: {v: 1}}]\n")
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for h.Reload(context.Background()) == nil {
			}
		})
	}
	if err := h.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if err := h.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	wg.Wait()
	mu.Lock()
	defer mu.Unlock()
	if live != 0 {
		t.Errorf("%d instances are still configured", live)
	}
	if h.generations.Current() != nil {
		t.Error("a generation is live after the shutdown")
	}
}

type counted struct {
	V     int `json:"v"`
	count func(int) error
}

func (c *counted) Configure() error      { return c.count(1) }
func (c *counted) Close() error          { return c.count(-1) }
func (c *counted) Access(*pdk.PDK) error { return nil }

func TestStartFailsCleanly(t *testing.T) {
	h, _, _ := started(t)
	second, err := New(Options{Flags: map[string]string{"proxy_listen": h.Addresses()[0], "echo_listen": "127.0.0.1:0"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "proxy_listen") {
		t.Errorf("error %v", err)
	}
	if second.http != nil || second.echo != nil || second.upstream != nil || second.servers != nil {
		t.Error("something is left running")
	}
	if lines := second.Hints(); lines != nil {
		t.Errorf("hints %v", lines)
	}
}
