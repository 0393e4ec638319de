package plan

import (
	"slices"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// Query says which plan is to be explained.
type Query struct {
	Route    *entity.Route // nil: requests without route
	Secure   bool
	Consumer *entity.Consumer // nil: nobody
	Groups   []wire.Group     // that a plugin sets; they count instead of the consumer's own
	// By names the plugin that authenticates, or the one whose clone does. "", or when there is none: the first of the plan that may.
	By string
}

// Explanation says what runs for a route and a class of consumers, and why. It is made by the code that makes the plans.
type Explanation struct {
	Route     string `json:"route,omitempty"`
	Service   string `json:"service,omitempty"`
	Consumer  string `json:"consumer,omitempty"`
	Algorithm string `json:"algorithm"`
	Mode      string `json:"mode,omitempty"` // of the algorithm legacy
	// Groups that count, in the order in which levels try them.
	Groups []string `json:"groups,omitempty"`
	// AuthenticatedBy is the plugin behind which the consumer is known; "": none, or nobody.
	AuthenticatedBy string         `json:"authenticated_by,omitempty"`
	Phases          []PhaseChain   `json:"phases"`
	Plugins         []PluginChoice `json:"plugins"`
}

// PhaseChain is the chain of one phase.
type PhaseChain struct {
	Phase string          `json:"phase"`
	Steps []ExplainedStep `json:"steps"`
	// Error says that rules contradict each other; the chain has the static order then.
	Error string `json:"error,omitempty"`
}

// RecordRef names a record.
type RecordRef struct {
	ID       string `json:"id"`
	Plugin   string `json:"plugin"`
	Instance string `json:"instance_name,omitempty"`
	Scope    string `json:"scope"`
	Level    int    `json:"level"`              // of spec/gateway.md 5.2, 1 to 12
	Position string `json:"position,omitempty"` // file:line:column
	Path     string `json:"path,omitempty"`
}

// ExplainedStep is one step of a chain.
type ExplainedStep struct {
	RecordRef
	Priority int `json:"priority"`
	// Static is the step's place in the chain if there were no rules, from 1.
	Static int `json:"static"`
	// MovedBy is the rule that moved it out of its static place.
	MovedBy *ExplainedRule `json:"moved_by,omitempty"`
	// Other is its place under the other algorithm, from 1, when that is another one; 0: the same.
	Other     int    `json:"other_algorithm,omitempty"`
	Condition string `json:"condition,omitempty"`
	// Known says that the step was chosen when the consumer was known.
	Known bool `json:"after_authentication"`
	// Together says that it may travel to its plugin server in one call with the step before it.
	Together bool `json:"together,omitempty"`
	// Late says that it runs behind the plugin that authenticates although the plan of the consumer has it before that.
	Late bool `json:"late,omitempty"`
}

// ExplainedRule is a rule between two plugins.
type ExplainedRule struct {
	First   string    `json:"first"`
	Then    string    `json:"then"`
	Rule    string    `json:"rule"` // before or after
	Carrier RecordRef `json:"record"`
}

// PluginChoice says which record of a plugin runs.
type PluginChoice struct {
	Name       string      `json:"name"`
	Outcome    string      `json:"outcome"` // one of the Outcome constants
	Candidates []Candidate `json:"candidates"`
	Known      bool        `json:"after_authentication"` // chosen when the consumer was known
	// Elsewhere counts the records that are bound to other routes, services, consumers or groups; they are not listed.
	Elsewhere int `json:"elsewhere,omitempty"`
}

// What becomes of a plugin.
const (
	OutcomeRuns        = "runs"
	OutcomeConditional = "conditional" // it depends on conditions whether it runs
	OutcomeDisabled    = "disabled"    // a record with mode: disable wins
	OutcomeMissed      = "missed"      // its turn was over when the consumer became known
	OutcomeNone        = "none"        // no record applies
)

// Candidate is one record of a plugin, and its part in the lookup.
type Candidate struct {
	RecordRef
	State     string `json:"state"` // one of the State constants
	Condition string `json:"condition,omitempty"`
	OnFalse   string `json:"on_false,omitempty"`
	// InheritsFrom lists the records that the configuration is merged over, nearest first.
	InheritsFrom []RecordRef `json:"inherits_from,omitempty"`
	// Origins says by dotted path which record a value of the merged configuration came from, by its id.
	Origins map[string]string `json:"origins,omitempty"`
}

// Parts that a record can have in the lookup.
const (
	StateWins       = "wins"
	StateFallback   = "fallback"           // it wins when the conditions of those before it do not hold
	StateShadowed   = "shadowed"           // a more specific record wins
	StateDisables   = "disables"           // it wins, and switches the plugin off
	StateNotEnabled = "not_enabled"        // enabled: false
	StateProtocol   = "protocol"           // not for requests of this protocol
	StateUnknown    = "consumer_not_known" // its consumer or group is not known when the plugin is chosen
)

// Explain says what runs for a route and a consumer, and why.
func (s *Set) Explain(q Query) *Explanation {
	x := &explainer{query: &q, set: s, base: s.ForRoute(q.Route, q.Secure), class: s.class(q.Consumer, q.Groups)}
	x.final, x.known = x.base, len(x.base.steps)
	out := &Explanation{Algorithm: s.opts.Algorithm, Phases: []PhaseChain{}, Plugins: []PluginChoice{}}
	if out.Algorithm == "" {
		out.Algorithm = Legacy
	}
	if out.Mode = s.opts.Mode; out.Mode == "" {
		out.Mode = Pull
	}
	if out.Algorithm != Legacy {
		out.Mode = ""
	}
	if r := q.Route; r != nil {
		out.Route = named(r.Name, r.ID)
		if r.Service != nil {
			out.Service = named(r.Service.Name, r.Service.ID)
		}
	}
	if q.Consumer != nil {
		out.Consumer = named(q.Consumer.Username, q.Consumer.ID)
	}
	for _, g := range x.class.groups {
		out.Groups = append(out.Groups, g.Name)
	}
	if q.Route != nil && (q.Consumer != nil || len(q.Groups) > 0) {
		x.authenticate(q)
	}
	if x.by != nil {
		out.AuthenticatedBy = x.by.Record().LookupName()
	}
	out.Phases = append(out.Phases, x.chain(s.ForRoute(nil, q.Secure), pdk.PhaseRewrite))
	for _, phase := range pdk.Phases()[1:] {
		if q.Route == nil && (phase == pdk.PhaseAccess || phase == pdk.PhaseResponse) {
			out.Phases = append(out.Phases, PhaseChain{Phase: phase.String(), Steps: []ExplainedStep{}}) // no request comes there
			continue
		}
		out.Phases = append(out.Phases, x.chain(x.final, phase))
	}
	for _, n := range s.index.names {
		out.Plugins = append(out.Plugins, x.choice(n))
	}
	return out
}

// means reports whether the consumer or group that a record is bound to is the one asked about.
func (q *Query) means(r *entity.Plugin) bool {
	switch g := r.ConsumerGroup; {
	case r.Consumer != nil:
		return r.Consumer == q.Consumer
	case g != nil && len(q.Groups) > 0:
		return slices.ContainsFunc(q.Groups, func(set wire.Group) bool { return set.ID == g.ID })
	case g != nil:
		return q.Consumer != nil && slices.Contains(q.Consumer.Groups, g)
	}
	return true
}

// explainer holds what one explanation is about.
type explainer struct {
	query *Query
	set   *Set
	base  *Plan // while nobody is known
	class *class
	final *Plan // at the end of access
	known int   // steps of final from here on are chosen when the consumer is known
	by    *Step // who says who the consumer is; nil: nobody
	whole *Plan // of the class, as if it had always been known; nil: nobody becomes known
}

// authenticate walks as requests do: up to the plugin that authenticates, and on in the plan of the class.
func (x *explainer) authenticate(q Query) {
	i := slices.IndexFunc(x.base.steps, func(st *Step) bool { return st.Instance.Authenticates && st.Instance.code() == q.By })
	if i < 0 {
		i = slices.IndexFunc(x.base.steps, func(st *Step) bool { return st.Instance.Authenticates })
	}
	if i < 0 {
		return
	}
	x.by, x.known = x.base.steps[i], i+1
	x.final = x.base.Switch(i, q.Consumer, q.Groups)
	x.whole, _ = x.set.build(x.base.place, x.class)
}

// chain explains the chain of one phase of a plan.
func (x *explainer) chain(p *Plan, phase pdk.Phase) PhaseChain {
	out := PhaseChain{Phase: phase.String(), Steps: []ExplainedStep{}}
	static := slices.Clone(p.steps)
	slices.SortStableFunc(static, compareStatic)
	g := newGraph(static, phase)
	moved, other := map[*Step]*rule{}, map[*Step]int{}
	if c := g.cycle(); c != nil {
		out.Error = (&CycleError{Phase: phase.String(), Rules: g.says(c)}).Error()
	} else if len(g.rules) > 0 {
		order := g.order(x.set.opts)
		for i, r := range g.movers(x.set.opts, order) {
			moved[static[i]] = r
		}
		second := x.set.opts
		second.Algorithm = PriorityPreserving
		if x.set.opts.Algorithm == PriorityPreserving {
			second.Algorithm = Legacy
		}
		here, there := g.places(order, phase), g.places(g.order(second), phase)
		for i, st := range static {
			if here[i] != there[i] {
				other[st] = there[i]
			}
		}
	}
	places := map[*Step]int{}
	for _, st := range static {
		if st.Instance.Phases.Has(phase) {
			places[st] = len(places) + 1
		}
	}
	together := p.together(phase)
	for _, st := range p.Chain(phase) {
		e := ExplainedStep{
			Together:  together[st],
			RecordRef: refOf(st.Record()), Priority: st.Instance.priority(), Static: places[st], Other: other[st], Condition: st.Record().Condition,
			Known: p == x.final && x.by != nil && slices.Index(p.steps, st) >= x.known,
		}
		e.Late = e.Known && x.behind(st)
		if r := moved[st]; r != nil {
			said := g.say(r)
			e.MovedBy = &ExplainedRule{First: said.First.LookupName(), Then: said.Then.LookupName(), Rule: "after", Carrier: refOf(said.Carrier)}
			if r.before {
				e.MovedBy.Rule = "before"
			}
		}
		out.Steps = append(out.Steps, e)
	}
	return out
}

// places are the places of steps in the chain that an order gives, from 1; 0 for steps without handler.
func (g *graph) places(order []int, phase pdk.Phase) []int {
	at := make([]int, len(order))
	n := 0
	for _, i := range order {
		if g.steps[i].Instance.Phases.Has(phase) {
			n++
			at[i] = n
		}
	}
	return at
}

// behind reports whether the plan of the class puts a step before the plugin that authenticates.
func (x *explainer) behind(st *Step) bool {
	if x.whole == nil {
		return false
	}
	k := slices.IndexFunc(x.whole.steps, func(s *Step) bool { return s.Instance == st.Instance })
	return k >= 0 && x.whole.behind(x.by)(k)
}

func refOf(r *entity.Plugin) RecordRef {
	ref := RecordRef{ID: r.ID, Plugin: r.Name, Instance: r.InstanceName, Scope: r.Scope(), Level: levelOf(r), Path: r.Path}
	if r.Pos.Line > 0 {
		ref.Position = r.Pos.String()
	}
	return ref
}

// choice explains the lookup of one name.
func (x *explainer) choice(n *name) PluginChoice {
	out := PluginChoice{Name: n.plugin, Outcome: OutcomeNone, Candidates: []Candidate{}}
	if n.instance != "" {
		out.Name += "#" + n.instance
	}
	class := x.set.nobody
	if x.by != nil && (len(ofName(x.base.steps[:x.known], n)) == 0 || len(ofName(x.base.steps[x.known:], n)) > 0) {
		class, out.Known = x.class, true
	}
	pl := x.base.place
	listed := map[*record]bool{}
	list := func(r *record, state string) {
		if listed[r] {
			return
		}
		listed[r] = true
		out.Candidates = append(out.Candidates, x.candidate(r, state, class))
	}
	for i, r := range n.candidates(pl, class) {
		switch {
		case r.Disables():
			list(r, StateDisables)
		case i == 0:
			list(r, StateWins)
		default:
			list(r, StateFallback)
		}
	}
	out.Outcome = x.outcome(n, out.Candidates)
	for r := range n.hits(pl, class) {
		list(r, StateShadowed)
	}
	for r := range n.hits(pl, x.class) {
		list(r, StateUnknown)
	}
	open := pl
	open.protocol = ""
	for r := range n.hits(open, x.class) {
		list(r, StateProtocol)
	}
	out.Elsewhere = len(n.records) - len(listed)
	for _, in := range x.set.disabled {
		r := in.Record.Root()
		if r.LookupName() == out.Name && open.fits(r) && x.query.means(r) {
			out.Candidates = append(out.Candidates, Candidate{RecordRef: refOf(r), State: StateNotEnabled})
		}
	}
	return out
}

// outcome says what becomes of a name whose candidates are known.
func (x *explainer) outcome(n *name, candidates []Candidate) string {
	mine := ofName(x.final.steps, n)
	switch {
	case len(candidates) == 0:
		return OutcomeNone
	case len(mine) == 0 && candidates[0].State == StateDisables:
		return OutcomeDisabled
	case len(mine) == 0:
		return OutcomeMissed
	case slices.ContainsFunc(mine, (*Step).Conditional):
		return OutcomeConditional
	}
	return OutcomeRuns
}

func (x *explainer) candidate(r *record, state string, c *class) Candidate {
	out := Candidate{RecordRef: refOf(r.Plugin), State: state, Condition: r.Condition, OnFalse: r.OnFalse}
	if state != StateWins && state != StateFallback {
		return out
	}
	for _, from := range r.name.inherits(r, x.base.place, c)[1:] {
		out.InheritsFrom = append(out.InheritsFrom, refOf(from))
	}
	if len(out.InheritsFrom) > 0 {
		out.Origins = map[string]string{}
		for path, from := range x.set.index.step(r, x.base.place, c).Instance.Record.Origins {
			out.Origins[path] = from.ID
		}
	}
	return out
}
