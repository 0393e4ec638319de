package exchange

import (
	"cmp"
	"errors"
	"fmt"
	"math"

	"github.com/outrigger-gateway/outrigger/host/internal/plan"
	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/pdk/local"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// Ask answers a question of a handler, native or remote, on the request's own goroutine: reading a body may block. by is the instance that asks.
func (e *Exchange) Ask(by *plan.Instance, a *wire.Ask) wire.Answer {
	switch a.Fn {
	case pdk.AskRequestGetRawBody:
		if e.Upstream.HasBody {
			return wire.Answer{Bytes: e.Upstream.Body, IsBytes: true}
		}
		return bytesAnswer(e.Live.RequestBody())
	case pdk.AskServiceResponseGetRawBody:
		if !e.Facts.HasServiceResponse {
			return failed(wire.CodeBadData, "the request was not proxied: there is no body of an upstream")
		}
		return bytesAnswer(e.Live.ResponseBody())
	case pdk.AskResponseGetRawBody:
		if e.HasNewBody {
			return wire.Answer{Bytes: e.NewBody, IsBytes: true}
		}
		if !e.Facts.HasServiceResponse {
			return failed(wire.CodeBadData, "the request was not proxied: there is no body of an upstream")
		}
		return bytesAnswer(e.Live.ResponseBody())
	case pdk.AskLogSerialize:
		text, err := e.Serialize()
		if err != nil {
			return failed(wire.CodeHostError, err.Error())
		}
		return valueAnswer(text)
	case pdk.AskClientLoadConsumer:
		return e.loadConsumer(a)
	case pdk.AskClientLoadCredential:
		return e.loadCredential(a)
	case pdk.AskClientAuthenticateConsumerGroupByConsumerID:
		return e.groupsOfConsumer(a)
	case pdk.AskServiceSetUpstream:
		name, err := stringArg(a, 0)
		if err != nil {
			return failed(wire.CodeBadArgument, err.Error())
		}
		if e.Dir.Upstream(name) == nil {
			return failed(wire.CodeBadData, fmt.Sprintf("there is no upstream %q", name))
		}
		return wire.Answer{}
	case pdk.AskClientTLSGetFullClientCertificateChain:
		return wire.Answer{} // no listener takes certificates yet
	case pdk.AskNginxGetVar:
		name, err := stringArg(a, 0)
		if err != nil {
			return failed(wire.CodeBadArgument, err.Error())
		}
		if value, ok := e.Variable(name); ok {
			return wire.Answer{Bytes: []byte(value), IsBytes: true}
		}
		return wire.Answer{}
	case pdk.AskNodeGetMemoryStats, pdk.AskNodeGetConfiguration, pdk.AskNginxGetStatistics, pdk.AskVaultGet, pdk.AskVaultUpdate, pdk.AskCacheGet:
		if e.Gateway == nil {
			return failed(wire.CodeHostError, "this host cannot answer")
		}
		return e.Gateway.answer(by, a)
	}
	return failed(wire.CodeHostError, "this host does not know the question")
}

// AtHand is a Live that says which bodies it can give without waiting for a client or an upstream.
type AtHand interface {
	RequestBodyAtHand() bool
	ResponseBodyAtHand() bool
}

// AtHand reports whether Ask answers a question without waiting for anybody.
func (e *Exchange) AtHand(fn wire.AskFn) bool {
	live, _ := e.Live.(AtHand)
	switch fn {
	case pdk.AskRequestGetRawBody:
		return e.Upstream.HasBody || live != nil && live.RequestBodyAtHand()
	case pdk.AskResponseGetRawBody:
		return e.HasNewBody || e.Facts.HasServiceResponse && live != nil && live.ResponseBodyAtHand()
	case pdk.AskServiceResponseGetRawBody:
		return e.Facts.HasServiceResponse && live != nil && live.ResponseBodyAtHand()
	}
	return true
}

// Variable is a variable of nginx for this exchange; ok is false when there is none of that name, or it has no value.
func (e *Exchange) Variable(name string) (value string, ok bool) {
	e.NeedRequest()
	e.NeedResponse()
	v := local.Variables{Facts: &e.Facts, UpstreamURI: e.Live.UpstreamURI}
	if e.Gateway != nil {
		v.Hostname = e.Gateway.Hostname
	}
	return v.Get(name)
}

func (e *Exchange) loadConsumer(a *wire.Ask) wire.Answer {
	id, err1 := stringArg(a, 0)
	byName, err2 := boolArg(a, 1)
	if err := errors.Join(err1, err2); err != nil {
		return failed(wire.CodeBadArgument, err.Error())
	}
	if _, doc := e.Dir.Consumer(id, byName); doc != nil {
		return wire.Answer{Value: doc.Doc}
	}
	return wire.Answer{}
}

func (e *Exchange) loadCredential(a *wire.Ask) wire.Answer {
	kind, err1 := stringArg(a, 0)
	key, err2 := stringArg(a, 1)
	if err := errors.Join(err1, err2); err != nil {
		return failed(wire.CodeBadArgument, err.Error())
	}
	doc, err := e.Dir.Credential(kind, key)
	if err != nil {
		return failed(wire.CodeBadArgument, err.Error())
	}
	if doc != nil {
		return wire.Answer{Value: doc.Doc}
	}
	return wire.Answer{}
}

// groupsOfConsumer answers with the groups that a consumer belongs to by the configuration.
func (e *Exchange) groupsOfConsumer(a *wire.Ask) wire.Answer {
	id, err := stringArg(a, 0)
	if err != nil {
		return failed(wire.CodeBadArgument, err.Error())
	}
	c, _ := e.Dir.Consumer(id, false)
	if c == nil {
		return failed(wire.CodeBadData, fmt.Sprintf("there is no consumer %q", id))
	}
	groups := make([]any, len(c.Groups))
	for i, g := range c.Groups {
		groups[i] = map[string]any{"id": g.ID, "name": g.Name}
	}
	return valueAnswer(groups)
}

// maxRefs is how many references one vault.update may hold: a question is small, the secrets of its answer need not be.
const maxRefs = 256

// answer answers what is asked about the gateway itself.
func (g *Gateway) answer(by *plan.Instance, a *wire.Ask) wire.Answer {
	switch {
	case a.Fn == pdk.AskNodeGetMemoryStats:
		unit, err1 := stringArg(a, 0)
		scale, err2 := integerArg(a, 1)
		stats, err3 := memoryStats(unit, scale)
		if err := cmp.Or(errors.Join(err1, err2), err3); err != nil {
			return failed(wire.CodeBadArgument, err.Error())
		}
		return valueAnswer(stats)
	case a.Fn == pdk.AskNodeGetConfiguration && g.Configuration != nil:
		return valueAnswer(g.Configuration())
	case a.Fn == pdk.AskNginxGetStatistics && g.Statistics != nil:
		return valueAnswer(g.Statistics().fields())
	case a.Fn == pdk.AskVaultGet && g.Vault != nil:
		reference, err := stringArg(a, 0)
		if err != nil {
			return failed(wire.CodeBadArgument, err.Error())
		}
		secret, err := g.Vault.Get(reference)
		if err != nil {
			return failed(wire.CodeBadData, err.Error())
		}
		return wire.Answer{Bytes: []byte(secret), IsBytes: true}
	case a.Fn == pdk.AskVaultUpdate && g.Vault != nil:
		options, err := arg(a, 0)
		fields, isMap := options.(map[string]any)
		if err != nil || !isMap {
			return failed(wire.CodeBadArgument, cmp.Or(err, errors.New("expected a map")).Error())
		}
		if refs, _ := fields["$refs"].(map[string]any); len(refs) > maxRefs {
			return failed(wire.CodeBadArgument, fmt.Sprintf("$refs has %d references; at most %d are allowed", len(refs), maxRefs))
		}
		return valueAnswer(g.Vault.Update(fields))
	case a.Fn == pdk.AskCacheGet && g.Cache != nil && by != nil:
		key, err := stringArg(a, 0)
		if err != nil {
			return failed(wire.CodeBadArgument, err.Error())
		}
		return wire.Answer{Value: g.Cache.Get(by.Record.Name, key)}
	}
	return failed(wire.CodeHostError, "this host cannot answer")
}

func failed(code, message string) wire.Answer {
	return wire.Answer{Err: &wire.Error{Code: code, Message: message}}
}

func bytesAnswer(b []byte, err error) wire.Answer {
	if err == nil {
		return wire.Answer{Bytes: b, IsBytes: true}
	}
	var we *wire.Error
	if errors.As(err, &we) {
		return wire.Answer{Err: we}
	}
	return failed(wire.CodeHostError, err.Error())
}

func valueAnswer(v any) wire.Answer {
	raw, err := wire.AppendValue(nil, v)
	if err != nil {
		return failed(wire.CodeHostError, err.Error())
	}
	return wire.Answer{Value: raw}
}

func stringArg(a *wire.Ask, i int) (string, error) {
	v, err := arg(a, i)
	if err != nil {
		return "", err
	}
	switch s := v.(type) {
	case string:
		return s, nil
	case []byte:
		return string(s), nil
	}
	return "", errors.New("expected text")
}

func boolArg(a *wire.Ask, i int) (bool, error) {
	v, err := arg(a, i)
	if err != nil {
		return false, err
	}
	b, ok := v.(bool)
	if !ok {
		return false, errors.New("expected a boolean")
	}
	return b, nil
}

func integerArg(a *wire.Ask, i int) (int, error) {
	v, err := arg(a, i)
	if err != nil {
		return 0, err
	}
	switch n := v.(type) {
	case int64:
		return int(n), nil
	case float64: // a language without integers
		if n == math.Trunc(n) && math.Abs(n) < 1<<31 {
			return int(n), nil
		}
	}
	return 0, errors.New("expected a whole number")
}

func arg(a *wire.Ask, i int) (any, error) {
	if i >= len(a.Args) {
		return nil, errors.New("argument is missing")
	}
	return wire.DecodeValue(a.Args[i])
}
