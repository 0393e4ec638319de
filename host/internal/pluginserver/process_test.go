package pluginserver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/transport"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

func carriers(t *testing.T, run func(t *testing.T, carrier string)) {
	for _, carrier := range []string{CarrierMsgpack, CarrierGRPC} {
		t.Run(carrier, func(t *testing.T) { run(t, carrier) })
	}
}

func TestStartCallStop(t *testing.T) {
	carriers(t, func(t *testing.T, carrier string) {
		w := newWorld(t)
		one, two := fakeServer("one"), fakeServer("two", "plugin=other", "lanes=3")
		one.Carrier, two.Carrier, one.Processes = carrier, carrier, 2
		w.mustStart(one, two)
		m := w.Manifests()
		if len(m) != 2 || m[0].Name != "echo" || m[0].Server != "one" || m[1].Name != "other" || m[1].Priority != 7 {
			t.Errorf("manifests %+v", m)
		}
		w.mustConfigure("one", 1, 2)
		w.mustConfigure("two", 3)
		w.answers("one", 1, 2, 1, 2)
		w.answers("two", 3)
		if _, _, err := w.call("two", 1, "/"); err == nil || !strings.Contains(err.Error(), wire.CodeUnknownInstance) {
			t.Errorf("an instance of another server: %v, want unknown_instance", err)
		}
		seen := map[int]bool{}
		for range 4 {
			pid, _, err := w.call("one", 1, "/")
			if err != nil {
				t.Fatal(err)
			}
			seen[pid] = true
		}
		pids := append(w.pids("one"), w.pids("two")...)
		if len(seen) != 2 || len(pids) != 3 {
			t.Errorf("%d of 2 processes answered; processes %v", len(seen), pids)
		}
		w.Server("one").Release(1)
		eventually(t, "released everywhere", func() bool {
			_, _, err1 := w.call("one", 1, "/")
			_, _, err2 := w.call("one", 1, "/")
			return err1 != nil && err2 != nil
		})
		w.answers("one", 2)
		w.shutdown()
		for _, pid := range pids {
			if !gone(pid) {
				t.Errorf("pid %d outlived the shutdown", pid)
			}
		}
		var notReady *NotReadyError
		if _, _, err := w.call("one", 2, "/"); !errors.As(err, &notReady) || notReady.State != StateStopping {
			t.Errorf("a call after the shutdown: %v", err)
		}
	})
}

// Lesson 6: after kill -9 every request still gets its own configuration.
func TestLesson06KilledServerComesBackWithItsInstances(t *testing.T) {
	carriers(t, func(t *testing.T, carrier string) {
		w := newWorld(t)
		cfg := fakeServer("s")
		cfg.Carrier = carrier
		w.mustStart(cfg)
		ids := []uint64{3, 5, 7, 11, 13}
		w.mustConfigure("s", ids...)
		w.Server("s").Release(3)
		w.mustConfigure("s", 17)
		ids = append(ids[1:], 17)
		w.answers("s", ids...)

		// Requests flow all the time: each gets its own configuration or an error, never another's.
		stop := make(chan struct{})
		var flow sync.WaitGroup
		for _, id := range ids {
			flow.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					_, config, err := w.call("s", id, "/")
					answer, answered := err.(*wire.Error) // of the server; one inside another error is why a lane was closed
					switch {
					case err == nil && config != configOf(id):
						t.Errorf("instance %d got the configuration %s", id, config)
						return
					case answered:
						t.Errorf("instance %d: a process took a call before it had the instance: %v", id, answer)
						return
					case err != nil:
						time.Sleep(time.Millisecond) // not a wait for anything: leaves the machine to the restart
					}
				}
			})
		}
		for range 2 {
			pid := w.pids("s")[0]
			kill(t, pid, syscall.SIGKILL)
			eventually(t, "a new process", func() bool { p := w.pids("s"); return len(p) == 1 && p[0] != pid })
			w.answers("s", ids...)
			if !gone(pid) {
				t.Errorf("pid %d was not waited for", pid)
			}
		}
		close(stop)
		flow.Wait()
	})
}

