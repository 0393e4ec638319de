package examples

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// process is an entry of the process table.
type process struct {
	pid, parent int
	state       byte // Z: ended, not yet waited for
	command     string
}

func (p process) String() string {
	return fmt.Sprintf("%d (parent %d, state %c): %s", p.pid, p.parent, p.state, p.command)
}

// processes reads the process table.
func processes() ([]process, error) {
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil, err
	}
	var all []process
	for _, dir := range dirs {
		stat, err := os.ReadFile(dir + "/stat")
		if err != nil {
			continue // it ended meanwhile
		}
		// pid (name) state parent …: the name may hold anything.
		i := bytes.LastIndexByte(stat, ')')
		fields := strings.Fields(string(stat[i+1:]))
		p := process{state: fields[0][0]}
		if p.pid, err = strconv.Atoi(filepath.Base(dir)); err != nil {
			return nil, err
		}
		if p.parent, err = strconv.Atoi(fields[1]); err != nil {
			return nil, err
		}
		line, _ := os.ReadFile(dir + "/cmdline")
		p.command = strings.TrimSpace(strings.ReplaceAll(string(line), "\x00", " "))
		all = append(all, p)
	}
	return all, nil
}

// descendants lists the running processes below one.
func descendants(pid int) ([]process, error) {
	all, err := processes()
	if err != nil {
		return nil, err
	}
	var found []process
	for from := []int{pid}; len(from) > 0; {
		parent := from[0]
		from = from[1:]
		for _, p := range all {
			if p.parent == parent {
				from = append(from, p.pid)
				if p.state != 'Z' {
					found = append(found, p)
				}
			}
		}
	}
	return found, nil
}

// running says which of some processes still run.
func running(pids []int) []int {
	var left []int
	for _, pid := range pids {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err == nil && !bytes.HasPrefix(stat[bytes.LastIndexByte(stat, ')')+1:], []byte(" Z")) {
			left = append(left, pid)
		}
	}
	return left
}

// leftovers is an error when a process or a run directory of the tests is left.
func leftovers() error {
	var err error
	deadline := time.Now().Add(patience)
	for {
		err = leftoversNow()
		if err == nil || time.Now().After(deadline) {
			return err
		}
		time.Sleep(pollInterval)
	}
}

func leftoversNow() error {
	var errs []error
	left, err := descendants(os.Getpid())
	if err != nil {
		return err
	}
	for _, p := range left {
		errs = append(errs, fmt.Errorf("a process is left: %v", p))
	}
	dirs, err := runDirs()
	if err != nil {
		return err
	}
	for _, dir := range dirs {
		errs = append(errs, fmt.Errorf("a run directory is left: %s", dir))
	}
	return errors.Join(errs...)
}

// runDirs lists the run directories of all gateways of the tests.
func runDirs() ([]string, error) { return filepath.Glob(filepath.Join(built.temp, "*", "outrigger-*")) }

// pollInterval is the time between two looks at something that tells nobody when it changes.
const pollInterval = 5 * time.Millisecond

// patience is how long tests wait for something that should happen soon. It is long: the machine may be busy.
const patience = 20 * time.Second

// startPatience is how long tests wait for processes to come up: a gateway with three interpreters, a plugin server that starts again, a build. On a
// busy machine each takes many times as long as it should.
const startPatience = 2 * time.Minute

// eventually waits until a condition holds. what finishes the sentence "waiting for …"; why tells what was last seen.
func eventually(t testing.TB, within time.Duration, what string, condition func() (ok bool, why string)) {
	t.Helper()
	deadline := time.Now().Add(within)
	for {
		ok, why := condition()
		if ok {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("waiting for %s: not within %v; last seen: %s", what, within, why)
		}
		time.Sleep(pollInterval)
	}
}

// status reads a field of /proc/<pid>/status, in KiB.
func status(t testing.TB, pid int, field string) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, field+":"); ok {
			n, err := strconv.Atoi(strings.Fields(rest)[0])
			if err != nil {
				t.Fatalf("/proc/%d/status: %s: %v", pid, field, err)
			}
			return n
		}
	}
	t.Fatalf("/proc/%d/status has no %s", pid, field)
	return 0
}
