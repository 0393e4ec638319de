package transporttest

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/transport"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// steps is a call of n instances, numbered from first on.
func steps(first uint64, n int) *wire.Call {
	c := SampleCall(1)
	c.Instance = first
	for i := range n - 1 {
		c.Rest = append(c.Rest, wire.Step{Instance: first + uint64(i) + 1, TimeoutMS: 1000})
	}
	return c
}

// stepper gathers the outcomes of steps by the paths that they set, with the asks that it answered in between.
type stepper struct {
	saw  []string
	stop int                          // no more after so many outcomes; 0: all
	next func(step int) time.Duration // for the step that begins; nil: Patience
}

func (s *stepper) Answer(a *wire.Ask) wire.Answer {
	arg, _ := wire.DecodeValue(a.Args[0])
	s.saw = append(s.saw, fmt.Sprint("ask ", arg))
	return wire.Answer{Value: a.Args[0]}
}

func (s *stepper) Next(out *wire.Outcome) (time.Time, bool) {
	s.take(out)
	n := s.outcomes()
	if s.next != nil {
		return time.Now().Add(s.next(n)), n != s.stop
	}
	return Soon(), n != s.stop
}

func (s *stepper) take(out *wire.Outcome) {
	what := "nothing"
	if out.Err != nil {
		what = out.Err.Code
	} else if len(out.Ops) > 0 {
		what = out.Ops[0].Name
	}
	s.saw = append(s.saw, what)
}

func (s *stepper) outcomes() (n int) {
	for _, what := range s.saw {
		if !strings.HasPrefix(what, "ask ") {
			n++
		}
	}
	return n
}

func pathOf(step uint16) *wire.Outcome {
	return &wire.Outcome{Ops: []wire.Op{{Code: wire.OpServiceRequestSetPath, Name: fmt.Sprint("/", step)}}}
}

// replyAll runs all steps of a call.
func replyAll(s *Session) {
	for ; int(s.Step) <= len(s.Call.Rest); s.Step++ {
		s.Reply(pathOf(s.Step))
	}
}

// check compares what a stepper saw.
func (s *stepper) check(t *testing.T, want ...string) {
	t.Helper()
	if fmt.Sprint(s.saw) != fmt.Sprint(want) {
		t.Errorf("got  %v\nwant %v", s.saw, want)
	}
}

// run makes a call and takes its last outcome too.
func (s *stepper) run(l transport.Lane, c *wire.Call, deadline time.Time) error {
	var out wire.Outcome
	err := l.Call(c, deadline, s, &out)
	if err == nil && s.stop == 0 && s.outcomes() <= len(c.Rest) && !wire.Stops(&out) {
		s.take(&out)
	}
	return err
}

func testSteps(t *testing.T, open Opener) {
	var got lines
	l := opened(t, open, func(s *Session) {
		if s.Call.Rest[0].Instance != 8 || s.Call.Rest[1].TimeoutMS != 1000 {
			t.Errorf("the server saw %+v", s.Call.Rest)
		}
		for ; s.Step < 3; s.Step++ {
			s.Log(1, fmt.Sprint("step ", s.Step))
			s.Reply(pathOf(s.Step))
		}
	}, transport.Options{OnLog: got.add, Who: func(instance uint64) any { return instance }})
	for range 3 {
		var s stepper
		if err := s.run(l, steps(7, 3), Soon()); err != nil {
			t.Fatal(err)
		}
		s.check(t, "/0", "/1", "/2")
	}
	if l.InFlight() != 0 {
		t.Errorf("%d in flight", l.InFlight())
	}
	Eventually(t, "nine lines", func() bool { return len(got.get()) == 9 })
	for i, rec := range got.get() {
		// The lines of a call that has ended have no origin any more; those before its last outcome do.
		if want := uint64(7 + i%3); rec.Instance != want || rec.Who != want || rec.Message != fmt.Sprint("step ", i%3) {
			t.Errorf("line %d: got %+v", i, rec)
		}
	}
}

// testStepAsks: asks and outcomes reach the caller in the order in which the server made them, also when all are there at once.
func testStepAsks(t *testing.T, open Opener) {
	l := opened(t, open, func(s *Session) {
		for ; s.Step < 3; s.Step++ {
			for i := range 2 {
				s.SendAsk(wire.AskClientLoadConsumer, fmt.Sprint(s.Step, i), false)
				if a, step := s.AnswerOfStep(); a.Err != nil || step != s.Step {
					t.Errorf("step %d: an answer of step %d, %v", s.Step, step, a.Err)
				}
			}
			s.Reply(pathOf(s.Step))
		}
	}, transport.Options{})
	var s stepper
	if err := s.run(l, steps(7, 3), Soon()); err != nil {
		t.Fatal(err)
	}
	s.check(t, "ask 0 0", "ask 0 1", "/0", "ask 1 0", "ask 1 1", "/1", "ask 2 0", "ask 2 1", "/2")
}

