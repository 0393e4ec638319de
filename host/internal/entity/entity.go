// Package entity holds the configured entities as plain data. Package config fills and checks them; nothing here does I/O.
package entity

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
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
	Hash           string // of the content, 32 hex digits
	Blank          bool   // the document held nothing at all, not even a _format_version
}

// WithOwnPlugins is a copy whose plugin records may be changed: their configurations are copies too.
func (s *Set) WithOwnPlugins() *Set {
	c := *s
	c.Plugins = make([]*Plugin, len(s.Plugins))
	for i, p := range s.Plugins {
		own := *p
		if p.Config != nil {
			own.Config = cloneJSON(p.Config).(map[string]any)
		}
		c.Plugins[i] = &own
	}
	return &c
}

// cloneJSON copies what decoding JSON or YAML made.
func cloneJSON(v any) any {
	switch v := v.(type) {
	case map[string]any:
		c := make(map[string]any, len(v))
		for k, e := range v {
			c[k] = cloneJSON(e)
		}
		return c
	case []any:
		c := make([]any, len(v))
		for i, e := range v {
			c[i] = cloneJSON(e)
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

// Upstream is a name for several targets that do the same work.
type Upstream struct {
	ID         string
	Name       string
	HostHeader string // Host of the requests; "": that of the target
	Targets    []*Target
	Tags       []string
	CreatedAt  int64
	UpdatedAt  int64
	Pos        Pos
}

// Target is one place of an upstream.
type Target struct {
	ID        string
	Target    string // host:port, IPv6 in brackets
	Weight    int    // its share; 0: none
	Tags      []string
	CreatedAt int64
	UpdatedAt int64
	Pos       Pos
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
	PathHandling            string              `json:"path_handling"` // v0, v1
	PreserveHost            bool                `json:"preserve_host"`
	HTTPSRedirectStatusCode int                 `json:"https_redirect_status_code"`
	RegexPriority           int                 `json:"regex_priority"`
	RequestBuffering        bool                `json:"request_buffering"`
	ResponseBuffering       bool                `json:"response_buffering"`
	Service                 *Service            `json:"service,omitempty"` // nil: a plugin must answer
	Tags                    []string            `json:"tags,omitempty"`
	CreatedAt               int64               `json:"created_at"`
	UpdatedAt               int64               `json:"updated_at"`
	Pos                     Pos                 `json:"-"`
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

// Plugin is one stored configuration of a plugin ("plugin config" in our words).
type Plugin struct {
	ID            string
	Name          string
	InstanceName  string
	Service       *Service
	Route         *Route
	Consumer      *Consumer
	ConsumerGroup *ConsumerGroup
	Config        map[string]any // as written; after config.ResolvePlugins with the schema's defaults filled in
	// Resolved is Config with the secrets that its references lead to; nil when it has none. It is never shown.
	Resolved map[string]any
	// Secrets are the texts of the configuration that no message may show.
	Secrets   []string
	Protocols []string
	Enabled   bool
	Tags      []string

	Timeout    int    // milliseconds per phase call; 0: the server's
	FailMode   string // "", open, closed
	FailStatus int    // 0: the server's, else 500
	// AllowFailOpen confirms fail_mode open on a plugin that authenticates.
	AllowFailOpen bool

	Pos  Pos
	Path string // place of the record in its document, such as services[0].plugins[1]
	// At finds the place of a value inside Config, such as ["limits", "0", "name"], or of the nearest value around it;
	// KeyAt finds the place of its key; FieldAt that of a field of the record itself. They are nil when the record does not come
	// from a document.
	At      func(path []string) Pos
	KeyAt   func(path []string) Pos
	FieldAt func(name string) Pos
}

// Effective is the configuration that the instance gets.
func (p *Plugin) Effective() map[string]any {
	if p.Resolved != nil {
		return p.Resolved
	}
	return p.Config
}

// Redact replaces the secrets of the configuration in a text, such as the error by which a plugin refuses it.
func (p *Plugin) Redact(text string) string {
	var spellings []string
	for _, s := range p.Secrets {
		spellings = append(spellings, s)
		for _, quoted := range []string{strconv.Quote(s), strconv.QuoteToASCII(s)} {
			spellings = append(spellings, quoted[1:len(quoted)-1])
		}
	}
	slices.SortFunc(spellings, func(a, b string) int { return len(b) - len(a) }) // one may be a part of another
	for _, s := range spellings {
		text = strings.ReplaceAll(text, s, "***")
	}
	return text
}

// Scope names the record's scope for messages: "global", "route orders", "service s, consumer c".
func (p *Plugin) Scope() string {
	s := ""
	add := func(kind, id, name string) {
		if s != "" {
			s += ", "
		}
		if name == "" {
			name = id
		}
		s += kind + " " + name
	}
	if p.Route != nil {
		add("route", p.Route.ID, p.Route.Name)
	}
	if p.Service != nil {
		add("service", p.Service.ID, p.Service.Name)
	}
	if p.Consumer != nil {
		add("consumer", p.Consumer.ID, p.Consumer.Username)
	}
	if p.ConsumerGroup != nil {
		add("consumer_group", p.ConsumerGroup.ID, p.ConsumerGroup.Name)
	}
	if s == "" {
		return "global"
	}
	return s
}

// ScopeIDs lists the ids of route, service, consumer and group that the record is bound to; absent ones are empty.
func (p *Plugin) ScopeIDs() [4]string {
	var ids [4]string
	if p.Route != nil {
		ids[0] = p.Route.ID
	}
	if p.Service != nil {
		ids[1] = p.Service.ID
	}
	if p.Consumer != nil {
		ids[2] = p.Consumer.ID
	}
	if p.ConsumerGroup != nil {
		ids[3] = p.ConsumerGroup.ID
	}
	return ids
}
