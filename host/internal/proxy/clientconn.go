package proxy

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/guard"
	"github.com/outrigger-gateway/outrigger/host/internal/parking"
	"github.com/outrigger-gateway/outrigger/host/internal/timedconn"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// parkAfter is how long a connection may be idle, at most, before it is parked: its goroutine ends and its buffers serve others. Sooner would make
// slow clients cost a goroutine per request.
const parkAfter = time.Second

// newConn makes a connection of one that was accepted.
func (s *Server) newConn(nc net.Conn, from peer, port int) *clientConn {
	c := &clientConn{
		Conn:   timedconn.Conn{Conn: nc, WriteTimeout: stallTime(s.opts.WriteTimeout)},
		server: s, peer: from, port: port,
	}
	if _, parks := nc.(parking.Conn); parks && s.lot != nil {
		c.parks = true
	}
	c.in.Source = (*wireSide)(c)
	c.body.Reset(&c.in, 0, &s.opts.Limits)
	return c
}

// clientConn is a connection of a client. The guard reads from it; fasthttp gets to see one stand-in for a request at a time, and writes the responses.
type clientConn struct {
	timedconn.Conn
	server *Server
	parks  bool         // it can be parked
	spoke  bool         // something was read
	unread atomic.Bool  // a part of the last request was not
	park   atomic.Bool  // Close is to park it
	stage  atomic.Int32 // what it waits for; see ending.go
	busy   bool         // counted among the busy ones; see connState
	open   bool         // counted among the open ones; see connections.go
	peer   peer
	port   int // of the listener

	introduced bool         // a PROXY header comes first
	origin     guard.Origin // what it said

	in      guard.Reader
	head    *head      // of the request that fasthttp is about to serve
	refused error      // it is not served: the head has what stands before what is wrong with it
	body    guard.Body // of that request
	through bool       // what comes goes through to whoever reads

	began atomic.Int64 // when the request that is served came, in nanoseconds; 0: none is
	quit  wire.Quit    // ends what is done for a client that has gone

	got  pace // of the body
	sent pace // of responses; see Write

	wanting  sync.Mutex // guards the rest: bodies may be read by another goroutine than the one that answers
	expects  bool       // the client waits for 100 Continue
	stopped  bool       // the body is not read any more
	answered bool       // the response has begun
	hurried  bool       // the deadline is earlier than client_body_timeout says
	armed    time.Time  // when the deadline of the body was set
}

// wireSide is the connection as the guard reads it.
type wireSide clientConn

func (w *wireSide) Read(p []byte) (int, error) {
	c := (*clientConn)(w)
	n, err := c.Conn.Read(p)
	c.spoke = c.spoke || n > 0
	return n, err
}

// Read reads for fasthttp: it waits for the next request, and gives what stands in for it. An end is an end of everything.
func (c *clientConn) Read(p []byte) (int, error) {
	if c.through {
		return c.in.Read(p)
	}
	h := heads.Get().(*head)
	if err := c.next(h); err != nil {
		var refused *guard.Refusal
		if !errors.As(err, &refused) {
			h.release()
			return 0, err
		}
		h.wire.Closes = true
		h.take()
		c.head, c.refused = h, refused
		return copy(p, h.standIn()), nil
	}
	h.take()
	c.body.Reset(&c.in, h.wire.Length, &c.server.opts.Limits)
	if h.wire.Length != 0 {
		c.RetimeRead(0) // readBody sets the deadlines
		c.expects, c.stopped, c.answered, c.hurried, c.armed = h.wire.Expects, false, false, false, time.Time{}
		c.got = pace{}
	}
	c.head = h
	return copy(p, h.standIn()), nil
}

// next reads the head of the next request: a *guard.Refusal, or io.EOF when there will be none.
func (c *clientConn) next(h *head) error {
	if !c.body.Ended() && !c.skipBody() {
		return io.EOF
	}
	if c.introduced && (c.in.Buffered() == 0 && !c.awaitRequest() || !c.introduction()) {
		return io.EOF
	}
	l := &c.server.opts.Limits
	for waited := false; ; {
		ok, err := c.in.Next(&h.wire, l)
		if ok || err != nil {
			if waited {
				c.works()
				_ = c.Rearm() // fails only when closed
			}
			return err
		}
		if c.in.Buffered() == 0 {
			if !c.awaitRequest() {
				return io.EOF
			}
			continue
		}
		if !waited {
			waited = true
			c.markBusy(true)
			c.RetimeRead(0)
			if err := c.SetReadDeadline(time.Now().Add(c.server.opts.HeaderTimeout)); err != nil {
				return io.EOF
			}
		}
		c.waits(awaitsHead)
		if _, err := c.in.Fill(); err != nil {
			c.in.Came(&h.wire, l)
			return unfinished(err)
		}
	}
}

