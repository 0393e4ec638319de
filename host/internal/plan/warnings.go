package plan

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
	"github.com/outrigger-gateway/outrigger/pdk"
)

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

// Warnings lists what is allowed and most likely a mistake, record by record in the order of the configuration. The caller must not change it. It is
// found once: that may take as long as compiling the set.
func (s *Set) Warnings() []Warning { return s.warnings() }

func (s *Set) findWarnings() []Warning {
	all := s.dangling()
	all = append(all, s.inactive()...)
	all = append(all, s.beforeAuthentication()...)
	all = append(all, s.neverKnown()...)
	all = append(all, s.fallThrough()...)
	all = append(all, s.protocols()...)
	slices.SortStableFunc(all, func(a, b Warning) int {
		return cmp.Or(cmp.Compare(a.Pos.File, b.Pos.File), cmp.Compare(a.Pos.Line, b.Pos.Line), cmp.Compare(a.Pos.Col, b.Pos.Col))
	})
	return all
}

// rules calls f for every name in the rules of every record.
func (x *index) rules(f func(r *record, side, phase, target string)) {
	for _, n := range x.names {
		for _, r := range n.records {
			for _, phase := range entity.OrderingPhases {
				for _, target := range r.Ordering.Before[phase] {
					f(r, "before", phase, target)
				}
				for _, target := range r.Ordering.After[phase] {
					f(r, "after", phase, target)
				}
			}
		}
	}
}

// called lists the records that a rule means.
func (x *index) called(target string) []*record {
	var found []*record
	for _, n := range x.names {
		if n.called(target) {
			for _, r := range n.records {
				if !r.Disables() {
					found = append(found, r)
				}
			}
		}
	}
	return found
}

func (s *Set) dangling() []Warning {
	var found []Warning
	s.index.rules(func(r *record, side, phase, target string) {
		if len(s.index.called(target)) == 0 {
			found = append(found, warn(WarnDangling, r.Plugin, "ordering",
				"ordering.%s.%s names %q, found no enabled record of such a plugin, expected one (fix: remove the name, or add the record)", side, phase, target))
		}
	})
	return found
}

// inactive finds rules between records that never run in the same request, or not in that phase.
func (s *Set) inactive() []Warning {
	var found []Warning
	s.index.rules(func(r *record, side, phase, target string) {
		others := s.index.called(target)
		if len(others) == 0 {
			return
		}
		handles := func(r *record) bool { return r.sample.Phases.Has(pdk.PhaseByName(phase)) }
		together := func(o *record) bool { return o.name != r.name && s.together(r.Plugin, o.Plugin) }
		w := warn(WarnNeverActive, r.Plugin, "ordering", "")
		rule := fmt.Sprintf("ordering.%s.%s: %s", side, phase, target)
		switch {
		case !slices.ContainsFunc(others, together):
			w.Other = others[0].Plugin
			w.Message = fmt.Sprintf("the rule %q is never active: found no record of %q that runs in a request together with this one (%s)", rule, target, r.Scope())
		case !handles(r):
			w.Message = fmt.Sprintf("the rule %q does nothing: %q has no handler for %s", rule, r.Name, phase)
		case !slices.ContainsFunc(others, handles):
			w.Other = others[0].Plugin
			w.Message = fmt.Sprintf("the rule %q does nothing: %q has no handler for %s", rule, target, phase)
		default:
			return
		}
		found = append(found, w)
	})
	return found
}

// together reports whether there may be a request that both records are bound to.
func (s *Set) together(a, b *entity.Plugin) bool {
	service := func(p *entity.Plugin) *entity.Service {
		if p.Service == nil && p.Route != nil {
			return p.Route.Service
		}
		return p.Service
	}
	member := func(c *entity.Consumer, g *entity.ConsumerGroup) bool {
		return c == nil || g == nil || slices.Contains(c.Groups, g)
	}
	sa, sb := service(a), service(b)
	return (a.Route == nil || b.Route == nil || a.Route == b.Route) &&
		(sa == nil || sb == nil || sa == sb) &&
		(a.Consumer == nil || b.Consumer == nil || a.Consumer == b.Consumer) &&
		member(a.Consumer, b.ConsumerGroup) && member(b.Consumer, a.ConsumerGroup)
}

// asks reports whether a plugin decides by who the consumer is.
func asks(in *Instance) bool {
	by, _ := in.Record.Config["limit_by"].(string)
	return in.code() == "acl" || by == "consumer" || by == "consumer-group" || by == "credential"
}

// firstPlan is a plan with the first route that has it.
type firstPlan struct {
	*Plan
	route *entity.Route
}

// plans lists the different plans of routes, in the order of the routes.
func (s *Set) plans() []firstPlan {
	var found []firstPlan
	seen := map[*Plan]bool{}
	for _, r := range s.all {
		for _, p := range []*Plan{s.routes[r].plain, s.routes[r].secure} {
			if !seen[p] {
				seen[p] = true
				found = append(found, firstPlan{p, r})
			}
		}
	}
	return found
}

