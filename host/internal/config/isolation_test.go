package config

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

func TestIsolationOfAServer(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "outrigger.yaml")
	text := `plugin_servers:
- {name: a, command: x, limits: {memory: 1g, processes: 64, file_size: 100m, cpu: 1.5, open_files: 256},
   isolation: {cgroup: required, seccomp: off, landlock: {read: [., /data], write: [out], mode: required}}}
- {name: b, command: x, isolation: {landlock: {read: [], write: []}}}
- {name: c, command: x, isolation: {no_new_privileges: off, landlock: null, seccomp: off}}
- {name: d, command: x}
`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := LoadSettings(file, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := s.PluginServers[0].Limits, (Limits{MemoryLimit: 1 << 30, ProcessLimit: 64, FileSize: 100 << 20, CPU: 1.5, OpenFiles: 256}); got != want {
		t.Errorf("limits %+v, want %+v", got, want)
	}
	for i, want := range []Isolation{
		{Cgroup: "required", Seccomp: "off", NoNewPrivileges: "on", Landlock: &Landlock{
			Read: []string{dir, "/data"}, Write: []string{filepath.Join(dir, "out")}, Mode: "required",
		}},
		// An empty list is a restriction, and no list none.
		{Cgroup: "auto", Seccomp: "default", NoNewPrivileges: "on", Landlock: &Landlock{Read: []string{}, Mode: "auto"}},
		{Cgroup: "auto", Seccomp: "off", NoNewPrivileges: "off"},
		{},
	} {
		if got := s.PluginServers[i].Isolation; !reflect.DeepEqual(got, want) {
			t.Errorf("isolation of server %d is %+v, want %+v", i, got, want)
		}
	}
}
