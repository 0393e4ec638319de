package pluginserver

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/transport"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// stubLane answers when it is let.
type stubLane struct {
	transport.Lane // not called
	load           int
	oldest         time.Time
	features       uint32
	started        chan struct{}
	let            chan struct{} // nil: at once
	done           chan struct{} // closed: dead
}

func deadLane() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}

func (l *stubLane) InFlight() int         { return l.load }
func (l *stubLane) Oldest() time.Time     { return l.oldest }
func (l *stubLane) Done() <-chan struct{} { return l.done }
func (l *stubLane) Hello() wire.ServerHello {
	return wire.ServerHello{Features: l.features}
}
func (l *stubLane) Call(*wire.Call, time.Time, transport.Asker, *wire.Outcome) error {
	if l.let != nil {
		l.started <- struct{}{}
		<-l.let
	}
	return nil
}

func setOf(exclusive bool, stubs ...*stubLane) *laneSet {
	set := &laneSet{exclusive: exclusive}
	for _, s := range stubs {
		set.lanes = append(set.lanes, newLane(s, newPulse(), exclusive))
	}
	return set
}

func TestPick(t *testing.T) {
	late := time.Now().Add(-2 * overdueAfter)
	for name, c := range map[string]struct {
		stubs []*stubLane
		want  int
	}{
		"one":                   {[]*stubLane{{load: 9, oldest: late}}, 0},
		"least loaded":          {[]*stubLane{{load: 2}, {load: 1}, {load: 3}}, 1},
		"not overdue":           {[]*stubLane{{load: 1, oldest: late}, {load: 50, oldest: time.Now()}}, 1},
		"all overdue":           {[]*stubLane{{load: 3, oldest: late}, {load: 2, oldest: late}}, 1},
		"idle has no old calls": {[]*stubLane{{load: 1, oldest: time.Now()}, {}}, 1},
		"not dead":              {[]*stubLane{{done: deadLane()}, {load: 5, oldest: late}, {done: deadLane()}}, 1},
		"all dead":              {[]*stubLane{{done: deadLane()}, {done: deadLane()}}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			set := setOf(false, c.stubs...)
			for range 2 * len(c.stubs) {
				if got := slices.Index(set.lanes, set.pick()); got != c.want {
					t.Fatalf("picked lane %d, want %d", got, c.want)
				}
			}
		})
	}
	set := setOf(false, &stubLane{}, &stubLane{}, &stubLane{})
	turns := map[*lane]int{}
	for range 9 {
		turns[set.pick()]++
	}
	for l, n := range turns {
		if n != 3 {
			t.Errorf("lane %d was picked %d times of 9", slices.Index(set.lanes, l), n)
		}
	}
}

