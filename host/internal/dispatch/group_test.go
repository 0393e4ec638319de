package dispatch

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/budget"
	"github.com/outrigger-gateway/outrigger/host/internal/entity"
	"github.com/outrigger-gateway/outrigger/host/internal/exchange"
	"github.com/outrigger-gateway/outrigger/host/internal/plan"
	"github.com/outrigger-gateway/outrigger/host/internal/prefetch"
	"github.com/outrigger-gateway/outrigger/host/internal/transport"
	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// bus is a plugin server that takes fused calls. It keeps which handlers each call carried, and which ran.
type bus struct {
	handlers map[uint64]remote // by instance
	names    map[uint64]string
	trips    []string
	ran      []string
	cannot   bool // its lanes take one step of a call
	deaf     bool // it goes on behind a step that stops others
	plugin   []wire.SharedValue
	ahead    [][]wire.Prefetched // by step, of the last call
}

func newBus() *bus { return &bus{handlers: map[uint64]remote{}, names: map[uint64]string{}} }

func (b *bus) Fuses() bool      { return true }
func (b *bus) Prefetches() bool { return true }

func (b *bus) Call(c *wire.Call, _ time.Time, asker wire.Asker, out *wire.Outcome) error {
	trip := []uint64{c.Instance}
	b.plugin = append(b.plugin, c.Plugin...)
	b.ahead = [][]wire.Prefetched{slices.Clone(c.Prefetched)}
	for i := range c.Rest {
		b.ahead = append(b.ahead, slices.Clone(c.Rest[i].Prefetched))
		trip = append(trip, c.Rest[i].Instance)
		b.plugin = append(b.plugin, c.Rest[i].Plugin...)
	}
	var names []string
	for _, id := range trip {
		names = append(names, b.names[id])
	}
	b.trips = append(b.trips, strings.Join(names, "+"))
	for k, id := range trip {
		*out = wire.Outcome{Ops: out.Ops[:0]}
		b.ran = append(b.ran, b.names[id])
		c.Traffic.Sent, c.Traffic.Received = 100, c.Traffic.Received+10*(k+1)
		if err := b.handlers[id](c, asker, out); err != nil {
			return err
		}
		if k == len(trip)-1 || b.cannot {
			return nil
		}
		stops := wire.Stops(out) && !b.deaf
		if _, more := asker.(wire.Stepper).Next(out); !more || stops {
			return nil
		}
	}
	return nil
}

// on makes an instance of the server.
func (b *bus) on(name string, r remote, change ...func(*plan.Instance)) *plan.Instance {
	in := instance(name, r, func(in *plan.Instance) { in.Remote, in.Fuser = b, b })
	b.handlers[in.ID], b.names[in.ID] = r, name
	for _, c := range change {
		c(in)
	}
	return in
}

// seenAll keeps what an interceptor hears.
type seenAll struct {
	calls   []Call
	traffic []wire.Traffic
}

func (*seenAll) Before(*Call) error                   { return nil }
func (*seenAll) Asked(*Call, *wire.Ask, *wire.Answer) {}
func (w *seenAll) After(c *Call) {
	w.calls, w.traffic = append(w.calls, *c), append(w.traffic, c.Request.Traffic)
}

func (w *seenAll) said(of func(c *Call) string) (s string) {
	return strings.Join(each(w.calls, of), " ")
}

func each(calls []Call, of func(c *Call) string) (out []string) {
	for i := range calls {
		out = append(out, of(&calls[i]))
	}
	return out
}

func nothing(*wire.Call, wire.Asker, *wire.Outcome) error { return nil }

func failing(*wire.Call, wire.Asker, *wire.Outcome) error {
	return &transport.Error{Kind: transport.Timeout, Msg: "deadline"}
}

func throwing(_ *wire.Call, _ wire.Asker, out *wire.Outcome) error {
	out.Err = &wire.Error{Code: wire.CodeHandlerError, Message: "boom"}
	return nil
}

func shared(key string) remote {
	return ops(wire.Op{Code: pdk.OpCtxSharedSet, Name: key, Value: []byte{1}})
}

