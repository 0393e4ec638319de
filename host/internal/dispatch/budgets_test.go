package dispatch

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/budget"
	"github.com/outrigger-gateway/outrigger/host/internal/exchange"
	"github.com/outrigger-gateway/outrigger/host/internal/plan"
	"github.com/outrigger-gateway/outrigger/host/internal/transport"
	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

func under(limits budget.Limits) func(*plan.Instance) {
	return func(in *plan.Instance) {
		var r budget.Registry
		in.Budgets = budget.Chain{r.Use(budget.Scope{Server: "s", Plugin: in.Record.Name, Record: in.Record.ID}, limits)}
	}
}

func newBudgetBench(t *testing.T) *bench {
	b := newBench(t)
	b.Interceptors = []Interceptor{Budgets{}}
	return b
}

func retryAfterOf(ex *exchange.Exchange) string {
	for _, h := range ex.Answer.Headers {
		if h.Name == "Retry-After" {
			return h.Value
		}
	}
	return ""
}

// 200 requests meet a handler that hangs and takes 8 calls: 8 wait for it until their deadline, the others are answered at once, and nothing is left.
func TestAHangingHandlerHoldsNoMoreThanItsPlaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudgetBench(t)
		hangs := func(_ *wire.Call, deadline time.Time, _ wire.Asker, _ *wire.Outcome) error {
			time.Sleep(time.Until(deadline))
			return &transport.Error{Kind: transport.Timeout, Msg: "late"}
		}
		in := instance("x", nil, under(budget.Limits{MaxInFlight: 8, Queue: 16}))
		in.Remote = timed(hangs)
		start := time.Now()
		answers := map[string]int{}
		var mu sync.Mutex
		var all sync.WaitGroup
		for range 200 {
			ex := b.exchange(in)
			all.Go(func() {
				b.RunAccess(ex)
				mu.Lock()
				answers[fmt.Sprintf("%d after %s, retry %q", ex.Answer.Status, time.Since(start), retryAfterOf(ex))]++
				mu.Unlock()
			})
		}
		all.Wait()
		// Those in the queue get a place when the first give up, which is their deadline too.
		atOnce, hung := answers[`503 after 0s, retry "1"`], answers[`500 after 1s, retry ""`]
		late := answers[`503 after 1s, retry "1"`]
		if atOnce != 176 || hung < 8 || hung+late != 24 {
			t.Errorf("answers %v", answers)
		}
		if u := in.Budgets[0].Limiter.Usage(); u.InFlight != 0 || u.Waiting != 0 || int(u.Refused) != 176+late {
			t.Errorf("left behind: %+v", u)
		}
		if lines := strings.Count(b.logs.String(), "its max_in_flight"); lines == 0 || lines > 3 {
			t.Errorf("%d lines about refused calls, expected one a second:\n%s", lines, b.logs)
		}
	})
}

// timed is a plugin server that sees the deadline.
type timed func(c *wire.Call, deadline time.Time, asker wire.Asker, out *wire.Outcome) error

func (f timed) Call(c *wire.Call, deadline time.Time, asker wire.Asker, out *wire.Outcome) error {
	return f(c, deadline, asker, out)
}

func TestTheBreakerOfAnInstance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limits := budget.Limits{Errors: budget.Errors{Ratio: 0.5, Calls: 4, Window: 10 * time.Second, OpenFor: 5 * time.Second, Probes: 1}, HandlerErrors: true}
		for name, c := range map[string]struct {
			err    error
			change func(*budget.Limits)
			opens  bool
		}{
			"timeout":           {&transport.Error{Kind: transport.Timeout, Msg: "x"}, nil, true},
			"death":             {&transport.Error{Kind: transport.Closed, Msg: "x"}, nil, true},
			"bad frame":         {&transport.Error{Kind: transport.BadFrame, Msg: "x"}, nil, true},
			"handler":           {&wire.Error{Code: wire.CodeHandlerError, Message: "x"}, nil, true},
			"handler not count": {&wire.Error{Code: wire.CodeHandlerError, Message: "x"}, func(l *budget.Limits) { l.HandlerErrors = false }, false},
			"overloaded":        {&transport.Error{Kind: transport.Overloaded, Msg: "x"}, nil, false},
			"cancelled":         {&transport.Error{Kind: transport.Cancelled, Msg: "x"}, nil, false},
			"not ready":         {notReady{}, nil, false},
		} {
			l := limits
			if c.change != nil {
				c.change(&l)
			}
			b := newBudgetBench(t)
			sent := 0
			fails := true
			in := instance("x", remote(func(*wire.Call, wire.Asker, *wire.Outcome) error {
				sent++
				if fails {
					return c.err
				}
				return nil
			}), under(l))
			run := func() *exchange.Exchange {
				ex := b.exchange(in)
				b.RunAccess(ex)
				return ex
			}
			for range 4 {
				run()
			}
			ex := run()
			if opened := sent == 4; opened != c.opens {
				t.Errorf("%s: %d calls were sent of 5", name, sent)
				continue
			}
			if !c.opens {
				continue
			}
			if seconds := retryAfterOf(ex); ex.Answer.Status != 503 || seconds != "5" && seconds != "6" {
				t.Errorf("%s: answer %d, Retry-After %q", name, ex.Answer.Status, seconds)
			}
			fails = false
			time.Sleep(6 * time.Second)
			if ex := run(); ex.Answer.Given || sent != 5 {
				t.Errorf("%s: the probe: %+v", name, ex.Answer)
			}
			if ex := run(); ex.Answer.Given {
				t.Errorf("%s: after the probe: %+v", name, ex.Answer)
			}
		}
	})
}

