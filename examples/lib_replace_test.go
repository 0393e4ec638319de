package examples

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// replaced is a plugin server that tests replace: one plugin, whose source is rewritten in the place of the file that the command names. The
// program in Go reads what it is to do from that file.
type replaced struct {
	*devPlugin
	carrier string
}

// goActor is the plugin in Go; the other languages have their sources.
const goActor = `package main

import (
	"errors"
	"os"
	"strings"
	"time"

	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/pdk/server"
)

var version, does string

type versioned struct {
	Mark string ` + "`json:\"mark\" schema:\"minlen=1\"`" + `
}

func (v *versioned) Configure() error {
	switch does {
	case "crash":
		os.Exit(3)
	case "refuse":
		return errors.New("no configuration suits me")
	case "hang":
		time.Sleep(time.Hour)
	}
	return nil
}

func (v *versioned) Access(kong *pdk.PDK) error {
	switch does {
	case "fail":
		return errors.New("a bug")
	case "slow":
		time.Sleep(30 * time.Millisecond)
	case "die":
		os.Exit(4)
	}
	if err := kong.Response.SetHeader("X-Access", version); err != nil {
		return err
	}
	return kong.Response.SetHeader("X-Mark", v.Mark)
}

func (v *versioned) HeaderFilter(kong *pdk.PDK) error {
	return kong.Response.SetHeader("X-Filter", version)
}

func main() {
	text, err := os.ReadFile(os.Args[1])
	if err != nil {
		panic(err)
	}
	os.Args = os.Args[:1] // the file is ours, not the server's
	version, does, _ = strings.Cut(strings.TrimSpace(string(text)), " ")
	name := "versioned"
	switch does {
	case "exit":
		println("found a bug at the start")
		os.Exit(1)
	case "lie":
		name = "something-else"
	}
	server.Serve(pdk.Plugin{Name: name, Version: "0.1.0", Priority: 500, New: func() any { return &versioned{Mark: "none"} }})
}
`

const pythonActor = `import os
import sys
import time
from dataclasses import dataclass

import outrigger

VERSION, DOES = "$VERSION", "$DOES"
if DOES == "exit":
    sys.exit("found a bug at the start")


@dataclass
class VersionedConfig:
    mark: str = outrigger.setting(default="none", min_length=1)


class Versioned(outrigger.Plugin):
    name = "something-else" if DOES == "lie" else "versioned"
    version = "0.1.0"
    priority = 500
    Config = VersionedConfig
    config: VersionedConfig

    def configure(self) -> None:
        if DOES == "crash":
            os._exit(3)
        if DOES == "refuse":
            raise ValueError("no configuration suits me")
        if DOES == "hang":
            time.sleep(3600)

    def access(self, kong: outrigger.PDK) -> None:
        if DOES == "fail":
            raise ValueError("a bug")
        if DOES == "slow":
            time.sleep(0.03)
        if DOES == "die":
            os._exit(4)
        kong.response.set_header("X-Access", VERSION)
        kong.response.set_header("X-Mark", self.config.mark)

    def header_filter(self, kong: outrigger.PDK) -> None:
        kong.response.set_header("X-Filter", VERSION)
`

const jsActor = `import { definePlugin } from "SDK";

const version = "$VERSION";
const does = "$DOES";
if (does === "exit") throw new Error("found a bug at the start");

class Versioned {
  constructor(config) {
    this.config = config;
  }
  async configure() {
    if (does === "crash") process.exit(3);
    if (does === "refuse") throw new Error("no configuration suits me");
    if (does === "hang") await new Promise((resolve) => setTimeout(resolve, 3600_000));
  }
  async access(kong) {
    if (does === "fail") throw new Error("a bug");
    if (does === "slow") await new Promise((resolve) => setTimeout(resolve, 30));
    if (does === "die") process.exit(4);
    kong.response.setHeader("X-Access", version);
    kong.response.setHeader("X-Mark", this.config.mark);
  }
  headerFilter(kong) {
    kong.response.setHeader("X-Filter", version);
  }
}

export default definePlugin({
  name: does === "lie" ? "something-else" : "versioned", version: "0.1.0", priority: 500, instance: Versioned,
  schema: { type: "object", additionalProperties: false, properties: { mark: { type: "string", default: "none", minLength: 1 } } },
});
`

// actor builds the plugin in Go once.
var actor = sync.OnceValues(func() (string, error) {
	dir := filepath.Join(built.temp, "actor")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	source, program := filepath.Join(dir, "main.go"), filepath.Join(dir, "actor")
	if err := os.WriteFile(source, []byte(goActor), 0o600); err != nil {
		return "", err
	}
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", program, source)
	cmd.Dir = built.repo
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build %s: %w\n%s", source, err, out)
	}
	return program, nil
})

func newReplaced(t testing.TB, lang, carrier string) *replaced {
	t.Helper()
	dir, err := os.MkdirTemp(built.temp, "r")
	if err != nil {
		t.Fatal(err)
	}
	p := &replaced{&devPlugin{lang: lang, dir: dir}, carrier}
	switch lang {
	case "python":
		p.file, p.source = "plugin.py", pythonActor
	case "js":
		p.file, p.source = "plugin.js", strings.Replace(jsActor, "SDK", filepath.Join(built.repo, "sdk-js/dist/index.js"), 1)
	case "go":
		p.file, p.source = "plugin.txt", "$VERSION $DOES"
	}
	p.file = filepath.Join(dir, p.file)
	p.become(t, 0, "")
	return p
}

