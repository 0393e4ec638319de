package dialect

import (
	"slices"

	"go.yaml.in/yaml/v4"
)

// kind is a kind of entity: the order of its fields, and the collections inside it.
type kind struct {
	first []string // fields in the order in which a reader wants them; those that are not named follow as they are written
	last  []string // fields behind all others
	// children are the collections inside, each with the name of its kind.
	children map[string]string
}

// common are the fields that all entities end with.
var common = []string{"tags", "created_at", "updated_at"}

// kinds are all kinds by name; "" is the document.
var kinds = map[string]kind{
	"": {
		first: []string{
			"_format_version", "_transform", "_info", "_workspace", "_konnect", "_comment", "_ignore", "_plugin_configs", "vaults", "certificates", "snis",
			"ca_certificates", "key_sets", "keys", "services", "routes", "upstreams", "targets", "consumers", "consumer_groups", "consumer_group_consumers",
			"keyauth_credentials", "basicauth_credentials", "hmacauth_credentials", "jwt_secrets", "oauth2_credentials", "acls", "partials", "cloned_plugins",
		},
		last: []string{"plugins"},
		children: map[string]string{
			"services": "service", "routes": "route", "consumers": "consumer", "consumer_groups": "consumer_group", "plugins": "plugin", "upstreams": "upstream",
			"targets": "target", "certificates": "certificate", "snis": "other", "ca_certificates": "other", "vaults": "vault", "key_sets": "key_set", "keys": "other",
			"keyauth_credentials": "credential", "basicauth_credentials": "credential", "hmacauth_credentials": "credential", "jwt_secrets": "credential",
			"oauth2_credentials": "credential", "acls": "credential", "partials": "other", "cloned_plugins": "other",
		},
	},
	"service": {
		first:    []string{"name", "id", "url", "protocol", "host", "port", "path", "enabled", "retries", "connect_timeout", "write_timeout", "read_timeout"},
		last:     append(slices.Clone(common), "routes", "plugins"),
		children: map[string]string{"routes": "route", "plugins": "plugin"},
	},
	"route": {
		first: []string{
			"name", "id", "service", "protocols", "methods", "hosts", "paths", "headers", "snis", "sources", "destinations", "expression", "priority",
			"regex_priority", "strip_path", "path_handling", "path_match", "preserve_host",
		},
		last:     append(slices.Clone(common), "plugins"),
		children: map[string]string{"plugins": "plugin"},
	},
	"consumer": {
		first: []string{"username", "custom_id", "id", "groups"},
		last:  append(slices.Clone(common), append(slices.Clone(credentials), "plugins")...),
		children: map[string]string{
			"keyauth_credentials": "credential", "basicauth_credentials": "credential", "hmacauth_credentials": "credential", "jwt_secrets": "credential",
			"oauth2_credentials": "credential", "acls": "credential", "plugins": "plugin",
		},
	},
	"consumer_group": {
		first: []string{"name", "id", "priority"}, last: append(slices.Clone(common), "consumers", "plugins"), children: map[string]string{"plugins": "plugin"},
	},
	"plugin": {
		first: []string{
			"name", "instance_name", "id", "service", "route", "consumer", "consumer_group", "enabled", "mode", "protocols", "priority", "ordering", "condition", "on_false",
			"_config", "partials", "config",
		},
		last: common,
	},
	"upstream":    {first: []string{"name", "id", "algorithm", "hash_on", "hash_fallback", "slots", "host_header"}, last: append(slices.Clone(common), "targets"), children: map[string]string{"targets": "target"}},
	"target":      {first: []string{"target", "id", "upstream", "weight", "failover"}, last: common},
	"certificate": {first: []string{"id", "cert", "key", "cert_alt", "key_alt"}, last: append(slices.Clone(common), "snis"), children: map[string]string{"snis": "other"}},
	"key_set":     {first: []string{"name", "id"}, last: append(slices.Clone(common), "keys"), children: map[string]string{"keys": "other"}},
	"vault":       {first: []string{"prefix", "name", "id", "description", "config", "on_failure"}, last: common},
	"credential":  {first: []string{"username", "name", "key", "client_id", "group", "id", "consumer"}, last: common},
	"other":       {first: []string{"name", "kid", "id"}, last: common},
}

// credentials are the collections of credentials.
var credentials = []string{"keyauth_credentials", "basicauth_credentials", "hmacauth_credentials", "jwt_secrets", "oauth2_credentials", "acls"}

// arrange puts the fields of an entity of a kind into order, and of those inside it.
func arrange(n *yaml.Node, name string) {
	if n == nil || n.Kind != yaml.MappingNode {
		return
	}
	k := kinds[name]
	type pair struct{ key, value *yaml.Node }
	pairs := make([]pair, 0, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		pairs = append(pairs, pair{n.Content[i], n.Content[i+1]})
	}
	rank := func(key string) int {
		if i := slices.Index(k.first, key); i >= 0 {
			return i
		}
		if i := slices.Index(k.last, key); i >= 0 {
			return 2000 + i
		}
		return 1000
	}
	slices.SortStableFunc(pairs, func(a, b pair) int { return rank(a.key.Value) - rank(b.key.Value) })
	n.Content = n.Content[:0]
	for _, p := range pairs {
		n.Content = append(n.Content, p.key, p.value)
		if child, ok := k.children[p.key.Value]; ok {
			for _, item := range items(p.value) {
				arrange(item, child)
			}
		}
	}
}

// each calls f for all entities of a kind, wherever they stand.
func each(n *yaml.Node, of string, f func(n *yaml.Node)) { eachOf(n, "", of, f) }

func eachOf(n *yaml.Node, name, of string, f func(n *yaml.Node)) {
	if n == nil || n.Kind != yaml.MappingNode {
		return
	}
	if name == of {
		f(n)
	}
	for collection, child := range kinds[name].children {
		for _, item := range items(get(n, collection)) {
			eachOf(item, child, of, f)
		}
	}
}
