package requesttermination

import (
	"errors"
	"os"

	"github.com/outrigger-gateway/outrigger/pdk"
)

// echoed is the body of an answer that echoes its request.
type echoed struct {
	Message        string        `json:"message,omitempty"`
	Kong           node          `json:"kong"`
	Request        echoedRequest `json:"request"`
	MatchedRoute   *pdk.Route    `json:"matched_route,omitempty"`
	MatchedService *pdk.Service  `json:"matched_service,omitempty"`
}

// node is who answers. The key kong is the one that clients of this plugin know.
type node struct {
	ID       string `json:"node_id"`
	PID      int    `json:"worker_pid"` // of the process that the plugin runs in
	Hostname string `json:"hostname"`
}

type echoedRequest struct {
	Scheme      string         `json:"scheme"`
	Host        string         `json:"host"`
	Port        int            `json:"port"`
	Method      string         `json:"method"`
	Path        string         `json:"path"`
	Headers     map[string]any `json:"headers"`            // text, a list for a repeated name
	Query       map[string]any `json:"query"`              // text, true for a name without an equals sign, a list for a repeated name
	Body        any            `json:"body,omitempty"`     // parsed; left out when it is no form, JSON or multipart
	RawBody     *string        `json:"raw_body,omitempty"` // left out when it is larger than the gateway holds in memory
	URICaptures captures       `json:"uri_captures"`
}

type captures struct {
	Named   map[string]string `json:"named"`
	Unnamed []string          `json:"unnamed"`
}

func echo(k *pdk.PDK, message string) (*echoed, error) {
	headers, err := k.Request.GetHeaders(-1)
	if err != nil {
		return nil, err
	}
	query, err := k.Request.GetQuery(-1)
	if err != nil {
		return nil, err
	}
	e := &echoed{
		Message: message,
		Kong:    node{ID: k.Node.GetID(), PID: os.Getpid(), Hostname: k.Node.GetHostname()},
		Request: echoedRequest{
			Scheme: k.Request.GetScheme(), Host: k.Request.GetHost(), Port: k.Request.GetPort(),
			Method: k.Request.GetMethod(), Path: k.Request.GetPath(),
			Headers: map[string]any{}, Query: map[string]any{},
			URICaptures: captures{Named: map[string]string{}, Unnamed: []string{}},
		},
		MatchedRoute:   k.Router.GetRoute(),
		MatchedService: k.Router.GetService(),
	}
	r := &e.Request
	for name, value := range headers.All() {
		add(r.Headers, name, value)
	}
	for name, value := range query.All() {
		if value.Bare {
			add(r.Query, name, true)
		} else {
			add(r.Query, name, value.Text)
		}
	}
	c := k.Request.GetURICaptures()
	if c.Named != nil {
		r.URICaptures.Named = c.Named
	}
	if c.Unnamed != nil {
		r.URICaptures.Unnamed = c.Unnamed
	}
	return e, r.takeBody(k)
}

// takeBody echoes the body, as far as it can be read.
func (r *echoedRequest) takeBody(k *pdk.PDK) error {
	raw, err := k.Request.GetRawBody()
	if errors.Is(err, pdk.ErrData) {
		k.Log.Info("the request body is not echoed: ", err)
		return nil
	}
	if err != nil {
		return err
	}
	text := string(raw)
	r.RawBody = &text
	body, err := k.Request.GetBody("", -1)
	if errors.Is(err, pdk.ErrData) {
		return nil // there is none, or none that has fields
	}
	r.Body = body.Value
	return err
}

// add adds a value under a name; from the second on they are a list.
func add(to map[string]any, name string, value any) {
	switch old := to[name].(type) {
	case nil:
		to[name] = value
	case []any:
		to[name] = append(old, value)
	default:
		to[name] = []any{old, value}
	}
}
