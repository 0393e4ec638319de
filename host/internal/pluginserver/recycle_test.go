package pluginserver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/transport"
)

// traffic calls instances from several goroutines until it is stopped. What is not an answer with the instance's own configuration goes to wrong.
type traffic struct {
	calls atomic.Int64
	stop  func()
}

func (w *world) traffic(server string, wrong func(err error), ids ...uint64) *traffic {
	f := &traffic{}
	end := make(chan struct{})
	var flow sync.WaitGroup
	for _, id := range ids {
		for range 3 {
			flow.Go(func() {
				for {
					select {
					case <-end:
						return
					default:
					}
					_, config, err := w.call(server, id, "/")
					if err == nil && config != configOf(id) {
						err = fmt.Errorf("instance %d got the configuration %s", id, config)
					}
					if err != nil {
						wrong(err)
						time.Sleep(time.Millisecond) // not a wait for anything: leaves the machine to the others
					}
					f.calls.Add(1)
				}
			})
		}
	}
	f.stop = sync.OnceFunc(func() { close(end); flow.Wait() })
	w.t.Cleanup(f.stop)
	return f
}

// A process that has taken its calls is replaced, over both carriers and by lanes of either kind, and no call fails.
func TestRecyclingAfterCalls(t *testing.T) {
	for _, orders := range []string{"lanes=1", "lanes=3", "lanes=2,exclusive"} {
		for _, processes := range []int{1, 2} {
			t.Run(fmt.Sprintf("%s, %d processes", orders, processes), func(t *testing.T) {
				carriers(t, func(t *testing.T, carrier string) {
					w := newWorld(t)
					cfg := fakeServer("s", orders)
					cfg.Carrier, cfg.Processes, cfg.Recycle.Calls = carrier, processes, 200
					w.mustStart(cfg)
					w.mustConfigure("s", 1, 2)
					first := w.pids("s")
					f := w.traffic("s", func(err error) { t.Errorf("a call failed: %v", err) }, 1, 2)
					eventually(t, "every process is replaced twice", func() bool {
						for _, p := range w.Server("s").Status().Processes {
							if p.Recycled < 2 {
								return false
							}
						}
						return true
					})
					w.mustConfigure("s", 3)
					f.stop()
					w.answers("s", 1, 2, 3)
					for _, pid := range first {
						eventually(t, "the first process ended", func() bool { return gone(pid) })
					}
					st := w.Server("s").Status()
					if st.Recycled < 2*processes || st.Processes[0].Restarts != 0 || len(w.pids("s")) != processes {
						t.Errorf("status %+v", st)
					}
					for _, l := range w.log.find("msg", "a process is replaced") {
						if !strings.HasPrefix(l["reason"].(string), "it has taken ") {
							t.Errorf("the log says %v", l)
						}
					}
				})
			})
		}
	}
}

// What is over its memory from the start is replaced too, but not without a pause.
func TestRecyclingForMemoryAndAge(t *testing.T) {
	for name, c := range map[string]struct {
		orders  string
		recycle Recycle
		reason  string
	}{
		"memory": {"hog=50000000", Recycle{Memory: 50_000_000}, "of memory, more than 50000000"},
		"age":    {"lanes=1", Recycle{Age: 300 * time.Millisecond}, "it has run for"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.opts.HealthInterval = 100 * time.Millisecond
			cfg := fakeServer("s", c.orders)
			cfg.Recycle = c.recycle
			w.mustStart(cfg)
			w.mustConfigure("s", 1)
			f := w.traffic("s", func(err error) { t.Errorf("a call failed: %v", err) }, 1)
			eventually(t, "replaced twice", func() bool { return w.Server("s").Status().Recycled >= 2 })
			f.stop()
			w.answers("s", 1)
			if l := w.log.find("msg", "a process is replaced"); !strings.Contains(l[0]["reason"].(string), c.reason) {
				t.Errorf("the log says %v, want %q", l[0], c.reason)
			}
		})
	}
}

