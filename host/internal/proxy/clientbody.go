package proxy

import (
	"errors"
	"io"
	"time"
)

// clientBody is what is left of the request body. It may be read by another goroutine than the one that answers, but by one at a time.
type clientBody struct {
	r      io.Reader // nil: there is no body, or it was taken into memory
	conn   *clientConn
	size   int    // as declared; -1: chunked
	got    int64  // bytes that came
	err    error  // sticky
	prefix []byte // read already, comes first
	left   int64  // bytes that may still come; negative: no limit
	eof    bool
	over   bool // more came than may
}

var errBodyTooLarge = errors.New("the request body is over client_max_body_size")

func (b *clientBody) Read(p []byte) (int, error) {
	if len(b.prefix) > 0 {
		n := copy(p, b.prefix)
		b.prefix = b.prefix[n:]
		return n, nil
	}
	if b.err != nil {
		return 0, b.err
	}
	n, err := b.r.Read(p)
	b.got += int64(n)
	b.eof = err == io.EOF
	if b.left >= 0 {
		if b.left -= int64(n); b.left < 0 {
			b.over = true
			n, err = 0, errBodyTooLarge
		}
	}
	b.err = err
	return n, err
}

// Interrupt ends a Read that waits, and fails later ones.
func (b *clientBody) Interrupt() { b.conn.stopBody() }

// bodySide is the connection as the body of the request that is served.
type bodySide clientConn

func (b *bodySide) Read(p []byte) (int, error) {
	c := (*clientConn)(b)
	if err := c.wantBody(); err != nil {
		return 0, err
	}
	return c.body.Read(p)
}

var errBodyStopped = errors.New("the request body is not wanted any more")

// wantBody gets the connection ready for a read of the body: who waits for 100 Continue gets it when the body is wanted for the first time, and what does
// not come within client_body_timeout comes too late.
func (c *clientConn) wantBody() error {
	c.wanting.Lock()
	defer c.wanting.Unlock()
	if c.stopped {
		return errBodyStopped
	}
	if c.expects {
		c.expects = false
		if !c.body.Here() { // else the client did not wait
			if _, err := io.WriteString(&c.Conn, "HTTP/1.1 100 Continue\r\n\r\n"); err != nil {
				return err
			}
		}
	}
	timeout := c.server.opts.BodyTimeout
	if now := time.Now(); now.Sub(c.armed) > timeout/8 {
		c.armed = now
		return c.SetReadDeadline(now.Add(timeout))
	}
	return nil
}

// stopBody ends a read of the body that waits, and fails later ones. The connection ends after the response.
func (c *clientConn) stopBody() {
	c.wanting.Lock()
	defer c.wanting.Unlock()
	c.stopped = true
	_ = c.SetReadDeadline(time.Unix(1, 0)) // fails only when closed
}

// keepsBody says that the response begins: nobody is told to go on with the body from here on. It reports whether a client still waits for that, which may
// send the body or not.
func (c *clientConn) keepsBody() bool {
	c.wanting.Lock()
	defer c.wanting.Unlock()
	waits := c.expects
	c.expects = false
	return waits
}

// closeAfterUnreadBody ends the client's connection when so much of a request body is left in it that the next request is too far behind it, or
// the client cannot know whether to send it.
func (r *request) closeAfterUnreadBody() {
	if r.head.wire.Length == 0 {
		return
	}
	waits := r.conn.keepsBody()
	if waits || r.out.Sending() || !r.conn.body.Within(skipMost) { // who sends reads it meanwhile
		r.ctx.SetConnectionClose()
		leaveUnread(r.conn)
	}
}
