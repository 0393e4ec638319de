package pluginserver

import (
	"bytes"
	"os"
	"strconv"
)

// usage is what a process and its descendants hold.
type usage struct {
	rss   uint64 // resident memory in bytes; 0: not known
	files int    // open descriptors of the process itself; 0: not known, as for a process of another user
}

// usageOf reads /proc. What cannot be read stays 0: the process may have just ended.
func usageOf(pid int) usage {
	return usage{rss: residentOf(pid, maxDescendants), files: filesOf(pid)}
}

// maxDescendants bounds what one measurement looks at. A process with more of them is bounded by its limits, not by its recycling.
const maxDescendants = 256

// residentOf adds the resident pages of a process and of its descendants, at most the given number of processes.
func residentOf(pid, most int) uint64 {
	var pages uint64
	for todo := []int{pid}; len(todo) > 0 && most > 0; most-- {
		pid, todo = todo[0], todo[1:]
		proc := "/proc/" + strconv.Itoa(pid)
		b, err := os.ReadFile(proc + "/statm")
		if fields := bytes.Fields(b); err == nil && len(fields) > 1 {
			n, _ := strconv.ParseUint(string(fields[1]), 10, 64)
			pages += n
		}
		todo = append(todo, childrenOf(proc)...)
	}
	return pages * uint64(os.Getpagesize())
}

// childrenOf lists the children that the threads of a process have started. Kernels without these files tell of none.
func childrenOf(proc string) (pids []int) {
	tasks, err := os.ReadDir(proc + "/task")
	if err != nil {
		return nil
	}
	for _, t := range tasks {
		b, err := os.ReadFile(proc + "/task/" + t.Name() + "/children")
		if err != nil {
			continue
		}
		for _, field := range bytes.Fields(b) {
			if pid, err := strconv.Atoi(string(field)); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

func filesOf(pid int) int {
	dir, err := os.Open("/proc/" + strconv.Itoa(pid) + "/fd")
	if err != nil {
		return 0
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(-1)
	return len(names)
}
