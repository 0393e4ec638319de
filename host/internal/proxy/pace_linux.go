package proxy

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// unsentBytes are those that the kernel has taken and the peer has not. 0 when nobody knows.
func unsentBytes(c net.Conn) (n int) {
	_ = control(c, func(fd int) { n, _ = unix.IoctlGetInt(fd, unix.TIOCOUTQ) })
	return n
}

// control has f look at the descriptor of a connection; false when it has none, or was closed.
func control(c net.Conn, f func(fd int)) bool {
	s, ok := c.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := s.SyscallConn()
	return err == nil && raw.Control(func(fd uintptr) { f(int(fd)) }) == nil //nolint:gosec // descriptors are small
}
