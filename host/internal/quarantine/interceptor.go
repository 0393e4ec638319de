package quarantine

import (
	"errors"

	"github.com/outrigger-gateway/outrigger/host/internal/dispatch"
	"github.com/outrigger-gateway/outrigger/host/internal/plan"
	"github.com/outrigger-gateway/outrigger/host/internal/transport"
	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// refusal is the error of every refused call.
var refusal = &dispatch.Refusal{Code: dispatch.Quarantined, Msg: "calls like this one were in flight when their plugin server died, more than once: it is in quarantine"}

func callOf(c *dispatch.Call) call { return call{c.Exchange, c.Instance, c.Phase} }

// Before implements dispatch.Interceptor.
func (t *Table) Before(c *dispatch.Call) error {
	if t.refuses(callOf(c), c.Request, c.Start) {
		return refusal
	}
	return nil
}

// Reserved implements dispatch.Reserved: whether a call is one that kills is only known when its turn comes, and a suspect runs alone.
func (t *Table) Reserved(in *plan.Instance, _ pdk.Phase) bool {
	return t.marked.Load() != 0 && t.hasMarks(in.ID)
}

// Asked implements dispatch.Interceptor.
func (t *Table) Asked(*dispatch.Call, *wire.Ask, *wire.Answer) {}

// After implements dispatch.Interceptor.
func (t *Table) After(c *dispatch.Call) {
	t.ended(callOf(c), c.Code == dispatch.OK || c.Code == dispatch.HandlerError || c.Code == dispatch.Refused)
	if c.Code != dispatch.Closed {
		return
	}
	var e *transport.Error
	if errors.As(c.Err, &e) && e.Life != 0 {
		t.inFlight(callOf(c), c.Request, e.Life, c.Start.Add(c.Duration))
	}
}
