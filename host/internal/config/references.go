package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
	"github.com/outrigger-gateway/outrigger/proto/nearest"
)

// reference names an entity by id, by its natural key, or by a word that may be either.
type reference struct {
	id, name string
	at       *path
	n        *node
}

func known[T any](r *record[T]) bool { return r != nil }

// reference reads a foreign key; natural is the field that names the other entity. A nested entity gets it from its parent and
// must not repeat it.
func (d *document) reference(o *object, key, natural string, nested bool) *reference {
	v := o.has(key)
	if v == nil {
		return nil
	}
	if nested {
		d.fail(o.at.key(key), v, Error{
			Code: CodeConflict, Found: quote(key) + " inside the " + strings.ReplaceAll(key, "_", " ") + " itself", Expected: "no such key here", Fix: "remove it",
		})
		return nil
	}
	return d.referenceOf(v, o.at.key(key), natural)
}

func (d *document) referenceOf(v *node, at *path, natural string) *reference {
	if v.kind == kindMapping {
		o := d.object(v, at, "a reference")
		ref := &reference{id: strings.ToLower(o.text("id", uuidText)), name: o.text(natural), at: at, n: v}
		if natural != "name" {
			if name := o.text("name"); ref.name == "" {
				ref.name = name
			}
		}
		before := len(d.errs)
		o.done()
		if ref.id == "" && ref.name == "" {
			if len(d.errs) == before && o.lacks("id") && o.lacks(natural) {
				d.fail(at, v, Error{Code: CodeMissing, Found: "a reference without id and " + natural, Expected: "id or " + natural})
			}
			return nil
		}
		return ref
	}
	if v.kind == kindList {
		d.wrongType(at, v, "the "+natural+" or id as a string, or a mapping with either")
		return nil
	}
	text := d.textOf(v, at, "")
	if text == "" {
		return nil
	}
	ref := &reference{name: text, at: at, n: v}
	if isUUID(text) {
		ref.id = strings.ToLower(text)
	}
	return ref
}

// index finds the entities of one collection.
type index[T any] struct {
	d      *document
	what   string // "service"
	byID   map[string]*record[T]
	byName map[string]*record[T]
	names  []string
}

func newIndex[T any](d *document, what string) *index[T] {
	return &index[T]{d: d, what: what, byID: map[string]*record[T]{}, byName: map[string]*record[T]{}}
}

// add enters an entity under its id, and under each field that must be unique; the first such field is the natural key. Fields are
// taken as they are written, so that a refused name does not make its references wrong too.
func (x *index[T]) add(r *record[T], id string, unique map[string]map[string]*record[T], fields ...string) {
	reported := false
	for i, field := range fields {
		v := r.n.get(field)
		if v == nil || v.kind != kindText || v.text == "" {
			continue
		}
		if first, twice := unique[field][v.text]; twice {
			x.d.notUnique(r.at.key(field), v, "the "+field+" "+quote(v.text), "one that no other "+x.what+" has", first.n)
			reported = true
			continue
		}
		if unique[field] == nil {
			unique[field] = map[string]*record[T]{}
		}
		unique[field][v.text] = r
		if i == 0 {
			x.byName[v.text] = r
			x.names = append(x.names, v.text)
		}
	}
	first, twice := x.byID[id]
	switch n := r.n.get("id"); {
	case id == "":
	case !twice:
		x.byID[id] = r
	case n != nil:
		x.d.notUnique(r.at.key("id"), n, "the id "+id, "one that no other "+x.what+" has", first.n)
	case !reported:
		x.d.notUnique(r.at, r.n, "the id "+id+", made from the content,", "one that no other "+x.what+" has", first.n)
	}
}

func (d *document) notUnique(at *path, n *node, found, expected string, first *node) {
	d.fail(at, n, Error{Code: CodeNotUnique, Found: found + " again", Expected: expected + fmt.Sprintf(" (the first is in line %d)", first.line)})
}

