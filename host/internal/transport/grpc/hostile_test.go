package grpc_test

import (
	"context"
	"encoding/binary"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	gogrpc "google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/outrigger-gateway/outrigger/host/internal/transport"
	"github.com/outrigger-gateway/outrigger/host/internal/transport/grpc"
	"github.com/outrigger-gateway/outrigger/host/internal/transport/transporttest"
	"github.com/outrigger-gateway/outrigger/proto/gen/outrigger/plugin/v1"
	"github.com/outrigger-gateway/outrigger/proto/wire"
	"github.com/outrigger-gateway/outrigger/proto/wirepb"
)

type serverStream = gogrpc.BidiStreamingServer[pluginv1.DispatchRequest, pluginv1.DispatchResponse]

// server runs one function as its Dispatch.
type server struct {
	pluginv1.UnimplementedPluginServerServer
	dispatch func(st serverStream) error
}

func (s *server) Dispatch(st serverStream) error { return s.dispatch(st) }

func hello(version uint32) *pluginv1.DispatchResponse {
	return &pluginv1.DispatchResponse{Message: &pluginv1.DispatchResponse_Hello{Hello: &pluginv1.ServerHello{Version: version}}}
}

// untilGone waits for the end of the stream.
func untilGone(st serverStream) error {
	<-st.Context().Done()
	return nil
}

func TestOpenFails(t *testing.T) {
	goaway := &pluginv1.DispatchResponse{Message: &pluginv1.DispatchResponse_Goaway{Goaway: wirepb.GoAway(&wire.GoAway{Code: "not_ready", Message: "later"})}}
	log := &pluginv1.DispatchResponse{Message: &pluginv1.DispatchResponse_Log{Log: &pluginv1.Log{}}}
	for name, c := range map[string]struct {
		dispatch func(st serverStream) error
		kind     transport.ErrorKind
		want     string
	}{
		"silent":          {untilGone, transport.Timeout, "no hello in time"},
		"closes":          {func(serverStream) error { return nil }, transport.Closed, "waiting for hello"},
		"refuses":         {func(serverStream) error { return status.Error(codes.PermissionDenied, "not you") }, transport.Closed, "not you"},
		"goaway":          {func(st serverStream) error { return st.Send(goaway) }, transport.Closed, "it refused: not_ready: later"},
		"another version": {func(st serverStream) error { return st.Send(hello(2)) }, transport.BadFrame, "version 2, expected 1"},
		"log first":       {func(st serverStream) error { return st.Send(log) }, transport.BadFrame, "came first"},
	} {
		t.Run(name, func(t *testing.T) {
			transporttest.NoLeaks(t)
			ctx, cancel := context.WithTimeout(context.Background(), transporttest.DialTime(c.kind))
			defer cancel()
			_, err := grpc.Open(ctx, transporttest.ConnectTo(t, &server{dispatch: c.dispatch}), transport.Options{})
			if transporttest.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v (kind %d), want kind %d with %q", err, transporttest.KindOf(err), c.kind, c.want)
			}
		})
	}
	t.Run("no such service", func(t *testing.T) {
		cc := transporttest.ConnectTo(t, pluginv1.UnimplementedPluginServerServer{})
		if _, err := grpc.Open(context.Background(), cc, transport.Options{}); transporttest.KindOf(err) != transport.Closed {
			t.Errorf("got %v", err)
		}
	})
}

