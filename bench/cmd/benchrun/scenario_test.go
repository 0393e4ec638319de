package main

import (
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"
)

func TestScenariosOfTheProjectAreValid(t *testing.T) {
	list, err := loadScenarios("../../scenarios", nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(list) == 0 {
		t.Fatal("there are no scenarios")
	}
	for _, s := range list {
		for _, v := range s.Variants {
			if len(v.Plugins) > 0 && len(v.Response)+len(v.Upstream) == 0 && !strings.HasPrefix(v.Name, "1 ") {
				t.Errorf("%s: %s: nothing proves that its plugins run", s.Name, v.Name)
			}
		}
	}
}

func TestLoadScenariosByName(t *testing.T) {
	list, err := loadScenarios("../../scenarios", []string{"hello"})
	if err != nil || len(list) != 1 || list[0].Name != "hello" {
		t.Fatalf("found %+v, %v", list, err)
	}
	if _, err := loadScenarios("../../scenarios", []string{"helo"}); err == nil || !strings.Contains(err.Error(), "expected hello") {
		t.Fatalf("found %v, expected the names that there are", err)
	}
}

func TestParseScenarioRefuses(t *testing.T) {
	const good = "question: Why?\nconnections: [1]\nrequest: {path: /}\nvariants: [{name: a}]\n"
	if _, err := parseScenario("x", []byte(good)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, text, want string }{
		{"empty", "", "question is missing"},
		{"unknown key", good + "conections: [1]\n", "conections"},
		{"no connections", strings.Replace(good, "[1]", "[]", 1), "connections is empty"},
		{"many connections", strings.Replace(good, "[1]", "[20000]", 1), "20000"},
		{"path", strings.Replace(good, "path: /", "path: x", 1), "starts with /"},
		{"no variants", strings.Replace(good, "[{name: a}]", "[]", 1), "variants is empty"},
		{"same name", strings.Replace(good, "{name: a}", "{name: a}, {name: a}", 1), "no other variant"},
		{"server alone", strings.Replace(good, "{name: a}", "{name: a, server: {command: [x]}}", 1), "no plugins"},
		{"named server", strings.Replace(good, "{name: a}", "{name: a, server: {name: x}, plugins: [{name: p}]}", 1), "names the server"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := parseScenario("x", []byte(c.text))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("found %v, expected an error with %q", err, c.want)
			}
		})
	}
}

func TestNarrow(t *testing.T) {
	s := Scenario{Connections: []int{1, 16}, Variants: []Variant{{Name: "no plugin"}, {Name: "Go, msgpack"}, {Name: "Python, msgpack"}, {Name: "Go, grpc"}}}
	s.narrow([]string{"Go", "none"}, []int{64})
	var names []string
	for _, v := range s.Variants {
		names = append(names, v.Name)
	}
	if !slices.Equal(names, []string{"no plugin", "Go, msgpack", "Go, grpc"}) || !slices.Equal(s.Connections, []int{64}) {
		t.Fatalf("found %v at %v", names, s.Connections)
	}
}

func TestFilesOfVariant(t *testing.T) {
	dir := t.TempDir()
	v := Variant{
		Name:    "x",
		Server:  map[string]any{"command": []any{"${ROOT}/bin/p"}, "carrier": "grpc", "env": map[string]any{"A": "${ROOT}"}},
		Plugins: []any{map[string]any{"name": "hello"}},
	}
	settings, gateway, err := v.files(dir, "/r", "127.0.0.1:9", map[string]string{"B": "2"})
	if err != nil {
		t.Fatal(err)
	}
	var s struct {
		Servers []struct {
			Name, Carrier string
			Command       []string
			Env           map[string]string
		} `yaml:"plugin_servers"`
	}
	read(t, settings, &s)
	if len(s.Servers) != 1 || s.Servers[0].Name != "bench" || s.Servers[0].Carrier != "grpc" || !slices.Equal(s.Servers[0].Command, []string{"/r/bin/p"}) ||
		!maps.Equal(s.Servers[0].Env, map[string]string{"A": "/r", "B": "2"}) {
		t.Errorf("found %+v", s)
	}
	if v.Server["name"] != nil || v.Server["env"].(map[string]any)["A"] != "${ROOT}" {
		t.Errorf("the scenario was changed: %+v", v.Server)
	}
	var g struct {
		Services []struct {
			URL     string
			Plugins []struct{ Name string }
		}
	}
	read(t, gateway, &g)
	if len(g.Services) != 1 || g.Services[0].URL != "http://127.0.0.1:9" || g.Services[0].Plugins[0].Name != "hello" {
		t.Errorf("found %+v", g)
	}
}

func read(t *testing.T, path string, into any) {
	t.Helper()
	b, err := os.ReadFile(filepath.Clean(path))
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(b, into); err != nil {
		t.Fatal(err)
	}
}

func TestParseOptions(t *testing.T) {
	o, err := parseOptions([]string{"--quick", "--rounds", "3", "--connections", "1, 64", "--variant", "Go, m", "--variant", "native"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if o.runner.rounds != 3 || o.runner.sample != time.Second || o.runner.warmUp != time.Second || !slices.Equal(o.connections, []int{1, 64}) ||
		!slices.Equal(o.variants, []string{"Go, m", "native"}) {
		t.Fatalf("found %+v", o)
	}
	for _, bad := range [][]string{{"x"}, {"--rounds", "0"}, {"--time", "1500ms"}, {"--time", "0s"}, {"--connections", "a"}, {"--nope"}} {
		if _, err := parseOptions(bad, io.Discard); err == nil {
			t.Errorf("%v: expected an error", bad)
		}
	}
}

func TestCommandLine(t *testing.T) {
	if got := commandLine([]string{"--quick", "--variant", "Go, msgpack"}); got != `bench/run.sh --quick --variant "Go, msgpack"` {
		t.Fatalf("found %s", got)
	}
}

func TestHeadOf(t *testing.T) {
	head := []byte("GET /bench/echo HTTP/1.1\r\nHost: a:1\r\nx-hello-go:  hi, you \r\n\r\n")
	if got := headOf(head, "X-Hello-Go"); got != "hi, you" {
		t.Errorf("found %q", got)
	}
	if got := headOf(head, "X-Other"); got != "" {
		t.Errorf("found %q", got)
	}
}

func TestReadyLine(t *testing.T) {
	r := &readyLine{found: make(chan string, 1)}
	for _, piece := range []string{"some words\nbenchhost is re", "ady on 127.0.0.1:81", "\nmore is ready on x\n"} {
		if n, err := r.Write([]byte(piece)); n != len(piece) || err != nil {
			t.Fatal(n, err)
		}
	}
	if got := <-r.found; got != "127.0.0.1:81" {
		t.Fatalf("found %q", got)
	}
}

func TestFileName(t *testing.T) {
	if got := fileName("pdk-calls", "Go, msgpack (30)"); got != "pdk-calls-go-msgpack-30" {
		t.Fatalf("found %q", got)
	}
}
