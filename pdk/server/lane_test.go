package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/outrigger-gateway/outrigger/pdk"
	pluginv1 "github.com/outrigger-gateway/outrigger/proto/gen/outrigger/plugin/v1"
	"github.com/outrigger-gateway/outrigger/proto/wire"
	"github.com/outrigger-gateway/outrigger/proto/wirepb"
)

// carriers runs a test over both carriers.
func carriers(t *testing.T, test func(t *testing.T, f *fixture)) {
	for _, carrier := range []string{"msgpack", "grpc"} {
		t.Run(carrier, func(t *testing.T) { test(t, start(t, carrier)) })
	}
}

// marked checks the outcome of the probe that sets X-Mark.
func marked(t testing.TB, e event, id uint32, mark string) {
	t.Helper()
	if e.id != id || e.outcome == nil || e.outcome.Err != nil || len(e.outcome.Ops) == 0 || e.outcome.Ops[0].Values[0] != mark {
		t.Errorf("call %d: found %+v with %+v, expected mark %s", id, e, e.outcome, mark)
	}
}

func TestCall(t *testing.T) {
	carriers(t, func(t *testing.T, f *fixture) {
		f.probe(1, "mark", "a")
		l := f.lane()
		l.call(5, newCall(1, "x-name", "caf\xe9"))
		e, _ := outcome(t, l, nil)
		marked(t, e, 5, "a")
		if op := e.outcome.Ops[0]; op.Code != wire.OpServiceRequestSetHeader || op.Name != "X-Mark" || op.Values[1] != "caf\xe9" { // lesson 24
			t.Errorf("operation %+v", op)
		}
	})
}

func TestLesson04FailuresFailOneCall(t *testing.T) { // and lessons 1 and 7
	carriers(t, func(t *testing.T, f *fixture) {
		kinds := []string{"panic first", "panic between", "error", "goexit", "nil in an error"}
		for i, do := range kinds {
			f.probe(uint64(i+1), do, "m")
		}
		f.probe(9, "mark", "fine")
		l := f.lane()
		for round := range 3 {
			for i := range kinds {
				id := uint32(round*100 + i + 1)
				l.call(id, newCall(uint64(i+1)))
				l.call(id+50, newCall(9))
			}
			for range 2 * len(kinds) {
				e, _ := outcome(t, l, nil)
				if n := e.id % 100; n > 50 {
					marked(t, e, e.id, "fine")
				} else if o := e.outcome; o.Err == nil || o.Err.Code != wire.CodeHandlerError || len(o.Ops) != 0 {
					t.Errorf("%s: outcome %+v", kinds[n-1], o)
				} else if strings.HasPrefix(kinds[n-1], "panic") != strings.Contains(o.Err.Detail, "probe_test.go") && kinds[n-1] != "goexit" {
					t.Errorf("%s: detail %q", kinds[n-1], o.Err.Detail)
				}
			}
		}
	})
}

func TestUnknownInstanceAndPhase(t *testing.T) {
	carriers(t, func(t *testing.T, f *fixture) {
		f.probe(1, "nothing", "m")
		l := f.lane()
		l.call(1, newCall(77))
		if e, _ := outcome(t, l, nil); e.outcome.Err == nil || e.outcome.Err.Code != wire.CodeUnknownInstance {
			t.Errorf("outcome %+v", e.outcome)
		}
		c := newCall(1)
		c.Phase = pdk.PhaseRewrite.Code()
		l.call(2, c)
		if e, _ := outcome(t, l, nil); e.outcome.Err == nil || e.outcome.Err.Code != wire.CodeWrongPhase {
			t.Errorf("outcome %+v", e.outcome)
		}
		c.Phase = 99
		l.call(3, c)
		if e, _ := outcome(t, l, nil); e.outcome.Err == nil || e.outcome.Err.Code != wire.CodeWrongPhase {
			t.Errorf("outcome %+v", e.outcome)
		}
	})
}

