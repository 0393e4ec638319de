package dispatch

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
	"github.com/outrigger-gateway/outrigger/host/internal/exchange"
	"github.com/outrigger-gateway/outrigger/host/internal/plan"
	"github.com/outrigger-gateway/outrigger/host/internal/transport"
	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/pdk/local"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// remote is a plugin server that answers with a function.
type remote func(c *wire.Call, asker wire.Asker, out *wire.Outcome) error

func (r remote) Call(c *wire.Call, _ time.Time, asker wire.Asker, out *wire.Outcome) error {
	return r(c, asker, out)
}

// live is a message in memory.
type live struct {
	body []byte
	err  error
	mu   sync.Mutex
	asks int
}

func (l *live) LoadRequest(f *wire.Facts) {
	f.RequestID = "0123456789abcdef0123456789abcdef"
	f.Request = wire.Request{Method: "GET", Scheme: "http", Host: "h", Path: "/", Target: "/", Headers: []wire.Header{{Name: "X-A", Value: "1"}}}
}
func (l *live) LoadResponse(f *wire.Facts) {
	f.Response.Status = 200
	f.Response.Headers = append(f.Response.Headers[:0], wire.Header{Name: "X-R", Value: "1"})
}
func (l *live) RequestBody() ([]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asks++
	return l.body, l.err
}
func (l *live) ResponseBody() ([]byte, error) { return l.body, l.err }
func (l *live) UpstreamURI() string           { return "" }

// directory knows one consumer.
type directory struct{ consumer *entity.Consumer }

func (d directory) Consumer(id string, _ bool) (*entity.Consumer, *wire.Entity) {
	if d.consumer == nil || d.consumer.ID != id {
		return nil, nil
	}
	doc, err := wire.AppendValue(nil, map[string]any{"id": id, "username": d.consumer.Username})
	if err != nil {
		panic(err)
	}
	return d.consumer, &wire.Entity{ID: id, Doc: doc}
}
func (directory) Credential(string, string) (*wire.Entity, error) { return nil, nil }
func (directory) Upstream(string) *entity.Upstream                { return nil }

type bench struct {
	*Dispatcher
	t    *testing.T
	logs *bytes.Buffer
	live *live
	dir  directory
	late string // late_plugins
}

func newBench(t *testing.T) *bench {
	b := &bench{t: t, logs: &bytes.Buffer{}, live: &live{body: []byte("body")}}
	b.Dispatcher = &Dispatcher{
		Node: &local.Node{MaxBody: 100, MaxShared: 100}, Logger: slog.New(slog.NewTextHandler(b.logs, nil)), MaxInlineBody: 10,
		PluginLog: func(*plan.Instance, string, pdk.Phase, uint8, string) {},
	}
	return b
}

var number uint64

// instance makes an instance for every phase that a remote handles.
func instance(name string, r remote, change ...func(*plan.Instance)) *plan.Instance {
	number++
	in := &plan.Instance{
		ID: number, Record: &entity.Plugin{ID: name, Name: name, Enabled: true}, Phases: pdk.PhaseRewrite | pdk.PhaseAccess | pdk.PhaseHeaderFilter | pdk.PhaseBodyFilter | pdk.PhaseLog,
		Remote: r, Closed: new(atomic.Bool),
	}
	for i := range in.Timeouts {
		in.Timeouts[i] = time.Second
	}
	for _, c := range change {
		c(in)
	}
	return in
}

func failOpen(in *plan.Instance) { in.FailOpen = true }

func native(h *pdk.Handlers) func(*plan.Instance) {
	return func(in *plan.Instance) { in.Remote, in.Native = nil, h }
}

// exchange begins one on a plan of the instances, which run in the given order.
func (b *bench) exchange(ins ...*plan.Instance) *exchange.Exchange {
	for i, in := range ins {
		in.Priority = 100 - i
	}
	route := &entity.Route{ID: "route"}
	return &exchange.Exchange{Live: b.live, Dir: b.dir, Plan: b.plan(route, ins...)}
}

// plan compiles instances for a route and the consumer of the bench.
func (b *bench) plan(route *entity.Route, ins ...*plan.Instance) *plan.Plan {
	var consumers []*entity.Consumer
	if b.dir.consumer != nil {
		consumers = append(consumers, b.dir.consumer)
	}
	set, err := plan.Compile(plan.Options{Late: b.late}, ins, []*entity.Route{route}, consumers)
	if err != nil {
		b.t.Fatal(err)
	}
	return set.ForRoute(route, false)
}

