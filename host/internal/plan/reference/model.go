// Package reference says which plugin records run for a request, and in which order, as slowly and plainly as possible.
//
// It is written from spec/gateway.md sections 3, 5 and 6 and shares nothing with package plan, which it checks: no code, no types, no
// tables. It computes every request from scratch. Only tests use it. Where the specification leaves a choice, the reading is written down
// in ../testdata/README.md.
package reference

// Phases, in the order in which a request meets them.
const (
	Rewrite      = "rewrite"
	Access       = "access"
	Response     = "response"
	HeaderFilter = "header_filter"
	BodyFilter   = "body_filter"
	Log          = "log"
)

// Phases lists all phases that rules may name.
var Phases = []string{Rewrite, Access, Response, HeaderFilter, BodyFilter, Log}

// World is a configuration. Entities are known by their names; "" is none.
type World struct {
	Plugins   map[string]Plugin
	Routes    map[string]string   // route to its service
	Groups    map[string]int      // consumer group to its priority
	Consumers map[string][]string // consumer to its groups, in any order
	Records   []*Record
	Options   Options
}

// Options are the settings that change the order.
type Options struct {
	PriorityPreserving bool   // plugin_ordering_algorithm
	Push               bool   // ordering_mode: push; of the algorithm legacy only
	Late               string // late_plugins: "", run, skip, error
}

// Plugin is what a plugin, or a clone of one, says about itself.
type Plugin struct {
	Priority int
	Phases   []string
}

// Record is one plugin record.
type Record struct {
	Label    string // of the record in tests; unique
	Plugin   string
	Instance string

	Route, Service, Consumer, Group string

	Off      bool // enabled: false
	Disable  bool // mode: disable
	Inherit  bool
	Stack    bool
	Priority *int
	Config   map[string]any
	Before   map[string][]string // phase to names
	After    map[string][]string

	Condition string // name of an entry of Request.Truth; "" is no condition
	Next      bool   // on_false: next
}

// Identity is who a request comes from. The zero Identity is nobody.
type Identity struct {
	Consumer string
	// Groups that a plugin set for the request; nil: those of the consumer.
	Groups []string
}

// Truth is what a condition says.
type Truth string

// What conditions say. Known is true once there is a consumer: it makes the moment matter at which a condition is asked.
const (
	True   Truth = "true"
	False  Truth = "false"
	Broken Truth = "error"
	Known  Truth = "consumer"
)

// Request is one request, with what its plugins do.
type Request struct {
	Route string              // that the router chose; "" is none
	Sets  map[string]Identity // by plugin: what its access handler sets
	Exits map[string]bool     // plugins whose access handler answers or throws
	Truth map[string]Truth    // by condition
}

// Outcome is what ran. Records are given by their labels.
type Outcome struct {
	// Access lists the access handlers that were called.
	Access []string
	// Enrolled lists the records whose later phases run, in the order in which the walk met them.
	Enrolled []string
	// Config and Inherits say, for those, the merged configuration and the records that it has been inherited from, nearest first.
	Config   map[string]map[string]any
	Inherits map[string][]string
	// Chains of the phases other than access.
	Chains map[string][]string
	// Failed says why the gateway itself answered 500: "", "condition" or "late".
	Failed string
	// Answered says that the request did not reach the upstream.
	Answered bool
}

func (r *Record) does(w *World, phase string) bool {
	for _, p := range w.Plugins[r.Plugin].Phases {
		if p == phase {
			return true
		}
	}
	return false
}

func (r *Record) priority(w *World) int {
	if r.Priority != nil {
		return *r.Priority
	}
	return w.Plugins[r.Plugin].Priority
}

// lookupName is the name under which records compete: one of them at most runs. Stacked records compete under the name of their instance.
type lookupName struct{ plugin, instance string }

func (r *Record) lookupName() lookupName {
	if r.Stack {
		return lookupName{r.Plugin, r.Instance}
	}
	return lookupName{plugin: r.Plugin}
}
