package wire_test

import (
	"math"
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// anyText is text of bytes, often not UTF-8.
func anyText() *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string { return string(rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "bytes")) })
}

// anyValue is a free value of every kind, lesson by lesson: false, null, empty lists and empty maps included.
func anyValue(depth int) *rapid.Generator[any] {
	return rapid.Custom(func(t *rapid.T) any {
		kinds := 8
		if depth > 0 {
			kinds = 10
		}
		switch rapid.IntRange(0, kinds-1).Draw(t, "kind") {
		case 0:
			return nil
		case 1:
			return rapid.Bool().Draw(t, "bool")
		case 2:
			return rapid.Int64().Draw(t, "int64")
		case 3:
			return rapid.Uint64Range(1<<63, math.MaxUint64).Draw(t, "uint64")
		case 4:
			return rapid.Float64().Draw(t, "float64")
		case 5:
			return rapid.String().Draw(t, "string")
		case 6:
			return rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "bytes")
		case 7:
			return int64(rapid.IntRange(-200, 300).Draw(t, "small"))
		case 8:
			n := rapid.IntRange(0, 4).Draw(t, "length")
			list := make([]any, n)
			for i := range list {
				list[i] = anyValue(depth-1).Draw(t, "element")
			}
			return list
		}
		m := map[string]any{}
		for range rapid.IntRange(0, 4).Draw(t, "entries") {
			m[rapid.String().Draw(t, "key")] = anyValue(depth-1).Draw(t, "value")
		}
		return m
	})
}

func TestEveryValueSurvives(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := anyValue(4).Draw(t, "value")
		b, err := wire.AppendValue(nil, v)
		if err != nil {
			t.Fatal(err)
		}
		got, err := wire.DecodeValue(b)
		if err != nil || !reflect.DeepEqual(got, v) {
			t.Fatalf("got %#v, %v; want %#v", got, err, v)
		}
	})
}

func anyHeaders() *rapid.Generator[[]wire.Header] {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) wire.Header {
		return wire.Header{Name: rapid.StringMatching(`[a-z0-9_-]{0,40}`).Draw(t, "name"), Value: anyText().Draw(t, "value")}
	}), 0, 20)
}

func anyBody() *rapid.Generator[[]byte] {
	return rapid.Custom(func(t *rapid.T) []byte {
		return large(rapid.SampledFrom([]int{0, 1, 255, 256, wire.ChunkSize - 1, wire.ChunkSize, wire.ChunkSize + 1, 3*wire.ChunkSize + 7}).Draw(t, "size"))
	})
}

func TestEveryCallSurvives(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		has := func(name string) bool { return rapid.Bool().Draw(t, name) }
		port := func(name string) int { return rapid.IntRange(1, 65535).Draw(t, name) }
		c := &wire.Call{
			Instance: rapid.Uint64().Draw(t, "instance"), Phase: uint8(rapid.IntRange(1, 6).Draw(t, "phase")), TimeoutMS: rapid.Uint32().Draw(t, "timeout"),
			Facts: &wire.Facts{
				RequestID: rapid.StringMatching(`[0-9a-f]{32}`).Draw(t, "request id"), StartTime: rapid.Int64Range(0, math.MaxInt64).Draw(t, "start"),
				Request: wire.Request{
					Method: "GET", Scheme: "http", Host: anyText().Draw(t, "host"), Port: port("port"), HTTPVersion: 11,
					Target: anyText().Draw(t, "target"), Path: anyText().Draw(t, "path"), RawQuery: anyText().Draw(t, "query"), Headers: anyHeaders().Draw(t, "headers"),
				},
				Client: wire.Client{IP: "10.0.0.1", Port: port("client port"), ForwardedIP: rapid.SampledFrom([]string{"10.0.0.1", "::1"}).Draw(t, "ip"), ForwardedPort: rapid.IntRange(0, 65535).Draw(t, "forwarded port"), Trusted: has("trusted")},
			},
			Last: has("last"),
		}
		if has("forwarded") {
			c.Forwarded = wire.Forwarded{Set: true, Scheme: anyText().Draw(t, "scheme"), Host: "h", Port: port("xfp"), Path: anyText().Draw(t, "xpath")}
			if c.Forwarded.HasPrefix = has("prefix"); c.Forwarded.HasPrefix {
				c.Forwarded.Prefix = anyText().Draw(t, "prefix text")
			}
		}
		for _, e := range []**wire.Entity{&c.Route, &c.Service, &c.Consumer, &c.Credential} {
			if has("entity") {
				*e = entity(map[string]any{"id": rapid.StringMatching(`[a-f0-9-]{1,36}`).Draw(t, "id"), "x": anyValue(2).Draw(t, "field")})
			}
		}
		for range rapid.IntRange(0, 20).Draw(t, "shared") {
			c.Shared = append(c.Shared, wire.SharedValue{Key: anyText().Draw(t, "key"), Value: value(anyValue(2).Draw(t, "value"))})
		}
		for range rapid.IntRange(0, 4).Draw(t, "plugin") {
			c.Plugin = append(c.Plugin, wire.SharedValue{Key: anyText().Draw(t, "plugin key"), Value: value(anyValue(2).Draw(t, "plugin value"))})
		}
		if has("tls") {
			c.TLS = wire.TLS{Set: true, Version: anyText().Draw(t, "version"), Cipher: anyText().Draw(t, "cipher"), ClientVerify: anyText().Draw(t, "verify"), HasCertificate: has("certificate")}
		}
		for range rapid.IntRange(0, 4).Draw(t, "groups") {
			c.Groups = append(c.Groups, wire.Group{ID: anyText().Draw(t, "group id"), Name: anyText().Draw(t, "group name")})
		}
		if has("trace") {
			c.Trace = wire.Trace{Parent: "00-" + anyText().Draw(t, "parent"), State: anyText().Draw(t, "state")}
		}
		c.Prefetched = anyPrefetched().Draw(t, "prefetched")
		steps := 3
		if c.Phase == wire.PhaseBodyFilter {
			steps = 0
		}
		for range rapid.IntRange(0, steps).Draw(t, "steps") {
			s := wire.Step{
				Instance: rapid.Uint64().Draw(t, "step instance"), TimeoutMS: rapid.Uint32().Draw(t, "step timeout"), Prefetched: anyPrefetched().Draw(t, "of the step"),
			}
			for range rapid.IntRange(0, 3).Draw(t, "plugin of the step") {
				s.Plugin = append(s.Plugin, wire.SharedValue{Key: anyText().Draw(t, "step key"), Value: value(anyValue(2).Draw(t, "step value"))})
			}
			if has("step trace") {
				s.Trace = wire.Trace{Parent: "00-" + anyText().Draw(t, "step parent"), State: anyText().Draw(t, "step state")}
			}
			c.Rest = append(c.Rest, s)
		}
		if has("captures") {
			c.Captures.Unnamed = []string{anyText().Draw(t, "capture")}
			c.Captures.Named = anyHeaders().Draw(t, "named")
		}
		if c.HasResponse = has("response"); c.HasResponse {
			c.Response = wire.Response{Status: rapid.IntRange(100, 999).Draw(t, "status"), Headers: anyHeaders().Draw(t, "response headers"), Source: wire.Source(rapid.IntRange(0, 2).Draw(t, "source"))}
		}
		if c.HasServiceResponse = has("service response"); c.HasServiceResponse {
			c.ServiceResponse = wire.Response{Status: rapid.IntRange(100, 999).Draw(t, "service status"), Headers: anyHeaders().Draw(t, "service headers")}
			if has("same headers") {
				c.ServiceResponse.Headers = c.Response.Headers
			}
		}
		for _, b := range []struct {
			body *[]byte
			has  *bool
		}{{&c.Chunk, &c.HasChunk}, {&c.RequestBody, &c.HasRequestBody}, {&c.ResponseBody, &c.HasResponseBody}} {
			if *b.has = has("body"); *b.has {
				*b.body = anyBody().Draw(t, "bytes")
			}
		}
		body, bulk, slots := encodeCall(c)
		var got wire.Call
		if err := wire.DecodeCall(body, bulk, slots, &got); err != nil {
			t.Fatal(err)
		}
		if g, w := normalCall(&got), normalCall(c); !reflect.DeepEqual(g, w) {
			t.Fatalf("got  %+v %+v\nwant %+v %+v", g, g.Facts, w, w.Facts)
		}
	})
}

