package pluginserver

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func attachedServer(name, path string) Config {
	return Config{Name: name, Addresses: []string{"unix://" + path}, StartTimeout: 15 * time.Second, DrainTimeout: 5 * time.Second}
}

func TestAttachedServerRestartReconnects(t *testing.T) {
	carriers(t, func(t *testing.T, carrier string) {
		w := newWorld(t)
		path := filepath.Join(shortDir(t), "a.sock")
		server := spawn(t, "listen="+path)
		cfg := attachedServer("a", path)
		cfg.Carrier = carrier
		w.mustStart(cfg)
		if w.RunDir() != "" || w.reaper != nil {
			t.Error("an attached server needs no run directory and no reaper")
		}
		w.mustConfigure("a", 1, 2)
		w.answers("a", 1, 2)
		for range 2 {
			_ = server.Process.Kill()
			_ = server.Wait()
			eventually(t, "down", func() bool { return !w.ready("a") })
			server = spawn(t, "listen="+path)
			eventually(t, "ready", func() bool { return w.ready("a") })
			w.answers("a", 1, 2)
		}
		w.shutdown()
		// The server goes on without our instances.
		w2 := newWorld(t)
		w2.mustStart(cfg)
		for _, id := range []uint64{1, 2} {
			if _, config, err := w2.call("a", id, "/"); err == nil {
				t.Errorf("instance %d of a host that has ended answers %s", id, config)
			}
		}
	})
}

// Lesson 19: the reason names the path, what is there, and whose it is.
func TestLesson19SocketThatIsNotThere(t *testing.T) {
	dir := shortDir(t)
	stale := filepath.Join(dir, "stale.sock")
	l, err := net.Listen("unix", stale)
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	l.Close()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o640); err != nil {
		t.Fatal(err)
	}
	mute, err := net.Listen("unix", filepath.Join(dir, "mute.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()
	for name, c := range map[string]struct {
		path string
		want []string
	}{
		"missing":      {filepath.Join(dir, "stale.socket"), []string{"stale.socket does not exist", "holds the sockets", "stale.sock"}},
		"no directory": {"/no/such/dir/a.sock", []string{"/no/such/dir/a.sock does not exist", "nor does its directory"}},
		"stale":        {stale, []string{"nobody listens on unix socket " + stale, "owner root", "mode S"}},
		"no socket":    {file, []string{file + " is no unix socket", "-rw-r-----"}},
		"mute":         {mute.Addr().String(), []string{"no answer within 400ms"}},
	} {
		t.Run(name, func(t *testing.T) {
			if os.Geteuid() != 0 {
				c.want = c.want[:1]
			}
			w := newWorld(t)
			cfg := attachedServer("a", c.path)
			cfg.StartTimeout = 400 * time.Millisecond
			err := w.start(cfg)
			var failed *StartError
			if !errors.As(err, &failed) || failed.Failed[0].Ready {
				t.Fatalf("error %v, want a StartError", err)
			}
			eventually(t, "a reason", func() bool { return w.Server("a").State().State == StateDown })
			reason := w.Ready()[0].Reason
			for _, part := range c.want {
				if !strings.Contains(reason, part) {
					t.Errorf("reason %q does not say %q", reason, part)
				}
			}
		})
	}
}

// A server that comes up late is found, and its plugins with it.
func TestAttachedServerComesLate(t *testing.T) {
	w := newWorld(t)
	path := filepath.Join(shortDir(t), "a.sock")
	states := make(chan State, 16)
	w.opts.OnState = func(s State) { states <- s }
	cfg := attachedServer("a", path)
	cfg.StartTimeout = 300 * time.Millisecond
	if err := w.start(cfg); err == nil {
		t.Fatal("ready without a server")
	}
	if m := w.Manifests(); len(m) != 0 {
		t.Errorf("manifests %v", m)
	}
	spawn(t, "listen="+path)
	select {
	case s := <-states:
		if !s.Ready || s.Server != "a" {
			t.Errorf("state %+v", s)
		}
	case <-time.After(patience):
		t.Fatal("never ready")
	}
	if m := w.Manifests(); len(m) != 1 || m[0].Name != "echo" {
		t.Errorf("manifests %v", m)
	}
}

// The end of a host waits for its own calls, not for those that other hosts have on the same server.
func TestAttachedServerOfOthersIsLeft(t *testing.T) {
	path := filepath.Join(shortDir(t), "a.sock")
	spawn(t, "listen="+path, "busy")
	w := newWorld(t)
	w.mustStart(attachedServer("a", path), fakeServer("s", "plugin=other,busy"))
	w.mustConfigure("a", 1)
	w.shutdown()
	const said = "calls still run on the plugin server after the time for draining"
	if n := len(w.log.find("msg", said, "server", "a")); n > 0 {
		t.Error("the attached server was asked to drain")
	}
	if n := len(w.log.find("msg", said, "server", "s")); n != 1 {
		t.Errorf("the managed server was asked to drain %d times", n)
	}
}