func TestLesson05CrashLoopBacksOff(t *testing.T) {
	w := newWorld(t)
	w.opts.Backoff = Backoff{Min: 50 * time.Millisecond, Max: 400 * time.Millisecond}
	starts := filepath.Join(t.TempDir(), "starts")
	begin := time.Now()
	cfg := fakeServer("s", "exit=4", "starts="+starts)
	cfg.CrashLoop.Deaths = -1
	err := w.start(cfg)
	var failed *StartError
	if !errors.As(err, &failed) || len(failed.Failed) != 1 || !strings.Contains(err.Error(), "exit status 4") || !strings.Contains(err.Error(), "ImportError: no module named orders") {
		t.Fatalf("error %v does not give status and last line", err)
	}
	var notReady *NotReadyError
	if err := w.Server("s").Call(&wire.Call{Facts: &wire.Facts{}}, time.Now().Add(time.Second), noAsks{}, &wire.Outcome{}); !errors.As(err, &notReady) {
		t.Errorf("call: %v, want not ready at once", err)
	}
	eventually(t, "five starts", func() bool { return countLines(starts) >= 5 })
	// Waits of at least 40, 80, 160 and 320 ms lie between five starts.
	if took := time.Since(begin); took < 600*time.Millisecond {
		t.Errorf("five starts within %v", took)
	}
	if st := w.Server("s").Status(); st.Processes[0].Starts < 5 || st.Ready || st.State.State != StateDown {
		t.Errorf("status %+v", st)
	}
}

func TestStartFailures(t *testing.T) {
	file := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(file, []byte("no program"), 0o600); err != nil {
		t.Fatal(err)
	}
	script := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(script, []byte("#!/no/such/interpreter\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	silent := fakeServer("s", "silent")
	silent.StartTimeout = 2 * time.Second // long enough for it to say a line
	program := func(path string) Config { return Config{Name: "s", Command: []string{path}} }
	for name, c := range map[string]struct {
		cfg  Config
		want []string
	}{
		"no such program":  {program("/no/such/program"), []string{"/no/such/program", "does not exist"}},
		"not in PATH":      {program("no-such-program"), []string{"no-such-program", "not in PATH"}},
		"not executable":   {program(file), []string{file, "-rw-------", "execute permission"}},
		"no interpreter":   {program(script), []string{script, "interpreter"}},
		"no directory":     {Config{Name: "s", Command: []string{"true"}, Dir: "/no/such/dir"}, []string{"working directory /no/such/dir"}},
		"ends at once":     {program("/bin/true"), []string{"exit status 0", "before it was up"}},
		"no handshake":     {silent, []string{"not up within 2s", "no handshake line", `stdout: "thinking"`}},
		"memory limit low": {Config{Name: "s", Command: []string{os.Args[0]}, Env: map[string]string{fakeKey: "go"}, MemoryLimit: 1}, []string{"before it was up"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.opts.Backoff = Backoff{Min: time.Hour}
			err := w.start(c.cfg)
			var failed *StartError
			if !errors.As(err, &failed) {
				t.Fatalf("error %v, want a StartError", err)
			}
			for _, part := range c.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("error %q does not say %q", err, part)
				}
			}
			w.shutdown()
		})
	}
}

func TestOutputIsLogged(t *testing.T) {
	w := newWorld(t)
	w.mustStart(fakeServer("s", "junk", "flood"))
	pid := strconv.Itoa(w.pids("s")[0])
	eventually(t, "the end of the flood", func() bool { return w.log.has("flood ends") })
	for _, msg := range []string{"hello from the server", "WARNING: 1|1|unix|not a handshake", "and after it", "1|1|unix|/again|grpc", "binary \uFFFD\x01"} {
		if n := len(w.log.find("msg", msg, "server", "s", "pid", pid, "stream", "stdout")); n != 1 {
			t.Errorf("%q is logged %d times", msg, n)
		}
	}
	eventually(t, "standard error", func() bool {
		return w.log.has("something on stderr")
	})
	if n := len(w.log.find("msg", "something on stderr", "stream", "stderr", "server", "s", "pid", pid)); n != 1 {
		t.Errorf("standard error is logged %d times", n)
	}
	if n := len(w.log.find("msg", strings.Repeat("f", 1023))); n != floodLines {
		t.Errorf("%d of %d lines of the flood are logged", n, floodLines)
	}
	long := ""
	for i, part := range append(w.log.find("part", "1"), w.log.find("part", "2")...) {
		if more := part["more"]; more != (i == 0) {
			t.Errorf("part %d: more is %v", i+1, more)
		}
		long += part["msg"].(string)
	}
	if long != strings.Repeat("x", 3*maxLine/2) {
		t.Errorf("the long line has %d bytes in the log, want %d", len(long), 3*maxLine/2)
	}
	w.mustConfigure("s", 1)
	w.answers("s", 1)
}

