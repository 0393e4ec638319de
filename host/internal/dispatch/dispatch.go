// Package dispatch runs the chain of a phase for an exchange: each step natively or on its plugin server, with deadline and fail mode.
package dispatch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/exchange"
	"github.com/outrigger-gateway/outrigger/host/internal/plan"
	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/pdk/local"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// Dispatcher runs chains. It may be used by many requests at once.
type Dispatcher struct {
	Node   *local.Node
	Logger *slog.Logger
	// PluginLog takes the lines of native plugins; those of plugin servers reach the log by their lanes.
	PluginLog func(in *plan.Instance, requestID string, phase pdk.Phase, level uint8, message string)
	// MaxInlineBody bounds the bodies that travel with a call because a manifest asks for them; larger ones are asked for.
	MaxInlineBody int
}

// step is the working state of one phase call.
type step struct {
	d    *Dispatcher
	ex   *exchange.Exchange
	in   *plan.Instance
	call wire.Call
	out  wire.Outcome
	// session of a native handler; the outcome refers to its memory until end.
	session *local.Session

	// asking is held while a goroutine of a native plugin asks. over says that the handler has returned: the exchange is the request's
	// again, and a goroutine that the plugin left behind must not touch it.
	asking sync.Mutex
	over   bool
}

var steps = sync.Pool{New: func() any { return new(step) }}

// Answer implements wire.Asker. The phase is checked here too: a plugin server may be wrong, and a body that is being filtered must not be read
// from inside its filter.
func (s *step) Answer(a *wire.Ask) wire.Answer {
	phase := pdk.PhaseFromCode(s.call.Phase)
	if allowed := pdk.PhasesOfAsk(uint16(a.Fn)); allowed != 0 && !allowed.Has(phase) {
		return wire.Answer{Err: &wire.Error{Code: wire.CodeWrongPhase, Message: fmt.Sprintf("question %d in %s; allowed in %s", a.Fn, phase, allowed)}}
	}
	return s.ex.Ask(s.in, a)
}

// Ask and Log implement local.Host for native handlers, on whatever goroutine the plugin asks.
func (s *step) Ask(a *wire.Ask) wire.Answer {
	s.asking.Lock()
	defer s.asking.Unlock()
	if s.over {
		return wire.Answer{Err: &wire.Error{Code: wire.CodeWrongPhase, Message: "asked after the handler ended"}}
	}
	return s.Answer(a)
}

func (s *step) Log(level uint8, message string) {
	s.d.PluginLog(s.in, s.ex.Facts.RequestID, pdk.PhaseFromCode(s.call.Phase), level, message)
}

// Run runs a chain in order until an instance gives an answer or fails closed; then ex.Answer is given. It serves rewrite, response and
// header_filter; access has RunAccess, body_filter has FilterBody, log has RunLog.
func (d *Dispatcher) Run(ex *exchange.Exchange, chain []*plan.Step, phase pdk.Phase) {
	for _, st := range chain {
		d.one(ex, st.Instance, phase)
		if ex.Answer.Given {
			return
		}
	}
}

// RunAccess walks the plan of the exchange. The condition of a step is asked when the walk comes to it. When an instance changes the consumer
// or the consumer groups, the walk goes on in the plan of these. An answer ends the handlers, but the steps that follow are enrolled all the
// same: their later phases run (spec/gateway.md 3.2).
func (d *Dispatcher) RunAccess(ex *exchange.Exchange) {
	if !ex.Plan.Phases().Has(pdk.PhaseAccess) && !ex.Plan.Conditional() {
		return
	}
	for i := 0; i < len(ex.Plan.Steps()); i++ {
		st := ex.Plan.Steps()[i]
		if !d.runs(ex, st) || !st.Instance.Phases.Has(pdk.PhaseAccess) || ex.Answer.Given {
			continue
		}
		before := ex.Identities
		d.one(ex, st.Instance, pdk.PhaseAccess)
		ex.Ran(st)
		if ex.Identities != before {
			d.turn(ex, i)
		}
		if ex.Answer.Given && !ex.Plan.Conditional() {
			return
		}
	}
}

// Enroll asks the conditions of a request that never came to access: its later phases run all the same (spec/gateway.md 3.1).
func (d *Dispatcher) Enroll(ex *exchange.Exchange) {
	if !ex.Plan.Conditional() {
		return
	}
	for _, st := range ex.Plan.Steps() {
		d.runs(ex, st)
	}
}

