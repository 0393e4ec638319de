package transporttest

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/transport"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// Opener runs a server with h and opens a lane to it.
type Opener func(t testing.TB, h Handler, o transport.Options) transport.Lane

// Patience is how long a test waits for what must happen. It is long: the machine may be busy, and a hang is for ever.
const Patience = 20 * time.Second

// DialTime is how long opening a lane may take in a test that expects it to fail: short only where it has to run out.
func DialTime(expected transport.ErrorKind) time.Duration {
	if expected == transport.Timeout {
		return 300 * time.Millisecond
	}
	return Patience
}

// Soon is a deadline that a healthy call never meets.
func Soon() time.Time { return time.Now().Add(Patience) }

// Eventually waits until ok.
func Eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(Patience); !ok(); {
		if time.Now().After(end) {
			t.Fatalf("%s: not within %s", what, Patience)
		}
		time.Sleep(time.Millisecond)
	}
}

// KindOf is the kind of an error of a lane; 0 for none.
func KindOf(err error) transport.ErrorKind {
	var e *transport.Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return 0
}

// NoLeaks checks at the end of the test that the number of goroutines is what it was.
func NoLeaks(t testing.TB) {
	before := runtime.NumGoroutine()
	t.Cleanup(func() {
		end := time.Now().Add(Patience)
		for runtime.NumGoroutine() > before {
			if time.Now().After(end) {
				buf := make([]byte, 1<<20)
				t.Errorf("%d goroutines, %d before:\n%s", runtime.NumGoroutine(), before, buf[:runtime.Stack(buf, true)])
				return
			}
			time.Sleep(time.Millisecond)
		}
	})
}

// Entity is an entity with an id.
func Entity(id string) *wire.Entity {
	e, err := wire.NewEntity(map[string]any{"id": id, "name": "n-" + id})
	if err != nil {
		panic(err)
	}
	return e
}

// SampleCall is a call with n headers.
func SampleCall(n int) *wire.Call {
	c := &wire.Call{Instance: 7, Phase: 2, Facts: &wire.Facts{
		RequestID: "000102030405060708090a0b0c0d0e0f", StartTime: 1767225600000,
		Request: wire.Request{Method: "GET", Scheme: "http", Host: "gw.test", Port: 8000, HTTPVersion: 11, Target: "/shop?x=1", Path: "/shop", RawQuery: "x=1"},
		Client:  wire.Client{IP: "10.0.0.9", Port: 40000, ForwardedIP: "10.0.0.9"},
	}}
	for i := range n {
		c.Request.Headers = append(c.Request.Headers, wire.Header{Name: fmt.Sprintf("x-header-%d", i), Value: "a value of forty bytes, more or less so"})
	}
	return c
}

func blob(n int) []byte { return bytes.Repeat([]byte("0123456789abcdef"), n/16+1)[:n] }

// hash is a short sum that both sides compute.
func hash(b []byte) string {
	var h uint64 = 14695981039346656037
	for _, c := range b {
		h = (h ^ uint64(c)) * 1099511628211
	}
	return fmt.Sprintf("%d:%x", len(b), h)
}

// echo answers with what it got: the target as path, the value of x-tag as a header, the bodies' hashes.
func echo(s *Session) {
	o := &wire.Outcome{Ops: []wire.Op{{Code: wire.OpServiceRequestSetPath, Name: s.Call.Request.Target}}}
	for _, h := range s.Call.Request.Headers {
		if h.Name == "x-tag" {
			o.Ops = append(o.Ops, wire.Op{Code: wire.OpResponseSetHeader, Name: "X-Tag", Values: []string{h.Value}})
		}
	}
	if s.Call.HasRequestBody {
		o.Ops = append(o.Ops, wire.Op{Code: wire.OpResponseSetHeader, Name: "X-Hash", Values: []string{hash(s.Call.RequestBody) + " " + hash(s.Call.ResponseBody)}})
	}
	s.Reply(o)
}

// asker answers function 1 with a body and the rest with its arguments.
type asker struct {
	body  []byte
	count atomic.Int32
}

func (a *asker) Answer(q *wire.Ask) wire.Answer {
	a.count.Add(1)
	switch q.Fn {
	case wire.AskRequestGetRawBody:
		return wire.Answer{Bytes: a.body, IsBytes: true}
	case wire.AskClientLoadConsumer:
		return wire.Answer{Value: q.Args[0]}
	case wire.AskLogSerialize:
		return wire.Answer{Err: &wire.Error{Code: wire.CodeHostError, Message: "cannot"}}
	case wire.AskClientLoadCredential:
		return wire.Answer{}
	}
	panic("no such function")
}

