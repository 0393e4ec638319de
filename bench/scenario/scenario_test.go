package scenario

import (
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
)

const small = `
question: What?
loads: [{connections: [1, 64]}, {connections: 16, rate: 2000, body: [0, 16k]}]
variants:
  - name: no-plugin
  - name: ${language}-${x}
    for: {language: [go, js], x: [1, 30]}
    series: ${language}
    servers: [{kit: "${language}", timeout: 2s}]
    plugins: [{name: p, config: {calls: "${x}", text: "x is ${x}"}}]
    proof: {upstream: {X-Calls: "${x}"}}
`

func TestParseExpands(t *testing.T) {
	s, err := Parse("small", []byte(small))
	if err != nil {
		t.Fatal(err)
	}
	wantLoads := Loads{{1, 0, -1, -1}, {64, 0, -1, -1}, {16, 2000, 0, -1}, {16, 2000, 16384, -1}}
	if !reflect.DeepEqual(s.Loads, wantLoads) {
		t.Errorf("loads: found %v, expected %v", s.Loads, wantLoads)
	}
	if names := strings.Join(s.names(), " "); names != "no-plugin go-1 go-30 js-1 js-30" {
		t.Errorf("found the variants %s", names)
	}
	v := s.Variants[2]
	plugin := v.Plugins[0].(map[string]any)["config"].(map[string]any)
	if v.Series != "go" || v.X != 30 || plugin["calls"] != 30 || plugin["text"] != "x is 30" || v.Proof.Upstream["X-Calls"] != "30" || v.Servers[0]["kit"] != "go" {
		t.Errorf("found %+v", v)
	}
	if !slices.Equal(s.Kits(), []string{"go", "js"}) || s.Request.Headers["X-Name"] != "bench" {
		t.Errorf("found kits %v, request %v", s.Kits(), s.Request)
	}
}

func TestParseRefuses(t *testing.T) {
	for _, c := range []struct{ from, to, want string }{
		{"question: What?", "", "question is missing"},
		{"question: What?", "qestion: What?", "qestion"},
		{"loads: [{connections: [1, 64]}, {connections: 16, rate: 2000, body: [0, 16k]}]", "loads: []", "loads is empty"},
		{"{connections: [1, 64]}", "{conections: 1}", `unknown key "conections"; did you mean connections?`},
		{"{connections: [1, 64]}", "{rate: 5}", "connections is missing"},
		{"connections: [1, 64]", "connections: 0", "found 0 connections"},
		{"connections: [1, 64]", "connections: many", `found "many": expected a number, or a size such as 16k`},
		{"body: [0, 16k]", "body: 65m", "above 64m"},
		{"rate: 2000", "rate: -1", "found a rate of -1"},
		{"name: no-plugin", "name: No Plugin", `variants[0].name is "No Plugin"`},
		{"x: [1, 30]", "x: [1, 1]", `variants[2].name is "go-1": expected lower-case letters, digits and dashes, and no name twice`},
		{"x: [1, 30]", "x: []", "for.x has no values"},
		{`{kit: "${language}", timeout: 2s}`, "{timeout: 2s}", "expected one of kit, command and address"},
		{`{kit: "${language}", timeout: 2s}`, "{kit: go, command: a}", "expected one of kit, command and address"},
		{`{kit: "${language}", timeout: 2s}`, "{kit: rust}", "servers[0].kit is rust: expected go, python, js"},
		{`{kit: "${language}", timeout: 2s}`, "{kit: js, only: a}", "only servers of kit go"},
		{`{kit: "${language}", timeout: 2s}`, "{kit: go, name: a}", "the runner names the servers"},
		{`    plugins: [{name: p, config: {calls: "${x}", text: "x is ${x}"}}]`, "", "found no plugins"},
		{"question: What?", "question: What?\nrequest: {path: orders}", `path is "orders"`},
		{"question: What?", "question: What?\nrequest: {path: /, headers: {Content-Length: 5}}", "the load generator sets it"},
		{"question: What?", "question: What?\nrequest: {path: /, method: HEAD}", `method is "HEAD"`},
		{"question: What?", "question: What?\ncharts: [{name: a, title: b, measure: rps, x: connection}]", `x is "connection"; did you mean connections?`},
		{"question: What?", "question: What?\nidle: -1", "idle is -1"},
		{"question: What?", "question: What?\nlanes: true", "expected one server with a kit"},
	} {
		if !strings.Contains(small, c.from) {
			t.Fatalf("%q is not in the scenario", c.from)
		}
		_, err := Parse("small", []byte(strings.Replace(small, c.from, c.to, 1)))
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "scenario small: ") {
			t.Errorf("%s -> %s: found %v, expected %q", c.from, c.to, err, c.want)
		}
	}
}

