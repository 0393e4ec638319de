//go:build linux && !race

package msgpack

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

// readSocket reads from a socket that does not block.
func readSocket(fd uintptr, b []byte) (int, error) {
	if len(b) > readAtOnce {
		return syscall.Read(int(fd), b)
	}
	return transfer(syscall.SYS_READ, fd, b)
}

// writeSocket writes to a socket that does not block.
func writeSocket(fd uintptr, b []byte) (int, error) {
	if len(b) > writtenAtOnce {
		return syscall.Write(int(fd), b)
	}
	return transfer(syscall.SYS_WRITE, fd, b)
}

// transfer makes a system call that is over at once. The scheduler is not told of it: that would cost a lone call more than the call itself does, and take
// its processor away while the kernel runs the peer.
func transfer(call, fd uintptr, b []byte) (int, error) {
	n, _, errno := syscall.RawSyscall(call, fd, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
