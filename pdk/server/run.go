package server

import (
	"fmt"
	"sync"
	"time"

	"github.com/outrigger-gateway/outrigger/pdk/local"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// run is one call and what it needs while it is executed. It is pooled.
type run struct {
	next *run // in the batch, or in the queue of the pool

	lane  *lane
	id    uint32
	call  wire.Call
	facts wire.Facts
	fault *wire.Error // why nothing of the call can run

	// Of the step that runs. They change under lane.mu, from one step to the next.
	step     int
	instance *instance // nil: there is none
	session  *local.Session
	host     *stepHost
	pace     *pace
	out      wire.Outcome
	onSeal   func() // r.sealed

	first stepHost  // host of the first step
	later wire.Call // what a step after the first is called with
	held  bool      // a question of a step before is still under way: the run cannot be used again

	// Guarded by lane.mu.
	turn     uint64           // the hold on the lead of the goroutine that executes the run; 0: none, or given up
	answers  chan wire.Answer // has room for one
	asking   bool             // somebody waits on answers
	detached bool
	pinned   bool // the reader cancels it
	over     bool // executed, and left to the reader to recycle
}

var runs = sync.Pool{New: func() any {
	r := &run{answers: make(chan wire.Answer, 1)}
	r.call.Facts = &r.facts
	r.onSeal = r.sealed
	return r
}}

func newRun() *run { return runs.Get().(*run) }

// quick says whether the handlers of all steps were quick lately.
func (r *run) quick() bool {
	if !r.pace.quick() {
		return false
	}
	for i := range r.call.Rest {
		if !r.lane.server.instances.pace(r.call.Rest[i].Instance, r.call.Phase).quick() {
			return false
		}
	}
	return true
}

// execute runs the handlers and sends the outcomes: on the goroutine that leads the lane, which has begun a turn for it, or with none on one of the
// pool. It may not return: a handler may end the goroutine. It gives the number of handlers.
func (r *run) execute(t *turn) (steps int) {
	timed := t == nil
	if t != nil {
		timed = t.timed
		r.turn = t.number
	}
	defer r.finish()
	for {
		steps++
		r.handle(timed, t == nil)
		if r.step == len(r.call.Rest) || wire.Stops(&r.out) || !r.advance(t) {
			return steps
		}
	}
}

// handle runs the handler of a step.
func (r *run) handle(timed, pooled bool) {
	switch {
	case r.fault != nil:
		r.out = wire.Outcome{Err: r.fault}
		return
	case r.instance == nil:
		r.out = wire.Outcome{Err: &wire.Error{Code: wire.CodeUnknownInstance, Message: fmt.Sprintf("there is no instance %d", r.called().Instance)}}
		return
	case !timed:
		r.session.Run(&r.instance.handlers, &r.out)
		return
	}
	began := time.Now()
	r.session.Run(&r.instance.handlers, &r.out)
	if pooled {
		r.pace.pooled(began, time.Now())
	} else {
		r.pace.inline(time.Since(began))
	}
}

// called is the call of the step that runs.
func (r *run) called() *wire.Call {
	if r.step > 0 {
		return &r.later
	}
	return &r.call
}

func (r *run) finish() {
	l := r.lane
	mine, others, turn := l.detach(r)
	if mine {
		l.carrier.outcome(r.id, uint16(r.step), r.sealedOutcome())
	} else {
		// An exit has sent the outcome, or the reader has cancelled the call and may still be at it.
		l.mu.Lock()
		r.over = true
		pinned := r.pinned
		l.mu.Unlock()
		if pinned {
			l.flush(turn, others)
			return
		}
	}
	l.flush(turn, others)
	r.recycle()
}

// sealed is called by the session when an exit made the outcome final. No step follows.
func (r *run) sealed() {
	l := r.lane
	if mine, others, turn := l.detach(r); mine {
		l.carrier.outcome(r.id, uint16(r.step), r.sealedOutcome())
		l.flush(turn, others)
	}
}

// sealedOutcome is the outcome of the step, as it travels.
func (r *run) sealedOutcome() *wire.Outcome {
	r.out.Unused = r.host.unused()
	return &r.out
}

// maxKept bounds the lists that a pooled run keeps, in elements.
const maxKept = 256

func (r *run) recycle() {
	server, idle := r.lane.server, r.session.Release() && !r.held
	if r.instance != nil {
		r.instance.release()
	}
	f := &r.facts
	small := max(cap(f.Request.Headers), cap(f.Response.Headers), cap(f.ServiceResponse.Headers), cap(f.Shared), cap(f.Groups), cap(r.call.Plugin), cap(f.Captures.Unnamed)) <= maxKept
	if idle && small {
		if r.step > 0 {
			r.later = wire.Call{}
		}
		r.lane, r.fault, r.step, r.instance, r.session, r.host, r.pace = nil, nil, 0, nil, nil, nil, nil
		r.out, r.first = wire.Outcome{}, stepHost{}
		r.turn, r.asking, r.detached, r.pinned, r.over = 0, false, false, false, false
		runs.Put(r)
	}
	server.running.down()
}

// stepHost is the host of a session: what a handler asks and logs goes to the lane as that of its step.
type stepHost struct {
	run  *run
	step int
	answerStore
}

// errOver answers a question of a handler that has ended.
func errOver() wire.Answer {
	return wire.Answer{Err: &wire.Error{Code: wire.CodeCancelled, Message: "the call is over"}}
}

// Ask implements local.Host.
func (h *stepHost) Ask(a *wire.Ask) wire.Answer {
	if answer, ok := h.at(a); ok {
		return answer
	}
	r := h.run
	l := r.lane
	l.mu.Lock()
	if r.detached || l.dead || r.step != h.step {
		l.mu.Unlock()
		return errOver()
	}
	r.asking = true
	answers, turn, pace, step := r.answers, r.turn, r.pace, r.step
	r.turn = 0
	l.mu.Unlock()
	if turn != 0 && l.crew.take(turn) { // the lane waits for nobody
		pace.asked()
		l.server.pool.lead(l.crew)
	}
	l.carrier.ask(r.id, uint16(step), a)
	return <-answers
}

// wake gives the answer to whoever waits for it. lane.mu is held.
func (r *run) wake(a wire.Answer) {
	if r.asking {
		r.asking = false
		r.answers <- a
	}
}

// maxLine bounds a line of the log, in bytes.
const maxLine = 64 << 10

// Log implements local.Host.
func (h *stepHost) Log(level uint8, message string) {
	if len(message) > maxLine {
		message = message[:maxLine] + "…"
	}
	h.run.lane.carrier.log(h.run.id, uint16(h.step), &wire.LogLine{Level: level, Message: message})
}