func TestNarrow(t *testing.T) {
	for _, c := range []struct {
		texts       []string
		connections []int
		variants    string
		loads       int
		err         string
	}{
		{nil, nil, "no-plugin go-1 go-30 js-1 js-30", 4, ""},
		{[]string{"go"}, []int{64}, "no-plugin go-1 go-30", 1, ""},
		{[]string{"-30", "go"}, []int{16}, "no-plugin go-1 go-30 js-30", 2, ""},
		{[]string{"no-plugin"}, []int{5, 6}, "no-plugin", 2, ""},
		{[]string{"go-31"}, nil, "", 0, `no variant with "go-31" in its name; did you mean go-1?`},
	} {
		s, err := Parse("small", []byte(small))
		if err != nil {
			t.Fatal(err)
		}
		err = s.Narrow(c.texts, c.connections)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%v: found %v, expected %q", c.texts, err, c.err)
			}
			continue
		}
		if found := strings.Join(s.names(), " "); err != nil || found != c.variants || len(s.Loads) != c.loads {
			t.Errorf("%v %v: found %s, %d loads, %v", c.texts, c.connections, found, len(s.Loads), err)
		}
	}
}

func TestRequestBytes(t *testing.T) {
	r := Request{Method: "GET", Path: "/a?b=c", Headers: map[string]string{"X-B": "2", "X-A": "1"}}
	for _, c := range []struct {
		load Load
		want string
	}{
		{Load{1, 0, -1, -1}, "GET /v/a?b=c HTTP/1.1\r\nHost: h:1\r\nX-A: 1\r\nX-B: 2\r\n\r\n"},
		{Load{1, 0, 0, -1}, "GET /v/a?b=c HTTP/1.1\r\nHost: h:1\r\nX-A: 1\r\nX-B: 2\r\n\r\n"},
		{Load{1, 0, 3, -1}, "POST /v/a?b=c HTTP/1.1\r\nHost: h:1\r\nX-A: 1\r\nX-B: 2\r\nContent-Type: application/octet-stream\r\nContent-Length: 3\r\n\r\nbbb"},
		{Load{1, 0, -1, 1024}, "GET /v/bench/bytes/1024 HTTP/1.1\r\nHost: h:1\r\nX-A: 1\r\nX-B: 2\r\n\r\n"},
	} {
		if found := string(r.Bytes("h:1", "/v", c.load)); found != c.want {
			t.Errorf("%v: found %q, expected %q", c.load, found, c.want)
		}
	}
}

func TestLoadText(t *testing.T) {
	for want, l := range map[string]Load{
		"1 connection":                         {1, 0, -1, -1},
		"64 connections, 2000 requests/s":      {64, 2000, -1, -1},
		"16 connections, request body of 16k":  {16, 0, 16384, -1},
		"16 connections, response body of 1m":  {16, 0, -1, 1 << 20},
		"16 connections, request body of 1000": {16, 0, 1000, -1},
	} {
		if l.String() != want {
			t.Errorf("found %q, expected %q", l, want)
		}
	}
}

// Variants that differ in plugins only share a gateway, in which each has a route.
func TestGatewaysAndFiles(t *testing.T) {
	s, err := Parse("small", []byte(small))
	if err != nil {
		t.Fatal(err)
	}
	groups, err := s.Gateways()
	if err != nil || len(groups) != 3 || len(groups[1].Variants) != 2 || groups[0].Prefix(groups[0].Variants[0]) != "" || groups[1].Prefix(groups[1].Variants[1]) != "/go-30" {
		t.Fatalf("found %d gateways, %v", len(groups), err)
	}
	e := Environment{Dir: t.TempDir(), Upstream: "u:1", Kits: map[string][]string{"go": {"outrigger", "plugins"}}, ServerEnv: map[string]string{"A": "b"}}
	settings, entities, err := groups[1].Files(e)
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Servers  []map[string]any `yaml:"plugin_servers"`
		Services []map[string]any `yaml:"services"`
	}
	load(t, settings, &file)
	load(t, entities, &file)
	server := map[string]any{"name": "bench", "command": []any{"outrigger", "plugins"}, "timeout": "2s", "env": map[string]any{"A": "b"}}
	if len(file.Servers) != 1 || !reflect.DeepEqual(file.Servers[0], server) {
		t.Errorf("found the servers %v, expected %v", file.Servers, server)
	}
	if len(file.Services) != 2 || file.Services[1]["url"] != "http://u:1" || file.Services[1]["routes"].([]any)[0].(map[string]any)["paths"].([]any)[0] != "/go-30" {
		t.Errorf("found the services %v", file.Services)
	}
	if kit := s.Variants[1].Servers[0]["kit"]; kit != "go" {
		t.Errorf("the scenario was changed: kit is %v", kit)
	}
}

