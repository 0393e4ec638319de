package dialect

import (
	"slices"

	"go.yaml.in/yaml/v4"
)

// toKong says in Kong's words what decK has its own for: defaults and named configurations go to where they count, groups become memberships.
func (c *conversion) toKong() {
	c.inlineInfo()
	c.inlineConfigs()
	if w := remove(c.root, "_workspace"); w != nil && text(w) != "default" {
		c.fail(w, "the workspace "+text(w), "default, the only workspace of a declarative file", "remove _workspace")
	}
	if k := remove(c.root, "_konnect"); k != nil && k.ShortTag() != "!!null" {
		c.note("the document was for a control plane of Konnect: _konnect is left out")
	}
	c.memberships()
	c.groupPlugins()
}

// inlineInfo gives entities the tags and defaults of _info.
func (c *conversion) inlineInfo() {
	info := remove(c.root, "_info")
	if info == nil {
		return
	}
	if isTrue(get(info, "skip_hash_for_basic_auth")) {
		set(c.root, "_transform", &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: "false"})
	}
	if get(info, "default_lookup_tags") != nil {
		c.note("default_lookup_tags is left out: a declarative file holds everything that it names")
	}
	if v := get(info, "consumer_group_policy_overrides"); isTrue(v) {
		c.fail(v, "consumer_group_policy_overrides", "plugins inside their consumer group", "remove it, and write a whole configuration for the group")
	}
	for _, name := range []string{"service", "route", "upstream", "target"} {
		defaults := get(get(info, "defaults"), name)
		if defaults != nil && defaults.Kind == yaml.MappingNode {
			each(c.root, name, func(n *yaml.Node) { below(n, besides(n, defaults)) })
		}
	}
	if tags := items(get(info, "select_tags")); len(tags) > 0 {
		for name := range kinds {
			if name != "" {
				each(c.root, name, func(n *yaml.Node) { addTags(n, tags) })
			}
		}
	}
}

// besides are the defaults that an entity can have: none of what its url says.
func besides(n, defaults *yaml.Node) *yaml.Node {
	if text(get(n, "url")) == "" {
		return defaults
	}
	rest := clone(defaults)
	for _, key := range []string{"protocol", "host", "port", "path"} {
		remove(rest, key)
	}
	return rest
}

// below gives a mapping the fields that another one has and it has not, also inside fields that are mappings.
func below(n, defaults *yaml.Node) {
	for i := 0; i+1 < len(defaults.Content); i += 2 {
		key, value := defaults.Content[i], defaults.Content[i+1]
		switch own := get(n, key.Value); {
		case own == nil:
			n.Content = append(n.Content, clone(key), clone(value))
		case own.Kind == yaml.MappingNode && value.Kind == yaml.MappingNode:
			below(own, value)
		}
	}
}

func addTags(n *yaml.Node, tags []*yaml.Node) {
	own := get(n, "tags")
	if own == nil || own.Kind != yaml.SequenceNode {
		own = listNode()
		own.Style = yaml.FlowStyle
		set(n, "tags", own)
	}
	for _, tag := range tags {
		if !slices.ContainsFunc(own.Content, func(have *yaml.Node) bool { return have.Value == tag.Value }) {
			own.Content = append(own.Content, clone(tag))
		}
	}
}

// inlineConfigs gives plugins the configurations that they name.
func (c *conversion) inlineConfigs() {
	configs := remove(c.root, "_plugin_configs")
	each(c.root, "plugin", func(p *yaml.Node) {
		name := remove(p, "_config")
		if name == nil || text(name) == "" {
			return
		}
		shared := get(configs, text(name))
		if shared == nil {
			c.fail(name, "the configuration "+text(name), "a name of _plugin_configs", "")
			return
		}
		if shared.Kind != yaml.MappingNode {
			return
		}
		own := get(p, "config")
		if own == nil || own.Kind != yaml.MappingNode {
			set(p, "config", clone(shared))
			return
		}
		for i := 0; i+1 < len(shared.Content); i += 2 { // the first level alone, as decK does it
			if get(own, shared.Content[i].Value) == nil {
				own.Content = append(own.Content, clone(shared.Content[i]), clone(shared.Content[i+1]))
			}
		}
	})
}

// memberships makes pairs of the groups inside consumers, and of the consumers inside groups.
func (c *conversion) memberships() {
	pairs := get(c.root, "consumer_group_consumers")
	if pairs == nil || pairs.Kind != yaml.SequenceNode {
		pairs = listNode()
	}
	before := len(pairs.Content)
	add := func(consumer, group *yaml.Node) {
		if consumer != nil && group != nil {
			pairs.Content = append(pairs.Content, mapNode(textNode("consumer"), consumer, textNode("consumer_group"), group))
		}
	}
	for _, consumer := range items(get(c.root, "consumers")) {
		for _, group := range items(remove(consumer, "groups")) {
			add(c.nameOf(consumer, "username", "a consumer in groups"), referenceOf(group, "name"))
		}
	}
	for _, group := range items(get(c.root, "consumer_groups")) {
		for _, consumer := range items(remove(group, "consumers")) {
			add(referenceOf(consumer, "username"), c.nameOf(group, "name", "a group with consumers"))
		}
	}
	if len(pairs.Content) > before {
		set(c.root, "consumer_group_consumers", pairs)
	}
}

// groupPlugins brings the plugins inside groups to the top: Kong's files have no such nesting.
func (c *conversion) groupPlugins() {
	for _, group := range items(get(c.root, "consumer_groups")) {
		for _, p := range items(remove(group, "plugins")) {
			name := c.nameOf(group, "name", "a group with plugins")
			if name == nil {
				return
			}
			set(p, "consumer_group", name)
			all := get(c.root, "plugins")
			if all == nil || all.Kind != yaml.SequenceNode {
				all = listNode()
				set(c.root, "plugins", all)
			}
			all.Content = append(all.Content, p)
		}
	}
}

// nameOf is what others call an entity: its name or its id. What it is is said when it has neither.
func (c *conversion) nameOf(n *yaml.Node, natural, what string) *yaml.Node {
	for _, key := range []string{natural, "id"} {
		if v := get(n, key); text(v) != "" {
			named := textNode(v.Value)
			named.Style = v.Style
			return named
		}
	}
	c.fail(n, what+" without "+natural+" and id", "a name for it", "add "+natural)
	return nil
}

// referenceOf is the name or id in a reference.
func referenceOf(n *yaml.Node, natural string) *yaml.Node {
	if n.Kind == yaml.ScalarNode {
		return clone(n)
	}
	for _, key := range []string{natural, "name", "id"} {
		if v := get(n, key); text(v) != "" {
			return clone(v)
		}
	}
	return nil
}
