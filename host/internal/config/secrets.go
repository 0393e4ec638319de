package config

import (
	"slices"
	"strconv"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
)

// Vault leads from a reference to a secret.
type Vault interface {
	// IsReference reports whether a text is meant as a reference, such as {vault://env/name}.
	IsReference(text string) bool
	// Get returns the secret. Its errors show no secret.
	Get(reference string) (string, error)
	// OnFailure says what becomes of a record whose reference leads to no secret: one of the constants of package entity.
	OnFailure(reference string) string
}

// secrets replaces the references in fields that may hold them by the secrets, and gathers what no message may show. A reference in another
// field is text like any other. The result is a copy; ok is false when a reference leads nowhere: errors are recorded then, or the record is
// Unresolved.
func (r *resolver) secrets(p *entity.Plugin, schema *jsonschema.Schema) (config map[string]any, ok bool) {
	w := &secretWalk{resolver: r, plugin: p, schema: schema}
	p.References, p.Missing, p.Emptied, p.Unresolved = nil, nil, nil, ""
	before := len(r.errs)
	config, _ = w.value(p.Config, nil).(map[string]any)
	for _, text := range p.Hidden {
		if !slices.Contains(w.found, text) {
			w.found = append(w.found, text)
		}
	}
	p.Secrets, p.SchemaKnown, p.Resolved = w.found, declares(schema, p.Config), nil
	if w.replaced {
		p.Resolved = config
	}
	return config, len(r.errs) == before && p.Unresolved == ""
}

// declares reports whether a schema knows every field of a configuration by its name. One that lets everything in says nothing about secrets.
func declares(schema *jsonschema.Schema, config map[string]any) bool {
	known := properties(schema, nil)
	for name := range config {
		if !slices.Contains(known, name) {
			return false
		}
	}
	return true
}

// secretWalk goes through one configuration.
type secretWalk struct {
	*resolver
	plugin   *entity.Plugin
	schema   *jsonschema.Schema
	found    []string
	replaced bool
}

func (w *secretWalk) value(v any, at []string) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for name := range v {
			out[name] = w.value(v[name], append(slices.Clone(at), name))
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = w.value(v[i], append(slices.Clone(at), strconv.Itoa(i)))
		}
		return out
	case string:
		return w.text(v, at)
	}
	return v
}

func (w *secretWalk) text(text string, at []string) string {
	if w.vault != nil && w.vault.IsReference(text) && referenceable(w.schema, at) {
		secret, err := w.vault.Get(text)
		if err != nil {
			return w.failed(text, at, err)
		}
		if w.plugin.References == nil {
			w.plugin.References = map[string]string{}
		}
		w.plugin.References[text] = secret
		text, w.replaced = secret, true
	} else if said, _ := marked(w.schema, at, func(s *jsonschema.Schema) bool { return s.WriteOnly }); !said {
		return text
	}
	if text != "" && !slices.Contains(w.found, text) {
		w.found = append(w.found, text)
	}
	return text
}

// failed does what the vault of a reference says when there is no secret. The result stands in the place of it.
func (w *secretWalk) failed(reference string, at []string, err error) string {
	e := Error{Found: quote(reference), Expected: "a reference that leads to a secret: " + err.Error()}
	t := &translator{plugin: w.plugin, schema: w.schema}
	t.add(at, false, e)
	switch w.vault.OnFailure(reference) {
	case entity.OnFailureEmpty:
		w.plugin.Emptied = append(w.plugin.Emptied, t.errs[0].Error())
		w.miss(reference)
		w.replaced = true
		return ""
	case entity.OnFailureRequest:
		if w.plugin.Unresolved == "" {
			w.plugin.Unresolved = t.errs[0].Error()
		}
		w.miss(reference)
		return reference
	}
	w.errs = append(w.errs, t.errs...)
	return reference
}

func (w *secretWalk) miss(reference string) {
	if w.plugin.Missing == nil {
		w.plugin.Missing = map[string]bool{}
	}
	w.plugin.Missing[reference] = true
}
