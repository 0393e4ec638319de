package plan

import (
	"slices"
	"testing"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// A request with everything that plans know: rules of all kinds, candidates with conditions, records of a consumer and of two groups, groups that a
// plugin sets. Whoever the consumer is, the walk and the chains of the later phases allocate nothing, by every algorithm.
func TestRequestsDoNotAllocate(t *testing.T) {
	ins := []*Instance{
		bound(1, "early", 100, ""), bound(2, "auth", 90, ""), bound(3, "x", 80, ""), bound(4, "x", 80, "c"), bound(5, "x", 80, "a"),
		bound(6, "y", 70, ""), bound(7, "y", 70, "b"), bound(8, "y", 70, "r"), bound(9, "late", 60, ""), bound(10, "late", 60, "c"),
	}
	rule := func(i int, before bool, phase, target string) {
		o, m := &ins[i].Record.Ordering, map[string][]string{phase: {target}}
		if before {
			o.Before = m
		} else {
			o.After = m
		}
	}
	rule(5, true, "access", "auth")
	rule(6, true, "access", "x")
	rule(8, false, "log", "y")
	rule(9, true, "access", "auth") // a rule that makes it late
	for _, i := range []int{3, 6} { // x of the consumer, y of the group
		conditional(ins[i], entity.OnFalseNext)
	}
	for _, in := range ins {
		in.Record.Protocols = []string{"http", "https"}
	}
	phases := pdk.Phases()
	for _, opts := range []Options{{}, {Mode: Push}, {Algorithm: PriorityPreserving}, {Late: LateRun, Protocols: true}} {
		set, err := Compile(opts, ins, []*entity.Route{routeR, routeR2}, []*entity.Consumer{consC, consD})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			name     string
			consumer *entity.Consumer
			groups   []wire.Group
		}{
			{"nobody", nil, nil}, {"a consumer without records", consD, nil}, {"a consumer with records, in two groups", consC, nil},
			{"groups of a plugin", nil, []wire.Group{{ID: "gb"}, {ID: "ga"}}}, {"a consumer with groups of a plugin", consC, []wire.Group{{ID: "gb"}, {ID: "elsewhere"}}},
			{"groups without records", consD, []wire.Group{{ID: "elsewhere"}}},
		} {
			for _, holds := range []verdicts{{}, {"4": true}, {"4": true, "7": true}} {
				ran := 0
				request := func() {
					p := set.ForRoute(routeR, false)
					for i := 0; i < len(p.Steps()); i++ {
						st := p.Steps()[i]
						if st.Conditional() {
							if runs, err := st.Runs(holds); err != nil || !runs {
								continue
							}
						}
						ran++
						if st.Instance.Record.Name == "auth" {
							p = p.Switch(i, c.consumer, c.groups)
						}
					}
					for _, phase := range phases {
						ran += len(p.Chain(phase))
					}
				}
				if n := testing.AllocsPerRun(100, request); n != 0 {
					t.Errorf("%+v, %s, %v: %v allocations per request", opts, c.name, holds, n)
				}
				if ran < 101*5 {
					t.Errorf("%+v, %s, %v: %d steps ran", opts, c.name, holds, ran)
				}
			}
		}
	}
}

// The same in a configuration of ten thousand routes. A route without records for consumers keeps its plan whoever the consumer is: there is
// nothing to look up.
func TestLookupsInLargeConfigurations(t *testing.T) {
	for _, o := range orderings {
		w := newTown(o.rules, false)
		set := w.compile(t, o.opts)
		for _, walk := range set.walks(w.routes[9000:9010], w.consumers[:10]) {
			if next := walk.plan.Switch(walk.at, walk.consumer, nil); next != walk.plan || walk.plan.scoped {
				t.Fatalf("%s: a route without records for consumers has other plans for them", o.name)
			}
		}
		routes, consumers := w.routes[:50], w.consumers[:20]
		others := 0
		for _, walk := range set.walks(routes, consumers) { // makes the plans of the consumers
			if walk.plan.Switch(walk.at, walk.consumer, nil) != walk.plan {
				others++
			}
		}
		if others == 0 {
			t.Fatalf("%s: no route has other plans for consumers", o.name)
		}
		if n := testing.AllocsPerRun(10, func() {
			for _, r := range routes {
				p := set.ForRoute(r, false)
				at := slices.IndexFunc(p.Steps(), func(st *Step) bool { return st.Instance.Authenticates })
				for _, c := range consumers {
					if len(p.Switch(at, c, nil).Chain(pdk.PhaseAccess)) == 0 {
						t.Fatalf("%s: consumer %s has an empty chain", o.name, c.ID)
					}
				}
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", o.name, n)
		}
	}
}
