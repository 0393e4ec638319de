package pluginserver

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// The breaker of one process, death by death.
func TestBreaker(t *testing.T) {
	type death struct {
		after, lived time.Duration // after the one before
		hold         time.Duration // 0: the back-off alone
	}
	const s, m = time.Second, time.Minute
	many := func(d death, n int) (list []death) {
		for range n {
			list = append(list, d)
		}
		return list
	}
	for name, c := range map[string]struct {
		loop   CrashLoop
		deaths []death
	}{
		"three deaths":               {CrashLoop{3, m, 30 * s}, []death{{0, 0, 0}, {s, 0, 0}, {s, 0, 30 * s}}},
		"too far apart":              {CrashLoop{3, m, 30 * s}, many(death{31 * s, 30 * s, 0}, 9)},
		"the window slides":          {CrashLoop{3, m, 30 * s}, []death{{0, 0, 0}, {50 * s, 0, 0}, {20 * s, 0, 0}, {20 * s, 0, 30 * s}}},
		"a probe that dies doubles":  {CrashLoop{2, m, 30 * s}, []death{{0, 0, 0}, {s, 0, 30 * s}, {30 * s, 0, m}, {m, 0, 2 * m}, {2 * m, 59 * s, 4 * m}}},
		"a probe that lives forgets": {CrashLoop{2, m, 30 * s}, []death{{0, 0, 0}, {s, 0, 30 * s}, {2 * m, m, 0}, {s, 0, 30 * s}}},
		"the hold is bounded":        {CrashLoop{1, m, s}, []death{{0, 0, s}, {s, 0, 2 * s}, {s, 0, 4 * s}, {s, 0, 8 * s}, {s, 0, 16 * s}, {s, 0, 16 * s}}},
		"no breaker":                 {CrashLoop{-1, m, s}, many(death{s, 0, 0}, 50)},
		"defaults":                   {CrashLoop{}, append(many(death{s, 0, 0}, 4), death{s, 0, 30 * s})},
	} {
		t.Run(name, func(t *testing.T) {
			b := breaker{CrashLoop: c.loop.withDefaults(), waits: waits{Backoff: Backoff{}.withDefaults(true)}}
			now := time.Now()
			for i, d := range c.deaths {
				now = now.Add(d.after)
				wait, held := b.died(now, d.lived)
				switch {
				case held != (d.hold > 0):
					t.Fatalf("death %d: held %t, want a hold of %v", i, held, d.hold)
				case held && (wait < d.hold || wait > d.hold+d.hold/10):
					t.Fatalf("death %d: a hold of %v, want %v and at most a tenth more", i, wait, d.hold)
				case !held && wait > 12*s:
					t.Fatalf("death %d: a back-off of %v", i, wait)
				}
			}
		})
	}
}

// failing is an opener that never opens.
type failing struct{ attempts int }

func (f *failing) open(context.Context) (*link, error) {
	f.attempts++
	return nil, errors.New("exit status 1")
}

// Lesson 5: a process that dies at its start for an hour is started a few times, and not over and over. Attached servers have no breaker.
func TestLesson05AnHourOfCrashes(t *testing.T) {
	for name, c := range map[string]struct {
		cfg         Config
		least, most int
		state       string
	}{
		"managed":  {Config{Command: []string{"unused"}}, 10, 20, StateCrashLoop},
		"attached": {Config{}, 2900, 4600, StateDown},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c.cfg.Name, c.cfg.StartTimeout, c.cfg.CrashLoop = "s", time.Second, CrashLoop{}.withDefaults()
				ss, err := prepare(nil, Options{}, nil)
				if err != nil {
					t.Fatal(err)
				}
				defer ss.endHard()
				s := newServer(c.cfg, ss, nil)
				f := &failing{}
				s.addPeer(f)
				s.start()
				time.Sleep(time.Hour) // of the bubble
				synctest.Wait()
				if f.attempts < c.least || f.attempts > c.most {
					t.Errorf("%d starts in an hour, want %d to %d", f.attempts, c.least, c.most)
				}
				st := s.Status()
				if st.State.State != c.state || st.Processes[0].State != c.state || st.Ready || !strings.Contains(st.Reason, "exit status 1") {
					t.Errorf("status %+v, want %s with the last reason", st, c.state)
				}
				if next := st.NextAttempt; !next.After(time.Now()) {
					t.Errorf("the next attempt is at %v, want a time to come", next)
				}
				s.stop(t.Context())
			})
		})
	}
}

// While the breaker is open nothing is started; then one probe is, and one that lives takes calls with all instances.
func TestCrashLoopOpensAndProbes(t *testing.T) {
	w := newWorld(t)
	dir := t.TempDir()
	starts, broken := filepath.Join(dir, "starts"), filepath.Join(dir, "broken")
	write(t, broken)
	cfg := fakeServer("s", "exit_while="+broken, "starts="+starts)
	cfg.CrashLoop = CrashLoop{Deaths: 3, Hold: 2 * time.Second}
	if err := w.start(cfg); err == nil {
		t.Fatal("a server that exits is ready")
	}
	eventually(t, "the breaker opens", func() bool { return w.Server("s").State().State == StateCrashLoop })
	st := w.Server("s").Status()
	if n := countLines(starts); n != 3 || st.Ready || !strings.Contains(st.Reason, "exit status 6") || st.NextAttempt.IsZero() {
		t.Errorf("%d starts, status %+v; want 3, crash_loop with the reason and the time of the next attempt", n, st)
	}
	var notReady *NotReadyError
	if _, _, err := w.call("s", 1, "/"); !errors.As(err, &notReady) || notReady.State != StateCrashLoop {
		t.Errorf("a call: %v, want not ready because of the crash loop", err)
	}
	if err := w.configure("s", 1); err == nil {
		t.Error("nobody says that the instance is not configured yet")
	}
	if err := os.Remove(broken); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the probe takes calls", func() bool { return w.ready("s") })
	if n := countLines(starts); n != 4 {
		t.Errorf("%d starts, want one after the hold", n)
	}
	w.answers("s", 1)
	if st := w.Server("s").Status(); !st.NextAttempt.IsZero() || st.Processes[0].Restarts != 3 || st.Processes[0].Reason != "" {
		t.Errorf("status %+v", st)
	}
	if len(w.log.find("msg", "a process of the plugin server dies again and again: nothing is started for a while")) != 1 {
		t.Error("the open breaker is not logged once")
	}
}

// An open breaker does not keep a new build from taking over at once.
func TestReplacementDuringCrashLoop(t *testing.T) {
	w := newWorld(t)
	starts := filepath.Join(t.TempDir(), "starts")
	bad := fakeServer("s", "exit=4", "starts="+starts)
	bad.CrashLoop = CrashLoop{Deaths: 1, Hold: time.Hour}
	if err := w.start(bad); err == nil {
		t.Fatal("a server that exits is ready")
	}
	eventually(t, "the breaker opens", func() bool { return w.Server("s").State().State == StateCrashLoop })
	next, err := w.Begin(t.Context(), fakeServer("s"))
	if err != nil {
		t.Fatal(err)
	}
	if err := next.Configure(t.Context(), Instance{ID: 9, Plugin: "echo", Config: []byte(configOf(9))}); err != nil {
		t.Fatal(err)
	}
	if err := w.Promote(next); err != nil {
		t.Fatal(err)
	}
	w.answers("s", 9)
	if n := countLines(starts); n != 1 || !w.ready("s") {
		t.Errorf("the old build was started %d times, want once; ready %t", n, w.ready("s"))
	}
}

func write(t *testing.T, file string) {
	t.Helper()
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
}
