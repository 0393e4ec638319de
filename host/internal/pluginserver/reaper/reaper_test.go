package reaper

import (
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == Arg {
		Main()
	}
	os.Exit(m.Run())
}

func TestRead(t *testing.T) {
	l := read(strings.NewReader("add 12\nadd 34\nnonsense\nadd x\nadd 1\nadd -5\nadd 0\ndel 12\ndel 99\n" +
		"dir /tmp/outrigger-1\ndir relative/outrigger-2\ndir /etc\ndir /\ndir /tmp/../outrigger-3\n" +
		"cgroup /sys/fs/cgroup/outrigger-4\ncgroup /sys/fs/cgroup\n"))
	if len(l.groups) != 1 || l.groups[0] != 34 {
		t.Errorf("groups %v, want [34]", l.groups)
	}
	if len(l.dirs) != 1 || l.dirs[0] != "/tmp/outrigger-1" {
		t.Errorf("dirs %v, want [/tmp/outrigger-1]", l.dirs)
	}
	if len(l.cgroups) != 1 || l.cgroups[0] != "/sys/fs/cgroup/outrigger-4" {
		t.Errorf("cgroups %v, want [/sys/fs/cgroup/outrigger-4]", l.cgroups)
	}
}

// group starts a process group of two that ends by SIGKILL only.
func group(t *testing.T) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("sh", "-c", `trap "" TERM INT HUP; sleep 600 & echo up; wait`)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL); _ = cmd.Wait() })
	if _, err := out.Read(make([]byte, 3)); err != nil {
		t.Fatal(err)
	}
	return cmd
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within 20s", what)
		}
	}
}

func runDir(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), DirPrefix+"x")
	if err := os.MkdirAll(filepath.Join(dir, "inner"), 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

func exists(path string) bool { _, err := os.Lstat(path); return err == nil }

func alive(pid int) bool { return !gone(pid) }

func TestKillsWhatIsLeftAtEndOfFile(t *testing.T) {
	r, err := Start(nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	left, taken, dir := group(t), group(t), runDir(t)
	stopped := group(t)
	if err := syscall.Kill(-stopped.Process.Pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	r.Dir(dir)
	r.Add(left.Process.Pid)
	r.Add(taken.Process.Pid)
	r.Add(stopped.Process.Pid)
	r.Del(taken.Process.Pid)
	for _, sig := range []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		if err := r.process.Signal(sig); err != nil {
			t.Fatal(err)
		}
	}
	if !alive(left.Process.Pid) || !exists(dir) {
		t.Fatal("cleaned while the host lives")
	}
	r.Close()
	if alive(left.Process.Pid) || alive(stopped.Process.Pid) {
		t.Error("a group outlived the host")
	}
	if !alive(taken.Process.Pid) {
		t.Error("a group that was taken back was killed")
	}
	if exists(dir) {
		t.Error("the run directory is still there")
	}
}

func TestAReaperThatIsKilledIsReplacedAndToldAgain(t *testing.T) {
	r, err := Start(nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	left, dir := group(t), runDir(t)
	r.Dir(dir)
	r.Add(left.Process.Pid)
	first := r.PID()
	if err := syscall.Kill(first, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a new reaper", func() bool { return r.PID() != first })
	r.Close()
	if alive(left.Process.Pid) || exists(dir) {
		t.Error("the new reaper did not clean")
	}
}

func TestStartNamesTheCommand(t *testing.T) {
	for _, command := range []string{"/no/such/binary", "/bin/true"} {
		_, err := Start([]string{command}, slog.New(slog.DiscardHandler))
		if err == nil || !strings.Contains(err.Error(), command) {
			t.Errorf("error %v does not name the command %s", err, command)
		}
	}
}

// What has left its process group is found by its environment, and nothing else is.
func TestKillDescendants(t *testing.T) {
	daemon := func(runDir string) *exec.Cmd {
		cmd := exec.Command("sleep", "600")
		cmd.Env = []string{"A=b", "OUTRIGGER_RUN_DIR=" + runDir, "C=d"}
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
		return cmd
	}
	dir := runDir(t)
	one, two, longer, other := daemon(dir+"/p1"), daemon(dir+"/p2"), daemon(dir+"/p1x"), daemon(dir+"-other/p1")
	empty := daemon("")
	KillDescendants("", false) // of a process that has no directory
	if !alive(empty.Process.Pid) {
		t.Error("a process without a run directory was killed")
	}
	KillDescendants(dir+"/p1", false)
	eventually(t, "the first is gone", func() bool { return !alive(one.Process.Pid) })
	for _, cmd := range []*exec.Cmd{two, longer, other} {
		if !alive(cmd.Process.Pid) {
			t.Errorf("%v was killed with another's", cmd.Env)
		}
	}
	KillDescendants(dir, true)
	eventually(t, "all of the directory are gone", func() bool { return !alive(two.Process.Pid) && !alive(longer.Process.Pid) })
	if !alive(other.Process.Pid) {
		t.Error("a process of another directory was killed")
	}
}
