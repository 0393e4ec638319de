package plan

import (
	"github.com/outrigger-gateway/outrigger/host/internal/entity"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// Query says which plan is to be explained.
type Query struct {
	Route    *entity.Route // nil: requests without route
	Secure   bool
	Consumer *entity.Consumer // nil: nobody
	Groups   []wire.Group     // that a plugin sets; they count instead of the consumer's own
	// By names the plugin that authenticates; "": the first of the plan that may.
	By string
}

// Explanation says what runs for a route and a class of consumers, and why. It is made by the code that makes the plans.
type Explanation struct {
	Route     string `json:"route,omitempty"`
	Service   string `json:"service,omitempty"`
	Consumer  string `json:"consumer,omitempty"`
	Algorithm string `json:"algorithm"`
	Mode      string `json:"mode,omitempty"` // of the algorithm legacy
	// Groups that count, in the order in which levels try them.
	Groups []string `json:"groups,omitempty"`
	// AuthenticatedBy is the plugin behind which the consumer is known; "": none, or nobody.
	AuthenticatedBy string         `json:"authenticated_by,omitempty"`
	Phases          []PhaseChain   `json:"phases"`
	Plugins         []PluginChoice `json:"plugins"`
}

// PhaseChain is the chain of one phase.
type PhaseChain struct {
	Phase string          `json:"phase"`
	Steps []ExplainedStep `json:"steps"`
	// Error says that rules contradict each other; the chain has the static order then.
	Error string `json:"error,omitempty"`
}

// RecordRef names a record.
type RecordRef struct {
	ID       string `json:"id"`
	Plugin   string `json:"plugin"`
	Instance string `json:"instance_name,omitempty"`
	Scope    string `json:"scope"`
	Level    int    `json:"level"`              // of spec/gateway.md 5.2, 1 to 12
	Position string `json:"position,omitempty"` // file:line:column
	Path     string `json:"path,omitempty"`
}

// ExplainedStep is one step of a chain.
type ExplainedStep struct {
	RecordRef
	Priority int `json:"priority"`
	// Static is the step's place in the chain if there were no rules, from 1.
	Static int `json:"static"`
	// MovedBy is the rule that moved it out of its static place.
	MovedBy *ExplainedRule `json:"moved_by,omitempty"`
	// Other is its place under the other algorithm, from 1, when that is another one; 0: the same.
	Other     int    `json:"other_algorithm,omitempty"`
	Condition string `json:"condition,omitempty"`
	// Known says that the step was chosen when the consumer was known.
	Known bool `json:"after_authentication"`
	// Late says that only a rule, or late_plugins: run, let it run although its place is before the plugin that authenticates.
	Late bool `json:"late,omitempty"`
}

// ExplainedRule is a rule between two plugins.
type ExplainedRule struct {
	First   string    `json:"first"`
	Then    string    `json:"then"`
	Rule    string    `json:"rule"` // before or after
	Carrier RecordRef `json:"record"`
}

// PluginChoice says which record of a plugin runs.
type PluginChoice struct {
	Name       string      `json:"name"`
	Outcome    string      `json:"outcome"` // one of the Outcome constants
	Candidates []Candidate `json:"candidates"`
	Known      bool        `json:"after_authentication"` // chosen when the consumer was known
}

// What becomes of a plugin.
const (
	OutcomeRuns        = "runs"
	OutcomeConditional = "conditional" // it depends on conditions whether it runs
	OutcomeDisabled    = "disabled"    // a record with mode: disable wins
	OutcomeMissed      = "missed"      // its turn was over when the consumer became known
	OutcomeNone        = "none"        // no record applies
)

// Candidate is one record of a plugin, and its part in the lookup.
type Candidate struct {
	RecordRef
	State     string `json:"state"` // one of the State constants
	Condition string `json:"condition,omitempty"`
	OnFalse   string `json:"on_false,omitempty"`
	// InheritsFrom lists the records that the configuration is merged over, nearest first.
	InheritsFrom []RecordRef `json:"inherits_from,omitempty"`
	// Origins says by dotted path which record a value of the merged configuration came from, by its id.
	Origins map[string]string `json:"origins,omitempty"`
}

// Parts that a record can have in the lookup.
const (
	StateWins       = "wins"
	StateFallback   = "fallback"           // it wins when the conditions of those before it do not hold
	StateShadowed   = "shadowed"           // a more specific record wins
	StateDisables   = "disables"           // it wins, and switches the plugin off
	StateNotEnabled = "not_enabled"        // enabled: false
	StateElsewhere  = "elsewhere"          // bound to another route, service, consumer or group
	StateProtocol   = "protocol"           // not for requests of this protocol
	StateUnknown    = "consumer_not_known" // its consumer or group is not known when the plugin is chosen
)