// What has to be killed is killed, with what it started.
func TestStubbornServersEnd(t *testing.T) {
	for _, orders := range []string{"ignore_shutdown,child", "ignore_term,child"} {
		t.Run(orders, func(t *testing.T) {
			w := newWorld(t)
			w.mustStart(fakeServer("s", orders, "ignore_lifeline"))
			pid := w.pids("s")[0]
			child := w.child()
			ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
			defer cancel()
			if strings.Contains(orders, "shutdown") { // an end in time: Shutdown, then SIGTERM
				w.shutdown()
			} else if err := w.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("shutdown by force: %v", err)
			}
			eventually(t, "the group is gone", func() bool { return gone(pid) && ended(child) })
		})
	}
}

// child is the pid of the child that a fake has started.
func (w *world) child() (pid int) {
	w.t.Helper()
	eventually(w.t, "the child", func() bool {
		for _, l := range w.log.find("stream", "stderr") {
			if n, _ := fmt.Sscanf(l["msg"].(string), "child %d", &pid); n == 1 {
				return true
			}
		}
		return false
	})
	return pid
}

// A leader that dies takes its group with it.
func TestChildrenOfADeadServerEnd(t *testing.T) {
	w := newWorld(t)
	w.mustStart(fakeServer("s", "child"))
	child := w.child()
	kill(t, w.pids("s")[0], syscall.SIGKILL)
	eventually(t, "the child is gone", func() bool { return ended(child) })
}

func TestShutdownDuringStart(t *testing.T) {
	w := newWorld(t)
	starts := filepath.Join(t.TempDir(), "starts")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := Start(ctx, []Config{fakeServer("s", "silent", "ignore_term", "starts="+starts), fakeServer("t", "slow=1h", "plugin=t")}, w.opts)
		ended <- err
	}()
	eventually(t, "the first process", func() bool { return countLines(starts) == 1 })
	cancel()
	select {
	case err := <-ended:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("start: %v, want the cause", err)
		}
	case <-time.After(patience):
		t.Fatal("giving up hangs")
	}
	b, _ := os.ReadFile(starts)
	if pid, _ := strconv.Atoi(strings.TrimSpace(string(b))); pid == 0 || !gone(pid) {
		t.Errorf("pid %d is still there", pid)
	}
	if left, _ := os.ReadDir(w.opts.RunDir); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}

	// A server that is being tried again is given up too.
	slow := fakeServer("s", "silent")
	slow.StartTimeout = 100 * time.Millisecond
	if err := w.start(slow); err == nil {
		t.Fatal("a silent server is ready")
	}
	w.shutdown()
}

