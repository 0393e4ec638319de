// Package plan decides which configuration of each plugin runs for a request, and in which order.
//
// Everything is decided when a generation is built: a request takes the plan of its route and walks slices. When a plugin
// authenticates, the walk goes on in the variant of the plan for that consumer (spec/gateway.md sections 5 and 6).
package plan

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// Remote runs one phase call on a plugin server.
type Remote interface {
	Call(c *wire.Call, deadline time.Time, asker wire.Asker, out *wire.Outcome) error
}

// Instance is one plugin record made ready to run. Exactly one of Native, Remote and Unavailable is set.
type Instance struct {
	ID       uint64
	Record   *entity.Plugin
	Priority int
	Phases   pdk.Phase
	Needs    pdk.Need
	// Authenticates: the plugin said that it may set the consumer.
	Authenticates bool

	Native *pdk.Handlers
	Remote Remote
	// Unavailable is the reason why the plugin cannot run yet; every request that needs it is answered 503.
	Unavailable string

	Timeouts   [pdk.PhaseCount]time.Duration
	FailOpen   bool // as configured; FailsOpen is what counts
	FailStatus int

	closed atomic.Bool // it did what a plugin that fails open must not do
}

// FailsOpen reports whether a request goes on when the instance fails.
func (in *Instance) FailsOpen() bool { return in.FailOpen && !in.closed.Load() }

// CloseForGood makes the instance fail closed from now on, whatever its configuration says. It reports whether that is news.
func (in *Instance) CloseForGood() bool { return in.closed.CompareAndSwap(false, true) }

// Plan is what runs for one route and one class of consumers. It is immutable.
type Plan struct {
	set   *Set
	route *entity.Route

	steps []*Instance // every chosen instance in execution order
	ranks []int       // position of each step's name in the set's order
	chain [pdk.PhaseCount][]*Instance
	// phases that any step handles, and needs of all steps.
	phases pdk.Phase
	needs  pdk.Need

	scoped   bool // consumers or groups may get another plan
	variants *variants
}

// Steps lists every chosen instance, in execution order.
func (p *Plan) Steps() []*Instance { return p.steps }

// Chain lists the instances that handle one phase, in execution order.
func (p *Plan) Chain(phase pdk.Phase) []*Instance { return p.chain[phase.Index()] }

// Phases is the set of phases that at least one step handles.
func (p *Plan) Phases() pdk.Phase { return p.phases }

// Needs are the needs of all steps together.
func (p *Plan) Needs() pdk.Need { return p.needs }

// For returns the plan of the same route for a consumer; nil means nobody. Groups that plugins set for the request count instead of those that
// the consumer belongs to. It is p itself when no record of the route's plugins is bound to that consumer or to one of the groups.
func (p *Plan) For(c *entity.Consumer, set ...wire.Group) *Plan {
	if p.variants == nil { // the global plan
		return p
	}
	base := p.variants.base
	if c == nil && len(set) == 0 || !base.scoped {
		return base
	}
	class := base.set.classOf(c, set)
	if class.empty() {
		return base
	}
	return base.variants.get(class)
}

// After returns the steps of p that follow step s of another plan of the same route: those whose name comes later in the static order.
// Names before it have run or, as in Kong, have missed their turn.
func (p *Plan) After(rank int) []*Instance {
	i, _ := slices.BinarySearch(p.ranks, rank+1)
	return p.steps[i:]
}

// Rank is the place of step i's plugin in the static order.
func (p *Plan) Rank(i int) int { return p.ranks[i] }

// RankOf is the place of an instance's plugin in the static order.
func (p *Plan) RankOf(in *Instance) int { return p.set.rank[in.Record.Name] }

// maxVariants bounds the consumer variants kept per route. A variant that falls out is built again when needed.
const maxVariants = 4096

// variants holds the plans of one route for classes of consumers.
type variants struct {
	base *Plan
	mu   sync.RWMutex
	m    map[string]*Plan
}

func (v *variants) get(class class) *Plan {
	key := class.key()
	v.mu.RLock()
	p := v.m[key]
	v.mu.RUnlock()
	if p != nil {
		return p
	}
	p = v.base.set.choose(v.base.route, class)
	p.variants = v
	v.mu.Lock()
	defer v.mu.Unlock()
	if q := v.m[key]; q != nil {
		return q
	}
	if v.m == nil {
		v.m = map[string]*Plan{}
	}
	if len(v.m) >= maxVariants {
		for k := range v.m { // any one: the map's order is as good as random
			delete(v.m, k)
			break
		}
	}
	v.m[key] = p
	return p
}
