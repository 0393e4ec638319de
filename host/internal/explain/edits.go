package explain

import (
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
)

// edits are the records that are not the same in two configurations. They say which routes and consumers need not be compared: most changes
// concern few of them. Records are kept by where they reach, so that a route looks at its own alone.
type edits struct {
	all       bool // what is different is nothing of single records
	byRoute   map[string][]*entity.Plugin
	byService map[string][]*entity.Plugin // records without a route
	anywhere  []*entity.Plugin            // records with neither
	// moves: a record that is different may change the order of others.
	moves bool
}

func (e *edits) add(r *entity.Plugin) {
	switch {
	case r.Route != nil:
		e.byRoute[routeName(r.Route)] = append(e.byRoute[routeName(r.Route)], r)
	case r.Service != nil:
		e.byService[serviceName(r.Service)] = append(e.byService[serviceName(r.Service)], r)
	default:
		e.anywhere = append(e.anywhere, r)
	}
}

// list are all edits.
func (e *edits) list() []*entity.Plugin {
	return slices.Concat(e.anywhere, slices.Concat(slices.Collect(maps.Values(e.byRoute))...), slices.Concat(slices.Collect(maps.Values(e.byService))...))
}

// of are the edits that reach a route and not all routes.
func (e *edits) of(route *entity.Route) []*entity.Plugin {
	service := serviceName(route.Service)
	var list []*entity.Plugin
	for _, r := range e.byRoute[routeName(route)] {
		if r.Service == nil || serviceName(r.Service) == service {
			list = append(list, r)
		}
	}
	return append(list, e.byService[service]...)
}

func editsOf(before, after *entity.Set) edits {
	if !sameGroups(before.ConsumerGroups, after.ConsumerGroups) || !sameClones(before.ClonedPlugins, after.ClonedPlugins) {
		return edits{all: true}
	}
	old := make(map[string]*entity.Plugin, len(before.Plugins))
	for _, r := range before.Plugins {
		old[mergedIdentity(r)] = r
	}
	e := edits{byRoute: map[string][]*entity.Plugin{}, byService: map[string][]*entity.Plugin{}}
	for _, r := range after.Plugins {
		identity := mergedIdentity(r)
		was := old[identity]
		delete(old, identity)
		if was == nil || !sameRecord(was, r) {
			e.add(r)
			e.moves = e.moves || was != nil && !reflect.DeepEqual(was.Priority, r.Priority)
		}
	}
	for _, r := range before.Plugins { // in their order: what a map gives first is chance
		if old[mergedIdentity(r)] == r {
			e.add(r)
		}
	}
	for _, set := range []*entity.Set{before, after} {
		e.moves = e.moves || slices.ContainsFunc(set.Plugins, func(r *entity.Plugin) bool { return !r.Ordering.Empty() })
	}
	return e
}

func sameGroups(before, after []*entity.ConsumerGroup) bool {
	priorities := map[string]int{}
	for _, g := range before {
		priorities[g.Name] = g.Priority
	}
	for _, g := range after {
		if p, known := priorities[g.Name]; known && p != g.Priority {
			return false
		}
	}
	return true
}

func sameClones(before, after []*entity.ClonedPlugin) bool {
	plain := func(clones []*entity.ClonedPlugin) map[string]entity.ClonedPlugin {
		m := map[string]entity.ClonedPlugin{}
		for _, c := range clones {
			m[c.Name] = entity.ClonedPlugin{Name: c.Name, Ref: c.Ref, Priority: c.Priority}
		}
		return m
	}
	return reflect.DeepEqual(plain(before), plain(after))
}

// mergedIdentity tells apart the configurations that one record has where it inherits from different ones.
func mergedIdentity(r *entity.Plugin) string {
	parts := []string{identityOf(r)}
	for _, from := range r.Merged {
		parts = append(parts, identityOf(from))
	}
	return strings.Join(parts, "\x00")
}

// sameRecord reports whether two records say the same, wherever they stand.
func sameRecord(a, b *entity.Plugin) bool {
	said := func(r *entity.Plugin) entity.Plugin {
		own := *r
		own.ID, own.Tags, own.Secrets, own.SchemaKnown, own.Hidden, own.Pos, own.Path = "", nil, nil, false, nil, entity.Pos{}, ""
		own.Service, own.Route, own.Consumer, own.ConsumerGroup = nil, nil, nil, nil // they are in the identity
		own.References, own.Missing, own.Emptied = nil, nil, nil
		own.Merged, own.Origins, own.Partials = nil, nil, nil // they are in the configuration
		own.At, own.KeyAt, own.FieldAt = nil, nil, nil
		return own
	}
	return reflect.DeepEqual(said(a), said(b))
}

// alike reports whether two records do the same where they run.
func alike(a, b *entity.Plugin) bool {
	if a == b {
		return true
	}
	return a.Condition == b.Condition && a.OnFalse == b.OnFalse && reflect.DeepEqual(a.CallPolicy, b.CallPolicy) &&
		reflect.DeepEqual(a.Effective(), b.Effective())
}

func serviceName(s *entity.Service) string {
	switch {
	case s == nil:
		return ""
	case s.Name != "":
		return s.Name
	}
	return s.ID
}
