//go:build linux && !race

package rawio

import (
	"syscall"
	"unsafe"
)

// What is written or read at most without telling the scheduler: what the kernel copies in a few microseconds. The buffer of a reader is larger only
// while a large frame arrives.
const (
	writtenAtOnce = 16 << 10
	readAtOnce    = 64 << 10
)

// Read reads from a socket that does not block.
func Read(fd uintptr, b []byte) (int, error) {
	if len(b) > readAtOnce {
		return syscall.Read(int(fd), b)
	}
	return transfer(syscall.SYS_READ, fd, b)
}

// Write writes to a socket that does not block.
func Write(fd uintptr, b []byte) (int, error) {
	if len(b) > writtenAtOnce {
		return syscall.Write(int(fd), b)
	}
	return transfer(syscall.SYS_WRITE, fd, b)
}

// transfer makes a system call that is over at once. The scheduler is not told of it.
func transfer(call, fd uintptr, b []byte) (int, error) {
	n, _, errno := syscall.RawSyscall(call, fd, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
