package pluginserver

import "errors"

// watch ends a life with its process.
func (l *life) watch() {
	select {
	case <-l.link.gone:
	case <-l.ctx.Done():
		return
	}
	if l.ctx.Err() == nil {
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

// succeedsTheDead tells that the attached process before this one has died, if this is another one. A connection that was lost alone is no death,
// nor is one that we gave up, with its lanes open.
func (l *life) succeedsTheDead() {
	p := l.peer
	if p.lost != nil && p.lost.desc.identity != l.desc.identity {
		p.lost.tellDeath()
	}
	p.lost = nil
}

// ranDry says whether all lanes ended before the life did, although the server had not said that it goes away.
func (l *life) ranDry() bool {
	l.peer.server.mu.Lock()
	defer l.peer.server.mu.Unlock()
	return len(l.lanes) == 0 && l.peer.out != StateDraining
}
