package local

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// fakeHost answers questions from a map and keeps the log.
type fakeHost struct {
	mu      sync.Mutex
	lines   []string
	answers map[wire.AskFn]wire.Answer
	asked   []wire.Ask
	ask     func(*wire.Ask) wire.Answer
}

func (f *fakeHost) Ask(a *wire.Ask) wire.Answer {
	f.mu.Lock()
	f.asked = append(f.asked, *a)
	f.mu.Unlock()
	if f.ask != nil {
		return f.ask(a)
	}
	answer, ok := f.answers[a.Fn]
	if !ok {
		return wire.Answer{Err: &wire.Error{Code: wire.CodeHostError, Message: "not prepared"}}
	}
	return answer
}

func (f *fakeHost) Log(level uint8, message string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lines = append(f.lines, message)
}

func newFacts() *wire.Facts {
	return &wire.Facts{
		RequestID: "0123456789abcdef0123456789abcdef",
		StartTime: 1700000000123,
		Request: wire.Request{
			Method: "GET", Scheme: "http", Host: "gw.test", Port: 8000, HTTPVersion: 11, Target: "/", Path: "/",
		},
		Client: wire.Client{IP: "10.0.0.9", Port: 40000, ForwardedIP: "10.0.0.9"},
	}
}

// tester runs one handler of a phase over facts.
type tester struct {
	facts *wire.Facts
	call  wire.Call
	node  Node
	host  fakeHost
	out   wire.Outcome
}

func newTester() *tester {
	return &tester{facts: newFacts(), node: Node{ID: "n", Hostname: "h", MaxBody: 1 << 20, MaxShared: 1000}}
}

func (r *tester) headers(lines ...string) *tester {
	for i := 0; i < len(lines); i += 2 {
		r.facts.Request.Headers = append(r.facts.Request.Headers, wire.Header{Name: lines[i], Value: lines[i+1]})
	}
	return r
}

func (r *tester) target(target string) *tester {
	r.facts.Request.Target = target
	r.facts.Request.Path = wire.PathOfTarget(target)
	r.facts.Request.RawQuery = wire.QueryOfTarget(target)
	return r
}

func handlers(phase pdk.Phase, f func(*pdk.PDK) error) *pdk.Handlers {
	h := &pdk.Handlers{}
	switch phase {
	case pdk.PhaseRewrite:
		h.Rewrite = f
	case pdk.PhaseAccess:
		h.Access = f
	case pdk.PhaseResponse:
		h.Response = f
	case pdk.PhaseHeaderFilter:
		h.HeaderFilter = f
	case pdk.PhaseLog:
		h.Log = f
	case pdk.PhaseBodyFilter:
		h.BodyFilter = func(k *pdk.PDK, chunk []byte, last bool) ([]byte, error) { return nil, f(k) }
	}
	return h
}

// run runs a handler and gives a copy of the outcome that outlives the session.
func (r *tester) run(phase pdk.Phase, f func(*pdk.PDK) error) *wire.Outcome {
	r.call.Facts, r.call.Phase = r.facts, phase.Code()
	s := Begin(&r.call, &r.node, &r.host)
	s.Run(handlers(phase, f), &r.out)
	out := r.out
	out.Ops = append([]wire.Op(nil), out.Ops...)
	for i := range out.Ops {
		out.Ops[i].Values = append([]string(nil), out.Ops[i].Values...)
	}
	s.Release()
	return &out
}

// access runs an access handler that must succeed and applies its operations to the facts.
func (r *tester) access(t *testing.T, f func(*pdk.PDK)) *wire.Outcome {
	t.Helper()
	return r.ok(t, pdk.PhaseAccess, f)
}

func (r *tester) ok(t *testing.T, phase pdk.Phase, f func(*pdk.PDK)) *wire.Outcome {
	t.Helper()
	out := r.run(phase, func(k *pdk.PDK) error { f(k); return nil })
	if out.Err != nil {
		t.Fatalf("outcome failed: %v", out.Err)
	}
	for i := range out.Ops {
		if _, err := Apply(r.facts, &out.Ops[i]); err != nil {
			t.Fatalf("the host refuses operation %d: %v", out.Ops[i].Code, err)
		}
	}
	return out
}

func wantKind(t *testing.T, err error, kind *pdk.Error) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Errorf("error is %v, expected kind %s", err, kind.Code)
	}
}

