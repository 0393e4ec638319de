package pdk_test

import (
	"reflect"
	"testing"

	"github.com/outrigger-gateway/outrigger/pdk"
)

func TestSpanRecordsUntilItIsFinished(t *testing.T) {
	given := map[string]any{"a": 1}
	s := pdk.NewSpan("work", given)
	given["a"] = 2
	s.SetAttribute("b", "x")
	s.AddEvent("hit", map[string]any{"n": 1})
	s.RecordError("boom")
	if s.Finished() {
		t.Error("finished before Finish")
	}
	s.Finish()
	end := s.Record().End
	s.SetAttribute("late", true)
	s.AddEvent("late", nil)
	s.SetStatus(pdk.SpanOK, "")
	s.Finish()
	r := s.Record()
	if !s.Finished() || r.End != end || r.End < r.Start || r.Start == 0 {
		t.Errorf("times: %+v, the first end was %d", r, end)
	}
	if want := (map[string]any{"a": int64(1), "b": "x"}); !reflect.DeepEqual(r.Attributes, want) {
		t.Errorf("attributes %v; expected %v", r.Attributes, want)
	}
	if len(r.Events) != 2 || r.Events[0].Name != "hit" || r.Events[1].Attributes["exception.message"] != "boom" {
		t.Errorf("events %+v", r.Events)
	}
	if r.Status != pdk.SpanError || r.Message != "boom" {
		t.Errorf("status %s %q", r.Status, r.Message)
	}
}

func TestSpanStatus(t *testing.T) {
	s := pdk.NewSpan("work", nil)
	s.SetStatus(pdk.SpanOK, "fine")
	if r := s.Record(); r.Status != pdk.SpanOK || r.Message != "fine" {
		t.Errorf("status %s %q", r.Status, r.Message)
	}
	s.SetStatus("other", "")
	if r := s.Record(); r.Status != pdk.SpanUnset {
		t.Errorf("status %s; expected unset", r.Status)
	}
}

func TestNilSpanRecordsNothing(t *testing.T) {
	var s *pdk.Span
	s.SetAttribute("a", 1)
	s.AddEvent("e", nil)
	s.RecordError("x")
	s.SetStatus(pdk.SpanOK, "")
	s.Finish()
	if !s.Finished() || s.Record().Name != "" {
		t.Errorf("a nil span records %+v", s.Record())
	}
}
