package pluginserver

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	pluginv1 "github.com/outrigger-gateway/outrigger/proto/gen/outrigger/plugin/v1"

	"github.com/outrigger-gateway/outrigger/host/internal/transport"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// failedChecks in a row end a life.
const failedChecks = 3

// healthService is the name under which go-plugin's servers answer health checks.
const healthService = "plugin"

// Why lives end.
var (
	errStopping = errors.New("it is being stopped")
	errHung     = errors.New("the server does not answer health checks")

	errRetired     = errors.New("the build was replaced meanwhile: what starts now would be the new one")
	errNoAnswerYet = errors.New("it has not answered yet")
)

// life is one life of a peer: a process, or a connection, from ready to its end.
type life struct {
	peer   *peer
	link   *link
	client pluginv1.PluginServerClient
	desc   *description
	pid    uint32
	// ctx ends with the life; its cause says why.
	ctx context.Context
	end context.CancelCauseFunc

	pulse   *pulse
	begun   time.Time // taking calls
	expires time.Time // when it is too old; zero: never

	usage  usage     // last measured; guarded by the server's mu
	lanes  []*lane   // guarded by the server's mu
	opened time.Time // when the last lane was opened; guarded by the server's mu
	waits  waits     // between a lane's end and the next one; owned by run
	died   chan *lane

	asking atomic.Bool // askAgain runs

	listens, leaves chan struct{} // attached: closed by hear

	applied map[uint64]applied // guarded by the server's mu
}

// begin opens a link, asks the server what it hosts, gives it the instances and opens the lanes. When it returns without an error
// the lanes take calls; then the caller runs run and close.
func (p *peer) begin(ctx context.Context) (*life, error) {
	s := p.server
	s.mu.Lock()
	p.starts++
	s.mu.Unlock()
	start, cancel := context.WithTimeout(ctx, s.cfg.StartTimeout)
	defer cancel()
	link, err := p.opener.open(start)
	if err != nil {
		return nil, err
	}
	l := &life{
		peer: p, link: link, client: pluginv1.NewPluginServerClient(link.conn), pid: uint32(link.pid),
		waits: waits{Backoff: s.backoff}, died: make(chan *lane, maxLanes), applied: map[uint64]applied{}, pulse: newPulse(),
		listens: make(chan struct{}), leaves: make(chan struct{}),
	}
	l.ctx, l.end = context.WithCancelCause(ctx)
	l.expect(s.cfg.Recycle)
	if s.cfg.Quarantine {
		l.pulse.life.Store(s.servers.lives.Add(1))
	}
	if link.gone != nil {
		go l.watch()
	}
	// Everything that waits below ends with the process, and with the time for the start.
	defer context.AfterFunc(l.ctx, cancel)()
	if err := l.raise(start); err != nil {
		if l.ctx.Err() != nil {
			err = context.Cause(l.ctx)
		}
		l.close()
		return nil, err
	}
	return l, nil
}

// raise takes a life from its link to taking calls.
func (l *life) raise(start context.Context) error {
	s := l.peer.server
	var err error
	if l.desc, err = l.describe(start); err != nil {
		return err
	}
	if l.pid == 0 {
		l.pid = l.desc.pid
	}
	if err := l.agree(); err != nil {
		return err
	}
	if err := s.learn(l.desc.manifests); err != nil {
		return err
	}
	if !s.cfg.Managed() {
		l.follow()
		if err := l.serving(start); err != nil {
			return err
		}
	}
	lanes, err := l.openLanes(start, l.desc.lanes)
	if err != nil {
		return err
	}
	select {
	case <-l.leaves: // meanwhile
		closeLanes(lanes, "closed", "the server says that it does not serve")
		return errLeaves
	default:
	}
	s.mu.Lock()
	l.peer.next = l // from here on Release reaches it
	s.mu.Unlock()
	return l.publish(lanes)
}

// describe asks the process that answers now what it hosts.
func (l *life) describe(ctx context.Context) (*description, error) {
	s := l.peer.server
	return describe(ctx, l.client, &s.cfg, l.link.addr, s.opts.Hello.GatewayVersion)
}

// features are those that the host offers the server on its lanes.
func (s *Server) features() uint32 {
	var f uint32
	if s.cfg.Fuse {
		f |= wire.FeatureSteps
	}
	if s.cfg.Prefetch {
		f |= wire.FeaturePrefetch
	}
	return f
}

