package config

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
)

// What a plugin record says about when and where it runs.

// partialUse is a partial that a plugin record names.
type partialUse struct {
	ref  *reference
	path []string // below config
	at   *path
	n    *node
}

// placement reads the fields of a record that decide whether the plugin runs, and when.
func (d *document) placement(o *object, r *pluginRecord) {
	p := r.e
	p.Ordering = d.ordering(o, p)
	p.Mode = o.choice("mode", entity.ModeEnable, entity.ModeEnable, entity.ModeDisable)
	p.Inherit = o.boolean("inherit", false)
	p.Stack = o.boolean("stack", false)
	if o.has("priority") != nil {
		n := o.integer("priority", 0, -1<<31, 1<<31-1)
		p.Priority = &n
	}
	p.Condition = o.text("condition", conditionText)
	p.OnFalse = o.choice("on_false", entity.OnFalseSkip, entity.OnFalseSkip, entity.OnFalseNext)
	o.list("partials", func(n *node, at *path) { d.partialUse(n, at, r) })

	if p.Stack && o.lacks("instance_name") {
		d.fail(o.at, o.n, Error{
			Code: CodeMissing, Found: `no "instance_name" on a record with stack: true`, Expected: "the name of the instance, which tells it from the others",
		})
	}
	if on := o.n.get("on_false"); p.Condition == "" && on != nil && on.kind != kindNull && o.lacks("condition") {
		d.fail(o.at.key("on_false"), on, Error{Code: CodeConflict, Found: `"on_false" without a condition`, Expected: "a condition, or no on_false"})
	}
	if p.Disables() {
		for _, key := range []string{"config", "_config", "inherit", "ordering", "partials"} {
			if v := o.n.get(key); !v.empty() {
				d.fail(o.at.key(key), v, Error{
					Code: CodeConflict, Found: quote(key) + " on a record with mode: disable", Expected: "a record without it: the plugin does not run", Fix: "remove it",
				})
			}
		}
	}
}

// empty reports whether a value says nothing: absent, null, false, or without content.
func (n *node) empty() bool {
	if n == nil || n.kind == kindNull {
		return true
	}
	if b, ok := n.boolean(); ok && !b {
		return true
	}
	return (n.kind == kindList || n.kind == kindMapping) && len(n.items)+len(n.pairs) == 0
}

// conditionText is the rule of conditions before they are compiled.
func conditionText(s string) *problem {
	if n := utf8.RuneCountInString(s); n > 1024 {
		return &problem{expected: "a condition of at most 1024 characters"}
	}
	return nil
}

// ordering reads the rules of a record.
func (d *document) ordering(o *object, p *entity.Plugin) entity.Ordering {
	v := o.has("ordering")
	if v == nil || v.kind == kindList && len(v.items) == 0 {
		return entity.Ordering{}
	}
	sides := d.object(v, o.at.key("ordering"), "the ordering of a plugin")
	if sides == nil {
		return entity.Ordering{}
	}
	rules := entity.Ordering{Before: d.rules(sides, "before", o, p), After: d.rules(sides, "after", o, p)}
	sides.done()
	return rules
}

// rules reads one side of ordering: the names by phase.
func (d *document) rules(sides *object, side string, record *object, p *entity.Plugin) map[string][]string {
	v := sides.has(side)
	if v == nil || v.kind == kindList && len(v.items) == 0 {
		return nil
	}
	at := sides.at.key(side)
	phases := d.object(v, at, "a mapping from phases to names of plugins")
	if phases == nil {
		return nil
	}
	stacked := false
	if s := record.n.get("stack"); s != nil {
		stacked, _ = s.boolean()
	}
	var rules map[string][]string
	for _, phase := range entity.OrderingPhases {
		names := phases.texts(phase, true, printable, func(name string) *problem {
			if name == p.Name && !stacked {
				return &problem{expected: "the name of another plugin", code: CodeConflict}
			}
			return nil
		})
		if len(names) > 0 {
			if rules == nil {
				rules = map[string][]string{}
			}
			rules[phase] = names
		}
	}
	if c := phases.n.get("certificate"); c != nil {
		phases.later = append(phases.later, "certificate")
		d.fail(at.key("certificate"), c, Error{
			Code: CodeUnsupported, Found: `rules for the phase "certificate"`, Expected: "one of " + strings.Join(entity.OrderingPhases, ", "), Fix: "remove it",
		})
	}
	phases.done()
	return rules
}

