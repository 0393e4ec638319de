package config

import (
	"encoding/json"
	"encoding/pem"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
)

type cryptoKeyRecord struct {
	record[entity.Key]
	set *reference
}

// keySet reads a set of keys.
func (d *document) keySet(n *node, at *path) {
	o := d.object(n, at, "a key set")
	if o == nil {
		return
	}
	s := &entity.KeySet{Pos: d.pos(n)}
	r := &record[entity.KeySet]{e: s, at: at, n: n}
	d.keySets = append(d.keySets, r)
	s.ID, s.Tags, s.CreatedAt, s.UpdatedAt = o.common()
	s.Name = o.text("name", entityName)
	o.list("keys", func(n *node, at *path) { d.cryptoKey(n, at, r) })
	o.done()
}

// cryptoKey reads a key; parent is the set around it, nil at the top level. What is secret of it is never part of an error text.
func (d *document) cryptoKey(n *node, at *path, parent *record[entity.KeySet]) {
	o := d.object(n, at, "a key")
	if o == nil {
		return
	}
	k := &entity.Key{Pos: d.pos(n)}
	r := &cryptoKeyRecord{record: record[entity.Key]{e: k, at: at, n: n}}
	d.cryptoKeys = append(d.cryptoKeys, r)
	k.ID, k.Tags, k.CreatedAt, k.UpdatedAt = o.common()
	k.Name = o.text("name", entityName)
	k.KID = o.text("kid", printable)
	if o.lacks("kid") {
		o.missing("kid", "the id of the key, by which tokens name it")
	}
	r.set = d.reference(o, "set", "name", known(parent))
	if parent != nil {
		k.Set = parent.e
	}
	k.JWK = o.pemText("jwk", "a JWK, a JSON object in a string", false)
	if v := o.has("pem"); v != nil {
		d.pemKey(v, at.key("pem"), k)
	}
	switch has := o.has("pem") != nil; {
	case k.JWK != "" && has:
		d.fail(at, n, Error{Code: CodeConflict, Found: "jwk and pem", Expected: "one of them"})
	case o.has("jwk") == nil && !has:
		d.fail(at, n, Error{Code: CodeMissing, Found: "neither jwk nor pem", Expected: "one of them"})
	case k.JWK != "" && !isReference(k.JWK):
		d.checkJWK(o, k)
	}
	o.done()
}

func (d *document) pemKey(v *node, at *path, k *entity.Key) {
	o := d.object(v, at, "a key in PEM form")
	if o == nil {
		return
	}
	k.PublicPEM = o.pemText("public_key", "a public key in PEM form", false)
	k.PrivatePEM = o.pemText("private_key", "a private key in PEM form", false)
	for key, text := range map[string]string{"public_key": k.PublicPEM, "private_key": k.PrivatePEM} {
		if block, _ := pem.Decode([]byte(text)); text != "" && block == nil && !isReference(text) {
			d.fail(at.key(key), v.get(key), Error{Code: CodeWrongValue, Found: "a text that is not PEM", Expected: "a key in PEM form"})
		}
	}
	if k.PublicPEM == "" && k.PrivatePEM == "" && o.lacks("public_key") && o.lacks("private_key") {
		o.missing("public_key", "public_key, private_key or both")
	}
	o.done()
}

// checkJWK wants the kid of a JWK to be that of the record.
func (d *document) checkJWK(o *object, k *entity.Key) {
	var jwk struct {
		KID string `json:"kid"`
		Kty string `json:"kty"`
	}
	v := o.n.get("jwk")
	switch err := json.Unmarshal([]byte(k.JWK), &jwk); {
	case err != nil || jwk.Kty == "":
		d.fail(o.at.key("jwk"), v, Error{Code: CodeWrongValue, Found: "a text that is no JWK", Expected: "a JSON object in a string, with kty and kid"})
	case jwk.KID != k.KID && k.KID != "":
		d.fail(o.at.key("jwk"), v, Error{Code: CodeConflict, Found: "a JWK of the kid " + quote(jwk.KID), Expected: "the kid of the record, " + quote(k.KID)})
	}
}

// resolveCryptoKeys gives keys to their sets.
func (d *document) resolveCryptoKeys(ids *ids) {
	sets := newIndex[entity.KeySet](d, "key set")
	uniqueSets := map[string]map[string]*record[entity.KeySet]{}
	for _, r := range d.keySets {
		ids.keySet(r.e)
		sets.add(r, r.e.ID, uniqueSets, "name")
	}
	type place struct {
		set *entity.KeySet
		kid string
	}
	keys := newIndex[entity.Key](d, "key")
	unique := map[string]map[string]*record[entity.Key]{}
	first := map[place]*cryptoKeyRecord{}
	for _, r := range d.cryptoKeys {
		if r.set != nil {
			r.e.Set = sets.find(r.set)
		}
		if r.e.KID != "" {
			p := place{r.e.Set, r.e.KID}
			if f := first[p]; f != nil {
				d.notUnique(r.at.key("kid"), r.n.get("kid"), "the kid "+quote(r.e.KID), "each kid of a set once", f.n)
				continue
			}
			first[p] = r
		}
		ids.cryptoKey(r.e)
		keys.add(&r.record, r.e.ID, unique, "name")
	}
}