func testStepBodies(t *testing.T, open Opener) {
	sizes := []int{10, 100_000, 0, 200_000, wire.ChunkSize + 1}
	l := opened(t, open, func(s *Session) {
		for ; int(s.Step) < len(sizes); s.Step++ {
			s.Reply(&wire.Outcome{Ops: []wire.Op{{Code: wire.OpServiceRequestSetRawBody, Name: "", Body: blob(sizes[s.Step])}}})
		}
	}, transport.Options{})
	var got []string
	var out wire.Outcome
	take := func(out *wire.Outcome) { got = append(got, hash(out.Ops[0].Body)) }
	if err := l.Call(steps(7, len(sizes)), Soon(), nextFunc(func(out *wire.Outcome) (time.Time, bool) {
		take(out)
		return Soon(), true
	}), &out); err != nil {
		t.Fatal(err)
	}
	take(&out)
	for i, n := range sizes {
		if got[i] != hash(blob(n)) {
			t.Errorf("step %d: got %s, want %s", i, got[i], hash(blob(n)))
		}
	}
}

// nextFunc is a stepper that is never asked.
type nextFunc func(out *wire.Outcome) (time.Time, bool)

func (nextFunc) Answer(*wire.Ask) wire.Answer { panic("asked") }

func (f nextFunc) Next(out *wire.Outcome) (time.Time, bool) { return f(out) }

func testStepsByMany(t *testing.T, open Opener) {
	l := opened(t, open, func(s *Session) {
		for ; int(s.Step) <= len(s.Call.Rest); s.Step++ {
			path := fmt.Sprint(s.Call.Instance, "/", s.Step)
			if s.Step == 1 {
				if a := s.Ask(wire.AskClientLoadConsumer, path); a.Err != nil || string(a.Value[1:]) != path {
					t.Errorf("got %+v", a)
				}
			}
			s.Reply(&wire.Outcome{Ops: []wire.Op{{Code: wire.OpServiceRequestSetPath, Name: path}}})
		}
	}, transport.Options{})
	var wg sync.WaitGroup
	for caller := range 50 {
		wg.Go(func() {
			for i := range 10 {
				id := uint64(1000*caller + 10*i)
				var s stepper
				if err := s.run(l, steps(id, 3), Soon()); err != nil {
					t.Error(err)
					return
				}
				s.check(t, fmt.Sprint(id, "/0"), fmt.Sprint("ask ", id, "/1"), fmt.Sprint(id, "/1"), fmt.Sprint(id, "/2"))
			}
		})
	}
	wg.Wait()
}

// testStepStops: a call ends with a step that exits, authenticates or fails, without a cancel.
func testStepStops(t *testing.T, open Opener) {
	var stopped atomicOutcome
	cancelled := make(chan struct{}, 100)
	release := make(chan struct{})
	l := opened(t, open, func(s *Session) {
		s.Reply(pathOf(0))
		s.Step = 1
		s.Reply(stopped.get())
		if s.Call.Instance == 7 {
			return
		}
		select {
		case <-s.Cancelled:
			cancelled <- struct{}{}
		case <-release:
		}
	}, transport.Options{})
	for _, o := range []*wire.Outcome{
		{Ops: []wire.Op{{Code: wire.OpResponseExit, Name: "", Status: 403}}},
		{Ops: []wire.Op{{Code: wire.OpResponseError, Name: "", Status: 500}}},
		{Ops: []wire.Op{{Code: wire.OpServiceRequestEnableBuffering}, {Code: wire.OpClientAuthenticate, Value: []byte{0x80}}}},
		{Err: &wire.Error{Code: wire.CodeUnknownInstance, Message: "gone"}},
	} {
		stopped.set(o)
		for _, first := range []uint64{7, 8} {
			var s stepper
			if err := s.run(l, steps(first, 4), Soon()); err != nil {
				t.Fatal(err)
			}
			what := ""
			if o.Err != nil {
				what = o.Err.Code
			}
			s.check(t, "/0", what)
		}
	}
	// Whatever a cancel would have followed has been read by now.
	stopped.set(&wire.Outcome{Err: &wire.Error{Code: "x"}})
	var s stepper
	if err := s.run(l, steps(7, 2), Soon()); err != nil {
		t.Fatal(err)
	}
	close(release)
	if len(cancelled) > 0 {
		t.Error("a call that had stopped was cancelled")
	}
}

type atomicOutcome struct {
	mu sync.Mutex
	o  *wire.Outcome
}

func (a *atomicOutcome) set(o *wire.Outcome) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.o = o
}

func (a *atomicOutcome) get() *wire.Outcome {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.o
}

