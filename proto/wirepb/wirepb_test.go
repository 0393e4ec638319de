package wirepb_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/outrigger-gateway/outrigger/proto/gen/outrigger/plugin/v1"
	"github.com/outrigger-gateway/outrigger/proto/wire"
	"github.com/outrigger-gateway/outrigger/proto/wirepb"
)

// through sends a message over the wire of protobuf.
func through[M proto.Message](t *testing.T, in, out M) M {
	t.Helper()
	b, err := proto.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	if err := proto.Unmarshal(b, out); err != nil {
		t.Fatal(err)
	}
	return out
}

func equal(t *testing.T, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s:\ngot  %+v\nwant %+v", what, got, want)
	}
}

// TestVectorsMeanTheSame reads every golden frame of the msgpack carrier and wants the same message after a trip over protobuf.
func TestVectorsMeanTheSame(t *testing.T) {
	n := 0
	for _, name := range []string{"lane.json", "call.json", "outcome.json", "ask.json", "steps.json"} {
		b, err := os.ReadFile(filepath.Join("../vectors/wire", name))
		if err != nil {
			t.Fatal(err)
		}
		var file struct {
			Vectors []struct{ Name, From, Type, Hex string }
		}
		if err := json.Unmarshal(b, &file); err != nil {
			t.Fatal(err)
		}
		for _, v := range file.Vectors {
			if v.Type == "greeting" {
				continue
			}
			n++
			stream, err := hex.DecodeString(v.Hex)
			if err != nil {
				t.Fatal(err)
			}
			t.Run(v.Name, func(t *testing.T) { compare(t, v.From, stream) })
		}
	}
	if n < 25 {
		t.Errorf("only %d vectors", n)
	}
}

func compare(t *testing.T, from string, stream []byte) {
	r := wire.NewReader(bytes.NewReader(stream))
	slots, pbSlots := new(wire.SlotTable), new(wire.SlotTable)
	var bulk []byte
	for {
		f, body, err := r.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		body = bytes.Clone(body)
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		switch f.Type {
		case wire.TypeChunk:
			bulk = append(bulk, body...)
		case wire.TypeEntity:
			slot, e, err := wire.DecodeEntity(body)
			must(err)
			must(slots.Set(slot, e))
			slot2, e2, err := wirepb.EntityOf(through(t, wirepb.Entity(slot, e), new(pluginv1.Entity)))
			must(err)
			equal(t, "entity", []any{slot2, e2}, []any{slot, e})
			must(pbSlots.Set(slot2, e2))
		case wire.TypeCall:
			var want, got wire.Call
			must(wire.DecodeCall(body, bulk, slots, &want))
			m := wirepb.Call(&want, wire.Slots{Route: 0, Service: 1, Consumer: 2})
			for range 2 { // the second time into used memory
				must(wirepb.CallOf(through(t, m, new(pluginv1.Call)), bytes.Join(wire.AppendLargeOfCall(nil, &want), nil), pbSlots, &got))
				equal(t, "facts", clean(*got.Facts), clean(*want.Facts))
				facts := want
				facts.Facts = got.Facts
				equal(t, "call", got, facts)
			}
		case wire.TypeOutcome:
			var want, got wire.Outcome
			must(wire.DecodeOutcome(body, bulk, &want))
			must(wirepb.OutcomeOf(through(t, wirepb.Outcome(&want), new(pluginv1.Outcome)), bytes.Join(wire.AppendLargeOfOutcome(nil, &want), nil), &got))
			want.Ops, got.Ops = append([]wire.Op{}, want.Ops...), append([]wire.Op{}, got.Ops...)
			equal(t, "outcome", got, want)
		case wire.TypeAsk:
			want, err := wire.DecodeAsk(body)
			must(err)
			got, err := wirepb.AskOf(through(t, wirepb.Ask(&want), new(pluginv1.Ask)))
			must(err)
			equal(t, "ask", got, want)
		case wire.TypeAnswer:
			want, err := wire.DecodeAnswer(body, bulk)
			must(err)
			got, err := wirepb.AnswerOf(through(t, wirepb.Answer(&want), new(pluginv1.Answer)), nil)
			must(err)
			equal(t, "answer", got, want)
		case wire.TypeLog:
			want, err := wire.DecodeLog(body)
			must(err)
			equal(t, "log", wirepb.LogOf(through(t, wirepb.Log(&want), new(pluginv1.Log))), want)
		case wire.TypeGoAway:
			want, err := wire.DecodeGoAway(body)
			must(err)
			equal(t, "goaway", wirepb.GoAwayOf(through(t, wirepb.GoAway(&want), new(pluginv1.GoAway))), want)
		case wire.TypeHello:
			if from == "host" {
				want, err := wire.DecodeHostHello(body)
				must(err)
				equal(t, "hello", wirepb.HostHelloOf(through(t, wirepb.HostHello(&want), new(pluginv1.HostHello))), want)
				continue
			}
			want, err := wire.DecodeServerHello(body)
			must(err)
			equal(t, "hello", wirepb.ServerHelloOf(through(t, wirepb.ServerHello(&want), new(pluginv1.ServerHello))), want)
		}
	}
}

