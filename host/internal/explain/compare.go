package explain

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
	"github.com/outrigger-gateway/outrigger/host/internal/generation"
	"github.com/outrigger-gateway/outrigger/host/internal/plan"
	"github.com/outrigger-gateway/outrigger/pdk"
)

// comparison compares two generations, the old one first.
type comparison struct {
	gen     [2]*generation.Generation
	classes []class
	edits   edits
	// seen are the changes of plans that were compared: routes share theirs.
	seen map[[2]*plan.Plan][]Change
	// What is known of records already: they come up for every route and every class.
	ids   map[*entity.Plugin]string
	known map[[2]*entity.Plugin]bool // of two records, whether they do the same
	steps map[stepOf]Link
	diff  *Diff
	// places of the changes of diff, by the key of the change and who it is for.
	places map[string]int

	// anywhere says which classes an edit reaches that reaches all routes, and names the plugins of these edits.
	anywhere      []bool
	anywhereNames map[string]bool
	ranks         map[string]int // of the classes by name
}

// class is a consumer, or what all consumers in some groups have in common.
type class struct {
	name string
	// In the old and in the new configuration; nil: there is nobody of the class.
	consumer [2]*entity.Consumer
	moved    bool // from some groups to others
	ownRecords
}

// Compare lists what runs otherwise in generation after than in generation before. It stops when ctx ends.
func Compare(ctx context.Context, before, after *generation.Generation) (*Diff, error) {
	return compare(ctx, before, after, editsOf(before.Set, after.Set))
}

// compare looks only where the edits reach.
func compare(ctx context.Context, before, after *generation.Generation, e edits) (*Diff, error) {
	d := &Diff{RoutesAdded: []string{}, RoutesRemoved: []string{}, Changes: []Change{}}
	c := comparison{
		gen: [2]*generation.Generation{before, after}, edits: e, seen: map[[2]*plan.Plan][]Change{}, ids: map[*entity.Plugin]string{},
		known: map[[2]*entity.Plugin]bool{}, steps: map[stepOf]Link{}, diff: d, places: map[string]int{},
	}
	c.classes = c.listClasses()
	c.reachAnywhere()
	c.take("", c.unrouted())
	old := routesOf(before.Set)
	for _, r := range after.Set.Routes {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("comparing the chains of all routes: %w", err)
		}
		was := old[routeName(r)]
		if was == nil {
			d.RoutesAdded = append(d.RoutesAdded, routeName(r))
			continue
		}
		delete(old, routeName(r))
		c.take(routeName(r), c.plans([2]*entity.Route{was, r}))
	}
	for _, r := range before.Set.Routes {
		if old[routeName(r)] != nil {
			d.RoutesRemoved = append(d.RoutesRemoved, routeName(r))
		}
	}
	d.Differs = len(d.RoutesAdded)+len(d.RoutesRemoved)+len(d.Changes) > 0
	return d, nil
}

// take adds the changes of a route to those of other routes that are alike.
func (c *comparison) take(route string, changes []Change) {
	for i := range changes {
		key := changes[i].key + "\x00" + strings.Join(changes[i].Who, "\x00")
		at, known := c.places[key]
		if !known {
			at = len(c.diff.Changes)
			c.places[key] = at
			c.diff.Changes = append(c.diff.Changes, changes[i])
		}
		if routes := &c.diff.Changes[at].Routes; len(*routes) == 0 || (*routes)[len(*routes)-1] != route { // once for plain and TLS requests
			*routes = append(*routes, route)
		}
	}
}

// keyOf is the same for chains of one phase that change alike: by the same steps, and when a step moves, between the same plugins, whoever their records
// are for.
func keyOf(phase string, chain []Link) string {
	moved := map[string]bool{}
	whole := false
	for i := range chain {
		if l := &chain[i]; l.Change == Added || l.Change == Removed {
			whole = whole || moved[l.identity]
			moved[l.identity] = true
		}
	}
	var key strings.Builder
	key.WriteString(phase)
	for i := range chain {
		switch l := &chain[i]; {
		case l.Change != Same:
			key.WriteString("\x00" + l.Change + "\x00" + l.identity)
		case whole:
			key.WriteString("\x00" + l.Change + "\x00" + l.Plugin + "\x00" + l.Instance)
		}
	}
	return key.String()
}

func routeName(r *entity.Route) string { return cmp.Or(r.Name, r.ID) }

func routesOf(set *entity.Set) map[string]*entity.Route {
	routes := make(map[string]*entity.Route, len(set.Routes))
	for _, r := range set.Routes {
		routes[routeName(r)] = r
	}
	return routes
}

