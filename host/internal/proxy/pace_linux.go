package proxy

import (
	"net"

	"golang.org/x/sys/unix"
)

// unsentBytes are those that the kernel has taken and the peer has not. 0 when nobody knows.
func unsentBytes(c net.Conn) (n int) {
	control(c, func(fd int) { n, _ = unix.IoctlGetInt(fd, unix.TIOCOUTQ) })
	return n
}
