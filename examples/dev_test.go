package examples

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
)

// devPlugin is a plugin in a directory of its own, whose source the test writes.
type devPlugin struct {
	lang   string
	dir    string
	file   string // of the source
	source string // with VERSION, which access and header_filter show
	broken string // what makes the source none
	error  string // part of what is told of the broken source
}

const devPython = `from dataclasses import dataclass

import outrigger


@dataclass
class VersionedConfig:
    mark: str = outrigger.setting(default="none", min_length=1)


class Versioned(outrigger.Plugin):
    name = "versioned"
    version = "0.1.0"
    priority = 500
    Config = VersionedConfig
    config: VersionedConfig

    def access(self, kong: outrigger.PDK) -> None:
        kong.response.set_header("X-Access", "VERSION")
        kong.response.set_header("X-Mark", self.config.mark)

    def header_filter(self, kong: outrigger.PDK) -> None:
        kong.response.set_header("X-Filter", "VERSION")
`

const devJS = `import { definePlugin } from "SDK";

class Versioned {
  constructor(config) {
    this.config = config;
  }
  access(kong) {
    kong.response.setHeader("X-Access", "VERSION");
    kong.response.setHeader("X-Mark", this.config.mark);
  }
  headerFilter(kong) {
    kong.response.setHeader("X-Filter", "VERSION");
  }
}

export default definePlugin({
  name: "versioned", version: "0.1.0", priority: 500, instance: Versioned,
  schema: { type: "object", additionalProperties: false, properties: { mark: { type: "string", default: "none", minLength: 1 } } },
});
`

const devGo = `package main

import (
	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/pdk/server"
)

type versioned struct {
	Mark string ` + "`json:\"mark\" schema:\"minlen=1\"`" + `
}

func (v *versioned) Access(kong *pdk.PDK) error {
	if err := kong.Response.SetHeader("X-Access", "VERSION"); err != nil {
		return err
	}
	return kong.Response.SetHeader("X-Mark", v.Mark)
}

func (v *versioned) HeaderFilter(kong *pdk.PDK) error {
	return kong.Response.SetHeader("X-Filter", "VERSION")
}

func main() {
	server.Serve(pdk.Plugin{Name: "versioned", Version: "0.1.0", Priority: 500, New: func() any { return &versioned{Mark: "none"} }})
}
`

func newDevPlugin(t testing.TB, lang string) *devPlugin {
	t.Helper()
	dir, err := os.MkdirTemp(built.temp, "d")
	if err != nil {
		t.Fatal(err)
	}
	p := &devPlugin{lang: lang, dir: dir}
	switch lang {
	case "python":
		p.file, p.source, p.broken, p.error = "plugin.py", devPython, "def (((", "SyntaxError"
	case "js":
		p.file, p.source, p.broken, p.error = "plugin.js", strings.Replace(devJS, "SDK", filepath.Join(built.repo, "sdk-js/dist/index.js"), 1), "class {{{", "SyntaxError"
	case "go":
		p.file, p.source, p.broken, p.error = "main.go", devGo, "func (((", "main.go:"
	}
	p.file = filepath.Join(dir, p.file)
	p.write(t, "v0")
	return p
}

// write puts a version of the source into its place as careful editors do: the file is another one then.
func (p *devPlugin) write(t testing.TB, version string) {
	t.Helper()
	p.put(t, strings.ReplaceAll(p.source, "VERSION", version))
}

func (p *devPlugin) put(t testing.TB, text string) {
	t.Helper()
	write(t, p.file+".tmp", text)
	if err := os.Rename(p.file+".tmp", p.file); err != nil {
		t.Fatal(err)
	}
}

// server is the plugin server as the settings have it.
func (p *devPlugin) server() server {
	s := server{"name": p.lang, "start_timeout": "60s", "timeout": "20s"}
	switch p.lang {
	case "go":
		program := filepath.Join(p.dir, "plugin")
		// The flags are those of the tests' own binaries: what the plugin is linked with is compiled already.
		return s.with("command", []string{program}, "working_dir", built.repo, "watch", p.dir,
			"build", []string{"go", "build", "-trimpath", "-ldflags=-s -w", "-o", program, p.file})
	case "python":
		return s.with("command", []string{filepath.Join(built.repo, ".venv/bin/python"), "-m", "outrigger", "serve", p.file})
	}
	return s.with("command", []string{"node", filepath.Join(built.repo, "examples/js/node_modules/.bin/outrigger-js"), "serve", p.file})
}

