//go:build !race

package dispatch

import (
	"testing"

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
