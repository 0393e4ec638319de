package explain

import (
	"cmp"
	"slices"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
	"github.com/outrigger-gateway/outrigger/host/internal/plan"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// Plugins is what the plans say about a request, with what its conditions come to.
type Plugins struct {
	Algorithm string `json:"algorithm"`
	Mode      string `json:"mode,omitempty"` // of the algorithm legacy
	// AuthenticatedBy is the plugin behind which the consumer is known.
	AuthenticatedBy string   `json:"authenticated_by,omitempty"`
	Phases          []Phase  `json:"phases"`
	Choices         []Choice `json:"choices"`
}

// Phase is the chain of one phase.
type Phase struct {
	Phase string `json:"phase"`
	Steps []Step `json:"steps"`
	Error string `json:"error,omitempty"`
}

// Step is one step of a chain.
type Step struct {
	plan.ExplainedStep
	// Runs says whether it runs for this request, as far as that is known before the plugins before it have run.
	Runs           bool   `json:"runs"`
	ConditionError string `json:"condition_error,omitempty"` // the request is answered 500
	// Authenticates says that the consumer is known behind this step.
	Authenticates bool `json:"authenticates,omitempty"`
	// Unavailable is why nothing but its name is known of the plugin; Priority is made up then.
	Unavailable string `json:"unavailable,omitempty"`
}

// Choice says which record of a plugin runs.
type Choice struct {
	Name       string      `json:"name"`
	Outcome    string      `json:"outcome"`
	Known      bool        `json:"after_authentication"`
	Candidates []Candidate `json:"candidates"`
	Elsewhere  int         `json:"elsewhere"` // records for other routes, services, consumers or groups
}

// Candidate is one record of a plugin.
type Candidate struct {
	plan.Candidate
	Holds          *bool  `json:"condition_holds,omitempty"` // for this request; absent: there is no condition, or it was not asked
	ConditionError string `json:"condition_error,omitempty"`
}

// pluginsOf asks the plans about a request.
func pluginsOf(set *plan.Set, r *request) *Plugins {
	x := set.Explain(plan.Query{Route: r.served(), Secure: r.router.TLS, Consumer: r.consumer, Groups: r.groups, By: r.by})
	w := walkOf(set, r, x.AuthenticatedBy)
	out := &Plugins{Algorithm: x.Algorithm, Mode: x.Mode, AuthenticatedBy: x.AuthenticatedBy, Phases: []Phase{}, Choices: []Choice{}}
	for _, chain := range x.Phases {
		p := Phase{Phase: chain.Phase, Steps: []Step{}, Error: chain.Error}
		for _, st := range chain.Steps {
			p.Steps = append(p.Steps, w.step(st, chain.Phase))
		}
		out.Phases = append(out.Phases, p)
	}
	for _, c := range x.Plugins {
		choice := Choice{Name: c.Name, Outcome: c.Outcome, Known: c.Known, Candidates: []Candidate{}, Elsewhere: c.Elsewhere}
		for _, from := range c.Candidates {
			v := w.verdicts[from.ID]
			cand := Candidate{Candidate: from}
			if from.Condition == "" {
				cand.OnFalse = "" // it says nothing then
			}
			switch {
			case v.err != nil:
				cand.ConditionError = v.err.Error()
			case v.asked:
				cand.Holds = &v.holds
			}
			choice.Candidates = append(choice.Candidates, cand)
		}
		out.Choices = append(out.Choices, choice)
	}
	slices.SortFunc(out.Choices, func(a, b Choice) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

// walk is the walk of a request through its plan, and what the conditions on it come to.
type walk struct {
	steps    []*plan.Step
	known    int // steps from here on run when the consumer is known
	request  *request
	plan     *plan.Plan
	runs     map[string]bool   // by the id of the record
	errors   map[string]string // the same
	verdicts map[string]verdict
	by       string
}

// verdict is what one condition comes to.
type verdict struct {
	asked, holds bool
	err          error
}

// walkOf takes the plan of the request and asks its conditions.
func walkOf(set *plan.Set, r *request, by string) *walk {
	w := &walk{request: r, by: by, runs: map[string]bool{}, errors: map[string]string{}, verdicts: map[string]verdict{}}
	w.plan, w.known, w.steps = stepsOf(set, r, by)
	for i, st := range w.steps {
		id := st.Instance.Record.Root().ID
		runs, err := st.Runs(moment{w, i >= w.known})
		w.runs[id] = runs
		if err != nil {
			w.errors[id] = err.Error()
		}
	}
	return w
}

// stepsOf walks as dispatch does: up to the step that authenticates, and on in the plan for the consumer. Steps from known on run when the
// consumer is known.
func stepsOf(set *plan.Set, r *request, by string) (p *plan.Plan, known int, steps []*plan.Step) {
	p = set.ForRoute(r.served(), r.router.TLS)
	known = len(p.Steps())
	i := slices.IndexFunc(p.Steps(), func(s *plan.Step) bool { return s.Instance.Record.LookupName() == by })
	if i >= 0 {
		p, known = p.Switch(i, r.consumer, r.groups), i+1
	}
	return p, known, p.Steps()
}

// moment is the walk when a plugin has its turn: the consumer is known by then, or not.
type moment struct {
	*walk
	known bool
}

// Verdict evaluates a condition once, as it is when the plugin's turn comes, without what plugins before it would have written. It implements
// plan.Verdicts.
func (w moment) Verdict(st *plan.Step) (bool, error) {
	id := st.Instance.Record.Root().ID
	if v := w.verdicts[id]; v.asked {
		return v.holds, v.err
	}
	if st.Condition == nil {
		return true, nil
	}
	holds, err := st.Condition.Eval(facts(w))
	w.verdicts[id] = verdict{asked: true, holds: holds, err: err}
	return holds, err
}

// step adds to a step what the request makes of it.
func (w *walk) step(st plan.ExplainedStep, phase string) Step {
	out := Step{ExplainedStep: st, Runs: true}
	if phase != "rewrite" { // where conditions do not count
		out.Runs, out.ConditionError = w.runs[st.ID], w.errors[st.ID]
	}
	for _, s := range w.steps {
		if s.Instance.Record.Root().ID == st.ID {
			out.Unavailable = s.Instance.Unavailable
			out.Authenticates = phase == "access" && w.by != "" && s.Instance.Record.LookupName() == w.by
		}
	}
	return out
}

// facts are what conditions see of a query.
type facts moment

func (facts) NeedRequest() {}

func (f facts) LiveFacts() *wire.Facts {
	live := f.request.facts
	if !f.known {
		live.Consumer, live.Groups = nil, nil
	}
	return &live
}

func (f facts) MatchedRoute() *entity.Route { return f.request.route }

func (f facts) MatchedService() *entity.Service {
	if f.request.route == nil {
		return nil
	}
	return f.request.route.Service
}

func (f facts) AuthenticatedConsumer() *entity.Consumer {
	if !f.known {
		return nil
	}
	return f.request.consumer
}

func (f facts) AuthenticatedGroups() []wire.Group {
	if !f.known {
		return nil
	}
	return f.request.allGroups()
}

func (f facts) PluginState(name string) (plan.PluginState, bool) { return f.plan.PluginState(name) }

// allGroups are those that a plugin sets, otherwise those of the consumer.
func (r *request) allGroups() []wire.Group {
	if len(r.groups) > 0 || r.consumer == nil {
		return r.groups
	}
	var all []wire.Group
	for _, g := range r.consumer.Groups {
		all = append(all, wire.Group{ID: g.ID, Name: g.Name})
	}
	return all
}