// Run runs the suite against lanes that open makes.
func Run(t *testing.T, open Opener) {
	for _, c := range []struct {
		name string
		test func(t *testing.T, open Opener)
	}{
		{"call", testCall}, {"everything survives", testEverythingSurvives}, {"many callers", testManyCallers}, {"large bodies", testLargeBodies},
		{"asks", testAsks}, {"large answers", testLargeAnswers}, {"asker panics", testAskerPanics}, {"entities travel once", testEntities}, {"entity slots go round", testEntityRing},
		{"logs", testLogs}, {"log flood", testLogFlood}, {"timeout", testTimeout}, {"deadline passed", testDeadlinePassed}, {"given up", testGivenUp}, {"timeouts differ", testTimeoutsDiffer}, {"late outcome", testLateOutcome},
		{"asks after the end", testAskAfterEnd}, {"overloaded", testOverloaded}, {"no bound", testNoBound}, {"unknown call", testUnknownCall}, {"ask flood", testAskFlood},
		{"too large", testTooLarge}, {"chunk over its size", testLongChunk}, {"failed outcome", testFailed}, {"goaway", testGoAway}, {"abrupt close", testAbruptClose}, {"close", testClose}, {"oldest", testOldest}, {"call without facts", testNoFacts},
		{"steps", testSteps}, {"asks of steps", testStepAsks}, {"large bodies of steps", testStepBodies}, {"steps by many callers", testStepsByMany}, {"a step stops the call", testStepStops},
		{"nobody waits for more steps", testStepsGivenUp}, {"deadline of a step", testStepDeadline}, {"time between steps", testStepPause}, {"the lane dies in a step", testStepDeath},
		{"steps out of order", testStepsOutOfOrder}, {"asks of stray steps", testStrayAsks}, {"answer of a step before", testAnswerOfAStepBefore},
		{"outcomes after the end", testStepsAfterEnd}, {"no stepper", testNoStepper}, {"storm", testStorm},
	} {
		t.Run(c.name, func(t *testing.T) {
			NoLeaks(t)
			c.test(t, open)
		})
	}
}

func opened(t testing.TB, open Opener, h Handler, o transport.Options) transport.Lane {
	t.Helper()
	o.Token = Token
	l := open(t, h, o)
	t.Cleanup(func() { _ = l.Close("done", "the test is over") })
	return l
}

func testCall(t *testing.T, open Opener) {
	l := opened(t, open, echo, transport.Options{})
	if l.Hello() != Hello {
		t.Errorf("hello: got %+v", l.Hello())
	}
	var out wire.Outcome
	for range 3 {
		if err := l.Call(SampleCall(3), Soon(), nil, &out); err != nil {
			t.Fatal(err)
		}
		if len(out.Ops) != 1 || out.Ops[0].Name != "/shop?x=1" {
			t.Fatalf("got %+v", out)
		}
	}
	if l.InFlight() != 0 || !l.Oldest().IsZero() || l.Err() != nil {
		t.Errorf("in flight %d, oldest %v, err %v", l.InFlight(), l.Oldest(), l.Err())
	}
}

