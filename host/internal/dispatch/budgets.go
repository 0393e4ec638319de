package dispatch

import (
	"fmt"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/budget"
	"github.com/outrigger-gateway/outrigger/host/internal/plan"
	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// Budgets is the interceptor that keeps calls under the limits of their plugin server, plugin and record.
type Budgets struct{}

// Before takes a place in every budget of the instance. It waits in queues, at most until the deadline of the call.
func (Budgets) Before(c *Call) error {
	budgets := c.Instance.Budgets
	if len(budgets) == 0 {
		return nil
	}
	if denied, ok := budgets.Enter(&c.budgets, c.Phase.Index(), c.Start, c.Deadline); !ok {
		return refusalOf(denied, c.Deadline.Sub(c.Start))
	}
	if budgets.Queues() { // the handler is told what is left of its time
		c.Request.TimeoutMS = uint32(max(time.Until(c.Deadline), time.Millisecond) / time.Millisecond)
	}
	return nil
}

// Reserved implements the interface of that name: a bound of calls in flight counts those that run and not those that wait for their turn, and a breaker
// that is not closed decides when it comes.
func (Budgets) Reserved(in *plan.Instance, phase pdk.Phase) bool {
	return len(in.Budgets) > 0 && !in.Budgets.Open(phase.Index())
}

// Asked has nothing to do.
func (Budgets) Asked(*Call, *wire.Ask, *wire.Answer) {}

// After gives the places back and counts how the call ended.
func (Budgets) After(c *Call) {
	budgets := c.Instance.Budgets
	if len(budgets) == 0 {
		return
	}
	result, handler := budget.Neither, false
	switch c.Code {
	case OK:
		result = budget.Success
	case HandlerError, Refused:
		result, handler = budget.Failure, true
	case Timeout, Closed, BadFrame:
		result = budget.Failure
	}
	budgets.Leave(&c.budgets, c.Start.Add(c.Duration), result, handler)
}

func refusalOf(d budget.Denied, timeout time.Duration) *Refusal {
	b := d.Budget
	of := fmt.Sprintf("plugin server %q", b.Scope.Server)
	switch b.Scope.Level() {
	case "plugin":
		of = fmt.Sprintf("plugin %q on %s", b.Scope.Plugin, of)
	case "record":
		of = fmt.Sprintf("record %s of plugin %q", b.Scope.Record, b.Scope.Plugin)
	}
	switch {
	case d.Waited:
		return &Refusal{Code: Overloaded, Msg: fmt.Sprintf("%s has %d calls in flight, its max_in_flight, and none ended in %s", of, b.Limits.MaxInFlight, timeout)}
	case d.Full && b.Limits.Queue > 0:
		return &Refusal{Code: Overloaded, Msg: fmt.Sprintf("%s has %d calls in flight, its max_in_flight, and %d wait, its queue", of, b.Limits.MaxInFlight, b.Limits.Queue)}
	case d.Full:
		return &Refusal{Code: Overloaded, Msg: fmt.Sprintf("%s has %d calls in flight, its max_in_flight", of, b.Limits.MaxInFlight)}
	}
	return &Refusal{Code: BreakerOpen, Msg: fmt.Sprintf("the error budget of %s is used up: calls are tried again in %s", of, d.Wait.Round(time.Millisecond)), RetryAfter: d.Wait}
}
