package plan

import (
	"strings"
	"testing"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/budget"
	"github.com/outrigger-gateway/outrigger/host/internal/entity"
	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// bus is a plugin server that takes fused calls.
type bus struct{ name string }

func (*bus) Fuses() bool                                                 { return true }
func (*bus) Call(*wire.Call, time.Time, wire.Asker, *wire.Outcome) error { return nil }

// reads is a condition that reads what plugins change, or what they do not.
type reads bool

func (reads) Eval(ConditionFacts) (bool, error) { return true, nil }
func (r reads) Mutable() bool                   { return bool(r) }

// opaque is a condition that does not say what it reads.
type opaque struct{}

func (opaque) Eval(ConditionFacts) (bool, error) { return true, nil }

// Who may travel with whom, as explain tells it.
func TestTogether(t *testing.T) {
	one, two := &bus{"one"}, &bus{"two"}
	on := func(b *bus) func(*Instance) { return func(in *Instance) { in.Remote, in.Fuser = b, b } }
	when := func(c Condition) func(*Instance) {
		return func(in *Instance) { in.Condition, in.Record.Condition = c, "x" }
	}
	bounded := func(in *Instance) {
		in.Budgets = budget.Chain{new(budget.Registry).Use(budget.Scope{Server: "s"}, budget.Limits{MaxInFlight: 1})}
	}
	needs := func(n pdk.Need) func(*Instance) { return func(in *Instance) { in.Needs = n } }
	only := func(p pdk.Phase) func(*Instance) { return func(in *Instance) { in.Phases = p } }
	off := func(in *Instance) { in.Fuser = nil }
	type with = []func(*Instance)
	for name, c := range map[string]struct {
		phase pdk.Phase
		steps []with
		want  string // + joins the one before
	}{
		"one server":               {pdk.PhaseAccess, []with{{on(one)}, {on(one)}, {on(one)}}, "a+b+c"},
		"two servers":              {pdk.PhaseAccess, []with{{on(one)}, {on(two)}, {on(two)}}, "a b+c"},
		"another between":          {pdk.PhaseAccess, []with{{on(one)}, {on(two)}, {on(one)}}, "a b c"},
		"switched off":             {pdk.PhaseAccess, []with{{on(one)}, {on(one), off}, {on(one)}}, "a b c"},
		"native":                   {pdk.PhaseAccess, []with{{on(one)}, {}, {on(one)}}, "a b c"},
		"a condition that waits":   {pdk.PhaseAccess, []with{{on(one)}, {on(one), when(reads(true))}, {on(one)}}, "a b+c"},
		"one that need not":        {pdk.PhaseAccess, []with{{on(one)}, {on(one), when(reads(false))}, {on(one)}}, "a+b+c"},
		"one that does not say":    {pdk.PhaseAccess, []with{{on(one)}, {on(one), when(opaque{})}, {on(one)}}, "a b+c"},
		"it waits, in other phase": {pdk.PhaseLog, []with{{on(one)}, {on(one), when(reads(true))}, {on(one)}}, "a+b+c"},
		"it waits, for log alone":  {pdk.PhaseAccess, []with{{on(one)}, {on(one), when(reads(true)), only(pdk.PhaseLog)}, {on(one)}}, "a c"},
		"for log alone":            {pdk.PhaseAccess, []with{{on(one)}, {on(one), only(pdk.PhaseLog)}, {on(one)}}, "a+c"},
		"the request's body":       {pdk.PhaseAccess, []with{{on(one)}, {on(one), needs(pdk.NeedRequestBody)}, {on(one)}}, "a b c"},
		"the response's body":      {pdk.PhaseAccess, []with{{on(one)}, {on(one), needs(pdk.NeedResponseBody)}, {on(one)}}, "a+b+c"},
		"a bound of calls":         {pdk.PhaseAccess, []with{{on(one)}, {on(one), bounded}, {on(one)}}, "a b c"},
		"pieces of a body":         {pdk.PhaseBodyFilter, []with{{on(one)}, {on(one)}}, "a b"},
	} {
		t.Run(name, func(t *testing.T) {
			var ins []*Instance
			for i, changes := range c.steps {
				in := &Instance{
					ID: uint64(i + 1), Record: &entity.Plugin{ID: string(rune('a' + i)), Name: string(rune('a' + i)), Enabled: true}, Priority: 10 - i,
					Phases: pdk.PhaseAccess | pdk.PhaseBodyFilter | pdk.PhaseLog,
				}
				for _, change := range changes {
					change(in)
				}
				ins = append(ins, in)
			}
			set, err := Compile(Options{}, ins, []*entity.Route{routeR}, nil)
			if err != nil {
				t.Fatal(err)
			}
			var got strings.Builder
			for _, chain := range set.Explain(Query{Route: routeR}).Phases {
				if chain.Phase != c.phase.String() {
					continue
				}
				for i, st := range chain.Steps {
					if i > 0 {
						got.WriteString(map[bool]string{true: "+", false: " "}[st.Together])
					}
					got.WriteString(st.Plugin)
				}
			}
			if got.String() != c.want {
				t.Errorf("found %s, expected %s", got.String(), c.want)
			}
		})
	}
}
