package pdktest

import (
	"encoding/json"
	"fmt"

	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/pdk/local"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// side is the gateway as one handler sees it. It implements local.Host.
type side struct {
	x      *Exchange
	plugin string
	phase  pdk.Phase
}

// Log implements local.Host. The session calls it for one line at a time.
func (s *side) Log(level uint8, message string) {
	s.x.result.Log = append(s.x.result.Log, Line{s.plugin, s.phase, level, message})
}

// Ask implements local.Host.
func (s *side) Ask(a *wire.Ask) wire.Answer {
	x := s.x
	if x.Script != nil {
		if answer := x.Script(a); answer != nil {
			return *answer
		}
	}
	switch uint16(a.Fn) {
	case pdk.AskRequestGetRawBody:
		return x.limited(x.body)
	case pdk.AskServiceResponseGetRawBody:
		if x.upstream == nil {
			return failed(wire.CodeBadData, "the request was not proxied: there is no body of an upstream")
		}
		return x.limited(x.original)
	case pdk.AskResponseGetRawBody:
		if x.upstream == nil && !x.replaced {
			return failed(wire.CodeBadData, "the request was not proxied: there is no body of an upstream")
		}
		return x.limited(x.answer)
	case pdk.AskLogSerialize:
		return valued(x.entry())
	case pdk.AskClientLoadConsumer:
		id, byName := x.argument(a, 0), x.argument(a, 1)
		for _, c := range x.Consumers {
			if c.ID == id || byName == true && c.Username == id {
				return valued(flat(c))
			}
		}
		return wire.Answer{}
	case pdk.AskClientLoadCredential:
		kind, _ := x.argument(a, 0).(string)
		key, _ := x.argument(a, 1).(string)
		if c := x.Credentials[kind][key]; c != nil {
			return valued(c.Map())
		}
		return wire.Answer{}
	}
	return x.gateway(s.plugin, a)
}

func (x *Exchange) argument(a *wire.Ask, i int) any {
	if i >= len(a.Args) {
		return nil
	}
	v, _ := wire.DecodeValue(a.Args[i])
	return v
}

func (x *Exchange) limited(body []byte) wire.Answer {
	if len(body) > x.node.MaxBody {
		return failed(wire.CodeBadData, fmt.Sprintf("the body has %d bytes; at most %d (max_body) are kept", len(body), x.node.MaxBody))
	}
	return wire.Answer{Bytes: body, IsBytes: true}
}

func failed(code, message string) wire.Answer {
	return wire.Answer{Err: &wire.Error{Code: code, Message: message}}
}

func valued(v any) wire.Answer {
	raw, err := wire.AppendValue(nil, v)
	if err != nil {
		return failed(wire.CodeHostError, err.Error())
	}
	return wire.Answer{Value: raw}
}

// flat is the document of an entity.
func flat(v any) map[string]any {
	var m map[string]any
	if b, err := json.Marshal(v); err == nil {
		_ = json.Unmarshal(b, &m)
	}
	return m
}

// entry is the log entry with what plugins have set.
func (x *Exchange) entry() string {
	f := &x.facts
	source := "kong"
	if f.HasResponse && f.Response.Source == wire.SourceService {
		source = "upstream"
	}
	e := map[string]any{
		"request": map[string]any{
			"id": f.RequestID, "method": f.Request.Method, "uri": f.Request.Target, "querystring": local.QueryMap(f.Request.RawQuery),
			"url":     fmt.Sprintf("%s://%s:%d%s", f.Request.Scheme, f.Request.Host, f.Request.Port, f.Request.Target),
			"headers": redacted(f.Request.Headers),
		},
		"response":  map[string]any{"status": f.Response.Status, "headers": redacted(f.Response.Headers)},
		"latencies": map[string]any{"kong": 0, "proxy": 0, "request": 0, "receive": 0},
		"client_ip": f.Client.ForwardedIP, "started_at": f.StartTime, "source": source, "upstream_uri": x.path,
		"route": f.Route.Value, "service": f.Service.Value,
	}
	if f.TLS.Set || f.TLS.ClientVerify != "" {
		e["request"].(map[string]any)["tls"] = map[string]any{"version": f.TLS.Version, "cipher": f.TLS.Cipher, "client_verify": f.TLS.ClientVerify}
	}
	if spans := x.result.Spans; len(spans) > 0 {
		list := []any{}
		for _, sp := range spans {
			list = append(list, map[string]any{
				"plugin": sp.Plugin, "phase": sp.Phase.String(), "id": sp.Number, "parent": sp.Parent, "name": sp.Name, "start": sp.Start, "end": sp.End,
				"attributes": sp.Attributes, "status": sp.Status, "message": sp.Message,
			})
		}
		e["spans"] = list
	}
	if f.Consumer != nil {
		e["consumer"] = f.Consumer.Value
	}
	for i := range x.serialized {
		op := &x.serialized[i]
		if err := local.SetSerialized(e, op.Name, op.Value, op.Mode); err != nil {
			return err.Error()
		}
	}
	b, err := json.Marshal(e)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// redacted lists headers by lower-case name, without credentials.
func redacted(hs []wire.Header) map[string]any {
	m := map[string]any{}
	for _, h := range hs {
		name, value := local.FoldName(h.Name), h.Value
		if name == "authorization" || name == "proxy-authorization" {
			value = "REDACTED"
		}
		switch old := m[name].(type) {
		case nil:
			m[name] = value
		case []any:
			m[name] = append(old, value)
		default:
			m[name] = []any{old, value}
		}
	}
	return m
}
