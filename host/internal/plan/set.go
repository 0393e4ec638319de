package plan

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// Set holds the plans of one generation.
type Set struct {
	// Global is the plan of requests that have no route, and of the rewrite phase.
	Global *Plan

	names  []*name // in execution order
	rank   map[string]int
	routes map[*entity.Route]*Plan
	// scopedConsumers and scopedGroups are the ids that at least one record is bound to.
	scopedConsumers map[string]bool
	scopedGroups    map[string]*entity.ConsumerGroup
	interned        map[string]*Plan
}

// name is one plugin name with all its enabled records.
type name struct {
	plugin string
	by     map[scope]*Instance
	scoped bool // has records bound to consumers or groups
}

// scope is the compound key of a record; absent parts are empty.
type scope struct{ route, service, consumer, group string }

// Compile builds the plans of all routes. Instances of disabled records must not be given.
func Compile(instances []*Instance, routes []*entity.Route) *Set {
	s := &Set{
		rank:            map[string]int{},
		routes:          make(map[*entity.Route]*Plan, len(routes)),
		scopedConsumers: map[string]bool{},
		scopedGroups:    map[string]*entity.ConsumerGroup{},
		interned:        map[string]*Plan{},
	}
	byName := map[string]*name{}
	priority := map[string]int{}
	for _, in := range instances {
		r := in.Record
		n := byName[r.Name]
		if n == nil {
			n = &name{plugin: r.Name, by: map[scope]*Instance{}}
			byName[r.Name] = n
			s.names = append(s.names, n)
			priority[r.Name] = in.Priority
		}
		ids := r.ScopeIDs()
		sc := scope{route: ids[0], service: ids[1], consumer: ids[2], group: ids[3]}
		if sc.consumer != "" {
			s.scopedConsumers[sc.consumer] = true
		}
		if sc.group != "" {
			s.scopedGroups[sc.group] = r.ConsumerGroup
		}
		n.scoped = n.scoped || sc.consumer != "" || sc.group != ""
		n.by[sc] = in
	}
	// Larger priority first; equal priorities by name, descending (spec 6.1).
	slices.SortFunc(s.names, func(a, b *name) int {
		if c := cmp.Compare(priority[b.plugin], priority[a.plugin]); c != 0 {
			return c
		}
		return cmp.Compare(b.plugin, a.plugin)
	})
	for i, n := range s.names {
		s.rank[n.plugin] = i
	}
	s.Global = s.choose(nil, class{})
	for _, r := range routes {
		s.routes[r] = s.base(r)
	}
	s.interned = nil
	return s
}

// ForRoute is the plan of a route before anybody is authenticated.
func (s *Set) ForRoute(r *entity.Route) *Plan { return s.routes[r] }

// base builds the plan of a route. Routes whose plans have the same steps share the chains.
func (s *Set) base(r *entity.Route) *Plan {
	p := s.choose(r, class{})
	for _, n := range s.names {
		p.scoped = p.scoped || n.scoped
	}
	p.variants = &variants{base: p}
	var key strings.Builder
	for _, in := range p.steps {
		key.WriteString(strconv.FormatUint(in.ID, 36))
		key.WriteByte(' ')
	}
	if same := s.interned[key.String()]; same != nil {
		p.steps, p.ranks, p.chain = same.steps, same.ranks, same.chain
	} else {
		s.interned[key.String()] = p
	}
	return p
}

// choose picks the record of every plugin name for a route and a class of consumers.
func (s *Set) choose(r *entity.Route, c class) *Plan {
	p := &Plan{set: s, route: r}
	var routeID, serviceID string
	if r != nil {
		routeID = r.ID
		if r.Service != nil {
			serviceID = r.Service.ID
		}
	}
	for i, n := range s.names {
		in := n.lookup(routeID, serviceID, c)
		if in == nil {
			continue
		}
		p.steps = append(p.steps, in)
		p.ranks = append(p.ranks, i)
		p.phases |= in.Phases
		p.needs |= in.Needs
		for j := range pdk.PhaseCount {
			if in.Phases.Has(1 << j) {
				p.chain[j] = append(p.chain[j], in)
			}
		}
	}
	return p
}

// lookup tries the twelve levels of spec 5.2, most specific first; a level counts only when all ids that it needs are known. Levels are
// the outer loop and the consumer's groups the inner one (spec 5.6).
func (n *name) lookup(route, service string, c class) *Instance {
	probe := func(needRoute, needService, needConsumer bool) *Instance {
		if needRoute && route == "" || needService && service == "" || needConsumer && c.consumer == "" {
			return nil
		}
		var k scope
		if needRoute {
			k.route = route
		}
		if needService {
			k.service = service
		}
		if needConsumer {
			k.consumer = c.consumer
		}
		return n.by[k]
	}
	probeGroups := func(needRoute, needService bool) *Instance {
		if needRoute && route == "" || needService && service == "" {
			return nil
		}
		for _, g := range c.groups {
			k := scope{group: g}
			if needRoute {
				k.route = route
			}
			if needService {
				k.service = service
			}
			if in := n.by[k]; in != nil {
				return in
			}
		}
		return nil
	}
	for _, level := range levels {
		var in *Instance
		if level.group {
			in = probeGroups(level.route, level.service)
		} else {
			in = probe(level.route, level.service, level.consumer)
		}
		if in != nil {
			return in
		}
	}
	return nil
}

// levels is the table of spec 5.2.
var levels = [12]struct{ consumer, group, route, service bool }{
	{consumer: true, route: true, service: true},
	{group: true, route: true, service: true},
	{consumer: true, route: true},
	{consumer: true, service: true},
	{group: true, route: true},
	{group: true, service: true},
	{route: true, service: true},
	{consumer: true},
	{group: true},
	{route: true},
	{service: true},
	{},
}

// class is what a consumer and its groups mean to the plans of a set: the ids, each only when a record is bound to it.
type class struct {
	consumer string
	groups   []string
}

func (s *Set) classOf(c *entity.Consumer, set []wire.Group) class {
	var k class
	if c != nil && s.scopedConsumers[c.ID] {
		k.consumer = c.ID
	}
	if len(set) > 0 {
		k.groups = s.groupsOf(set)
		return k
	}
	for _, g := range c.Groups {
		if s.scopedGroups[g.ID] != nil {
			k.groups = append(k.groups, g.ID)
		}
	}
	return k
}

// groupsOf lists the groups that a record is bound to, in the order in which levels try them (spec 5.6).
func (s *Set) groupsOf(set []wire.Group) []string {
	var groups []*entity.ConsumerGroup
	for i := range set {
		if g := s.scopedGroups[set[i].ID]; g != nil && !slices.Contains(groups, g) {
			groups = append(groups, g)
		}
	}
	slices.SortFunc(groups, entity.CompareGroups)
	var ids []string
	for _, g := range groups {
		ids = append(ids, g.ID)
	}
	return ids
}

func (c class) empty() bool { return c.consumer == "" && len(c.groups) == 0 }

func (c class) key() string { return c.consumer + "\x00" + strings.Join(c.groups, "\x00") }
