package explain

import (
	"cmp"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
	"github.com/outrigger-gateway/outrigger/host/internal/generation"
	"github.com/outrigger-gateway/outrigger/host/internal/plan"
)

// Diff is what runs elsewhere or otherwise in one configuration than in another. docs/guides/explain.md documents its JSON form.
type Diff struct {
	Differs       bool     `json:"differs"`
	RoutesAdded   []string `json:"routes_added"`
	RoutesRemoved []string `json:"routes_removed"`
	Changes       []Change `json:"changes"`
}

// Change is one chain that changes, on all the routes and for all the classes of consumers for which it changes alike.
type Change struct {
	Routes []string `json:"routes"` // "" is requests without route
	Who    []string `json:"who"`    // nobody, consumer NAME, groups NAME, NAME
	Phase  string   `json:"phase"`
	Chain  []Link   `json:"chain"`
}

// What becomes of a step of a chain.
const (
	Same    = "same"
	Added   = "added"
	Removed = "removed"
	Changed = "changed" // the record stands where it stood, and has another configuration, condition or fail mode
)

// Link is one step of a chain that changes.
type Link struct {
	Change   string `json:"change"`
	Plugin   string `json:"plugin"`
	Instance string `json:"instance_name,omitempty"`
	Scope    string `json:"scope"`
	Position string `json:"position,omitempty"` // in the new file; of a removed step, in the old one

	record *entity.Plugin
}

func (l *Link) identity() string { return l.Plugin + "\x00" + l.Instance + "\x00" + l.Scope }

// class is a consumer, or what all consumers in some groups have in common.
type class struct {
	name string
	// In the old and in the new configuration; nil: there is nobody of the class.
	consumer [2]*entity.Consumer
}

// comparison compares two generations.
type comparison struct {
	gen     [2]*generation.Generation
	classes []class
	// seen are the changes of plans that were compared: routes share theirs.
	seen map[[2]*plan.Plan][]Change
}

// Compare lists what runs otherwise in generation after than in generation before.
func Compare(before, after *generation.Generation) *Diff {
	c := comparison{gen: [2]*generation.Generation{before, after}, seen: map[[2]*plan.Plan][]Change{}}
	c.classes = c.listClasses()
	d := &Diff{RoutesAdded: []string{}, RoutesRemoved: []string{}, Changes: []Change{}}
	d.take("", c.unrouted())
	old := routesOf(before.Set)
	for _, r := range after.Set.Routes {
		was := old[routeName(r)]
		if was == nil {
			d.RoutesAdded = append(d.RoutesAdded, routeName(r))
			continue
		}
		delete(old, routeName(r))
		d.take(routeName(r), c.plans(was, r))
	}
	for _, r := range before.Set.Routes {
		if old[routeName(r)] != nil {
			d.RoutesRemoved = append(d.RoutesRemoved, routeName(r))
		}
	}
	d.Differs = len(d.RoutesAdded)+len(d.RoutesRemoved)+len(d.Changes) > 0
	return d
}

// take adds the changes of a route to those of other routes that are alike.
func (d *Diff) take(route string, changes []Change) {
	for _, change := range changes {
		i := slices.IndexFunc(d.Changes, func(c Change) bool {
			return c.Phase == change.Phase && slices.Equal(c.Who, change.Who) && sameChain(c.Chain, change.Chain)
		})
		if i < 0 {
			change.Routes = []string{route}
			d.Changes = append(d.Changes, change)
		} else if !slices.Contains(d.Changes[i].Routes, route) {
			d.Changes[i].Routes = append(d.Changes[i].Routes, route)
		}
	}
}

func sameChain(a, b []Link) bool {
	return slices.EqualFunc(a, b, func(x, y Link) bool { return x.Change == y.Change && x.identity() == y.identity() })
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
	// A consumer whose groups change is of one class before and of another one after: both sides together tell classes apart.
	keys := map[string][2]string{}
	members := map[string][2]*entity.Consumer{}
	var order []string
	for side, g := range c.gen {
		for _, cons := range g.Set.Consumers {
			name := consumerName(cons)
			pair, known := members[name]
			if !known {
				order = append(order, name)
			}
			pair[side] = cons
			members[name] = pair
			var parts []string
			for _, group := range cons.Groups {
				if grouped[group.Name] {
					parts = append(parts, group.Name)
				}
			}
			key := keys[name]
			key[side] = strings.Join(parts, ", ")
			keys[name] = key
		}
	}
	classes := []class{{name: "nobody"}}
	seen := map[string]bool{}
	for _, name := range order {
		key := keys[name]
		cl := class{consumer: members[name]}
		switch {
		case own[name] || key[0] != key[1]:
			cl.name = "consumer " + name
		case key[1] != "":
			cl.name = "groups " + key[1]
		}
		if cl.name != "" && !seen[cl.name] {
			seen[cl.name] = true
			classes = append(classes, cl)
		}
	}
	return classes
}

func consumerName(c *entity.Consumer) string { return cmp.Or(c.Username, c.ID) }

