package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Limits of a group; 0 means none.
type Limits struct {
	Memory    uint64  // bytes of all processes together, page cache and kernel memory included; no swap
	Processes uint64  // tasks: processes and threads
	CPU       float64 // processors
}

// cpuPeriod is the time, in microseconds, in which a group may use its share.
const cpuPeriod = 100_000

// Group is the group of one process and of all that it starts.
type Group struct {
	path string
	dir  *os.File
}

// Make makes a group with limits. name is unique among the groups of the tree. Limits whose controller is not there are left out: Has
// says which.
func (t *Tree) Make(name string, l Limits) (*Group, error) {
	g := &Group{path: filepath.Join(t.path, fileName(name))}
	if err := os.Mkdir(g.path, 0o755); err != nil {
		return nil, fmt.Errorf("make a cgroup: %w", err)
	}
	err := t.limit(g.path, l)
	if err == nil {
		g.dir, err = os.Open(g.path)
	}
	if err != nil {
		_ = os.Remove(g.path)
		return nil, fmt.Errorf("set up the cgroup %s: %w", g.path, err)
	}
	return g, nil
}

func (t *Tree) limit(path string, l Limits) error {
	if l.Memory > 0 && t.Has("memory") == nil {
		if err := write(path, "memory.max", strconv.FormatUint(l.Memory, 10)); err != nil {
			return err
		}
		// Swap may be off, and a kernel may be too old to end the whole group: the limit holds without either.
		_ = write(path, "memory.swap.max", "0")
		_ = write(path, "memory.oom.group", "1")
	}
	if l.Processes > 0 && t.Has("pids") == nil {
		if err := write(path, "pids.max", strconv.FormatUint(l.Processes, 10)); err != nil {
			return err
		}
	}
	if l.CPU > 0 && t.Has("cpu") == nil {
		return write(path, "cpu.max", fmt.Sprintf("%d %d", int64(l.CPU*cpuPeriod), cpuPeriod))
	}
	return nil
}

// fileName makes a name a directory may have.
func fileName(name string) string {
	return strings.Map(func(r rune) rune {
		if r == '-' || r == '_' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' {
			return r
		}
		return '_'
	}, name)
}

// FD is the descriptor of the group for clone3; valid until Close.
func (g *Group) FD() int { return int(g.dir.Fd()) }

// Path of the directory.
func (g *Group) Path() string { return g.path }

// Memory is the memory that the group uses, in bytes; false without the controller.
func (g *Group) Memory() (uint64, bool) {
	list := words(filepath.Join(g.path, "memory.current"))
	if len(list) != 1 {
		return 0, false
	}
	n, err := strconv.ParseUint(list[0], 10, 64)
	return n, err == nil
}

// Killed says whether the kernel has killed a process of the group because the memory was used up.
func (g *Group) Killed() bool { return field(filepath.Join(g.path, "memory.events"), "oom_kill") > 0 }

// Refused is how many tasks were refused because the group had as many as it may.
func (g *Group) Refused() int { return field(filepath.Join(g.path, "pids.events"), "max") }

// field reads a number from a file of lines "name number".
func field(path, name string) int {
	list := words(path)
	for i := 0; i+1 < len(list); i += 2 {
		if list[i] == name {
			n, _ := strconv.Atoi(list[i+1])
			return n
		}
	}
	return 0
}

// Kill kills every process of the group; it does not wait.
func (g *Group) Kill() error { return write(g.path, "cgroup.kill", "1") }

// Close kills what is left in the group and removes it. It waits for the processes to be gone.
func (g *Group) Close() error {
	g.dir.Close()
	return Remove(g.path)
}

// settle is how long Remove waits for killed processes.
const settle = 2 * time.Second

// Remove kills every process in a group and in those below, waits until they are gone, and removes the directories.
func Remove(path string) error {
	if err := write(path, "cgroup.kill", "1"); errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	for end := time.Now().Add(settle); populated(path); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			return fmt.Errorf("processes in %s are still there %v after they were killed", path, settle)
		}
	}
	return removeEmpty(path)
}

// removeEmpty removes the directories of empty groups, the deepest first. Their files go with them.
func removeEmpty(path string) error {
	list, err := os.ReadDir(path)
	if err != nil {
		return err
	}
	for _, entry := range list {
		if entry.IsDir() {
			if err := removeEmpty(filepath.Join(path, entry.Name())); err != nil {
				return err
			}
		}
	}
	return os.Remove(path)
}
