package plan

import "github.com/outrigger-gateway/outrigger/pdk"

// Fuser is a Remote that may take the calls of several steps in one trip: the further steps stand in the Rest of the call, and the asker is a
// wire.Stepper.
type Fuser interface {
	Remote
	// Fuses reports whether all processes that take calls now can.
	Fuses() bool
}

// mutable is a condition that says whether it reads what a plugin may change while the request passes. One that does not say may.
type mutable interface{ Mutable() bool }

// Early reports whether it may be asked whether the step runs before the steps ahead of it have run: nothing that they do changes the answer.
func (s *Step) Early() bool { return !s.waits }

// Joins reports whether a step may travel to its plugin server in one call with the step before it in the walk of a phase.
func (s *Step) Joins(first *Step, phase pdk.Phase) bool {
	in := s.Instance
	return in.Fuser != nil && first.Instance.Fuser == in.Fuser && (!s.waits || phase != pdk.PhaseAccess) && s.Leads(phase) && first.Leads(phase)
}

// Leads reports whether other steps may travel with the step, behind it. body_filter goes piece by piece, and a call that brings a body along is of
// the one plugin that wants it: a step behind it may want what it has made of the body.
func (s *Step) Leads(phase pdk.Phase) bool {
	in := s.Instance
	return in.Fuser != nil && phase != pdk.PhaseBodyFilter && !in.wantsBody(phase) && !in.bounded()
}

// together are the steps of a phase that may travel with the one before them, as long as no breaker opens and no request kills its server.
func (p *Plan) together(phase pdk.Phase) map[*Step]bool {
	walk := p.Chain(phase)
	if phase == pdk.PhaseAccess {
		walk = p.steps // it asks the conditions of all
	}
	found := map[*Step]bool{}
	var first *Step // of the call that st may join
	for _, st := range walk {
		if phase == pdk.PhaseAccess && st.waits {
			first = nil
		}
		if !st.Instance.Phases.Has(phase) {
			continue
		}
		if found[st] = first != nil && st.Joins(first, phase); !found[st] {
			first = st
		}
	}
	return found
}

// bounded reports whether the calls in flight of the instance have a bound that is not the whole server's: they take a place when their turn comes.
func (in *Instance) bounded() bool {
	for _, b := range in.Budgets {
		if b.Limiter != nil {
			return true
		}
	}
	return false
}

// wantsBody reports whether the call of the instance brings a body along.
func (in *Instance) wantsBody(phase pdk.Phase) bool {
	return in.Needs&pdk.NeedRequestBody != 0 && phase == pdk.PhaseAccess || in.Needs&pdk.NeedResponseBody != 0 && phase == pdk.PhaseResponse
}

// readsMutable reports whether a condition on which the step depends reads what plugins change.
func (s *Step) readsMutable() bool {
	for _, passed := range s.unless {
		if passed.readsMutable() {
			return true
		}
	}
	for c := s.head; c != nil; c = c.Else {
		if c.Condition != nil {
			if m, says := c.Condition.(mutable); !says || m.Mutable() {
				return true
			}
		}
		if c.Instance == s.Instance {
			break
		}
	}
	return false
}
