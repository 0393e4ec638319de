package vectors

import (
	"fmt"
	"maps"
	"slices"

	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// Facts are the fields of the call that differ from GET http://gw.test:8000/.
type Facts struct {
	Request struct {
		Method, Scheme, Host string
		Port                 int
		HTTPVersion          int `json:"http_version"`
		Target               any
		Path                 any
		Headers              [][2]any
		RawQuery             any `json:"raw_query"`
	}
	Client struct {
		IP            string
		Port          int
		ForwardedIP   string `json:"forwarded_ip"`
		ForwardedPort int    `json:"forwarded_port"`
		Trusted       bool
	}
	Forwarded *struct {
		Scheme, Host, Path, Prefix any
		Port                       int
	}
	Route, Service, Consumer, Credential map[string]any
	Captures                             struct {
		Unnamed []any
		Named   map[string]any
	}
	Shared map[string]any
	Plugin map[string]any
	TLS    *struct {
		Version, Cipher string
		ClientVerify    string `json:"client_verify"`
		HasCertificate  bool   `json:"has_certificate"`
	}
	Groups          []struct{ ID, Name string }
	Trace           struct{ Parent, State string }
	Response        *Response
	ServiceResponse *Response `json:"service_response"`
	Chunk           any
	Last            bool
	RequestBody     any `json:"request_body"`
	ResponseBody    any `json:"response_body"`
}

// Response is the response, or the upstream's: of that, headers null are those of the response.
type Response struct {
	Status  int
	Headers *[][2]any
	Source  wire.Source
}

// RequestID and StartTime are those of every vector.
const (
	RequestID = "0123456789abcdef0123456789abcdef"
	StartTime = 1700000000123
)

// filling gathers the first mistake in the spelling of facts.
type filling struct{ err error }

// Call is the vector's call with its facts. The entities have no decoded form. The caller owns it.
func (v *Vector) Call() (*wire.Call, error) {
	f := &wire.Facts{RequestID: RequestID, StartTime: StartTime}
	c := &wire.Call{Phase: v.PhaseCode(), Facts: f, PluginID: v.RecordID()}
	if c.Phase == 0 {
		return nil, fmt.Errorf("vector %q: phase %q: expected one of %v", v.ID(), v.Phase, phases)
	}
	var fill filling
	given := &v.Facts
	fill.request(&f.Request, given)
	fill.client(f, given)
	f.Route, f.Service, f.Consumer, f.Credential = fill.entity(given.Route), fill.entity(given.Service), fill.entity(given.Consumer), fill.entity(given.Credential)
	for _, group := range given.Captures.Unnamed {
		f.Captures.Unnamed = append(f.Captures.Unnamed, fill.text(group))
	}
	for _, name := range slices.Sorted(maps.Keys(given.Captures.Named)) {
		f.Captures.Named = append(f.Captures.Named, wire.Header{Name: name, Value: fill.text(given.Captures.Named[name])})
	}
	f.Shared, c.Plugin = fill.shared(given.Shared), fill.shared(given.Plugin)
	if t := given.TLS; t != nil {
		f.TLS = wire.TLS{Set: true, Version: t.Version, Cipher: t.Cipher, ClientVerify: t.ClientVerify, HasCertificate: t.HasCertificate}
	}
	for _, g := range given.Groups {
		f.Groups = append(f.Groups, wire.Group{ID: g.ID, Name: g.Name})
	}
	f.Trace = wire.Trace{Parent: given.Trace.Parent, State: given.Trace.State}
	fill.responses(f, given)
	c.Chunk, c.HasChunk = fill.body(given.Chunk)
	c.Last = given.Last
	c.RequestBody, c.HasRequestBody = fill.body(given.RequestBody)
	c.ResponseBody, c.HasResponseBody = fill.body(given.ResponseBody)
	if fill.err != nil {
		return nil, fmt.Errorf("vector %q: facts: %w", v.ID(), fill.err)
	}
	return c, nil
}

func (l *filling) request(r *wire.Request, given *Facts) {
	g := &given.Request
	*r = wire.Request{
		Method: or(g.Method, "GET"), Scheme: or(g.Scheme, "http"), Host: or(g.Host, "gw.test"), Port: or(g.Port, 8000), HTTPVersion: or(g.HTTPVersion, 11),
		Target: "/", Headers: l.lines(g.Headers),
	}
	if g.Target != nil {
		r.Target = l.text(g.Target)
	}
	r.Path, r.RawQuery = wire.PathOfTarget(r.Target), wire.QueryOfTarget(r.Target)
	if g.Path != nil {
		r.Path = l.text(g.Path)
	}
	if g.RawQuery != nil {
		r.RawQuery = l.text(g.RawQuery)
	}
}

func (l *filling) client(f *wire.Facts, given *Facts) {
	g := &given.Client
	f.Client = wire.Client{IP: or(g.IP, "10.0.0.9"), Port: or(g.Port, 40000), Trusted: g.Trusted}
	f.Client.ForwardedIP, f.Client.ForwardedPort = g.ForwardedIP, g.ForwardedPort
	if g.ForwardedIP == "" {
		f.Client.ForwardedIP, f.Client.ForwardedPort = f.Client.IP, f.Client.Port
	}
	if w := given.Forwarded; w != nil {
		f.Forwarded = wire.Forwarded{
			Set: true, Scheme: l.text(w.Scheme), Host: l.text(w.Host), Port: w.Port, Path: l.text(w.Path), HasPrefix: w.Prefix != nil,
		}
		if w.Prefix != nil {
			f.Forwarded.Prefix = l.text(w.Prefix)
		}
	}
}

func (l *filling) responses(f *wire.Facts, given *Facts) {
	if w := given.Response; w != nil {
		f.HasResponse, f.Response = true, wire.Response{Status: w.Status, Source: w.Source}
		if w.Headers != nil {
			f.Response.Headers = l.lines(*w.Headers)
		}
	}
	if w := given.ServiceResponse; w != nil {
		f.HasServiceResponse, f.ServiceResponse = true, wire.Response{Status: w.Status, Headers: f.Response.Headers}
		if w.Headers != nil {
			f.ServiceResponse.Headers = l.lines(*w.Headers)
		}
	}
}

func or[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}

func (l *filling) keep(err error) {
	if l.err == nil {
		l.err = err
	}
}

func (l *filling) value(spelt any) any {
	v, err := Value(spelt)
	if err != nil {
		l.keep(err)
	}
	return v
}

func (l *filling) text(spelt any) string {
	switch v := l.value(spelt).(type) {
	case string:
		return v
	default:
		l.keep(fmt.Errorf("found %v; expected text", spelt))
	}
	return ""
}

func (l *filling) lines(given [][2]any) []wire.Header {
	hs := []wire.Header{}
	for _, line := range given {
		hs = append(hs, wire.Header{Name: l.text(line[0]), Value: l.text(line[1])})
	}
	return hs
}

func (l *filling) body(spelt any) (body []byte, has bool) {
	if spelt == nil {
		return nil, false
	}
	b, ok := l.value(spelt).([]byte)
	if !ok {
		l.keep(fmt.Errorf("found %v; expected bytes", spelt))
	}
	return b, true
}

func (l *filling) encoded(spelt any) []byte {
	raw, err := wire.AppendValue(nil, l.value(spelt))
	if err != nil {
		l.keep(err)
	}
	return raw
}

func (l *filling) shared(values map[string]any) []wire.SharedValue {
	var out []wire.SharedValue
	for _, key := range slices.Sorted(maps.Keys(values)) {
		out = append(out, wire.SharedValue{Key: key, Value: l.encoded(values[key])})
	}
	return out
}

func (l *filling) entity(fields map[string]any) *wire.Entity {
	if fields == nil {
		return nil
	}
	return wire.EntityOf(l.encoded(fields))
}
