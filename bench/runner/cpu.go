package runner

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// parentOf reads the parent out of a line of /proc/<pid>/stat. The name of the program may contain spaces and parentheses.
func parentOf(line string) (int, error) {
	i := strings.LastIndex(line, ") ")
	if i < 0 {
		return 0, fmt.Errorf("process statistics: found %q, expected a name in parentheses", line)
	}
	fields := strings.Fields(line[i+2:])
	if len(fields) < 2 {
		return 0, fmt.Errorf("process statistics: found %q, expected a parent", line)
	}
	return strconv.Atoi(fields[1])
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
		line, err := os.ReadFile("/proc/" + e.Name() + "/stat")
		if err != nil {
			continue // it just ended
		}
		parent, err := parentOf(string(line))
		if err != nil {
			return nil, err
		}
		children[parent] = append(children[parent], pid)
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

// residentMemory is the memory of processes that is not shared with files, bytes.
func residentMemory(pids []int) (int64, error) {
	var sum int64
	for _, pid := range pids {
		text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
		if err != nil {
			return 0, err
		}
		kib, err := statusField(string(text), "VmRSS")
		if err != nil {
			return 0, fmt.Errorf("process %d: %w", pid, err)
		}
		sum += kib << 10
	}
	return sum, nil
}

// statusField reads a field in kB of /proc/<pid>/status or /proc/meminfo.
func statusField(text, name string) (int64, error) {
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			return strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")), 10, 64)
		}
	}
	return 0, fmt.Errorf("found no %s", name)
}

// machineCPU is the processor time of the whole machine since it started.
type machineCPU struct {
	// Busy is user and system time; Steal is what other machines of the same hardware took; Idle is the rest, interrupts apart.
	Busy, Steal, Idle time.Duration
}

// tick is the unit of processor times in /proc/stat; Linux shows them to programs in 1/100 s on every machine.
const tick = 10 * time.Millisecond

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

// others is the part of the machine's time between two moments that went to others: to programs that are not of the benchmark, or to other
// machines of the same hardware. Interrupts belong to nobody.
func others(before, after machineCPU, ours time.Duration) float64 {
	busy, steal := after.Busy-before.Busy, after.Steal-before.Steal
	whole := busy + steal + after.Idle - before.Idle
	if whole <= 0 {
		return 0
	}
	return max(0, float64(busy-ours+steal)/float64(whole))
}
