package reference_test

import (
	"errors"
	"fmt"
	"slices"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
	"github.com/outrigger-gateway/outrigger/host/internal/generation"
	"github.com/outrigger-gateway/outrigger/host/internal/plan"
	"github.com/outrigger-gateway/outrigger/host/internal/plan/reference"
	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// compiled is package plan as a subject: the entities of a world, the plans made of them, and a walk as package dispatch does it.
type compiled struct {
	w         *reference.World
	routes    map[string]*entity.Route
	services  map[string]*entity.Service
	consumers map[string]*entity.Consumer
	groups    map[string]*entity.ConsumerGroup

	set *plan.Set
	err error
}

// condition stands in for a compiled expression; the walk asks the truth table instead.
type condition struct{}

func (condition) Eval(plan.ConditionFacts) (bool, error) { panic("the walk asks by itself") }

func compile(w *reference.World) *compiled {
	s := &compiled{
		w: w, routes: map[string]*entity.Route{}, services: map[string]*entity.Service{},
		consumers: map[string]*entity.Consumer{}, groups: map[string]*entity.ConsumerGroup{},
	}
	s.entities()
	var records []*entity.Plugin
	byLabel := map[string]*reference.Record{}
	for _, r := range w.Records {
		byLabel[r.Label] = r
		records = append(records, s.record(r))
	}
	opts := plan.Options{Algorithm: plan.Legacy, Mode: plan.Pull, Late: w.Options.Late}
	if w.Options.PriorityPreserving {
		opts.Algorithm = plan.PriorityPreserving
	}
	if w.Options.Push {
		opts.Mode = plan.Push
	}
	routes, consumers := sorted(s.routes), sorted(s.consumers)
	var instances []*plan.Instance
	add := func(r *entity.Plugin) {
		from := byLabel[r.ID]
		in := &plan.Instance{ID: uint64(len(instances) + 1), Record: r, Priority: w.Plugins[from.Plugin].Priority}
		for _, phase := range w.Plugins[from.Plugin].Phases {
			in.Phases |= pdk.Phase(1 << slices.Index(reference.Phases, phase))
		}
		if from.Condition != "" {
			in.Condition = condition{}
		}
		instances = append(instances, in)
	}
	// Configurations are merged before plans are made of them, by the package that builds generations.
	set := &entity.Set{Plugins: records, Routes: routes, Consumers: consumers}
	(&generation.Builder{Plan: opts}).Merge(set)
	for _, r := range set.Plugins {
		add(r)
	}
	s.set, s.err = plan.Compile(opts, instances, routes, consumers)
	return s
}

func (s *compiled) entities() {
	for name, service := range s.w.Routes {
		if service != "" && s.services[service] == nil {
			s.services[service] = &entity.Service{ID: service, Name: service}
		}
		s.routes[name] = &entity.Route{ID: name, Name: name, Service: s.services[service]}
	}
	for name, priority := range s.w.Groups {
		s.groups[name] = &entity.ConsumerGroup{ID: name, Name: name, Priority: priority}
	}
	for name, groups := range s.w.Consumers {
		c := &entity.Consumer{ID: name, Username: name}
		for _, g := range groups {
			c.Groups = append(c.Groups, s.groups[g])
		}
		slices.SortFunc(c.Groups, entity.CompareGroups) // as package config leaves them
		s.consumers[name] = c
	}
}

// sorted lists the entities by name.
func sorted[E any](byName map[string]E) []E {
	var names []string
	for name := range byName {
		names = append(names, name)
	}
	slices.Sort(names)
	var list []E
	for _, name := range names {
		list = append(list, byName[name])
	}
	return list
}

func (s *compiled) record(r *reference.Record) *entity.Plugin {
	p := &entity.Plugin{
		ID: r.Label, Name: r.Plugin, InstanceName: r.Instance, Enabled: !r.Off, Stack: r.Stack, Inherit: r.Inherit, Priority: r.Priority,
		Service: s.services[r.Service], Route: s.routes[r.Route], Consumer: s.consumers[r.Consumer], ConsumerGroup: s.groups[r.Group],
		Config: r.Config, Condition: r.Condition, Mode: entity.ModeEnable, OnFalse: entity.OnFalseSkip,
		Ordering: entity.Ordering{Before: r.Before, After: r.After},
	}
	if r.Service != "" && p.Service == nil { // a service without routes
		p.Service = &entity.Service{ID: r.Service, Name: r.Service}
		s.services[r.Service] = p.Service
	}
	if r.Disable {
		p.Mode = entity.ModeDisable
	}
	if r.Next {
		p.OnFalse = entity.OnFalseNext
	}
	return p
}

// load gives the cycle in the words of the reference when that finds the same rules wrong at the same place: the compiler names one cycle,
// the reference all of them.
func (s *compiled) load() *cycle {
	if s.err == nil {
		return nil
	}
	var e *plan.CycleError
	if !errors.As(s.err, &e) {
		return &cycle{Phase: fmt.Sprintf("not a cycle: %v", s.err)}
	}
	got := &cycle{Phase: e.Phase}
	if e.Route != nil {
		got.Route = e.Route.ID
	}
	if e.Consumer != nil {
		got.Consumer = e.Consumer.ID
	}
	for _, r := range e.Records() {
		got.Records = append(got.Records, r.ID)
	}
	if problem := s.wrong(got); problem != "" {
		got.Phase += ": " + problem
		return got
	}
	return ref{s.w}.load()
}

// wrong says what is wrong with a cycle; "" when the reference agrees.
func (s *compiled) wrong(c *cycle) string {
	if len(c.Records) < 2 {
		return "a cycle of less than two records"
	}
	for i, label := range c.Records {
		next := c.Records[(i+1)%len(c.Records)]
		if !s.w.Follows(c.Route, c.Consumer, c.Phase, label, next) {
			return fmt.Sprintf("no rule puts %s before %s on route %q for consumer %q", label, next, c.Route, c.Consumer)
		}
	}
	return ""
}

// unmerged stands for the parents of a configuration that was not made in time.
const unmerged = "not merged"

// errBroken is what a condition gives that cannot be evaluated.
var errBroken = errors.New("broken")

// verdicts answers for the conditions of one request.
type verdicts func(candidate *plan.Step) (bool, error)

// Verdict implements plan.Verdicts.
func (v verdicts) Verdict(candidate *plan.Step) (bool, error) { return v(candidate) }

// run walks the plan of a request.
func (s *compiled) run(req reference.Request) reference.Outcome {
	out := reference.Outcome{Chains: map[string][]string{}, Config: map[string]map[string]any{}, Inherits: map[string][]string{}}
	if req.Route != "" && s.routes[req.Route] == nil {
		panic("no route " + req.Route)
	}
	var id reference.Identity
	asked := map[string]reference.Truth{}
	verdict := verdicts(func(st *plan.Step) (bool, error) {
		r := st.Instance.Record.Root()
		if _, ok := asked[r.ID]; !ok {
			t := req.Truth[r.Condition]
			if t == reference.Known && id.Consumer != "" {
				t = reference.True
			}
			asked[r.ID] = t
		}
		if asked[r.ID] == reference.Broken {
			return false, errBroken
		}
		return asked[r.ID] == reference.True, nil
	})
	runs := func(st *plan.Step) bool {
		ok, err := st.Runs(verdict)
		if err != nil && !out.Answered {
			out.Failed, out.Answered = "condition", true
		}
		return ok
	}

	for _, st := range s.set.ForRoute(nil, false).Chain(pdk.PhaseRewrite) {
		out.Chains[reference.Rewrite] = append(out.Chains[reference.Rewrite], label(st))
	}
	out.Answered = req.Route == "" // by 404
	p := s.set.ForRoute(s.routes[req.Route], false)
	for i := 0; i < len(p.Steps()); i++ {
		st := p.Steps()[i]
		if !runs(st) {
			continue
		}
		r := st.Instance.Record
		out.Enrolled = append(out.Enrolled, label(st))
		out.Config[label(st)] = r.Config
		if r.Config == nil {
			out.Config[label(st)] = map[string]any{}
		}
		for _, parent := range r.Merged[min(1, len(r.Merged)):] {
			out.Inherits[label(st)] = append(out.Inherits[label(st)], parent.ID)
		}
		if st.Instance.Unavailable != "" {
			out.Inherits[label(st)] = []string{unmerged}
		}
		if out.Answered || !st.Instance.Phases.Has(pdk.PhaseAccess) {
			continue
		}
		out.Access = append(out.Access, label(st))
		out.Answered = req.Exits[r.Name]
		if set, ok := req.Sets[r.Name]; ok {
			id = set
			var groups []wire.Group
			for _, g := range set.Groups {
				groups = append(groups, wire.Group{ID: g, Name: g})
			}
			next := p.Switch(i, s.consumers[set.Consumer], groups)
			if next.Late() && next != p && !out.Answered {
				out.Failed, out.Answered = "late", true
			}
			p = next
		}
	}
	for i, phase := range reference.Phases[2:] {
		if phase == reference.Response && out.Answered {
			continue
		}
		for _, st := range p.Chain(pdk.Phase(1 << (i + 2))) {
			if runs(st) {
				out.Chains[phase] = append(out.Chains[phase], label(st))
			}
		}
	}
	return out
}

// chain is that of a route for a consumer who is known from the start.
func (s *compiled) chain(route, consumer, phase string) []string {
	var chain []string
	p := s.set.For(s.routes[route], false, s.consumers[consumer])
	for _, st := range p.Chain(pdk.Phase(1 << slices.Index(reference.Phases, phase))) {
		chain = append(chain, label(st))
	}
	return chain
}

func label(st *plan.Step) string { return st.Instance.Record.ID }