// load sends requests over several connections until it is stopped.
type load struct {
	stop    chan struct{}
	clients sync.WaitGroup
	sent    atomic.Int64
	mu      sync.Mutex
	failed  []error
}

// check says what is wrong with an answer.
func startLoad(g *gateway, connections int, check func(*answer) error) *load {
	l := &load{stop: make(chan struct{})}
	for range connections {
		l.clients.Go(func() {
			for {
				select {
				case <-l.stop:
					return
				default:
				}
				a, err := g.do("GET", "/", nil)
				if err == nil {
					err = check(a)
				}
				l.sent.Add(1)
				if err != nil {
					l.mu.Lock()
					l.failed = append(l.failed, err)
					l.mu.Unlock()
				}
			}
		})
	}
	return l
}

// end stops the load and fails the test for every request that failed.
func (l *load) end(t testing.TB) {
	t.Helper()
	select {
	case <-l.stop:
		return
	default:
	}
	close(l.stop)
	l.clients.Wait()
	for i, err := range l.failed {
		if i == 5 {
			t.Errorf("and %d more", len(l.failed)-i)
			break
		}
		t.Error(err)
	}
	t.Logf("%d requests, %d failed", l.sent.Load(), len(l.failed))
}

// sameBuild says that one request has seen one build from the beginning to the end.
func sameBuild(a *answer) error {
	access, filter := a.header.Get("X-Access"), a.header.Get("X-Filter")
	if a.status != http.StatusOK || access == "" || access != filter || a.header.Get("X-Mark") != "m" {
		return fmt.Errorf("found %v, expected status 200 and both headers of one build", a)
	}
	return nil
}

// told waits for a line of outrigger dev, which may have to wait for a compiler. It fails at once when one of the others comes first.
func (g *gateway) told(t testing.TB, mark int, part string, not ...string) {
	t.Helper()
	eventually(t, startPatience, fmt.Sprintf("a line with %q", part), func() (bool, string) {
		for _, l := range g.out.since(mark) {
			if strings.Contains(l.text("text"), part) {
				return true, ""
			}
			for _, other := range not {
				if strings.Contains(l.text("text"), other) {
					t.Fatalf("told %q, expected a line with %q", l.text("text"), part)
				}
			}
		}
		return false, g.out.text()
	})
}

// shows waits until requests are served by a version.
func (g *gateway) shows(t testing.TB, version string) {
	t.Helper()
	eventually(t, startPatience, "requests that are served by "+version, func() (bool, string) {
		a := g.get(t, "/")
		return a.header.Get("X-Access") == version, a.String()
	})
}

const replacements = 10

// A plugin server is replaced again and again under load, its source breaks in between and is repaired, and no request notices.
func TestDevReplacesUnderLoad(t *testing.T) {
	upstream := echoUpstream(t)
	for _, l := range languages {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			p := newDevPlugin(t, l.name)
			g := launch{
				command: "dev", settings: settings{"plugin_servers": []server{p.server()}},
				entities: routes(upstream.URL, route("/", "{name: versioned, config: {mark: m}}")),
			}.start(t)
			first := g.serverPID(t, l.name)
			load := startLoad(g, 3, sameBuild)
			defer load.end(t)
			for i := 1; i <= replacements; i++ {
				mark := g.out.mark()
				if i == replacements/2 {
					p.put(t, p.source+p.broken)
					g.told(t, mark, "the old build goes on serving:")
					if text := fmt.Sprint(g.out.since(mark), g.log.text()); !strings.Contains(text, p.error) {
						t.Errorf("the error of the source, with %q, is not told in %s", p.error, text)
					}
					if a := g.get(t, "/"); a.header.Get("X-Access") != fmt.Sprint("v", i-1) {
						t.Errorf("found %v, expected that the old build serves", a)
					}
					mark = g.out.mark()
				}
				p.write(t, fmt.Sprint("v", i))
				g.signal(t, syscall.SIGHUP) // a reload and a replacement meet
				g.told(t, mark, "the new build serves", "goes on serving")
				g.shows(t, fmt.Sprint("v", i))
			}
			load.end(t)
			eventually(t, startPatience, "one process of the plugin server", func() (bool, string) {
				pids := g.serverPIDs(t, l.name)
				return len(pids) == 1 && pids[0] != first, fmt.Sprint(pids)
			})
			g.signal(t, syscall.SIGINT)
			if code := g.exit(t); code != 0 {
				t.Errorf("ended with code %d after Ctrl-C, expected 0", code)
			}
		})
	}
}