// A successor that does not come up, or that does not take an instance, takes no call: the worn process stays.
func TestRecyclingKeepsWhatWorks(t *testing.T) {
	for _, order := range []string{"exit_while", "refuse_while"} {
		t.Run(order, func(t *testing.T) {
			w := newWorld(t)
			w.opts.HealthInterval = 100 * time.Millisecond
			file := filepath.Join(t.TempDir(), "bad")
			cfg := fakeServer("s", order+"="+file)
			cfg.Recycle.Calls = 20
			w.mustStart(cfg)
			w.mustConfigure("s", 1)
			pid := w.pids("s")[0]
			write(t, file)
			f := w.traffic("s", func(err error) { t.Errorf("a call failed: %v", err) }, 1)
			const said = "a process stays although it is to be replaced: its successor does not start"
			eventually(t, "two successors failed", func() bool { return len(w.log.find("msg", said)) >= 2 })
			if p := w.pids("s"); len(p) != 1 || p[0] != pid {
				t.Errorf("processes %v, want still %d", p, pid)
			}
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
			eventually(t, "a successor took over", func() bool { return w.Server("s").Status().Recycled > 0 })
			f.stop()
			w.answers("s", 1)
		})
	}
}

// A call that runs when its process is replaced ends there.
func TestRecyclingWaitsForCalls(t *testing.T) {
	w := newWorld(t)
	cfg := fakeServer("s")
	cfg.Recycle.Calls = 10
	w.mustStart(cfg)
	w.mustConfigure("s", 1)
	pid := w.pids("s")[0]
	file := filepath.Join(t.TempDir(), "go on")
	type answer struct {
		pid int
		err error
	}
	slow := make(chan answer, 1)
	go func() {
		pid, _, err := w.call("s", 1, "/wait/"+file)
		slow <- answer{pid, err}
	}()
	eventually(t, "the slow call runs", func() bool { return w.Server("s").Status().InFlight == 1 })
	for range 10 {
		w.answers("s", 1)
	}
	eventually(t, "the successor takes calls", func() bool { p := w.pids("s"); return len(p) == 1 && p[0] != pid })
	if gone(pid) {
		t.Error("the old process ended before its call")
	}
	write(t, file)
	if a := <-slow; a.err != nil || a.pid != pid {
		t.Errorf("the slow call was answered by %d, %v; want %d", a.pid, a.err, pid)
	}
	eventually(t, "the old process ended", func() bool { return gone(pid) })
}

// One of three processes is killed under load: the others serve, and the server says that it is degraded.
func TestOneOfThreeIsKilled(t *testing.T) {
	carriers(t, func(t *testing.T, carrier string) {
		w := newWorld(t)
		w.opts.Backoff = Backoff{Min: 300 * time.Millisecond}
		cfg := fakeServer("s")
		cfg.Carrier, cfg.Processes = carrier, 3
		w.mustStart(cfg)
		ids := []uint64{3, 5, 7}
		w.mustConfigure("s", ids...)
		pid := w.pids("s")[1]
		f := w.traffic("s", func(err error) {
			var closed *transport.Error
			if !errors.As(err, &closed) || closed.Kind != transport.Closed {
				t.Errorf("a call failed with %v, want an answer, or Closed for those in flight on the process", err)
			}
		}, ids...)
		eventually(t, "load", func() bool { return f.calls.Load() > 100 })
		kill(t, pid, syscall.SIGKILL)
		eventually(t, "degraded", func() bool {
			st := w.Server("s").Status()
			return st.Ready && st.Degraded && st.State.State == StateReady && st.Processes[1].State == StateDown && st.Processes[1].Reason != ""
		})
		before := f.calls.Load()
		eventually(t, "the others serve", func() bool { return f.calls.Load() > before+100 })
		eventually(t, "three again", func() bool { p := w.pids("s"); return len(p) == 3 && !slices.Contains(p, pid) })
		f.stop()
		for range 3 { // every process has all instances, under their ids
			w.answers("s", ids...)
		}
		if st := w.Server("s").Status(); st.Degraded || st.Processes[1].Restarts != 1 {
			t.Errorf("status %+v", st)
		}
	})
}

// Every managed process is measured.
func TestUsage(t *testing.T) {
	w := newWorld(t)
	w.opts.HealthInterval = 50 * time.Millisecond
	cfg := fakeServer("s", "hog=30000000", "child")
	w.mustStart(cfg)
	w.mustConfigure("s", 1)
	w.answers("s", 1)
	var p ProcessStatus
	eventually(t, "a measurement", func() bool {
		p = w.Server("s").Status().Processes[0]
		return p.RSSBytes > 30_000_000 && p.OpenFiles > 3
	})
	if p.Calls != 1 || p.Health != "ok" {
		t.Errorf("status %+v", p)
	}
	alone := residentOf(int(p.PID), 1)
	if all := residentOf(int(p.PID), maxDescendants); alone < 30_000_000 || len(childrenOf(fmt.Sprint("/proc/", p.PID))) > 0 && all <= alone {
		t.Errorf("%d bytes with its child, %d alone", all, alone)
	}
	if u := usageOf(1 << 30); u != (usage{}) {
		t.Errorf("no process uses %+v", u)
	}
}