func TestLesson02SlowHandlersHoldUpNobody(t *testing.T) {
	carriers(t, func(t *testing.T, f *fixture) {
		g := newGate(t.Name())
		f.probe(1, "wait", t.Name())
		f.probe(2, "mark", "quick")
		l := f.lane()
		const slow = 20
		for i := range uint32(slow) {
			l.call(i+1, newCall(1))
		}
		for range slow { // all at once
			select {
			case <-g.entered:
			case <-time.After(patience):
				t.Fatal("the slow handlers do not run at once")
			}
		}
		for i := range uint32(50) {
			l.call(100+i, newCall(2))
		}
		for range 50 {
			e, _ := outcome(t, l, nil)
			marked(t, e, e.id, "quick")
		}
		close(g.open)
		for range slow {
			e, _ := outcome(t, l, nil)
			marked(t, e, e.id, t.Name())
		}
	})
}

func TestExit(t *testing.T) { // lesson 23
	carriers(t, func(t *testing.T, f *fixture) {
		f.probe(1, "exit", "no")
		l := f.lane()
		l.call(1, newCall(1))
		e, _ := outcome(t, l, nil)
		if e.outcome.Err != nil || len(e.outcome.Ops) != 1 {
			t.Fatalf("outcome %+v", e.outcome)
		}
		op := e.outcome.Ops[0]
		if op.Code != wire.OpResponseExit || op.Status != 403 || string(op.Body) != `{"message":"no"}` || len(op.Headers) != 2 {
			t.Errorf("operation %+v", op)
		}
		g := newGate(t.Name())
		f.probe(2, "exit and wait", t.Name())
		l.call(2, newCall(2))
		if e, _ := outcome(t, l, nil); e.outcome.Err != nil || e.outcome.Ops[0].Status != 403 { // while the handler still runs
			t.Errorf("outcome %+v", e.outcome)
		}
		<-g.entered
		f.probe(3, "mark", "next")
		l.call(2, newCall(3)) // the id may be used again at once
		e, _ = outcome(t, l, nil)
		marked(t, e, 2, "next")
		close(g.open)
	})
}

func TestAsk(t *testing.T) {
	carriers(t, func(t *testing.T, f *fixture) {
		f.probe(1, "body", "m")
		l := f.lane()
		body := make([]byte, 5<<20) // chunks both ways
		for i := range body {
			body[i] = "abc\x00\xff"[i%5]
		}
		for i, b := range [][]byte{nil, []byte("small"), body} {
			l.call(uint32(i+1), newCall(1))
			e, _ := outcome(t, l, func(id uint32, a *wire.Ask) wire.Answer {
				if id != uint32(i+1) || a.Fn != wire.AskRequestGetRawBody {
					t.Errorf("ask %d %+v", id, a)
				}
				return wire.Answer{Bytes: b, IsBytes: true}
			})
			if e.outcome.Err != nil || !bytes.Equal(e.outcome.Ops[0].Body, bytes.ToUpper(b)) {
				t.Errorf("%d bytes: %v", len(b), e.outcome.Err)
			}
		}
		l.call(9, newCall(1))
		e, _ := outcome(t, l, func(uint32, *wire.Ask) wire.Answer {
			return wire.Answer{Err: &wire.Error{Code: wire.CodeTooLarge, Message: "9 > 8"}}
		})
		if e.outcome.Err == nil || e.outcome.Err.Code != wire.CodeBadData || !strings.Contains(e.outcome.Err.Message, "9 > 8") {
			t.Errorf("outcome %+v", e.outcome.Err)
		}
		l.call(10, newCall(1)) // more than the host said it would send
		e, _ = outcome(t, l, func(uint32, *wire.Ask) wire.Answer { return wire.Answer{Bytes: make([]byte, 17<<20), IsBytes: true} })
		if e.outcome.Err == nil || e.outcome.Err.Code != wire.CodeBadData {
			t.Errorf("outcome %+v", e.outcome.Err)
		}
	})
}

func TestAuthenticate(t *testing.T) {
	carriers(t, func(t *testing.T, f *fixture) {
		f.probe(1, "consumer", "m")
		l := f.lane()
		l.call(1, newCall(1))
		e, _ := outcome(t, l, func(_ uint32, a *wire.Ask) wire.Answer {
			if v, err := wire.DecodeValue(a.Args[0]); v != "bob" || err != nil {
				t.Errorf("argument %v %v", v, err)
			}
			doc, _ := wire.AppendValue(nil, map[string]any{"id": "c", "username": "bob"})
			return wire.Answer{Value: doc}
		})
		if e.outcome.Err != nil {
			t.Fatal(e.outcome.Err)
		}
		consumer, _ := wire.DecodeValue(e.outcome.Ops[0].Value)
		credential, _ := wire.DecodeValue(e.outcome.Ops[0].Credential)
		if consumer.(map[string]any)["username"] != "bob" {
			t.Errorf("consumer %v", consumer)
		}
		if want := map[string]any{"id": "k", "f": false, "n": nil, "l": []any{}, "m": map[string]any{}}; !reflect.DeepEqual(credential, want) {
			t.Errorf("credential %v", credential)
		}
	})
}

