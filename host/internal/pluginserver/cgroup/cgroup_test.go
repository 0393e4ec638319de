package cgroup

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// host opens a real tree; the test's end removes it.
func host(t *testing.T) *Tree {
	t.Helper()
	tree, err := Open()
	if err != nil {
		t.Skip("this machine lets nobody make cgroups here: ", err)
	}
	t.Cleanup(func() {
		if err := tree.Close(); err != nil {
			t.Error(err)
		}
	})
	return tree
}

// member starts a shell in a group.
func member(t *testing.T, g *Group, script string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("sh", append([]string{"-c", script}, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: g.FD()}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return cmd
}

func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within 20s", what)
		}
	}
}

func TestCloseEndsWhatHasLeftTheProcessGroup(t *testing.T) {
	tree := host(t)
	g, err := tree.Make("plugin server/1", Limits{Memory: 64 << 20, Processes: 30, CPU: 0.5}) // what is not there is left out
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "pid")
	member(t, g, `setsid -f sh -c 'trap "" TERM HUP; echo $$ >"$0.new"; mv "$0.new" "$0"; sleep 600' "$0" >/dev/null 2>&1; sleep 600`, file)
	var pid int
	await(t, "the daemon", func() bool {
		b, _ := os.ReadFile(file)
		pid, err = strconv.Atoi(strings.TrimSpace(string(b)))
		return err == nil
	})
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cgroup"))
	if err != nil || !strings.Contains(string(b), filepath.Base(g.Path())) {
		t.Errorf("the daemon is in %q, %v", b, err)
	}
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	if stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat")); err == nil && !strings.Contains(string(stat), ") Z ") {
		t.Errorf("the daemon still runs: %s", stat)
	}
	if _, err := os.Stat(g.Path()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the group is still there: %v", err)
	}
}

// What a killed host has left is removed by others, who know the path alone.
func TestRemoveTakesTheWholeTree(t *testing.T) {
	tree := host(t)
	var list []*exec.Cmd
	for _, name := range []string{"a", "b"} {
		g, err := tree.Make(name, Limits{})
		if err != nil {
			t.Fatal(err)
		}
		defer g.dir.Close()
		list = append(list, member(t, g, "sleep 600"))
	}
	if err := Remove(tree.Path()); err != nil {
		t.Fatal(err)
	}
	for _, cmd := range list {
		if err := cmd.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
			t.Errorf("a member ended with %v", err)
		}
	}
	if err := Remove(tree.Path()); err != nil {
		t.Errorf("removing what is gone: %v", err)
	}
}