// always are steps that run whatever happens.
func always(ins ...*plan.Instance) []*plan.Step {
	var out []*plan.Step
	for _, in := range ins {
		out = append(out, &plan.Step{Instance: in})
	}
	return out
}

func setHeader(name, value string) wire.Op {
	return wire.Op{Code: pdk.OpServiceRequestSetHeader, Name: name, Values: []string{value}}
}

func authenticate(t *testing.T, id string) wire.Op {
	doc, err := wire.AppendValue(nil, map[string]any{"id": id})
	if err != nil {
		t.Fatal(err)
	}
	return wire.Op{Code: pdk.OpClientAuthenticate, Value: doc}
}

func ops(list ...wire.Op) remote {
	return func(_ *wire.Call, _ wire.Asker, out *wire.Outcome) error {
		out.Ops = append(out.Ops, list...)
		return nil
	}
}

// Whatever goes wrong with a remote call, the fail mode decides and nothing of the handler stays.
func TestRemoteFailures(t *testing.T) {
	good, bad := setHeader("X-Good", "1"), setHeader("X Bad", "1")
	for name, r := range map[string]remote{
		"deadline": func(*wire.Call, wire.Asker, *wire.Outcome) error {
			return &transport.Error{Kind: transport.Timeout, Msg: "deadline"}
		},
		"closed lane": func(*wire.Call, wire.Asker, *wire.Outcome) error {
			return &transport.Error{Kind: transport.Closed, Msg: "closed"}
		},
		"overloaded": func(*wire.Call, wire.Asker, *wire.Outcome) error {
			return &transport.Error{Kind: transport.Overloaded, Msg: "busy"}
		},
		"any other error":          func(*wire.Call, wire.Asker, *wire.Outcome) error { return errors.New("odd") },
		"operation refused":        ops(good, bad),
		"operation unknown":        ops(good, wire.Op{Code: 9999}),
		"operation in wrong phase": ops(good, wire.Op{Code: pdk.OpResponseSetRawBody, Body: []byte("x"), HasBody: true}),
		"consumer is no map":       ops(good, wire.Op{Code: pdk.OpClientAuthenticate, Value: []byte{0xa1, 'x'}}),
		"credential is broken":     ops(good, wire.Op{Code: pdk.OpClientAuthenticate, Value: []byte{0x80}, Credential: []byte{0xc1}}),
		"body over max_body":       ops(good, wire.Op{Code: pdk.OpServiceRequestSetRawBody, Body: make([]byte, 101), HasBody: true}),
		"shared over max_shared":   ops(good, wire.Op{Code: pdk.OpCtxSharedSet, Name: "k", Value: append([]byte{0xd9, 99}, make([]byte, 99)...)}),
		"status out of range":      ops(good, wire.Op{Code: pdk.OpResponseExit, Status: 999}),
		"header splitting":         ops(good, wire.Op{Code: pdk.OpResponseExit, Status: 200, Headers: []wire.Header{{Name: "X", Value: "a\r\nSet-Cookie: b"}}}),
		"failed outcome": func(_ *wire.Call, _ wire.Asker, out *wire.Outcome) error {
			out.Ops, out.Err = []wire.Op{good}, &wire.Error{Code: wire.CodeHandlerError, Message: "boom", Detail: "the stack"}
			return nil
		},
	} {
		for _, open := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/open=%t", name, open), func(t *testing.T) {
				b := newBench(t)
				next := 0
				first := instance("first", r, func(in *plan.Instance) { in.FailOpen, in.FailStatus, in.Authenticates = open, 502, true })
				ex := b.exchange(first, instance("second", func(*wire.Call, wire.Asker, *wire.Outcome) error { next++; return nil }))
				b.RunAccess(ex)
				if ex.Answer.Given == open || next > 0 != open {
					t.Errorf("answer %+v, the next plugin ran %d times", ex.Answer, next)
				}
				if !open && (ex.Answer.Status != 502 || ex.Answer.Source != wire.SourceError || !ex.Answer.Formatted) {
					t.Errorf("answer %+v", ex.Answer)
				}
				if ex.Dirty != 0 || ex.Consumer != nil || ex.Facts.Consumer != nil || len(ex.Facts.Shared) > 0 || ex.Upstream.HasBody || len(ex.Facts.Request.Headers) != 1 {
					t.Errorf("something of the failed handler stayed: %+v", ex)
				}
				l := b.logs.String()
				for _, want := range []string{"plugin=first", "phase=access", "request_id=0123456789abcdef0123456789abcdef", "error="} {
					if !strings.Contains(l, want) {
						t.Errorf("%s is not in the log: %s", want, l)
					}
				}
				if name == "failed outcome" && !strings.Contains(l, "the stack") {
					t.Errorf("the detail is not in the log: %s", l)
				}
			})
		}
	}
}

