package wirepb_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/outrigger-gateway/outrigger/proto/gen/outrigger/plugin/v1"
	"github.com/outrigger-gateway/outrigger/proto/wire"
	"github.com/outrigger-gateway/outrigger/proto/wirepb"
)

var update = flag.Bool("update", false, "write proto/vectors/wire/grpc.json instead of comparing with it")

const vectorDir = "../vectors/wire"

// golden is one vector of proto/vectors/wire: of carrier msgpack with Hex, of carrier grpc with Messages.
type golden struct {
	Name string `json:"name"`
	From string `json:"from"`
	Type string `json:"type"`
	Hex  string `json:"hex,omitempty"`
	// Messages are what travels over a Dispatch stream, marshalled: entities and chunks ahead, then the message.
	Messages []string `json:"messages,omitempty"`
}

type goldenFile struct {
	About   string   `json:"about"`
	Vectors []golden `json:"vectors"`
}

func readVectors(t testing.TB, name string) []golden {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(vectorDir, name))
	if err != nil {
		t.Fatal(err)
	}
	var file goldenFile
	if err := json.Unmarshal(b, &file); err != nil {
		t.Fatal(err)
	}
	return file.Vectors
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestGRPCVectors: the messages of carrier grpc, as this package writes them, for the tests and the fuzzing of all languages.
func TestGRPCVectors(t *testing.T) {
	file := goldenFile{About: "messages of carrier grpc, with the meaning of the vectors of the same name"}
	for _, name := range []string{"lane.json", "call.json", "outcome.json", "ask.json", "steps.json"} {
		for _, v := range readVectors(t, name) {
			if v.Type == "greeting" {
				continue
			}
			g := golden{Name: v.Name, From: v.From, Type: v.Type}
			for _, m := range overGRPC(t, v.From, unhex(t, v.Hex)) {
				b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
				if err != nil {
					t.Fatal(err)
				}
				g.Messages = append(g.Messages, hex.EncodeToString(b))
			}
			file.Vectors = append(file.Vectors, g)
		}
	}
	got, err := json.MarshalIndent(file, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	got = append(got, '\n')
	path := filepath.Join(vectorDir, "grpc.json")
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs from what the test builds; run with -update and look at the difference", path)
	}
}

// overGRPC puts the frames of a stream into the messages of a Dispatch stream.
func overGRPC(t testing.TB, from string, stream []byte) []proto.Message {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var out []proto.Message
	var bulk []byte
	slots := new(wire.SlotTable)
	r := wire.NewReader(bytes.NewReader(stream))
	for {
		f, b, err := r.Next()
		if err != nil {
			return out
		}
		body := bytes.Clone(b)
		host := &pluginv1.DispatchRequest{CallId: f.Call}
		server := &pluginv1.DispatchResponse{CallId: f.Call}
		switch f.Type {
		case wire.TypeEntity:
			slot, e, err := wire.DecodeEntity(body)
			must(err)
			must(slots.Set(slot, e))
			host.Message = &pluginv1.DispatchRequest_Entity{Entity: wirepb.Entity(slot, e)}
		case wire.TypeChunk:
			bulk = append(bulk, body...)
			host.Message = &pluginv1.DispatchRequest_Chunk{Chunk: body}
			server.Message = &pluginv1.DispatchResponse_Chunk{Chunk: body}
		case wire.TypeCall:
			var c wire.Call
			must(wire.DecodeCall(body, bulk, slots, &c))
			host.Message = &pluginv1.DispatchRequest_Call{Call: wirepb.Call(&c, wire.Slots{Route: 0, Service: 1, Consumer: 2})}
		case wire.TypeOutcome:
			var o wire.Outcome
			must(wire.DecodeOutcome(body, bulk, &o))
			m := wirepb.Outcome(&o)
			m.Step = uint32(f.Step)
			server.Message = &pluginv1.DispatchResponse_Outcome{Outcome: m}
		case wire.TypeAsk:
			a, err := wire.DecodeAsk(body)
			must(err)
			m := wirepb.Ask(&a)
			m.Step = uint32(f.Step)
			server.Message = &pluginv1.DispatchResponse_Ask{Ask: m}
		case wire.TypeAnswer:
			a, err := wire.DecodeAnswer(body, bulk)
			must(err)
			host.Message = &pluginv1.DispatchRequest_Answer{Answer: wirepb.Answer(&a)}
		case wire.TypeLog:
			l, err := wire.DecodeLog(body)
			must(err)
			m := wirepb.Log(&l)
			m.Step = uint32(f.Step)
			server.Message = &pluginv1.DispatchResponse_Log{Log: m}
		case wire.TypeGoAway:
			g, err := wire.DecodeGoAway(body)
			must(err)
			host.Message = &pluginv1.DispatchRequest_Goaway{Goaway: wirepb.GoAway(&g)}
			server.Message = &pluginv1.DispatchResponse_Goaway{Goaway: wirepb.GoAway(&g)}
		case wire.TypeCancel:
			host.Message = &pluginv1.DispatchRequest_Cancel{Cancel: &pluginv1.Cancel{}}
		case wire.TypeHello:
			if from == "host" {
				h, err := wire.DecodeHostHello(body)
				must(err)
				host.Message = &pluginv1.DispatchRequest_Hello{Hello: wirepb.HostHello(&h)}
			} else {
				h, err := wire.DecodeServerHello(body)
				must(err)
				server.Message = &pluginv1.DispatchResponse_Hello{Hello: wirepb.ServerHello(&h)}
			}
		}
		if from == "host" {
			out = append(out, host)
		} else {
			out = append(out, server)
		}
	}
}