func TestLesson11ValuesSurvive(t *testing.T) {
	values := map[string]any{
		"true": true, "false": false, "zero": int64(0), "float": 0.5, "text": "", "bytes": []byte{0, 0xff}, "list": []any{}, "map": map[string]any{},
		"latin": "caf\xe9",
	}
	carriers(t, func(t *testing.T, f *fixture) {
		f.probe(1, "values", "m")
		l := f.lane()
		c := newCall(1)
		for key, v := range values {
			raw, err := wire.AppendValue(nil, v)
			if err != nil {
				t.Fatal(err)
			}
			c.Shared = append(c.Shared, wire.SharedValue{Key: key, Value: raw})
		}
		l.call(1, c)
		e, _ := outcome(t, l, nil)
		if e.outcome.Err != nil || len(e.outcome.Ops) != len(values) {
			t.Fatalf("outcome %+v", e.outcome)
		}
		for _, op := range e.outcome.Ops {
			got, err := wire.DecodeValue(op.Value)
			if want := values[strings.TrimSuffix(op.Name, "2")]; err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%s is %#v %v, expected %#v", op.Name, got, err, want)
			}
		}
	})
}

func TestFactsArrive(t *testing.T) {
	carriers(t, func(t *testing.T, f *fixture) {
		f.probe(1, "facts", "m")
		l := f.lane()
		entity := func(fields map[string]any) *wire.Entity {
			e, err := wire.NewEntity(fields)
			if err != nil {
				t.Fatal(err)
			}
			return e
		}
		c := newCall(1)
		c.Request.Target, c.Request.Path, c.Request.RawQuery = "/a/../b?x=1", "/b", "changed=1"
		c.Client.ForwardedIP = "1.2.3.4"
		c.Route, c.Service = entity(map[string]any{"id": "r", "name": "orders"}), entity(map[string]any{"id": "s", "host": "up.test"})
		c.Consumer, c.Credential = entity(map[string]any{"id": "c", "username": "bob"}), entity(map[string]any{"id": "k", "key": "x"})
		c.Captures = wire.Captures{Unnamed: []string{"42"}, Named: []wire.Header{{Name: "id", Value: "42"}}}
		c.Forwarded = wire.Forwarded{Set: true, Scheme: "https", Host: "h", Port: 1, Path: "/p", Prefix: "/api", HasPrefix: true}
		l.entity(testSlots.Route, entity(map[string]any{"id": "r0", "name": "old"}))
		l.entity(testSlots.Route, c.Route)
		l.entity(testSlots.Service, c.Service)
		l.entity(testSlots.Consumer, c.Consumer)
		l.call(1, c)
		e, _ := outcome(t, l, nil)
		if e.outcome.Err != nil {
			t.Fatal(e.outcome.Err)
		}
		got, err := wire.DecodeValue(e.outcome.Ops[0].Value)
		want := []any{
			"orders", "up.test", "bob", map[string]any{"id": "k", "key": "x"}, "/b", "changed=1", "/a/../b?x=1", 1.1, "1.2.3.4", "/api",
			[]any{"42"}, map[string]any{"id": "42"}, "gw", true,
		}
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("facts\n%#v, expected\n%#v", got, want)
		}
	})
}

