// Package grpc is the lane of carrier grpc: one Dispatch stream on the connection of the control plane. It means what the msgpack
// lane means, message by message, and is for peers behind meshes and proxies, and for languages without an SDK.
package grpc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/outrigger-gateway/outrigger/host/internal/transport"
	"github.com/outrigger-gateway/outrigger/host/internal/transport/flight"
	"github.com/outrigger-gateway/outrigger/proto/gen/outrigger/plugin/v1"
	"github.com/outrigger-gateway/outrigger/proto/wire"
	"github.com/outrigger-gateway/outrigger/proto/wirepb"
)

const (
	// openTimeout bounds the opening of a lane when the context has no deadline.
	openTimeout = 10 * time.Second
	// farewell is how long a closing lane tries to send what is pending and its goaway.
	farewell = 250 * time.Millisecond
	// batch is how much of a large body one sender queues before it lets others in.
	batch = 128 << 10
	// envelope is room for what a message has around an outcome of wire.MaxFrame bytes.
	envelope = 1 << 10
)

type (
	table  = flight.Table[*pluginv1.Outcome, *pluginv1.Ask]
	call   = flight.Call[*pluginv1.Outcome, *pluginv1.Ask]
	stream = grpc.BidiStreamingClient[pluginv1.DispatchRequest, pluginv1.DispatchResponse]
)

// lane implements transport.Lane.
type lane struct {
	stream stream
	end    context.CancelFunc // of the stream
	table  *table
	q      *queue
	slots  flight.Slots // guarded by q.mu
	hello  wire.ServerHello
	logs   *flight.Logs
}

// Open opens a lane on a connection that stays the caller's. It returns when the server's hello has come. The context bounds the
// opening only.
func Open(ctx context.Context, cc *grpc.ClientConn, o transport.Options) (transport.Lane, error) {
	if _, has := ctx.Deadline(); !has {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, openTimeout)
		defer cancel()
	}
	lifetime, end := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, end)
	l, err := open(lifetime, end, cc, o)
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		end()
		kind := transport.Closed
		var bad *wire.FormatError
		switch {
		case ctx.Err() != nil:
			kind, err = transport.Timeout, fmt.Errorf("no hello in time: %w", context.Cause(ctx))
		case errors.As(err, &bad):
			kind = transport.BadFrame
		}
		return nil, &transport.Error{Kind: kind, Msg: "opening a lane on " + cc.Target(), Err: err}
	}
	go l.send()
	go l.read()
	return l, nil
}

func open(ctx context.Context, end context.CancelFunc, cc *grpc.ClientConn, o transport.Options) (*lane, error) {
	st, err := pluginv1.NewPluginServerClient(cc).Dispatch(ctx, grpc.MaxCallRecvMsgSize(wire.MaxFrame+envelope), grpc.MaxCallSendMsgSize(2*wire.MaxFrame))
	if err != nil {
		return nil, err
	}
	if o.Hello.Version == 0 {
		o.Hello.Version = wire.Version
	}
	if err := st.Send(&pluginv1.DispatchRequest{Message: &pluginv1.DispatchRequest_Hello{Hello: wirepb.HostHello(&o.Hello)}}); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("sending hello: %w", err)
	}
	m, err := st.Recv()
	if err != nil {
		return nil, fmt.Errorf("waiting for hello: %w", err)
	}
	if g := m.GetGoaway(); g != nil {
		return nil, fmt.Errorf("it refused: %w", &wire.Error{Code: g.GetCode(), Message: g.GetMessage()})
	}
	if m.GetHello() == nil {
		return nil, &wire.FormatError{What: "hello", Msg: fmt.Sprintf("%T came first", m.GetMessage())}
	}
	hello := wirepb.ServerHelloOf(m.GetHello())
	if hello.Version != wire.Version {
		return nil, &wire.FormatError{What: "hello", Msg: fmt.Sprintf("the server speaks version %d, expected %d", hello.Version, wire.Version)}
	}
	return &lane{
		stream: st, end: end, hello: hello, logs: flight.NewLogs(o), q: newQueue(),
		table: flight.NewTable[*pluginv1.Outcome, *pluginv1.Ask](o),
	}, nil
}

// Call implements transport.Lane.
func (l *lane) Call(c *wire.Call, deadline time.Time, asker transport.Asker, out *wire.Outcome) error {
	return l.table.Run(l, c, deadline, asker, out)
}

// AskOf implements flight.Carrier.
func (l *lane) AskOf(a *pluginv1.Ask) (wire.Ask, int, error) {
	ask, err := wirepb.AskOf(a)
	return ask, proto.Size(a), err
}

// OutcomeOf implements flight.Carrier.
func (l *lane) OutcomeOf(_ *call, o *pluginv1.Outcome, bulk []byte, out *wire.Outcome) (int, error) {
	return proto.Size(o) + len(bulk), wirepb.OutcomeOf(o, bulk, out)
}

