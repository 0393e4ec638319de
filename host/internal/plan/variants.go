package plan

import (
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// class is what a consumer and its groups mean to the plans of a set: each only when a record is bound to it. Equal classes are one.
type class struct {
	consumer *entity.Consumer
	groups   []*entity.ConsumerGroup // in the order of spec 5.6
	number   uint32
}

// classify finds the class of every consumer.
func (s *Set) classify(consumers []*entity.Consumer) {
	s.nobody = &class{}
	s.classes = map[*entity.Consumer]*class{}
	s.byKey = map[string]*class{}
	for _, c := range consumers {
		k := s.index.class(c, c.Groups)
		if k == nil {
			continue
		}
		key := k.key()
		if s.byKey[key] == nil {
			k.number = uint32(len(s.byKey) + 1)
			s.byKey[key] = k
		}
		s.classes[c] = s.byKey[key]
	}
	s.grouped.m = map[string]*class{}
}

// class is what a consumer, or nil, and groups are to the records; nil: nothing.
func (x *index) class(c *entity.Consumer, groups []*entity.ConsumerGroup) *class {
	k := class{}
	if c != nil && x.consumers[c] {
		k.consumer = c
	}
	for _, g := range groups {
		if x.groups[g.ID] != nil && !slices.Contains(k.groups, g) {
			k.groups = append(k.groups, g)
		}
	}
	if k.consumer == nil && len(k.groups) == 0 {
		return nil
	}
	slices.SortFunc(k.groups, entity.CompareGroups)
	return &k
}

func (c *class) key() string {
	var key strings.Builder
	if c.consumer != nil {
		key.WriteString(c.consumer.ID)
	}
	for _, g := range c.groups {
		key.WriteByte(0)
		key.WriteString(g.ID)
	}
	return key.String()
}

// class finds the class of a consumer. Groups that plugins set for the request count instead of its own.
func (s *Set) class(c *entity.Consumer, set []wire.Group) *class {
	if len(set) > 0 {
		return s.grouped.get(s, c, set)
	}
	if k := s.classes[c]; k != nil {
		return k
	}
	return s.nobody
}

// groupClasses keeps the classes that plugins make by setting groups. The key is what the plugin said.
type groupClasses struct {
	mu   sync.RWMutex
	m    map[string]*class
	made uint32
}

// maxGrouped bounds them. One that falls out is made again when it is needed, and so are its plans.
const maxGrouped = 4096

func (gc *groupClasses) get(s *Set, c *entity.Consumer, set []wire.Group) *class {
	var room [512]byte
	key := room[:0]
	if c != nil && s.index.consumers[c] {
		key = append(key, c.ID...)
	}
	for i := range set {
		if s.index.groups[set[i].ID] != nil {
			key = append(append(key, 0), set[i].ID...)
		}
	}
	if len(key) == 0 {
		return s.nobody
	}
	gc.mu.RLock()
	k := gc.m[string(key)]
	gc.mu.RUnlock()
	if k != nil {
		return k
	}
	var groups []*entity.ConsumerGroup
	for i := range set {
		if g := s.index.groups[set[i].ID]; g != nil {
			groups = append(groups, g)
		}
	}
	k = s.index.class(c, groups)
	gc.mu.Lock()
	defer gc.mu.Unlock()
	same := k.key()
	if q := s.byKey[same]; q != nil { // that of a consumer
		k = q
	} else if q := gc.m[same]; q != nil { // in another order, or with repetitions
		k = q
	} else {
		gc.made++
		k.number = 1<<31 + gc.made
	}
	gc.keep(same, k)
	gc.keep(string(key), k)
	return k
}

func (gc *groupClasses) keep(key string, k *class) {
	if gc.m[key] == nil && len(gc.m) >= maxGrouped {
		dropOne(gc.m)
	}
	gc.m[key] = k
}

// dropOne makes room in a map: any entry goes, as the order of a map is as good as random.
func dropOne[K comparable, V any](m map[K]V) {
	for k := range m {
		delete(m, k)
		return
	}
}

// Switch is the plan in which a walk goes on that has run step i of p and knows a consumer or groups since then. Its first i+1 steps are
// those that the walk has passed. It is p itself when nothing changes. Groups that plugins set count instead of the consumer's own.
func (p *Plan) Switch(i int, c *entity.Consumer, groups []wire.Group) *Plan {
	if !p.scoped {
		return p
	}
	class := p.set.class(c, groups)
	if class == p.class {
		return p
	}
	return p.set.variants.get(p, i, class)
}

// turning is where a walk turns to another class.
type turning struct {
	from *Plan
	at   int
	to   *class
}

// maxVariants bounds the plans kept for walks that turned. One that falls out is made again when it is needed.
const maxVariants = 1 << 16

// shards keep requests of different classes from waiting for each other.
const shards = 16

// variants keeps the plans of walks that turned.
type variants [shards]struct {
	mu sync.RWMutex
	m  map[turning]*Plan
}

func (v *variants) get(p *Plan, i int, c *class) *Plan {
	at := turning{p, i, c}
	sh := &v[c.number%shards]
	sh.mu.RLock()
	next := sh.m[at]
	sh.mu.RUnlock()
	if next != nil {
		return next
	}
	next = p.turn(i, c)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if q := sh.m[at]; q != nil {
		return q
	}
	if sh.m == nil {
		sh.m = map[turning]*Plan{}
	}
	if len(sh.m) >= maxVariants/shards {
		dropOne(sh.m)
	}
	sh.m[at] = next
	return next
}

// turn makes the plan in which a walk goes on (spec 6.5). What has run keeps its configuration; a name whose candidates the walk has all
// passed is decided; the rest comes from the plan of the class.
func (p *Plan) turn(i int, c *class) *Plan {
	next := &Plan{set: p.set, place: p.place, class: c, scoped: p.scoped}
	whole, err := p.set.build(p.place, c)
	p.set.report(err)
	passed := p.steps[:i+1]
	next.steps = append(make([]*Step, 0, len(passed)+len(whole.steps)), passed...)
	var late, rest []*Step
	behind := whole.behind(passed[i])
	for k, st := range whole.steps {
		mine, ahead := ofName(passed, st.name), len(ofName(p.steps[i+1:], st.name)) > 0
		if len(mine) > 0 && (!ahead || sameRecord(mine, st)) {
			continue
		}
		if len(mine) > 0 { // some candidates have been passed: if one of them runs, this one does not
			own := *st
			own.unless = mine
			own.waits = own.readsMutable()
			st = &own
		}
		switch {
		case !behind(k):
			rest = append(rest, st)
		case ahead, p.set.opts.Late == LateRun, p.set.opts.Late == LateByPlace && compareStatic(st, passed[i]) > 0:
			// What the walk was still to come to is not late: nobody must lose a plugin by a record that wants it earlier.
			late = append(late, st)
		default:
			next.late = next.late || p.set.opts.Late == LateError
		}
	}
	next.steps = append(append(next.steps, late...), rest...)
	if !next.late && slices.Equal(next.steps, p.steps) { // the class means something elsewhere only
		same := *p
		same.class, same.late = c, false // setting the same identity again must change nothing
		return &same
	}
	static := slices.Clone(next.steps)
	slices.SortStableFunc(static, compareStatic)
	p.set.report(next.fill(static))
	return next
}

// behind says of the steps of a plan whether a walk that has just run step st of another one is beyond them. When the plan does not have the
// plugin of st, what counts is its static place.
func (p *Plan) behind(st *Step) func(k int) bool {
	point := slices.IndexFunc(p.steps, func(s *Step) bool { return s.Record() == st.Record() })
	if point < 0 {
		point = slices.IndexFunc(p.steps, func(s *Step) bool { return s.name == st.name })
	}
	return func(k int) bool { return k < point || point < 0 && compareStatic(p.steps[k], st) < 0 }
}

func ofName(steps []*Step, n *name) []*Step {
	var found []*Step
	for _, s := range steps {
		if s.name == n {
			found = append(found, s)
		}
	}
	return found
}

func sameRecord(steps []*Step, st *Step) bool {
	return slices.ContainsFunc(steps, func(s *Step) bool { return s.Record() == st.Record() })
}

// report tells about rules that contradict each other for a class that only requests make. Its plan has the static order.
func (s *Set) report(err error) {
	if err != nil && s.opts.Report != nil {
		s.opts.Report(err)
	}
}

// Chains lists all chains of records whose configurations have to be merged, and those of one record that inherits where there is nothing to
// inherit: for every route, nobody, every consumer with its groups and without, and every group alone. Records that are not enabled do not
// count.
func Chains(opts Options, records []*entity.Plugin, routes []*entity.Route, consumers []*entity.Consumer) [][]*entity.Plugin {
	x := newIndex(opts)
	inherits := map[*name]bool{}
	for _, r := range records {
		if r.Enabled {
			x.add(&Instance{Record: r})
			if r.Inherit {
				inherits[x.byName[r.LookupName()]] = true
			}
		}
	}
	x.ready()
	var found [][]*entity.Plugin
	seen := map[string]bool{}
	for _, n := range x.names {
		if !inherits[n] {
			continue
		}
		for _, pl := range n.places(x, routes) {
			for _, c := range n.classes(x, consumers) {
				for r := range n.hits(pl, c) {
					if !r.Inherit {
						continue
					}
					chain := n.inherits(r, pl, c)
					if key := x.chainKey(chain); !seen[key] {
						seen[key] = true
						found = append(found, chain)
					}
				}
			}
		}
	}
	return found
}

// places are those that differ for the records of a name.
func (n *name) places(x *index, routes []*entity.Route) []place {
	mine := map[scope]bool{}
	for _, r := range n.records {
		mine[scope{route: r.Route}], mine[scope{service: r.Service}] = true, true
	}
	found := map[place]bool{}
	for _, r := range append([]*entity.Route{nil}, routes...) {
		for _, secure := range []bool{false, true} {
			pl := x.place(r, secure)
			if !mine[scope{route: pl.route}] {
				pl.route = nil
			}
			if !mine[scope{service: pl.service}] {
				pl.service = nil
			}
			found[pl] = true
		}
	}
	return slices.Collect(maps.Keys(found))
}

// classes are those that differ for the records of a name.
func (n *name) classes(x *index, consumers []*entity.Consumer) []*class {
	mine := &index{consumers: map[*entity.Consumer]bool{}, groups: map[string]*entity.ConsumerGroup{}}
	all := []*class{{}}
	for _, r := range n.records {
		if r.Consumer != nil && !mine.consumers[r.Consumer] {
			mine.consumers[r.Consumer] = true
			all = append(all, &class{consumer: r.Consumer}) // a plugin may set groups that mean nothing to the records
		}
		if g := r.ConsumerGroup; g != nil && mine.groups[g.ID] == nil {
			mine.groups[g.ID] = g
			all = append(all, &class{groups: []*entity.ConsumerGroup{g}})
		}
	}
	seen := map[string]bool{}
	for _, c := range consumers {
		if k := mine.class(c, c.Groups); k != nil && !seen[k.key()] {
			seen[k.key()] = true
			all = append(all, k)
		}
	}
	return all
}
