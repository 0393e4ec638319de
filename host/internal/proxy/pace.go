package proxy

import (
	"fmt"
	"time"
)

// pace is how patient the gateway is with a client that sends or takes bytes slower than a smallest rate. Patience is time: waiting uses it up, and bytes
// give it back, up to a most. A client that is slower than the rate for that long in all is cut off, however lively it is. Only the waits for the client
// count: not those for a service or a plugin.
type pace struct{ used time.Duration }

// moved notes that bytes came or went in some time of waiting. rate is in bytes per second; 0: none is asked for.
func (p *pace) moved(bytes int, waited time.Duration, rate int) {
	if rate > 0 && (p.used > 0 || waited > 0) {
		p.used = max(0, p.used+waited-time.Duration(bytes)*time.Second/time.Duration(rate))
	}
}

// left of what patience there is at most.
func (p *pace) left(most time.Duration) time.Duration { return most - p.used }

// tooSlow is the error of a request body that is slower than client_min_rate.
type tooSlow struct {
	patience time.Duration
	rate     int
}

func (e *tooSlow) Error() string {
	return fmt.Sprintf("the client sends its body slower than client_min_rate, %d bytes per second, and client_body_timeout, %v, is used up", e.rate, e.patience)
}

// Timeout makes it an error of the net: the client gets the answer of a body that came too late.
func (*tooSlow) Timeout() bool { return true }

// Temporary is a part of net.Error.
func (*tooSlow) Temporary() bool { return false }

// longestStall is how long a write may be blocked, at most, before somebody looks what its client has taken meanwhile.
const longestStall = 5 * time.Second

// stallTime is the time between two such looks.
func stallTime(patience time.Duration) time.Duration { return min(patience/4, longestStall) }

// Write writes to the client. One write may take as long as the client takes something of it, and is not slower than send_min_rate for longer than
// send_timeout in all.
func (c *clientConn) Write(p []byte) (int, error) {
	began := time.Time{}
	if c.sent.used > 0 {
		began = time.Now()
	}
	n, err := c.Conn.Write(p)
	switch {
	case err != nil && n < len(p) && isTimeout(err):
		return c.writeOn(p, n, err)
	case !began.IsZero():
		c.sent.moved(n, time.Since(began), c.server.opts.SendRate)
	}
	return n, err
}

// writeOn goes on with a write that was blocked until its deadline; n bytes are with the kernel. What the client takes shows in what the kernel still
// has to send: it lets nobody write before a third of that has gone, which may be a megabyte.
func (c *clientConn) writeOn(p []byte, n int, err error) (int, error) {
	o := &c.server.opts
	c.sent.moved(n, c.WriteTimeout, o.SendRate)
	silent := c.WriteTimeout // how long nothing was taken
	unsent := unsentBytes(c.Conn.Conn)
	for n < len(p) && isTimeout(err) {
		if silent >= o.WriteTimeout || o.SendRate > 0 && c.sent.left(o.WriteTimeout) <= 0 {
			c.server.proxy.opts.Logger.Info("response cut off: the client takes it too slowly",
				"client_ip", c.peer.text, "send_timeout", o.WriteTimeout.String(), "send_min_rate", o.SendRate)
			return n, err
		}
		began, k := time.Now(), 0
		k, err = c.Conn.Write(p[n:])
		n += k
		round, now := time.Since(began), unsentBytes(c.Conn.Conn)
		taken := max(0, k+unsent-now)
		if unsent = now; taken > 0 {
			silent = 0
		} else {
			silent += round
		}
		c.sent.moved(taken, round, o.SendRate)
	}
	return n, err
}
