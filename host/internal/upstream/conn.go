package upstream

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"strings"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/outrigger-gateway/outrigger/host/internal/bytesx"
	"github.com/outrigger-gateway/outrigger/host/internal/timedconn"
)

// pool keeps the idle connections of one place, most recently used last.
type pool struct {
	transport *Transport

	mu     sync.Mutex
	idle   []*conn
	closed bool
	used   bool // since the last sweep
}

// conn is one connection to an upstream.
type conn struct {
	pool *pool
	net  timedconn.Conn
	br   *bufio.Reader
	bw   *bufio.Writer

	requests  int
	idleSince time.Time
	spent     bool // a request was not sent whole
}

// get takes an idle connection or dials a new one. Connections that were idle for a while, or are for a request that can be sent only
// once, are first asked whether the peer has closed them.
func (p *pool) get(target *Target, once bool, now time.Time) (c *conn, reused bool, err error) {
	for {
		p.mu.Lock()
		p.used = true
		n := len(p.idle)
		if n == 0 {
			p.mu.Unlock()
			break
		}
		c = p.idle[n-1]
		p.idle[n-1] = nil
		p.idle = p.idle[:n-1]
		p.mu.Unlock()
		retimed := c.net.Retime(target.ReadTimeout, target.WriteTimeout)
		if retimed == nil && !once && now.Sub(c.idleSince) < 50*time.Millisecond || c.net.Rearm() == nil && alive(c.net.Conn) {
			return c, true, nil
		}
		c.close()
	}
	nc, err := p.transport.dial(target)
	if err != nil {
		return nil, false, err
	}
	c = &conn{pool: p, net: timedconn.Conn{Conn: nc, ReadTimeout: target.ReadTimeout, WriteTimeout: target.WriteTimeout}}
	c.br = bufio.NewReaderSize(&c.net, 16<<10)
	c.bw = bufio.NewWriterSize(&c.net, writeBuffer)
	return c, false, nil
}

// put gives a connection back after a complete exchange.
func (p *pool) put(c *conn, now time.Time) {
	c.requests++
	c.idleSince = now
	p.mu.Lock()
	o := &p.transport.opts
	keep := !p.closed && len(p.idle) < o.IdlePerTarget && (o.RequestsPerConn == 0 || c.requests < o.RequestsPerConn)
	if keep {
		p.idle = append(p.idle, c)
	}
	p.mu.Unlock()
	if !keep {
		c.close()
	}
}

// expire closes what was idle since before the given time and reports whether nobody used the pool since the last call.
func (p *pool) expire(before time.Time) (unused bool) {
	p.mu.Lock()
	n := 0
	for n < len(p.idle) && p.idle[n].idleSince.Before(before) {
		n++
	}
	old := append([]*conn(nil), p.idle[:n]...)
	p.idle = append(p.idle[:0], p.idle[n:]...)
	unused = !p.used && len(p.idle) == 0
	p.used = false
	p.closed = unused
	p.mu.Unlock()
	for _, c := range old {
		c.close()
	}
	return unused
}

func (p *pool) close() {
	p.mu.Lock()
	p.closed = true
	idle := p.idle
	p.idle = nil
	p.mu.Unlock()
	for _, c := range idle {
		c.close()
	}
}

func (c *conn) close() { _ = c.net.Close() }

const (
	maxInterim  = 100
	writeBuffer = 16 << 10
)

// exchange sends one request and reads the response head, and the body when it is small. sent tells whether a byte may have reached the peer.
func (c *conn) exchange(req *Request, resp *fasthttp.Response, now time.Time) (sent bool, err error) {
	before := c.net.Written
	if !req.short() {
		now = time.Time{}
	}
	c.net.At(now)
	if err = req.write(c.bw); err == nil {
		err = c.bw.Flush()
	}
	switch {
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
		return true, c.classify(err)
	}
	req.Answered = time.Now()
	if err := c.attachBody(resp, req.Answered); err != nil {
		failed := c.classify(err)
		failed.Answered = true
		return true, failed
	}
	return true, nil
}

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