// runs reports whether a step runs. A condition that fails answers the request, unless it has its answer.
func (d *Dispatcher) runs(ex *exchange.Exchange, st *plan.Step) bool {
	runs, err := ex.Runs(st)
	if err != nil {
		d.refuse(ex, st, err)
	}
	return runs
}

// turn goes on in the plan of the consumer and the groups that step i has set.
func (d *Dispatcher) turn(ex *exchange.Exchange, i int) {
	next := ex.Plan.Switch(i, ex.Consumer, ex.Facts.Groups)
	if next == ex.Plan {
		return
	}
	st := ex.Plan.Steps()[i]
	ex.Plan = next
	if next.Late() {
		d.refuse(ex, st, errors.New("it makes plugins known that should have run before it (late_plugins: error)"))
	}
}

// refuse answers 500 for something that is wrong with a step although no handler failed. A request that has its answer keeps it.
func (d *Dispatcher) refuse(ex *exchange.Exchange, st *plan.Step, err error) {
	effect := "answering 500"
	if ex.Answer.Given {
		effect = "the later phases of this plugin do not run"
	}
	d.Logger.LogAttrs(context.Background(), slog.LevelError, "plugin failed",
		slog.String("plugin", st.Instance.Record.Name), slog.String("record", st.Instance.Record.ID), slog.String("phase", pdk.PhaseAccess.String()),
		slog.String("request_id", ex.Facts.RequestID), slog.String("error", err.Error()), slog.String("effect", effect))
	if !ex.Answer.Given {
		ex.Fail(http.StatusInternalServerError, "")
	}
}

// FilterError says that an instance failed closed in body_filter.
type FilterError struct {
	Plugin string
	Status int // of the answer, while the head of the response has not been sent
	Err    error
}

func (e *FilterError) Error() string {
	return fmt.Sprintf("plugin %q: body_filter: %v", e.Plugin, e.Err)
}

func (e *FilterError) Unwrap() error { return e.Err }

// FilterBody runs the body_filter chain over one piece of the body and returns what the client gets of it. An error is a *FilterError: the response
// has to be replaced, or cut off when its head is gone already.
func (d *Dispatcher) FilterBody(ex *exchange.Exchange, chain []*plan.Step, chunk []byte, last bool) ([]byte, error) {
	for _, st := range chain {
		in := st.Instance
		s := d.begin(ex, in, pdk.PhaseBodyFilter)
		s.call.Chunk, s.call.HasChunk, s.call.Last = chunk, true, last
		err := s.run()
		if err == nil {
			err = ex.Apply(d.applier(in, pdk.PhaseBodyFilter), s.out.Ops)
		}
		if err == nil {
			if s.out.HasBody {
				chunk = s.out.Body // the handler's own, or of the outcome's frame: it outlives the session
			}
		} else if d.failed(s, err) {
			s.end()
			return nil, &FilterError{Plugin: in.Record.Name, Status: in.FailStatus, Err: err}
		}
		s.end()
	}
	return chunk, nil
}

// RunLog runs the log chain of a detached exchange. A handler that fails does not keep the others from running.
func (d *Dispatcher) RunLog(ex *exchange.Exchange, chain []*plan.Step) {
	for _, st := range chain {
		in := st.Instance
		s := d.begin(ex, in, pdk.PhaseLog)
		err := s.run()
		if err == nil {
			err = ex.Apply(d.applier(in, pdk.PhaseLog), s.out.Ops)
		}
		if err != nil {
			d.report(s, err, "the log entry of this plugin is lost")
		}
		s.end()
	}
}

// one runs one instance and applies its operations or its fail mode.
func (d *Dispatcher) one(ex *exchange.Exchange, in *plan.Instance, phase pdk.Phase) {
	s := d.begin(ex, in, phase)
	defer s.end()
	if in.Unavailable != "" {
		d.report(s, errors.New(in.Unavailable), "answering 503")
		ex.Fail(http.StatusServiceUnavailable, "")
		return
	}
	err := s.inline()
	if err == nil {
		err = s.run()
	}
	if err == nil {
		err = ex.Apply(d.applier(in, phase), s.out.Ops)
	}
	if err != nil && d.failed(s, err) {
		ex.Fail(in.FailStatus, "")
	}
}