func TestOutcomeOfFailures(t *testing.T) {
	boom := errors.New("boom")
	for name, tc := range map[string]struct {
		handler func(*pdk.PDK) error
		code    string
		detail  bool
	}{
		"error":             {func(*pdk.PDK) error { return boom }, wire.CodeHandlerError, false},
		"panic":             {func(*pdk.PDK) error { panic("boom") }, wire.CodeHandlerError, true},
		"goexit":            {func(*pdk.PDK) error { runtime.Goexit(); return nil }, wire.CodeHandlerError, true},
		"error of the PDK":  {func(k *pdk.PDK) error { return k.ServiceRequest.SetMethod("x") }, wire.CodeBadArgument, false},
		"read out of phase": {func(k *pdk.PDK) error { k.Response.GetStatus(); return nil }, wire.CodeWrongPhase, false},
		"nil in an error":   {func(*pdk.PDK) error { var e *fragile; return e }, wire.CodeHandlerError, false},
		"error that panics": {func(*pdk.PDK) error { return &fragile{} }, wire.CodeHandlerError, false},
		"panic with such":   {func(*pdk.PDK) error { panic(&fragile{}) }, wire.CodeHandlerError, true},
		"cause that panics": {func(*pdk.PDK) error { return fmt.Errorf("outer: %w", error(&fragile{})) }, wire.CodeHandlerError, false},
		"panics for ever":   {func(*pdk.PDK) error { return endless{} }, wire.CodeHandlerError, false},
		"panic that does":   {func(*pdk.PDK) error { panic(endless{}) }, wire.CodeHandlerError, true},
		"goexit in Error":   {func(*pdk.PDK) error { return leaver{} }, wire.CodeHandlerError, false},
		"goexit in Unwrap":  {func(*pdk.PDK) error { return quietLeaver{} }, wire.CodeHandlerError, false},
	} {
		t.Run(name, func(t *testing.T) {
			r := newTester()
			var out *wire.Outcome
			var wg sync.WaitGroup
			wg.Go(func() { // a goroutine of its own, because one case ends it
				r.call.Facts, r.call.Phase = r.facts, pdk.PhaseAccess.Code()
				s := Begin(&r.call, &r.node, &r.host)
				defer s.Release()
				s.Run(handlers(pdk.PhaseAccess, func(k *pdk.PDK) error {
					if err := k.ServiceRequest.SetHeader("x-a", "1"); err != nil {
						return err
					}
					return tc.handler(k)
				}), &r.out)
			})
			wg.Wait()
			out = &r.out
			if out.Err == nil || out.Err.Code != tc.code {
				t.Fatalf("error is %v, expected code %s", out.Err, tc.code)
			}
			if (out.Err.Detail != "") != tc.detail {
				t.Errorf("detail is %q", out.Err.Detail)
			}
			if len(out.Ops) != 0 {
				t.Errorf("a failed outcome carries %d operations", len(out.Ops))
			}
		})
	}
}

// fragile is an error of a plugin that panics whatever one asks of it.
type fragile struct{ inner error }

func (e *fragile) Error() string { return e.inner.Error() }
func (e *fragile) Unwrap() error { return e.inner.(interface{ Unwrap() error }).Unwrap() }

// endless is an error whose text panics with itself, which fmt does not survive.
type endless struct{}

func (e endless) Error() string { panic(e) }

// leaver is an error that ends the goroutine of who asks what it says, and quietLeaver of who asks what it wraps.
type (
	leaver      struct{}
	quietLeaver struct{}
)

func (leaver) Error() string      { runtime.Goexit(); return "" }
func (quietLeaver) Error() string { return "quiet" }
func (quietLeaver) Unwrap() error { runtime.Goexit(); return nil }

// curious is an error that uses the PDK to say what it is.
type curious struct{ k *pdk.PDK }

func (e curious) Error() string { return "failed at " + e.k.Request.GetPath() }

func TestErrorThatUsesThePDK(t *testing.T) {
	r := newTester()
	if out := r.run(pdk.PhaseAccess, func(k *pdk.PDK) error { return curious{k} }); out.Err == nil || !strings.HasPrefix(out.Err.Message, "failed at /") {
		t.Errorf("outcome %+v", out.Err)
	}
}

// An exit stands, too, when the error after it cannot be put into words.
func TestFragileErrorAfterAnExit(t *testing.T) {
	r := newTester()
	out := r.run(pdk.PhaseAccess, func(k *pdk.PDK) error {
		_ = k.Response.Exit(403, nil, nil)
		return &fragile{}
	})
	if out.Err != nil || len(out.Ops) != 1 || out.Ops[0].Status != 403 {
		t.Errorf("outcome %+v", out)
	}
}

func TestMissingHandler(t *testing.T) {
	r := newTester()
	r.call.Facts, r.call.Phase = r.facts, pdk.PhaseAccess.Code()
	s := Begin(&r.call, &r.node, &r.host)
	defer s.Release()
	s.Run(&pdk.Handlers{}, &r.out)
	if r.out.Err == nil || r.out.Err.Code != wire.CodeWrongPhase {
		t.Fatalf("error is %v", r.out.Err)
	}
}

