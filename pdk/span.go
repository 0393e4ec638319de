package pdk

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"sync"
	"time"
)

// Span is one piece of a handler's work, for tracing. Tracing.StartSpan makes it. Several goroutines may use it at once; a finished span
// ignores what is done to it, and so does a nil one.
type Span struct {
	mu     sync.Mutex
	record SpanRecord
}

// SpanRecord is what a span has recorded. Times are microseconds since the epoch.
type SpanRecord struct {
	Name       string
	Start, End int64 // End is 0 while the span is not finished
	Attributes map[string]any
	Events     []SpanEvent
	Status     string // SpanUnset, SpanOK or SpanError
	Message    string // of the status
}

// SpanEvent is something that happened at a time within a span.
type SpanEvent struct {
	Name       string
	Time       int64 // microseconds since the epoch
	Attributes map[string]any
}

// Statuses of a span.
const (
	SpanUnset = "unset"
	SpanOK    = "ok"
	SpanError = "error"
)

// NewSpan starts a span that belongs to nobody; what answers Tracing.StartSpan makes it so.
func NewSpan(name string, attributes map[string]any) *Span {
	return &Span{record: SpanRecord{Name: name, Start: time.Now().UnixMicro(), Attributes: plainMap(attributes), Status: SpanUnset}}
}

// SetAttribute sets one attribute. Values are those of Ctx.Shared; another one is kept as text.
func (s *Span) SetAttribute(key string, value any) {
	value = plain(value)
	s.change(func(r *SpanRecord) {
		if r.Attributes == nil {
			r.Attributes = map[string]any{}
		}
		r.Attributes[key] = value
	})
}

// AddEvent records that something happened now. The attributes may be nil.
func (s *Span) AddEvent(name string, attributes map[string]any) {
	copied := plainMap(attributes)
	s.change(func(r *SpanRecord) { r.addEvent(name, copied) })
}

// RecordError adds the event exception with the attribute exception.message and sets the status to error.
func (s *Span) RecordError(message string) {
	s.change(func(r *SpanRecord) {
		r.addEvent("exception", map[string]any{"exception.message": message})
		r.Status, r.Message = SpanError, message
	})
}

// SetStatus sets the status, SpanOK, SpanError or SpanUnset, which any other text counts as; the message may be empty.
func (s *Span) SetStatus(status, message string) {
	if status != SpanOK && status != SpanError {
		status = SpanUnset
	}
	s.change(func(r *SpanRecord) { r.Status, r.Message = status, message })
}

// Finish ends the span now.
func (s *Span) Finish() {
	s.change(func(r *SpanRecord) { r.End = max(r.Start, time.Now().UnixMicro()) })
}

// Finished reports whether the span has ended; a nil one has.
func (s *Span) Finished() bool {
	if s == nil {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.record.End != 0
}

// Record is a copy of what the span has recorded.
func (s *Span) Record() SpanRecord {
	if s == nil {
		return SpanRecord{Status: SpanUnset}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.record
	r.Attributes, r.Events = maps.Clone(r.Attributes), slices.Clone(r.Events)
	return r
}

func (s *Span) change(f func(*SpanRecord)) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.record.End == 0 {
		f(&s.record)
	}
}

func (r *SpanRecord) addEvent(name string, attributes map[string]any) {
	r.Events = append(r.Events, SpanEvent{Name: name, Time: time.Now().UnixMicro(), Attributes: attributes})
}

// maxSpanDepth is how deep an attribute may be nested; a deeper one is kept as text.
const maxSpanDepth = 32

// plainMap copies attributes; nil stays nil.
func plainMap(attributes map[string]any) map[string]any {
	if attributes == nil {
		return nil
	}
	out := make(map[string]any, len(attributes))
	for name, v := range attributes {
		out[name] = plain(v)
	}
	return out
}

// plain copies an attribute into the types that have a wire form; what has none becomes text.
func plain(v any) any {
	if out, ok := plainValue(reflect.ValueOf(v), 0); ok {
		return out
	}
	return fmt.Sprint(v)
}

func plainValue(v reflect.Value, depth int) (any, bool) {
	if depth > maxSpanDepth {
		return nil, false
	}
	switch v.Kind() {
	case reflect.Invalid:
		return nil, true
	case reflect.Bool:
		return v.Bool(), true
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return v.Int(), true
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return v.Uint(), true
	case reflect.Float32, reflect.Float64:
		return v.Float(), true
	case reflect.String:
		return v.String(), true
	case reflect.Interface, reflect.Pointer:
		if v.IsNil() {
			return nil, true
		}
		return plainValue(v.Elem(), depth+1)
	case reflect.Slice, reflect.Array:
		if v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Uint8 {
			return slices.Clone(v.Bytes()), true
		}
		list := make([]any, v.Len())
		for i := range list {
			var ok bool
			if list[i], ok = plainValue(v.Index(i), depth+1); !ok {
				return nil, false
			}
		}
		return list, true
	case reflect.Map:
		if v.Type().Key().Kind() != reflect.String {
			return nil, false
		}
		out := make(map[string]any, v.Len())
		for it := v.MapRange(); it.Next(); {
			item, ok := plainValue(it.Value(), depth+1)
			if !ok {
				return nil, false
			}
			out[it.Key().String()] = item
		}
		return out, true
	}
	return nil, false
}
