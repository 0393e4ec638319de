package config

import (
	"slices"
	"strings"

	"github.com/outrigger-gateway/outrigger/proto/nearest"
)

// What only decK writes: _info, _workspace, _konnect and _plugin_configs.

// deckKinds are the entities that _info.defaults may speak of, with the words by which they are read.
var deckKinds = map[string]string{"service": "a service", "route": "a route", "upstream": "an upstream", "target": "a target"}

// deck reads the keys of decK, before the entities that they are about.
func (d *document) deck(o *object) {
	if v := o.has("_info"); v != nil {
		d.info(v, o.at.key("_info"))
	}
	if v := o.has("_workspace"); v != nil && v.text != "default" {
		d.fail(o.at.key("_workspace"), v, Error{
			Code: CodeUnsupported, Found: v.describe(), Expected: "default, the only workspace", Fix: "remove it",
		})
	}
	if v := o.has("_konnect"); v != nil {
		d.fail(o.at.key("_konnect"), v, Error{
			Code: CodeUnsupported, Found: "a document for a control plane of Konnect", Expected: "one for a gateway", Fix: "remove _konnect",
		})
	}
	if v := o.has("_plugin_configs"); v != nil {
		d.namedConfigs(v, o.at.key("_plugin_configs"))
	}
}

// info reads _info.
func (d *document) info(v *node, at *path) {
	o := d.object(v, at, "_info")
	if o == nil {
		return
	}
	d.selectTags = o.texts("select_tags", true, tag)
	d.hashed = o.boolean("skip_hash_for_basic_auth", false) || d.hashed
	o.boolean("include_plugin_definitions", false)
	if o.boolean("consumer_group_policy_overrides", false) {
		d.fail(at.key("consumer_group_policy_overrides"), v.get("consumer_group_policy_overrides"), Error{
			Code: CodeUnsupported, Found: "overrides, in which a group changes the settings of a plugin that is configured elsewhere", Expected: "plugins inside their consumer group",
			Fix: "remove it, and write a whole configuration for the group",
		})
	}
	if tags := o.has("default_lookup_tags"); tags != nil {
		d.lookupTags(tags, at.key("default_lookup_tags"))
	}
	if defaults := o.has("defaults"); defaults != nil {
		d.entityDefaults(defaults, at.key("defaults"))
	}
	o.done()
}

// lookupTags reads which entities of a gateway decK looks up that the document only names. Here the document is all there is: it must hold them, so
// the tags have nothing to choose from.
func (d *document) lookupTags(v *node, at *path) {
	o := d.object(v, at, "default_lookup_tags")
	if o == nil {
		return
	}
	for _, key := range []string{"consumers", "consumer_groups", "routes", "services", "partials"} {
		o.texts(key, true, tag)
	}
	o.done()
}

// entityDefaults reads what entities have that do not say otherwise.
func (d *document) entityDefaults(v *node, at *path) {
	o := d.object(v, at, "defaults")
	if o == nil {
		return
	}
	d.defaults = map[string]*node{}
	for kind, what := range deckKinds {
		n := o.has(kind)
		if n == nil {
			continue
		}
		if n.kind != kindMapping {
			d.wrongType(at.key(kind), n, "a mapping, the defaults of each "+kind)
			continue
		}
		d.defaults[what] = n
		d.share(n, at.key(kind))
	}
	o.done()
}

// checkDefaults reports defaults that no entity of their kind has a field for. Kinds without an entity are not looked at: nothing takes the defaults.
func (d *document) checkDefaults() {
	for what, n := range d.defaults {
		asked := d.fields[what]
		if len(asked) == 0 {
			continue
		}
		for i := range n.pairs {
			p := &n.pairs[i]
			if p.key == "_comment" || p.key == "_ignore" || slices.Contains(asked, p.key) {
				continue
			}
			d.fail(nil, p.value, Error{
				Code: CodeUnknownKey, Found: "a default for " + quote(p.key), Expected: "the name of a field of " + what, Nearest: nearest.Name(p.key, asked),
			})
		}
	}
}

// namedConfigs reads the fragments of configurations that records name with _config.
func (d *document) namedConfigs(v *node, at *path) {
	if v.kind != kindMapping {
		d.wrongType(at, v, "a mapping of names to configurations of plugins")
		return
	}
	d.configs = make(map[string]*node, len(v.pairs))
	for i := range v.pairs {
		p := &v.pairs[i]
		if p.value.kind != kindMapping && p.value.kind != kindNull && !(p.value.kind == kindList && len(p.value.items) == 0) {
			d.wrongType(at.key(p.key), p.value, "a mapping, a part of configurations")
			continue
		}
		d.configs[p.key] = p.value
	}
}

// ownConfig is the configuration that a record has, with the fields of the fragment that it names below its own. As in decK the fields of the first
// level count: one that the record has is its own altogether.
func (d *document) ownConfig(o *object) *node {
	own := o.has("config")
	name := o.text("_config")
	if name == "" {
		return own
	}
	shared, known := d.configs[name]
	if !known {
		names := make([]string, 0, len(d.configs))
		for n := range d.configs {
			names = append(names, n)
		}
		slices.Sort(names)
		e := Error{Code: CodeUnknownReference, Found: quote(name), Expected: "a name of _plugin_configs", Nearest: nearest.Name(name, names)}
		if len(names) == 0 {
			e.Expected += ", which the document does not have"
		} else if e.Nearest == "" {
			e.Expected += ": " + strings.Join(names, ", ")
		}
		d.fail(o.at.key("_config"), o.n.get("_config"), e)
		return own
	}
	switch {
	case shared.kind == kindNull:
		return own
	case own == nil || own.kind == kindList && len(own.items) == 0:
		return shared
	case own.kind != kindMapping || shared.kind != kindMapping:
		return own
	}
	merged := *own
	merged.pairs = slices.Clone(own.pairs)
	for _, p := range shared.pairs {
		if own.get(p.key) == nil {
			merged.pairs = append(merged.pairs, p)
		}
	}
	return &merged
}
