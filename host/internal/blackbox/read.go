package blackbox

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"

	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// maxFile bounds what Read takes: a file holds at most a few bodies of a mebibyte.
const maxFile = 64 << 20

// Read reads the file of a recording.
func Read(path string) (*Recording, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("%s: found more than %d bytes, expected a recording of the black box", path, maxFile)
	}
	rec, err := Parse(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return rec, nil
}

// Parse reads a recording and checks that it can be sent.
func Parse(data []byte) (*Recording, error) {
	var head struct {
		Version *int `json:"outrigger_recording"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return nil, fmt.Errorf("this is no recording of the black box: expected a JSON object: %w", place(data, err))
	}
	switch {
	case head.Version == nil:
		return nil, errors.New(`this is no recording of the black box: expected a JSON object with "outrigger_recording"`)
	case *head.Version > Version:
		return nil, fmt.Errorf("the recording is of version %d, this program reads up to %d: use the outrigger of the gateway that wrote it, or a newer one", *head.Version, Version)
	case *head.Version < 1:
		return nil, fmt.Errorf("outrigger_recording: found %d, expected %d", *head.Version, Version)
	}
	rec := &Recording{}
	if err := json.Unmarshal(data, rec); err != nil {
		return nil, fmt.Errorf("the recording is damaged: %w", place(data, err))
	}
	if rec.Plugin.Name == "" {
		return nil, errors.New("the recording is damaged: plugin.name: found nothing, expected the name of the plugin")
	}
	var config map[string]any
	if err := json.Unmarshal(rec.Config, &config); err != nil || config == nil {
		return nil, errors.New("the recording is damaged: config: expected an object")
	}
	if _, _, err := rec.Request(); err != nil {
		return nil, fmt.Errorf("the recording is damaged: %w", err)
	}
	return rec, nil
}

// place adds the line to an error of encoding/json.
func place(data []byte, err error) error {
	offset := int64(-1)
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	if errors.As(err, &syntax) {
		offset = syntax.Offset
	} else if errors.As(err, &kind) {
		offset = kind.Offset
	}
	if offset < 0 || offset > int64(len(data)) {
		return err
	}
	return fmt.Errorf("line %d: %w", 1+bytes.Count(data[:offset], []byte("\n")), err)
}

// restoring gathers the first mistake in a recording, and what it lacks.
type restoring struct {
	err     error
	missing []string
}

// Request is the call that was sent, with facts of its own. Missing names the bodies that the recording leaves out: as many zero bytes stand for
// them.
func (rec *Recording) Request() (call *wire.Call, missing []string, err error) {
	phase := pdk.PhaseByName(rec.Call.Phase)
	if phase == 0 {
		return nil, nil, fmt.Errorf("call.phase: found %q, expected one of %q", rec.Call.Phase, allPhases())
	}
	var l restoring
	c := &rec.Call
	f := &wire.Facts{
		RequestID: c.RequestID, StartTime: max(c.StartTime, 0),
		Request: wire.Request{
			Method: c.Request.Method, Scheme: c.Request.Scheme, Host: string(c.Request.Host),
			Port: l.number("request.port", c.Request.Port, 65535), HTTPVersion: l.number("request.http_version", c.Request.HTTPVersion, 255),
			Target: string(c.Request.Target), Path: string(c.Request.Path), RawQuery: string(c.Request.Query), Headers: headers(c.Request.Headers),
		},
		Client: wire.Client(c.Client),
		Route:  l.entity("route", c.Route), Service: l.entity("service", c.Service),
		Consumer: l.entity("consumer", c.Consumer), Credential: l.entity("credential", c.Credential),
		Shared: l.shared("ctx_shared", c.Shared),
	}
	l.number("client.port", c.Client.Port, 65535)
	l.number("client.forwarded_port", c.Client.ForwardedPort, 65535)
	if w := c.Forwarded; w != nil {
		f.Forwarded = wire.Forwarded{
			Set: true, Scheme: string(w.Scheme), Host: string(w.Host), Port: l.number("forwarded.port", w.Port, 65535), Path: string(w.Path), HasPrefix: w.Prefix != nil,
		}
		if w.Prefix != nil {
			f.Forwarded.Prefix = string(*w.Prefix)
		}
	}
	if t := c.TLS; t != nil {
		f.TLS = wire.TLS{Set: true, Version: t.Version, Cipher: t.Cipher, ClientVerify: t.ClientVerify, HasCertificate: t.HasCertificate}
	}
	for _, g := range c.Groups {
		f.Groups = append(f.Groups, wire.Group{ID: string(g[0]), Name: string(g[1])})
	}
	for _, group := range c.Captures {
		f.Captures.Unnamed = append(f.Captures.Unnamed, string(group))
	}
	f.Captures.Named = headers(c.NamedCaptures)
	f.Response, f.HasResponse = l.response("response", c.Response)
	f.ServiceResponse, f.HasServiceResponse = l.response("service_response", c.ServiceResponse)
	call = &wire.Call{Phase: phase.Code(), TimeoutMS: c.TimeoutMS, Facts: f, PluginID: rec.Plugin.Record, Plugin: l.shared("ctx_plugin", c.Private), Last: c.Last}
	call.Chunk, call.HasChunk = l.body("chunk", c.Chunk)
	call.RequestBody, call.HasRequestBody = l.body("request_body", c.RequestBody)
	call.ResponseBody, call.HasResponseBody = l.body("response_body", c.ResponseBody)
	if l.err != nil {
		return nil, nil, fmt.Errorf("call.%w", l.err)
	}
	return call, l.missing, nil
}

func allPhases() (names []string) {
	for _, p := range pdk.Phases() {
		names = append(names, p.String())
	}
	return names
}

func (l *restoring) fail(place, format string, args ...any) {
	if l.err == nil {
		l.err = fmt.Errorf("%s: %w", place, fmt.Errorf(format, args...))
	}
}

func (l *restoring) number(place string, n, most int) int {
	if n < 0 || n > most {
		l.fail(place, "found %d, expected 0 to %d", n, most)
		return 0
	}
	return n
}

func headers(lines []Line) []wire.Header {
	list := make([]wire.Header, len(lines))
	for i, line := range lines {
		list[i] = wire.Header{Name: string(line[0]), Value: string(line[1])}
	}
	return list
}

func (l *restoring) raw(place string, v Value) []byte {
	raw, err := v.Raw()
	if err != nil {
		l.fail(place, "%w", err)
	}
	return raw
}

func (l *restoring) entity(place string, v *Value) *wire.Entity {
	if v == nil {
		return nil
	}
	if _, ok := v.V.(map[string]any); !ok {
		l.fail(place, "found %v, expected an object", v.V)
		return nil
	}
	return wire.EntityOf(l.raw(place, *v))
}

func (l *restoring) shared(place string, values map[string]Value) []wire.SharedValue {
	var list []wire.SharedValue
	for _, key := range slices.Sorted(maps.Keys(values)) {
		list = append(list, wire.SharedValue{Key: key, Value: l.raw(place+"."+key, values[key])})
	}
	return list
}

func (l *restoring) response(place string, r *Response) (wire.Response, bool) {
	if r == nil {
		return wire.Response{}, false
	}
	source := wire.Source(l.number(place+".source", int(r.Source), int(wire.SourceError)))
	return wire.Response{Status: l.number(place+".status", r.Status, 999), Headers: headers(r.Headers), Source: source}, true
}

func (l *restoring) body(place string, b *Body) ([]byte, bool) {
	if b == nil {
		return nil, false
	}
	if bytes, ok := b.Bytes(); ok {
		return bytes, true
	}
	if size := l.number(place+".size", b.Size, wire.MaxFrame); l.err == nil {
		l.missing = append(l.missing, place)
		return make([]byte, size), true
	}
	return nil, true
}
