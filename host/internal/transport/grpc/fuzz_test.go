package grpc_test

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"os"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/outrigger-gateway/outrigger/host/internal/transport"
	"github.com/outrigger-gateway/outrigger/host/internal/transport/grpc"
	"github.com/outrigger-gateway/outrigger/host/internal/transport/transporttest"
	"github.com/outrigger-gateway/outrigger/proto/gen/outrigger/plugin/v1"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// FuzzLane lets a server say anything while calls are in flight: no panic, no hang, and everybody is told. The input is messages, each behind
// its length in four bytes.
func FuzzLane(f *testing.F) {
	b, err := os.ReadFile("../../../../proto/vectors/wire/grpc.json")
	if err != nil {
		f.Fatal(err)
	}
	var file struct {
		Vectors []struct {
			From     string
			Messages []string
		}
	}
	if err := json.Unmarshal(b, &file); err != nil {
		f.Fatal(err)
	}
	for _, v := range file.Vectors {
		if v.From != "server" {
			continue
		}
		var input []byte
		for _, text := range v.Messages {
			m, err := hex.DecodeString(text)
			if err != nil {
				f.Fatal(err)
			}
			input = append(binary.BigEndian.AppendUint32(input, uint32(len(m))), m...)
		}
		f.Add(input, uint8(1))
	}
	script := make(chan []*pluginv1.DispatchResponse, 1)
	calling := make(chan struct{})
	cc := transporttest.ConnectTo(f, &server{dispatch: func(st serverStream) error {
		if err := st.Send(hello(wire.Version)); err != nil {
			return err
		}
		say := <-script
		<-calling
		go func() { // reads for ever, so that the host never waits for it
			for {
				if _, err := st.Recv(); err != nil {
					return
				}
			}
		}()
		for _, m := range say {
			if err := st.Send(m); err != nil {
				return err
			}
		}
		return nil
	}})
	f.Fuzz(func(t *testing.T, input []byte, id uint8) {
		script <- responses(input, id)
		l, err := grpc.Open(context.Background(), cc, transport.Options{OnLog: func(transport.LogRecord) {}})
		if err != nil {
			t.Fatal(err)
		}
		var calls sync.WaitGroup
		for range 2 {
			calls.Go(func() {
				var out wire.Outcome
				if err := l.Call(transporttest.SampleCall(1), time.Now().Add(time.Minute), answers{}, &out); transporttest.KindOf(err) == transport.Timeout {
					t.Error(err)
				}
			})
		}
		transporttest.Eventually(t, "two calls in flight", func() bool { return l.InFlight() == 2 })
		calling <- struct{}{}
		calls.Wait()
		<-l.Done()
	})
}

// responses reads the messages of an input as far as they decode; those of call 7, as in the vectors, belong to the call id.
func responses(input []byte, id uint8) []*pluginv1.DispatchResponse {
	var list []*pluginv1.DispatchResponse
	for len(input) >= 4 {
		n := binary.BigEndian.Uint32(input)
		input = input[4:]
		if uint64(n) > uint64(len(input)) {
			break
		}
		m := new(pluginv1.DispatchResponse)
		if proto.Unmarshal(input[:n], m) != nil {
			break
		}
		if m.CallId == 7 {
			m.CallId = uint32(id)
		}
		list, input = append(list, m), input[n:]
	}
	return list
}

type answers struct{}

func (answers) Answer(*wire.Ask) wire.Answer {
	return wire.Answer{Bytes: make([]byte, 50_000), IsBytes: true}
}
