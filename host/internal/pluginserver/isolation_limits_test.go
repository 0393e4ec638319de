package pluginserver

import (
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// neighbour runs beside a server that misbehaves, and must not notice.
func neighbour() Config { return fakeServer("neighbour", "plugin=neighbour") }

// unharmed checks that the host and the neighbour work.
func (w *world) unharmed() {
	w.t.Helper()
	w.mustConfigure("neighbour", 100)
	w.answers("neighbour", 100)
}

// comesBack kills the server and checks that its successor works, and that nothing of the old one is left.
func (w *world) comesBack(name string) {
	w.t.Helper()
	w.mustConfigure(name, 7)
	eventually(w.t, "a process", func() bool { return len(w.pids(name)) == 1 })
	pid := w.pids(name)[0]
	_ = syscall.Kill(pid, syscall.SIGKILL)
	eventually(w.t, "nothing is left of the old process", func() bool { return groupGone(pid) })
	eventually(w.t, "a new process", func() bool { p := w.pids(name); return len(p) == 1 && p[0] != pid })
	w.answers(name, 7)
}

func TestDescriptorsRunOut(t *testing.T) {
	cfg, file := misdeed(t, "s", "descriptors")
	cfg.OpenFiles = 64
	w := newWorld(t)
	w.mustStart(cfg, neighbour())
	begin(t, file)
	if r := result(t, file); !strings.Contains(r, "too many open files") {
		t.Errorf("opening files ended with %q", r)
	}
	w.unharmed()
	if err := os.Remove(file + ".go"); err != nil {
		t.Fatal(err)
	}
	w.comesBack("s")
}

func TestFilesStayBounded(t *testing.T) {
	cfg, file := misdeed(t, "s", "fill")
	cfg.FileSize = 1 << 20
	w := newWorld(t)
	w.mustStart(cfg, neighbour())
	w.mustConfigure("s", 1)
	begin(t, file)
	if r := result(t, file); !strings.Contains(r, "file too large") {
		t.Errorf("writing ended with %q", r)
	}
	if info, err := os.Stat(file + ".big"); err != nil || info.Size() != 1<<20 {
		t.Errorf("the file: %v, %v; want 1 MiB", info, err)
	}
	w.answers("s", 1)
	w.unharmed()
}

func TestMemoryRunsOut(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector maps more private memory than any limit allows")
	}
	cfg, file := misdeed(t, "s", "hog")
	cfg.MemoryLimit = 256 << 20
	w := newWorld(t)
	w.mustStart(cfg, neighbour())
	w.mustConfigure("s", 1)
	pid := w.pids("s")[0]
	begin(t, file)
	// Either the process is told, or it is killed: with a cgroup the kernel counts what else the group holds.
	eventually(t, "the end of the hog", func() bool { return exists(file) || gone(pid) })
	if r, _ := os.ReadFile(file); len(r) > 0 && !strings.Contains(string(r), "cannot allocate memory") {
		t.Errorf("taking memory ended with %q", r)
	}
	w.unharmed()
	_ = os.Remove(file + ".go")
	w.comesBack("s")
}

func TestForkBomb(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to run the bomb as another user")
	}
	if _, err := user.Lookup("games"); err != nil {
		t.Skip("needs the user games, which nobody else uses: ", err)
	}
	cfg, file := misdeed(t, "s", "bomb")
	dir := filepath.Dir(file)
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "fake") // the test binary lies where others may not look
	b, err := os.ReadFile(os.Args[0])
	if err == nil {
		err = os.WriteFile(program, b, 0o755)
	}
	if err == nil {
		err = os.Chmod(program, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	cfg.Command, cfg.User, cfg.ProcessLimit = []string{program}, "games", 80
	cfg.CrashLoop.Deaths = -1 // the dead of a bomb count until init has taken notice of them: starts may fail until then
	w := newWorld(t)
	if err := os.Chmod(w.opts.RunDir, 0o755); err != nil {
		t.Fatal(err)
	}
	w.mustStart(cfg, neighbour())
	pid := w.pids("s")[0]
	begin(t, file)
	eventually(t, "many processes", func() bool { return members(pid) > 20 })
	if n := members(pid); n > 80 {
		t.Errorf("%d processes, want at most 80", n)
	}
	w.unharmed()
	if err := os.Remove(file + ".go"); err != nil {
		t.Fatal(err)
	}
	w.comesBack("s")
}

// members counts the processes of a group.
func members(pgid int) (n int) {
	list, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range list {
		b, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		_, rest, _ := strings.Cut(string(b), ") ")
		if fields := strings.Fields(rest); len(fields) > 2 && fields[2] == strconv.Itoa(pgid) {
			n++
		}
	}
	return n
}
