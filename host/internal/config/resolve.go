package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
	"github.com/outrigger-gateway/outrigger/proto/nearest"
)

// ResolvePlugins checks the plugin records of a set against the plugins that are loaded, and fills the defaults of their schemas
// into the configurations. References in fields that may hold them are led to their secrets, which the records have as Resolved. It may be
// called again for the same set. A nil vault leaves references as they are. The error is of type Errors.
func ResolvePlugins(set *entity.Set, manifests []entity.Manifest, vault Vault) error {
	r := &resolver{vault: vault, plugins: make(map[string]*loaded, len(manifests)), all: manifests}
	for i := range manifests {
		r.load(&manifests[i])
	}
	for _, c := range set.ClonedPlugins {
		r.clone(c)
	}
	for _, p := range set.Plugins {
		r.record(p)
	}
	return r.errs.result()
}

// resolver checks records against manifests.
type resolver struct {
	vault   Vault
	plugins map[string]*loaded
	all     []entity.Manifest
	errs    Errors
}

// loaded is a plugin with its compiled schema; the schema is nil when it does not compile.
type loaded struct {
	*entity.Manifest
	schema *jsonschema.Schema
}

// load checks a manifest.
func (r *resolver) load(m *entity.Manifest) {
	fail := func(found, expected string) {
		place := fmt.Sprintf("plugin %q", m.Name)
		if m.Server != "" {
			place = m.Origin() + ": " + place
		}
		r.errs = append(r.errs, &Error{Path: place, Code: CodeManifest, Found: found, Expected: expected})
	}
	if m.Name == "" {
		fail("no name", "the name of the plugin")
		return
	}
	if first := r.plugins[m.Name]; first != nil {
		if m.Ref != "" {
			return // said where the clone is written
		}
		fail(fmt.Sprintf("the name %q again", m.Name), "a name that no other plugin has: it is that of a plugin of "+originOf(first.Manifest)+" too")
		return
	}
	p := &loaded{Manifest: m}
	r.plugins[m.Name] = p
	for _, phase := range m.Phases {
		if !slices.Contains(phaseNames, phase) {
			fail("phase "+quote(phase), "phases of "+strings.Join(phaseNames, ", "))
		}
	}
	if slices.Contains(m.Phases, "response") && (slices.Contains(m.Phases, "header_filter") || slices.Contains(m.Phases, "body_filter")) {
		fail("phases "+strings.Join(m.Phases, ", "), "either response, or header_filter and body_filter: response sees the whole answer, filters see it pass")
	}
	for _, need := range m.Needs {
		if need != "request_body" && need != "response_body" {
			fail("the need "+quote(need), "request_body or response_body")
		}
	}
	schema, err := compileSchema(m.Schema)
	if err != nil {
		fail("a configuration schema with a mistake: "+strings.Join(strings.Fields(err.Error()), " "), "JSON Schema 2020-12")
		return
	}
	p.schema = schema
}

func originOf(m *entity.Manifest) string {
	if m.Server == "" {
		return "the gateway itself"
	}
	return m.Origin()
}

// clone checks that a clone has a plugin, and a name of its own. A plugin that has its name without being the clone may stand in for one that is
// not known yet.
func (r *resolver) clone(c *entity.ClonedPlugin) {
	fail := func(field string, e Error) {
		pos := c.Pos
		if c.FieldAt != nil {
			pos = c.FieldAt(field)
		}
		e.File, e.Line, e.Col, e.Path = pos.File, pos.Line, pos.Col, c.Path+"."+field
		r.errs = append(r.errs, &e)
	}
	ref := r.plugins[c.Ref]
	if ref == nil {
		var names []string
		for _, m := range r.all {
			names = append(names, m.Name)
		}
		fail("ref", Error{Code: CodeUnknownPlugin, Found: quote(c.Ref), Expected: "a plugin that is loaded", Nearest: nearest.Name(c.Ref, names)})
		return
	}
	if taken := r.plugins[c.Name]; taken != nil && taken.Ref != c.Ref {
		fail("name", Error{Code: CodeNotUnique, Found: quote(c.Name) + ", the name of a plugin of " + originOf(taken.Manifest), Expected: "a name that no plugin has"})
	}
	if ref.Ref != "" {
		fail("ref", Error{Code: CodeConflict, Found: quote(c.Ref) + ", which is a clone itself", Expected: "a plugin with code of its own", Fix: "write " + quote(ref.Ref)})
	}
}

