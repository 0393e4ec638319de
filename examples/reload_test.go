package examples

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
)

// greetings is a configuration in which every language greets with a word.
func greetings(upstream, word string) string {
	var plugins []string
	for _, l := range languages {
		plugins = append(plugins, fmt.Sprintf("{name: hello-%s, config: {greeting: %s}}", l.name, word))
	}
	return routes(upstream, route("/hello", plugins...))
}

// A broken gateway.yaml is refused with line and column, and the old configuration keeps serving, whatever is wrong with the new one.
func TestLesson08BrokenReloadIsRefused(t *testing.T) {
	t.Parallel()
	up := echoUpstream(t)
	g := launch{settings: settings{"plugin_servers": exampleServers("msgpack")}, entities: greetings(up.URL, "one")}.start(t)
	for _, c := range []struct {
		name, entities string
		parts          []string
	}{
		{"syntax", "_format_version: \"3.0\"\nservices:\n  - name: [\n", []string{"gateway.yaml:"}},
		{"tab", "_format_version: \"3.0\"\nservices:\n\t- name: a\n", []string{"gateway.yaml:3:1"}},
		{"unknown key", "_format_version: \"3.0\"\nservices:\n- nmae: a\n  url: http://127.0.0.1:9\n", []string{"gateway.yaml:3:3", `unknown key "nmae"`, "nearest: name"}},
		{"plugin config", strings.ReplaceAll(greetings(up.URL, "two"), "hello-js, config: {greeting: two}", "hello-js, config: {greeting: [two]}"), []string{"gateway.yaml:6:", "services[0].routes[0].plugins[2].config.greeting", "found a list", "expected a string"}},
		{"unknown plugin", greetings(up.URL, "two") + "plugins: [{name: hello-rust}]\n", []string{"gateway.yaml:7:", `found "hello-rust"`}},
		{"no format", "services: []\n", []string{"gateway.yaml:1:", "_format_version"}},
	} {
		refused := g.hup(t, c.entities)
		if refused.text("msg") != reloadRefused {
			t.Fatalf("%s: the reload was taken: %v", c.name, refused)
		}
		for _, part := range c.parts {
			if !strings.Contains(refused.text("error"), part) {
				t.Errorf("%s: the log has %q, expected it to hold %q", c.name, refused.text("error"), part)
			}
		}
		for _, l := range languages {
			g.get(t, "/hello").want(t, 200).wantHeader(t, "X-Hello-"+l.suffix, "one, world")
		}
	}
	if err := os.Remove(g.entities); err != nil {
		t.Fatal(err)
	}
	g.reload(t, greetings(up.URL, "three"))
	for _, l := range languages {
		g.get(t, "/hello").want(t, 200).wantHeader(t, "X-Hello-"+l.suffix, "three, world")
	}
}

// Reloads while requests flow: none fails, none sees half of the old and half of the new configuration, and a request that begins after the
// change was acknowledged sees it.
func TestLesson15ReloadUnderLoad(t *testing.T) {
	t.Parallel()
	for _, carrier := range carriers {
		t.Run(carrier, func(t *testing.T) {
			t.Parallel()
			reloadUnderLoad(t, carrier)
		})
	}
}

func reloadUnderLoad(t *testing.T, carrier string) {
	up := echoUpstream(t)
	g := launch{settings: settings{"plugin_servers": exampleServers(carrier)}, entities: greetings(up.URL, "w0")}.start(t)
	const reloads, workers = 10, 6
	var acknowledged atomic.Int64 // number of the last configuration known to be live
	var requests atomic.Int64
	stop := make(chan struct{})
	var clients sync.WaitGroup
	for range workers {
		clients.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				oldest := acknowledged.Load()
				a, err := g.do("GET", "/hello", nil)
				if err != nil || a.status != 200 {
					t.Errorf("a request failed during a reload: %v %v", a, err)
					return
				}
				requests.Add(1)
				word, _, _ := strings.Cut(a.header.Get("X-Hello-Go"), ",")
				for _, l := range languages {
					if found := a.header.Get("X-Hello-" + l.suffix); found != word+", world" {
						t.Errorf("the answer mixes two configurations: %v", a.header)
					}
				}
				var n int64
				if _, err := fmt.Sscanf(word, "w%d", &n); err != nil || n < oldest {
					t.Errorf("found the configuration %q after %d was acknowledged", word, oldest)
				}
			}
		})
	}
	defer clients.Wait()
	defer close(stop)
	for n := range reloads {
		before := requests.Load()
		g.reload(t, greetings(up.URL, fmt.Sprintf("w%d", n+1)))
		acknowledged.Store(int64(n + 1))
		eventually(t, patience, "requests after a reload", func() (bool, string) {
			return requests.Load() > before+2*workers || t.Failed(), fmt.Sprint(requests.Load()-before, " requests")
		})
	}
}

// A reload while a plugin server is down: what is known of it is enough to take the new configuration, which it gets when it is back. Of a server that
// never came nothing is known, and a plugin that it may offer is refused.
func TestReloadWhileDown(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp(built.temp, "s")
	if err != nil {
		t.Fatal(err)
	}
	address := "unix://" + filepath.Join(dir, "p.sock")
	up := echoUpstream(t)
	servers := []server{
		{"name": "python", "address": address, "timeout": "10s"},
		{"name": "never", "address": "unix://" + filepath.Join(dir, "never.sock"), "start_timeout": "1s"},
	}
	entities := func(greeting string) string {
		return routes(up.URL, route("/hello", "{name: hello-python, config: {greeting: "+greeting+"}}"))
	}
	python := attach(t, "python", address)
	g := launch{late: true, settings: settings{"plugin_servers": servers}, entities: entities("one")}.start(t)
	eventually(t, startPatience, "the attached server", func() (bool, string) {
		a := g.get(t, "/hello")
		return a.status == 200 && a.header.Get("X-Hello-Python") == "one, world", a.String()
	})
	mark := g.log.mark()
	python.end(t, syscall.SIGKILL)
	g.log.waitFields(t, mark, "msg", "plugin server is not ready", "server", "python")
	g.reload(t, entities("two"))
	g.get(t, "/hello").want(t, 500)

	bad := g.hup(t, entities("[three]"))
	if bad.text("msg") != reloadRefused || !strings.Contains(bad.text("error"), "gateway.yaml:6:") {
		t.Errorf("a wrong configuration was taken while the server was down: %v", bad)
	}
	unknown := g.hup(t, routes(up.URL, route("/hello", "{name: hello-pyhton}")))
	if unknown.text("msg") != reloadRefused || !strings.Contains(unknown.text("error"), "hello-pyhton") {
		t.Errorf("a plugin that nobody has offered was taken by a reload: %v", unknown)
	}
	g.get(t, "/hello").want(t, 500)

	attach(t, "python", address)
	eventually(t, startPatience, "the new configuration on the new process", func() (bool, string) {
		a := g.get(t, "/hello")
		return a.status == 200, a.String()
	})
	g.get(t, "/hello").want(t, 200).wantHeader(t, "X-Hello-Python", "two, world")
}
