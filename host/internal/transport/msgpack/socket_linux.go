//go:build linux && !race

package msgpack

import (
	"syscall"
	"unsafe"
)

// What is written or read at most without telling the scheduler: what the kernel copies in a few microseconds. The buffer of a reader is larger only
// while a large frame arrives.
const (
	atOnce     = 16 << 10
	readAtOnce = 64 << 10
)

// readSocket reads from a socket that does not block. The scheduler is not told of a system call that is over at once: it would cost a lone call more than
// the call itself does, and take its processor away while the kernel runs the peer.
func readSocket(fd uintptr, b []byte) (int, error) {
	if len(b) > readAtOnce {
		return syscall.Read(int(fd), b)
	}
	n, _, errno := syscall.RawSyscall(syscall.SYS_READ, fd, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// writeSocket writes to a socket that does not block.
func writeSocket(fd uintptr, b []byte) (int, error) {
	if len(b) > atOnce {
		return syscall.Write(int(fd), b)
	}
	n, _, errno := syscall.RawSyscall(syscall.SYS_WRITE, fd, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
