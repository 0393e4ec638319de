// Package plan decides which configuration of each plugin runs for a request, and in which order.
//
// Everything is decided when a generation is built: a request takes the plan of its route and walks slices. When a plugin authenticates, the
// walk goes on in a plan that continues it for the class of the consumer (spec/gateway.md sections 5 and 6; docs/decisions has the exact
// rules with examples).
//
//	lookup.go    which records apply, most specific first
//	order.go     the order of steps in a phase: priorities and rules
//	variants.go  classes of consumers, and how a walk goes on after authentication
//	fuse.go      which steps may travel together
//	check.go     cycles and warnings
//	explain.go   why a plan is what it is
package plan

import (
	"cmp"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/budget"
	"github.com/outrigger-gateway/outrigger/host/internal/entity"
	"github.com/outrigger-gateway/outrigger/host/internal/prefetch"
	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// Remote runs one phase call on a plugin server.
type Remote interface {
	Call(c *wire.Call, deadline time.Time, asker wire.Asker, out *wire.Outcome) error
}

// Prefetcher is a Remote whose handlers may get answers ahead of their questions.
type Prefetcher interface {
	Remote
	// Prefetches reports whether all processes that take calls now understand them.
	Prefetches() bool
}

// Condition is a compiled condition of a record. An error answers the request with 500.
type Condition interface {
	Eval(ex ConditionFacts) (bool, error)
}

// ConditionFacts are what conditions may know of an exchange. Nothing is asked that the expression does not name.
type ConditionFacts interface {
	// NeedRequest makes Request, Client and Forwarded of the live facts valid.
	NeedRequest()
	// LiveFacts are the facts of the exchange as they stand, with what plugins have written.
	LiveFacts() *wire.Facts

	// MatchedRoute and MatchedService are nil when there is none.
	MatchedRoute() *entity.Route
	MatchedService() *entity.Service
	// AuthenticatedConsumer is nil before a plugin authenticated somebody.
	AuthenticatedConsumer() *entity.Consumer
	// AuthenticatedGroups are those that a plugin set, otherwise those of the consumer.
	AuthenticatedGroups() []wire.Group

	// PluginState tells about a plugin, whose name has '_' in the place of '-'; ok is false when no record configures it.
	PluginState(name string) (state PluginState, ok bool)
}

// PluginState is what conditions may know of another plugin.
type PluginState struct {
	Matched   bool  // a record of it is for this route and service; consumers do not count
	Priority  int64 // counts when Matched
	AccessRan bool
}

// Instance is one plugin record made ready to run. Exactly one of Native, Remote and Unavailable is set, none when the record switches its
// plugin off or is not enabled.
type Instance struct {
	ID     uint64
	Record *entity.Plugin
	// Code is the plugin whose code runs, when that is not the record's: the record is of a clone.
	Code string
	// Priority is the plugin's own; that of the record counts before it.
	Priority int
	Phases   pdk.Phase
	Needs    pdk.Need
	// Authenticates: the plugin said that it may set the consumer.
	Authenticates bool
	// Condition is that of the record; nil: none.
	Condition Condition

	Native *pdk.Handlers
	Remote Remote
	// Fuser is the Remote, when the calls of the instance may travel together with others'; nil: they do not.
	Fuser Fuser
	// Prefetch remembers what the handlers of the instance ask, so that the answers travel with the calls while Prefetcher says that the server
	// takes them. All generations that use the instance share it. Nil: nothing travels.
	Prefetch   *prefetch.Memory
	Prefetcher Prefetcher
	Server     string // name of the plugin server; "": native
	// Unavailable is the reason why the plugin cannot run yet; every request that needs it is answered 503.
	Unavailable string

	Timeouts   [pdk.PhaseCount]time.Duration
	FailOpen   bool   // as configured; FailsOpen is what counts
	FailStatus int    // of the answer when it fails closed; 0: 500, and 503 when there is no room for the call
	FailBody   []byte // of that answer, with its content type; nil: the gateway's error body
	FailType   string
	// Budgets are the limits that its calls are under.
	Budgets budget.Chain
	// Closed is set once the plugin did what one that fails open must not do. All generations that use the instance share it. Nil: never.
	Closed *atomic.Bool
	// Meters is where whoever counts the calls of the instance keeps its counters.
	// All generations that use the instance share it. Nil: they are found anew for every call.
	Meters *atomic.Value
}

// FailsOpen reports whether a request goes on when the instance fails.
func (in *Instance) FailsOpen() bool { return in.FailOpen && (in.Closed == nil || !in.Closed.Load()) }

// CloseForGood makes the instance fail closed from now on, whatever its configuration says. It reports whether that is news.
func (in *Instance) CloseForGood() bool {
	return in.Closed != nil && in.Closed.CompareAndSwap(false, true)
}

// LogAttrs name the instance, in the words of all log lines about calls. There is room for more behind them.
func (in *Instance) LogAttrs() []slog.Attr {
	attrs := make([]slog.Attr, 0, 12)
	attrs = append(attrs, slog.String("server", cmp.Or(in.Server, "native")), slog.String("plugin", in.Record.Name), slog.String("record", in.Record.ID))
	if in.Record.InstanceName != "" {
		attrs = append(attrs, slog.String("instance_name", in.Record.InstanceName))
	}
	return append(attrs, slog.Uint64("instance", in.ID))
}

// priority is the one that counts.
func (in *Instance) priority() int {
	if p := in.Record.Priority; p != nil {
		return *p
	}
	return in.Priority
}

// code is the plugin whose code runs.
func (in *Instance) code() string { return cmp.Or(in.Code, in.Record.Name) }

// Algorithms of ordering.
const (
	Legacy             = "legacy"
	PriorityPreserving = "priority_preserving"
)

// Readings of a rule by the algorithm legacy.
const (
	Pull = "pull" // what must run first is pulled before the plugin that needs it
	Push = "push" // a plugin that must wait is pushed behind what it waits for
)

// What becomes of a plugin whose turn was over when a consumer brought it into the plan. One that was still to come without the consumer runs in
// any case.
const (
	LateByPlace = ""      // it runs if only a rule puts it before the plugin that authenticates, not if its priority does
	LateRun     = "run"   // it runs next
	LateSkip    = "skip"  // it does not run
	LateError   = "error" // the request is answered 500
)

// Options of a compilation. The zero value is Kong's behaviour.
type Options struct {
	Algorithm string // Legacy or PriorityPreserving; "" is Legacy
	Mode      string // Pull or Push, of Legacy; "" is Pull
	Late      string // one of the Late constants
	Protocols bool   // records count only for requests of their protocols
	Strict    bool   // rules that name nothing are errors
	// Report takes what is wrong with plans that are first needed while requests run; nil: nobody hears of it.
	Report func(error)
}

// Step is one candidate of a plugin name in a plan. It runs if no candidate that the lookup meets before it has a condition that holds, and
// its own condition holds.
type Step struct {
	Instance  *Instance
	Condition Condition // nil: none
	Else      *Step     // the next candidate of the lookup, when the condition is false; nil: none runs

	name  *name
	level int   // of the table of levels, from 1
	turn  int   // among the candidates, from 0
	head  *Step // the first candidate; nil when there is one, without condition
	// unless are steps of the same name that a walk has passed: if one of them runs, this one does not.
	unless []*Step
	waits  bool // a condition on which it depends reads what plugins change
}

// Conditional reports whether it depends on a condition that the step runs.
func (s *Step) Conditional() bool { return s.head != nil || len(s.unless) > 0 }

// Record is the record of the step as it stands in the document.
func (s *Step) Record() *entity.Plugin { return s.Instance.Record.Root() }

// Verdicts says of one request whether the condition of a candidate holds, always the same for one record.
type Verdicts interface {
	Verdict(candidate *Step) (bool, error)
}

// Runs reports whether the step runs.
func (s *Step) Runs(v Verdicts) (bool, error) {
	for _, passed := range s.unless {
		if runs, err := passed.Runs(v); runs || err != nil {
			return false, err
		}
	}
	if s.head == nil {
		return true, nil
	}
	for c := s.head; c != nil; c = c.Else {
		if c.Condition == nil {
			return c.Instance == s.Instance, nil
		}
		// Those behind the step itself are asked when their own places come.
		if holds, err := v.Verdict(c); holds || err != nil || c.Instance == s.Instance {
			return holds && c.Instance == s.Instance, err
		}
	}
	return false, nil
}

// Plan is what runs for one place and one class of consumers. It is immutable.
type Plan struct {
	set   *Set
	place place
	class *class

	steps []*Step // every candidate, in the order in which access walks them
	chain [pdk.PhaseCount][]*Step
	// phases that any step handles, and needs of all steps.
	phases pdk.Phase
	needs  pdk.Need

	conditional bool // some step is
	scoped      bool // consumers or groups may get another plan
	late        bool // a step was left out that Options.Late forbids to be late
}

// Steps lists all candidates, in the order in which access walks them.
func (p *Plan) Steps() []*Step { return p.steps }

// Chain lists the steps that handle one phase, in execution order.
func (p *Plan) Chain(phase pdk.Phase) []*Step { return p.chain[phase.Index()] }

// Phases is the set of phases that at least one step handles.
func (p *Plan) Phases() pdk.Phase { return p.phases }

// Needs are the needs of all steps together.
func (p *Plan) Needs() pdk.Need { return p.needs }

// Conditional reports whether some step depends on a condition.
func (p *Plan) Conditional() bool { return p.conditional }

// Late reports whether the plan leaves out a step that came too late while late_plugins is error.
func (p *Plan) Late() bool { return p.late }

// Set holds the plans of one generation.
type Set struct {
	opts   Options
	index  *index
	routes map[*entity.Route]places
	global places
	nobody *class
	// classes of the consumers that are more than nobody, also by key, and of the groups that plugins set.
	classes  map[*entity.Consumer]*class
	byKey    map[string]*class
	grouped  groupClasses
	variants variants
	// The configuration, for warnings and explanations.
	disabled  []*Instance
	all       []*entity.Route
	consumers []*entity.Consumer
	warnings  func() []Warning // once
}

// places are the plans of a route for plain and for TLS requests; they are the same unless protocols are enforced.
type places struct{ plain, secure *Plan }

func (p places) of(secure bool) *Plan {
	if secure {
		return p.secure
	}
	return p.plain
}

// Compile builds the plans of all routes. Instances of records that are not enabled are used for warnings and explanations only. The error
// is a *CycleError, or with Options.Strict a *DanglingError.
func Compile(opts Options, instances []*Instance, routes []*entity.Route, consumers []*entity.Consumer) (*Set, error) {
	s := &Set{opts: opts, index: newIndex(opts), routes: make(map[*entity.Route]places, len(routes)), all: routes, consumers: consumers}
	s.warnings = sync.OnceValue(s.findWarnings)
	for _, in := range instances {
		if in.Record.Enabled {
			s.index.add(in)
		} else {
			s.disabled = append(s.disabled, in)
		}
	}
	s.index.ready()
	s.classify(consumers)
	if opts.Strict {
		if d := s.dangling(); len(d) > 0 {
			return nil, &DanglingError{Rules: d}
		}
	}
	if err := s.cycles(); err != nil {
		return nil, err
	}
	built := map[place]*Plan{}
	at := func(pl place) *Plan {
		if built[pl] == nil {
			built[pl], _ = s.build(pl, s.nobody)
		}
		return built[pl]
	}
	s.global = places{at(s.index.place(nil, false)), at(s.index.place(nil, true))}
	for _, r := range routes {
		s.routes[r] = places{at(s.index.place(r, false)), at(s.index.place(r, true))}
	}
	return s, nil
}

// ForRoute is the plan of a route before anybody is authenticated; nil is the plan of requests that have no route, and of the rewrite
// phase. Secure says that the request came over TLS.
func (s *Set) ForRoute(r *entity.Route, secure bool) *Plan {
	if r == nil {
		return s.global.of(secure)
	}
	return s.routes[r].of(secure)
}

// For is the plan of a route for a consumer from the first step on, as if it had always been known. Requests get there by Switch.
func (s *Set) For(r *entity.Route, secure bool, c *entity.Consumer, groups ...wire.Group) *Plan {
	base := s.ForRoute(r, secure)
	class := s.class(c, groups)
	if !base.scoped || class == s.nobody {
		return base
	}
	p, _ := s.build(base.place, class)
	return p
}

// build makes the plan of a place for a class. The error is a *CycleError; the plan has the static order then.
func (s *Set) build(pl place, c *class) (*Plan, error) {
	p := &Plan{set: s, place: pl, class: c, scoped: s.index.scopedAt(pl)}
	static := s.index.steps(pl, c)
	var err error
	p.steps, err = s.ordered(static, pdk.PhaseAccess)
	if e := p.fill(static); err == nil {
		err = e
	}
	return p, err
}

// fill makes the chains from the steps in static order; the order of access is known.
func (p *Plan) fill(static []*Step) error {
	var first error
	for _, phase := range pdk.Phases() {
		order := p.steps
		if phase != pdk.PhaseAccess {
			var err error
			if order, err = p.set.ordered(static, phase); err != nil && first == nil {
				first = err
			}
		}
		var chain []*Step
		for _, st := range order {
			if st.Instance.Phases.Has(phase) {
				chain = append(chain, st)
			}
		}
		p.chain[phase.Index()] = chain
	}
	for _, st := range static {
		p.phases |= st.Instance.Phases
		p.needs |= st.Instance.Needs
		p.conditional = p.conditional || st.Conditional()
	}
	return first
}
