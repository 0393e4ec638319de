// Package entity holds the configured entities as plain data. Package config fills and checks them; nothing here does I/O.
package entity

import (
	"cmp"
	"fmt"
	"slices"
)

// Pos is a place in a configuration file; the zero Pos is unknown.
type Pos struct {
	File string
	Line int
	Col  int
}

func (p Pos) String() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Col)
}

// Set is one whole configuration, references resolved, defaults filled, ids given. It is not changed after it was made.
type Set struct {
	Services       []*Service
	Routes         []*Route
	Consumers      []*Consumer
	ConsumerGroups []*ConsumerGroup
	KeyAuths       []*KeyAuthCredential
	BasicAuths     []*BasicAuthCredential
	ACLs           []*ACL
	Upstreams      []*Upstream
	Plugins        []*Plugin
	ClonedPlugins  []*ClonedPlugin
	Partials       []*Partial
	Vaults         []*Vault
	Certificates   []*Certificate
	SNIs           []*SNI
	CACertificates []*CACertificate
	KeySets        []*KeySet
	Keys           []*Key
	HMACAuths      []*HMACAuthCredential
	JWTSecrets     []*JWTSecret
	OAuth2         []*OAuth2Credential
	Hash           string // of the content, 32 hex digits
	// Hidden are the texts of the document that came from the environment.
	Hidden []string `json:"-"`
	Blank  bool     // the document held nothing at all, not even a _format_version
}

// Empty reports whether there is no entity.
func (s *Set) Empty() bool {
	return len(s.Services)+len(s.Routes)+len(s.Consumers)+len(s.ConsumerGroups)+len(s.KeyAuths)+len(s.BasicAuths)+len(s.ACLs)+len(s.Upstreams)+
		len(s.Plugins)+len(s.ClonedPlugins)+len(s.Partials)+len(s.Vaults)+len(s.Certificates)+len(s.SNIs)+len(s.CACertificates)+len(s.KeySets)+
		len(s.Keys)+len(s.HMACAuths)+len(s.JWTSecrets)+len(s.OAuth2) == 0
}

// Unused names the collections that hold entities which nothing in this version uses.
func (s *Set) Unused() []string {
	var names []string
	for _, c := range []struct {
		name string
		n    int
	}{
		{"certificates", len(s.Certificates)}, {"snis", len(s.SNIs)}, {"ca_certificates", len(s.CACertificates)}, {"key_sets", len(s.KeySets)},
		{"keys", len(s.Keys)},
	} {
		if c.n > 0 {
			names = append(names, c.name)
		}
	}
	return names
}

// WithOwnPlugins is a copy whose plugin records may be changed: their configurations are copies too.
func (s *Set) WithOwnPlugins() *Set {
	c := *s
	c.Plugins = make([]*Plugin, len(s.Plugins))
	for i, p := range s.Plugins {
		own := *p
		if p.Config != nil {
			own.Config = CloneJSON(p.Config).(map[string]any)
		}
		c.Plugins[i] = &own
	}
	return &c
}

// CloneJSON copies what decoding JSON or YAML made.
func CloneJSON(v any) any {
	switch v := v.(type) {
	case map[string]any:
		c := make(map[string]any, len(v))
		for k, e := range v {
			c[k] = CloneJSON(e)
		}
		return c
	case []any:
		c := make([]any, len(v))
		for i, e := range v {
			c[i] = CloneJSON(e)
		}
		return c
	}
	return v
}

// Service is where requests are sent to.
type Service struct {
	ID             string   `json:"id"`
	Name           string   `json:"name,omitempty"`
	Protocol       string   `json:"protocol"` // http, https
	Host           string   `json:"host"`
	Port           int      `json:"port"`
	Path           string   `json:"path,omitempty"`
	Retries        int      `json:"retries"`
	ConnectTimeout int      `json:"connect_timeout"` // milliseconds
	WriteTimeout   int      `json:"write_timeout"`
	ReadTimeout    int      `json:"read_timeout"`
	TLSVerify      *bool    `json:"tls_verify,omitempty"`
	Enabled        bool     `json:"enabled"`
	Tags           []string `json:"tags,omitempty"`
	CreatedAt      int64    `json:"created_at"`
	UpdatedAt      int64    `json:"updated_at"`
	// Upstream balances the requests when Host is its name; nil: Host is where they go.
	Upstream *Upstream `json:"-"`
	Pos      Pos       `json:"-"`
}