// find resolves a reference; nil with an error recorded when there is no such entity.
func (x *index[T]) find(ref *reference) *T {
	if ref == nil {
		return nil
	}
	if r := x.byID[ref.id]; r != nil && ref.id != "" {
		return r.e
	}
	if r := x.byName[ref.name]; r != nil && ref.name != "" {
		return r.e
	}
	found := ref.name
	if found == "" {
		found = ref.id
	}
	e := Error{Code: CodeUnknownReference, Found: quote(found), Expected: "the name or id of " + article(x.what) + " of this file"}
	const mostGuesses = 100 // a guess looks at every name
	if x.d.guesses++; x.d.guesses <= mostGuesses {
		e.Nearest = nearest.Name(found, x.names)
	}
	if len(x.names) == 0 {
		e.Expected += ", which has none with a name"
	}
	x.d.fail(ref.at, ref.n, e)
	return nil
}

func article(what string) string {
	if strings.ContainsRune("aeiou", rune(what[0])) {
		return "an " + what
	}
	return "a " + what
}

// resolve gives ids, resolves references and checks what concerns several entities.
func (d *document) resolve() {
	services := newIndex[entity.Service](d, "service")
	unique := map[string]map[string]*record[entity.Service]{}
	ids := newIDs()
	for _, r := range d.services {
		ids.service(r.e)
		services.add(r, r.e.ID, unique, "name")
	}
	routes := newIndex[entity.Route](d, "route")
	uniqueRoutes := map[string]map[string]*record[entity.Route]{}
	for _, r := range d.routes {
		if r.service != nil {
			r.e.Service = services.find(r.service)
		}
		ids.route(r.e)
		routes.add(&r.record, r.e.ID, uniqueRoutes, "name")
	}
	consumers := newIndex[entity.Consumer](d, "consumer")
	uniqueConsumers := map[string]map[string]*record[entity.Consumer]{}
	for _, r := range d.consumers {
		ids.consumer(r.e)
		consumers.add(r, r.e.ID, uniqueConsumers, "username", "custom_id")
	}
	groups := newIndex[entity.ConsumerGroup](d, "consumer group")
	uniqueGroups := map[string]map[string]*record[entity.ConsumerGroup]{}
	for _, r := range d.groups {
		ids.group(r.e)
		groups.add(r, r.e.ID, uniqueGroups, "name")
	}
	d.resolveUpstreams(ids)
	d.resolveMemberships(consumers, groups)
	d.resolveKeys(consumers, ids)
	d.resolveBasics(consumers, ids)
	d.resolveACLs(consumers, ids)
	d.resolveCredentials(consumers, ids)
	d.resolveVaults(ids)
	d.resolveCertificates(ids)
	d.resolveCryptoKeys(ids)
	d.resolvePlugins(services, routes, consumers, groups, ids)
	d.resolvePartials(ids)
}

// resolveMemberships fills the groups of consumers, in the order in which levels try them: larger priority first, then by name,
// then by id.
func (d *document) resolveMemberships(consumers *index[entity.Consumer], groups *index[entity.ConsumerGroup]) {
	type pair struct {
		*entity.Consumer
		*entity.ConsumerGroup
	}
	member := map[pair]bool{}
	for _, m := range d.memberships {
		var c *entity.Consumer
		var g *entity.ConsumerGroup
		if m.consumer != nil {
			c = m.consumer.e
		} else {
			c = consumers.find(m.consumerRef)
		}
		if m.group != nil {
			g = m.group.e
		} else {
			g = groups.find(m.groupRef)
		}
		if c != nil && g != nil && !member[pair{c, g}] {
			member[pair{c, g}] = true
			c.Groups = append(c.Groups, g)
		}
	}
	for _, r := range d.consumers {
		slices.SortFunc(r.e.Groups, entity.CompareGroups)
	}
}

