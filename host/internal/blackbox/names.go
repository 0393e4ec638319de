package blackbox

import (
	"path"
	"slices"
	"strings"
)

// Names of headers, query parameters, keys of maps and of ctx whose values are secrets, in lower case with '-' for '_'.
var (
	secretNames = []string{"auth", "x-auth", "cookie", "cookies", "set-cookie", "key", "pass", "pwd", "jwt", "sid", "sig", "otp"}
	secretParts = []string{
		"authorization", "api-key", "apikey", "token", "secret", "password", "passwd", "passphrase", "credential", "session", "signature",
		"private-key", "access-key", "bearer", "jwt-", "-jwt", "-cookie",
	}
)

// names says whose values are secrets.
type names struct {
	none bool     // nothing is a secret
	more []string // of the settings and of the configuration; those of the settings may hold "*"
}

func namesOf(lists ...[]string) names {
	var n names
	for _, list := range lists {
		for _, name := range list {
			n.more = append(n.more, canonical(name))
		}
	}
	return n
}

func canonical(name string) string { return strings.ReplaceAll(strings.ToLower(name), "_", "-") }

// secret reports whether the value under a name is one.
func (n names) secret(name string) bool {
	if n.none {
		return false
	}
	name = canonical(name)
	if slices.Contains(secretNames, name) || slices.ContainsFunc(secretParts, func(part string) bool { return strings.Contains(name, part) }) {
		return true
	}
	return slices.ContainsFunc(n.more, func(pattern string) bool {
		ok, err := path.Match(pattern, name)
		return ok || err != nil && pattern == name
	})
}

// variable reports whether a variable of nginx is a secret: that of a header, a parameter or a cookie.
func (n names) variable(name string) bool {
	if strings.HasPrefix(name, "cookie_") {
		return true
	}
	for _, prefix := range []string{"upstream_http_", "sent_http_", "http_", "arg_"} {
		if rest, ok := strings.CutPrefix(name, prefix); ok {
			return n.secret(rest)
		}
	}
	return n.secret(name)
}
