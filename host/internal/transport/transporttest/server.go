// Package transporttest is one suite of tests for lanes of every carrier, and the small plugin servers that it runs against. The
// servers are written with packages wire and wirepb alone.
package transporttest

import (
	"bytes"
	"context"
	"errors"
	"net"
	"path/filepath"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/outrigger-gateway/outrigger/proto/gen/outrigger/plugin/v1"
	"github.com/outrigger-gateway/outrigger/proto/wire"
	"github.com/outrigger-gateway/outrigger/proto/wirepb"
)

// Handler is what a test's plugin server does with one call. It runs on a goroutine of its own.
type Handler func(s *Session)

// Session is one call at the server.
type Session struct {
	Call *wire.Call
	// Step is the step of the call that outcomes, asks and log lines are of.
	Step uint16
	// Cancelled is closed when the host gave the call up, or the lane ended.
	Cancelled <-chan struct{}

	id      uint32
	lane    *lane
	cancel  context.CancelFunc
	answers chan answered
}

// answered is an answer and the step that it names.
type answered struct {
	wire.Answer
	step uint16
}

// Reply sends an outcome.
func (s *Session) Reply(o *wire.Outcome) { s.lane.outcome(s.id, s.Step, o) }

// Ask asks the host and waits for the answer; an error answer when the call ends first.
func (s *Session) Ask(fn wire.AskFn, args ...any) wire.Answer {
	s.SendAsk(fn, args...)
	return s.Answer()
}

// SendAsk sends an ask and does not wait.
func (s *Session) SendAsk(fn wire.AskFn, args ...any) {
	a := wire.Ask{Fn: fn}
	for _, arg := range args {
		v, err := wire.AppendValue(nil, arg)
		if err != nil {
			panic(err)
		}
		a.Args = append(a.Args, v)
	}
	s.lane.mu.Lock()
	if s.answers == nil {
		s.answers = make(chan answered, 4096) // more than any test asks
	}
	s.lane.mu.Unlock()
	s.lane.send.ask(s.id, s.Step, &a)
}

// Answer waits for the next answer.
func (s *Session) Answer() wire.Answer {
	a, _ := s.AnswerOfStep()
	return a
}

// AnswerOfStep waits for the next answer, and gives the step that it names.
func (s *Session) AnswerOfStep() (a wire.Answer, step uint16) {
	select {
	case a := <-s.answers:
		return a.Answer, a.step
	case <-s.Cancelled:
		return wire.Answer{Err: &wire.Error{Code: wire.CodeCancelled}}, 0
	}
}

// Log sends a log line of this call.
func (s *Session) Log(level uint8, message string) { s.LogFor(s.id, level, message) }

// LogFor sends a log line for any call id.
func (s *Session) LogFor(id uint32, level uint8, message string) {
	s.lane.send.log(id, s.Step, &wire.LogLine{Level: level, Message: message})
}

// ReplyTo sends an outcome for any call id.
func (s *Session) ReplyTo(id uint32, o *wire.Outcome) { s.lane.outcome(id, s.Step, o) }

// Chunk sends a piece of a large body.
func (s *Session) Chunk(b []byte) { s.lane.send.chunk(s.id, b) }

// ID is the id of the call.
func (s *Session) ID() uint32 { return s.id }

// GoAway sends a goaway.
func (s *Session) GoAway(code, msg string) {
	s.lane.send.goaway(&wire.GoAway{Code: code, Message: msg})
}

// Drop closes the lane without a word.
func (s *Session) Drop() { s.lane.drop() }

// Entities is the number of entity messages that the lane has seen.
func (s *Session) Entities() int {
	s.lane.mu.Lock()
	defer s.lane.mu.Unlock()
	return s.lane.entities
}

// sender is a carrier's way to send. Each method sends whole messages and may be called from many goroutines.
type sender interface {
	outcome(id uint32, step uint16, o *wire.Outcome)
	ask(id uint32, step uint16, a *wire.Ask)
	log(id uint32, step uint16, l *wire.LogLine)
	chunk(id uint32, b []byte)
	goaway(g *wire.GoAway)
}

