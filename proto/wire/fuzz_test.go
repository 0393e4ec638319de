package wire_test

import (
	"bytes"
	"reflect"
	"testing"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// What decodes must encode to something that decodes to the same: no decoder may build a message that this package cannot write.

func FuzzDecodeCall(f *testing.F) {
	for _, c := range []*wire.Call{minimalCall(), fullCall(), typicalCall(), prefetchedCall(), steppedCall()} {
		body, bulk, _ := encodeCall(c)
		f.Add(body, bulk)
	}
	big := minimalCall()
	big.RequestBody, big.HasRequestBody = large(40_000), true
	body, bulk, slots := encodeCall(big)
	f.Add(body, bulk)
	for i := range uint16(3) {
		if err := slots.Set(i, &wire.Entity{Doc: []byte{0x80}}); err != nil {
			f.Fatal(err)
		}
	}
	f.Fuzz(func(t *testing.T, body, bulk []byte) {
		var c wire.Call
		if wire.DecodeCall(body, bulk, slots, &c) != nil {
			return
		}
		again, bulk2, slots2 := encodeCall(&c)
		var c2 wire.Call
		if err := wire.DecodeCall(again, bulk2, slots2, &c2); err != nil {
			t.Fatalf("%v\n%x\n%x", err, body, again)
		}
		if third, _, _ := encodeCall(&c2); !bytes.Equal(again, third) {
			t.Fatalf("%x\n%x", again, third)
		}
	})
}

func FuzzDecodeOutcome(f *testing.F) {
	for _, o := range []*wire.Outcome{{}, typicalOutcome(), everyOp(), {Err: &wire.Error{Code: "handler_error"}, Unused: 3}, {Unused: 1 << 31}, {Body: large(40_000), HasBody: true}} {
		f.Add(wire.AppendOutcome(nil, o), bytes.Join(wire.AppendLargeOfOutcome(nil, o), nil))
	}
	f.Fuzz(func(t *testing.T, body, bulk []byte) {
		var o, o2 wire.Outcome
		if wire.DecodeOutcome(body, bulk, &o) != nil {
			return
		}
		again := wire.AppendOutcome(nil, &o)
		if err := wire.DecodeOutcome(again, bytes.Join(wire.AppendLargeOfOutcome(nil, &o), nil), &o2); err != nil {
			t.Fatalf("%v\n%x\n%x", err, body, again)
		}
		if third := wire.AppendOutcome(nil, &o2); !bytes.Equal(again, third) {
			t.Fatalf("%x\n%x", again, third)
		}
	})
}

func FuzzDecodeControl(f *testing.F) {
	f.Add(wire.AppendHostHello(nil, &wire.HostHello{TrustedCIDRs: []string{"::/0"}}))
	f.Add(wire.AppendServerHello(nil, &wire.ServerHello{SDKLanguage: "go"}))
	f.Add(wire.AppendAsk(nil, &wire.Ask{Fn: 4, Args: [][]byte{value("alice"), value(true)}}))
	f.Add(wire.AppendAnswer(nil, &wire.Answer{Err: &wire.Error{Code: "host_error"}}))
	f.Add(wire.AppendAnswer(nil, &wire.Answer{Bytes: []byte("b"), IsBytes: true}))
	f.Add(wire.AppendLog(nil, &wire.LogLine{Level: 1, Message: "m"}))
	f.Add(wire.AppendGoAway(nil, &wire.GoAway{Code: "bad_frame"}))
	f.Add(wire.AppendEntity(nil, 7, entity(map[string]any{"id": "x"})))
	f.Fuzz(func(t *testing.T, body []byte) {
		if h, err := wire.DecodeHostHello(body); err == nil {
			if h2, err := wire.DecodeHostHello(wire.AppendHostHello(nil, &h)); err != nil || len(h2.TrustedCIDRs) != len(h.TrustedCIDRs) {
				t.Fatal(h, h2, err)
			}
		}
		if h, err := wire.DecodeServerHello(body); err == nil {
			if h2, err := wire.DecodeServerHello(wire.AppendServerHello(nil, &h)); err != nil || h2 != h {
				t.Fatal(h, h2, err)
			}
		}
		if a, err := wire.DecodeAsk(body); err == nil {
			if a2, err := wire.DecodeAsk(wire.AppendAsk(nil, &a)); err != nil || !reflect.DeepEqual(a, a2) {
				t.Fatal(a, a2, err)
			}
		}
		if a, err := wire.DecodeAnswer(body, nil); err == nil && a.Err == nil && len(a.Bytes) <= wire.ChunkSize {
			if a2, err := wire.DecodeAnswer(wire.AppendAnswer(nil, &a), nil); err != nil || !reflect.DeepEqual(a, a2) {
				t.Fatal(a, a2, err)
			}
		}
		if l, err := wire.DecodeLog(body); err == nil {
			if l2, err := wire.DecodeLog(wire.AppendLog(nil, &l)); err != nil || l != l2 {
				t.Fatal(l, l2, err)
			}
		}
		if g, err := wire.DecodeGoAway(body); err == nil {
			if g2, err := wire.DecodeGoAway(wire.AppendGoAway(nil, &g)); err != nil || g != g2 {
				t.Fatal(g, g2, err)
			}
		}
		if slot, e, err := wire.DecodeEntity(body); err == nil {
			if slot2, e2, err := wire.DecodeEntity(wire.AppendEntity(nil, slot, e)); err != nil || slot != slot2 || e.ID != e2.ID {
				t.Fatal(e, e2, err)
			}
		}
	})
}

func FuzzDecodeValue(f *testing.F) {
	for _, v := range []any{nil, true, int64(-5), uint64(1 << 63), 1.5, "s", []byte("b"), []any{nil, "x"}, map[string]any{"a": []any{}}} {
		f.Add(value(v))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := wire.DecodeValue(b)
		if err != nil {
			return
		}
		again, err := wire.AppendValue(nil, v)
		if err != nil {
			t.Fatalf("%x: %v", b, err)
		}
		if err := wire.CheckValue(again); err != nil {
			t.Fatalf("%x: %v", again, err)
		}
		var other any
		if err := msgpack.Unmarshal(again, &other); err != nil {
			t.Fatalf("%x: another reader: %v", again, err)
		}
	})
}

func FuzzReader(f *testing.F) {
	f.Add(wire.AppendFrame(wire.AppendFrame(nil, 1, wire.TypeLog, []byte("abc")), 2, wire.TypeChunk, large(100)), uint8(1))
	f.Add([]byte("HTTP/1.1 200 OK\r\n\r\n"), uint8(3))
	f.Fuzz(func(t *testing.T, stream []byte, n uint8) {
		whole, cut := wire.NewReader(bytes.NewReader(stream)), wire.NewReader(&pieces{b: stream, n: int(n) + 1})
		for {
			f1, b1, err1 := whole.Next()
			f2, b2, err2 := cut.Next()
			if f1 != f2 || !bytes.Equal(b1, b2) || (err1 == nil) != (err2 == nil) {
				t.Fatalf("%+v %x %v\n%+v %x %v", f1, b1, err1, f2, b2, err2)
			}
			if err1 != nil {
				return
			}
		}
	})
}