// SendCall implements flight.Carrier: large bodies first, then entities that the lane has not named, then the call itself.
func (l *lane) SendCall(fl *call, c *wire.Call) error {
	var big [3][]byte
	for _, b := range wire.AppendLargeOfCall(big[:0], c) {
		if !l.sendChunks(fl, b) {
			return nil
		}
		c.Traffic.Sent += len(b)
	}
	if !l.reserve(fl) {
		return nil
	}
	defer l.q.mu.Unlock()
	slots, err := l.nameEntities(c)
	if err == nil {
		m := wirepb.Call(c, slots)
		detach(m)
		size := sizeOf(c)
		if size > wire.MaxFrame {
			err = &transport.Error{Kind: transport.TooLarge, Msg: fmt.Sprintf("a call of %d bytes, at most %d fit into a message", size, wire.MaxFrame)}
		} else {
			l.q.put(fl.ID, &pluginv1.DispatchRequest{Message: &pluginv1.DispatchRequest_Call{Call: m}}, size)
			fl.Sent = true
			c.Traffic.Sent += size
		}
	}
	if err != nil && fl.Sent { // its chunks are there
		l.q.put(fl.ID, cancelMessage(), 0)
	}
	return err
}

// nameEntities finds the slots of the entities of a call, and queues those that are new to the lane. The queue's lock is held.
func (l *lane) nameEntities(c *wire.Call) (slots wire.Slots, err error) {
	for _, e := range []struct {
		entity *wire.Entity
		slot   *uint16
	}{{c.Route, &slots.Route}, {c.Service, &slots.Service}, {c.Consumer, &slots.Consumer}} {
		if e.entity == nil {
			continue
		}
		if len(e.entity.Doc) == 0 || len(e.entity.Doc) > wire.MaxFrame-16 {
			return slots, &transport.Error{Kind: transport.TooLarge, Msg: fmt.Sprintf("entity %q has a document of %d bytes, expected 1 to %d", e.entity.ID, len(e.entity.Doc), wire.MaxFrame-16)}
		}
		slot, fresh := l.slots.Of(e.entity, c.Facts)
		if *e.slot = slot; fresh {
			l.q.put(0, &pluginv1.DispatchRequest{Message: &pluginv1.DispatchRequest_Entity{Entity: wirepb.Entity(slot, e.entity)}}, len(e.entity.Doc))
		}
	}
	return slots, nil
}

// SendAnswer implements flight.Carrier. When the call ends meanwhile, the server forgets what it has of the answer by the cancel.
func (l *lane) SendAnswer(fl *call, step uint16, ans *wire.Answer) int {
	large := ans.Err == nil && ans.IsBytes && len(ans.Bytes) > wire.ChunkSize
	if large && !l.sendChunks(fl, ans.Bytes) || !l.reserve(fl) {
		if large {
			l.SendCancel(fl)
		}
		return 0
	}
	defer l.q.mu.Unlock()
	small := *ans
	small.Value = bytes.Clone(ans.Value)
	if !large {
		small.Bytes = bytes.Clone(ans.Bytes)
	}
	if n := len(ans.Value); n > wire.MaxFrame {
		small = wire.Answer{Err: &wire.Error{Code: wire.CodeTooLarge, Message: fmt.Sprintf("an answer of %d bytes, at most %d fit into a message", n, wire.MaxFrame)}}
	}
	m := wirepb.Answer(&small)
	m.Step = uint32(step)
	l.q.put(fl.ID, &pluginv1.DispatchRequest{Message: &pluginv1.DispatchRequest_Answer{Answer: m}}, len(ans.Value)+64)
	return len(ans.Bytes) + len(ans.Value)
}

// sendChunks queues a large body, a batch at a time, so that messages of other calls pass in between. It reports false when the
// call ended meanwhile. The chunks are copies: the body stays the caller's.
func (l *lane) sendChunks(fl *call, b []byte) bool {
	for len(b) > 0 {
		if !l.reserve(fl) {
			return false
		}
		for queued := 0; len(b) > 0 && queued < batch && l.q.room(); queued += wire.ChunkSize {
			n := min(len(b), wire.ChunkSize)
			l.q.put(fl.ID, &pluginv1.DispatchRequest{Message: &pluginv1.DispatchRequest_Chunk{Chunk: bytes.Clone(b[:n])}}, n)
			b = b[n:]
		}
		fl.Sent = true
		l.q.mu.Unlock()
	}
	return true
}

// reserve takes the queue's lock with room in it. It reports false, without the lock, when the call ended or the lane died
// meanwhile.
func (l *lane) reserve(fl *call) bool {
	l.q.mu.Lock()
	for {
		if fl.Ended() || l.q.closing {
			l.q.mu.Unlock()
			return false
		}
		if l.q.room() {
			return true
		}
		l.q.enlist(fl)
		l.q.mu.Unlock()
		<-fl.Woken()
		l.q.mu.Lock()
		l.q.delist(fl)
	}
}