// What the call says of TLS, groups and ctx.plugin, the hello of cluster and version, and Configure of the record.
func TestNewFactsArrive(t *testing.T) {
	carriers(t, func(t *testing.T, f *fixture) {
		f.probe(1, "new facts", "m")
		l := f.lane()
		c := newCall(1)
		c.TLS = wire.TLS{Set: true, Version: "TLSv1.3", Cipher: "x", ClientVerify: "NONE"}
		c.Groups = []wire.Group{{ID: "g", Name: "gold"}, {ID: "h"}}
		seen, err := wire.AppendValue(nil, 7)
		if err != nil {
			t.Fatal(err)
		}
		c.Plugin = []wire.SharedValue{{Key: "seen", Value: seen}}
		l.call(1, c)
		e, _ := outcome(t, l, nil)
		if e.outcome.Err != nil || len(e.outcome.Ops) != 2 {
			t.Fatalf("outcome %+v", e.outcome)
		}
		record, op := e.outcome.Ops[0], e.outcome.Ops[1]
		args, err := wire.DecodeValue(record.Value)
		if want := []any{"probe", map[string]any{}, "t", "m", nil}; err != nil || record.Code != wire.OpTelemetryLog || !reflect.DeepEqual(args, want) {
			t.Errorf("record %d %v %v", record.Code, args, err)
		}
		got, err := wire.DecodeValue(op.Value)
		want := []any{"record", "c", "0", "TLSv1.3", "gold", int64(7), int64(2)}
		if err != nil || op.Code != wire.OpCtxPluginSet || !reflect.DeepEqual(got, want) {
			t.Errorf("facts %d\n%#v, expected\n%#v", op.Code, got, want)
		}
	})
}

func TestLesson16Bodies(t *testing.T) {
	carriers(t, func(t *testing.T, f *fixture) {
		f.probe(1, "body", "m")
		l := f.lane()
		large := bytes.Repeat([]byte("x"), 100<<10)
		for i, chunk := range [][]byte{{}, []byte("piece"), large} {
			c := newCall(1)
			c.Phase, c.Chunk, c.HasChunk, c.Last = pdk.PhaseBodyFilter.Code(), chunk, true, i == 2
			l.call(uint32(i+1), c)
			e, _ := outcome(t, l, nil)
			if e.outcome.Err != nil || !e.outcome.HasBody || !bytes.Equal(e.outcome.Body, bytes.ToUpper(chunk)) {
				t.Errorf("piece of %d bytes: %v, %d bytes back", len(chunk), e.outcome.Err, len(e.outcome.Body))
			}
		}
		c := newCall(1)
		c.Phase, c.ResponseBody, c.HasResponseBody = pdk.PhaseResponse.Code(), large, true
		c.HasResponse, c.HasServiceResponse = true, true
		c.Response = wire.Response{Status: 200, Headers: []wire.Header{{Name: "vary", Value: "a"}}}
		c.ServiceResponse = wire.Response{Status: 200, Headers: []wire.Header{{Name: "vary", Value: "a"}}}
		l.call(9, c)
		e, _ := outcome(t, l, nil)
		if e.outcome.Err != nil || !bytes.Equal(e.outcome.Ops[0].Body, append(large, '!')) {
			t.Errorf("response: %v", e.outcome.Err)
		}
		c.ResponseBody = make([]byte, 17<<20) // more than the host said it would send
		l.call(10, c)
		e, _ = outcome(t, l, nil)
		if e.outcome.Err == nil || e.outcome.Err.Code != wire.CodeTooLarge {
			t.Errorf("outcome %+v", e.outcome.Err)
		}
	})
}

func TestLesson18LogLines(t *testing.T) {
	carriers(t, func(t *testing.T, f *fixture) {
		f.probe(1, "log", "m")
		l := f.lane()
		l.call(1, newCall(1))
		e, lines := outcome(t, l, nil)
		if e.outcome.Err != nil || len(lines) != 1001 { // LG12, and none below the level
			t.Fatalf("%v, %d lines", e.outcome.Err, len(lines))
		}
		for i, line := range lines[:1000] { // LG3
			if line.Level != 2 || line.Message != fmt.Sprint("line ", i) {
				t.Fatalf("line %d is %+v", i, line)
			}
		}
		if last := lines[1000]; last.Level != 4 || len(last.Message) > maxLine+3 {
			t.Errorf("the long line has %d bytes at level %d", len(last.Message), last.Level)
		}
	})
}

