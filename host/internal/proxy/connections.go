package proxy

import (
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/parking"
)

// connections are those of the clients of a server.
type connections struct {
	mu     sync.Mutex
	served map[*clientConn]struct{} // by a goroutine; the others are parked
	open   int                      // all of them
	freed  sync.Cond                // one has ended, or can be evicted, or closed was set
	closed bool                     // nobody waits for room any more
	wait   atomic.Int32             // how many wait for room
	told   time.Time                // when the log said that there is no room
	over   bool                     // nothing is served any more
}

// fullEvery is how often the log says that there are as many connections as there may be, at most.
const fullEvery = time.Minute

// listener makes client connections of what it accepts.
type listener struct {
	net.Listener // waits while the system has no room
	bare         net.Listener
	server       *Server
	proxied      bool // connections begin with a PROXY header
	closing      sync.Once
}

// Accept waits for a connection, and for room for it. Those behind it wait with the kernel meanwhile.
func (l *listener) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := l.accepted(nc)
	l.server.admit(c)
	return c, nil
}

func (l *listener) accepted(nc net.Conn) *clientConn {
	s := l.server
	c := s.newConn(nc, s.proxy.peerOf(nc.RemoteAddr()), portOf(nc.LocalAddr()))
	c.introduced = l.proxied
	s.proxy.counters.accepted.Add(1)
	return c
}

// Close serves the connections that wait with the kernel, and lets nobody connect any more.
func (l *listener) Close() error {
	l.closing.Do(func() {
		s := l.server
		s.mu.Lock()
		s.closed = true
		s.freed.Broadcast()
		s.mu.Unlock()
		for _, nc := range acceptWaiting(l.bare) {
			c := l.accepted(nc)
			s.admit(c)
			go s.serveHere(c, nil)
		}
	})
	return l.Listener.Close()
}

// admit takes a connection in. When there are as many as there may be, it ends one that is idle, or waits until another one ends: each of them does with
// its next response, as long as somebody waits.
func (s *Server) admit(c *clientConn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	most := s.opts.MaxConnections
	for waited := false; most > 0 && s.open >= most && !s.closed; s.freed.Wait() {
		if s.lot != nil && s.lot.Evict() || waited {
			continue
		}
		waited = true
		s.proxy.counters.delayed.Add(1)
		s.wait.Add(1)
		defer s.wait.Add(-1)
		if now := time.Now(); now.Sub(s.told) > fullEvery {
			s.told = now
			s.proxy.opts.Logger.Warn("there are as many connections as max_connections allows: new ones wait until others end", "max_connections", most)
		}
	}
	s.open++
	c.open = true
	s.served[c] = struct{}{}
}

// left takes a connection out that ends.
func (s *Server) left(c *clientConn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.served, c)
	if c.open {
		c.open = false
		s.open--
		s.freed.Broadcast()
		s.proxy.counters.closed.Add(1)
	}
}

// opened is how many connections there are, idle ones too.
func (s *Server) opened() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open
}

// parkConn parks an idle connection for the rest of its time; false when that cannot be done.
func (s *Server) parkConn(c *clientConn) bool {
	nc, ok := c.Conn.Conn.(parking.Conn)
	if !ok {
		return false
	}
	s.mu.Lock()
	delete(s.served, c) // before somebody else has it
	s.mu.Unlock()
	now := time.Now()
	if !s.lot.Park(nc, now.Add(c.patience()-parkAfter), func(reason parking.Reason) { s.unpark(c, reason) }) {
		return false
	}
	s.evictable()
	s.giveBack.parkedOne(now)
	return true
}

// evictable lets those look again who wait for room.
func (s *Server) evictable() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.freed.Broadcast()
}

// unpark serves a connection that was parked when its client has sent something, and ends it otherwise.
func (s *Server) unpark(parked *clientConn, reason parking.Reason) {
	switch {
	case reason == parking.Readable, reason != parking.Broken && hasInput(parked.Conn.Conn):
		c := s.newConn(parked.Conn.Conn, parked.peer, parked.port)
		c.origin, c.introduced, c.spoke = parked.origin, parked.introduced, parked.spoke
		if reason == parking.Evicted {
			s.evictable() // others are, this one is not
		}
		if reason == parking.Ended { // it has the goroutine of all that were parked
			go s.serveHere(c, parked)
		} else {
			s.serveHere(c, parked)
		}
	default:
		if reason == parking.Evicted {
			s.proxy.counters.evicted.Add(1)
		}
		_ = parked.Close()
	}
}

// serveHere serves a connection until it ends or is parked. It takes the place of one that was parked, if that is given.
func (s *Server) serveHere(c, parked *clientConn) {
	s.mu.Lock()
	over := s.over
	if !over {
		s.running.Add(1) // under the lock: Shutdown takes it before it waits
		if parked != nil {
			parked.open, c.open = false, true
			s.served[c] = struct{}{}
		}
	}
	s.mu.Unlock()
	if over {
		if parked != nil {
			c = parked
		}
		_ = c.Close()
		return
	}
	defer s.running.Done()
	if err := s.http.ServeConn(c); err != nil {
		s.proxy.opts.Logger.Debug("http", "message", "error when serving a connection", "error", err.Error())
	}
}
