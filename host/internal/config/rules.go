package config

import (
	"net/netip"
	"regexp/syntax"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/outrigger-gateway/outrigger/host/internal/router"
)

// The rules of single values, as Kong has them.

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }
func isDigit(c byte) bool  { return c >= '0' && c <= '9' }
func isHex(c byte) bool    { return isDigit(c) || c|0x20 >= 'a' && c|0x20 <= 'f' }

// uuidText is the rule of ids.
func uuidText(s string) *problem {
	if !isUUID(s) {
		return &problem{expected: "a UUID such as 4e8d95d4-40f2-4818-adcb-30e00c349618", fix: "remove the id, one is made"}
	}
	return nil
}

func isUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		dash := i == 8 || i == 13 || i == 18 || i == 23
		if dash != (s[i] == '-') || !dash && !isHex(s[i]) {
			return false
		}
	}
	return true
}

// entityName is the rule of names of services, routes, groups and instances.
func entityName(s string) *problem {
	for i := range len(s) {
		c := s[i]
		if isLetter(c) || isDigit(c) || strings.IndexByte(".-_~", c) >= 0 || c >= utf8.RuneSelf {
			continue
		}
		fixed := strings.Map(func(r rune) rune {
			if r < utf8.RuneSelf && !isLetter(byte(r)) && !isDigit(byte(r)) && !strings.ContainsRune(".-_~", r) {
				return '-'
			}
			return r
		}, s)
		return &problem{expected: "a name of letters, digits, '.', '-', '_' and '~'", fix: "write " + quote(fixed)}
	}
	return nil
}

// tag is the rule of tags.
func tag(s string) *problem {
	if strings.ContainsAny(s, ",/") || strings.ContainsFunc(s, func(r rune) bool { return r < 0x20 || r == 0x7f }) {
		return &problem{expected: "a tag of printable characters without ',' and '/'"}
	}
	return nil
}

// method is the rule of HTTP methods.
func method(s string) *problem {
	for i := range len(s) {
		if s[i] < 'A' || s[i] > 'Z' {
			p := &problem{expected: "an HTTP method in upper-case letters"}
			if up := strings.ToUpper(s); up != s && method(up) == nil {
				p.fix = "write " + quote(up)
			}
			return p
		}
	}
	return nil
}

// headerName is the rule of header names in entities.
func headerName(s string) bool {
	for i := range len(s) {
		if !isLetter(s[i]) && !isDigit(s[i]) && s[i] != '-' && s[i] != '_' {
			return false
		}
	}
	return s != ""
}

// hostname reports whether s is a name of labels; underscores are allowed, as Kong allows them.
func hostname(s string) bool {
	if len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(strings.TrimSuffix(s, "."), ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for i := range len(label) {
			if c := label[i]; !isLetter(c) && !isDigit(c) && c != '-' && c != '_' {
				return false
			}
		}
	}
	return true
}

// serviceHost is the rule of a service's host: a name or an address, no port.
func serviceHost(s string) *problem {
	bare := strings.TrimSuffix(strings.TrimPrefix(s, "["), "]")
	if _, err := netip.ParseAddr(bare); err == nil || hostname(s) {
		return nil
	}
	p := &problem{expected: "a host name or an IP address without port and path"}
	if host, port, ok := splitPort(s); strings.Contains(s, "://") {
		p.fix = "write url: " + quote(s)
	} else if ok && validPort(port) && (hostname(host) || isAddress(host)) {
		p.fix = "write host: " + host + " and port: " + port
	}
	return p
}

func isAddress(s string) bool {
	_, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(s, "["), "]"))
	return err == nil
}

// splitPort splits "name:80" and "[::1]:80"; an IPv6 address without brackets has no port.
func splitPort(s string) (host, port string, ok bool) {
	i := strings.LastIndexByte(s, ':')
	if i < 0 || strings.HasSuffix(s, "]") || strings.Contains(s[:i], ":") && !strings.HasSuffix(s[:i], "]") {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}

func validPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && isDigits(s) && n <= 65535
}

