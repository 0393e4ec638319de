package server

import (
	"fmt"
	"math"
	"strings"

	pluginv1 "github.com/outrigger-gateway/outrigger/proto/gen/outrigger/plugin/v1"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// callFrom turns the message of carrier grpc into a call, whose Facts are filled; the memory of their lists is used again. data is what went ahead
// in chunks.
func callFrom(m *pluginv1.Call, data []byte, slots *wire.SlotTable, c *wire.Call) error {
	f := c.Facts
	*f = wire.Facts{
		RequestID: m.GetRequestId(), StartTime: int64(min(m.GetStartTime(), math.MaxInt64)),
		Request:         wire.Request{Headers: f.Request.Headers[:0]},
		Captures:        wire.Captures{Unnamed: f.Captures.Unnamed[:0], Named: f.Captures.Named[:0]},
		Shared:          f.Shared[:0],
		Response:        wire.Response{Headers: f.Response.Headers[:0]},
		ServiceResponse: wire.Response{Headers: f.ServiceResponse.Headers[:0]},
	}
	*c = wire.Call{Instance: m.GetInstance(), Phase: uint8(min(m.GetPhase(), 255)), TimeoutMS: m.GetTimeoutMs(), Facts: f, Last: m.GetLast()}
	requestFrom(m.GetRequest(), &f.Request)
	clientFrom(m.GetClient(), &f.Client)
	if fw := m.GetForwarded(); fw != nil {
		f.Forwarded = wire.Forwarded{
			Set: true, Scheme: string(fw.Scheme), Host: string(fw.Host), Port: int(fw.Port), Path: string(fw.Path),
			Prefix: string(fw.Prefix), HasPrefix: fw.Prefix != nil,
		}
	}
	var err error
	entity := func(slot *uint32) *wire.Entity {
		if slot == nil || err != nil {
			return nil
		}
		e := slots.Get(*slot)
		if e == nil {
			err = fmt.Errorf("call: entity slot %d was never set", *slot)
		}
		return e
	}
	f.Route, f.Service, f.Consumer = entity(m.Route), entity(m.Service), entity(m.Consumer)
	if err != nil {
		return err
	}
	if m.Credential != nil {
		if err := wire.CheckValue(m.Credential); err != nil {
			return fmt.Errorf("call: credential: %w", err)
		}
		f.Credential = &wire.Entity{Doc: m.Credential}
	}
	for _, v := range m.GetCaptures().GetUnnamed() {
		f.Captures.Unnamed = append(f.Captures.Unnamed, string(v))
	}
	for _, n := range m.GetCaptures().GetNamed() {
		f.Captures.Named = append(f.Captures.Named, wire.Header{Name: n.Name, Value: string(n.Value)})
	}
	for _, kv := range m.GetShared() {
		if err := wire.CheckValue(kv.Value); err != nil {
			return fmt.Errorf("call: shared value %q: %w", kv.Key, err)
		}
		f.Shared = append(f.Shared, wire.SharedValue{Key: kv.Key, Value: kv.Value})
	}
	responsesFrom(m, f)
	b := blobs{data: data}
	c.Chunk, c.HasChunk = b.take(m.Chunk)
	c.RequestBody, c.HasRequestBody = b.take(m.RequestBody)
	c.ResponseBody, c.HasResponseBody = b.take(m.ResponseBody)
	return b.done("call")
}

func requestFrom(m *pluginv1.Request, r *wire.Request) {
	r.Method, r.Scheme, r.Host = m.GetMethod(), m.GetScheme(), m.GetHost()
	r.Port, r.HTTPVersion, r.Target = int(m.GetPort()), int(m.GetHttpVersion()), string(m.GetTarget())
	r.Path, r.RawQuery = wire.PathOfTarget(r.Target), wire.QueryOfTarget(r.Target)
	if m.GetPath() != nil {
		r.Path = string(m.Path)
	}
	if m.GetRawQuery() != nil {
		r.RawQuery = string(m.RawQuery)
	}
	r.Headers = headersFrom(m.GetHeaders(), r.Headers)
}

func clientFrom(m *pluginv1.Client, c *wire.Client) {
	*c = wire.Client{IP: m.GetIp(), Port: int(m.GetPort()), ForwardedIP: m.GetIp(), ForwardedPort: int(m.GetForwardedPort()), Trusted: m.GetTrusted()}
	if m != nil && m.ForwardedIp != nil {
		c.ForwardedIP = *m.ForwardedIp
	}
}

func responsesFrom(m *pluginv1.Call, f *wire.Facts) {
	if r := m.GetResponse(); r != nil {
		f.HasResponse = true
		f.Response.Status, f.Response.Source = int(r.Status), wire.Source(min(r.Source, uint32(wire.SourceError)))
		f.Response.Headers = headersFrom(r.Headers, f.Response.Headers)
	}
	if r := m.GetServiceResponse(); r != nil {
		f.HasServiceResponse = true
		f.ServiceResponse.Status = int(r.Status)
		if r.SameHeaders {
			f.ServiceResponse.Headers = append(f.ServiceResponse.Headers, f.Response.Headers...)
		} else {
			f.ServiceResponse.Headers = headersFrom(r.Headers, f.ServiceResponse.Headers)
		}
	}
}

func headersFrom(ms []*pluginv1.Header, hs []wire.Header) []wire.Header {
	for _, h := range ms {
		hs = append(hs, wire.Header{Name: h.Name, Value: string(h.Value)})
	}
	return hs
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

func answerFrom(m *pluginv1.Answer, data []byte) (wire.Answer, error) {
	if e := m.GetError(); e != nil {
		return wire.Answer{Err: &wire.Error{Code: e.Code, Message: e.Message}}, nil
	}
	b := blobs{data: data}
	a := wire.Answer{Value: m.GetValue()}
	a.Bytes, a.IsBytes = b.take(m.GetBytes())
	return a, b.done("answer")
}

// text makes a string one that protobuf takes.
func text(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

func outcomeTo(o *wire.Outcome) *pluginv1.Outcome {
	if o.Err != nil {
		return &pluginv1.Outcome{Failed: true, Error: &pluginv1.Error{Code: text(o.Err.Code), Message: text(o.Err.Message), Detail: text(o.Err.Detail)}}
	}
	m := &pluginv1.Outcome{Operations: make([]*pluginv1.Operation, len(o.Ops))}
	for i := range o.Ops {
		m.Operations[i] = operationTo(&o.Ops[i])
	}
	if o.HasBody {
		m.Body = blobTo(o.Body)
	}
	return m
}

func operationTo(op *wire.Op) *pluginv1.Operation {
	m := &pluginv1.Operation{
		Code: uint32(op.Code), Name: []byte(op.Name), Status: uint32(op.Status),
		Value: op.Value, Credential: op.Credential, Mode: op.Mode,
	}
	for _, v := range op.Values {
		m.Values = append(m.Values, []byte(v))
	}
	for _, h := range op.Headers {
		m.Headers = append(m.Headers, &pluginv1.Header{Name: h.Name, Value: []byte(h.Value)})
	}
	switch {
	case !op.HasBody:
	case op.Code == wire.OpResponseError:
		m.Name, m.Message = nil, []byte(op.Name)
	default:
		m.Body = blobTo(op.Body)
	}
	return m
}

func blobTo(b []byte) *pluginv1.Blob {
	if len(b) > wire.ChunkSize {
		return &pluginv1.Blob{Content: &pluginv1.Blob_Chunked{Chunked: uint64(len(b))}}
	}
	return &pluginv1.Blob{Content: &pluginv1.Blob_Inline{Inline: b}}
}
