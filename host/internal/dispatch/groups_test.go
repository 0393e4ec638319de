package dispatch

import (
	"slices"
	"strings"
	"testing"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
	"github.com/outrigger-gateway/outrigger/host/internal/exchange"
	"github.com/outrigger-gateway/outrigger/host/internal/plan"
	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

func encode(t *testing.T, v any) []byte {
	raw, err := wire.AppendValue(nil, v)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func setGroups(t *testing.T, mode string, ids ...string) wire.Op {
	groups := []any{}
	for _, id := range ids {
		groups = append(groups, []any{id, "name of " + id})
	}
	return wire.Op{Code: pdk.OpClientSetAuthenticatedConsumerGroups, Value: encode(t, []any{groups, mode})}
}

// A group that a plugin sets chooses the records of the plugins behind it, and those of their later phases. Records before it stay as chosen.
func TestGroupsChooseTheChain(t *testing.T) {
	for _, c := range []struct {
		name string
		ops  []wire.Op
		want string
	}{
		{"no group", nil, "early of all, limit of all, last"},
		{"a group", []wire.Op{setGroups(t, "write", "gold")}, "early of all, limit of gold, last"},
		{"a group without records", []wire.Op{setGroups(t, "write", "other")}, "early of all, limit of all, last"},
		{"appended", []wire.Op{setGroups(t, "write", "other"), setGroups(t, "append", "gold")}, "early of all, limit of gold, last"},
		{"cleared", []wire.Op{setGroups(t, "write", "gold"), setGroups(t, "write")}, "early of all, limit of all, last"},
		{"with a consumer", []wire.Op{authenticate(t, "c"), setGroups(t, "append", "gold")}, "early of all, limit of gold, last"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t)
			b.dir.consumer = &entity.Consumer{ID: "c"}
			gold := &entity.ConsumerGroup{ID: "gold", Name: "gold"}
			var ran []string
			mark := func(name string) remote {
				return func(*wire.Call, wire.Asker, *wire.Outcome) error { ran = append(ran, name); return nil }
			}
			priority := map[string]int{"early": 4, "auth": 3, "limit": 2, "zlast": 1}
			all := []*plan.Instance{
				instance("early", mark("early of all")), instance("early", mark("early of gold")), instance("auth", ops(c.ops...)),
				instance("limit", mark("limit of all")), instance("limit", mark("limit of gold")), instance("zlast", mark("last")),
			}
			for i, in := range all {
				in.Priority = priority[in.Record.Name]
				if i == 1 || i == 4 {
					in.Record.ConsumerGroup = gold
				}
			}
			route := &entity.Route{ID: "route"}
			ex := &exchange.Exchange{Live: b.live, Dir: b.dir, Plan: b.plan(route, all...)}
			b.RunAccess(ex)
			if got := strings.Join(ran, ", "); got != c.want || ex.Answer.Given {
				t.Errorf("ran %s, want %s", got, c.want)
			}
			bound := strings.Contains(c.want, "limit of gold")
			if chain := ex.Chain(pdk.PhaseLog); slices.ContainsFunc(chain, func(s *plan.Step) bool { return s.Instance == all[4] }) != bound || len(chain) != 4 {
				t.Errorf("enrolled for log: %v", chain)
			}
		})
	}
}

// ctx.plugin travels to the instance that wrote it, natively and remotely, in every later phase, and to nobody else.
func TestPluginValuesTravelToTheirInstance(t *testing.T) {
	b := newBench(t)
	seen := map[string]string{}
	look := func(name string) remote {
		return func(c *wire.Call, _ wire.Asker, out *wire.Outcome) error {
			phase := name + " in " + pdk.PhaseFromCode(c.Phase).String()
			seen[phase] = c.PluginID
			for _, v := range c.Plugin {
				text, err := wire.DecodeValue(v.Value)
				if err != nil {
					return err
				}
				seen[phase] += " " + v.Key + "=" + text.(string)
			}
			out.Ops = append(out.Ops, wire.Op{Code: pdk.OpCtxPluginSet, Name: "by", Value: encode(t, phase)})
			return nil
		}
	}
	handler := func(phase string) func(*pdk.PDK) error {
		return func(k *pdk.PDK) error {
			seen["native in "+phase] = k.Plugin.GetID()
			if v := k.CtxPlugin.Get("by"); v != nil {
				seen["native in "+phase] += " by=" + v.(string)
			}
			return k.CtxPlugin.Set("by", "native in "+phase)
		}
	}
	remoteA, remoteB := instance("a", look("a")), instance("b", look("b"))
	native := instance("n", nil, native(&pdk.Handlers{Rewrite: handler("rewrite"), Access: handler("access"), Log: handler("log")}))
	native.Phases = pdk.PhaseRewrite | pdk.PhaseAccess | pdk.PhaseLog
	ex := b.exchange(remoteA, remoteB, native)
	b.Run(ex, ex.Plan.Chain(pdk.PhaseRewrite), pdk.PhaseRewrite)
	b.RunAccess(ex)
	d := ex.Detach()
	b.RunLog(d, d.Chain(pdk.PhaseLog))
	for phase, want := range map[string]string{
		"a in rewrite": "a", "a in access": "a by=a in rewrite", "a in log": "a by=a in access", "b in access": "b by=b in rewrite", "b in log": "b by=b in access",
		"native in rewrite": "n", "native in access": "n by=native in rewrite", "native in log": "n by=native in access",
	} {
		if seen[phase] != want {
			t.Errorf("%s: saw %q, want %q", phase, seen[phase], want)
		}
	}
	if b.logs.Len() > 0 {
		t.Error(b.logs.String())
	}
}

// A body that an earlier plugin replaced does not travel with the call: two functions read what does.
func TestAReplacedResponseBodyIsAskedFor(t *testing.T) {
	b := newBench(t)
	needs := func(in *plan.Instance) { in.Needs, in.Phases = pdk.NeedResponseBody, pdk.PhaseResponse }
	var travelled []bool
	note := func(c *wire.Call, _ wire.Asker, out *wire.Outcome) error {
		travelled = append(travelled, c.HasResponseBody)
		out.Ops = append(out.Ops, wire.Op{Code: pdk.OpResponseSetRawBody, Body: []byte("new"), HasBody: true})
		return nil
	}
	ex := b.exchange(instance("first", note, needs), instance("second", note, needs))
	ex.ResponseArrived(true)
	b.Run(ex, ex.Plan.Chain(pdk.PhaseResponse), pdk.PhaseResponse)
	if !slices.Equal(travelled, []bool{true, false}) || ex.Answer.Given {
		t.Errorf("travelled %v, %s", travelled, b.logs)
	}
}
