package explain

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/outrigger-gateway/outrigger/host/internal/plan"
)

// maxLosers bounds the routes that a text lists: JSON lists all.
const maxLosers = 8

// text collects lines with aligned columns.
type text struct {
	w    *tabwriter.Writer
	line strings.Builder
}

func newText(w io.Writer) *text {
	return &text{w: tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)}
}

// row writes one line of cells. Lines that follow each other with the same number of cells are aligned.
func (t *text) row(cells ...any) {
	for i, c := range cells {
		if i > 0 {
			t.line.WriteByte('\t')
		}
		fmt.Fprint(&t.line, c)
	}
	fmt.Fprintln(t.w, strings.TrimRight(t.line.String(), "\t"))
	t.line.Reset()
}

// say writes one line that is aligned with nothing.
func (t *text) say(format string, args ...any) {
	fmt.Fprintf(t.w, format+"\n", args...)
}

// Text writes the report for people.
func (r *Report) Text(w io.Writer) error {
	t := newText(w)
	t.say("%s %s://%s%s", r.Request.Method, r.Request.Scheme, r.Request.Host, r.Request.Path)
	t.say("")
	r.writeRoute(t)
	r.writeConsumer(t)
	t.say("")
	t.say("order: by priority, rules by algorithm %s", strings.TrimSuffix(r.Plugins.Algorithm+", "+r.Plugins.Mode, ", "))
	for i := range r.Plugins.Phases {
		r.writePhase(t, &r.Plugins.Phases[i])
	}
	r.writeChoices(t)
	if len(r.Warnings) > 0 {
		t.say("")
		t.say("warnings")
		for _, w := range r.Warnings {
			t.say("  %s: %s: %s", w.Pos, w.Path, w.Message)
		}
	}
	return t.w.Flush()
}

func (r *Report) writeRoute(t *text) {
	switch {
	case r.Route == nil:
		t.say("route: none matches (404)")
	case r.Route.Service == nil:
		t.say("route: %s, without service, at %s", r.Route.label(), r.Route.Pos)
	default:
		t.say("route: %s of service %s, at %s", r.Route.label(), r.Route.Service.label(), r.Route.Pos)
	}
	if r.Route != nil && r.Route.Answer != 0 {
		why := "the request is plain, and the route for https alone"
		switch r.Route.Answer {
		case http.StatusUnsupportedMediaType:
			why = "the request is not of gRPC, and the route is"
		case http.StatusUpgradeRequired:
			if r.Route.GRPC {
				why = "the route is for gRPC, which needs HTTP/2"
			}
		}
		t.say("  answers %d: %s", r.Route.Answer, why)
	}
	for i := range r.Losers {
		l := &r.Losers[i]
		if i == maxLosers {
			t.say("  and %d more that do not match or lose (--json lists all)", len(r.Losers)-maxLosers)
			break
		}
		t.row("  not "+l.label(), l.Reason)
	}
}

func (r *Report) writeConsumer(t *text) {
	if r.Consumer == nil {
		return
	}
	t.say("")
	who := r.Consumer.label()
	if who == "" {
		who = "nobody"
	}
	if len(r.Consumer.Groups) > 0 {
		who += " in " + strings.Join(r.Consumer.Groups, ", ")
	}
	known := "never known: no plugin here authenticates"
	if by := r.Plugins.AuthenticatedBy; by != "" {
		known = "known after " + by
	}
	t.say("consumer: %s, %s", who, known)
}

func (r *Report) writePhase(t *text, p *Phase) {
	if len(p.Steps) == 0 {
		return
	}
	t.say("")
	order := ""
	if p.Error != "" {
		order = " (static order: " + p.Error + ")"
	}
	t.say("%s%s", p.Phase, order)
	for i := range p.Steps {
		st := &p.Steps[i]
		t.row(fmt.Sprintf("  %d", i+1), nameOf(&st.RecordRef), st.priority(), st.Scope, st.Position, strings.Join(st.why(r.Plugins), "; "))
	}
}

// priority is the number, or a question mark for a plugin of which nothing is known.
func (st *Step) priority() string {
	if st.Unavailable != "" {
		return "?"
	}
	return fmt.Sprint(st.Priority)
}

// why says what is special about a step; a step of which nothing is said stands where its priority puts it.
func (st *Step) why(p *Plugins) []string {
	var words []string
	if m := st.MovedBy; m != nil {
		carrier, other := ends(m)
		words = append(words, fmt.Sprintf("moved from place %d: %s %s %s (%s)", st.Static, carrier, m.Rule, other, m.Carrier.Position))
	}
	if st.Other != 0 {
		words = append(words, fmt.Sprintf("place %d under %s", st.Other, otherThan(p.Algorithm)))
	}
	switch {
	case st.ConditionError != "":
		words = append(words, "answers 500: "+st.ConditionError)
	case !st.Runs:
		words = append(words, "does not run: condition")
	}
	if st.Authenticates {
		words = append(words, "authenticates")
	}
	if st.Together {
		words = append(words, "in one call with the step before")
	}
	if st.Late {
		words = append(words, "late")
	}
	if st.Unavailable != "" {
		words = append(words, "unknown plugin: "+st.Unavailable)
	}
	return words
}

