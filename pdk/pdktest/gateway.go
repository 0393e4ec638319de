package pdktest

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/pdk/local"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// Cache is what the plugin cache keeps: by plugin and key, values as cache.get answers them. Times to live are not observed.
type Cache map[string]map[string]any

// gateway answers what a plugin asks about things beyond its request.
func (x *Exchange) gateway(plugin string, a *wire.Ask) wire.Answer {
	first, _ := x.argument(a, 0).(string)
	switch a.Fn {
	case wire.AskClientAuthenticateConsumerGroupByConsumerID:
		if !slices.ContainsFunc(x.Consumers, func(c *pdk.Consumer) bool { return c.ID == first }) && x.Groups[first] == nil {
			return failed(wire.CodeBadData, fmt.Sprintf("there is no consumer %s: Consumers does not list it", first))
		}
		list := []any{}
		for _, g := range x.Groups[first] {
			list = append(list, map[string]any{"id": g.ID, "name": g.Name})
		}
		return valued(list)
	case wire.AskServiceSetUpstream:
		if !slices.Contains(x.Upstreams, first) {
			return failed(wire.CodeBadData, fmt.Sprintf("there is no upstream %q: Upstreams does not list it", first))
		}
		return wire.Answer{}
	case wire.AskClientTLSGetFullClientCertificateChain:
		return valued(x.chain)
	case wire.AskNodeGetMemoryStats:
		return valued(x.memory())
	case wire.AskNodeGetConfiguration:
		return valued(orEmpty(x.Configuration))
	case wire.AskNginxGetStatistics:
		return valued(orEmpty(x.Statistics))
	case wire.AskNginxGetVar:
		if value, ok := x.variable(first); ok {
			return valued(value)
		}
		return wire.Answer{}
	case wire.AskVaultGet:
		secret, ok := x.Secrets[first]
		if !ok {
			return failed(wire.CodeBadData, "there is no such secret: Secrets does not list the reference")
		}
		return valued(secret)
	case wire.AskVaultUpdate:
		options, _ := x.argument(a, 0).(map[string]any)
		return valued(x.refreshed(options))
	case wire.AskCacheGet:
		return valued(x.Cache[plugin][first])
	}
	return failed(wire.CodeHostError, fmt.Sprintf("pdktest does not know question %d", a.Fn))
}

// secret answers schema.Resolve.
func (x *Exchange) secret(text string) (string, bool, error) {
	if !local.IsReference(text) {
		return "", false, nil
	}
	secret, ok := x.Secrets[text]
	if !ok {
		return "", true, errors.New("there is no such secret: Secrets does not list the reference")
	}
	return secret, true, nil
}

// refreshed is a copy of options with the secrets behind its references; a secret that is not there keeps the old value.
func (x *Exchange) refreshed(options map[string]any) map[string]any {
	out := maps.Clone(orEmpty(options))
	references, _ := out["$refs"].(map[string]any)
	for field, reference := range references {
		text, _ := reference.(string)
		if secret, ok := x.Secrets[text]; ok {
			out[field] = secret
		}
	}
	return out
}

func orEmpty(m map[string]any) map[string]any {
	if m == nil {
		return map[string]any{}
	}
	return m
}

// memory is what the test gives, or numbers that say nothing.
func (x *Exchange) memory() map[string]any {
	if x.Memory != nil {
		return x.Memory
	}
	return map[string]any{"process": map[string]any{"resident": 0, "heap": 0, "heap_in_use": 0, "stacks": 0, "total": 0}}
}

// variable is a variable of nginx: one of the test's, or one that the request has.
func (x *Exchange) variable(name string) (string, bool) {
	if v, ok := x.Variables[name]; ok {
		return v, true
	}
	all := local.Variables{Facts: &x.facts, Hostname: x.node.Hostname, UpstreamURI: func() string { return x.path }}
	return all.Get(name)
}

// route applies what says where the request goes and how. It reports whether the operation is one of these.
func (x *Exchange) route(op *wire.Op) bool {
	to := &x.to
	switch op.Code {
	case wire.OpServiceSetUpstream:
		to.Name, _ = local.UpstreamOf(op)
		to.Host, to.Port = "", 0
	case wire.OpServiceSetTarget:
		to.Host, to.Port, _ = local.TargetOf(op)
		to.Name = ""
	case wire.OpServiceSetRetries:
		to.Retries, _ = local.RetriesOf(op)
	case wire.OpServiceSetTimeouts:
		to.ConnectTimeout, to.WriteTimeout, to.ReadTimeout, _ = local.TimeoutsOf(op)
	case wire.OpServiceSetFallbackTargets:
		to.Fallbacks, _ = local.FallbackTargetsOf(op)
	case wire.OpServiceSetTLSVerify:
		verify, _ := local.TLSVerifyOf(op)
		to.TLS.Verify = &verify
	case wire.OpServiceSetTLSVerifyDepth:
		depth, _ := local.TLSVerifyDepthOf(op)
		to.TLS.VerifyDepth = &depth
	case wire.OpServiceSetTLSCertKey:
		to.TLS.Certificates, to.TLS.Key, _ = local.TLSCertKeyOf(op)
	case wire.OpServiceSetTLSVerifyStore:
		to.TLS.Store, _ = local.TLSVerifyStoreOf(op)
	default:
		return false
	}
	return true
}

// report takes what plugins leave behind: cached values, records and spans. It reports whether the operation is one of these.
func (x *Exchange) report(u *used, phase pdk.Phase, op *wire.Op) bool {
	name := u.plugin.Name
	switch op.Code {
	case wire.OpCacheSet:
		key, raw, _, _ := local.CacheSetOf(op)
		value, _ := wire.DecodeValue(raw)
		x.keep(name, key, value)
	case wire.OpCacheDelete:
		key, _ := local.CacheDeleteOf(op)
		x.keep(name, key, nil)
	case wire.OpTelemetryLog:
		record, _ := local.TelemetryOf(op)
		x.result.Telemetry = append(x.result.Telemetry, Telemetry{name, record})
	case wire.OpTracingStartSpan:
		number, parent, record, _ := local.SpanOf(op)
		x.result.Spans = append(x.result.Spans, Span{name, phase, number, parent, record})
	default:
		return false
	}
	return true
}

func (x *Exchange) keep(plugin, key string, value any) {
	if x.Cache == nil {
		x.Cache = Cache{}
	}
	if x.Cache[plugin] == nil {
		x.Cache[plugin] = map[string]any{}
	}
	if value == nil {
		delete(x.Cache[plugin], key)
		return
	}
	x.Cache[plugin][key] = value
}
