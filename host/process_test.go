package host

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
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

// A declarative file without content, which is most likely being written or was lost, does not become a gateway without routes.
func TestEmptyFilesAreRefused(t *testing.T) {
	file := filepath.Join(t.TempDir(), "gateway.yaml")
	for text, refused := range map[string]bool{"": true, " \n# nothing yet\n---\n": true, "_format_version: '3.0'\n": false} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, _, err := hostWith(t, file, "", nil)
		if refused && (err == nil || !strings.Contains(err.Error(), "a file without content")) || !refused && err != nil {
			t.Errorf("%q: found %v", text, err)
		}
		h, err := New(Options{Flags: map[string]string{"declarative_config": file}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.Lint(t.Context(), true); refused != (err != nil) {
			t.Errorf("%q: lint says %v", text, err)
		}
	}
}

// A process that is to replace one that serves takes the file or none: what was good once is no reason to end a gateway with something better.
func TestUpgradesDoNotStartWithTheLastGood(t *testing.T) {
	dir := t.TempDir()
	file, state := filepath.Join(dir, "gateway.yaml"), filepath.Join(dir, "state")
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	start := func(text string, upgrades bool) error {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		h, err := New(Options{
			Flags: map[string]string{"proxy_listen": "127.0.0.1:0", "declarative_config": file, "state_dir": state, "start_with_last_good": "on", "drain_timeout": "1s"},
			Log:   log, Process: taking{upgrades: upgrades},
		})
		if err != nil {
			t.Fatal(err)
		}
		err = h.Start(t.Context())
		if serr := h.Shutdown(t.Context()); serr != nil {
			t.Error(serr)
		}
		return err
	}
	if err := start("_format_version: '3.0'\n", true); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"", "spoilt", "_format_version: '3.0'\nplugins: [{name: nonsense}]\n"} {
		if err := start(bad, true); err == nil {
			t.Errorf("%q: an upgrade to it goes well", bad)
		}
		if err := start(bad, false); err != nil {
			t.Errorf("%q: a start with the last good configuration: %v", bad, err)
		}
	}
}

// A new process that is not to take over may have requests: it has the time that they have, and some for its plugins.
func TestEndTimeout(t *testing.T) {
	h, err := New(Options{Flags: map[string]string{"drain_delay": "5s", "drain_timeout": "60s"}})
	if err != nil {
		t.Fatal(err)
	}
	if got := h.EndTimeout(); got <= 65*time.Second {
		t.Errorf("%v, expected more than drain_delay and drain_timeout", got)
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
