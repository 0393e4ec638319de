package proxy

import (
	"context"
	"net"
	"net/http"
	"strings"
	"sync"

	"github.com/outrigger-gateway/outrigger/host/internal/httpbyte"
)

// websocket is the protocol that clients may switch to. Offers of others are not passed on: a service could go on in a protocol that nobody between it
// and the client follows, h2c among them.
const websocket = "websocket"

// switching is the protocol to which the client asks to switch; "": none that passes.
func (r *request) switching() string {
	if !r.head.wire.Upgrades || r.head.wire.Length != 0 || r.ex.Upstream.HasBody || r.method() != http.MethodGet {
		return ""
	}
	wanted := headerView{r}
	offer, _ := wanted.HeaderValue("upgrade", 0)
	if _, several := wanted.HeaderValue("upgrade", 1); several || !httpbyte.Same([]byte(strings.TrimSpace(offer)), websocket) {
		return ""
	}
	return websocket
}

// writeConnection says to the service how the connection is to go on.
func (r *request) writeConnection() {
	out := &r.out
	if out.Upgrade = r.switching(); out.Upgrade == "" {
		out.Add("Connection", "keep-alive")
		return
	}
	out.Add("Connection", "keep-alive, Upgrade")
	out.Add("Upgrade", out.Upgrade)
}

// passTunnel answers the client's upgrade when the service has switched, and passes what comes from either side until both are done. It reports whether it
// does; plugins may have made another response of it.
func (r *request) passTunnel() bool {
	t := r.out.Tunnel
	if t == nil {
		return false
	}
	r.out.Tunnel = nil
	resp, conn, tunnels := &r.ctx.Response, r.conn, &r.proxy.tunnels
	if resp.StatusCode() != http.StatusSwitchingProtocols || r.ex.HasNewBody || r.ctx.Hijacked() || !tunnels.add(t) {
		t.Close()
		if resp.StatusCode() == http.StatusSwitchingProtocols {
			r.failHere(http.StatusBadGateway)
			r.answerInstead()
		}
		return false
	}
	conn.through = true
	conn.began.Store(0) // who has finished sending has not gone
	r.ctx.HijackSetNoResponse(true)
	r.ctx.Hijack(func(net.Conn) {
		defer conn.markBusy(false)
		h := &resp.Header
		h.ResetConnectionClose()
		h.Set("Connection", "Upgrade")
		h.Set("Upgrade", r.out.Upgrade)
		conn.RetimeRead(0) // the tunnel sets its deadlines itself
		if _, err := conn.Write(h.Header()); err == nil {
			t.Join(conn, conn.Conn.Conn)
		} else {
			t.Close()
		}
		r.finish()
		tunnels.remove(t)
	})
	return true
}

// takenOver is a connection that the HTTP library has handed over. Close ends what passes through it.
type takenOver interface{ Close() }

// tunnels are the connections that the HTTP library has handed over and that are open: it does not wait for them.
type tunnels struct {
	mu    sync.Mutex
	open  map[takenOver]struct{}
	empty chan struct{} // closed when the last one has gone; nil: nobody waits
	ended bool
}

// add takes one in; false when the proxy ends.
func (s *tunnels) add(t takenOver) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return false
	}
	if s.open == nil {
		s.open = map[takenOver]struct{}{}
	}
	s.open[t] = struct{}{}
	return true
}

func (s *tunnels) remove(t takenOver) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, t)
	if len(s.open) == 0 && s.empty != nil {
		close(s.empty)
		s.empty = nil
	}
}

// count is how many are open.
func (s *tunnels) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.open)
}

// end waits until all have gone, and closes those that are left when ctx ends. There are no new ones afterwards.
func (s *tunnels) end(ctx context.Context) {
	s.mu.Lock()
	s.ended = true
	if len(s.open) == 0 {
		s.mu.Unlock()
		return
	}
	empty := make(chan struct{})
	s.empty = empty
	s.mu.Unlock()
	select {
	case <-empty:
		return
	case <-ctx.Done():
	}
	s.mu.Lock()
	for t := range s.open {
		t.Close()
		if _, stream := t.(*untilClose); stream { // it ends with the next bytes of its service, which may be long in coming
			delete(s.open, t)
		}
	}
	left := len(s.open)
	s.mu.Unlock()
	if left > 0 {
		<-empty
	}
}
