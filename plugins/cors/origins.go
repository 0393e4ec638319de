package cors

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// origins are the entries of a list of origins.
type origins struct {
	anybody bool   // there is no list, or * alone
	fixed   string // the only entry is this origin: whoever asks gets it; "": it is not so
	star    bool   // * is among several entries
	plain   map[string]struct{}
	byHost  []*regexp.Regexp
	byAll   []*regexp.Regexp // scheme://host[:port]
}

// plainEntry matches what cannot be meant as a regular expression.
func plainEntry(entry string) bool {
	return !strings.ContainsFunc(entry, func(r rune) bool {
		return !('A' <= r && r <= 'Z' || 'a' <= r && r <= 'z' || '0' <= r && r <= '9' || strings.ContainsRune(".:/-", r))
	})
}

// parseOrigins compiles a list. The number says which of the entries the error is about.
func parseOrigins(list []string) (*origins, int, error) {
	o := &origins{plain: map[string]struct{}{}}
	switch {
	case len(list) == 0 || len(list) == 1 && list[0] == "*":
		o.anybody = true
		return o, 0, nil
	case len(list) == 1 && plainEntry(list[0]):
		o.fixed = list[0]
		return o, 0, nil
	}
	for i, entry := range list {
		switch {
		case entry == "*":
			o.star = true
		case plainEntry(entry):
			o.plain[normalise(entry).text] = struct{}{}
		default:
			re, err := whole(entry)
			if err != nil {
				return nil, i, fmt.Errorf("found %q, expected *, an origin or a regular expression such as .*\\.example\\.com: %w", entry, err)
			}
			if strings.Contains(entry, ":") {
				o.byAll = append(o.byAll, re)
			} else {
				o.byHost = append(o.byHost, re)
			}
		}
	}
	return o, 0, nil
}

// whole compiles a regular expression so that it matches a whole text, whatever alternatives it has.
func whole(expression string) (*regexp.Regexp, error) {
	if _, err := regexp.Compile(expression); err != nil {
		return nil, err
	}
	return regexp.Compile(`\A(?:` + expression + `)\z`)
}

// allowed is the value of Access-Control-Allow-Origin for the Origin of a request; has says that there is one. ok is false when there is no value.
func (o *origins) allowed(requested string, has bool) (value string, ok bool) {
	switch {
	case o.anybody:
		return "*", true
	case o.fixed != "":
		return o.fixed, true
	case !has:
		return "", false
	case o.star:
		return "*", true
	}
	n := normalise(requested)
	_, found := o.plain[n.text]
	found = found || matchAny(o.byHost, n.host) || matchAny(o.byAll, n.text)
	return n.text, found
}

func matchAny(expressions []*regexp.Regexp, text string) bool {
	return slices.ContainsFunc(expressions, func(re *regexp.Regexp) bool { return re.MatchString(text) })
}

// origin is where a script comes from.
type origin struct {
	text string // scheme://host[:port], without the scheme's own port; the beginning of what was normalised
	host string
}

// normalise takes an origin apart. What is none, such as null, is its own host.
func normalise(text string) origin {
	opaque := origin{text, text}
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok || strings.ContainsAny(scheme, "/?#") {
		return opaque
	}
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		rest = rest[:end]
	}
	end := len(scheme) + len("://") + len(rest)
	host, port := rest, ""
	if i := strings.LastIndexByte(rest, ':'); i > strings.LastIndexByte(rest, ']') {
		host, port = rest[:i], rest[i+1:]
	}
	bracketed := strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]")
	if host == "" || strings.Contains(rest, "@") || strings.Contains(host, ":") && !bracketed {
		return opaque
	}
	if scheme == "http" && port == "80" || scheme == "https" && port == "443" {
		end -= len(":") + len(port)
	}
	return origin{text[:end], host}
}
