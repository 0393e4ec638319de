package blackbox

import (
	"path"
	"slices"
	"strings"
)

// Names of headers, query parameters, keys of maps and of ctx whose values are secrets, as canonical writes them.
var (
	secretNames = []string{
		"auth", "cookie", "cookies", "set-cookie", "key", "pass", "pwd", "jwt", "sid", "sig", "otp", "pin", "cvv", "cvc", "assertion", "samlresponse",
	}
	secretParts = []string{
		"authorization", "authentication", "api-key", "apikey", "token", "secret", "password", "passwd", "passphrase", "credential", "session", "signature",
		"private-key", "privatekey", "access-key", "accesskey", "bearer", "jwt-", "-jwt", "-cookie",
	}
	secretEnds = []string{"-key", "-auth", "-pass", "-pwd", "-sid", "-sig", "-otp", "-pin", "-assertion"}
	// openEnds are those of secretEnds that say where something is, and are no secrets.
	openEnds = []string{"socket-key", "public-key", "cache-key", "idempotency-key", "primary-key", "foreign-key", "partition-key", "sort-key", "routing-key"}
)

// Names of settings of a plugin whose values are secrets although no schema says so. They are fewer than above: a configuration that lacks what
// is no secret cannot be replayed.
var (
	secretSettings = []string{
		"api-key", "apikey", "token", "secret", "password", "passwd", "passphrase", "credential", "private-key", "privatekey", "access-key", "accesskey",
	}
	// openSettings end the names of settings that say where a secret is looked for, or what it is like.
	openSettings = []string{
		"-name", "-names", "-header", "-headers", "-field", "-fields", "-param", "-params", "-parameter", "-location", "-in", "-type", "-types", "-prefix",
		"-claim", "-claims", "-algorithm", "-url", "-uri", "-endpoint", "-path", "-mode", "-format", "-method", "-methods", "-encoding", "-style",
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
			n.more = append(n.more, canonical(name), canonical(strings.ToLower(name))) // headers come in lower case
		}
	}
	return n
}

// canonical is a name in lower case with "-" between its words, however they were told apart: api_key, api.key, apiKey.
func canonical(name string) string {
	var b strings.Builder
	inWord := false // behind a letter that is no capital, or a digit
	for _, c := range []byte(name) {
		capital := 'A' <= c && c <= 'Z'
		if capital && inWord {
			b.WriteByte('-')
		}
		switch {
		case capital:
			c += 'a' - 'A'
		case c == '_' || c == '.':
			c = '-'
		}
		inWord = !capital && c != '-'
		b.WriteByte(c)
	}
	return b.String()
}

// secret reports whether the value under a name is one.
func (n names) secret(name string) bool {
	if n.none {
		return false
	}
	name = canonical(name)
	if slices.Contains(secretNames, name) || contains(name, secretParts) || ends(name, secretEnds) && !ends(name, openEnds) {
		return true
	}
	return n.named(name)
}

// setting reports whether the value of a plugin's setting is a secret.
func (n names) setting(name string) bool {
	name = canonical(name)
	return contains(name, secretSettings) && !ends(name, openSettings) || n.named(name)
}

func contains(name string, parts []string) bool {
	return slices.ContainsFunc(parts, func(part string) bool { return strings.Contains(name, part) })
}

func ends(name string, all []string) bool {
	return slices.ContainsFunc(all, func(end string) bool { return strings.HasSuffix(name, end) })
}

// named reports whether a canonical name is one of those that were configured.
func (n names) named(name string) bool {
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