func TestTooMuch(t *testing.T) {
	carriers(t, func(t *testing.T, f *fixture) {
		f.probe(1, "many writes", "m")
		f.probe(2, "large header", "m")
		f.probe(3, "mark", "fine")
		l := f.lane()
		for i := range uint64(2) {
			l.call(uint32(i+1), newCall(i+1))
			if e, _ := outcome(t, l, nil); e.outcome.Err == nil || e.outcome.Err.Code != wire.CodeTooLarge {
				t.Errorf("instance %d: outcome %+v", i+1, e.outcome.Err)
			}
		}
		l.call(3, newCall(3))
		e, _ := outcome(t, l, nil)
		marked(t, e, 3, "fine")
	})
}

func TestLesson22ConcurrentUseOfOneHandle(t *testing.T) {
	carriers(t, func(t *testing.T, f *fixture) {
		f.probe(1, "hammer", "m")
		l := f.lane()
		l.call(1, newCall(1))
		e, lines := outcome(t, l, func(uint32, *wire.Ask) wire.Answer { return wire.Answer{Bytes: []byte("b"), IsBytes: true} })
		if e.outcome.Err != nil || len(e.outcome.Ops) != 160 || len(lines) != 160 {
			t.Errorf("%v, %d operations, %d lines", e.outcome.Err, len(e.outcome.Ops), len(lines))
		}
	})
}

func TestCancel(t *testing.T) {
	carriers(t, func(t *testing.T, f *fixture) {
		g := newGate(t.Name())
		f.probe(1, "wait for the context", t.Name())
		f.probe(2, "ask in the background", t.Name())
		f.probe(3, "mark", "next")
		l := f.lane()
		l.call(1, newCall(1))
		l.cancel(1)
		l.call(2, newCall(1))
		l.call(7, newCall(3))
		e, _ := outcome(t, l, nil)
		marked(t, e, 7, "next")
		l.cancel(2)
		l.cancel(2)
		l.cancel(99)
		f.idle()
		l.call(3, newCall(2))
		if e := l.next(); e.ask == nil {
			t.Fatalf("found %+v", e)
		}
		l.cancel(3)
		if got := questionEvent(t, g); !strings.Contains(got, "wrong_phase") { // the question of a cancelled call ends
			t.Errorf("the question ended with %q", got)
		}
		l.answer(3, 0, &wire.Answer{Bytes: []byte("late"), IsBytes: true})
		close(g.open)
		f.idle()
		l.call(1, newCall(3)) // nothing was said about the cancelled calls
		e, _ = outcome(t, l, nil)
		marked(t, e, 1, "next")
	})
}

func gateEvent(t *testing.T, g *gate) string {
	t.Helper()
	select {
	case got := <-g.entered:
		return got
	case <-time.After(patience):
		t.Fatal("the handler does not go on")
		return ""
	}
}

// questionEvent is how a question in the background ended. Handlers that waited for their context may say something before; those that were
// cancelled before they ran do not.
func questionEvent(t *testing.T, g *gate) string {
	t.Helper()
	for {
		if got := gateEvent(t, g); got != "ended" {
			return got
		}
	}
}

// idle waits until no handler runs.
func (f *fixture) idle() {
	f.t.Helper()
	if !f.server.running.wait(until(patience)) {
		f.t.Fatal("handlers do not end")
	}
}

// A host whose deadline is later may still take the outcome of a handler that heard of its own: then it must be no success.
func TestDeadlineEndsTheContext(t *testing.T) {
	carriers(t, func(t *testing.T, f *fixture) {
		g := newGate(t.Name())
		f.probe(1, "wait for the context", t.Name())
		l := f.lane()
		c := newCall(1)
		c.TimeoutMS = 20
		l.call(1, c)
		e := l.next()
		if e.outcome == nil || e.outcome.Err == nil || e.outcome.Err.Code != wire.CodeCancelled || len(e.outcome.Ops) > 0 {
			t.Errorf("found %+v", e.outcome)
		}
		if got := gateEvent(t, g); got != "ended" {
			t.Errorf("found %q", got)
		}
	})
}

func TestDeathOfALane(t *testing.T) {
	carriers(t, func(t *testing.T, f *fixture) {
		g := newGate(t.Name())
		f.probe(1, "wait for the context", t.Name())
		f.probe(2, "ask in the background", t.Name())
		f.probe(3, "mark", "fine")
		l := f.lane()
		for i := range uint32(20) {
			l.call(i+1, newCall(1))
		}
		l.call(50, newCall(2))
		if e := l.next(); e.ask == nil {
			t.Fatalf("found %+v", e)
		}
		l.close()
		if got := questionEvent(t, g); !strings.Contains(got, "wrong_phase") {
			t.Errorf("the question ended with %q", got)
		}
		close(g.open)
		f.idle()
		l = f.lane()
		l.call(1, newCall(3))
		e, _ := outcome(t, l, nil)
		marked(t, e, 1, "fine")
	})
}

