package dispatch

import (
	"slices"

	"github.com/outrigger-gateway/outrigger/host/internal/prefetch"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// learning is what a call knows of the questions of its handler. It is empty for handlers that ask nothing.
type learning struct {
	known   []*prefetch.Question // those that were asked before
	shipped []*prefetch.Question // those whose answers travel with the call, in the order of Prefetched
	asked   []*prefetch.Question // those that the handler asked now
	answers []wire.Prefetched    // memory of Prefetched
}

// any reports whether there is something in it.
func (l *learning) any() bool { return len(l.known)+len(l.asked) > 0 }

// prefetch lets those answers travel with the call that its handler is likely to ask for. It waits for nobody: a body that is not there yet is
// asked for. What would be an error, or is too large, does not travel.
func (s *step) prefetch() {
	known := s.in.Prefetch.Known(s.phase)
	if len(known) == 0 || !s.in.Prefetcher.Prefetches() {
		return
	}
	l := &s.learning
	l.known = known
	room := prefetch.MaxBytes
	for _, q := range known {
		if len(l.shipped) == wire.MaxPrefetched {
			break
		}
		if !q.Ships() || !s.ex.AtHand(q.Ask.Fn) {
			continue
		}
		if s.later && q.Ask.Fn == wire.AskRequestGetRawBody { // a step ahead may put another body in its place
			continue
		}
		a := s.ex.Ask(s.in, &q.Ask)
		size := len(a.Bytes) + len(a.Value)
		if a.Err != nil || size > prefetch.MaxItem {
			q.Barren()
			continue
		}
		if size > room {
			continue
		}
		room -= size
		l.shipped = append(l.shipped, q)
		l.answers = append(l.answers, wire.Prefetched{Fn: q.Ask.Fn, Args: q.Ask.Args, Answer: a})
	}
	s.call.Prefetched = l.answers
}

// asks notes a question of the handler that has got its answer.
func (s *step) asks(a *wire.Ask) {
	if s.answer.Err != nil || len(s.answer.Bytes)+len(s.answer.Value) > prefetch.MaxItem {
		return
	}
	if q := s.in.Prefetch.Asked(s.phase, a); q != nil && !slices.Contains(s.learning.asked, q) {
		s.learning.asked = append(s.learning.asked, q)
	}
}

// learn tells the memory of the instance what became of the answers, now that the handler has ended well. One that failed may have come to an end
// before its questions.
func (s *step) learn() {
	l := &s.learning
	for i, q := range l.shipped {
		switch {
		case s.out.Unused>>i&1 == 0:
			q.Used()
		case slices.Contains(l.asked, q):
			q.Stale()
		default:
			q.Idle()
		}
	}
	for _, q := range l.asked {
		if !slices.Contains(l.shipped, q) {
			q.Missed()
		}
	}
	for _, q := range l.known {
		if !slices.Contains(l.shipped, q) && !slices.Contains(l.asked, q) {
			q.Idle()
		}
	}
}

// emptied forgets everything and keeps the room.
func (l *learning) emptied() learning {
	clear(l.shipped)
	clear(l.asked)
	clear(l.answers)
	return learning{shipped: l.shipped[:0], asked: l.asked[:0], answers: l.answers[:0]}
}
