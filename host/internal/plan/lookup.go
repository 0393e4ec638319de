package plan

import (
	"cmp"
	"iter"
	"slices"
	"strconv"
	"strings"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
)

// levels is the table of spec 5.2, most specific first.
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

// place is what the router says, as far as records care: a route or service that no record is bound to is nil, and the protocol is "" unless
// it counts. Routes of the same place share their plan.
type place struct {
	route    *entity.Route
	service  *entity.Service
	protocol string
}

// scope is what a record is bound to.
type scope struct {
	route    *entity.Route
	service  *entity.Service
	consumer *entity.Consumer
	group    *entity.ConsumerGroup
}

func scopeOf(r *entity.Plugin) scope { return scope{r.Route, r.Service, r.Consumer, r.ConsumerGroup} }

// index finds the records of every name.
type index struct {
	enforce  bool // protocols count
	names    []*name
	byName   map[string]*name
	routes   map[*entity.Route]bool // that records are bound to
	services map[*entity.Service]bool
	// scoped says of which routes and services records for consumers or groups may apply; the zero scope is everywhere.
	scoped    map[scope]bool
	consumers map[*entity.Consumer]bool
	groups    map[string]*entity.ConsumerGroup
	ruled     bool // some record has a rule
	numbers   map[*entity.Plugin]int
}

// name is what records compete under: one of them runs, at most.
type name struct {
	plugin   string
	instance string // of stacked records
	records  []*record
	by       map[scope]*record
}

// record is one record with its instances: alone, and merged over others that it inherits from.
type record struct {
	*entity.Plugin
	name   *name
	alone  *Step
	merged map[string]*Step // by chainKey
	sample *Instance        // any of its instances
}

func newIndex(opts Options) *index {
	return &index{
		enforce: opts.Protocols, byName: map[string]*name{}, routes: map[*entity.Route]bool{}, services: map[*entity.Service]bool{},
		scoped: map[scope]bool{}, consumers: map[*entity.Consumer]bool{}, groups: map[string]*entity.ConsumerGroup{}, numbers: map[*entity.Plugin]int{},
	}
}

// add takes the instance of an enabled record.
func (x *index) add(in *Instance) {
	r := x.record(in.Record.Root())
	r.sample = in
	step := &Step{Instance: in, Condition: in.Condition, name: r.name, level: levelOf(r.Plugin)}
	if len(in.Record.Merged) == 0 {
		r.alone = step
		return
	}
	for _, m := range in.Record.Merged {
		x.record(m)
	}
	r.merged[x.chainKey(in.Record.Merged)] = step
}

// record finds or adds a record.
func (x *index) record(p *entity.Plugin) *record {
	n := x.byName[p.LookupName()]
	if n == nil {
		n = &name{plugin: p.Name, by: map[scope]*record{}}
		if p.Stack {
			n.instance = p.InstanceName
		}
		x.byName[p.LookupName()] = n
		x.names = append(x.names, n)
	}
	sc := scopeOf(p)
	if r := n.by[sc]; r != nil {
		return r
	}
	r := &record{Plugin: p, name: n, merged: map[string]*Step{}}
	n.by[sc] = r
	n.records = append(n.records, r)
	x.numbers[p] = len(x.numbers)
	if p.Route != nil {
		x.routes[p.Route] = true
	}
	if p.Service != nil {
		x.services[p.Service] = true
	}
	if p.Consumer != nil {
		x.consumers[p.Consumer] = true
	}
	if p.ConsumerGroup != nil {
		x.groups[p.ConsumerGroup.ID] = p.ConsumerGroup
	}
	if p.Consumer != nil || p.ConsumerGroup != nil {
		x.scoped[scope{route: p.Route, service: p.Service}] = true
	}
	x.ruled = x.ruled || !p.Ordering.Empty()
	return r
}

// ready sorts the names: larger priority first, equal ones by name, descending (spec 6.1).
func (x *index) ready() {
	for _, n := range x.names {
		n.records = slices.DeleteFunc(n.records, func(r *record) bool { return r.sample == nil })
	}
	slices.SortFunc(x.names, func(a, b *name) int {
		return cmp.Or(cmp.Compare(b.plugin, a.plugin), cmp.Compare(b.instance, a.instance))
	})
}

func levelOf(p *entity.Plugin) int {
	for i, l := range levels {
		if l.consumer == (p.Consumer != nil) && l.group == (p.ConsumerGroup != nil) && l.route == (p.Route != nil) && l.service == (p.Service != nil) {
			return i + 1
		}
	}
	return 0 // bound to a consumer and a group: not a level
}

// place is where a route is, as far as records care.
func (x *index) place(r *entity.Route, secure bool) place {
	var pl place
	if x.enforce {
		pl.protocol = protocolOf(r, secure)
	}
	if r == nil {
		return pl
	}
	if x.routes[r] {
		pl.route = r
	}
	if r.Service != nil && x.services[r.Service] {
		pl.service = r.Service
	}
	return pl
}

func protocolOf(r *entity.Route, secure bool) string {
	protocol := "http"
	if r != nil && (slices.Contains(r.Protocols, "grpc") || slices.Contains(r.Protocols, "grpcs")) {
		protocol = "grpc"
	}
	if secure {
		protocol += "s"
	}
	return protocol
}

// scopedAt reports whether a record for a consumer or a group may apply.
func (x *index) scopedAt(pl place) bool {
	s := scope{route: pl.route, service: pl.service}
	return x.scoped[scope{}] || x.scoped[s] || x.scoped[scope{route: s.route}] || x.scoped[scope{service: s.service}]
}