// testEverythingSurvives sends one of everything and compares what the server saw.
func testEverythingSurvives(t *testing.T, open Opener) {
	saw := make(chan *wire.Call, 1)
	values := []any{nil, false, true, int64(0), int64(-1), int64(1 << 60), uint64(1 << 63), 0.5, "", "ü", []byte{}, []byte{0xff}, []any{}, []any{nil, []any{}}, map[string]any{}, map[string]any{"a": map[string]any{}}}
	reply := &wire.Outcome{Ops: []wire.Op{
		{Code: wire.OpServiceRequestSetHeader, Name: "X-A", Values: []string{"1", "caf\xe9", ""}},
		{Code: wire.OpServiceRequestSetHeader, Name: "X-Gone", Values: []string{}},
		{Code: wire.OpServiceRequestSetRawBody, Body: []byte{}, HasBody: true},
		{Code: wire.OpClientAuthenticate, Value: []byte{0x80}},
		{Code: wire.OpClientAuthenticate, Credential: []byte{0x80}},
		{Code: wire.OpCtxSharedSet, Name: "gone"},
		{Code: wire.OpLogSetSerializeValue, Name: "k", Value: []byte{0xc2}, Mode: "add"},
		{Code: wire.OpResponseError, Status: 500, HasBody: true},
		{Code: wire.OpResponseError, Status: 500},
		{Code: wire.OpResponseExit, Status: 204, Headers: []wire.Header{{Name: "x-bytes", Value: "\xff\x00"}}},
		{Code: wire.OpResponseExit, Status: 200, Body: []byte{}, HasBody: true},
	}, Body: []byte{}, HasBody: true}
	l := opened(t, open, func(s *Session) {
		saw <- s.Call
		s.Reply(reply)
	}, transport.Options{})

	c := SampleCall(0)
	c.Request.Headers = []wire.Header{{Name: "x-bytes", Value: "caf\xe9 \xff"}, {Name: "x-empty", Value: ""}}
	c.Request.Target, c.Request.Path, c.Request.RawQuery = "/a%ff?b", "/a\xff", ""
	c.Client.ForwardedIP, c.Client.ForwardedPort, c.Client.Trusted = "::1", 9, true
	c.Forwarded = wire.Forwarded{Set: true, Scheme: "https", Host: "h", Port: 1, Path: "/p", HasPrefix: true}
	c.Credential = Entity("cred")
	c.Captures = wire.Captures{Unnamed: []string{"", "x"}, Named: []wire.Header{{Name: "n", Value: "\xfe"}}}
	for i, v := range values {
		b, err := wire.AppendValue(nil, v)
		if err != nil {
			t.Fatal(err)
		}
		c.Shared = append(c.Shared, wire.SharedValue{Key: fmt.Sprint(i), Value: b})
	}
	c.HasResponse, c.Response = true, wire.Response{Status: 200, Headers: []wire.Header{{Name: "a", Value: "b"}}, Source: wire.SourceError}
	c.HasServiceResponse, c.ServiceResponse = true, wire.Response{Status: 503, Headers: []wire.Header{{Name: "c", Value: "d"}}}
	c.HasChunk, c.Chunk, c.Last = true, []byte{}, true
	c.HasRequestBody, c.RequestBody = true, []byte{}
	c.HasResponseBody, c.ResponseBody = true, []byte{0}

	var out wire.Outcome
	if err := l.Call(c, Soon(), nil, &out); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(&out, reply) {
		t.Errorf("outcome: got\n%+v\nwant\n%+v", out, *reply)
	}
	got := <-saw
	if c.TimeoutMS != 0 {
		t.Error("the lane left its time-out in the call")
	}
	c.TimeoutMS = got.TimeoutMS
	if got.TimeoutMS == 0 || got.TimeoutMS > uint32(Patience.Milliseconds()) {
		t.Errorf("timeout of %d ms", got.TimeoutMS)
	}
	if fmt.Sprintf("%+v", *got.Facts.Credential) != fmt.Sprintf("%+v", *c.Facts.Credential) {
		t.Errorf("credential: got %+v", got.Facts.Credential)
	}
	got.Facts.Credential = c.Facts.Credential
	if c.Traffic.Sent == 0 || c.Traffic.Received == 0 {
		t.Errorf("traffic %+v", c.Traffic)
	}
	c.Traffic = wire.Traffic{} // it does not travel
	if !reflect.DeepEqual(got, c) {
		t.Errorf("call: got\n%+v %+v\nwant\n%+v %+v", got, got.Facts, c, c.Facts)
	}
}

func testManyCallers(t *testing.T, open Opener) {
	l := opened(t, open, echo, transport.Options{})
	var wg sync.WaitGroup
	for caller := range 100 {
		wg.Go(func() {
			var out wire.Outcome
			for i := range 20 {
				c := SampleCall(5)
				tag := fmt.Sprintf("%d/%d", caller, i)
				c.Request.Headers = append(c.Request.Headers, wire.Header{Name: "X-Tag", Value: tag})
				if err := l.Call(c, Soon(), nil, &out); err != nil {
					t.Error(err)
					return
				}
				if len(out.Ops) != 2 || out.Ops[1].Values[0] != tag {
					t.Errorf("%s got the outcome %+v", tag, out.Ops)
					return
				}
			}
		})
	}
	wg.Wait()
	if l.InFlight() != 0 {
		t.Errorf("%d in flight", l.InFlight())
	}
}

func testLargeBodies(t *testing.T, open Opener) {
	l := opened(t, open, func(s *Session) {
		if s.Call.HasChunk {
			s.Reply(&wire.Outcome{Ops: []wire.Op{{Code: wire.OpServiceRequestSetRawBody, Body: s.Call.RequestBody, HasBody: true}}, Body: s.Call.Chunk, HasBody: true})
			return
		}
		echo(s)
	}, transport.Options{Hello: wire.HostHello{MaxBody: 8 << 20}})
	var wg sync.WaitGroup
	for _, n := range []int{0, 1, wire.ChunkSize, wire.ChunkSize + 1, 10 * wire.ChunkSize, 1<<20 + 7, 3 << 20} {
		wg.Go(func() {
			c := SampleCall(2)
			c.RequestBody, c.HasRequestBody = blob(n), true
			c.ResponseBody, c.HasResponseBody = blob(n+5), true
			var out wire.Outcome
			if err := l.Call(c, Soon(), nil, &out); err != nil {
				t.Errorf("%d bytes: %v", n, err)
				return
			}
			if want := hash(c.RequestBody) + " " + hash(c.ResponseBody); len(out.Ops) != 2 || out.Ops[1].Values[0] != want {
				t.Errorf("%d bytes: got %+v, want %s", n, out.Ops, want)
			}
			c.Chunk, c.HasChunk = blob(n/2), true
			if err := l.Call(c, Soon(), nil, &out); err != nil {
				t.Errorf("%d bytes: %v", n, err)
				return
			}
			if len(out.Ops) != 1 || !bytes.Equal(out.Ops[0].Body, c.RequestBody) || !bytes.Equal(out.Body, c.Chunk) {
				t.Errorf("%d bytes: other bytes came back", n)
			}
		})
	}
	wg.Wait()
}

