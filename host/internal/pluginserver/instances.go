package pluginserver

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pluginv1 "github.com/outrigger-gateway/outrigger/proto/gen/outrigger/plugin/v1"
)

// configureAtOnce is how many instances a new process is given at the same time.
const configureAtOnce = 16

// Instance is one configuration of a plugin, running. It is not changed after Configure.
type Instance struct {
	ID           uint64 // chosen by the host; never used again
	Plugin       string
	Config       []byte // JSON object, defaults filled in
	RecordID     string
	InstanceName string
	// Redact takes the secrets of Config out of what a plugin says about it; nil: it has none.
	Redact func(text string) string
}

// said is what a plugin said about the instance, without secrets.
func (in *Instance) said(text string) string {
	if in.Redact == nil {
		return text
	}
	return in.Redact(text)
}

// applied says what became of an instance in one life of a peer.
type applied struct {
	instance *Instance
	err      error // nil: accepted
	again    bool  // not refused, only not answered: asked again later
}

// Configure creates the instance in every process of the server, or replaces the one with its id.
//
// A *ConfigError means that the plugin refuses the configuration: no process keeps it. An *UnreachableError means that no process
// could be asked: the instance is remembered until Release, and a process gets it before it takes calls again. When ctx ends first
// its cause is returned, and the instance is remembered too.
func (s *Server) Configure(ctx context.Context, in Instance) error {
	s.mu.Lock()
	if s.stopping {
		s.mu.Unlock()
		return &UnreachableError{s.cfg.Name, "it is being stopped"}
	}
	before := s.instances[in.ID]
	s.instances[in.ID] = &in
	lives := s.takingCalls()
	reason := s.reason().Error()
	s.mu.Unlock()
	if len(lives) == 0 {
		return &UnreachableError{s.cfg.Name, reason}
	}

	errs := make([]error, len(lives))
	var wg sync.WaitGroup
	for i, l := range lives {
		wg.Go(func() { errs[i] = l.configure(ctx, &in) })
	}
	wg.Wait()

	for _, err := range errs {
		var refused *ConfigError
		if errors.As(err, &refused) {
			s.takeBack(&in, before)
			return refused
		}
	}
	switch {
	case slices.Contains(errs, nil): // a process that did not answer is asked again until it does
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("configure plugin %q on plugin server %q: %w", in.Plugin, s.cfg.Name, context.Cause(ctx))
	}
	return errs[0]
}

// takeBack undoes a configuration that was refused, also in processes that came up meanwhile.
func (s *Server) takeBack(in, before *Instance) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.instances[in.ID] != in {
		return
	}
	if before != nil { // a process that refused still runs it; one that accepted gets it again
		s.instances[in.ID] = before
		for _, l := range s.allLives() {
			s.later(func() { _ = l.configure(l.ctx, before) })
		}
		return
	}
	delete(s.instances, in.ID)
	s.releaseLater(in.ID)
}

// allLives lists the lives that have instances, or get them; s.mu is held.
func (s *Server) allLives() (lives []*life) {
	for _, p := range s.peers {
		for _, l := range []*life{p.life, p.next} {
			if l != nil {
				lives = append(lives, l)
			}
		}
	}
	return lives
}

// releaseLater tells every process that instances are done with; s.mu is held.
func (s *Server) releaseLater(ids ...uint64) {
	for _, l := range s.allLives() {
		s.later(func() { l.release(ids...) })
	}
}

// later runs f in the background, unless the server is being stopped; s.mu is held.
func (s *Server) later(f func()) {
	if !s.stopping {
		s.background.Go(f)
	}
}

// Release closes instances in every process, once their running calls are done. It does not wait.
func (s *Server) Release(ids ...uint64) {
	if len(ids) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range ids {
		delete(s.instances, id)
	}
	if s.role == retired && len(s.instances) == 0 && !s.stopping {
		go s.letGo(ids)
		return
	}
	s.releaseLater(ids...)
}

// configure asks one process and keeps what it said. The error is a *ConfigError or an *UnreachableError.
func (l *life) configure(ctx context.Context, in *Instance) error {
	s := l.peer.server
	err, again := l.ask(ctx, in)
	s.mu.Lock()
	current := s.instances[in.ID]
	switch {
	case current == in, current == nil && err == nil:
		l.applied[in.ID] = applied{in, err, again}
	case current == nil: // nothing to release
		delete(l.applied, in.ID)
	}
	s.mu.Unlock()
	if current == nil && err == nil { // released while it was on its way
		l.release(in.ID)
	}
	return err
}