// A plugin that sets the consumer without having said so, under fail mode open, has failed and is closed from then on.
func TestAuthenticatingUnderFailOpenCloses(t *testing.T) {
	b := newBench(t)
	failing := false
	in := instance("sneaky", func(c *wire.Call, a wire.Asker, out *wire.Outcome) error {
		if failing {
			return errors.New("down")
		}
		return ops(authenticate(t, "c"))(c, a, out)
	}, failOpen)
	ex := b.exchange(in)
	b.RunAccess(ex)
	if !ex.Answer.Given || ex.Answer.Status != 500 || ex.Facts.Consumer != nil {
		t.Errorf("answer %+v, consumer %v", ex.Answer, ex.Facts.Consumer)
	}
	failing = true
	ex = b.exchange(in)
	b.RunAccess(ex)
	if !ex.Answer.Given {
		t.Error("the plugin is open again")
	}
}

func TestWhoMayAuthenticate(t *testing.T) {
	for _, c := range []struct{ says, open bool }{{true, true}, {true, false}, {false, false}} {
		b := newBench(t)
		b.dir.consumer = &entity.Consumer{ID: "c", Username: "ada"}
		ex := b.exchange(instance("auth", ops(authenticate(t, "c")), func(in *plan.Instance) { in.Authenticates, in.FailOpen = c.says, c.open }))
		b.RunAccess(ex)
		if ex.Answer.Given || ex.Consumer != b.dir.consumer || ex.Facts.Consumer == nil {
			t.Errorf("%+v: answer %+v, consumer %v", c, ex.Answer, ex.Consumer)
		}
	}
}

// The walk goes on in the variant of the consumer, and a second authentication changes it again.
func TestConsumerVariants(t *testing.T) {
	b := newBench(t)
	b.dir.consumer = &entity.Consumer{ID: "c"}
	var ran []string
	mark := func(name string) remote {
		return func(*wire.Call, wire.Asker, *wire.Outcome) error { ran = append(ran, name); return nil }
	}
	bound := instance("limit", mark("limit of c"))
	bound.Record.ID = "limit-c"
	bound.Record.Consumer = b.dir.consumer
	first := instance("auth", ops(authenticate(t, "c")))
	global := instance("limit", mark("limit of all"))
	last := instance("zlast", mark("last"))
	for _, in := range []*plan.Instance{first, global, bound, last} {
		in.Priority = map[string]int{"auth": 3, "limit": 2, "zlast": 1}[in.Record.Name]
	}
	route := &entity.Route{ID: "route"}
	ex := &exchange.Exchange{Live: b.live, Dir: b.dir, Plan: b.plan(route, first, global, bound, last)}
	b.RunAccess(ex)
	if got := strings.Join(ran, ", "); got != "limit of c, last" {
		t.Errorf("ran %s", got)
	}
	if chain := ex.Chain(pdk.PhaseLog); len(chain) != 3 || chain[1].Instance != bound {
		t.Errorf("enrolled for log: %v", chain)
	}
}

func TestExitEndsTheWalkAndEnrollsTheRest(t *testing.T) {
	b := newBench(t)
	second := instance("second", func(*wire.Call, wire.Asker, *wire.Outcome) error { t.Error("ran after an exit"); return nil })
	ex := b.exchange(instance("first", ops(wire.Op{Code: pdk.OpResponseExit, Status: 403, Body: []byte("no"), HasBody: true})), second)
	b.RunAccess(ex)
	if !ex.Answer.Given || ex.Answer.Status != 403 || string(ex.Answer.Body) != "no" || ex.Answer.Source != wire.SourceExit {
		t.Errorf("answer %+v", ex.Answer)
	}
	if chain := ex.Chain(pdk.PhaseLog); len(chain) != 2 || chain[1].Instance != second {
		t.Errorf("enrolled for log: %v", chain)
	}
}