func TestLesson22UseAfterTheHandlerEnded(t *testing.T) {
	r := newTester().headers("x-a", "1")
	var kept *pdk.PDK
	r.access(t, func(k *pdk.PDK) { kept = k })
	other := newTester()
	other.access(t, func(k *pdk.PDK) { // most likely on the same pooled state
		if _, found := kept.Request.GetHeader("x-a"); found {
			t.Error("the old handle reads")
		}
		wantKind(t, kept.ServiceRequest.SetHeader("x-b", "1"), pdk.ErrPhase)
		_, err := kept.Request.GetRawBody()
		wantKind(t, err, pdk.ErrPhase)
		wantKind(t, kept.Response.Exit(200, nil, nil), pdk.ErrPhase)
		wantKind(t, kept.Err(), pdk.ErrPhase)
		if kept.Context().Err() == nil {
			t.Error("the old context is alive")
		}
		if k.Err() != nil {
			t.Errorf("the new handle has the error %v", k.Err())
		}
	})
	if len(other.facts.Request.Headers) != 0 {
		t.Errorf("the old handle wrote into another request: %v", other.facts.Request.Headers)
	}
}

func TestLesson23ExitSeals(t *testing.T) {
	r := newTester()
	sealed := 0
	r.call.Facts, r.call.Phase = r.facts, pdk.PhaseAccess.Code()
	s := Begin(&r.call, &r.node, &r.host)
	defer s.Release()
	s.OnSeal(func() {
		sealed++
		if len(r.out.Ops) != 2 || r.out.Err != nil {
			t.Errorf("sealed outcome: %+v", r.out)
		}
	})
	s.Run(handlers(pdk.PhaseAccess, func(k *pdk.PDK) error {
		ctx := k.Context()
		if err := k.Response.SetHeader("X-P", "1"); err != nil {
			return err
		}
		if err := k.Response.Exit(403, "no", nil); err != nil {
			return err
		}
		if sealed != 1 {
			t.Error("the exit did not seal at once")
		}
		if ctx.Err() == nil {
			t.Error("the context is alive after the exit")
		}
		wantKind(t, k.CtxShared.Set("a", 1), pdk.ErrPhase)
		wantKind(t, k.Response.Exit(500, nil, nil), pdk.ErrPhase)
		if k.Request.GetMethod() != "" {
			t.Error("a read works after the exit")
		}
		return errors.New("later")
	}), &r.out)
	if sealed != 1 || r.out.Err != nil || len(r.out.Ops) != 2 || r.out.Ops[1].Code != pdk.OpResponseExit || r.out.Ops[1].Status != 403 {
		t.Fatalf("sealed %d times, outcome %+v", sealed, r.out)
	}
	if len(r.host.lines) != 1 || !strings.Contains(r.host.lines[0], "later") {
		t.Errorf("log: %q", r.host.lines)
	}
}

func TestExitFromAnotherGoroutineStands(t *testing.T) {
	r := newTester()
	out := r.run(pdk.PhaseAccess, func(k *pdk.PDK) error {
		var wg sync.WaitGroup
		wg.Go(func() {
			defer func() { _ = recover() }()
			if err := k.Response.Exit(401, nil, nil); err != nil {
				t.Error(err)
			}
			panic("swallowed")
		})
		wg.Wait()
		panic("after the exit")
	})
	if out.Err != nil || len(out.Ops) != 1 || out.Ops[0].Status != 401 {
		t.Fatalf("outcome %+v", out)
	}
}

func TestConcurrentUseInsideAHandler(t *testing.T) {
	r := newTester().headers("x-a", "1")
	out := r.access(t, func(k *pdk.PDK) {
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for range 50 {
					if err := k.ServiceRequest.AddHeader("x-b", "1"); err != nil {
						t.Error(err)
					}
					if v, _ := k.Request.GetHeader("x-a"); v != "1" {
						t.Errorf("x-a is %q", v)
					}
					k.Log.Info("line")
				}
			})
		}
		wg.Wait()
	})
	if len(out.Ops) != 400 || len(r.host.lines) != 400 {
		t.Errorf("%d operations, %d lines", len(out.Ops), len(r.host.lines))
	}
}

func TestCancel(t *testing.T) {
	r := newTester()
	r.call.Facts, r.call.Phase, r.call.TimeoutMS = r.facts, pdk.PhaseAccess.Code(), 60_000
	s := Begin(&r.call, &r.node, &r.host)
	defer s.Release()
	s.Run(handlers(pdk.PhaseAccess, func(k *pdk.PDK) error {
		if _, ok := k.Context().Deadline(); !ok {
			t.Error("the context has no deadline")
		}
		go s.Cancel()
		<-k.Context().Done()
		wantKind(t, k.ServiceRequest.SetHeader("x-a", "1"), pdk.ErrPhase)
		return nil
	}), &r.out)
	if r.out.Err == nil || r.out.Err.Code != wire.CodeCancelled {
		t.Fatalf("error is %v", r.out.Err)
	}
	s.Cancel() // does nothing any more
}

