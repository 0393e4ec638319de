package proxy

import (
	"context"
	"errors"
	"time"
)

// How long connections have at the end of the server: those on which no request has begun until the first bytes of one come, and a head until it is
// whole. What was sent before the end is here by then.
const (
	lastWait = 100 * time.Millisecond
	lastHead = time.Second
)

// What a connection waits for. The end of the server shortens these waits: hurried is added then.
const (
	awaitsNothing int32 = 0
	awaitsRequest int32 = 1
	awaitsHead    int32 = 2
	hurried       int32 = 4
)

// waits says what the connection waits for from here on.
func (c *clientConn) waits(stage int32) {
	if c.stage.Load()&^hurried != stage {
		c.stage.Store(stage)
	}
}

// works says that it waits no longer. A deadline that the end of the server has set is taken away.
func (c *clientConn) works() {
	if c.stage.Swap(awaitsNothing)&hurried != 0 {
		c.wanting.Lock() // until it is set
		defer c.wanting.Unlock()
		_ = c.Rearm() // fails only when closed
	}
}

// hurry ends the wait of a connection at a time that depends on what it waits for. It does not wait itself: who comes for all connections has a lock that
// everybody needs, and comes again.
func (c *clientConn) hurry(request, head time.Time) {
	if c.stage.Load() == awaitsNothing || !c.wanting.TryLock() {
		return
	}
	defer c.wanting.Unlock()
	stage := c.stage.Load()
	if stage == awaitsNothing || !c.stage.CompareAndSwap(stage, stage|hurried) {
		return
	}
	if stage&^hurried == awaitsRequest {
		head = request
	}
	_ = c.SetReadDeadline(head) // fails only when closed
}

// Shutdown ends the server. Whoever has connected is served, the requests that have come are answered, and so are those that come within lastWait; each
// answer ends its connection. It waits until ctx ends, at most.
func (s *Server) Shutdown(ctx context.Context) error {
	s.Announce()
	s.ending.Store(true)
	s.listeners.Close()
	s.lastRequests(ctx)
	if s.lot != nil {
		s.lot.Close()
	}
	s.giveBack.end()
	defer s.endLook()
	err := s.listeners.Shutdown(ctx, &s.http)
	s.proxy.tunnels.end(ctx)
	s.mu.Lock()
	s.over = true
	s.mu.Unlock()
	ended := make(chan struct{})
	go func() {
		s.running.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-ctx.Done():
		err = errors.Join(err, ctx.Err())
	}
	return err
}

// lastRequests waits until all connections have ended but those that were handed over. Idle ones end when no request comes soon.
func (s *Server) lastRequests(ctx context.Context) {
	now := time.Now()
	request, head := now.Add(lastWait), now.Add(lastHead)
	look := time.NewTicker(leaveLook)
	defer look.Stop()
	for parked := s.lot != nil; s.opened() > s.proxy.tunnels.count(); {
		s.hurry(request, head)
		select {
		case now := <-look.C:
			if parked && now.After(request) {
				parked = false
				s.lot.Close()
			}
		case <-ctx.Done():
			return
		}
	}
}

// hurry hurries all connections that wait.
func (s *Server) hurry(request, head time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.served {
		c.hurry(request, head)
	}
}