// hits are the records of a name that apply, in the order of the lookup: the levels one after the other, at each the groups of the class one
// after the other (spec 5.3, 5.6).
func (n *name) hits(pl place, c *class) iter.Seq[*record] {
	return func(yield func(*record) bool) {
		probe := func(k scope) bool {
			r := n.by[k]
			return r == nil || pl.protocol != "" && !slices.Contains(r.Protocols, pl.protocol) || yield(r)
		}
		for _, l := range &levels {
			if l.route && pl.route == nil || l.service && pl.service == nil || l.consumer && c.consumer == nil {
				continue
			}
			var k scope
			if l.route {
				k.route = pl.route
			}
			if l.service {
				k.service = pl.service
			}
			switch {
			case l.consumer:
				k.consumer = c.consumer
			case l.group:
				for _, g := range c.groups {
					k.group = g
					if !probe(k) {
						return
					}
				}
				continue
			}
			if !probe(k) {
				return
			}
		}
	}
}

// candidates are the hits up to the first whose condition leads no further.
func (n *name) candidates(pl place, c *class) []*record {
	var found []*record
	for r := range n.hits(pl, c) {
		found = append(found, r)
		if r.Condition == "" || r.OnFalse != entity.OnFalseNext {
			break
		}
	}
	return found
}

// inherits lists a record and those that its configuration is merged over: the hits that follow, as long as each inherits.
func (n *name) inherits(r *record, pl place, c *class) []*entity.Plugin {
	chain := []*entity.Plugin{r.Plugin}
	if !r.Inherit {
		return chain
	}
	found := false
	for h := range n.hits(pl, c) {
		if !found {
			found = h == r
			continue
		}
		if h.Disables() {
			break
		}
		chain = append(chain, h.Plugin)
		if !h.Inherit {
			break
		}
	}
	return chain
}

func (x *index) chainKey(chain []*entity.Plugin) string {
	var key strings.Builder
	for _, r := range chain {
		key.WriteString(strconv.Itoa(x.numbers[r]))
		key.WriteByte(' ')
	}
	return key.String()
}

// steps chooses the candidates of all names and puts them into static order.
func (x *index) steps(pl place, c *class) []*Step {
	steps := make([]*Step, 0, len(x.names))
	for _, n := range x.names {
		steps = x.choose(steps, n, pl, c)
	}
	slices.SortFunc(steps, compareStatic)
	return steps
}

// choose adds the candidates of one name.
func (x *index) choose(steps []*Step, n *name, pl place, c *class) []*Step {
	candidates := n.candidates(pl, c)
	if len(candidates) == 1 && candidates[0].Condition == "" {
		if r := candidates[0]; !r.Disables() {
			steps = append(steps, x.step(r, pl, c))
		}
		return steps
	}
	var head, last *Step
	for i, r := range candidates {
		own := *x.step(r, pl, c)
		st := &own
		if head == nil {
			head = st
		} else {
			last.Else = st
		}
		last = st
		st.head, st.turn = head, i
		st.waits = st.readsMutable()
		if !r.Disables() {
			steps = append(steps, st)
		}
	}
	return steps
}

// step is the step of a record's instance.
func (x *index) step(r *record, pl place, c *class) *Step {
	if r.Inherit {
		if chain := r.name.inherits(r, pl, c); len(chain) > 1 {
			if st := r.merged[x.chainKey(chain)]; st != nil {
				return st
			}
			return x.unmerged(r)
		}
	}
	if r.alone != nil {
		return r.alone
	}
	return x.unmerged(r)
}

// unmerged stands in for a configuration that was not made when the generation was built: a plugin set groups that no consumer has together.
func (x *index) unmerged(r *record) *Step {
	in := *r.sample
	in.Native, in.Remote, in.Fuser, in.Record = nil, nil, nil, r.Plugin
	in.Unavailable = "the configuration inherits from records of groups that no consumer has together; groups that plugins set cannot be merged then"
	return &Step{Instance: &in, Condition: in.Condition, name: r.name, level: levelOf(r.Plugin)}
}

// compareStatic is the order without rules: larger priority first, then the names in descending order, then the candidates of a name as the
// lookup meets them (spec 6.1).
func compareStatic(a, b *Step) int {
	if c := cmp.Compare(b.Instance.priority(), a.Instance.priority()); c != 0 {
		return c
	}
	if a.name == b.name {
		return cmp.Compare(a.turn, b.turn)
	}
	return cmp.Or(cmp.Compare(b.name.plugin, a.name.plugin), cmp.Compare(b.name.instance, a.name.instance))
}

// PluginState says what conditions may know of another plugin before it runs. The name has '_' in the place of '-'.
func (p *Plan) PluginState(variable string) (state PluginState, ok bool) {
	for _, n := range p.set.index.names {
		if n.instance != "" || !IsVariable(n.plugin, variable) {
			continue
		}
		ok = ok || len(n.records) > 0
		for r := range n.hits(p.place, p.set.nobody) {
			if !r.Disables() {
				state.Matched, state.Priority = true, int64(r.sample.priority())
			}
			break
		}
	}
	return state, ok
}

// IsVariable reports whether a variable is the name of a plugin with '_' in the place of '-'.
func IsVariable(plugin, variable string) bool {
	if len(plugin) != len(variable) {
		return false
	}
	for i := range len(plugin) {
		if c := variable[i]; c != plugin[i] && (c != '_' || plugin[i] != '-') {
			return false
		}
	}
	return true
}
