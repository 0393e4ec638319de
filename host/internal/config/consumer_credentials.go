package config

import (
	"encoding/pem"
	"net/url"
	"strings"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
)

// Credentials of plugins that are not built in. A plugin server may bring one that wants them.

type hmacRecord struct {
	record[entity.HMACAuthCredential]
	consumer *reference
}

type jwtRecord struct {
	record[entity.JWTSecret]
	consumer *reference
}

type oauth2Record struct {
	record[entity.OAuth2Credential]
	consumer *reference
}

// secret reads a required text that no error text shows.
func (o *object) secret(key, what string, required bool) string {
	switch v := o.has(key); {
	case v == nil && required:
		o.missing(key, what+": one made at random would change with every reload")
	case v == nil:
	case v.kind != kindText:
		o.fail(o.at.key(key), v, Error{Code: CodeWrongType, Found: v.kind.String(), Expected: what + " as a string", Fix: "put it into quotes"})
	case v.text == "" || printable(v.text) != nil:
		o.fail(o.at.key(key), v, Error{Code: CodeWrongValue, Found: "a text that is empty or has control characters", Expected: what})
	case isReference(v.text):
		o.noReference(o.at.key(key), v)
	default:
		return v.text
	}
	return ""
}

func (d *document) hmacAuth(n *node, at *path, parent *record[entity.Consumer]) {
	o := d.object(n, at, "an hmac-auth credential")
	if o == nil {
		return
	}
	c := &entity.HMACAuthCredential{Pos: d.pos(n)}
	r := &hmacRecord{record: record[entity.HMACAuthCredential]{e: c, at: at, n: n}}
	d.hmacs = append(d.hmacs, r)
	c.ID, c.Tags, c.CreatedAt, _ = o.common()
	c.Consumer, r.consumer = d.owner(o, parent, "credential")
	c.Username = o.text("username", printable)
	if o.lacks("username") {
		o.missing("username", "the user name")
	}
	c.Secret = o.secret("secret", "the secret that requests are signed with", true)
	o.done()
}

// jwtAlgorithms are the algorithms of tokens: those of HS have a secret, the others a public key.
var jwtAlgorithms = []string{
	"HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256", "PS384", "PS512", "EdDSA",
}

func (d *document) jwtSecret(n *node, at *path, parent *record[entity.Consumer]) {
	o := d.object(n, at, "a JWT secret")
	if o == nil {
		return
	}
	c := &entity.JWTSecret{Pos: d.pos(n)}
	r := &jwtRecord{record: record[entity.JWTSecret]{e: c, at: at, n: n}}
	d.jwts = append(d.jwts, r)
	c.ID, c.Tags, c.CreatedAt, _ = o.common()
	c.Consumer, r.consumer = d.owner(o, parent, "secret")
	c.Key = o.secret("key", "the key, the issuer that tokens name", true)
	c.Algorithm = o.choice("algorithm", "HS256", jwtAlgorithms...)
	c.RSAPublicKey = o.pemText("rsa_public_key", "a public key in PEM form", false)
	symmetric := strings.HasPrefix(c.Algorithm, "HS")
	c.Secret = o.secret("secret", "the secret that tokens are signed with", symmetric)
	block, _ := pem.Decode([]byte(c.RSAPublicKey))
	switch {
	case !symmetric && c.RSAPublicKey == "" && o.lacks("rsa_public_key"):
		o.missing("rsa_public_key", "the public key for "+c.Algorithm+" in PEM form")
	case c.RSAPublicKey != "" && block == nil && !isReference(c.RSAPublicKey):
		d.fail(at.key("rsa_public_key"), n.get("rsa_public_key"), Error{Code: CodeWrongValue, Found: "a text that is not PEM", Expected: "a public key in PEM form"})
	}
	o.done()
}

func (d *document) oauth2(n *node, at *path, parent *record[entity.Consumer]) {
	o := d.object(n, at, "an OAuth 2.0 application")
	if o == nil {
		return
	}
	c := &entity.OAuth2Credential{Pos: d.pos(n)}
	r := &oauth2Record{record: record[entity.OAuth2Credential]{e: c, at: at, n: n}}
	d.oauth2s = append(d.oauth2s, r)
	c.ID, c.Tags, c.CreatedAt, _ = o.common()
	c.Consumer, r.consumer = d.owner(o, parent, "application")
	c.Name = o.text("name", printable)
	if o.lacks("name") {
		o.missing("name", "the name of the application")
	}
	c.ClientID = o.secret("client_id", "the id of the application", true)
	c.ClientType = o.choice("client_type", "confidential", "confidential", "public")
	c.ClientSecret = o.secret("client_secret", "the secret of the application", c.ClientType == "confidential")
	c.HashSecret = o.boolean("hash_secret", false)
	c.RedirectURIs = o.texts("redirect_uris", true, func(s string) *problem {
		if u, err := url.Parse(s); err != nil || !u.IsAbs() || u.Fragment != "" || strings.Contains(s, "#") {
			return &problem{expected: "an absolute URL without fragment"}
		}
		return nil
	})
	o.done()
}

// resolveCredentials gives the credentials of this file to their consumers.
func (d *document) resolveCredentials(consumers *index[entity.Consumer], ids *ids) {
	hmacs := newIndex[entity.HMACAuthCredential](d, "hmac-auth credential")
	unique := map[string]map[string]*record[entity.HMACAuthCredential]{}
	for _, r := range d.hmacs {
		if r.consumer != nil {
			r.e.Consumer = consumers.find(r.consumer)
		}
		ids.hmacAuth(r.e)
		hmacs.add(&r.record, r.e.ID, unique, "username")
	}
	jwts := newIndex[entity.JWTSecret](d, "JWT secret")
	firstKey := map[string]*jwtRecord{}
	for _, r := range d.jwts {
		if r.consumer != nil {
			r.e.Consumer = consumers.find(r.consumer)
		}
		if f := firstKey[r.e.Key]; f != nil && r.e.Key != "" {
			d.notUnique(r.at.key("key"), r.n.get("key"), "the same key", "a key that no other secret has", f.n)
			continue
		}
		firstKey[r.e.Key] = r
		ids.jwtSecret(r.e)
		jwts.add(&r.record, r.e.ID, nil)
	}
	applications := newIndex[entity.OAuth2Credential](d, "OAuth 2.0 application")
	firstID := map[string]*oauth2Record{}
	for _, r := range d.oauth2s {
		if r.consumer != nil {
			r.e.Consumer = consumers.find(r.consumer)
		}
		if f := firstID[r.e.ClientID]; f != nil && r.e.ClientID != "" {
			d.notUnique(r.at.key("client_id"), r.n.get("client_id"), "the same client_id", "one that no other application has", f.n)
			continue
		}
		firstID[r.e.ClientID] = r
		ids.oauth2(r.e)
		applications.add(&r.record, r.e.ID, nil)
	}
}