// A request that began before a replacement ends on the build that it began with, which lives as long.
func TestDevKeepsBuildsOfRequestsInFlight(t *testing.T) {
	t.Parallel()
	arrived, release := make(chan struct{}), make(chan struct{})
	var held atomic.Bool
	upstream := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" && held.CompareAndSwap(false, true) {
			close(arrived)
			<-release
		}
	})
	p := newDevPlugin(t, "js")
	g := launch{
		command: "dev", settings: settings{"plugin_servers": []server{p.server()}},
		entities: routes(upstream.URL, route("/", "{name: versioned, config: {mark: m}}")),
	}.start(t)
	old := g.serverPID(t, "js")
	slow := make(chan error, 1)
	go func() {
		a, err := g.sendWithin(4*startPatience, "GET", "/slow", nil) // two builds come up meanwhile
		if err == nil {
			err = sameBuild(a)
		}
		if err == nil && a.header.Get("X-Filter") != "v0" {
			err = fmt.Errorf("found %v, expected the build that was there at the beginning", a)
		}
		slow <- err
	}()
	released := sync.OnceFunc(func() { close(release) })
	defer released()
	<-arrived
	for _, version := range []string{"v1", "v2"} {
		p.write(t, version)
		g.shows(t, version)
	}
	eventually(t, patience, "the old build and the new one alone", func() (bool, string) {
		pids := g.serverPIDs(t, "js")
		return len(pids) == 2 && slices.Contains(pids, old), fmt.Sprint(pids)
	})
	released()
	if err := <-slow; err != nil {
		t.Error(err)
	}
	eventually(t, patience, "the end of the old build", func() (bool, string) {
		pids := g.serverPIDs(t, "js")
		return len(pids) == 1 && pids[0] != old, fmt.Sprint(pids)
	})
}

// A new build whose schema refuses the configuration is refused, with the place; what its manifest changes takes effect with it.
func TestDevManifests(t *testing.T) {
	t.Parallel()
	upstream := echoUpstream(t)
	p := newDevPlugin(t, "python")
	record := "{name: versioned, config: {mark: m}}"
	g := launch{
		command: "dev", settings: settings{"plugin_servers": []server{p.server()}}, entities: routes(upstream.URL, route("/", record)),
	}.start(t)
	source := p.source

	mark := g.out.mark()
	p.source = strings.Replace(source, "min_length=1", "min_length=2", 1)
	p.write(t, "v1")
	g.told(t, mark, "the old build goes on serving:")
	g.told(t, mark, "gateway.yaml:")
	g.told(t, mark, "plugins[0].config.mark")
	g.get(t, "/").want(t, 200).wantHeader(t, "X-Access", "v0")

	// What the new schema wants brings the new build with it.
	mark = g.out.mark()
	write(t, g.entities, routes(upstream.URL, route("/", "{name: versioned, config: {mark: mm}}")))
	g.told(t, mark, "gateway.yaml: the new configuration is live")
	g.get(t, "/").want(t, 200).wantHeader(t, "X-Access", "v1").wantHeader(t, "X-Mark", "mm")

	// A plugin with another name, and the configuration that names it, need each other.
	mark = g.out.mark()
	p.source = strings.Replace(source, `"versioned"`, `"renamed"`, 1)
	p.write(t, "v2")
	g.told(t, mark, "the old build goes on serving:")
	g.get(t, "/").want(t, 200).wantHeader(t, "X-Access", "v1")
	write(t, g.entities, routes(upstream.URL, route("/", "{name: renamed, config: {mark: m}}")))
	g.told(t, mark, "the new build serves")
	g.told(t, mark, "gateway.yaml: the new configuration is live")
	g.get(t, "/").want(t, 200).wantHeader(t, "X-Access", "v2").wantHeader(t, "X-Mark", "m")

	// A field that the old schema filled in, and that the new one does not have, is no mistake of the configuration.
	mark = g.out.mark()
	write(t, g.entities, routes(upstream.URL, route("/", "{name: renamed}")))
	g.told(t, mark, "gateway.yaml: the new configuration is live")
	p.source = strings.ReplaceAll(strings.ReplaceAll(p.source, "mark", "word"), "header_filter", "filter_no_more")
	p.write(t, "v3")
	g.shows(t, "v3")
	g.get(t, "/").want(t, 200).wantHeader(t, "X-Mark", "none").wantHeader(t, "X-Filter")

	mark = g.out.mark()
	write(t, g.entities, "_format_version: \"3.0\"\nservices: 7\n")
	g.told(t, mark, "gateway.yaml: refused, the old configuration stays:")
	g.told(t, mark, "services")
	g.get(t, "/").want(t, 200).wantHeader(t, "X-Access", "v3")
}

