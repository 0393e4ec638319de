package reaper

import (
	"bytes"
	"os"
	"strconv"
	"time"
)

// runDirKey is the variable of a plugin server's environment that holds its part of the run directory: a path that no other process
// has, handed down to all that it starts.
const runDirKey = "OUTRIGGER_RUN_DIR"

// passes bounds how often KillDescendants looks again: what it kills may have started others meanwhile.
const passes = 100

// KillDescendants kills the processes that a plugin server has started and that have left its process group: those whose environment
// still says that they belong to dir, the part of the run directory that is the server's. all means the servers of every part below
// dir. It finds no process that has cleared its environment, and none whose environment this user may not read.
func KillDescendants(dir string, all bool) {
	if self, err := os.Readlink("/proc/self"); err != nil || self != strconv.Itoa(os.Getpid()) {
		return // no /proc, or that of another process namespace: its numbers are not ours
	}
	mark := []byte("\x00" + runDirKey + "=" + dir)
	if all {
		mark = append(mark, '/')
	} else {
		mark = append(mark, 0)
	}
	for range passes {
		if !killMarked(mark) {
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
		if err == nil && bytes.Contains(append([]byte{0}, env...), mark) {
			found = process.Kill() == nil || found
		}
		_ = process.Release()
	}
	return found
}
