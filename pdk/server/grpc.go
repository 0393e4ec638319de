package server

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/outrigger-gateway/outrigger/pdk/local"
	pluginv1 "github.com/outrigger-gateway/outrigger/proto/gen/outrigger/plugin/v1"
	"github.com/outrigger-gateway/outrigger/proto/wire"
	"github.com/outrigger-gateway/outrigger/proto/wirepb"
)

// dispatch serves one stream, which is one lane of carrier grpc.
func (s *Server) dispatch(stream pluginv1.PluginServer_DispatchServer) error {
	out := newStreamWriter(stream)
	l := newLane(s, out)
	r := &streamReader{lane: l, stream: stream, bulk: bulk{lane: l}}
	l.crew = newCrew(l, r)
	if !s.join(l, out.close) {
		return status.Error(codes.Unavailable, "the plugin server is shutting down")
	}
	defer s.leave(l)
	hello := serverHello()
	out.send(0, &pluginv1.DispatchResponse{Message: &pluginv1.DispatchResponse_Hello{Hello: wirepb.ServerHello(hello)}})
	ended := make(chan error, 1)
	go func() {
		err := r.hello()
		if err == nil {
			err = l.crew.serve()
		}
		l.die()
		ended <- err
	}()
	select {
	case <-out.quit: // returning ends the stream, and with it the reader
		return nil
	case err := <-ended:
		if errors.Is(err, io.EOF) || errors.Is(err, errGone) {
			return nil
		}
		if st, ok := status.FromError(err); ok {
			return st.Err()
		}
		s.logger.Error("a lane is closed because of a bad frame", "error", err)
		go out.close(wire.CodeBadFrame, err.Error())
		<-out.quit
		return status.Error(codes.InvalidArgument, err.Error())
	}
}

func goAway(code, message string) *pluginv1.DispatchResponse {
	return &pluginv1.DispatchResponse{Message: &pluginv1.DispatchResponse_Goaway{Goaway: wirepb.GoAway(&wire.GoAway{Code: code, Message: message})}}
}

// streamReader is the reading side of a lane of carrier grpc.
type streamReader struct {
	lane   *lane
	stream pluginv1.PluginServer_DispatchServer
	slots  wire.SlotTable
	bulk   bulk

	called *run // by the message
}

// hello reads the first message of the host.
func (r *streamReader) hello() error {
	m, err := r.stream.Recv()
	if err != nil {
		return err
	}
	hello := m.GetHello()
	if hello == nil {
		return fmt.Errorf("the first message is %T, expected hello", m.GetMessage())
	}
	said := wirepb.HostHelloOf(hello)
	if err := r.lane.hello(&said); err != nil {
		return fmt.Errorf("hello: %w", err)
	}
	return nil
}

// next implements feed.
func (r *streamReader) next() (*run, time.Time, error) {
	m, err := r.stream.Recv()
	received := time.Now()
	r.called = nil
	if err == nil {
		err = r.message(m, received)
	}
	return r.called, received, err
}

func (r *streamReader) message(m *pluginv1.DispatchRequest, received time.Time) error {
	switch t := m.GetMessage().(type) {
	case *pluginv1.DispatchRequest_Call:
		return r.call(m.CallId, t.Call, received)
	case *pluginv1.DispatchRequest_Answer:
		return r.answer(m.CallId, t.Answer)
	case *pluginv1.DispatchRequest_Chunk:
		return r.bulk.add(m.CallId, t.Chunk)
	case *pluginv1.DispatchRequest_Cancel:
		r.bulk.drop(m.CallId)
		r.lane.cancel(m.CallId)
	case *pluginv1.DispatchRequest_Entity:
		slot, e, err := wirepb.EntityOf(t.Entity)
		if err != nil {
			return err
		}
		local.Adopt(e)
		return r.slots.Set(slot, e)
	case *pluginv1.DispatchRequest_Goaway:
		return errGone
	case *pluginv1.DispatchRequest_Hello:
		return errors.New("found a second hello")
	case nil:
		return errors.New("found a message of an unknown type")
	}
	return nil
}

func (r *streamReader) call(id uint32, m *pluginv1.Call, received time.Time) error {
	var call *run
	if data, ok := r.bulk.take(id); !ok {
		call = refused(wire.CodeTooLarge, tooMuch)
	} else {
		call = newRun()
		if err := wirepb.CallOf(m, data, &r.slots, &call.call); err != nil {
			return err
		}
	}
	if err := r.lane.begin(call, id, received); err != nil {
		call.recycle()
		return err
	}
	r.called = call
	return nil
}

func (r *streamReader) answer(id uint32, m *pluginv1.Answer) error {
	data, ok := r.bulk.take(id)
	if !ok {
		r.lane.answer(id, wirepb.StepOf(m), wire.Answer{Err: &wire.Error{Code: wire.CodeTooLarge, Message: tooMuch}})
		return nil
	}
	a, err := wirepb.AnswerOf(m, data)
	if err != nil {
		return err
	}
	r.lane.answer(id, wirepb.StepOf(m), a)
	return nil
}

// streamWriter is the writing side. A stream takes one sender at a time.
type streamWriter struct {
	mu     sync.Mutex
	stream pluginv1.PluginServer_DispatchServer
	dead   bool

	quit chan struct{} // closed by end
	end  func()        // ends the lane from this side, and with it a send that waits
}

func newStreamWriter(stream pluginv1.PluginServer_DispatchServer) *streamWriter {
	w := &streamWriter{stream: stream, quit: make(chan struct{})}
	w.end = sync.OnceFunc(func() { close(w.quit) })
	return w
}

func (w *streamWriter) send(id uint32, m *pluginv1.DispatchResponse) {
	m.CallId = id
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.dead && w.stream.Send(m) != nil {
		w.dead = true // the reader finds out
	}
}

// close says goaway and ends the lane, at the latest after farewell: a host that does not read holds up nobody.
func (w *streamWriter) close(code, message string) {
	timer := time.AfterFunc(farewell, w.end)
	defer timer.Stop()
	w.send(0, goAway(code, message))
	w.end()
}

// outcome implements carrier.
func (w *streamWriter) outcome(id uint32, step uint16, out *wire.Outcome) {
	for _, body := range wire.AppendLargeOfOutcome(nil, out) {
		for len(body) > 0 {
			n := min(len(body), wire.ChunkSize)
			w.send(id, &pluginv1.DispatchResponse{Message: &pluginv1.DispatchResponse_Chunk{Chunk: body[:n]}})
			body = body[n:]
		}
	}
	m := wirepb.Outcome(out)
	if proto.Size(m) > wire.MaxFrame {
		m = wirepb.Outcome(tooLarge())
	}
	m.Step = uint32(step)
	w.send(id, &pluginv1.DispatchResponse{Message: &pluginv1.DispatchResponse_Outcome{Outcome: m}})
}

// ask implements carrier.
func (w *streamWriter) ask(id uint32, step uint16, a *wire.Ask) {
	m := wirepb.Ask(a)
	m.Step = uint32(step)
	w.send(id, &pluginv1.DispatchResponse{Message: &pluginv1.DispatchResponse_Ask{Ask: m}})
}

// log implements carrier.
func (w *streamWriter) log(id uint32, step uint16, line *wire.LogLine) {
	m := wirepb.Log(line)
	m.Step = uint32(step)
	w.send(id, &pluginv1.DispatchResponse{Message: &pluginv1.DispatchResponse_Log{Log: m}})
}

// flush implements carrier: nothing is kept.
func (w *streamWriter) flush(bool) {}
