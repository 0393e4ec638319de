// Package reaper cleans up after a host that died without a chance to do it itself.
//
// The reaper is a small child process of the host: the host's own binary started with the argument Arg. It reads lines from a pipe
// whose other end only the host holds:
//
//	add <pgid>     kill this process group when the host is gone
//	del <pgid>     forget it again: the group has ended
//	dir <path>     remove this run directory when the host is gone, and kill what was started from it and has left its group
//	cgroup <path>  kill what is in this cgroup when the host is gone, and remove it
//
// End of file means that the host is gone, whatever killed it. The reaper then kills what is left of the groups, removes cgroups and
// run directories and ends. A clean host has sent "del" for every group and removed the directory before, so nothing is left to do.
package reaper

import (
	"bufio"
	"io"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/pluginserver/cgroup"
)

// Arg is the hidden first argument that turns the host's binary into the reaper.
const Arg = "__reaper"

// DirPrefix starts the name of every run directory. The reaper removes nothing that is named otherwise.
const DirPrefix = cgroup.Prefix

// ready is what the reaper prints when it ignores signals and starts to read.
const ready = "outrigger reaper ready\n"

// settle is how long the reaper waits for killed groups to be gone before it removes the run directory all the same.
const settle = time.Second

// Main is the whole reaper process: it reads standard input to its end, cleans up and exits with status 0.
func Main() {
	// A Ctrl-C at the terminal or a stop of the whole service reaches the host, which decides; the reaper goes after it.
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGPIPE)
	_ = os.Chdir("/") // do not keep the host's working directory busy
	_, _ = os.Stdout.WriteString(ready)
	_ = os.Stdout.Close()
	read(os.Stdin).clean()
	os.Exit(0)
}

// left is what the host has not cleaned itself.
type left struct {
	groups  []int // process groups
	dirs    []string
	cgroups []string
}

// read follows the host's lines until the end of file and returns what is left to clean. Lines that make no sense are skipped:
// there is nobody to tell.
func read(r io.Reader) (l left) {
	live := map[int]bool{}
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		verb, arg, _ := strings.Cut(lines.Text(), " ")
		switch verb {
		case "add", "del":
			pgid, err := strconv.Atoi(arg)
			if err != nil || pgid <= 1 { // kill(-1) would end everything this user runs
				continue
			}
			if verb == "add" {
				live[pgid] = true
			} else {
				delete(live, pgid)
			}
		case "dir":
			if removable(arg) {
				l.dirs = append(l.dirs, arg)
			}
		case "cgroup":
			if removable(arg) {
				l.cgroups = append(l.cgroups, arg)
			}
		}
	}
	l.groups = slices.Sorted(maps.Keys(live))
	return l
}

// removable says whether path looks like a directory that a host has made.
func removable(path string) bool {
	return filepath.IsAbs(path) && filepath.Clean(path) == path && strings.HasPrefix(filepath.Base(path), DirPrefix)
}

// clean kills the groups, stopped members too, what has left them, and removes the directories.
func (l left) clean() {
	for _, pgid := range l.groups {
		_ = syscall.Kill(-pgid, syscall.SIGKILL)
	}
	for _, path := range l.cgroups {
		_ = cgroup.Abandoned(path)
	}
	for _, dir := range l.dirs {
		KillDescendants(dir, true)
	}
	// A dying process may still put a socket into its directory. A group whose members nobody waits for stays as zombies, so the
	// wait is bounded.
	for end := time.Now().Add(settle); len(l.groups) > 0 && time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		l.groups = slices.DeleteFunc(l.groups, gone)
	}
	for _, dir := range l.dirs {
		_ = os.RemoveAll(dir)
	}
}

// gone says whether no member of the group runs any more; zombies do not count as running.
func gone(pgid int) bool {
	if syscall.Kill(-pgid, 0) != nil {
		return true
	}
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pgid) + "/stat")
	if err != nil {
		return false // the leader is gone, others are not; or there is no /proc
	}
	// "pid (name) state …": the name may hold anything, so look behind the last parenthesis.
	i := strings.LastIndexByte(string(stat), ')')
	return i >= 0 && strings.HasPrefix(string(stat[i+1:]), " Z")
}
