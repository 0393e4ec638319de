package exchange

import (
	"slices"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
	"github.com/outrigger-gateway/outrigger/host/internal/plan"
	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// choices remembers what conditions said. Each is asked once for a request, when the walk of access comes to its record; what it said counts
// for all later phases.
type choices struct {
	verdicts []verdict
	ran      []*plan.Step // in access; only kept while conditions may ask
	chains   [pdk.PhaseCount][]*plan.Step
	made     pdk.Phase  // the chains that are made
	of       *plan.Plan // whose chains they are
}

type verdict struct {
	record *entity.Plugin
	holds  bool
	err    error
	told   bool // the error
}

// reset forgets everything and keeps the room.
func (c *choices) reset() choices {
	clear(c.verdicts[:cap(c.verdicts)])
	clear(c.ran[:cap(c.ran)])
	empty := choices{verdicts: c.verdicts[:0], ran: c.ran[:0]}
	for i, chain := range c.chains {
		clear(chain[:cap(chain)])
		empty.chains[i] = chain[:0]
	}
	return empty
}

func (c *choices) clone() choices {
	return choices{verdicts: slices.Clone(c.verdicts), ran: slices.Clone(c.ran)}
}

// Runs reports whether a step of the plan runs for this request. An error is that of a condition; each is told once, and no step runs that
// depends on it.
func (e *Exchange) Runs(s *plan.Step) (bool, error) {
	if !s.Conditional() {
		return true, nil
	}
	runs, err := s.Runs(e)
	if err == nil {
		return runs, nil
	}
	for i := range e.choices.verdicts {
		if v := &e.choices.verdicts[i]; v.err == err {
			if v.told {
				return false, nil
			}
			v.told = true
		}
	}
	return false, err
}

// Verdict implements plan.Verdicts: it asks the condition of a record, once.
func (e *Exchange) Verdict(s *plan.Step) (bool, error) {
	record := s.Record()
	for i := range e.choices.verdicts {
		if v := &e.choices.verdicts[i]; v.record == record {
			return v.holds, v.err
		}
	}
	holds, err := s.Condition.Eval(e)
	e.choices.verdicts = append(e.choices.verdicts, verdict{record: record, holds: holds, err: err})
	return holds, err
}

// Ran says that a step has run in access.
func (e *Exchange) Ran(s *plan.Step) {
	if e.Plan.Conditional() {
		e.choices.ran = append(e.choices.ran, s)
	}
}

// Chain lists the steps of a phase after access that run for this request.
func (e *Exchange) Chain(phase pdk.Phase) []*plan.Step {
	whole := e.Plan.Chain(phase)
	if len(whole) == 0 || !e.Plan.Conditional() {
		return whole
	}
	c := &e.choices
	if c.of != e.Plan {
		c.of, c.made = e.Plan, 0
	}
	i := phase.Index()
	if !c.made.Has(phase) {
		c.made |= phase
		c.chains[i] = c.chains[i][:0]
		for _, s := range whole {
			if runs, _ := e.Runs(s); runs { // the errors have been told when access was walked
				c.chains[i] = append(c.chains[i], s)
			}
		}
	}
	return c.chains[i]
}

// LiveFacts implements plan.ConditionFacts.
func (e *Exchange) LiveFacts() *wire.Facts { return &e.Facts }

// MatchedRoute implements plan.ConditionFacts.
func (e *Exchange) MatchedRoute() *entity.Route { return e.Route }

// MatchedService implements plan.ConditionFacts.
func (e *Exchange) MatchedService() *entity.Service { return e.Service }

// AuthenticatedConsumer implements plan.ConditionFacts.
func (e *Exchange) AuthenticatedConsumer() *entity.Consumer { return e.Consumer }

// AuthenticatedGroups implements plan.ConditionFacts.
func (e *Exchange) AuthenticatedGroups() []wire.Group {
	if len(e.Facts.Groups) > 0 || e.Consumer == nil {
		return e.Facts.Groups
	}
	groups := make([]wire.Group, len(e.Consumer.Groups))
	for i, g := range e.Consumer.Groups {
		groups[i] = wire.Group{ID: g.ID, Name: g.Name}
	}
	return groups
}

// PluginState implements plan.ConditionFacts.
func (e *Exchange) PluginState(name string) (plan.PluginState, bool) {
	state, ok := e.Plan.PluginState(name)
	for _, s := range e.choices.ran {
		state.AccessRan = state.AccessRan || plan.IsVariable(s.Record().Name, name)
	}
	return state, ok
}
