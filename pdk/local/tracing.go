package local

import (
	"fmt"
	"slices"

	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// maxSpans bounds the spans of a handler, and as many are in a log entry. tooManySpans is the log line for the first one more.
const (
	maxSpans     = 1024
	tooManySpans = "tracing.start_span: the handler has started 1024 spans; further ones record nothing"
)

// span is a span of the handler. Its number is its place in the session's list, from 1.
type span struct {
	span   *pdk.Span
	parent int // number of the span around it; 0: none
}

// innermost is the number of the span that was started last and is not finished; 0 when there is none.
func (s *Session) innermost() int {
	for i := len(s.spans); i > 0; i-- {
		if !s.spans[i-1].span.Finished() {
			return i
		}
	}
	return 0
}

// TracingStartSpan implements pdk.Backend.
func (h *handle) TracingStartSpan(name string, attributes map[string]any) *pdk.Span {
	s, err := h.begin(pdk.FnTracingStartSpan)
	if err != nil {
		return nil
	}
	s.mu.Unlock()
	started := pdk.NewSpan(name, attributes) // unlocked: an attribute's String method may use the PDK
	if s, err = h.begin(pdk.FnTracingStartSpan); err != nil {
		return nil
	}
	defer s.mu.Unlock()
	if len(s.spans) == maxSpans {
		s.refuseSpan()
		return nil
	}
	s.spans = append(s.spans, span{started, s.innermost()})
	return started
}

// refuseSpan says once that there are too many spans. The session is locked.
func (s *Session) refuseSpan() {
	if !s.spansRefused && s.node.level() <= levelWarn {
		s.host.Log(levelWarn, tooManySpans)
	}
	s.spansRefused = true
}

// TracingActiveSpan implements pdk.Backend.
func (h *handle) TracingActiveSpan() *pdk.Span {
	s := h.read(pdk.FnTracingActiveSpan)
	if s == nil {
		return nil
	}
	defer s.mu.Unlock()
	if i := s.innermost(); i > 0 {
		return s.spans[i-1].span
	}
	return nil
}

// TracingGetTraceparent implements pdk.Backend.
func (h *handle) TracingGetTraceparent() (string, bool) {
	s := h.read(pdk.FnTracingGetTraceparent)
	if s == nil {
		return "", false
	}
	defer s.mu.Unlock()
	return s.facts.Trace.Parent, s.facts.Trace.Parent != ""
}

// TracingGetTracestate implements pdk.Backend.
func (h *handle) TracingGetTracestate() (string, bool) {
	s := h.read(pdk.FnTracingGetTracestate)
	if s == nil {
		return "", false
	}
	defer s.mu.Unlock()
	return s.facts.Trace.State, s.facts.Trace.State != ""
}

// endSpans finishes the spans and puts their operations behind the others, before an exit. The session is locked.
func (s *Session) endSpans() {
	if len(s.spans) == 0 {
		return
	}
	at := len(s.ops)
	if last := at - 1; last >= 0 && (s.ops[last].Code == wire.OpResponseExit || s.ops[last].Code == wire.OpResponseError) {
		at = last
	}
	ops := make([]wire.Op, 0, len(s.spans))
	for i, sp := range s.spans {
		sp.span.Finish()
		ops = append(ops, SpanOp(i+1, sp.parent, sp.span.Record()))
	}
	s.ops = slices.Insert(s.ops, at, ops...)
}

// SpanOp is the operation tracing.start_span of a finished span. Numbers count the spans of a handler from 1; parent 0 is none.
func SpanOp(number, parent int, r pdk.SpanRecord) wire.Op {
	events := make([]any, len(r.Events))
	for i, e := range r.Events {
		events[i] = []any{e.Name, e.Time, encodable(e.Attributes)}
	}
	return wire.Op{Code: wire.OpTracingStartSpan, Value: encodeArguments(map[string]any{
		"id": number, "parent": parent, "name": r.Name, "start": r.Start, "end": r.End,
		"attributes": encodable(r.Attributes), "events": events, "status": r.Status, "message": r.Message,
	})}
}

// encodable gives attributes as package pdk keeps them, in types that have a wire form.
func encodable(attributes map[string]any) map[string]any {
	if attributes == nil {
		return map[string]any{}
	}
	return attributes
}

// SpanOf reads the operation tracing.start_span.
func SpanOf(op *wire.Op) (number, parent int, r pdk.SpanRecord, err error) {
	a := argumentsOf(op, 1)
	m := a.mapping(0)
	if a.err != nil {
		return 0, 0, r, a.err
	}
	number, parent = int(integer(m["id"])), int(integer(m["parent"]))
	attributes, _ := m["attributes"].(map[string]any)
	r = pdk.SpanRecord{
		Name: text(m["name"]), Start: integer(m["start"]), End: integer(m["end"]), Attributes: attributes, Status: text(m["status"]), Message: text(m["message"]),
	}
	events, _ := m["events"].([]any)
	for _, item := range events {
		e, _ := item.([]any)
		if len(e) != 3 {
			return 0, 0, r, fmt.Errorf("an event %v; expected name, time and attributes", item)
		}
		attributes, _ := e[2].(map[string]any)
		r.Events = append(r.Events, pdk.SpanEvent{Name: text(e[0]), Time: integer(e[1]), Attributes: attributes})
	}
	switch {
	case number < 1 || parent < 0 || parent >= number:
		err = fmt.Errorf("span %d inside span %d; expected numbers from 1, and a parent before its children", number, parent)
	case r.Start <= 0 || r.End < r.Start:
		err = fmt.Errorf("span %q runs from %d to %d", r.Name, r.Start, r.End)
	case r.Status != pdk.SpanUnset && r.Status != pdk.SpanOK && r.Status != pdk.SpanError:
		err = fmt.Errorf("span %q has the status %q; expected %s, %s or %s", r.Name, r.Status, pdk.SpanUnset, pdk.SpanOK, pdk.SpanError)
	}
	return number, parent, r, err
}
