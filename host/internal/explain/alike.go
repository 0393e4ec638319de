package explain

import (
	"fmt"
	"slices"
	"strings"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
	"github.com/outrigger-gateway/outrigger/host/internal/plan"
)

// ownRecords are those that a class has for itself, by its consumer or its groups.
type ownRecords struct {
	// own are the plugins, by the names under which records compete, of which there are records.
	own map[string]bool
	// Of the plugins that are edited somewhere: edited are the records that are not the same on both sides, local those that are and do not reach all
	// routes. shape says of the others how they compete: where it is the same, they win and lose in the same places.
	edited, local []*entity.Plugin
	shape         string
}

// reachAnywhere notes what the classes have of their own, and which of them the edits reach that reach all routes.
func (c *comparison) reachAnywhere() {
	edited, names := map[*entity.Plugin]bool{}, map[string]bool{}
	for _, r := range c.edits.list() {
		edited[r], names[r.LookupName()] = true, true
	}
	byConsumer, byGroup := [2]map[string][]*entity.Plugin{{}, {}}, [2]map[string][]*entity.Plugin{{}, {}}
	for side, g := range c.gen {
		for _, r := range g.Set.Plugins {
			if r.Consumer != nil {
				byConsumer[side][consumerName(r.Consumer)] = append(byConsumer[side][consumerName(r.Consumer)], r)
			}
			if r.ConsumerGroup != nil {
				byGroup[side][r.ConsumerGroup.Name] = append(byGroup[side][r.ConsumerGroup.Name], r)
			}
		}
	}
	c.anywhere, c.anywhereNames, c.ranks = make([]bool, len(c.classes)), map[string]bool{}, make(map[string]int, len(c.classes))
	for _, r := range c.edits.anywhere {
		c.anywhereNames[r.LookupName()] = true
	}
	common := slices.ContainsFunc(c.edits.anywhere, func(r *entity.Plugin) bool { return r.Consumer == nil && r.ConsumerGroup == nil })
	for i := range c.classes {
		cl := &c.classes[i]
		c.ranks[cl.name] = i
		cl.own = map[string]bool{}
		for side, consumer := range cl.consumer {
			if consumer == nil {
				continue
			}
			records := slices.Clone(byConsumer[side][consumerName(consumer)])
			for _, g := range consumer.Groups {
				records = append(records, byGroup[side][g.Name]...)
			}
			cl.add(records, side == 1, names, edited)
		}
		c.anywhere[i] = common || slices.ContainsFunc(cl.edited, func(r *entity.Plugin) bool { return r.Route == nil && r.Service == nil })
	}
}

// add notes the records of one side; those of the new one say what both have.
func (o *ownRecords) add(records []*entity.Plugin, after bool, names map[string]bool, edited map[*entity.Plugin]bool) {
	var shapes []string
	for _, r := range records {
		o.own[r.LookupName()] = true
		switch {
		case !names[r.LookupName()]:
		case edited[r]:
			o.edited = append(o.edited, r)
		case !after:
		case r.Route != nil || r.Service != nil:
			o.local = append(o.local, r)
		default:
			shapes = append(shapes, shapeOf(r))
		}
	}
	slices.Sort(shapes)
	o.shape += strings.Join(shapes, "\x00")
}

// shapeOf is the same for records that compete alike, whoever they are for.
func shapeOf(r *entity.Plugin) string {
	who := "a consumer"
	switch {
	case len(r.Merged) > 0: // what it competes with depends on what it inherits
		who = r.ID
	case r.ConsumerGroup != nil:
		who = "group " + r.ConsumerGroup.Name
	}
	priority := ""
	if r.Priority != nil {
		priority = fmt.Sprint(*r.Priority)
	}
	return fmt.Sprintf("%q %q %t %t %t %q %q %q %s %q", r.LookupName(), who, r.Service != nil, r.Route != nil, r.Enabled, r.Mode, r.Condition, r.OnFalse, priority, r.Protocols)
}

// on is the shape on one route. It is false when a record that is not the same on both sides may run there.
func (o *ownRecords) on(routes [2]*entity.Route) (shape string, same bool) {
	if slices.ContainsFunc(o.edited, func(r *entity.Plugin) bool { return reaches(r, routes) }) {
		return "", false
	}
	shape = o.shape
	var more []string
	for _, r := range o.local {
		if reaches(r, routes) {
			more = append(more, shapeOf(r))
		}
	}
	if len(more) > 0 {
		slices.Sort(more)
		shape += "\x01" + strings.Join(more, "\x00")
	}
	return shape, true
}

// reaches reports whether a record may run on a route, before or after.
func reaches(r *entity.Plugin, routes [2]*entity.Route) bool {
	return slices.ContainsFunc(routes[:], func(route *entity.Route) bool {
		return (r.Route == nil || routeName(r.Route) == routeName(route)) && (r.Service == nil || serviceName(r.Service) == serviceName(route.Service))
	})
}

// alikeClasses puts classes together for which a route changes as it does for the first of them: those whose own records of the plugins that change are the
// same before and after, and compete alike, or that have none. What else they have is the same before and after, and stands where it stood, unless an
// edit moves others, or another plugin authenticates. It is quick: a route looks at every class.
func (c *comparison) alikeClasses(classes []*class, names map[string]bool, routes [2]*entity.Route, pair [2]*plan.Plan) []together {
	out := make([]together, 0, 8)
	apart := names == nil || c.edits.moves || c.authenticator(pair[0]) != c.authenticator(pair[1])
	first := map[string]int{}
	for _, cl := range classes {
		shape, same := "", !apart && !cl.moved
		if same && sharesKey(cl.own, names) {
			shape, same = cl.on(routes)
		}
		if !same {
			out = append(out, together{class: cl})
			continue
		}
		at, known := first[shape]
		if !known {
			first[shape] = len(out)
			out = append(out, together{class: cl})
			continue
		}
		out[at].also = append(out[at].also, cl.name)
	}
	return out
}

// together are classes for which everything changes alike on a route.
type together struct {
	*class
	also []string // the names of the others
}

func sharesKey(a, b map[string]bool) bool {
	if len(a) > len(b) {
		a, b = b, a
	}
	for key := range a {
		if b[key] {
			return true
		}
	}
	return false
}
