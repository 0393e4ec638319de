package pluginserver

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/budget"
	"github.com/outrigger-gateway/outrigger/host/internal/transport"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// overdueAfter is the age at which the oldest call of a lane makes the lane one to avoid: the default deadline of a phase.
const overdueAfter = time.Second

// lane is one open lane of a server.
type lane struct {
	transport.Lane
	exclusive bool   // one call at a time
	features  uint32 // of the server at its other end
	busy      atomic.Bool
	pulse     *pulse // of the life that it belongs to

	unanswered atomic.Bool // the call that ended last timed out: perhaps nobody reads the lane, whatever the others of its life answer

	users   atomic.Int64  // calls that have entered it
	leaving atomic.Bool   // no call enters any more; set after the lane has been taken out of the set
	left    chan struct{} // cap 1: the last user of a leaving lane has gone
}

func newLane(t transport.Lane, p *pulse, exclusive bool) *lane {
	return &lane{Lane: t, exclusive: exclusive, features: t.Hello().Features, pulse: p, left: make(chan struct{}, 1)}
}

// enter begins a stay on the lane. It fails when the lane was taken out of use: there is a newer set to choose from.
func (l *lane) enter() bool {
	l.users.Add(1)
	if l.leaving.Load() {
		l.exit()
		return false
	}
	return true
}

func (l *lane) exit() {
	if l.users.Add(-1) == 0 && l.leaving.Load() {
		wake(l.left)
	}
}

// empty lets no call enter the lane any more, and waits for those that have, at most until ctx ends.
func (l *lane) empty(ctx context.Context) {
	l.leaving.Store(true)
	for l.users.Load() > 0 {
		select {
		case <-l.left:
		case <-ctx.Done():
			return
		}
	}
}

// call runs a call that has entered the lane.
func (l *lane) call(c *wire.Call, deadline time.Time, asker transport.Asker, out *wire.Outcome) error {
	defer l.exit()
	sent := !l.dead()
	err := l.Call(c, deadline, asker, out)
	l.heard(err, 1+c.Begun)
	return l.pulse.note(err, sent, 1+c.Begun)
}

// heard notes whether a call of one or several steps was answered; err is of the last step.
func (l *lane) heard(err error, steps int) {
	unanswered := l.unanswered.Load()
	switch {
	case err == nil || steps > 1:
		if unanswered {
			l.unanswered.Store(false)
		}
	case !unanswered && callTimedOut(err):
		l.unanswered.Store(true)
	}
}

func callTimedOut(err error) bool {
	e, ok := err.(*transport.Error)
	return ok && e.Kind == transport.Timeout
}

// dead says whether the lane has ended. A set may hold it for a while longer, and it looks idle.
func (l *lane) dead() bool {
	select {
	case <-l.Done():
		return true
	default:
		return false
	}
}

// laneSet is what calls choose from. It is never changed: a change is a new set.
type laneSet struct {
	lanes     []*lane
	exclusive bool   // some lane takes one call at a time
	features  uint32 // of all lanes
	turn      atomic.Uint32
}

// pick returns the least loaded lane, the ones that answer before the ones whose oldest call is overdue and the ones of a process that is in
// doubt. Lanes of equal load take turns. A dead lane is picked when there is no other.
func (s *laneSet) pick() *lane {
	if len(s.lanes) == 1 {
		return s.lanes[0]
	}
	var best *lane
	var bestLoad int
	var bestLate bool
	now := time.Now()
	first := int(s.turn.Add(1))
	for i := range s.lanes {
		l := s.lanes[(first+i)%len(s.lanes)]
		if l.dead() {
			continue
		}
		load, late := l.InFlight(), l.pulse.doubtful() || overdue(l, now)
		if best == nil || bestLate && !late || bestLate == late && load < bestLoad {
			best, bestLoad, bestLate = l, load, late
		}
	}
	if best == nil {
		return s.lanes[0]
	}
	return best
}