// lane is the server's side of one lane, the same for both carriers.
type lane struct {
	handler Handler
	send    sender
	drop    func()
	ctx     context.Context // ends with the lane
	running sync.WaitGroup

	mu       sync.Mutex
	sessions map[uint32]*Session
	gather   map[uint32]*wire.Gather
	slots    wire.SlotTable
	entities int
}

func newLane(ctx context.Context, h Handler, send sender, drop func()) *lane {
	return &lane{handler: h, send: send, drop: drop, ctx: ctx, sessions: map[uint32]*Session{}, gather: map[uint32]*wire.Gather{}}
}

// outcome sends an outcome with its large bodies ahead.
func (l *lane) outcome(id uint32, step uint16, o *wire.Outcome) {
	for _, b := range wire.AppendLargeOfOutcome(nil, o) {
		for len(b) > 0 {
			n := min(len(b), wire.ChunkSize)
			l.send.chunk(id, b[:n])
			b = b[n:]
		}
	}
	l.send.outcome(id, step, o)
}

func (l *lane) chunk(id uint32, b []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.gather[id] == nil {
		l.gather[id] = new(wire.Gather)
	}
	l.gather[id].Add(b, 1<<30)
}

func (l *lane) bulk(id uint32) []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	g := l.gather[id]
	delete(l.gather, id)
	if g == nil {
		return nil
	}
	return g.Take()
}

func (l *lane) call(id uint32, c *wire.Call) {
	ctx, cancel := context.WithCancel(l.ctx)
	s := &Session{Call: c, Cancelled: ctx.Done(), id: id, lane: l, cancel: cancel}
	l.mu.Lock()
	l.sessions[id] = s
	l.mu.Unlock()
	l.running.Go(func() {
		l.handler(s)
		l.mu.Lock()
		if l.sessions[id] == s {
			delete(l.sessions, id)
		}
		l.mu.Unlock()
		cancel()
	})
}

func (l *lane) answer(id uint32, step uint16, a wire.Answer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s := l.sessions[id]; s != nil && s.answers != nil {
		s.answers <- answered{a, step}
	}
}

func (l *lane) cancelled(id uint32) {
	l.bulk(id)
	l.mu.Lock()
	defer l.mu.Unlock()
	if s := l.sessions[id]; s != nil {
		s.cancel()
	}
}

func (l *lane) entity(slot uint16, e *wire.Entity) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entities++
	return l.slots.Set(slot, e)
}

// Hello is what the test servers say first.
var Hello = wire.ServerHello{Version: wire.Version, SDKLanguage: "test", SDKVersion: "1", PID: 1, Features: wire.FeatureSteps}

// Token is what the msgpack test server wants to see.
var Token = []byte("let me in")

// Listen runs a plugin server with carrier msgpack on a unix socket and returns the address. It ends with the test.
func Listen(t testing.TB, h Handler) (network, address string) {
	t.Helper()
	address = filepath.Join(t.TempDir(), "p.sock")
	ln, err := net.Listen("unix", address)
	if err != nil {
		t.Fatal(err)
	}
	Serve(t, ln, h)
	return "unix", address
}

// Serve runs a plugin server with carrier msgpack on a listener. It ends with the test.
func Serve(t testing.TB, ln net.Listener, h Handler) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			running.Go(func() { serveConn(ctx, conn, h) })
		}
	})
	t.Cleanup(func() {
		cancel()
		_ = ln.Close()
		running.Wait()
	})
}