// Which steps travel together, which run again, and what the request gets.
func TestGroups(t *testing.T) {
	exit := ops(wire.Op{Code: pdk.OpResponseExit, Status: 204})
	wrong := ops(setHeader("X Bad", "1"))
	limited := func(in *plan.Instance) {
		in.Budgets = budget.Chain{new(budget.Registry).Use(budget.Scope{Server: "s"}, budget.Limits{MaxInFlight: 1})}
	}
	watched := func(in *plan.Instance) {
		errs := budget.Errors{Ratio: 0.5, Calls: 20, Window: time.Second, OpenFor: time.Second, Probes: 1}
		in.Budgets = budget.Chain{new(budget.Registry).Use(budget.Scope{Server: "s"}, budget.Limits{Errors: errs})}
	}
	open := func(in *plan.Instance) {
		watched(in)
		b := &in.Budgets[0].Breakers[pdk.PhaseAccess.Index()]
		for range 20 {
			ticket, _, _ := b.Allow(time.Now())
			b.Done(ticket, time.Now(), budget.Failure)
		}
		in.FailOpen = true
	}
	type change = func(*plan.Instance)
	type step struct {
		name string
		run  remote
		with []change
	}
	a, b, c := step{"a", shared("a"), nil}, step{"b", shared("b"), nil}, step{"c", shared("c"), nil}
	with := func(s step, run remote, changes ...change) step {
		if run != nil {
			s.run = run
		}
		s.with = changes
		return s
	}
	for name, tc := range map[string]struct {
		steps  []step
		server func(*bus)
		trips  string
		status int
		shared string
	}{
		"all together":                {steps: []step{a, b, c}, trips: "a+b+c", shared: "a b c"},
		"a failed step, open":         {steps: []step{a, with(b, throwing, failOpen), c}, trips: "a+b+c c", shared: "a c"},
		"a failed step, closed":       {steps: []step{a, with(b, throwing), c}, trips: "a+b+c", shared: "a", status: 500},
		"the first fails, open":       {steps: []step{with(a, throwing, failOpen), b, c}, trips: "a+b+c b+c", shared: "b c"},
		"the last fails, open":        {steps: []step{a, b, with(c, throwing, failOpen)}, trips: "a+b+c", shared: "a b"},
		"a timeout, open":             {steps: []step{a, with(b, failing, failOpen), c}, trips: "a+b+c c", shared: "a c"},
		"a timeout, closed":           {steps: []step{a, with(b, failing), c}, trips: "a+b+c", shared: "a", status: 500},
		"an exit":                     {steps: []step{a, with(b, exit), c}, trips: "a+b+c", shared: "a", status: 204},
		"refused operations, open":    {steps: []step{a, with(b, wrong, failOpen), c}, trips: "a+b+c c", shared: "a c"},
		"refused operations, closed":  {steps: []step{a, with(b, wrong), c}, trips: "a+b+c", shared: "a", status: 500},
		"a server that does not stop": {steps: []step{a, with(b, throwing, failOpen), c}, server: func(s *bus) { s.deaf = true }, trips: "a+b+c c", shared: "a c"},
		"exit, no stop":               {steps: []step{a, with(b, exit), c}, server: func(s *bus) { s.deaf = true }, trips: "a+b+c", shared: "a", status: 204},
		"lanes that take one step":    {steps: []step{a, b, c}, server: func(s *bus) { s.cannot = true }, trips: "a+b+c b+c c", shared: "a b c"},
		"one that wants the body":     {steps: []step{a, with(b, nil, func(in *plan.Instance) { in.Needs = pdk.NeedRequestBody }), c}, trips: "a b c", shared: "a b c"},
		"one that wants another body": {steps: []step{a, with(b, nil, func(in *plan.Instance) { in.Needs = pdk.NeedResponseBody }), c}, trips: "a+b+c", shared: "a b c"},
		"one with a bound":            {steps: []step{a, with(b, nil, limited), c}, trips: "a b c", shared: "a b c"},
		"one with a closed breaker":   {steps: []step{a, with(b, nil, watched), c}, trips: "a+b+c", shared: "a b c"},
		"one with an open breaker":    {steps: []step{a, with(b, nil, open), c}, trips: "a c", shared: "a c"},
		"switched off":                {steps: []step{a, with(b, nil, func(in *plan.Instance) { in.Fuser = nil }), c}, trips: "a b c", shared: "a b c"},
		"a native one between":        {steps: []step{a, with(b, nil, native(&pdk.Handlers{Access: func(*pdk.PDK) error { return nil }}), func(in *plan.Instance) { in.Fuser = nil }), c}, trips: "a c", shared: "a c"},
		"one for other phases":        {steps: []step{a, with(b, nil, func(in *plan.Instance) { in.Phases = pdk.PhaseLog }), c}, trips: "a+c", shared: "a c"},
		"unavailable":                 {steps: []step{a, with(b, nil, func(in *plan.Instance) { in.Remote, in.Fuser, in.Unavailable = nil, nil, "no server" }), c}, trips: "a", shared: "a", status: 503},
	} {
		t.Run(name, func(t *testing.T) {
			d, server, w := newBench(t), newBus(), new(seenAll)
			d.Interceptors = []Interceptor{Budgets{}, w}
			if tc.server != nil {
				tc.server(server)
			}
			var ins []*plan.Instance
			for _, s := range tc.steps {
				ins = append(ins, server.on(s.name, s.run, s.with...))
			}
			ex := d.exchange(ins...)
			d.RunAccess(ex)
			if got := strings.Join(server.trips, " "); got != tc.trips {
				t.Errorf("the calls were %s, want %s", got, tc.trips)
			}
			var keys []string
			for _, v := range ex.Facts.Shared {
				keys = append(keys, v.Key)
			}
			if got := strings.Join(keys, " "); got != tc.shared || ex.Answer.Status != tc.status {
				t.Errorf("applied %q with status %d, want %q with %d", got, ex.Answer.Status, tc.shared, tc.status)
			}
			for i := range w.calls {
				if c := &w.calls[i]; c.Sent != (c.Code != BreakerOpen) || c.Duration < 0 {
					t.Errorf("call %+v", c)
				}
			}
		})
	}
}

