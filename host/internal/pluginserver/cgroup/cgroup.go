// Package cgroup puts plugin servers into control groups of their own (cgroup v2), as plain files.
//
// A Tree is the host's part of the hierarchy: a directory below the host's own group, with a Group for each process of a plugin
// server. A group bounds memory, tasks and processor time of a process with all that it starts, and ends them all at once: nothing can
// leave it without the right to write to the hierarchy.
//
// The kernel gives controllers only to the children of a group that has no processes itself. A host that is alone in its group moves
// into a child of it; one that shares its group with others uses groups without controllers.
package cgroup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Prefix starts the names of the directories of hosts; what ends a host removes nothing else.
const Prefix = "outrigger-"

// hostSuffix ends the name of the group into which a host moves.
const hostSuffix = "-host"

// controllers are those that limits need.
var controllers = []string{"memory", "pids", "cpu"}

// Tree is the host's part of the hierarchy.
type Tree struct {
	path    string   // of the directory with the groups
	has     []string // controllers of the groups
	missing string   // why it has not all of them
	lock    *os.File // of the directory, held as long as the host lives
	moved   string   // the child into which the host has moved; empty: it has not
}

// Open makes a Tree in the group of this process. The error says why there can be none; nothing is left then.
func Open() (*Tree, error) {
	own, err := ownGroup("/proc/self/mountinfo", "/proc/self/cgroup")
	if err != nil {
		return nil, err
	}
	return enter(own, delegated, controllers)
}

// enter makes a Tree in the group of this process. When an older process of the gateway had moved aside, and has started this one there, that is the group
// above it.
func enter(own string, allowed func(own string) error, wanted []string) (*Tree, error) {
	outer, aside := above(own)
	t, err := open(outer, allowed(outer), wanted)
	if !aside {
		return t, err
	}
	if err != nil {
		return nil, err
	}
	if err := t.moveAside(); err != nil {
		return nil, errors.Join(err, t.Close())
	}
	return t, nil
}

// above is the group of a host that has moved into its own, and whether it is one of those.
func above(own string) (outer string, aside bool) {
	number, ok := strings.CutPrefix(filepath.Base(own), Prefix)
	number, moved := strings.CutSuffix(number, hostSuffix)
	if _, err := strconv.ParseUint(number, 10, 64); !ok || !moved || err != nil {
		return own, false
	}
	return filepath.Dir(own), true
}

// moveAside moves this process into a child of the group that the tree is in.
func (t *Tree) moveAside() error {
	moved := t.path + hostSuffix
	if err := os.Mkdir(moved, 0o755); err != nil {
		return fmt.Errorf("make a cgroup: %w", err)
	}
	if err := join(moved, os.Getpid()); err != nil {
		_ = os.Remove(moved)
		return fmt.Errorf("move into the cgroup %s: %w", moved, err)
	}
	t.moved = moved
	return nil
}

// ownGroup finds the directory of the group of this process.
func ownGroup(mounts, membership string) (string, error) {
	b, err := os.ReadFile(mounts)
	if err != nil {
		return "", fmt.Errorf("look for cgroup v2: %w", err)
	}
	root, mount := "", ""
	for line := range strings.Lines(string(b)) {
		// 36 35 98:0 /root /mount/point rw,noatime … - cgroup2 …
		before, after, _ := strings.Cut(line, " - ")
		fields := strings.Fields(before)
		if strings.HasPrefix(after, "cgroup2 ") && len(fields) > 5 {
			root, mount = fields[3], unescape.Replace(fields[4])
			break
		}
	}
	if mount == "" {
		return "", errors.New("cgroup v2 is not mounted")
	}
	if b, err = os.ReadFile(membership); err != nil {
		return "", fmt.Errorf("look for the own cgroup: %w", err)
	}
	for line := range strings.Lines(string(b)) {
		group, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "0::")
		if !ok {
			continue
		}
		rel, err := filepath.Rel(root, group)
		if err != nil || rel == ".." || strings.HasPrefix(rel, "../") {
			return "", fmt.Errorf("the own cgroup %s is not below the mounted one, %s", group, root)
		}
		return filepath.Join(mount, rel), nil
	}
	return "", errors.New("this process is in no cgroup v2")
}

// unescape undoes what mountinfo does to blanks.
var unescape = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)

// delegated is an error when systemd keeps the group for itself: it would not expect what others do there.
func delegated(own string) error {
	if _, err := os.Stat("/run/systemd/system"); err != nil {
		return nil // another owner of the hierarchy, who says with permissions what may be done
	}
	for _, name := range []string{"user.delegate", "trusted.delegate"} {
		value := make([]byte, 8)
		if n, err := unix.Getxattr(own, name, value); err == nil && string(value[:n]) == "1" {
			return nil
		}
	}
	return fmt.Errorf("systemd has not delegated %s; Delegate=yes in the unit does", own)
}

func open(own string, allowed error, wanted []string) (*Tree, error) {
	if allowed != nil {
		return nil, allowed
	}
	removeStale(own, staleAge)
	path, err := os.MkdirTemp(own, Prefix)
	if err != nil {
		return nil, fmt.Errorf("make a cgroup: %w", err)
	}
	t := &Tree{path: path}
	if t.lock, err = lock(path); err != nil {
		_ = os.Remove(path)
		return nil, fmt.Errorf("lock the cgroup %s: %w", path, err)
	}
	if _, err := os.Stat(filepath.Join(t.path, "cgroup.kill")); err != nil {
		t.lock.Close()
		_ = os.Remove(t.path)
		return nil, errors.New("the kernel cannot kill a whole cgroup (Linux 5.14 can)")
	}
	t.enable(own, wanted)
	return t, nil
}

