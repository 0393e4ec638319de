package dialect

import (
	"strings"

	"go.yaml.in/yaml/v4"
)

// toDeck says in decK's words what Kong has its own for: entities at the top that decK only has inside others go there, memberships become groups.
func (c *conversion) toDeck() {
	if v := remove(c.root, "_transform"); isFalse(v) {
		info := get(c.root, "_info")
		if info == nil || info.Kind != yaml.MappingNode {
			info = mapNode()
			set(c.root, "_info", info)
		}
		set(info, "skip_hash_for_basic_auth", &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: "true"})
	}
	c.dropNotes(c.root, "")
	c.nest("routes", "service", "services", "name")
	c.nest("targets", "upstream", "upstreams", "name")
	c.nest("snis", "certificate", "certificates", "id")
	for _, collection := range credentials {
		c.nest(collection, "consumer", "consumers", "username")
	}
	c.groups()
	each(c.root, "plugin", func(p *yaml.Node) {
		for key, natural := range map[string]string{"service": "name", "route": "name", "consumer": "username", "consumer_group": "name"} {
			if ref := get(p, key); ref != nil && ref.Kind == yaml.MappingNode {
				if name := referenceOf(ref, natural); name != nil {
					set(p, key, name)
				}
			}
		}
	})
	for _, collection := range []string{"keys", "key_sets"} {
		if len(items(get(c.root, collection))) > 0 {
			c.note("decK has no %s in the files of older versions", collection)
		}
	}
}

// nest moves the entities of a collection at the top into the entities that they belong to. Routes without a service stay.
func (c *conversion) nest(collection, key, parents, natural string) {
	list := get(c.root, collection)
	if list == nil {
		return
	}
	var left []*yaml.Node
	for _, n := range items(list) {
		ref := get(n, key)
		if ref == nil || ref.Kind == yaml.ScalarNode && text(ref) == "" {
			left = append(left, n)
			continue
		}
		parent := c.parent(ref, parents, natural)
		if parent == nil {
			c.fail(n, "one of "+collection+" whose "+key+" is not in the file", "the "+key+" in "+parents, "")
			return
		}
		remove(n, key)
		inside := get(parent, collection)
		if inside == nil || inside.Kind != yaml.SequenceNode {
			inside = listNode()
			set(parent, collection, inside)
		}
		inside.Content = append(inside.Content, n)
		if n.Style&yaml.FlowStyle == 0 { // what is written in lines does not fit between braces
			inside.Style &^= yaml.FlowStyle
			parent.Style &^= yaml.FlowStyle
		}
	}
	if len(left) > 0 {
		list.Content = left
		return
	}
	remove(c.root, collection)
}

// parent finds the entity that a reference names.
func (c *conversion) parent(ref *yaml.Node, collection, natural string) *yaml.Node {
	if c.parents == nil {
		c.parents = map[string]map[string]*yaml.Node{}
	}
	for _, key := range []string{"id", natural} { // as a reader looks
		name := func(n *yaml.Node) string {
			if key == "id" {
				return strings.ToLower(text(n))
			}
			return text(n)
		}
		place := collection + "." + key
		if c.parents[place] == nil {
			c.parents[place] = map[string]*yaml.Node{}
			for _, n := range items(get(c.root, collection)) {
				if name := name(get(n, key)); name != "" && c.parents[place][name] == nil {
					c.parents[place][name] = n
				}
			}
		}
		want := name(ref)
		if ref.Kind == yaml.MappingNode {
			want = name(get(ref, key))
			if want == "" && key == natural {
				want = name(get(ref, "name"))
			}
		}
		if n := c.parents[place][want]; n != nil {
			return n
		}
	}
	return nil
}

// groups makes groups of consumers of the pairs.
func (c *conversion) groups() {
	for _, pair := range items(remove(c.root, "consumer_group_consumers")) {
		ref, group := get(pair, "consumer"), get(pair, "consumer_group")
		if ref == nil || group == nil {
			c.fail(pair, "a membership without consumer or consumer_group", "both", "")
			return
		}
		consumer := c.parent(ref, "consumers", "username")
		name := referenceOf(group, "name")
		if named := text(get(c.parent(group, "consumer_groups", "name"), "name")); named != "" { // decK knows no ids here
			name = textNode(named)
		}
		if consumer == nil || name == nil {
			c.fail(pair, "a membership of a consumer that is not in the file", "the consumer in consumers", "")
			return
		}
		list := get(consumer, "groups")
		if list == nil || list.Kind != yaml.SequenceNode {
			list = listNode()
			set(consumer, "groups", list)
		}
		list.Content = append(list.Content, mapNode(textNode("name"), name))
	}
	for _, consumer := range items(get(c.root, "consumers")) {
		for i, group := range items(get(consumer, "groups")) { // plain names are ours
			if group.Kind == yaml.ScalarNode {
				get(consumer, "groups").Content[i] = mapNode(textNode("name"), group)
			}
		}
	}
}
