package local

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// LogEntry is what the log entry of a request is made of (spec/bundled-plugins.md 0.4).
type LogEntry struct {
	Facts       *wire.Facts
	Latencies   Latencies
	UpstreamURI string // path and query of the request to the service; "" when it was not proxied
	Spans       []LoggedSpan
	Tries       []Try
	Set         []LogValue // in order
}

// LogValue is one log.set_serialize_value.
type LogValue struct {
	Key   string
	Value []byte // one MessagePack value
	Mode  string
}

// Overwrites reports whether the value is put under its key whatever is there, instead of adding, replacing or deleting one.
func (v *LogValue) Overwrites() bool { return v.Mode == modeSet && !isNil(v.Value) }

// Latencies in milliseconds; Proxy is -1 when the request was not proxied.
type Latencies struct {
	Kong, Proxy, Request, Receive int64
}

// Try is one attempt to send the request to a target.
type Try struct {
	Host  string
	Port  int
	Start int64 // milliseconds since the epoch
}

// LoggedSpan is a span of a handler, and whose it was.
type LoggedSpan struct {
	Plugin, PluginID string // "": nobody's
	Phase            pdk.Phase
	// Number and Parent count the spans of the handler from 1; Parent 0: none.
	Number, Parent int
	pdk.SpanRecord
}

// JSON is the log entry, a JSON object, with the values that plugins set.
func (e *LogEntry) JSON() (string, error) {
	f := e.Facts
	request := map[string]any{
		"id":          f.RequestID,
		"uri":         f.Request.Target,
		"url":         f.Request.Scheme + "://" + hostPort(f.Request.Host, f.Request.Port) + f.Request.Target,
		"querystring": QueryMap(f.Request.RawQuery),
		"method":      f.Request.Method,
		"headers":     loggedHeaders(f.Request.Headers),
	}
	entry := map[string]any{
		"request": request,
		"latencies": map[string]any{
			"kong":    e.Latencies.Kong,
			"proxy":   e.Latencies.Proxy,
			"request": e.Latencies.Request,
			"receive": e.Latencies.Receive,
		},
		"client_ip":    f.Client.ForwardedIP,
		"started_at":   f.StartTime,
		"source":       "kong",
		"upstream_uri": e.UpstreamURI,
	}
	if f.TLS.Set {
		request["tls"] = map[string]any{"version": f.TLS.Version, "cipher": f.TLS.Cipher, "client_verify": f.TLS.ClientVerify}
	} else if f.TLS.ClientVerify != "" { // a plugin said so
		request["tls"] = map[string]any{"client_verify": f.TLS.ClientVerify}
	}
	if len(e.Spans) > 0 {
		entry["spans"] = e.spans()
	}
	if len(e.Tries) > 0 {
		entry["tries"] = e.tries()
	}
	if f.HasResponse {
		entry["response"] = map[string]any{
			"status":  f.Response.Status,
			"headers": loggedHeaders(f.Response.Headers),
		}
		if f.Response.Source == wire.SourceService {
			entry["source"] = "upstream"
		}
	}
	if f.HasServiceResponse {
		entry["upstream_status"] = f.ServiceResponse.Status
	}
	for key, of := range map[string]*wire.Entity{"route": f.Route, "service": f.Service, "consumer": f.Consumer} {
		if of != nil {
			doc, err := loggedEntity(of)
			if err != nil {
				return "", err
			}
			entry[key] = doc
		}
	}
	if f.Credential != nil {
		entry["authenticated_entity"] = map[string]any{"id": f.Credential.ID}
	}
	for _, v := range e.Set {
		if err := SetSerialized(entry, v.Key, v.Value, v.Mode); err != nil {
			return "", err
		}
	}
	b, err := json.Marshal(entry)
	return string(b), err
}

// loggedEntity is the document of an entity; of one that has none, as in tests, it is made of the value.
func loggedEntity(e *wire.Entity) (doc any, err error) {
	if len(e.Doc) > 0 {
		return wire.DecodeValue(e.Doc)
	}
	text, err := json.Marshal(e.Value)
	if err == nil {
		err = json.Unmarshal(text, &doc)
	}
	return doc, err
}

// spans lists the work of the handlers. Times are microseconds since the epoch.
func (e *LogEntry) spans() []any {
	list := make([]any, len(e.Spans))
	for i := range e.Spans {
		s := &e.Spans[i]
		events := make([]any, len(s.Events))
		for j, ev := range s.Events {
			events[j] = map[string]any{"name": ev.Name, "time": ev.Time, "attributes": Shown(ev.Attributes)}
		}
		span := map[string]any{
			"id": s.Number, "parent": s.Parent, "name": s.Name, "start": s.Start, "end": s.End, "attributes": Shown(s.Attributes),
			"events": events, "status": s.Status, "message": s.Message, "phase": s.Phase.String(),
		}
		if s.Plugin != "" {
			span["plugin"], span["plugin_id"] = s.Plugin, s.PluginID
		}
		list[i] = span
	}
	return list
}

// tries lists the attempts to send the request. All but the last one failed, or had their answer given up, and that one too when there is no response.
func (e *LogEntry) tries() []any {
	list := make([]any, len(e.Tries))
	for i, t := range e.Tries {
		try := map[string]any{"ip": t.Host, "port": t.Port, "balancer_start": t.Start}
		if i < len(e.Tries)-1 || !e.Facts.HasServiceResponse {
			try["state"] = "failed"
		}
		list[i] = try
	}
	return list
}

func hostPort(host string, port int) string {
	if port == 0 {
		return host
	}
	return host + ":" + strconv.Itoa(port)
}

// loggedHeaders lists headers by lower-case name; repeated ones become a list. Credentials are redacted.
func loggedHeaders(hs []wire.Header) map[string]any {
	m := make(map[string]any, len(hs))
	for _, h := range hs {
		name := strings.ToLower(h.Name)
		value := any(h.Value)
		if name == "authorization" || name == "proxy-authorization" {
			value = "REDACTED"
		}
		AddRepeated(m, name, value)
	}
	return m
}