// listClasses finds the consumers that records tell apart, one for each class: nobody, those with records of their own, and those in groups
// with records.
func (c *comparison) listClasses() []class {
	own, grouped := map[string]bool{}, map[string]bool{}
	for _, g := range c.gen {
		for _, p := range g.Set.Plugins {
			if p.Consumer != nil {
				own[consumerName(p.Consumer)] = true
			}
			if p.ConsumerGroup != nil {
				grouped[p.ConsumerGroup.Name] = true
			}
		}
	}
	members := map[string][2]*entity.Consumer{}
	var order []string
	for side, g := range c.gen {
		for _, consumer := range g.Set.Consumers {
			name := consumerName(consumer)
			pair, known := members[name]
			if !known {
				order = append(order, name)
			}
			pair[side] = consumer
			members[name] = pair
		}
	}
	classes := []class{{name: "nobody"}}
	seen := map[string]bool{}
	for _, name := range order {
		cl := class{consumer: members[name]}
		before, after := groupNames(cl.consumer[0], grouped), groupNames(cl.consumer[1], grouped)
		cl.moved = before != after
		switch {
		case own[name] || cl.moved:
			cl.name = "consumer " + name
		case after != "":
			cl.name = "groups " + after
		}
		if cl.name != "" && !seen[cl.name] {
			seen[cl.name] = true
			classes = append(classes, cl)
		}
	}
	return classes
}

// groupNames lists the groups of a consumer that records are bound to, in the order in which they are tried.
func groupNames(c *entity.Consumer, grouped map[string]bool) string {
	if c == nil {
		return ""
	}
	var names []string
	for _, g := range c.Groups {
		if grouped[g.Name] {
			names = append(names, g.Name)
		}
	}
	return strings.Join(names, ", ")
}

// reached are the classes for which something may change on a route, and the names of the plugins whose records are not the same.
func (c *comparison) reached(routes [2]*entity.Route) (classes []*class, names map[string]bool) {
	if c.edits.all || serviceName(routes[0].Service) != serviceName(routes[1].Service) {
		return c.everybody(), nil
	}
	names = maps.Clone(c.anywhereNames)
	everybody := false
	for _, r := range c.edits.of(routes[0]) {
		names[r.LookupName()] = true
		everybody = everybody || r.Consumer == nil && r.ConsumerGroup == nil
	}
	if everybody {
		return c.everybody(), names
	}
	for i := range c.classes {
		cl := &c.classes[i]
		if cl.moved || c.anywhere[i] || slices.ContainsFunc(cl.edited, func(r *entity.Plugin) bool { return reaches(r, routes) }) {
			classes = append(classes, cl)
		}
	}
	return classes, names
}

// everybody are all classes.
func (c *comparison) everybody() []*class {
	all := make([]*class, len(c.classes))
	for i := range c.classes {
		all[i] = &c.classes[i]
	}
	return all
}

// authenticator is the record that makes the consumer known in a plan; "" when none does.
func (c *comparison) authenticator(p *plan.Plan) string {
	for _, s := range p.Steps() {
		if s.Instance.Authenticates {
			return c.identity(s.Record())
		}
	}
	return ""
}

func consumerName(c *entity.Consumer) string { return cmp.Or(c.Username, c.ID) }

// plans compares what runs on a route, for plain and for TLS requests where these differ.
func (c *comparison) plans(routes [2]*entity.Route) []Change {
	classes, names := c.reached(routes)
	if len(classes) == 0 {
		return nil
	}
	var all []Change
	var last [2]*plan.Plan
	for _, secure := range []bool{false, true} {
		pair := [2]*plan.Plan{c.gen[0].Plans.ForRoute(routes[0], secure), c.gen[1].Plans.ForRoute(routes[1], secure)}
		if pair == last {
			break
		}
		last = pair
		changes, known := c.seen[pair]
		if !known {
			changes = c.chains(routes, c.alikeClasses(classes, names, routes, pair), secure)
			c.seen[pair] = changes
		}
		all = append(all, changes...)
	}
	return all
}

// unrouted compares what runs for requests without route: they do not come to access, and nobody is ever known.
func (c *comparison) unrouted() []Change {
	whole := c.chains([2]*entity.Route{}, []together{{class: &c.classes[0]}}, false)
	return slices.DeleteFunc(whole, func(ch Change) bool { return ch.Phase == "access" || ch.Phase == "response" })
}

