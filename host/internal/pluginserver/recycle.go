package pluginserver

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"
)

// Recycle says when a process is replaced although it is well. A zero field never is a reason.
type Recycle struct {
	Calls  uint64        // that it has taken
	Memory uint64        // resident bytes of the process and its descendants
	Age    time.Duration // since it took its first call
}

// begun is what became of the start of a successor.
type begun struct {
	life *life
	err  error
}

// expect draws how many calls a new life takes, and how old it gets: between nine tenths and all of what is set, so that processes that started
// together do not end together.
func (l *life) expect(r Recycle) {
	if r.Calls > 0 {
		l.pulse.most = r.Calls - rand.N(r.Calls/10+1)
	}
	if r.Age > 0 {
		l.expires = time.Now().Add(r.Age - rand.N(r.Age/10+1))
	}
}

// worn says why the process is to be replaced; empty: it is not.
func (l *life) worn(now time.Time) string {
	s := l.peer.server
	s.mu.Lock()
	rss := l.usage.rss
	s.mu.Unlock()
	r := s.cfg.Recycle
	switch calls := l.pulse.calls.Load(); {
	case l.pulse.most > 0 && calls >= l.pulse.most:
		return fmt.Sprintf("it has taken %d calls", calls)
	case r.Memory > 0 && rss > r.Memory:
		return fmt.Sprintf("it holds %d bytes of memory, more than %d", rss, r.Memory)
	case !l.expires.IsZero() && now.After(l.expires):
		return fmt.Sprintf("it has run for %v", now.Sub(l.begun).Round(time.Second))
	}
	return ""
}

// succeed starts a successor when the process is worn, and returns where it arrives; nil: not now. The successor gets all instances and then takes
// the place of this life. One process of a server is replaced at a time, and the attempts to replace one process are spaced by the back-off, so
// that neither a limit that every new process is over at once nor a successor that does not start costs more than a crash loop.
func (l *life) succeed(soft context.Context) chan begun {
	s, p, now := l.peer.server, l.peer, time.Now()
	why := l.worn(now)
	if why == "" || l.ctx.Err() != nil || s.whatRole() != current || now.Before(p.notBefore) {
		return nil
	}
	select {
	case s.recycling <- struct{}{}:
	default:
		return nil
	}
	s.logger.Info("a process is replaced", "process", p.number, "pid", l.pid, "reason", why)
	arrives := make(chan begun, 1)
	go func() {
		next, err := p.begin(soft)
		if err != nil {
			s.recycled(false, p)
		}
		arrives <- begun{next, err}
	}()
	return arrives
}

// space puts a wait before the next replacement, after a process that has taken calls for lived was replaced; 0: it was not.
func (p *peer) space(lived time.Duration) { p.notBefore = time.Now().Add(p.spaced.wait(lived)) }

// recycled ends the replacement of a process: another one may be replaced. done says that its successor took its place.
func (s *Server) recycled(done bool, p *peer) {
	<-s.recycling
	s.mu.Lock()
	defer s.mu.Unlock()
	if done {
		p.recycled++
	}
	for _, p := range s.peers {
		if p.life != nil {
			wake(p.life.pulse.look)
		}
	}
}

// leave ends a life whose place another one has taken: its running calls end, no longer than DrainTimeout, then the process.
func (l *life) leave(hard context.Context) {
	s := l.peer.server
	s.mu.Lock()
	lanes := l.lanes
	s.mu.Unlock()
	drain, cancel := context.WithTimeout(l.ctx, s.cfg.DrainTimeout)
	defer cancel()
	for _, n := range lanes {
		n.empty(drain)
	}
	l.finish(hard)
	l.close()
}