func (d *document) resolveKeys(consumers *index[entity.Consumer], ids *ids) {
	credentials := newIndex[entity.KeyAuthCredential](d, "key-auth credential")
	first := map[string]*keyRecord{}
	for _, r := range d.keys {
		if r.consumer != nil {
			r.e.Consumer = consumers.find(r.consumer)
		}
		if r.e.Key != "" {
			if f := first[r.e.Key]; f != nil {
				d.notUnique(r.at.key("key"), r.n.get("key"), "the same key", "a key that no other credential has", f.n)
				continue
			}
			first[r.e.Key] = r
		}
		ids.keyAuth(r.e)
		credentials.add(&r.record, r.e.ID, nil)
	}
}

func (d *document) resolvePlugins(
	services *index[entity.Service], routes *index[entity.Route], consumers *index[entity.Consumer], groups *index[entity.ConsumerGroup], ids *ids,
) {
	records := newIndex[entity.Plugin](d, "plugin")
	unique := map[string]map[string]*record[entity.Plugin]{}
	scopes := map[scope]*pluginRecord{}
	byService := map[*entity.Service][]*entity.Route{}
	for _, r := range d.routes {
		byService[r.e.Service] = append(byService[r.e.Service], r.e)
	}
	for _, r := range d.plugins {
		p := r.e
		before := len(d.errs)
		if r.service != nil {
			p.Service = services.find(r.service)
		}
		if r.route != nil {
			p.Route = routes.find(r.route)
		}
		if r.consumer != nil {
			p.Consumer = consumers.find(r.consumer)
		}
		if r.group != nil {
			p.ConsumerGroup = groups.find(r.group)
		}
		if len(d.errs) > before {
			continue
		}
		if p.Consumer != nil && p.ConsumerGroup != nil {
			d.fail(r.at, r.n, Error{
				Code: CodeConflict, Found: "a plugin with both consumer and consumer_group", Expected: "one of them", Fix: "make two records",
			})
		}
		s := scope{p.LookupName(), p.Service, p.Route, p.Consumer, p.ConsumerGroup}
		if first := scopes[s]; first != nil && p.Name != "" {
			d.notUnique(r.at, r.n, "plugin "+quote(p.LookupName())+" for the scope "+quote(p.Scope()), "one record of a plugin in a scope", first.n)
			continue
		}
		scopes[s] = r
		if p.Name == "" {
			continue
		}
		ids.plugin(p)
		// Stacked records of one plugin share the name of their instance: they are its scopes.
		if first := unique["instance_name"][p.InstanceName]; first != nil && p.Stack && first.e.LookupName() == p.LookupName() {
			records.add(&r.record, p.ID, unique)
		} else {
			records.add(&r.record, p.ID, unique, "instance_name")
		}
		d.pluginProtocols(r, byService)
	}
}

type scope struct {
	name     string
	service  *entity.Service
	route    *entity.Route
	consumer *entity.Consumer
	group    *entity.ConsumerGroup
}

// pluginProtocols checks that the record shares a protocol with its route, or with one route of its service.
func (d *document) pluginProtocols(r *pluginRecord, byService map[*entity.Service][]*entity.Route) {
	p := r.e
	shares := func(route *entity.Route) bool {
		return slices.ContainsFunc(route.Protocols, func(s string) bool { return slices.Contains(p.Protocols, s) })
	}
	fail := func(expected string) {
		n := r.n.get("protocols")
		if n == nil {
			n = r.n
		}
		d.fail(r.at.key("protocols"), n, Error{Code: CodeConflict, Found: strings.Join(p.Protocols, ", "), Expected: expected})
	}
	if p.Route != nil && !shares(p.Route) {
		fail("one of the protocols of its route: " + strings.Join(p.Route.Protocols, ", "))
	}
	if p.Service != nil && p.Route == nil {
		if of := byService[p.Service]; len(of) > 0 && !slices.ContainsFunc(of, shares) {
			fail("a protocol of at least one route of its service")
		}
	}
}