// A host that ended with its reaper leaves its tree to the next one; who lives keeps its own, and processes are not killed.
func TestStaleTreesAreRemoved(t *testing.T) {
	tree := host(t)
	own, err := os.MkdirTemp(tree.Path(), "own")
	if err != nil {
		t.Fatal(err)
	}
	open := func() *Tree {
		t.Helper()
		tree, err := open(own, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		return tree
	}
	alive, dead, busy := open(), open(), open()
	for _, tree := range []*Tree{alive, dead, busy} {
		g, err := tree.Make("g", Limits{})
		if err != nil {
			t.Fatal(err)
		}
		defer g.dir.Close()
		if tree == busy {
			member(t, g, "sleep 600")
		}
	}
	foreign := filepath.Join(own, Prefix+"foreign")
	if err := os.Mkdir(foreign, 0o700); err != nil {
		t.Fatal(err)
	}
	dead.lock.Close()
	busy.lock.Close()
	aside := dead.Path() + hostSuffix
	if err := os.Mkdir(aside, 0o700); err != nil {
		t.Fatal(err)
	}
	removeStale(own, time.Hour)
	if _, err := os.Stat(dead.Path()); err != nil {
		t.Errorf("a young tree was removed: %v", err)
	}
	removeStale(own, 0)
	if _, err := os.Stat(dead.Path()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the tree of a dead host is still there: %v", err)
	}
	if _, err := os.Stat(aside); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the group into which it had moved is still there: %v", err)
	}
	for _, path := range []string{alive.Path(), busy.Path(), foreign} {
		if _, err := os.Stat(path); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
	_ = alive.Close()
}

func TestMemoryOfAGroup(t *testing.T) {
	tree := host(t)
	g, err := tree.Make("g", Limits{Memory: 32 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	if err := tree.Has("memory"); err != nil {
		if n, ok := g.Memory(); ok {
			t.Errorf("a group without the controller uses %d bytes", n)
		}
		t.Skip(err)
	}
	hog := member(t, g, `head -c 200m /dev/zero | tail -c 199m >/dev/null`)
	_ = hog.Wait()
	if !g.Killed() {
		t.Error("a process that takes more than the group may have was not killed")
	}
}

// mimic is a directory with the files of a cgroup, as far as the code writes them: for controllers that this machine may not offer.
func mimic(t *testing.T, dir string, files ...string) {
	t.Helper()
	for _, name := range files {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func read(t *testing.T, dir, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestLimitsAreWritten(t *testing.T) {
	dir := t.TempDir()
	mimic(t, dir, "memory.max", "memory.swap.max", "memory.oom.group", "pids.max", "cpu.max")
	l := Limits{Memory: 1 << 28, Processes: 40, CPU: 1.5}
	if err := (&Tree{has: []string{"memory", "pids", "cpu"}}).limit(dir, l); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{
		"memory.max": "268435456", "memory.swap.max": "0", "memory.oom.group": "1", "pids.max": "40", "cpu.max": "150000 100000",
	} {
		if got := read(t, dir, file); got != want {
			t.Errorf("%s is %q, want %q", file, got, want)
		}
	}
	// Without the controllers nothing is written, and that is no error: Has tells.
	if err := (&Tree{}).limit(t.TempDir(), l); err != nil {
		t.Error(err)
	}
	if err := (&Tree{has: []string{"pids"}}).limit(t.TempDir(), l); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a controller whose file is not there: %v", err)
	}
}

func TestEventsAreRead(t *testing.T) {
	g := &Group{path: t.TempDir()}
	if g.Killed() || g.Refused() != 0 {
		t.Error("events of a group without controllers")
	}
	for file, text := range map[string]string{
		"memory.events": "low 0\nhigh 0\nmax 12\noom 2\noom_kill 1\n", "pids.events": "max 7\n", "memory.current": "4096\n",
	} {
		if err := os.WriteFile(filepath.Join(g.path, file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if n, ok := g.Memory(); !g.Killed() || g.Refused() != 7 || n != 4096 || !ok {
		t.Errorf("killed %v, refused %d, memory %d %v", g.Killed(), g.Refused(), n, ok)
	}
}

func TestOwnGroup(t *testing.T) {
	for name, c := range map[string]struct {
		mounts, membership, want, err string
	}{
		"unified": {
			"24 1 0:22 / /proc rw - proc proc rw\n30 24 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw\n", "0::/system.slice/outrigger.service\n",
			"/sys/fs/cgroup/system.slice/outrigger.service", "",
		},
		"beside version 1": {
			"30 24 0:26 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n31 24 0:27 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n", "8:pids:/x\n0::/\n",
			"/sys/fs/cgroup/unified", "",
		},
		"blank in the path":     {`31 24 0:27 / /a\040b rw - cgroup2 none rw` + "\n", "0::/c\n", "/a b/c", ""},
		"part of the hierarchy": {"31 24 0:27 /box /cg rw - cgroup2 none rw\n", "0::/box/in\n", "/cg/in", ""},
		"outside of it":         {"31 24 0:27 /box /cg rw - cgroup2 none rw\n", "0::/other\n", "", "not below"},
		"not mounted":           {"30 24 0:26 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n", "0::/\n", "", "not mounted"},
		"version 1 alone":       {"31 24 0:27 / /cg rw - cgroup2 none rw\n", "8:pids:/x\n", "", "in no cgroup v2"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for file, text := range map[string]string{"m": c.mounts, "c": c.membership} {
				if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			got, err := ownGroup(filepath.Join(dir, "m"), filepath.Join(dir, "c"))
			if got != c.want || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("got %q, %v; want %q, %q", got, err, c.want, c.err)
			}
		})
	}
}

// hostKey makes the test binary a host in a group: its value is the group and a controller that is offered there.
const hostKey = "CGROUP_HOST"

func TestMain(m *testing.M) {
	if own, controller, ok := strings.Cut(os.Getenv(hostKey), " "); ok {
		do := moveAside
		switch os.Getenv(roleKey) {
		case "older":
			do = older
		case "newer":
			do = newer
		}
		if err := do(own, controller); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// moveAside opens a tree in the own group, with processes in the group itself, and closes it; then once more as what outlives a host does.
func moveAside(own, controller string) error {
	for _, end := range []func(*Tree) error{(*Tree).Close, func(t *Tree) error { return Abandoned(t.Path()) }} {
		if err := moveAsideAndEnd(own, controller, end); err != nil {
			return err
		}
	}
	return nil
}

func moveAsideAndEnd(own, controller string, end func(*Tree) error) error {
	tree, err := open(own, nil, []string{controller})
	if err != nil {
		return err
	}
	if err := tree.Has(controller); err != nil {
		return err
	}
	g, err := tree.Make("g", Limits{})
	if err != nil {
		return err
	}
	if has := words(filepath.Join(g.Path(), "cgroup.controllers")); len(has) != 1 || has[0] != controller {
		return fmt.Errorf("a group has the controllers %q", has)
	}
	if err := g.Close(); err != nil {
		return err
	}
	if err := end(tree); err != nil {
		return err
	}
	if given := words(filepath.Join(own, "cgroup.subtree_control")); len(given) > 0 {
		return fmt.Errorf("its children still have the controllers %q", given)
	}
	if !alone(own) {
		return errors.New("the host is not back in its group")
	}
	list, err := os.ReadDir(own)
	for _, e := range list {
		if e.IsDir() {
			err = errors.Join(err, fmt.Errorf("left behind: %s", e.Name()))
		}
	}
	return err
}

// handed makes a group with a controller that the test hands on to it: a host in it may make groups of its own. It goes with the test.
func handed(t *testing.T) (dir, controller string, group *os.File) {
	t.Helper()
	tree := host(t)
	own := filepath.Dir(tree.Path())
	offered := words(filepath.Join(own, "cgroup.controllers"))
	if len(offered) == 0 {
		t.Skip("no controller is offered in ", own)
	}
	controller = offered[0]
	if !slices.Contains(words(filepath.Join(own, "cgroup.subtree_control")), controller) {
		if err := control(own, "+", []string{controller}); err != nil {
			t.Skip("the test cannot hand a controller on: ", err)
		}
		t.Cleanup(func() { _ = control(own, "-", []string{controller}) })
	}
	dir, err := os.MkdirTemp(own, Prefix)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := Remove(dir); err != nil {
			t.Error(err)
		}
	})
	group, err = os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = group.Close() })
	return dir, controller, group
}

// The kernel gives controllers to the children of a group without processes: a host alone in its group moves aside, and back.
func TestAHostAloneInItsGroupMovesAside(t *testing.T) {
	dir, controller, g := handed(t)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), hostKey+"="+dir+" "+controller)
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(g.Fd())}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("a host in a group of its own: %v\n%s", err, out)
	}
	// With somebody else in the group it must not move, and says why it has no controllers.
	other := exec.Command("sleep", "600")
	other.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(g.Fd())}
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Process.Kill(); _ = other.Wait() }()
	cmd = exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), hostKey+"="+dir+" "+controller)
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(g.Fd())}
	if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "other processes are in "+dir) {
		t.Errorf("a host that is not alone: %v\n%s", err, out)
	}
}

// What cannot be had is said, and leaves nothing.
func TestNoTree(t *testing.T) {
	own := t.TempDir()
	if _, err := open(own, nil, controllers); err == nil || !strings.Contains(err.Error(), "kill a whole cgroup") {
		t.Errorf("a directory that is no cgroup: %v", err)
	}
	if _, err := open(own, errors.New("not delegated"), controllers); err == nil || err.Error() != "not delegated" {
		t.Errorf("error %v", err)
	}
	if left, _ := os.ReadDir(own); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}
