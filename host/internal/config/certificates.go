package config

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"strings"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
)

type sniRecord struct {
	record[entity.SNI]
	certificate *reference
}

// isReference reports whether a text is a reference to a secret, whose own form nobody can check before it is read.
func isReference(s string) bool {
	return strings.HasPrefix(s, "{vault://") && strings.HasSuffix(s, "}")
}

// noReference refuses a reference in the place of the secret of a consumer. Nothing leads it to a secret there: the text itself, which everybody can guess,
// would let people in.
func (r *reader) noReference(at *path, v *node) {
	r.fail(at, v, Error{
		Code: CodeUnsupported, Found: "a reference to a vault", Expected: "the secret itself: references count in the configurations of plugins alone",
		Fix: `write ${{ env "NAME" }} to take it from the environment`,
	})
}

// pemText reads a field that may not show in an error text: keys, and certificates, which are too long for one.
func (o *object) pemText(key, what string, required bool) string {
	v := o.has(key)
	switch {
	case v == nil:
		if required {
			o.missing(key, what)
		}
	case v.kind != kindText:
		o.fail(o.at.key(key), v, Error{Code: CodeWrongType, Found: v.kind.String(), Expected: what + " as a string"})
	case v.text == "":
		o.fail(o.at.key(key), v, Error{Code: CodeWrongValue, Found: "an empty string", Expected: what})
	default:
		return v.text
	}
	return ""
}

// certificate reads a certificate with its names.
func (d *document) certificate(n *node, at *path) {
	o := d.object(n, at, "a certificate")
	if o == nil {
		return
	}
	c := &entity.Certificate{Pos: d.pos(n)}
	r := &record[entity.Certificate]{e: c, at: at, n: n}
	d.certificates = append(d.certificates, r)
	c.ID, c.Tags, c.CreatedAt, c.UpdatedAt = o.common()
	c.Cert = o.pemText("cert", "a certificate in PEM form", true)
	c.Key = o.pemText("key", "the key of the certificate in PEM form", true)
	c.CertAlt = o.pemText("cert_alt", "a certificate in PEM form", false)
	c.KeyAlt = o.pemText("key_alt", "the key of cert_alt in PEM form", false)
	kind := d.pair(o, "cert", "key", c.Cert, c.Key)
	switch {
	case (c.CertAlt == "") != (c.KeyAlt == ""):
		d.fail(at, n, Error{Code: CodeConflict, Found: "one of cert_alt and key_alt", Expected: "both or neither"})
	case c.CertAlt != "":
		if alt := d.pair(o, "cert_alt", "key_alt", c.CertAlt, c.KeyAlt); alt != 0 && alt == kind {
			d.fail(at.key("cert_alt"), o.n.get("cert_alt"), Error{
				Code: CodeConflict, Found: "a second certificate with the same kind of key", Expected: "one with another kind of key than cert, such as ECDSA beside RSA",
			})
		}
	}
	o.list("snis", func(n *node, at *path) { d.sni(n, at, r) })
	o.done()
}

// pair checks that a key belongs to a certificate, and says of which kind it is; 0 when that is not known.
func (d *document) pair(o *object, certField, keyField, cert, key string) x509.PublicKeyAlgorithm {
	if cert == "" || key == "" || isReference(cert) || isReference(key) {
		return 0
	}
	pair, err := tls.X509KeyPair([]byte(cert), []byte(key))
	if err == nil {
		return pair.Leaf.PublicKeyAlgorithm
	}
	field, expected := certField, "a certificate in PEM form"
	if leaf, _ := pemCertificates(cert); len(leaf) > 0 {
		field, expected = keyField, "the key that belongs to "+certField+", in PEM form"
	}
	d.fail(o.at.key(field), o.n.get(field), Error{Code: CodeWrongValue, Found: "a text that is none (" + strings.TrimPrefix(err.Error(), "tls: ") + ")", Expected: expected})
	return 0
}

// pemCertificates takes the certificates out of a PEM text. ok says that it holds nothing else.
func pemCertificates(text string) (list []*x509.Certificate, ok bool) {
	rest := []byte(text)
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return list, strings.TrimSpace(string(rest)) == ""
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if block.Type != "CERTIFICATE" || err != nil {
			return list, false
		}
		list = append(list, c)
	}
}