func TestHungServerIsReplaced(t *testing.T) {
	for _, how := range []string{"stopped", "sick"} {
		t.Run(how, func(t *testing.T) {
			w := newWorld(t)
			w.opts.HealthInterval, w.opts.HealthTime = 300*time.Millisecond, time.Second
			file := filepath.Join(t.TempDir(), "sick")
			w.mustStart(fakeServer("s", "sick="+file))
			w.mustConfigure("s", 1)
			pid := w.pids("s")[0]
			if how == "stopped" {
				kill(t, pid, syscall.SIGSTOP)
			} else if err := os.WriteFile(file, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the hung process is gone", func() bool { return gone(pid) })
			_ = os.Remove(file)
			eventually(t, "a new process", func() bool { return w.ready("s") })
			w.answers("s", 1)
		})
	}
}

func TestLostLaneIsReopened(t *testing.T) {
	carriers(t, func(t *testing.T, carrier string) {
		w := newWorld(t)
		cfg := fakeServer("s")
		cfg.Carrier = carrier
		w.mustStart(cfg)
		w.mustConfigure("s", 1)
		pid := w.pids("s")[0]
		var closed *transport.Error
		if _, _, err := w.call("s", 1, "/closelane"); !errors.As(err, &closed) || closed.Kind != transport.Closed {
			t.Errorf("call on a lane that ends: %v, want Closed", err)
		}
		eventually(t, "a lane", func() bool { _, _, err := w.call("s", 1, "/"); return err == nil })
		w.answers("s", 1)
		if now := w.pids("s"); len(now) != 1 || now[0] != pid {
			t.Errorf("process %v, want still %d", now, pid)
		}
	})
}

func TestEnvironmentAndDescriptors(t *testing.T) {
	t.Setenv("SECRET_OF_THE_HOST", "1")
	leak, err := os.Open("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	defer leak.Close()
	// As if the host had inherited it: Go marks what it opens itself.
	if _, _, errno := syscall.Syscall(syscall.SYS_FCNTL, leak.Fd(), syscall.F_SETFD, 0); errno != 0 {
		t.Fatal(errno)
	}
	w := newWorld(t)
	cfg := fakeServer("s")
	cfg.Env["MINE"] = "2"
	cfg.OpenFiles = 200
	cfg.Dir = "/"
	w.mustStart(cfg)
	proc := fmt.Sprintf("/proc/%d/", w.pids("s")[0])
	b, err := os.ReadFile(proc + "environ")
	if err != nil {
		t.Fatal(err)
	}
	env := "\x00" + string(b)
	for _, name := range []string{"PATH", "MINE", cookieKey, "PLUGIN_PROTOCOL_VERSIONS", runDirKey, lifelineKey, serverKey} {
		if !strings.Contains(env, "\x00"+name+"=") {
			t.Errorf("the environment lacks %s", name)
		}
	}
	if strings.Contains(env, "SECRET_OF_THE_HOST") {
		t.Error("the environment holds what is the host's alone")
	}
	if target, _ := os.Readlink(proc + "fd/0"); target != "/dev/null" {
		t.Errorf("standard input is %s", target)
	}
	if target, _ := os.Readlink(proc + "fd/" + strconv.Itoa(int(leak.Fd()))); target == "/dev/null" {
		t.Errorf("descriptor %d of the host was inherited", leak.Fd())
	}
	if target, _ := os.Readlink(proc + "cwd"); target != "/" {
		t.Errorf("working directory is %s", target)
	}
	limits, _ := os.ReadFile(proc + "limits")
	if !strings.Contains(strings.Join(strings.Fields(string(limits)), " "), "Max open files 200 200") {
		t.Errorf("limits:\n%s", limits)
	}
	info, err := os.Stat(w.RunDir())
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("run directory: %v, %v; want mode 0700", info.Mode(), err)
	}
}

func TestRunsAsAnotherUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	// The test binary lies where nobody may look.
	program := filepath.Join(shortDir(t), "fake")
	b, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(program, b, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Dir(program), 0o755); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	if err := os.Chmod(w.opts.RunDir, 0o755); err != nil {
		t.Fatal(err)
	}
	cfg := fakeServer("s")
	cfg.Command, cfg.User = []string{program}, "nobody"
	w.mustStart(cfg)
	w.mustConfigure("s", 1)
	w.answers("s", 1)
	var st syscall.Stat_t
	if err := syscall.Stat(fmt.Sprintf("/proc/%d", w.pids("s")[0]), &st); err != nil || st.Uid == 0 {
		t.Errorf("the process runs as uid %d, %v", st.Uid, err)
	}
}

// A directory that the host chooses itself is one that the user of a server may enter: that of root's session is not.
func TestRunDirForAnotherUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to be somebody else's directory")
	}
	closed := shortDir(t)
	open := shortDir(t)
	for dir, mode := range map[string]os.FileMode{closed: 0o700, open: 0o711} {
		if err := os.Chmod(dir, mode); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("XDG_RUNTIME_DIR", closed)
	t.Setenv("TMPDIR", open)
	nobody := &account{name: "nobody", uid: 65534, gid: 65534}
	for _, c := range []struct {
		users  []*account
		parent string
		mode   os.FileMode
	}{{nil, closed, 0o700}, {[]*account{nil}, closed, 0o700}, {[]*account{nil, nobody}, open, 0o711}} {
		dir, err := makeRunDir("", c.users...)
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(dir)
		if err != nil || filepath.Dir(dir) != c.parent || info.Mode().Perm() != c.mode {
			t.Errorf("%d users: found %s with %v, %v; expected it in %s with %v", len(c.users), dir, info.Mode(), err, c.parent, c.mode)
		}
		if err := os.Remove(dir); err != nil {
			t.Error(err)
		}
	}
	inner := filepath.Join(open, "made", "here")
	dir, err := makeRunDir(inner, nobody)
	if err != nil {
		t.Fatal(err)
	}
	if err := reachable(dir, []*account{nobody}); err != nil {
		t.Error(err)
	}
	if err := reachable(closed, []*account{nobody}); err == nil || !strings.Contains(err.Error(), "user nobody may not enter "+closed) {
		t.Errorf("error %v", err)
	}
}