// claim takes a free lane for one call; nil when none is free. Lanes whose calls may overlap are always free, those of a process that is in
// doubt are taken last. A dead lane is taken when there is no other: it says at once why it ended.
func (s *laneSet) claim() *lane {
	first := int(s.turn.Add(1))
	var dead *lane
	alive := false
	for _, doubtful := range []bool{false, true} {
		for i := range s.lanes {
			l := s.lanes[(first+i)%len(s.lanes)]
			if l.dead() {
				dead = l
				continue
			}
			alive = true
			if l.pulse.doubtful() == doubtful && (!l.exclusive || l.busy.CompareAndSwap(false, true)) {
				return l
			}
		}
	}
	if alive {
		return nil
	}
	return dead
}

func overdue(l *lane, now time.Time) bool {
	oldest := l.Oldest()
	return !oldest.IsZero() && now.Sub(oldest) > overdueAfter
}

// Fuses implements plan.Fuser.
func (s *Server) Fuses() bool {
	set := s.lanes.Load()
	return set != nil && set.features&wire.FeatureSteps != 0 && s.cfg.Fuse
}

// Prefetches implements plan.Prefetcher.
func (s *Server) Prefetches() bool {
	set := s.lanes.Load()
	return set != nil && set.features&wire.FeaturePrefetch != 0 && s.cfg.Prefetch
}

// Call runs one call on a lane of the server and fills out. c and out are the caller's again when it returns. All steps of a fused call run on one lane,
// and take one place of max_in_flight: one of them runs at a time.
//
// It does not wait for a server that is not ready: *NotReadyError. More calls than max_in_flight wait in the queue, at most until the deadline;
// more than the queue takes: *transport.Error Overloaded. The other errors are those of transport.Lane; a handler that failed is no error but
// out.Err.
func (s *Server) Call(c *wire.Call, deadline time.Time, asker transport.Asker, out *wire.Outcome) error {
	if s.lanes.Load() == nil {
		return s.notReady.Load()
	}
	if err := s.room.Enter(deadline); err != nil {
		if errors.Is(err, budget.ErrWaited) {
			return s.waited
		}
		return s.overloaded
	}
	defer s.leave()
	if len(c.Rest) > 0 {
		defer s.countFused(c)
	}
	if s.cfg.Queue > 0 { // the handler is told what is left of its time
		c.TimeoutMS = uint32(max(time.Until(deadline), time.Millisecond) / time.Millisecond)
	}
	for {
		set := s.lanes.Load()
		if set == nil {
			return s.notReady.Load()
		}
		if set.exclusive {
			return s.callExclusive(set, c, deadline, asker, out)
		}
		if l := set.pick(); l.enter() {
			return l.call(c, deadline, asker, out)
		}
	}
}

// countFused counts a fused call that has ended, and its steps.
func (s *Server) countFused(c *wire.Call) {
	s.fusedCalls.Add(1)
	s.fusedSteps.Add(uint64(1 + c.Begun))
}

// leave ends a call's stay and wakes a drain that waits for the last one.
func (s *Server) leave() {
	if s.room.Leave() == 0 && s.draining.Load() {
		wake(s.idle)
	}
}

// callExclusive waits for a lane of its own, at most until the deadline.
func (s *Server) callExclusive(set *laneSet, c *wire.Call, deadline time.Time, asker transport.Asker, out *wire.Outcome) error {
	l := set.enter()
	if l == nil {
		timer := time.NewTimer(time.Until(deadline))
		defer timer.Stop()
		for l == nil {
			if s.lanes.Load() == set { // a lane of an older set may have been free and on its way out
				select {
				case <-s.freed:
				case <-timer.C:
					return &transport.Error{Kind: transport.Timeout, Msg: "plugin server " + s.cfg.Name + ": no lane became free before the deadline"}
				}
			}
			if set = s.lanes.Load(); set == nil {
				wake(s.freed) // the others that wait must hear of it too
				return s.notReady.Load()
			}
			l = set.enter()
		}
		wake(s.freed) // one wake may have stood for several lanes
	}
	defer func() {
		l.busy.Store(false)
		wake(s.freed)
	}()
	return l.call(c, deadline, asker, out)
}

// enter claims a lane and enters it; nil when none is free. A lane that was taken out of use since the set was made is none.
func (s *laneSet) enter() *lane {
	l := s.claim()
	if l == nil || l.enter() {
		return l
	}
	l.busy.Store(false)
	return nil
}

// wake signals without waiting; c has room for one signal.
func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