// A handler that hears of its deadline has nothing of it applied, even when the host's clock would still take it.
func TestContextEndsAtTheDeadline(t *testing.T) {
	r := newTester()
	r.call.Facts, r.call.Phase = r.facts, pdk.PhaseAccess.Code()
	s := Begin(&r.call, &r.node, &r.host)
	defer s.Release()
	s.Deadline(time.Now().Add(time.Millisecond))
	s.Run(handlers(pdk.PhaseAccess, func(k *pdk.PDK) error {
		<-k.Context().Done()
		if err := k.Context().Err(); err != context.DeadlineExceeded {
			t.Errorf("the context ended with %v", err)
		}
		wantKind(t, k.ServiceRequest.SetHeader("x-a", "1"), pdk.ErrPhase)
		return nil
	}), &r.out)
	if r.out.Err == nil || r.out.Err.Code != wire.CodeCancelled || len(r.out.Ops) > 0 {
		t.Fatalf("found %v and %v", r.out.Err, r.out.Ops)
	}
}

func TestQuestionUnderWayWhenTheHandlerReturns(t *testing.T) {
	r := newTester()
	asked, answer := make(chan struct{}), make(chan struct{})
	r.host.ask = func(*wire.Ask) wire.Answer {
		close(asked)
		<-answer
		return wire.Answer{Bytes: []byte("late"), IsBytes: true}
	}
	r.call.Facts, r.call.Phase = r.facts, pdk.PhaseAccess.Code()
	s := Begin(&r.call, &r.node, &r.host)
	result := make(chan error, 1)
	s.Run(handlers(pdk.PhaseAccess, func(k *pdk.PDK) error {
		go func() {
			_, err := k.Request.GetRawBody()
			result <- err
		}()
		<-asked
		return nil
	}), &r.out)
	if r.out.Err != nil {
		t.Fatal(r.out.Err)
	}
	if s.Release() {
		t.Error("the session says that it is idle")
	}
	close(answer)
	wantKind(t, <-result, pdk.ErrPhase)
}

func TestBodyFilter(t *testing.T) {
	run := func(f func(k *pdk.PDK, chunk []byte, last bool) ([]byte, error)) *wire.Outcome {
		r := newTester()
		backing := []byte("piece|next")
		r.call = wire.Call{Facts: r.facts, Phase: pdk.PhaseBodyFilter.Code(), Chunk: backing[:5], HasChunk: true, Last: true}
		s := Begin(&r.call, &r.node, &r.host)
		defer s.Release()
		s.Run(&pdk.Handlers{BodyFilter: f}, &r.out)
		if string(backing) != "piece|next" {
			t.Errorf("appending to the chunk wrote behind it: %q", backing)
		}
		return &r.out
	}
	out := run(func(_ *pdk.PDK, chunk []byte, last bool) ([]byte, error) { return append(chunk, '!'), nil })
	if !out.HasBody || string(out.Body) != "piece!" {
		t.Errorf("changed: %+v", out)
	}
	if out = run(func(*pdk.PDK, []byte, bool) ([]byte, error) { return nil, nil }); out.HasBody {
		t.Errorf("unchanged: %+v", out)
	}
	if out = run(func(*pdk.PDK, []byte, bool) ([]byte, error) { return []byte{}, nil }); !out.HasBody || len(out.Body) != 0 {
		t.Errorf("dropped: %+v", out)
	}
}

// TestPhases checks the gate of every function of the table in every phase.
func TestPhases(t *testing.T) {
	for fn := range pdk.Functions {
		f := &pdk.Functions[fn]
		for _, phase := range pdk.Phases() {
			r := newTester()
			r.call.Facts, r.call.Phase = r.facts, phase.Code()
			s := Begin(&r.call, &r.node, &r.host)
			_, err := s.handle.begin(fn)
			if err == nil {
				s.mu.Unlock()
			}
			if allowed := f.Phases.Has(phase); (err == nil) != allowed {
				t.Errorf("%s in %s: %v, the table says %v", f.Name, phase, err, allowed)
			} else if !allowed {
				wantKind(t, err, pdk.ErrPhase)
				if !strings.Contains(err.Error(), phase.String()) || !strings.Contains(err.Error(), f.Phases.String()) {
					t.Errorf("the message names not both: %v", err)
				}
			}
			s.Release()
		}
	}
}