func load(t *testing.T, path string, to any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err == nil {
		err = yaml.Unmarshal(text, to)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const ownConfig = `
_format_version: "3.0"
plugins: [{name: global-one}, {name: off, enabled: false}]
services:
  - name: shop
    host: shop.internal
    port: 8443
    protocol: https
    connect_timeout: 500
    plugins: [{name: orders}]
    routes:
      - name: r
        paths: [/]
        plugins: [{name: orders, config: {a: {plugins: [1]}}}, {name: gone, mode: disable}]
consumers: [{username: ann, plugins: [{name: global-one}]}]
`

func TestOwn(t *testing.T) {
	config := write(t, "gateway.yaml", ownConfig)
	settings := write(t, "outrigger.yaml", "declarative_config: "+config+"\n")
	s, err := OwnScenario(OwnOptions{Settings: settings, Request: DefaultRequest(), Connections: []int{64}})
	if err != nil {
		t.Fatal(err)
	}
	if names := strings.Join(s.names(), " "); names != "no-plugin global-one orders all-plugins" {
		t.Fatalf("found the variants %s", names)
	}
	count := func(i int, keep bool) map[string]int {
		s.Variants[i].Own.keepUpstreams = keep
		found, entities, err := s.Variants[i].Own.files(Environment{Dir: t.TempDir(), Upstream: "u:1"})
		if err != nil || found != settings {
			t.Fatal(found, err)
		}
		var document map[string]any
		load(t, entities, &document)
		records := map[string]int{}
		eachPlugins(document, func(list []any) []any {
			for _, record := range list {
				records[pluginOf(record)]++
			}
			return list
		})
		service := document["services"].([]any)[0].(map[string]any)
		if keep && (service["host"] != "shop.internal" || service["url"] != nil) || !keep && (service["url"] != "http://u:1" || service["port"] != nil || service["connect_timeout"] != 500) {
			t.Errorf("keep %v: found the service %v", keep, service)
		}
		return records
	}
	for i, want := range []map[string]int{{}, {"global-one": 2}, {"orders": 2}, {"global-one": 2, "orders": 2}} {
		if found := count(i, i == 2); !maps.Equal(found, want) {
			t.Errorf("%s: found the records %v, expected %v", s.Variants[i].Name, found, want)
		}
	}
}

func TestOwnRefuses(t *testing.T) {
	for _, c := range []struct {
		o    OwnOptions
		want string
	}{
		{OwnOptions{}, "found neither --config nor --settings"},
		{OwnOptions{Settings: write(t, "s.yaml", "proxy_listen: x\n")}, "name no declarative_config"},
		{OwnOptions{Config: "/nowhere/gateway.yaml"}, "reading the configuration: open /nowhere/gateway.yaml"},
		{OwnOptions{Config: write(t, "g.yaml", "services: []\n")}, "has no plugin"},
		{OwnOptions{Config: write(t, "g.yaml", "services: [\n")}, "reading the configuration"},
	} {
		if _, err := OwnScenario(c.o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("found %v, expected %q", err, c.want)
		}
	}
}

func TestPeers(t *testing.T) {
	peers, err := LoadPeers(write(t, "peers.yaml", `
peers:
  - name: other
    what: a gateway
    needs: {apt: [other]}
    files: {other.conf: "listen ${PORT}; up ${UPSTREAM}; own ${host}; ${"}
    programs: [[other, "-c", "${DIR}/other.conf"]]
    proof: {response: {X-A: b}}
    baseline: {programs: [[other]]}
`))
	if err != nil {
		t.Fatal(err)
	}
	variants := peers[0].Variants()
	s := Scenario{Variants: append([]Variant{{Name: "no-plugin"}}, variants...)}
	if variants[0].Name != "other-no-plugin" || s.BaselineName(&s.Variants[2]) != "other-no-plugin" || len(variants[0].Setup().Files) != 0 || len(variants[1].Setup().Files) != 1 {
		t.Errorf("found %+v", variants)
	}
	dir := t.TempDir()
	values := map[string]string{"PORT": "80", "UPSTREAM": "u:1", "DIR": dir}
	programs, err := variants[1].Setup().Write(dir, func(name string) string { return values[name] })
	text, readErr := os.ReadFile(filepath.Join(dir, "other.conf"))
	if err != nil || readErr != nil || programs[0][2] != dir+"/other.conf" || string(text) != "listen 80; up u:1; own ${host}; ${" {
		t.Errorf("found %v, %q, %v, %v", programs, text, err, readErr)
	}
	for text, want := range map[string]string{
		"peers: [{name: a, programs: [[x]]}]":                             `peers[0] "a": expected a name in lower case, programs and baseline.programs`,
		"peers: [{name: a, programs: [[]], baseline: {programs: [[x]]}}]": "empty program",
		"peers: [{nam: a}]": "nam",
	} {
		if _, err := LoadPeers(write(t, "peers.yaml", text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: found %v, expected %q", text, err, want)
		}
	}
}

func TestNearest(t *testing.T) {
	words := []string{"plugins", "calls", "latency"}
	for text, want := range map[string]string{"plugin": "; did you mean plugins?", "cals": "; did you mean calls?", "xyz": "", "lat": ""} {
		if found := Nearest(text, words); found != want {
			t.Errorf("%s: found %q, expected %q", text, found, want)
		}
	}
}
