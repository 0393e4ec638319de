package pluginserver

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/transport"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// Lanes of a process in doubt take calls only when there are no others.
func TestDoubtfulLanesAreAvoided(t *testing.T) {
	for name, doubt := range map[string]func(p *pulse){
		"sick":   func(p *pulse) { p.checked(errHung) },
		"silent": func(p *pulse) { p.silent.Store(silentCalls) },
	} {
		for _, exclusive := range []bool{false, true} {
			set := setOf(exclusive, &stubLane{}, &stubLane{load: 50})
			doubt(set.lanes[0].pulse)
			choose := set.pick
			if exclusive {
				choose = set.claim
			}
			for range 4 {
				if l := choose(); l != set.lanes[1] {
					t.Errorf("%s, exclusive %t: the lane in doubt was chosen", name, exclusive)
				}
				set.lanes[1].busy.Store(false)
			}
			doubt(set.lanes[1].pulse)
			if l := choose(); l == nil {
				t.Errorf("%s, exclusive %t: no lane, although doubtful ones live", name, exclusive)
			}
			set.lanes[0].pulse.checked(nil)
			if l := choose(); l != set.lanes[0] {
				t.Errorf("%s, exclusive %t: a process that is well again gets no calls", name, exclusive)
			}
		}
	}
}

// What calls say about their process.
func TestPulse(t *testing.T) {
	late, closed := &transport.Error{Kind: transport.Timeout}, &transport.Error{Kind: transport.Closed, Msg: "gone"}
	p := newPulse()
	p.most = 7
	p.life.Store(42)
	for range silentCalls - 1 {
		_ = p.note(late, true, 1)
	}
	if p.doubtful() || len(p.look) > 0 {
		t.Error("in doubt too early")
	}
	_ = p.note(nil, true, 1)
	_ = p.note(late, true, 1)
	if p.doubtful() {
		t.Error("in doubt although a call was answered")
	}
	if len(p.look) > 0 {
		t.Error("worn too early")
	}
	var e *transport.Error
	if err := p.note(closed, true, 1); !errors.As(err, &e) || e.Life != 42 || e.Msg != "gone" || closed.Life != 0 {
		t.Errorf("a call that its process took along: %+v", err)
	}
	if len(p.look) != 1 {
		t.Error("nobody looks at a process that has taken its calls")
	}
	if err := p.note(closed, false, 1); err != error(closed) {
		t.Errorf("a call that was never sent: %+v", err)
	}
}

// Each step of a fused call counts, and those that were answered say that the process lives, also when the last one is not.
func TestPulseOfFusedCalls(t *testing.T) {
	late := &transport.Error{Kind: transport.Timeout}
	p := newPulse()
	p.most = 10
	_ = p.note(nil, true, 4)
	_ = p.note(nil, true, 5)
	if n := p.calls.Load(); n != 9 || len(p.look) > 0 {
		t.Errorf("%d calls, %d looks", n, len(p.look))
	}
	if _ = p.note(nil, true, 3); len(p.look) != 1 {
		t.Error("nobody looks at a process whose last call went over its number")
	}
	<-p.look
	for range 3 * silentCalls {
		_ = p.note(late, true, 2)
	}
	if p.doubtful() {
		t.Error("in doubt although every call had a step that was answered")
	}
	for range silentCalls - 1 {
		_ = p.note(late, true, 1)
	}
	if !p.doubtful() || len(p.look) != 1 {
		t.Error("not in doubt")
	}
}

// A stopped process, one of two, soon gets no calls, and is killed and replaced because of its health.
func TestStoppedProcessIsAvoided(t *testing.T) {
	w := newWorld(t)
	w.opts.HealthInterval, w.opts.HealthTime = time.Second, time.Second
	cfg := fakeServer("s")
	cfg.Processes = 2
	w.mustStart(cfg)
	w.mustConfigure("s", 1)
	pid := w.pids("s")[0]
	kill(t, pid, syscall.SIGSTOP)
	eventually(t, "it is in doubt", func() bool {
		_ = w.late("s", 1, 250*time.Millisecond)
		h := w.Server("s").Status().Processes[0].Health
		return h == "silent" || h == "failing"
	})
	before := w.Server("s").Status().Processes[0]
	for range 20 {
		w.answers("s", 1)
	}
	after := w.Server("s").Status().Processes[0]
	if after.PID == before.PID && after.Calls != before.Calls {
		t.Errorf("%d calls went to a stopped process", after.Calls-before.Calls)
	}
	eventually(t, "it is gone", func() bool { return gone(pid) })
	eventually(t, "two again", func() bool { return len(w.pids("s")) == 2 })
	if w.Server("s").Status().Degraded {
		t.Error("degraded with all processes")
	}
}

