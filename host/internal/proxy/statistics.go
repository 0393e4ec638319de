package proxy

import (
	"net"
	"sync/atomic"

	"github.com/valyala/fasthttp"

	"github.com/outrigger-gateway/outrigger/host/internal/exchange"
)

// counters of the listeners. Each is changed by at most one atomic operation per request.
type counters struct {
	accepted atomic.Uint64 // connections
	closed   atomic.Uint64
	requests atomic.Uint64
	busy     atomic.Int64 // connections on which a request is read or answered

	most    atomic.Int64  // connections that may be open; 0: no limit
	delayed atomic.Uint64 // connections that waited for room
	evicted atomic.Uint64 // idle ones that ended to make room
}

// Statistics are the counters as nginx names them. Every connection that is accepted is handled.
func (p *Proxy) Statistics() exchange.Statistics {
	c := &p.counters
	closed := c.closed.Load()
	s := exchange.Statistics{Accepted: c.accepted.Load(), Requests: c.requests.Load()}
	s.Handled = s.Accepted
	s.Active = s.Accepted - min(closed, s.Accepted)
	// The counters are read one after the other while they change: what does not fit together is cut.
	busy := min(uint64(max(c.busy.Load(), 0)), s.Active)
	s.Writing = min(uint64(max(p.inFlight.Load(), 0)), busy)
	s.Reading = busy - s.Writing
	s.Waiting = s.Active - busy
	return s
}

// connState follows a connection between its requests. One that was hijacked stays busy until whoever has it says otherwise: nothing is heard of it here.
func (p *Proxy) connState(c net.Conn, state fasthttp.ConnState) {
	if conn, ok := c.(*clientConn); ok && state != fasthttp.StateHijacked {
		conn.markBusy(state == fasthttp.StateActive)
		if state == fasthttp.StateClosed {
			conn.leaveRoom()
		}
	}
}

// markBusy counts a connection among the busy ones, or no longer.
func (c *clientConn) markBusy(busy bool) {
	if busy == c.busy {
		return
	}
	c.busy = busy
	if busy {
		c.server.proxy.counters.busy.Add(1)
	} else {
		c.server.proxy.counters.busy.Add(-1)
	}
}