func testStepsGivenUp(t *testing.T, open Opener) {
	cancelled := make(chan struct{})
	l := opened(t, open, func(s *Session) {
		s.Reply(pathOf(0))
		s.Step = 1
		if s.Call.Instance == 8 {
			replyAll(s)
			return
		}
		<-s.Cancelled
		close(cancelled)
		replyAll(s) // late
	}, transport.Options{})
	s := stepper{stop: 1}
	if err := s.run(l, steps(7, 3), Soon()); err != nil {
		t.Fatal(err)
	}
	s.check(t, "/0")
	select {
	case <-cancelled:
	case <-time.After(Patience):
		t.Error("the server was not told")
	}
	s = stepper{}
	if err := s.run(l, steps(8, 3), Soon()); err != nil {
		t.Error(err)
	}
	s.check(t, "/0", "/1", "/2")
}

// testStepDeadline: only the deadline of the step that runs counts, from its own start.
func testStepDeadline(t *testing.T, open Opener) {
	cancelled := make(chan struct{}, 1)
	l := opened(t, open, func(s *Session) {
		s.Reply(pathOf(0))
		s.Step = 1
		if s.Call.Instance == 7 {
			<-s.Cancelled
			cancelled <- struct{}{}
		}
		replyAll(s)
	}, transport.Options{})
	s := stepper{next: func(int) time.Duration { return 30 * time.Millisecond }}
	start := time.Now()
	err := s.run(l, steps(7, 3), Soon())
	if took := time.Since(start); KindOf(err) != transport.Timeout || took < 30*time.Millisecond || took > Patience {
		t.Errorf("got %v after %s", err, took)
	}
	s.check(t, "/0")
	select {
	case <-cancelled:
	case <-time.After(Patience):
		t.Error("the server was not told")
	}
	// A deadline that has passed when it is given ends the step as well, unless its outcome is there.
	s = stepper{next: func(int) time.Duration { return -time.Second }}
	if err := s.run(l, steps(7, 3), Soon()); KindOf(err) != transport.Timeout {
		t.Errorf("got %v", err)
	}
	<-cancelled
	s = stepper{}
	if err := s.run(l, steps(8, 3), Soon()); err != nil {
		t.Error(err)
	}
}

// testStepPause: while the caller applies an outcome no deadline runs, and outcomes that came meanwhile count.
func testStepPause(t *testing.T, open Opener) {
	l := opened(t, open, replyAll, transport.Options{})
	s := stepper{next: func(int) time.Duration {
		time.Sleep(150 * time.Millisecond)
		return time.Nanosecond // has passed, but the outcome is there
	}}
	if err := s.run(l, steps(7, 3), time.Now().Add(Patience)); err != nil {
		t.Error(err)
	}
	s.check(t, "/0", "/1", "/2")
}

func testStepDeath(t *testing.T, open Opener) {
	l := opened(t, open, func(s *Session) {
		s.Reply(pathOf(0))
		s.Step = 1
		s.Reply(pathOf(1))
		s.Drop()
	}, transport.Options{})
	s := stepper{next: func(step int) time.Duration {
		<-l.Done()
		return Patience
	}}
	if err := s.run(l, steps(7, 3), Soon()); KindOf(err) != transport.Closed {
		t.Errorf("got %v", err)
	}
	s.check(t, "/0", "/1")
}

func testStepsOutOfOrder(t *testing.T, open Opener) {
	for name, c := range map[string]struct {
		reason string
		reply  Handler
	}{
		"a step left out":   {"outcome of step 1", func(s *Session) { s.Step = 1; s.Reply(pathOf(1)) }},
		"a step twice":      {"outcome of step 0", func(s *Session) { s.Reply(pathOf(0)); s.Reply(pathOf(0)) }},
		"no such step":      {"outcome of step 60000", func(s *Session) { s.Reply(pathOf(0)); s.Step = 60_000; s.Reply(pathOf(0)) }},
		"a line of no step": {"log line of step 3", func(s *Session) { s.Step = 3; s.Log(1, "x") }},
		"an ask ahead":      {"ask of step 1", func(s *Session) { s.Step = 1; s.SendAsk(wire.AskLogSerialize) }},
		"an ask of no step": {"ask of step 9", func(s *Session) { s.Step = 9; s.SendAsk(wire.AskLogSerialize) }},
	} {
		t.Run(name, func(t *testing.T) {
			l := opened(t, open, func(s *Session) {
				c.reply(s)
				<-s.Cancelled
			}, transport.Options{})
			var s stepper
			if err := s.run(l, steps(7, 3), Soon()); KindOf(err) != transport.Closed {
				t.Errorf("got %v", err)
			}
			if err := l.Err(); err == nil || !strings.Contains(err.Error(), c.reason) {
				t.Errorf("the lane ended with %v, want %q", err, c.reason)
			}
		})
	}
	t.Run("a call of one step", func(t *testing.T) {
		closesLane(t, open, "outcome of step 1", func(s *Session) { s.Step = 1; s.Reply(pathOf(1)) })
	})
}

