package generation

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/budget"
	"github.com/outrigger-gateway/outrigger/host/internal/entity"
	"github.com/outrigger-gateway/outrigger/host/internal/plan"
	"github.com/outrigger-gateway/outrigger/pdk"
)

func only(g *Generation) *plan.Instance { return named(g, "") }

// named is the instance of a plugin; "" is the first one.
func named(g *Generation, name string) *plan.Instance {
	for _, st := range g.Plans.ForRoute(nil, false).Steps() {
		if name == "" || st.Instance.Record.Name == name {
			return st.Instance
		}
	}
	return nil
}

// The most specific level that says something counts, field by field.
func TestLevelsOfAPolicy(t *testing.T) {
	policy := Policy{
		Server: entity.CallPolicy{
			Timeout: 2 * time.Second, Timeouts: map[string]time.Duration{"log": 5 * time.Second}, FailMode: "open", FailStatus: 502, FailBody: "server",
		},
		Plugins: map[string]entity.CallPolicy{"b": {Timeouts: map[string]time.Duration{"access": 300 * time.Millisecond}, FailMode: "closed", FailBody: `{"of":"plugin"}`}},
	}
	for record, want := range map[string]struct {
		access, log time.Duration
		open        bool
		status      int
		body, kind  string
	}{
		"{name: a}":               {2 * time.Second, 5 * time.Second, true, 502, "server", "text/plain; charset=utf-8"},
		"{name: b}":               {300 * time.Millisecond, 5 * time.Second, false, 502, `{"of":"plugin"}`, "application/json; charset=utf-8"},
		"{name: b, timeout: 100}": {100 * time.Millisecond, 100 * time.Millisecond, false, 502, `{"of":"plugin"}`, "application/json; charset=utf-8"},
		"{name: a, timeout: 100, timeouts: {log: 200ms}, fail_mode: closed, fail_status: 429, fail_body: no}": {
			100 * time.Millisecond, 200 * time.Millisecond, false, 429, "no", "text/plain; charset=utf-8",
		},
		"{name: b, fail_mode: open}": {300 * time.Millisecond, 5 * time.Second, true, 502, `{"of":"plugin"}`, "application/json; charset=utf-8"},
	} {
		b := newTestBuilder(t, &fakeServers{manifests: []entity.Manifest{manifest("a", false), manifest("b", false)}, policy: policy})
		in := only(mustBuild(t, b, record))
		if access, log := in.Timeouts[pdk.PhaseAccess.Index()], in.Timeouts[pdk.PhaseLog.Index()]; access != want.access || log != want.log {
			t.Errorf("%s: access %s, log %s; want %s, %s", record, access, log, want.access, want.log)
		}
		if in.FailOpen != want.open || in.FailStatus != want.status || string(in.FailBody) != want.body || in.FailType != want.kind {
			t.Errorf("%s: open %v, status %d, body %s of type %s; want %+v", record, in.FailOpen, in.FailStatus, in.FailBody, in.FailType, want)
		}
	}
	b := newTestBuilder(t, &fakeServers{manifests: []entity.Manifest{manifest("a", false)}})
	if in := only(mustBuild(t, b, "{name: a}")); in.Timeouts[0] != time.Second || in.FailOpen || in.FailStatus != 0 || in.FailBody != nil || in.Budgets != nil {
		t.Errorf("nothing said: %+v", in)
	}
}

// What a server says about one of its plugins never opens a plugin that authenticates.
func TestAPluginLevelDoesNotOpenAuthentication(t *testing.T) {
	b := newTestBuilder(t, &fakeServers{
		manifests: []entity.Manifest{manifest("auth", true)}, policy: Policy{Plugins: map[string]entity.CallPolicy{"auth": {FailMode: "open"}}},
	})
	if only(mustBuild(t, b, "{name: auth, fail_mode: closed}")).FailOpen || only(mustBuild(t, b, "{name: auth}")).FailOpen {
		t.Error("an authentication plugin is open")
	}
	if !only(mustBuild(t, b, "{name: auth, allow_fail_open: true}")).FailOpen {
		t.Error("confirmed, it is closed")
	}
}