func TestUnavailableInstancesAnswer503WhateverTheFailMode(t *testing.T) {
	b := newBench(t)
	ex := b.exchange(instance("missing", nil, failOpen, func(in *plan.Instance) { in.Remote, in.Unavailable = nil, "no server offers it" }))
	b.RunAccess(ex)
	if !ex.Answer.Given || ex.Answer.Status != http.StatusServiceUnavailable {
		t.Errorf("answer %+v", ex.Answer)
	}
}

// Bodies that a manifest asks for travel with the call when they are small, and can be asked for when not.
func TestInlineBodies(t *testing.T) {
	b := newBench(t)
	var seen wire.Call
	var answer wire.Answer
	in := instance("digest", func(c *wire.Call, a wire.Asker, _ *wire.Outcome) error {
		seen = *c
		answer = a.Answer(&wire.Ask{Fn: pdk.AskRequestGetRawBody})
		return nil
	}, func(in *plan.Instance) { in.Needs = pdk.NeedRequestBody })
	b.RunAccess(b.exchange(in))
	if !seen.HasRequestBody || string(seen.RequestBody) != "body" {
		t.Errorf("call %+v", seen)
	}
	b.live.body = []byte("more than ten bytes")
	b.RunAccess(b.exchange(in))
	if seen.HasRequestBody || string(answer.Bytes) != "more than ten bytes" {
		t.Errorf("call %+v, answer %+v", seen, answer)
	}
	b.live.err = errors.New("broken pipe")
	ex := b.exchange(in)
	b.RunAccess(ex)
	if ex.Answer.Status != 500 {
		t.Errorf("a body that cannot be read: answer %+v", ex.Answer)
	}
}

func TestFilterBody(t *testing.T) {
	upper := func(c *wire.Call, _ wire.Asker, out *wire.Outcome) error {
		if c.Last {
			out.Ops = append(out.Ops, wire.Op{Code: pdk.OpCtxSharedSet, Name: "done", Value: []byte{0xc3}})
		}
		out.Body, out.HasBody = bytes.ToUpper(c.Chunk), true
		return nil
	}
	keep := func(*wire.Call, wire.Asker, *wire.Outcome) error { return nil }
	empty := func(_ *wire.Call, _ wire.Asker, out *wire.Outcome) error { out.HasBody = true; return nil }
	fail := func(*wire.Call, wire.Asker, *wire.Outcome) error { return errors.New("boom") }
	for _, c := range []struct {
		name  string
		chain []*plan.Instance
		want  string
		fails bool
	}{
		{"in order", []*plan.Instance{instance("keep", keep), instance("upper", upper)}, "ABC", false},
		{"dropped", []*plan.Instance{instance("empty", empty), instance("upper", upper)}, "", false},
		{"open", []*plan.Instance{instance("fail", fail, failOpen), instance("upper", upper)}, "ABC", false},
		{"closed", []*plan.Instance{instance("upper", upper), instance("fail", fail)}, "", true},
	} {
		b := newBench(t)
		ex := b.exchange(c.chain...)
		out, err := b.FilterBody(ex, always(c.chain...), []byte("abc"), true)
		if string(out) != c.want || err != nil != c.fails {
			t.Errorf("%s: %q, %v", c.name, out, err)
		}
		if !c.fails && (len(ex.Facts.Shared) != 1 || ex.Facts.Shared[0].Key != "done") {
			t.Errorf("%s: ctx.shared.set of a body filter is lost: %v", c.name, ex.Facts.Shared)
		}
	}
}

// A plugin server that asks for a body while it is filtered, or before there is one, gets no answer and reaches nothing.
func TestQuestionsHaveTheirPhases(t *testing.T) {
	var answers []wire.Answer
	ask := func(fns ...wire.AskFn) remote {
		return func(_ *wire.Call, asker wire.Asker, _ *wire.Outcome) error {
			for _, fn := range fns {
				answers = append(answers, asker.Answer(&wire.Ask{Fn: fn}))
			}
			return nil
		}
	}
	b := newBench(t)
	in := instance("asks", ask(pdk.AskServiceResponseGetRawBody, pdk.AskResponseGetRawBody, pdk.AskRequestGetRawBody))
	ex := b.exchange(in)
	ex.Facts.HasResponse, ex.Facts.HasServiceResponse = true, true
	if _, err := b.FilterBody(ex, ex.Chain(pdk.PhaseBodyFilter), []byte("piece"), false); err != nil {
		t.Fatal(err)
	}
	for i, a := range answers {
		if a.Err == nil || a.Err.Code != wire.CodeWrongPhase {
			t.Errorf("question %d: %v", i, a)
		}
	}
	if len(answers) != 3 || b.live.asks != 0 {
		t.Errorf("%d answers, a body was read %d times", len(answers), b.live.asks)
	}
	answers = nil
	b.Run(ex, always(instance("unknown", ask(9999, pdk.AskRequestGetRawBody))), pdk.PhaseRewrite)
	if len(answers) != 2 || answers[0].Err == nil || answers[0].Err.Code != wire.CodeHostError || answers[1].Err != nil {
		t.Errorf("answers %v", answers)
	}
}

