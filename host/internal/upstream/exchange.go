package upstream

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/valyala/fasthttp"
)

const (
	maxInterim  = 100
	writeBuffer = 16 << 10
	readBuffer  = 16 << 10 // a longer response head makes it grow
)

// exchange sends one request and reads the response head, and the body when it is small. sent tells whether a byte may have reached the peer.
//
// A long body is sent beside the wait for the answer, which may come before the body has gone.
func (c *conn) exchange(req *Request, resp *fasthttp.Response, now time.Time) (sent bool, err error) {
	before := c.net.Written
	c.heard = false
	var unread error
	if c.requests > 0 && c.asking.can() {
		err, unread = c.ask(req, now)
	} else {
		err = c.deliver(req, now)
	}
	switch {
	case err == errUnasked:
		return false, err
	case err == nil && unread != nil:
		err = unread
	case err == nil:
		err = c.readHead(req, resp)
	case c.net.WriteErr == nil:
		return c.net.Written > before, &Error{Kind: KindBody, Err: err} // reading the client's body failed
	default:
		if c.earlyAnswer(req, resp) != nil {
			return c.net.Written > before, c.classify(err)
		}
		err = nil
	}
	if err != nil {
		return true, c.failed(err)
	}
	req.Answered = time.Now()
	if err := c.attachBody(req, resp); err != nil {
		failed := c.failed(err)
		failed.Answered = !req.unwanted(c.head.status) // its body was not wanted anyway
		return true, failed
	}
	return true, nil
}

// deliver sends a request, or its head when the body is sent beside the wait for the answer.
func (c *conn) deliver(req *Request, now time.Time) error {
	if req.beside() {
		return c.send(req)
	}
	if !req.short() {
		now = time.Time{}
	}
	c.net.At(now)
	if err := req.write(c.bw); err != nil {
		return err
	}
	return c.bw.Flush()
}

// errUnasked: something has come over a kept connection before the request was sent, a close or bytes. What the peer sent would look like the response to
// the request, whose it is not.
var errUnasked = errors.New("something came over a kept connection unasked")

// earlyAnswer reads the response head of a peer that took no more of the request: it may have answered before it had read everything. The
// connection is of no use afterwards.
func (c *conn) earlyAnswer(req *Request, resp *fasthttp.Response) error {
	c.spent = true
	patience := c.net.ReadTimeout
	if isTimeout(c.net.WriteErr) { // the time is up: only what is there already counts
		c.net.ReadTimeout = 10 * time.Millisecond
		if err := c.net.Rearm(); err != nil {
			return err
		}
	}
	err := c.readHead(req, resp)
	c.net.ReadTimeout = patience
	if rerr := c.net.Rearm(); err == nil {
		err = rerr
	}
	return err
}

// readHead reads the head of the response, past interim ones. A head that is in order is read once more by the HTTP library, into resp.
func (c *conn) readHead(req *Request, resp *fasthttp.Response) error {
	h := &c.head
	for range maxInterim + 1 {
		data, err := c.nextHead()
		if err != nil {
			return err
		}
		if h.status == fasthttp.StatusSwitchingProtocols {
			if err := req.agreed(h); err != nil {
				return malformed{err}
			}
		} else if h.status < 200 {
			_, _ = c.br.Discard(h.size)
			continue
		}
		req.Dated = h.dated
		if req.Trailers && h.chunked {
			req.announced = appendAnnounced(nil, h.trailers)
		}
		return c.takeHead(req, resp, data)
	}
	return malformedf("upstream sent more than %d interim responses", maxInterim)
}

// nextHead reads into the buffer until it begins with a whole head, which is in c.head then. The bytes stay in the buffer.
func (c *conn) nextHead() ([]byte, error) {
	for seen := 0; ; {
		if seen >= c.longest {
			return nil, c.tooLong(seen, "and more")
		}
		if _, err := c.br.Peek(seen + 1); errors.Is(err, bufio.ErrBufferFull) {
			c.widen()
			continue
		} else if err != nil {
			return nil, err
		}
		c.heard = true
		data, _ := c.br.Peek(c.br.Buffered())
		var err error
		if seen == 0 || bytes.Contains(data[max(0, seen-len(endOfHead)):], endOfHead) {
			err = c.head.parse(data)
		} else { // a head that comes in many pieces is not parsed with each of them
			err = hopeful(data, seen)
		}
		switch err {
		case nil:
			if c.head.size > c.longest {
				return nil, c.tooLong(c.head.size, "in all")
			}
			return data, nil
		case errMore:
			seen = len(data)
		default:
			return nil, malformed{err}
		}
	}
}

