package local

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// handle is what a plugin holds: it answers for its session as long as the session's serial is its own. It implements pdk.Backend; the methods
// are in the files named after the namespaces.
type handle struct {
	pdk      pdk.PDK
	session  *Session
	serial   uint64
	logLevel uint8
}

var _ pdk.Backend = (*handle)(nil)

// read locks the session for a function without an error result. It answers nil, unlocked, when the function may not be called now; in a wrong
// phase that fails the handler.
func (h *handle) read(fn int) *Session {
	s := h.session
	s.mu.Lock()
	if s.serial == h.serial && s.alive() && pdk.Functions[fn].Phases&s.phase != 0 {
		return s
	}
	err := h.refusal(fn)
	if s.serial == h.serial && s.alive() && s.failure == nil {
		s.failure = err
	}
	s.mu.Unlock()
	return nil
}

// begin locks the session for a function with an error result. With an error it is not locked.
func (h *handle) begin(fn int) (*Session, error) {
	s := h.session
	s.mu.Lock()
	if s.serial == h.serial && s.alive() && pdk.Functions[fn].Phases&s.phase != 0 {
		return s, nil
	}
	defer s.mu.Unlock()
	return nil, h.refusal(fn)
}

// Refusal tells pdk.PDK.Refusal.
func (h *handle) Refusal(fn int) error {
	s, err := h.begin(fn)
	if err != nil {
		return err
	}
	s.mu.Unlock()
	return nil
}

// refusal says why a function may not be called now. The session is locked.
func (h *handle) refusal(fn int) *pdk.Error {
	s, f := h.session, &pdk.Functions[fn]
	message := ""
	switch {
	case s.serial != h.serial || s.state == ended:
		message = "called after the handler ended"
	case s.state == exited:
		message = "called after response.exit or response.error"
	case s.state == cancelled || s.overdue():
		message = "called after the call was cancelled"
	default:
		message = "called in " + s.phase.String() + "; allowed in " + f.Phases.String()
	}
	return &pdk.Error{Code: pdk.ErrPhase.Code, Function: f.Name, Message: message}
}

// argError is the refusal of an argument.
func argError(fn int, err error) error {
	return &pdk.Error{Code: pdk.ErrArg.Code, Function: pdk.Functions[fn].Name, Message: err.Error()}
}

func dataError(fn int, err error) *pdk.Error {
	return &pdk.Error{Code: pdk.ErrData.Code, Function: pdk.Functions[fn].Name, Message: err.Error()}
}

// op appends an empty operation of a function's code. The session is locked.
func (s *Session) op(fn int) *wire.Op {
	s.ops = append(s.ops, wire.Op{Code: wire.OpCode(pdk.Functions[fn].Op)})
	return &s.ops[len(s.ops)-1]
}

// keep copies header values, trimmed, into the session's arena.
func (s *Session) keep(values []string) []string {
	from := len(s.values)
	for _, v := range values {
		s.values = append(s.values, TrimValue(v))
	}
	return s.values[from:len(s.values):len(s.values)]
}

// maxAsk is how large the arguments of a question may be, in bytes, so that it fits on a lane: the host closes a lane that brings more, with all
// the calls on it.
const maxAsk = wire.MaxAskBytes - 64

// ask puts a question to the host. The session is locked when ask is called and when it returns; in between it is not. An error means that the
// answer must not be used.
func (h *handle) ask(s *Session, fn int, args ...any) (wire.Answer, error) {
	return h.question(s, fn, pdk.Functions[fn].Ask, args...)
}

// question is ask for a function that puts the question of another.
func (h *handle) question(s *Session, fn int, number uint16, args ...any) (wire.Answer, error) {
	a := wire.Ask{Fn: wire.AskFn(number)}
	size := 0
	for _, arg := range args {
		raw, err := encodeValue(arg)
		if err != nil {
			return wire.Answer{}, argError(fn, err)
		}
		a.Args = append(a.Args, raw)
		size += len(raw)
	}
	if size > maxAsk {
		return wire.Answer{}, argError(fn, fmt.Errorf("the arguments have %d bytes; at most %d are allowed", size, maxAsk))
	}
	answer, asked := h.askUnlocked(s, s.host, &a)
	switch {
	case !asked || s.serial != h.serial || !s.alive():
		return wire.Answer{}, h.refusal(fn)
	case answer.Err != nil:
		return wire.Answer{}, answerError(fn, answer.Err)
	}
	return answer, nil
}

// askUnlocked unlocks the session while it waits for earlier questions and then for the answer. asked is false when the session was sealed
// meanwhile, so that the question was not put.
func (h *handle) askUnlocked(s *Session, host Host, a *wire.Ask) (answer wire.Answer, asked bool) {
	s.busy++
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.busy--
	}()
	s.asking.Lock()
	defer s.asking.Unlock()
	s.mu.Lock()
	alive := s.serial == h.serial && s.alive()
	s.mu.Unlock()
	if !alive {
		return wire.Answer{}, false
	}
	return host.Ask(a), true
}

// answerError is the host's error as the plugin sees it.
func answerError(fn int, e *wire.Error) error {
	code, message := e.Code, e.Message
	if !slices.Contains([]string{pdk.ErrArg.Code, pdk.ErrPhase.Code, pdk.ErrData.Code, pdk.ErrHost.Code}, code) {
		switch code {
		case wire.CodeTooLarge:
			code = pdk.ErrData.Code
		default:
			code, message = pdk.ErrHost.Code, e.Code+": "+e.Message
		}
	}
	return &pdk.Error{Code: code, Function: pdk.Functions[fn].Name, Message: message}
}

// bytesOf gives the bytes of an answer.
func bytesOf(fn int, a wire.Answer) ([]byte, error) {
	if a.IsBytes || isNil(a.Value) {
		return a.Bytes, nil
	}
	v, err := wire.DecodeValue(a.Value)
	if err == nil {
		switch t := v.(type) {
		case string:
			return []byte(t), nil
		case []byte:
			return t, nil
		}
		err = fmt.Errorf("found %T, expected bytes", v)
	}
	return nil, strangeAnswer(fn, err)
}

// strangeAnswer is the error for an answer of the host that is not as it should be.
func strangeAnswer(fn int, err error) error {
	return &pdk.Error{Code: pdk.ErrHost.Code, Function: pdk.Functions[fn].Name, Message: "answer of the host: " + err.Error()}
}

// gone is the context of a handle whose handler has ended.
var gone = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

// Context implements pdk.Backend.
func (h *handle) Context() context.Context {
	s := h.session
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.serial != h.serial || s.state != open {
		return gone
	}
	if s.ctx == nil {
		deadline := s.deadline
		if deadline.IsZero() && s.call.TimeoutMS > 0 {
			deadline = time.Now().Add(time.Duration(s.call.TimeoutMS) * time.Millisecond)
		}
		if deadline.IsZero() {
			s.ctx, s.cancel = context.WithCancel(context.Background())
		} else {
			s.ctx, s.cancel = context.WithDeadline(context.Background(), deadline)
		}
	}
	return s.ctx
}

// Err implements pdk.Backend.
func (h *handle) Err() error {
	s := h.session
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.serial != h.serial || s.state == ended:
		return &pdk.Error{Code: pdk.ErrPhase.Code, Message: "the handler ended"}
	case s.failure != nil:
		return s.failure
	}
	return nil
}