// TestPeerThatNeverReads: flow control stops the sender, never a caller.
func TestPeerThatNeverReads(t *testing.T) {
	transporttest.NoLeaks(t)
	cc := transporttest.ConnectTo(t, &server{dispatch: func(st serverStream) error {
		if err := st.Send(hello(1)); err != nil {
			return err
		}
		return untilGone(st)
	}})
	l, err := grpc.Open(context.Background(), cc, transport.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	run := func(n int, timeout time.Duration, body int) {
		for range n {
			wg.Go(func() {
				c := transporttest.SampleCall(12)
				c.RequestBody, c.HasRequestBody = make([]byte, body), true
				var out wire.Outcome
				start := time.Now()
				err := l.Call(c, start.Add(timeout), nil, &out)
				if took := time.Since(start); transporttest.KindOf(err) != transport.Timeout || took > timeout+transporttest.Patience {
					t.Errorf("got %v after %s", err, took)
				}
			})
		}
	}
	run(4, 2*time.Second, 4<<20)
	transporttest.Eventually(t, "senders are under way", func() bool { return l.InFlight() > 0 })
	run(100, 50*time.Millisecond, 100)
	wg.Wait()
	if l.Err() != nil || l.InFlight() != 0 {
		t.Errorf("err %v, %d in flight", l.Err(), l.InFlight())
	}
	_ = l.Close("done", "")
}

// TestNonsense: messages that a server must not send end the lane.
func TestNonsense(t *testing.T) {
	for name, m := range map[string]*pluginv1.DispatchResponse{
		"nothing":              {CallId: 1},
		"second hello":         hello(1),
		"outcome from nowhere": {CallId: 77, Message: &pluginv1.DispatchResponse_Outcome{Outcome: &pluginv1.Outcome{}}},
		"chunk from nowhere":   {CallId: 77, Message: &pluginv1.DispatchResponse_Chunk{Chunk: []byte("x")}},
		"log from nowhere":     {CallId: 77, Message: &pluginv1.DispatchResponse_Log{Log: &pluginv1.Log{}}},
		"outcome of nonsense":  {CallId: 1, Message: &pluginv1.DispatchResponse_Outcome{Outcome: &pluginv1.Outcome{Operations: []*pluginv1.Operation{{Code: 50, Value: []byte{0xc1}}}}}},
		"ask of nonsense":      {CallId: 1, Message: &pluginv1.DispatchResponse_Ask{Ask: &pluginv1.Ask{Args: [][]byte{{0xc1}}}}},
	} {
		t.Run(name, func(t *testing.T) {
			transporttest.NoLeaks(t)
			told := make(chan string, 1)
			cc := transporttest.ConnectTo(t, &server{dispatch: func(st serverStream) error {
				if err := st.Send(hello(1)); err != nil {
					return err
				}
				for {
					r, err := st.Recv()
					switch {
					case err != nil:
						told <- "nothing"
						return nil
					case r.GetCall() != nil:
						if err := st.Send(m); err != nil {
							return err
						}
					case r.GetGoaway() != nil:
						told <- r.GetGoaway().GetCode()
						return nil
					}
				}
			}})
			l, err := grpc.Open(context.Background(), cc, transport.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close("done", "")
			var out wire.Outcome
			want := transport.Closed
			if strings.HasSuffix(name, "of nonsense") {
				want = transport.BadFrame // it was about this call
			}
			if err := l.Call(transporttest.SampleCall(1), transporttest.Soon(), nil, &out); transporttest.KindOf(err) != want || !strings.Contains(err.Error(), "bad message") {
				t.Errorf("got %v", err)
			}
			if code := <-told; code != wire.CodeBadFrame {
				t.Errorf("the server was told %q", code)
			}
		})
	}
}

// TestLargestOutcome: what a server may send at most arrives, and harms no lane.
func TestLargestOutcome(t *testing.T) {
	transporttest.NoLeaks(t)
	value := make([]byte, wire.MaxFrame-64)
	copy(value, []byte{0xc6, 0, 0, 0, 0}) // bin
	m := &pluginv1.Outcome{Operations: []*pluginv1.Operation{{Code: 50, Name: []byte("k"), Value: value}}}
	value = append(value, make([]byte, wire.MaxFrame-proto.Size(m))...)
	binary.BigEndian.PutUint32(value[1:], uint32(len(value)-5))
	m.Operations[0].Value = value
	if n := proto.Size(m); n != wire.MaxFrame {
		t.Fatalf("the outcome has %d bytes", n)
	}
	cc := transporttest.ConnectTo(t, &server{dispatch: func(st serverStream) error {
		if err := st.Send(hello(1)); err != nil {
			return err
		}
		for {
			r, err := st.Recv()
			if err != nil {
				return nil
			}
			if r.GetCall() != nil {
				if err := st.Send(&pluginv1.DispatchResponse{CallId: r.CallId, Message: &pluginv1.DispatchResponse_Outcome{Outcome: m}}); err != nil {
					return err
				}
			}
		}
	}})
	l, err := grpc.Open(context.Background(), cc, transport.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close("done", "")
	var out wire.Outcome
	if err := l.Call(transporttest.SampleCall(1), transporttest.Soon(), nil, &out); err != nil || len(out.Ops) != 1 || len(out.Ops[0].Value) != len(value) {
		t.Errorf("got %v", err)
	}
}

// TestEmptyArgumentsCount: questions of nothing but empty arguments take memory, too.
func TestEmptyArgumentsCount(t *testing.T) {
	transporttest.NoLeaks(t)
	cc := transporttest.ConnectTo(t, &server{dispatch: func(st serverStream) error {
		if err := st.Send(hello(1)); err != nil {
			return err
		}
		for {
			r, err := st.Recv()
			if err != nil {
				return nil
			}
			if r.GetCall() != nil {
				ask := &pluginv1.Ask{Function: 5, Args: make([][]byte, wire.MaxAskBytes)}
				if err := st.Send(&pluginv1.DispatchResponse{CallId: r.CallId, Message: &pluginv1.DispatchResponse_Ask{Ask: ask}}); err != nil {
					return err
				}
			}
		}
	}})
	l, err := grpc.Open(context.Background(), cc, transport.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close("done", "")
	var out wire.Outcome
	if err := l.Call(transporttest.SampleCall(1), transporttest.Soon(), nil, &out); transporttest.KindOf(err) != transport.Closed || !strings.Contains(err.Error(), "wait for their answer") {
		t.Errorf("got %v", err)
	}
}
