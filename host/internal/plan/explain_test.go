package plan

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
	"github.com/outrigger-gateway/outrigger/pdk"
)

// chainText is a chain in one line: each plugin with its record, its static place, what moved it and when it was chosen.
func chainText(x *Explanation, phase pdk.Phase) string {
	var parts []string
	for _, c := range x.Phases {
		if c.Phase != phase.String() {
			continue
		}
		for _, s := range c.Steps {
			text := fmt.Sprintf("%s(%s) %d", s.Plugin, s.Position, s.Static)
			if s.MovedBy != nil {
				text += fmt.Sprintf(" by %s %s %s of %s", s.MovedBy.First, s.MovedBy.Rule, s.MovedBy.Then, s.MovedBy.Carrier.Position)
			}
			if s.Other != 0 {
				text += fmt.Sprintf(" other %d", s.Other)
			}
			if s.Known {
				text += " known"
			}
			if s.Late {
				text += " late"
			}
			parts = append(parts, text)
		}
		if c.Error != "" {
			parts = append(parts, c.Error)
		}
	}
	return strings.Join(parts, "; ")
}

func choiceText(x *Explanation, name string) string {
	for _, p := range x.Plugins {
		if p.Name != name {
			continue
		}
		text := p.Outcome
		if p.Known {
			text += " known"
		}
		for _, c := range p.Candidates {
			text += fmt.Sprintf("; %s level %d %s", c.Position, c.Level, c.State)
			for _, from := range c.InheritsFrom {
				text += " from " + from.Position
			}
		}
		if p.Elsewhere > 0 {
			text += fmt.Sprintf("; %d elsewhere", p.Elsewhere)
		}
		return text
	}
	return "not there"
}

func TestExplainOrder(t *testing.T) {
	records := []string{"rate-limiting before key-auth", "key-auth", "ip-restriction", "basic-auth after request-transformer", "request-transformer"}
	for _, c := range []struct {
		opts Options
		want string
	}{
		{Options{}, "rate-limiting(f:1:3) 4 by rate-limiting before key-auth of f:1:3; key-auth(f:2:3) 1; " +
			"request-transformer(f:5:3) 5 by request-transformer after basic-auth of f:4:3 other 4; basic-auth(f:4:3) 2 other 5; ip-restriction(f:3:3) 3 other 3"},
		{Options{Mode: Push}, "ip-restriction(f:3:3) 3 other 3; rate-limiting(f:1:3) 4 other 1; key-auth(f:2:3) 1 by rate-limiting before key-auth of f:1:3 other 2; " +
			"request-transformer(f:5:3) 5; basic-auth(f:4:3) 2 by request-transformer after basic-auth of f:4:3"},
		{Options{Algorithm: PriorityPreserving}, "rate-limiting(f:1:3) 4 by rate-limiting before key-auth of f:1:3; key-auth(f:2:3) 1; ip-restriction(f:3:3) 3 other 5; " +
			"request-transformer(f:5:3) 5 other 3; basic-auth(f:4:3) 2 by request-transformer after basic-auth of f:4:3 other 4"},
	} {
		set, err := Compile(c.opts, recordsOf(t, records...), []*entity.Route{routeR}, nil)
		if err != nil {
			t.Fatal(err)
		}
		x := set.Explain(Query{Route: routeR})
		if got := chainText(x, pdk.PhaseAccess); got != c.want {
			t.Errorf("%+v:\n%s, want\n%s", c.opts, got, c.want)
		}
		if got := chainText(x, pdk.PhaseLog); strings.Contains(got, " by ") || strings.Contains(got, "other") {
			t.Errorf("log: %s", got)
		}
	}
}

