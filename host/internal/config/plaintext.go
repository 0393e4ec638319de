package config

import (
	"maps"
	"regexp"
	"slices"
	"strconv"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
)

// ConfigText is a text in the configuration of a record.
type ConfigText struct {
	Plugin *entity.Plugin
	At     []string // place inside the configuration
}

// PlainSecrets finds secrets that are written down in the records of a set, in fields that may hold a reference to them. The set is one that
// ResolvePlugins has not seen: what a schema fills in was not written by anybody. Schemas that do not compile have none.
func PlainSecrets(set *entity.Set, manifests []entity.Manifest, vault Vault) []ConfigText {
	return textsWhere(set, manifests, func(schema *jsonschema.Schema, text string, at []string) bool {
		if text == "" || vault.IsReference(text) || !referenceable(schema, at) {
			return false
		}
		said, _ := marked(schema, at, func(s *jsonschema.Schema) bool { return s.WriteOnly })
		return said
	})
}

// UnreadReferences finds references to secrets in fields that may hold none: nobody leads them to the secret.
func UnreadReferences(set *entity.Set, manifests []entity.Manifest, vault Vault) []ConfigText {
	return textsWhere(set, manifests, func(schema *jsonschema.Schema, text string, at []string) bool {
		return vault.IsReference(text) && !referenceable(schema, at)
	})
}

// PartReferences finds references to secrets among other text, as in "Basic {vault://env/name}": only a whole text is one, as in Kong.
func PartReferences(set *entity.Set, manifests []entity.Manifest, vault Vault) []ConfigText {
	return textsWhere(set, manifests, func(_ *jsonschema.Schema, text string, _ []string) bool {
		return !vault.IsReference(text) && partReference.MatchString(text)
	})
}

var partReference = regexp.MustCompile(`\{vault://[^{}\s]+\}`)

// textsWhere finds the texts of which a rule says so.
func textsWhere(set *entity.Set, manifests []entity.Manifest, rule func(schema *jsonschema.Schema, text string, at []string) bool) []ConfigText {
	byName := map[string]*jsonschema.Schema{}
	for i := range manifests {
		if s, err := compileSchema(manifests[i].Schema); err == nil {
			byName[manifests[i].Name] = s
		}
	}
	var found []ConfigText
	for _, p := range set.Plugins {
		schema := byName[p.Name]
		if schema == nil {
			continue
		}
		eachText(p.Config, nil, func(text string, at []string) {
			if rule(schema, text, at) {
				found = append(found, ConfigText{p, slices.Clone(at)})
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
