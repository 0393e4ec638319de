package pluginserver

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/outrigger-gateway/outrigger/proto/wire"
)

func TestRefusedConfiguration(t *testing.T) {
	w := newWorld(t)
	cfg := fakeServer("s")
	cfg.Processes = 2
	w.mustStart(cfg)
	w.mustConfigure("s", 1)
	err := w.Server("s").Configure(t.Context(), Instance{ID: 2, Plugin: "echo", Config: []byte(`"bad"`)})
	var refused *ConfigError
	if !errors.As(err, &refused) || len(refused.Fields) != 1 || refused.Fields[0] != (FieldError{"limits.0", "found bad, expected good"}) {
		t.Fatalf("error %v", err)
	}
	if want := `plugin "echo" on plugin server "s" refuses the configuration: limits.0: found bad, expected good`; err.Error() != want {
		t.Errorf("error %q, want %q", err, want)
	}
	// A replacement that is refused leaves what was.
	if err := w.Server("s").Configure(t.Context(), Instance{ID: 1, Plugin: "echo", Config: []byte(`"bad"`)}); !errors.As(err, &refused) {
		t.Errorf("error %v", err)
	}
	w.answers("s", 1, 1)
	if n := w.Server("s").Status().Instances; n != 1 {
		t.Errorf("%d instances are remembered, want 1", n)
	}
}

func TestConfigureWhileDown(t *testing.T) {
	w := newWorld(t)
	w.opts.Backoff = Backoff{Min: 2 * time.Second} // it must not be back before the test has looked
	w.mustStart(fakeServer("s"))
	w.mustConfigure("s", 1)
	kill(t, w.pids("s")[0], syscall.SIGKILL)
	eventually(t, "down", func() bool { return strings.Contains(w.Server("s").State().Reason, "signal: killed") })
	err := w.configure("s", 2)
	var unreachable *UnreachableError
	if !errors.As(err, &unreachable) || !strings.Contains(err.Error(), "signal: killed") {
		t.Errorf("error %v, want unreachable with the reason", err)
	}
	w.Server("s").Release(1)
	// What the plugin refuses after the fact does not keep the others from coming back.
	_ = w.Server("s").Configure(t.Context(), Instance{ID: 3, Plugin: "echo", Config: []byte(`"bad"`)})
	eventually(t, "ready", func() bool { return w.ready("s") })
	w.answers("s", 2)
	for _, id := range []uint64{1, 3} {
		if _, _, err := w.call("s", id, "/"); err == nil {
			t.Errorf("instance %d answers", id)
		}
	}
	if f := w.Server("s").Status().Processes[0].Failed; len(f) != 1 || !strings.Contains(f[3], "found bad") {
		t.Errorf("failed instances %v, want 3", f)
	}
}

// A server that dies, or hangs, while it is being configured neither blocks the caller nor is lost.
func TestServerDiesDuringConfigure(t *testing.T) {
	w := newWorld(t)
	w.mustStart(fakeServer("s", "die_in_configure"))
	done := make(chan error, 1)
	go func() { done <- w.configure("s", 1) }()
	var err error
	select {
	case err = <-done:
	case <-time.After(patience):
		t.Fatal("Configure hangs")
	}
	var unreachable *UnreachableError
	if !errors.As(err, &unreachable) {
		t.Errorf("error %v, want unreachable", err)
	}
	// It dies every time it is given the instance, and is well again when the instance is released.
	eventually(t, "another start", func() bool { return w.Server("s").Status().Processes[0].Starts >= 3 })
	w.Server("s").Release(1)
	eventually(t, "ready", func() bool { return w.ready("s") })
}

func TestConfigureHangs(t *testing.T) {
	w := newWorld(t)
	cfg := fakeServer("s", "hang_in_configure")
	cfg.StartTimeout = 4 * time.Second
	w.mustStart(cfg)
	w.mustConfigure("s", 1)
	err := w.Server("s").Configure(t.Context(), Instance{ID: 2, Plugin: "echo", InstanceName: "hang"})
	var unreachable *UnreachableError
	if !errors.As(err, &unreachable) || !strings.Contains(err.Error(), "no answer in time") {
		t.Errorf("error %v, want unreachable: no answer in time", err)
	}
	w.answers("s", 1)
	pid := w.pids("s")[0]
	kill(t, pid, syscall.SIGKILL)
	eventually(t, "ready again, although one instance hangs", func() bool { p := w.pids("s"); return len(p) == 1 && p[0] != pid })
	w.answers("s", 1)
}

// A process that comes back and refuses an instance never answers for it: its calls get an error, which the fail mode turns into an answer, and the
// status names the instance. The other instances are served.
func TestProcessThatRefusesAnInstance(t *testing.T) {
	w := newWorld(t)
	file := filepath.Join(t.TempDir(), "refuse")
	w.mustStart(fakeServer("s", "refuse_while="+file))
	w.mustConfigure("s", 1, 2)
	if w.Server("s").State().Degraded {
		t.Error("degraded with all instances")
	}
	write(t, file)
	pid := w.pids("s")[0]
	kill(t, pid, syscall.SIGKILL)
	eventually(t, "a new process", func() bool { p := w.pids("s"); return len(p) == 1 && p[0] != pid })
	var answer *wire.Error
	if _, _, err := w.call("s", 1, "/"); !errors.As(err, &answer) || answer.Code != wire.CodeUnknownInstance {
		t.Errorf("a call of an instance that was refused: %v, want unknown_instance", err)
	}
	st := w.Server("s").Status()
	if !st.Ready || !st.Degraded || len(st.Processes[0].Failed) != 2 {
		t.Errorf("status %+v, want ready and degraded with two failed instances", st)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	w.mustConfigure("s", 2)
	w.answers("s", 2)
	if st := w.Server("s").Status(); len(st.Processes[0].Failed) != 1 {
		t.Errorf("status %+v, want one failed instance", st)
	}
}

// What is refused is taken back from every process, whichever took calls when it was asked for, and leaves no trace.
func TestRefusedInstancesLeaveNoTrace(t *testing.T) {
	w := newWorld(t)
	w.mustStart(fakeServer("s"))
	w.mustConfigure("s", 1, 2)
	s := w.Server("s")
	s.mu.Lock()
	in, l := s.instances[2], s.peers[0].life
	s.mu.Unlock()
	s.takeBack(in, nil) // as if another process had refused it
	eventually(t, "the instance is released", func() bool { _, _, err := w.call("s", 2, "/"); return err != nil })
	w.answers("s", 1)
	if err := l.configure(t.Context(), &Instance{ID: 3, Plugin: "echo", Config: []byte(`"bad"`)}); err == nil {
		t.Error("accepted")
	}
	if st := s.Status(); st.Degraded || len(st.Processes[0].Failed) > 0 || st.Instances != 1 {
		t.Errorf("status %+v, want nothing of an instance that was released while it was refused", st)
	}
}
