package vectors

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// Result is what a driver says of one call.
type Result struct {
	// Value is the result in the spelling of vectors. Lines of headers and queries are {"pairs": [[name, value]…], "truncated": bool}, entities
	// are objects with their fields, null is no result.
	Value json.RawMessage `json:"result"`
	// Error is the code of the refusal, Function the function that it names.
	Error    string `json:"error,omitempty"`
	Function string `json:"function,omitempty"`
	// Exit: the call ended the handler, as an exit does in languages that unwind.
	Exit bool `json:"exit,omitempty"`
	// Mute: the function has no error result in this language, so that a refusal fails the handler.
	Mute bool `json:"mute,omitempty"`
	// Fault is anything else that the call threw.
	Fault string `json:"fault,omitempty"`
}

// Line is one line of the log.
type Line struct {
	Level   uint8
	Message string
}

// Run is what came of a vector.
type Run struct {
	Results []Result
	Late    []Result
	Outcome wire.Outcome
	Logs    []Line
}

// Check compares a run with what the vector expects. Each error is one difference.
func (v *Vector) Check(run *Run) []error {
	var diffs []error
	fails, errs := checkCalls(v.Calls, run.Results)
	diffs = append(diffs, errs...)
	if n := len(run.Results); fails != "" && n > 0 && !run.Results[n-1].Mute {
		diffs = append(diffs, errors.New("a call without an error result fails the handler: it must be the last one"))
	}
	_, errs = checkCalls(v.Late, run.Late)
	for _, err := range errs {
		diffs = append(diffs, fmt.Errorf("after the handler: %w", err))
	}
	if out := &run.Outcome; fails != "" || out.Err != nil {
		if code := codeOf(out.Err); code != fails {
			diffs = append(diffs, fmt.Errorf("the outcome: found error %q (%v), expected %q", code, out.Err, fails))
		}
		return diffs // a handler that failed leaves no operations
	}
	diffs = append(diffs, v.checkOutcome(&run.Outcome)...)
	return append(diffs, v.checkLogs(run.Logs)...)
}

func codeOf(e *wire.Error) string {
	if e == nil {
		return ""
	}
	return e.Code
}

// checkCalls compares results of calls. fails is the code with which a mute function fails the handler.
func checkCalls(calls []Call, results []Result) (fails string, diffs []error) {
	for i := range calls {
		c := &calls[i]
		where := func(err error) error { return fmt.Errorf("call %d, %s: %w", i+1, c.Fn, err) }
		if i >= len(results) {
			return fails, append(diffs, where(errors.New("was not made")))
		}
		r := &results[i]
		if err := checkCall(c, r); err != nil {
			diffs = append(diffs, where(err))
		}
		if r.Mute && c.Error != "" {
			fails = c.Error
		}
		if r.Exit && !c.Swallow {
			return fails, diffs
		}
	}
	if n := len(results); n > len(calls) {
		diffs = append(diffs, fmt.Errorf("found results of %d calls, expected %d", n, len(calls)))
	}
	return fails, diffs
}

func checkCall(c *Call, r *Result) error {
	switch {
	case r.Fault != "":
		return fmt.Errorf("threw %s", r.Fault)
	case r.Error != c.Error && !r.Mute:
		return fmt.Errorf("found error %q (result %s), expected %q", r.Error, short(string(r.Value)), c.Error)
	case r.Error != "" && r.Function != c.Fn:
		return fmt.Errorf("the error names the function %q", r.Function)
	case r.Error != "" || r.Exit || r.Mute && c.Error != "" || len(c.Result) == 0:
		return nil
	}
	expected, err := decode(c.Result)
	if err != nil {
		return err
	}
	spelt, err := decode(r.Value)
	if err != nil {
		return fmt.Errorf("result %s: %w", r.Value, err)
	}
	found, err := Value(spelt)
	if err != nil {
		return err
	}
	return Compare(found, expected)
}

func (v *Vector) checkOutcome(out *wire.Outcome) []error {
	var diffs []error
	if len(out.Ops) != len(v.Ops) {
		diffs = append(diffs, fmt.Errorf("found %d operations %v, expected %d", len(out.Ops), spellOps(out.Ops), len(v.Ops)))
	} else if v.Together {
		diffs = append(diffs, v.checkUnordered(out.Ops)...)
	} else {
		for i := range out.Ops {
			if err := compareOp(&out.Ops[i], v.Ops[i]); err != nil {
				diffs = append(diffs, fmt.Errorf("operation %d: %w", i+1, err))
			}
		}
	}
	var body any
	if out.HasBody {
		body = append([]byte{}, out.Body...)
	}
	if err := Compare(body, v.Body); err != nil {
		diffs = append(diffs, fmt.Errorf("body: %w", err))
	}
	return diffs
}

