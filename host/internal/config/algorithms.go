package config

import (
	"slices"
	"strings"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
)

var (
	algorithms = []string{"round-robin", "least-connections", "consistent-hashing", "latency", "sticky-sessions"}
	hashInputs = []string{"none", "consumer", "ip", "header", "cookie", "path", "query_arg", "uri_capture"}
)

// algorithm reads how the targets of an upstream are chosen, and what of a request the choice looks at.
func (d *document) algorithm(o *object, u *entity.Upstream) {
	before := len(d.errs)
	u.Algorithm = o.choice("algorithm", "", algorithms...)
	u.Hash.On = o.choice("hash_on", "none", hashInputs...)
	u.Fallback.On = o.choice("hash_fallback", "none", hashInputs...)
	names := map[string]string{
		"hash_on_header": o.text("hash_on_header", headerText), "hash_fallback_header": o.text("hash_fallback_header", headerText),
		"hash_on_cookie":    o.text("hash_on_cookie", cookieName),
		"hash_on_query_arg": o.text("hash_on_query_arg"), "hash_fallback_query_arg": o.text("hash_fallback_query_arg"),
		"hash_on_uri_capture": o.text("hash_on_uri_capture"), "hash_fallback_uri_capture": o.text("hash_fallback_uri_capture"),
	}
	u.CookiePath = orDefault(o.text("hash_on_cookie_path", cookiePath), "/")
	u.Sticky = entity.Cookie{Name: o.text("sticky_sessions_cookie", cookieName), Path: orDefault(o.text("sticky_sessions_cookie_path", cookiePath), "/")}
	if len(d.errs) > before {
		return // what follows would blame fields for one another
	}
	if u.Algorithm == "" { // as in Kong, hashing is meant when somebody says what to hash
		u.Algorithm = "round-robin"
		if u.Hash.On != "none" {
			u.Algorithm = "consistent-hashing"
		}
	}
	if u.Algorithm == "sticky-sessions" && u.Sticky.Name == "" {
		o.missing("sticky_sessions_cookie", "the name of the cookie that keeps a client with its target")
	}
	u.Hash.Name = d.hashName(o, "hash_on", u.Hash.On, names)
	u.Fallback.Name = d.hashName(o, "hash_fallback", u.Fallback.On, names)
	d.hashPair(o, u)
}

func orDefault(s, absent string) string {
	if s == "" {
		return absent
	}
	return s
}

// hashName finds the name that belongs to an input, which must be there.
func (d *document) hashName(o *object, field, on string, names map[string]string) string {
	key := field + "_" + on
	switch on {
	case "header", "query_arg", "uri_capture":
	case "cookie":
		key = "hash_on_cookie" // of both
	default:
		return ""
	}
	if names[key] == "" {
		o.missing(key, "the name that "+field+": "+on+" needs")
	}
	if on == "header" {
		return strings.ToLower(names[key]) // as it is looked for
	}
	return names[key]
}

// hashPair checks the two inputs against each other, as Kong does.
func (d *document) hashPair(o *object, u *entity.Upstream) {
	on, other := u.Hash, u.Fallback
	conflict := func(found, expected, fix string) {
		d.fail(o.at.key("hash_fallback"), o.n.get("hash_fallback"), Error{Code: CodeConflict, Found: found, Expected: expected, Fix: fix})
	}
	switch {
	case other.On == "none":
	case on.On == "none":
		conflict("hash_fallback: "+other.On+" beside hash_on: none", "none: there is nothing to fall back from", "set hash_on, or remove hash_fallback")
	case on.On == "cookie":
		conflict("hash_fallback: "+other.On+" beside hash_on: cookie", "none: a request without the cookie gets one", "remove hash_fallback")
	case on == other && slices.Contains([]string{"consumer", "ip", "path"}, on.On):
		conflict("hash_fallback: "+other.On+", as in hash_on", "another input than hash_on", "")
	case on == other:
		conflict("the same "+on.On+" "+quote(on.Name)+" in hash_on and hash_fallback", "another name", "")
	}
}

// headerText is the rule of header names as a problem.
func headerText(s string) *problem {
	if headerName(s) {
		return nil
	}
	return &problem{expected: "a header name of letters, digits, '-' and '_'"}
}

// cookieName is the rule of cookie names: a token of RFC 9110.
func cookieName(s string) *problem {
	for i := range len(s) {
		if c := s[i]; !isLetter(c) && !isDigit(c) && !slices.Contains([]byte("!#$%&'*+-.^_`|~"), c) {
			return &problem{expected: "a cookie name without spaces, quotes and separators"}
		}
	}
	return nil
}

// cookiePath is the rule of the path of a cookie.
func cookiePath(s string) *problem {
	p := servicePath(s)
	if p == nil && slices.Contains([]byte(s), ';') {
		p = &problem{expected: "a path without ';', which ends it in a cookie"}
	}
	return p
}