// serveConn serves one lane until it ends.
func serveConn(ctx context.Context, conn net.Conn, h Handler) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	fs := &frames{conn: conn}
	l := newLane(ctx, h, fs, cancel)
	defer l.running.Wait()
	defer cancel()
	version, token, err := wire.ReadGreeting(conn)
	if err != nil || version != wire.Version || !bytes.Equal(token, Token) {
		return
	}
	fs.frame(0, 0, wire.TypeHello, func(b []byte) []byte { return wire.AppendServerHello(b, &Hello) })
	for r := wire.NewReader(conn); ; {
		f, body, err := r.Next()
		if err == nil {
			err = l.frame(f, bytes.Clone(body))
		}
		if err != nil {
			var bad *wire.FormatError
			if errors.As(err, &bad) {
				fs.goaway(&wire.GoAway{Code: wire.CodeBadFrame, Message: err.Error()})
			}
			return
		}
	}
}

// frame takes one frame of the host.
func (l *lane) frame(f wire.Frame, body []byte) error {
	switch f.Type {
	case wire.TypeHello:
		_, err := wire.DecodeHostHello(body)
		return err
	case wire.TypeCall:
		c := new(wire.Call)
		if err := wire.DecodeCall(body, l.bulk(f.Call), &l.slots, c); err != nil {
			return err
		}
		l.call(f.Call, c)
	case wire.TypeAnswer:
		a, err := wire.DecodeAnswer(body, l.bulk(f.Call))
		if err != nil {
			return err
		}
		l.answer(f.Call, f.Step, a)
	case wire.TypeChunk:
		l.chunk(f.Call, body)
	case wire.TypeCancel:
		l.cancelled(f.Call)
	case wire.TypeEntity:
		slot, e, err := wire.DecodeEntity(body)
		if err != nil {
			return err
		}
		return l.entity(slot, e)
	case wire.TypeGoAway:
		l.drop()
	}
	return nil
}

// frames sends over carrier msgpack.
type frames struct {
	mu   sync.Mutex
	conn net.Conn
}

func (s *frames) frame(id uint32, step uint16, t wire.Type, body func([]byte) []byte) {
	b := body(wire.BeginFrame(nil))
	wire.EndFrameStep(b, 0, id, t, step)
	s.mu.Lock()
	defer s.mu.Unlock()
	_, _ = s.conn.Write(b) // a lane that is gone is noticed by its reader
}

func (s *frames) outcome(id uint32, step uint16, o *wire.Outcome) {
	s.frame(id, step, wire.TypeOutcome, func(b []byte) []byte { return wire.AppendOutcome(b, o) })
}

func (s *frames) ask(id uint32, step uint16, a *wire.Ask) {
	s.frame(id, step, wire.TypeAsk, func(b []byte) []byte { return wire.AppendAsk(b, a) })
}

func (s *frames) log(id uint32, step uint16, l *wire.LogLine) {
	s.frame(id, step, wire.TypeLog, func(b []byte) []byte { return wire.AppendLog(b, l) })
}

func (s *frames) chunk(id uint32, c []byte) {
	s.frame(id, 0, wire.TypeChunk, func(b []byte) []byte { return append(b, c...) })
}

func (s *frames) goaway(g *wire.GoAway) {
	s.frame(0, 0, wire.TypeGoAway, func(b []byte) []byte { return wire.AppendGoAway(b, g) })
}

// Connect runs a plugin server with carrier grpc and returns a connection to it. Both end with the test.
func Connect(t testing.TB, h Handler) *grpc.ClientConn {
	t.Helper()
	return ConnectTo(t, &dispatcher{handler: h})
}

// ConnectTo runs any server of the control plane and returns a connection to it. Both end with the test.
func ConnectTo(t testing.TB, srv pluginv1.PluginServerServer) *grpc.ClientConn {
	t.Helper()
	address := filepath.Join(t.TempDir(), "g.sock")
	ln, err := net.Listen("unix", address)
	if err != nil {
		t.Fatal(err)
	}
	gs := grpc.NewServer(grpc.MaxRecvMsgSize(wire.MaxFrame + 1024))
	pluginv1.RegisterPluginServerServer(gs, srv)
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = gs.Serve(ln)
	}()
	cc, err := grpc.NewClient("unix:"+address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cc.Close()
		gs.Stop()
		<-served
	})
	return cc
}

