package upstream

import (
	"errors"
	"io"
	"net"
	"sync/atomic"
	"time"
)

// Tunnel is a connection whose peer has switched to another protocol. Bytes pass through it and nobody looks at them.
type Tunnel struct{ conn *conn }

// tunnelBuffer is for one direction of a tunnel. Tunnels live long, and most are idle.
const tunnelBuffer = 8 << 10

// Join passes bytes between the client and the upstream until both have finished sending, one of the connections breaks, or nothing came from either
// side for as long as the read timeout of the target. from reads what the client sends, and to is the client's connection, which stays open; what
// ends a wait on to has to end one on from. Join may be called once, and closes the tunnel.
func (t *Tunnel) Join(from io.Reader, to net.Conn) {
	defer t.Close()
	up := t.conn.net.Conn
	idle := t.conn.net.ReadTimeout
	t.conn.net.ReadTimeout = 0
	p := passage{idle: idle}
	p.last.Store(time.Now().UnixNano())
	_ = up.SetDeadline(time.Time{})
	_ = to.SetDeadline(time.Time{})
	ended := make(chan bool, 2)
	go func() { ended <- p.pass(t.conn.br, up, to) }()
	go func() { ended <- p.pass(from, to, up) }()
	if !<-ended {
		p.stop(up, to) // the other direction, too
	}
	<-ended
}

// Close closes the connection. It may be called more than once, and ends Join.
func (t *Tunnel) Close() { _ = t.conn.net.Conn.Close() }

// passage is what both directions of a tunnel know.
type passage struct {
	idle    time.Duration
	last    atomic.Int64 // when a byte came, from either side
	stopped atomic.Bool
}

// stop ends the waits on both connections.
func (p *passage) stop(conns ...net.Conn) {
	p.stopped.Store(true)
	for _, c := range conns {
		_ = c.SetDeadline(time.Now())
	}
}

func (p *passage) since() time.Time { return time.Unix(0, p.last.Load()) }

// pass passes what from gives, which comes over src, to dst. It reports whether src has finished sending and dst was told so; otherwise one of
// them is of no use any more.
func (p *passage) pass(from io.Reader, src, dst net.Conn) bool {
	buf := make([]byte, tunnelBuffer)
	for {
		if p.idle > 0 && src.SetReadDeadline(p.since().Add(p.idle)) != nil || p.stopped.Load() {
			return false
		}
		n, err := from.Read(buf)
		if n > 0 {
			now := time.Now()
			p.last.Store(now.UnixNano())
			if p.idle > 0 && dst.SetWriteDeadline(now.Add(p.idle)) != nil || p.stopped.Load() {
				return false
			}
			if _, err := dst.Write(buf[:n]); err != nil {
				return false
			}
		}
		switch {
		case err == nil:
		case errors.Is(err, io.EOF):
			half, ok := dst.(interface{ CloseWrite() error })
			return ok && half.CloseWrite() == nil
		case !isTimeout(err) || time.Since(p.since()) >= p.idle:
			return false
		}
	}
}
