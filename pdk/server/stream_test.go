package server

import (
	"context"
	"fmt"
	"sync"
	"testing"

	pluginv1 "github.com/outrigger-gateway/outrigger/proto/gen/outrigger/plugin/v1"
	"github.com/outrigger-gateway/outrigger/proto/wire"
	"github.com/outrigger-gateway/outrigger/proto/wirepb"
)

// streamLane is a lane of carrier grpc.
type streamLane struct {
	t      testing.TB
	stream pluginv1.PluginServer_DispatchClient
	stop   context.CancelFunc
	mu     sync.Mutex // of sends
	events chan event
}

func openStream(t testing.TB, client pluginv1.PluginServerClient) *streamLane {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	stream, err := client.Dispatch(ctx)
	if err != nil {
		stop()
		t.Fatal(err)
	}
	l := &streamLane{t: t, stream: stream, stop: stop, events: make(chan event, 10_000)}
	t.Cleanup(stop)
	l.send(&pluginv1.DispatchRequest{Message: &pluginv1.DispatchRequest_Hello{Hello: wirepb.HostHello(&plainHello)}})
	go l.read()
	return l
}

func (l *streamLane) send(m *pluginv1.DispatchRequest) {
	l.mu.Lock()
	defer l.mu.Unlock()
	_ = l.stream.Send(m)
}

func (l *streamLane) chunks(id uint32, b []byte) {
	for len(b) > 0 {
		n := min(len(b), wire.ChunkSize)
		l.send(&pluginv1.DispatchRequest{CallId: id, Message: &pluginv1.DispatchRequest_Chunk{Chunk: b[:n]}})
		b = b[n:]
	}
}

func (l *streamLane) call(id uint32, c *wire.Call) {
	for _, b := range wire.AppendLargeOfCall(nil, c) {
		l.chunks(id, b)
	}
	l.send(&pluginv1.DispatchRequest{CallId: id, Message: &pluginv1.DispatchRequest_Call{Call: wirepb.Call(c, testSlots)}})
}

func (l *streamLane) answer(id uint32, step int, a *wire.Answer) {
	if a.IsBytes && len(a.Bytes) > wire.ChunkSize {
		l.chunks(id, a.Bytes)
	}
	m := wirepb.Answer(a)
	m.Step = uint32(step)
	l.send(&pluginv1.DispatchRequest{CallId: id, Message: &pluginv1.DispatchRequest_Answer{Answer: m}})
}

func (l *streamLane) cancel(id uint32) {
	l.send(&pluginv1.DispatchRequest{CallId: id, Message: &pluginv1.DispatchRequest_Cancel{Cancel: &pluginv1.Cancel{}}})
}

func (l *streamLane) entity(slot uint16, e *wire.Entity) {
	l.send(&pluginv1.DispatchRequest{Message: &pluginv1.DispatchRequest_Entity{Entity: wirepb.Entity(slot, e)}})
}

func (l *streamLane) close()      { l.stop() }
func (l *streamLane) next() event { return nextEvent(l.t, l.events) }

func (l *streamLane) read() {
	bulk := map[uint32][]byte{}
	for {
		m, err := l.stream.Recv()
		if err != nil {
			l.events <- event{err: err}
			return
		}
		e := event{id: m.CallId}
		switch t := m.Message.(type) {
		case *pluginv1.DispatchResponse_Hello:
			continue
		case *pluginv1.DispatchResponse_Chunk:
			bulk[m.CallId] = append(bulk[m.CallId], t.Chunk...)
			continue
		case *pluginv1.DispatchResponse_Outcome:
			e.outcome, e.step = new(wire.Outcome), int(t.Outcome.Step)
			err = wirepb.OutcomeOf(t.Outcome, bulk[m.CallId], e.outcome)
			delete(bulk, m.CallId)
		case *pluginv1.DispatchResponse_Ask:
			e.ask, e.step = &wire.Ask{Fn: wire.AskFn(t.Ask.Function), Args: t.Ask.Args}, int(t.Ask.Step)
		case *pluginv1.DispatchResponse_Log:
			e.line, e.step = &wire.LogLine{Level: uint8(t.Log.Level), Message: string(t.Log.Message)}, int(t.Log.Step)
		case *pluginv1.DispatchResponse_Goaway:
			e.goaway = &wire.GoAway{Code: t.Goaway.Code, Message: t.Goaway.Message}
		default:
			err = fmt.Errorf("found %T", t)
		}
		if err != nil {
			e = event{err: err}
		}
		l.events <- e
	}
}
