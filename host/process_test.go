package host

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// taking is a process that replaces another one.
type taking struct{ upgrades bool }

func (taking) Listen(_, _ string, open func() (net.Listener, error)) (net.Listener, error) {
	return open()
}
func (t taking) Upgrades() bool                      { return t.upgrades }
func (taking) Needs(string) bool                     { return false }
func (taking) Upgrade([]string) (int, string, error) { return 0, "", nil }

// A declarative file without content, which is most likely being written, does not take the routes of a gateway that is upgraded.
func TestUpgradeRefusesAnEmptyFile(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "gateway.yaml")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	for _, upgrades := range []bool{true, false} {
		h, err := New(Options{
			Flags: map[string]string{"proxy_listen": "127.0.0.1:0", "declarative_config": file, "drain_timeout": "1s"}, Log: log, Process: taking{upgrades},
		})
		if err != nil {
			t.Fatal(err)
		}
		err = h.Start(t.Context())
		if upgrades && (err == nil || !strings.Contains(err.Error(), "a file without content")) || !upgrades && err != nil {
			t.Errorf("upgrades %v: found %v", upgrades, err)
		}
		if err := h.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	}
}
