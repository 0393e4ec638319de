package exchange

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/outrigger-gateway/outrigger/pdk/local"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// Serialize is the log entry of the exchange as JSON (spec/bundled-plugins.md 0.4), with the values that plugins set.
func (e *Exchange) Serialize() (string, error) {
	e.NeedRequest()
	e.NeedResponse()
	f := &e.Facts
	entry := map[string]any{
		"request": map[string]any{
			"id":          f.RequestID,
			"uri":         f.Request.Target,
			"url":         f.Request.Scheme + "://" + hostPort(f.Request.Host, f.Request.Port) + f.Request.Target,
			"querystring": local.QueryMap(f.Request.RawQuery),
			"method":      f.Request.Method,
			"headers":     headerMap(f.Request.Headers),
		},
		"latencies": map[string]any{
			"kong":    e.Latencies.Kong,
			"proxy":   e.Latencies.Proxy,
			"request": e.Latencies.Request,
			"receive": e.Latencies.Receive,
		},
		"client_ip":    f.Client.ForwardedIP,
		"started_at":   f.StartTime,
		"source":       "kong",
		"upstream_uri": e.Upstream.Path,
	}
	if f.TLS.Set {
		entry["request"].(map[string]any)["tls"] = map[string]any{"version": f.TLS.Version, "cipher": f.TLS.Cipher, "client_verify": f.TLS.ClientVerify}
	} else if f.TLS.ClientVerify != "" { // a plugin said so
		entry["request"].(map[string]any)["tls"] = map[string]any{"client_verify": f.TLS.ClientVerify}
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
			"headers": headerMap(f.Response.Headers),
		}
		if f.Response.Source == wire.SourceService {
			entry["source"] = "upstream"
		}
	}
	if f.HasServiceResponse {
		entry["upstream_status"] = f.ServiceResponse.Status
	}
	for key, doc := range map[string]*wire.Entity{"route": f.Route, "service": f.Service, "consumer": f.Consumer} {
		if doc != nil {
			v, err := wire.DecodeValue(doc.Doc)
			if err != nil {
				return "", err
			}
			entry[key] = v
		}
	}
	if f.Credential != nil {
		entry["authenticated_entity"] = map[string]any{"id": f.Credential.ID}
	}
	for _, s := range e.Serialized {
		if err := local.SetSerialized(entry, s.Key, s.Value, s.Mode); err != nil {
			return "", err
		}
	}
	b, err := json.Marshal(entry)
	return string(b), err
}

// setSerialized keeps a value for the log entry. It takes the place of an earlier one under the same key when nothing between them asks what is
// there already, so that a body_filter may say the same thing for every chunk.
func (e *Exchange) setSerialized(s Serialized) {
	for i := len(e.Serialized) - 1; i >= 0 && s.overwrites() && e.Serialized[i].overwrites(); i-- {
		if old := &e.Serialized[i]; old.Key == s.Key {
			e.serializedBytes -= old.size()
			e.Serialized = slices.Delete(e.Serialized, i, i+1)
			break
		}
	}
	e.serializedBytes += s.size()
	e.Serialized = append(e.Serialized, s)
}

func (s *Serialized) overwrites() bool { return local.Overwrites(s.Value, s.Mode) }

func (s *Serialized) size() int { return len(s.Key) + len(s.Value) }

// spans lists the work of the handlers. Times are microseconds since the epoch.
func (e *Exchange) spans() []any {
	list := make([]any, len(e.Spans))
	for i := range e.Spans {
		s := &e.Spans[i]
		events := make([]any, len(s.Events))
		for j, ev := range s.Events {
			events[j] = map[string]any{"name": ev.Name, "time": ev.Time, "attributes": local.Shown(ev.Attributes)}
		}
		span := map[string]any{
			"id": s.Number, "parent": s.Parent, "name": s.Name, "start": s.Start, "end": s.End, "attributes": local.Shown(s.Attributes),
			"events": events, "status": s.Status, "message": s.Message, "phase": s.Phase.String(),
		}
		if s.Plugin != nil {
			span["plugin"], span["plugin_id"] = s.Plugin.Record.Name, s.Plugin.Record.ID
		}
		list[i] = span
	}
	return list
}

// tries lists the attempts to send the request. All but the last one failed, and that one too when there is no response.
func (e *Exchange) tries() []any {
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

// headerMap lists headers by lower-case name; repeated ones become a list. Credentials are redacted.
func headerMap(hs []wire.Header) map[string]any {
	m := make(map[string]any, len(hs))
	for _, h := range hs {
		name := strings.ToLower(h.Name)
		value := any(h.Value)
		if name == "authorization" || name == "proxy-authorization" {
			value = "REDACTED"
		}
		local.AddRepeated(m, name, value)
	}
	return m
}
