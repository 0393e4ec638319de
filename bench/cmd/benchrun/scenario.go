package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Scenario is one question and the ways of running the gateway that answer it: a file in bench/scenarios.
type Scenario struct {
	// Name is the name of the file without its ending.
	Name     string `yaml:"-"`
	Question string `yaml:"question"`
	// Connections are the numbers of client connections that every variant is measured at.
	Connections []int `yaml:"connections"`
	// CPUs bind the load, the gateway and all it starts to these processors, as taskset writes them; empty: all.
	CPUs    string  `yaml:"cpus"`
	Request Request `yaml:"request"`
	// Variants are compared with the first.
	Variants []Variant `yaml:"variants"`
}

// Request is the request that is sent again and again.
type Request struct {
	Path    string            `yaml:"path"`
	Headers map[string]string `yaml:"headers"`
}

// Variant is one way of running the gateway.
type Variant struct {
	Name string `yaml:"name"`
	// Native names plugins of the bench that run inside the host.
	Native []string `yaml:"native"`
	// Server is an item of plugin_servers in outrigger.yaml, without its name; ${ROOT} is the project's directory.
	Server map[string]any `yaml:"server"`
	// Plugins are the plugins of the only service, as in gateway.yaml.
	Plugins []any `yaml:"plugins"`
	// Response and Upstream are headers that one request must show, on the response and at the upstream: proof that the plugins do their work.
	Response map[string]string `yaml:"response"`
	Upstream map[string]string `yaml:"upstream"`
}

// loadScenarios reads the named scenarios, or all of the directory in the order of their names.
func loadScenarios(dir string, names []string) ([]Scenario, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil {
		return nil, err
	}
	var known []string
	for _, p := range paths {
		known = append(known, strings.TrimSuffix(filepath.Base(p), ".yaml"))
	}
	if len(names) == 0 {
		names = known
	}
	var list []Scenario
	for _, name := range names {
		if !slices.Contains(known, name) {
			return nil, fmt.Errorf("scenario %q is not in %s: expected %s", name, dir, strings.Join(known, ", "))
		}
		path := filepath.Join(dir, name+".yaml")
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		s, err := parseScenario(name, data)
		if err != nil {
			return nil, fmt.Errorf("scenario %s: %w", path, err)
		}
		list = append(list, s)
	}
	return list, nil
}

// parseScenario reads one file. Unknown keys are errors.
func parseScenario(name string, data []byte) (Scenario, error) {
	var s Scenario
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	decoder.KnownFields(true)
	if err := decoder.Decode(&s); err != nil && !errors.Is(err, io.EOF) {
		return Scenario{}, err
	}
	s.Name = name
	return s, s.validate()
}

func (s *Scenario) validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if s.Question == "" {
		bad("question is missing: expected the question that the figures answer")
	}
	if len(s.Connections) == 0 {
		bad("connections is empty: expected numbers such as [1, 16, 64]")
	}
	for _, n := range s.Connections {
		if n < 1 || n > 10000 {
			bad("connections has %d: expected 1 to 10000", n)
		}
	}
	if !strings.HasPrefix(s.Request.Path, "/") {
		bad("request.path is %q: expected a path that starts with /", s.Request.Path)
	}
	if len(s.Variants) == 0 {
		bad("variants is empty: expected the baseline and what is compared with it")
	}
	seen := map[string]bool{}
	for i, v := range s.Variants {
		if v.Name == "" || seen[v.Name] {
			bad("variants[%d].name is %q: expected a name that no other variant has", i, v.Name)
		}
		seen[v.Name] = true
		if len(v.Plugins) == 0 && (v.Server != nil || v.Native != nil) {
			bad("variants[%d] %q has no plugins: expected some for its server or native", i, v.Name)
		}
		if _, ok := v.Server["name"]; ok {
			bad("variants[%d].server.name is set: the runner names the server", i)
		}
	}
	return errors.Join(errs...)
}

// narrow keeps the baseline and the variants whose names contain one of the texts, and replaces the connections; nil changes nothing.
func (s *Scenario) narrow(texts []string, connections []int) {
	if len(connections) > 0 {
		s.Connections = connections
	}
	if len(texts) == 0 {
		return
	}
	kept := s.Variants[:1:1]
	for _, v := range s.Variants[1:] {
		if slices.ContainsFunc(texts, func(t string) bool { return strings.Contains(v.Name, t) }) {
			kept = append(kept, v)
		}
	}
	s.Variants = kept
}

// files writes outrigger.yaml and gateway.yaml of a variant. root replaces ${ROOT}; serverEnv is added to the environment of the plugin server.
func (v *Variant) files(dir, root, upstream string, serverEnv map[string]string) (settings, gateway string, err error) {
	servers := []any{}
	if v.Server != nil {
		server := expand(v.Server, root).(map[string]any)
		server["name"] = "bench"
		env, _ := server["env"].(map[string]any)
		if env == nil {
			env = map[string]any{}
		}
		for name, value := range serverEnv {
			env[name] = value
		}
		server["env"] = env
		servers = append(servers, server)
	}
	plugins := v.Plugins
	if plugins == nil {
		plugins = []any{}
	}
	settings = filepath.Join(dir, "outrigger.yaml")
	gateway = filepath.Join(dir, "gateway.yaml")
	return settings, gateway, errors.Join(
		writeYAML(settings, map[string]any{"proxy_listen": "127.0.0.1:0", "plugin_servers": servers}),
		writeYAML(gateway, map[string]any{
			"_format_version": "3.0",
			"services": []any{map[string]any{
				"name": "bench", "url": "http://" + upstream, "plugins": plugins,
				"routes": []any{map[string]any{"name": "bench", "paths": []string{"/"}}},
			}},
		}),
	)
}

func writeYAML(path string, document any) error {
	b, err := yaml.Marshal(document)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return os.WriteFile(path, b, 0o600)
}

// expand copies a YAML value and replaces ${ROOT} in its strings.
func expand(v any, root string) any {
	switch v := v.(type) {
	case string:
		return strings.ReplaceAll(v, "${ROOT}", root)
	case []any:
		list := make([]any, len(v))
		for i, item := range v {
			list[i] = expand(item, root)
		}
		return list
	case map[string]any:
		m := make(map[string]any, len(v))
		for name, item := range v {
			m[name] = expand(item, root)
		}
		return m
	}
	return v
}
