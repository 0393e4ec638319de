package server

import (
	"io"
	"net"
	"testing"
	"time"

	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// FuzzLane feeds a lane what a host would never send. The lane must end, with every handler, and nothing may panic.
func FuzzLane(f *testing.F) {
	f.Add([]byte{})
	f.Add(callFrames(1, newCall(1, "x-name", "n"), wire.Slots{}))
	f.Add(wire.AppendChunks(nil, 1, make([]byte, 100)))
	f.Add(wire.AppendFrame(callFrames(1, newCall(2), wire.Slots{}), 1, wire.TypeCancel, nil))
	f.Add(wire.AppendFrame(nil, 7, wire.TypeAnswer, wire.AppendAnswer(nil, &wire.Answer{IsBytes: true, Bytes: []byte("b")})))
	steps := newCall(1, "x-name", "n")
	steps.Rest = []wire.Step{{Instance: 2, TimeoutMS: 1}, {Instance: 3}}
	steps.Prefetched = []wire.Prefetched{{Fn: wire.AskRequestGetRawBody, Answer: wire.Answer{IsBytes: true, Bytes: []byte("b")}}}
	f.Add(callFrames(1, steps, wire.Slots{}))
	f.Add(wire.AppendFrame(callFrames(1, steps, wire.Slots{}), 1, wire.TypeCancel, nil))
	entity, err := wire.NewEntity(map[string]any{"id": "r", "name": "orders"})
	if err != nil {
		f.Fatal(err)
	}
	withRoute := newCall(1)
	withRoute.Route = entity
	f.Add(append(wire.AppendFrame(nil, 0, wire.TypeEntity, wire.AppendEntity(nil, 5, entity)), callFrames(3, withRoute, wire.Slots{Route: 5})...))
	s, err := New(probePlugin)
	if err != nil {
		f.Fatal(err)
	}
	for id, config := range map[uint64]string{1: `{"do":"mark"}`, 2: `{"do":"body"}`} {
		if err := s.configure(id, "record", s.find("probe"), []byte(config)); err != nil {
			f.Fatal(err)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		host, conn := net.Pipe()
		ended := make(chan struct{})
		go func() {
			s.serveConn(conn)
			close(ended)
		}()
		go func() { _, _ = io.Copy(io.Discard, host) }()
		b := wire.AppendFrame(wire.AppendGreeting(nil, s.token), 0, wire.TypeHello, wire.AppendHostHello(nil, &plainHello))
		_ = host.SetWriteDeadline(time.Now().Add(patience))
		_, _ = host.Write(append(b, data...))
		_ = host.Close()
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
