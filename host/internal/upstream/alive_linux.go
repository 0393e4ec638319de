package upstream

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// probe asks the kernel, without waiting, whether anything came over a connection. What it needs for that is made once.
type probe struct {
	raw  syscall.RawConn // nil: the connection cannot be asked
	look func(fd uintptr)
	poll [1]unix.PollFd
	n    int
	err  error
}

func (p *probe) of(c net.Conn) {
	p.raw = rawOf(c)
	if p.raw == nil {
		return
	}
	p.look = func(fd uintptr) {
		p.poll[0] = unix.PollFd{Fd: int32(fd), Events: unix.POLLIN}
		p.n, p.err = unix.Poll(p.poll[:], 0)
	}
}

// quiet reports whether the peer has neither closed the connection nor sent anything.
func (p *probe) quiet() bool {
	if p.raw == nil {
		return true // the next exchange finds out
	}
	return p.raw.Control(p.look) == nil && p.err == nil && p.n == 0
}
