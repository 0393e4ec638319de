package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of processor times in /proc; Linux shows them to programs in 1/100 s on every machine.
const tick = 10 * time.Millisecond

// procStat is what is read of /proc/<pid>/stat.
type procStat struct {
	Parent int
	// CPU is the user and system time of all threads, ended ones too.
	CPU time.Duration
}

// parseProcStat reads a line of /proc/<pid>/stat. The name of the program may contain spaces and parentheses.
func parseProcStat(line string) (procStat, error) {
	_, rest, ok := cutLast(line, ") ")
	fields := strings.Fields(rest)
	if !ok || len(fields) < 13 {
		return procStat{}, fmt.Errorf("process statistics: found %q, expected at least 15 fields", line)
	}
	parent, err1 := strconv.Atoi(fields[1])
	user, err2 := strconv.ParseInt(fields[11], 10, 64)
	system, err3 := strconv.ParseInt(fields[12], 10, 64)
	if err := errors.Join(err1, err2, err3); err != nil {
		return procStat{}, fmt.Errorf("process statistics %q: %w", line, err)
	}
	return procStat{Parent: parent, CPU: time.Duration(user+system) * tick}, nil
}

func cutLast(s, sep string) (before, after string, ok bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

func readProcStat(pid int) (procStat, error) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return procStat{}, fmt.Errorf("process %d: %w", pid, err)
	}
	return parseProcStat(string(b))
}

// descendants lists the processes that root started, and those that they started, in order of their ids.
func descendants(root int) ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	children := map[int][]int{}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if st, err := readProcStat(pid); err == nil { // one that just ended is of no interest
			children[st.Parent] = append(children[st.Parent], pid)
		}
	}
	return below(children, root), nil
}

func below(children map[int][]int, root int) []int {
	found := slices.Clone(children[root])
	for i := 0; i < len(found); i++ {
		found = append(found, children[found[i]]...)
	}
	slices.Sort(found)
	return found
}

// machineCPU is the processor time of the whole machine since it started.
type machineCPU struct {
	// Busy is user and system time; Steal is what other machines of the same hardware took; Idle is the rest, interrupts apart.
	Busy, Steal, Idle time.Duration
}

// parseMachineCPU reads the first line of /proc/stat.
func parseMachineCPU(text string) (machineCPU, error) {
	line, _, _ := strings.Cut(text, "\n")
	fields := strings.Fields(line)
	if len(fields) < 9 || fields[0] != "cpu" {
		return machineCPU{}, fmt.Errorf("/proc/stat: found %q, expected cpu and eight times", line)
	}
	var t [8]time.Duration // user, nice, system, idle, iowait, irq, softirq, steal
	for i := range t {
		n, err := strconv.ParseInt(fields[i+1], 10, 64)
		if err != nil {
			return machineCPU{}, fmt.Errorf("/proc/stat: %w", err)
		}
		t[i] = time.Duration(n) * tick
	}
	return machineCPU{Busy: t[0] + t[1] + t[2], Steal: t[7], Idle: t[3] + t[4]}, nil
}

func readMachineCPU() (machineCPU, error) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return machineCPU{}, err
	}
	return parseMachineCPU(string(b))
}

// usage is the processor time of a gateway's processes at one moment.
type usage struct {
	host, servers, upstream time.Duration
	serverPIDs              []int
	machine                 machineCPU
}

// readUsage reads the times of the host, of all that it started, of the upstream and of the machine.
func readUsage(hostPID, upstreamPID int) (usage, error) {
	var u usage
	var err error
	if u.serverPIDs, err = descendants(hostPID); err != nil {
		return u, err
	}
	st, err := readProcStat(hostPID)
	if err != nil {
		return u, fmt.Errorf("the gateway: %w", err)
	}
	u.host = st.CPU
	for _, pid := range u.serverPIDs {
		st, err := readProcStat(pid)
		if err != nil {
			return u, fmt.Errorf("a plugin server: %w", err)
		}
		u.servers += st.CPU
	}
	if st, err = readProcStat(upstreamPID); err != nil {
		return u, fmt.Errorf("the upstream: %w", err)
	}
	u.upstream = st.CPU
	u.machine, err = readMachineCPU()
	return u, err
}
