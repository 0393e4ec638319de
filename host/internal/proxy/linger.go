package proxy

import (
	"net"
	"time"

	"github.com/valyala/fasthttp"
)

// How long a connection that ends before its client has finished sending goes on taking bytes: in all, and between two reads.
const (
	lingerTime = 5 * time.Second
	lingerGap  = time.Second
)

// linger closes the sending half of a connection and throws away what still comes.
//
// When a connection is closed while unread bytes lie in it, or come later, the kernel sends a reset, and that can overtake the response in the client's
// buffers: who uploads more than it may would never see the 413.
func linger(c net.Conn) {
	tcp, ok := c.(*net.TCPConn)
	if !ok || tcp.CloseWrite() != nil {
		return
	}
	var scratch [16 << 10]byte
	for end := time.Now().Add(lingerTime); time.Now().Before(end); {
		gap := time.Now().Add(lingerGap)
		if end.Before(gap) {
			gap = end
		}
		if tcp.SetReadDeadline(gap) != nil {
			return
		}
		if _, err := tcp.Read(scratch[:]); err != nil {
			return // the end, or the client has gone, or it sends nothing
		}
	}
}

// last ends the connection with this response. The client learns of that from it, and may have sent more by then: requests, or a body.
func last(ctx *fasthttp.RequestCtx, c *clientConn) {
	ctx.SetConnectionClose()
	leaveUnread(c)
}

// leaveUnread says that the connection ends after this response although the client may still be sending.
func leaveUnread(c *clientConn) { c.unread.Store(true) }
