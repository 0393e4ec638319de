package server

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	pluginv1 "github.com/outrigger-gateway/outrigger/proto/gen/outrigger/plugin/v1"
	"github.com/outrigger-gateway/outrigger/proto/wire"
	"github.com/outrigger-gateway/outrigger/proto/wirepb"
)

// monologue is a Dispatch stream on which a host says what an input holds, and then nothing more.
type monologue struct {
	grpc.ServerStream
	t    *testing.T
	left []byte
	said int
}

var errBroken = errors.New("the stream broke")

func (m *monologue) Recv() (*pluginv1.DispatchRequest, error) {
	m.said++
	if m.said == 1 {
		return &pluginv1.DispatchRequest{Message: &pluginv1.DispatchRequest_Hello{Hello: wirepb.HostHello(&plainHello)}}, nil
	}
	if len(m.left) < 4 {
		return nil, io.EOF
	}
	n := binary.BigEndian.Uint32(m.left)
	m.left = m.left[4:]
	if uint64(n) > uint64(len(m.left)) {
		return nil, io.EOF
	}
	request := new(pluginv1.DispatchRequest)
	if proto.Unmarshal(m.left[:n], request) != nil {
		return nil, errBroken
	}
	m.left = m.left[n:]
	return request, nil
}

func (m *monologue) Send(r *pluginv1.DispatchResponse) error {
	b, err := proto.Marshal(r)
	if err != nil || len(b) > wire.MaxFrame+1024 {
		m.t.Errorf("%d bytes, %v: %v", len(b), err, r)
	}
	return nil
}

// FuzzStream feeds a lane of carrier grpc what a host would never send, each message behind its length in four bytes. The lane must end, with
// every handler, and nothing may panic.
func FuzzStream(f *testing.F) {
	b, err := os.ReadFile("../../proto/vectors/wire/grpc.json")
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
		var input []byte
		for _, text := range v.Messages {
			m, err := hex.DecodeString(text)
			if err != nil {
				f.Fatal(err)
			}
			input = append(binary.BigEndian.AppendUint32(input, uint32(len(m))), m...)
		}
		if v.From == "host" {
			f.Add(input)
		}
	}
	s, err := New(probePlugin)
	if err != nil {
		f.Fatal(err)
	}
	for id, config := range map[uint64]string{1: `{"do":"mark"}`, 2: `{"do":"body"}`, 42: `{"do":"mark"}`} {
		if err := s.configure(id, "record", s.find("probe"), []byte(config)); err != nil {
			f.Fatal(err)
		}
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		ended := make(chan struct{})
		go func() {
			_ = s.dispatch(&monologue{t: t, left: input})
			close(ended)
		}()
		select {
		case <-ended:
		case <-time.After(patience):
			t.Fatal("the lane does not end")
		}
		if !s.running.wait(until(patience)) {
			t.Fatal("handlers do not end")
		}
	})
}

// FuzzConfigure sends any configuration: it is taken, or refused with messages that travel.
func FuzzConfigure(f *testing.F) {
	f.Add("probe", []byte(`{"do":"mark"}`))
	f.Add("probe", []byte(`{"do":7,"no":[{}]}`))
	f.Add("probe", []byte(`[]`))
	f.Add("other", []byte(`{}`))
	f.Add("probe", []byte(" "))
	s, err := New(probePlugin)
	if err != nil {
		f.Fatal(err)
	}
	c := &control{server: s}
	f.Fuzz(func(t *testing.T, plugin string, config []byte) {
		out, err := c.Configure(context.Background(), &pluginv1.ConfigureRequest{InstanceId: 1, Plugin: plugin, Config: config})
		if err != nil {
			if plugin == "probe" {
				t.Error(err)
			}
			return
		}
		if _, err := proto.Marshal(out); err != nil {
			t.Error(err)
		}
		// Nothing but blanks is no configuration: the defaults.
		if len(out.Errors) == 0 && len(bytes.TrimSpace(config)) > 0 && !json.Valid(config) {
			t.Errorf("took %q", config)
		}
	})
}
