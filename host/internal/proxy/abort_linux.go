package proxy

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// gone reports whether the peer has closed its connection, or its sending half. Bytes that nobody has read yet do not hide it.
func gone(c net.Conn) bool {
	return polled(c, unix.POLLRDHUP)&(unix.POLLRDHUP|unix.POLLHUP|unix.POLLERR) != 0
}

// hasInput reports whether there is something to read, or an end.
func hasInput(c net.Conn) bool { return polled(c, unix.POLLIN)&unix.POLLIN != 0 }

// moreCame reports whether something came that nobody has read; an end alone is nothing.
func moreCame(c net.Conn) bool {
	unread := uint32(0)
	control(c, func(fd int) { unread, _ = unix.IoctlGetUint32(fd, unix.SIOCINQ) })
	return unread > 0
}

// polled asks the kernel for events of a connection.
func polled(c net.Conn, events int16) (happened int16) {
	control(c, func(fd int) {
		p := []unix.PollFd{{Fd: int32(fd), Events: events}} //nolint:gosec // descriptors are small
		if n, err := unix.Poll(p, 0); err == nil && n > 0 {
			happened = p[0].Revents
		}
	})
	return happened
}

// control has f look at the descriptor of a connection or a listener, when it has one and is open.
func control(c any, f func(fd int)) {
	if s, ok := c.(syscall.Conn); ok {
		if raw, err := s.SyscallConn(); err == nil {
			_ = raw.Control(func(fd uintptr) { f(int(fd)) }) //nolint:gosec // descriptors are small
		}
	}
}
