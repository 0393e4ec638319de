package dispatch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/exchange"
	"github.com/outrigger-gateway/outrigger/host/internal/plan"
	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// FilterError says that an instance failed closed in body_filter.
type FilterError struct {
	Plugin string
	Err    error

	instance *plan.Instance
}

func (e *FilterError) Error() string {
	return fmt.Sprintf("plugin %q: body_filter: %v", e.Plugin, e.Err)
}

func (e *FilterError) Unwrap() error { return e.Err }

// Fail makes the exchange answer as the instance says, while the head of the response has not been sent.
func (e *FilterError) Fail(ex *exchange.Exchange) { fail(ex, e.instance, e.Err) }

// fail makes the exchange answer for an instance that failed closed. What failed for want of room is 503, and the client may try again.
func fail(ex *exchange.Exchange, in *plan.Instance, err error) {
	code := CodeOf(err)
	busy := code == Overloaded || code == BreakerOpen
	status := in.FailStatus
	switch {
	case status != 0:
	case busy:
		status = http.StatusServiceUnavailable
	default:
		status = http.StatusInternalServerError
	}
	ex.Fail(status, "")
	if in.FailBody != nil {
		a := &ex.Answer
		a.Formatted, a.Body, a.HasBody = false, in.FailBody, true
		a.Headers = append(a.Headers, wire.Header{Name: "Content-Type", Value: in.FailType})
	}
	if busy && status == http.StatusServiceUnavailable {
		seconds := (retryAfter(err) + time.Second - 1) / time.Second
		ex.Answer.Headers = append(ex.Answer.Headers, wire.Header{Name: "Retry-After", Value: strconv.Itoa(int(seconds))})
	}
}

// bodilessError is the failure of a handler that did not get the body that it asked for. It counts as a call that was not sent for want of that body:
// who sends one that breaks off or is too long must not be able to use up the error budget of a plugin.
type bodilessError struct {
	why     missingBody
	handler *wire.Error
}

func (e *bodilessError) Error() string { return fmt.Sprintf("%v; the handler: %v", e.why, e.handler) }

func (e *bodilessError) Unwrap() []error { return []error{e.handler, e.why} }

// settle reports a failed call, chooses what its fail mode does, and tells the interceptors. It reports whether the instance fails closed.
func (s *step) settle(err error) (closed bool) {
	switch {
	case err == nil:
	case CodeOf(err) == Cancelled && s.ex.Quit.Gone():
		closed = true // nobody's fault, and nobody waits
	default:
		closed = s.closes(err)
	}
	s.after(err, err != nil && !closed && s.phase != pdk.PhaseLog)
	return closed
}

// closes reports a failure and says whether the instance fails closed. A plugin that set the consumer although it may fail open is closed
// from then on: it is an authentication plugin that did not say so.
func (s *step) closes(err error) bool {
	if errors.Is(err, exchange.ErrMayNotAuthenticate) {
		s.in.CloseForGood()
	}
	switch {
	case s.phase == pdk.PhaseLog:
		s.report(err, "the log entry of this plugin is lost")
		return false
	case !s.in.FailsOpen():
	case s.phase == pdk.PhaseBodyFilter && s.ex.Touched(s.in):
		s.report(err, "fail mode open, but the plugin has changed this response already: fail mode closed")
		return true
	default:
		s.report(err, "fail mode open: the request goes on without it")
		return false
	}
	s.report(err, "fail mode closed")
	return true
}

func (s *step) report(err error, effect string) {
	code := CodeOf(err)
	skipped := uint64(0)
	if code == Overloaded || code == BreakerOpen {
		var loud bool
		if skipped, loud = s.d.flood.line(); !loud {
			return
		}
	}
	attrs := append(s.in.LogAttrs(), slog.String("phase", s.phase.String()), slog.String("request_id", s.ex.Facts.RequestID))
	if s.in.Native == nil && s.in.Unavailable == "" {
		attrs = append(attrs, slog.String("code", code.String()), slog.Float64("duration_ms", float64(s.seen.Duration)/float64(time.Millisecond)))
	}
	attrs = append(attrs, slog.String("error", err.Error()), slog.String("effect", effect))
	if skipped > 0 {
		attrs = append(attrs, slog.Uint64("refused_meanwhile", skipped))
	}
	var we *wire.Error
	if errors.As(err, &we) && we.Detail != "" {
		attrs = append(attrs, slog.String("detail", we.Detail))
	}
	s.d.Logger.LogAttrs(context.Background(), slog.LevelError, "plugin failed", attrs...)
}

// refuse answers 500 for something that is wrong with a step although no handler failed. A request that has its answer keeps it.
func (d *Dispatcher) refuse(ex *exchange.Exchange, st *plan.Step, err error) {
	effect := "answering 500"
	if ex.Answer.Given {
		effect = "the later phases of this plugin do not run"
	}
	d.Logger.LogAttrs(context.Background(), slog.LevelError, "plugin failed", append(st.Instance.LogAttrs(), slog.String("phase", pdk.PhaseAccess.String()),
		slog.String("request_id", ex.Facts.RequestID), slog.String("error", err.Error()), slog.String("effect", effect))...)
	if !ex.Answer.Given {
		ex.Fail(http.StatusInternalServerError, "")
	}
}

// flood keeps refused calls from becoming a flood of log lines: there is one line a second, which counts those without.
type flood struct {
	next    atomic.Int64 // Unix nanoseconds
	skipped atomic.Uint64
}

// line reports whether a line may be written now, and how many were not since the last one.
func (f *flood) line() (skipped uint64, ok bool) {
	now := time.Now().UnixNano()
	next := f.next.Load()
	if now < next || !f.next.CompareAndSwap(next, now+int64(time.Second)) {
		f.skipped.Add(1)
		return 0, false
	}
	return f.skipped.Swap(0), true
}