// beforeAuthentication finds plugins that ask who the consumer is before any plugin can have said so.
func (s *Set) beforeAuthentication() []Warning {
	var found []Warning
	told := map[*entity.Plugin]bool{}
	for _, p := range s.plans() {
		auth := slices.IndexFunc(p.steps, func(st *Step) bool { return st.Instance.Authenticates })
		for i := range max(0, auth) {
			if rec := p.steps[i].Record(); asks(p.steps[i].Instance) && !told[rec] {
				told[rec] = true
				w := warn(WarnBeforeAuth, rec, "", "on route %q %q runs before %q, the first plugin that says who the consumer is, and asks who that is",
					named(p.route.Name, p.route.ID), rec.LookupName(), p.steps[auth].Record().LookupName())
				w.Other = p.steps[auth].Record()
				found = append(found, w)
			}
		}
	}
	return found
}

// maxTried bounds the plans that are built to find records that never count. Records beyond it are taken to count.
const maxTried = 500_000

// neverKnown finds records for consumers or groups whose plugin is always chosen before the consumer is known.
func (s *Set) neverKnown() []Warning {
	var found []Warning
	first := s.plans()
	tried := 0
	for _, n := range s.index.names {
		for _, r := range n.records {
			if r.Consumer == nil && r.ConsumerGroup == nil {
				continue
			}
			k := s.class(r.Consumer, nil)
			if g := r.ConsumerGroup; g != nil {
				k = &class{groups: []*entity.ConsumerGroup{g}}
			}
			applies, chosen := false, false
			var auth *Step
			for _, p := range first {
				if !p.place.fits(r.Plugin) {
					continue
				}
				applies = true
				if i := slices.IndexFunc(p.steps, func(st *Step) bool { return st.Instance.Authenticates }); i >= 0 {
					auth = p.steps[i]
					if tried > maxTried {
						return found
					}
					chosen = p.chosenBehind(r, i, k, &tried)
				}
				if chosen {
					break
				}
			}
			switch {
			case !applies || chosen:
			case auth == nil:
				found = append(found, warn(WarnConsumerEarly, r.Plugin, "",
					"the record for %s never counts: found no plugin that authenticates on the routes where it could run (fix: add one there, such as key-auth)", r.Scope()))
			default:
				w := warn(WarnConsumerEarly, r.Plugin, "", "the record for %s never counts: %q is chosen before %q says who the consumer is",
					r.Scope(), r.LookupName(), auth.Record().LookupName())
				w.Other = auth.Record()
				found = append(found, w)
			}
		}
	}
	return found
}

// chosenBehind reports whether a plugin is still to be chosen when step i has authenticated a consumer of the class. It counts the plans that it
// builds.
func (p *Plan) chosenBehind(r *record, i int, c *class, built *int) bool {
	passed, ahead := len(ofName(p.steps[:i+1], r.name)) > 0, len(ofName(p.steps[i+1:], r.name)) > 0
	if passed && !ahead {
		return false
	}
	if r.Disables() {
		return true // there is no step to find
	}
	*built++
	whole, _ := p.set.build(p.place, c)
	behind := whole.behind(p.steps[i])
	for k, st := range whole.steps {
		if st.name == r.name && (!behind(k) || ahead || p.set.opts.Late == LateRun || p.set.opts.Late == LateByPlace && compareStatic(st, p.steps[i]) > 0) {
			return true
		}
	}
	return false
}

// fallThrough finds records that are not enabled while a less specific one runs in their place.
func (s *Set) fallThrough() []Warning {
	var found []Warning
	for _, in := range s.disabled {
		off := in.Record.Root()
		n := s.index.byName[off.LookupName()]
		if n == nil {
			continue
		}
		for _, r := range n.records {
			if !r.Disables() && levelOf(r.Plugin) > levelOf(off) && s.together(off, r.Plugin) {
				w := warn(WarnFallsThrough, off, "enabled",
					"a record that is not enabled does not switch %q off for %s: found the record for %s, which runs there (fix: write mode: disable instead)",
					off.LookupName(), off.Scope(), r.Scope())
				w.Other = r.Plugin
				found = append(found, w)
				break
			}
		}
	}
	return found
}

// protocols finds records whose protocols none of their routes has.
func (s *Set) protocols() []Warning {
	var found []Warning
	for _, n := range s.index.names {
		for _, r := range n.records {
			applies, shared := false, false
			for _, route := range s.all {
				if r.Route != nil && r.Route != route || r.Service != nil && r.Service != route.Service || len(r.Protocols) == 0 {
					continue
				}
				applies = true
				if slices.ContainsFunc(route.Protocols, func(p string) bool { return slices.Contains(r.Protocols, p) }) {
					shared = true
					break
				}
			}
			if applies && !shared {
				found = append(found, warn(WarnProtocols, r.Plugin, "protocols", "found protocols %s, which none of the routes has where the record could run",
					strings.Join(r.Protocols, ", ")))
			}
		}
	}
	return found
}
