package pdk

import (
	"encoding/json"
	"iter"
	"maps"
)

// Pair is one entry of a MultiMap.
type Pair struct {
	Name  string
	Value string
}

// MultiMap holds header lines in the order in which they arrived. Names are lower-cased with dashes. Looking a name up ignores case,
// and - and _ are the same. The zero MultiMap is empty. It may be kept, and used by several goroutines at once.
type MultiMap struct {
	pairs     []Pair
	truncated bool
}

// NewMultiMap makes a MultiMap that owns pairs; truncated says that entries were left out.
func NewMultiMap(pairs []Pair, truncated bool) MultiMap {
	return MultiMap{pairs: pairs, truncated: truncated}
}

// Get is the first value under name. An empty value is there: "" and true.
func (m MultiMap) Get(name string) (string, bool) {
	for i := range m.pairs {
		if sameName(m.pairs[i].Name, name) {
			return m.pairs[i].Value, true
		}
	}
	return "", false
}

// Values lists the values under name in arrival order; nil when there are none. The caller owns the slice.
func (m MultiMap) Values(name string) []string {
	var values []string
	for i := range m.pairs {
		if sameName(m.pairs[i].Name, name) {
			values = append(values, m.pairs[i].Value)
		}
	}
	return values
}

// Len is the number of lines: two lines of one name count twice.
func (m MultiMap) Len() int { return len(m.pairs) }

// All walks names and values in arrival order.
func (m MultiMap) All() iter.Seq2[string, string] {
	return func(yield func(name, value string) bool) {
		for i := range m.pairs {
			if !yield(m.pairs[i].Name, m.pairs[i].Value) {
				return
			}
		}
	}
}

// Truncated reports whether there were more lines than the call asked for.
func (m MultiMap) Truncated() bool { return m.truncated }

// Map collects the values by name. The caller owns the map.
func (m MultiMap) Map() map[string][]string {
	out := make(map[string][]string, len(m.pairs))
	for i := range m.pairs {
		out[m.pairs[i].Name] = append(out[m.pairs[i].Name], m.pairs[i].Value)
	}
	return out
}

// sameName compares header names: ASCII case does not matter, - and _ are the same.
func sameName(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if a[i] != b[i] && foldName(a[i]) != foldName(b[i]) {
			return false
		}
	}
	return true
}

func foldName(c byte) byte {
	switch {
	case c == '_':
		return '-'
	case 'A' <= c && c <= 'Z':
		return c + ('a' - 'A')
	}
	return c
}

// QueryValue is the value of one query argument: percent-decoded text, or nothing for an argument without an equals sign.
type QueryValue struct {
	Text string
	Bare bool // ?flag, as opposed to ?flag=
}

// QueryArg is one entry of a Query.
type QueryArg struct {
	Name  string
	Value QueryValue
}

// Query holds query arguments, percent-decoded, in the order in which they stand. Names are compared byte by byte. The zero Query is
// empty. It may be kept, and used by several goroutines at once.
type Query struct {
	args      []QueryArg
	truncated bool
}

// NewQuery makes a Query that owns args; truncated says that arguments were left out.
func NewQuery(args []QueryArg, truncated bool) Query {
	return Query{args: args, truncated: truncated}
}

// Get is the first value under name.
func (q Query) Get(name string) (QueryValue, bool) {
	for i := range q.args {
		if q.args[i].Name == name {
			return q.args[i].Value, true
		}
	}
	return QueryValue{}, false
}

// Values lists the values under name in order; nil when there are none. The caller owns the slice.
func (q Query) Values(name string) []QueryValue {
	var values []QueryValue
	for i := range q.args {
		if q.args[i].Name == name {
			values = append(values, q.args[i].Value)
		}
	}
	return values
}

// Len is the number of arguments: two of one name count twice.
func (q Query) Len() int { return len(q.args) }

// All walks names and values in order.
func (q Query) All() iter.Seq2[string, QueryValue] {
	return func(yield func(name string, value QueryValue) bool) {
		for i := range q.args {
			if !yield(q.args[i].Name, q.args[i].Value) {
				return
			}
		}
	}
}

// Truncated reports whether there were more arguments than the call asked for.
func (q Query) Truncated() bool { return q.truncated }

// Map collects the values by name, in the shape that ServiceRequest.SetQuery takes. The caller owns the map.
func (q Query) Map() map[string][]QueryValue {
	out := make(map[string][]QueryValue, len(q.args))
	for i := range q.args {
		out[q.args[i].Name] = append(out[q.args[i].Name], q.args[i].Value)
	}
	return out
}

// Captures is what the groups of a route's regex path matched. It is shared by all calls of the request: do not change it.
type Captures struct {
	Unnamed []string          // the first group is at 0
	Named   map[string]string // by group name
}

// Ref names another entity by its id.
type Ref struct {
	ID string `json:"id"`
}

