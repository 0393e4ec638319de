package pluginserver

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// dropLane takes a dead lane out of use.
func (l *life) dropLane(dead *lane) {
	s := l.peer.server
	s.mu.Lock()
	l.lanes = slices.DeleteFunc(slices.Clone(l.lanes), func(o *lane) bool { return o == dead })
	left := len(l.lanes)
	if l.peer.life == l {
		l.peer.cause = fmt.Errorf("its lane ended: %w", dead.Err())
		l.peer.setLanes(l.lanes)
	}
	s.mu.Unlock()
	s.logger.Warn("a lane ended", "pid", l.pid, "left", left, "error", dead.Err())
	s.tell()
}

// dropLanes takes the lanes of a life that has ended out of use.
func (l *life) dropLanes(why error) {
	s := l.peer.server
	s.mu.Lock()
	if l.peer.life == l {
		l.peer.cause = why
		l.peer.setLanes(nil)
	}
	s.mu.Unlock()
	s.tell()
}

// missingLanes is how many lanes are to be opened again.
func (l *life) missingLanes() int {
	l.peer.server.mu.Lock()
	defer l.peer.server.mu.Unlock()
	return l.desc.lanes - len(l.lanes)
}

// laneLived is the time since a lane was opened.
func (l *life) laneLived() time.Duration {
	l.peer.server.mu.Lock()
	defer l.peer.server.mu.Unlock()
	return time.Since(l.opened)
}

// reopenLanes replaces dead lanes. It fails when the process is gone, or when another one answers in its place.
func (l *life) reopenLanes() error {
	s := l.peer.server
	ctx, cancel := context.WithTimeout(l.ctx, s.cfg.StartTimeout)
	defer cancel()
	d, err := l.describe(ctx)
	if err != nil {
		return err
	}
	if d.identity != l.desc.identity {
		return errElsewhere
	}
	lanes, err := l.openLanes(ctx, l.missingLanes())
	if err != nil {
		return err
	}
	if err := l.publish(lanes); err != nil {
		return err
	}
	s.tell()
	return nil
}
