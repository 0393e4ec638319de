package host

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// taking is a process that replaces another one, or was given a socket.
type taking struct {
	upgrades bool
	admin    net.Listener // nil: the host opens it
}

func (t taking) Listen(setting, _ string, open func() (net.Listener, error)) (net.Listener, error) {
	if setting == "admin_listen" && t.admin != nil {
		return t.admin, nil
	}
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
			Flags: map[string]string{"proxy_listen": "127.0.0.1:0", "declarative_config": file, "drain_timeout": "1s"}, Log: log, Process: taking{upgrades: upgrades},
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

// Who asks over a unix socket is taken for the gateway's own user: one that was opened for everybody, as systemd does without SocketMode=, is refused.
func TestAdminSocketForEverybody(t *testing.T) {
	dir := t.TempDir()
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	for mode, refused := range map[os.FileMode]bool{0o666: true, 0o660: false, 0o600: false} {
		path := filepath.Join(dir, "admin.sock")
		ln, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		h, err := New(Options{
			Flags: map[string]string{"proxy_listen": "127.0.0.1:0", "admin_listen": "unix://" + path, "drain_timeout": "1s"}, Log: log, Process: taking{admin: ln},
		})
		if err != nil {
			t.Fatal(err)
		}
		err = h.Start(t.Context())
		if refused && (err == nil || !strings.Contains(err.Error(), "SocketMode=0600")) || !refused && err != nil {
			t.Errorf("mode %v: found %v", mode, err)
		}
		if err := h.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	}
}
