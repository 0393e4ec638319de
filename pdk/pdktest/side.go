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

// entry is the log entry with what plugins have set. No time passes in a test: the latencies are 0.
func (x *Exchange) entry() string {
	e := local.LogEntry{Facts: &x.facts, UpstreamURI: x.path, Set: x.serialized}
	if x.upstream == nil {
		e.Latencies.Proxy = -1
	}
	for _, s := range x.result.Spans {
		span := local.LoggedSpan{Plugin: s.Plugin, Phase: s.Phase, Number: s.Number, Parent: s.Parent, SpanRecord: s.SpanRecord}
		for _, u := range x.plugins {
			if u.plugin.Name == s.Plugin {
				span.PluginID = u.id
			}
		}
		e.Spans = append(e.Spans, span)
	}
	text, err := e.JSON()
	if err != nil {
		return err.Error()
	}
	return text
}
