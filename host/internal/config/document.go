package config

import (
	"slices"
	"strings"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
)

// document is a declarative document while it is being read: flat lists of records whose references are not resolved yet.
type document struct {
	reader
	oldPaths bool             // format before 3.0: regular expressions have no "~"
	configs  map[string]*node // _plugin_configs
	hashed   bool             // passwords are stored as they are written: they are hashed already
	guesses  int              // nearest names that were looked for

	services    []*record[entity.Service]
	routes      []*routeRecord
	consumers   []*record[entity.Consumer]
	groups      []*record[entity.ConsumerGroup]
	keys        []*keyRecord
	basics      []*basicRecord
	acls        []*aclRecord
	upstreams   []*record[entity.Upstream]
	targets     []*targetRecord
	plugins     []*pluginRecord
	memberships []membership
	partials    []*record[entity.Partial]
	clones      []*entity.ClonedPlugin

	vaults       []*record[entity.Vault]
	certificates []*record[entity.Certificate]
	snis         []*sniRecord
	authorities  []*record[entity.CACertificate]
	keySets      []*record[entity.KeySet]
	cryptoKeys   []*cryptoKeyRecord
	hmacs        []*hmacRecord
	jwts         []*jwtRecord
	oauth2s      []*oauth2Record
}

// record is an entity with its place in the document.
type record[T any] struct {
	e  *T
	at *path
	n  *node
}

type routeRecord struct {
	record[entity.Route]
	service *reference
}

type keyRecord struct {
	record[entity.KeyAuthCredential]
	consumer *reference
}

type targetRecord struct {
	record[entity.Target]
	parent   *record[entity.Upstream] // nil: upstream names it
	upstream *reference
}

type pluginRecord struct {
	record[entity.Plugin]
	service, route, consumer, group *reference
	config                          *node // nil: none
	partials                        []partialUse
}

// membership puts a consumer into a group; each side is known or a reference.
type membership struct {
	consumer    *record[entity.Consumer]
	group       *record[entity.ConsumerGroup]
	consumerRef *reference
	groupRef    *reference
	at          *path
	n           *node
}

// kongCollections are the entities of Kong that a document may hold and that do not work here yet.
var kongCollections = []string{
	"acme_storage", "asymmetric_keys", "clustering_data_planes", "custom_entities", "degraphql_routes", "consumer_group_plugins", "custom_plugins",
	"filter_chains", "files", "graphql_ratelimiting_advanced_cost_decoration", "keyauth_enc_credentials", "licenses", "mtls_auth_credentials",
	"oauth2_tokens", "parameters", "plugins_partials", "rbac_endpoint_permissions", "rbac_roles", "rbac_users", "service_packages", "sessions", "tags",
	"workspaces",
}

// consumerCredentials are the credentials that may stand inside a consumer and do not work here yet.
var consumerCredentials = []string{"mtls_auth_credentials", "keyauth_enc_credentials"}

// read takes the document apart.
func (d *document) read(root *node) {
	if root.kind == kindNull {
		return
	}
	o := d.object(root, nil, "a declarative configuration")
	if o == nil {
		return
	}
	if len(root.pairs) == 0 {
		return
	}
	d.format(o)
	d.hashed = !o.boolean("_transform", true)
	d.deck(o)
	o.list("services", func(n *node, at *path) { d.service(n, at) })
	o.list("routes", func(n *node, at *path) { d.route(n, at, nil) })
	o.list("consumers", d.consumer)
	o.list("consumer_groups", d.consumerGroup)
	o.list("consumer_group_consumers", d.membership)
	o.list("keyauth_credentials", func(n *node, at *path) { d.keyAuth(n, at, nil) })
	o.list("basicauth_credentials", func(n *node, at *path) { d.basicAuth(n, at, nil) })
	o.list("acls", func(n *node, at *path) { d.acl(n, at, nil) })
	o.list("hmacauth_credentials", func(n *node, at *path) { d.hmacAuth(n, at, nil) })
	o.list("jwt_secrets", func(n *node, at *path) { d.jwtSecret(n, at, nil) })
	o.list("oauth2_credentials", func(n *node, at *path) { d.oauth2(n, at, nil) })
	o.list("vaults", d.vault)
	o.list("certificates", d.certificate)
	o.list("snis", func(n *node, at *path) { d.sni(n, at, nil) })
	o.list("ca_certificates", d.caCertificate)
	o.list("key_sets", d.keySet)
	o.list("keys", func(n *node, at *path) { d.cryptoKey(n, at, nil) })
	o.list("upstreams", d.upstream)
	o.list("targets", func(n *node, at *path) { d.target(n, at, nil) })
	o.list("partials", d.partial)
	o.list("cloned_plugins", d.clonedPlugin)
	o.list("plugins", func(n *node, at *path) { d.plugin(n, at, parents{}) })
	d.checkDefaults()
	for _, p := range root.pairs {
		if slices.Contains(kongCollections, p.key) {
			o.later = append(o.later, p.key)
			if len(p.value.items)+len(p.value.pairs) > 0 {
				d.fail(o.at.key(p.key), p.at, Error{
					Code: CodeUnsupported, Found: quote(p.key) + ", which is an entity of Kong that is not supported yet",
					Expected: "a collection of docs/guides/declarative.md", Fix: "remove it",
				})
			}
		}
	}
	o.done()
}