// ask sends one Configure. again says that the process did not answer.
func (l *life) ask(ctx context.Context, in *Instance) (err error, again bool) {
	s := l.peer.server
	ctx, cancel := context.WithTimeout(ctx, s.cfg.StartTimeout)
	defer cancel()
	defer context.AfterFunc(l.ctx, cancel)()
	r, rpcErr := l.client.Configure(ctx, &pluginv1.ConfigureRequest{
		InstanceId: in.ID, Plugin: in.Plugin, Config: in.Config, RecordId: in.RecordID, InstanceName: in.InstanceName,
	})
	refusal := &ConfigError{Server: s.cfg.Name, Plugin: in.Plugin}
	switch code := status.Code(rpcErr); {
	case rpcErr == nil && len(r.Errors) == 0:
		return nil, false
	case rpcErr == nil:
		for _, f := range r.Errors {
			refusal.Fields = append(refusal.Fields, FieldError{f.Path, in.said(f.Message)})
		}
		return refusal, false
	case code == codes.Unavailable || code == codes.DeadlineExceeded || code == codes.Canceled:
		words := rpcError(ctx, rpcErr)
		if l.ctx.Err() != nil {
			words = context.Cause(l.ctx)
		}
		return &UnreachableError{s.cfg.Name, fmt.Sprintf("configure plugin %q: %v", in.Plugin, words)}, true
	default:
		refusal.Fields = []FieldError{{Message: fmt.Sprintf("%s: %s", code, in.said(status.Convert(rpcErr).Message()))}}
		return refusal, false
	}
}

// release tells one process that instances are done with.
func (l *life) release(ids ...uint64) {
	s := l.peer.server
	ctx, cancel := context.WithTimeout(l.ctx, s.cfg.StartTimeout)
	defer cancel()
	_, err := l.client.Release(ctx, &pluginv1.ReleaseRequest{InstanceIds: ids})
	s.mu.Lock()
	for _, id := range ids {
		if s.instances[id] == nil {
			delete(l.applied, id)
		}
	}
	s.mu.Unlock()
	if err != nil && l.ctx.Err() == nil {
		s.logger.Debug("cannot release instances", "pid", l.pid, "instances", ids, "error", rpcError(ctx, err))
	}
}

// sync brings the process up to what the server's instances are now, and then runs finish with s.mu held: no instance can come
// between. Instances that are refused or not answered do not stop the others: their calls get the fail mode's answer. An error means
// that the process does not live.
func (l *life) sync(finish func()) error {
	s := l.peer.server
	for {
		s.mu.Lock()
		todo, drop := l.missing()
		if len(todo)+len(drop) == 0 {
			finish()
			s.mu.Unlock()
			return nil
		}
		for _, id := range drop {
			delete(l.applied, id)
		}
		s.mu.Unlock()
		if len(drop) > 0 {
			l.release(drop...)
		}
		if err := l.configureAll(todo); err != nil {
			return err
		}
	}
}

// lacks is the error of an instance that this life does not have although old has it; s.mu is held.
func (l *life) lacks(old *life) error {
	for id, a := range l.applied {
		if had, ok := old.applied[id]; ok && had.err == nil && a.err != nil {
			return fmt.Errorf("plugin %q, instance %d: %w", a.instance.Plugin, id, a.err)
		}
	}
	return nil
}

// incomplete says whether the process refused an instance, or has not answered for one; s.mu is held.
func (l *life) incomplete() bool {
	for _, a := range l.applied {
		if a.err != nil {
			return true
		}
	}
	return false
}

// missing lists what this life was not told yet; s.mu is held.
func (l *life) missing() (todo []*Instance, drop []uint64) {
	s := l.peer.server
	for id, in := range s.instances {
		if l.applied[id].instance != in {
			todo = append(todo, in)
		}
	}
	for id := range l.applied {
		if s.instances[id] == nil {
			drop = append(drop, id)
		}
	}
	return todo, drop
}

// configureAll gives the process instances, several at once. It fails when the process does not live.
func (l *life) configureAll(todo []*Instance) error {
	s := l.peer.server
	var wg sync.WaitGroup
	var silent atomic.Bool
	slots := make(chan struct{}, configureAtOnce)
	for _, in := range todo {
		slots <- struct{}{}
		if l.ctx.Err() != nil {
			break
		}
		wg.Go(func() {
			defer func() { <-slots }()
			err := l.configure(l.ctx, in)
			if err == nil || l.ctx.Err() != nil {
				return
			}
			var unreachable *UnreachableError
			if errors.As(err, &unreachable) {
				silent.Store(true)
			}
			s.logger.Error("an instance is not configured: its requests get the answer of the fail mode",
				"pid", l.pid, "plugin", in.Plugin, "record", in.RecordID, "instance", in.ID, "error", err)
		})
	}
	wg.Wait()
	if l.ctx.Err() != nil {
		return context.Cause(l.ctx)
	}
	if silent.Load() {
		return l.checkHealth()
	}
	return nil
}

// askAgain asks for the instances that the process did not answer before.
func (l *life) askAgain() {
	s := l.peer.server
	s.mu.Lock()
	var todo []*Instance
	for id, a := range l.applied {
		if a.again && s.instances[id] == a.instance {
			todo = append(todo, a.instance)
		}
	}
	s.mu.Unlock()
	if len(todo) > 0 {
		_ = l.configureAll(todo) // a process that does not live is noticed by its health
	}
}
