package lint

import (
	"fmt"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
	"github.com/outrigger-gateway/outrigger/host/internal/plan"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// shadows finds out which records are in no plan.
type shadows struct {
	*linter
	used      map[*entity.Plugin]bool
	all       []*entity.Route // that the router has
	different []*entity.Route // of all, with plans of their own
	byService map[*entity.Service][]*entity.Route
	// otherwise are the records that are in no plan for another reason, which has a finding of its own.
	otherwise map[*entity.Plugin]bool
	plans     int
}

// use marks the records of a plan, and those that their configurations are merged over.
func (s *shadows) use(p *plan.Plan) {
	for _, st := range p.Steps() {
		for ; st != nil; st = st.Else {
			s.used[st.Instance.Record.Root()] = true
			for _, r := range st.Instance.Record.Merged {
				s.used[r] = true
			}
		}
	}
}

// check looks for a plan with the record, on the routes that it is for.
func (s *shadows) check(p *entity.Plugin) {
	routes := s.different
	switch {
	case p.Route != nil && p.Service != nil && p.Route.Service != p.Service:
		s.record(CodeScopeEmpty, p, "service", fmt.Sprintf("plugin %q for %s: the route is not one of that service", p.Name, p.Scope()), "")
		return
	case p.Route != nil:
		routes = nil
		if p.Route.Service == nil || p.Route.Service.Enabled {
			routes = []*entity.Route{p.Route}
		}
	case p.Service != nil:
		routes = s.byService[p.Service]
	}
	if len(routes) == 0 || p.Disables() || s.otherwise[p] {
		return // another finding, or a record that is in no plan because it wins
	}
	var last *plan.Plan
	for _, r := range routes {
		for _, secure := range []bool{false, true} {
			if s.plans++; s.plans > maxPlans {
				return
			}
			switch {
			case p.Consumer != nil:
				last = s.Plans.For(r, secure, p.Consumer)
			case p.ConsumerGroup != nil:
				last = s.Plans.For(r, secure, nil, wire.Group{ID: p.ConsumerGroup.ID, Name: p.ConsumerGroup.Name})
			default:
				last = s.Plans.ForRoute(r, secure)
			}
			s.use(last)
			if s.used[p] {
				return
			}
		}
	}
	s.record(CodeRecordShadowed, p, "", fmt.Sprintf("plugin %q for %s: a more specific record wins on %s%s", p.Name, p.Scope(), count(len(routes), p), winner(last, p)), "")
}

// winner names a record that wins, for example.
func winner(in *plan.Plan, p *entity.Plugin) string {
	for _, st := range in.Steps() {
		if r := st.Instance.Record.Root(); r.LookupName() == p.LookupName() {
			return fmt.Sprintf(", such as that for %s in line %d", r.Scope(), r.Pos.Line)
		}
	}
	return ""
}

// count says where a record loses.
func count(n int, p *entity.Plugin) string {
	switch {
	case p.Route != nil:
		return "its route"
	case p.Service != nil && n == 1:
		return "the only route of its service"
	case p.Service != nil:
		return fmt.Sprintf("all %d routes of its service", n)
	}
	return "all routes"
}