func (c *conn) tooLong(found int, what string) error {
	return malformedf("the head of the response has %d bytes %s, upstream_max_header_size allows %d", found, what, c.longest)
}

// widen makes the buffer larger, for a head that fills it.
func (c *conn) widen() {
	data, _ := c.br.Peek(c.br.Buffered())
	rest := io.MultiReader(bytes.NewReader(bytes.Clone(data)), (*source)(c))
	c.br = bufio.NewReaderSize(rest, 2*c.br.Size())
}

// takeHead gives the head to the HTTP library, without the lines that are about this hop, and takes it out of the buffer.
func (c *conn) takeHead(req *Request, resp *fasthttp.Response, data []byte) error {
	h := &c.head
	at := 0
	if len(h.cuts) > 0 {
		at = h.compact(data)
		_, _ = c.br.Discard(at)
	}
	if h.old {
		data[at+len(version)] = '1' // the version in a response is that of the sender, which is the gateway
	}
	if err := resp.Header.Read(c.br); err != nil {
		return malformed{err}
	}
	resp.Header.ResetConnectionClose()
	if len(h.encodings) > 0 {
		resp.Header.SetContentEncodingBytes(h.encodings)
	}
	resp.SkipBody = h.bodyless(req.Method)
	return nil
}

// attachBody reads a small body, or hands the connection to a stream. Without a body the connection goes back at once.
func (c *conn) attachBody(req *Request, resp *fasthttp.Response) error {
	h := &c.head
	if h.status == fasthttp.StatusSwitchingProtocols {
		req.Tunnel = &Tunnel{conn: c}
		return nil
	}
	c.patient()
	keep := !c.spent && !h.closes && !h.doubtful() && req.Method != "CONNECT"
	switch {
	case resp.SkipBody || h.length == 0:
	case h.length > 0 && h.length <= int64(c.pool.transport.opts.BufferBelow):
		if err := resp.ReadBody(c.br, 0); err != nil {
			return cutOff(err)
		}
	default:
		b := &body{conn: c, keep: keep}
		size := -1
		switch {
		case h.chunked:
			b.chunked = &chunked{br: c.br, wanted: req.Trailers}
		case h.length > 0:
			b.left, b.fixed, size = h.length, true, int(h.length)
		default:
			b.keep = false // until the connection closes
		}
		resp.SetBodyStream(&Body{ReadCloser: b, body: b, Announced: req.announced}, size)
		return nil
	}
	if req.Quit != nil { // who gives up from here on must not close a connection that others may have
		req.Quit.Leave()
		keep = keep && !req.Quit.Gone()
	}
	c.done(keep, req.Answered)
	return nil
}

// done ends the exchange: the connection goes back to the pool, if it may be used again, and is closed otherwise.
func (c *conn) done(keep bool, now time.Time) {
	if s := c.sending; s != nil {
		c.sending = nil
		keep = s.end(keep)
		now = time.Now()
	}
	if keep && c.br.Buffered() == 0 {
		c.pool.put(c, now)
	} else {
		c.close()
	}
}

// agreed checks that a peer which switches protocols does what was asked for.
func (r *Request) agreed(h *head) error {
	switch {
	case r.Upgrade == "":
		return errors.New("upstream switched protocols, which nobody had asked for")
	case !h.upgrade || !named(h.protocol, r.Upgrade):
		return fmt.Errorf("upstream switched to protocol %s, asked for was %q", shown(h.protocol), r.Upgrade)
	case h.old || h.chunked || h.length > 0:
		return errors.New("upstream switched protocols in HTTP/1.0, or with a body")
	}
	return nil
}

// failed is the error of an exchange that failed while its answer was read. The request is not sent any further.
func (c *conn) failed(err error) *Error {
	if s := c.sending; s != nil {
		c.sending = nil
		err = s.failed(err)
	}
	return c.classify(err)
}

// classify turns an error of the wire into an Error.
func (c *conn) classify(err error) *Error {
	var e *Error
	var m malformed
	switch {
	case errors.As(err, &e):
		return e
	case errors.As(err, &m):
		return &Error{Kind: KindBadResponse, Err: m.error, Answered: true}
	case isTimeout(err), c.net.ReadErr != nil && isTimeout(c.net.ReadErr):
		return &Error{Kind: KindTimeout, Err: err}
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		err = errors.New("upstream closed the connection before the response was complete")
	}
	return &Error{Kind: KindBadResponse, Err: err, Silent: !c.heard}
}