// chains compares the chains of all phases for some classes.
func (c *comparison) chains(routes [2]*entity.Route, classes []together, secure bool) []Change {
	var all []Change
	places := map[string]int{}
	for _, cl := range classes {
		before := planOf(c.gen[0].Plans, routes[0], secure, cl.consumer[0])
		after := planOf(c.gen[1].Plans, routes[1], secure, cl.consumer[1])
		for _, phase := range pdk.Phases() {
			from, to := before, after
			if phase == pdk.PhaseRewrite { // before the route is known
				from, to = c.gen[0].Plans.ForRoute(nil, secure), c.gen[1].Plans.ForRoute(nil, secure)
			}
			if c.equal(from.Chain(phase), to.Chain(phase)) {
				continue
			}
			chain := c.align(c.links(from.Chain(phase)), c.links(to.Chain(phase)))
			key := keyOf(phase.String(), chain)
			i, known := places[key]
			if !known {
				i = len(all)
				places[key] = i
				all = append(all, Change{Phase: phase.String(), Chain: chain, key: key})
			}
			all[i].Who = append(append(all[i].Who, cl.name), cl.also...)
		}
	}
	for i := range all { // in one order, whatever was put together
		slices.SortFunc(all[i].Who, func(a, b string) int { return c.ranks[a] - c.ranks[b] })
	}
	return all
}

// planOf is the plan at the end of access: that in which the walk goes on behind the plugin that authenticates, if there is one.
func planOf(set *plan.Set, route *entity.Route, secure bool, consumer *entity.Consumer) *plan.Plan {
	p := set.ForRoute(route, secure)
	if route == nil || consumer == nil {
		return p
	}
	i := slices.IndexFunc(p.Steps(), func(s *plan.Step) bool { return s.Instance.Authenticates })
	if i < 0 {
		return p
	}
	return p.Switch(i, consumer, nil)
}

// equal reports whether two chains run the same.
func (c *comparison) equal(a, b []*plan.Step) bool {
	return slices.EqualFunc(a, b, func(x, y *plan.Step) bool {
		return c.identity(x.Record()) == c.identity(y.Record()) && c.alike(x.Instance.Record, y.Instance.Record)
	})
}

func (c *comparison) alike(a, b *entity.Plugin) bool {
	pair := [2]*entity.Plugin{a, b}
	same, known := c.known[pair]
	if !known {
		same = alike(a, b)
		c.known[pair] = same
	}
	return same
}

// identity is what a record has in common in both configurations.
func (c *comparison) identity(r *entity.Plugin) string {
	id, known := c.ids[r]
	if !known {
		id = identityOf(r)
		c.ids[r] = id
	}
	return id
}

func identityOf(r *entity.Plugin) string { return r.LookupName() + "\x00" + r.Scope() }

func (c *comparison) links(steps []*plan.Step) []Link {
	links := make([]Link, len(steps))
	for i, st := range steps {
		at := stepOf{st.Record(), st.Instance.Record}
		l, known := c.steps[at]
		if !known {
			r := at.record
			l = Link{Plugin: r.Name, Instance: r.InstanceName, Scope: r.Scope(), Position: r.Pos.String(), identity: c.identity(r), record: at.runs}
			c.steps[at] = l
		}
		links[i] = l
	}
	return links
}

// stepOf is a record as it is written and as it runs.
type stepOf struct{ record, runs *entity.Plugin }

// align puts two chains side by side: the longest common part stays, the rest comes or goes.
func (c *comparison) align(before, after []Link) []Link {
	if len(before) == len(after) && slices.EqualFunc(before, after, func(a, b Link) bool { return a.identity == b.identity }) {
		for i := range after { // nothing comes, goes or moves
			after[i].Change = Same
			if !c.alike(before[i].record, after[i].record) {
				after[i].Change = Changed
			}
		}
		return after
	}
	// length[i][k] is that of the longest common part of before[i:] and after[k:].
	length := make([][]int, len(before)+1)
	for i := range length {
		length[i] = make([]int, len(after)+1)
	}
	for i := len(before) - 1; i >= 0; i-- {
		for k := len(after) - 1; k >= 0; k-- {
			if before[i].identity == after[k].identity {
				length[i][k] = length[i+1][k+1] + 1
			} else {
				length[i][k] = max(length[i+1][k], length[i][k+1])
			}
		}
	}
	var out []Link
	add := func(l Link, change string) {
		l.Change = change
		out = append(out, l)
	}
	i, k := 0, 0
	for i < len(before) || k < len(after) {
		switch {
		case i < len(before) && k < len(after) && before[i].identity == after[k].identity:
			change := Same
			if !c.alike(before[i].record, after[k].record) {
				change = Changed
			}
			add(after[k], change)
			i, k = i+1, k+1
		case k == len(after) || i < len(before) && length[i+1][k] >= length[i][k+1]:
			add(before[i], Removed)
			i++
		default:
			add(after[k], Added)
			k++
		}
	}
	return out
}
