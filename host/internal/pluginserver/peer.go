package pluginserver

import (
	"context"
	"log/slog"
	"time"
)

// States of a server and of its processes.
const (
	StateStarting = "starting" // the first attempt runs
	StateReady    = "ready"    // lanes take calls
	StateDown     = "down"     // failed or died: waits, or is being tried again
	StateStopping = "stopping"
)

// peer is one process of a server, or the connection to an attached one, through all its lives.
type peer struct {
	server *Server
	number int // from 0
	opener opener
	waits  waits // owned by run
	done   chan struct{}
	// first is closed when the peer is ready for the first time, or when Start need not wait for it any more.
	first     chan struct{}
	firstDone bool // owned by run

	// Guarded by the server's mu.
	life   *life // nil while there is none
	lanes  []*lane
	state  string
	cause  error     // why it is not ready; nil when it is, or is not known yet
	since  time.Time // of state
	starts int
}

// run keeps the peer alive until soft ends; hard ends it at once.
func (p *peer) run(soft, hard context.Context) {
	defer close(p.done)
	defer p.settle()
	said := ""
	for soft.Err() == nil {
		lived, err := p.live(soft, hard)
		if soft.Err() != nil {
			return
		}
		switch p.server.whatRole() {
		case trial: // Begin tells why
			return
		case retired:
			p.server.logger.Warn("an old build of the plugin server ended before its last requests", "process", p.number, "error", err)
			return
		}
		wait := p.waits.wait(lived)
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
	}
}

// live runs one life and returns how long it took calls and why it ended.
func (p *peer) live(soft, hard context.Context) (time.Duration, error) {
	s := p.server
	s.mu.Lock()
	p.starts++
	s.mu.Unlock()
	l, err := p.begin(soft)
	if err != nil {
		p.down(err)
		if s.cfg.Managed() { // what does not start at all seldom starts a second later
			p.settle()
		}
		return 0, err
	}
	ready := time.Now()
	s.logger.Info("plugin server is ready", "process", p.number, "pid", l.pid, "sdk", l.desc.sdk, "carrier", s.cfg.Carrier, "lanes", len(l.lanes))
	s.tell()
	p.settle()
	err = l.run(soft, hard)
	l.close()
	p.down(err)
	return time.Since(ready), err
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
	p.setState(StateDown)
	s.rebuild()
	s.mu.Unlock()
	s.tell()
}

// setLanes changes the lanes that take calls; the server's mu is held.
func (p *peer) setLanes(lanes []*lane) {
	p.lanes = lanes
	if len(lanes) > 0 {
		p.cause = nil
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
