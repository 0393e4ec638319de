package pluginserver

import "errors"

// watch ends a life with its process.
func (l *life) watch() {
	select {
	case <-l.link.gone:
	case <-l.ctx.Done():
		return
	}
	if l.ctx.Err() == nil && l.link.byItself() {
		l.tellDeath()
	}
	l.end(errors.New(l.link.ending()))
}

// tellDeath tells that the process of the life has died by itself.
func (l *life) tellDeath() {
	if s, life := l.peer.server, l.pulse.life.Load(); life != 0 && s.opts.OnDeath != nil {
		s.opts.OnDeath(life)
	}
}

// follow takes up from the attached process of the life before this one. If this is another process, and all lanes of that one had ended without a
// word that it goes away, it has died. A connection that was lost alone is no death, nor is one that we gave up with its lanes open: the process
// still has the instances that were released meanwhile, and they are dropped.
func (l *life) follow() {
	s, before := l.peer.server, l.peer.before
	switch {
	case before == nil:
	case before.desc.identity == l.desc.identity:
		s.mu.Lock()
		for id, a := range before.applied {
			if s.instances[id] == nil {
				l.applied[id] = a
			}
		}
		s.mu.Unlock()
	default:
		l.peer.before = nil
		if l.peer.ranDry {
			before.tellDeath()
		}
	}
}

// endsDry says whether all lanes ended before the life does, although the server had not said that it goes away.
func (l *life) endsDry() bool {
	l.peer.server.mu.Lock()
	defer l.peer.server.mu.Unlock()
	return len(l.lanes) == 0 && l.peer.out != StateDraining
}
