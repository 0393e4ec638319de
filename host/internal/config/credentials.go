package config

import (
	"crypto/sha1" // the form in which Kong keeps passwords
	"encoding/hex"
	"strings"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
)

type basicRecord struct {
	record[entity.BasicAuthCredential]
	consumer *reference
	password string // as it is written; gone when the record is resolved
}

type aclRecord struct {
	record[entity.ACL]
	consumer *reference
}

// owner reads who a credential belongs to; parent is the consumer around it, nil at the top level. The consumer itself is nil as long as it is a
// reference.
func (d *document) owner(o *object, parent *record[entity.Consumer], what string) (*entity.Consumer, *reference) {
	ref := d.reference(o, "consumer", "username", known(parent))
	if parent != nil {
		return parent.e, nil
	}
	if o.lacks("consumer") {
		o.missing("consumer", "the consumer that the "+what+" belongs to")
	}
	return nil, ref
}

// basicAuth reads a user name with its password, which is never part of an error text.
func (d *document) basicAuth(n *node, at *path, parent *record[entity.Consumer]) {
	o := d.object(n, at, "a basic-auth credential")
	if o == nil {
		return
	}
	c := &entity.BasicAuthCredential{Pos: d.pos(n)}
	r := &basicRecord{record: record[entity.BasicAuthCredential]{e: c, at: at, n: n}}
	d.basics = append(d.basics, r)
	c.ID, c.Tags, c.CreatedAt, _ = o.common()
	c.Consumer, r.consumer = d.owner(o, parent, "credential")
	c.Username = o.text("username", userName)
	if o.lacks("username") {
		o.missing("username", "the user name")
	}
	fail := func(v *node, e Error) { d.fail(at.key("password"), v, e) }
	switch v := o.has("password"); {
	case v == nil:
		o.missing("password", "the password")
	case v.kind != kindText:
		fail(v, Error{Code: CodeWrongType, Found: v.kind.String(), Expected: "the password as a string", Fix: "put it into quotes"})
	case v.text == "":
		fail(v, Error{Code: CodeWrongValue, Found: "an empty password", Expected: "a password of at least one character"})
	case isReference(v.text):
		d.noReference(at.key("password"), v)
	case d.hashed && !sha1Hex(v.text):
		fail(v, Error{
			Code: CodeWrongValue, Found: "a text that is not hashed", Expected: "40 hex digits, the SHA-1 of the password followed by the consumer's id, because the document says that passwords are hashed",
			Fix: "remove _transform and skip_hash_for_basic_auth to have passwords hashed",
		})
	default:
		r.password = v.text
	}
	o.done()
}

// userName is the rule of user names: what can stand before the colon of a basic credential.
func userName(s string) *problem {
	if strings.Contains(s, ":") {
		return &problem{expected: "a user name without ':', which ends it in a request"}
	}
	return printable(s)
}

func sha1Hex(s string) bool {
	raw, err := hex.DecodeString(s)
	return err == nil && len(raw) == sha1.Size
}

// hashPassword is Kong's form of a stored password.
func hashPassword(password, consumerID string) string {
	sum := sha1.Sum([]byte(password + consumerID))
	return hex.EncodeToString(sum[:])
}

// acl reads a group of a consumer.
func (d *document) acl(n *node, at *path, parent *record[entity.Consumer]) {
	o := d.object(n, at, "an ACL group")
	if o == nil {
		return
	}
	a := &entity.ACL{Pos: d.pos(n)}
	r := &aclRecord{record: record[entity.ACL]{e: a, at: at, n: n}}
	d.acls = append(d.acls, r)
	a.ID, a.Tags, a.CreatedAt, _ = o.common()
	a.Consumer, r.consumer = d.owner(o, parent, "group")
	a.Group = o.text("group", printable)
	if o.lacks("group") {
		o.missing("group", "the name of the group")
	}
	o.done()
}

func (d *document) resolveBasics(consumers *index[entity.Consumer], ids *ids) {
	credentials := newIndex[entity.BasicAuthCredential](d, "basic-auth credential")
	unique := map[string]map[string]*record[entity.BasicAuthCredential]{}
	for _, r := range d.basics {
		if r.consumer != nil {
			r.e.Consumer = consumers.find(r.consumer)
		}
		ids.basicAuth(r.e)
		credentials.add(&r.record, r.e.ID, unique, "username")
		switch {
		case r.password == "" || r.e.Consumer == nil:
		case d.hashed:
			r.e.Password = strings.ToLower(r.password)
		default:
			r.e.Password = hashPassword(r.password, r.e.Consumer.ID)
		}
		r.password = ""
	}
}

func (d *document) resolveACLs(consumers *index[entity.Consumer], ids *ids) {
	type place struct {
		consumer *entity.Consumer
		group    string
	}
	acls := newIndex[entity.ACL](d, "ACL group")
	first := map[place]*aclRecord{}
	for _, r := range d.acls {
		if r.consumer != nil {
			r.e.Consumer = consumers.find(r.consumer)
		}
		if r.e.Consumer == nil || r.e.Group == "" {
			continue
		}
		p := place{r.e.Consumer, r.e.Group}
		if f := first[p]; f != nil {
			d.notUnique(r.at.key("group"), r.n.get("group"), "the group "+quote(r.e.Group), "each group of a consumer once", f.n)
			continue
		}
		first[p] = r
		ids.acl(r.e)
		acls.add(&r.record, r.e.ID, nil)
	}
}
