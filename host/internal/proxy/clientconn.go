package proxy

import (
	"io"
	"net"
	"sync/atomic"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/parking"
	"github.com/outrigger-gateway/outrigger/host/internal/timedconn"
)

// timedListener makes client connections of what it accepts.
type timedListener struct {
	net.Listener
	server *Server
}

func (l *timedListener) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	s := l.server
	c := s.newConn(nc, s.proxy.peerOf(nc.RemoteAddr()), portOf(nc.LocalAddr()))
	s.proxy.counters.accepted.Add(1)
	s.mu.Lock()
	s.conns[c] = struct{}{}
	s.mu.Unlock()
	return c, nil
}

// parkAfter is how long a connection may be idle, at most, before it is parked: its goroutine ends and its buffers serve others. Sooner would make
// slow clients cost a goroutine per request.
const parkAfter = time.Second

// newConn makes a connection of one that was accepted. The timeout of one that can be parked is waited for in pieces of at most parkAfter.
func (s *Server) newConn(nc net.Conn, from peer, port int) *clientConn {
	pieces := 1
	if _, parks := nc.(parking.Conn); parks && s.lot != nil && s.opts.ReadTimeout > parkAfter {
		pieces = int((s.opts.ReadTimeout + parkAfter - 1) / parkAfter)
	}
	return &clientConn{
		Conn:   timedconn.Conn{Conn: nc, ReadTimeout: s.opts.ReadTimeout / time.Duration(pieces), WriteTimeout: s.opts.WriteTimeout},
		server: s, pieces: pieces, peer: from, port: port, first: true,
	}
}

// clientConn is a connection of a client, with bounded gaps between reads and writes.
type clientConn struct {
	timedconn.Conn
	server *Server
	pieces int         // of the read timeout
	spoke  atomic.Bool // something was read
	unread atomic.Bool // a part of the last request was not
	park   atomic.Bool // Close is to park it
	busy   bool        // counted among the busy ones; see connState
	first  bool        // nothing was read by this goroutine
	peer   peer
	port   int   // of the listener
	head   *head // of a plain request that fasthttp is about to serve
}

// Read reads for fasthttp. It keeps the head of a plain request and gives fasthttp what stands in for it.
func (c *clientConn) Read(p []byte) (int, error) {
	begins := c.first || !c.busy // between two requests
	n, err := c.read(p, begins && !c.first)
	if n == 0 {
		return n, err
	}
	if !c.spoke.Load() {
		c.spoke.Store(true)
	}
	c.first = false
	if begins {
		if c.head = plainHead(p[:n]); c.head != nil {
			n = copy(p, c.head.standIn())
		}
	}
	return n, err
}

// read reads within the read timeout. An idle connection is parked when nothing comes soon: fasthttp sees a timeout, and closes it.
func (c *clientConn) read(p []byte, idle bool) (int, error) {
	if idle && c.server.ending.Load() {
		return 0, io.EOF
	}
	for piece := 1; ; piece++ {
		n, err := c.Conn.Read(p)
		if err == nil || n > 0 || piece == c.pieces || !isTimeout(err) {
			return n, err
		}
		if idle {
			c.park.Store(true)
			return 0, err
		}
		c.ReadErr = nil
		if err := c.Rearm(); err != nil {
			return 0, err
		}
	}
}

func isTimeout(err error) bool {
	e, ok := err.(net.Error)
	return ok && e.Timeout()
}

// takeHead is the head of the request that is served, when it is a plain one; nil otherwise.
func (c *clientConn) takeHead() *head {
	h := c.head
	c.head = nil
	return h
}

// Close ends the connection, or parks it.
func (c *clientConn) Close() error {
	if c.park.Swap(false) && c.server.parkConn(c) {
		return nil
	}
	c.server.mu.Lock()
	_, open := c.server.conns[c]
	delete(c.server.conns, c)
	c.server.mu.Unlock()
	if open {
		c.server.proxy.counters.closed.Add(1)
	}
	if c.unread.Swap(false) {
		linger(c.Conn.Conn)
	}
	return c.Conn.Close()
}

// parkConn parks an idle connection for the rest of its read timeout; false when that cannot be done.
func (s *Server) parkConn(c *clientConn) bool {
	nc, ok := c.Conn.Conn.(parking.Conn)
	if !ok {
		return false
	}
	waited, now := c.Conn.ReadTimeout, time.Now()
	if !s.lot.Park(nc, now.Add(s.opts.ReadTimeout-waited), func(reason parking.Reason) {
		if reason != parking.Readable || !s.serveAgain(c) {
			_ = c.Close()
		}
	}) {
		return false
	}
	s.giveBack.parkedOne(now)
	return true
}

// serveAgain serves a connection that was parked, until it ends or is parked once more; false when the server ends.
func (s *Server) serveAgain(parked *clientConn) bool {
	c := s.newConn(parked.Conn.Conn, parked.peer, parked.port)
	c.spoke.Store(true)
	s.mu.Lock()
	ending := s.ending.Load()
	if !ending {
		s.served.Add(1) // under the lock: Shutdown takes it before it waits
		delete(s.conns, parked)
		s.conns[c] = struct{}{}
	}
	s.mu.Unlock()
	if ending {
		return false
	}
	defer s.served.Done()
	if err := s.http.ServeConn(c); err != nil {
		s.proxy.opts.Logger.Debug("http", "message", "error when serving a connection", "error", err.Error())
	}
	return true
}

// ended reports whether the client has closed its side, or the connection broke.
func (c *clientConn) ended() bool { return c != nil && c.ReadErr != nil }
