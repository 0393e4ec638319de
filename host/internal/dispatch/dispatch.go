// Package dispatch runs the chain of a phase for an exchange: each step natively or on its plugin server, with deadline and fail mode.
//
//	dispatch.go  chains of all phases
//	step.go      one call of a handler
//	group.go     several calls of handlers in one trip
//	prefetch.go  answers that travel with a call, ahead of their questions
//	call.go      what interceptors see of a call
//	budgets.go   the interceptor that keeps calls under their limits
//	failure.go   fail modes
package dispatch

import (
	"errors"
	"log/slog"
	"net/http"

	"github.com/outrigger-gateway/outrigger/host/internal/exchange"
	"github.com/outrigger-gateway/outrigger/host/internal/plan"
	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/pdk/local"
)

// Dispatcher runs chains. It may be used by many requests at once.
type Dispatcher struct {
	Node   *local.Node
	Logger *slog.Logger
	// PluginLog takes the lines of native plugins; those of plugin servers reach the log by their lanes.
	PluginLog func(in *plan.Instance, requestID string, phase pdk.Phase, level uint8, message string)
	// MaxInlineBody bounds the bodies that travel with a call because a manifest asks for them; larger ones are asked for.
	MaxInlineBody int
	// Interceptors stand around the calls of remote instances, in this order.
	Interceptors []Interceptor
	// Watchers stand around the calls of native instances. They refuse nothing. None: native calls cost nothing more.
	Watchers []Interceptor

	flood    flood    // of calls that are refused
	opinions opinions // of Interceptors
}

// Run runs a chain in order until an instance gives an answer or fails closed; then ex.Answer is given. It serves rewrite, response and
// header_filter; access has RunAccess, body_filter has FilterBody, log has RunLog.
func (d *Dispatcher) Run(ex *exchange.Exchange, chain []*plan.Step, phase pdk.Phase) {
	for i := 0; i < len(chain) && !ex.Answer.Given; i++ {
		i = d.from(ex, chain, i, phase)
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
		i = d.from(ex, ex.Plan.Steps(), i, pdk.PhaseAccess)
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

// FilterBody runs the body_filter chain over one piece of the body and returns what the client gets of it. An error is a *FilterError: the response
// has to be replaced, or cut off when its head is gone already.
func (d *Dispatcher) FilterBody(ex *exchange.Exchange, chain []*plan.Step, chunk []byte, last bool) ([]byte, error) {
	for _, st := range chain {
		in := st.Instance
		s := d.begin(ex, in, pdk.PhaseBodyFilter)
		s.call.Chunk, s.call.HasChunk, s.call.Last = chunk, true, last
		err := s.run()
		if err == nil && s.out.HasBody {
			ex.Touch(in)
			chunk = s.out.Body // the handler's own, or of the outcome's frame: it outlives the session
		}
		closed := s.settle(err)
		s.end()
		if closed {
			return nil, &FilterError{Plugin: in.Record.Name, Err: err, instance: in}
		}
	}
	return chunk, nil
}

// RunLog runs the log chain of a detached exchange. A handler that fails does not keep the others from running.
func (d *Dispatcher) RunLog(ex *exchange.Exchange, chain []*plan.Step) {
	for i := 0; i < len(chain); i++ {
		i = d.from(ex, chain, i, pdk.PhaseLog)
	}
}

// from runs step i of a walk, and steps behind it that travel with it. It returns the place of the last one that ran.
func (d *Dispatcher) from(ex *exchange.Exchange, walk []*plan.Step, i int, phase pdk.Phase) (last int) {
	if g := d.gather(ex, walk, i, phase); g != nil {
		defer g.end()
		return g.run()
	}
	d.one(ex, walk[i].Instance, phase)
	ran(ex, walk[i], phase)
	return i
}

// ran notes for conditions that a step has run in access.
func ran(ex *exchange.Exchange, st *plan.Step, phase pdk.Phase) {
	if phase == pdk.PhaseAccess {
		ex.Ran(st)
	}
}

// one runs one instance and applies its operations or its fail mode.
func (d *Dispatcher) one(ex *exchange.Exchange, in *plan.Instance, phase pdk.Phase) {
	s := d.begin(ex, in, phase)
	defer s.end()
	if in.Unavailable != "" {
		s.report(errors.New(in.Unavailable), "answering 503")
		ex.Fail(http.StatusServiceUnavailable, "")
		return
	}
	err := s.run()
	if s.settle(err) {
		fail(ex, in, err)
	}
}