// serverWith makes a server whose lanes are stubs.
func serverWith(t *testing.T, cfg Config, set *laneSet) *Server {
	t.Helper()
	cfg.Name, cfg.Command = "s", []string{"unused"}
	cfg, err := cfg.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	ss, err := prepare(nil, Options{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(ss.endHard)
	s := newServer(cfg, ss, nil)
	t.Cleanup(s.endSoft)
	s.addPeer(nil)
	close(s.peers[0].done)
	s.peers[0].lanes = set.lanes
	s.mu.Lock()
	s.rebuild()
	s.mu.Unlock()
	return s
}

func callNow(s *Server, timeout time.Duration) error {
	return s.Call(&wire.Call{}, time.Now().Add(timeout), nil, &wire.Outcome{})
}

func wantKind(t *testing.T, err error, kind transport.ErrorKind) {
	t.Helper()
	var e *transport.Error
	if !errors.As(err, &e) || e.Kind != kind {
		t.Errorf("error %v, want kind %d", err, kind)
	}
}

func TestCallsInFlightAreBounded(t *testing.T) {
	stub := &stubLane{started: make(chan struct{}), let: make(chan struct{})}
	s := serverWith(t, Config{MaxInFlight: 2}, setOf(false, stub))
	var running sync.WaitGroup
	for range 2 {
		running.Go(func() { _ = callNow(s, patience) })
		<-stub.started
	}
	wantKind(t, callNow(s, patience), transport.Overloaded)
	if st := s.Status(); st.Shed != 1 || st.InFlight != 2 {
		t.Errorf("shed %d, in flight %d; want 1, 2", st.Shed, st.InFlight)
	}
	stub.let <- struct{}{}
	eventually(t, "room", func() bool { return s.room.Usage().InFlight == 1 })
	running.Go(func() {
		if err := callNow(s, patience); err != nil {
			t.Error(err)
		}
	})
	<-stub.started
	close(stub.let)
	running.Wait()
	if n := s.room.Usage().InFlight; n != 0 {
		t.Errorf("%d calls in flight at the end", n)
	}
}

func TestExclusiveLanesTakeOneCall(t *testing.T) {
	stubs := []*stubLane{{started: make(chan struct{}, 9), let: make(chan struct{})}, {started: make(chan struct{}, 9), let: make(chan struct{})}}
	s := serverWith(t, Config{}, setOf(true, stubs...))
	var running sync.WaitGroup
	for range 6 {
		running.Go(func() {
			if err := callNow(s, patience); err != nil {
				t.Error(err)
			}
		})
	}
	<-stubs[0].started
	<-stubs[1].started
	eventually(t, "the others wait", func() bool { return s.room.Usage().InFlight == 6 })
	wantKind(t, callNow(s, time.Millisecond), transport.Timeout)
	if len(stubs[0].started)+len(stubs[1].started) > 0 {
		t.Error("a lane got two calls")
	}
	close(stubs[0].let)
	close(stubs[1].let)
	running.Wait()

	// Who waits hears of the end of all lanes.
	one := &stubLane{started: make(chan struct{}), let: make(chan struct{})}
	s = serverWith(t, Config{}, setOf(true, one))
	running.Go(func() { _ = callNow(s, patience) })
	<-one.started
	ends := make(chan error, 3)
	for range cap(ends) {
		go func() { ends <- callNow(s, patience) }()
	}
	eventually(t, "they wait", func() bool { return s.room.Usage().InFlight == 4 })
	s.mu.Lock()
	s.peers[0].setLanes(nil)
	s.mu.Unlock()
	for range cap(ends) {
		var notReady *NotReadyError
		if err := <-ends; !errors.As(err, &notReady) {
			t.Errorf("error %v, want not ready", err)
		}
	}
	close(one.let)
	running.Wait()
}

// A lane that has just died takes no call as long as another one lives, however busy that is.
func TestDeadLanesAreNotClaimed(t *testing.T) {
	dead, alive := &stubLane{done: deadLane()}, &stubLane{}
	set := setOf(true, dead, alive)
	for range 4 {
		if l := set.claim(); l != set.lanes[1] {
			t.Fatalf("claimed lane %d, want 1", slices.Index(set.lanes, l))
		}
		if l := set.claim(); l != nil {
			t.Fatalf("claimed lane %d, want none: the one that lives is busy", slices.Index(set.lanes, l))
		}
		set.lanes[1].busy.Store(false)
	}
	alive.done = deadLane()
	if set.claim() == nil {
		t.Error("nobody says that all lanes are dead")
	}
}

// Shutdown waits for the calls in flight, but not longer than its drain timeout.
func TestStopWaitsForCalls(t *testing.T) {
	stub := &stubLane{started: make(chan struct{}), let: make(chan struct{})}
	s := serverWith(t, Config{DrainTimeout: patience}, setOf(false, stub))
	var running sync.WaitGroup
	running.Go(func() { _ = callNow(s, patience) })
	<-stub.started
	stopped := make(chan struct{})
	go func() { s.stop(t.Context()); close(stopped) }()
	eventually(t, "no new calls", func() bool { return s.lanes.Load() == nil })
	select {
	case <-stopped:
		t.Error("stopped with a call in flight")
	default:
	}
	stub.let <- struct{}{}
	<-stopped
	running.Wait()

	s = serverWith(t, Config{DrainTimeout: 10 * time.Millisecond}, setOf(false, stub))
	running.Go(func() { _ = callNow(s, patience) })
	<-stub.started
	s.stop(t.Context())
	stub.let <- struct{}{}
	running.Wait()
}

// What Call costs beside the lane: nothing on the heap.
func TestCallAllocatesNothing(t *testing.T) {
	s := serverWith(t, Config{}, setOf(false, &stubLane{}, &stubLane{}))
	c, out, deadline := &wire.Call{}, &wire.Outcome{}, time.Now().Add(time.Hour)
	if n := testing.AllocsPerRun(100, func() { _ = s.Call(c, deadline, nil, out) }); n != 0 {
		t.Errorf("%v allocations per call", n)
	}
}

// A server takes fused calls, or answers ahead of their questions, when all its lanes do and its settings allow it.
func TestFuses(t *testing.T) {
	const steps = wire.FeatureSteps
	for name, c := range map[string]struct {
		fuse     bool
		features []uint32
		want     bool
	}{
		"all lanes":        {true, []uint32{steps, steps | wire.FeaturePrefetch}, true},
		"one lane cannot":  {true, []uint32{steps, 0}, false},
		"another feature":  {true, []uint32{wire.FeaturePrefetch}, false},
		"switched off":     {false, []uint32{steps}, false},
		"no lane":          {true, nil, false},
		"one that is able": {true, []uint32{steps}, true},
	} {
		var stubs []*stubLane
		for _, f := range c.features {
			stubs = append(stubs, &stubLane{features: f})
		}
		if s := serverWith(t, Config{Fuse: c.fuse}, setOf(false, stubs...)); s.Fuses() != c.want {
			t.Errorf("%s: Fuses is %v", name, !c.want)
		} else if want := len(c.features) == 1 && c.features[0]&wire.FeaturePrefetch != 0; s.Prefetches() {
			t.Errorf("%s: Prefetches is true although it is switched off", name)
		} else if s := serverWith(t, Config{Prefetch: true}, setOf(false, stubs...)); s.Prefetches() != want {
			t.Errorf("%s: Prefetches is %v", name, !want)
		}
	}
}

// fusedLane runs so many steps of every call.
type fusedLane struct {
	stubLane
	steps int
}

func (l *fusedLane) Call(c *wire.Call, _ time.Time, _ transport.Asker, _ *wire.Outcome) error {
	c.Begun = l.steps - 1
	return nil
}

// A fused call takes one place, and counts with the steps that ran.
func TestFusedCallsAreCounted(t *testing.T) {
	set := &laneSet{lanes: []*lane{newLane(&fusedLane{steps: 3}, newPulse(), false)}}
	s := serverWith(t, Config{Fuse: true, MaxInFlight: 1}, set)
	call := wire.Call{Rest: make([]wire.Step, 3)}
	if err := s.Call(&call, time.Now().Add(time.Minute), nil, &wire.Outcome{}); err != nil {
		t.Fatal(err)
	}
	if st := s.Status(); st.Fused != (Fused{Calls: 1, Steps: 3}) || set.lanes[0].pulse.calls.Load() != 3 {
		t.Errorf("fused %+v, %d calls of the process", st.Fused, set.lanes[0].pulse.calls.Load())
	}
}
