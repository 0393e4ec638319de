package reference

import (
	"slices"
	"strings"
)

// node is a record that may run for a route and an identity.
type node struct {
	record *Record
	name   lookupName
	// rank is the place in the lookup, 0 first, among the records of the same name.
	rank int
	// before are the records that the lookup meets first; each has a condition with on_false: next.
	before []*Record
	// parents are the records that the configuration inherits from, nearest first.
	parents []*Record
}

// levels is the table of 5.2, most specific first. The letters say what a record of the level is bound to: c consumer, g group, r route,
// s service.
var levels = []string{"crs", "grs", "cr", "cs", "gr", "gs", "rs", "c", "g", "r", "s", ""}

// nodes finds the records that may run for a route and an identity, name by name. Route "" is no route.
func (w *World) nodes(route string, id Identity) []*node {
	names := map[lookupName]bool{}
	for _, r := range w.Records {
		if !r.Off {
			names[r.lookupName()] = true
		}
	}
	var all []*node
	for name := range names {
		all = append(all, w.candidates(name, route, id)...)
	}
	slices.SortFunc(all, func(a, b *node) int { return w.compareStatic(a, b) })
	return all
}

// candidates is the lookup of 5.3. It ends at the first record that has no way on.
func (w *World) candidates(name lookupName, route string, id Identity) []*node {
	matches := w.matches(name, route, id)
	var found []*node
	var before []*Record
	for i, r := range matches {
		if !r.Disable {
			found = append(found, &node{record: r, name: name, rank: i, before: slices.Clone(before), parents: parents(matches[i:])})
		}
		if r.Condition == "" || !r.Next {
			break
		}
		before = append(before, r)
	}
	return found
}

// matches lists all records of a name that are bound to nothing but the route, its service and the identity, in the order of the lookup.
func (w *World) matches(name lookupName, route string, id Identity) []*Record {
	var found []*Record
	for _, level := range levels {
		for _, group := range w.groupsFor(level, id) {
			for _, r := range w.Records {
				if !r.Off && r.lookupName() == name && w.fits(r, level, route, group, id) {
					found = append(found, r)
				}
			}
		}
	}
	return found
}

// groupsFor is what to try at a level: the groups of the identity one after the other, or once without any.
func (w *World) groupsFor(level string, id Identity) []string {
	if strings.Contains(level, "g") {
		return w.groups(id)
	}
	return []string{""}
}

// fits says whether a record stands exactly at a level, for a request.
func (w *World) fits(r *Record, level, route, group string, id Identity) bool {
	is := func(letter, bound, known string) bool {
		if !strings.Contains(level, letter) {
			return bound == ""
		}
		return known != "" && bound == known
	}
	return is("c", r.Consumer, id.Consumer) && is("g", r.Group, group) && is("r", r.Route, route) && is("s", r.Service, w.Routes[route])
}

// groups lists the groups of an identity in the order of 5.6: larger priority, then name.
func (w *World) groups(id Identity) []string {
	groups := id.Groups
	if groups == nil {
		groups = w.Consumers[id.Consumer]
	}
	groups = slices.Clone(groups)
	slices.SortFunc(groups, func(a, b string) int {
		if w.Groups[a] != w.Groups[b] {
			return w.Groups[b] - w.Groups[a]
		}
		return strings.Compare(a, b)
	})
	return slices.Compact(groups)
}

// parents lists whom the first record of a lookup inherits from. A record that switches the plugin off ends the lookup, so nothing is
// inherited from it or from beyond it.
func parents(matches []*Record) []*Record {
	var chain []*Record
	for i := 0; matches[i].Inherit && i+1 < len(matches) && !matches[i+1].Disable; i++ {
		chain = append(chain, matches[i+1])
	}
	return chain
}

// config merges the configuration of a node over those that it inherits from.
func (n *node) config() map[string]any {
	merged := map[string]any{}
	for _, r := range slices.Backward(n.parents) {
		merged = merge(merged, r.Config)
	}
	return merge(merged, n.record.Config)
}

// merge puts over on top of under. Objects are merged, everything else is replaced, also by null.
func merge(under, over map[string]any) map[string]any {
	merged := map[string]any{}
	for k, v := range under {
		merged[k] = v
	}
	for k, v := range over {
		below, isObject := merged[k].(map[string]any)
		above, isObjectToo := v.(map[string]any)
		if isObject && isObjectToo {
			merged[k] = merge(below, above)
		} else {
			merged[k] = v
		}
	}
	return merged
}
