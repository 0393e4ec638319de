package exchange

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
	"github.com/outrigger-gateway/outrigger/host/internal/plan"
	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/pdk/local"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// vaultOf knows one secret.
type vaultOf struct{}

func (vaultOf) Get(reference string) (string, error) {
	if reference == "{vault://env/x}" {
		return "secret", nil
	}
	return "", errors.New("there is no such secret")
}

func (vaultOf) Update(options map[string]any) map[string]any {
	return map[string]any{"updated": options["a"]}
}

type cacheOf map[string]string

func (c cacheOf) Get(plugin, key string) []byte {
	if v, ok := c[plugin+"/"+key]; ok {
		return []byte(v)
	}
	return nil
}
func (c cacheOf) Set(plugin, key string, v []byte, ttl float64) { c[plugin+"/"+key] = string(v) }
func (c cacheOf) Delete(plugin, key string)                     { delete(c, plugin+"/"+key) }

// certificates accept everything but what says bad.
type certificates struct{}

var pair, pool = &tls.Certificate{}, x509.NewCertPool()

func (certificates) Pair(certificate, key string) (*tls.Certificate, error) {
	if strings.Contains(certificate+key, "bad") {
		return nil, errors.New("the pair does not fit")
	}
	return pair, nil
}

func (certificates) Pool(certificates string) (*x509.CertPool, error) {
	if strings.Contains(certificates, "bad") {
		return nil, errors.New("no certificate")
	}
	return pool, nil
}

const pem = "-----BEGIN CERTIFICATE-----"

func generic(code wire.OpCode, args ...any) wire.Op { return wire.Op{Code: code, Value: value(args)} }

func instance(name string) *plan.Instance {
	return &plan.Instance{Record: &entity.Plugin{ID: "id of " + name, Name: name}}
}

func TestDestination(t *testing.T) {
	e, _ := begin()
	e.Gateway = &Gateway{Certificates: certificates{}}
	if e.Upstream.Destination != nil {
		t.Fatal("a destination that nobody set")
	}
	err := e.Apply(access, []wire.Op{
		generic(pdk.OpServiceSetUpstream, "pool"),
		generic(pdk.OpServiceSetRetries, 3),
		generic(pdk.OpServiceSetTimeouts, 10, 20, 30),
		generic(pdk.OpServiceSetFallbackTargets, []any{"a:1", "[::1]:2"}),
		generic(pdk.OpServiceSetTLSVerify, true),
		generic(pdk.OpServiceSetTLSVerifyDepth, 0),
		generic(pdk.OpServiceSetTLSCertKey, pem, "-----BEGIN PRIVATE KEY-----"),
		generic(pdk.OpServiceSetTLSVerifyStore, pem),
	})
	if err != nil {
		t.Fatal(err)
	}
	want := Destination{
		Upstream: e.Upstream.Destination.Upstream, Fallbacks: []Address{{"a", 1}, {"::1", 2}}, Retries: 3, HasRetries: true,
		Timeouts: Timeouts{10 * time.Millisecond, 20 * time.Millisecond, 30 * time.Millisecond}, HasTimeouts: true,
		Verify: true, HasVerify: true, HasDepth: true, Certificate: pair, Roots: pool,
	}
	if got := *e.Upstream.Destination; !reflect.DeepEqual(got, want) || got.Upstream.Name != "pool" {
		t.Errorf("got %+v, want %+v", got, want)
	}
	// The last word counts: a target takes the place of the upstream, and the other way round.
	if err := e.Apply(access, []wire.Op{generic(pdk.OpServiceSetTarget, "::1", 0), generic(pdk.OpServiceSetFallbackTargets, []any{})}); err != nil {
		t.Fatal(err)
	}
	if d := e.Upstream.Destination; d.Upstream != nil || *d.Target != (Address{"::1", 0}) || len(d.Fallbacks) != 0 || d.Retries != 3 {
		t.Errorf("after set_target: %+v", d)
	}
	if err := e.Apply(access, []wire.Op{generic(pdk.OpServiceSetUpstream, "pool")}); err != nil {
		t.Fatal(err)
	}
	if d := e.Upstream.Destination; d.Upstream == nil || d.Target != nil {
		t.Errorf("after set_upstream: %+v", d)
	}
}

