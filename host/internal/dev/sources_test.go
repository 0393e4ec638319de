package dev

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/outrigger-gateway/outrigger/host/internal/config"
)

// tree makes files, empty unless they are links, below a directory.
func tree(t *testing.T, files ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestSources(t *testing.T) {
	dir := tree(t, "py/hello.py", "js/server.js", "js/lib/x.js", "js/node_modules/.bin/outrigger-js", ".venv/bin/python", "bin/go-plugins", "src/main.go", "rules.json",
		"bin/tool", "built/plugin")
	at := func(names ...string) []string {
		for i, name := range names {
			names[i] = filepath.Join(dir, name)
		}
		return names
	}
	for name, c := range map[string]struct {
		server config.PluginServer
		roots  []string
		except []string
	}{
		"directory":           {config.PluginServer{Command: []string{".venv/bin/python", "-m", "outrigger", "serve", "py"}}, at("py"), nil},
		"script":              {config.PluginServer{Command: []string{"node", "js/node_modules/.bin/outrigger-js", "serve", "js/server.js"}}, at("js"), nil},
		"program":             {config.PluginServer{Command: []string{"bin/go-plugins", "--rules", "rules.json", "--level=info"}}, at("bin/go-plugins", "rules.json"), nil},
		"program of the host": {config.PluginServer{Command: []string{"/bin/sh", "-c", "exec sleep 1"}}, nil, nil},
		"working directory":   {config.PluginServer{Command: []string{"./go-plugins"}, WorkingDir: "bin"}, at("bin"), nil},
		"said": {config.PluginServer{Command: []string{".venv/bin/python", "py"}, Watch: at("js", "rules.json")},
			at("js", "rules.json"), nil},
		"built":          {config.PluginServer{Command: []string{"built/plugin"}, Build: []string{"go", "build"}}, at(""), at("built/plugin")},
		"built and said": {config.PluginServer{Command: []string{"built/plugin"}, Build: []string{"go", "build"}, Watch: at("src")}, at("src"), at("built/plugin")},
	} {
		t.Run(name, func(t *testing.T) {
			c.server.Name = "s"
			c.server.WorkingDir = filepath.Join(dir, c.server.WorkingDir)
			all, err := sourcesOf(&config.Settings{PluginServers: []config.PluginServer{c.server, {Name: "attached", Addresses: []string{"unix:///x"}}}}, dir, nil)
			if err != nil || len(all) != 1 {
				t.Fatalf("sources %v, error %v", all, err)
			}
			if !slices.Equal(all[0].roots, c.roots) || !slices.Equal(all[0].except, c.except) {
				t.Errorf("roots %q except %q, want %q except %q", all[0].roots, all[0].except, c.roots, c.except)
			}
			if len(c.server.Build) > 0 != (all[0].ignored() != nil && all[0].ignored()("dist")) {
				t.Error("what is built here is no source, and what is built elsewhere is one")
			}
		})
	}
	_, err := sourcesOf(&config.Settings{PluginServers: []config.PluginServer{{Name: "s", Command: []string{"x"}, Watch: at("nowhere")}}}, dir, nil)
	if err == nil || !strings.Contains(err.Error(), `plugin server "s": watch: `+dir+"/nowhere does not exist") {
		t.Errorf("error %v", err)
	}
}

func TestPluginDirectories(t *testing.T) {
	dir := tree(t, "one/pyproject.toml", "two/go.mod", "three/package.json", "three/.outrigger/lock", "home/x")
	one, two, three := filepath.Join(dir, "one"), filepath.Join(dir, "two"), filepath.Join(dir, "three")
	settings := &config.Settings{PluginServers: []config.PluginServer{
		{Name: "plugin", Command: []string{".venv/bin/python"}, WorkingDir: one},
		{Name: "prepared", Command: []string{"node", "x"}, WorkingDir: three},
	}}
	all, err := sourcesOf(settings, one, []string{one, two})
	if err != nil {
		t.Fatal(err)
	}
	var found [][3]string
	for _, s := range all {
		found = append(found, [3]string{s.server, s.plugin, strings.Join(s.roots, " ")})
	}
	want := [][3]string{{"plugin", one, one}, {"prepared", three, three}, {"two", two, two}}
	if !reflect.DeepEqual(found, want) {
		t.Errorf("sources %v, want %v", found, want)
	}
	settings.PluginServers[0].Name = "two"
	settings.PluginServers[0].WorkingDir = dir
	if _, err := sourcesOf(settings, one, []string{two}); err == nil || !strings.Contains(err.Error(), `another plugin server "two"`) {
		t.Errorf("error %v", err)
	}
}

func TestNothingToFollow(t *testing.T) {
	t.Chdir(t.TempDir())
	if _, err := New(Options{}); err == nil || !strings.Contains(err.Error(), "or name a plugin directory, or a settings file with --settings") {
		t.Errorf("error %v", err)
	}
	if err := os.WriteFile("outrigger.yaml", []byte("plugin_servers: [{name: a, address: \"unix:///x\"}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := New(Options{}); err == nil || !strings.Contains(err.Error(), "settings outrigger.yaml: found no plugin server with a command") {
		t.Errorf("error %v", err)
	}
}

func TestNamesOfFiles(t *testing.T) {
	s := source{roots: []string{"/a/src", "/a/rules.json"}}
	for path, want := range map[string]string{"/a/src/x.py": "x.py", "/a/src/b/y.py": "b/y.py", "/a/rules.json": "rules.json"} {
		if got := s.name(path); got != want {
			t.Errorf("%s is named %s, want %s", path, got, want)
		}
	}
}
