package host

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/config"
	"github.com/outrigger-gateway/outrigger/host/internal/entity"
)

func TestFilesOfPluginServers(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"bin/server", "plugins/a.py", "one.py"} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", filepath.Join(dir, "bin"))
	at := func(names ...string) []string {
		for i := range names {
			names[i] = filepath.Join(dir, names[i])
		}
		return names
	}
	for _, c := range []struct {
		name    string
		command []string
		watch   []string
		want    []string
	}{
		{"found in PATH", []string{"server", "-m", "outrigger", "serve", "one.py"}, nil, at("bin/server", "one.py")},
		{"of its directory", []string{"bin/server", "plugins", "none.py"}, nil, at("bin/server", "plugins")},
		{"absolute", at("bin/server", "one.py"), nil, at("bin/server", "one.py")},
		{"no such program", []string{"./gone"}, nil, at("gone")},
		{"not in PATH", []string{"gone"}, nil, nil},
		{"where everything is", []string{"server", ".", "..", "/", "plugins/.."}, nil, at("bin/server")},
		{"watched", []string{"server", "one.py"}, at("plugins"), at("plugins")},
	} {
		if found := filesOf(&config.PluginServer{WorkingDir: dir, Watch: c.watch}, c.command); !slices.Equal(found, c.want) {
			t.Errorf("%s: found %q, expected %q", c.name, found, c.want)
		}
	}
}

func TestSameServer(t *testing.T) {
	made := config.PluginServer{Name: "a", Command: []string{"x"}, Env: map[string]string{"A": "1"}, StartTimeout: time.Second}
	for name, c := range map[string]struct {
		change func(*config.PluginServer)
		same   bool
	}{
		"nothing":   {func(*config.PluginServer) {}, true},
		"its place": {func(c *config.PluginServer) { c.Pos = entity.Pos{Line: 7} }, true},
		"canary":    {func(c *config.PluginServer) { c.Canary = &config.Canary{} }, true},
		"watch":     {func(c *config.PluginServer) { c.Watch, c.Build = []string{"y"}, []string{"z"} }, true},
		"command":   {func(c *config.PluginServer) { c.Command = []string{"y"} }, false},
		"env":       {func(c *config.PluginServer) { c.Env = map[string]string{"A": "2"} }, false},
		"limit":     {func(c *config.PluginServer) { c.MemoryLimit = 1 }, false},
		"user":      {func(c *config.PluginServer) { c.User = "nobody" }, false},
	} {
		other := made
		c.change(&other)
		if sameServer(made, other) != c.same || sameServer(other, made) != c.same {
			t.Errorf("%s: expected %t", name, c.same)
		}
	}
}