// Route is a route as it is configured. Routes, services and consumers are shared by all requests: do not change them.
type Route struct {
	ID                      string              `json:"id"` // a UUID
	Name                    string              `json:"name,omitempty"`
	Protocols               []string            `json:"protocols"`
	Methods                 []string            `json:"methods,omitempty"`
	Hosts                   []string            `json:"hosts,omitempty"`
	Paths                   []string            `json:"paths,omitempty"`
	Headers                 map[string][]string `json:"headers,omitempty"`
	SNIs                    []string            `json:"snis,omitempty"`
	StripPath               bool                `json:"strip_path"`
	PathHandling            string              `json:"path_handling"`        // v0 or v1
	PathMatch               string              `json:"path_match,omitempty"` // segment or exact; "": literal paths are prefixes
	PreserveHost            bool                `json:"preserve_host"`
	HTTPSRedirectStatusCode int                 `json:"https_redirect_status_code"`
	RegexPriority           int                 `json:"regex_priority"`
	Expression              string              `json:"expression,omitempty"` // of the router flavour expressions; "": the attributes above
	Priority                int                 `json:"priority,omitempty"`   // larger first, whatever else the route has
	RequestBuffering        bool                `json:"request_buffering"`
	ResponseBuffering       bool                `json:"response_buffering"`
	Service                 *Ref                `json:"service,omitempty"` // nil: a plugin answers
	Tags                    []string            `json:"tags,omitempty"`
	CreatedAt               int64               `json:"created_at"` // seconds since the epoch
	UpdatedAt               int64               `json:"updated_at"` // seconds since the epoch
}

// Service is a service as it is configured.
type Service struct {
	ID             string   `json:"id"` // a UUID
	Name           string   `json:"name,omitempty"`
	Protocol       string   `json:"protocol"` // http or https
	Host           string   `json:"host"`
	Port           int      `json:"port"`
	Path           string   `json:"path,omitempty"`
	Retries        int      `json:"retries"`
	ConnectTimeout int      `json:"connect_timeout"` // milliseconds
	WriteTimeout   int      `json:"write_timeout"`   // milliseconds
	ReadTimeout    int      `json:"read_timeout"`    // milliseconds
	TLSVerify      *bool    `json:"tls_verify,omitempty"`
	Enabled        bool     `json:"enabled"`
	Tags           []string `json:"tags,omitempty"`
	CreatedAt      int64    `json:"created_at"` // seconds since the epoch
	UpdatedAt      int64    `json:"updated_at"` // seconds since the epoch
}

// Consumer is somebody who uses the gateway.
type Consumer struct {
	ID        string   `json:"id"` // a UUID
	Username  string   `json:"username,omitempty"`
	CustomID  string   `json:"custom_id,omitempty"`
	Tags      []string `json:"tags,omitempty"`
	CreatedAt int64    `json:"created_at"` // seconds since the epoch
	UpdatedAt int64    `json:"updated_at"` // seconds since the epoch
}

// ConsumerGroup is a set of consumers.
type ConsumerGroup struct {
	ID   string `json:"id"` // a UUID
	Name string `json:"name,omitempty"`
}

// Body is a parsed body.
type Body struct {
	Value any    // map[string]any or []any; values as encoding/json gives them, integers as int64
	MIME  string // media type by which it was parsed, without parameters
}

// Reference is a reference to a secret in its parts: in braces, vault://name/resource/key?option=value#version.
type Reference struct {
	Name     string            `json:"name"`     // of the vault
	Resource string            `json:"resource"` // the secret
	Key      string            `json:"key"`      // a field of it; "" for all of it
	Config   map[string]string `json:"config"`   // options; empty when there are none
	Version  int               `json:"version"`  // 0: the current one
}

// Credential is what a consumer authenticated with. Its JSON form, which is also the form on the wire, is one flat object: id, consumer_id
// and the other fields side by side.
type Credential struct {
	ID         string
	ConsumerID string         // the consumer's id; "" when it belongs to none
	Fields     map[string]any // the other fields, such as key; values as encoding/json or MessagePack gives them
}

// CredentialOf makes a Credential of the flat form. It keeps no reference to fields.
func CredentialOf(fields map[string]any) *Credential {
	c := &Credential{Fields: make(map[string]any, len(fields))}
	for name, value := range fields {
		text, isText := value.(string)
		switch {
		case name == "id" && isText:
			c.ID = text
		case name == "consumer_id" && isText:
			c.ConsumerID = text
		default:
			c.Fields[name] = value
		}
	}
	return c
}

// Map is the flat form: Fields with id and consumer_id. The caller owns the map.
func (c *Credential) Map() map[string]any {
	out := make(map[string]any, len(c.Fields)+2)
	maps.Copy(out, c.Fields)
	if c.ID != "" {
		out["id"] = c.ID
	}
	if c.ConsumerID != "" {
		out["consumer_id"] = c.ConsumerID
	}
	return out
}

// MarshalJSON writes the flat form.
func (c Credential) MarshalJSON() ([]byte, error) { return json.Marshal(c.Map()) }

// UnmarshalJSON reads the flat form.
func (c *Credential) UnmarshalJSON(text []byte) error {
	var fields map[string]any
	if err := json.Unmarshal(text, &fields); err != nil {
		return err
	}
	*c = *CredentialOf(fields)
	return nil
}