// ends are the two ends of a rule, as its record says it.
func ends(m *plan.ExplainedRule) (carrier, other string) {
	if m.Rule == "before" {
		return m.First, m.Then
	}
	return m.Then, m.First
}

func otherThan(algorithm string) string {
	if algorithm == plan.PriorityPreserving {
		return plan.Legacy
	}
	return plan.PriorityPreserving
}

func nameOf(r *plan.RecordRef) string {
	if r.Instance != "" {
		return r.Plugin + " (" + r.Instance + ")"
	}
	return r.Plugin
}

// outcomes say what becomes of a plugin.
var outcomes = map[string]string{
	plan.OutcomeRuns:        "runs",
	plan.OutcomeConditional: "runs by its conditions",
	plan.OutcomeDisabled:    "is switched off",
	plan.OutcomeMissed:      "misses its turn: the consumer becomes known behind its place",
	plan.OutcomeNone:        "does not run: no record applies",
}

// states say what part a record has.
var states = map[string]string{
	plan.StateWins:       "wins",
	plan.StateFallback:   "next if the condition is false",
	plan.StateShadowed:   "shadowed",
	plan.StateDisables:   "switches it off (mode: disable)",
	plan.StateNotEnabled: "not enabled",
	plan.StateProtocol:   "not for this protocol",
	plan.StateUnknown:    "not used: chosen before the consumer is known",
}

func (r *Report) writeChoices(t *text) {
	if len(r.Plugins.Choices) == 0 {
		return
	}
	t.say("")
	t.say("plugins")
	for i := range r.Plugins.Choices {
		c := &r.Plugins.Choices[i]
		outcome := cmp.Or(outcomes[c.Outcome], c.Outcome)
		if c.Known {
			outcome += ", chosen after authentication"
		}
		t.say("  %s %s", c.Name, outcome)
		for k := range c.Candidates {
			cand := &c.Candidates[k]
			t.row("    "+cand.Scope, fmt.Sprintf("level %d", cand.Level), cand.Position, c.part(cand))
		}
		for k := range c.Candidates {
			c.Candidates[k].details(t)
		}
		if c.Elsewhere > 0 {
			t.say("    and %d for other routes, services, consumers or groups", c.Elsewhere)
		}
	}
}

// part is what a record does in the lookup.
func (c *Choice) part(of *Candidate) string {
	for i := range c.Candidates {
		if of.State == plan.StateShadowed && slices.ContainsFunc(c.Candidates[i].InheritsFrom, func(r plan.RecordRef) bool { return r.ID == of.ID }) {
			return "inherited from"
		}
	}
	return cmp.Or(states[of.State], of.State)
}

// details writes what is not the same for all records.
func (c *Candidate) details(t *text) {
	if c.Condition != "" {
		holds := "not asked"
		switch {
		case c.ConditionError != "":
			holds = "fails: " + c.ConditionError
		case c.Holds != nil:
			holds = fmt.Sprint(*c.Holds)
		}
		t.say("    condition of %s: %s: %s", c.Scope, c.Condition, holds)
	}
	if len(c.InheritsFrom) == 0 {
		return
	}
	places := map[string]string{c.ID: c.Scope}
	for _, from := range c.InheritsFrom {
		places[from.ID] = from.Scope
	}
	t.say("    %s is merged from:", c.Scope)
	for _, field := range slices.Sorted(maps.Keys(c.Origins)) {
		t.row("      "+field, cmp.Or(places[c.Origins[field]], c.Origins[field]))
	}
}

// Error is a configuration or a query that cannot be explained, as JSON.
type Error struct {
	Error Problem `json:"error"`
}

// Problem is what is wrong.
type Problem struct {
	Code    string   `json:"code"` // cycle, query or configuration
	Message string   `json:"message"`
	Route   string   `json:"route,omitempty"`    // of a cycle
	Phase   string   `json:"phase,omitempty"`    // of a cycle
	Who     string   `json:"consumer,omitempty"` // of a cycle that only a consumer makes
	Cycle   []Member `json:"cycle,omitempty"`    // each must run before the next, the last before the first
}

// Member is a record of a cycle.
type Member struct {
	Plugin string `json:"plugin"`
	ID     string `json:"id"`
	Scope  string `json:"scope"`
	Pos    string `json:"position"`
}

// ErrorOf says what an error is about.
func ErrorOf(err error) Error {
	p := Problem{Code: "configuration", Message: err.Error()}
	var cycle *plan.CycleError
	var query *QueryError
	switch {
	case errors.As(err, &cycle):
		p.Code, p.Phase = "cycle", cycle.Phase
		if cycle.Route != nil {
			p.Route = cmp.Or(cycle.Route.Name, cycle.Route.ID)
		}
		if cycle.Consumer != nil {
			p.Who = cmp.Or(cycle.Consumer.Username, cycle.Consumer.ID)
		}
		for _, rec := range cycle.Records() {
			p.Cycle = append(p.Cycle, Member{Plugin: rec.LookupName(), ID: rec.ID, Scope: rec.Scope(), Pos: rec.Pos.String()})
		}
	case errors.As(err, &query):
		p.Code = "query"
	}
	return Error{p}
}