// staleAge is how old a tree without an owner must be: a younger one may belong to a host that is about to lock it.
const staleAge = time.Minute

// removeStale removes the trees of hosts that ended together with their reapers, as the processes of a process namespace do, and the groups
// into which such hosts had moved. A host holds a lock as long as it lives. Nothing is killed: a group with processes stays.
func removeStale(own string, age time.Duration) {
	list, _ := filepath.Glob(filepath.Join(own, Prefix+"*"))
	for _, path := range list {
		number, moved := strings.CutSuffix(strings.TrimPrefix(filepath.Base(path), Prefix), hostSuffix)
		if _, err := strconv.ParseUint(number, 10, 64); err != nil {
			continue // not made by Open
		}
		info, err := os.Stat(path)
		if err != nil || time.Since(info.ModTime()) < age || populated(path) {
			continue
		}
		if moved { // no lock: its host is in it as long as it lives
			_ = os.Remove(path)
			continue
		}
		f, err := lock(path)
		if err != nil {
			continue
		}
		_ = removeEmpty(path)
		f.Close()
	}
}

// populated says whether there are processes in a group or below it.
func populated(path string) bool { return field(filepath.Join(path, "cgroup.events"), "populated") > 0 }

// lock locks a directory; it fails when somebody else has.
func lock(path string) (*os.File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// enable gets the controllers as far as possible.
func (t *Tree) enable(own string, wanted []string) {
	offered := words(filepath.Join(own, "cgroup.controllers"))
	want := slices.DeleteFunc(slices.Clone(wanted), func(c string) bool { return !slices.Contains(offered, c) })
	if len(want) < len(wanted) {
		t.missing = fmt.Sprintf("%s offers the controllers %q", own, strings.Join(offered, " "))
	}
	if len(want) == 0 {
		return
	}
	err := control(own, "+", want)
	if errors.Is(err, unix.EBUSY) && alone(own) {
		if err = t.moveAside(); err == nil {
			err = control(own, "+", want)
		}
	}
	if errors.Is(err, unix.EBUSY) {
		err = fmt.Errorf("other processes are in %s; the kernel wants none in a group whose children have controllers: %w", own, err)
	}
	if err == nil {
		err = control(t.path, "+", want)
	}
	if err != nil {
		t.missing = err.Error()
		return
	}
	t.has = want
}

// alone says whether this process is the only one of the group.
func alone(own string) bool {
	list := words(filepath.Join(own, "cgroup.procs"))
	return len(list) == 1 && list[0] == strconv.Itoa(os.Getpid())
}

func control(dir, sign string, names []string) error {
	return write(dir, "cgroup.subtree_control", sign+strings.Join(names, " "+sign))
}

func join(dir string, pid int) error { return write(dir, "cgroup.procs", strconv.Itoa(pid)) }

func write(dir, file, text string) error {
	// Without O_CREATE: a file that is not there is a controller that is not there.
	f, err := os.OpenFile(filepath.Join(dir, file), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

func words(path string) []string {
	b, _ := os.ReadFile(path)
	return strings.Fields(string(b))
}

// Path is the directory of the groups.
func (t *Tree) Path() string { return t.path }

// Has is an error that says why groups have no such controller.
func (t *Tree) Has(controller string) error {
	if slices.Contains(t.has, controller) {
		return nil
	}
	return fmt.Errorf("no controller %q: %s", controller, t.missing)
}

// Close kills what is left in the groups and removes what Open and Make made.
func (t *Tree) Close() error {
	defer t.lock.Close()
	if err := Remove(t.path); err != nil {
		return fmt.Errorf("remove the cgroup: %w", err)
	}
	if t.moved == "" {
		return nil
	}
	return moveBack(t.moved)
}

// Abandoned does what Close does, for the tree at path of a host that is gone. The caller is a process that the host has started: when the
// host had moved aside, so has the caller, and nobody could join the group again as long as its children have controllers.
func Abandoned(path string) error {
	if err := Remove(path); err != nil {
		return fmt.Errorf("remove the cgroup: %w", err)
	}
	moved := path + hostSuffix
	if !alone(moved) {
		return nil // there is none, or the host lives and does it itself
	}
	return moveBack(moved)
}

// shared says whether there are processes of another host in the groups of a group, or beside this one in moved.
func shared(own, moved string) bool {
	if len(words(filepath.Join(moved, "cgroup.procs"))) > 1 {
		return true
	}
	list, _ := filepath.Glob(filepath.Join(own, Prefix+"*"))
	return slices.ContainsFunc(list, func(path string) bool { return path != moved && populated(path) })
}

// moveBack moves this process from moved to the group above it, and removes moved. First it takes the controllers from the children of that
// group: as it had processes before, a host alone can have given them. When another process of the gateway is there, which has taken over or is about to,
// everything stays as it is; removeStale removes moved once it is empty.
func moveBack(moved string) error {
	own := filepath.Dir(moved)
	if shared(own, moved) {
		return nil
	}
	var err error
	if given := words(filepath.Join(own, "cgroup.subtree_control")); len(given) > 0 {
		err = control(own, "-", given)
	}
	if err == nil {
		err = join(own, os.Getpid())
	}
	if err == nil {
		err = os.Remove(moved)
	}
	if err != nil {
		return fmt.Errorf("move back into the cgroup %s: %w", own, err)
	}
	return nil
}