// What the SDK has checked is checked again, and what only the host can know too. Nothing of such an outcome is applied.
func TestNewOperationsAreChecked(t *testing.T) {
	for name, bad := range map[string]wire.Op{
		"unknown upstream":      generic(pdk.OpServiceSetUpstream, "gone"),
		"no upstream":           generic(pdk.OpServiceSetUpstream, ""),
		"port":                  generic(pdk.OpServiceSetTarget, "a", 70000),
		"host":                  generic(pdk.OpServiceSetTarget, "a/b", 80),
		"retries":               generic(pdk.OpServiceSetRetries, -1),
		"timeouts":              generic(pdk.OpServiceSetTimeouts, 0, 1, 1),
		"fallback without port": generic(pdk.OpServiceSetFallbackTargets, []any{"a"}),
		"verify":                generic(pdk.OpServiceSetTLSVerify, "yes"),
		"depth":                 generic(pdk.OpServiceSetTLSVerifyDepth, 65),
		"no PEM":                generic(pdk.OpServiceSetTLSCertKey, "x", "y"),
		"pair":                  generic(pdk.OpServiceSetTLSCertKey, pem+"bad", pem),
		"store":                 generic(pdk.OpServiceSetTLSVerifyStore, pem+"bad"),
		"group without id":      generic(pdk.OpClientSetAuthenticatedConsumerGroups, []any{[]any{"", "x"}}, "write"),
		"mode":                  generic(pdk.OpClientSetAuthenticatedConsumerGroups, []any{}, "replace"),
		"verify result":         generic(pdk.OpClientTLSSetClientVerify, "MAYBE"),
		"cache key":             generic(pdk.OpCacheSet, strings.Repeat("k", 1025), 1, 0.0),
		"cache ttl":             generic(pdk.OpCacheSet, "k", 1, math.NaN()),
		"cache delete":          generic(pdk.OpCacheDelete, ""),
		"telemetry":             generic(pdk.OpTelemetryLog, "", map[string]any{}, "t", "m", nil),
		"span":                  generic(pdk.OpTracingStartSpan, map[string]any{"id": 0}),
		"arguments":             generic(pdk.OpServiceSetRetries),
		"no array":              {Code: pdk.OpServiceSetRetries, Value: value("x")},
		"no value":              {Code: pdk.OpServiceSetTarget},
		"unknown":               {Code: 94, Value: value([]any{})},
		"wrong phase":           {Code: pdk.OpResponseSetRawBody, Body: []byte("x"), HasBody: true},
	} {
		e, _ := begin()
		kept := cacheOf{}
		e.Gateway = &Gateway{Certificates: certificates{}, Cache: kept, Telemetry: func(Telemetry) { t.Errorf("%s: a record was sent", name) }}
		in := access
		in.Instance = instance("p")
		err := e.Apply(in, []wire.Op{
			generic(pdk.OpCacheSet, "k", 1, 0.0), generic(pdk.OpTelemetryLog, "p", map[string]any{}, "t", "m", nil),
			generic(pdk.OpServiceSetRetries, 1), {Code: pdk.OpCtxPluginSet, Name: "k", Value: value(1)},
			generic(pdk.OpClientSetAuthenticatedConsumerGroups, []any{[]any{"g", "x"}}, "write"), bad,
		})
		if err == nil {
			t.Errorf("%s: not refused", name)
		}
		if len(kept) > 0 || e.Upstream.Destination != nil || e.Private(in.Instance) != nil || len(e.Facts.Groups) > 0 || len(e.Spans) > 0 || e.Identities > 0 {
			t.Errorf("%s: a part was applied: %+v %v", name, e.Upstream, kept)
		}
	}
}

