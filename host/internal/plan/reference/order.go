package reference

import (
	"cmp"
	"slices"
	"strings"
)

// compareStatic is the static order of 6.1: larger priority first, then the alphabetically greater name. Instances of one plugin are told
// apart by the greater instance name; candidates of one name follow the lookup.
func (w *World) compareStatic(a, b *node) int {
	return cmp.Or(
		cmp.Compare(b.record.priority(w), a.record.priority(w)),
		strings.Compare(b.name.plugin, a.name.plugin),
		strings.Compare(b.name.instance, a.name.instance),
		cmp.Compare(a.rank, b.rank),
	)
}

// graph holds the rules among nodes for one phase.
type graph struct {
	w     *World
	nodes []*node // in static order
	// first[n] are the nodes that must run before n.
	first map[*node][]*node
	// lifts[n] are the nodes that a before rule of n names.
	lifts map[*node][]*node
}

func (w *World) graph(nodes []*node, phase string) *graph {
	g := &graph{w: w, nodes: slices.Clone(nodes), first: map[*node][]*node{}, lifts: map[*node][]*node{}}
	slices.SortStableFunc(g.nodes, w.compareStatic)
	for _, n := range g.nodes {
		for _, other := range g.nodes {
			if n.name == other.name { // a rule says nothing about the plugin that carries it
				continue
			}
			if names(n.record.Before[phase], other) {
				g.first[other] = append(g.first[other], n)
				g.lifts[n] = append(g.lifts[n], other)
			}
			if names(n.record.After[phase], other) {
				g.first[n] = append(g.first[n], other)
			}
		}
	}
	return g
}

// names says whether a rule names a node: by its plugin, or by its instance when the plugin is stacked.
func names(list []string, n *node) bool {
	return slices.Contains(list, n.record.Plugin) || n.record.Stack && slices.Contains(list, n.record.Instance)
}

// cyclic lists the nodes that must run before themselves.
func (g *graph) cyclic() []*node {
	var found []*node
	for _, start := range g.nodes {
		seen := map[*node]bool{}
		var visit func(n *node)
		visit = func(n *node) {
			for _, p := range g.first[n] {
				if !seen[p] {
					seen[p] = true
					visit(p)
				}
			}
		}
		visit(start)
		if seen[start] {
			found = append(found, start)
		}
	}
	return found
}

// order sorts by the algorithm of the configuration. Rules that contradict each other count for nothing.
func (g *graph) order() []*node {
	switch {
	case len(g.cyclic()) > 0:
		return g.nodes
	case g.w.Options.PriorityPreserving:
		return g.preserving()
	case g.w.Options.Push:
		return g.highestFree(g.w.compareStatic)
	}
	return g.pull()
}

// pull is 6.3: before a node its prerequisites, recursively.
func (g *graph) pull() []*node {
	var out []*node
	var emit func(n *node)
	emit = func(n *node) {
		if slices.Contains(out, n) {
			return
		}
		for _, p := range g.nodes { // static order
			if slices.Contains(g.first[n], p) {
				emit(p)
			}
		}
		out = append(out, n)
	}
	for _, n := range g.nodes {
		emit(n)
	}
	return out
}

// preserving is "Ours" of 6.3.1.
func (g *graph) preserving() []*node {
	var effective func(n *node) int
	effective = func(n *node) int {
		p := n.record.priority(g.w)
		for _, x := range g.lifts[n] {
			p = max(p, effective(x))
		}
		return p
	}
	return g.highestFree(func(a, b *node) int {
		return cmp.Or(cmp.Compare(effective(b), effective(a)), g.w.compareStatic(a, b))
	})
}

// highestFree takes, again and again, the first node in the given order that waits for nobody.
func (g *graph) highestFree(compare func(a, b *node) int) []*node {
	left := slices.Clone(g.nodes)
	slices.SortStableFunc(left, compare)
	var out []*node
	for len(left) > 0 {
		i := slices.IndexFunc(left, func(n *node) bool {
			return !slices.ContainsFunc(g.first[n], func(p *node) bool { return !slices.Contains(out, p) })
		})
		out = append(out, left[i])
		left = slices.Delete(left, i, i+1)
	}
	return out
}

// Cycle is a contradiction among the rules for a route and an identity.
type Cycle struct {
	Route    string // "" is a request without route
	Consumer string // "" is nobody
	Phase    string
	Labels   []string // of all records that a rule puts before themselves
}

// Cycles lists what makes a configuration wrong: every route with nobody and with each consumer, and the requests without route.
func (w *World) Cycles() []Cycle {
	var found []Cycle
	check := func(route, consumer string) {
		nodes := w.nodes(route, Identity{Consumer: consumer})
		for _, phase := range Phases {
			if c := w.graph(nodes, phase).cyclic(); len(c) > 0 {
				found = append(found, Cycle{route, consumer, phase, labels(c)})
			}
		}
	}
	check("", "")
	for route := range w.Routes {
		check(route, "")
		for consumer := range w.Consumers {
			check(route, consumer)
		}
	}
	slices.SortFunc(found, func(a, b Cycle) int {
		return cmp.Or(strings.Compare(a.Route, b.Route), strings.Compare(a.Consumer, b.Consumer), strings.Compare(a.Phase, b.Phase))
	})
	return found
}

// Chain lists all candidates for a phase of a route, for an identity that is known from the start: what explanations show.
func (w *World) Chain(route string, id Identity, phase string) []string {
	var chain []string
	for _, n := range w.graph(w.nodes(route, id), phase).order() {
		if n.record.does(w, phase) {
			chain = append(chain, n.record.Label)
		}
	}
	return chain
}

// Follows says whether the rules put the record b directly after a, for a route, a consumer and a phase.
func (w *World) Follows(route, consumer, phase, a, b string) bool {
	g := w.graph(w.nodes(route, Identity{Consumer: consumer}), phase)
	for n, first := range g.first {
		for _, p := range first {
			if n.record.Label == b && p.record.Label == a {
				return true
			}
		}
	}
	return false
}

func labels(nodes []*node) []string {
	var out []string
	for _, n := range nodes {
		out = append(out, n.record.Label)
	}
	return out
}