// testStrayAsks: asks that a step left behind are not answered in the name of the next one.
func testStrayAsks(t *testing.T, open Opener) {
	gate := make(chan struct{})
	l := opened(t, open, func(s *Session) {
		s.Reply(pathOf(0))
		<-gate // step 1 runs, and the host knows
		s.SendAsk(wire.AskClientLoadConsumer, "of step 0")
		s.Step = 1
		if a := s.Ask(wire.AskClientLoadConsumer, "of step 1"); !bytes.HasSuffix(a.Value, []byte("of step 1")) {
			t.Errorf("got %+v", a)
		}
		s.Reply(pathOf(1))
	}, transport.Options{})
	s := stepper{next: func(int) time.Duration {
		close(gate)
		return Patience
	}}
	if err := s.run(l, steps(7, 2), Soon()); err != nil {
		t.Fatal(err)
	}
	s.check(t, "/0", "ask of step 1", "/1")
}

// testAnswerOfAStepBefore: the host answers an ask while its step ends. The server tells its answer from that of the next step by the number.
func testAnswerOfAStepBefore(t *testing.T, open Opener) {
	asked, ended := make(chan struct{}), make(chan struct{})
	large := blob(2*wire.ChunkSize + 1)
	l := opened(t, open, func(s *Session) {
		s.SendAsk(wire.AskRequestGetRawBody)
		<-asked
		s.Reply(pathOf(0))
		s.Step = 1
		s.SendAsk(wire.AskRequestGetRawBody)
		s.Log(1, "behind the outcome")
		for range 2 {
			a, step := s.AnswerOfStep()
			if want := map[uint16][]byte{0: []byte("late"), 1: large}[step]; !bytes.Equal(a.Bytes, want) {
				t.Errorf("the answer of step %d has %d bytes, expected %d", step, len(a.Bytes), len(want))
			}
		}
		s.Reply(pathOf(1))
	}, transport.Options{OnLog: func(transport.LogRecord) { close(ended) }})
	var out wire.Outcome
	if err := l.Call(steps(7, 2), Soon(), answerStepper{&stepper{}, func(a *wire.Ask) wire.Answer {
		select {
		case <-ended:
			return wire.Answer{Bytes: large, IsBytes: true}
		default:
		}
		close(asked)
		select {
		case <-ended:
		case <-time.After(Patience):
			t.Error("the outcome did not come while an ask is answered")
		}
		return wire.Answer{Bytes: []byte("late"), IsBytes: true}
	}}, &out); err != nil {
		t.Fatal(err)
	}
	if out.Ops[0].Name != "/1" {
		t.Errorf("got %+v", out)
	}
}

// answerStepper is a stepper with answers of its own.
type answerStepper struct {
	*stepper
	answer func(a *wire.Ask) wire.Answer
}

func (s answerStepper) Answer(a *wire.Ask) wire.Answer { return s.answer(a) }

func testStepsAfterEnd(t *testing.T, open Opener) {
	sent := make(chan struct{}, 10)
	l := opened(t, open, func(s *Session) {
		replyAll(s)
		s.Log(1, "late")
		s.Chunk(blob(100))
		s.SendAsk(wire.AskLogSerialize)
		s.Reply(pathOf(s.Step)) // one too many
		s.Step = 0
		replyAll(s) // and again
		sent <- struct{}{}
	}, transport.Options{})
	for range 5 {
		var s stepper
		if err := s.run(l, steps(7, 3), Soon()); err != nil {
			t.Fatal(err)
		}
		s.check(t, "/0", "/1", "/2")
		<-sent
	}
	if err := l.Err(); err != nil {
		t.Errorf("the lane died: %v", err)
	}
}

func testNoStepper(t *testing.T, open Opener) {
	l := opened(t, open, replyAll, transport.Options{})
	var out wire.Outcome
	for _, c := range []*wire.Call{steps(7, 2), steps(7, wire.MaxSteps+1)} {
		if err := l.Call(c, Soon(), answerFunc(func(*wire.Ask) wire.Answer { return wire.Answer{} }), &out); KindOf(err) != transport.BadFrame {
			t.Errorf("got %v", err)
		}
	}
	var s stepper
	if err := s.run(l, steps(7, wire.MaxSteps+1), Soon()); KindOf(err) != transport.BadFrame {
		t.Errorf("got %v", err)
	}
	if err := s.run(l, steps(7, wire.MaxSteps), Soon()); err != nil || len(s.saw) != wire.MaxSteps {
		t.Errorf("got %v after %d outcomes", err, len(s.saw))
	}
}