func TestReconfigurationWhileCallsRun(t *testing.T) { // RN7
	carriers(t, func(t *testing.T, f *fixture) {
		g := newGate(t.Name())
		before := closes.Load()
		f.probe(1, "wait", t.Name())
		l := f.lane()
		l.call(1, newCall(1))
		gateEvent(t, g)
		f.probe(1, "mark", "new")
		l.call(2, newCall(1))
		e, _ := outcome(t, l, nil)
		marked(t, e, 2, "new")
		if closes.Load() != before {
			t.Error("the old instance was closed under its call")
		}
		close(g.open)
		e, _ = outcome(t, l, nil)
		marked(t, e, 1, t.Name())
		f.idle()
		if !f.server.instances.closing.wait(until(patience)) || closes.Load() != before+1 {
			t.Errorf("%d instances were closed", closes.Load()-before)
		}
		if _, err := f.client.Release(context.Background(), &pluginv1.ReleaseRequest{InstanceIds: []uint64{1, 99}}); err != nil {
			t.Fatal(err)
		}
		f.server.instances.closing.wait(until(patience))
		if closes.Load() != before+2 {
			t.Error("the released instance is not closed")
		}
		l.call(3, newCall(1))
		if e, _ := outcome(t, l, nil); e.outcome.Err == nil || e.outcome.Err.Code != wire.CodeUnknownInstance {
			t.Errorf("outcome %+v", e.outcome)
		}
	})
}

func TestDrain(t *testing.T) {
	f := start(t, "msgpack")
	g := newGate(t.Name())
	f.probe(1, "wait", t.Name())
	l := f.lane()
	l.call(1, newCall(1))
	gateEvent(t, g)
	out, err := f.client.Drain(context.Background(), &pluginv1.DrainRequest{TimeoutMs: 1})
	if err != nil || out.Drained {
		t.Errorf("drained %v %v", out.GetDrained(), err)
	}
	drained := make(chan bool, 1)
	go func() {
		out, err := f.client.Drain(context.Background(), &pluginv1.DrainRequest{TimeoutMs: 60_000})
		drained <- err == nil && out.Drained
	}()
	close(g.open)
	select {
	case ok := <-drained:
		if !ok {
			t.Error("it did not drain")
		}
	case <-time.After(patience):
		t.Error("Drain does not end")
	}
}

func TestManyCallersOnManyLanes(t *testing.T) { // RN4
	carriers(t, func(t *testing.T, f *fixture) {
		for i := range uint64(5) {
			f.probe(i+1, "mark", fmt.Sprint("mark", i+1))
		}
		var wg sync.WaitGroup
		for lane := range 3 {
			l := f.lane()
			wg.Go(func() {
				const calls = 500
				go func() {
					for i := range uint32(calls) {
						l.call(i+1, newCall(uint64(i)%5+1, "x-name", fmt.Sprint(lane, "-", i+1)))
					}
				}()
				for range calls {
					e, _ := outcome(t, l, nil)
					want := []string{fmt.Sprint("mark", (e.id-1)%5+1), fmt.Sprint(lane, "-", e.id)}
					if e.outcome.Err != nil || !reflect.DeepEqual(e.outcome.Ops[0].Values, want) {
						t.Errorf("call %d: %+v, expected %v", e.id, e.outcome, want)
					}
				}
			})
		}
		wg.Wait()
	})
}

