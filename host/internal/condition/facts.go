package condition

import (
	"strings"
	"sync"

	"cel.dev/cel-go/cel"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// Facts are what conditions may know of an exchange. Nothing is asked that the expression does not name.
type Facts interface {
	// NeedRequest makes Request, Client and Forwarded of the live facts valid.
	NeedRequest()
	// LiveFacts are the facts of the exchange as they stand, with what plugins have written.
	LiveFacts() *wire.Facts

	// MatchedRoute and MatchedService are nil when there is none.
	MatchedRoute() *entity.Route
	MatchedService() *entity.Service
	// AuthenticatedConsumer is nil before a plugin authenticated somebody.
	AuthenticatedConsumer() *entity.Consumer
	// AuthenticatedGroups are those that a plugin set, otherwise those of the consumer.
	AuthenticatedGroups() []wire.Group

	// PluginState tells about a plugin by the name that VariableName gives; ok is false when no record configures it.
	PluginState(name string) (state PluginState, ok bool)
}

// PluginState is what conditions may know of another plugin.
type PluginState struct {
	Matched   bool  // a record of it is for this route and service; consumers do not count
	Priority  int64 // counts when Matched
	AccessRan bool
}

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
		a.views[i] = view{a, viewKind(i)}
	}
	return a
}}

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