// A process whose control plane is well, but whose lane nobody reads, is replaced.
func TestUnreadLane(t *testing.T) {
	carriers(t, func(t *testing.T, carrier string) {
		w := newWorld(t)
		w.opts.HealthInterval, w.opts.HealthTime = 10*time.Millisecond, 500*time.Millisecond
		unread := filepath.Join(t.TempDir(), "unread")
		cfg := fakeServer("s", "unread_while="+unread)
		cfg.Carrier = carrier
		w.mustStart(cfg)
		w.mustConfigure("s", 1)
		pid := w.pids("s")[0]
		write(t, unread)
		eventually(t, "it is gone", func() bool {
			_ = w.late("s", 1, 250*time.Millisecond)
			return gone(pid)
		})
		if err := os.Remove(unread); err != nil {
			t.Fatal(err)
		}
		eventually(t, "a new process", func() bool { _, _, err := w.call("s", 1, "/"); return err == nil })
	})
}

// muteLane answers no call, or each at once. It counts the calls of no instance.
type muteLane struct {
	stubLane
	mute  bool
	asked int
}

func (l *muteLane) Call(c *wire.Call, _ time.Time, _ transport.Asker, _ *wire.Outcome) error {
	if c.Instance == 0 {
		l.asked++
	}
	if l.mute {
		return &transport.Error{Kind: transport.Timeout}
	}
	return nil
}

// An unread lane is found whatever other lanes of its process answer, and those are not asked.
func TestUnreadLaneBesideOthers(t *testing.T) {
	deaf, well := &muteLane{mute: true}, &muteLane{}
	p := newPulse()
	lanes := []*lane{newLane(deaf, p, false), newLane(well, p, false)}
	l := &life{peer: &peer{server: serverWith(t, Config{HealthInterval: time.Minute}, &laneSet{lanes: lanes})}, pulse: p, lanes: lanes}
	call := func(n *lane) {
		if n.enter() {
			_ = n.call(&wire.Call{Instance: 1}, time.Now().Add(time.Minute), nil, &wire.Outcome{})
		}
	}
	if err := l.checkLanes(); err != nil || deaf.asked+well.asked != 0 {
		t.Errorf("before any call: %v, %d and %d questions", err, deaf.asked, well.asked)
	}
	for range failedChecks {
		call(lanes[0])
		call(lanes[1]) // the last word of the process is an answer
		if err := l.checkLanes(); !errors.Is(err, errDeaf) {
			t.Errorf("found %v, expected %v", err, errDeaf)
		}
	}
	if deaf.asked != failedChecks || well.asked != 0 {
		t.Errorf("%d and %d questions, expected %d and none", deaf.asked, well.asked, failedChecks)
	}
	deaf.mute = false
	for range 2 { // the second time it is known
		if err := l.checkLanes(); err != nil || deaf.asked != failedChecks+1 {
			t.Errorf("it is read again: %v, %d questions", err, deaf.asked)
		}
	}
	// A call of several steps, of which only the last was not answered, is no reason to ask.
	deaf.mute = true
	if lanes[0].enter() {
		_ = lanes[0].call(&wire.Call{Instance: 1, Begun: 1}, time.Now().Add(time.Minute), nil, &wire.Outcome{})
	}
	if err := l.checkLanes(); err != nil {
		t.Errorf("a step was answered: %v", err)
	}
}