// SendCancel implements flight.Carrier. A cancel needs no room: it is short, and at most one follows each call that found room.
func (l *lane) SendCancel(fl *call) {
	l.q.mu.Lock()
	defer l.q.mu.Unlock()
	if !l.q.closing {
		l.q.put(fl.ID, cancelMessage(), 0)
	}
}

func cancelMessage() *pluginv1.DispatchRequest {
	return &pluginv1.DispatchRequest{Message: &pluginv1.DispatchRequest_Cancel{Cancel: &pluginv1.Cancel{}}}
}

// send sends what is queued until the lane ends. It is the only one that blocks when the server does not read.
func (l *lane) send() {
	var old []*pluginv1.DispatchRequest
	for {
		select {
		case <-l.q.more:
		case <-l.stream.Context().Done():
			return
		}
		batch, last := l.q.take(old)
		for _, m := range batch {
			if err := l.stream.Send(m); err != nil {
				if !errors.Is(err, io.EOF) { // else read gets the reason
					l.fail(&transport.Error{Kind: transport.Closed, Msg: "sending to the plugin server", Err: err}, nil)
				}
				return
			}
		}
		if last {
			_ = l.stream.CloseSend()
			return
		}
		old = batch
	}
}

// read delivers what the server sends until the lane dies, and ends the stream.
func (l *lane) read() {
	defer l.end()
	for {
		m, err := l.stream.Recv()
		switch {
		case errors.Is(err, io.EOF):
			l.fail(&transport.Error{Kind: transport.Closed, Msg: "the plugin server closed the stream", Err: err}, nil)
			return
		case err != nil:
			l.fail(&transport.Error{Kind: transport.Closed, Msg: "receiving from the plugin server", Err: err}, nil)
			return
		}
		if l.table.Dead() {
			continue // until the goaway is sent and the stream ends
		}
		if g := m.GetGoaway(); g != nil {
			l.fail(&transport.Error{Kind: transport.Closed, Msg: "the plugin server said goodbye", Err: &wire.Error{Code: g.GetCode(), Message: g.GetMessage()}}, nil)
			continue
		}
		if err := l.deliver(m); err != nil {
			_ = l.Bad(err)
		}
	}
}

// deliver hands one message to who waits for it. It never blocks.
func (l *lane) deliver(m *pluginv1.DispatchResponse) error {
	id := m.GetCallId()
	switch m := m.GetMessage().(type) {
	case *pluginv1.DispatchResponse_Outcome:
		return l.table.Outcome(id, wirepb.StepOf(m.Outcome), m.Outcome)
	case *pluginv1.DispatchResponse_Chunk:
		return l.table.Chunk(id, m.Chunk)
	case *pluginv1.DispatchResponse_Ask:
		return l.table.Ask(id, wirepb.StepOf(m.Ask), m.Ask, proto.Size(m.Ask))
	case *pluginv1.DispatchResponse_Log:
		line := wirepb.LogOf(m.Log)
		rec := transport.LogRecord{Level: line.Level, Message: line.Message}
		if err := l.table.Origin(id, wirepb.StepOf(m.Log), &rec); err != nil {
			return err
		}
		l.logs.Add(rec)
		return nil
	default:
		return fmt.Errorf("a server sends no %T here", m)
	}
}

// Bad implements flight.Carrier. Whoever waits gets Closed; the error returned is for the call that it was about.
func (l *lane) Bad(err error) error {
	e := &transport.Error{Kind: transport.BadFrame, Msg: "a bad message from the plugin server", Err: err}
	l.fail(&transport.Error{Kind: transport.Closed, Msg: "the lane was closed", Err: e}, &wire.GoAway{Code: wire.CodeBadFrame, Message: err.Error()})
	return e
}

// fail ends the lane once: a goaway if there is one, then the end of the stream, at the latest after farewell.
func (l *lane) fail(err *transport.Error, goaway *wire.GoAway) {
	if !l.table.Fail(err) {
		return
	}
	var last *pluginv1.DispatchRequest
	if goaway != nil {
		last = &pluginv1.DispatchRequest{Message: &pluginv1.DispatchRequest_Goaway{Goaway: wirepb.GoAway(goaway)}}
	}
	l.q.close(last)
	time.AfterFunc(farewell, l.end)
}

// Close implements transport.Lane.
func (l *lane) Close(code, msg string) error {
	l.fail(&transport.Error{Kind: transport.Closed, Msg: "the lane was closed", Err: &wire.Error{Code: code, Message: msg}}, &wire.GoAway{Code: code, Message: msg})
	return nil
}

func (l *lane) InFlight() int           { return l.table.InFlight() }
func (l *lane) Oldest() time.Time       { return l.table.Oldest() }
func (l *lane) Done() <-chan struct{}   { return l.table.Done() }
func (l *lane) Err() error              { return l.table.Err() }
func (l *lane) Hello() wire.ServerHello { return l.hello }