// A plugin that may fail open and does not say that it authenticates may not set groups either: what they decide is who may do what.
func TestGroupsNeedAuthentication(t *testing.T) {
	e, _ := begin()
	groups := generic(pdk.OpClientSetAuthenticatedConsumerGroups, []any{[]any{"g", "gold"}}, "write")
	if err := e.Apply(Applier{Phase: pdk.PhaseAccess}, []wire.Op{groups}); !errors.Is(err, ErrMayNotAuthenticate) {
		t.Errorf("error %v", err)
	}
	if err := e.Apply(access, []wire.Op{groups, generic(pdk.OpClientSetAuthenticatedConsumerGroups, []any{[]any{"g", ""}, []any{"h", ""}}, "append")}); err != nil {
		t.Fatal(err)
	}
	if want := []wire.Group{{ID: "g", Name: "gold"}, {ID: "h"}}; !slices.Equal(e.Facts.Groups, want) || e.Identities != 2 {
		t.Errorf("groups %v, %d changes", e.Facts.Groups, e.Identities)
	}
}

// ctx.plugin belongs to one instance, is bounded for itself, and goes into the log phase.
func TestPrivateValues(t *testing.T) {
	e, _ := begin()
	a, b := instance("a"), instance("b")
	set := func(e *Exchange, in *plan.Instance, key string, v any) error {
		return e.Apply(Applier{Instance: in, Phase: pdk.PhaseLog, MaxShared: 40}, []wire.Op{{Code: pdk.OpCtxPluginSet, Name: key, Value: value(v)}})
	}
	big := strings.Repeat("x", 25)
	if err := errors.Join(set(e, a, "k", "of a"), set(e, b, "k", big), set(e, a, "l", int64(1)), set(e, a, "l", nil)); err != nil {
		t.Fatal(err)
	}
	if err := set(e, b, "more", big); err == nil || !strings.Contains(err.Error(), "max_shared") {
		t.Errorf("too much: %v", err)
	}
	want := []wire.SharedValue{{Key: "k", Value: value("of a")}}
	if got := e.Private(a); !reflect.DeepEqual(got, want) {
		t.Errorf("ctx.plugin of a: %v", got)
	}
	if got := e.Private(instance("a")); got != nil {
		t.Errorf("another instance of the same plugin sees %v", got)
	}
	d := e.Detach()
	if err := set(d, a, "k", "in log"); err != nil {
		t.Fatal(err)
	}
	if got := e.Private(a); !reflect.DeepEqual(got, want) {
		t.Errorf("the log phase wrote to the live exchange: %v", got)
	}
	if got := d.Private(a); !reflect.DeepEqual(got, []wire.SharedValue{{Key: "k", Value: value("in log")}}) {
		t.Errorf("ctx.plugin in the log phase: %v", got)
	}
	e.Reset()
	if e.Private(a) != nil {
		t.Error("the values are there in the next request")
	}
}