// A process all of whose handlers hang stays: it is asked each time whether its lane is read, and refuses the question.
func TestHungHandlersAreNoUnreadLane(t *testing.T) {
	carriers(t, func(t *testing.T, carrier string) {
		w := newWorld(t)
		w.opts.HealthInterval, w.opts.HealthTime = time.Hour, patience
		mute := filepath.Join(t.TempDir(), "mute")
		cfg := fakeServer("s", "mute_while="+mute)
		cfg.Carrier = carrier
		w.mustStart(cfg)
		w.mustConfigure("s", 1)
		pid := w.pids("s")[0]
		write(t, mute)
		for range 2 * failedChecks {
			for range silentCalls {
				if err := w.late("s", 1, 20*time.Millisecond); err == nil {
					t.Fatal("a handler that hangs has answered")
				}
			}
			eventually(t, "it is found well", func() bool { return w.Server("s").Status().Processes[0].Health == "ok" })
		}
		if now := w.pids("s"); len(now) != 1 || now[0] != pid {
			t.Errorf("processes %v, want still %d", now, pid)
		}
	})
}

// A server has its own interval between health checks.
func TestHealthIntervalOfAServer(t *testing.T) {
	w := newWorld(t)
	w.opts.HealthInterval = time.Hour
	sick := filepath.Join(t.TempDir(), "sick")
	cfg := fakeServer("s", "sick="+sick)
	cfg.HealthInterval = 50 * time.Millisecond
	w.mustStart(cfg)
	pid := w.pids("s")[0]
	write(t, sick)
	eventually(t, "the sick process is gone", func() bool { return gone(pid) })
}

// A check may take longer than the time between two: a process that answers late, but in its time, stays.
func TestLateHealth(t *testing.T) {
	w := newWorld(t)
	w.opts.HealthInterval = 10 * time.Millisecond
	w.mustStart(fakeServer("s"))
	w.mustConfigure("s", 1)
	pid := w.pids("s")[0]
	kill(t, pid, syscall.SIGSTOP)
	<-time.After(300 * time.Millisecond) // the time that passes is what is tested: many intervals
	kill(t, pid, syscall.SIGCONT)
	w.answers("s", 1)
	if now := w.pids("s"); len(now) != 1 || now[0] != pid {
		t.Errorf("processes %v, want still %d", now, pid)
	}
}

// Who dies under its calls is told with the life that the calls name; a process that the host ends is no death.
func TestDeathsAreTold(t *testing.T) {
	carriers(t, func(t *testing.T, carrier string) {
		w := newWorld(t)
		var mu sync.Mutex
		died := map[uint64]int{}
		w.opts.OnDeath = func(life uint64) { mu.Lock(); died[life]++; mu.Unlock() }
		cfg := fakeServer("s")
		cfg.Carrier, cfg.Quarantine = carrier, true
		w.mustStart(cfg)
		w.mustConfigure("s", 1)
		lives := map[uint64]bool{}
		for range 2 {
			var e *transport.Error
			if _, _, err := w.call("s", 1, "/crash"); !errors.As(err, &e) || e.Kind != transport.Closed || e.Life == 0 {
				t.Fatalf("a call that killed its process: %+v, want Closed with the life", err)
			}
			lives[e.Life] = true
			eventually(t, "the death is told", func() bool { mu.Lock(); defer mu.Unlock(); return died[e.Life] == 1 })
			eventually(t, "a new process", func() bool { _, _, err := w.call("s", 1, "/"); return err == nil })
		}
		w.shutdown()
		if len(lives) != 2 || len(died) != 2 {
			t.Errorf("lives %v, deaths told %v; want two, and none for the shutdown", lives, died)
		}
	})
}

// An attached process that was replaced after its lanes ended is dead; one that only lost its lane is not.
func TestDeathsOfAttachedServersAreTold(t *testing.T) {
	w := newWorld(t)
	died := make(chan uint64, 9)
	w.opts.OnDeath = func(life uint64) { died <- life }
	path := filepath.Join(shortDir(t), "a.sock")
	spawn(t, "listen="+path)
	cfg := attachedServer("a", path)
	cfg.Quarantine = true
	w.mustStart(cfg)
	w.mustConfigure("a", 1)
	var e *transport.Error
	if _, _, err := w.call("a", 1, "/closelane"); !errors.As(err, &e) || e.Life == 0 {
		t.Fatalf("a call whose lane ended: %+v, want its life", err)
	}
	lost := e.Life
	eventually(t, "a lane", func() bool { _, _, err := w.call("a", 1, "/"); return err == nil })
	if len(died) > 0 {
		t.Error("a lost lane is told as a death")
	}
	if _, _, err := w.call("a", 1, "/crash"); !errors.As(err, &e) || e.Life == 0 {
		t.Fatalf("a call that killed its process: %+v, want its life", err)
	}
	eventually(t, "down", func() bool { return !w.ready("a") })
	spawn(t, "listen="+path)
	eventually(t, "ready", func() bool { return w.ready("a") })
	if len(died) != 1 || <-died != e.Life || e.Life == lost {
		t.Errorf("%d deaths are told, want that of life %d before the next process takes calls, and not %d for it, whose process lived on", len(died), e.Life, lost)
	}
}

