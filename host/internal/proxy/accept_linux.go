package proxy

import (
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// mostWaiting is how many connections are accepted at the end, at most: no queue of a listener is longer where nobody has seen to it.
const mostWaiting = 4096

// acceptWaiting accepts the connections that wait in the queue of a listener. They would be reset when it is closed.
func acceptWaiting(ln net.Listener) (list []net.Conn) {
	control(ln, func(fd int) {
		for range mostWaiting {
			n, _, err := unix.Accept4(fd, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
			switch err {
			case nil:
			case unix.EINTR, unix.ECONNABORTED:
				continue
			default:
				return // none is left
			}
			f := os.NewFile(uintptr(n), "connection")
			if c, err := net.FileConn(f); err == nil {
				list = append(list, c)
			}
			_ = f.Close() // it was duplicated
		}
	})
	return list
}
