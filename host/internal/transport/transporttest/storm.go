package transporttest

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/transport"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// testStorm mixes all that a lane may have to bear at once: calls of some steps with deadlines of all lengths, callers that want no more steps, servers that
// ask, leave asks behind, are late, stop, forget, send large bodies and log lines; and in the middle of it the lane may end. Whatever a caller gets is
// its own, nobody waits longer than its deadline says, and nothing stays behind.
func testStorm(t *testing.T, open Opener) {
	for round, end := range map[string]func(l transport.Lane, s *Session){
		"lives":         nil,
		"closed":        func(l transport.Lane, _ *Session) { _ = l.Close("storm", "over") },
		"says bye":      func(_ transport.Lane, s *Session) { s.GoAway("storm", "over") },
		"drops":         func(_ transport.Lane, s *Session) { s.Drop() },
		"says nonsense": func(_ transport.Lane, s *Session) { s.ReplyTo(1<<31, &wire.Outcome{}) },
	} {
		t.Run(round, func(t *testing.T) {
			const callers, each = 24, 25
			var calls atomic.Int64
			var l transport.Lane
			l = opened(t, open, func(s *Session) {
				if calls.Add(1) == callers*each/4 && end != nil {
					end(l, s)
				}
				stormy(t, s)
			}, transport.Options{OnLog: func(transport.LogRecord) {}})
			var wg sync.WaitGroup
			for caller := range callers {
				wg.Go(func() {
					for i := range each {
						if c := (&stormCall{t: t, id: uint64(1000*(caller+1) + 10*i)}); !c.run(l) {
							return
						}
					}
				})
			}
			wg.Wait()
			if n := l.InFlight(); n != 0 || !l.Oldest().IsZero() {
				t.Errorf("%d in flight, the oldest since %v", n, l.Oldest())
			}
			if end != nil {
				Eventually(t, "the end of the lane", func() bool { return l.Err() != nil })
			} else if err := l.Err(); err != nil {
				t.Error(err)
			}
		})
	}
}

// stormBody is the body of step n of the call whose first instance is id, in an outcome or an answer; nil: it has none.
func stormBody(id uint64, step int) []byte {
	if (id/10+uint64(step))%4 != 0 {
		return nil
	}
	return bytes.Repeat([]byte{byte(id / 10), byte(step)}, wire.ChunkSize+step)
}

func stormName(id uint64, step int) string { return fmt.Sprint("/", id, "/", step) }

// stormy is a server in a storm.
func stormy(t *testing.T, s *Session) {
	id := s.Call.Instance
	for ; int(s.Step) <= len(s.Call.Rest); s.Step++ {
		switch rand.IntN(30) {
		case 0, 1, 2:
			time.Sleep(time.Duration(rand.IntN(3000)) * time.Microsecond)
		case 3:
			<-s.Cancelled // forgotten
			return
		case 4:
			s.Log(1, "a line")
		}
		name := stormName(id, int(s.Step))
		for range rand.IntN(5) - 2 {
			s.SendAsk(wire.AskRequestGetRawBody, name)
			a, step := s.AnswerOfStep()
			for step < s.Step && a.Err == nil { // to an ask that was left behind
				a, step = s.AnswerOfStep()
			}
			switch {
			case a.Err != nil:
				return // the call is over
			case step != s.Step, string(a.Bytes) != name+string(stormBody(id, int(s.Step))):
				t.Errorf("step %d of call %d got %.20q of step %d, %d bytes", s.Step, id, a.Bytes, step, len(a.Bytes))
			}
		}
		if rand.IntN(5) == 0 {
			s.SendAsk(wire.AskRequestGetRawBody, name)
		}
		o := &wire.Outcome{Ops: []wire.Op{{Code: wire.OpServiceRequestSetPath, Name: name}}}
		if body := stormBody(id, int(s.Step)); body != nil {
			o.Ops = append(o.Ops, wire.Op{Code: wire.OpServiceRequestSetRawBody, Body: body, HasBody: true})
		}
		if rand.IntN(20) == 0 {
			o.Ops = append(o.Ops, wire.Op{Code: wire.OpResponseExit, Status: 403})
		}
		if s.Reply(o); wire.Stops(o) {
			return
		}
	}
}

// stormCall is one call in a storm: its asker and stepper.
type stormCall struct {
	t     *testing.T
	id    uint64
	step  int // that runs
	ended bool
}

// wait is how long a step may take.
func (c *stormCall) wait() time.Duration {
	if rand.IntN(3) == 0 {
		return time.Duration(rand.IntN(4000)) * time.Microsecond
	}
	return 100 * time.Millisecond
}

// run makes the call. It reports false when the lane has ended.
func (c *stormCall) run(l transport.Lane) bool {
	call := steps(c.id, 1+rand.IntN(4))
	wait, start := c.wait(), time.Now()
	var out wire.Outcome
	err := l.Call(call, start.Add(wait), c, &out)
	if took := time.Since(start); took > Patience {
		c.t.Errorf("call %d took %s", c.id, took)
	}
	switch kind := KindOf(err); {
	case err == nil && c.step == len(call.Rest) && !c.ended:
		c.check(&out)
	case err == nil && !c.ended:
		c.t.Errorf("call %d ended with step %d of %d", c.id, c.step, len(call.Rest))
	case kind == transport.Closed:
		return false
	case err != nil && kind != transport.Timeout:
		c.t.Errorf("call %d ended with %v", c.id, err)
	}
	return true
}

func (c *stormCall) check(out *wire.Outcome) {
	if name := stormName(c.id, c.step); len(out.Ops) == 0 || out.Ops[0].Name != name {
		c.t.Errorf("step %d of call %d got %+.100v", c.step, c.id, out)
		return
	}
	if body := stormBody(c.id, c.step); body != nil && (len(out.Ops) < 2 || !bytes.Equal(out.Ops[1].Body, body)) {
		c.t.Errorf("step %d of call %d has the body of another one", c.step, c.id)
	}
}

// Answer implements transport.Asker.
func (c *stormCall) Answer(a *wire.Ask) wire.Answer {
	name, _ := wire.DecodeValue(a.Args[0])
	if want := stormName(c.id, c.step); name != want {
		c.t.Errorf("%s was asked for while %s ran", name, want)
	}
	if rand.IntN(4) == 0 {
		time.Sleep(time.Duration(rand.IntN(1000)) * time.Microsecond)
	}
	return wire.Answer{Bytes: append([]byte(fmt.Sprint(name)), stormBody(c.id, c.step)...), IsBytes: true}
}

// Next implements transport.Stepper.
func (c *stormCall) Next(out *wire.Outcome) (deadline time.Time, more bool) {
	c.check(out)
	if c.ended = wire.Stops(out) || rand.IntN(10) == 0; !c.ended {
		c.step++
	}
	return time.Now().Add(c.wait()), !c.ended
}