// A process that the host lets go is no death, however long its calls take.
func TestRecycledProcessesDoNotDie(t *testing.T) {
	w := newWorld(t)
	var died atomic.Int64
	w.opts.OnDeath = func(uint64) { died.Add(1) }
	cfg := fakeServer("s")
	cfg.Quarantine, cfg.Recycle.Calls, cfg.DrainTimeout = true, 3, 50*time.Millisecond
	w.mustStart(cfg)
	w.mustConfigure("s", 1)
	pid := w.pids("s")[0]
	stuck := make(chan error, 1)
	go func() { _, _, err := w.call("s", 1, "/hang"); stuck <- err }()
	eventually(t, "the call runs", func() bool { return w.Server("s").Status().InFlight == 1 })
	for range 3 {
		w.answers("s", 1)
	}
	var e *transport.Error
	if err := <-stuck; !errors.As(err, &e) || e.Kind != transport.Closed {
		t.Errorf("the call that never ends: %v, want Closed", err)
	}
	eventually(t, "it is replaced", func() bool { return gone(pid) && w.Server("s").Status().Recycled == 1 })
	w.shutdown()
	if n := died.Load(); n > 0 {
		t.Errorf("%d deaths are told, want none: the host has ended the process", n)
	}
}

// A process that said that it goes away is no death, even when it goes before its calls have ended.
func TestLeavingServersDoNotDie(t *testing.T) {
	w := newWorld(t)
	var died atomic.Int64
	w.opts.OnDeath = func(uint64) { died.Add(1) }
	path, sick := filepath.Join(shortDir(t), "a.sock"), filepath.Join(t.TempDir(), "sick")
	process := spawn(t, "listen="+path, "sick="+sick)
	cfg := attachedServer("a", path)
	cfg.Quarantine = true
	w.mustStart(cfg)
	w.mustConfigure("a", 1)
	stuck := make(chan error, 1)
	go func() { _, _, err := w.call("a", 1, "/hang"); stuck <- err }()
	eventually(t, "the call runs", func() bool { return w.Server("a").Status().InFlight == 1 })
	write(t, sick)
	eventually(t, "it is leaving", func() bool { return w.Server("a").State().State == StateDraining })
	kill(t, process.Process.Pid, syscall.SIGKILL)
	if err := <-stuck; err == nil {
		t.Error("a call that never ends was answered")
	}
	spawn(t, "listen="+path)
	eventually(t, "ready", func() bool { return w.ready("a") })
	if n := died.Load(); n > 0 {
		t.Errorf("%d deaths are told, want none: the server had said that it goes", n)
	}
}

// A process with another version of its plugins is told of before it takes calls, one with the same is not.
func TestNewPluginsAreTold(t *testing.T) {
	w := newWorld(t)
	told := make(chan []uint64, 9)
	w.opts.OnNewPlugins = func(instances []uint64) { told <- slices.Sorted(slices.Values(instances)) }
	path := filepath.Join(shortDir(t), "a.sock")
	spawn(t, "listen="+path)
	w.mustStart(attachedServer("a", path))
	w.mustConfigure("a", 3, 5)
	for _, version := range []string{"1.2.3", "2.0.0"} {
		kill(t, int(w.process(0).PID), syscall.SIGKILL)
		eventually(t, "down", func() bool { return !w.ready("a") })
		spawn(t, "listen="+path, "version="+version)
		eventually(t, "ready", func() bool { return w.ready("a") })
	}
	if len(told) != 1 || !slices.Equal(<-told, []uint64{3, 5}) {
		t.Errorf("told %d times more, want once, of the instances 3 and 5", len(told))
	}
}
