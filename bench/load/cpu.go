package load

import (
	"time"

	"golang.org/x/sys/unix"
)

// ProcessCPU is the user and system time of all threads of a process, ended ones too; -1 when there is no such process. /proc/<pid>/stat has the
// same number in steps of 10 ms.
func ProcessCPU(pid int) time.Duration {
	var t unix.Timespec
	clock := int32(^pid)<<3 | 2 // CPUCLOCK_SCHED of the process: clock_getcpuclockid(3)
	if err := unix.ClockGettime(clock, &t); err != nil {
		return -1
	}
	return time.Duration(t.Nano())
}

// usedCPU is the processor time of this process.
func usedCPU() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &t); err != nil {
		return 0 // cannot happen for one's own
	}
	return time.Duration(t.Nano())
}
