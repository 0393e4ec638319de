// Package wirepb maps the messages of package wire to the protobuf messages of the grpc carrier, both ways. docs/wire.md says what
// they mean.
//
// Protobuf's strings must be UTF-8 where the msgpack carrier takes any bytes: text that is not is repaired with U+FFFD, which can
// only happen to names and error messages. Values, paths and bodies are bytes over both.
package wirepb

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/outrigger-gateway/outrigger/proto/gen/outrigger/plugin/v1"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// text makes s fit for a protobuf string.
func text(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

func bad(what, format string, args ...any) error {
	return &wire.FormatError{What: what, Msg: fmt.Sprintf(format, args...)}
}

// raw is a free value as it travels: nothing is nil, and so is an encoded nil.
func raw(v []byte) []byte {
	if len(v) == 0 || len(v) == 1 && v[0] == 0xc0 {
		return nil
	}
	return v
}

// value checks a free value that arrived; nil stays nil.
func value(what string, v []byte) ([]byte, error) {
	if v = raw(v); v == nil {
		return nil, nil
	}
	if err := wire.CheckValue(v); err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	return v, nil
}

// document is value for what must be a map.
func document(what string, v []byte) ([]byte, error) {
	v, err := value(what, v)
	if err == nil && v != nil && v[0]&0xf0 != 0x80 && v[0] != 0xde && v[0] != 0xdf {
		return nil, bad(what, "a map expected, found 0x%02x", v[0])
	}
	return v, err
}

// arguments is value for what must be an array.
func arguments(v []byte) ([]byte, error) {
	v, err := value("arguments", v)
	if err == nil && v != nil && v[0]&0xf0 != 0x90 && v[0] != 0xdc && v[0] != 0xdd {
		return nil, bad("arguments", "an array expected, found 0x%02x", v[0])
	}
	return v, err
}

// blob makes the message for a body: over wire.ChunkSize its bytes go ahead in chunks.
func blob(b []byte, has bool) *pluginv1.Blob {
	switch {
	case !has:
		return nil
	case len(b) > wire.ChunkSize:
		return &pluginv1.Blob{Content: &pluginv1.Blob_Chunked{Chunked: uint64(len(b))}}
	}
	return &pluginv1.Blob{Content: &pluginv1.Blob_Inline{Inline: b}}
}

// bodies takes bodies out of a message and its chunks.
type bodies struct {
	bulk []byte
	err  error
}

func (r *bodies) take(b *pluginv1.Blob) (body []byte, has bool) {
	switch c := b.GetContent().(type) {
	case *pluginv1.Blob_Chunked:
		if c.Chunked > uint64(len(r.bulk)) {
			if r.err == nil {
				r.err = bad("body", "%d bytes of chunks wanted, %d there", c.Chunked, len(r.bulk))
			}
			return nil, true
		}
		body = r.bulk[:c.Chunked:c.Chunked]
		r.bulk = r.bulk[c.Chunked:]
		return body, true
	case *pluginv1.Blob_Inline:
		return some(c.Inline), true
	}
	if b != nil {
		return []byte{}, true
	}
	return nil, false
}

func (r *bodies) done(what string) error {
	if r.err == nil && len(r.bulk) > 0 {
		return bad(what, "%d bytes of chunks that no field names", len(r.bulk))
	}
	return r.err
}

// some keeps an empty body apart from an absent one.
func some(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

func headers(hs []wire.Header) []*pluginv1.Header {
	if len(hs) == 0 {
		return nil
	}
	list, out := make([]pluginv1.Header, len(hs)), make([]*pluginv1.Header, len(hs))
	for i := range hs {
		list[i].Name, list[i].Value = strings.ToLower(text(hs[i].Name)), []byte(hs[i].Value)
		out[i] = &list[i]
	}
	return out
}

// given makes the headers of an operation: their names stand as the plugin gave them.
func given(hs []wire.Header) []*pluginv1.Header {
	out := make([]*pluginv1.Header, len(hs))
	for i := range hs {
		out[i] = &pluginv1.Header{Name: text(hs[i].Name), Value: []byte(hs[i].Value)}
	}
	return out
}

func headersOf(dst []wire.Header, hs []*pluginv1.Header) []wire.Header {
	for _, h := range hs {
		dst = append(dst, wire.Header{Name: h.GetName(), Value: string(h.GetValue())})
	}
	return dst
}

// Call makes the message of a call. Bodies over wire.ChunkSize are named only by their length: the sender sends what
// wire.AppendLargeOfCall returns as chunks first. The message keeps the bodies of c, so it must be marshalled before they change.
func Call(c *wire.Call, slots wire.Slots) *pluginv1.Call {
	m := &pluginv1.Call{
		Instance: c.Instance, Phase: uint32(c.Phase), TimeoutMs: c.TimeoutMS,
		RequestId: text(c.RequestID), StartTime: uint64(max(c.StartTime, 0)),
		Request: request(&c.Request), Client: client(&c.Client), Forwarded: forwarded(&c.Forwarded),
		Route: slot(c.Route, slots.Route), Service: slot(c.Service, slots.Service), Consumer: slot(c.Consumer, slots.Consumer),
		Last: c.Last, Chunk: blob(c.Chunk, c.HasChunk),
		RequestBody: blob(c.RequestBody, c.HasRequestBody), ResponseBody: blob(c.ResponseBody, c.HasResponseBody),
	}
	if c.Credential != nil {
		m.Credential = raw(c.Credential.Doc)
	}
	if len(c.Captures.Unnamed) > 0 || len(c.Captures.Named) > 0 {
		m.Captures = &pluginv1.Captures{}
		for _, s := range c.Captures.Unnamed {
			m.Captures.Unnamed = append(m.Captures.Unnamed, []byte(s))
		}
		for i := range c.Captures.Named {
			m.Captures.Named = append(m.Captures.Named, &pluginv1.NamedCapture{Name: text(c.Captures.Named[i].Name), Value: []byte(c.Captures.Named[i].Value)})
		}
	}
	m.Shared, m.Plugin = shared(c.Shared), shared(c.Plugin)
	if c.TLS.Set {
		m.Tls = &pluginv1.TLS{Version: text(c.TLS.Version), Cipher: text(c.TLS.Cipher), ClientVerify: text(c.TLS.ClientVerify), HasCertificate: c.TLS.HasCertificate}
	}
	for i := range c.Groups {
		m.Groups = append(m.Groups, &pluginv1.Group{Id: text(c.Groups[i].ID), Name: text(c.Groups[i].Name)})
	}
	m.Trace, m.Prefetched, m.Steps = trace(&c.Trace), prefetched(c.Prefetched), steps(c.Rest)
	if c.HasResponse {
		m.Response = &pluginv1.Response{Status: uint32(max(c.Response.Status, 0)), Headers: headers(c.Response.Headers), Source: uint32(c.Response.Source)}
	}
	if c.HasServiceResponse {
		m.ServiceResponse = &pluginv1.ServiceResponse{Status: uint32(max(c.ServiceResponse.Status, 0)), SameHeaders: c.SameHeaders()}
		if !m.ServiceResponse.SameHeaders {
			m.ServiceResponse.Headers = headers(c.ServiceResponse.Headers)
		}
	}
	return m
}

func shared(vs []wire.SharedValue) []*pluginv1.KeyValue {
	var out []*pluginv1.KeyValue
	for i := range vs {
		v := vs[i].Value
		if len(v) == 0 {
			v = []byte{0xc0}
		}
		out = append(out, &pluginv1.KeyValue{Key: text(vs[i].Key), Value: v})
	}
	return out
}

func sharedOf(dst []wire.SharedValue, what string, kvs []*pluginv1.KeyValue) ([]wire.SharedValue, error) {
	for _, kv := range kvs {
		if err := wire.CheckValue(kv.GetValue()); err != nil {
			return dst, fmt.Errorf("%s value %q: %w", what, kv.GetKey(), err)
		}
		dst = append(dst, wire.SharedValue{Key: kv.GetKey(), Value: kv.GetValue()})
	}
	return dst, nil
}

func request(r *wire.Request) *pluginv1.Request {
	m := &pluginv1.Request{
		Method: text(r.Method), Scheme: text(r.Scheme), Host: text(r.Host), Port: uint32(max(r.Port, 0)), HttpVersion: uint32(max(r.HTTPVersion, 0)),
		Target: []byte(r.Target), Headers: headers(r.Headers),
	}
	path, query, _ := strings.Cut(r.Target, "?")
	if r.Path != path {
		m.Path = []byte(r.Path)
	}
	if r.RawQuery != query {
		m.RawQuery = []byte(r.RawQuery)
	}
	return m
}

func client(c *wire.Client) *pluginv1.Client {
	m := &pluginv1.Client{Ip: text(c.IP), Port: uint32(max(c.Port, 0)), Trusted: c.Trusted}
	if c.ForwardedIP != c.IP && c.ForwardedIP != "" {
		ip := text(c.ForwardedIP)
		m.ForwardedIp = &ip
	}
	if c.ForwardedPort > 0 {
		port := uint32(c.ForwardedPort)
		m.ForwardedPort = &port
	}
	return m
}

func forwarded(f *wire.Forwarded) *pluginv1.Forwarded {
	if !f.Set {
		return nil
	}
	m := &pluginv1.Forwarded{Scheme: []byte(f.Scheme), Host: []byte(f.Host), Port: uint32(max(f.Port, 0)), Path: []byte(f.Path)}
	if f.HasPrefix {
		m.Prefix = []byte(f.Prefix)
	}
	return m
}

func slot(e *wire.Entity, n uint16) *uint32 {
	if e == nil {
		return nil
	}
	v := uint32(n)
	return &v
}

// CallOf reads a call as wire.DecodeCall does: c and its Facts are replaced, the memory of their slices is used again.
func CallOf(m *pluginv1.Call, bulk []byte, slots *wire.SlotTable, c *wire.Call) error {
	f := c.Facts
	if f == nil {
		f = new(wire.Facts)
	}
	*f = wire.Facts{
		RequestID: m.GetRequestId(), StartTime: int64(m.GetStartTime()),
		Request:  wire.Request{Headers: headersOf(f.Request.Headers[:0], m.GetRequest().GetHeaders())},
		Captures: wire.Captures{Unnamed: f.Captures.Unnamed[:0], Named: f.Captures.Named[:0]},
		Shared:   f.Shared[:0],
		Groups:   f.Groups[:0],
		Response: wire.Response{Headers: f.Response.Headers[:0]}, ServiceResponse: wire.Response{Headers: f.ServiceResponse.Headers[:0]},
	}
	*c = wire.Call{Facts: f, Instance: m.GetInstance(), TimeoutMS: m.GetTimeoutMs(), Last: m.GetLast(), Plugin: c.Plugin[:0], Prefetched: c.Prefetched[:0], Rest: c.Rest[:0]}
	if m.GetPhase() > 255 {
		return bad("call", "phase %d", m.GetPhase())
	}
	c.Phase = uint8(m.GetPhase())
	requestOf(m.GetRequest(), &f.Request)
	clientOf(m.GetClient(), &f.Client)
	forwardedOf(m.GetForwarded(), &f.Forwarded)
	var err error
	for _, e := range []struct {
		slot   *uint32
		entity **wire.Entity
	}{{m.Route, &f.Route}, {m.Service, &f.Service}, {m.Consumer, &f.Consumer}} {
		if e.slot == nil {
			continue
		}
		if *e.entity = slots.Get(*e.slot); *e.entity == nil {
			return bad("call", "entity slot %d was never set", *e.slot)
		}
	}
	if m.Credential != nil {
		doc, err := document("credential", m.Credential)
		if err != nil {
			return err
		}
		if doc != nil {
			f.Credential = wire.EntityOf(doc)
		}
	}
	for _, v := range m.GetCaptures().GetUnnamed() {
		f.Captures.Unnamed = append(f.Captures.Unnamed, string(v))
	}
	for _, n := range m.GetCaptures().GetNamed() {
		f.Captures.Named = append(f.Captures.Named, wire.Header{Name: n.GetName(), Value: string(n.GetValue())})
	}
	if f.Shared, err = sharedOf(f.Shared, "shared", m.GetShared()); err != nil {
		return err
	}
	if c.Plugin, err = sharedOf(c.Plugin, "plugin", m.GetPlugin()); err != nil {
		return err
	}
	if t := m.GetTls(); t != nil {
		f.TLS = wire.TLS{Set: true, Version: t.GetVersion(), Cipher: t.GetCipher(), ClientVerify: t.GetClientVerify(), HasCertificate: t.GetHasCertificate()}
	}
	for _, g := range m.GetGroups() {
		f.Groups = append(f.Groups, wire.Group{ID: g.GetId(), Name: g.GetName()})
	}
	f.Trace = traceOf(m.GetTrace())
	if c.Prefetched, err = prefetchedOf(c.Prefetched, m.GetPrefetched()); err != nil {
		return err
	}
	if c.Rest, err = stepsOf(c.Rest, m.GetSteps(), c.Phase); err != nil {
		return err
	}
	if r := m.GetResponse(); r != nil {
		f.HasResponse = true
		f.Response = wire.Response{Status: int(r.GetStatus()), Headers: headersOf(f.Response.Headers, r.GetHeaders()), Source: wire.Source(r.GetSource())}
	}
	if r := m.GetServiceResponse(); r != nil {
		f.HasServiceResponse = true
		f.ServiceResponse.Status = int(r.GetStatus())
		if r.GetSameHeaders() {
			f.ServiceResponse.Headers = append(f.ServiceResponse.Headers, f.Response.Headers...)
		} else {
			f.ServiceResponse.Headers = headersOf(f.ServiceResponse.Headers, r.GetHeaders())
		}
	}
	r := bodies{bulk: bulk}
	c.Chunk, c.HasChunk = r.take(m.GetChunk())
	c.RequestBody, c.HasRequestBody = r.take(m.GetRequestBody())
	c.ResponseBody, c.HasResponseBody = r.take(m.GetResponseBody())
	return r.done("call")
}

func requestOf(m *pluginv1.Request, r *wire.Request) {
	r.Method, r.Scheme, r.Host = m.GetMethod(), m.GetScheme(), m.GetHost()
	r.Port, r.HTTPVersion = int(m.GetPort()), int(m.GetHttpVersion())
	r.Target = string(m.GetTarget())
	r.Path, r.RawQuery, _ = strings.Cut(r.Target, "?")
	if m.GetPath() != nil {
		r.Path = string(m.GetPath())
	}
	if m.GetRawQuery() != nil {
		r.RawQuery = string(m.GetRawQuery())
	}
}

func clientOf(m *pluginv1.Client, c *wire.Client) {
	*c = wire.Client{IP: m.GetIp(), Port: int(m.GetPort()), ForwardedIP: m.GetIp(), ForwardedPort: int(m.GetForwardedPort()), Trusted: m.GetTrusted()}
	if m != nil && m.ForwardedIp != nil {
		c.ForwardedIP = *m.ForwardedIp
	}
}

func forwardedOf(m *pluginv1.Forwarded, f *wire.Forwarded) {
	if m == nil {
		return
	}
	*f = wire.Forwarded{
		Set: true, Scheme: string(m.GetScheme()), Host: string(m.GetHost()), Port: int(m.GetPort()), Path: string(m.GetPath()),
		Prefix: string(m.GetPrefix()), HasPrefix: m.Prefix != nil,
	}
}
