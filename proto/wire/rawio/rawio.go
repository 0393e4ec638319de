// Package rawio reads and writes sockets that do not block without telling Go's scheduler. It would cost a lone call more than the call itself does, and
// take its processor away while the kernel runs the peer. Both ends of a lane use it.
package rawio

import (
	"errors"
	"io"
	"os"
	"syscall"
)

// Conn is a connection as package syscall sees it, read and written by at most one goroutine each at a time.
type Conn struct {
	raw syscall.RawConn

	read, write end
}

// end is one direction: what is under way.
type end struct {
	once func(fd uintptr) bool // does what can be done at once; false: the socket must become ready
	b    []byte
	n    int
	err  error
}

// New prepares a connection; nil when it is no plain socket.
func New(conn any) *Conn {
	sc, ok := conn.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil
	}
	c := &Conn{raw: raw}
	c.read.once = func(fd uintptr) bool {
		for {
			n, err := Read(fd, c.read.b)
			switch {
			case errors.Is(err, syscall.EINTR):
				continue
			case errors.Is(err, syscall.EAGAIN):
				return false
			}
			c.read.n, c.read.err = n, err
			return true
		}
	}
	c.write.once = func(fd uintptr) bool {
		w := &c.write
		for w.n < len(w.b) {
			n, err := Write(fd, w.b[w.n:])
			switch {
			case errors.Is(err, syscall.EINTR):
				continue
			case errors.Is(err, syscall.EAGAIN):
				return false
			case err != nil:
				w.err = err
				return true
			}
			w.n += n
		}
		return true
	}
	return c
}

// Read implements io.Reader.
func (c *Conn) Read(b []byte) (int, error) {
	r := &c.read
	r.b, r.n, r.err = b, 0, nil
	err := c.raw.Read(r.once)
	r.b = nil
	switch {
	case err != nil:
		return 0, err
	case r.err != nil:
		return 0, os.NewSyscallError("read", r.err)
	case r.n == 0 && len(b) > 0:
		return 0, io.EOF
	}
	return r.n, nil
}

// Write implements io.Writer: it waits until everything is written.
func (c *Conn) Write(b []byte) (int, error) {
	w := &c.write
	w.b, w.n, w.err = b, 0, nil
	err := c.raw.Write(w.once)
	w.b = nil
	if err == nil && w.err != nil {
		err = os.NewSyscallError("write", w.err)
	}
	return w.n, err
}
