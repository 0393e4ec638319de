package plan

import (
	"errors"
	"fmt"
	"slices"
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
	if at := e.Rules[0].Carrier.FieldAt; at != nil {
		pos = at("ordering")
	}
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
	if field == "" {
		return r.Path
	}
	return strings.Trim(r.Path+"."+field, ".")
}

// cycles finds rules that contradict each other, for every route with nobody and with every consumer. The rules of all records are tried
// together first, then those of the records that may run on a route, which is quick; only where they go round are the plans tried one by one.
func (s *Set) cycles() error {
	if !s.index.ruled || !s.index.mayCycle(func(*entity.Plugin) bool { return true }) {
		return nil
	}
	tried := map[place]bool{}
	for _, r := range append([]*entity.Route{nil}, s.all...) {
		for _, secure := range []bool{false, true} {
			pl := s.index.place(r, secure)
			if tried[pl] {
				continue
			}
			tried[pl] = r != nil // a route of the same place has consumers
			if !s.index.mayCycle(pl.fits) {
				continue
			}
			if err := s.cycleAt(pl, s.nobody); err != nil {
				err.Route = r
				return err
			}
			done := map[*class]bool{}
			for _, c := range s.consumers {
				k := s.classes[c]
				if k == nil || done[k] || r == nil {
					continue
				}
				done[k] = true
				if err := s.cycleAt(pl, k); err != nil {
					err.Route, err.Consumer = r, c
					return err
				}
			}
		}
	}
	return nil
}

func (s *Set) cycleAt(pl place, c *class) *CycleError {
	_, err := s.build(pl, c)
	var found *CycleError
	errors.As(err, &found)
	return found
}

// mayCycle reports whether the rules of some records, taken together, go round.
func (x *index) mayCycle(some func(*entity.Plugin) bool) bool {
	here := map[*name]bool{}
	var ruled []*record
	for _, n := range x.names {
		for _, r := range n.records {
			if r.Disables() || !some(r.Plugin) {
				continue
			}
			here[n] = true
			if !r.Ordering.Empty() {
				ruled = append(ruled, r)
			}
		}
	}
	if len(ruled) == 0 {
		return false
	}
	for _, phase := range entity.OrderingPhases {
		then := map[*name][]*name{}
		for _, r := range ruled {
			for _, n := range x.names {
				if !here[n] || n == r.name {
					continue
				}
				if slices.ContainsFunc(r.Ordering.Before[phase], n.called) {
					then[r.name] = append(then[r.name], n)
				}
				if slices.ContainsFunc(r.Ordering.After[phase], n.called) {
					then[n] = append(then[n], r.name)
				}
			}
		}
		if goesRound(then) {
			return true
		}
	}
	return false
}

func goesRound(then map[*name][]*name) bool {
	const active, done = 1, 2
	state := map[*name]int{}
	var visit func(n *name) bool
	visit = func(n *name) bool {
		state[n] = active
		for _, next := range then[n] {
			if state[next] == active || state[next] == 0 && visit(next) {
				return true
			}
		}
		state[n] = done
		return false
	}
	for n := range then {
		if state[n] == 0 && visit(n) {
			return true
		}
	}
	return false
}

// fits reports whether a record may run at the place, for some consumer.
func (pl place) fits(r *entity.Plugin) bool {
	return (r.Route == nil || r.Route == pl.route) && (r.Service == nil || r.Service == pl.service) &&
		(pl.protocol == "" || slices.Contains(r.Protocols, pl.protocol))
}
