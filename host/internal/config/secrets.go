package config

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
)

// Vault leads from a reference such as {vault://env/name} to a secret. Its errors show no secret.
type Vault interface {
	Get(reference string) (string, error)
}

// secrets gathers what must not be shown of a configuration, and replaces the references in fields that may hold them by the secrets. A
// reference in another field is text like any other.
func (r *resolver) secrets(p *entity.Plugin, schema *jsonschema.Schema) (config map[string]any, ok bool) {
	w := &secretWalk{resolver: r, plugin: p, schema: schema}
	config, _ = w.value(p.Config, nil).(map[string]any)
	p.Secrets, p.Resolved = w.found, nil
	if w.resolved {
		p.Resolved = config
	}
	return config, !w.failed
}

// secretWalk goes through one configuration.
type secretWalk struct {
	*resolver
	plugin   *entity.Plugin
	schema   *jsonschema.Schema
	found    []string
	resolved bool // a reference was replaced
	failed   bool
}

// value is v with its references replaced. Mappings and lists are copied only when something inside them was.
func (w *secretWalk) value(v any, at []string) any {
	switch v := v.(type) {
	case map[string]any:
		out := v
		for _, name := range slices.Sorted(maps.Keys(v)) {
			before := w.resolved
			w.resolved = false
			child := w.value(v[name], append(slices.Clone(at), name))
			if w.resolved {
				if &out == &v || len(out) == 0 || isSame(out, v) {
					out = maps.Clone(v)
				}
				out[name] = child
			}
			w.resolved = w.resolved || before
		}
		return out
	case []any:
		out := v
		for i := range v {
			before := w.resolved
			w.resolved = false
			child := w.value(v[i], append(slices.Clone(at), strconv.Itoa(i)))
			if w.resolved {
				if &out[0] == &v[0] {
					out = slices.Clone(v)
				}
				out[i] = child
			}
			w.resolved = w.resolved || before
		}
		return out
	case string:
		return w.text(v, at)
	}
	return v
}