// A call that chose its lane just before that was taken out of use chooses again; one that had entered is waited for.
func TestLeavingLanes(t *testing.T) {
	for _, exclusive := range []bool{false, true} {
		old, next := &stubLane{started: make(chan struct{}, 9), let: make(chan struct{})}, &stubLane{started: make(chan struct{}, 9), let: make(chan struct{})}
		set := setOf(exclusive, old)
		s := serverWith(t, Config{}, set)
		var running sync.WaitGroup
		call := func() {
			if err := callNow(s, patience); err != nil {
				t.Error(err)
			}
		}
		running.Go(call)
		<-old.started
		emptied := make(chan struct{})
		go func() { set.lanes[0].empty(t.Context()); close(emptied) }()
		eventually(t, "the lane is leaving", set.lanes[0].leaving.Load)
		running.Go(call) // the set still holds the leaving lane
		eventually(t, "both calls are there", func() bool { return s.Status().InFlight == 2 })
		s.mu.Lock()
		s.peers[0].setLanes(setOf(exclusive, next).lanes)
		s.mu.Unlock()
		<-next.started
		select {
		case <-emptied:
			t.Error("the lane is empty with a call on it")
		default:
		}
		close(old.let)
		<-emptied
		close(next.let)
		running.Wait()
		if len(old.started) > 0 {
			t.Error("a call entered a lane that was leaving")
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		set.lanes[0].users.Add(1)
		set.lanes[0].empty(ctx) // does not wait for ever
	}
}

// A successor that does not start is tried again at growing intervals, however long the process before it has lived.
func TestFailingSuccessorsAreSpaced(t *testing.T) {
	w := newWorld(t)
	w.opts.Backoff = Backoff{Min: 20 * time.Millisecond, Max: time.Second, Healthy: 50 * time.Millisecond}
	w.opts.HealthInterval = 200 * time.Millisecond
	file := filepath.Join(t.TempDir(), "bad")
	cfg := fakeServer("s", "exit_while="+file)
	cfg.Recycle.Calls = 1
	w.mustStart(cfg)
	w.mustConfigure("s", 1)
	write(t, file)
	w.answers("s", 1)
	var tries []logLine
	for n := range 7 {
		eventually(t, "one more successor", func() bool {
			tries = w.log.find("msg", "a process is replaced")
			return len(tries) > n
		})
	}
	at := func(i int) (at time.Time) {
		if err := at.UnmarshalText([]byte(tries[i]["time"].(string))); err != nil {
			t.Fatal(err)
		}
		return at
	}
	if gap := at(6).Sub(at(5)); gap < 450*time.Millisecond {
		t.Errorf("the seventh attempt came %v after the sixth, want the sixth wait of the back-off, of 640 ms", gap)
	}
}

// Processes that take each other's place in time are one long service: a death after it is the first, whatever was before it.
func TestRecyclingIsNoDeath(t *testing.T) {
	const within = time.Second
	w := newWorld(t)
	w.opts.HealthInterval = 200 * time.Millisecond
	cfg := fakeServer("s")
	cfg.Recycle.Calls = 20
	cfg.CrashLoop = CrashLoop{Deaths: 1, Within: within, Hold: time.Second}
	w.mustStart(cfg)
	w.mustConfigure("s", 1)
	first := w.pids("s")[0]
	kill(t, first, syscall.SIGKILL)
	eventually(t, "the probe", func() bool { p := w.pids("s"); return len(p) == 1 && p[0] != first })
	for probe, recycled := time.Now(), 0; time.Since(probe) <= within; {
		recycled++
		for range cfg.Recycle.Calls {
			w.answers("s", 1)
		}
		eventually(t, "a young process", func() bool { return w.Server("s").Status().Recycled == recycled })
	}
	kill(t, w.pids("s")[0], syscall.SIGKILL)
	var holds []logLine
	eventually(t, "another hold", func() bool {
		holds = w.log.find("msg", "a process of the plugin server dies again and again: nothing is started for a while")
		return len(holds) == 2
	})
	if holds[1]["hold"] != holds[0]["hold"] {
		t.Errorf("holds %v, want the second as long as the first", holds)
	}
}
