package wire_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/outrigger-gateway/outrigger/proto/wire"
)

var update = flag.Bool("update", false, "write proto/vectors/wire instead of comparing with it")

const vectorDir = "../vectors/wire"

// vector is one golden case; proto/vectors/wire/README.md explains the file format.
type vector struct {
	Name string `json:"name"`
	Doc  string `json:"doc"`
	From string `json:"from"`
	Type string `json:"type"`
	Call uint32 `json:"call"`
	Step uint16 `json:"step,omitempty"` // of the last frame
	// Hex is everything that travels: entities and chunks ahead, then the frame of Type.
	Hex string `json:"hex"`
	// Body is the body of the last frame as a generic tree.
	Body any `json:"body,omitempty"`
}

type vectorFile struct {
	About   string   `json:"about"`
	Vectors []vector `json:"vectors"`
}

func raw(t *testing.T, parts ...string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(strings.Join(parts, ""), " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func framed(t wire.Type, call uint32, ahead []byte, body []byte) string {
	return hex.EncodeToString(wire.AppendFrame(ahead, call, t, body))
}

// at puts the number of its step into the header of the last frame.
func (v vector) at(t *testing.T, step uint16) vector {
	stream := raw(t, v.Hex)
	for at := 0; ; {
		f, err := wire.ParseFrame(stream[at:])
		if err != nil {
			t.Fatal(err)
		}
		next := at + wire.HeaderSize + int(f.Length)
		if next == len(stream) {
			f.Step = step
			wire.PutFrame(stream[at:], f)
			v.Step, v.Hex = step, hex.EncodeToString(stream)
			return v
		}
		at = next
	}
}

func goldenVectors(t *testing.T) map[string]vectorFile {
	v := func(name, doc, from string, typ wire.Type, call uint32, ahead, body []byte) vector {
		out := vector{Name: name, Doc: doc, From: from, Type: typ.String(), Call: call, Hex: framed(typ, call, ahead, body)}
		if typ != wire.TypeChunk && len(body) > 0 {
			out.Body = tree(t, body)
		}
		return out
	}
	call := func(name, doc string, c *wire.Call) vector {
		var ahead []byte
		for i, e := range []*wire.Entity{c.Route, c.Service, c.Consumer} {
			if e != nil {
				ahead = wire.AppendFrame(ahead, 0, wire.TypeEntity, wire.AppendEntity(nil, uint16(i), e))
			}
		}
		for _, b := range wire.AppendLargeOfCall(nil, c) {
			ahead = wire.AppendChunks(ahead, 7, b)
		}
		return v(name, doc, "host", wire.TypeCall, 7, ahead, wire.AppendCall(nil, c, wire.Slots{Route: 0, Service: 1, Consumer: 2}))
	}
	outcome := func(name, doc string, o *wire.Outcome) vector {
		var ahead []byte
		for _, b := range wire.AppendLargeOfOutcome(nil, o) {
			ahead = wire.AppendChunks(ahead, 7, b)
		}
		return v(name, doc, "server", wire.TypeOutcome, 7, ahead, wire.AppendOutcome(nil, o))
	}
	// Readers take the extension for any length, so a few bytes show what 32 KiB would.
	bigCall := minimalCall()
	bigCall.Phase = 3
	bigBody := wire.AppendCall(nil, bigCall, wire.Slots{})
	bigBody = append(bigBody[:len(bigBody)-4], 0xd7, 1, 0, 0, 0, 0, 0, 0, 0, 15, 0xc0, 0xc0, 0xc0)
	bigOutcome := raw(t, "94 00 c0 92", "92 07 d701000000000000000b", "94 19 ccc8 d7010000000000000006 90", "c0")
	bigSteps := minimalCall()
	bigSteps.RequestBody, bigSteps.HasRequestBody, bigSteps.Rest = []byte("outrigger.outri"), true, []wire.Step{{Instance: 2, TimeoutMS: 1000}}
	inPlace := append([]byte{0xc4, 15}, bigSteps.RequestBody...)
	bigStepsBody := bytes.Replace(wire.AppendCall(nil, bigSteps, wire.Slots{}), inPlace, raw(t, "d701000000000000000f"), 1)
	query := minimalCall()
	query.Request.Target, query.Request.Path, query.Request.RawQuery = "/p?a=1", "/p", ""
	piece := minimalCall()
	piece.Phase, piece.Chunk, piece.HasChunk, piece.Last = 5, []byte{}, true, true
	f := fullCall().Facts
	piece.HasResponse, piece.Response, piece.HasServiceResponse, piece.ServiceResponse = true, f.Response, true, wire.Response{Status: 200, Headers: f.Response.Headers}

	files := map[string]vectorFile{
		"lane.json": {About: "opening and closing a lane, and what belongs to no call", Vectors: []vector{
			{Name: "greeting", Doc: "version 1, token 01 02 03", From: "host", Type: "greeting", Hex: hex.EncodeToString(wire.AppendGreeting(nil, []byte{1, 2, 3}))},
			{Name: "greeting without a token", Doc: "version 1", From: "host", Type: "greeting", Hex: hex.EncodeToString(wire.AppendGreeting(nil, nil))},
			v("host hello", "first frame of the host", "host", wire.TypeHello, 0, nil, wire.AppendHostHello(nil, &wire.HostHello{
				Version: 1, NodeID: "b0a1d4c0-0000-4000-8000-000000000001", Hostname: "gw-1", GatewayVersion: "0.1.0", TrustedCIDRs: []string{"10.0.0.0/8", "::1/128"}, LogLevel: 2, MaxBody: 8 << 20, MaxShared: 65536})),
			v("host hello with a cluster", "and somewhere for the records of telemetry.log", "host", wire.TypeHello, 0, nil, wire.AppendHostHello(nil, &wire.HostHello{
				Version: 1, NodeID: "b0a1d4c0-0000-4000-8000-000000000001", Hostname: "gw-1", GatewayVersion: "0.2.0", TrustedCIDRs: []string{}, LogLevel: 1, MaxBody: 8 << 20, MaxShared: 65536,
				ClusterID: "c1a50000-0000-4000-8000-000000000001", TelemetryLogs: true})),
			v("server hello", "first frame of the server", "server", wire.TypeHello, 0, nil, wire.AppendServerHello(nil, &wire.ServerHello{Version: 1, SDKLanguage: "python", SDKVersion: "0.1.0", PID: 4121})),
			v("entity", "a route for slot 300", "host", wire.TypeEntity, 0, nil, wire.AppendEntity(nil, 300, entity(map[string]any{"id": "11111111-1111-4111-8111-111111111111", "name": "orders", "paths": []any{"/a", "~/b"}, "strip_path": false, "tags": []any{}}))),
			v("log of a call", "level warn, bytes that are not UTF-8", "server", wire.TypeLog, 7, nil, wire.AppendLog(nil, &wire.LogLine{Level: 3, Message: "odd \xff byte"})),
			v("log outside calls", "level info", "server", wire.TypeLog, 0, nil, wire.AppendLog(nil, &wire.LogLine{Level: 1, Message: "ready"})),
			v("goaway", "the sender closes the lane", "host", wire.TypeGoAway, 0, nil, wire.AppendGoAway(nil, &wire.GoAway{Code: wire.CodeBadFrame, Message: "type is 99"})),
			v("cancel", "nobody waits for call 7 any more", "host", wire.TypeCancel, 7, nil, nil),
		}},
		"call.json": {About: "calls from host to server", Vectors: []vector{
			call("minimal", "phase access, nothing known but the request", minimalCall()),
			call("full", "phase body_filter with every field; entities in slots 0, 1, 2", fullCall()),
			call("query removed", "the target has a query, plugins have removed it: raw_query is empty, not nil", query),
			call("last piece", "body_filter, empty last piece; the service's headers are those of the response", piece),
			v("large body", "phase response; 15 bytes of the upstream's body go ahead in two chunks", "host", wire.TypeCall, 7,
				wire.AppendFrame(wire.AppendFrame(nil, 7, wire.TypeChunk, []byte("outrigger.")), 7, wire.TypeChunk, []byte("outri")), bigBody),
		}},
		"outcome.json": {About: "outcomes from server to host", Vectors: []vector{
			outcome("done", "no operation", &wire.Outcome{}),
			outcome("every operation", "each operation in each form (not a sequence that a handler could make)", everyOp()),
			outcome("piece replaced", "body_filter", &wire.Outcome{Body: []byte("new"), HasBody: true}),
			outcome("piece dropped", "body_filter: empty, not nil", &wire.Outcome{Body: []byte{}, HasBody: true}),
			v("large bodies", "two bodies of one outcome, 11 and 6 bytes, share three chunks in order of position", "server", wire.TypeOutcome, 7,
				wire.AppendFrame(wire.AppendFrame(wire.AppendFrame(nil, 7, wire.TypeChunk, []byte("first ")), 7, wire.TypeChunk, []byte("body.seco")), 7, wire.TypeChunk, []byte("nd")), bigOutcome),
			outcome("failed", "the handler raised", &wire.Outcome{Err: &wire.Error{Code: wire.CodeHandlerError, Message: "KeyError: 'x'", Detail: "line 3\nline 4"}}),
			outcome("unknown instance", "the server does not know the instance", &wire.Outcome{Err: &wire.Error{Code: wire.CodeUnknownInstance, Message: "instance 9"}}),
		}},
		"ask.json": {About: "asks from server to host, and answers", Vectors: []vector{
			v("ask for the request body", "function 1", "server", wire.TypeAsk, 7, nil, wire.AppendAsk(nil, &wire.Ask{Fn: wire.AskRequestGetRawBody})),
			v("ask for a consumer", "function 4 with two arguments", "server", wire.TypeAsk, 7, nil, wire.AppendAsk(nil, &wire.Ask{Fn: wire.AskClientLoadConsumer, Args: [][]byte{value("alice"), value(true)}})),
			v("answer with bytes", "a body of two bytes", "host", wire.TypeAnswer, 7, nil, wire.AppendAnswer(nil, &wire.Answer{Bytes: []byte{0, 255}, IsBytes: true})),
			v("answer with no bytes", "an empty body", "host", wire.TypeAnswer, 7, nil, wire.AppendAnswer(nil, &wire.Answer{IsBytes: true})),
			v("answer with a map", "a consumer", "host", wire.TypeAnswer, 7, nil, wire.AppendAnswer(nil, &wire.Answer{Value: value(map[string]any{"id": "33333333-3333-4333-8333-333333333333", "username": "alice"})})),
			v("answer with null", "no such consumer", "host", wire.TypeAnswer, 7, nil, wire.AppendAnswer(nil, &wire.Answer{})),
			v("answer with an error", "the host could not", "host", wire.TypeAnswer, 7, nil, wire.AppendAnswer(nil, &wire.Answer{Err: &wire.Error{Code: wire.CodeTooLarge, Message: "body over 8388608 bytes"}})),
			v("answer with many bytes", "15 bytes go ahead in two chunks", "host", wire.TypeAnswer, 7,
				wire.AppendFrame(wire.AppendFrame(nil, 7, wire.TypeChunk, []byte("outrigger.")), 7, wire.TypeChunk, []byte("outri")), raw(t, "92 c0 d701000000000000000f")),
		}},
		"steps.json": {About: "calls of several steps, answers ahead of their asks, and what comes back", Vectors: []vector{
			v("host hello with features", "steps and prefetch", "host", wire.TypeHello, 0, nil, wire.AppendHostHello(nil, &wire.HostHello{
				Version: 1, NodeID: "b0a1d4c0-0000-4000-8000-000000000001", Hostname: "gw-1", GatewayVersion: "0.2.0", TrustedCIDRs: []string{}, LogLevel: 1, MaxBody: 8 << 20, MaxShared: 65536,
				Features: wire.FeatureSteps | wire.FeaturePrefetch})),
			v("server hello with features", "steps alone", "server", wire.TypeHello, 0, nil, wire.AppendServerHello(nil, &wire.ServerHello{Version: 1, SDKLanguage: "js", SDKVersion: "0.2.0", PID: 4121, Features: wire.FeatureSteps})),
			call("prefetched", "one step, answers of every kind ahead: bytes, no bytes, text, null, a map", prefetchedCall()),
			call("steps", "three steps; the second has ctx.plugin, a trace and a prefetched answer of its own, the last has nothing", steppedCall()),
			v("steps behind a large body", "15 bytes of the client's body go ahead in two chunks", "host", wire.TypeCall, 7,
				wire.AppendFrame(wire.AppendFrame(nil, 7, wire.TypeChunk, []byte("outrigger.")), 7, wire.TypeChunk, []byte("outri")), bigStepsBody),
			v("ask of the second step", "the header names the step", "server", wire.TypeAsk, 7, nil, wire.AppendAsk(nil, &wire.Ask{Fn: wire.AskRequestGetRawBody})).at(t, 1),
			v("log of the second step", "the header names the step", "server", wire.TypeLog, 7, nil, wire.AppendLog(nil, &wire.LogLine{Level: 1, Message: "second"})).at(t, 1),
			outcome("first step", "one operation", &wire.Outcome{Ops: []wire.Op{{Code: wire.OpCtxSharedSet, Name: "k", Value: value(int64(1))}}}),
			outcome("last step", "it used neither its first nor its third prefetched answer", &wire.Outcome{Ops: []wire.Op{}, Unused: 0b101}).at(t, 2),
			outcome("failed second step", "and did not use its prefetched answer", &wire.Outcome{Err: &wire.Error{Code: wire.CodeHandlerError, Message: "no"}, Unused: 1}).at(t, 1),
			v("second step with a large body", "chunks ahead belong to the next outcome of the call", "server", wire.TypeOutcome, 7,
				wire.AppendFrame(nil, 7, wire.TypeChunk, []byte("outrigger.")), raw(t, "94 00 c0 91 92 18 d701000000000000000a c0")).at(t, 1),
		}},
	}
	return files
}

// tree is a MessagePack value as JSON: bin is {"hex": …}, an extension {"ext": type, "hex": …}, text that is not UTF-8 also
// {"hex": …}. It is read by another reader than ours.
func tree(t *testing.T, body []byte) any {
	t.Helper()
	dec := msgpack.NewDecoder(bytes.NewReader(body))
	v := treeValue(t, dec)
	if _, err := dec.PeekCode(); err == nil {
		t.Fatalf("bytes behind the value of %x", body)
	}
	return v
}

func treeValue(t *testing.T, dec *msgpack.Decoder) any {
	code, err := dec.PeekCode()
	if err != nil {
		t.Fatal(err)
	}
	switch {
	case code == 0xd7:
		id, n, err := dec.DecodeExtHeader()
		if err != nil {
			t.Fatal(err)
		}
		b := make([]byte, n)
		if err := dec.ReadFull(b); err != nil {
			t.Fatal(err)
		}
		return map[string]any{"ext": id, "hex": hex.EncodeToString(b)}
	case code&0xf0 == 0x90 || code == 0xdc || code == 0xdd:
		n, err := dec.DecodeArrayLen()
		if err != nil {
			t.Fatal(err)
		}
		list := make([]any, n)
		for i := range list {
			list[i] = treeValue(t, dec)
		}
		return list
	case code&0xf0 == 0x80 || code == 0xde || code == 0xdf:
		n, err := dec.DecodeMapLen()
		if err != nil {
			t.Fatal(err)
		}
		m := map[string]any{}
		for range n {
			k, err := dec.DecodeString()
			if err != nil {
				t.Fatal(err)
			}
			m[k] = treeValue(t, dec)
		}
		return m
	}
	v, err := dec.DecodeInterface()
	if err != nil {
		t.Fatal(err)
	}
	switch v := v.(type) {
	case []byte:
		return map[string]any{"hex": hex.EncodeToString(v)}
	case string:
		if !utf8.ValidString(v) {
			return map[string]any{"hex": hex.EncodeToString([]byte(v))}
		}
	}
	return v
}

func TestVectorsAreGolden(t *testing.T) {
	for name, file := range goldenVectors(t) {
		got, err := json.MarshalIndent(file, "", " ")
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, '\n')
		path := filepath.Join(vectorDir, name)
		if *update {
			if err := os.MkdirAll(vectorDir, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, got, 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s: the bytes on the wire have changed; old servers would not understand them", path)
		}
	}
}

func TestVectorsDecode(t *testing.T) {
	for name, file := range readVectors[vectorFile](t, "lane.json", "call.json", "outcome.json", "ask.json", "steps.json") {
		for _, v := range file.Vectors {
			if v.Type == "greeting" {
				continue
			}
			if err := decodeVector(v.From, v.Hex); err != nil {
				t.Errorf("%s: %s: %v", name, v.Name, err)
			}
		}
	}
}

func readVectors[F any](t *testing.T, names ...string) map[string]F {
	t.Helper()
	files := map[string]F{}
	for _, name := range names {
		b, err := os.ReadFile(filepath.Join(vectorDir, name))
		if err != nil {
			t.Fatal(err)
		}
		var f F
		if err := json.Unmarshal(b, &f); err != nil {
			t.Fatal(err)
		}
		files[name] = f
	}
	return files
}

// decodeVector reads all frames of a vector as the receiver would.
func decodeVector(from, text string) error {
	_, err := decodeFrames(from, text)
	return err
}

// decodeFrames returns the last message that the frames hold.
func decodeFrames(from, text string) (last any, err error) {
	stream, err := hex.DecodeString(text)
	if err != nil {
		return nil, err
	}
	r := wire.NewReader(bytes.NewReader(stream))
	slots := new(wire.SlotTable)
	var gather wire.Gather
	for {
		f, body, err := r.Next()
		if err != nil {
			if err.Error() == "EOF" {
				return last, nil
			}
			return nil, err
		}
		body = bytes.Clone(body)
		switch f.Type {
		case wire.TypeHello:
			if from == "host" {
				last, err = wire.DecodeHostHello(body)
			} else {
				last, err = wire.DecodeServerHello(body)
			}
		case wire.TypeCall:
			var c wire.Call
			err = wire.DecodeCall(body, gather.Take(), slots, &c)
			last = normalCall(&c)
		case wire.TypeOutcome:
			var o wire.Outcome
			err = wire.DecodeOutcome(body, gather.Take(), &o)
			last = o
		case wire.TypeAsk:
			last, err = wire.DecodeAsk(body)
		case wire.TypeAnswer:
			last, err = wire.DecodeAnswer(body, gather.Take())
		case wire.TypeChunk:
			gather.Add(body, wire.MaxFrame)
		case wire.TypeLog:
			last, err = wire.DecodeLog(body)
		case wire.TypeGoAway:
			last, err = wire.DecodeGoAway(body)
		case wire.TypeEntity:
			var slot uint16
			var e *wire.Entity
			if slot, e, err = wire.DecodeEntity(body); err == nil {
				err = slots.Set(slot, e)
			}
		case wire.TypeCancel:
			if len(body) != 0 {
				err = fmt.Errorf("cancel has a body")
			}
		}
		if err != nil {
			return nil, err
		}
	}
}

// tolerance is a message written by somebody else: other encodings, missing and unknown tails.
type tolerance struct {
	Name  string `json:"name"`
	Doc   string `json:"doc"`
	From  string `json:"from"`
	Type  string `json:"type"`
	Hex   string `json:"hex"`
	Means string `json:"means"` // hex of frames with the same meaning, as this package writes them
}

func TestTolerantVectors(t *testing.T) {
	f := readVectors[struct{ Vectors []tolerance }](t, "tolerant.json")["tolerant.json"]
	if len(f.Vectors) == 0 {
		t.Fatal("no vectors")
	}
	for _, v := range f.Vectors {
		got, err := decodeFrames(v.From, v.Hex)
		if err != nil {
			t.Errorf("%s: %v", v.Name, err)
			continue
		}
		want, err := decodeFrames(v.From, v.Means)
		if err != nil {
			t.Errorf("%s: means: %v", v.Name, err)
			continue
		}
		if g, w := fmt.Sprintf("%#v", deref(got)), fmt.Sprintf("%#v", deref(want)); g != w {
			t.Errorf("%s:\ngot  %s\nwant %s", v.Name, g, w)
		}
	}
}

// deref shows the facts of a call instead of their address.
func deref(v any) any {
	if c, ok := v.(wire.Call); ok {
		f := *c.Facts
		c.Facts = nil
		return []any{c, f}
	}
	return v
}

func TestBadVectorsAreRefused(t *testing.T) {
	f := readVectors[struct {
		Vectors []struct{ Name, From, Hex string }
	}](t, "bad.json")["bad.json"]
	if len(f.Vectors) == 0 {
		t.Fatal("no vectors")
	}
	for _, v := range f.Vectors {
		if got, err := decodeFrames(v.From, v.Hex); err == nil {
			t.Errorf("%s: read as %+v", v.Name, got)
		}
	}
}

// TestHandMadeVectorsAreGolden builds tolerant.json and bad.json, whose bytes this package would not write itself.
func TestHandMadeVectorsAreGolden(t *testing.T) {
	pack := func(v any) []byte {
		b, err := msgpack.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	outcomeMeans := func(o *wire.Outcome) string { return framed(wire.TypeOutcome, 7, nil, wire.AppendOutcome(nil, o)) }
	header := &wire.Outcome{Ops: []wire.Op{{Code: wire.OpResponseSetHeader, Name: "X-A", Values: []string{"1"}}}}
	tol := func(name, doc, from string, typ wire.Type, body []byte, means string) tolerance {
		return tolerance{Name: name, Doc: doc, From: from, Type: typ.String(), Hex: framed(typ, 7, nil, body), Means: means}
	}
	short := &wire.Call{Instance: 1, Phase: 2, Facts: &wire.Facts{}}
	tolerant := struct {
		About   string      `json:"about"`
		Vectors []tolerance `json:"vectors"`
	}{"what readers must accept: hex means the same as means", []tolerance{
		tol("outcome, wide encodings", "every length and number in its largest form, str for bin and bin for str", "server", wire.TypeOutcome,
			nil, ""),
		tol("outcome, only a status", "a missing tail is nil", "server", wire.TypeOutcome, raw(t, "91 00"), outcomeMeans(&wire.Outcome{})),
		tol("outcome, unknown tail", "a newer server appends fields", "server", wire.TypeOutcome, pack([]any{0, nil, []any{}, nil, nil, map[string]any{"new": []any{1}}, "x"}), outcomeMeans(&wire.Outcome{})),
		tol("operation, unknown tail", "a newer server appends arguments", "server", wire.TypeOutcome, pack([]any{0, nil, []any{[]any{21, "X-A", []any{[]byte("1")}, true}}}), outcomeMeans(header)),
		tol("outcome, numbers as floats", "a language without integers", "server", wire.TypeOutcome, pack([]any{0.0, nil, []any{[]any{21.0, "X-A", []any{"1"}}}}), outcomeMeans(header)),
		tol("call, only instance and phase", "a missing tail is nil", "host", wire.TypeCall, raw(t, "92 01 02"), framed(wire.TypeCall, 7, nil, wire.AppendCall(nil, short, wire.Slots{}))),
		tol("answer, nothing", "an empty array is null", "host", wire.TypeAnswer, raw(t, "90"), framed(wire.TypeAnswer, 7, nil, wire.AppendAnswer(nil, &wire.Answer{}))),
		tol("answer, extension in the long form", "c7 08 instead of d7", "host", wire.TypeAnswer, nil, ""),
	}}
	wide := raw(t, "dd00000004", "d30000000000000000", "c0", "dd00000001", "dd00000003", "cf0000000000000015", "c600000003582d41", "dd00000001", "db0000000131", "c0")
	tolerant.Vectors[0].Hex, tolerant.Vectors[0].Means = framed(wire.TypeOutcome, 7, nil, wide), outcomeMeans(header)
	long := &tolerant.Vectors[len(tolerant.Vectors)-1]
	ahead := wire.AppendFrame(nil, 7, wire.TypeChunk, []byte("outrigger."))
	long.Hex = framed(wire.TypeAnswer, 7, ahead, raw(t, "92 c0 c70801 000000000000000a"))
	long.Means = framed(wire.TypeAnswer, 7, nil, wire.AppendAnswer(nil, &wire.Answer{Bytes: []byte("outrigger."), IsBytes: true}))

	type bad struct {
		Name string `json:"name"`
		From string `json:"from"`
		Type string `json:"type"`
		Hex  string `json:"hex"`
	}
	over := wire.AppendFrame(nil, 7, wire.TypeOutcome, nil)
	over[0] = 2
	unknown := wire.AppendFrame(nil, 7, wire.TypeOutcome, raw(t, "90"))
	unknown[8] = 99
	refused := struct {
		About   string `json:"about"`
		Vectors []bad  `json:"vectors"`
	}{"what readers must refuse: the lane is closed with goaway", []bad{
		{"frame over 16 MiB", "server", "outcome", hex.EncodeToString(over)},
		{"unknown frame type", "server", "outcome", hex.EncodeToString(unknown)},
		{"outcome is a map", "server", "outcome", framed(wire.TypeOutcome, 7, nil, raw(t, "80"))},
		{"outcome is empty", "server", "outcome", framed(wire.TypeOutcome, 7, nil, nil)},
		{"outcome is cut off", "server", "outcome", framed(wire.TypeOutcome, 7, nil, raw(t, "94 00 c0 91"))},
		{"outcome with bytes behind", "server", "outcome", framed(wire.TypeOutcome, 7, nil, raw(t, "91 00 00"))},
		{"status is text", "server", "outcome", framed(wire.TypeOutcome, 7, nil, raw(t, "91 a1 30"))},
		{"status is 2", "server", "outcome", framed(wire.TypeOutcome, 7, nil, raw(t, "91 02"))},
		{"operation without a code", "server", "outcome", framed(wire.TypeOutcome, 7, nil, raw(t, "93 00 c0 91 90"))},
		{"headers of odd length", "server", "outcome", framed(wire.TypeOutcome, 7, nil, raw(t, "93 00 c0 91 94 19 cc c8 c0 91 a1 78"))},
		{"array longer than the frame", "server", "outcome", framed(wire.TypeOutcome, 7, nil, raw(t, "93 00 c0 dd ff ff ff ff"))},
		{"chunked bytes that never came", "server", "outcome", framed(wire.TypeOutcome, 7, nil, raw(t, "94 00 c0 90 d7 01 00 00 00 00 00 01 00 00"))},
		{"chunks that no field names", "server", "outcome", framed(wire.TypeOutcome, 7, wire.AppendChunks(nil, 7, []byte("x")), raw(t, "91 00"))},
		{"byte c1", "server", "outcome", framed(wire.TypeOutcome, 7, nil, raw(t, "93 00 c0 91 93 32 a1 6b c1"))},
		{"arguments of a generic operation are text", "server", "outcome", framed(wire.TypeOutcome, 7, nil, raw(t, "93 00 c0 91 92 46 a1 78"))},
		{"groups are a map", "host", "call", framed(wire.TypeCall, 7, nil, append(append(raw(t, "dc 00 17 01 02"), bytes.Repeat([]byte{0xc0}, 20)...), 0x80))},
		{"tls is text", "host", "call", framed(wire.TypeCall, 7, nil, append(append(raw(t, "dc 00 16 01 02"), bytes.Repeat([]byte{0xc0}, 19)...), 0xa1, 0x78))},
		{"ctx.plugin is an array", "host", "call", framed(wire.TypeCall, 7, nil, append(append(raw(t, "dc 00 15 01 02"), bytes.Repeat([]byte{0xc0}, 18)...), 0x90))},
		{"steps of body_filter", "host", "call", framed(wire.TypeCall, 7, nil, append(append(raw(t, "dc 00 1a 01 05"), bytes.Repeat([]byte{0xc0}, 23)...), 0x91, 0x91, 0x09))},
		{"value nested 70 deep", "server", "outcome", framed(wire.TypeOutcome, 7, nil, append(raw(t, "93 00 c0 91 93 32 a1 6b"), append(bytes.Repeat([]byte{0x91}, 70), 0xc0)...))},
		{"negative port", "host", "call", framed(wire.TypeCall, 7, nil, raw(t, "96 01 02 03 a0 00 94 a0 a0 a0 ff"))},
		{"slot that was never set", "host", "call", framed(wire.TypeCall, 7, nil, raw(t, "99 01 02 03 a0 00 90 90 c0 05"))},
		{"entity without a document", "host", "entity", framed(wire.TypeEntity, 0, nil, raw(t, "92 01 c0"))},
		{"entity slot 4096", "host", "entity", framed(wire.TypeEntity, 0, nil, raw(t, "92 cd 10 00 80"))},
		{"half a frame", "server", "outcome", framed(wire.TypeOutcome, 7, nil, raw(t, "91 00"))[:34]},
	}}
	for name, file := range map[string]any{"tolerant.json": tolerant, "bad.json": refused} {
		got, err := json.MarshalIndent(file, "", " ")
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(vectorDir, name)
		if *update {
			if err := os.WriteFile(path, append(got, '\n'), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var a, b any
		if json.Unmarshal(got, &a) != nil || json.Unmarshal(want, &b) != nil || !reflect.DeepEqual(a, b) {
			t.Errorf("%s differs from what the test builds; run with -update and look at the difference", path)
		}
	}
}
