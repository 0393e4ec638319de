//go:build unix

package host

import (
	"math"
	"syscall"
)

// openFiles is how many files the process may have open; 0: nobody knows, or as many as it likes.
func openFiles() int {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil || limit.Cur > math.MaxInt32 {
		return 0
	}
	return int(limit.Cur) //nolint:gosec // it was compared
}