// clean makes empty and nil slices the same.
func clean(f wire.Facts) wire.Facts {
	for _, hs := range []*[]wire.Header{&f.Request.Headers, &f.Captures.Named, &f.Response.Headers, &f.ServiceResponse.Headers} {
		*hs = append([]wire.Header{}, *hs...)
	}
	f.Captures.Unnamed = append([]string{}, f.Captures.Unnamed...)
	f.Shared = append([]wire.SharedValue{}, f.Shared...)
	return f
}

func TestLargeBodiesGoAhead(t *testing.T) {
	big := bytes.Repeat([]byte("x"), wire.ChunkSize+1)
	o := &wire.Outcome{Ops: []wire.Op{{Code: wire.OpResponseSetRawBody, Body: big, HasBody: true}}, Body: big, HasBody: true}
	m := wirepb.Outcome(o)
	if n := proto.Size(m); n > 100 {
		t.Errorf("the message has %d bytes", n)
	}
	var got wire.Outcome
	if err := wirepb.OutcomeOf(m, append(append([]byte{}, big...), big...), &got); err != nil || len(got.Ops[0].Body) != len(big) || len(got.Body) != len(big) {
		t.Errorf("got %v", err)
	}
}

func TestBadMessagesAreRefused(t *testing.T) {
	blob := &pluginv1.Blob{Content: &pluginv1.Blob_Chunked{Chunked: 5}}
	var o wire.Outcome
	var c wire.Call
	slot := uint32(9)
	for name, err := range map[string]error{
		"chunks that never came": wirepb.OutcomeOf(&pluginv1.Outcome{Body: blob}, []byte("1234"), &o),
		"chunks nobody names":    wirepb.OutcomeOf(&pluginv1.Outcome{}, []byte("1"), &o),
		"operation code 0":       wirepb.OutcomeOf(&pluginv1.Outcome{Operations: []*pluginv1.Operation{{}}}, nil, &o),
		"too many operations":    wirepb.OutcomeOf(&pluginv1.Outcome{Operations: make([]*pluginv1.Operation, wire.MaxOps+1)}, nil, &o),
		"too many values":        wirepb.OutcomeOf(&pluginv1.Outcome{Operations: []*pluginv1.Operation{{Code: 1, Values: make([][]byte, wire.MaxItems)}}}, nil, &o),
		"too many headers":       wirepb.OutcomeOf(&pluginv1.Outcome{Operations: []*pluginv1.Operation{{Code: 25, Headers: make([]*pluginv1.Header, wire.MaxItems/2)}}}, nil, &o),
		"value is no value":      wirepb.OutcomeOf(&pluginv1.Outcome{Operations: []*pluginv1.Operation{{Code: 50, Value: []byte{0xc1}}}}, nil, &o),
		"consumer is no map":     wirepb.OutcomeOf(&pluginv1.Outcome{Operations: []*pluginv1.Operation{{Code: 40, Value: []byte{0x01}}}}, nil, &o),
		"slot never set":         wirepb.CallOf(&pluginv1.Call{Route: &slot}, nil, nil, &c),
		"shared value":           wirepb.CallOf(&pluginv1.Call{Shared: []*pluginv1.KeyValue{{Key: "k", Value: []byte{0x92}}}}, nil, nil, &c),
		"phase":                  wirepb.CallOf(&pluginv1.Call{Phase: 300}, nil, nil, &c),
	} {
		var bad *wire.FormatError
		if !errors.As(err, &bad) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if _, err := wirepb.AskOf(&pluginv1.Ask{Args: [][]byte{{0xdc}}}); err == nil {
		t.Error("ask: no error")
	}
	if _, err := wirepb.AskOf(&pluginv1.Ask{Args: make([][]byte, wire.MaxItems+1)}); err == nil {
		t.Error("ask of many arguments: no error")
	}
	if _, _, err := wirepb.EntityOf(&pluginv1.Entity{Slot: 4096, Document: []byte{0x80}}); err == nil {
		t.Error("entity: no error")
	}
	if _, err := wirepb.AnswerOf(&pluginv1.Answer{Value: []byte{0xc1}}, nil); err == nil {
		t.Error("answer: no error")
	}
}

// TestErrorMakesAFailedOutcome: who says "done" and gives an error must not be let through.
func TestErrorMakesAFailedOutcome(t *testing.T) {
	var o wire.Outcome
	m := &pluginv1.Outcome{Error: &pluginv1.Error{Code: "handler_error"}, Operations: []*pluginv1.Operation{{Code: 8}}, Body: &pluginv1.Blob{}}
	if err := wirepb.OutcomeOf(m, nil, &o); err != nil || o.Err == nil || len(o.Ops) != 0 || o.HasBody {
		t.Errorf("got %+v, %v", o, err)
	}
}

// TestTextThatIsNotUTF8 must not break the stream: protobuf refuses to marshal such strings.
func TestTextThatIsNotUTF8(t *testing.T) {
	c := &wire.Call{Facts: &wire.Facts{
		Request: wire.Request{Method: "G\xff", Host: "h\xff", Headers: []wire.Header{{Name: "X-\xff", Value: "\xff"}}},
		Shared:  []wire.SharedValue{{Key: "k\xff", Value: []byte{0xc0}}},
	}}
	m := through(t, wirepb.Call(c, wire.Slots{}), new(pluginv1.Call))
	if h := m.Request.Headers[0]; h.Name != "x-\uFFFD" || string(h.Value) != "\xff" || m.Shared[0].Key != "k\uFFFD" {
		t.Errorf("got %v", m)
	}
	o := through(t, wirepb.Outcome(&wire.Outcome{Err: &wire.Error{Code: "handler_error", Message: "bad \xff byte"}}), new(pluginv1.Outcome))
	if !strings.Contains(o.Error.Message, "bad \uFFFD byte") {
		t.Errorf("got %q", o.Error.Message)
	}
}

func TestBodyFilterTravelsAlone(t *testing.T) {
	for phase, good := range map[uint8]bool{wire.PhaseBodyFilter - 1: true, wire.PhaseBodyFilter: false} {
		m := through(t, wirepb.Call(&wire.Call{Phase: phase, Facts: &wire.Facts{}, Rest: []wire.Step{{Instance: 2}}}, wire.Slots{}), new(pluginv1.Call))
		if err := wirepb.CallOf(m, nil, new(wire.SlotTable), new(wire.Call)); (err == nil) != good {
			t.Errorf("steps of phase %d: %v", phase, err)
		}
	}
}
