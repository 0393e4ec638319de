package proxy

import (
	"context"
	"time"

	"github.com/valyala/fasthttp"
)

// leaveLook is the time between two looks at the connections that are left.
const leaveLook = 10 * time.Millisecond

// handle answers a request. When the server is about to end, or others wait for room, its client is told to open another connection for the next one.
func (s *Server) handle(ctx *fasthttp.RequestCtx) {
	conn := ctx.Conn().(*clientConn)
	if conn.refused != nil {
		s.proxy.refuse(ctx, conn)
		return
	}
	s.proxy.Handle(ctx)
	if s.leaving.Load() || s.wait.Load() > 0 {
		ctx.SetConnectionClose()
		if !ctx.Hijacked() {
			leaveUnread(conn) // it may have sent more requests behind this one, which must not cost it the response
		}
	}
}

// Announce has every connection end with its next response, which says so. Connections are accepted as before.
func (s *Server) Announce() { s.leaving.Store(true) }

// Leave is for a server whose sockets another process serves by now. It accepts no more connections, and waits until those that it has have ended,
// each with its next response, at most until ctx ends. An idle connection stays open meanwhile: its client may be sending a request on it, which
// would be lost. Shutdown comes after it.
func (s *Server) Leave(ctx context.Context) {
	s.Announce()
	s.listeners.Close()
	look := time.NewTicker(leaveLook)
	defer look.Stop()
	for s.opened() > 0 {
		select {
		case <-look.C:
		case <-ctx.Done():
			return
		}
	}
}