// A call that will be refused takes no body into memory. What a refused call may open, it opens.
// Clients that break off, or send too much, cannot use up the error budget of a plugin that reads bodies: its failure is not its own.
func TestWhoSendsABadBodyDoesNotOpenTheBreaker(t *testing.T) {
	limits := budget.Limits{Errors: budget.Errors{Ratio: 0.5, Calls: 4, Window: 10 * time.Second, OpenFor: 5 * time.Second, Probes: 1}, HandlerErrors: true}
	reads := func(_ *wire.Call, asker wire.Asker, out *wire.Outcome) error {
		if a := asker.Answer(&wire.Ask{Fn: pdk.AskRequestGetRawBody}); a.Err != nil {
			out.Err = &wire.Error{Code: wire.CodeHandlerError, Message: a.Err.Error(), Detail: "the stack"}
		}
		return nil
	}
	for code, err := range map[Code]*wire.Error{
		Cancelled:    {Code: wire.CodeHostError, Message: "reading the request body: unexpected EOF"},
		TooLarge:     {Code: wire.CodeBadData, Message: "too long"},
		Overloaded:   {Code: exchange.CodeNoMemory, Message: "no memory"},
		HandlerError: nil,
	} {
		b := newBudgetBench(t)
		var told []string
		b.Interceptors = append(b.Interceptors, &witness{name: "a", told: &told})
		do := reads
		if err != nil {
			b.live.err = err
		} else {
			do = func(_ *wire.Call, _ wire.Asker, out *wire.Outcome) error {
				out.Err = &wire.Error{Code: wire.CodeHandlerError, Message: "its own", Detail: "the stack"}
				return nil
			}
		}
		in := instance("x", remote(do), under(limits))
		for range 5 {
			ex := b.exchange(in)
			b.RunAccess(ex)
			if !ex.Answer.Given {
				t.Fatalf("%s: the request goes on", code)
			}
		}
		ended := 0
		for _, line := range told {
			if strings.HasPrefix(line, fmt.Sprintf("a after %s ", code)) {
				ended++
			}
		}
		want := 5
		if err == nil {
			want = 4 // then the breaker is open
		}
		if ended != want {
			t.Errorf("%d calls ended as %s, expected %d: %q", ended, code, want, told)
		}
		if !strings.Contains(b.logs.String(), "detail=\"the stack\"") {
			t.Errorf("%s: the handler's detail is not in the log:\n%s", code, b.logs)
		}
	}
}

func TestARefusedCallTakesNoBody(t *testing.T) {
	b := newBudgetBench(t)
	in := instance("x", remote(func(*wire.Call, wire.Asker, *wire.Outcome) error {
		t.Error("the call was sent")
		return nil
	}), under(budget.Limits{MaxInFlight: 1}), failOpen)
	in.Needs = pdk.NeedRequestBody
	if err := in.Budgets[0].Limiter.Enter(time.Now()); err != nil {
		t.Fatal(err)
	}
	ex := b.exchange(in)
	b.RunAccess(ex)
	if ex.Answer.Given || b.live.asks != 0 {
		t.Errorf("answer %+v, body asked %d times", ex.Answer, b.live.asks)
	}
}

func TestTheHandlerIsToldWhatIsLeftOfItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudgetBench(t)
		var told uint32
		in := instance("x", remote(func(c *wire.Call, _ wire.Asker, _ *wire.Outcome) error { told = c.TimeoutMS; return nil }), under(budget.Limits{MaxInFlight: 1, Queue: 1}))
		if err := in.Budgets[0].Limiter.Enter(time.Now()); err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(700*time.Millisecond, func() { in.Budgets[0].Limiter.Leave() })
		b.RunAccess(b.exchange(in))
		if told != 300 {
			t.Errorf("it was told %d ms, want 300", told)
		}
	})
}

func TestFailBody(t *testing.T) {
	b := newBench(t)
	in := instance("x", remote(func(*wire.Call, wire.Asker, *wire.Outcome) error {
		return &transport.Error{Kind: transport.Overloaded, Msg: "x"}
	}))
	in.FailBody, in.FailType = []byte(`{"sorry":1}`), "application/json"
	ex := b.exchange(in)
	b.RunAccess(ex)
	a := ex.Answer
	if a.Status != 503 || a.Formatted || string(a.Body) != `{"sorry":1}` || a.Headers[0].Value != "application/json" || retryAfterOf(ex) != "1" {
		t.Errorf("answer %+v", a)
	}
}

func BenchmarkCallUnderBudgets(b *testing.B) {
	for _, n := range []int{0, 1, 3} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			bench := newBudgetBench(nil)
			in := instance("x", remote(func(*wire.Call, wire.Asker, *wire.Outcome) error { return nil }))
			limits := budget.Limits{MaxInFlight: 64, Errors: budget.Errors{Ratio: 0.5, Calls: 20, Window: 10 * time.Second, OpenFor: time.Second, Probes: 1}}
			for range n {
				under(limits)(in)
				in.Budgets = append(in.Budgets, in.Budgets[0])[:min(n, len(in.Budgets)+1)]
			}
			ex := &exchange.Exchange{Live: bench.live, Dir: bench.dir}
			step := []*plan.Step{{Instance: in}}
			b.ReportAllocs()
			for b.Loop() {
				bench.Run(ex, step, pdk.PhaseRewrite)
			}
		})
	}
}