func TestLogHandlersAreIsolated(t *testing.T) {
	b := newBench(t)
	var saw []wire.SharedValue
	chain := []*plan.Instance{
		instance("fails", func(*wire.Call, wire.Asker, *wire.Outcome) error { return errors.New("boom") }),
		instance("sets", ops(wire.Op{Code: pdk.OpCtxSharedSet, Name: "k", Value: []byte{1}}, wire.Op{Code: pdk.OpLogSetSerializeValue, Name: "extra.k", Value: []byte{7}})),
		instance("sees", func(c *wire.Call, a wire.Asker, _ *wire.Outcome) error {
			saw = append(saw, c.Shared...)
			ans := a.Answer(&wire.Ask{Fn: pdk.AskLogSerialize})
			if text, err := wire.DecodeValue(ans.Value); err != nil || !strings.Contains(fmt.Sprint(text), `"extra":{"k":7}`) {
				t.Errorf("log entry %v %v %v", text, err, ans.Err)
			}
			return nil
		}),
	}
	ex := b.exchange(chain...)
	b.RunLog(ex.Detach(), always(chain...))
	if len(saw) != 1 || saw[0].Key != "k" {
		t.Errorf("the last handler saw %v", saw)
	}
	if len(ex.Facts.Shared) != 0 {
		t.Error("the log phase wrote to the live exchange")
	}
}

// A goroutine that a handler leaves behind must not touch the exchange once the handler is over, nor the next request.
func TestGoroutineLeftBehindCannotAsk(t *testing.T) {
	b := newBench(t)
	begin, asked := make(chan struct{}), make(chan error, 1)
	h := &pdk.Handlers{Access: func(k *pdk.PDK) error {
		go func() {
			<-begin
			_, err := k.Request.GetRawBody()
			asked <- err
		}()
		return nil
	}}
	b.RunAccess(b.exchange(instance("leaky", nil, native(h))))
	close(begin)
	if err := <-asked; !errors.Is(err, pdk.ErrPhase) {
		t.Errorf("error %v", err)
	}
	if b.live.asks != 0 {
		t.Errorf("the body was asked for %d times", b.live.asks)
	}
}

// Many handlers that ask from goroutines of their own while they return: run with -race.
func TestGoroutinesAskingWhileTheHandlerReturns(t *testing.T) {
	b := newBench(t)
	var wg sync.WaitGroup
	h := &pdk.Handlers{Access: func(k *pdk.PDK) error {
		wg.Go(func() { _, _ = k.Request.GetRawBody() })
		return k.ServiceRequest.SetHeader("X-B", "2")
	}}
	in := instance("racy", nil, native(h))
	for range 500 {
		ex := b.exchange(in)
		b.RunAccess(ex)
		if ex.Answer.Given || len(ex.Facts.Request.Headers) != 2 {
			t.Fatalf("answer %+v, headers %v", ex.Answer, ex.Facts.Request.Headers)
		}
		b.live.body = []byte("body") // the exchange is the request's own again
	}
	wg.Wait()
}

// One native step that reads and writes headers allocates nothing that outlives it but its handle's share of a slab.
func TestNativeStepAllocations(t *testing.T) {
	b := newBench(t)
	h := &pdk.Handlers{Access: func(k *pdk.PDK) error {
		v, _ := k.Request.GetHeader("X-A")
		return k.ServiceRequest.SetHeader("X-B", v)
	}}
	ex := b.exchange(instance("hello", nil, native(h)))
	if n := testing.AllocsPerRun(1000, func() { b.RunAccess(ex) }); n > 1 {
		t.Errorf("%.0f allocations per step", n)
	}
}
