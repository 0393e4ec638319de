package upstream

import (
	"crypto/tls"
	"net"
	"syscall"
	"time"
)

// silent reports whether nothing came over an idle connection: no close, and no bytes that nobody asked for. Under TLS they may be a record that changes
// nothing; then a new connection is made for nothing.
func (c *conn) silent() bool {
	if c.br.Buffered() > 0 {
		return false
	}
	if t, ok := c.net.Conn.(*tls.Conn); ok && (holdsText(t) || c.net.Rearm() != nil) {
		return false
	}
	return c.probe.quiet()
}

// holdsText reports whether a connection has decrypted bytes that were not read, or is of no use any more. It leaves a read deadline that has passed.
func holdsText(t *tls.Conn) bool {
	if t.SetReadDeadline(time.Unix(1, 0)) != nil { // what waits in the kernel is not touched
		return true
	}
	var one [1]byte
	_, err := t.Read(one[:])
	return !isTimeout(err)
}

// socket is the connection below TLS.
func socket(c net.Conn) net.Conn {
	if t, ok := c.(*tls.Conn); ok {
		return t.NetConn()
	}
	return c
}

// rawOf is what a connection can be asked through without Go's own reads and writes; nil: it has no socket.
func rawOf(c net.Conn) syscall.RawConn {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil
	}
	return raw
}
