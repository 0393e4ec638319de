package pluginserver

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/transport"
)

// begin starts a new build of a server with other orders.
func (w *world) begin(cfg Config) *Server {
	w.t.Helper()
	next, err := w.Begin(w.t.Context(), cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	return next
}

func (s *Server) configureFor(t *testing.T, ids ...uint64) {
	t.Helper()
	for _, id := range ids {
		if err := s.Configure(t.Context(), Instance{ID: id, Plugin: "echo", Config: []byte(configOf(id))}); err != nil {
			t.Fatal(err)
		}
	}
}

func pidsOf(s *Server) []int {
	var pids []int
	for _, p := range s.Status().Processes {
		if p.PID != 0 {
			pids = append(pids, int(p.PID))
		}
	}
	return pids
}

func TestReplacedServer(t *testing.T) {
	w := newWorld(t)
	var states []State
	w.opts.OnState = func(s State) {
		if s.Server == "s" {
			states = append(states, s) // one after the other, whatever build
		}
	}
	cfg := fakeServer("s")
	cfg.Processes = 2
	w.mustStart(cfg, fakeServer("other", "plugin=other"))
	w.mustConfigure("s", 1, 2)
	old := w.Server("s")
	pids := pidsOf(old)

	next := w.begin(cfg)
	if w.Server("s") != old {
		t.Error("the new build is used before its promotion")
	}
	next.configureFor(t, 3, 4)
	if err := next.Check(); err != nil {
		t.Error(err)
	}
	if err := w.Promote(next); err != nil {
		t.Fatal(err)
	}
	if w.Server("s") != next || len(w.Manifests()) != 2 || w.Status()[1].Retired != 1 {
		t.Errorf("server %v, manifests %v, status %+v", w.Server("s"), w.Manifests(), w.Status()[1])
	}
	w.answers("s", 3, 4)
	// Who began with the old build ends with it.
	for _, id := range []uint64{1, 2} {
		if pid, config, err := callOn(old, id); err != nil || config != configOf(id) || !slices.Contains(pids, pid) {
			t.Errorf("instance %d of the old build: pid %d, %q, %v", id, pid, config, err)
		}
		if _, _, err := w.call("s", id, "/"); err == nil {
			t.Errorf("the new build has instance %d of the old one", id)
		}
	}
	old.Release(1)
	if _, _, err := callOn(old, 2); err != nil {
		t.Errorf("the old build ended before its last instance: %v", err)
	}
	old.Release(2)
	eventually(t, "the processes of the old build are gone", func() bool { return gone(pids[0]) && gone(pids[1]) })
	eventually(t, "the old build is forgotten", func() bool { return w.Status()[1].Retired == 0 })
	w.answers("s", 3, 4)

	// A process of the new build that dies is started again, as any.
	died := pidsOf(next)[0]
	kill(t, died, 9)
	eventually(t, "a new process", func() bool { p := w.pids("s"); return len(p) == 2 && !slices.Contains(p, died) })
	w.answers("s", 3, 4)
	w.shutdown()
	for _, s := range states {
		if !s.Ready && s.State != StateStopping {
			t.Errorf("told of the state %+v, although the server was always ready", s)
		}
	}
}

// callOn runs one call on a build.
func callOn(s *Server, id uint64) (pid int, config string, err error) {
	w := world{Servers: &Servers{list: []*Server{s}}}
	return w.call(s.Name(), id, "/")
}

// A new build that does not come up, or does not take what it is given, changes nothing and leaves nothing.
func TestRefusedReplacement(t *testing.T) {
	w := newWorld(t)
	w.mustStart(fakeServer("s"), fakeServer("other", "plugin=other"))
	w.mustConfigure("s", 1)
	old, pid := w.Server("s"), w.pids("s")[0]
	for name, c := range map[string]struct {
		cfg  Config
		want string
	}{
		"exits":              {fakeServer("s", "exit=3"), "ImportError: no module named orders"},
		"hosts what another": {fakeServer("s", "plugin=other"), `plugin "other" is hosted by two plugin servers, "other" and "s"`},
		"wrong":              {Config{Name: "s", Command: []string{"/no/such/program"}}, "/no/such/program"},
		"attached":           {Config{Name: "s", Addresses: []string{"unix:///run/x"}}, "is attached"},
		"unknown":            {fakeServer("t"), `there is no plugin server "t"`},
		"impossible":         {Config{Name: "s", Command: []string{"x"}, Carrier: "pigeon"}, "pigeon"},
	} {
		t.Run(name, func(t *testing.T) {
			if next, err := w.Begin(t.Context(), c.cfg); err == nil || next != nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}

	next := w.begin(fakeServer("s"))
	_ = next.Configure(t.Context(), Instance{ID: 2, Plugin: "echo", Config: []byte(`"bad"`)})
	next.configureFor(t, 3)
	kill(t, pidsOf(next)[0], 9)
	eventually(t, "the new build is down", func() bool { return strings.Contains(next.State().Reason, "signal: killed") })
	if err := w.Promote(next); err == nil || !strings.Contains(err.Error(), "signal: killed") {
		t.Errorf("a build whose process died is promoted: %v", err)
	}
	if err := next.Check(); err == nil {
		t.Error("a build whose process died is healthy")
	}
	next.Abandon()

	hangs := fakeServer("s", "hang_in_configure")
	hangs.StartTimeout = 4 * time.Second // it must come up within it, on a busy machine too
	next = w.begin(hangs)
	_ = next.Configure(t.Context(), Instance{ID: 4, Plugin: "echo", InstanceName: "hang"})
	if err := w.Promote(next); err == nil || !strings.Contains(err.Error(), "no answer in time") {
		t.Errorf("a build without its instance is promoted: %v", err)
	}
	left := pidsOf(next)[0]
	next.Abandon()
	if !gone(left) {
		t.Error("an abandoned build lives")
	}

	sick := filepath.Join(shortDir(t), "sick")
	next = w.begin(fakeServer("s", "sick="+sick))
	if err := os.WriteFile(sick, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := next.Check(); err == nil || !strings.Contains(err.Error(), "NOT_SERVING") {
		t.Errorf("a sick build passes its check: %v", err)
	}
	next.Abandon()

	if w.Server("s") != old || w.pids("s")[0] != pid || len(w.others) != 0 || len(w.Manifests()) != 2 {
		t.Errorf("something is left: server %v, builds %v, manifests %v", w.Status(), w.others, w.Manifests())
	}
	w.answers("s", 1)
}

// Names of plugins change hands only with a promotion.
func TestReplacementTakesNames(t *testing.T) {
	w := newWorld(t)
	w.mustStart(fakeServer("a", "plugin=x"), fakeServer("b", "plugin=y"))
	next := w.begin(fakeServer("a", "plugin=z"))
	if _, err := w.Begin(t.Context(), fakeServer("b", "plugin=x")); err == nil {
		t.Error("the name of a plugin that is in use is given away")
	}
	if err := w.Promote(next); err != nil {
		t.Fatal(err)
	}
	freed := w.begin(fakeServer("b", "plugin=x"))
	if err := w.Promote(freed); err != nil {
		t.Error(err)
	}
	// Two builds on trial want the same name: the second is refused when it is promoted, if not before.
	one, two := w.begin(fakeServer("a", "plugin=n")), w.begin(fakeServer("b", "plugin=n"))
	var taken *DuplicatePluginError
	if err := w.Promote(one); err != nil {
		t.Error(err)
	}
	if err := w.Promote(two); !errors.As(err, &taken) {
		t.Errorf("error %v, want a duplicate plugin", err)
	}
	two.Abandon()
}

func TestReplacementIsInterrupted(t *testing.T) {
	w := newWorld(t)
	w.mustStart(fakeServer("s"))
	starts := filepath.Join(shortDir(t), "starts")
	ctx, cancel := context.WithCancelCause(t.Context())
	cfg := fakeServer("s", "starts="+starts, "silent")
	cfg.StartTimeout = time.Hour
	done := make(chan error, 1)
	go func() {
		_, err := w.Begin(ctx, cfg)
		done <- err
	}()
	eventually(t, "the new build starts", func() bool { return countLines(starts) == 1 })
	why := errors.New("another change")
	cancel(why)
	select {
	case err := <-done:
		if !errors.Is(err, why) {
			t.Errorf("error %v, want the cause", err)
		}
	case <-time.After(patience):
		t.Fatal("Begin goes on")
	}
	if len(w.others) != 0 {
		t.Error("the new build is left")
	}

	// The end of all servers ends every build, and none begins after it.
	w.mustConfigure("s", 1)
	next := w.begin(fakeServer("s"))
	if err := w.Promote(next); err != nil {
		t.Fatal(err)
	}
	trial := w.begin(fakeServer("s"))
	var pids []int
	for _, s := range []*Server{next, trial} {
		pids = append(pids, pidsOf(s)...)
	}
	w.shutdown()
	for _, pid := range pids {
		if !gone(pid) {
			t.Errorf("process %d is left", pid)
		}
	}
	if _, err := w.Begin(t.Context(), fakeServer("s")); err == nil {
		t.Error("a build begins after the end")
	}
	if err := w.Promote(trial); err == nil {
		t.Error("a build is promoted after the end")
	}
}

// Requests that do not end keep a few old builds alive, not all.
func TestFewOldBuilds(t *testing.T) {
	w := newWorld(t)
	w.mustStart(fakeServer("s"))
	var builds []*Server
	for i := range uint64(maxRetired + 2) {
		s := w.Server("s")
		s.configureFor(t, 10+i)
		builds = append(builds, s)
		if err := w.Promote(w.begin(fakeServer("s"))); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the oldest builds have ended", func() bool { return w.Status()[0].Retired == maxRetired })
	for i, s := range builds {
		if _, _, err := callOn(s, 10+uint64(i)); (err == nil) != (i >= len(builds)-maxRetired) {
			t.Errorf("build %d of %d: %v", i, len(builds), err)
		}
	}
	// One that dies is not started again: it would be another build.
	kill(t, pidsOf(builds[len(builds)-1])[0], 9)
	eventually(t, "it is told", func() bool { return w.log.has("an old build of the plugin server ended before its last requests") })
	if n := builds[len(builds)-1].Status().Processes[0].Starts; n != 1 {
		t.Errorf("%d starts of an old build, want 1", n)
	}
}

// A server whose lanes take their time to open again is still watched: its health decides meanwhile.
func TestReopeningDoesNotBlockTheWatch(t *testing.T) {
	w := newWorld(t)
	w.opts.HealthInterval = 50 * time.Millisecond
	sick := filepath.Join(shortDir(t), "sick")
	opening := make(chan struct{})
	var opened atomic.Int64
	ss, err := start(t.Context(), []Config{fakeServer("s", "sick="+sick)}, w.opts, func(ctx context.Context, l *life, o transport.Options) (transport.Lane, error) {
		if opened.Add(1) != 2 {
			return openLane(ctx, l, o)
		}
		close(opening)
		<-ctx.Done()
		return nil, context.Cause(ctx)
	})
	if err != nil {
		t.Fatal(err)
	}
	w.Servers = ss
	t.Cleanup(w.shutdown)
	pid := w.pids("s")[0]
	_, _, _ = w.call("s", 1, "/closelane")
	select {
	case <-opening:
	case <-time.After(patience):
		t.Fatal("the lane is not opened again")
	}
	if err := os.WriteFile(sick, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the sick process has ended", func() bool { return gone(pid) })
}

// A server that comes later is one like the others, and one that goes serves the calls of its instances first.
func TestServersComeAndGo(t *testing.T) {
	w := newWorld(t)
	var mu sync.Mutex
	var ready []string
	w.opts.OnState = func(s State) {
		mu.Lock()
		defer mu.Unlock()
		if s.Ready {
			ready = append(ready, s.Server)
		}
	}
	w.mustStart() // none: there is no run directory yet
	if err := w.Add(t.Context(), fakeServer("b")); err != nil {
		t.Fatal(err)
	}
	if err := w.Add(t.Context(), fakeServer("a", "plugin=other")); err != nil {
		t.Fatal(err)
	}
	if list := w.Ready(); len(list) != 2 || list[0].Server != "a" || !list[0].Ready || len(w.Manifests()) != 2 {
		t.Errorf("found %+v", list)
	}
	for name, c := range map[string]struct {
		cfg  Config
		want string
	}{
		"again":        {fakeServer("a"), "already"},
		"exits":        {fakeServer("c", "exit=3"), "ImportError: no module named orders"},
		"a taken name": {fakeServer("c"), `plugin "echo" is hosted by two plugin servers, "b" and "c"`},
		"nobody there": {Config{Name: "c", Addresses: []string{"unix://" + filepath.Join(shortDir(t), "none")}}, "does not start"},
		"wrong":        {Config{Name: "c"}, "exactly one of command and address"},
	} {
		if err := w.Add(t.Context(), c.cfg); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", name, err, c.want)
		}
	}
	if len(w.others) != 0 || len(w.Current()) != 2 {
		t.Errorf("something is left: %v", w.others)
	}
	w.mustConfigure("b", 1)
	w.answers("b", 1)
	died := w.pids("b")[0]
	kill(t, died, 9)
	eventually(t, "it is started again", func() bool { p := w.pids("b"); return len(p) == 1 && p[0] != died })

	b, pid := w.Server("b"), w.pids("b")[0]
	w.Remove("b")
	w.Remove("b")
	if w.Server("b") != nil || len(w.Manifests()) != 1 {
		t.Errorf("the server is still there: %v", w.Status())
	}
	if _, _, err := callOn(b, 1); err != nil {
		t.Errorf("a call of a request in flight: %v", err)
	}
	// Its name and its plugins are free.
	if err := w.Add(t.Context(), fakeServer("b")); err != nil {
		t.Error(err)
	}
	if n := w.Server("b").Number(); n != 2 {
		t.Errorf("build %d, want 2", n)
	}
	b.Release(1)
	eventually(t, "the process of the removed server has ended", func() bool { return gone(pid) })
	idle := w.pids("a")[0]
	w.Remove("a")
	eventually(t, "a server without instances ends at once", func() bool { return gone(idle) })
	w.shutdown()
	if err := w.Add(t.Context(), fakeServer("d")); err == nil {
		t.Error("a server is added after the end")
	}
	mu.Lock()
	defer mu.Unlock()
	if !slices.Equal(ready[:2], []string{"b", "a"}) {
		t.Errorf("told of %v", ready)
	}
}

// A build on trial that requests use is let go as an old one is: after its last instance. What ends it is told with the end of its process.
func TestTrialIsRetired(t *testing.T) {
	w := newWorld(t)
	w.mustStart(fakeServer("s"))
	next := w.begin(fakeServer("s"))
	next.configureFor(t, 5)
	if err := next.Complete(); err != nil {
		t.Errorf("a complete build is not: %v", err)
	}
	pid := pidsOf(next)[0]
	w.Retire(next)
	if _, _, err := callOn(next, 5); err != nil {
		t.Errorf("a call of a request in flight: %v", err)
	}
	next.Release(5)
	eventually(t, "the retired build has ended", func() bool { return gone(pid) && w.retiredOf("s") == 0 })
	idle := w.begin(fakeServer("s"))
	pid = pidsOf(idle)[0]
	w.Retire(idle)
	eventually(t, "a build without instances ends at once", func() bool { return gone(pid) })

	dies := w.begin(fakeServer("s"))
	met := errors.New("the connection was closed")
	if err := dies.Cause(met); !errors.Is(err, met) {
		t.Errorf("found %v although it lives, want what was met", err)
	}
	kill(t, pidsOf(dies)[0], 9)
	if err := dies.Cause(met); !strings.Contains(err.Error(), "signal: killed") {
		t.Errorf("found %v, want the end of the process", err)
	}
	if dies.Complete() == nil || dies.Lives() == nil {
		t.Error("a dead build is complete")
	}
	dies.Abandon()
}

// A process that comes up on a build that was replaced meanwhile is of the new build: it takes no calls.
func TestRetiredBuildsTakeNoNewProcess(t *testing.T) {
	w := newWorld(t)
	w.mustStart(fakeServer("s"))
	w.mustConfigure("s", 1)
	old, pid := w.Server("s"), w.pids("s")[0]
	next := w.begin(fakeServer("s"))
	next.configureFor(t, 2)
	if err := w.Promote(next); err != nil {
		t.Fatal(err)
	}
	if l, err := old.peers[0].begin(old.soft); err == nil || !errors.Is(err, errRetired) {
		t.Errorf("life %v, error %v, want %v", l, err, errRetired)
	}
	if got, _, err := callOn(old, 1); err != nil || got != pid {
		t.Errorf("process %d, error %v, want still %d", got, err, pid)
	}
	old.Release(1)
	eventually(t, "the old build is gone", func() bool { return gone(pid) && w.Status()[0].Retired == 0 })
}
