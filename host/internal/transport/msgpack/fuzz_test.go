package msgpack

import (
	"context"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/transport"
	"github.com/outrigger-gateway/outrigger/host/internal/transport/transporttest"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// FuzzLane lets a server say anything while calls are in flight: no panic, no hang, and everybody is told.
func FuzzLane(f *testing.F) {
	frame := func(id uint32, t wire.Type, body []byte) []byte { return wire.AppendFrame(nil, id, t, body) }
	outcome := wire.AppendOutcome(nil, transporttest.SampleOutcome())
	large := wire.AppendOutcome(nil, &wire.Outcome{Body: make([]byte, wire.ChunkSize+1), HasBody: true})
	f.Add(append(frame(1, wire.TypeOutcome, outcome), frame(2, wire.TypeOutcome, outcome)...))
	f.Add(append(frame(2, wire.TypeChunk, make([]byte, 100)), frame(2, wire.TypeOutcome, large)...))
	f.Add(frame(1, wire.TypeAsk, wire.AppendAsk(nil, &wire.Ask{Fn: 4, Args: [][]byte{{0xc0}, {0xc3}}})))
	f.Add(append(frame(0, wire.TypeLog, wire.AppendLog(nil, &wire.LogLine{Level: 1, Message: "x"})), frame(0, wire.TypeGoAway, wire.AppendGoAway(nil, &wire.GoAway{}))...))
	f.Add([]byte("HTTP/1.1 200 OK\r\n\r\n"))
	f.Fuzz(func(t *testing.T, say []byte) {
		here, there := net.Pipe()
		var peer sync.WaitGroup
		calling := make(chan struct{})
		peer.Go(func() { // reads for ever, so that the host never waits for it
			_, _ = io.Copy(io.Discard, there)
		})
		peer.Go(func() {
			defer there.Close()
			hello := wire.AppendServerHello(wire.BeginFrame(nil), &transporttest.Hello)
			wire.EndFrame(hello, 0, 0, wire.TypeHello)
			_, _ = there.Write(hello)
			<-calling
			_, _ = there.Write(say)
		})
		l, err := handshake(context.Background(), here, nil, transport.Options{OnLog: func(transport.LogRecord) {}})
		if err != nil {
			t.Fatal(err)
		}
		l.r.start(l)
		var calls sync.WaitGroup
		for range 2 {
			calls.Go(func() {
				var out wire.Outcome
				err := l.Call(transporttest.SampleCall(1), time.Now().Add(time.Minute), answers{}, &out)
				if transporttest.KindOf(err) == transport.Timeout {
					t.Error(err)
				}
			})
		}
		transporttest.Eventually(t, "two calls in flight", func() bool { return l.InFlight() == 2 })
		close(calling)
		calls.Wait()
		<-l.Done()
		peer.Wait()
	})
}

// FuzzHello lets a server open a lane with anything: a lane, or an error, at the end of what it says.
func FuzzHello(f *testing.F) {
	hello := wire.AppendFrame(nil, 0, wire.TypeHello, wire.AppendServerHello(nil, &transporttest.Hello))
	f.Add(hello)
	f.Add(append(hello, wire.AppendFrame(nil, 0, wire.TypeLog, wire.AppendLog(nil, &wire.LogLine{Message: "x"}))...))
	f.Add(wire.AppendFrame(nil, 0, wire.TypeGoAway, wire.AppendGoAway(nil, &wire.GoAway{Code: "not_ready", Message: "later"})))
	f.Add([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
	f.Fuzz(func(t *testing.T, say []byte) {
		here, there := net.Pipe()
		var peer sync.WaitGroup
		peer.Go(func() { _, _ = io.Copy(io.Discard, there) })
		peer.Go(func() {
			defer there.Close()
			_, _ = there.Write(say)
		})
		l, err := handshake(context.Background(), here, nil, transport.Options{OnLog: func(transport.LogRecord) {}})
		if err == nil {
			if l.Hello().Version != wire.Version {
				t.Errorf("a lane with %+v", l.Hello())
			}
			l.r.start(l)
			<-l.Done()
		}
		_ = here.Close()
		peer.Wait()
	})
}

type answers struct{}

func (answers) Answer(*wire.Ask) wire.Answer {
	return wire.Answer{Bytes: make([]byte, 50_000), IsBytes: true}
}
