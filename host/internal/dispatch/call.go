package dispatch

import (
	"errors"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/budget"
	"github.com/outrigger-gateway/outrigger/host/internal/exchange"
	"github.com/outrigger-gateway/outrigger/host/internal/plan"
	"github.com/outrigger-gateway/outrigger/host/internal/transport"
	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// Call is one call of a plugin's handler for one phase, as interceptors see it. It is valid until After returns; what it points to belongs to
// the request.
type Call struct {
	Instance *plan.Instance
	Phase    pdk.Phase
	Exchange *exchange.Exchange
	// Request is what is sent.
	Request *wire.Call
	// Outcome is what arrived. It is empty when the call ended without one.
	Outcome  *wire.Outcome
	Start    time.Time
	Duration time.Duration // until the outcome was there, or given up; set before After
	Deadline time.Time
	Sent     bool  // to the plugin server
	Asks     int   // questions of the handler so far
	Err      error // nil: success; set before After
	Code     Code  // what Err is; set before After
	// FailedOpen: the call failed and its fail mode let the request go on; set before After.
	FailedOpen bool
	// Ahead is the trace context that the call travelled with before its turn came, as a Tracer gave it; empty: there was none.
	Ahead wire.Trace
	// Transcript is the black box's own; nil until it needs one.
	Transcript any

	around  []Interceptor
	budgets budget.Entry // of Budgets
	entered int          // those of around whose Before let the call pass; After is due to them
}

// Interceptor stands around every call of a remote instance. Implementations are called by many requests at once and must not allocate on
// success.
type Interceptor interface {
	// Before may refuse the call: nothing is sent, and the error goes to the fail mode. Interceptors before it in the list get After all the
	// same, itself does not.
	Before(c *Call) error
	// Asked is told of every question of the handler with its answer, on the request's goroutine.
	Asked(c *Call, a *wire.Ask, answer *wire.Answer)
	// After is called once, in reverse order, when the call has ended and its operations were applied or its fail mode chosen.
	After(c *Call)
}

// Reserved is an Interceptor that may want a call to travel alone: because it would make it wait or refuse it, or has to know what it ran beside. Such a
// call goes when its turn comes. Reserved is asked before the calls ahead of it have run.
type Reserved interface {
	Reserved(in *plan.Instance, phase pdk.Phase) bool
}

// Tracer is an Interceptor that gives the trace context of a call that is sent before its turn comes. Before finds it in Ahead.
type Tracer interface {
	Ahead(ex *exchange.Exchange) wire.Trace
}

// Code says how a call ended, in the words of metrics, logs and the black box.
type Code uint8

// Codes of ended calls.
const (
	OK           Code = iota
	HandlerError      // the handler failed
	Timeout           // the deadline passed
	Closed            // the lane died
	Overloaded        // too many calls in flight, or no memory for a body
	BadFrame          // what the server sent does not decode
	Cancelled         // the caller gave up
	TooLarge          // a message is over its bound, or a body that the plugin wants with the call
	NotReady          // no process of the server takes calls
	BreakerOpen       // the error budget is used up
	Quarantined       // requests like this one killed the server
	Refused           // the operations of the outcome were refused
	// CodeCount is the number of codes.
	CodeCount = int(iota)
)

var codeNames = [CodeCount]string{
	"ok", "handler_error", "timeout", "closed", "overloaded", "bad_frame", "cancelled", "too_large", "not_ready", "breaker_open", "quarantined", "refused",
}

func (c Code) String() string { return codeNames[c] }

// Refusal is why an interceptor refuses a call. One value may be returned many times.
type Refusal struct {
	Code Code
	Msg  string
	// RetryAfter is what the client is told with a status 503; less than a second counts as one. It is of Overloaded and BreakerOpen.
	RetryAfter time.Duration
}

func (r *Refusal) Error() string { return r.Msg }

// refused marks the error of operations that were not applied.
type refused struct{ error }

func (r refused) Unwrap() error { return r.error }

// missingBody is why a call was not sent whose plugin wants a body with it, or why a handler that asked for one failed.
type missingBody struct{ err *wire.Error }

func (m missingBody) Error() string { return m.err.Error() }

func (m missingBody) Unwrap() error { return m.err }

func (m missingBody) code() Code {
	switch m.err.Code {
	case exchange.CodeNoMemory:
		return Overloaded
	case wire.CodeBadData:
		return TooLarge
	}
	return Cancelled // whoever sends it gave up
}

// CodeOf says how a call ended that ended with err.
func CodeOf(err error) Code {
	if err == nil {
		return OK
	}
	var (
		refusal *Refusal
		missing missingBody
		carried *transport.Error
		outcome *wire.Error
	)
	switch {
	case errors.As(err, &refusal):
		return refusal.Code
	case errors.As(err, &missing):
		return missing.code()
	case errors.Is(err, exchange.ErrNoMemory):
		return Overloaded
	case errors.As(err, new(refused)):
		return Refused
	case errors.Is(err, transport.ErrNotReady):
		return NotReady
	case errors.As(err, &carried):
		return codeOfKind(carried.Kind)
	case errors.As(err, &outcome):
		return codeOfOutcome(outcome.Code)
	}
	return HandlerError
}

func codeOfKind(k transport.ErrorKind) Code {
	switch k {
	case transport.Timeout:
		return Timeout
	case transport.Overloaded:
		return Overloaded
	case transport.BadFrame:
		return BadFrame
	case transport.Cancelled:
		return Cancelled
	case transport.TooLarge:
		return TooLarge
	}
	return Closed
}

func codeOfOutcome(code string) Code {
	switch code {
	case exchange.CodeNoMemory:
		return Overloaded
	case wire.CodeCancelled:
		return Cancelled
	case wire.CodeTooLarge:
		return TooLarge
	case wire.CodeBadFrame:
		return BadFrame
	case wire.CodeNotReady:
		return NotReady
	}
	return HandlerError
}

// retryAfter is when a client may come back after a call that failed for want of room.
func retryAfter(err error) time.Duration {
	var r *Refusal
	if errors.As(err, &r) {
		return max(r.RetryAfter, time.Second)
	}
	return time.Second
}