func testAsks(t *testing.T, open Opener) {
	l := opened(t, open, func(s *Session) {
		got := []string{}
		note := func(a wire.Answer) {
			v, err := wire.DecodeValue(append([]byte{}, a.Value...))
			if a.Value == nil {
				v, err = nil, nil
			}
			got = append(got, fmt.Sprintf("%q %v %v %v %v", a.Bytes, a.IsBytes, v, a.Err, err))
		}
		note(s.Ask(wire.AskRequestGetRawBody))
		note(s.Ask(wire.AskClientLoadConsumer, "alice", true))
		note(s.Ask(wire.AskLogSerialize))
		note(s.Ask(wire.AskClientLoadCredential, "key-auth", "k"))
		// Several at once are answered in order.
		s.SendAsk(wire.AskClientLoadConsumer, int64(1), false)
		s.SendAsk(wire.AskClientLoadConsumer, int64(2), false)
		note(s.Answer())
		note(s.Answer())
		s.Reply(&wire.Outcome{Ops: []wire.Op{{Code: wire.OpResponseSetHeader, Name: "X-Got", Values: got}}})
	}, transport.Options{})
	a := &asker{body: []byte("body")}
	var out wire.Outcome
	if err := l.Call(SampleCall(1), Soon(), a, &out); err != nil {
		t.Fatal(err)
	}
	want := []string{
		`"body" true <nil> <nil> <nil>`, `"" false alice <nil> <nil>`, `"" false <nil> host_error: cannot <nil>`, `"" false <nil> <nil> <nil>`,
		`"" false 1 <nil> <nil>`, `"" false 2 <nil> <nil>`,
	}
	if !reflect.DeepEqual(out.Ops[0].Values, want) {
		t.Errorf("got  %q\nwant %q", out.Ops[0].Values, want)
	}
	// Without an asker every ask is answered with an error.
	if err := l.Call(SampleCall(1), Soon(), nil, &out); err != nil || !strings.Contains(out.Ops[0].Values[0], "nobody answers") {
		t.Errorf("got %v, %+v", err, out.Ops)
	}
}

func testLargeAnswers(t *testing.T, open Opener) {
	l := opened(t, open, func(s *Session) {
		a := s.Ask(wire.AskRequestGetRawBody)
		s.Reply(&wire.Outcome{Ops: []wire.Op{{Code: wire.OpResponseSetHeader, Name: "X-Hash", Values: []string{hash(a.Bytes)}}}})
	}, transport.Options{})
	small := make(chan struct{})
	var wg, smalls sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			a := &asker{body: blob(5 << 20)}
			var out wire.Outcome
			if err := l.Call(SampleCall(1), Soon(), a, &out); err != nil {
				t.Error(err)
			} else if out.Ops[0].Values[0] != hash(a.body) {
				t.Errorf("got %q", out.Ops[0].Values)
			}
		})
	}
	smalls.Go(func() { // others pass between the chunks
		for {
			select {
			case <-small:
				return
			default:
			}
			var out wire.Outcome
			if err := l.Call(SampleCall(1), Soon(), &asker{body: []byte("x")}, &out); err != nil {
				t.Error(err)
				return
			}
		}
	})
	wg.Wait()
	close(small)
	smalls.Wait()
}

func testAskerPanics(t *testing.T, open Opener) {
	l := opened(t, open, func(s *Session) {
		a := s.Ask(99)
		s.Reply(&wire.Outcome{Err: a.Err})
	}, transport.Options{})
	var out wire.Outcome
	if err := l.Call(SampleCall(1), Soon(), &asker{}, &out); err != nil || out.Err == nil || out.Err.Code != wire.CodeHostError {
		t.Errorf("got %v, %+v", err, out)
	}
}

