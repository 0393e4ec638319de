package dispatch

import (
	"errors"
	"strings"
	"testing"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
	"github.com/outrigger-gateway/outrigger/host/internal/exchange"
	"github.com/outrigger-gateway/outrigger/host/internal/plan"
	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// asked is a condition that counts how often it is asked.
type asked struct {
	holds func(plan.ConditionFacts) (bool, error)
	times int
}

func (a *asked) Eval(f plan.ConditionFacts) (bool, error) { a.times++; return a.holds(f) }

func says(holds bool) *asked {
	return &asked{holds: func(plan.ConditionFacts) (bool, error) { return holds, nil }}
}

func on(c *asked, onFalse string) func(*plan.Instance) {
	return func(in *plan.Instance) {
		in.Condition, in.Record.Condition, in.Record.OnFalse = c, "x", onFalse
	}
}

func names(chain []*plan.Step) string {
	var out []string
	for _, s := range chain {
		out = append(out, s.Record().ID)
	}
	return strings.Join(out, " ")
}

// tracer notes which instances ran.
type tracer []string

func (tr *tracer) mark(name string) remote {
	return func(c *wire.Call, _ wire.Asker, _ *wire.Outcome) error {
		*tr = append(*tr, name+" "+pdk.PhaseFromCode(c.Phase).String())
		return nil
	}
}

// A condition is asked once, when the walk comes to its step; what it says counts for the later phases, also those of the detached exchange.
func TestConditionsAreAskedOnce(t *testing.T) {
	b := newBench(t)
	var ran tracer
	yes, no := says(true), says(false)
	ex := b.exchange(instance("yes", ran.mark("yes"), on(yes, "")), instance("no", ran.mark("no"), on(no, "")), instance("plain", ran.mark("plain")))
	b.RunAccess(ex)
	b.Run(ex, ex.Chain(pdk.PhaseHeaderFilter), pdk.PhaseHeaderFilter)
	d := ex.Detach()
	b.RunLog(d, d.Chain(pdk.PhaseLog))
	if got := strings.Join(ran, ", "); got != "yes access, plain access, yes header_filter, plain header_filter, yes log, plain log" {
		t.Error(got)
	}
	if yes.times != 1 || no.times != 1 {
		t.Errorf("asked %d and %d times", yes.times, no.times)
	}
	if !ex.Handles(pdk.PhaseLog) || names(ex.Chain(pdk.PhaseBodyFilter)) != "yes plain" {
		t.Errorf("body_filter: %s", names(ex.Chain(pdk.PhaseBodyFilter)))
	}
}

// What an earlier plugin wrote, and whom it authenticated, is known to the conditions behind it, and to none before it.
func TestConditionsSeeWhatHappenedBefore(t *testing.T) {
	b := newBench(t)
	b.dir.consumer = &entity.Consumer{ID: "c", Groups: []*entity.ConsumerGroup{{ID: "g", Name: "gold"}}}
	sees := func(want bool) *asked {
		return &asked{holds: func(f plan.ConditionFacts) (bool, error) {
			f.NeedRequest()
			groups := f.AuthenticatedGroups()
			known := f.AuthenticatedConsumer() != nil && len(groups) == 1 && groups[0].Name == "gold"
			auth, ok := f.PluginState("my_auth")
			if _, there := f.PluginState("nothing"); there || !ok || known != want || auth.AccessRan != want || !auth.Matched || auth.Priority != 99 || f.LiveFacts().Request.Method != "GET" {
				t.Errorf("known %t, state %+v, want %t", known, auth, want)
			}
			return true, nil
		}}
	}
	ex := b.exchange(
		instance("early", ops(), on(sees(false), "")), instance("my-auth", ops(authenticate(t, "c")), func(in *plan.Instance) { in.Authenticates = true }), instance("late", ops(), on(sees(true), "")),
	)
	b.RunAccess(ex)
	if ex.Answer.Given || b.logs.Len() > 0 {
		t.Errorf("%+v %s", ex.Answer, b.logs)
	}
}

// on_false: next gives the next record of the plugin its turn.
func TestNextRecord(t *testing.T) {
	for _, c := range []struct {
		first, second bool
		want          string
	}{{true, true, "first"}, {false, true, "second"}, {false, false, "last"}} {
		b := newBench(t)
		var ran tracer
		route := &entity.Route{ID: "route", Service: &entity.Service{ID: "s"}}
		first := instance("x", ran.mark("first"), on(says(c.first), entity.OnFalseNext))
		second := instance("x", ran.mark("second"), on(says(c.second), entity.OnFalseNext))
		last := instance("x", ran.mark("last"))
		first.Record.Route, first.Record.Service, second.Record.Route = route, route.Service, route
		ex := &exchange.Exchange{Live: b.live, Dir: b.dir, Plan: b.plan(route, last, first, second), Route: route}
		b.RunAccess(ex)
		if got := strings.Join(ran, ", "); got != c.want+" access" || len(ex.Chain(pdk.PhaseLog)) != 1 {
			t.Errorf("%+v: %s ran, and %d for log", c, got, len(ex.Chain(pdk.PhaseLog)))
		}
	}
}

// After an answer no access handler runs, but the conditions of what follows are asked: their later phases run.
func TestEnrolmentAsksConditions(t *testing.T) {
	b := newBench(t)
	yes, no := says(true), says(false)
	exit := ops(wire.Op{Code: pdk.OpResponseExit, Status: 403, Body: []byte("no"), HasBody: true})
	never := remote(func(*wire.Call, wire.Asker, *wire.Outcome) error { t.Error("ran after an exit"); return nil })
	ex := b.exchange(instance("exit", exit), instance("yes", never, on(yes, "")), instance("no", never, on(no, "")), instance("plain", never))
	b.RunAccess(ex)
	if yes.times != 1 || no.times != 1 || names(ex.Chain(pdk.PhaseLog)) != "exit yes plain" || ex.Answer.Status != 403 {
		t.Errorf("asked %d and %d times, log of %s, answer %d", yes.times, no.times, names(ex.Chain(pdk.PhaseLog)), ex.Answer.Status)
	}
	// A request that never comes to access is enrolled all the same.
	yes.times, no.times = 0, 0
	ex = b.exchange(instance("yes", never, on(yes, "")), instance("no", never, on(no, "")))
	b.Enroll(ex)
	if yes.times != 1 || no.times != 1 || names(ex.Chain(pdk.PhaseLog)) != "yes" {
		t.Errorf("asked %d and %d times, log of %s", yes.times, no.times, names(ex.Chain(pdk.PhaseLog)))
	}
}

// A condition that fails behind an answer leaves it alone, and the log does not say otherwise.
func TestConditionsThatFailBehindAnAnswer(t *testing.T) {
	b := newBench(t)
	broken := &asked{holds: func(plan.ConditionFacts) (bool, error) { return false, errors.New("no such key") }}
	exit := ops(wire.Op{Code: pdk.OpResponseExit, Status: 403, Body: []byte("no"), HasBody: true})
	ex := b.exchange(instance("exit", exit), instance("x", ops(), on(broken, "")))
	b.RunAccess(ex)
	if logs := b.logs.String(); ex.Answer.Status != 403 || !strings.Contains(logs, "no such key") || strings.Contains(logs, "answering 500") {
		t.Errorf("answer %d, log %s", ex.Answer.Status, logs)
	}
}

// A condition that fails answers 500, once; no record of its plugin runs, the others are enrolled.
func TestConditionsThatFail(t *testing.T) {
	b := newBench(t)
	broken := &asked{holds: func(plan.ConditionFacts) (bool, error) { return false, errors.New("no such key") }}
	var ran tracer
	route := &entity.Route{ID: "route"}
	first, second := instance("x", ran.mark("x"), on(broken, entity.OnFalseNext)), instance("x", ran.mark("x"))
	first.Record.Route = route
	other := instance("y", ran.mark("y"))
	first.Priority, second.Priority = 2, 2
	ex := &exchange.Exchange{Live: b.live, Dir: b.dir, Plan: b.plan(route, first, second, other), Route: route}
	b.RunAccess(ex)
	if ex.Answer.Status != 500 || ex.Answer.Source != wire.SourceError || len(ran) != 0 || names(ex.Chain(pdk.PhaseLog)) != "y" || broken.times != 1 {
		t.Errorf("answer %+v, ran %v, log of %s", ex.Answer, ran, names(ex.Chain(pdk.PhaseLog)))
	}
	if logs := b.logs.String(); strings.Count(logs, "no such key") != 1 {
		t.Error(logs)
	}
}

// late_plugins: error answers 500 when a consumer brings a plugin whose turn is over.
func TestLatePluginsMayBeAnError(t *testing.T) {
	for late, want := range map[string]struct {
		status int
		log    string
	}{plan.LateError: {500, "auth"}, plan.LateByPlace: {0, "auth"}, plan.LateRun: {0, "early auth"}} {
		b := newBench(t)
		b.late = late
		b.dir.consumer = &entity.Consumer{ID: "c"}
		early, auth := instance("early", ops()), instance("auth", ops(authenticate(t, "c")))
		early.Record.Consumer = b.dir.consumer
		ex := b.exchange(early, auth)
		b.RunAccess(ex)
		if ex.Answer.Status != want.status || names(ex.Chain(pdk.PhaseLog)) != want.log {
			t.Errorf("%q: answer %d, log of %s", late, ex.Answer.Status, names(ex.Chain(pdk.PhaseLog)))
		}
	}
}

// A walk without conditions allocates nothing for its choices.
func TestPlainWalksAllocateNoChoices(t *testing.T) {
	b := newBench(t)
	ex := b.exchange(instance("a", ops()), instance("b", ops()))
	if n := testing.AllocsPerRun(100, func() {
		for _, st := range ex.Plan.Steps() {
			if runs, err := ex.Runs(st); !runs || err != nil {
				t.Fatal(err)
			}
		}
		ex.Chain(pdk.PhaseLog)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