func (d *Dispatcher) applier(in *plan.Instance, phase pdk.Phase) exchange.Applier {
	return exchange.Applier{
		Instance: in, Phase: phase, MayAuthenticate: in.Authenticates || !in.FailsOpen(), MaxBody: d.Node.MaxBody, MaxShared: d.Node.MaxShared,
	}
}

// failed reports a failure and says whether the instance fails closed. A plugin that set the consumer although it may fail open is closed
// from then on: it is an authentication plugin that did not say so.
func (d *Dispatcher) failed(s *step, err error) bool {
	if errors.Is(err, exchange.ErrMayNotAuthenticate) {
		s.in.CloseForGood()
	}
	if s.in.FailsOpen() {
		d.report(s, err, "fail mode open: the request goes on without it")
		return false
	}
	d.report(s, err, "fail mode closed")
	return true
}

func (d *Dispatcher) report(s *step, err error, effect string) {
	attrs := []slog.Attr{
		slog.String("plugin", s.in.Record.Name),
		slog.String("record", s.in.Record.ID),
		slog.String("phase", pdk.PhaseFromCode(s.call.Phase).String()),
		slog.String("request_id", s.ex.Facts.RequestID),
		slog.String("error", err.Error()),
		slog.String("effect", effect),
	}
	var we *wire.Error
	if errors.As(err, &we) && we.Detail != "" {
		attrs = append(attrs, slog.String("detail", we.Detail))
	}
	d.Logger.LogAttrs(context.Background(), slog.LevelError, "plugin failed", attrs...)
}

func (d *Dispatcher) begin(ex *exchange.Exchange, in *plan.Instance, phase pdk.Phase) *step {
	s := steps.Get().(*step)
	s.d, s.ex, s.in = d, ex, in
	ex.NeedRequest()
	ex.NeedResponse()
	timeout := in.Timeouts[phase.Index()]
	s.call.Instance = in.ID
	s.call.Phase = phase.Code()
	s.call.TimeoutMS = uint32(timeout / time.Millisecond)
	s.call.Facts = &ex.Facts
	s.call.Plugin, s.call.PluginID = ex.Private(in), in.Record.ID
	return s
}

// inline puts the bodies that the manifest asks for into the call, when they are small.
func (s *step) inline() error {
	phase := pdk.PhaseFromCode(s.call.Phase)
	if s.in.Native != nil || s.in.Needs == 0 {
		return nil // a native handler asks without a round trip
	}
	if s.in.Needs&pdk.NeedRequestBody != 0 && phase == pdk.PhaseAccess {
		if a := s.ex.Ask(s.in, &wire.Ask{Fn: pdk.AskRequestGetRawBody}); a.Err != nil {
			return a.Err
		} else if len(a.Bytes) <= s.d.MaxInlineBody {
			s.call.RequestBody, s.call.HasRequestBody = a.Bytes, true
		}
	}
	// Two functions read the response body that travels. Once a plugin has replaced it they differ, and each asks for its own.
	if s.in.Needs&pdk.NeedResponseBody != 0 && phase == pdk.PhaseResponse && !s.ex.HasNewBody {
		if a := s.ex.Ask(s.in, &wire.Ask{Fn: pdk.AskServiceResponseGetRawBody}); a.Err != nil {
			return a.Err
		} else if len(a.Bytes) <= s.d.MaxInlineBody {
			s.call.ResponseBody, s.call.HasResponseBody = a.Bytes, true
		}
	}
	return nil
}

// run executes the call natively or remotely. A failed outcome comes back as its *wire.Error.
func (s *step) run() error {
	if s.in.Native != nil {
		s.session = local.Begin(&s.call, s.d.Node, s)
		s.session.Run(s.in.Native, &s.out)
		s.asking.Lock() // waits for a question under way
		s.over = true
		s.asking.Unlock()
	} else {
		deadline := time.Now().Add(s.in.Timeouts[pdk.PhaseFromCode(s.call.Phase).Index()])
		if err := s.in.Remote.Call(&s.call, deadline, s, &s.out); err != nil {
			return err
		}
	}
	if s.out.Err != nil {
		return s.out.Err
	}
	return nil
}

func (s *step) end() {
	if s.session != nil && !s.session.Release() {
		return // a goroutine of the plugin still holds the step to ask: it is not used again
	}
	s.d, s.ex, s.in, s.session, s.over = nil, nil, nil, nil, false
	s.call, s.out = wire.Call{}, wire.Outcome{}
	steps.Put(s)
}
