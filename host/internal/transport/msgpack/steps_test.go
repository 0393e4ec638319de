package msgpack_test

import (
	"bytes"
	"net"
	"testing"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/transport"
	"github.com/outrigger-gateway/outrigger/host/internal/transport/transporttest"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// countingStepper answers asks with null and counts outcomes.
type countingStepper struct{ next int }

func (*countingStepper) Answer(*wire.Ask) wire.Answer { return wire.Answer{Value: []byte{0xc0}} }

func (s *countingStepper) Next(*wire.Outcome) (time.Time, bool) {
	s.next++
	return transporttest.Soon(), true
}

func twoSteps() *wire.Call {
	c := smallCall()
	c.Rest = []wire.Step{{Instance: 8, TimeoutMS: 1000}}
	return c
}

// TestAnswersNameTheirStep: an answer that comes too late for a step must not be taken for that of the next one.
func TestAnswersNameTheirStep(t *testing.T) {
	steps := make(chan uint16, 2)
	address := listen(t, func(conn net.Conn) {
		frames(conn, func(f wire.Frame) {
			ask := wire.Ask{Fn: wire.AskLogSerialize}
			switch f.Type {
			case wire.TypeCall:
				_, _ = conn.Write(wire.AppendFrame(nil, f.Call, wire.TypeAsk, wire.AppendAsk(nil, &ask)))
			case wire.TypeAnswer:
				steps <- f.Step
				b := wire.AppendOutcome(wire.BeginFrame(nil), &wire.Outcome{})
				wire.EndFrameStep(b, 0, f.Call, wire.TypeOutcome, f.Step)
				if f.Step == 0 {
					start := len(b)
					b = wire.AppendAsk(wire.BeginFrame(b), &ask)
					wire.EndFrameStep(b, start, f.Call, wire.TypeAsk, 1)
				}
				_, _ = conn.Write(b)
			}
		})
	})
	l := dial(t, address, transport.Options{})
	var s countingStepper
	var out wire.Outcome
	if err := l.Call(twoSteps(), transporttest.Soon(), &s, &out); err != nil {
		t.Fatal(err)
	}
	if first, second := <-steps, <-steps; first != 0 || second != 1 || s.next != 1 {
		t.Errorf("the answers named the steps %d and %d; %d outcomes went on", first, second, s.next)
	}
}

// TestServerThatKnowsNoSteps gets the first step alone.
func TestServerThatKnowsNoSteps(t *testing.T) {
	got := make(chan *wire.Call, 2)
	address := listen(t, func(conn net.Conn) {
		if _, _, err := wire.ReadGreeting(conn); err != nil {
			return
		}
		old := transporttest.Hello
		old.Features = 0
		hello := wire.AppendServerHello(wire.BeginFrame(nil), &old)
		wire.EndFrame(hello, 0, 0, wire.TypeHello)
		_, _ = conn.Write(hello)
		var slots wire.SlotTable
		for r := wire.NewReader(conn); ; {
			f, body, err := r.Next()
			if err != nil {
				return
			}
			if f.Type != wire.TypeCall {
				continue
			}
			c := new(wire.Call)
			if err := wire.DecodeCall(bytes.Clone(body), nil, &slots, c); err != nil {
				t.Error(err)
			}
			got <- c
			_, _ = conn.Write(outcomeFrame(f.Call, 0))
		}
	})
	l := dial(t, address, transport.Options{})
	for range 2 {
		var s countingStepper
		var out wire.Outcome
		c := twoSteps()
		if err := l.Call(c, transporttest.Soon(), &s, &out); err != nil || len(out.Ops) != 1 || s.next != 0 {
			t.Fatalf("got %v, %+v, %d outcomes went on", err, out, s.next)
		}
		if saw := <-got; len(saw.Rest) != 0 || saw.Instance != 7 {
			t.Errorf("the server saw instance %d and %d steps more", saw.Instance, len(saw.Rest))
		}
		if len(c.Rest) != 1 {
			t.Error("the lane kept the caller's steps")
		}
	}
}