func testEntities(t *testing.T, open Opener) {
	l := opened(t, open, func(s *Session) {
		ids := []string{s.Call.Route.ID, s.Call.Service.ID, s.Call.Consumer.ID, string(s.Call.Consumer.Doc)}
		s.Reply(&wire.Outcome{Ops: []wire.Op{{Code: wire.OpResponseSetHeader, Name: "X", Values: ids}, {Code: wire.OpResponseSetStatus, Status: s.Entities()}}})
	}, transport.Options{})
	route, service := Entity("r"), Entity("s")
	var out wire.Outcome
	for i := range 3 {
		c := SampleCall(1)
		c.Route, c.Service, c.Consumer = route, service, Entity(fmt.Sprint("c", i)) // a changed consumer is a new entity
		if err := l.Call(c, Soon(), nil, &out); err != nil {
			t.Fatal(err)
		}
		want := []string{"r", "s", fmt.Sprint("c", i), string(c.Consumer.Doc)}
		if !reflect.DeepEqual(out.Ops[0].Values, want) || out.Ops[1].Status != 3+i {
			t.Errorf("call %d: got %+v", i, out.Ops)
		}
	}
}

// testEntityRing names more entities than a lane has slots.
func testEntityRing(t *testing.T, open Opener) {
	l := opened(t, open, func(s *Session) {
		s.Reply(&wire.Outcome{Ops: []wire.Op{{Code: wire.OpServiceRequestSetPath, Name: s.Call.Route.ID + s.Call.Consumer.ID}}})
	}, transport.Options{})
	route := Entity("r")
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			var out wire.Outcome
			for i := range wire.EntitySlots/4 + 200 {
				c := SampleCall(0)
				id := fmt.Sprintf("c%d-%d", w, i)
				c.Route, c.Consumer = route, Entity(id)
				if err := l.Call(c, Soon(), nil, &out); err != nil {
					t.Error(err)
					return
				}
				if out.Ops[0].Name != "r"+id {
					t.Errorf("got %q, want r%s", out.Ops[0].Name, id)
					return
				}
			}
		})
	}
	wg.Wait()
}

// lines gathers log records.
type lines struct {
	mu  sync.Mutex
	all []transport.LogRecord
}

func (l *lines) add(r transport.LogRecord) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, r)
}

func (l *lines) get() []transport.LogRecord {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]transport.LogRecord{}, l.all...)
}

func testLogs(t *testing.T, open Opener) {
	var got lines
	l := opened(t, open, func(s *Session) {
		s.Log(4, "first \xff")
		s.Log(1, strings.Repeat("x", 100_000))
		s.LogFor(0, 2, "no call")
		s.Reply(&wire.Outcome{})
	}, transport.Options{OnLog: got.add})
	var out wire.Outcome
	if err := l.Call(SampleCall(1), Soon(), nil, &out); err != nil {
		t.Fatal(err)
	}
	Eventually(t, "three lines", func() bool { return len(got.get()) == 3 })
	all := got.get()
	if want := (transport.LogRecord{Instance: 7, RequestID: "000102030405060708090a0b0c0d0e0f", Phase: 2, Level: 4, Message: "first \xff"}); all[0] != want {
		t.Errorf("got  %+v\nwant %+v", all[0], want)
	}
	if len(all[1].Message) > 70_000 || !strings.Contains(all[1].Message, "more bytes") {
		t.Errorf("a line of %d bytes was not cut", len(all[1].Message))
	}
	if want := (transport.LogRecord{Level: 2, Message: "no call"}); all[2] != want {
		t.Errorf("got %+v", all[2])
	}
}

// testLogFlood: a slow logger holds up nobody, and is told whose the lines are although the instance has gone meanwhile.
func testLogFlood(t *testing.T, open Opener) {
	gate := make(chan struct{})
	var got lines
	var released atomic.Bool
	l := opened(t, open, func(s *Session) {
		for i := range 10_000 {
			s.Log(1, fmt.Sprint("line ", i))
		}
		s.Reply(&wire.Outcome{})
	}, transport.Options{OnLog: func(r transport.LogRecord) {
		<-gate
		got.add(r)
	}, Who: func(instance uint64) any {
		if released.Load() {
			return nil
		}
		return fmt.Sprint("instance ", instance)
	}})
	var out wire.Outcome
	if err := l.Call(SampleCall(1), Soon(), nil, &out); err != nil {
		t.Fatal(err)
	}
	released.Store(true)
	close(gate)
	Eventually(t, "a line about dropped lines", func() bool {
		all := got.get()
		return len(all) > 0 && strings.Contains(all[len(all)-1].Message, "were dropped")
	})
	all := got.get()
	if len(all) > 9_000 {
		t.Errorf("%d lines were kept", len(all))
	}
	for i, rec := range all[:len(all)-1] {
		if rec.Who != "instance 7" {
			t.Fatalf("line %d is said to be of %v", i, rec.Who)
		}
	}
}