// anyPrefetched are answers ahead, of every kind that travels.
func anyPrefetched() *rapid.Generator[[]wire.Prefetched] {
	return rapid.Custom(func(t *rapid.T) []wire.Prefetched {
		var items []wire.Prefetched
		for range rapid.IntRange(0, wire.MaxPrefetched).Draw(t, "items") {
			item := wire.Prefetched{Fn: wire.AskFn(rapid.IntRange(1, 16).Draw(t, "function"))}
			for range rapid.IntRange(0, 2).Draw(t, "arguments") {
				item.Args = append(item.Args, value(rapid.String().Draw(t, "argument")))
			}
			switch rapid.IntRange(0, 2).Draw(t, "kind of answer") {
			case 1:
				item.Answer = wire.Answer{Bytes: []byte(anyText().Draw(t, "bytes")), IsBytes: true}
			case 2:
				item.Answer = wire.Answer{Value: value(rapid.String().Draw(t, "text"))}
			}
			items = append(items, item)
		}
		return items
	})
}

func TestEveryOutcomeSurvives(t *testing.T) {
	forms := everyOp().Ops
	rapid.Check(t, func(t *rapid.T) {
		o := &wire.Outcome{Ops: []wire.Op{}}
		for range rapid.IntRange(0, 30).Draw(t, "operations") {
			op := rapid.SampledFrom(forms).Draw(t, "form")
			if op.Name != "" {
				op.Name = anyText().Draw(t, "name")
			}
			if len(op.Values) > 0 {
				op.Values = rapid.SliceOfN(anyText(), 0, 5).Draw(t, "values")
			}
			if op.HasBody && op.Code != wire.OpResponseError {
				op.Body = anyBody().Draw(t, "body")
			}
			if op.Code.Generic() {
				op.Value = value(rapid.SliceOfN(anyValue(2), 0, 20).Draw(t, "arguments"))
			}
			if len(op.Headers) > 0 {
				op.Headers = anyHeaders().Draw(t, "headers")
			}
			if len(op.Headers) == 0 {
				op.Headers = nil
			}
			o.Ops = append(o.Ops, op)
		}
		o.Unused = rapid.Uint32().Draw(t, "unused")
		if o.HasBody = rapid.Bool().Draw(t, "has body"); o.HasBody {
			o.Body = anyBody().Draw(t, "replacement")
		}
		var bulk []byte
		for _, b := range wire.AppendLargeOfOutcome(nil, o) {
			bulk = append(bulk, b...)
		}
		var got wire.Outcome
		if err := wire.DecodeOutcome(wire.AppendOutcome(nil, o), bulk, &got); err != nil {
			t.Fatal(err)
		}
		got.Ops = append([]wire.Op{}, got.Ops...)
		if !reflect.DeepEqual(&got, o) {
			t.Fatalf("got  %+v\nwant %+v", got, *o)
		}
	})
}
