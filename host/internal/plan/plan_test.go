package plan

import (
	"fmt"
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
func record(id uint64, name string, priority int, scope string) *Instance {
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

func chosen(p *Plan, name string) uint64 {
	for _, in := range p.Steps() {
		if in.Record.Name == name {
			return in.ID
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
			ins = append(ins, record(uint64(j+1), "x", 1, scopes[j]))
		}
		set := Compile(ins, []*entity.Route{routeR})
		got := chosen(set.ForRoute(routeR).For(consC), "x")
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
				ins = append(ins, record(uint64(i+1), "x", 1, s))
			}
			set := Compile(ins, []*entity.Route{routeR, routeR2})
			if got := chosen(set.ForRoute(c.route).For(c.consumer), "x"); got != c.want {
				t.Errorf("record %d was chosen, want %d", got, c.want)
			}
		})
	}
}

func TestStaticOrder(t *testing.T) {
	set := Compile([]*Instance{
		record(1, "pa", 10, ""), record(2, "pb", 10, ""), record(3, "first", 99, ""), record(4, "last", -5, ""),
	}, []*entity.Route{routeR})
	var got []string
	for _, in := range set.ForRoute(routeR).Chain(pdk.PhaseAccess) {
		got = append(got, in.Record.Name)
	}
	if want := []string{"first", "pb", "pa", "last"}; !slices.Equal(got, want) {
		t.Errorf("order %v, want %v", got, want)
	}
}

// A consumer-scoped record of a plugin before the authenticating one is never used; one behind it is.
func TestAfterAuthentication(t *testing.T) {
	set := Compile([]*Instance{
		record(1, "early", 2000, ""), record(2, "early", 2000, "c"),
		record(3, "auth", 1000, ""),
		record(4, "late", 10, ""), record(5, "late", 10, "c"),
	}, []*entity.Route{routeR})
	base := set.ForRoute(routeR)
	auth := base.Steps()[1]
	rest := base.For(consC).After(base.RankOf(auth))
	if len(rest) != 1 || rest[0].ID != 5 {
		t.Errorf("after authentication: %v", rest)
	}
	if base.For(consC).For(nil) != base {
		t.Error("clearing the consumer does not lead back to the base plan")
	}
	if base.For(consD) != base {
		t.Error("a consumer without records has a plan of its own")
	}
	if first, second := base.For(consC), base.For(consC); first != second {
		t.Error("the variant is built anew for every request")
	}
}

// Groups that plugins set count instead of the consumer's own, in the order of spec 5.6, whoever the consumer is.
func TestGroupsThatPluginsSet(t *testing.T) {
	gold := &entity.ConsumerGroup{ID: "gg", Name: "gold", Priority: 5}
	scopedTo := func(id uint64, g *entity.ConsumerGroup) *Instance {
		in := record(id, "x", 1, "")
		in.Record.ConsumerGroup = g
		return in
	}
	p := Compile([]*Instance{record(1, "x", 1, ""), scopedTo(2, groupA), scopedTo(3, groupB), scopedTo(4, gold), record(5, "y", 1, "c")}, []*entity.Route{routeR}).ForRoute(routeR)
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
		if got := chosen(p.For(c.consumer, c.set...), "x"); got != c.want {
			t.Errorf("%s: record %d, want %d", c.name, got, c.want)
		}
	}
	if got := chosen(p.For(consC, set("gb")...), "y"); got != 5 {
		t.Errorf("the consumer's own record: %d", got)
	}
	if first, second := p.For(nil, set("gb")...), p.For(nil, set("gb")...); first != second || p.For(nil, set("other")...) != p {
		t.Error("a variant is built anew, or without need")
	}
}

func TestEqualRoutesShareChains(t *testing.T) {
	set := Compile([]*Instance{record(1, "x", 1, "")}, []*entity.Route{routeR, routeR2})
	a, b := set.ForRoute(routeR), set.ForRoute(routeR2)
	if &a.Steps()[0] != &b.Steps()[0] {
		t.Error("two routes with the same steps keep two copies of them")
	}
}

func TestVariantsAreBounded(t *testing.T) {
	var ins []*Instance
	var consumers []*entity.Consumer
	for i := range maxVariants + 10 {
		c := &entity.Consumer{ID: fmt.Sprint("c", i)}
		consumers = append(consumers, c)
		in := record(uint64(i+1), "x", 1, "")
		in.Record.Consumer = c
		ins = append(ins, in)
	}
	p := Compile(ins, []*entity.Route{routeR}).ForRoute(routeR)
	for i, c := range consumers {
		if got := chosen(p.For(c), "x"); got != uint64(i+1) {
			t.Fatalf("consumer %d got record %d", i, got)
		}
	}
	if n := len(p.variants.m); n > maxVariants {
		t.Errorf("%d variants are kept, at most %d may be", n, maxVariants)
	}
}

func TestLookupDoesNotAllocate(t *testing.T) {
	set := Compile([]*Instance{record(1, "x", 1, ""), record(2, "x", 1, "r")}, []*entity.Route{routeR})
	if n := testing.AllocsPerRun(100, func() {
		if len(set.ForRoute(routeR).For(consD).Chain(pdk.PhaseAccess)) != 1 {
			t.Fatal("wrong chain")
		}
	}); n != 0 {
		t.Errorf("%v allocations per request", n)
	}
}