// dispatcher serves the Dispatch stream.
type dispatcher struct {
	pluginv1.UnimplementedPluginServerServer
	handler Handler
}

// Dispatch serves one lane until it ends.
func (d *dispatcher) Dispatch(stream grpc.BidiStreamingServer[pluginv1.DispatchRequest, pluginv1.DispatchResponse]) error {
	ctx, cancel := context.WithCancel(stream.Context())
	st := &messages{stream: stream}
	l := newLane(ctx, d.handler, st, cancel)
	defer l.running.Wait()
	defer cancel()
	st.send(0, &pluginv1.DispatchResponse{Message: &pluginv1.DispatchResponse_Hello{Hello: wirepb.ServerHello(&Hello)}})
	requests := make(chan *pluginv1.DispatchRequest)
	go func() {
		defer close(requests)
		for {
			m, err := stream.Recv()
			if err != nil {
				return
			}
			select {
			case requests <- m:
			case <-ctx.Done():
				return
			}
		}
	}()
	for {
		select {
		case m, ok := <-requests:
			if !ok {
				return nil
			}
			if err := l.message(m); err != nil {
				st.goaway(&wire.GoAway{Code: wire.CodeBadFrame, Message: err.Error()})
				return nil
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// message takes one message of the host.
func (l *lane) message(m *pluginv1.DispatchRequest) error {
	id := m.GetCallId()
	switch m := m.GetMessage().(type) {
	case *pluginv1.DispatchRequest_Call:
		c := new(wire.Call)
		if err := wirepb.CallOf(m.Call, l.bulk(id), &l.slots, c); err != nil {
			return err
		}
		l.call(id, c)
	case *pluginv1.DispatchRequest_Answer:
		a, err := wirepb.AnswerOf(m.Answer, l.bulk(id))
		if err != nil {
			return err
		}
		l.answer(id, wirepb.StepOf(m.Answer), a)
	case *pluginv1.DispatchRequest_Chunk:
		l.chunk(id, m.Chunk)
	case *pluginv1.DispatchRequest_Cancel:
		l.cancelled(id)
	case *pluginv1.DispatchRequest_Entity:
		slot, e, err := wirepb.EntityOf(m.Entity)
		if err != nil {
			return err
		}
		return l.entity(slot, e)
	case *pluginv1.DispatchRequest_Goaway:
		l.drop()
	}
	return nil
}

// messages sends over carrier grpc.
type messages struct {
	mu     sync.Mutex
	stream grpc.BidiStreamingServer[pluginv1.DispatchRequest, pluginv1.DispatchResponse]
}

func (s *messages) send(id uint32, m *pluginv1.DispatchResponse) {
	m.CallId = id
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.stream.Send(m) // a lane that is gone is noticed by its reader
}

func (s *messages) outcome(id uint32, step uint16, o *wire.Outcome) {
	m := wirepb.Outcome(o)
	m.Step = uint32(step)
	s.send(id, &pluginv1.DispatchResponse{Message: &pluginv1.DispatchResponse_Outcome{Outcome: m}})
}

func (s *messages) ask(id uint32, step uint16, a *wire.Ask) {
	m := wirepb.Ask(a)
	m.Step = uint32(step)
	s.send(id, &pluginv1.DispatchResponse{Message: &pluginv1.DispatchResponse_Ask{Ask: m}})
}

func (s *messages) log(id uint32, step uint16, l *wire.LogLine) {
	m := wirepb.Log(l)
	m.Step = uint32(step)
	s.send(id, &pluginv1.DispatchResponse{Message: &pluginv1.DispatchResponse_Log{Log: m}})
}

func (s *messages) chunk(id uint32, b []byte) {
	s.send(id, &pluginv1.DispatchResponse{Message: &pluginv1.DispatchResponse_Chunk{Chunk: b}})
}

func (s *messages) goaway(g *wire.GoAway) {
	s.send(0, &pluginv1.DispatchResponse{Message: &pluginv1.DispatchResponse_Goaway{Goaway: wirepb.GoAway(g)}})
}