// openLanes opens n lanes, all or none.
func (l *life) openLanes(ctx context.Context, n int) (lanes []*lane, err error) {
	s := l.peer.server
	for len(lanes) < n {
		hello := s.opts.Hello
		hello.Version = l.desc.version
		hello.Features = s.features()
		o := transport.Options{Hello: hello, Token: l.desc.plane.token, MaxInFlight: s.cfg.MaxInFlight + laneChecks, OnLog: s.onLog, Who: s.opts.Who, Backlog: &s.servers.backlog, Bodies: s.opts.Bodies}
		t, err := s.openLane(ctx, l, o)
		if err != nil {
			closeLanes(lanes, "closed", "another lane cannot be opened")
			if l.desc.plane.network == "" {
				return nil, fmt.Errorf("open a lane on the control connection: %w", err)
			}
			return nil, fmt.Errorf("open a lane at %s://%s: %w", l.desc.plane.network, l.desc.plane.addr, err)
		}
		lanes = append(lanes, newLane(t, l.pulse, !l.desc.overlap))
	}
	return lanes, nil
}

// publish lets new lanes take calls once the process has all instances. A life that takes calls already makes room in the same moment, unless
// the new one lacks an instance that it has. A build that was retired meanwhile takes no new process. On an error the lanes are closed.
func (l *life) publish(lanes []*lane) error {
	p := l.peer
	var refused error
	err := l.sync(func() {
		if p.next == l && p.server.role == retired {
			refused = errRetired
			return
		}
		if old := p.life; old != nil && old != l && len(p.lanes) > 0 {
			if refused = l.lacks(old); refused != nil {
				return
			}
		}
		l.lanes = append(slices.Clone(l.lanes), lanes...)
		l.opened = time.Now()
		switch {
		case p.next == l:
			p.next, p.life, l.begun = nil, l, l.opened
		case l.pulse.life.Load() != 0:
			l.pulse.life.Store(p.server.servers.lives.Add(1))
		}
		if p.life == l {
			p.setLanes(l.lanes)
		}
	})
	if err == nil {
		err = refused
	}
	if err != nil {
		closeLanes(lanes, "closed", "the process is not ready for calls")
		return err
	}
	for _, n := range lanes {
		go func() {
			<-n.Done()
			select {
			case l.died <- n:
			case <-l.ctx.Done():
			}
		}()
	}
	return nil
}

// run watches a life that takes calls until it ends, and returns why. When another life has taken its place it returns that one: with a nil error
// this life is to be left, else it ended by itself meanwhile. Cancelling soft ends it in order; hard bounds that.
func (l *life) run(soft, hard context.Context) (next *life, err error) {
	s := l.peer.server
	check := time.NewTimer(s.healthInterval())
	defer check.Stop()
	checked := make(chan error, 1)
	checking, failed := false, 0
	var began time.Time // of the last check
	look := func() {
		if !checking {
			checking, began = true, time.Now()
			go func() { checked <- l.examine() }()
		}
	}
	var reopen <-chan time.Time // set while a lane is missing
	reopened := make(chan error, 1)
	reopening := false
	var successor chan begun // set while a successor starts
	ended := func(err error) (*life, error) {
		if reopening || successor != nil {
			l.end(err)
			l.dropLanes(err)
		}
		if reopening {
			<-reopened
		}
		if successor != nil {
			return (<-successor).life, err
		}
		return nil, err
	}
	look()
	for {
		select {
		case <-l.ctx.Done():
			next, err := ended(context.Cause(l.ctx))
			if soft.Err() != nil {
				l.finish(hard)
				err = errStopping
			}
			return next, err
		case dead := <-l.died:
			l.dropLane(dead)
			if reopen == nil && !reopening {
				reopen = time.After(l.waits.wait(l.laneLived()))
			}
		case <-reopen:
			reopen, reopening = nil, true
			go func() { reopened <- l.reopenLanes() }() // it takes as long as a start: health is watched meanwhile
		case err := <-reopened:
			reopening = false
			if l.ctx.Err() != nil {
				continue
			}
			if err != nil {
				return ended(l.truth(err))
			}
			if l.missingLanes() > 0 { // one ended while others were opened
				reopen = time.After(l.waits.wait(l.laneLived()))
			}
		case <-check.C:
			look()
		case <-l.pulse.look:
			if l.pulse.silent.Load() >= silentCalls {
				look()
			}
			if successor == nil {
				successor = l.succeed(soft)
			}
		case b := <-successor:
			successor = nil
			if b.err == nil {
				if reopening {
					<-reopened
				}
				return b.life, nil
			}
			if soft.Err() != nil || errors.Is(b.err, errRetired) {
				continue
			}
			l.peer.space(0)
			s.logger.Warn("a process stays although it is to be replaced: its successor does not start", "process", l.peer.number, "pid", l.pid, "error", b.err)
		case err := <-checked:
			checking = false
			check.Reset(max(0, time.Until(began.Add(s.healthInterval()))))
			l.pulse.checked(err)
			if err == nil {
				failed = 0
				l.askAgainLater()
				if successor == nil {
					successor = l.succeed(soft)
				}
				continue
			}
			if failed++; failed == failedChecks {
				return ended(err)
			}
			s.logger.Warn("a health check failed", "pid", l.pid, "failed", failed, "of", failedChecks, "error", err)
		}
	}
}