// Route says which requests go to a service.
type Route struct {
	ID                      string              `json:"id"`
	Name                    string              `json:"name,omitempty"`
	Protocols               []string            `json:"protocols"`
	Methods                 []string            `json:"methods,omitempty"`
	Hosts                   []string            `json:"hosts,omitempty"`
	Paths                   []string            `json:"paths,omitempty"`
	Headers                 map[string][]string `json:"headers,omitempty"`
	SNIs                    []string            `json:"snis,omitempty"`
	StripPath               bool                `json:"strip_path"`
	PathHandling            string              `json:"path_handling"`        // v0, v1
	PathMatch               string              `json:"path_match,omitempty"` // of literal paths: PathSegment, PathExact; "": PathPrefix
	PreserveHost            bool                `json:"preserve_host"`
	HTTPSRedirectStatusCode int                 `json:"https_redirect_status_code"`
	RegexPriority           int                 `json:"regex_priority"`
	Expression              string              `json:"expression,omitempty"` // of the router flavour expressions; "": the attributes above
	Priority                int                 `json:"priority,omitempty"`   // larger first, whatever else the route has
	RequestBuffering        bool                `json:"request_buffering"`
	ResponseBuffering       bool                `json:"response_buffering"`
	Service                 *Service            `json:"service,omitempty"` // nil: a plugin must answer
	Tags                    []string            `json:"tags,omitempty"`
	CreatedAt               int64               `json:"created_at"`
	UpdatedAt               int64               `json:"updated_at"`
	Pos                     Pos                 `json:"-"`
}

// What a literal path of a route matches.
const (
	PathPrefix  = "prefix"  // what begins with it
	PathSegment = "segment" // what begins with it as whole segments: /api and /api/x, not /apix
	PathExact   = "exact"   // itself
)

// SecureOnly reports whether the route is for https alone: a plain request is told so, or sent there, and its plugins do not run (spec/gateway.md 2.7).
func (r *Route) SecureOnly() bool {
	return !slices.ContainsFunc(r.Protocols, func(p string) bool { return p != "https" })
}

// ForGRPC reports whether the route is for gRPC. Its protocols are all of one group.
func (r *Route) ForGRPC() bool {
	return slices.Contains(r.Protocols, "grpc") || slices.Contains(r.Protocols, "grpcs")
}

// Consumer is somebody who uses the gateway.
type Consumer struct {
	ID        string           `json:"id"`
	Username  string           `json:"username,omitempty"`
	CustomID  string           `json:"custom_id,omitempty"`
	Tags      []string         `json:"tags,omitempty"`
	Groups    []*ConsumerGroup `json:"-"` // in the order of spec 5.6
	CreatedAt int64            `json:"created_at"`
	UpdatedAt int64            `json:"updated_at"`
	Pos       Pos              `json:"-"`
}

// ConsumerGroup is a set of consumers.
type ConsumerGroup struct {
	ID       string   `json:"id"`
	Name     string   `json:"name"`
	Priority int      `json:"priority,omitempty"`
	Tags     []string `json:"tags,omitempty"`
	Pos      Pos      `json:"-"`
}

// CompareGroups is the order in which the groups of a consumer are tried: larger priority first, then by name, then by id.
func CompareGroups(a, b *ConsumerGroup) int {
	return cmp.Or(cmp.Compare(b.Priority, a.Priority), cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID))
}

// KeyAuthCredential is a key of a consumer.
type KeyAuthCredential struct {
	ID        string    `json:"id"`
	Key       string    `json:"key"`
	TTL       int       `json:"ttl,omitempty"` // seconds after CreatedAt; 0: for ever
	Consumer  *Consumer `json:"-"`
	Tags      []string  `json:"tags,omitempty"`
	CreatedAt int64     `json:"created_at"`
	Pos       Pos       `json:"-"`
}

// BasicAuthCredential is a user name of a consumer, with a password.
type BasicAuthCredential struct {
	ID        string    `json:"id"`
	Username  string    `json:"username"`
	Password  string    `json:"password"` // lower-case hex SHA-1 of the password followed by the consumer's id
	Consumer  *Consumer `json:"-"`
	Tags      []string  `json:"tags,omitempty"`
	CreatedAt int64     `json:"created_at"`
	Pos       Pos       `json:"-"`
}

// ACL puts a consumer into a group of the plugin acl. Such groups are names, and have nothing to do with consumer groups.
type ACL struct {
	ID        string    `json:"id"`
	Group     string    `json:"group"`
	Consumer  *Consumer `json:"-"`
	Tags      []string  `json:"tags,omitempty"`
	CreatedAt int64     `json:"created_at"`
	Pos       Pos       `json:"-"`
}