func (c *conn) readHead(req *Request, resp *fasthttp.Response) error {
	for range maxInterim {
		if err := resp.Header.Read(c.br); err != nil {
			return err
		}
		status := resp.StatusCode()
		if status == fasthttp.StatusSwitchingProtocols {
			return errors.New("upstream switched protocols, which nobody had asked for")
		}
		if status >= 200 {
			resp.SkipBody = req.Method == http.MethodHead || status == fasthttp.StatusNoContent || status == fasthttp.StatusNotModified
			return nil
		}
	}
	return fmt.Errorf("upstream sent more than %d interim responses", maxInterim)
}

// attachBody reads a small body, or hands the connection to a stream. Without a body the connection goes back at once.
func (c *conn) attachBody(resp *fasthttp.Response, now time.Time) error {
	keep := !c.spent && !resp.ConnectionClose() && !closes(&resp.Header)
	length := resp.Header.ContentLength()
	switch {
	case resp.SkipBody || length == 0:
	case length > 0 && length <= c.pool.transport.opts.BufferBelow:
		if err := resp.ReadBody(c.br, 0); err != nil {
			return err
		}
	default:
		b := &body{conn: c, keep: keep}
		switch {
		case length > 0:
			b.left = int64(length)
			b.fixed = true
		case length == -1:
			b.chunked = httputil.NewChunkedReader(c.br)
		default:
			b.keep = false // until the connection closes
		}
		resp.SetBodyStream(&Body{b}, max(length, -1))
		return nil
	}
	if keep && c.br.Buffered() == 0 {
		c.pool.put(c, now)
	} else {
		c.close()
	}
	return nil
}

// closes reports whether the peer says that it closes the connection in other words than the "close" that the codec knows.
func closes(h *fasthttp.ResponseHeader) bool {
	for k, v := range h.All() {
		if len(k) == len("connection") && strings.EqualFold(bytesx.View(k), "connection") {
			for token := range strings.SplitSeq(bytesx.View(v), ",") {
				if strings.EqualFold(strings.TrimSpace(token), "close") {
					return true
				}
			}
		}
	}
	return false
}

// Body holds the stream of a response. Whoever wants to wrap the stream replaces the ReadCloser in it: fasthttp closes a stream that is
// taken out of a response.
type Body struct{ io.ReadCloser }

// body streams a response body. The connection goes back to the pool when the body was read to its end and is closed otherwise.
type body struct {
	conn    *conn
	chunked io.Reader
	left    int64
	fixed   bool
	keep    bool
	err     error
}

func (b *body) Read(p []byte) (n int, err error) {
	if b.err != nil {
		return 0, b.err
	}
	switch {
	case b.fixed:
		if int64(len(p)) > b.left {
			p = p[:b.left]
		}
		n, err = b.conn.br.Read(p)
		b.left -= int64(n)
		if err == io.EOF && b.left > 0 {
			err = io.ErrUnexpectedEOF
		} else if err == nil && b.left == 0 {
			err = io.EOF
		}
	case b.chunked != nil:
		n, err = b.chunked.Read(p)
		if err == io.EOF {
			if terr := skipTrailers(b.conn.br); terr != nil {
				err = terr
			}
		}
	default:
		n, err = b.conn.br.Read(p)
	}
	b.err = err
	return n, err
}

// Close ends the stream. It may be called more than once.
func (b *body) Close() error {
	if b.conn == nil {
		return nil
	}
	c := b.conn
	b.conn = nil
	if b.err == io.EOF && b.keep && c.br.Buffered() == 0 {
		c.pool.put(c, time.Now())
	} else {
		c.close()
	}
	if b.err == nil {
		b.err = net.ErrClosed
	}
	return nil
}

// skipTrailers reads the trailer section of a chunked body, which is at most 16 KiB here.
func skipTrailers(br *bufio.Reader) error {
	for range 100 {
		line, err := br.ReadSlice('\n')
		if err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
		if len(line) <= 2 && (len(line) == 1 || line[0] == '\r') {
			return nil
		}
	}
	return errors.New("upstream sent too many trailer lines")
}
