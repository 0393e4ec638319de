package pluginserver

import (
	"errors"
	"fmt"
	"math"

	"golang.org/x/sys/unix"
)

// waitLeader blocks until the child has ended, and leaves it a zombie, so that its number stays its own.
func waitLeader(pid int) {
	for errors.Is(unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil), unix.EINTR) {
	}
}

// limits of a managed process; 0 means none of our own. Children of the process inherit them.
type limits struct {
	memory uint64 // RLIMIT_DATA, bytes: address space would count what Go and V8 reserve and never use
	files  uint64 // RLIMIT_NOFILE
}

// apply sets the limits of a process that has just been started.
func (l limits) apply(pid int) error {
	for _, r := range []struct {
		name     string
		resource int
		value    uint64
	}{
		{"memory", unix.RLIMIT_DATA, l.memory},
		{"open files", unix.RLIMIT_NOFILE, l.files},
	} {
		if r.value == 0 {
			continue
		}
		limit := unix.Rlimit{Cur: r.value, Max: r.value}
		if err := unix.Prlimit(pid, r.resource, &limit, nil); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("set the %s limit to %d: %w", r.name, r.value, err)
		}
	}
	return nil
}

// sealDescriptors marks what the host itself inherited as close-on-exec, so that no plugin server gets it. Descriptors that Go opens
// are marked from their birth. Kernels without close_range (before 5.11) are left alone.
func sealDescriptors() { _ = unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC) }
