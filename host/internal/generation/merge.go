package generation

import (
	"maps"
	"slices"
	"strings"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
	"github.com/outrigger-gateway/outrigger/host/internal/plan"
)

// Merge replaces the records that inherit by the configurations that are merged from them, one for each chain of records that some request
// can meet. It comes before the configurations are checked: a record alone need not be complete. The set's records are changed.
func (b *Builder) Merge(set *entity.Set) {
	chains := map[*entity.Plugin][][]*entity.Plugin{}
	for _, c := range plan.Chains(b.Plan, set.Plugins, set.Routes, set.Consumers) {
		chains[c[0]] = append(chains[c[0]], c)
	}
	if len(chains) == 0 {
		return
	}
	var all []*entity.Plugin
	for _, r := range set.Plugins {
		if len(chains[r]) == 0 {
			all = append(all, r)
		}
		for _, c := range chains[r] {
			if len(c) == 1 {
				all = append(all, r)
			} else {
				all = append(all, merge(c))
			}
		}
	}
	set.Plugins = all
}

// merge puts the configuration of each record over those of the records that follow. Mappings are merged, everything else is replaced, also
// by null.
func merge(chain []*entity.Plugin) *entity.Plugin {
	own := *chain[0]
	own.Merged, own.Hidden = chain, nil
	own.Config, own.Origins = map[string]any{}, map[string]*entity.Plugin{}
	for _, r := range slices.Backward(chain) {
		overlay(own.Config, r.Config, "", r, own.Origins)
		own.Hidden = append(own.Hidden, r.Hidden...)
	}
	// The place of a value is where the record that it came from has it.
	from := func(path []string) *entity.Plugin {
		for n := len(path); n > 0; n-- {
			if r := own.Origins[strings.Join(path[:n], ".")]; r != nil {
				return r
			}
		}
		return chain[0]
	}
	at := func(find func(*entity.Plugin) func([]string) entity.Pos) func([]string) entity.Pos {
		return func(path []string) entity.Pos {
			r := from(path)
			if f := find(r); f != nil {
				return f(path)
			}
			return r.Pos
		}
	}
	own.At = at(func(r *entity.Plugin) func([]string) entity.Pos { return r.At })
	own.KeyAt = at(func(r *entity.Plugin) func([]string) entity.Pos { return r.KeyAt })
	return &own
}

// overlay puts the values of a record's configuration over those that are there, and notes whose they are.
func overlay(under, over map[string]any, path string, r *entity.Plugin, origins map[string]*entity.Plugin) {
	for k, v := range over {
		at := strings.TrimPrefix(path+"."+k, ".")
		below, merges := under[k].(map[string]any)
		above, mapping := v.(map[string]any)
		if !mapping {
			forget(origins, at)
			under[k], origins[at] = entity.CloneJSON(v), r
			continue
		}
		if !merges {
			forget(origins, at)
			below = map[string]any{}
			under[k] = below
			if len(above) == 0 {
				origins[at] = r
			}
		}
		overlay(below, above, at, r, origins)
	}
}

// forget drops what is known of a value that is replaced.
func forget(origins map[string]*entity.Plugin, at string) {
	maps.DeleteFunc(origins, func(k string, _ *entity.Plugin) bool { return k == at || strings.HasPrefix(k, at+".") })
}
