package pluginserver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/transport"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// addresses configures one attached server at several sockets.
func addresses(paths ...string) Config {
	c := Config{Name: "a", StartTimeout: 15 * time.Second, DrainTimeout: 15 * time.Second}
	for _, path := range paths {
		c.Addresses = append(c.Addresses, "unix://"+path)
	}
	return c
}

// process is the status of one address.
func (w *world) process(number int) ProcessStatus { return w.Server("a").Status().Processes[number] }

// callWithin runs one call with a deadline and returns the pid that answered.
func (w *world) callWithin(d time.Duration) (pid int, err error) {
	c := &wire.Call{Instance: 1, Phase: 2, Facts: &wire.Facts{
		RequestID: "0123456789abcdef0123456789abcdef",
		Request:   wire.Request{Method: "GET", Scheme: "http", Host: "h", Port: 80, HTTPVersion: 11, Target: "/", Path: "/"},
		Client:    wire.Client{IP: "127.0.0.1"},
	}}
	var out wire.Outcome
	if err := w.Server("a").Call(c, time.Now().Add(d), noAsks{}, &out); err != nil {
		return 0, err
	}
	if out.Err != nil {
		return 0, out.Err
	}
	_, err = fmt.Sscan(string(out.Body), &pid)
	return pid, err
}

// reached lists who answers calls.
func (w *world) reached(t *testing.T, calls int) map[int]bool {
	t.Helper()
	pids := map[int]bool{}
	for range calls {
		pid, _, err := w.call("a", 1, "/")
		if err != nil {
			t.Fatal(err)
		}
		pids[pid] = true
	}
	return pids
}

// Calls are shared by all addresses; one that is gone is left out and shown, and is used again when it is back.
func TestSeveralAddresses(t *testing.T) {
	carriers(t, func(t *testing.T, carrier string) {
		one, two := filepath.Join(shortDir(t), "1.sock"), filepath.Join(shortDir(t), "2.sock")
		first, second := spawn(t, "listen="+one), spawn(t, "listen="+two)
		w := newWorld(t)
		cfg := addresses(one, two)
		cfg.Carrier = carrier
		w.mustStart(cfg)
		eventually(t, "both are ready", func() bool { return len(w.pids("a")) == 2 })
		w.mustConfigure("a", 1)
		if pids := w.reached(t, 20); !pids[first.Process.Pid] || !pids[second.Process.Pid] {
			t.Errorf("calls reach %v, want %d and %d", pids, first.Process.Pid, second.Process.Pid)
		}
		if w.process(0).Address != "unix://"+one || w.process(1).Address != "unix://"+two {
			t.Errorf("status %+v", w.Server("a").Status().Processes)
		}
		_ = second.Process.Kill()
		_ = second.Wait()
		eventually(t, "the second is down", func() bool { return w.process(1).State == StateDown })
		if reason := w.process(1).Reason; !strings.Contains(reason, two) && !strings.Contains(reason, "lane") {
			t.Errorf("reason %q", reason)
		}
		if pids := w.reached(t, 20); len(pids) != 1 || !w.ready("a") {
			t.Errorf("calls reach %v", pids)
		}
		again := spawn(t, "listen="+two)
		eventually(t, "both are ready again", func() bool { return len(w.pids("a")) == 2 })
		if pids := w.reached(t, 20); !pids[again.Process.Pid] {
			t.Errorf("calls reach %v, want %d too", pids, again.Process.Pid)
		}
	})
}

// A server begins with the addresses that answer: who waits for the others waits long.
func TestOneAddressIsEnoughToBegin(t *testing.T) {
	dir := shortDir(t)
	one := filepath.Join(shortDir(t), "1.sock")
	spawn(t, "listen="+one)
	w := newWorld(t)
	cfg := addresses(filepath.Join(dir, "none.sock"), one)
	cfg.StartTimeout = time.Hour
	w.mustStart(cfg)
	if p := w.process(0); p.State != StateDown || !strings.Contains(p.Reason, "does not exist") {
		t.Errorf("status %+v", p)
	}
}