func testTimeout(t *testing.T, open Opener) {
	cancelled := make(chan struct{})
	l := opened(t, open, func(s *Session) {
		if s.Call.Instance == 7 {
			<-s.Cancelled
			close(cancelled)
			return
		}
		echo(s)
	}, transport.Options{})
	var out wire.Outcome
	start := time.Now()
	err := l.Call(SampleCall(1), start.Add(30*time.Millisecond), nil, &out)
	if took := time.Since(start); KindOf(err) != transport.Timeout || took < 30*time.Millisecond || took > Patience {
		t.Errorf("got %v after %s", err, took)
	}
	select {
	case <-cancelled:
	case <-time.After(Patience):
		t.Error("the server was not told")
	}
	// The lane lives.
	c := SampleCall(1)
	c.Instance = 8
	if err := l.Call(c, Soon(), nil, &out); err != nil {
		t.Error(err)
	}
}

// testGivenUp: a call that nobody waits for any more ends at once, the server is told, and the lane lives on.
func testGivenUp(t *testing.T, open Opener) {
	arrived, told := make(chan struct{}, 2), make(chan struct{}, 2) // what is given up at once may have been sent
	l := opened(t, open, func(s *Session) {
		if s.Call.Instance == 8 {
			echo(s)
			return
		}
		arrived <- struct{}{}
		<-s.Cancelled
		told <- struct{}{}
	}, transport.Options{})
	var quit wire.Quit
	call := SampleCall(7)
	call.Quit = &quit
	go func() {
		<-arrived
		quit.Go()
	}()
	var out wire.Outcome
	if err := l.Call(call, time.Now().Add(Patience), nil, &out); KindOf(err) != transport.Cancelled {
		t.Fatalf("got %v", err)
	}
	<-told
	if err := l.Call(call, time.Now().Add(Patience), nil, &out); KindOf(err) != transport.Cancelled {
		t.Errorf("a call for one who has gone: %v", err)
	}
	next := SampleCall(7)
	next.Instance = 8
	if err := l.Call(next, time.Now().Add(Patience), nil, &out); err != nil {
		t.Errorf("the next call: %v", err)
	}
}

func testDeadlinePassed(t *testing.T, open Opener) {
	l := opened(t, open, func(s *Session) { t.Error("the call was sent") }, transport.Options{})
	var out wire.Outcome
	if err := l.Call(SampleCall(1), time.Now().Add(-time.Second), nil, &out); KindOf(err) != transport.Timeout {
		t.Errorf("got %v", err)
	}
}

// testTimeoutsDiffer: a long call entered first does not hide a short one, and none waits for another.
func testTimeoutsDiffer(t *testing.T, open Opener) {
	l := opened(t, open, func(s *Session) { <-s.Cancelled }, transport.Options{})
	var wg sync.WaitGroup
	for _, ms := range []int{400, 20, 200, 60, 20} {
		wg.Go(func() {
			var out wire.Outcome
			start := time.Now()
			err := l.Call(SampleCall(1), start.Add(time.Duration(ms)*time.Millisecond), nil, &out)
			if took := time.Since(start); KindOf(err) != transport.Timeout || took < time.Duration(ms)*time.Millisecond || took > Patience {
				t.Errorf("%d ms: got %v after %s", ms, err, took)
			}
		})
	}
	wg.Wait()
}

func testLateOutcome(t *testing.T, open Opener) {
	sent := make(chan struct{})
	l := opened(t, open, func(s *Session) {
		if s.Call.Instance != 7 {
			echo(s)
			return
		}
		<-s.Cancelled
		s.Chunk(blob(100))
		s.Log(1, "late")
		s.SendAsk(wire.AskRequestGetRawBody)
		s.Reply(&wire.Outcome{Ops: []wire.Op{{Code: wire.OpResponseSetStatus, Status: 418}}})
		s.Reply(&wire.Outcome{}) // and again
		close(sent)
	}, transport.Options{})
	var out wire.Outcome
	if err := l.Call(SampleCall(1), time.Now().Add(20*time.Millisecond), nil, &out); KindOf(err) != transport.Timeout {
		t.Fatalf("got %v", err)
	}
	<-sent
	for range 20 {
		c := SampleCall(1)
		c.Instance = 8
		if err := l.Call(c, Soon(), nil, &out); err != nil || len(out.Ops) != 1 || out.Ops[0].Code != wire.OpServiceRequestSetPath {
			t.Fatalf("got %v, %+v", err, out)
		}
	}
}

