package replay

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/outrigger-gateway/outrigger/host/internal/blackbox"
	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// answers answers the questions of the handler from the recording. It is used on one goroutine.
type answers struct {
	asks   []blackbox.Ask
	used   []bool
	full   int // questions that the recording left out
	bodies [][]byte
	report *Report
}

// Answer implements wire.Asker.
func (s *answers) Answer(a *wire.Ask) wire.Answer {
	asked := blackbox.AskOf(a)
	i := s.find(&asked)
	if i < 0 {
		why := "which the recording does not have"
		if s.full > 0 {
			why = fmt.Sprintf("which is not among the questions of the recording: its transcript was full, %d are left out", s.full)
		}
		s.report.ask(&asked, "no answer", true)
		s.report.note(fmt.Sprintf("the handler asked for %s, %s: it got an error", short(&asked), why))
		return refusal("the recording has no answer to this question")
	}
	s.used[i] = true
	recorded := &s.asks[i]
	answer, said, err := s.answer(recorded)
	if err != nil {
		s.report.ask(&asked, "no answer", true)
		s.report.note(fmt.Sprintf("the handler asked for %s: %v", short(&asked), err))
		return refusal(err.Error())
	}
	s.report.ask(&asked, said, false)
	return answer
}

func refusal(message string) wire.Answer {
	return wire.Answer{Err: &wire.Error{Code: wire.CodeHostError, Message: message}}
}

// find is the place of a question in the recording: the first that was not asked yet, else one that was; -1: none. A secret argument is only known
// by the question.
func (s *answers) find(a *blackbox.Ask) int {
	again, loose := -1, -1
	wanted := argsOf(a)
	for i := range s.asks {
		recorded := &s.asks[i]
		if recorded.Number != a.Number {
			continue
		}
		args := argsOf(recorded)
		switch {
		case args == wanted && !s.used[i]:
			return i
		case args == wanted:
			again = i
		case loose < 0 && !s.used[i] && strings.Contains(args, "<redacted "):
			loose = i
		}
	}
	if again >= 0 {
		return again
	}
	return loose
}

func argsOf(a *blackbox.Ask) string {
	if len(a.Args) == 0 {
		return "[]"
	}
	return text(a.Args)
}

// text is a value as JSON, with its marks of secrets as they are.
func text(v any) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return err.Error()
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func short(a *blackbox.Ask) string {
	if len(a.Args) == 0 {
		return a.Function
	}
	return a.Function + clip(argsOf(a))
}

// answer is a recorded answer, and how it is shown.
func (s *answers) answer(a *blackbox.Ask) (answer wire.Answer, said string, err error) {
	switch {
	case a.Error != nil:
		return wire.Answer{Err: &wire.Error{Code: a.Error.Code, Message: a.Error.Message}}, a.Error.Code + ": " + a.Error.Message, nil
	case a.Bytes != nil:
		body, ok := a.Bytes.Bytes()
		if !ok {
			if body, ok = s.given(a.Bytes, wire.AskFn(a.Number) == pdk.AskRequestGetRawBody); !ok {
				return wire.Answer{}, "", fmt.Errorf("the recording leaves this body out (%d bytes): give it with --body FILE, or record with black_box_bodies: on", a.Bytes.Size)
			}
		}
		return wire.Answer{Bytes: body, IsBytes: true}, fmt.Sprintf("%d bytes", len(body)), nil
	case a.Value != nil:
		raw, err := a.Value.Raw()
		if err != nil {
			return wire.Answer{}, "", fmt.Errorf("the recorded answer cannot be sent: %w", err)
		}
		return wire.Answer{Value: raw}, clip(text(a.Value)), nil
	}
	return wire.Answer{}, "nothing", nil
}

// given is the body that the caller gives for one that is left out: the one with its sum, else, of a request, the first.
func (s *answers) given(b *blackbox.Body, ofRequest bool) (body []byte, ok bool) {
	for _, body := range s.bodies {
		if b.Fits(body) {
			return body, true
		}
	}
	if !ofRequest || len(s.bodies) == 0 {
		return nil, false
	}
	s.report.note(fmt.Sprintf("the body given with --body is not the recorded one (%d bytes, expected %d with SHA-256 %s)", len(s.bodies[0]), b.Size, b.SHA256))
	return s.bodies[0], true
}

// fill puts the bodies that the caller gives into the call, and tells of those that are missing.
func (s *answers) fill(call *wire.Call, recorded *blackbox.Call, missing []string) {
	for _, place := range missing {
		body, into, ofRequest := recorded.Chunk, &call.Chunk, false
		switch place {
		case "request_body":
			body, into, ofRequest = recorded.RequestBody, &call.RequestBody, true
		case "response_body":
			body, into = recorded.ResponseBody, &call.ResponseBody
		}
		if given, ok := s.given(body, ofRequest); ok {
			*into = given
			continue
		}
		s.report.note(fmt.Sprintf("the recording leaves out call.%s: %d zero bytes stand for it; give it with --body FILE, or record with black_box_bodies: on", place, body.Size))
	}
}
