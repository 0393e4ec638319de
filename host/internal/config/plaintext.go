package config

import (
	"maps"
	"slices"
	"strconv"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
)

// PlainSecret is a secret that stands in a configuration as it is, in a field that may hold a reference to it.
type PlainSecret struct {
	Plugin *entity.Plugin
	At     []string // place inside the configuration
}

// PlainSecrets finds secrets that are written down in the records of a set. The set is one that ResolvePlugins has not seen: what a schema fills
// in was not written by anybody. Schemas that do not compile have none.
func PlainSecrets(set *entity.Set, manifests []entity.Manifest, vault Vault) []PlainSecret {
	byName := map[string]*jsonschema.Schema{}
	for i := range manifests {
		if s, err := compileSchema(manifests[i].Schema); err == nil {
			byName[manifests[i].Name] = s
		}
	}
	var found []PlainSecret
	for _, p := range set.Plugins {
		schema := byName[p.Name]
		if schema == nil {
			continue
		}
		eachText(p.Config, nil, func(text string, at []string) {
			if text == "" || vault.IsReference(text) || !referenceable(schema, at) {
				return
			}
			if said, _ := marked(schema, at, func(s *jsonschema.Schema) bool { return s.WriteOnly }); said {
				found = append(found, PlainSecret{p, slices.Clone(at)})
			}
		})
	}
	return found
}

// eachText calls f for every text of a configuration, in the order of the names.
func eachText(v any, at []string, f func(text string, at []string)) {
	switch v := v.(type) {
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			eachText(v[name], append(at, name), f)
		}
	case []any:
		for i := range v {
			eachText(v[i], append(at, strconv.Itoa(i)), f)
		}
	case string:
		f(v, at)
	}
}