// introduction reads the PROXY header; false: there is none, or it did not come within the time for a head. Nobody gets an answer then: who does not
// speak as agreed is no client.
func (c *clientConn) introduction() bool {
	if c.SetReadDeadline(time.Now().Add(c.server.opts.HeaderTimeout)) != nil {
		return false
	}
	c.RetimeRead(0)
	c.waits(awaitsHead)
	defer c.works()
	for {
		origin, ok, err := c.in.Origin()
		if err != nil {
			c.server.proxy.opts.Logger.Info("connection refused", "peer_ip", c.peer.text, "error", err.Error())
		}
		if ok || err != nil {
			c.origin, c.introduced = origin, false
			return ok && c.Rearm() == nil
		}
		if _, err := c.in.Fill(); err != nil {
			return false
		}
	}
}

// unfinished refuses a head that does not come to its end.
func unfinished(err error) error {
	switch {
	case isTimeout(err):
		return &guard.Refusal{Status: 408, Class: guard.ClassTime, Detail: "the head did not come within client_header_timeout"}
	case errors.Is(err, io.EOF):
		return &guard.Refusal{Status: 400, Class: guard.ClassLine, Detail: "the client ended in the middle of the head"}
	}
	return io.EOF
}

// awaitRequest waits for the first bytes of a request; false: none will come here. An idle connection is parked when nothing comes soon: fasthttp sees an
// end, and closes it.
func (c *clientConn) awaitRequest() bool {
	wait := c.patience()
	parks := c.parks && wait > parkAfter
	c.waits(awaitsRequest)
	switch {
	case c.server.ending.Load():
		wait, parks = min(wait, lastWait), false
	case parks:
		wait = parkAfter
	}
	c.RetimeRead(wait)
	if !c.in.HasRoom() {
		c.in.Use(rooms.Get().(*room)[:])
	}
	_, err := c.in.Fill()
	c.works()
	if isTimeout(err) && hasInput(c.Conn.Conn) { // it came in the last moment
		if err = c.Rearm(); err == nil {
			_, err = c.in.Fill()
		}
	}
	if parks && isTimeout(err) {
		c.park.Store(true)
	}
	return err == nil
}

// patience is how long the connection may be without a request.
func (c *clientConn) patience() time.Duration {
	if !c.spoke {
		return c.server.opts.HeaderTimeout
	}
	return c.server.opts.IdleTimeout
}

// skipMost is how much of a body that nobody wanted is read so that the connection can be used again.
const skipMost = 16 << 10

// skipBody reads what is left of the body of the last request; false when that is too much, or fails.
func (c *clientConn) skipBody() bool {
	c.RetimeRead(0)
	if c.SetReadDeadline(time.Now().Add(c.server.opts.BodyTimeout)) != nil { // for all of it: it holds the connection
		return false
	}
	c.waits(awaitsHead)
	defer c.works()
	_, err := io.CopyN(io.Discard, &c.body, skipMost)
	if err == io.EOF || c.body.Ended() {
		return true
	}
	c.unread.Store(true)
	return false
}

// room is the first room of a guard.Reader.
type room [guard.FirstSize]byte

var rooms = sync.Pool{New: func() any { return new(room) }}

// leaveRoom gives the room back when nothing is in it, and lets go of one that has grown: a parked connection has none. It is for the goroutine that
// serves the connection, at its end.
func (c *clientConn) leaveRoom() {
	if c.body.Ended() {
		if b := c.in.Room(); b != nil {
			rooms.Put((*room)(b))
		}
	}
	c.in.Use(nil)
}

func isTimeout(err error) bool {
	e, ok := err.(net.Error)
	return ok && e.Timeout()
}

// takeHead is the head of the request that is served.
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
	if c.unread.Swap(false) || moreCame(c.Conn.Conn) {
		linger(c.Conn.Conn)
	}
	err := c.Conn.Close()
	c.server.left(c) // not earlier: one that lingers takes a file, and has a response on its way that the end of the process would take
	return err
}
