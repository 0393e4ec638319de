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
	l.send(&pluginv1.DispatchRequest{CallId: id, Message: &pluginv1.DispatchRequest_Call{Call: callTo(c)}})
}

func (l *streamLane) answer(id uint32, a *wire.Answer) {
	m := &pluginv1.Answer{Value: a.Value}
	if a.Err != nil {
		m.Error = &pluginv1.Error{Code: a.Err.Code, Message: a.Err.Message}
	}
	if a.IsBytes {
		m.Bytes = blobTo(a.Bytes)
		if len(a.Bytes) > wire.ChunkSize {
			l.chunks(id, a.Bytes)
		}
	}
	l.send(&pluginv1.DispatchRequest{CallId: id, Message: &pluginv1.DispatchRequest_Answer{Answer: m}})
}

func (l *streamLane) cancel(id uint32) {
	l.send(&pluginv1.DispatchRequest{CallId: id, Message: &pluginv1.DispatchRequest_Cancel{Cancel: &pluginv1.Cancel{}}})
}

func (l *streamLane) entity(slot uint16, e *wire.Entity) {
	l.send(&pluginv1.DispatchRequest{Message: &pluginv1.DispatchRequest_Entity{Entity: &pluginv1.Entity{Slot: uint32(slot), Document: e.Doc}}})
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
			e.outcome, err = outcomeFrom(t.Outcome, bulk[m.CallId])
			delete(bulk, m.CallId)
		case *pluginv1.DispatchResponse_Ask:
			e.ask = &wire.Ask{Fn: wire.AskFn(t.Ask.Function), Args: t.Ask.Args}
		case *pluginv1.DispatchResponse_Log:
			e.line = &wire.LogLine{Level: uint8(t.Log.Level), Message: string(t.Log.Message)}
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

func callTo(c *wire.Call) *pluginv1.Call {
	f := c.Facts
	m := &pluginv1.Call{
		Instance: c.Instance, Phase: uint32(c.Phase), TimeoutMs: c.TimeoutMS, RequestId: f.RequestID, StartTime: uint64(f.StartTime),
		Request: &pluginv1.Request{
			Method: f.Request.Method, Scheme: f.Request.Scheme, Host: f.Request.Host, Port: uint32(f.Request.Port),
			HttpVersion: uint32(f.Request.HTTPVersion), Target: []byte(f.Request.Target), Headers: headersTo(f.Request.Headers),
		},
		Client: &pluginv1.Client{Ip: f.Client.IP, Port: uint32(f.Client.Port), ForwardedIp: &f.Client.ForwardedIP, Trusted: f.Client.Trusted},
		Last:   c.Last,
	}
	if f.Request.Path != wire.PathOfTarget(f.Request.Target) {
		m.Request.Path = []byte(f.Request.Path)
	}
	if f.Request.RawQuery != wire.QueryOfTarget(f.Request.Target) {
		m.Request.RawQuery = []byte(f.Request.RawQuery)
	}
	if f.Forwarded.Set {
		m.Forwarded = &pluginv1.Forwarded{Scheme: []byte(f.Forwarded.Scheme), Host: []byte(f.Forwarded.Host), Port: uint32(f.Forwarded.Port), Path: []byte(f.Forwarded.Path)}
		if f.Forwarded.HasPrefix {
			m.Forwarded.Prefix = []byte(f.Forwarded.Prefix)
		}
	}
	slot := func(e *wire.Entity, n uint16) *uint32 {
		if e == nil {
			return nil
		}
		s := uint32(n)
		return &s
	}
	m.Route, m.Service, m.Consumer = slot(f.Route, testSlots.Route), slot(f.Service, testSlots.Service), slot(f.Consumer, testSlots.Consumer)
	if f.Credential != nil {
		m.Credential = f.Credential.Doc
	}
	m.Captures = &pluginv1.Captures{}
	for _, u := range f.Captures.Unnamed {
		m.Captures.Unnamed = append(m.Captures.Unnamed, []byte(u))
	}
	for _, n := range f.Captures.Named {
		m.Captures.Named = append(m.Captures.Named, &pluginv1.NamedCapture{Name: n.Name, Value: []byte(n.Value)})
	}
	for _, s := range f.Shared {
		m.Shared = append(m.Shared, &pluginv1.KeyValue{Key: s.Key, Value: s.Value})
	}
	if f.HasResponse {
		m.Response = &pluginv1.Response{Status: uint32(f.Response.Status), Headers: headersTo(f.Response.Headers), Source: uint32(f.Response.Source)}
	}
	if f.HasServiceResponse {
		m.ServiceResponse = &pluginv1.ServiceResponse{Status: uint32(f.ServiceResponse.Status), Headers: headersTo(f.ServiceResponse.Headers)}
	}
	blob := func(b []byte, has bool) *pluginv1.Blob {
		if !has {
			return nil
		}
		return blobTo(b)
	}
	m.Chunk, m.RequestBody, m.ResponseBody = blob(c.Chunk, c.HasChunk), blob(c.RequestBody, c.HasRequestBody), blob(c.ResponseBody, c.HasResponseBody)
	return m
}

func headersTo(hs []wire.Header) []*pluginv1.Header {
	ms := make([]*pluginv1.Header, len(hs))
	for i, h := range hs {
		ms[i] = &pluginv1.Header{Name: h.Name, Value: []byte(h.Value)}
	}
	return ms
}

func outcomeFrom(m *pluginv1.Outcome, data []byte) (*wire.Outcome, error) {
	if m.Failed {
		return &wire.Outcome{Err: &wire.Error{Code: m.Error.GetCode(), Message: m.Error.GetMessage(), Detail: m.Error.GetDetail()}}, nil
	}
	b := blobs{data: data}
	out := &wire.Outcome{}
	for _, o := range m.Operations {
		op := wire.Op{
			Code: wire.OpCode(o.Code), Name: string(o.Name), Status: int(o.Status), Value: o.Value, Credential: o.Credential, Mode: o.Mode,
			Headers: headersFrom(o.Headers, nil),
		}
		for _, v := range o.Values {
			op.Values = append(op.Values, string(v))
		}
		op.Body, op.HasBody = b.take(o.Body)
		if o.Message != nil {
			op.Name, op.HasBody = string(o.Message), true
		}
		out.Ops = append(out.Ops, op)
	}
	out.Body, out.HasBody = b.take(m.Body)
	return out, b.done("outcome")
}

func blobTo(b []byte) *pluginv1.Blob {
	if len(b) > wire.ChunkSize {
		return &pluginv1.Blob{Content: &pluginv1.Blob_Chunked{Chunked: uint64(len(b))}}
	}
	return &pluginv1.Blob{Content: &pluginv1.Blob_Inline{Inline: b}}
}

// blobs takes bytes from their place or from the chunks that went ahead.
type blobs struct {
	data []byte
	bad  bool
}

func (b *blobs) take(m *pluginv1.Blob) (data []byte, has bool) {
	switch t := m.GetContent().(type) {
	case *pluginv1.Blob_Inline:
		return t.Inline, true
	case *pluginv1.Blob_Chunked:
		if t.Chunked > uint64(len(b.data)) {
			b.bad = true
			return nil, false
		}
		data, b.data = b.data[:t.Chunked:t.Chunked], b.data[t.Chunked:]
		return data, true
	}
	return nil, m != nil
}

func (b *blobs) done(what string) error {
	if b.bad || len(b.data) > 0 {
		return fmt.Errorf("%s: the chunks that went ahead do not match its bodies", what)
	}
	return nil
}
func headersFrom(ms []*pluginv1.Header, hs []wire.Header) []wire.Header {
	for _, h := range ms {
		hs = append(hs, wire.Header{Name: h.Name, Value: string(h.Value)})
	}
	return hs
}