// testAskAfterEnd: an outcome ends the call though an ask still waits for its answer.
func testAskAfterEnd(t *testing.T, open Opener) {
	l := opened(t, open, func(s *Session) {
		s.SendAsk(wire.AskRequestGetRawBody)
		s.SendAsk(wire.AskRequestGetRawBody)
		s.Reply(&wire.Outcome{Ops: []wire.Op{{Code: wire.OpResponseSetStatus, Status: 204}}})
	}, transport.Options{})
	for range 50 {
		var out wire.Outcome
		if err := l.Call(SampleCall(1), Soon(), &asker{body: blob(100_000)}, &out); err != nil || len(out.Ops) != 1 {
			t.Fatalf("got %v, %+v", err, out)
		}
	}
}

func testOverloaded(t *testing.T, open Opener) {
	gate := make(chan struct{})
	l := opened(t, open, func(s *Session) {
		<-gate
		echo(s)
	}, transport.Options{MaxInFlight: 3})
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			var out wire.Outcome
			if err := l.Call(SampleCall(1), Soon(), nil, &out); err != nil {
				t.Error(err)
			}
		})
	}
	Eventually(t, "three calls in flight", func() bool { return l.InFlight() == 3 })
	var out wire.Outcome
	if err := l.Call(SampleCall(1), Soon(), nil, &out); KindOf(err) != transport.Overloaded {
		t.Errorf("got %v", err)
	}
	close(gate)
	wg.Wait()
	if err := l.Call(SampleCall(1), Soon(), nil, &out); err != nil {
		t.Error(err)
	}
}

// testNoBound: many more calls than the table has room for at first.
func testNoBound(t *testing.T, open Opener) {
	gate := make(chan struct{})
	l := opened(t, open, func(s *Session) {
		<-gate
		echo(s)
	}, transport.Options{})
	var wg sync.WaitGroup
	for i := range 1000 {
		wg.Go(func() {
			c := SampleCall(0)
			c.Request.Target = fmt.Sprint("/", i)
			var out wire.Outcome
			if err := l.Call(c, time.Now().Add(60*time.Second), nil, &out); err != nil || out.Ops[0].Name != c.Request.Target {
				t.Errorf("%d: got %v, %+v", i, err, out.Ops)
			}
		})
	}
	Eventually(t, "1000 calls in flight", func() bool { return l.InFlight() == 1000 })
	close(gate)
	wg.Wait()
}

// closesLane runs a server that misbehaves on the first call and wants the lane dead, with everybody told.
func closesLane(t *testing.T, open Opener, reason string, misbehave Handler) {
	t.Helper()
	const kind = transport.Closed
	started := make(chan struct{}, 100)
	l := opened(t, open, func(s *Session) {
		if s.Call.Instance == 7 {
			started <- struct{}{}
			<-s.Cancelled
			return
		}
		misbehave(s)
		<-s.Cancelled
	}, transport.Options{})
	var wg sync.WaitGroup
	for range 5 {
		wg.Go(func() {
			var out wire.Outcome
			if err := l.Call(SampleCall(1), Soon(), &asker{}, &out); KindOf(err) != kind {
				t.Errorf("a bystander got %v", err)
			}
		})
	}
	for range 5 {
		<-started
	}
	c := SampleCall(1)
	c.Instance = 8
	var out wire.Outcome
	if err := l.Call(c, Soon(), &asker{}, &out); KindOf(err) != kind {
		t.Errorf("got %v", err)
	}
	wg.Wait()
	select {
	case <-l.Done():
	case <-time.After(Patience):
		t.Fatal("the lane lives")
	}
	if err := l.Err(); err == nil || !strings.Contains(err.Error(), reason) {
		t.Errorf("the reason is %v, want %q", err, reason)
	}
	if err := l.Call(c, Soon(), nil, &out); KindOf(err) != kind || l.InFlight() != 0 {
		t.Errorf("after the death: %v, %d in flight", err, l.InFlight())
	}
}

func testUnknownCall(t *testing.T, open Opener) {
	closesLane(t, open, "which never existed", func(s *Session) { s.ReplyTo(s.ID()+100_000, &wire.Outcome{}) })
}

func testAskFlood(t *testing.T, open Opener) {
	gate := make(chan struct{})
	defer close(gate)
	l := opened(t, open, func(s *Session) {
		for range 2000 {
			s.SendAsk(wire.AskLogSerialize)
		}
		<-s.Cancelled
	}, transport.Options{})
	var out wire.Outcome
	answered := 0
	err := l.Call(SampleCall(1), Soon(), answerFunc(func(*wire.Ask) wire.Answer {
		if answered++; answered == 1 {
			<-l.Done() // an asker that is slow until the lane is gone
		}
		return wire.Answer{}
	}), &out)
	if KindOf(err) != transport.Closed || answered > 1 {
		t.Errorf("got %v after %d answers", err, answered)
	}
}

type answerFunc func(*wire.Ask) wire.Answer

func (f answerFunc) Answer(a *wire.Ask) wire.Answer { return f(a) }