// Interceptors see each step as a call of its own: its instance, its start behind the end of the one before, its outcome, questions and traffic.
func TestInterceptorsSeeEachStep(t *testing.T) {
	d, server, w := newBench(t), newBus(), new(seenAll)
	d.Interceptors = []Interceptor{w}
	asks := func(n int) remote {
		return func(c *wire.Call, asker wire.Asker, out *wire.Outcome) error {
			for range n {
				if a := asker.Answer(&wire.Ask{Fn: pdk.AskRequestGetRawBody}); string(a.Bytes) != "body" {
					t.Errorf("answer %+v", a)
				}
			}
			return shared(fmt.Sprint(n))(c, asker, out)
		}
	}
	in := []*plan.Instance{server.on("a", asks(1)), server.on("b", asks(2)), server.on("c", throwing)}
	in[1].Timeouts[pdk.PhaseAccess.Index()] = 7 * time.Second
	ex := d.exchange(in...)
	d.RunAccess(ex)
	if len(w.calls) != 3 {
		t.Fatalf("%d calls", len(w.calls))
	}
	if got := w.said(func(c *Call) string { return c.Code.String() }); got != "ok ok handler_error" {
		t.Errorf("codes %s", got)
	}
	for i := range w.calls {
		c := &w.calls[i]
		if c.Instance != in[i] || w.traffic[i] != (wire.Traffic{Sent: []int{100, 0, 0}[i], Received: 10 * (i + 1)}) {
			t.Errorf("call %d of instance %d with traffic %+v", i, c.Instance.ID, w.traffic[i])
		}
		if c.Asks != []int{1, 2, 0}[i] || c.Deadline.Sub(c.Start) != in[i].Timeouts[pdk.PhaseAccess.Index()] {
			t.Errorf("call %d: %d questions, %s for it", i, c.Asks, c.Deadline.Sub(c.Start))
		}
		if i > 0 && c.Start.Before(w.calls[i-1].Start.Add(w.calls[i-1].Duration)) {
			t.Errorf("call %d began before the one ahead of it had ended", i)
		}
	}
	if o := w.calls[2].Outcome; w.calls[2].Err == nil || o == nil {
		t.Errorf("call %+v", w.calls[2])
	}
}

// remembers is an interceptor that has a say in who travels alone, and tells trace contexts.
type remembers struct {
	seenAll
	alone map[string]bool
	ahead int
}

func (r *remembers) Reserved(in *plan.Instance, _ pdk.Phase) bool { return r.alone[in.Record.Name] }

