package scenario

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strconv"

	"go.yaml.in/yaml/v4"
)

// Gateway is one gateway process and the variants that it serves: those of equal servers and native plugins share one, each with a route of its
// own, so that they differ in nothing else.
type Gateway struct {
	Variants []*Variant
}

// Gateways groups the variants of a scenario, in their order. Peers and the configurations of users have gateways of their own.
func (s *Scenario) Gateways() ([]Gateway, error) {
	var list []Gateway
	places := map[string]int{}
	for i := range s.Variants {
		v := &s.Variants[i]
		if v.Own != nil || v.Peer != nil {
			list = append(list, Gateway{Variants: []*Variant{v}})
			continue
		}
		key, err := yaml.Marshal([]any{v.Servers, v.Native, v.Routes})
		if err != nil {
			return nil, fmt.Errorf("variant %q: %w", v.Name, err)
		}
		place, known := places[string(key)]
		if !known {
			place = len(list)
			places[string(key)] = place
			list = append(list, Gateway{})
		}
		list[place].Variants = append(list[place].Variants, v)
	}
	return list, nil
}

// Prefix is put before the path of the requests to a variant.
func (g *Gateway) Prefix(v *Variant) string {
	if len(g.Variants) == 1 {
		return ""
	}
	return "/" + v.Name
}

// Environment is what the files of a gateway depend on.
type Environment struct {
	// Dir is where the files go.
	Dir string
	// Upstream is host:port.
	Upstream string
	// Kits are the commands that start plugin servers, by language.
	Kits map[string][]string
	// ServerEnv is added to the environment of the plugin servers.
	ServerEnv map[string]string
}

// Files writes the settings and the entities of a gateway.
func (g *Gateway) Files(e Environment) (settings, entities string, err error) {
	first := g.Variants[0]
	if first.Own != nil {
		return first.Own.files(e)
	}
	servers := []any{}
	for i, server := range first.Servers {
		made := maps.Clone(server)
		if kit, ok := made["kit"].(string); ok {
			command := e.Kits[kit]
			if only, ok := made["only"]; ok {
				command = append(command[:len(command):len(command)], "--only", fmt.Sprint(only))
			}
			delete(made, "kit")
			delete(made, "only")
			made["command"] = command
		}
		made["name"] = "bench"
		if i > 0 {
			made["name"] = "bench-" + strconv.Itoa(i+1)
		}
		if len(e.ServerEnv) > 0 {
			env := map[string]any{}
			for name, value := range e.ServerEnv {
				env[name] = value
			}
			if own, ok := made["env"].(map[string]any); ok {
				maps.Copy(env, own)
			}
			made["env"] = env
		}
		servers = append(servers, made)
	}
	services := []any{}
	for _, v := range g.Variants {
		path := g.Prefix(v)
		if path == "" {
			path = "/"
		}
		plugins := v.Plugins
		if plugins == nil {
			plugins = []any{}
		}
		services = append(services, map[string]any{
			"name": v.Name, "url": "http://" + e.Upstream, "plugins": plugins,
			"routes": []any{map[string]any{"name": v.Name, "paths": []string{path}}},
		})
	}
	if first.Routes > 0 {
		services = append(services, furtherRoutes(first.Routes, e.Upstream))
	}
	settings = filepath.Join(e.Dir, "outrigger.yaml")
	entities = filepath.Join(e.Dir, "gateway.yaml")
	return settings, entities, errors.Join(
		writeYAML(settings, map[string]any{"proxy_listen": "127.0.0.1:0", "plugin_servers": servers}),
		writeYAML(entities, map[string]any{"_format_version": "3.0", "services": services}),
	)
}

// furtherRoutes is a service with routes by path, by host and path, and by header and path, in turns.
func furtherRoutes(n int, upstream string) map[string]any {
	routes := make([]any, n)
	for i := range routes {
		number := strconv.Itoa(i)
		route := map[string]any{"name": "further-" + number, "paths": []string{"/further/" + number}}
		switch i % 3 {
		case 1:
			route["hosts"] = []string{"h" + number + ".example"}
		case 2:
			route["headers"] = map[string]any{"x-route": []string{number}}
		}
		routes[i] = route
	}
	return map[string]any{"name": "further", "url": "http://" + upstream, "routes": routes}
}

func writeYAML(path string, document any) error {
	b, err := yaml.Marshal(document)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return os.WriteFile(path, b, 0o600)
}