func TestExplainConsumer(t *testing.T) {
	all := recordsOf(t, "cors", "cors", "key-auth", "acl", "acl", "acl", "acl", "zipkin", "http-log before key-auth", "rate-limiting", "rate-limiting", "jwt")
	rec := func(line int) *entity.Plugin { return all[line-1].Record }
	rec(2).Consumer, rec(8).Consumer = consC, consC
	rec(5).ConsumerGroup, rec(6).ConsumerGroup, rec(6).Enabled, rec(7).Route = groupA, groupB, false, routeR2
	rec(9).Consumer = consC
	rec(11).Consumer, rec(11).Mode = consC, entity.ModeDisable
	all[11].Authenticates = false
	conditional(all[11], entity.OnFalseSkip)
	set, err := Compile(Options{}, all, []*entity.Route{routeR, routeR2}, []*entity.Consumer{consC, consD})
	if err != nil {
		t.Fatal(err)
	}
	x := set.Explain(Query{Route: routeR, Consumer: consC})
	if got, want := chainText(x, pdk.PhaseAccess), "cors(f:1:3) 1; jwt(f:12:3) 2; key-auth(f:3:3) 3; "+
		"http-log(f:9:3) 5 by http-log before key-auth of f:9:3 known late; acl(f:5:3) 4 known"; got != want {
		t.Errorf("access: %s, want %s", got, want)
	}
	for name, want := range map[string]string{
		"cors": "runs; f:1:3 level 12 wins; f:2:3 level 8 consumer_not_known", "key-auth": "runs; f:3:3 level 12 wins",
		"acl":    "runs known; f:5:3 level 9 wins; f:4:3 level 12 shadowed; f:6:3 level 9 not_enabled; 1 elsewhere",
		"zipkin": "missed known; f:8:3 level 8 wins", "http-log": "runs known; f:9:3 level 8 wins",
		"rate-limiting": "disabled known; f:11:3 level 8 disables; f:10:3 level 12 shadowed", "jwt": "conditional; f:12:3 level 12 wins",
	} {
		if got := choiceText(x, name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	if x.AuthenticatedBy != "key-auth" || strings.Join(x.Groups, " ") != "a" || x.Algorithm != Legacy || x.Mode != Pull {
		t.Errorf("%+v", x)
	}
	if x := set.Explain(Query{Route: routeR}); x.AuthenticatedBy != "" || choiceText(x, "acl") != "runs; f:4:3 level 12 wins; 2 elsewhere" {
		t.Errorf("nobody: %s", choiceText(x, "acl"))
	}
	if text, err := json.Marshal(x); err != nil || !strings.Contains(string(text), `"after_authentication":true`) {
		t.Errorf("%s %v", text, err)
	}
	if none := set.Explain(Query{}); len(none.Phases) != pdk.PhaseCount || choiceText(none, "acl") != "runs; f:4:3 level 12 wins; 2 elsewhere" {
		t.Errorf("without route: %s", choiceText(none, "acl"))
	}
}

// What an explanation says runs is what runs: the chains are those of the plans.
func TestExplanationsAgreeWithPlans(t *testing.T) {
	w := newTown(true, true)
	set := w.compile(t, Options{})
	for i := range 200 {
		route, consumer := w.routes[i*37%10000], w.consumers[i*7%1000]
		base := set.ForRoute(route, false)
		x := set.Explain(Query{Route: route, Consumer: consumer})
		p := base
		for k, st := range base.Steps() {
			if st.Instance.Authenticates {
				p = base.Switch(k, consumer, nil)
				break
			}
		}
		for k, phase := range pdk.Phases() {
			chain := p.Chain(phase)
			if phase == pdk.PhaseRewrite {
				chain = set.ForRoute(nil, false).Chain(phase)
			}
			if len(chain) != len(x.Phases[k].Steps) {
				t.Fatalf("route %s: %s has %d steps, explained are %d", route.ID, phase, len(chain), len(x.Phases[k].Steps))
			}
			for n, st := range chain {
				if x.Phases[k].Steps[n].ID != st.Record().ID {
					t.Fatalf("route %s, %s, step %d: %s, explained is %s", route.ID, phase, n, st.Record().ID, x.Phases[k].Steps[n].ID)
				}
			}
		}
	}
}

// Of several plugins that authenticate, the one that looks at the credential makes the consumer known.
func TestExplainTheAuthenticatingPlugin(t *testing.T) {
	first, second := bound(1, "key-auth", 9, ""), bound(2, "my-basic", 3, "")
	first.Authenticates, second.Authenticates, second.Code = true, true, "basic-auth"
	set := compile(t, []*Instance{first, second, bound(3, "x", 5, ""), bound(4, "x", 5, "c")}, routeR)
	for _, c := range []struct {
		by, want string
		level    int // of x
	}{
		{"", "key-auth", 8}, {"key-auth", "key-auth", 8}, {"basic-auth", "my-basic", 12}, {"other", "key-auth", 8},
	} {
		x := set.Explain(Query{Route: routeR, Consumer: consC, By: c.by})
		if level := x.Phases[1].Steps[1].Level; x.AuthenticatedBy != c.want || level != c.level {
			t.Errorf("by %q: known after %q, x of level %d; want %q and %d", c.by, x.AuthenticatedBy, level, c.want, c.level)
		}
	}
}