func testTooLarge(t *testing.T, open Opener) {
	l := opened(t, open, func(s *Session) {
		if s.Call.Instance == 7 {
			s.Reply(&wire.Outcome{Body: blob(200_000), HasBody: true})
			return
		}
		s.Reply(&wire.Outcome{Body: blob(100_000), HasBody: true})
	}, transport.Options{Hello: wire.HostHello{MaxBody: 100_000}})
	var out wire.Outcome
	if err := l.Call(SampleCall(1), Soon(), nil, &out); KindOf(err) != transport.TooLarge {
		t.Errorf("got %v", err)
	}
	c := SampleCall(1)
	c.Instance = 8
	if err := l.Call(c, Soon(), nil, &out); err != nil || !bytes.Equal(out.Body, blob(100_000)) {
		t.Errorf("the next call: got %v with %d bytes", err, len(out.Body))
	}
}

func testLongChunk(t *testing.T, open Opener) {
	closesLane(t, open, "chunk of 32769 bytes", func(s *Session) { s.Chunk(blob(wire.ChunkSize + 1)) })
}

func testFailed(t *testing.T, open Opener) {
	l := opened(t, open, func(s *Session) {
		s.Reply(&wire.Outcome{Err: &wire.Error{Code: wire.CodeHandlerError, Message: "boom", Detail: "line 3"}, Ops: []wire.Op{{Code: wire.OpServiceRequestEnableBuffering}}})
	}, transport.Options{})
	var out wire.Outcome
	if err := l.Call(SampleCall(1), Soon(), nil, &out); err != nil || out.Err == nil || *out.Err != (wire.Error{Code: "handler_error", Message: "boom", Detail: "line 3"}) || len(out.Ops) != 0 {
		t.Errorf("got %v, %+v", err, out)
	}
}

func testGoAway(t *testing.T, open Opener) {
	closesLane(t, open, "draining: bye", func(s *Session) { s.GoAway("draining", "bye") })
}

func testAbruptClose(t *testing.T, open Opener) {
	closesLane(t, open, "closed the", func(s *Session) { s.Drop() })
}

func testClose(t *testing.T, open Opener) {
	started := make(chan struct{}, 10)
	ended := make(chan struct{}, 10)
	l := opened(t, open, func(s *Session) {
		started <- struct{}{}
		<-s.Cancelled
		ended <- struct{}{}
	}, transport.Options{})
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			var out wire.Outcome
			if err := l.Call(SampleCall(1), Soon(), nil, &out); KindOf(err) != transport.Closed || !strings.Contains(err.Error(), "going down") {
				t.Errorf("got %v", err)
			}
		})
	}
	for range 3 {
		<-started
	}
	for range 2 {
		if err := l.Close("shutdown", "going down"); err != nil {
			t.Error(err)
		}
	}
	wg.Wait()
	for range 3 {
		select {
		case <-ended:
		case <-time.After(Patience):
			t.Fatal("the server did not notice")
		}
	}
}

func testOldest(t *testing.T, open Opener) {
	gates := map[uint64]chan struct{}{1: make(chan struct{}), 2: make(chan struct{})}
	l := opened(t, open, func(s *Session) {
		<-gates[s.Call.Instance]
		echo(s)
	}, transport.Options{})
	var wg sync.WaitGroup
	var starts []time.Time
	for i := range uint64(2) {
		starts = append(starts, time.Now())
		wg.Go(func() {
			c := SampleCall(1)
			c.Instance = i + 1
			var out wire.Outcome
			if err := l.Call(c, Soon(), nil, &out); err != nil {
				t.Error(err)
			}
		})
		Eventually(t, "the call is in flight", func() bool { return l.InFlight() == int(i)+1 })
		time.Sleep(2 * time.Millisecond) // two starts that differ
	}
	if o := l.Oldest(); o.Before(starts[0]) || !o.Before(starts[1]) {
		t.Errorf("oldest is %v; calls began at %v", o, starts)
	}
	close(gates[1])
	Eventually(t, "the first call has ended", func() bool { return l.InFlight() == 1 })
	if o := l.Oldest(); o.Before(starts[1]) {
		t.Errorf("oldest is %v; the second call began at %v", o, starts[1])
	}
	close(gates[2])
	wg.Wait()
	if !l.Oldest().IsZero() {
		t.Error("nothing is in flight, but something is old")
	}
}

func testNoFacts(t *testing.T, open Opener) {
	l := opened(t, open, echo, transport.Options{})
	var out wire.Outcome
	if err := l.Call(&wire.Call{}, Soon(), nil, &out); KindOf(err) != transport.BadFrame {
		t.Errorf("got %v", err)
	}
	if err := l.Call(SampleCall(1), Soon(), nil, &out); err != nil {
		t.Error(err)
	}
}
