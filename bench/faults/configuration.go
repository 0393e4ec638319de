package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

type object = map[string]any

// Times of the gateway for its upstreams. Only what waits for nothing has a short one: on a busy machine an answer may take a while.
const (
	readTimeout  = 15 * time.Second
	stallTimeout = time.Second
)

// configuration is the files of the gateway.
type configuration struct {
	dir, repo string
	up        *upstream
	names     *nameServer
	more      []object // the further routes
	builds    map[string]int
}

func newConfiguration(dir, repo string, o *options, up *upstream, names *nameServer) *configuration {
	c := &configuration{dir: dir, repo: repo, up: up, names: names, builds: map[string]int{}}
	for i := range o.routes {
		route := object{"name": fmt.Sprintf("more-%d", i), "paths": []string{fmt.Sprintf("/more/%d/", i)}}
		if i < o.plugins {
			route["plugins"] = []any{object{"name": "request-termination", "config": object{"status_code": 404}}}
		}
		c.more = append(c.more, route)
	}
	return c
}

func (c *configuration) settings() string { return filepath.Join(c.dir, "outrigger.yaml") }

// commands start the plugin servers, from the root of the repository.
var commands = map[string][]string{
	"go":     {"bin/faults-go"},
	"python": {".venv/bin/python", "-m", "outrigger", "serve", "bench/faults/plugins/python"},
	"js":     {"node", "sdk-js/bin/outrigger-js.js", "serve", "bench/faults/plugins/js"},
}

// writeSettings writes the settings.
func (c *configuration) writeSettings() error {
	var servers []object
	for _, p := range pluginServers {
		servers = append(servers, object{
			"name": p.name, "command": commands[p.language], "carrier": p.carrier, "working_dir": c.repo,
			"env": object{"FAULTS_SERVER": p.name, "FAULTS_BUILD": strconv.Itoa(c.builds[p.name])},
			// A call fails when its process is killed, never because the machine is busy.
			"timeout": "20s", "start_timeout": "60s", "health_interval": "20s", "fail_status": p.failStatus, "fail_body": p.failBody(),
		})
	}
	return c.write(c.settings(), object{
		"proxy_listen": "127.0.0.1:0", "admin_listen": "unix://" + filepath.Join(c.dir, "admin.sock"), "run_dir": filepath.Join(c.dir, "run"),
		"declarative_config": "gateway.yaml", "dns_resolver": []string{c.names.address()}, "log_level": "notice", "drain_timeout": drainTimeout.String(),
		"upstream_keepalive_idle_timeout": "5s", "plugin_servers": servers,
	})
}

// writeEntities writes the entities; the answer of /generation/ tells the number.
func (c *configuration) writeEntities(generation int) error {
	service := func(name, host string, timeout time.Duration, routes ...object) object {
		return object{
			"name": name, "host": host, "port": c.up.port, "retries": 1, "read_timeout": timeout.Milliseconds(), "connect_timeout": 10_000, "write_timeout": 10_000, "routes": routes,
		}
	}
	var steady, moving []object
	for i := range places {
		if p := &places[i]; p.moving {
			moving = append(moving, p.route())
		} else {
			steady = append(steady, p.route())
		}
	}
	stalled := object{"name": "stalled", "hosts": []string{places[0].host}, "paths": []string{"/stall/"}, "strip_path": false}
	return c.write(filepath.Join(c.dir, "gateway.yaml"), object{
		"_format_version": "3.0",
		"services": []object{
			service("steady", addresses[0], readTimeout, append(steady, tunnels.route())...),
			service("moving", movingName, readTimeout, moving...),
			service("stalled", addresses[0], stallTimeout, stalled),
		},
		"routes": append([]object{{
			"name": "generation", "paths": []string{"/generation/"},
			"plugins": []object{{"name": "request-termination", "config": object{"status_code": 200, "message": strconv.Itoa(generation)}}},
		}}, c.more...),
	})
}

// write puts a file in the place of another one. JSON is YAML.
func (c *configuration) write(path string, content object) error {
	text, err := json.MarshalIndent(content, "", "  ")
	if err != nil {
		return err
	}
	return errors.Join(os.WriteFile(path+".new", text, 0o600), os.Rename(path+".new", path))
}