func (r *remembers) Ahead(*exchange.Exchange) wire.Trace {
	r.ahead++
	return wire.Trace{Parent: fmt.Sprint("parent ", r.ahead)}
}

func (r *remembers) Before(c *Call) error {
	if c.Instance.Record.Name == "refused" {
		return &Refusal{Code: Quarantined, Msg: "not this one"}
	}
	return nil
}

func TestInterceptorsHaveASay(t *testing.T) {
	d, server := newBench(t), newBus()
	r := &remembers{alone: map[string]bool{"c": true}}
	d.Interceptors = []Interceptor{r}
	ex := d.exchange(server.on("a", nothing), server.on("b", nothing), server.on("c", nothing), server.on("d", nothing), server.on("e", nothing), server.on("refused", nothing, failOpen), server.on("f", nothing))
	d.RunAccess(ex)
	if got := strings.Join(server.trips, " "); got != "a+b c d+e+refused+f f" {
		t.Errorf("the calls were %s", got)
	}
	if got := r.said(func(c *Call) string {
		return c.Instance.Record.Name + ":" + strings.ReplaceAll(c.Ahead.Parent, " ", "")
	}); got != "a: b:parent1 c: d: e:parent2 f:" {
		t.Errorf("the trace contexts were %s", got)
	}
}

// fixed is a condition that reads nothing that plugins change.
type fixed struct{ asked }

func (*fixed) Mutable() bool { return false }

// A step travels with those ahead of it when its condition says the same before and after they have run. What fails is told when its turn comes.
func TestConditionsOfGroups(t *testing.T) {
	broken := errors.New("no such header")
	fails := func(plan.ConditionFacts) (bool, error) { return false, broken }
	now := func(f plan.ConditionFacts) (bool, error) { return len(f.LiveFacts().Shared) > 0, nil }
	yes, no := &fixed{*says(true)}, &fixed{*says(false)}
	for name, tc := range map[string]struct {
		second plan.Condition
		trips  string
		status int
	}{
		"it holds":                 {yes, "a+b+c", 0},
		"it does not hold":         {no, "a+c", 0},
		"it reads what a writes":   {&asked{holds: now}, "a b+c", 0},
		"it may read what changes": {says(false), "a c", 0},
		"it fails":                 {&fixed{asked{holds: fails}}, "a", http.StatusInternalServerError},
	} {
		t.Run(name, func(t *testing.T) {
			d, server := newBench(t), newBus()
			second := server.on("b", nothing, func(in *plan.Instance) { in.Condition, in.Record.Condition = tc.second, "x" })
			ex := d.exchange(server.on("a", shared("a")), second, server.on("c", nothing))
			d.RunAccess(ex)
			if got := strings.Join(server.trips, " "); got != tc.trips || ex.Answer.Status != tc.status {
				t.Errorf("the calls were %s with status %d, want %s with %d", got, ex.Answer.Status, tc.trips, tc.status)
			}
			if strings.Count(d.logs.String(), broken.Error()) != tc.status/500 {
				t.Errorf("the log is %s", d.logs)
			}
			if a, counts := tc.second.(*fixed); counts && a.times > 1 {
				t.Errorf("the condition was asked %d times", a.times)
			}
			server.trips = nil
			d.Run(ex, ex.Chain(pdk.PhaseHeaderFilter), pdk.PhaseHeaderFilter)
			if want := strings.ReplaceAll(tc.trips, " ", "+"); tc.status == 0 && strings.Join(server.trips, " ") != want {
				t.Errorf("in header_filter the calls were %v, want %s", server.trips, want)
			}
		})
	}
}

// When a step changes the identity, the walk turns to the plan of the consumer; what is called again is called as that plan says.
func TestGroupsTurn(t *testing.T) {
	d, server := newBench(t), newBus()
	d.dir.consumer = &entity.Consumer{ID: "c"}
	general, own := server.on("limit", nothing), server.on("limit", nothing)
	own.Record.Consumer = d.dir.consumer
	server.names[own.ID] = "limit-of-c"
	ins := []*plan.Instance{server.on("early", nothing), server.on("auth", ops(authenticate(t, "c"))), general, own, server.on("zlast", nothing)}
	for i, p := range []int{5, 4, 3, 3, 1} {
		ins[i].Priority = p
	}
	ex := &exchange.Exchange{Live: d.live, Dir: d.dir, Plan: d.plan(&entity.Route{ID: "route"}, ins...)}
	d.RunAccess(ex)
	if got := strings.Join(server.trips, " "); got != "early+auth+limit+zlast limit-of-c+zlast" || ex.Consumer != d.dir.consumer {
		t.Errorf("the calls were %s", got)
	}
	if got := strings.Join(server.ran, " "); got != "early auth limit-of-c zlast" {
		t.Errorf("%s ran", got)
	}
}

