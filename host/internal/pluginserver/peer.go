package pluginserver

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
)

// States of a server and of its processes.
const (
	StateStarting = "starting" // the first attempt runs
	StateReady    = "ready"    // lanes take calls
	StateDown     = "down"     // failed or died: waits, or is being tried again
	// StateCrashLoop: it died too often. Nothing is started until the hold is over; then one start is the probe.
	StateCrashLoop = "crash_loop"
	StateStopping  = "stopping"
	// StateEjected: an address of an attached server that is connected and left out, because its calls fail while others answer.
	StateEjected = "ejected"
	// StateDraining: an attached server that says it goes away. It gets no calls, those that run end.
	StateDraining = "draining"
)

// peer is one process of a server, or the connection to an attached one, through all its lives.
type peer struct {
	server *Server
	number int // from 0
	opener opener
	done   chan struct{}
	// Owned by run.
	breaker   breaker
	spaced    waits          // between replacements of a worn process
	notBefore time.Time      // the next replacement
	leaving   sync.WaitGroup // lives whose place another one has taken
	before    *life          // of an attached server: the last one, until there is another
	ranDry    bool           // before lost its lanes by itself
	// first is closed when the peer is ready for the first time, or when Start need not wait for it any more.
	first     chan struct{}
	firstDone bool // owned by run

	// Guarded by the server's mu.
	life      *life // takes calls, or did; nil while there is none
	next      *life // gets its instances, and then takes the place of life
	lanes     []*lane
	state     string
	cause     error     // why it is not ready; nil when it is, or is not known yet
	since     time.Time // of state
	attempt   time.Time // when it is started next; zero: now, or it runs
	starts    int
	restarts  int // starts after the first that were no replacement of a worn process
	recycled  int
	out       string            // StateEjected or StateDraining: it is connected and gets no calls; empty: in service
	hosts     []entity.Manifest // of an attached server that has answered; nil: it is not there
	ejections waits             // between an ejection and the return
}

// run keeps the peer alive until soft ends; hard ends it at once.
func (p *peer) run(soft, hard context.Context) {
	defer close(p.done)
	defer p.settle()
	defer p.leaving.Wait()
	said := ""
	for soft.Err() == nil {
		lived, err := p.live(soft, hard)
		if soft.Err() != nil || p.over(err) {
			return
		}
		wait := p.rest(lived, err)
		level := slog.LevelWarn
		if err.Error() == said && lived == 0 { // a server that is not there for hours is worth one line, not thousands
			level = slog.LevelDebug
		}
		said = err.Error()
		p.server.logger.Log(soft, level, "plugin server is down", "process", p.number, "error", err, "retry_in", wait)
		select {
		case <-soft.Done():
		case <-time.After(wait):
		}
		if p.server.whatRole() == retired { // meanwhile: what is started now would be the new build
			return
		}
	}
}

// over says whether a life that has ended is the last one of its peer: only the current build of a server is started again.
func (p *peer) over(err error) bool {
	switch p.server.whatRole() {
	case trial: // Begin tells why; an address that nobody listens at may still come
		return p.server.cfg.Managed()
	case retired:
		p.server.logger.Warn("an old build of the plugin server ended before its last requests", "process", p.number, "error", err)
		return true
	}
	return false
}

// rest decides how long nothing is started after a death, and shows it.
func (p *peer) rest(lived time.Duration, err error) time.Duration {
	s := p.server
	now := time.Now()
	wait, held := p.breaker.died(now, lived)
	s.mu.Lock()
	p.attempt = now.Add(wait)
	if held {
		p.cause = p.breaker.said(p.attempt, err)
		p.setState(StateCrashLoop)
		s.rebuild()
		if !s.ready {
			s.change()
		}
	}
	s.mu.Unlock()
	if held {
		s.logger.Error("a process of the plugin server dies again and again: nothing is started for a while", "process", p.number, "error", err,
			"hold", wait.Round(time.Second), "deaths", p.breaker.Deaths, "within", p.breaker.Within)
		s.tell()
	}
	return wait
}

// live runs one life, and those that take its place, and returns how long they took calls without a death between them, and why the last one ended.
func (p *peer) live(soft, hard context.Context) (time.Duration, error) {
	s := p.server
	s.mu.Lock()
	p.attempt = time.Time{}
	if p.starts > 0 {
		p.restarts++
	}
	s.mu.Unlock()
	l, err := p.begin(soft)
	if err != nil {
		p.down(err)
		// What does not start at all seldom starts a second later, and one address that answers is enough to begin.
		if s.cfg.Managed() || s.isReady() || s.whatRole() == trial {
			p.settle()
		}
		return 0, err
	}
	p.before = nil
	since := l.begun
	for {
		s.logger.Info("plugin server is ready", "process", p.number, "pid", l.pid, "sdk", l.desc.sdk, "carrier", s.cfg.Carrier, "lanes", l.desc.lanes)
		s.tell()
		p.settle()
		if !s.cfg.Managed() {
			go l.attend()
		}
		next, err := l.run(soft, hard)
		if next == nil {
			if !s.cfg.Managed() {
				p.before, p.ranDry = l, l.endsDry()
			}
			l.close()
			p.down(err)
			return time.Since(since), err
		}
		p.space(time.Since(l.begun))
		if err != nil { // a death, although its successor is there already
			since = next.begun
		}
		p.replace(l, err, hard)
		l = next
	}
}

// replace ends a life whose place another one has taken. ended says why it has ended by itself; nil: its calls go on.
func (p *peer) replace(old *life, ended error, hard context.Context) {
	p.leaving.Go(func() {
		if ended != nil {
			p.server.logger.Warn("a process ended while its successor started", "process", p.number, "pid", old.pid, "error", ended)
			old.close()
		} else {
			old.leave(hard)
		}
		p.server.recycled(true, p)
	})
}

// settle tells Start that it need not wait for this peer.
func (p *peer) settle() {
	if !p.firstDone {
		p.firstDone = true
		close(p.first)
	}
}

// down notes that the peer does not live, and why.
func (p *peer) down(err error) {
	s := p.server
	s.mu.Lock()
	p.cause = err
	p.out, p.hosts = "", nil
	p.setState(StateDown)
	s.rebuild()
	s.mu.Unlock()
	s.tell()
}

// setLanes changes the lanes that take calls; the server's mu is held.
func (p *peer) setLanes(lanes []*lane) {
	p.lanes = lanes
	if p.out != "" {
		p.server.rebuild()
		return
	}
	if len(lanes) > 0 {
		p.cause = nil
		p.attempt = time.Time{}
		p.setState(StateReady)
	} else if p.state == StateReady {
		p.setState(StateDown)
	}
	p.server.rebuild()
}

func (p *peer) setState(state string) {
	if p.state != state {
		p.state, p.since = state, time.Now()
	}
}