// routeHost is the rule of a route's host: a name or an address with optional port, or a name with one * at either end.
func routeHost(s string) *problem {
	host, port, hasPort := splitPort(s)
	if strings.Contains(s, "/") {
		return &problem{expected: "a host name or an IP address, with optional port, without scheme and path"}
	}
	if hasPort && (!validPort(port) || strings.Trim(port, "0") == "") {
		return &problem{expected: "a port from 1 to 65535 after the host"}
	}
	if strings.Contains(host, "*") {
		return wildcard(host, "a host with * as its whole first or last label, such as *.example.com or example.*")
	}
	if isAddress(host) || hostname(host) {
		return nil
	}
	return &problem{expected: "a host name or an IP address, with optional port"}
}

// sni is the rule of TLS server names.
func sni(s string) *problem {
	if strings.Contains(s, "*") {
		return wildcard(s, "a name with * as its whole first or last label")
	}
	if !hostname(s) || isAddress(s) {
		return &problem{expected: "a TLS server name without port"}
	}
	return nil
}

func wildcard(host, expected string) *problem {
	rest, leading := strings.CutPrefix(host, "*.")
	if !leading {
		var trailing bool
		if rest, trailing = strings.CutSuffix(host, ".*"); !trailing {
			return &problem{expected: expected}
		}
	}
	if strings.Contains(rest, "*") || !hostname(rest) {
		return &problem{expected: expected}
	}
	return nil
}

const rfc3986 = "-._~:/?#[]@!$&'()*+,;=%"

// servicePath is the rule of a service's path.
func servicePath(s string) *problem {
	switch {
	case s[0] != '/':
		return &problem{expected: `a path that starts with "/"`, fix: "write " + quote(collapse("/"+s))}
	case strings.Contains(s, "//"):
		return &problem{expected: "a path without empty segments", fix: "write " + quote(collapse(s))}
	case !percentOK(s):
		return &problem{expected: "two hex digits after every %", fix: "write % as %25"}
	}
	for i := range len(s) {
		if c := s[i]; !isLetter(c) && !isDigit(c) && strings.IndexByte(rfc3986, c) < 0 {
			return &problem{expected: "a path of the characters that RFC 3986 allows", fix: "percent-encode the others"}
		}
		if s[i] == '?' || s[i] == '#' {
			return &problem{expected: "a path without query and fragment", fix: "write " + quote(s[:i])}
		}
	}
	return nil
}

// routePath is the rule of a route's path: "/…" is a literal prefix in normal form, "~/…" a regular expression.
func routePath(s string) *problem {
	if s[0] == '~' {
		if !strings.HasPrefix(s, "~/") {
			return &problem{expected: `a regular expression that starts with "~/"`}
		}
		if strings.Contains(s, "//") {
			return &problem{expected: `a path without "//"`, fix: "write " + quote("~"+collapse(s[1:]))}
		}
		return regex(s[1:])
	}
	switch {
	case s[0] != '/':
		return &problem{expected: `a path that starts with "/" (literal) or "~/" (regular expression)`, fix: "write " + quote(collapse("/"+s))}
	case strings.Contains(s, "//"):
		return &problem{expected: `a path without "//"`, fix: "write " + quote(collapse(s))}
	case !percentOK(s):
		return &problem{expected: "two hex digits after every %", fix: "write % as %25"}
	}
	if normal := router.Normalize(s); normal != s {
		return &problem{expected: "a path in normal form", fix: "write " + quote(normal)}
	}
	return nil
}

// regex checks the syntax of a regular expression; the router compiles it.
func regex(s string) *problem {
	_, err := syntax.Parse(s, syntax.Perl)
	if err == nil {
		return nil
	}
	reason := strings.TrimPrefix(err.Error(), "error parsing regexp: ")
	p := &problem{expected: "a regular expression in RE2 syntax (" + reason + ")"}
	for _, look := range []string{"(?=", "(?!", "(?<=", "(?<!"} {
		if strings.Contains(s, look) {
			p.fix = "RE2 has no look-around: write it without " + look
			break
		}
	}
	return p
}

func collapse(s string) string {
	for strings.Contains(s, "//") {
		s = strings.ReplaceAll(s, "//", "/")
	}
	return s
}

func percentOK(s string) bool {
	for i := range len(s) {
		if s[i] == '%' && (i+2 >= len(s) || !isHex(s[i+1]) || !isHex(s[i+2])) {
			return false
		}
	}
	return true
}