// format reads _format_version.
func (d *document) format(o *object) {
	const key = "_format_version"
	versions := []string{"3.0", "2.1", "1.1"}
	v := o.has(key)
	if v == nil {
		o.missing(key, `the format of the file, one of "3.0", "2.1", "1.1"`)
		return
	}
	if v.kind == kindList || v.kind == kindMapping || !slices.Contains(versions, v.text) {
		e := Error{Code: CodeWrongValue, Found: v.describe(), Expected: `one of "3.0", "2.1", "1.1"`}
		if v.text == "3" || strings.HasPrefix(v.text, "3.") {
			e.Fix = `write "3.0" with the quotes`
		}
		d.fail(o.at.key(key), v, e)
		return
	}
	d.oldPaths = v.text != "3.0"
}

// common reads what entities share.
func (o *object) common() (id string, tags []string, created, updated int64) {
	id = strings.ToLower(o.text("id", uuidText))
	tags = o.texts("tags", true, tag)
	for _, t := range o.selectTags {
		if !slices.Contains(tags, t) {
			tags = append(tags, t)
		}
	}
	created = o.seconds("created_at")
	updated = o.seconds("updated_at")
	return id, tags, created, updated
}

// seconds reads a time in seconds since the epoch, with or without a fraction.
func (o *object) seconds(key string) int64 {
	v := o.has(key)
	if v == nil {
		return 0
	}
	switch f := v.value().(type) {
	case int64:
		if f >= 0 {
			return f
		}
	case float64:
		if f >= 0 && f < 1<<53 {
			return int64(f)
		}
	}
	o.fail(o.at.key(key), v, Error{Code: CodeWrongValue, Found: v.describe(), Expected: "seconds since 1970, a number"})
	return 0
}

// set is the finished configuration.
func (d *document) set() *entity.Set {
	s := &entity.Set{}
	for _, r := range d.services {
		s.Services = append(s.Services, r.e)
	}
	for _, r := range d.routes {
		s.Routes = append(s.Routes, r.e)
	}
	for _, r := range d.consumers {
		s.Consumers = append(s.Consumers, r.e)
	}
	for _, r := range d.groups {
		s.ConsumerGroups = append(s.ConsumerGroups, r.e)
	}
	for _, r := range d.keys {
		s.KeyAuths = append(s.KeyAuths, r.e)
	}
	for _, r := range d.basics {
		s.BasicAuths = append(s.BasicAuths, r.e)
	}
	for _, r := range d.acls {
		s.ACLs = append(s.ACLs, r.e)
	}
	for _, r := range d.upstreams {
		s.Upstreams = append(s.Upstreams, r.e)
	}
	for _, r := range d.plugins {
		s.Plugins = append(s.Plugins, r.e)
	}
	for _, r := range d.partials {
		s.Partials = append(s.Partials, r.e)
	}
	s.ClonedPlugins = d.clones
	d.setOthers(s)
	return s
}

// setOthers fills in what secrets, TLS and credentials are made of.
func (d *document) setOthers(s *entity.Set) {
	for _, r := range d.vaults {
		s.Vaults = append(s.Vaults, r.e)
	}
	for _, r := range d.certificates {
		s.Certificates = append(s.Certificates, r.e)
	}
	for _, r := range d.snis {
		s.SNIs = append(s.SNIs, r.e)
	}
	for _, r := range d.authorities {
		s.CACertificates = append(s.CACertificates, r.e)
	}
	for _, r := range d.keySets {
		s.KeySets = append(s.KeySets, r.e)
	}
	for _, r := range d.cryptoKeys {
		s.Keys = append(s.Keys, r.e)
	}
	for _, r := range d.hmacs {
		s.HMACAuths = append(s.HMACAuths, r.e)
	}
	for _, r := range d.jwts {
		s.JWTSecrets = append(s.JWTSecrets, r.e)
	}
	for _, r := range d.oauth2s {
		s.OAuth2 = append(s.OAuth2, r.e)
	}
}
