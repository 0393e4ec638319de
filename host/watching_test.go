package host

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/outrigger-gateway/outrigger/pdk"
)

// watchedHost is a gateway with an access log, an Admin listener and settings in a file, which set writes.
type watchedHost struct {
	*Host
	t      *testing.T
	dir    string
	client *http.Client
	admin  *http.Client
}

func startWatched(t *testing.T, settings string, plugins ...pdk.Plugin) *watchedHost {
	t.Helper()
	w := &watchedHost{t: t, dir: t.TempDir()}
	w.write("gateway.yaml", "_format_version: \"3.0\"\nroutes: [{name: r, paths: [/a]}]\n"+pluginsOf(plugins))
	w.set(settings)
	log, err := os.Create(w.path("log"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { log.Close() })
	w.Host, err = New(Options{SettingsFile: w.path("outrigger.yaml"), Plugins: plugins, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Shutdown(context.Background()); err != nil {
			t.Errorf("shutdown: %v", err)
		}
	})
	w.client = &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	w.admin = &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", w.path("admin.sock"))
	}}}
	return w
}

func pluginsOf(plugins []pdk.Plugin) string {
	if len(plugins) == 0 {
		return ""
	}
	return "plugins: [{name: " + plugins[0].Name + "}]\n"
}

func (w *watchedHost) path(name string) string { return filepath.Join(w.dir, name) }

func (w *watchedHost) write(name, text string) {
	w.t.Helper()
	if err := os.WriteFile(w.path(name), []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// set writes the settings: those of every such host, and more.
func (w *watchedHost) set(more string) {
	w.t.Helper()
	w.write("outrigger.yaml", "proxy_listen: 127.0.0.1:0\ndeclarative_config: gateway.yaml\ndrain_timeout: 1s\nadmin_listen: unix://"+w.path("admin.sock")+"\n"+more)
}

func (w *watchedHost) read(name string) string {
	w.t.Helper()
	data, err := os.ReadFile(w.path(name))
	if err != nil && !os.IsNotExist(err) {
		w.t.Fatal(err)
	}
	return string(data)
}

// ask sends a request and gives status and body.
func (w *watchedHost) ask(client *http.Client, method, url string) (int, string) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), method, url, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	if got := resp.Header.Get("X-Kong-Admin-Latency"); client == w.admin && got == "" {
		w.t.Error("the Admin listener does not tell its latency")
	}
	return resp.StatusCode, string(body)
}

func (w *watchedHost) get(path string) (int, string) {
	return w.ask(w.client, http.MethodGet, "http://"+w.Addresses()[0]+path)
}

func (w *watchedHost) eventually(what string, ok func() bool) {
	w.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			w.t.Fatalf("not within 20 s: %s", what)
		}
	}
}

// The access log is where the settings say, SIGHUP opens it anew, and the end writes the last line.
func TestAccessLog(t *testing.T) {
	const more = "proxy_access_log: access.log\nproxy_access_log_fields: path, status, route\n"
	w := startWatched(t, more)
	w.get("/a")
	w.eventually("the first line", func() bool { return w.read("access.log") == `{"path":"/a","status":503,"route":"r"}`+"\n" })
	if err := os.Rename(w.path("access.log"), w.path("access.log.1")); err != nil {
		t.Fatal(err)
	}
	if err := w.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.get("/b")
	w.eventually("the line in the new file", func() bool { return w.read("access.log") == `{"path":"/b","status":404}`+"\n" })
	if text, _, err := (operator{w.Host, nil}).Metrics(); err != nil || !strings.Contains(string(text), "outrigger_access_log_dropped_total 0") {
		t.Errorf("the metrics say nothing of the access log: %v", err)
	}
	w.get("/c")
	if err := w.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := w.read("access.log"); !strings.HasSuffix(got, `{"path":"/c","status":404}`+"\n") {
		t.Errorf("the last line is not there: %s", got)
	}
}

func TestAccessLogThatCannotBeOpened(t *testing.T) {
	h, err := New(Options{Flags: map[string]string{"proxy_listen": "127.0.0.1:0", "proxy_access_log": filepath.Join(t.TempDir(), "none", "access.log")}, Log: os.Stderr})
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "proxy_access_log: open ") || !strings.Contains(err.Error(), "no such file or directory") {
		t.Errorf("the start gives %v", err)
	}
}

// talker logs at two levels.
type talker struct{}

func (*talker) Access(k *pdk.PDK) error {
	k.Log.Debug("said quietly")
	k.Log.Notice("said aloud")
	return nil
}

func TestLogLevelAtRunTime(t *testing.T) {
	w := startWatched(t, "", pdk.Plugin{Name: "talker", Version: "1", Priority: 1, New: func() any { return &talker{} }})
	heard := func() (quietly, aloud int) {
		w.get("/a")
		log := w.read("log")
		return strings.Count(log, "said quietly"), strings.Count(log, "said aloud")
	}
	level := func(method, path string) (level, until string) {
		t.Helper()
		status, body := w.ask(w.admin, method, "http://localhost/debug/node/log-level"+path)
		var answer struct{ Level, Setting, Until string }
		if err := json.Unmarshal([]byte(body), &answer); err != nil || status != http.StatusOK || answer.Setting != "notice" {
			t.Fatalf("%s %s: %d %s %v", method, path, status, body, err)
		}
		return answer.Level, answer.Until
	}
	expect := func(when string, wantQuietly, wantAloud int) {
		t.Helper()
		if quietly, aloud := heard(); quietly != wantQuietly || aloud != wantAloud {
			t.Errorf("%s: heard %d and %d, expected %d and %d", when, quietly, aloud, wantQuietly, wantAloud)
		}
	}
	expect("at first", 0, 1)
	if l, until := level("PUT", "/debug?timeout=3600"); l != "debug" || until == "" {
		t.Errorf("level %s until %q", l, until)
	}
	expect("debug for an hour", 1, 2)
	if l, until := level("PUT", "/error?timeout=0"); l != "error" || until != "" {
		t.Errorf("level %s until %q", l, until)
	}
	expect("error for good", 1, 2)
	level("PUT", "/debug?timeout=0.05")
	w.eventually("the level of the settings again", func() bool { l, _ := level("GET", ""); return l == "notice" })
	expect("behind the time", 1, 3)
	if !strings.Contains(w.read("log"), "that of the settings again") {
		t.Error("the log does not tell that the level is back")
	}
	if status, body := w.ask(w.admin, "PUT", "http://localhost/debug/node/log-level/loud"); status != http.StatusBadRequest {
		t.Errorf("a level that does not exist: %d %s", status, body)
	}

	w.set("log_level: debug\n")
	if err := w.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	expect("debug by the settings", 2, 4)
	if strings.Contains(w.read("log"), "needs a restart") {
		t.Error("the log says that the level needs a restart")
	}
}
