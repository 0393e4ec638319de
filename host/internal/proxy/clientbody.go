package proxy

import (
	"errors"
	"io"
	"net"
	"net/http"
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

// shortBody is the size up to which a body is waited for before the service is asked, in bytes. A longer one goes through as it comes.
const shortBody = 8 << 10

// awaitBody waits for a short body that the service is to get: who sends it slowly takes no place and no connection there. false: it did not come, and the
// client has its answer.
func (r *request) awaitBody() bool {
	b := &r.clientBody
	if b.r == nil || r.ex.Upstream.HasBody || b.size < 0 || b.size > shortBody {
		return true
	}
	err := r.conn.awaitBody()
	if err != nil {
		r.bodyFailed(err)
	}
	return err == nil
}

// bodyFailed answers a request whose body cannot be read. That is the client's doing, and no error of the gateway.
func (r *request) bodyFailed(err error) {
	r.proxy.opts.Logger.Info("request body did not come", "client_ip", r.peer.text, "request_id", string(r.id[:]), "error", err.Error())
	status := http.StatusBadRequest
	var timeout net.Error
	switch {
	case r.clientBody.over:
		status = http.StatusRequestEntityTooLarge
	case errors.As(err, &timeout) && timeout.Timeout():
		status = http.StatusRequestTimeout
	}
	r.failHere(status)
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
	began, err := c.wantBody()
	if err != nil {
		return 0, err
	}
	n, err := c.body.Read(p)
	return n, c.bodyCame(n, began, err)
}

// awaitBody waits until a body of announced length has come. Its bytes stay where Read finds them.
func (c *clientConn) awaitBody() error {
	for !c.body.AllHere() {
		began, err := c.wantBody()
		if err != nil {
			return err
		}
		n, err := c.body.Fetch()
		if err = c.bodyCame(n, began, err); err != nil {
			return err
		}
	}
	return nil
}

// bodyCame notes that n bytes of the body came, or an error, since began; the zero time: nothing was waited for.
func (c *clientConn) bodyCame(n int, began time.Time, err error) error {
	if began.IsZero() {
		return err
	}
	o := &c.server.opts
	if c.got.moved(n, time.Since(began), o.BodyRate); err == nil || !isTimeout(err) {
		return err
	}
	c.wanting.Lock()
	defer c.wanting.Unlock()
	if c.hurried {
		return &tooSlow{o.BodyTimeout, o.BodyRate}
	}
	return err
}

var errBodyStopped = errors.New("the request body is not wanted any more")

// wantBody gets the connection ready for a read of the body: who waits for 100 Continue gets it when the body is wanted for the first time, and what does
// not come within client_body_timeout comes too late, or earlier when the body is slower than client_min_rate. It returns the time; the zero time when the
// body is here.
func (c *clientConn) wantBody() (now time.Time, err error) {
	c.wanting.Lock()
	defer c.wanting.Unlock()
	if c.stopped {
		return now, errBodyStopped
	}
	if c.expects {
		c.expects = false
		if !c.body.Here() { // else the client did not wait
			// Under the lock, for which stopBody and keepsBody wait as long as the client does not take it, send_timeout at most: the response cannot go out
			// before it, nor into the middle of it. Nobody but this request waits.
			if _, err := io.WriteString(c, "HTTP/1.1 100 Continue\r\n\r\n"); err != nil {
				return now, err
			}
		}
	}
	if c.body.AllHere() {
		return now, nil
	}
	now = time.Now()
	timeout := c.server.opts.BodyTimeout
	left := c.got.left(timeout)
	if c.answered {
		left = timeout
	}
	before := c.hurried // a deadline that came of less patience does not stay
	if c.hurried = left < timeout; c.hurried || before || now.Sub(c.armed) > timeout/8 {
		c.armed = now
		err = c.SetReadDeadline(now.Add(left))
	}
	return now, err
}

// stopBody ends a read of the body that waits, and fails later ones. The connection ends after the response.
func (c *clientConn) stopBody() {
	c.wanting.Lock()
	defer c.wanting.Unlock()
	c.stopped = true
	_ = c.SetReadDeadline(time.Unix(1, 0)) // fails only when closed
}

// keepsBody says that the response begins: nobody is told to go on with the body from here on, and it may come as slowly as both sides like. It reports
// whether a client still waits for a 100 Continue, which may send the body or not.
func (c *clientConn) keepsBody() bool {
	c.wanting.Lock()
	defer c.wanting.Unlock()
	waits := c.expects
	c.expects, c.answered = false, true
	if c.hurried && !c.stopped {
		c.hurried = false
		_ = c.SetReadDeadline(c.armed.Add(c.server.opts.BodyTimeout)) // fails only when closed
	}
	return waits
}

// closeAfterUnreadBody ends the client's connection when so much of a request body is left in it that the next request is too far behind it, or
// the client cannot know whether to send it.
func (r *request) closeAfterUnreadBody() {
	if r.head.wire.Length == 0 {
		return
	}
	switch waits := r.conn.keepsBody(); {
	case waits || r.out.Sending() || !r.conn.body.Within(skipMost): // who sends reads it meanwhile
		last(r.ctx, r.conn)
	case r.head.wire.Closes && !r.conn.body.Ended():
		leaveUnread(r.conn) // no request comes behind it, before which it would be skipped
	}
}
