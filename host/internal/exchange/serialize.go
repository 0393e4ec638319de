package exchange

import (
	"encoding/json"
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