// checkUnordered finds for each operation that is expected one of those that are there.
func (v *Vector) checkUnordered(found []wire.Op) []error {
	left := slices.Clone(found)
	var diffs []error
	for i, expected := range v.Ops {
		at := slices.IndexFunc(left, func(op wire.Op) bool { return compareOp(&op, expected) == nil })
		if at < 0 {
			diffs = append(diffs, fmt.Errorf("operation %d, %v, is not among %s", i+1, expected, spellOps(found)))
			continue
		}
		left = slices.Delete(left, at, at+1)
	}
	return diffs
}

func (v *Vector) checkLogs(found []Line) []error {
	if len(found) != len(v.Logs) {
		return []error{fmt.Errorf("found %d log lines %q, expected %d", len(found), found, len(v.Logs))}
	}
	var diffs []error
	for i, expected := range v.Logs {
		line, both := expected.([]any)
		if !both {
			line = []any{expected, Spell(found[i].Message)}
		}
		if err := Compare([]any{int64(found[i].Level), found[i].Message}, line); err != nil {
			diffs = append(diffs, fmt.Errorf("log line %d: %w", i+1, err))
		}
	}
	return diffs
}

// Asker answers the questions of one vector, in order. It implements wire.Asker and may be asked from any goroutine.
type Asker struct {
	mu       sync.Mutex
	left     []Ask
	diffs    []error
	ahead    []wire.Prefetched
	used     uint32 // of ahead, a bit each
	answered []wire.Prefetched
}

// Asker starts the script of the vector's questions.
func (v *Vector) Asker() *Asker { return &Asker{left: v.Asks} }

// Ahead says which answers travel with the call: their questions are not put, or put all the same when an answer has become stale.
func (a *Asker) Ahead(items []wire.Prefetched) { a.ahead = items }

// Answered lists the questions so far with their answers.
func (a *Asker) Answered() []wire.Prefetched {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.answered
}

// Used says which of the answers of Ahead took the place of a question, once the call has ended: bit 0 is the first.
func (a *Asker) Used() uint32 {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.skip(nil)
	return a.used
}

// skip passes the questions of the script that answers of Ahead stand for, up to question q.
func (a *Asker) skip(q *wire.Ask) {
	for len(a.left) > 0 && (q == nil || !a.left[0].is(q)) {
		i := slices.IndexFunc(a.ahead, func(p wire.Prefetched) bool { return a.left[0].is(&wire.Ask{Fn: p.Fn, Args: p.Args}) })
		if i < 0 {
			return
		}
		a.used |= 1 << i
		a.left = a.left[1:]
	}
}

// is reports whether the script means a question.
func (a *Ask) is(q *wire.Ask) bool {
	args := []any{}
	for _, raw := range q.Args {
		v, err := wire.DecodeValue(raw)
		if err != nil {
			return false
		}
		args = append(args, v)
	}
	return a.Ask == q.Fn && Compare(args, anyList(a.Args)) == nil
}

// Answer implements wire.Asker.
func (a *Asker) Answer(q *wire.Ask) wire.Answer {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.skip(q)
	if len(a.left) == 0 || a.left[0].Ask != q.Fn {
		a.diffs = append(a.diffs, fmt.Errorf("question %d was not expected", q.Fn))
		return wire.Answer{Err: &wire.Error{Code: wire.CodeHostError, Message: "the vector does not expect this question"}}
	}
	ask := a.left[0]
	a.left = a.left[1:]
	args := []any{}
	for _, raw := range q.Args {
		v, err := wire.DecodeValue(raw)
		if err != nil {
			a.diffs = append(a.diffs, fmt.Errorf("arguments of question %d: %w", q.Fn, err))
		}
		args = append(args, v)
	}
	if err := Compare(args, anyList(ask.Args)); err != nil {
		a.diffs = append(a.diffs, fmt.Errorf("arguments of question %d: %w", q.Fn, err))
	}
	answer, err := ask.answer()
	if err != nil {
		a.diffs = append(a.diffs, err)
	}
	known := wire.Prefetched{Fn: q.Fn, Answer: answer}
	for _, raw := range q.Args {
		known.Args = append(known.Args, bytes.Clone(raw))
	}
	a.answered = append(a.answered, known)
	return answer
}

func anyList(list []any) []any {
	if list == nil {
		return []any{}
	}
	return list
}

// answer is the scripted answer.
func (a *Ask) answer() (wire.Answer, error) {
	if len(a.Error) == 2 {
		return wire.Answer{Err: &wire.Error{Code: a.Error[0], Message: a.Error[1]}}, nil
	}
	value, err := Value(a.Value)
	if err != nil {
		return wire.Answer{}, err
	}
	if b, ok := value.([]byte); ok {
		return wire.Answer{Bytes: b, IsBytes: true}, nil
	}
	raw, err := wire.AppendValue(nil, value)
	return wire.Answer{Value: raw}, err
}

// Diffs are what was wrong with the questions, once the handler has ended.
func (a *Asker) Diffs() []error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.skip(nil)
	if len(a.left) > 0 {
		return append(a.diffs, fmt.Errorf("%d questions were not put", len(a.left)))
	}
	return a.diffs
}
