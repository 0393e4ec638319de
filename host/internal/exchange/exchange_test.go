package exchange

import (
	"encoding/json"
	"math"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
	"github.com/outrigger-gateway/outrigger/host/internal/plan"
	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/pdk/local"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// live counts what is loaded.
type live struct{ requests, responses int }

func (l *live) LoadRequest(f *wire.Facts) {
	l.requests++
	f.RequestID = "id"
	f.Request = wire.Request{Method: "GET", Scheme: "http", Host: "h", Port: 8000, Target: "/a?b=1&b=2&c", RawQuery: "b=1&b=2&c", Path: "/a",
		Headers: []wire.Header{{Name: "Authorization", Value: "secret"}, {Name: "proxy-authorization", Value: "secret"}, {Name: "X-A", Value: "1"}, {Name: "x-a", Value: "2"}}}
	f.Client = wire.Client{IP: "127.0.0.1", ForwardedIP: "9.9.9.9"}
}

func (l *live) LoadResponse(f *wire.Facts) {
	l.responses++
	f.Response.Status = 200
	f.Response.Headers = append(f.Response.Headers[:0], wire.Header{Name: "X-Same", Value: "upstream"}, wire.Header{Name: "X-Up", Value: "1"})
	f.ServiceResponse.Headers = append(f.ServiceResponse.Headers[:0], f.Response.Headers...)
}
func (*live) RequestBody() ([]byte, error)  { return []byte("request"), nil }
func (*live) ResponseBody() ([]byte, error) { return []byte("response"), nil }
func (*live) UpstreamURI() string           { return "/up?b=1" }

type directory struct{}

func (directory) Consumer(id string, byName bool) (*entity.Consumer, *wire.Entity) {
	if id == "c" || byName && id == "ada" {
		return &entity.Consumer{ID: "c", Groups: []*entity.ConsumerGroup{{ID: "g", Name: "gold"}}}, &wire.Entity{ID: "c", Doc: value(map[string]any{"id": "c"})}
	}
	return nil, nil
}

func (directory) Credential(kind, key string) (*wire.Entity, error) {
	if key == "k" {
		return &wire.Entity{ID: "cred", Doc: value(map[string]any{"id": "cred"})}, nil
	}
	return nil, nil
}

func (directory) Upstream(name string) *entity.Upstream {
	if name == "pool" {
		return &entity.Upstream{Name: name}
	}
	return nil
}

func value(v any) []byte {
	b, err := wire.AppendValue(nil, v)
	if err != nil {
		panic(err)
	}
	return b
}

func begin() (*Exchange, *live) {
	l := &live{}
	plans, err := plan.Compile(plan.Options{}, nil, nil, nil)
	if err != nil {
		panic(err)
	}
	e := &Exchange{Live: l, Dir: directory{}, Plan: plans.ForRoute(nil, false)}
	e.NeedRequest()
	return e, l
}

var access = Applier{Phase: pdk.PhaseAccess, MayAuthenticate: true}

func TestApply(t *testing.T) {
	e, _ := begin()
	err := e.Apply(access, []wire.Op{
		{Code: pdk.OpServiceRequestSetHeader, Name: "Host", Values: []string{"other.example"}},
		{Code: pdk.OpServiceRequestSetMethod, Name: "PUT"},
		{Code: pdk.OpServiceRequestSetPath, Name: "/a b"},
		{Code: pdk.OpServiceRequestSetScheme, Name: "https"},
		{Code: pdk.OpServiceRequestSetRawQuery, Name: "x=1"},
		{Code: pdk.OpServiceRequestSetRawBody, Body: []byte("new"), HasBody: true},
		{Code: pdk.OpServiceRequestEnableBuffering},
		{Code: pdk.OpResponseSetHeader, Name: "X_R", Values: []string{" 1 "}},
		{Code: pdk.OpClientAuthenticate, Value: value(map[string]any{"id": "c"}), Credential: value(map[string]any{"id": "cred"})},
		{Code: pdk.OpCtxSharedSet, Name: "k", Value: []byte{1}},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := Upstream{Path: "/a%20b", Scheme: "https", Host: "other.example", Body: []byte("new"), HasBody: true, BufferBody: true}
	if !reflect.DeepEqual(e.Upstream, want) {
		t.Errorf("upstream %+v", e.Upstream)
	}
	if e.Dirty != DirtyRequestHeaders|DirtyMethod|DirtyQuery|DirtyResponse {
		t.Errorf("dirty %b", e.Dirty)
	}
	if e.Consumer == nil || e.Facts.Consumer.ID != "c" || e.Facts.Credential.ID != "cred" {
		t.Errorf("consumer %v %v, credential %v", e.Consumer, e.Facts.Consumer, e.Facts.Credential)
	}
	if h := e.Facts.Response.Headers; len(h) != 1 || h[0] != (wire.Header{Name: "X-R", Value: "1"}) {
		t.Errorf("response headers %v", h)
	}
	if err := e.Apply(access, []wire.Op{{Code: pdk.OpServiceRequestClearHeader, Name: "host"}, {Code: pdk.OpClientAuthenticate, Value: value(map[string]any{"id": "stranger"})}}); err != nil {
		t.Fatal(err)
	}
	if e.Upstream.Host != "" || e.Consumer != nil || e.Facts.Consumer.ID != "stranger" || e.Facts.Credential != nil {
		t.Errorf("host %q, consumer %v %v, credential %v", e.Upstream.Host, e.Consumer, e.Facts.Consumer, e.Facts.Credential)
	}
}

func TestApplyAllOrNone(t *testing.T) {
	e, _ := begin()
	before := len(e.Facts.Request.Headers)
	for _, bad := range []wire.Op{
		{Code: 9999},
		{Code: pdk.OpServiceRequestSetHeader, Name: "a b", Values: []string{"1"}},
		{Code: pdk.OpClientAuthenticate},
		{Code: pdk.OpClientAuthenticate, Value: []byte{0xc1}},
		{Code: pdk.OpClientAuthenticate, Value: value(map[string]any{"id": "c"}), Credential: []byte{1}},
		{Code: pdk.OpResponseSetRawBody},
	} {
		err := e.Apply(access, []wire.Op{
			{Code: pdk.OpServiceRequestAddHeader, Name: "X-B", Values: []string{"1"}},
			{Code: pdk.OpClientAuthenticate, Value: value(map[string]any{"id": "c"})},
			{Code: pdk.OpCtxSharedSet, Name: "k", Value: []byte{1}},
			bad,
		})
		if err == nil {
			t.Errorf("%+v was not refused", bad)
		}
		if len(e.Facts.Request.Headers) != before || e.Facts.Consumer != nil || len(e.Facts.Shared) != 0 || e.Dirty != 0 {
			t.Errorf("%+v: a part was applied: %+v", bad, e)
		}
	}
}

// ctx.shared counts as it is after all operations: values set twice count once, null frees.
func TestApplyBoundsShared(t *testing.T) {
	e, _ := begin()
	in := Applier{Phase: pdk.PhaseLog, MaxShared: 40}
	set := func(key string, n int) wire.Op {
		return wire.Op{Code: pdk.OpCtxSharedSet, Name: key, Value: value(strings.Repeat("x", n))}
	}
	if err := e.Apply(in, []wire.Op{set("a", 25), set("a", 25), set("a", 20)}); err != nil {
		t.Errorf("the same key three times: %v", err)
	}
	if err := e.Apply(in, []wire.Op{set("b", 25)}); err == nil || !strings.Contains(err.Error(), "max_shared") {
		t.Errorf("error %v", err)
	}
	if err := e.Apply(in, []wire.Op{{Code: pdk.OpCtxSharedSet, Name: "a", Value: []byte{0xc0}}, set("b", 25)}); err != nil {
		t.Errorf("after freeing a: %v", err)
	}
}

// body_filter may run without end, and every handler may bring thousands of operations.
func TestGatheredIsBounded(t *testing.T) {
	e, _ := begin()
	in := Applier{Phase: pdk.PhaseBodyFilter, MayAuthenticate: true}
	set := func(key string, v any, mode string) wire.Op {
		return wire.Op{Code: pdk.OpLogSetSerializeValue, Name: key, Value: value(v), Mode: mode}
	}
	for i := range 3 * maxSerialized {
		if err := e.Apply(in, []wire.Op{set("chunks", i, "set"), set("bytes", 2*i, "")}); err != nil {
			t.Fatal(err)
		}
	}
	if len(e.Serialized) != 2 {
		t.Errorf("%d values are kept of 2 keys", len(e.Serialized))
	}
	many := make([]wire.Op, maxSerialized)
	for i := range many {
		many[i] = set("k"+strconv.Itoa(i), i, "set")
	}
	if err := e.Apply(in, many); err == nil || !strings.Contains(err.Error(), "the log entry would hold 4098 values") || len(e.Serialized) != 2 {
		t.Errorf("%d values, %v", len(e.Serialized), err)
	}
	if err := e.Apply(in, []wire.Op{set("large", strings.Repeat("x", maxSerializedBytes), "set")}); err == nil || e.Detach().Apply(in, []wire.Op{set("large", strings.Repeat("x", maxSerializedBytes-5), "set")}) == nil {
		t.Error("more bytes than may be were kept")
	}

	groups := func(from, n int) wire.Op {
		list := make([]any, n)
		for i := range list {
			list[i] = []any{"group " + strconv.Itoa(from+i), ""}
		}
		return generic(pdk.OpClientSetAuthenticatedConsumerGroups, list, "append")
	}
	for i := range local.MaxRequestGroups / 100 {
		if err := e.Apply(access, []wire.Op{groups(100*i, 100)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Apply(access, []wire.Op{groups(local.MaxRequestGroups, 1)}); err == nil || len(e.Facts.Groups) != local.MaxRequestGroups {
		t.Errorf("%d groups, %v", len(e.Facts.Groups), err)
	}
	if err := e.Apply(access, []wire.Op{generic(pdk.OpClientSetAuthenticatedConsumerGroups, []any{}, "write"), groups(local.MaxRequestGroups, 1)}); err != nil || len(e.Facts.Groups) != 1 {
		t.Errorf("%d groups, %v", len(e.Facts.Groups), err)
	}
}

// Which values may go is not seen in the log entry.
func TestSerializedValuesThatAreOverwritten(t *testing.T) {
	set := func(key string, v any, mode string) wire.Op {
		return wire.Op{Code: pdk.OpLogSetSerializeValue, Name: key, Value: value(v), Mode: mode}
	}
	for name, ops := range map[string][]wire.Op{
		"a parent that is added between":    {set("p.q", 1, "set"), set("p", "text", "add"), set("p.q", 2, "set")},
		"a parent that is replaced between": {set("p.q", 1, "set"), set("p", "text", "replace"), set("p.q", 2, "set")},
		"a parent that is deleted between":  {set("p.q", 1, "set"), set("p", nil, "set"), set("p.q", 2, "set")},
		"deleted at last":                   {set("p.q", 1, "set"), set("p.q", nil, "set")},
		"a child between":                   {set("p.q", 1, "set"), set("p.q.r", 5, "set"), set("p.q", 2, "set")},
		"a parent between":                  {set("p.q", 1, "set"), set("p", "text", "set"), set("p.q", 2, "set")},
		"the same key":                      {set("p.q", 1, "set"), set("x", 3, "set"), set("p.q", 2, "set")},
	} {
		e, _ := begin()
		all := map[string]any{}
		for _, op := range ops {
			if err := local.SetSerialized(all, op.Name, op.Value, op.Mode); err != nil {
				t.Fatal(err)
			}
		}
		if err := e.Apply(access, ops); err != nil {
			t.Fatal(err)
		}
		kept := map[string]any{}
		for _, s := range e.Serialized {
			if err := local.SetSerialized(kept, s.Key, s.Value, s.Mode); err != nil {
				t.Fatal(err)
			}
		}
		if !reflect.DeepEqual(kept, all) {
			t.Errorf("%s: %v, want %v", name, kept, all)
		}
	}
}

func TestResponseHeadersSetBeforeTheResponse(t *testing.T) {
	for _, buffered := range []bool{false, true} {
		e, l := begin()
		if err := e.Apply(access, []wire.Op{{Code: pdk.OpResponseSetHeader, Name: "X-Same", Values: []string{"plugin"}}, {Code: pdk.OpResponseSetStatus, Status: 201}}); err != nil {
			t.Fatal(err)
		}
		e.ResponseArrived(buffered)
		if !buffered && (l.responses != 0 || e.Dirty != DirtyAdded || len(e.Added()) != 1) {
			t.Errorf("loaded %d times although headers are only added; dirty %b, added %v", l.responses, e.Dirty, e.Added())
		}
		e.NeedResponse()
		if e.Dirty != DirtyResponse {
			t.Errorf("buffered %t: dirty %b", buffered, e.Dirty)
		}
		got := ""
		for _, h := range e.Facts.Response.Headers {
			got += h.Name + "=" + h.Value + " "
		}
		want := map[bool]string{false: "X-Same=upstream X-Up=1 X-Same=plugin ", true: "X-Same=upstream X-Up=1 "}[buffered]
		if got != want || e.Facts.Response.Status != 200 || len(e.Facts.ServiceResponse.Headers) != 2 {
			t.Errorf("buffered %t: %s, status %d, upstream's %v", buffered, got, e.Facts.Response.Status, e.Facts.ServiceResponse.Headers)
		}
		if l.responses != 1 {
			t.Errorf("loaded %d times", l.responses)
		}
	}
	e, l := begin()
	e.ResponseArrived(false)
	if l.responses != 0 || e.Dirty != 0 {
		t.Error("a response that nobody looks at was loaded")
	}
}

func TestAsk(t *testing.T) {
	e, _ := begin()
	ask := func(fn wire.AskFn, args ...any) wire.Answer {
		a := &wire.Ask{Fn: fn}
		for _, v := range args {
			a.Args = append(a.Args, value(v))
		}
		return e.Ask(nil, a)
	}
	if a := ask(pdk.AskRequestGetRawBody); string(a.Bytes) != "request" || !a.IsBytes {
		t.Errorf("request body %+v", a)
	}
	e.Upstream.Body, e.Upstream.HasBody = []byte("set"), true
	if a := ask(pdk.AskRequestGetRawBody); string(a.Bytes) != "set" {
		t.Errorf("request body after set_raw_body %+v", a)
	}
	if a := ask(pdk.AskServiceResponseGetRawBody); a.Err == nil || a.Err.Code != wire.CodeBadData {
		t.Errorf("response body without a response %+v", a)
	}
	e.ResponseArrived(false)
	if a := ask(pdk.AskServiceResponseGetRawBody); string(a.Bytes) != "response" {
		t.Errorf("response body %+v", a)
	}
	if a := ask(pdk.AskClientLoadConsumer, "ada", true); a.Err != nil || a.Value == nil {
		t.Errorf("consumer by name %+v", a)
	}
	if a := ask(pdk.AskClientLoadConsumer, "ada", false); a.Err != nil || a.Value != nil {
		t.Errorf("consumer by id %+v", a)
	}
	if a := ask(pdk.AskClientLoadCredential, "keyauth_credentials", []byte("k")); a.Err != nil || a.Value == nil {
		t.Errorf("credential %+v", a)
	}
	for name, a := range map[string]wire.Answer{
		"unknown question": ask(999), "no argument": ask(pdk.AskClientLoadConsumer), "wrong types": ask(pdk.AskClientLoadConsumer, 1, 2), "half": ask(pdk.AskClientLoadCredential, "kind"),
	} {
		if a.Err == nil {
			t.Errorf("%s: %+v", name, a)
		}
	}
}

func TestSerialize(t *testing.T) {
	e, _ := begin()
	e.Latencies = local.Latencies{Kong: 1, Proxy: 2, Request: 3, Receive: 4}
	e.ResponseArrived(false)
	e.Facts.ServiceResponse.Status = 200
	e.Facts.Route = &wire.Entity{Doc: value(map[string]any{"id": "r"})}
	e.Facts.Credential = &wire.Entity{ID: "cred"}
	e.Upstream.Path = "/up?b=1"
	if err := e.Apply(Applier{Phase: pdk.PhaseLog}, []wire.Op{
		{Code: pdk.OpLogSetSerializeValue, Name: "extra.deep", Value: []byte{7}},
		{Code: pdk.OpLogSetSerializeValue, Name: `dotted\.key`, Value: value("v")},
		{Code: pdk.OpLogSetSerializeValue, Name: "request.method", Value: value("X"), Mode: "add"},
		{Code: pdk.OpLogSetSerializeValue, Name: "nothing", Value: value("X"), Mode: "replace"},
		{Code: pdk.OpLogSetSerializeValue, Name: "client_ip", Value: []byte{0xc0}},
	}); err != nil {
		t.Fatal(err)
	}
	text, err := e.Serialize()
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(text, "secret") {
		t.Errorf("a credential is in the log entry: %s", text)
	}
	var m map[string]any
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]any{
		"request.method": "GET", "request.url": "http://h:8000/a?b=1&b=2&c", "request.headers.authorization": "REDACTED",
		"request.headers.proxy-authorization": "REDACTED", "request.headers.x-a": []any{"1", "2"}, "request.querystring.b": []any{"1", "2"},
		"request.querystring.c": true, "response.status": 200.0, "source": "upstream", "upstream_uri": "/up?b=1", "latencies.receive": 4.0, "route.id": "r",
		"authenticated_entity.id": "cred", "extra.deep": 7.0, "dotted.key": nil, "nothing": nil, "client_ip": nil, "service": nil,
	} {
		var at any = m
		for _, part := range strings.Split(path, ".") {
			next, _ := at.(map[string]any)
			at = next[part]
		}
		if !reflect.DeepEqual(at, want) {
			t.Errorf("%s is %v, want %v", path, at, want)
		}
	}
	if m["dotted.key"] != "v" {
		t.Errorf("dotted.key is %v", m["dotted.key"])
	}
}

// What was detached stays when the request is over and its exchange serves another one.
// What one plugin sets does not take the log entry from the others.
func TestSerializeWhatJSONCannotSay(t *testing.T) {
	e, _ := begin()
	set := wire.Op{Code: pdk.OpLogSetSerializeValue, Name: "odd", Value: value([]any{math.Inf(-1), map[string]any{"score": math.NaN(), "raw": []byte("b")}, 0.5})}
	if err := e.Apply(access, []wire.Op{set}); err != nil {
		t.Fatal(err)
	}
	text, err := e.Serialize()
	if err != nil {
		t.Fatal(err)
	}
	var entry struct{ Odd []any }
	if err := json.Unmarshal([]byte(text), &entry); err != nil {
		t.Fatal(err)
	}
	if want := []any{"-Infinity", map[string]any{"score": "NaN", "raw": "b"}, 0.5}; !reflect.DeepEqual(entry.Odd, want) {
		t.Errorf("entry %s", text)
	}
}

func TestDetachIsACopy(t *testing.T) {
	e, _ := begin()
	e.ResponseArrived(false)
	e.NeedResponse()
	e.Facts.Shared = append(e.Facts.Shared, wire.SharedValue{Key: "k", Value: []byte{1}})
	e.Facts.Captures.Named = append(e.Facts.Captures.Named, wire.Header{Name: "n", Value: "v"})
	e.Facts.Captures.Unnamed = append(e.Facts.Captures.Unnamed, "v")
	d := e.Detach()
	if err := d.Apply(Applier{Phase: pdk.PhaseLog}, []wire.Op{{Code: pdk.OpCtxSharedSet, Name: "k", Value: []byte{2}}}); err != nil {
		t.Fatal(err)
	}
	if e.Facts.Shared[0].Value[0] != 1 {
		t.Error("the log phase wrote to the live exchange")
	}
	before, err := d.Serialize()
	if err != nil {
		t.Fatal(err)
	}
	e.Reset()
	if after, err := d.Serialize(); err != nil || after != before {
		t.Errorf("after the reset: %s %v, before: %s", after, err, before)
	}
	if d.Facts.Captures.Named[0].Value != "v" || d.Facts.Captures.Unnamed[0] != "v" {
		t.Errorf("captures %v", d.Facts.Captures)
	}
	if a := d.Ask(nil, &wire.Ask{Fn: pdk.AskRequestGetRawBody}); a.Err == nil {
		t.Errorf("the body in the log phase: %+v", a)
	}
}

// Nothing of a request may be seen through the room that a reset exchange keeps.
func TestResetForgets(t *testing.T) {
	e, _ := begin()
	e.ResponseArrived(false)
	e.NeedResponse()
	e.Facts.Captures.Unnamed = append(e.Facts.Captures.Unnamed, "secret")
	e.Serialized = append(e.Serialized, local.LogValue{Key: "k"})
	e.choices.verdicts = append(e.choices.verdicts, verdict{record: &entity.Plugin{}, holds: true})
	headers, unnamed, verdicts := e.Facts.Request.Headers, e.Facts.Captures.Unnamed, e.choices.verdicts
	e.Reset()
	for i, h := range headers[:cap(headers)] {
		if h != (wire.Header{}) {
			t.Errorf("header %d is still %v", i, h)
		}
	}
	if unnamed[0] != "" || verdicts[0].record != nil {
		t.Errorf("captures %v, verdicts %v", unnamed, verdicts)
	}
	if e.RequestLoaded() || e.Facts.HasResponse || e.Live != nil || len(e.choices.verdicts) != 0 {
		t.Errorf("%+v", e)
	}
}
