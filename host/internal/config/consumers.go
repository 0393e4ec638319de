package config

import (
	"strings"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
)

// consumer reads a consumer with its credentials, groups and plugins.
func (d *document) consumer(n *node, at *path) {
	o := d.object(n, at, "a consumer")
	if o == nil {
		return
	}
	c := &entity.Consumer{Pos: d.pos(n)}
	r := &record[entity.Consumer]{e: c, at: at, n: n}
	d.consumers = append(d.consumers, r)
	before := len(d.errs)
	c.ID, c.Tags, c.CreatedAt, c.UpdatedAt = o.common()
	c.Username = o.text("username", printable)
	c.CustomID = o.text("custom_id", printable)
	if c.Username == "" && c.CustomID == "" && len(d.errs) == before {
		o.missing("username", "a username, a custom_id or both")
	}
	o.list("keyauth_credentials", func(n *node, at *path) { d.keyAuth(n, at, r) })
	o.list("basicauth_credentials", func(n *node, at *path) { d.basicAuth(n, at, r) })
	o.list("acls", func(n *node, at *path) { d.acl(n, at, r) })
	o.list("hmacauth_credentials", func(n *node, at *path) { d.hmacAuth(n, at, r) })
	o.list("jwt_secrets", func(n *node, at *path) { d.jwtSecret(n, at, r) })
	o.list("oauth2_credentials", func(n *node, at *path) { d.oauth2(n, at, r) })
	o.list("groups", func(n *node, at *path) {
		if ref := d.referenceOf(n, at, "name"); ref != nil {
			d.memberships = append(d.memberships, membership{consumer: r, groupRef: ref, at: at, n: n})
		}
	})
	o.list("plugins", func(n *node, at *path) { d.plugin(n, at, parents{consumer: r}) })
	o.unsupported(consumerCredentials...)
	o.done()
}

// printable refuses control characters.
func printable(s string) *problem {
	if strings.ContainsFunc(s, func(r rune) bool { return r < 0x20 || r == 0x7f }) {
		return &problem{expected: "text without control characters"}
	}
	return nil
}

// consumerGroup reads a group with its members and plugins.
func (d *document) consumerGroup(n *node, at *path) {
	o := d.object(n, at, "a consumer group")
	if o == nil {
		return
	}
	g := &entity.ConsumerGroup{Pos: d.pos(n)}
	r := &record[entity.ConsumerGroup]{e: g, at: at, n: n}
	d.groups = append(d.groups, r)
	g.ID, g.Tags, _, _ = o.common()
	g.Name = o.text("name", entityName)
	if o.lacks("name") {
		o.missing("name", "the name of the group")
	}
	g.Priority = o.integer("priority", 0, -1<<31, 1<<31-1)
	o.list("consumers", func(n *node, at *path) {
		if ref := d.referenceOf(n, at, "username"); ref != nil {
			d.memberships = append(d.memberships, membership{group: r, consumerRef: ref, at: at, n: n})
		}
	})
	o.list("plugins", func(n *node, at *path) { d.plugin(n, at, parents{group: r}) })
	o.done()
}

// membership reads a pair of consumer and group.
func (d *document) membership(n *node, at *path) {
	o := d.object(n, at, "a membership")
	if o == nil {
		return
	}
	o.common()
	m := membership{at: at, n: n}
	m.consumerRef = d.reference(o, "consumer", "username", false)
	m.groupRef = d.reference(o, "consumer_group", "name", false)
	switch {
	case o.lacks("consumer"):
		o.missing("consumer", "the consumer of the membership")
	case o.lacks("consumer_group"):
		o.missing("consumer_group", "the group of the membership")
	case m.consumerRef != nil && m.groupRef != nil:
		d.memberships = append(d.memberships, m)
	}
	o.done()
}

// keyAuth reads a key; parent is the consumer around it, nil at the top level. The key is never part of an error text.
func (d *document) keyAuth(n *node, at *path, parent *record[entity.Consumer]) {
	o := d.object(n, at, "a key-auth credential")
	if o == nil {
		return
	}
	k := &entity.KeyAuthCredential{Pos: d.pos(n)}
	r := &keyRecord{record: record[entity.KeyAuthCredential]{e: k, at: at, n: n}}
	d.keys = append(d.keys, r)
	k.ID, k.Tags, k.CreatedAt, _ = o.common()
	r.consumer = d.reference(o, "consumer", "username", known(parent))
	if parent != nil {
		k.Consumer = parent.e
	} else if o.lacks("consumer") {
		o.missing("consumer", "the consumer that the key belongs to")
	}
	switch v := o.has("key"); {
	case v == nil:
		o.missing("key", "the key itself: one made at random would change with every reload")
	case v.kind != kindText:
		d.fail(at.key("key"), v, Error{
			Code: CodeWrongType, Found: v.kind.String(), Expected: "the key as a string", Fix: "put it into quotes",
		})
	case v.text == "" || printable(v.text) != nil:
		d.fail(at.key("key"), v, Error{
			Code: CodeWrongValue, Found: "a key that is empty or has control characters", Expected: "a key of at least one character",
		})
	case isReference(v.text):
		d.noReference(at.key("key"), v)
	default:
		k.Key = v.text
	}
	k.TTL = o.integer("ttl", 0, 0, 100000000)
	o.done()
}