// partialUse reads one item of partials: {id or name, path}.
func (d *document) partialUse(n *node, at *path, r *pluginRecord) {
	o := d.object(n, at, "the use of a partial")
	if o == nil {
		return
	}
	use := partialUse{ref: &reference{id: strings.ToLower(o.text("id", uuidText)), name: o.text("name"), at: at, n: n}, at: at, n: n}
	place := o.text("path")
	o.done()
	if use.ref.id == "" && use.ref.name == "" {
		if o.lacks("id") && o.lacks("name") {
			o.missing("name", "the name or id of a partial")
		}
		return
	}
	// Kong writes config.redis; what is meant is always inside the configuration.
	if place = strings.TrimPrefix(strings.TrimPrefix(place, "config"), "."); place != "" {
		use.path = strings.Split(place, ".")
	}
	if slices.Contains(use.path, "") {
		d.fail(at.key("path"), o.n.get("path"), Error{Code: CodeWrongValue, Found: o.n.get("path").describe(), Expected: "a path such as config.redis"})
		return
	}
	r.partials = append(r.partials, use)
}

// partial reads a partial.
func (d *document) partial(n *node, at *path) {
	o := d.object(n, at, "a partial")
	if o == nil {
		return
	}
	p := &entity.Partial{Pos: d.pos(n), Config: map[string]any{}}
	d.partials = append(d.partials, &record[entity.Partial]{e: p, at: at, n: n})
	p.ID, p.Tags, p.CreatedAt, p.UpdatedAt = o.common()
	p.Name = o.text("name", entityName)
	p.Type = o.text("type", printable)
	switch v := o.has("config"); {
	case v == nil || v.kind == kindList && len(v.items) == 0:
	case v.kind == kindMapping:
		p.Config = v.value().(map[string]any)
	default:
		d.fail(at.key("config"), v, Error{Code: CodeWrongType, Found: v.kind.String(), Expected: "a mapping, a part of configurations"})
	}
	o.done()
}

// clonedPlugin reads a clone of a plugin. Whether its plugin exists is known when the plugins are.
func (d *document) clonedPlugin(n *node, at *path) {
	o := d.object(n, at, "a cloned plugin")
	if o == nil {
		return
	}
	c := &entity.ClonedPlugin{Pos: d.pos(n), Path: at.String()}
	c.FieldAt = func(name string) entity.Pos { return placeOf(d.file, n, []string{name}, false) }
	o.common()
	c.Name, c.Ref = o.text("name", entityName), o.text("ref", printable)
	for _, key := range []string{"name", "ref"} {
		if o.lacks(key) {
			o.missing(key, map[string]string{"name": "the name of the clone", "ref": "the plugin whose code it is"}[key])
		}
	}
	if o.has("priority") != nil {
		n := o.integer("priority", 0, -1<<31, 1<<31-1)
		c.Priority = &n
	}
	o.done()
	for _, first := range d.clones {
		if first.Name == c.Name && c.Name != "" {
			d.notUnique(at.key("name"), o.n.get("name"), "the name "+quote(c.Name), "one that no other cloned plugin has", &node{line: int32(first.Pos.Line)})
			return
		}
	}
	d.clones = append(d.clones, c)
}

// resolvePartials puts the configurations of partials below those of the records that use them.
func (d *document) resolvePartials(ids *ids) {
	partials := newIndex[entity.Partial](d, "partial")
	unique := map[string]map[string]*record[entity.Partial]{}
	nodes := map[*entity.Partial]*node{}
	for _, r := range d.partials {
		ids.partial(r.e)
		partials.add(r, r.e.ID, unique, "name")
		nodes[r.e] = r.n.get("config")
	}
	for _, r := range d.plugins {
		merged := r.config
		for _, use := range r.partials {
			p := partials.find(use.ref)
			if p == nil {
				continue
			}
			r.e.Partials = append(r.e.Partials, entity.PartialUse{Partial: p, Path: strings.Join(use.path, ".")})
			if part := nodes[p]; !part.empty() {
				merged = under(merged, wrapped(part, use))
			}
		}
		if len(r.e.Partials) > 0 && merged != nil && merged.kind == kindMapping {
			d.setConfig(r.e, merged)
		}
	}
}

// wrapped puts a partial at its path.
func wrapped(part *node, use partialUse) *node {
	for _, key := range slices.Backward(use.path) {
		part = &node{kind: kindMapping, line: use.n.line, col: use.n.col, size: part.size + 1, pairs: []pair{{key: key, at: use.n, value: part}}}
	}
	return part
}

// under merges a mapping below another one, whose values win.
func under(over, below *node) *node {
	if over == nil || over.kind != kindMapping || below.kind != kindMapping {
		if over.empty() && (over == nil || over.kind != kindBool) {
			return below
		}
		return over
	}
	merged := *over
	merged.pairs = slices.Clone(over.pairs)
	for _, p := range below.pairs {
		i := slices.IndexFunc(merged.pairs, func(have pair) bool { return have.key == p.key })
		switch {
		case i < 0:
			merged.pairs = append(merged.pairs, p)
		case merged.pairs[i].value.kind == kindMapping:
			merged.pairs[i].value = under(merged.pairs[i].value, p.value)
		}
	}
	return &merged
}
