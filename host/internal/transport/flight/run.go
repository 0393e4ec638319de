package flight

import (
	"fmt"
	"math"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/transport"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// Carrier is what a lane does for a call in the way of its carrier.
type Carrier[O, A any] interface {
	// Hello is the server's first message.
	Hello() wire.ServerHello
	// SendCall queues a call with all it needs. When the call ends while it waits for room it returns nil: the wait for the outcome finds out why.
	SendCall(fl *Call[O, A], c *wire.Call) error
	// SendAnswer queues the answer to an ask of a step, and gives its size. It stops when the call ends meanwhile.
	SendAnswer(fl *Call[O, A], step uint16, ans *wire.Answer) int
	// SendCancel tells the server that nobody waits for a call any more.
	SendCancel(fl *Call[O, A])
	// AskOf reads an ask, and gives its size.
	AskOf(a A) (wire.Ask, int, error)
	// OutcomeOf reads an outcome of a call with what was gathered for it into out, and gives its size.
	OutcomeOf(fl *Call[O, A], o O, bulk []byte, out *wire.Outcome) (int, error)
	// Bad ends the lane because of what the server sent; the error is for the call that it was about.
	Bad(err error) error
}

// Run is transport.Lane's Call over a carrier.
func (t *Table[O, A]) Run(l Carrier[O, A], c *wire.Call, deadline time.Time, asker transport.Asker, out *wire.Outcome) error {
	if c.Facts == nil {
		return &transport.Error{Kind: transport.BadFrame, Msg: "a call without facts"}
	}
	if c.TimeoutMS == 0 && !deadline.IsZero() {
		defer func() { c.TimeoutMS = 0 }() // the call is the caller's, who may send it again later
		c.TimeoutMS = uint32(min(max(time.Until(deadline).Milliseconds(), 1), math.MaxUint32))
	}
	stepper, _ := asker.(transport.Stepper)
	switch rest := c.Rest; {
	case len(rest) == 0:
	case stepper == nil || len(rest) >= wire.MaxSteps:
		return &transport.Error{Kind: transport.BadFrame, Msg: fmt.Sprintf("a call of %d steps, at most %d are allowed, for a stepper", 1+len(rest), wire.MaxSteps)}
	case l.Hello().Features&wire.FeatureSteps == 0:
		defer func() { c.Rest = rest }()
		c.Rest = nil
	}
	fl, err := t.Begin(c, deadline)
	if err != nil {
		return err
	}
	defer t.End(fl)
	if c.Quit != nil {
		c.Quit.Enter(t, fl.ID)
		defer c.Quit.Leave() // before End: the id is that of another call then
	}
	if err := l.SendCall(fl, c); err != nil {
		return err
	}
	return t.await(l, fl, c, asker, stepper, out)
}

// await sees a call that was sent to its end: it answers asks, and gives the outcome of each step but the last to the stepper.
func (t *Table[O, A]) await(l Carrier[O, A], fl *Call[O, A], c *wire.Call, asker transport.Asker, stepper transport.Stepper, out *wire.Outcome) error {
	for left := len(c.Rest); ; {
		ev := t.Wait(fl)
		switch {
		case ev.IsAsk:
			ask, size, err := l.AskOf(ev.Ask)
			if err != nil {
				return l.Bad(fmt.Errorf("call %d: %w", fl.ID, err))
			}
			c.Traffic.Received += size
			if ans := Answer(asker, &ask); !fl.Ended() {
				c.Traffic.Sent += l.SendAnswer(fl, ev.Step, &ans)
			}
			continue
		case ev.Err != nil:
			switch ev.Err.Kind {
			case transport.Timeout, transport.TooLarge, transport.Overloaded, transport.Cancelled:
				if fl.Sent {
					l.SendCancel(fl)
				}
			}
			return ev.Err
		}
		size, err := l.OutcomeOf(fl, ev.Outcome, ev.Bulk, out)
		if err != nil {
			return l.Bad(fmt.Errorf("call %d: %w", fl.ID, err))
		}
		if c.Traffic.Received += size; left == 0 {
			return nil
		}
		left--
		stopped := wire.Stops(out) // before the stepper uses out for something else
		deadline, more := stepper.Next(out)
		switch {
		case stopped:
			return nil
		case !more:
			if !fl.Ended() { // else the server has run all of it
				l.SendCancel(fl)
			}
			return nil
		}
		t.Extend(fl, deadline)
	}
}
