package generation

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/budget"
	"github.com/outrigger-gateway/outrigger/host/internal/entity"
	"github.com/outrigger-gateway/outrigger/host/internal/plan"
	"github.com/outrigger-gateway/outrigger/pdk"
)

// Policy is what the settings of a plugin server say about calls: about all of them, and about those of single plugins.
type Policy struct {
	Server  entity.CallPolicy
	Plugins map[string]entity.CallPolicy
}

// defaultTimeout is that of a call about which nobody says anything.
const defaultTimeout = time.Second

// applyPolicy sets what the levels say about the calls of an instance, the least specific level first.
func applyPolicy(in *plan.Instance, levels ...*entity.CallPolicy) {
	for i := range in.Timeouts {
		in.Timeouts[i] = defaultTimeout
	}
	for _, l := range levels {
		for i, phase := range pdk.Phases() {
			if t := l.TimeoutOf(phase.String()); t > 0 {
				in.Timeouts[i] = t
			}
		}
		if l.FailMode != "" {
			in.FailOpen = l.FailMode == "open"
		}
		if l.FailStatus != 0 {
			in.FailStatus = l.FailStatus
		}
		if l.FailBody != "" {
			in.FailBody, in.FailType = []byte(l.FailBody), "text/plain; charset=utf-8"
			if json.Valid(in.FailBody) {
				in.FailType = "application/json; charset=utf-8"
			}
		}
	}
}

// nativePolicy refuses what a record says about the calls of a native plugin and nothing would heed: they run on the goroutine of their request,
// which nobody interrupts or makes wait. What happens when they fail is said as for others.
func nativePolicy(r *entity.Plugin) error {
	p := &r.CallPolicy
	var errs []error
	for _, f := range []struct {
		name string
		said bool
	}{
		{"timeout", p.Timeout > 0}, {"timeouts", len(p.Timeouts) > 0}, {"max_in_flight", p.MaxInFlight > 0}, {"queue", p.Queue > 0},
		{"error_budget", p.ErrorBudget != entity.ErrorBudget{}},
	} {
		if !f.said {
			continue
		}
		pos := r.Pos
		if r.FieldAt != nil {
			pos = r.FieldAt(f.name)
		}
		errs = append(errs, fmt.Errorf("config %s: %s: found %s on plugin %q, which is native: it runs inside the gateway, where its calls have no deadline and no limits; "+
			"remove the field, or run the plugin on a plugin server", pos, strings.TrimPrefix(r.Path+"."+f.name, "."), f.name, r.Name))
	}
	return errors.Join(errs...)
}

// Budgets are the limits of calls that the instances are under.
func (b *Builder) Budgets() *budget.Registry { return &b.budgets }

// useBudgets puts an instance under the limits of all levels. The calls in flight of a whole server are bounded by the server itself.
func (b *Builder) useBudgets(in *plan.Instance, m *entity.Manifest, p Policy) {
	plugin := p.Plugins[m.Code()]
	scope := budget.Scope{Build: in.Remote, Server: m.Server}
	b.use(in, scope, budget.Limits{Errors: errorsOf(p.Server.ErrorBudget), HandlerErrors: p.Server.ErrorBudget.HandlerErrors})
	scope.Plugin = m.Code()
	b.use(in, scope, limitsOf(&plugin))
	scope.Plugin, scope.Record = in.Record.Name, in.Record.ID
	b.use(in, scope, limitsOf(&in.Record.CallPolicy))
}

func (b *Builder) use(in *plan.Instance, s budget.Scope, l budget.Limits) {
	if l.MaxInFlight > 0 || l.Errors.Ratio > 0 {
		in.Budgets = append(in.Budgets, b.budgets.Use(s, l))
	}
}

func (b *Builder) releaseBudgets(in *plan.Instance) {
	for _, used := range in.Budgets {
		b.budgets.Release(used)
	}
}

func limitsOf(p *entity.CallPolicy) budget.Limits {
	return budget.Limits{MaxInFlight: p.MaxInFlight, Queue: p.Queue, Errors: errorsOf(p.ErrorBudget), HandlerErrors: p.ErrorBudget.HandlerErrors}
}

func errorsOf(e entity.ErrorBudget) budget.Errors {
	return budget.Errors{Ratio: e.Ratio, Calls: e.Calls, Window: e.Window, OpenFor: e.OpenFor, Probes: e.Probes}
}
