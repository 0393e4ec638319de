package pluginserver

import (
	"fmt"
	"slices"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
)

// outlierCalls is how many calls in a row have to time out or to lose their lane before an address is left out.
const outlierCalls = 5

// ejection fills the zero fields of the times for which an address is left out.
func (b Backoff) ejection() Backoff {
	return b.or(Backoff{Min: 5 * time.Second, Max: 5 * time.Minute, Healthy: 10 * time.Minute})
}

// inService lists the lanes that calls choose from; mu is held. When all that is connected is ejected, that is better than nothing.
func (s *Server) inService() []*lane {
	var lanes, ejected []*lane
	for _, p := range s.peers {
		switch p.out {
		case "":
			lanes = append(lanes, p.lanes...)
		case StateEjected:
			ejected = append(ejected, p.lanes...)
		}
	}
	if len(lanes) == 0 {
		return ejected
	}
	return lanes
}

// eject leaves the address out whose calls keep failing, and returns for how long; 0: it stays. It stays when no other address answers, or when
// less than half of them would be left: then the cause is elsewhere, or the others could not bear its calls.
func (l *life) eject() time.Duration {
	s, p := l.peer.server, l.peer
	failed := l.pulse.failed.Load()
	s.mu.Lock()
	missing, answers := 1, false
	for _, o := range s.peers {
		switch {
		case o == p:
		case o.out != "" || len(o.lanes) == 0:
			missing++
		case o.life.pulse.failed.Load() < outlierCalls:
			answers = true
		}
	}
	if !answers || 2*missing > len(s.peers) || p.out != "" || p.life != l || len(p.lanes) == 0 {
		s.mu.Unlock()
		return 0
	}
	wait := p.ejections.wait(time.Since(p.since))
	p.leaveOut(StateEjected, fmt.Errorf("%d calls in a row failed while other addresses answer: left out for %v, then its health is checked", failed, wait.Round(time.Millisecond)))
	s.mu.Unlock()
	s.tell()
	s.logger.Warn("an address of the plugin server is ejected: its calls keep failing", "process", p.number, "address", p.address(), "failed", failed, "for", wait)
	return wait
}

// admit ends an ejection when the health check went well; else it returns for how long it goes on.
func (l *life) admit(checked error) time.Duration {
	s, p := l.peer.server, l.peer
	s.mu.Lock()
	if p.out != StateEjected || p.life != l {
		s.mu.Unlock()
		return 0
	}
	if checked != nil {
		wait := p.ejections.wait(0)
		p.cause = fmt.Errorf("ejected, and its health check fails: %w: left out for another %v", checked, wait.Round(time.Millisecond))
		s.mu.Unlock()
		return wait
	}
	l.pulse.failed.Store(0)
	p.out = ""
	p.setLanes(p.lanes)
	s.mu.Unlock()
	s.tell()
	s.logger.Info("an address of the plugin server is back", "process", p.number, "address", p.address())
	return 0
}

// difference says in what two lists of plugins differ; empty: in nothing that a request could notice.
func difference(here, there []entity.Manifest) string {
	find := func(list []entity.Manifest, name string) (entity.Manifest, bool) {
		i := slices.IndexFunc(list, func(m entity.Manifest) bool { return m.Name == name })
		if i < 0 {
			return entity.Manifest{}, false
		}
		return list[i], true
	}
	for _, m := range here {
		o, ok := find(there, m.Name)
		switch {
		case !ok:
			return fmt.Sprintf("plugin %q is missing", m.Name)
		case o.Version != m.Version:
			return fmt.Sprintf("plugin %q has version %s, not %s", m.Name, o.Version, m.Version)
		case string(o.Schema) != string(m.Schema):
			return fmt.Sprintf("plugin %q %s has another configuration schema", m.Name, m.Version)
		case !sameManifest(o, m):
			return fmt.Sprintf("plugin %q %s has another priority, other phases or other needs", m.Name, m.Version)
		}
	}
	for _, m := range there {
		if _, ok := find(here, m.Name); !ok {
			return fmt.Sprintf("plugin %q is there beside the others", m.Name)
		}
	}
	return ""
}
