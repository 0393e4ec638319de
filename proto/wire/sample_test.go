package wire_test

import (
	"bytes"
	"strings"

	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// value encodes a free value that is known to have an encoding.
func value(v any) []byte {
	b, err := wire.AppendValue(nil, v)
	if err != nil {
		panic(err)
	}
	return b
}

func entity(fields map[string]any) *wire.Entity {
	e, err := wire.NewEntity(fields)
	if err != nil {
		panic(err)
	}
	return e
}

// minimalCall is the smallest call that a host sends.
func minimalCall() *wire.Call {
	return &wire.Call{
		Instance: 1, Phase: 2, TimeoutMS: 1000,
		Facts: &wire.Facts{
			RequestID: "000102030405060708090a0b0c0d0e0f", StartTime: 1767225600000,
			Request: wire.Request{
				Method: "GET", Scheme: "http", Host: "gw.test", Port: 8000, HTTPVersion: 11, Target: "/", Path: "/",
				Headers: []wire.Header{{Name: "host", Value: "gw.test:8000"}},
			},
			Client: wire.Client{IP: "10.0.0.9", Port: 40000, ForwardedIP: "10.0.0.9"},
		},
	}
}

// fullCall has every field, none of them large.
func fullCall() *wire.Call {
	headers := []wire.Header{{Name: "content-type", Value: "text/plain"}, {Name: "x-bytes", Value: "caf\xe9"}}
	return &wire.Call{
		Instance: 1 << 40, Phase: 5, TimeoutMS: 70000,
		Facts: &wire.Facts{
			RequestID: "ffeeddccbbaa99887766554433221100", StartTime: 1767225600123,
			Request: wire.Request{
				Method: "POST", Scheme: "https", Host: "gw.test", Port: 8443, HTTPVersion: 20,
				Target: "/a/../b%20c?x=1&y", Path: "/b c", RawQuery: "x=2",
				Headers: []wire.Header{{Name: "host", Value: "gw.test"}, {Name: "x-name", Value: "J\xf6rg"}, {Name: "x-name", Value: ""}},
			},
			Client:     wire.Client{IP: "10.0.0.9", Port: 40000, ForwardedIP: "203.0.113.7", ForwardedPort: 1234, Trusted: true},
			Forwarded:  wire.Forwarded{Set: true, Scheme: "http", Host: "edge.test", Port: 80, Path: "/p/b?x", Prefix: "/p", HasPrefix: true},
			Route:      entity(map[string]any{"id": "11111111-1111-4111-8111-111111111111", "name": "orders"}),
			Service:    entity(map[string]any{"id": "22222222-2222-4222-8222-222222222222", "name": "shop", "port": 80}),
			Consumer:   entity(map[string]any{"id": "33333333-3333-4333-8333-333333333333", "username": "alice"}),
			Credential: entity(map[string]any{"id": "44444444-4444-4444-8444-444444444444", "key": "secret"}),
			Captures:   wire.Captures{Unnamed: []string{"17", "\xff"}, Named: []wire.Header{{Name: "id", Value: "17"}}},
			Shared: []wire.SharedValue{
				{Key: "empty list", Value: value([]any{})}, {Key: "empty map", Value: value(map[string]any{})},
				{Key: "false", Value: value(false)}, {Key: "nil", Value: value(nil)}, {Key: "text", Value: value("ü")},
			},
			TLS:         wire.TLS{Set: true, Version: "TLSv1.3", Cipher: "TLS_AES_128_GCM_SHA256", ClientVerify: "FAILED:certificate has expired", HasCertificate: true},
			Groups:      []wire.Group{{ID: "55555555-5555-4555-8555-555555555555", Name: "gold"}, {ID: "66666666-6666-4666-8666-666666666666"}},
			Trace:       wire.Trace{Parent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", State: "rojo=00f067aa0ba902b7"},
			HasResponse: true, Response: wire.Response{Status: 201, Headers: headers, Source: wire.SourceExit},
			HasServiceResponse: true, ServiceResponse: wire.Response{Status: 200, Headers: headers[:1]},
		},
		Plugin: []wire.SharedValue{{Key: "seen", Value: value([]any{int64(1), nil})}, {Key: "x", Value: value(map[string]any{"y": false})}},
		Chunk:  []byte("piece"), HasChunk: true, Last: true,
		RequestBody: []byte{}, HasRequestBody: true,
		ResponseBody: []byte{0, 1, 255}, HasResponseBody: true,
	}
}

// prefetchedCall is a call with answers of every kind ahead.
func prefetchedCall() *wire.Call {
	c := minimalCall()
	c.Prefetched = []wire.Prefetched{
		{Fn: wire.AskRequestGetRawBody, Answer: wire.Answer{Bytes: []byte("body \x00\xff"), IsBytes: true}},
		{Fn: wire.AskResponseGetRawBody, Answer: wire.Answer{Bytes: []byte{}, IsBytes: true}},
		{Fn: wire.AskNginxGetVar, Args: [][]byte{value("request_method")}, Answer: wire.Answer{Bytes: []byte("GET"), IsBytes: true}},
		{Fn: wire.AskLogSerialize, Answer: wire.Answer{Value: value(`{"client_ip":"10.0.0.9"}`)}},
		{Fn: wire.AskClientTLSGetFullClientCertificateChain},
		{Fn: wire.AskClientLoadConsumer, Args: [][]byte{value("alice"), value(true)}, Answer: wire.Answer{Value: value(map[string]any{"id": "33333333-3333-4333-8333-333333333333", "username": "alice"})}},
	}
	return c
}

// steppedCall is a fused call of three steps.
func steppedCall() *wire.Call {
	c := fullCall()
	c.Phase, c.HasChunk, c.Chunk, c.Last = 2, false, nil, false
	c.Rest = []wire.Step{
		{
			Instance: 1<<40 + 1, TimeoutMS: 250, Plugin: []wire.SharedValue{{Key: "seen", Value: value(int64(2))}},
			Prefetched: []wire.Prefetched{{Fn: wire.AskNginxGetVar, Args: [][]byte{value("uri")}, Answer: wire.Answer{Bytes: []byte("/a"), IsBytes: true}}},
			Trace:      wire.Trace{Parent: "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01", State: "rojo=00f067aa0ba902b7"},
		},
		{Instance: 1<<40 + 2, TimeoutMS: 1000},
	}
	return c
}

// typicalCall is what a browser behind a proxy causes: 12 headers.
func typicalCall() *wire.Call {
	c := minimalCall()
	c.Request.Target, c.Request.Path, c.Request.RawQuery = "/shop/orders/17?expand=items", "/shop/orders/17", "expand=items"
	for _, h := range [][2]string{
		{"User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"}, {"Accept", "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"},
		{"Accept-Language", "en-GB,en;q=0.7,de;q=0.3"}, {"Accept-Encoding", "gzip, deflate, br, zstd"}, {"Referer", "https://shop.example/orders"},
		{"Cookie", "session=" + strings.Repeat("a1b2", 24)}, {"X-Forwarded-For", "203.0.113.7"}, {"X-Forwarded-Proto", "https"},
		{"X-Request-Start", "1767225600123"}, {"Cache-Control", "no-cache"}, {"Authorization", "Bearer " + strings.Repeat("x9Y", 30)},
	} {
		c.Request.Headers = append(c.Request.Headers, wire.Header{Name: h[0], Value: h[1]})
	}
	f := fullCall()
	c.Route, c.Service, c.Consumer = f.Route, f.Service, f.Consumer
	return c
}

// typicalOutcome is four header writes.
func typicalOutcome() *wire.Outcome {
	return &wire.Outcome{Ops: []wire.Op{
		{Code: wire.OpServiceRequestSetHeader, Name: "X-Hello-Go", Values: []string{"hello, world"}},
		{Code: wire.OpServiceRequestClearHeader, Name: "Authorization"},
		{Code: wire.OpResponseSetHeader, Name: "X-Hello-Go", Values: []string{"hello, world"}},
		{Code: wire.OpCtxSharedSet, Name: "hello.seen", Value: value(int64(3))},
	}}
}

// everyOp is one outcome with each operation in each of its forms.
func everyOp() *wire.Outcome {
	return &wire.Outcome{Ops: []wire.Op{
		{Code: wire.OpServiceRequestSetHeader, Name: "X-A", Values: []string{"1", "caf\xe9"}},
		{Code: wire.OpServiceRequestSetHeader, Name: "X-Gone", Values: []string{}},
		{Code: wire.OpServiceRequestAddHeader, Name: "X-A", Values: []string{""}},
		{Code: wire.OpServiceRequestClearHeader, Name: "Cookie"},
		{Code: wire.OpServiceRequestSetMethod, Name: "PATCH"},
		{Code: wire.OpServiceRequestSetPath, Name: "/caf\xe9/x"},
		{Code: wire.OpServiceRequestSetRawQuery, Name: ""},
		{Code: wire.OpServiceRequestSetRawBody, Body: []byte("body \x00\xff"), HasBody: true},
		{Code: wire.OpServiceRequestEnableBuffering},
		{Code: wire.OpServiceRequestSetScheme, Name: "https"},
		{Code: wire.OpResponseSetStatus, Status: 418},
		{Code: wire.OpResponseSetHeader, Name: "X-B", Values: []string{"2"}},
		{Code: wire.OpResponseAddHeader, Name: "Set-Cookie", Values: []string{"a=1", "b=2"}},
		{Code: wire.OpResponseClearHeader, Name: "Server"},
		{Code: wire.OpResponseSetRawBody, Body: []byte{}, HasBody: true},
		{Code: wire.OpClientAuthenticate, Value: value(map[string]any{"id": "33333333-3333-4333-8333-333333333333", "username": "alice"})},
		{Code: wire.OpClientAuthenticate, Credential: value(map[string]any{"id": "44444444-4444-4444-8444-444444444444"})},
		{Code: wire.OpCtxSharedSet, Name: "k", Value: value([]any{nil, false, int64(-1), uint64(1 << 63), 0.5, "t", []byte("b"), map[string]any{"x": []any{}}})},
		{Code: wire.OpCtxSharedSet, Name: "gone"},
		{Code: wire.OpCtxPluginSet, Name: "k", Value: value(map[string]any{"n": int64(1)})},
		{Code: wire.OpCtxPluginSet, Name: "gone"},
		{Code: wire.OpClientSetAuthenticatedConsumerGroups, Value: value([]any{[]any{[]any{"55555555-5555-4555-8555-555555555555", "gold"}}, "append"})},
		{Code: wire.OpClientTLSSetClientVerify, Value: value([]any{"FAILED:self-signed"})},
		{Code: wire.OpServiceSetUpstream, Value: value([]any{"blue"})},
		{Code: wire.OpServiceSetTarget, Value: value([]any{"::1", int64(8080)})},
		{Code: wire.OpServiceSetRetries, Value: value([]any{int64(2)})},
		{Code: wire.OpServiceSetTimeouts, Value: value([]any{int64(1000), int64(2000), int64(3000)})},
		{Code: wire.OpServiceSetFallbackTargets, Value: value([]any{[]any{"a.test:80", "[::1]:81"}})},
		{Code: wire.OpServiceSetTLSVerify, Value: value([]any{true})},
		{Code: wire.OpServiceSetTLSVerifyDepth, Value: value([]any{int64(3)})},
		{Code: wire.OpServiceSetTLSCertKey, Value: value([]any{"-----BEGIN CERTIFICATE-----", "-----BEGIN PRIVATE KEY-----"})},
		{Code: wire.OpServiceSetTLSVerifyStore, Value: value([]any{"-----BEGIN CERTIFICATE-----"})},
		{Code: wire.OpTelemetryLog, Value: value([]any{"my-plugin", map[string]any{}, "audit", "done", nil})},
		{Code: wire.OpCacheSet, Value: value([]any{"k", []byte{0, 255}, 1.5})},
		{Code: wire.OpCacheDelete, Value: value([]any{"k"})},
		{Code: wire.OpTracingStartSpan, Value: value([]any{map[string]any{
			"id": int64(1), "parent": int64(0), "name": "work", "start": int64(1767225600123456), "end": int64(1767225600123999),
			"attributes": map[string]any{"n": int64(1)}, "events": []any{[]any{"half", int64(1767225600123500), map[string]any{}}}, "status": "ok", "message": "",
		}})},
		{Code: wire.OpLogSetSerializeValue, Name: "request.tenant", Value: value("blue"), Mode: "add"},
		{Code: wire.OpResponseExit, Status: 403, Body: []byte(`{"message":"no"}`), HasBody: true, Headers: []wire.Header{{Name: "content-type", Value: "application/json"}}},
		{Code: wire.OpResponseExit, Status: 204},
		{Code: wire.OpResponseError, Status: 503, Name: "later, caf\xe9", HasBody: true, Headers: []wire.Header{{Name: "retry-after", Value: "7"}}},
		{Code: wire.OpResponseError, Status: 500},
	}}
}

func large(n int) []byte { return bytes.Repeat([]byte("outrigger."), n/10+1)[:n] }
