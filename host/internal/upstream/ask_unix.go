//go:build unix

package upstream

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"time"
)

// asking sends a request over a kept connection and waits for its answer, in one operation of Go's poller. A wait has to be preceded by a read that
// finds nothing, in any case; here that read is made before the request is sent, and shows that nothing has come over the connection unasked.
type asking struct {
	raw  syscall.RawConn // nil: there is no socket, or TLS is on it
	step func(fd uintptr) bool

	req  *Request // nil: nobody asks
	now  time.Time
	into []byte
	sent bool // or a part of it, or it has failed
	n    int
	// failed is why the request was not sent, err why no answer was read.
	failed, err error
}

// on gets a connection ready for asking.
func (a *asking) on(c *conn, nc net.Conn) {
	a.raw = rawOf(nc)
	if a.raw == nil {
		return
	}
	a.step = func(fd uintptr) bool {
		n, err := readSocket(int(fd), a.into)
		switch {
		case err != syscall.EAGAIN:
			a.n, a.err = n, err
			return true
		case a.sent:
			return false
		}
		a.sent = true
		if a.failed = c.deliver(a.req, a.now); a.failed != nil {
			return true
		}
		a.err = c.net.ArmRead() // sending may have taken long
		return a.err != nil
	}
}

func readSocket(fd int, p []byte) (n int, err error) {
	for {
		if n, err = syscall.Read(fd, p); err != syscall.EINTR {
			return max(n, 0), err
		}
	}
}

// can reports whether the connection can be asked.
func (a *asking) can() bool { return a.raw != nil }

// ask sends a request and reads the beginning of its answer, which is in the buffer then. The first error is that of sending: errUnasked when nothing was
// sent, because something has come before. The second is that of reading.
func (c *conn) ask(req *Request, now time.Time) (failed, err error) {
	a := &c.asking
	a.req, a.now, a.sent, a.failed = req, now, false, nil
	_, err = c.br.Peek(1)
	a.req = nil
	if !a.sent {
		return errUnasked, nil
	}
	return a.failed, err
}

// read reads for the buffer of a connection that asks.
func (a *asking) read(c *conn, p []byte) (int, error) {
	c.net.At(a.now)
	if err := c.net.ArmRead(); err != nil {
		return 0, err
	}
	a.into, a.n, a.err = p, 0, nil
	err := a.raw.Read(a.step)
	a.into = nil
	switch {
	case err != nil:
	case a.failed != nil:
		return 0, a.failed
	case a.err != nil:
		err = os.NewSyscallError("read", a.err)
	case a.n == 0:
		return 0, io.EOF
	default:
		return a.n, nil
	}
	var op *net.OpError
	if errors.As(err, &op) {
		err = op.Err
	}
	err = &net.OpError{Op: "read", Net: "tcp", Source: c.net.LocalAddr(), Addr: c.net.RemoteAddr(), Err: err}
	c.net.ReadErr = err
	return 0, err
}