// The stream is cut in every way.
func TestLesson12Framing(t *testing.T) {
	f := start(t, "msgpack")
	f.probe(1, "mark", "a")
	stream := func() []byte {
		var b []byte
		for i := range uint32(30) {
			b = append(b, callFrames(i+1, newCall(1, "x-name", "n"), wire.Slots{})...)
		}
		return b
	}
	t.Run("one write", func(t *testing.T) {
		l := f.lane().(*socketLane)
		l.write(stream())
		for range 30 {
			e, _ := outcome(t, l, nil)
			marked(t, e, e.id, "a")
		}
	})
	t.Run("bytes", func(t *testing.T) {
		l := f.lane().(*socketLane)
		for _, b := range stream() {
			l.write([]byte{b})
		}
		for range 30 {
			e, _ := outcome(t, l, nil)
			marked(t, e, e.id, "a")
		}
	})
	t.Run("random pieces", func(t *testing.T) {
		l := f.lane().(*socketLane)
		for b := stream(); len(b) > 0; {
			n := min(len(b), 1+rand.IntN(3000))
			l.write(b[:n])
			b = b[n:]
		}
		for range 30 {
			e, _ := outcome(t, l, nil)
			marked(t, e, e.id, "a")
		}
	})
}

func TestBadFramesCloseTheLane(t *testing.T) {
	f := start(t, "msgpack")
	f.probe(1, "mark", "a")
	long := wire.AppendFrame(nil, 1, wire.TypeCall, nil)
	long[0] = 0xff
	entity := func(slot uint64) []byte {
		b, _ := wire.AppendValue(nil, []any{slot, map[string]any{}})
		return wire.AppendFrame(nil, 0, wire.TypeEntity, b)
	}
	withRoute := newCall(1)
	withRoute.Route = &wire.Entity{}
	for name, b := range map[string][]byte{
		"unknown type":    wire.AppendFrame(nil, 1, 99, nil),
		"too long":        long,
		"no MessagePack":  wire.AppendFrame(nil, 1, wire.TypeCall, []byte{0xc1, 0xc1}),
		"id 0":            callFrames(0, newCall(1), wire.Slots{}),
		"an outcome":      wire.AppendFrame(nil, 1, wire.TypeOutcome, wire.AppendOutcome(nil, &wire.Outcome{})),
		"a second hello":  wire.AppendFrame(nil, 0, wire.TypeHello, wire.AppendHostHello(nil, &plainHello)),
		"slot too large":  entity(4096),
		"slot never set":  callFrames(1, withRoute, wire.Slots{Route: 9}),
		"answer":          wire.AppendFrame(nil, 1, wire.TypeAnswer, []byte{0x93}),
		"chunks too many": append(wire.AppendChunks(nil, 1, []byte("x")), callFrames(1, newCall(1), wire.Slots{})...),
	} {
		t.Run(name, func(t *testing.T) {
			l := f.lane().(*socketLane)
			l.write(b)
			for {
				e := l.next()
				if e.goaway != nil {
					if e.goaway.Code != wire.CodeBadFrame || e.goaway.Message == "" {
						t.Errorf("goaway %+v", e.goaway)
					}
					break
				}
				if e.err != nil {
					t.Fatalf("the lane ended without a goaway: %v", e.err)
				}
			}
			if e := l.next(); e.err != io.EOF {
				t.Errorf("found %+v behind the goaway", e)
			}
		})
	}
	l := f.lane() // and the server lives
	l.call(1, newCall(1))
	e, _ := outcome(t, l, nil)
	marked(t, e, 1, "a")
}

func TestSameIdTwice(t *testing.T) {
	f := start(t, "msgpack")
	g := newGate(t.Name())
	f.probe(1, "wait", t.Name())
	l := f.lane()
	l.call(1, newCall(1))
	gateEvent(t, g)
	l.call(1, newCall(1))
	if e := l.next(); e.goaway == nil {
		t.Errorf("found %+v", e)
	}
	close(g.open)
}

func TestGreeting(t *testing.T) {
	f := start(t, "msgpack")
	d, err := f.client.Describe(context.Background(), &pluginv1.DescribeRequest{})
	if err != nil {
		t.Fatal(err)
	}
	plane := dataPlane(t, d)
	wrong := bytes.Clone(plane.Token)
	wrong[3] ^= 1
	version := wire.AppendGreeting(nil, plane.Token)
	version[5] = 9
	for name, b := range map[string][]byte{
		"magic":    append([]byte("HTTP"), version[4:]...),
		"version":  version,
		"token":    wire.AppendGreeting(nil, wrong),
		"no token": wire.AppendGreeting(nil, nil),
	} {
		conn, err := net.Dial(plane.Network, plane.Address)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = conn.Write(b)
		_ = conn.SetReadDeadline(time.Now().Add(patience))
		if rest, err := io.ReadAll(conn); len(rest) > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: the server answers %q %v", name, rest, err)
		}
		_ = conn.Close()
	}
}

