package server

import (
	"bytes"
	"reflect"
	"strings"
	"testing"

	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// fused is a call of several instances.
func fused(instances ...uint64) *wire.Call {
	c := newCall(instances[0], "x-name", "Ada")
	for _, id := range instances[1:] {
		c.Rest = append(c.Rest, wire.Step{Instance: id, TimeoutMS: 60_000})
	}
	return c
}

// ended checks that an event is the outcome of a step, and gives it.
func ended(t *testing.T, e event, step int, code string) *wire.Outcome {
	t.Helper()
	if e.outcome == nil || e.step != step {
		t.Fatalf("found %+v instead of the outcome of step %d", e, step)
	}
	found := ""
	if e.outcome.Err != nil {
		found = e.outcome.Err.Code
	}
	if found != code {
		t.Fatalf("step %d ended with %q %v, expected %q", step, found, e.outcome.Err, code)
	}
	return e.outcome
}

// quiet checks that nothing more is said about the calls before.
func quiet(t *testing.T, f *fixture, l hostLane) {
	t.Helper()
	f.idle()
	f.probe(77, "mark", "last")
	l.call(777, newCall(77))
	e, _ := outcome(t, l, nil) // an exit may have left lines of the log
	marked(t, e, 777, "last")
}

func TestStepsShareWhatTheyWrite(t *testing.T) {
	carriers(t, func(t *testing.T, f *fixture) {
		f.probe(1, "mark", "first")
		f.probe(2, "method", "m")
		f.probe(3, "look", "m")
		l := f.lane()
		c := fused(1, 2, 3)
		own, err := wire.AppendValue(nil, "its own")
		if err != nil {
			t.Fatal(err)
		}
		c.Rest[1].Plugin = []wire.SharedValue{{Key: "own", Value: own}}
		for id := range uint32(50) { // runs are used again
			l.call(id+1, c)
			if n := len(ended(t, l.next(), 0, "").Ops); n != 2 {
				t.Errorf("step 0 has %d operations", n)
			}
			if n := len(ended(t, l.next(), 1, "").Ops); n != 2 {
				t.Errorf("step 1 has %d operations", n)
			}
			out := ended(t, l.next(), 2, "")
			got, err := wire.DecodeValue(out.Ops[0].Value)
			if want := []any{"first", "first", "its own", "PUT"}; err != nil || len(out.Ops) != 1 || !reflect.DeepEqual(got, want) {
				t.Errorf("step 2 saw %v %v, expected %v", got, err, want)
			}
		}
	})
}

func TestStepsEnd(t *testing.T) {
	carriers(t, func(t *testing.T, f *fixture) {
		f.probe(1, "mark", "first")
		f.probe(3, "mark", "never")
		l := f.lane()
		for do, code := range map[string]string{
			"panic between": wire.CodeHandlerError, "error": wire.CodeHandlerError, "goexit": wire.CodeHandlerError, "exit": "", "consumer": "",
		} {
			f.probe(2, do, "m")
			l.call(1, fused(1, 2, 3))
			ended(t, l.next(), 0, "")
			e, _ := outcome(t, l, func(uint32, *wire.Ask) wire.Answer {
				doc, _ := wire.AppendValue(nil, map[string]any{"id": "c", "username": "bob"})
				return wire.Answer{Value: doc}
			})
			ended(t, e, 1, code)
			quiet(t, f, l)
		}
		l.call(1, fused(1, 99, 3))
		ended(t, l.next(), 0, "")
		ended(t, l.next(), 1, wire.CodeUnknownInstance)
		quiet(t, f, l)
	})
}

// The outcome of a finished step does not wait for the next one, and a cancel ends that and all behind it.
func TestCancelBetweenSteps(t *testing.T) {
	carriers(t, func(t *testing.T, f *fixture) {
		g := newGate(t.Name())
		f.probe(1, "mark", "first")
		f.probe(2, "wait for the context", t.Name())
		f.probe(3, "mark", "never")
		l := f.lane()
		for range 3 {
			l.call(1, fused(1, 2, 3))
			ended(t, l.next(), 0, "")
			l.cancel(1)
			f.idle()
		}
		close(g.open)
		quiet(t, f, l)
	})
}

func TestQuestionsAndLinesOfSteps(t *testing.T) {
	carriers(t, func(t *testing.T, f *fixture) {
		f.probe(1, "say", "first")
		f.probe(2, "body", "m")
		f.probe(3, "say", "third")
		l := f.lane()
		l.call(1, fused(1, 2, 3))
		line := func(step int, text string) {
			t.Helper()
			if e := l.next(); e.line == nil || e.step != step || e.line.Message != text {
				t.Fatalf("found %+v, expected %q of step %d", e, text, step)
			}
		}
		line(0, "first")
		ended(t, l.next(), 0, "")
		e := l.next()
		if e.ask == nil || e.step != 1 {
			t.Fatalf("found %+v", e)
		}
		l.answer(1, 1, &wire.Answer{Bytes: []byte("body"), IsBytes: true})
		if out := ended(t, l.next(), 1, ""); !bytes.Equal(out.Ops[0].Body, []byte("BODY")) {
			t.Errorf("operations %+v", out.Ops)
		}
		line(2, "third")
		ended(t, l.next(), 2, "")
	})
}

// A goroutine asks, and its handler ends without it: the answer, which may come late or never, is not taken for that of the next step's question.
func TestQuestionThatAStepLeaves(t *testing.T) {
	for name, late := range map[string]*wire.Answer{
		"answered":      {Bytes: []byte("old"), IsBytes: true},
		"answered long": {Bytes: make([]byte, 2*wire.ChunkSize), IsBytes: true},
		"failed":        {Err: &wire.Error{Code: wire.CodeHostError, Message: "no"}},
		"forgotten":     nil,
	} {
		t.Run(name, func(t *testing.T) { questionLeft(t, late) })
	}
}

func questionLeft(t *testing.T, late *wire.Answer) {
	carriers(t, func(t *testing.T, f *fixture) {
		g := newGate(t.Name())
		f.probe(1, "leave a question", t.Name())
		f.probe(2, "body", "m")
		l := f.lane()
		l.call(1, fused(1, 2))
		if e := l.next(); e.ask == nil || e.step != 0 {
			t.Fatalf("found %+v", e)
		}
		close(g.open)
		ended(t, l.next(), 0, "")
		if got := gateEvent(t, g); !strings.Contains(got, "wrong_phase") {
			t.Errorf("the question ended with %q", got)
		}
		if e := l.next(); e.ask == nil || e.step != 1 {
			t.Fatalf("found %+v", e)
		}
		if late != nil {
			l.answer(1, 0, late)
		}
		l.answer(1, 1, &wire.Answer{Bytes: []byte("new"), IsBytes: true})
		if out := ended(t, l.next(), 1, ""); string(out.Ops[0].Body) != "NEW" {
			t.Errorf("body %q", out.Ops[0].Body)
		}
	})
}

func TestDeadlineOfAStep(t *testing.T) {
	carriers(t, func(t *testing.T, f *fixture) {
		g := newGate(t.Name())
		f.probe(1, "mark", "first")
		f.probe(2, "wait for the context", t.Name())
		f.probe(3, "mark", "never")
		l := f.lane()
		c := fused(1, 2, 3)
		c.Rest[0].TimeoutMS = 20
		l.call(1, c)
		ended(t, l.next(), 0, "")
		ended(t, l.next(), 1, wire.CodeCancelled)
		gateEvent(t, g)
		quiet(t, f, l)
	})
}

func TestPrefetchedAnswers(t *testing.T) {
	text := func(s string) []byte {
		b, err := wire.AppendValue(nil, s)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	variable := func(name, value string) wire.Prefetched {
		return wire.Prefetched{Fn: wire.AskNginxGetVar, Args: [][]byte{text(name)}, Answer: wire.Answer{Value: text(value)}}
	}
	body := wire.Prefetched{Fn: wire.AskRequestGetRawBody, Answer: wire.Answer{Bytes: []byte("body"), IsBytes: true}}
	carriers(t, func(t *testing.T, f *fixture) {
		f.probe(1, "vars", "m")
		f.probe(2, "nothing", "m")
		f.probe(3, "mark", "m")
		l := f.lane()
		asked := 0
		answer := func(_ uint32, a *wire.Ask) wire.Answer {
			asked++
			if a.Fn == wire.AskRequestGetRawBody {
				return wire.Answer{Bytes: []byte("late body"), IsBytes: true}
			}
			return wire.Answer{Value: text("late")}
		}
		value := func(out *wire.Outcome, i int) any {
			t.Helper()
			v, err := wire.DecodeValue(out.Ops[i].Value)
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
		c := newCall(1)
		c.Prefetched = []wire.Prefetched{variable("none", "x"), variable("a", "A"), body, variable("b", "B")}
		l.call(1, c)
		e, _ := outcome(t, l, answer)
		if out := ended(t, e, 0, ""); value(out, 0) != "ABbody" || value(out, 1) != "late" || out.Unused != 1 || asked != 1 {
			t.Errorf("%v %v, unused %b, %d questions", value(out, 0), value(out, 1), out.Unused, asked)
		}
		// Nothing is asked for: all are unused.
		c = newCall(2)
		c.Prefetched = []wire.Prefetched{variable("a", "A"), body}
		l.call(2, c)
		e, _ = outcome(t, l, answer)
		if out := ended(t, e, 0, ""); out.Unused != 3 {
			t.Errorf("unused %b", out.Unused)
		}
		// Answers of a step of its own, and stale after an operation of the step before.
		for first, want := range map[uint64]struct {
			value  string
			asked  int
			unused uint32
		}{2: {"ABbody", 1, 0}, 3: {"latelatebody", 3, 5}} {
			asked = 0
			c = fused(first, 1)
			c.Rest[0].Prefetched = []wire.Prefetched{variable("a", "A"), body, variable("b", "B")}
			l.call(3, c)
			ended(t, l.next(), 0, "")
			e, _ = outcome(t, l, answer)
			if out := ended(t, e, 1, ""); value(out, 0) != want.value || out.Unused != want.unused || asked != want.asked {
				t.Errorf("after %d: %v, unused %b, %d questions; expected %+v", first, value(out, 0), out.Unused, asked, want)
			}
		}
	})
}

func TestFeatures(t *testing.T) {
	if got := serverHello().Features; got != wire.FeatureSteps|wire.FeaturePrefetch {
		t.Errorf("features %b", got)
	}
}
