package lanebench

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"runtime"

	"golang.org/x/sys/unix"
)

// pinnedEnv says that this process is the pinned half of a measurement.
const pinnedEnv = "OUTRIGGER_LANEBENCH_PINNED"

// runPinned runs this program once more, bound to one processor with all that it starts.
func runPinned(processor int) ([]Result, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, os.Args[1:]...)
	cmd.Env = append(os.Environ(), pinnedEnv+"=1")
	cmd.Stderr = os.Stderr
	var said []byte
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread, bound as it is, ends with this goroutine
		var set unix.CPUSet
		set.Set(processor)
		if err := unix.SchedSetaffinity(0, &set); err != nil {
			done <- fmt.Errorf("binding: %w", err)
			return
		}
		var err error
		said, err = cmd.Output()
		done <- err
	}()
	if err := <-done; err != nil {
		return nil, err
	}
	var results []Result
	return results, json.Unmarshal(said, &results)
}