// A source that is broken from the beginning is waited for.
func TestDevStartsBroken(t *testing.T) {
	upstream := echoUpstream(t)
	for _, lang := range []string{"go", "python"} {
		t.Run(lang, func(t *testing.T) {
			t.Parallel()
			p := newDevPlugin(t, lang)
			p.put(t, p.source+p.broken)
			l := launch{
				command: "dev", settings: settings{"plugin_servers": []server{p.server()}}, late: true,
				entities: routes(upstream.URL, route("/", "{name: versioned, config: {mark: m}}")),
			}
			if lang == "go" { // nothing to start: the gateway waits too
				g := l.begin(t)
				g.told(t, 0, "waiting for a change, the build failed:")
				p.write(t, "v1")
				g.told(t, 0, " is ready on ")
				return
			}
			g := l.start(t)
			g.get(t, "/").want(t, http.StatusServiceUnavailable)
			p.write(t, "v1")
			g.shows(t, "v1")
		})
	}
}

// A plugin directory needs no settings of its own beyond what plugin new writes.
func TestDevPluginDirectory(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp(built.temp, "n")
	if err != nil {
		t.Fatal(err)
	}
	if r := command(t, dir, nil, "plugin", "new", "greeter", "--lang", "go"); r.code != 0 {
		t.Fatalf("plugin new: code %d\n%s%s", r.code, r.out, r.err)
	}
	plugin := filepath.Join(dir, "greeter")
	entities, err := os.ReadFile(filepath.Join(plugin, "gateway.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(plugin, "gateway.yaml"), strings.Replace(string(entities), "http://127.0.0.1:8090", echoUpstream(t).URL, 1))
	g := launch{command: "dev", args: []string{plugin, "--listen", "127.0.0.1:0", "--echo_listen", "127.0.0.1:0"}}.start(t)
	g.get(t, "/").wantHeader(t, "X-Greeting", "hello")
	source, err := os.ReadFile(filepath.Join(plugin, "plugin.go"))
	if err != nil {
		t.Fatal(err)
	}
	mark := g.out.mark()
	text := strings.Replace(string(source), `kong.Response.SetHeader("X-Greeting", g.Greeting)`, `kong.Response.SetHeader("X-Greeting", g.Greeting+" again")`, 1)
	write(t, filepath.Join(plugin, "plugin.go"), text)
	g.told(t, mark, "plugin server plugin: plugin.go changed")
	g.told(t, mark, "plugin server plugin: built in ")
	g.told(t, mark, "plugin server plugin: the new build serves, ready in ")
	g.get(t, "/").wantHeader(t, "X-Greeting", "hello again")
}
