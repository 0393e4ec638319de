package pluginserver

import (
	"errors"
	"math"

	"golang.org/x/sys/unix"
)

// waitLeader blocks until the child has ended, and leaves it a zombie, so that its number stays its own.
func waitLeader(pid int) {
	for errors.Is(unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil), unix.EINTR) {
	}
}

// sealDescriptors marks what the host itself inherited as close-on-exec, so that no plugin server gets it. Descriptors that Go opens
// are marked from their birth. Kernels without close_range (before 5.11) are left alone.
func sealDescriptors() { _ = unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC) }