// record checks one plugin record.
func (r *resolver) record(p *entity.Plugin) {
	plugin := r.plugins[p.Name]
	if plugin == nil {
		r.unknown(p)
		return
	}
	r.scope(p, plugin)
	if p.Disables() {
		return
	}
	r.failMode(p, plugin)
	if plugin.schema != nil {
		r.config(p, plugin)
	}
}

// field fails at a field of the record.
func (r *resolver) field(p *entity.Plugin, name string, e Error) {
	pos := p.Pos
	if p.FieldAt != nil {
		pos = p.FieldAt(name)
	}
	e.File, e.Line, e.Col = pos.File, pos.Line, pos.Col
	e.Path = strings.TrimPrefix(p.Path+"."+name, ".")
	r.errs = append(r.errs, &e)
}

func (r *resolver) unknown(p *entity.Plugin) {
	var origins, names []string
	byOrigin := map[string][]string{}
	for _, m := range r.all {
		o := m.Origin()
		if byOrigin[o] == nil {
			origins = append(origins, o)
		}
		byOrigin[o] = append(byOrigin[o], m.Name)
		names = append(names, m.Name)
	}
	e := Error{Code: CodeUnknownPlugin, Found: quote(p.Name), Expected: "a plugin that is loaded", Nearest: nearest.Name(p.Name, names)}
	parts := make([]string, len(origins))
	for i, o := range origins {
		slices.Sort(byOrigin[o])
		parts[i] = o + ": " + strings.Join(byOrigin[o], ", ")
	}
	if len(parts) > 0 {
		e.Expected += " (" + strings.Join(parts, "; ") + ")"
	}
	if e.Nearest == "" {
		e.Fix = "add the plugin server that hosts it to plugin_servers, or remove the record"
	}
	r.field(p, "name", e)
}

// withoutConsumer lists built-in plugins that run before the consumer is known, or that make no sense for one.
var withoutConsumer = []string{
	"key-auth", "basic-auth", "jwt", "hmac-auth", "ldap-auth", "oauth2", "session", "acl", "cors", "bot-detection", "pre-function", "post-function",
}

func (r *resolver) scope(p *entity.Plugin, plugin *loaded) {
	if !plugin.Authenticates && !(plugin.Server == "" && slices.Contains(withoutConsumer, plugin.Code())) {
		return
	}
	why := "a record without it: the plugin cannot depend on the consumer"
	if p.Consumer != nil {
		r.field(p, "consumer", Error{Code: CodeConflict, Found: "a record of " + quote(p.Name) + " for a consumer", Expected: why})
	}
	if p.ConsumerGroup != nil {
		r.field(p, "consumer_group", Error{Code: CodeConflict, Found: "a record of " + quote(p.Name) + " for a consumer group", Expected: why})
	}
}

// failMode refuses a plugin that authenticates and lets everybody in when it fails.
func (r *resolver) failMode(p *entity.Plugin, plugin *loaded) {
	mode, from := p.FailMode, ""
	if mode == "" {
		mode, from = plugin.FailMode, ", which is that of "+cmp.Or(plugin.FailModeFrom, plugin.Origin())+","
	}
	if mode != "open" || !plugin.Authenticates || p.AllowFailOpen {
		return
	}
	r.field(p, "fail_mode", Error{
		Code: CodeConflict, Found: "fail_mode open" + from + " on " + quote(p.Name) + ", which authenticates", Expected: "fail_mode closed",
		Fix: "write fail_mode: closed, or allow_fail_open: true if requests may pass without authentication when the plugin fails",
	})
}

// config fills in defaults and checks the configuration against the schema.
func (r *resolver) config(p *entity.Plugin, plugin *loaded) {
	if p.Config == nil {
		p.Config = map[string]any{}
	}
	if err := fillDefaults(plugin.schema, p.Config); err != nil {
		r.field(p, "config", Error{Code: CodePluginConfig, Found: "a schema of which " + err.Error(), Expected: "a schema with finite defaults"})
		return
	}
	config, ok := r.secrets(p, plugin.schema)
	if !ok {
		return // the secret that is missing would be wrong in other ways too
	}
	err := plugin.schema.Validate(config)
	for err != nil && withoutNulls(err, config, p.Config) {
		err = plugin.schema.Validate(config)
	}
	if err == nil {
		return
	}
	r.errs = append(r.errs, schemaErrors(p, plugin.schema, err)...)
}