// become writes a version of the source, and what it does wrong.
func (p *replaced) become(t testing.TB, version int, does string) {
	t.Helper()
	p.put(t, strings.NewReplacer("$VERSION", fmt.Sprint("v", version), "$DOES", does).Replace(p.source))
}

// entry is the plugin server as the settings have it.
func (p *replaced) entry(t testing.TB) server {
	t.Helper()
	s := server{"name": p.lang, "carrier": p.carrier, "start_timeout": "30s", "timeout": "30s"}
	switch p.lang {
	case "go":
		program, err := actor()
		if err != nil {
			t.Fatal(err)
		}
		return s.with("command", []string{program, p.file})
	case "python":
		// A compiled module is taken for its source when that has the same size and was written in the same second.
		return s.with("command", serverCommand("python", "", p.file)).with("env", map[string]string{"PYTHONDONTWRITEBYTECODE": "1"})
	}
	return s.with("command", serverCommand("js", "", p.file))
}

// gateway starts a gateway with an Admin listener for the server.
func (p *replaced) gateway(t testing.TB, upstream string, entry server) *operated {
	t.Helper()
	s := settings{"plugin_servers": []server{entry}, "admin_listen": "127.0.0.1:0"}
	g := &operated{gateway: launch{settings: s, entities: routes(upstream, route("/", "{name: versioned, config: {mark: m}}"))}.start(t), settings: s}
	g.admin = g.log.waitFields(t, 0, "msg", "the Admin listener is open").text("address")
	return g
}

// operated is a gateway with an operator.
type operated struct {
	*gateway
	settings settings
	admin    string
}

// say changes the settings file.
func (g *operated) say(t testing.TB, changed settings) {
	t.Helper()
	s := settings{"proxy_listen": "127.0.0.1:0", "log_level": "info", "log_format": "json", "drain_timeout": "5s"}
	for k, v := range g.settings {
		s[k] = v
	}
	for k, v := range changed {
		s[k] = v
	}
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(g.dir, "outrigger.yaml"), string(text))
}

// refresh sends SIGHUP and waits until everything was looked at, and builds that are new have come up or failed.
func (g *operated) refresh(t testing.TB) (since int) {
	t.Helper()
	mark := g.log.mark()
	g.hup(t, g.read(t))
	g.log.waitWithin(t, startPatience, mark, "the end of the refresh", func(l line) bool { return l.has("msg", "the files are looked at") })
	return mark
}

func (g *operated) read(t testing.TB) string {
	t.Helper()
	text, err := os.ReadFile(g.entities)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// ask sends a request to the Admin listener.
func (g *operated) ask(t testing.TB, method, path, body string) (int, map[string]any) {
	t.Helper()
	req, err := http.NewRequest(method, "http://"+g.admin+path, bytes.NewReader([]byte(body)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := g.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer := map[string]any{}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		t.Fatalf("%s %s: status %d: %v", method, path, resp.StatusCode, err)
	}
	return resp.StatusCode, answer
}

// server is what /status says of a plugin server.
func (g *operated) server(t testing.TB, name string) map[string]any {
	t.Helper()
	_, status := g.ask(t, "GET", "/status", "")
	for _, s := range status["plugin_servers"].([]any) {
		if s := s.(map[string]any); s["server"] == name {
			return s
		}
	}
	return nil
}

// proof is a load whose every answer proves which build made it: one build per request, and never an older one than before, neither than the
// connection has seen, nor than was acknowledged.
type proof struct {
	acknowledged atomic.Int64
	sent, wrong  atomic.Int64
	stop         chan struct{}
	clients      sync.WaitGroup
	mu           sync.Mutex
	first        []error
}

func (g *operated) prove(connections int) *proof {
	p := &proof{stop: make(chan struct{})}
	for range connections {
		p.clients.Go(func() {
			for last := int64(0); ; {
				select {
				case <-p.stop:
					return
				default:
				}
				oldest := max(last, p.acknowledged.Load())
				a, err := g.do("GET", "/", nil)
				p.sent.Add(1)
				if err == nil {
					err = sameBuild(a)
				}
				if err == nil {
					_, err = fmt.Sscanf(a.header.Get("X-Access"), "v%d", &last)
				}
				if err == nil && last < oldest {
					err = fmt.Errorf("found build %d after build %d", last, oldest)
				}
				if err != nil {
					p.wrong.Add(1)
					p.mu.Lock()
					if len(p.first) < 5 {
						p.first = append(p.first, err)
					}
					p.mu.Unlock()
				}
			}
		})
	}
	return p
}

// end stops the load and fails the test for what was wrong.
func (p *proof) end(t testing.TB) {
	t.Helper()
	select {
	case <-p.stop:
		return
	default:
	}
	close(p.stop)
	p.clients.Wait()
	for _, err := range p.first {
		t.Error(err)
	}
	t.Logf("%d requests, %d failed or wrong", p.sent.Load(), p.wrong.Load())
}
