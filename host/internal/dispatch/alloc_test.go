//go:build !race

package dispatch

import (
	"testing"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
	"github.com/outrigger-gateway/outrigger/host/internal/exchange"
	"github.com/outrigger-gateway/outrigger/host/internal/plan"
	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// Rules, conditions, groups and records of a consumer cost a request no allocation: it has as many as one through plugins of the same number without
// them. Those that there are belong to the authentication. The race detector makes pools forget, so it is left out there.
func TestRulesAndConditionsDoNotAllocate(t *testing.T) {
	count := func(all bool) float64 {
		b := newBench(t)
		gold := &entity.ConsumerGroup{ID: "gold", Name: "gold"}
		b.dir.consumer = &entity.Consumer{ID: "c", Groups: []*entity.ConsumerGroup{gold}}
		ran := 0
		touch := remote(func(*wire.Call, wire.Asker, *wire.Outcome) error { ran++; return nil })
		ins := []*plan.Instance{
			instance("early", touch), instance("auth", ops(authenticate(t, "c"))), instance("limit", touch), instance("size", touch), instance("late", touch),
		}
		for i, in := range ins {
			in.Priority = 100 - i
		}
		if all {
			forConsumer, forGroup := instance("limit", touch, on(says(true), entity.OnFalseNext)), instance("size", touch, on(says(false), entity.OnFalseNext))
			forConsumer.Record.Consumer, forConsumer.Priority = b.dir.consumer, 98
			forGroup.Record.ConsumerGroup, forGroup.Priority = gold, 97
			ins = append(ins, forConsumer, forGroup)
			ins[4].Record.Ordering.Before = map[string][]string{"access": {"limit"}, "log": {"early"}}
		}
		route := &entity.Route{ID: "route"}
		base := b.plan(route, ins...)
		ex := &exchange.Exchange{}
		requests := 0
		n := testing.AllocsPerRun(200, func() {
			requests++
			ex.Reset()
			ex.Live, ex.Dir, ex.Plan = b.live, b.dir, base
			b.RunAccess(ex)
			for _, phase := range []pdk.Phase{pdk.PhaseHeaderFilter, pdk.PhaseBodyFilter, pdk.PhaseLog} {
				if len(ex.Chain(phase)) != 5 {
					t.Fatalf("%s has %s", phase, names(ex.Chain(phase)))
				}
			}
		})
		if ran != 4*requests {
			t.Fatalf("%d handlers ran in %d requests, expected 4 in each besides the authentication", ran, requests)
		}
		return n
	}
	if without, with := count(false), count(true); with > without {
		t.Errorf("%v allocations per request, without rules and conditions %v", with, without)
	}
}

// seer counts and allocates nothing.
type seer struct{ before, asked, after int }

func (s *seer) Before(*Call) error                   { s.before++; return nil }
func (s *seer) Asked(*Call, *wire.Ask, *wire.Answer) { s.asked++ }
func (s *seer) After(c *Call)                        { s.after += 1 + int(c.Code) }

func TestInterceptorsDoNotAllocate(t *testing.T) {
	ask := &wire.Ask{Fn: pdk.AskRequestGetRawBody}
	b := newBench(t)
	ex := b.exchange(instance("x", remote(func(_ *wire.Call, asker wire.Asker, _ *wire.Outcome) error {
		asker.Answer(ask)
		return nil
	})))
	seen := &seer{}
	count := func(is ...Interceptor) float64 {
		b.Interceptors = is
		return testing.AllocsPerRun(200, func() { b.RunAccess(ex) })
	}
	if without, with := count(), count(seen, seen, seen); with > without || without > 0 {
		t.Errorf("%v allocations per call, without interceptors %v", with, without)
	}
	if n := 3 * 201; seen.before != n || seen.asked != n || seen.after != n {
		t.Errorf("told %+v, want %d of each", seen, n)
	}
}

// A fused call costs the walk nothing on the heap, however many steps it carries.
func TestGroupsDoNotAllocate(t *testing.T) {
	d, server := newBench(t), &silent{}
	d.Interceptors = []Interceptor{Budgets{}}
	var ins []*plan.Instance
	for _, name := range []string{"a", "b", "c", "d"} {
		ins = append(ins, instance(name, nil, func(in *plan.Instance) { in.Remote, in.Fuser = server, server }))
	}
	ex, chain := d.exchange(ins...), always(ins...)
	if n := testing.AllocsPerRun(200, func() { d.Run(ex, chain, pdk.PhaseRewrite) }); n > 0 || server.steps == 0 || server.steps%4 != 0 {
		t.Errorf("%v allocations, %d steps ran", n, server.steps)
	}
}

// silent takes fused calls whose handlers do nothing.
type silent struct{ steps int }

func (*silent) Fuses() bool { return true }

func (s *silent) Call(c *wire.Call, _ time.Time, asker wire.Asker, out *wire.Outcome) error {
	for range c.Rest {
		s.steps++
		if _, more := asker.(wire.Stepper).Next(out); !more {
			return nil
		}
	}
	s.steps++
	return nil
}
