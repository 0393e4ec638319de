package wire_test

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// encodeCall encodes c as a lane would: entities into slots 0, 1, 2, large bodies into bulk.
func encodeCall(c *wire.Call) (body, bulk []byte, slots *wire.SlotTable) {
	slots = new(wire.SlotTable)
	for i, e := range []*wire.Entity{c.Route, c.Service, c.Consumer} {
		if e != nil {
			if err := slots.Set(uint16(i), e); err != nil {
				panic(err)
			}
		}
	}
	body = wire.AppendCall(nil, c, wire.Slots{Route: 0, Service: 1, Consumer: 2})
	return body, bytes.Join(wire.AppendLargeOfCall(nil, c), nil), slots
}

func TestCallRoundTrip(t *testing.T) {
	big := fullCall()
	big.Chunk, big.RequestBody, big.ResponseBody = large(wire.ChunkSize), large(wire.ChunkSize+1), large(300_000)
	for name, c := range map[string]*wire.Call{"minimal": minimalCall(), "full": fullCall(), "large": big} {
		t.Run(name, func(t *testing.T) {
			body, bulk, slots := encodeCall(c)
			var got wire.Call
			for range 2 { // the second time into used memory
				if err := wire.DecodeCall(body, bulk, slots, &got); err != nil {
					t.Fatal(err)
				}
				wantEqual(t, normalCall(&got), normalCall(c))
			}
		})
	}
}

// normalCall makes empty and nil slices the same.
func normalCall(c *wire.Call) wire.Call {
	n, f := *c, *c.Facts
	n.Facts = &f
	for _, hs := range []*[]wire.Header{&f.Request.Headers, &f.Captures.Named, &f.Response.Headers, &f.ServiceResponse.Headers} {
		*hs = append([]wire.Header{}, *hs...)
	}
	f.Captures.Unnamed = append([]string{}, f.Captures.Unnamed...)
	f.Shared = append([]wire.SharedValue{}, f.Shared...)
	f.Groups = append([]wire.Group{}, f.Groups...)
	n.Plugin = append([]wire.SharedValue{}, n.Plugin...)
	n.Prefetched = append([]wire.Prefetched{}, n.Prefetched...)
	n.Rest = append([]wire.Step{}, n.Rest...)
	return n
}

