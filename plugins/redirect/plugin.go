// Package redirect is the plugin redirect: it sends clients to another place.
package redirect

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/outrigger-gateway/outrigger/pdk"
)

// Plugin is redirect.
var Plugin = pdk.Plugin{
	Name:     "redirect",
	Version:  "0.1.0",
	Priority: 779,
	New:      func() any { return &instance{Config: Config{StatusCode: http.StatusMovedPermanently}} },
}

type instance struct {
	Config
	origin  string              // scheme and host of the location
	headers map[string][]string // of an answer that does not look at the request
}

// Configure takes the location apart.
func (in *instance) Configure() error {
	u, err := url.Parse(in.Location)
	if err != nil {
		return &pdk.ConfigError{Path: "location", Message: "expected a URL: " + err.Error()}
	}
	in.origin = u.Scheme + "://" + u.Host
	in.headers = location(escape(in.Location))
	return nil
}

func location(to string) map[string][]string { return map[string][]string{"Location": {to}} }

// Access answers.
func (in *instance) Access(k *pdk.PDK) error {
	headers := in.headers
	if in.KeepIncomingPath {
		headers = location(in.origin + incoming(k.Request.GetPathWithQuery()))
	}
	return k.Response.Exit(in.StatusCode, "redirecting", headers)
}

// incoming is path and query of a request target, as the client sent them. Whatever the target is, they begin with a slash: no client can add to the
// host. A target in absolute form, RFC 9112 section 3.2.2, has scheme and host in front.
func incoming(target string) string {
	if _, rest, absolute := strings.Cut(target, "://"); absolute && !strings.HasPrefix(target, "/") {
		target = strings.TrimLeftFunc(rest, func(r rune) bool { return r != '/' && r != '?' })
	}
	switch {
	case strings.HasPrefix(target, "/"):
	case strings.HasPrefix(target, "?"):
		target = "/" + target
	default: // * or an authority
		target = "/"
	}
	return escape(target)
}

const hexDigits = "0123456789ABCDEF"

// escape percent-encodes what may not stand in a URL at all: control characters, blanks and bytes beyond ASCII.
func escape(text string) string {
	var b strings.Builder
	for i := range len(text) {
		if c := text[i]; c <= ' ' || c >= 0x7f {
			b.WriteByte('%')
			b.WriteByte(hexDigits[c>>4])
			b.WriteByte(hexDigits[c&15])
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}
