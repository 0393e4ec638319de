package pluginserver

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

// maxRetired is how many old builds of one server may serve the rest of their requests at the same time. A request can last for hours; a
// source that is saved every minute must not keep sixty processes alive. The oldest build beyond it gets DrainTimeout, then it ends.
const maxRetired = 4

// Config of the server, with its defaults.
func (s *Server) Config() Config { return s.cfg }

// Begin starts a new build of a managed server beside the current one, and waits until all its processes are ready. Nobody uses it until
// it is promoted; the caller ends it with Abandon when it does not come to that. cfg names the server; the rest of it may differ.
//
// When Begin fails, or ctx ends, nothing of the new build is left.
func (ss *Servers) Begin(ctx context.Context, cfg Config) (*Server, error) {
	ss.mu.Lock()
	old := ss.find(cfg.Name)
	ss.mu.Unlock()
	switch {
	case old == nil:
		return nil, fmt.Errorf("there is no plugin server %q", cfg.Name)
	case !old.cfg.Managed() || !cfg.Managed():
		return nil, fmt.Errorf("plugin server %q is attached: the host does not start it; restart it where it runs, the host connects again", cfg.Name)
	}
	return ss.try(ctx, cfg, old.telling)
}

// try starts a build on trial and waits until all its processes are ready. Nothing of it is left when it fails.
func (ss *Servers) try(ctx context.Context, cfg Config, telling *sync.Mutex) (*Server, error) {
	s, a, err := ss.build(cfg)
	if err != nil {
		return nil, err
	}
	s.role, s.telling = trial, telling
	if err := ss.begin(s, a); err != nil {
		s.endHard()
		return nil, err
	}
	s.start()
	if err := s.await(ctx, time.Now()); err != nil {
		s.endHard()
		s.Abandon()
		return nil, fmt.Errorf("start build %d of plugin server %q: %w", s.number, cfg.Name, err)
	}
	if err := s.lives(); err != nil {
		s.Abandon()
		return nil, fmt.Errorf("build %d of plugin server %q does not start: %w", s.number, cfg.Name, err)
	}
	return s, nil
}

// begin takes a build that is to be started into the list of those that end with the host.
func (ss *Servers) begin(s *Server, a *account) error {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	if ss.ended {
		return &UnreachableError{s.cfg.Name, errStopping.Error()}
	}
	if s.cfg.Managed() {
		if err := ss.openRunDir(a); err != nil {
			return err
		}
	}
	ss.builds[s.cfg.Name]++
	s.number = ss.builds[s.cfg.Name]
	ss.others[s] = true
	return nil
}

// Number of the build among those of its server, from 1. Builds that failed count too.
func (s *Server) Number() int { return s.number }

// Add starts a server that the host did not have, managed or attached, and makes it a current one when all its processes are ready. No
// generation uses it yet. When it fails nothing of it is left.
func (ss *Servers) Add(ctx context.Context, cfg Config) error {
	if ss.Server(cfg.Name) != nil {
		return fmt.Errorf("there is a plugin server %q already", cfg.Name)
	}
	s, err := ss.try(ctx, cfg, new(sync.Mutex))
	if err != nil {
		return err
	}
	ss.mu.Lock()
	err = ss.enter(s)
	ss.mu.Unlock()
	if err != nil {
		s.Abandon()
		return fmt.Errorf("add plugin server %q: %w", cfg.Name, err)
	}
	s.tell()
	return nil
}

