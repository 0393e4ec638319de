// Package explain says what the gateway would do with a request, without sending one: which route it gets and why, and which plugins run for it
// with which records, in which order and why. It asks the router and the plans of a generation, which explain themselves; here their answers
// are put together, compared between two configurations, and written for people and for programs. Nothing here does I/O.
package explain

import (
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
	"github.com/outrigger-gateway/outrigger/host/internal/generation"
	"github.com/outrigger-gateway/outrigger/host/internal/router"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// Query is a request that nobody sends.
type Query struct {
	Method     string   // GET if empty
	URL        string   // http://host/path?query, or /path alone
	Headers    []string // Name: value
	SNI        string   // server name of the TLS handshake
	ClientIP   string
	Consumer   string   // name or id: who is authenticated by the plugin that does that
	Groups     []string // names or ids of consumer groups: instead of those that the consumer belongs to
	Credential string   // key-auth=KEY or basic-auth=USERNAME, instead of the consumer
	ListenPort int      // of the listener; 0: 8000
}

// request is a query that was read: what the router and conditions get.
type request struct {
	router router.Request
	facts  wire.Facts

	route    *entity.Route // nil: none matches
	consumer *entity.Consumer
	groups   []wire.Group
	by       string // the plugin of the credential; "": there is none
}

// served is the route whose plugins the request meets; nil: it does not come to access.
func (r *request) served() *entity.Route {
	if r.route != nil && (r.route.ForGRPC() || r.route.SecureOnly() && !r.router.TLS) {
		return nil
	}
	return r.route
}

// turnedAway is the status by which the route answers a request that does not come to access; 0: it does.
func (r *request) turnedAway() int {
	switch {
	case r.served() != nil || r.route == nil:
		return 0
	case !r.route.ForGRPC():
		return r.route.HTTPSRedirectStatusCode
	}
	contentType, _ := r.router.Headers.HeaderValue("content-type", 0)
	if strings.HasPrefix(strings.ToLower(contentType), "application/grpc") {
		return http.StatusUpgradeRequired
	}
	return http.StatusUnsupportedMediaType
}

// Source implements router.Addresses.
func (r *request) Source() (netip.Addr, int) {
	a, _ := netip.ParseAddr(r.facts.Client.IP)
	return a, 0
}

// Destination implements router.Addresses: nobody sends the request anywhere.
func (r *request) Destination() netip.Addr { return netip.Addr{} }

// QueryError is a mistake in a query.
type QueryError struct {
	Field           string // of the query, as the flag is named
	Found, Expected string
}

func (e *QueryError) Error() string {
	return fmt.Sprintf("%s: found %q, expected %s", e.Field, e.Found, e.Expected)
}

// headers are those of a query, names in lower case.
type headers []wire.Header

// HeaderValue implements router.Headers.
func (hs headers) HeaderValue(name string, i int) (string, bool) {
	for _, h := range hs {
		if h.Name == name {
			if i == 0 {
				return h.Value, true
			}
			i--
		}
	}
	return "", false
}

// read turns a query into a request to a generation.
func (q *Query) read(g *generation.Generation) (*request, error) {
	r := &request{}
	if err := q.readTarget(r); err != nil {
		return nil, err
	}
	if err := q.readClient(r); err != nil {
		return nil, err
	}
	return r, q.readIdentity(g, r)
}

// readTarget reads method, URL and headers as the proxy reads those of a request.
func (q *Query) readTarget(r *request) error {
	var all headers
	for _, text := range q.Headers {
		name, value, ok := strings.Cut(text, ":")
		if name = strings.ToLower(strings.TrimSpace(name)); !ok || name == "" {
			return &QueryError{"header", text, "a name and a value such as X-Name: you"}
		}
		all = append(all, wire.Header{Name: name, Value: strings.TrimSpace(value)})
	}
	text := q.URL
	if text == "" {
		text = "/"
	}
	if strings.HasPrefix(text, "/") {
		text = "http://localhost" + text
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return &QueryError{"url", q.URL, "a URL such as http://example.com/orders?id=1, or a path such as /orders"}
	}
	authority := u.Host
	if sent, ok := all.HeaderValue("host", 0); ok {
		authority = sent
	} else {
		all = append(headers{{Name: "host", Value: authority}}, all...)
	}
	host, err := url.Parse("http://" + authority)
	if err != nil {
		return &QueryError{"header", "Host: " + authority, "a host with an optional port"}
	}
	port, _ := strconv.Atoi(host.Port()) // "" is 0: none was sent
	listen := q.ListenPort
	if listen == 0 {
		listen = 8000
	}
	method := q.Method
	if method == "" {
		method = "GET"
	}
	path := u.EscapedPath()
	if path == "" {
		path = "/"
	}
	target := path
	if u.RawQuery != "" {
		target += "?" + u.RawQuery
	}
	r.router = router.Request{
		Method: method, Scheme: u.Scheme, Host: strings.ToLower(host.Hostname()), HostPort: port, ListenPort: listen, Path: router.Normalize(path),
		TLS: u.Scheme == "https", SNI: strings.ToLower(q.SNI), Headers: all, Query: u.RawQuery, Addresses: r,
	}
	if q.SNI != "" {
		r.router.TLS, r.router.Scheme = true, "https"
	} else if r.router.TLS {
		r.router.SNI = r.router.Host
	}
	r.facts.Request = wire.Request{
		Method: method, Scheme: r.router.Scheme, Host: r.router.Host, Port: listen, HTTPVersion: 11, Target: target, Path: r.router.Path,
		RawQuery: u.RawQuery, Headers: all,
	}
	r.facts.TLS.Set = r.router.TLS
	return nil
}

func (q *Query) readClient(r *request) error {
	text := q.ClientIP
	if text == "" {
		text = "127.0.0.1"
	}
	ip, err := netip.ParseAddr(text)
	if err != nil {
		return &QueryError{"client-ip", q.ClientIP, "an IP address such as 10.0.0.1"}
	}
	r.facts.Client = wire.Client{IP: ip.String(), ForwardedIP: ip.String()}
	return nil
}

// readIdentity finds the consumer and the groups.
func (q *Query) readIdentity(g *generation.Generation, r *request) error {
	switch {
	case q.Credential != "" && q.Consumer != "":
		return &QueryError{"credential", q.Credential, "either a credential or a consumer, not both"}
	case q.Credential != "":
		var err error
		if r.consumer, r.by, err = ownerOf(g.Set, q.Credential); err != nil {
			return err
		}
	case q.Consumer != "":
		if r.consumer, _ = g.Consumer(q.Consumer, true); r.consumer == nil {
			return &QueryError{"consumer", q.Consumer, "the username or id of a consumer" + nearest(q.Consumer, usernames(g.Set))}
		}
	}
	if r.consumer != nil {
		_, r.facts.Consumer = g.Consumer(r.consumer.ID, false)
	}
	for _, name := range q.Groups {
		i := slices.IndexFunc(g.Set.ConsumerGroups, func(c *entity.ConsumerGroup) bool { return c.Name == name || c.ID == name })
		if i < 0 {
			var known []string
			for _, c := range g.Set.ConsumerGroups {
				known = append(known, c.Name)
			}
			return &QueryError{"group", name, "the name or id of a consumer group" + nearest(name, known)}
		}
		c := g.Set.ConsumerGroups[i]
		r.groups = append(r.groups, wire.Group{ID: c.ID, Name: c.Name})
	}
	r.facts.Groups = r.groups
	return nil
}

// ownerOf finds the consumer of a credential, and the plugin that looks at it. The credential itself is in no message.
func ownerOf(set *entity.Set, text string) (owner *entity.Consumer, plugin string, err error) {
	kind, key, ok := strings.Cut(text, "=")
	if !ok {
		return nil, "", &QueryError{"credential", kind, "a kind and a key: key-auth=KEY or basic-auth=USERNAME"}
	}
	switch kind {
	case "key-auth", "keyauth_credentials":
		for _, c := range set.KeyAuths {
			if c.Key == key {
				return c.Consumer, "key-auth", nil
			}
		}
	case "basic-auth", "basicauth_credentials":
		for _, c := range set.BasicAuths {
			if c.Username == key {
				return c.Consumer, "basic-auth", nil
			}
		}
	default:
		return nil, "", &QueryError{"credential", kind + "=…", "the kind key-auth or basic-auth"}
	}
	return nil, "", &QueryError{"credential", kind + "=…", "a credential that a consumer has"}
}

func usernames(set *entity.Set) (names []string) {
	for _, c := range set.Consumers {
		if c.Username != "" {
			names = append(names, c.Username)
		}
	}
	return names
}

// nearest suggests the name that shares most of its beginning with the one that was found.
func nearest(found string, names []string) string {
	best, length := "", 1
	for _, name := range names {
		n := 0
		for n < len(name) && n < len(found) && name[n] == found[n] {
			n++
		}
		if n > length {
			best, length = name, n
		}
	}
	if best == "" {
		return ""
	}
	return " (nearest: " + best + ")"
}