// plans compares what runs on a route, for plain and for TLS requests where these differ.
func (c *comparison) plans(before, after *entity.Route) []Change {
	var all []Change
	for _, secure := range []bool{false, true} {
		pair := [2]*plan.Plan{c.gen[0].Plans.ForRoute(before, secure), c.gen[1].Plans.ForRoute(after, secure)}
		changes, known := c.seen[pair]
		if !known {
			changes = c.chains([2]*entity.Route{before, after}, c.classes, secure)
			c.seen[pair] = changes
		}
		all = append(all, changes...)
	}
	return all
}

// unrouted compares what runs for requests without route: they do not come to access, and nobody is ever known.
func (c *comparison) unrouted() []Change {
	whole := c.chains([2]*entity.Route{}, c.classes[:1], false)
	return slices.DeleteFunc(whole, func(ch Change) bool { return ch.Phase == "access" || ch.Phase == "response" })
}

// chains compares the chains of all phases for some classes.
func (c *comparison) chains(routes [2]*entity.Route, classes []class, secure bool) []Change {
	var all []Change
	for _, cl := range classes {
		var sides [2]map[string][]Link
		for side, g := range c.gen {
			sides[side] = chainsOf(g.Plans, routes[side], secure, cl.consumer[side])
		}
		for _, phase := range entity.OrderingPhases {
			chain := align(sides[0][phase], sides[1][phase])
			if !slices.ContainsFunc(chain, func(l Link) bool { return l.Change != Same }) {
				continue
			}
			i := slices.IndexFunc(all, func(have Change) bool { return have.Phase == phase && sameChain(have.Chain, chain) })
			if i < 0 {
				all = append(all, Change{Who: []string{cl.name}, Phase: phase, Chain: chain})
			} else {
				all[i].Who = append(all[i].Who, cl.name)
			}
		}
	}
	return all
}

// chainsOf lists the chains of a plan by phase, as the plan explains them.
func chainsOf(set *plan.Set, route *entity.Route, secure bool, consumer *entity.Consumer) map[string][]Link {
	x := set.Explain(plan.Query{Route: route, Secure: secure, Consumer: consumer})
	r := &request{route: route, consumer: consumer}
	r.router.TLS = secure
	records := map[string]*entity.Plugin{}
	_, _, steps := stepsOf(set, r, x.AuthenticatedBy)
	for _, st := range slices.Concat(set.ForRoute(nil, secure).Steps(), steps) {
		records[st.Instance.Record.Root().ID] = st.Instance.Record
	}
	chains := map[string][]Link{}
	for _, p := range x.Phases {
		for _, st := range p.Steps {
			chains[p.Phase] = append(chains[p.Phase], Link{
				Plugin: st.Plugin, Instance: st.Instance, Scope: st.Scope, Position: st.Position, record: records[st.ID],
			})
		}
	}
	return chains
}

// align puts two chains side by side: the longest common part stays, the rest comes or goes.
func align(before, after []Link) []Link {
	// length[i][k] is that of the longest common part of before[i:] and after[k:].
	length := make([][]int, len(before)+1)
	for i := range length {
		length[i] = make([]int, len(after)+1)
	}
	for i := len(before) - 1; i >= 0; i-- {
		for k := len(after) - 1; k >= 0; k-- {
			if before[i].identity() == after[k].identity() {
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
		case i < len(before) && k < len(after) && before[i].identity() == after[k].identity():
			change := Same
			if !alike(before[i].record, after[k].record) {
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

// alike reports whether two records do the same where they run.
func alike(a, b *entity.Plugin) bool {
	if a == nil || b == nil {
		return a == b
	}
	return reflect.DeepEqual(a.Effective(), b.Effective()) && a.Condition == b.Condition && a.OnFalse == b.OnFalse && a.Timeout == b.Timeout &&
		a.FailMode == b.FailMode && a.FailStatus == b.FailStatus
}

// Text writes the difference for people.
func (d *Diff) Text(w io.Writer) error {
	t := newText(w)
	if !d.Differs {
		t.say("no chain changes")
		return t.w.Flush()
	}
	for _, r := range d.RoutesAdded {
		t.say("+ route %s", r)
	}
	for _, r := range d.RoutesRemoved {
		t.say("- route %s", r)
	}
	marks := map[string]string{Same: " ", Added: "+", Removed: "-", Changed: "~"}
	for i := range d.Changes {
		c := &d.Changes[i]
		if i > 0 || len(d.RoutesAdded)+len(d.RoutesRemoved) > 0 {
			t.say("")
		}
		t.say("%s, %s, for %s", routeNames(c.Routes), c.Phase, strings.Join(c.Who, "; "))
		for k := range c.Chain {
			l := &c.Chain[k]
			name := l.Plugin
			if l.Instance != "" {
				name = fmt.Sprintf("%s (%s)", l.Plugin, l.Instance)
			}
			t.row(marks[l.Change]+" "+name, l.Scope, l.Position)
		}
	}
	return t.w.Flush()
}

func routeNames(names []string) string {
	if slices.Equal(names, []string{""}) {
		return "without route"
	}
	words := make([]string, len(names))
	for i, n := range names {
		words[i] = cmp.Or(n, "(without route)")
	}
	kind := "route "
	if len(words) > 1 {
		kind = "routes "
	}
	return kind + strings.Join(words, ", ")
}