// sni reads a server name; parent is the certificate around it, nil at the top level.
func (d *document) sni(n *node, at *path, parent *record[entity.Certificate]) {
	if parent != nil && n.kind == kindText { // Kong's Admin API writes plain names
		n = &node{kind: kindMapping, line: n.line, col: n.col, size: 2, pairs: []pair{{key: "name", at: n, value: n}}}
	}
	o := d.object(n, at, "a server name")
	if o == nil {
		return
	}
	s := &entity.SNI{Pos: d.pos(n)}
	r := &sniRecord{record: record[entity.SNI]{e: s, at: at, n: n}}
	d.snis = append(d.snis, r)
	s.ID, s.Tags, s.CreatedAt, s.UpdatedAt = o.common()
	s.Name = o.text("name", func(s string) *problem {
		if s == "*" {
			return nil
		}
		return sni(s)
	})
	if o.lacks("name") {
		o.missing("name", "a TLS server name")
	}
	r.certificate = d.reference(o, "certificate", "id", known(parent))
	if parent != nil {
		s.Certificate = parent.e
	} else if o.lacks("certificate") {
		o.missing("certificate", "the id of the certificate that the name belongs to")
	}
	o.done()
}

// caCertificate reads a certificate that others are checked with.
func (d *document) caCertificate(n *node, at *path) {
	o := d.object(n, at, "a CA certificate")
	if o == nil {
		return
	}
	c := &entity.CACertificate{Pos: d.pos(n)}
	d.authorities = append(d.authorities, &record[entity.CACertificate]{e: c, at: at, n: n})
	c.ID, c.Tags, c.CreatedAt, c.UpdatedAt = o.common()
	c.Cert = o.pemText("cert", "one CA certificate in PEM form", true)
	said := o.text("cert_digest")
	o.done()
	if c.Cert == "" {
		return
	}
	v := n.get("cert")
	wrong := func(found, expected string) {
		d.fail(at.key("cert"), v, Error{Code: CodeWrongValue, Found: found, Expected: expected})
	}
	list, only := pemCertificates(c.Cert)
	switch {
	case len(list) != 1 || !only:
		wrong("a text that is not one certificate", "exactly one certificate in PEM form")
		return
	case !list[0].BasicConstraintsValid || !list[0].IsCA:
		wrong("a certificate that may not sign others", "one with the basic constraint CA")
	case time.Now().After(list[0].NotAfter):
		wrong("a certificate that ended on "+list[0].NotAfter.UTC().Format(time.DateOnly), "one that is still valid")
	}
	sum := sha256.Sum256(list[0].Raw)
	c.CertDigest = hex.EncodeToString(sum[:])
	if said != "" && !strings.EqualFold(said, c.CertDigest) {
		d.fail(at.key("cert_digest"), n.get("cert_digest"), Error{
			Code: CodeConflict, Found: quote(said), Expected: "the SHA-256 of cert, which is " + c.CertDigest, Fix: "remove it, it is computed",
		})
	}
}

// resolveCertificates gives names to their certificates.
func (d *document) resolveCertificates(ids *ids) {
	certificates := newIndex[entity.Certificate](d, "certificate")
	for _, r := range d.certificates {
		ids.certificate(r.e)
		certificates.add(r, r.e.ID, nil)
	}
	names := newIndex[entity.SNI](d, "server name")
	unique := map[string]map[string]*record[entity.SNI]{}
	for _, r := range d.snis {
		if r.certificate != nil {
			r.e.Certificate = certificates.find(r.certificate)
		}
		ids.sni(r.e)
		names.add(&r.record, r.e.ID, unique, "name")
	}
	authorities := newIndex[entity.CACertificate](d, "CA certificate")
	first := map[string]*record[entity.CACertificate]{}
	for _, r := range d.authorities {
		if r.e.CertDigest == "" {
			continue
		}
		if f := first[r.e.CertDigest]; f != nil {
			d.notUnique(r.at.key("cert"), r.n.get("cert"), "the same certificate", "each CA certificate once", f.n)
			continue
		}
		first[r.e.CertDigest] = r
		ids.authority(r.e)
		authorities.add(r, r.e.ID, nil)
	}
}