// enter makes a server on trial one of the current ones; ss.mu is held.
func (ss *Servers) enter(s *Server) error {
	if ss.ended {
		return errStopping
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	// A process that ends from here on is started again: who looks at its state and its role does so with mu held.
	if err := s.livesLocked(); err != nil {
		return err
	}
	if err := ss.claimLocked(s, s.manifests, true); err != nil {
		return err
	}
	s.role = current
	s.change()
	delete(ss.others, s)
	ss.list = append(slices.Clone(ss.list), s)
	slices.SortFunc(ss.list, byName)
	return nil
}

// Remove takes a server out of the current ones; its plugins can be hosted by others from now on. It serves the calls of its instances until
// they are released, and then ends; Remove does not wait for that.
func (ss *Servers) Remove(name string) {
	ss.mu.Lock()
	s := ss.find(name)
	if s == nil {
		ss.mu.Unlock()
		return
	}
	s.mu.Lock()
	s.role = retired
	s.mu.Unlock()
	maps.DeleteFunc(ss.owners, func(_, owner string) bool { return owner == name })
	ss.list = slices.DeleteFunc(slices.Clone(ss.list), func(o *Server) bool { return o == s })
	ss.others[s] = true
	over := ss.retire(s)
	ss.mu.Unlock()
	ss.leave(s, over)
}

// Lives is an error when the build does not take calls with all its processes, and why.
func (s *Server) Lives() error { return s.lives() }

// lives is an error when a process of the server is not ready. Of an attached server one address is enough: the others may come later.
func (s *Server) lives() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.livesLocked()
}

func (s *Server) livesLocked() error {
	if !s.cfg.Managed() && s.ready {
		return nil
	}
	for _, p := range s.peers {
		switch {
		case p.state == StateReady:
		case p.cause != nil:
			return p.cause
		default:
			return errNoAnswerYet
		}
	}
	return nil
}

// Check asks every process of the server for its health.
func (s *Server) Check() error {
	s.mu.Lock()
	lives := s.takingCalls()
	s.mu.Unlock()
	for _, l := range lives {
		if err := l.checkHealth(); err != nil {
			return fmt.Errorf("pid %d: %w", l.pid, err)
		}
	}
	return s.lives()
}

// Promote makes a build that was begun the current one of its server, if all its processes live and have all its instances. The build
// before it serves the calls of its instances until they are released, and then ends; Promote does not wait for that. When Promote fails
// nothing has changed.
func (ss *Servers) Promote(next *Server) error {
	ss.mu.Lock()
	old := ss.find(next.cfg.Name)
	err := ss.exchange(old, next)
	var over []*Server
	if err == nil {
		over = ss.retire(old)
	}
	ss.mu.Unlock()
	if err != nil {
		return err
	}
	next.tell()
	ss.leave(old, over)
	return nil
}

// Retire ends a build on trial that requests use: it serves the calls of its instances until they are released, and then ends. Retire does not
// wait for that.
func (ss *Servers) Retire(s *Server) {
	ss.mu.Lock()
	s.mu.Lock()
	s.role = retired
	s.mu.Unlock()
	over := ss.retire(s)
	ss.mu.Unlock()
	ss.leave(s, over)
}

// retire notes an old build, and returns those that are too many now; ss.mu is held since the build became one.
func (ss *Servers) retire(s *Server) (over []*Server) {
	ss.retired = append(ss.retired, s)
	same := ss.retiredLocked(s.cfg.Name)
	return same[:max(0, len(same)-maxRetired)]
}

// leave ends an old build now, if no request uses it, and those that are too many. Else its end comes with the release of its last instance.
func (ss *Servers) leave(s *Server, over []*Server) {
	s.mu.Lock()
	idle := len(s.instances) == 0
	s.mu.Unlock()
	if idle {
		go ss.finish(s)
	}
	for _, s := range over {
		s.logger.Warn("requests keep too many old builds of the plugin server alive: the oldest ends", "drain_timeout", s.cfg.DrainTimeout, "kept", maxRetired)
		go ss.finish(s)
	}
}

// Cause waits for the end of a process so long: when all seems well, and when something is lost already.
const (
	endTime  = time.Second
	lostTime = 10 * time.Second
)

// Cause is what err, which a call or a check of a build on trial met, comes from: a process that ends shuts its sockets first, and says with its
// end why. Without such an end it is err.
func (s *Server) Cause(err error) error {
	most := endTime
	if s.lives() != nil {
		most = lostTime
	}
	ctx, cancel := context.WithTimeout(context.Background(), most)
	defer cancel()
	ended := make(chan struct{}, len(s.peers))
	for _, p := range s.peers {
		go func() {
			select {
			case <-p.done:
				ended <- struct{}{}
			case <-ctx.Done():
			}
		}()
	}
	select {
	case <-ended:
		if why := s.lives(); why != nil {
			return why
		}
	case <-ctx.Done():
	}
	return err
}