// The limits of all levels count, and they outlive a generation.
func TestBudgetsOfAllLevels(t *testing.T) {
	errs := entity.ErrorBudget{Ratio: 0.5, Calls: 1, Window: time.Second, OpenFor: time.Hour, Probes: 1}
	s := &fakeServers{manifests: []entity.Manifest{manifest("a", false), manifest("b", false)}, policy: Policy{
		Server:  entity.CallPolicy{MaxInFlight: 100, ErrorBudget: errs},
		Plugins: map[string]entity.CallPolicy{"a": {MaxInFlight: 10, Queue: 3}},
	}}
	b := newTestBuilder(t, s)
	record := "{id: 4e8d95d4-40f2-4818-adcb-30e00c349618, name: a, max_in_flight: 2, error_budget: {ratio: 0.1}}, {name: b}"
	first := mustBuild(t, b, record)
	chain := named(first, "a").Budgets
	if len(chain) != 3 || chain[0].Scope.Level() != "server" || chain[0].Limiter != nil || chain[1].Limits.Queue != 3 || chain[2].Limits.MaxInFlight != 2 || chain[2].Breakers == nil {
		t.Fatalf("budgets %+v", chain)
	}
	if other := named(first, "b").Budgets; len(other) != 1 || other[0] != chain[0] {
		t.Errorf("budgets of the other plugin of the server: %+v", other)
	}
	ticket, _, _ := chain[0].Breakers[0].Allow(time.Now())
	chain[0].Breakers[0].Done(ticket, time.Now(), budget.Failure)

	second := mustBuild(t, b, "{id: 4e8d95d4-40f2-4818-adcb-30e00c349618, name: a, max_in_flight: 2, error_budget: {ratio: 0.1}, config: {v: 2}}, {name: b}")
	first.Discard()
	after := named(second, "a").Budgets
	if state, _, _ := after[0].Breakers[0].State(); state != budget.StateOpen || after[1] != chain[1] || after[2] != chain[2] {
		t.Errorf("another generation has other budgets: %+v", after)
	}
	third := mustBuild(t, b, "{id: 4e8d95d4-40f2-4818-adcb-30e00c349618, name: a, max_in_flight: 3}, {name: b}")
	if changed := named(third, "a").Budgets; changed[2] == chain[2] || changed[2].Limits.MaxInFlight != 3 || changed[0] != chain[0] {
		t.Errorf("changed limits: %+v", changed)
	}
	second.Discard()
	third.Discard()
	if left := b.Budgets().Status(s.Remote("py"), "py"); len(left) != 0 {
		t.Errorf("budgets that nobody uses: %+v", left)
	}
}

// What a record says about the calls of a native plugin and nothing would heed is refused, with its place. How failures are answered is heeded.
func TestNativePluginsHaveNoLimits(t *testing.T) {
	b := newTestBuilder(t, &fakeServers{}, pdk.Plugin{Name: "own", Version: "1", New: func() any { return &closer{} }})
	for field, text := range map[string]string{
		"timeout": "timeout: 5s", "timeouts": "timeouts: {access: 100}", "max_in_flight": "max_in_flight: 2", "queue": "queue: 4, max_in_flight: 2",
		"error_budget": "error_budget: {}",
	} {
		_, err := build(b, "{name: own, "+text+"}")
		if err == nil {
			t.Errorf("%s is accepted", field)
			continue
		}
		want := fmt.Sprintf("plugins[0].%s: found %s on plugin \"own\", which is native", field, field)
		if !strings.Contains(err.Error(), "gateway.yaml:3:") || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: found %q, expected the place and %q", field, err, want)
		}
	}
	in := only(mustBuild(t, b, "{name: own, fail_mode: open, fail_status: 502, fail_body: no}"))
	if !in.FailOpen || in.FailStatus != 502 || string(in.FailBody) != "no" {
		t.Errorf("what failures are answered with is not heeded: %+v", in)
	}
}