// An address whose calls keep failing while others answer is left out, and comes back after a health check. Its health alone tells nothing.
func TestEjection(t *testing.T) {
	dir := shortDir(t)
	mute := filepath.Join(dir, "mute")
	paths := []string{filepath.Join(shortDir(t), "1.sock"), filepath.Join(shortDir(t), "2.sock"), filepath.Join(shortDir(t), "3.sock")}
	var servers []*exec.Cmd
	for i, path := range paths {
		orders := []string{"listen=" + path}
		if i == 1 {
			orders = append(orders, "mute_while="+mute)
		}
		servers = append(servers, spawn(t, orders...))
	}
	w := newWorld(t)
	// The first ejection ends while the test runs, the time for it doubles after that.
	w.opts.Ejection = Backoff{Min: 200 * time.Millisecond, Max: 24 * time.Hour}
	w.mustStart(addresses(paths...))
	eventually(t, "all are ready", func() bool { return len(w.pids("a")) == 3 })
	w.mustConfigure("a", 1)

	if err := os.WriteFile(mute, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	ejected := func() bool { return w.process(1).State == StateEjected }
	eventually(t, "an ejection", func() bool {
		_, _ = w.callWithin(20 * time.Millisecond)
		return ejected()
	})
	if p := w.process(1); !strings.Contains(p.Reason, "calls in a row failed while other addresses answer") || p.Lanes == 0 {
		t.Errorf("status %+v", p)
	}
	eventually(t, "a line in the log", func() bool { return w.log.has("an address of the plugin server is ejected: its calls keep failing") })
	// It is ejected again when it comes back no better, each time for longer: at last for so long that it is out for sure.
	eventually(t, "a long ejection", func() bool {
		_, _ = w.callWithin(20 * time.Millisecond)
		w.Server("a").mu.Lock()
		defer w.Server("a").mu.Unlock()
		return w.Server("a").peers[1].ejections.next > time.Second && w.Server("a").peers[1].out == StateEjected
	})
	if err := os.Remove(mute); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is back", func() bool { return w.process(1).State == StateReady })
	if pids := w.reached(t, 30); !pids[servers[1].Process.Pid] {
		t.Errorf("calls reach %v, want %d too", pids, servers[1].Process.Pid)
	}
}

// An ejected address whose health is well, but whose lane nobody reads, stays out.
func TestEjectedAddressIsReadBeforeItIsBack(t *testing.T) {
	unread := filepath.Join(shortDir(t), "unread")
	one, two := filepath.Join(shortDir(t), "1.sock"), filepath.Join(shortDir(t), "2.sock")
	spawn(t, "listen="+one, "unread_while="+unread)
	spawn(t, "listen="+two)
	w := newWorld(t)
	w.opts.Ejection = Backoff{Min: 10 * time.Millisecond, Max: 100 * time.Millisecond}
	w.opts.HealthInterval, w.opts.HealthTime = time.Hour, time.Second // three failures of the regular checks would end the connection
	w.mustStart(addresses(one, two))
	eventually(t, "both are ready", func() bool { return len(w.pids("a")) == 2 })
	w.mustConfigure("a", 1)
	write(t, unread)
	eventually(t, "an ejection", func() bool {
		_, _ = w.callWithin(50 * time.Millisecond)
		return w.process(0).State == StateEjected
	})
	eventually(t, "it stays out", func() bool { return strings.Contains(w.process(0).Reason, errDeaf.Error()) })
	if err := os.Remove(unread); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is back", func() bool { return w.process(0).State == StateReady })
}

// Addresses are not ejected when none would be left to bear their calls.
func TestEjectionStopsAtHalf(t *testing.T) {
	dir := shortDir(t)
	mute := filepath.Join(dir, "mute")
	paths := []string{filepath.Join(shortDir(t), "1.sock"), filepath.Join(shortDir(t), "2.sock")}
	for _, path := range paths {
		spawn(t, "listen="+path, "mute_while="+mute)
	}
	w := newWorld(t)
	w.opts.Ejection = Backoff{Min: time.Hour}
	w.mustStart(addresses(paths...))
	eventually(t, "both are ready", func() bool { return len(w.pids("a")) == 2 })
	w.mustConfigure("a", 1)
	if err := os.WriteFile(mute, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for range 40 {
		var e *transport.Error
		if _, err := w.callWithin(10 * time.Millisecond); !errors.As(err, &e) || e.Kind != transport.Timeout {
			t.Fatalf("error %v, want a timeout", err)
		}
		if w.process(0).State == StateEjected && w.process(1).State == StateEjected {
			t.Fatal("both are ejected")
		}
	}
	if err := os.Remove(mute); err != nil {
		t.Fatal(err)
	}
	w.answers("a", 1)
}

// A server that is added later begins with the addresses that answer too, and goes on looking for the others.
func TestAddedServerNeedsOneAddress(t *testing.T) {
	one, two := filepath.Join(shortDir(t), "1.sock"), filepath.Join(shortDir(t), "2.sock")
	spawn(t, "listen="+one)
	eventually(t, "the first address", func() bool { return exists(one) })
	w := newWorld(t)
	w.mustStart(fakeServer("m", "plugin=other"))
	var err error
	eventually(t, "the server is added", func() bool { // its socket may be there before somebody listens
		err = w.Add(t.Context(), addresses(two, one))
		return err == nil
	})
	spawn(t, "listen="+two)
	eventually(t, "the second address", func() bool { return len(w.pids("a")) == 2 })
}

// When nothing but ejected addresses are left they are used: better than none.
func TestEjectedAddressIsBetterThanNone(t *testing.T) {
	mute := filepath.Join(shortDir(t), "mute")
	one, two := filepath.Join(shortDir(t), "1.sock"), filepath.Join(shortDir(t), "2.sock")
	first := spawn(t, "listen="+one, "mute_while="+mute)
	second := spawn(t, "listen="+two)
	w := newWorld(t)
	w.opts.Ejection = Backoff{Min: time.Hour}
	w.mustStart(addresses(one, two))
	eventually(t, "both are ready", func() bool { return len(w.pids("a")) == 2 })
	w.mustConfigure("a", 1)
	if err := os.WriteFile(mute, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "an ejection", func() bool {
		_, _ = w.callWithin(20 * time.Millisecond)
		return w.process(0).State == StateEjected
	})
	if err := os.Remove(mute); err != nil {
		t.Fatal(err)
	}
	if pids := w.reached(t, 20); pids[first.Process.Pid] {
		t.Error("an ejected address gets calls")
	}
	_ = second.Process.Kill()
	eventually(t, "the other one is down", func() bool { return w.process(1).State == StateDown })
	if pids := w.reached(t, 5); !pids[first.Process.Pid] || !w.ready("a") {
		t.Errorf("calls reach %v", pids)
	}
}

// All addresses host the same plugins: one that differs is not used, and says in what.
func TestAddressesMustAgree(t *testing.T) {
	for name, c := range map[string]struct {
		order, want string
	}{
		"version": {"version=2.0.0", `plugin "echo" has version`},
		"name":    {"plugin=other", `is missing`},
	} {
		t.Run(name, func(t *testing.T) {
			one, two := filepath.Join(shortDir(t), "1.sock"), filepath.Join(shortDir(t), "2.sock")
			first := spawn(t, "listen="+one)
			w := newWorld(t)
			w.mustStart(addresses(one, two))
			spawn(t, "listen="+two, c.order)
			eventually(t, "a reason", func() bool { return strings.Contains(w.process(1).Reason, c.want) })
			for _, part := range []string{"unix://" + two + " does not host the same plugins as unix://" + one, "run the same build at all addresses"} {
				if reason := w.process(1).Reason; !strings.Contains(reason, part) {
					t.Errorf("reason %q does not say %q", reason, part)
				}
			}
			if !w.ready("a") {
				t.Error("the other address is not used either")
			}
			// An upgrade goes on: when the old build is gone, the new one is used.
			_ = first.Process.Kill()
			eventually(t, "the new build", func() bool { return w.process(1).State == StateReady })
		})
	}
}

// A server that goes away says so: no more calls are sent there, and the running ones end. With another address no request fails.
func TestDrainOfAnAddress(t *testing.T) {
	carriers(t, func(t *testing.T, carrier string) {
		paths := []string{filepath.Join(shortDir(t), "1.sock"), filepath.Join(shortDir(t), "2.sock")}
		env := map[string]string{sdkKey: "1", "GORACE": quick}
		spawnWith(t, env, "--listen", "unix://"+paths[0])
		leaving := spawnWith(t, env, "--listen", "unix://"+paths[1])
		w := newWorld(t)
		cfg := addresses(paths...)
		cfg.Carrier = carrier
		w.mustStart(cfg)
		eventually(t, "both are ready", func() bool { return len(w.pids("a")) == 2 })
		s := w.Server("a")
		if err := s.Configure(t.Context(), Instance{ID: 1, Plugin: "greeter", Config: []byte(`{"greeting":"hello"}`)}); err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		var calls, failed atomic.Int64
		for range 4 {
			wg.Go(func() {
				for ctx.Err() == nil {
					calls.Add(1)
					if _, err := greet(s, 1, "you"); err != nil {
						failed.Add(1)
						t.Errorf("a call fails: %v", err)
						return
					}
				}
			})
		}
		for range 3 {
			before := calls.Load()
			eventually(t, "calls", func() bool { return calls.Load() > before+50 })
			kill(t, leaving.Process.Pid, syscall.SIGTERM)
			if err := leaving.Wait(); err != nil {
				t.Errorf("the server that was told to end: %v", err)
			}
			eventually(t, "it is down", func() bool { return w.process(1).State == StateDown })
			leaving = spawnWith(t, env, "--listen", "unix://"+paths[1])
			eventually(t, "both are ready again", func() bool { return len(w.pids("a")) == 2 })
		}
		stop()
		wg.Wait()
		t.Logf("%d calls, %d failed", calls.Load(), failed.Load())
		// The only address that is left goes away: its calls get the answer of the fail mode until it is back.
		kill(t, w.pids("a")[0], syscall.SIGTERM)
		kill(t, leaving.Process.Pid, syscall.SIGTERM)
		eventually(t, "not ready", func() bool { return !w.ready("a") })
		var down *NotReadyError
		if _, err := greet(s, 1, "you"); !errors.As(err, &down) {
			t.Errorf("error %v, want a NotReadyError", err)
		}
		_ = leaving.Wait()
		spawnWith(t, env, "--listen", "unix://"+paths[1])
		eventually(t, "ready again", func() bool { return w.ready("a") })
		wantGreeting(t, s, 1, "hello, you")
	})
}

// Running calls of a server that goes away end on it.
func TestDrainLetsRunningCallsEnd(t *testing.T) {
	dir := shortDir(t)
	path, gate, sick := filepath.Join(dir, "1.sock"), filepath.Join(dir, "gate"), filepath.Join(dir, "sick")
	spawn(t, "listen="+path, "sick="+sick)
	w := newWorld(t)
	w.opts.HealthInterval = time.Hour // it is heard of, not found out
	w.mustStart(addresses(path))
	w.mustConfigure("a", 1)
	done := make(chan error, 1)
	go func() {
		_, _, err := w.call("a", 1, "/wait"+gate)
		done <- err
	}()
	eventually(t, "a call runs", func() bool { return w.process(0).InFlight == 1 })
	if err := os.WriteFile(sick, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it gets no more calls", func() bool { return !w.ready("a") })
	if st := w.Server("a").State(); st.State != StateDraining || !strings.Contains(st.Reason, "does not serve") {
		t.Errorf("state %+v", st)
	}
	select {
	case err := <-done:
		t.Fatalf("the running call has ended: %v", err)
	default:
	}
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Errorf("the running call: %v", err)
	}
	eventually(t, "the connection ends", func() bool { return w.process(0).State == StateDown })
	if _, _, err := w.call("a", 1, "/"); err == nil {
		t.Error("a server that does not serve gets a call")
	}
	if err := os.Remove(sick); err != nil {
		t.Fatal(err)
	}
	eventually(t, "ready again", func() bool { return w.ready("a") })
	w.answers("a", 1)
}

// A server that speaks other versions is refused in words for both sides.
func TestVersionsWithoutOverlap(t *testing.T) {
	path := filepath.Join(shortDir(t), "1.sock")
	spawn(t, "listen="+path, "speaks=2-3")
	w := newWorld(t)
	cfg := addresses(path)
	cfg.StartTimeout = time.Second
	if err := w.start(cfg); err == nil {
		t.Fatal("it is ready")
	}
	eventually(t, "a reason", func() bool { return w.Server("a").State().State == StateDown })
	const want = "no common protocol version: the server (go SDK 0.0.0-fake) speaks versions 2 to 3, this gateway (test) version 1: " +
		"update the gateway to one that speaks version 2, or use an older SDK"
	eventually(t, want, func() bool { return w.Server("a").State().Reason == want })
}