// Complete is an error when the build lacks a process or an instance, and could not be promoted.
func (s *Server) Complete() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.livesLocked(); err != nil {
		return err
	}
	return s.refused()
}

// exchange puts next into old's place; ss.mu is held.
func (ss *Servers) exchange(old, next *Server) error {
	if ss.ended {
		return errStopping
	}
	next.mu.Lock()
	defer next.mu.Unlock()
	// A process that ends from here on is started again: who looks at its state and its role does so with mu held.
	if err := next.livesLocked(); err != nil {
		return err
	}
	if err := next.refused(); err != nil {
		return err
	}
	if err := ss.claimLocked(next, next.manifests, true); err != nil {
		return err
	}
	old.mu.Lock()
	defer old.mu.Unlock()
	old.role, next.role = retired, current
	if old.ready != next.ready { // the server is the same: only a difference is news
		next.change()
	}
	ss.list[slices.Index(ss.list, old)] = next
	delete(ss.others, next)
	ss.others[old] = true
	return nil
}

// refused is the error of an instance that a process does not have; mu is held.
func (s *Server) refused() error {
	for _, p := range s.peers {
		for id, in := range s.instances {
			switch a, asked := p.life.applied[id]; {
			case asked && a.instance == in && a.err != nil:
				return a.err
			case !asked || a.instance != in:
				return fmt.Errorf("plugin %q: %w", in.Plugin, errNoAnswerYet)
			}
		}
	}
	return nil
}

// Abandon ends a build that was begun and not promoted, and waits until its processes are gone.
func (s *Server) Abandon() { s.servers.finish(s) }

// finish ends a build that is not the current one.
func (ss *Servers) finish(s *Server) {
	s.stop(ss.hard)
	ss.mu.Lock()
	defer ss.mu.Unlock()
	delete(ss.others, s)
	ss.retired = slices.DeleteFunc(ss.retired, func(o *Server) bool { return o == s })
}

// retiredOf counts the old builds of a server that have not ended.
func (ss *Servers) retiredOf(name string) int {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	return len(ss.retiredLocked(name))
}

func (ss *Servers) retiredLocked(name string) []*Server {
	var same []*Server
	for _, s := range ss.retired {
		if s.cfg.Name == name {
			same = append(same, s)
		}
	}
	return same
}

// letGo ends a retired build whose last instances are being released: first they are closed, then the processes end.
func (s *Server) letGo(ids []uint64) {
	s.mu.Lock()
	lives := s.takingCalls()
	s.mu.Unlock()
	for _, l := range lives {
		l.release(ids...)
	}
	s.servers.finish(s)
}

// Canary is a new build that takes a share of the requests, as an operator sees it.
type Canary struct {
	Build    int       `json:"build"`
	Share    float64   `json:"share"` // of the requests, 0 to 1
	Since    time.Time `json:"since"`
	For      float64   `json:"for"` // seconds
	MinCalls int       `json:"min_calls"`
	Verdict  string    `json:"verdict"`
	Reason   string    `json:"reason"`
	New      Calls     `json:"new"`
	Old      Calls     `json:"old"`
}

// Calls are the calls of one build since a canary began.
type Calls struct {
	Calls  uint64  `json:"calls"`
	Errors uint64  `json:"errors"`
	Median float64 `json:"median_ms"`
}

// Replacement is how an attempt to replace a build went.
type Replacement struct {
	Build   int       `json:"build,omitempty"` // 0: it never became one
	At      time.Time `json:"at"`              // of the result
	Trigger string    `json:"trigger"`         // admin, signal, dev
	Result  string    `json:"result"`          // live, canary, failed, rolled back
	Reason  string    `json:"reason,omitempty"`
}

// Results of replacements.
const (
	ResultLive       = "live"        // it takes all requests
	ResultCanary     = "canary"      // it takes a share
	ResultFailed     = "failed"      // it never took one
	ResultRolledBack = "rolled back" // it took a share, and takes none any more
)
