package upstream

import (
	"bufio"
	"sync"
	"time"

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

	asking  asking
	probe   probe
	longest int      // head of a response, bytes
	head    head     // of the response that is read
	heard   bool     // something of it came
	sending *sending // the request body that is on its way
}

// get takes an idle connection or dials a new one; a fresh one is always new. One that was idle for too long is not taken, whether it was swept or not: the peer may be
// about to close it. Idle ones may be of no use: the exchange finds that out, except under TLS.
func (p *pool) get(target *Target, now time.Time, fresh bool, quit Quit) (c *conn, reused bool, err error) {
	for !fresh {
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
		if now.Sub(c.idleSince) < p.transport.opts.IdleTimeout && c.net.Retime(target.ReadTimeout, target.WriteTimeout) == nil && (c.asking.can() || c.silent()) {
			return c, true, nil
		}
		c.close()
	}
	nc, err := p.transport.dial(target, quit)
	if err != nil {
		return nil, false, err
	}
	c = &conn{pool: p, longest: p.transport.opts.MaxHead, net: timedconn.Conn{Conn: nc, ReadTimeout: target.ReadTimeout, WriteTimeout: target.WriteTimeout}}
	c.br = bufio.NewReaderSize((*source)(c), readBuffer)
	c.bw = bufio.NewWriterSize(&c.net, writeBuffer)
	c.asking.on(c, nc)
	c.probe.of(socket(nc))
	return c, false, nil
}

// source is what the buffer of a connection reads.
type source conn

func (s *source) Read(p []byte) (int, error) {
	c := (*conn)(s)
	if c.asking.req != nil {
		return c.asking.read(c, p)
	}
	return c.net.Read(p)
}

// put gives a connection back after a complete exchange.
func (p *pool) put(c *conn, now time.Time) {
	c.requests++
	c.idleSince = now
	if c.br.Size() > readBuffer {
		c.br = bufio.NewReaderSize((*source)(c), readBuffer)
	}
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
