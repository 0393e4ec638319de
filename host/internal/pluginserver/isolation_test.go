package pluginserver

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/outrigger-gateway/outrigger/host/internal/pluginserver/cgroup"
	"github.com/outrigger-gateway/outrigger/host/internal/pluginserver/launcher"
)

// misdeed configures a fake server that does something beside its work, and the file that says how it went.
func misdeed(t *testing.T, name, what string) (Config, string) {
	t.Helper()
	file := filepath.Join(shortDir(t), "result")
	cfg := fakeServer(name, "plugin="+name)
	cfg.Env[misdeedKey] = what + "=" + file
	return cfg, file
}

// begin makes the misdeed begin.
func begin(t *testing.T, file string) {
	t.Helper()
	if err := os.WriteFile(file+".go", nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

func result(t *testing.T, file string) string {
	t.Helper()
	eventually(t, "the result of the misdeed", func() bool { return exists(file) })
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// daemonIn is the pid of the daemon that a server has started; the test's end kills it if nobody else has.
func daemonIn(t *testing.T, file string) int {
	t.Helper()
	pid, err := strconv.Atoi(strings.TrimSpace(result(t, file)))
	if err != nil || pid < 2 {
		t.Fatalf("the pid of the daemon is %d, %v", pid, err)
	}
	t.Cleanup(func() {
		if !ended(pid) {
			_ = syscall.Kill(-pid, syscall.SIGKILL)
		}
	})
	return pid
}

// looks starts a server and returns what its process sees of itself from its first instruction on.
func looks(t *testing.T, change func(*Config)) (*world, sight) {
	t.Helper()
	cfg, _ := misdeed(t, "s", "look")
	change(&cfg)
	_, file, _ := strings.Cut(cfg.Env[misdeedKey], "=")
	w := newWorld(t)
	w.mustStart(cfg)
	var s sight
	if err := json.Unmarshal([]byte(result(t, file)), &s); err != nil {
		t.Fatal(err)
	}
	return w, s
}

// measure is what the status says of a measure of server s.
func (w *world) measure(name string) Measure {
	w.t.Helper()
	for _, m := range w.Server("s").Status().Processes[0].Isolation {
		if m.Name == name {
			return m
		}
	}
	w.t.Errorf("the status says nothing about %s", name)
	return Measure{}
}

func TestAProcessSeesItsIsolation(t *testing.T) {
	t.Setenv("SECRET_OF_THE_HOST", "1")
	w, s := looks(t, func(c *Config) { c.OpenFiles, c.FileSize = 200, 8<<20 })
	if s.Stdin != "/dev/null" {
		t.Errorf("standard input is %q", s.Stdin)
	}
	if len(s.Files) != 1 || !strings.HasPrefix(s.Files[strconv.Itoa(lifelineFD)], "pipe:") {
		t.Errorf("open beside the standard ones: %v; want the lifeline alone", s.Files)
	}
	for _, v := range s.Env {
		if strings.HasPrefix(v, "SECRET_OF_THE_HOST=") {
			t.Error("the environment holds what is the host's alone")
		}
	}
	if s.Umask != 0o077 {
		t.Errorf("umask is %03o, want 077", s.Umask)
	}
	if want := "NoNewPrivs: 1"; !strings.Contains(s.Status, want) {
		t.Errorf("no %q in the status %s", want, s.Status)
	}
	for _, want := range []string{"Max open files 200 200", "Max file size 8388608 8388608", "Max core file size 0 0"} {
		if !strings.Contains(s.Limits, want) {
			t.Errorf("no %q in the limits %s", want, s.Limits)
		}
	}
	for _, name := range []string{"process", "no_new_privileges", "limits.open_files", "limits.file_size"} {
		if m := w.measure(name); m.State != MeasureOn {
			t.Errorf("measure %+v", m)
		}
	}
	if lines := append(w.log.find("msg", "isolation of the plugin server", "server", "s"),
		w.log.find("msg", "isolation of the plugin server is not all that the settings ask for", "server", "s")...); len(lines) != 1 {
		t.Errorf("isolation is logged %d times, want once", len(lines))
	}
	seccomp := w.measure("seccomp")
	if err := launcher.SeccompAvailable(); err != nil {
		if seccomp.State != MeasureNotAvailable || seccomp.Detail != err.Error() {
			t.Errorf("measure %+v, want it not available: %v", seccomp, err)
		}
		t.Skip(err)
	}
	if seccomp.State != MeasureOn || !strings.Contains(s.Status, "Seccomp: 2") {
		t.Errorf("measure %+v, status %s", seccomp, s.Status)
	}
	for name, errno := range s.Calls {
		want := "EPERM"
		switch name {
		case "getpid":
			want = ""
		case "io_uring", "clone3":
			want = "ENOSYS"
		}
		if errno != want {
			t.Errorf("system call %s: error %q, want %q", name, errno, want)
		}
	}
}

func TestIsolationCanBeSwitchedOff(t *testing.T) {
	w, s := looks(t, func(c *Config) {
		c.Isolation = Isolation{Cgroup: IsolationOff, Seccomp: IsolationOff, NewPrivileges: true}
	})
	own, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(own)) { // a container may have restricted the tests themselves
		want := strings.Join(strings.Fields(line), " ")
		if (strings.HasPrefix(want, "NoNewPrivs:") || strings.HasPrefix(want, "Seccomp")) && !strings.Contains(s.Status, want) {
			t.Errorf("no %q, as the host has it, in the status %s", want, s.Status)
		}
	}
	for _, name := range []string{"no_new_privileges", "seccomp", "cgroup", "landlock"} {
		if m := w.measure(name); m.State != MeasureOff {
			t.Errorf("measure %v, want it off", m)
		}
	}
}

func TestLandlockLeavesThePaths(t *testing.T) {
	if err := launcher.LandlockAvailable(); err != nil {
		t.Skip(err)
	}
	for _, read := range []bool{false, true} {
		t.Run(fmt.Sprintf("read restricted=%v", read), func(t *testing.T) {
			open, closed := shortDir(t), shortDir(t)
			w, s := looks(t, func(c *Config) {
				c.Env[misdeedKey], c.Env["WRITABLE"], c.Env["FORBIDDEN"] = "look="+filepath.Join(open, "result"), open, closed
				c.Isolation.Landlock = &Landlock{Write: []string{open}, Mode: IsolationRequired}
				if read {
					c.Isolation.Landlock.Read = []string{}
				}
			})
			if s.Write[open] != "" || s.Write[closed] != "EACCES" || len(s.Write) != 3 {
				t.Errorf("errors of writing %v: want EACCES at %s alone", s.Write, closed)
			}
			if want := map[bool]string{true: "EACCES"}[read]; s.ReadEtc != want {
				t.Errorf("error of reading %s: %q, want %q", closed, s.ReadEtc, want)
			}
			if m := w.measure("landlock"); m.State != MeasureOn || !strings.Contains(m.Detail, open) {
				t.Errorf("measure %+v", m)
			}
			w.mustConfigure("s", 1)
			w.answers("s", 1)
		})
	}
}

// What is not there is told; what is required and not there refuses the server.
func TestWhatIsNotAvailableIsTold(t *testing.T) {
	why := errors.New("cgroup v2 is not mounted")
	cfg := Config{Name: "s", MemoryLimit: 1 << 28, ProcessLimit: 50, CPU: 0.5}
	i := isolate(&cfg, nil, nil, why)
	want := map[string]string{
		"cgroup": MeasureNotAvailable, "descendants": MeasurePartial, "limits.memory": MeasurePartial,
		"limits.processes": MeasureNotAvailable, "limits.cpu": MeasureNotAvailable,
	}
	for _, m := range i.measures {
		if state, ok := want[m.Name]; ok && m.State != state {
			t.Errorf("measure %v, want %s", m, state)
		}
		delete(want, m.Name)
	}
	if len(want) > 0 || !i.asked || i.err != nil {
		t.Errorf("not listed: %v; asked %v, error %v", want, i.asked, i.err)
	}
	i = isolate(&cfg, &account{name: "plugins", uid: 1000}, nil, why)
	if k := slices.IndexFunc(i.measures, func(m Measure) bool { return m.Name == "limits.processes" }); i.measures[k].State != MeasurePartial ||
		!strings.Contains(i.measures[k].Detail, "all processes of user plugins") {
		t.Errorf("measure %v", i.measures[k])
	}
	cfg.Isolation.Cgroup = IsolationRequired
	i = isolate(&cfg, nil, nil, why)
	if i.err == nil || !strings.Contains(i.err.Error(), "isolation.cgroup is required, but it is not available: cgroup v2 is not mounted") {
		t.Errorf("error %v", i.err)
	}
	if cfg = (Config{Name: "s"}); isolate(&cfg, nil, nil, why).asked {
		t.Error("a server that asks for nothing is warned about")
	}
}

func TestRequiredIsolationRefusesTheServer(t *testing.T) {
	cfg := fakeServer("s")
	cfg.Isolation.Cgroup, cfg.CPU = IsolationRequired, 1
	tree, err := cgroup.Open()
	if err == nil {
		err = tree.Has("cpu")
		if closeErr := tree.Close(); closeErr != nil {
			t.Error(closeErr)
		}
	}
	if err == nil {
		t.Skip("this machine offers the cgroup controller cpu")
	}
	w := newWorld(t)
	if err := w.start(cfg); err == nil || !strings.Contains(err.Error(), "required, but it is not available") {
		t.Errorf("error %v", err)
	}
	if st := w.Server("s").Status(); st.Ready || !strings.Contains(st.Reason, "required") || st.Processes[0].Isolation == nil {
		t.Errorf("status %+v", st)
	}
}

// Lesson 13, for what leaves the process group: nothing survives the end of its server.
func TestDaemonsEndWithTheirServer(t *testing.T) {
	for _, mode := range []string{IsolationAuto, IsolationOff} {
		for _, how := range []string{"server killed", "shutdown"} {
			t.Run("cgroup "+mode+", "+how, func(t *testing.T) {
				cfg, file := misdeed(t, "s", "daemon")
				cfg.Isolation.Cgroup = mode
				w := newWorld(t)
				w.mustStart(cfg)
				if m := w.measure("cgroup"); mode == IsolationAuto && m.State != MeasureOn {
					t.Skip(m.Detail)
				}
				daemon := daemonIn(t, file)
				if ended(daemon) {
					t.Fatal("the daemon does not run")
				}
				if err := os.Remove(file); err != nil { // the next process makes its own
					t.Fatal(err)
				}
				if how == "shutdown" {
					w.shutdown()
				} else {
					kill(t, w.pids("s")[0], syscall.SIGKILL)
				}
				eventually(t, "the daemon is gone", func() bool { return ended(daemon) })
			})
		}
	}
}

// The cgroups of a host are gone with it, and so are those of processes that have ended.
func TestCgroupsAreRemoved(t *testing.T) {
	w := newWorld(t)
	cfg := fakeServer("s")
	w.mustStart(cfg)
	if m := w.measure("cgroup"); m.State != MeasureOn {
		t.Skip(m.Detail)
	}
	groups := func() []string {
		list, err := filepath.Glob(filepath.Join(w.tree.Path(), "*", "cgroup.procs"))
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	first := groups()
	b, err := os.ReadFile(first[0])
	if pid := w.pids("s")[0]; len(first) != 1 || err != nil || !slices.Contains(strings.Fields(string(b)), strconv.Itoa(pid)) {
		t.Fatalf("groups %v with %q, %v; want one with pid %d", first, b, err, pid)
	}
	kill(t, w.pids("s")[0], syscall.SIGKILL)
	eventually(t, "another group in place of the first", func() bool { now := groups(); return len(now) == 1 && now[0] != first[0] })
	path := w.tree.Path()
	eventually(t, "a new process", func() bool { return w.ready("s") })
	w.shutdown()
	if exists(path) {
		t.Errorf("%s is still there", path)
	}
}
