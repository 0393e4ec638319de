package dispatch

import (
	"fmt"
	"sync"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/exchange"
	"github.com/outrigger-gateway/outrigger/host/internal/plan"
	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/pdk/local"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// step is the working state of one phase call.
type step struct {
	d     *Dispatcher
	ex    *exchange.Exchange
	in    *plan.Instance
	phase pdk.Phase
	call  wire.Call
	out   wire.Outcome
	// session of a native handler; the outcome refers to its memory until end.
	session *local.Session
	// seen is the call of a remote handler as interceptors see it, answer the last one to its questions.
	seen   Call
	answer wire.Answer
	// lacked is why the handler did not get a body that it asked for.
	lacked *wire.Error
	// later: it is sent before its turn, behind others of a group.
	later    bool
	learning learning

	// asking is held while a goroutine of a native plugin asks. over says that the handler has returned: the exchange is the request's
	// again, and a goroutine that the plugin left behind must not touch it.
	asking sync.Mutex
	over   bool
}

var steps = sync.Pool{New: func() any { return new(step) }}

func (d *Dispatcher) begin(ex *exchange.Exchange, in *plan.Instance, phase pdk.Phase) *step {
	s := steps.Get().(*step)
	s.d, s.ex, s.in, s.phase = d, ex, in, phase
	ex.NeedRequest()
	ex.NeedResponse()
	s.call.Instance = in.ID
	s.call.Phase = phase.Code()
	s.call.TimeoutMS = uint32(in.Timeouts[phase.Index()] / time.Millisecond)
	s.call.Facts, s.call.Quit = &ex.Facts, ex.Quit
	s.call.Plugin, s.call.PluginID = ex.Private(in), in.Record.ID
	return s
}

// Answer implements wire.Asker. The phase is checked here too: a plugin server may be wrong, and a body that is being filtered must not be read
// from inside its filter.
func (s *step) Answer(a *wire.Ask) wire.Answer {
	if allowed := pdk.PhasesOfAsk(uint16(a.Fn)); allowed != 0 && !allowed.Has(s.phase) {
		s.answer = wire.Answer{Err: &wire.Error{Code: wire.CodeWrongPhase, Message: fmt.Sprintf("question %d in %s; allowed in %s", a.Fn, s.phase, allowed)}}
	} else {
		s.answer = s.ex.Ask(s.in, a)
	}
	if e := s.answer.Err; e != nil && e.Code != wire.CodeWrongPhase && asksBody(a) {
		s.lacked = e
	}
	s.seen.Asks++
	if s.in.Prefetch != nil {
		s.asks(a)
	}
	for _, i := range s.seen.around[:s.seen.entered] {
		i.Asked(&s.seen, a, &s.answer)
	}
	return s.answer
}

// asksBody reports whether a question is for a whole body.
func asksBody(a *wire.Ask) bool {
	return a.Fn == pdk.AskRequestGetRawBody || a.Fn == pdk.AskServiceResponseGetRawBody || a.Fn == pdk.AskResponseGetRawBody
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
	s.d.PluginLog(s.in, s.ex.Facts.RequestID, s.phase, level, message)
}

// run executes the call natively or remotely and applies its operations. A failed outcome comes back as its *wire.Error.
func (s *step) run() error {
	if s.in.Native != nil {
		s.native()
	} else if err := s.remote(); err != nil {
		return err
	}
	return s.take()
}

// take applies the operations of the outcome that has come.
func (s *step) take() error {
	if s.out.Err != nil {
		if s.lacked != nil {
			return &bodilessError{missingBody{s.lacked}, s.out.Err}
		}
		return s.out.Err
	}
	if s.learning.any() {
		s.learn()
	}
	if len(s.out.Ops) == 0 {
		return nil
	}
	if err := s.ex.Apply(s.applier(), s.out.Ops); err != nil {
		return refused{err}
	}
	if (s.phase == pdk.PhaseHeaderFilter || s.phase == pdk.PhaseResponse) && exchange.DescribesBody(s.out.Ops) {
		s.ex.Touch(s.in)
	}
	return nil
}

// native runs the call in this process.
func (s *step) native() {
	if len(s.d.Watchers) > 0 {
		_ = s.enter(s.d.Watchers, nil) // they refuse nothing
	}
	s.session = local.BeginInto(&s.call, s.d.Node, s, &s.out)
	s.session.Run(s.in.Native, &s.out)
	if !s.session.Quiet() {
		s.asking.Lock() // waits for a question under way
		s.over = true
		s.asking.Unlock()
	}
	if s.seen.entered > 0 {
		s.seen.Duration = time.Since(s.seen.Start)
	}
}

// enter asks the interceptors in turn whether the call may run. missing is why it cannot, for want of a body: those that watch are told of such a
// call too, but it takes no place.
func (s *step) enter(around []Interceptor, missing error) error {
	c := &s.seen
	c.Instance, c.Phase, c.Exchange, c.Request, c.Outcome, c.around = s.in, s.phase, s.ex, &s.call, &s.out, around
	if c.Start.IsZero() { // else it began when the step before it in its group ended
		c.Start = time.Now()
	}
	c.Deadline = c.Start.Add(s.in.Timeouts[s.phase.Index()])
	for _, i := range around {
		if missing != nil {
			if _, places := i.(Budgets); places {
				break
			}
		}
		if err := i.Before(c); err != nil {
			return err
		}
		c.entered++
	}
	return missing
}

// remote runs the call on its plugin server.
func (s *step) remote() error {
	err := s.ready()
	if err == nil {
		err = s.send(s)
	}
	s.seen.Duration = time.Since(s.seen.Start)
	return err
}

// ready makes the call ready to be sent, once all interceptors have let it pass. What they wait counts against its deadline.
func (s *step) ready() error {
	var missing error
	if s.in.Needs != 0 && (len(s.in.Budgets) == 0 || !s.in.Budgets.Busy(s.phase.Index(), time.Now())) { // no body for a call that will be refused
		missing = s.inline()
	}
	if err := s.enter(s.d.Interceptors, missing); err != nil {
		return err
	}
	if s.in.Prefetch != nil {
		s.prefetch()
	}
	s.seen.Sent = true
	return nil
}

// send sends the call and waits for its outcome.
func (s *step) send(asker wire.Asker) error {
	return s.in.Remote.Call(&s.call, s.seen.Deadline, asker, &s.out)
}

// after tells the interceptors how the call ended.
func (s *step) after(err error, failedOpen bool) {
	c := &s.seen
	if c.entered == 0 {
		return
	}
	c.Err, c.Code, c.FailedOpen = err, CodeOf(err), failedOpen
	for i := c.entered - 1; i >= 0; i-- {
		c.around[i].After(c)
	}
	c.entered = 0
}

// inline puts the bodies that the manifest asks for into the call, when they are small.
func (s *step) inline() error {
	if s.in.Needs&pdk.NeedRequestBody != 0 && s.phase == pdk.PhaseAccess {
		if a := s.ex.Ask(s.in, &wire.Ask{Fn: pdk.AskRequestGetRawBody}); a.Err != nil {
			return missingBody{a.Err}
		} else if len(a.Bytes) <= s.d.MaxInlineBody {
			s.call.RequestBody, s.call.HasRequestBody = a.Bytes, true
		}
	}
	// Two functions read the response body that travels. Once a plugin has replaced it they differ, and each asks for its own.
	if s.in.Needs&pdk.NeedResponseBody != 0 && s.phase == pdk.PhaseResponse && !s.ex.HasNewBody {
		if a := s.ex.Ask(s.in, &wire.Ask{Fn: pdk.AskServiceResponseGetRawBody}); a.Err != nil {
			return missingBody{a.Err}
		} else if len(a.Bytes) <= s.d.MaxInlineBody {
			s.call.ResponseBody, s.call.HasResponseBody = a.Bytes, true
		}
	}
	return nil
}

func (s *step) applier() exchange.Applier {
	return exchange.Applier{
		Instance: s.in, Phase: s.phase, MayAuthenticate: s.in.Authenticates || !s.in.FailsOpen(), MaxBody: s.d.Node.MaxBody, MaxShared: s.d.Node.MaxShared,
	}
}

func (s *step) end() {
	ops := s.out.Ops // of a native handler they are the session's
	if s.session != nil {
		if ops = nil; !s.session.Release() {
			return // a goroutine of the plugin still holds the step to ask: it is not used again
		}
	}
	if s.in.Native == nil || s.seen.Instance != nil || s.seen.Asks > 0 { // somebody watched, or the handler asked
		s.seen, s.answer = Call{}, wire.Answer{}
	}
	s.d, s.ex, s.in, s.phase, s.session, s.over, s.lacked, s.later = nil, nil, nil, 0, nil, false, nil, false
	s.call, s.out = wire.Call{}, wire.Outcome{Ops: emptied(ops)}
	if s.learning.any() {
		s.learning = s.learning.emptied()
	}
	steps.Put(s)
}

// keptOps bounds the operations whose memory a step keeps for its next outcome.
const keptOps = 64

// emptied drops what operations refer to and keeps their room, unless that is large.
func emptied(ops []wire.Op) []wire.Op {
	if cap(ops) > keptOps {
		return nil
	}
	clear(ops)
	return ops[:0]
}