// truth is why a life ends whose lanes cannot be opened again: a process that has ended says more than the connection that it left. One that takes long
// to be gone, on a busy machine, is ended here, and had perhaps ended by itself.
func (l *life) truth(err error) error {
	if l.link.gone == nil {
		return err
	}
	select {
	case <-l.ctx.Done():
		return context.Cause(l.ctx)
	case <-time.After(2 * drainOutput):
	}
	l.link.close()
	if !l.link.byItself() {
		return err
	}
	<-l.ctx.Done() // watch has told its death
	return context.Cause(l.ctx)
}

// examine measures a managed process and asks it for its health.
func (l *life) examine() error {
	s := l.peer.server
	if s.cfg.Managed() {
		u := usageOf(int(l.pid))
		s.mu.Lock()
		l.usage = u
		s.mu.Unlock()
	}
	return l.checkAll()
}

// checkAll asks a server for its health, and then over its lanes.
func (l *life) checkAll() error {
	if err := l.checkHealth(); err != nil {
		return err
	}
	return l.checkLanes()
}

// checkHealth asks the standard health service. A server without one counts as healthy.
func (l *life) checkHealth() error {
	ctx, cancel := context.WithTimeout(l.ctx, l.peer.server.healthTime())
	defer cancel()
	r, err := grpc_health_v1.NewHealthClient(l.link.conn).Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: healthService})
	switch {
	case err == nil && r.Status == grpc_health_v1.HealthCheckResponse_SERVING, status.Code(err) == codes.Unimplemented:
		return nil
	case err == nil:
		return fmt.Errorf("the server says that it is %v", r.Status)
	}
	return fmt.Errorf("%w: %w", errHung, rpcError(ctx, err))
}

// askAgainLater lets askAgain run beside the watch, once at a time.
func (l *life) askAgainLater() {
	if l.asking.CompareAndSwap(false, true) {
		s := l.peer.server
		s.mu.Lock()
		defer s.mu.Unlock()
		s.later(func() {
			defer l.asking.Store(false)
			l.askAgain()
		})
	}
}

// finish ends a life in order: running calls, then the lanes, then the process. Lanes take no new calls any more. An attached server goes on
// living, perhaps for other hosts, whose calls are not waited for: only the instances are released.
func (l *life) finish(hard context.Context) {
	s := l.peer.server
	ctx, cancel := context.WithTimeout(hard, s.cfg.DrainTimeout+time.Second)
	defer cancel()
	if !s.cfg.Managed() {
		l.closeLanes("shutdown", "the host ends")
		l.releaseAll(ctx)
		l.end(errStopping)
		return
	}
	if r, err := l.client.Drain(ctx, &pluginv1.DrainRequest{TimeoutMs: uint32(s.cfg.DrainTimeout.Milliseconds())}); err != nil {
		s.logger.Warn("the plugin server does not drain", "pid", l.pid, "error", rpcError(ctx, err))
	} else if !r.Drained {
		s.logger.Warn("calls still run on the plugin server after the time for draining", "pid", l.pid, "timeout", s.cfg.DrainTimeout)
	}
	l.closeLanes("shutdown", "the host lets this process end")
	l.end(errStopping) // the process does not die by itself from here on
	l.link.shutdown(hard)
}

// releaseAll frees the instances in a server that goes on living.
func (l *life) releaseAll(ctx context.Context) {
	s := l.peer.server
	r := &pluginv1.ReleaseRequest{}
	s.mu.Lock()
	for id := range l.applied {
		r.InstanceIds = append(r.InstanceIds, id)
	}
	s.mu.Unlock()
	if len(r.InstanceIds) == 0 {
		return
	}
	if _, err := l.client.Release(ctx, r); err != nil {
		s.logger.Warn("cannot release instances", "pid", l.pid, "error", rpcError(ctx, err))
	}
}

func (l *life) closeLanes(code, msg string) {
	l.peer.server.mu.Lock()
	lanes := l.lanes
	l.peer.server.mu.Unlock()
	closeLanes(lanes, code, msg)
}

func closeLanes(lanes []*lane, code, msg string) {
	for _, n := range lanes {
		_ = n.Close(code, msg)
	}
}

// close frees what the life holds and takes its lanes out of use.
func (l *life) close() {
	s := l.peer.server
	s.mu.Lock()
	switch l {
	case l.peer.life:
		l.peer.life = nil
		l.peer.setLanes(nil)
	case l.peer.next:
		l.peer.next = nil
	}
	s.mu.Unlock()
	l.end(errStopping)
	l.link.close() // first: a dead process cannot hold up the goodbyes
	l.closeLanes("closed", "the host ends this connection")
}
