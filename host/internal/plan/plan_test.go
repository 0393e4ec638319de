package plan

import (
	"fmt"
	"math/bits"
	"slices"
	"testing"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

var (
	routeR   = &entity.Route{ID: "r", Service: serviceS}
	routeR2  = &entity.Route{ID: "r2", Service: serviceS}
	serviceS = &entity.Service{ID: "s"}
	groupA   = &entity.ConsumerGroup{ID: "ga", Name: "a"}
	groupB   = &entity.ConsumerGroup{ID: "gb", Name: "b"}
	consC    = &entity.Consumer{ID: "c", Groups: []*entity.ConsumerGroup{groupA, groupB}}
	consD    = &entity.Consumer{ID: "d"}
)

// record makes an instance; scope letters: c consumer, a and b groups, r route, s service.
func bound(id uint64, name string, priority int, scope string) *Instance {
	rec := &entity.Plugin{ID: fmt.Sprint(id), Name: name, Enabled: true}
	for _, l := range scope {
		switch l {
		case 'c':
			rec.Consumer = consC
		case 'a':
			rec.ConsumerGroup = groupA
		case 'b':
			rec.ConsumerGroup = groupB
		case 'r':
			rec.Route = routeR
		case 's':
			rec.Service = serviceS
		}
	}
	return &Instance{ID: id, Record: rec, Priority: priority, Phases: pdk.PhaseAccess | pdk.PhaseLog}
}

// compile compiles without options.
func compile(t testing.TB, ins []*Instance, routes ...*entity.Route) *Set {
	t.Helper()
	set, err := Compile(Options{}, ins, routes, []*entity.Consumer{consC, consD})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func chosen(p *Plan, name string) uint64 {
	for _, in := range p.Steps() {
		if in.Instance.Record.Name == name {
			return in.Instance.ID
		}
	}
	return 0
}

// Each level beats every less specific one, in the order of the table of spec 5.2.
func TestTwelveLevels(t *testing.T) {
	scopes := []string{"crs", "ars", "cr", "cs", "ar", "as", "rs", "c", "a", "r", "s", ""}
	for i := range scopes {
		var ins []*Instance
		for j := len(scopes) - 1; j >= i; j-- {
			ins = append(ins, bound(uint64(j+1), "x", 1, scopes[j]))
		}
		set := compile(t, ins, routeR)
		got := chosen(set.For(routeR, false, consC), "x")
		if got != uint64(i+1) {
			t.Errorf("levels %d to 12 configured: level %d won", i+1, got)
		}
	}
}

func TestPrecedence(t *testing.T) {
	for _, c := range []struct {
		name     string
		scopes   []string
		consumer *entity.Consumer
		route    *entity.Route
		want     uint64
	}{
		{"route beats service and global", []string{"", "s", "r"}, nil, routeR, 3},
		{"route and service beat the consumer", []string{"rs", "c"}, consC, routeR, 1},
		{"consumer records need a consumer", []string{"c"}, nil, routeR, 0},
		{"another consumer falls through", []string{"c", ""}, consD, routeR, 2},
		{"another route falls through", []string{"r", "s"}, nil, routeR2, 2},
		{"a level counts before the order of groups", []string{"ar", "brs"}, consC, routeR, 2},
		{"groups of one level go by their order", []string{"b", "a"}, consC, routeR, 2},
		{"no record, no run", nil, consC, routeR, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			var ins []*Instance
			for i, s := range c.scopes {
				ins = append(ins, bound(uint64(i+1), "x", 1, s))
			}
			set := compile(t, ins, routeR, routeR2)
			if got := chosen(set.For(c.route, false, c.consumer), "x"); got != c.want {
				t.Errorf("record %d was chosen, want %d", got, c.want)
			}
		})
	}
}

func TestStaticOrder(t *testing.T) {
	set := compile(t, []*Instance{
		bound(1, "pa", 10, ""), bound(2, "pb", 10, ""), bound(3, "first", 99, ""), bound(4, "last", -5, ""),
	}, routeR)
	var got []string
	for _, in := range set.ForRoute(routeR, false).Chain(pdk.PhaseAccess) {
		got = append(got, in.Instance.Record.Name)
	}
	if want := []string{"first", "pb", "pa", "last"}; !slices.Equal(got, want) {
		t.Errorf("order %v, want %v", got, want)
	}
}

// A consumer-scoped record of a plugin before the authenticating one is never used; one behind it is.
func TestAfterAuthentication(t *testing.T) {
	set := compile(t, []*Instance{
		bound(1, "early", 2000, ""), bound(2, "early", 2000, "c"),
		bound(3, "auth", 1000, ""),
		bound(4, "late", 10, ""), bound(5, "late", 10, "c"),
	}, routeR)
	base := set.ForRoute(routeR, false)
	next := base.Switch(1, consC, nil)
	if got := ids(next.Steps()); !slices.Equal(got, []uint64{1, 3, 5}) {
		t.Errorf("after authentication: %v", got)
	}
	if got := ids(next.Switch(1, nil, nil).Steps()); !slices.Equal(got, []uint64{1, 3, 4}) {
		t.Errorf("clearing the consumer: %v", got)
	}
	if base.Switch(1, consD, nil) != base {
		t.Error("a consumer without records has a plan of its own")
	}
	if base.Switch(1, consC, nil) != next {
		t.Error("the plan is built anew for every request")
	}
}

func ids(steps []*Step) []uint64 {
	var out []uint64
	for _, s := range steps {
		out = append(out, s.Instance.ID)
	}
	return out
}

// Groups that plugins set count instead of the consumer's own, in the order of spec 5.6, whoever the consumer is.
func TestGroupsThatPluginsSet(t *testing.T) {
	gold := &entity.ConsumerGroup{ID: "gg", Name: "gold", Priority: 5}
	scopedTo := func(id uint64, g *entity.ConsumerGroup) *Instance {
		in := bound(id, "x", 1, "")
		in.Record.ConsumerGroup = g
		return in
	}
	all := compile(t, []*Instance{bound(9, "auth", 5, ""), bound(1, "x", 1, ""), scopedTo(2, groupA), scopedTo(3, groupB), scopedTo(4, gold), bound(5, "y", 1, "c")}, routeR)
	p := all.ForRoute(routeR, false)
	set := func(ids ...string) []wire.Group {
		var groups []wire.Group
		for _, id := range ids {
			groups = append(groups, wire.Group{ID: id})
		}
		return groups
	}
	for _, c := range []struct {
		name     string
		consumer *entity.Consumer
		set      []wire.Group
		want     uint64
	}{
		{"nobody, nothing", nil, nil, 1},
		{"nobody, a group", nil, set("gb"), 3},
		{"by name", nil, set("gb", "ga"), 2},
		{"by priority before name", nil, set("ga", "gg", "gb"), 4},
		{"a group that no record is bound to", nil, set("other"), 1},
		{"the consumer's own", consC, nil, 2},
		{"instead of the consumer's own", consC, set("gb"), 3},
		{"none of the consumer's own", consC, set("other"), 1},
		{"twice the same", consD, set("gb", "gb"), 3},
	} {
		if got := chosen(all.For(routeR, false, c.consumer, c.set...), "x"); got != c.want {
			t.Errorf("%s: record %d, want %d", c.name, got, c.want)
		}
	}
	if got := chosen(p.Switch(0, consC, set("gb")), "y"); got != 5 {
		t.Errorf("the consumer's own record: %d", got)
	}
	if first, second := p.Switch(0, nil, set("gb")), p.Switch(0, nil, set("gb")); first != second || p.Switch(0, nil, set("other")) != p {
		t.Error("a variant is built anew, or without need")
	}
}

// A plugin decides how many classes there are: what is kept of them is bounded, and classes that fell out are made again.
func TestGroupClassesAreBounded(t *testing.T) {
	const groups = 14
	ins := []*Instance{bound(1, "auth", 2, "")}
	for i := range groups {
		in := bound(uint64(i+2), "x", 1, "")
		in.Record.ConsumerGroup = &entity.ConsumerGroup{ID: fmt.Sprint("g", i), Name: fmt.Sprintf("%02d", i)}
		ins = append(ins, in)
	}
	set := compile(t, ins, routeR)
	for range 2 {
		for some := 1; some < 1<<groups; some += 3 {
			var of []wire.Group
			for i := range groups {
				if some>>i&1 == 1 {
					of = append(of, wire.Group{ID: fmt.Sprint("g", groups-1-i)})
				}
			}
			first := groups - bits.Len(uint(some)) // by name
			if got := chosen(set.ForRoute(routeR, false).Switch(0, nil, of), "x"); got != uint64(first+2) {
				t.Fatalf("groups %v got record %d", of, got)
			}
		}
	}
	if n := len(set.grouped.m); n > maxGrouped || n < maxGrouped/2 {
		t.Errorf("%d classes are kept, at most %d may be", n, maxGrouped)
	}
}

func TestPluginsMakeTheClassesOfConsumers(t *testing.T) {
	set := compile(t, []*Instance{bound(1, "auth", 2, ""), bound(2, "x", 1, "a"), bound(3, "x", 1, "b")}, routeR)
	p := set.ForRoute(routeR, false)
	if p.Switch(0, nil, []wire.Group{{ID: "gb"}, {ID: "ga"}}) != p.Switch(0, consC, nil) {
		t.Error("the groups of a consumer, set by a plugin, have a plan of their own")
	}
}

func TestEqualRoutesShareChains(t *testing.T) {
	set := compile(t, []*Instance{bound(1, "x", 1, "")}, routeR, routeR2)
	a, b := set.ForRoute(routeR, false), set.ForRoute(routeR2, false)
	if a != b {
		t.Error("two routes that no record is bound to have two plans")
	}
}

func TestVariantsAreBounded(t *testing.T) {
	auth := bound(1, "auth", 2, "")
	ins := []*Instance{auth}
	var consumers []*entity.Consumer
	for i := range maxVariants + 1000 {
		c := &entity.Consumer{ID: fmt.Sprint("c", i)}
		consumers = append(consumers, c)
		in := bound(uint64(i+2), "x", 1, "")
		in.Record.Consumer = c
		ins = append(ins, in)
	}
	set, err := Compile(Options{}, ins, []*entity.Route{routeR}, consumers)
	if err != nil {
		t.Fatal(err)
	}
	p := set.ForRoute(routeR, false)
	for i, c := range consumers {
		if got := chosen(p.Switch(0, c, nil), "x"); got != uint64(i+2) {
			t.Fatalf("consumer %d got record %d", i, got)
		}
	}
	kept := 0
	for i := range set.variants {
		kept += len(set.variants[i].m)
	}
	if kept > maxVariants || kept < maxVariants/2 {
		t.Errorf("%d plans are kept, at most %d may be", kept, maxVariants)
	}
}

func TestLookupDoesNotAllocate(t *testing.T) {
	gold := []wire.Group{{ID: "gb"}}
	set := compile(t, []*Instance{bound(3, "auth", 9, ""), bound(1, "x", 1, ""), bound(2, "x", 1, "r"), bound(4, "y", 1, ""), bound(5, "y", 1, "c"), bound(6, "y", 1, "b")}, routeR, routeR2)
	for _, c := range []struct {
		name     string
		consumer *entity.Consumer
		groups   []wire.Group
		want     uint64
	}{{"nobody", nil, nil, 4}, {"no records", consD, nil, 4}, {"records", consC, nil, 5}, {"groups", nil, gold, 6}} {
		if n := testing.AllocsPerRun(100, func() {
			p := set.ForRoute(routeR2, false).Switch(0, c.consumer, c.groups)
			if chain := p.Chain(pdk.PhaseAccess); chain[1].Instance.ID != c.want {
				t.Fatalf("%s: record %d", c.name, chain[1].Instance.ID)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations per request", c.name, n)
		}
	}
}
