//go:build !linux

package lanebench

import "errors"

// pinnedEnv says that this process is the pinned half of a measurement.
const pinnedEnv = "OUTRIGGER_LANEBENCH_PINNED"

func runPinned(int) ([]Result, error) {
	return nil, errors.New("this system binds no process to a processor; leave --pin out")
}
