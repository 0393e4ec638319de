package reaper

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// runDirKey is the variable of a plugin server's environment that holds its part of the run directory: a path that no other process
// has, handed down to all that it starts.
const runDirKey = "OUTRIGGER_RUN_DIR"

// Bounds of KillDescendants, which looks again as long as it finds some: what it kills may have started others meanwhile. A look takes
// about 10 ms on a machine with a thousand processes.
const (
	passes   = 100
	huntTime = 2 * time.Second
)

// KillDescendants kills the processes that a plugin server has started and that have left its process group: those whose environment
// still says that they belong to dir, the part of the run directory that is the server's. all means the servers of every part below
// dir. It finds no process that has cleared its environment, and none whose environment this user may not read.
func KillDescendants(dir string, all bool) {
	if !filepath.IsAbs(dir) {
		return // the mark would be everybody's
	}
	if self, err := os.Readlink("/proc/self"); err != nil || self != strconv.Itoa(os.Getpid()) {
		return // no /proc, or that of another process namespace: its numbers are not ours
	}
	mark := []byte(runDirKey + "=" + dir)
	if all {
		mark = append(mark, '/')
	} else {
		mark = append(mark, 0)
	}
	end := time.Now().Add(huntTime)
	for range passes {
		if !killMarked(mark) || time.Now().After(end) {
			return
		}
		time.Sleep(time.Millisecond) // a killed process needs a moment to lose its environment
	}
}

// killMarked kills the processes whose environment holds mark, and says whether there were any.
func killMarked(mark []byte) (found bool) {
	list, err := os.ReadDir("/proc")
	if err != nil {
		return false
	}
	for _, entry := range list {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		// The handle is taken before the look: it names this process even when its number gets a new owner in between.
		process, err := os.FindProcess(pid)
		if err != nil {
			continue
		}
		env, err := os.ReadFile("/proc/" + entry.Name() + "/environ")
		if err == nil && marked(env, mark) {
			found = process.Kill() == nil || found
		}
		_ = process.Release()
	}
	return found
}

// marked says whether a variable of an environment begins with mark.
func marked(env, mark []byte) bool {
	for len(env) > 0 {
		if bytes.HasPrefix(env, mark) {
			return true
		}
		_, env, _ = bytes.Cut(env, []byte{0})
	}
	return false
}
