package plan

import (
	"cmp"
	"slices"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
	"github.com/outrigger-gateway/outrigger/pdk"
)

// rule says that one step must run before another. Steps are given by their place in the static order.
type rule struct {
	first, then int
	carrier     int  // the one of the two whose record says so
	before      bool // it says so in ordering.before
}

// graph holds the rules among steps for one phase.
type graph struct {
	steps []*Step  // in static order
	rules []rule   // of all steps
	needs [][]rule // by step: what must run first, in static order
}

// ordered puts steps that are in static order into the order of a phase. When their rules contradict each other they keep the static order,
// and the error is a *CycleError without place.
func (s *Set) ordered(static []*Step, phase pdk.Phase) ([]*Step, error) {
	if !s.index.ruled {
		return static, nil
	}
	g := newGraph(static, phase)
	if len(g.rules) == 0 {
		return static, nil
	}
	if c := g.cycle(); c != nil {
		return static, &CycleError{Phase: phase.String(), Rules: g.says(c)}
	}
	out := make([]*Step, 0, len(static))
	for _, i := range g.order(s.opts) {
		out = append(out, static[i])
	}
	return out, nil
}

func newGraph(static []*Step, phase pdk.Phase) *graph {
	g := &graph{steps: static}
	for i, s := range static {
		o := &s.Instance.Record.Ordering
		for _, target := range o.Before[phase.String()] {
			g.connect(i, target, true)
		}
		for _, target := range o.After[phase.String()] {
			g.connect(i, target, false)
		}
	}
	if len(g.rules) == 0 {
		return g
	}
	g.needs = make([][]rule, len(static))
	for _, r := range g.rules {
		g.needs[r.then] = append(g.needs[r.then], r)
	}
	for _, n := range g.needs {
		slices.SortStableFunc(n, func(a, b rule) int { return cmp.Compare(a.first, b.first) })
	}
	return g
}

// connect adds a rule that step i carries to every step that it names. A rule says nothing about the plugin that carries it.
func (g *graph) connect(i int, target string, before bool) {
	for j, s := range g.steps {
		if s.name == g.steps[i].name || !s.name.called(target) {
			continue
		}
		r := rule{first: i, then: j, carrier: i, before: before}
		if !before {
			r.first, r.then = j, i
		}
		g.rules = append(g.rules, r)
	}
}

// called reports whether a rule means this name: by the plugin, or by the instance when it is stacked.
func (n *name) called(target string) bool {
	return n.plugin == target || n.instance != "" && n.instance == target
}

// cycle finds rules that go round in a circle; nil when there are none.
func (g *graph) cycle() []rule {
	if len(g.rules) == 0 {
		return nil
	}
	const active, done = 1, 2
	state := make([]int, len(g.steps))
	var path []rule
	var visit func(i int) []rule
	visit = func(i int) []rule {
		state[i] = active
		for _, r := range g.needs[i] {
			path = append(path, r)
			switch state[r.first] {
			case active:
				start := slices.IndexFunc(path, func(p rule) bool { return p.then == r.first })
				return slices.Clone(path[start:])
			case 0:
				if c := visit(r.first); c != nil {
					return c
				}
			}
			path = path[:len(path)-1]
		}
		state[i] = done
		return nil
	}
	for i := range g.steps {
		if state[i] == 0 {
			if c := visit(i); c != nil {
				slices.Reverse(c) // from what must run first to what needs it
				return c
			}
		}
	}
	return nil
}

// order sorts the steps. The rules have no cycle.
func (g *graph) order(o Options) []int {
	static := make([]int, len(g.steps))
	for i := range static {
		static[i] = i
	}
	switch {
	case o.Algorithm == PriorityPreserving:
		lifted := g.lifted()
		slices.SortStableFunc(static, func(a, b int) int { return cmp.Compare(lifted[b], lifted[a]) })
		return g.firstFree(static)
	case o.Mode == Push:
		return g.firstFree(static)
	}
	return g.pull(static)
}

// pull walks the steps in static order; before a step it places what the step needs, recursively (spec 6.3).
func (g *graph) pull(static []int) []int {
	out := make([]int, 0, len(static))
	placed := make([]bool, len(static))
	var place func(i int)
	place = func(i int) {
		if placed[i] {
			return
		}
		placed[i] = true
		for _, r := range g.needs[i] {
			place(r.first)
		}
		out = append(out, i)
	}
	for _, i := range static {
		place(i)
	}
	return out
}

// lifted are the priorities of priority_preserving: a step that carries "before X" has at least the priority of X (spec 6.3.1).
func (g *graph) lifted() []int {
	lifted := make([]int, len(g.steps))
	known := make([]bool, len(g.steps))
	var lift func(i int) int
	lift = func(i int) int {
		if known[i] {
			return lifted[i]
		}
		known[i] = true
		lifted[i] = g.steps[i].Instance.priority()
		for _, r := range g.rules {
			if r.before && r.carrier == i {
				lifted[i] = max(lifted[i], lift(r.then))
			}
		}
		return lifted[i]
	}
	for i := range g.steps {
		lift(i)
	}
	return lifted
}

// firstFree takes, again and again, the first step in the given order that needs nothing any more.
func (g *graph) firstFree(order []int) []int {
	out := make([]int, 0, len(order))
	placed := make([]bool, len(order))
	for len(out) < len(order) {
		for _, i := range order {
			if !placed[i] && !slices.ContainsFunc(g.needs[i], func(r rule) bool { return !placed[r.first] }) {
				placed[i] = true
				out = append(out, i)
				break
			}
		}
	}
	return out
}

// movers says for each step which rule moved it out of its static place; nil: none did. Order is what order gave.
func (g *graph) movers(o Options, order []int) []*rule {
	moved := make([]*rule, len(g.steps))
	at := make([]int, len(order))
	for k, i := range order {
		at[i] = k
	}
	for k := range g.rules {
		r := &g.rules[k]
		switch {
		case o.Algorithm == PriorityPreserving && r.before:
			// Lifted by its own rule, to the first of those that it names.
			if i := r.first; overtakes(at, i) && (moved[i] == nil || at[r.then] < at[moved[i].then]) {
				moved[i] = r
			}
		case o.Algorithm == PriorityPreserving || o.Mode == Push:
			// It waited for what is placed last before it.
			if i := r.then; r.first > i && (moved[i] == nil || at[r.first] > at[moved[i].first]) {
				moved[i] = r
			}
		default:
			// Pulled forward by the first step that needs it.
			if i := r.first; overtakes(at, i) && (moved[i] == nil || at[r.then] < at[moved[i].then]) {
				moved[i] = r
			}
		}
	}
	return moved
}

// overtakes reports whether step i is placed before one that precedes it in the static order.
func overtakes(at []int, i int) bool {
	for j := range i {
		if at[j] > at[i] {
			return true
		}
	}
	return false
}

// says turns rules into what errors and explanations show.
func (g *graph) says(rules []rule) []Rule {
	out := make([]Rule, len(rules))
	for i, r := range rules {
		out[i] = g.say(&r)
	}
	return out
}

func (g *graph) say(r *rule) Rule {
	s := Rule{First: g.steps[r.first].Instance.Record.Root(), Then: g.steps[r.then].Instance.Record.Root(), Before: r.before}
	s.Carrier = g.steps[r.carrier].Instance.Record.Root()
	return s
}

// Rule is one rule between two records.
type Rule struct {
	First, Then *entity.Plugin
	Carrier     *entity.Plugin // the one of the two whose ordering has the rule
	Before      bool           // the rule is in ordering.before of First, otherwise in ordering.after of Then
}
