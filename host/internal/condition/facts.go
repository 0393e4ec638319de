package condition

import (
	"strings"
	"sync"

	"cel.dev/cel-go/cel"

	"github.com/outrigger-gateway/outrigger/host/internal/plan"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// Facts are what conditions may know of an exchange.
type Facts = plan.ConditionFacts

// PluginState is what conditions may know of another plugin.
type PluginState = plan.PluginState

var _ plan.Condition = (*Program)(nil)

// VariableName is the name of a plugin in conditions: plugins.key_auth is key-auth.
func VariableName(plugin string) string { return strings.ReplaceAll(plugin, "-", "_") }

// activation resolves the variables of one evaluation.
type activation struct {
	facts     Facts
	variables map[string]*variable
	views     [viewCount]view
}

var activations = sync.Pool{New: func() any {
	a := &activation{}
	for i := range a.views {
		a.views[i] = view{a: a, kind: viewKind(i)}
	}
	return a
}}

// reset forgets the exchange.
func (a *activation) reset() {
	a.facts = nil
	for i := range a.views {
		a.views[i].reset()
	}
}

// request is the request part of the facts.
func (a *activation) request() *wire.Request {
	a.facts.NeedRequest()
	return &a.facts.LiveFacts().Request
}

func (a *activation) client() *wire.Client {
	a.facts.NeedRequest()
	return &a.facts.LiveFacts().Client
}

// ResolveName implements cel.Activation.
func (a *activation) ResolveName(name string) (any, bool) {
	v := a.variables[name]
	if v == nil {
		return nil, false
	}
	return v.read(a), true
}

// Parent implements cel.Activation.
func (a *activation) Parent() cel.Activation { return nil }
