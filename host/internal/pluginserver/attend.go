package pluginserver

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

// errLeaves ends the life of an attached server that says it does not serve.
var errLeaves = errors.New("the server says that it does not serve: it goes away, or is not ready")

// serving finds out before the lanes are opened whether an attached server wants calls, and from here on hears when it does not any more: a server
// that has a listener waits for it at its end. One that does not answer counts as serving: checks follow.
func (l *life) serving(ctx context.Context) error {
	go l.hear()
	timer := time.NewTimer(l.peer.server.healthInterval())
	defer timer.Stop()
	select {
	case <-l.listens:
	case <-timer.C:
	case <-ctx.Done():
	}
	r, err := grpc_health_v1.NewHealthClient(l.link.conn).Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: healthService})
	if err == nil && r.Status == grpc_health_v1.HealthCheckResponse_NOT_SERVING {
		return errLeaves
	}
	return nil
}

// attend looks after the life of an attached server beside run: it hears at once when the server goes away, and leaves the address out for a
// while when its calls keep failing.
func (l *life) attend() {
	back := time.NewTimer(0)
	defer back.Stop()
	<-back.C
	for {
		select {
		case <-l.ctx.Done():
			return
		case <-l.leaves:
			l.depart()
			return
		case <-l.pulse.worse:
			if wait := l.eject(); wait > 0 {
				back.Reset(wait)
			}
		case <-back.C:
			if wait := l.admit(l.checkAll()); wait > 0 {
				back.Reset(wait)
			}
		}
	}
}

// hear watches what the server says of its health: listens is closed with its first word, or with the first failure to get one, and leaves when it
// does not serve any more. A server that cannot be watched is only
// checked from time to time. A stream that ended may have taken the control connection along: the next one has to reach the process of the lanes.
func (l *life) hear() {
	listens := sync.OnceFunc(func() { close(l.listens) })
	health := grpc_health_v1.NewHealthClient(l.link.conn)
	for l.ctx.Err() == nil {
		stream, err := health.Watch(l.ctx, &grpc_health_v1.HealthCheckRequest{Service: healthService})
		for err == nil {
			var r *grpc_health_v1.HealthCheckResponse
			r, err = stream.Recv()
			gone := err == nil && r.Status == grpc_health_v1.HealthCheckResponse_NOT_SERVING
			if gone {
				close(l.leaves)
			}
			listens()
			if gone {
				return
			}
		}
		listens()
		if status.Code(err) == codes.Unimplemented {
			return
		}
		select {
		case <-l.ctx.Done():
		case <-time.After(l.peer.server.healthInterval()):
		}
		if err := l.sameProcess(); err != nil {
			l.end(err)
			return
		}
	}
}

// errElsewhere ends the life of an attached server whose control connection leads to another process than its lanes.
var errElsewhere = errors.New("another process answers in its place")

// sameProcess is errElsewhere when another process answers now. One that does not answer is found out by its health.
func (l *life) sameProcess() error {
	ctx, cancel := context.WithTimeout(l.ctx, l.peer.server.cfg.StartTimeout)
	defer cancel()
	d, err := l.describe(ctx)
	if err == nil && d.identity != l.desc.identity {
		return errElsewhere
	}
	return nil
}

// depart ends a life whose server goes away, unless it has ended already: it gets no more calls, the ones that run end, no longer than DrainTimeout.
func (l *life) depart() {
	s := l.peer.server
	s.mu.Lock()
	if l.peer.life != l { // the peer has another life by now, or is to get one
		s.mu.Unlock()
		return
	}
	lanes := l.lanes
	l.peer.leaveOut(StateDraining, errLeaves)
	s.mu.Unlock()
	s.tell()
	s.logger.Info("the plugin server says that it does not serve: it gets no more calls", "process", l.peer.number, "address", l.link.addr.String(), "pid", l.pid)
	ctx, cancel := context.WithTimeout(l.ctx, s.cfg.DrainTimeout)
	defer cancel()
	for _, n := range lanes {
		n.empty(ctx)
	}
	l.end(errLeaves)
}

// leaveOut takes a peer that lives out of service; the server's mu is held.
func (p *peer) leaveOut(state string, why error) {
	p.out, p.cause = state, why
	p.setState(state)
	p.server.rebuild()
}

// address of an attached peer; empty for a managed one.
func (p *peer) address() string {
	if a, ok := p.opener.(*attached); ok {
		return a.addr.String()
	}
	return ""
}

// agree checks that all addresses of the server host the same plugins: a request may go to any of them.
func (l *life) agree() error {
	s := l.peer.server
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cfg.Managed() {
		return nil
	}
	for _, p := range s.peers {
		if p == l.peer || p.hosts == nil {
			continue
		}
		if what := difference(p.hosts, l.desc.manifests); what != "" {
			return fmt.Errorf("%s does not host the same plugins as %s: %s: run the same build at all addresses of the server", l.peer.address(), p.address(), what)
		}
	}
	l.peer.hosts = l.desc.manifests
	return nil
}