func TestCacheAndTelemetry(t *testing.T) {
	e, _ := begin()
	kept := cacheOf{"p/old": "x", "q/k": "of q"}
	var records []Telemetry
	e.Gateway = &Gateway{Cache: kept, Telemetry: func(r Telemetry) { records = append(records, r) }}
	in := Applier{Instance: instance("p"), Phase: pdk.PhaseAccess}
	err := e.Apply(in, []wire.Op{
		generic(pdk.OpCacheSet, "k", map[string]any{"a": []byte{0xff}}, 1.5),
		generic(pdk.OpCacheDelete, "old"),
		generic(pdk.OpCacheSet, "gone", 1, 0.0), generic(pdk.OpCacheSet, "gone", nil, 0.0),
		generic(pdk.OpTelemetryLog, "other", map[string]any{"password": "s3cret"}, "type", "message", map[string]any{"n": int64(1), "raw": []byte("b")}),
		{Code: pdk.OpServiceRequestSetHeader, Name: "traceparent", Values: []string{"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}},
		generic(pdk.OpTelemetryLog, "p", map[string]any{}, "type", "traced", nil),
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := (cacheOf{"p/k": string(value(map[string]any{"a": []byte{0xff}})), "q/k": "of q"}); !reflect.DeepEqual(kept, want) {
		t.Errorf("cache %q", kept)
	}
	want := []Telemetry{
		{Instance: in.Instance, Phase: pdk.PhaseAccess, RequestID: "id", TraceID: "id", Plugin: "other", Type: "type", Message: "message", Attributes: map[string]any{"n": int64(1), "raw": "b"}},
		{Instance: in.Instance, Phase: pdk.PhaseAccess, RequestID: "id", TraceID: "0af7651916cd43dd8448eb211c80319c", Plugin: "p", Type: "type", Message: "traced", Attributes: map[string]any{}},
	}
	if !reflect.DeepEqual(records, want) {
		t.Errorf("records %+v", records)
	}
}

func TestTraceID(t *testing.T) {
	const id = "0af7651916cd43dd8448eb211c80319c"
	for header, want := range map[string]string{
		"00-" + id + "-b7ad6b7169203331-01":          id,
		"01-" + id + "-b7ad6b7169203331-01-future":   id,
		"ff-" + id + "-b7ad6b7169203331-01":          "request",
		"00-" + strings.ToUpper(id) + "-b7ad-01":     "request",
		"00-" + strings.Repeat("0", 32) + "-b7ad-01": "request",
		"00-" + id: "request", "nonsense": "request", "": "request",
	} {
		if got := traceID(header, "request"); got != want {
			t.Errorf("%q gives %s", header, got)
		}
	}
}

func references(n int) map[string]any {
	refs := map[string]any{}
	for i := range n {
		refs["field "+strconv.Itoa(i)] = "{vault://env/x}"
	}
	return refs
}

func TestAskTheGateway(t *testing.T) {
	e, _ := begin()
	e.Gateway = &Gateway{
		Hostname: "gw", Vault: vaultOf{}, Cache: cacheOf{"p/k": string(value("kept"))},
		Configuration: func() map[string]any { return map[string]any{"log_level": "info"} },
		Statistics: func() Statistics {
			return Statistics{Accepted: 5, Handled: 5, Requests: 9, Active: 3, Reading: 1, Writing: 1, Waiting: 1}
		},
	}
	by := instance("p")
	ask := func(fn wire.AskFn, args ...any) (any, string) {
		t.Helper()
		a := &wire.Ask{Fn: fn}
		for _, v := range args {
			a.Args = append(a.Args, value(v))
		}
		answer := e.Ask(by, a)
		switch {
		case answer.Err != nil:
			return nil, answer.Err.Code
		case answer.IsBytes:
			return string(answer.Bytes), ""
		case answer.Value == nil:
			return nil, ""
		}
		v, err := wire.DecodeValue(answer.Value)
		if err != nil {
			t.Fatal(err)
		}
		return v, ""
	}
	for _, c := range []struct {
		name string
		fn   wire.AskFn
		args []any
		want any
		code string
	}{
		{"known upstream", pdk.AskServiceSetUpstream, []any{"pool"}, nil, ""},
		{"unknown upstream", pdk.AskServiceSetUpstream, []any{"gone"}, nil, wire.CodeBadData},
		{"chain", pdk.AskClientTLSGetFullClientCertificateChain, nil, nil, ""},
		{"configuration", pdk.AskNodeGetConfiguration, nil, map[string]any{"log_level": "info"}, ""},
		{"statistics", pdk.AskNginxGetStatistics, nil, map[string]any{
			"connections_accepted": int64(5), "connections_handled": int64(5), "connections_active": int64(3), "connections_reading": int64(1),
			"connections_writing": int64(1), "connections_waiting": int64(1), "total_requests": int64(9),
		}, ""},
		{"variable", pdk.AskNginxGetVar, []any{"hostname"}, "gw", ""},
		{"no variable", pdk.AskNginxGetVar, []any{"nonsense"}, nil, ""},
		{"secret", pdk.AskVaultGet, []any{"{vault://env/x}"}, "secret", ""},
		{"no secret", pdk.AskVaultGet, []any{"{vault://env/y}"}, nil, wire.CodeBadData},
		{"update", pdk.AskVaultUpdate, []any{map[string]any{"a": true}}, map[string]any{"updated": true}, ""},
		{"update of many", pdk.AskVaultUpdate, []any{map[string]any{"$refs": references(maxRefs)}}, map[string]any{"updated": nil}, ""},
		{"update of too many", pdk.AskVaultUpdate, []any{map[string]any{"$refs": references(maxRefs + 1)}}, nil, wire.CodeBadArgument},
		{"update of no map", pdk.AskVaultUpdate, []any{"x"}, nil, wire.CodeBadArgument},
		{"kept", pdk.AskCacheGet, []any{"k"}, "kept", ""},
		{"not kept", pdk.AskCacheGet, []any{"l"}, nil, ""},
		{"memory of a strange unit", pdk.AskNodeGetMemoryStats, []any{"t", int64(2)}, nil, wire.CodeBadArgument},
		{"memory of a strange scale", pdk.AskNodeGetMemoryStats, []any{"k", int64(11)}, nil, wire.CodeBadArgument},
		{"no arguments", pdk.AskNodeGetMemoryStats, nil, nil, wire.CodeBadArgument},
		{"groups of nobody", pdk.AskClientAuthenticateConsumerGroupByConsumerID, []any{"x"}, nil, wire.CodeBadData},
		{"groups", pdk.AskClientAuthenticateConsumerGroupByConsumerID, []any{"c"}, []any{map[string]any{"id": "g", "name": "gold"}}, ""},
	} {
		if got, code := ask(c.fn, c.args...); code != c.code || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %v (%T), code %q", c.name, got, got, code)
		}
	}
	stats, _ := ask(pdk.AskNodeGetMemoryStats, "b", int64(2))
	for _, name := range []string{"resident", "heap", "heap_in_use", "stacks", "total"} {
		if n, ok := stats.(map[string]any)["process"].(map[string]any)[name].(int64); !ok || n <= 0 {
			t.Errorf("%s is %v", name, stats)
		}
	}
	stats, _ = ask(pdk.AskNodeGetMemoryStats, "m", 1.0)
	if text, _ := stats.(map[string]any)["process"].(map[string]any)["total"].(string); !strings.HasSuffix(text, " MiB") || strings.IndexByte(text, '.') != len(text)-len(".0 MiB") {
		t.Errorf("total is %q", text)
	}
	e.Gateway = nil
	if _, code := ask(pdk.AskVaultGet, "{vault://env/x}"); code != wire.CodeHostError {
		t.Errorf("without a gateway: %q", code)
	}
}

// response.get_raw_body sees what an earlier plugin put there, service.response.get_raw_body what the upstream sent.
func TestTwoResponseBodies(t *testing.T) {
	e, _ := begin()
	body := func(fn wire.AskFn) string {
		a := e.Ask(nil, &wire.Ask{Fn: fn})
		if a.Err != nil {
			return a.Err.Code
		}
		return string(a.Bytes)
	}
	if got := body(pdk.AskResponseGetRawBody); got != wire.CodeBadData {
		t.Errorf("before there is a response: %s", got)
	}
	e.ResponseArrived(true)
	if a, b := body(pdk.AskResponseGetRawBody), body(pdk.AskServiceResponseGetRawBody); a != "response" || b != "response" {
		t.Errorf("as it came: %s, %s", a, b)
	}
	if err := e.Apply(Applier{Phase: pdk.PhaseResponse}, []wire.Op{{Code: pdk.OpResponseSetRawBody, Body: []byte("new"), HasBody: true}}); err != nil {
		t.Fatal(err)
	}
	if a, b := body(pdk.AskResponseGetRawBody), body(pdk.AskServiceResponseGetRawBody); a != "new" || b != "response" {
		t.Errorf("after set_raw_body: %s, %s", a, b)
	}
}

func TestSerializeShowsTLSSpansAndTries(t *testing.T) {
	e, _ := begin()
	in := Applier{Instance: instance("p"), Phase: pdk.PhaseAccess}
	record := pdk.SpanRecord{
		Name: "query", Start: 1700000000000001, End: 1700000000000009, Status: pdk.SpanOK,
		Attributes: map[string]any{"raw": []byte("b"), "nan": math.NaN(), "deep": map[string]any{"list": []any{[]byte("c")}}},
		Events:     []pdk.SpanEvent{{Name: "sent", Time: 1700000000000002, Attributes: map[string]any{"n": int64(1)}}},
	}
	e.Facts.TLS = wire.TLS{Set: true, Version: "TLSv1.3", Cipher: "TLS_AES_128_GCM_SHA256", ClientVerify: "NONE", HasCertificate: true}
	if err := e.Apply(in, []wire.Op{local.SpanOp(1, 0, record), generic(pdk.OpClientTLSSetClientVerify, "FAILED:expired")}); err != nil {
		t.Fatal(err)
	}
	e.Tries = append(e.Tries, local.Try{Host: "10.0.0.1", Port: 80, Start: 1}, local.Try{Host: "10.0.0.2", Port: 81, Start: 2})
	e.ResponseArrived(false)
	text, err := e.Detach().Serialize()
	if err != nil {
		t.Fatal(err)
	}
	var entry struct {
		Request struct{ TLS map[string]string }
		Spans   []map[string]any
		Tries   []map[string]any
	}
	if err := json.Unmarshal([]byte(text), &entry); err != nil {
		t.Fatal(err)
	}
	if want := map[string]string{"version": "TLSv1.3", "cipher": "TLS_AES_128_GCM_SHA256", "client_verify": "FAILED:expired"}; !reflect.DeepEqual(entry.Request.TLS, want) {
		t.Errorf("tls %v", entry.Request.TLS)
	}
	wantSpan := map[string]any{
		"id": 1.0, "parent": 0.0, "name": "query", "start": 1700000000000001.0, "end": 1700000000000009.0, "status": "ok", "message": "",
		"plugin": "p", "plugin_id": "id of p", "phase": "access",
		"attributes": map[string]any{"raw": "b", "nan": "NaN", "deep": map[string]any{"list": []any{"c"}}},
		"events":     []any{map[string]any{"name": "sent", "time": 1700000000000002.0, "attributes": map[string]any{"n": 1.0}}},
	}
	if len(entry.Spans) != 1 || !reflect.DeepEqual(entry.Spans[0], wantSpan) {
		t.Errorf("spans %v", entry.Spans)
	}
	wantTries := []map[string]any{
		{"ip": "10.0.0.1", "port": 80.0, "balancer_start": 1.0, "state": "failed"}, {"ip": "10.0.0.2", "port": 81.0, "balancer_start": 2.0},
	}
	if !reflect.DeepEqual(entry.Tries, wantTries) {
		t.Errorf("tries %v", entry.Tries)
	}
}

// body_filter may make spans without end.
func TestSpansAreBounded(t *testing.T) {
	e, _ := begin()
	op := local.SpanOp(1, 0, pdk.SpanRecord{Name: "s", Start: 1, End: 2, Status: pdk.SpanUnset})
	for range maxSpans + 10 {
		if err := e.Apply(Applier{Instance: instance("p"), Phase: pdk.PhaseBodyFilter}, []wire.Op{op}); err != nil {
			t.Fatal(err)
		}
	}
	if len(e.Spans) != maxSpans {
		t.Errorf("%d spans", len(e.Spans))
	}
	e, _ = begin()
	op = local.SpanOp(1, 0, pdk.SpanRecord{Name: "s", Start: 1, End: 2, Status: pdk.SpanUnset, Attributes: map[string]any{"a": strings.Repeat("x", 100<<10)}})
	for range 20 {
		if err := e.Apply(Applier{Instance: instance("p"), Phase: pdk.PhaseBodyFilter}, []wire.Op{op}); err != nil {
			t.Fatal(err)
		}
	}
	if len(e.Spans) != maxSpanBytes/len(op.Value) {
		t.Errorf("%d spans of %d bytes", len(e.Spans), len(op.Value))
	}
}