func TestGoodbye(t *testing.T) {
	carriers(t, func(t *testing.T, f *fixture) {
		f.probe(1, "mark", "a")
		l := f.lane()
		l.call(1, newCall(1))
		e, _ := outcome(t, l, nil)
		marked(t, e, 1, "a")
		f.server.Shutdown()
		if e := l.next(); e.goaway == nil || e.goaway.Code != wire.CodeNotReady {
			t.Errorf("found %+v", e)
		}
		if e := l.next(); e.err == nil {
			t.Errorf("found %+v", e)
		}
	})
}

// A host that does not read its stream cannot keep the server from ending.
func TestGoodbyeToAHostThatDoesNotRead(t *testing.T) {
	f := start(t, "grpc")
	f.probe(1, "shout", "m")
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	stream, err := f.client.Dispatch(ctx)
	if err != nil {
		t.Fatal(err)
	}
	l := &streamLane{t: t, stream: stream, stop: stop} // without its reader
	h := wirepb.HostHello(&plainHello)
	l.send(&pluginv1.DispatchRequest{Message: &pluginv1.DispatchRequest_Hello{Hello: h}})
	c := newCall(1)
	c.Route, c.Service, c.Consumer = nil, nil, nil
	l.call(1, c)
	stuck := 0
	eventually(t, "the handler waits for the host to read", patience, func() bool {
		f.server.mu.Lock()
		defer f.server.mu.Unlock()
		for l := range f.server.lanes {
			if w := l.carrier.(*streamWriter); f.server.running.n.Load() == 0 {
				stuck = 0
			} else if w.mu.TryLock() {
				w.mu.Unlock()
				stuck = 0
			} else {
				stuck++
			}
		}
		return stuck == 20
	})
	said := make(chan struct{})
	go func() { f.server.sayGoodbye(); close(said) }()
	select {
	case <-said:
	case <-time.After(patience):
		t.Error("the goodbye waits for ever")
		stop()
	}
	f.idle()
}

func TestShutdownLetsHandlersFinish(t *testing.T) {
	carriers(t, func(t *testing.T, f *fixture) {
		g := newGate(t.Name())
		f.probe(1, "wait", t.Name())
		l := f.lane()
		l.call(1, newCall(1))
		gateEvent(t, g)
		f.server.Shutdown()
		close(g.open)
		e, _ := outcome(t, l, nil)
		marked(t, e, 1, t.Name())
	})
}

// A header of a large frame and then bytes that come one by one: the lane looks alive and must not live. Another lane is served meanwhile.
func TestFrameThatDoesNotEnd(t *testing.T) {
	f := startWith(t, "msgpack", func(s *Server) { s.frameTime = 100 * time.Millisecond })
	f.probe(1, "exit", "m")
	slow, other := f.lane().(*socketLane), f.lane()
	header := make([]byte, wire.HeaderSize)
	wire.PutFrame(header, wire.Frame{Length: 8 << 20, Type: wire.TypeChunk, Call: 1})
	slow.write(header)
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the lane still lives")
		}
		if _, err := slow.conn.Write([]byte{0}); err != nil {
			break // the server has closed it
		}
	}
	other.call(1, newCall(1))
	if e, _ := outcome(t, other, nil); e.outcome.Err != nil {
		t.Error(e.outcome.Err)
	}
}

// Chunks whose messages never come are bounded for all calls of a lane together, not only for each.
func TestChunksWithoutMessages(t *testing.T) {
	b := bulk{lane: &lane{}}
	chunk := make([]byte, wire.ChunkSize)
	most := maxAhead / (len(chunk) + chunkCost)
	b.ahead = (most - 1) * (len(chunk) + chunkCost) // as if they had come
	if err := b.add(1, chunk); err != nil {
		t.Fatal(err)
	}
	if err := b.add(2, chunk); err == nil {
		t.Fatal("a lane keeps what comes without end")
	}
	b.drop(2)
	if _, ok := b.take(1); !ok || b.ahead != (most-1)*(len(chunk)+chunkCost) {
		t.Errorf("%d bytes are counted, %v", b.ahead, ok)
	}
}