// In the log phase all run, whatever fails.
func TestGroupsOfLog(t *testing.T) {
	d, server, w := newBench(t), newBus(), new(seenAll)
	d.Interceptors = []Interceptor{w}
	chain := always(server.on("a", nothing), server.on("b", throwing), server.on("c", failing), server.on("d", nothing))
	d.RunLog(&exchange.Exchange{Live: d.live}, chain)
	if got := strings.Join(server.trips, " "); got != "a+b+c+d c+d d" {
		t.Errorf("the calls were %s", got)
	}
	if got := w.said(func(c *Call) string { return fmt.Sprint(c.Code, c.FailedOpen) }); got != "ok false handler_error false timeout false ok false" {
		t.Errorf("the codes were %s", got)
	}
	if strings.Count(d.logs.String(), "the log entry of this plugin is lost") != 2 {
		t.Errorf("the log is %s", d.logs)
	}
}

// ctx.plugin travels with its own step.
func TestGroupsCarryPluginValues(t *testing.T) {
	d, server := newBench(t), newBus()
	mine := func(name string) remote {
		return ops(wire.Op{Code: pdk.OpCtxPluginSet, Name: name, Value: []byte{1}})
	}
	ex := d.exchange(server.on("a", mine("of a")), server.on("b", mine("of b")))
	d.RunAccess(ex)
	d.Run(ex, ex.Chain(pdk.PhaseHeaderFilter), pdk.PhaseHeaderFilter)
	if !slices.EqualFunc(server.plugin, []string{"of a", "of b"}, func(v wire.SharedValue, key string) bool { return v.Key == key }) {
		t.Errorf("travelled %+v", server.plugin)
	}
}

// Answers travel with the step whose handler asks, each once. The body of the request travels with the first step alone: one before a later step may
// have put another in its place.
func TestGroupsCarryAnswersOnce(t *testing.T) {
	d, server := newBench(t), newBus()
	method := &wire.Ask{Fn: pdk.AskNginxGetVar, Args: [][]byte{name(t, "request_method")}}
	asks := func(_ *wire.Call, asker wire.Asker, _ *wire.Outcome) error {
		asker.Answer(method)
		asker.Answer(&wire.Ask{Fn: pdk.AskRequestGetRawBody})
		return nil
	}
	eager := func(in *plan.Instance) { in.Prefetcher, in.Prefetch = server, prefetch.Eager() }
	ex := d.exchange(server.on("a", asks, eager), server.on("b", asks, eager))
	ex.Live = &handBody{live: live{body: []byte("body")}, there: true}
	d.RunAccess(ex)
	d.RunAccess(ex)
	for i, want := range [][]wire.AskFn{{pdk.AskNginxGetVar, pdk.AskRequestGetRawBody}, {pdk.AskNginxGetVar}} {
		var fns []wire.AskFn
		for _, p := range server.ahead[i] {
			fns = append(fns, p.Fn)
		}
		if !slices.Equal(fns, want) {
			t.Errorf("with step %d travelled %v, expected %v", i, fns, want)
		}
	}
}

// A walk of more steps than a call may have takes several calls.
func TestGroupsAreBounded(t *testing.T) {
	d, server := newBench(t), newBus()
	var ins []*plan.Instance
	for i := range wire.MaxSteps + 2 {
		ins = append(ins, server.on(fmt.Sprint("p", i), nothing))
	}
	chain := always(ins...)
	d.Run(d.exchange(ins...), chain, pdk.PhaseRewrite)
	if len(server.trips) != 2 || len(server.ran) != wire.MaxSteps+2 || strings.Count(server.trips[1], "+") != 1 {
		t.Errorf("%d calls, %d ran", len(server.trips), len(server.ran))
	}
}
