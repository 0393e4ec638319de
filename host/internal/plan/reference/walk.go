package reference

import "slices"

// walk is the state of one request.
type walk struct {
	w   *World
	req Request
	out Outcome
	id  Identity

	// asked remembers what conditions said: each is asked once, when the walk comes to its record.
	asked map[*Record]Truth
	// turn holds the records whose place the walk has passed, settled the names of which a record runs: no other does.
	turn    map[*Record]bool
	settled map[lookupName]bool
	// met are the nodes that the walk came to; runs says which of them take part in the later phases.
	met  []*node
	runs map[*node]bool
}

// Run says what happens to a request.
func (w *World) Run(req Request) Outcome {
	k := &walk{
		w: w, req: req,
		asked: map[*Record]Truth{}, turn: map[*Record]bool{}, settled: map[lookupName]bool{}, runs: map[*node]bool{},
	}
	k.out.Chains, k.out.Config, k.out.Inherits = map[string][]string{}, map[string]map[string]any{}, map[string][]string{}
	k.rewrite()
	k.out.Answered = req.Route == "" // by 404
	k.access()
	for _, phase := range []string{Response, HeaderFilter, BodyFilter, Log} {
		if phase == Response && k.out.Answered {
			continue // there is no response of an upstream
		}
		k.out.Chains[phase] = k.later(phase)
	}
	return k.out
}

// rewrite sees global records only, and asks no condition (5.4, 6.6).
func (k *walk) rewrite() {
	for _, n := range k.w.graph(k.w.nodes("", Identity{}), Rewrite).order() {
		if n.record.does(k.w, Rewrite) {
			k.out.Chains[Rewrite] = append(k.out.Chains[Rewrite], n.record.Label)
		}
	}
}

// access walks the records of the route. Without a route there is no access, but all global records are enrolled (3.1).
func (k *walk) access() {
	todo := k.plan()
	for len(todo) > 0 {
		n := todo[0]
		todo = todo[1:]
		k.turn[n.record] = true
		k.met = append(k.met, n)
		if k.settled[n.name] || !k.decide(n) {
			continue
		}
		k.enroll(n)
		if k.out.Answered || !n.record.does(k.w, Access) {
			continue
		}
		k.out.Access = append(k.out.Access, n.record.Label)
		k.out.Answered = k.req.Exits[n.record.Plugin]
		if id, sets := k.req.Sets[n.record.Plugin]; sets {
			changed := !k.w.sameClass(k.id, id)
			k.id = id
			if changed {
				todo = k.resume(n, todo)
			}
		}
	}
}

func (k *walk) enroll(n *node) {
	k.settled[n.name] = true
	k.runs[n] = true
	label := n.record.Label
	k.out.Enrolled = append(k.out.Enrolled, label)
	k.out.Config[label] = n.config()
	for _, r := range n.parents {
		k.out.Inherits[label] = append(k.out.Inherits[label], r.Label)
	}
}

// plan lists what may run for the request as it is known now, in the order of the walk.
func (k *walk) plan() []*node {
	return k.w.graph(k.w.nodes(k.req.Route, k.id), Access).order()
}

// decide says whether a node runs, now that its place has come. A record that the lookup meets earlier wins when its condition holds, or
// when there is none, wherever its own place is.
func (k *walk) decide(n *node) bool {
	for _, r := range append(slices.Clone(n.before), n.record) {
		switch k.ask(r) {
		case Broken:
			k.fail("condition")
			k.settled[n.name] = true
			return false
		case True:
			return r == n.record
		}
	}
	return false
}

// ask evaluates the condition of a record, once.
func (k *walk) ask(r *Record) Truth {
	if r.Condition == "" {
		return True
	}
	if _, done := k.asked[r]; !done {
		t := k.req.Truth[r.Condition]
		if t == Known {
			t = False
			if k.id.Consumer != "" {
				t = True
			}
		}
		k.asked[r] = t
	}
	return k.asked[r]
}

// fail answers 500, unless there is an answer already.
func (k *walk) fail(why string) {
	if !k.out.Answered {
		k.out.Answered, k.out.Failed = true, why
	}
}

// resume is the switch of 6.5: auth has set another identity, and what is left comes from the plan of that. Todo is what was left of the old
// plan.
func (k *walk) resume(auth *node, todo []*node) []*node {
	plan := k.plan()
	passed := k.passed(plan, auth)
	var late, rest []*node
	for _, n := range plan {
		switch {
		case k.turn[n.record] || k.through(n.name, todo):
		case !passed[n]:
			rest = append(rest, n)
		case ahead(n.name, todo) || k.runsLate(n, auth):
			late = append(late, n)
		}
	}
	return append(late, rest...)
}

// through says whether the lookup of a name has been made, also when it came to nothing: the walk has met a record of it, and there was none
// left.
func (k *walk) through(name lookupName, todo []*node) bool {
	return ahead(name, k.met) && !ahead(name, todo)
}

// ahead says whether some nodes have one of a name. A plugin that was still to come without the consumer cannot be late.
func ahead(name lookupName, nodes []*node) bool {
	return slices.ContainsFunc(nodes, func(n *node) bool { return n.name == name })
}

// passed marks the nodes of a new plan that the walk is beyond: those before the plugin that authenticates. A plan may lack that plugin
// (mode: disable for the consumer); then they are those before its static place.
func (k *walk) passed(plan []*node, auth *node) map[*node]bool {
	passed := map[*node]bool{}
	point := slices.IndexFunc(plan, func(n *node) bool { return n.record == auth.record })
	if point < 0 {
		point = slices.IndexFunc(plan, func(n *node) bool { return n.name == auth.name })
	}
	for i, n := range plan {
		passed[n] = i < point || point < 0 && k.w.compareStatic(n, auth) < 0
	}
	return passed
}

// runsLate says what to do with a node whose place in the new plan is before the plugin that authenticates.
func (k *walk) runsLate(n, auth *node) bool {
	switch k.w.Options.Late {
	case "run":
		return true
	case "skip":
		return false
	case "error":
		k.fail("late")
		return false
	}
	return k.w.compareStatic(n, auth) > 0
}

// sameClass says whether two identities mean the same to all records (6.5): the consumer and the groups count only when a record is bound
// to them.
func (w *World) sameClass(a, b Identity) bool {
	bound := func(id Identity) []string {
		var class []string
		for _, r := range w.Records {
			if !r.Off && r.Consumer != "" && r.Consumer == id.Consumer {
				class = append(class, "consumer "+id.Consumer)
				break
			}
		}
		for _, g := range w.groups(id) {
			if slices.ContainsFunc(w.Records, func(r *Record) bool { return !r.Off && r.Group == g }) {
				class = append(class, g)
			}
		}
		return class
	}
	return slices.Equal(bound(a), bound(b))
}

// later is the chain of a phase after access: what was enrolled, in the order of that phase. Nodes whose condition does not hold keep
// their place in the order, which is made before any condition is known.
func (k *walk) later(phase string) []string {
	var chain []string
	for _, n := range k.w.graph(k.met, phase).order() {
		if k.runs[n] && n.record.does(k.w, phase) {
			chain = append(chain, n.record.Label)
		}
	}
	return chain
}
