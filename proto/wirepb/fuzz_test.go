package wirepb_test

import (
	"bytes"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/outrigger-gateway/outrigger/proto/gen/outrigger/plugin/v1"
	"github.com/outrigger-gateway/outrigger/proto/wire"
	"github.com/outrigger-gateway/outrigger/proto/wirepb"
)

// What is read must be written as something that reads the same.

// seeds adds the golden messages of one side, each with the chunks that came ahead of it.
func seeds(f *testing.F, from string) {
	f.Helper()
	for _, v := range readVectors(f, "grpc.json") {
		if v.From != from {
			continue
		}
		var bulk []byte
		for _, text := range v.Messages {
			b := unhex(f, text)
			var m pluginv1.DispatchRequest // both sides have their chunks under the same number
			if err := proto.Unmarshal(b, &m); err == nil && m.GetChunk() != nil {
				bulk = append(bulk, m.GetChunk()...)
				continue
			}
			f.Add(b, bulk)
		}
	}
}

func marshal(t *testing.T, m proto.Message) []byte {
	t.Helper()
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		t.Fatalf("%v: %v", err, m)
	}
	return b
}

// FuzzRequest reads what a host may send.
func FuzzRequest(f *testing.F) {
	seeds(f, "host")
	slots := new(wire.SlotTable)
	for i := range uint16(3) {
		if err := slots.Set(i, &wire.Entity{Doc: []byte{0x80}}); err != nil {
			f.Fatal(err)
		}
	}
	f.Fuzz(func(t *testing.T, b, bulk []byte) {
		var m pluginv1.DispatchRequest
		if proto.Unmarshal(b, &m) != nil {
			return
		}
		switch m := m.Message.(type) {
		case *pluginv1.DispatchRequest_Call:
			var c, c2 wire.Call
			if wirepb.CallOf(m.Call, bulk, slots, &c) != nil {
				return
			}
			again := wirepb.Call(&c, wire.Slots{Route: 0, Service: 1, Consumer: 2})
			large := bytes.Join(wire.AppendLargeOfCall(nil, &c), nil)
			if err := wirepb.CallOf(through(t, again, new(pluginv1.Call)), large, slots, &c2); err != nil {
				t.Fatalf("%v\n%v", err, again)
			}
			if third := wirepb.Call(&c2, wire.Slots{Route: 0, Service: 1, Consumer: 2}); !bytes.Equal(marshal(t, again), marshal(t, third)) {
				t.Fatalf("%v\n%v", again, third)
			}
		case *pluginv1.DispatchRequest_Answer:
			a, err := wirepb.AnswerOf(m.Answer, bulk)
			if err != nil || len(a.Bytes) > wire.ChunkSize {
				return
			}
			a2, err := wirepb.AnswerOf(through(t, wirepb.Answer(&a), new(pluginv1.Answer)), nil)
			if err != nil || (a.Err == nil && !bytes.Equal(a.Bytes, a2.Bytes)) || (a.Err == nil) != (a2.Err == nil) {
				t.Fatal(a, a2, err)
			}
		case *pluginv1.DispatchRequest_Entity:
			slot, e, err := wirepb.EntityOf(m.Entity)
			if err != nil {
				return
			}
			if slot2, e2, err := wirepb.EntityOf(through(t, wirepb.Entity(slot, e), new(pluginv1.Entity))); err != nil || slot != slot2 || !bytes.Equal(e.Doc, e2.Doc) {
				t.Fatal(slot, slot2, e, e2, err)
			}
		case *pluginv1.DispatchRequest_Hello:
			h := wirepb.HostHelloOf(m.Hello)
			equal(t, "hello", wirepb.HostHelloOf(through(t, wirepb.HostHello(&h), new(pluginv1.HostHello))), h)
		}
	})
}

// FuzzResponse reads what a server may send.
func FuzzResponse(f *testing.F) {
	seeds(f, "server")
	f.Fuzz(func(t *testing.T, b, bulk []byte) {
		var m pluginv1.DispatchResponse
		if proto.Unmarshal(b, &m) != nil {
			return
		}
		switch m := m.Message.(type) {
		case *pluginv1.DispatchResponse_Outcome:
			var o, o2 wire.Outcome
			if wirepb.OutcomeOf(m.Outcome, bulk, &o) != nil {
				return
			}
			again := wirepb.Outcome(&o)
			large := bytes.Join(wire.AppendLargeOfOutcome(nil, &o), nil)
			if err := wirepb.OutcomeOf(through(t, again, new(pluginv1.Outcome)), large, &o2); err != nil {
				t.Fatalf("%v\n%v", err, again)
			}
			if third := wirepb.Outcome(&o2); !bytes.Equal(marshal(t, again), marshal(t, third)) {
				t.Fatalf("%v\n%v", again, third)
			}
		case *pluginv1.DispatchResponse_Ask:
			a, err := wirepb.AskOf(m.Ask)
			if err != nil {
				return
			}
			a2, err := wirepb.AskOf(through(t, wirepb.Ask(&a), new(pluginv1.Ask)))
			if err != nil || a.Fn != a2.Fn || len(a.Args) != len(a2.Args) {
				t.Fatal(a, a2, err)
			}
		case *pluginv1.DispatchResponse_Log:
			l := wirepb.LogOf(m.Log)
			equal(t, "log", wirepb.LogOf(through(t, wirepb.Log(&l), new(pluginv1.Log))), l)
		case *pluginv1.DispatchResponse_Goaway:
			g := wirepb.GoAwayOf(m.Goaway)
			equal(t, "goaway", wirepb.GoAwayOf(through(t, wirepb.GoAway(&g), new(pluginv1.GoAway))), g)
		case *pluginv1.DispatchResponse_Hello:
			h := wirepb.ServerHelloOf(m.Hello)
			equal(t, "hello", wirepb.ServerHelloOf(through(t, wirepb.ServerHello(&h), new(pluginv1.ServerHello))), h)
		}
	})
}