func wantEqual(t *testing.T, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestLowerCaseOfAnyBytes(t *testing.T) {
	all := make([]byte, 0, 512)
	for c := range 256 {
		all = append(all, byte(c), 'Z')
	}
	for n := 0; n <= len(all); n++ {
		for _, name := range []string{string(all[:n]), string(all[len(all)-n:])} {
			want := []byte(name)
			for i, c := range want {
				if c >= 'A' && c <= 'Z' {
					want[i] = c + 'a' - 'A'
				}
			}
			c := &wire.Call{Facts: &wire.Facts{}}
			c.Request.Headers = []wire.Header{{Name: name, Value: name}}
			var got wire.Call
			if err := wire.DecodeCall(wire.AppendCall(nil, c, wire.Slots{}), nil, nil, &got); err != nil {
				t.Fatal(err)
			}
			if h := got.Request.Headers[0]; h.Name != string(want) || h.Value != name {
				t.Fatalf("%d bytes: %q became %q with the value %q", n, name, h.Name, h.Value)
			}
		}
	}
}

func TestCallHeaderNamesAreLowerCased(t *testing.T) {
	c := minimalCall()
	c.Request.Headers = []wire.Header{{Name: "X-ÄÖ-Mixed_1", Value: "Kept As Is"}}
	body, bulk, slots := encodeCall(c)
	var got wire.Call
	if err := wire.DecodeCall(body, bulk, slots, &got); err != nil {
		t.Fatal(err)
	}
	wantEqual(t, got.Request.Headers, []wire.Header{{Name: "x-ÄÖ-mixed_1", Value: "Kept As Is"}})
	if c.Request.Headers[0].Name != "X-ÄÖ-Mixed_1" {
		t.Error("encoding changed the call")
	}
}

func TestCallWithUnsetSlotIsRefused(t *testing.T) {
	body, bulk, _ := encodeCall(fullCall())
	var got wire.Call
	err := wire.DecodeCall(body, bulk, new(wire.SlotTable), &got)
	if err == nil || !strings.Contains(err.Error(), "slot 0 was never set") {
		t.Errorf("got %v", err)
	}
}

func TestServiceResponseHeadersTravelOnce(t *testing.T) {
	c := fullCall()
	c.ServiceResponse.Headers = c.Response.Headers
	once := wire.AppendCall(nil, c, wire.Slots{})
	c.ServiceResponse.Headers = append([]wire.Header{{Name: "x-other", Value: ""}}, c.Response.Headers...)
	twice := wire.AppendCall(nil, c, wire.Slots{})
	if len(once)+40 > len(twice) {
		t.Errorf("%d bytes with equal headers, %d with others", len(once), len(twice))
	}
}

func TestOutcomeRoundTrip(t *testing.T) {
	big := everyOp()
	exit := slices.IndexFunc(big.Ops, func(op wire.Op) bool { return op.Code == wire.OpResponseExit })
	big.Ops[7].Body, big.Ops[14].Body, big.Ops[exit].Body = large(100_000), large(40_000), large(33_000)
	big.Body, big.HasBody = large(70_000), true
	for name, o := range map[string]*wire.Outcome{
		"done":      {},
		"unchanged": {Ops: []wire.Op{}},
		"dropped":   {Body: []byte{}, HasBody: true},
		"typical":   typicalOutcome(),
		"every op":  everyOp(),
		"large":     big,
		"failed":    {Err: &wire.Error{Code: wire.CodeHandlerError, Message: "boom", Detail: "at line 3"}},
	} {
		t.Run(name, func(t *testing.T) {
			body := wire.AppendOutcome(nil, o)
			bulk := bytes.Join(wire.AppendLargeOfOutcome(nil, o), nil)
			var got wire.Outcome
			for range 2 {
				if err := wire.DecodeOutcome(body, bulk, &got); err != nil {
					t.Fatal(err)
				}
				want := *o
				want.Ops = append([]wire.Op{}, o.Ops...)
				got.Ops = append([]wire.Op{}, got.Ops...)
				wantEqual(t, got, want)
			}
		})
	}
}

func TestFailedOutcomeLosesOperations(t *testing.T) {
	// [1, nil, [[9-ish enable_buffering]], "x"]: a server that claims failure and still sends writes.
	body := []byte{0x94, 0x01, 0xc0, 0x91, 0x91, 0x08, 0xc4, 0x01, 'x'}
	var o wire.Outcome
	if err := wire.DecodeOutcome(body, nil, &o); err != nil {
		t.Fatal(err)
	}
	if o.Err == nil || o.Err.Code != wire.CodeHandlerError || len(o.Ops) != 0 || o.HasBody {
		t.Errorf("got %+v", o)
	}
}

func TestUnknownOperationKeepsItsCode(t *testing.T) {
	body := []byte{0x93, 0x00, 0xc0, 0x92, 0x93, 0x41, 0xa1, 'x', 0x91, 0x01, 0x91, 0x08}
	var o wire.Outcome
	if err := wire.DecodeOutcome(body, nil, &o); err != nil {
		t.Fatal(err)
	}
	if len(o.Ops) != 2 || o.Ops[0].Code != 65 || o.Ops[1].Code != wire.OpServiceRequestEnableBuffering {
		t.Errorf("got %+v", o.Ops)
	}
}

// Generic operations keep their arguments, also those that only a newer server knows.
func TestGenericOperationKeepsItsArguments(t *testing.T) {
	for _, code := range []wire.OpCode{wire.OpClientTLSSetClientVerify, wire.OpServiceSetTarget, 999} {
		var o wire.Outcome
		if err := wire.DecodeOutcome(wire.AppendOutcome(nil, &wire.Outcome{Ops: []wire.Op{{Code: code, Value: value([]any{"h", int64(1)})}}}), nil, &o); err != nil {
			t.Fatal(err)
		}
		wantEqual(t, o.Ops, []wire.Op{{Code: code, Value: value([]any{"h", int64(1)})}})
	}
}

func TestControlRoundTrip(t *testing.T) {
	hh := wire.HostHello{Version: 1, NodeID: "n", Hostname: "h", GatewayVersion: "0.1.0", TrustedCIDRs: []string{"10.0.0.0/8", "::1/128"}, LogLevel: 2, MaxBody: 8 << 20, MaxShared: 65536}
	if got, err := wire.DecodeHostHello(wire.AppendHostHello(nil, &hh)); err != nil || !reflect.DeepEqual(got, hh) {
		t.Errorf("host hello: got %+v, %v", got, err)
	}
	sh := wire.ServerHello{Version: 1, SDKLanguage: "go", SDKVersion: "0.1.0", PID: 4121}
	if got, err := wire.DecodeServerHello(wire.AppendServerHello(nil, &sh)); err != nil || got != sh {
		t.Errorf("server hello: got %+v, %v", got, err)
	}
	ask := wire.Ask{Fn: wire.AskClientLoadConsumer, Args: [][]byte{value("alice"), value(true), nil}}
	if got, err := wire.DecodeAsk(wire.AppendAsk(nil, &ask)); err != nil || !reflect.DeepEqual(got, ask) {
		t.Errorf("ask: got %+v, %v", got, err)
	}
	for name, ans := range map[string]wire.Answer{
		"bytes":       {Bytes: []byte("abc"), IsBytes: true},
		"empty bytes": {Bytes: []byte{}, IsBytes: true},
		"large bytes": {Bytes: large(100_000), IsBytes: true},
		"null":        {},
		"map":         {Value: value(map[string]any{"id": "x"})},
		"text":        {Value: value("{}")},
		"error":       {Err: &wire.Error{Code: wire.CodeHostError, Message: "gone"}},
	} {
		var bulk []byte
		if len(ans.Bytes) > wire.ChunkSize {
			bulk = ans.Bytes
		}
		if got, err := wire.DecodeAnswer(wire.AppendAnswer(nil, &ans), bulk); err != nil || !reflect.DeepEqual(got, ans) {
			t.Errorf("answer %s: got %+v, %v", name, got, err)
		}
	}
	line := wire.LogLine{Level: 4, Message: "bytes \xff\x00"}
	if got, err := wire.DecodeLog(wire.AppendLog(nil, &line)); err != nil || got != line {
		t.Errorf("log: got %+v, %v", got, err)
	}
	ga := wire.GoAway{Code: wire.CodeBadFrame, Message: "no"}
	if got, err := wire.DecodeGoAway(wire.AppendGoAway(nil, &ga)); err != nil || got != ga {
		t.Errorf("goaway: got %+v, %v", got, err)
	}
	e := entity(map[string]any{"name": "orders", "id": "r1", "paths": []any{"/x"}})
	if slot, got, err := wire.DecodeEntity(wire.AppendEntity(nil, 4095, e)); err != nil || slot != 4095 || got.ID != "r1" || !bytes.Equal(got.Doc, e.Doc) {
		t.Errorf("entity: got %d %+v, %v", slot, got, err)
	}
}

func TestGreeting(t *testing.T) {
	b := wire.AppendGreeting(nil, []byte("token"))
	v, token, err := wire.ReadGreeting(iotest.OneByteReader(bytes.NewReader(b)))
	if err != nil || v != wire.Version || string(token) != "token" {
		t.Errorf("got %d %q %v", v, token, err)
	}
	for name, b := range map[string][]byte{"empty": nil, "other protocol": []byte("GET / HTTP/1.1\r\n"), "half a token": b[:10]} {
		if _, _, err := wire.ReadGreeting(bytes.NewReader(b)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestReaderCutsFrames(t *testing.T) {
	var stream []byte
	var want [][]byte
	for i, n := range []int{0, 1, 15, 16, 17, 1000, 65536, 70000, 0, 3, 2 << 20, 5, 200_000} {
		want = append(want, large(n))
		stream = wire.AppendFrame(stream, uint32(i+1), wire.TypeChunk, want[i])
	}
	sources := map[string]func() io.Reader{
		"at once":        func() io.Reader { return bytes.NewReader(stream) },
		"halves":         func() io.Reader { return iotest.HalfReader(bytes.NewReader(stream)) },
		"data with EOF":  func() io.Reader { return iotest.DataErrReader(bytes.NewReader(stream)) },
		"byte by byte":   func() io.Reader { return iotest.OneByteReader(bytes.NewReader(stream)) },
		"prime-sized":    func() io.Reader { return &pieces{b: stream, n: 7919} },
		"just a header+": func() io.Reader { return &pieces{b: stream, n: 17} },
	}
	for name, src := range sources {
		t.Run(name, func(t *testing.T) {
			r := wire.NewReader(src())
			for i := range want {
				f, body, err := r.Next()
				if err != nil {
					t.Fatalf("frame %d: %v", i, err)
				}
				if f.Call != uint32(i+1) || f.Type != wire.TypeChunk || !bytes.Equal(body, want[i]) {
					t.Fatalf("frame %d: got %+v with %d bytes", i, f, len(body))
				}
			}
			if _, _, err := r.Next(); err != io.EOF {
				t.Errorf("at the end: got %v, want EOF", err)
			}
		})
	}
}

// pieces gives n bytes per read.
type pieces struct {
	b []byte
	n int
}

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.b) == 0 {
		return 0, io.EOF
	}
	n := copy(b, p.b[:min(p.n, len(p.b))])
	p.b = p.b[n:]
	return n, nil
}

func TestReaderRefuses(t *testing.T) {
	frame := wire.AppendFrame(nil, 1, wire.TypeLog, []byte("abc"))
	over := append([]byte{}, frame...)
	over[0] = 0xff
	unknown := append([]byte{}, frame...)
	unknown[8] = 11
	for name, c := range map[string]struct {
		stream []byte
		want   string
	}{
		"half a header": {frame[:7], io.ErrUnexpectedEOF.Error()},
		"half a body":   {frame[:18], io.ErrUnexpectedEOF.Error()},
		"too long":      {over, "over the limit"},
		"unknown type":  {unknown, "type is 11"},
		"text":          {[]byte("HTTP/1.1 400 Bad Request\r\n"), "reading frame header"},
	} {
		_, _, err := wire.NewReader(bytes.NewReader(c.stream)).Next()
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
	if r := wire.NewReader(bytes.NewReader(append(frame, over...))); true {
		if _, _, err := r.Next(); err != nil || !r.Buffered() {
			t.Errorf("the frame before garbage: %v", err)
		}
	}
}

func TestLyingLengthsCostNothing(t *testing.T) {
	header := make([]byte, wire.HeaderSize)
	wire.PutFrame(header, wire.Frame{Length: wire.MaxFrame, Call: 1, Type: wire.TypeOutcome})
	if n := testing.AllocsPerRun(10, func() {
		_, _, _ = wire.NewReader(bytes.NewReader(header)).Next()
	}); n > 12 {
		t.Errorf("%v allocations for a header that lies", n)
	}
	for name, body := range map[string][]byte{
		"ops":    {0x93, 0x00, 0xc0, 0xdd, 0xff, 0xff, 0xff, 0xff},
		"values": {0x93, 0x00, 0xc0, 0x91, 0x93, 0x01, 0xa1, 'x', 0xdd, 0x7f, 0xff, 0xff, 0xff},
		"string": {0x92, 0x01, 0x91, 0xdb, 0xff, 0xff, 0xff, 0xff},
	} {
		var o wire.Outcome
		var fe *wire.FormatError
		if err := wire.DecodeOutcome(body, nil, &o); !errors.As(err, &fe) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	many := append([]byte{0x93, 0x00, 0xc0, 0xdd, 0, 0, 0x40, 0}, bytes.Repeat([]byte{0x91, 0x08}, 0x4000)...)
	var o wire.Outcome
	if err := wire.DecodeOutcome(many, nil, &o); err == nil || !strings.Contains(err.Error(), "operations") {
		t.Errorf("16384 operations: got %v", err)
	}
}

func TestValues(t *testing.T) {
	deep := any(nil)
	for range wire.MaxDepth {
		deep = []any{deep}
	}
	for _, v := range []any{
		nil, true, false, int64(0), int64(127), int64(128), int64(-1), int64(-32), int64(-33), int64(-129), int64(-40000), int64(-1 << 40), int64(-1 << 63),
		int64(255), int64(256), int64(65536), int64(1<<63 - 1), uint64(1 << 63), 0.0, -1.5, 1e300, "", "ü\x00", strings.Repeat("s", 300), strings.Repeat("s", 70000),
		[]byte{}, large(300), large(70000), []any{}, []any{nil, []any{int64(1)}}, map[string]any{}, map[string]any{"": nil, "a": map[string]any{"b": []byte("c")}}, deep,
	} {
		b, err := wire.AppendValue(nil, v)
		if err != nil {
			t.Fatalf("%T: %v", v, err)
		}
		got, err := wire.DecodeValue(b)
		if err != nil || !reflect.DeepEqual(got, v) {
			t.Errorf("%#v: got %#v, %v", v, got, err)
		}
		var independent any
		if err := msgpack.Unmarshal(b, &independent); err != nil {
			t.Errorf("%#v: another reader says %v", v, err)
		}
	}
	for _, v := range []any{struct{}{}, make(chan int), []any{map[string]any{"x": func() {}}}, []any{deep}} {
		var ve *wire.ValueError
		if _, err := wire.AppendValue(nil, v); !errors.As(err, &ve) {
			t.Errorf("%T: got %v", v, err)
		}
	}
	if _, err := wire.AppendValue(nil, map[string]any{"a": []any{1, struct{}{}}}); err == nil || !strings.Contains(err.Error(), "at .a[1]") {
		t.Errorf("got %v", err)
	}
	for name, b := range map[string][]byte{
		"empty": {}, "never used byte": {0xc1}, "two values": {0x01, 0x02}, "cut": {0xa5, 'a'}, "number as key": {0x81, 0x01, 0x01}, "extension": {0xd4, 0x01, 0x00},
		"too deep": append(bytes.Repeat([]byte{0x91}, 70), 0xc0), "array without end": {0xdd, 0xff, 0xff, 0xff, 0xff}, "map without values": {0x81, 0xa1, 'a'},
	} {
		if v, err := wire.DecodeValue(b); err == nil {
			t.Errorf("%s: got %v", name, v)
		}
	}
}

func TestAnotherReaderUnderstandsUs(t *testing.T) {
	body, _, _ := encodeCall(fullCall())
	var call []any
	if err := msgpack.Unmarshal(body, &call); err != nil {
		t.Fatal(err)
	}
	if len(call) != 24 || call[3] != "ffeeddccbbaa99887766554433221100" {
		t.Errorf("call: got %v", call)
	}
	var outcome []any
	if err := msgpack.Unmarshal(wire.AppendOutcome(nil, everyOp()), &outcome); err != nil || len(outcome) != 4 {
		t.Errorf("outcome: got %v, %v", outcome, err)
	}
	// And we understand another writer, whose numbers and strings have other sizes.
	b, err := msgpack.Marshal([]any{int64(0), nil, []any{[]any{uint64(21), []byte("X-A"), []string{"1", "2"}}}, "text as body", nil, "a newer field"})
	if err != nil {
		t.Fatal(err)
	}
	var o wire.Outcome
	if err := wire.DecodeOutcome(b, nil, &o); err != nil {
		t.Fatal(err)
	}
	wantEqual(t, o, wire.Outcome{
		Ops:  []wire.Op{{Code: wire.OpResponseSetHeader, Name: "X-A", Values: []string{"1", "2"}}},
		Body: []byte("text as body"), HasBody: true,
	})
}

// A call without steps and prefetched answers has the bytes it had before there were any.
func TestPlainCallsHaveNoTail(t *testing.T) {
	for name, c := range map[string]*wire.Call{"minimal": minimalCall(), "full": fullCall()} {
		body, _, _ := encodeCall(c)
		c.Prefetched, c.Rest = []wire.Prefetched{}, []wire.Step{}
		if again, _, _ := encodeCall(c); !bytes.Equal(body, again) {
			t.Errorf("%s: empty lists travel", name)
		}
	}
	if b := wire.AppendOutcome(nil, &wire.Outcome{}); len(b) != 5 {
		t.Errorf("an empty outcome has %d bytes", len(b))
	}
	if b := wire.AppendServerHello(nil, &wire.ServerHello{}); b[0] != 0x94 {
		t.Errorf("a hello without features begins with %x", b[0])
	}
}

// A call into memory that was used before keeps nothing of what was there.
func TestUsedCallsForgetTheirSteps(t *testing.T) {
	var got wire.Call
	for _, c := range []*wire.Call{steppedCall(), prefetchedCall(), minimalCall(), steppedCall()} {
		body, bulk, slots := encodeCall(c)
		if err := wire.DecodeCall(body, bulk, slots, &got); err != nil {
			t.Fatal(err)
		}
		wantEqual(t, normalCall(&got), normalCall(c))
	}
}

func TestStepsAreBounded(t *testing.T) {
	item := wire.Prefetched{Fn: 8}
	for name, c := range map[string]struct {
		call wire.Call
		good bool
	}{
		"64 steps":                {wire.Call{Rest: make([]wire.Step, wire.MaxSteps-1)}, true},
		"65 steps":                {wire.Call{Rest: make([]wire.Step, wire.MaxSteps)}, false},
		"16 answers":              {wire.Call{Prefetched: slices.Repeat([]wire.Prefetched{item}, wire.MaxPrefetched)}, true},
		"17 answers":              {wire.Call{Prefetched: slices.Repeat([]wire.Prefetched{item}, wire.MaxPrefetched+1)}, false},
		"17 answers in a step":    {wire.Call{Rest: []wire.Step{{Prefetched: slices.Repeat([]wire.Prefetched{item}, wire.MaxPrefetched+1)}}}, false},
		"chunks for a prefetched": {wire.Call{Prefetched: []wire.Prefetched{{Fn: 1, Answer: wire.Answer{Value: raw(t, "d7 01 00 00 00 00 00 00 00 03")}}}}, true},
	} {
		c.call.Facts = &wire.Facts{}
		var got wire.Call
		err := wire.DecodeCall(wire.AppendCall(nil, &c.call, wire.Slots{}), nil, nil, &got)
		if (err == nil) != c.good {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestStops(t *testing.T) {
	for _, c := range []struct {
		out  wire.Outcome
		want bool
	}{
		{wire.Outcome{}, false},
		{*typicalOutcome(), false},
		{wire.Outcome{Err: &wire.Error{Code: wire.CodeUnknownInstance}}, true},
		{wire.Outcome{Ops: []wire.Op{{Code: wire.OpCtxSharedSet}, {Code: wire.OpResponseExit}}}, true},
		{wire.Outcome{Ops: []wire.Op{{Code: wire.OpResponseError}}}, true},
		{wire.Outcome{Ops: []wire.Op{{Code: wire.OpClientAuthenticate}, {Code: wire.OpCtxSharedSet}}}, true},
		{wire.Outcome{Ops: []wire.Op{{Code: wire.OpClientSetAuthenticatedConsumerGroups}}}, true},
		{wire.Outcome{Ops: []wire.Op{{Code: wire.OpClientTLSSetClientVerify}}}, false},
	} {
		if got := wire.Stops(&c.out); got != c.want {
			t.Errorf("%+v: got %v", c.out, got)
		}
	}
}

func TestGatherIsBounded(t *testing.T) {
	var g wire.Gather
	if !g.Add(large(10), 25) || !g.Add(large(15), 25) || g.Len() != 25 {
		t.Error("refused within the limit")
	}
	if g.Add([]byte{1}, 25) || g.Len() != 0 {
		t.Error("took more than the limit, or kept what it had")
	}
}

func TestEncodingAllocatesNothing(t *testing.T) {
	c, o, buf := typicalCall(), typicalOutcome(), make([]byte, 0, 8192)
	if n := testing.AllocsPerRun(100, func() { buf = wire.AppendCall(buf[:0], c, wire.Slots{}) }); n != 0 {
		t.Errorf("a call: %v allocations", n)
	}
	if n := testing.AllocsPerRun(100, func() { buf = wire.AppendOutcome(buf[:0], o) }); n != 0 {
		t.Errorf("an outcome: %v allocations", n)
	}
	empty := wire.AppendOutcome(nil, &wire.Outcome{})
	var got wire.Outcome
	if n := testing.AllocsPerRun(100, func() { _ = wire.DecodeOutcome(empty, nil, &got) }); n != 0 {
		t.Errorf("decoding an empty outcome: %v allocations", n)
	}
	body := wire.AppendOutcome(nil, o)
	if n := testing.AllocsPerRun(100, func() { _ = wire.DecodeOutcome(body, nil, &got) }); n > 1 {
		t.Errorf("decoding an outcome: %v allocations", n)
	}
	callBody, _, slots := encodeCall(c)
	var call wire.Call
	if n := testing.AllocsPerRun(100, func() { _ = wire.DecodeCall(callBody, nil, slots, &call) }); n != 0 {
		t.Errorf("decoding a call: %v allocations", n)
	}
}

func BenchmarkAppendCall(b *testing.B) {
	c, buf := typicalCall(), make([]byte, 0, 8192)
	b.ReportAllocs()
	for b.Loop() {
		buf = wire.AppendCall(buf[:0], c, wire.Slots{})
	}
	b.SetBytes(int64(len(buf)))
}

func BenchmarkDecodeCall(b *testing.B) {
	body, _, slots := encodeCall(typicalCall())
	var c wire.Call
	b.ReportAllocs()
	for b.Loop() {
		if err := wire.DecodeCall(body, nil, slots, &c); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeOutcome(b *testing.B) {
	body := wire.AppendOutcome(nil, typicalOutcome())
	var o wire.Outcome
	b.ReportAllocs()
	for b.Loop() {
		if err := wire.DecodeOutcome(body, nil, &o); err != nil {
			b.Fatal(err)
		}
	}
}

// Who says "done" and gives an error must not be let through.
func TestErrorMakesAFailedOutcome(t *testing.T) {
	body := []byte("\x94\x00\x91\xa4oops\x91\x91\x08\xc4\x01x") // [0, ["oops"], [[8]], bin]
	var o wire.Outcome
	if err := wire.DecodeOutcome(body, nil, &o); err != nil || o.Err == nil || o.Err.Code != "oops" || len(o.Ops) != 0 || o.HasBody {
		t.Errorf("got %+v, %v", o, err)
	}
}

func TestErrorNamesItsCodeOnce(t *testing.T) {
	for message, want := range map[string]string{
		"bad_data: request.get_query: no": "bad_data: request.get_query: no",
		"the call has no chunk":           "bad_data: the call has no chunk",
		"bad_data":                        "bad_data: bad_data",
	} {
		if got := (&wire.Error{Code: wire.CodeBadData, Message: message}).Error(); got != want {
			t.Errorf("message %q gives %q, expected %q", message, got, want)
		}
	}
}
