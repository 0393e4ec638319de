package local

import (
	"encoding/json"
	"fmt"
	"reflect"

	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// ResponseGetStatus implements pdk.Backend.
func (h *handle) ResponseGetStatus() int {
	s := h.read(pdk.FnResponseGetStatus)
	if s == nil {
		return 0
	}
	defer s.mu.Unlock()
	return s.view.status
}

// ResponseGetHeader implements pdk.Backend.
func (h *handle) ResponseGetHeader(name string) (string, bool) {
	s := h.read(pdk.FnResponseGetHeader)
	if s == nil {
		return "", false
	}
	defer s.mu.Unlock()
	return findHeader(s.view.response.lines, name)
}

// ResponseGetHeaders implements pdk.Backend.
func (h *handle) ResponseGetHeaders(maxHeaders int) (pdk.MultiMap, error) {
	s, err := h.begin(pdk.FnResponseGetHeaders)
	if err != nil {
		return pdk.MultiMap{}, err
	}
	defer s.mu.Unlock()
	return headers(pdk.FnResponseGetHeaders, s.view.response.lines, maxHeaders)
}

// ResponseGetSource implements pdk.Backend.
func (h *handle) ResponseGetSource() string {
	s := h.read(pdk.FnResponseGetSource)
	if s == nil {
		return ""
	}
	defer s.mu.Unlock()
	switch s.facts.Response.Source {
	case wire.SourceExit:
		return "exit"
	case wire.SourceError:
		return "error"
	}
	return "service"
}

// ResponseSetStatus implements pdk.Backend.
func (h *handle) ResponseSetStatus(status int) error {
	s, err := h.begin(pdk.FnResponseSetStatus)
	if err != nil {
		return err
	}
	defer s.mu.Unlock()
	if err := checkStatus(status, 100); err != nil {
		return argError(pdk.FnResponseSetStatus, err)
	}
	s.op(pdk.FnResponseSetStatus).Status = status
	s.view.status = status
	return nil
}

// ResponseSetHeader implements pdk.Backend.
func (h *handle) ResponseSetHeader(name string, values ...string) error {
	s, err := h.begin(pdk.FnResponseSetHeader)
	if err != nil {
		return err
	}
	defer s.mu.Unlock()
	name = responseName(name)
	if err := checkHeader(name, values); err != nil {
		return argError(pdk.FnResponseSetHeader, err)
	}
	s.setResponseHeader(pdk.FnResponseSetHeader, name, values)
	return nil
}

// setResponseHeader records a header whose name is in its written form.
func (s *Session) setResponseHeader(fn int, name string, values []string) {
	if s.ignored(fn, name) {
		return
	}
	op := s.op(pdk.FnResponseSetHeader)
	op.Name, op.Values = name, s.keep(values)
	s.view.response.set(name, op.Values)
}

// ignored drops a header that frames the message, which is the host's business, with a warning.
func (s *Session) ignored(fn int, name string) bool {
	if !SameHeader(name, transferEncoding) {
		return false
	}
	if s.node.level() <= levelWarn {
		s.host.Log(levelWarn, pdk.Functions[fn].Name+": Transfer-Encoding is ignored; the gateway frames the response")
	}
	return true
}

// ResponseAddHeader implements pdk.Backend.
func (h *handle) ResponseAddHeader(name string, values ...string) error {
	s, err := h.begin(pdk.FnResponseAddHeader)
	if err != nil {
		return err
	}
	defer s.mu.Unlock()
	name = responseName(name)
	if err := checkHeader(name, values); err != nil {
		return argError(pdk.FnResponseAddHeader, err)
	}
	if len(values) == 0 || s.ignored(pdk.FnResponseAddHeader, name) {
		return nil
	}
	op := s.op(pdk.FnResponseAddHeader)
	op.Name, op.Values = name, s.keep(values)
	s.view.response.add(name, op.Values)
	return nil
}

// ResponseClearHeader implements pdk.Backend.
func (h *handle) ResponseClearHeader(name string) error {
	s, err := h.begin(pdk.FnResponseClearHeader)
	if err != nil {
		return err
	}
	defer s.mu.Unlock()
	name = responseName(name)
	if err := CheckHeaderName(name); err != nil {
		return argError(pdk.FnResponseClearHeader, err)
	}
	s.clearResponseHeader(name)
	return nil
}

func (s *Session) clearResponseHeader(name string) {
	s.op(pdk.FnResponseClearHeader).Name = name
	s.view.response.clear(name)
}

// ResponseSetHeaders implements pdk.Backend.
func (h *handle) ResponseSetHeaders(headers map[string][]string) error {
	s, err := h.begin(pdk.FnResponseSetHeaders)
	if err != nil {
		return err
	}
	defer s.mu.Unlock()
	names, err := checkHeaderMap(headers)
	if err != nil {
		return argError(pdk.FnResponseSetHeaders, err)
	}
	for _, name := range names {
		s.setResponseHeader(pdk.FnResponseSetHeaders, responseName(name), headers[name])
	}
	return nil
}

// ResponseSetRawBody implements pdk.Backend.
func (h *handle) ResponseSetRawBody(body []byte) error {
	s, err := h.begin(pdk.FnResponseSetRawBody)
	if err != nil {
		return err
	}
	defer s.mu.Unlock()
	if err := s.setBody(pdk.FnResponseSetRawBody, body); err != nil {
		return err
	}
	s.view.outgoing = knownBody{s.ops[len(s.ops)-1].Body, true}
	return nil
}

// ResponseGetRawBody implements pdk.Backend.
func (h *handle) ResponseGetRawBody() ([]byte, error) {
	s, err := h.begin(pdk.FnResponseGetRawBody)
	if err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	body, err := h.body(s, pdk.FnResponseGetRawBody, pdk.AskResponseGetRawBody, &s.view.outgoing)
	return copied(body, err)
}

// ResponseExit implements pdk.Backend.
func (h *handle) ResponseExit(status int, body any, headers map[string][]string) error {
	const fn = pdk.FnResponseExit
	raw, hasBody, isJSON, err := exitBody(body)
	s, refused := h.begin(fn)
	if refused != nil {
		return refused
	}
	defer s.mu.Unlock()
	if err == nil {
		err = checkStatus(status, 100)
	}
	if err != nil {
		return argError(fn, err)
	}
	if err := s.checkBody(fn, raw); err != nil {
		return err
	}
	lines, err := s.exitHeaders(fn, headers)
	if err != nil {
		return err
	}
	if _, given := findHeader(lines, "content-type"); isJSON && !given {
		lines = append(lines, wire.Header{Name: "Content-Type", Value: "application/json; charset=utf-8"})
	}
	op := s.op(fn)
	op.Status, op.Body, op.HasBody, op.Headers = status, raw, hasBody, lines
	s.seal()
	return nil
}

// ResponseError implements pdk.Backend.
func (h *handle) ResponseError(status int, message string, headers map[string][]string) error {
	const fn = pdk.FnResponseError
	s, err := h.begin(fn)
	if err != nil {
		return err
	}
	defer s.mu.Unlock()
	if err := checkStatus(status, 400); err != nil {
		return argError(fn, err)
	}
	lines, err := s.exitHeaders(fn, headers)
	if err != nil {
		return err
	}
	op := s.op(fn)
	op.Status, op.Name, op.HasBody, op.Headers = status, message, message != "", lines
	s.seal()
	return nil
}

// exitHeaders checks the headers of an exit and lays them out as lines. A header with an empty list is cleared before the exit.
func (s *Session) exitHeaders(fn int, headers map[string][]string) ([]wire.Header, error) {
	if len(headers) == 0 {
		return nil, nil
	}
	names, err := checkHeaderMap(headers)
	if err != nil {
		return nil, argError(fn, err)
	}
	var lines []wire.Header
	for _, name := range names {
		written, values := responseName(name), headers[name]
		if len(values) == 0 {
			s.clearResponseHeader(written)
			continue
		}
		if s.ignored(fn, written) {
			continue
		}
		for _, v := range values {
			lines = append(lines, wire.Header{Name: written, Value: TrimValue(v)})
		}
	}
	return lines, nil
}

// exitBody turns the body argument of response.exit into bytes: text and bytes as they are, structs, maps and lists as JSON.
func exitBody(body any) (raw []byte, hasBody, isJSON bool, err error) {
	switch b := body.(type) {
	case nil:
		return nil, false, false, nil
	case string:
		return []byte(b), true, false, nil
	case []byte:
		if b == nil {
			return nil, false, false, nil
		}
		return append([]byte{}, b...), true, false, nil
	case json.Marshaler:
	default:
		t := reflect.TypeOf(body)
		for t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		switch t.Kind() {
		case reflect.Struct, reflect.Map, reflect.Slice, reflect.Array:
		default:
			return nil, false, false, fmt.Errorf("body is a %T; expected nil, text, bytes, or a struct, map or list that is sent as JSON", body)
		}
	}
	if raw, err = bodyJSON(body); err != nil {
		return nil, false, false, fmt.Errorf("body has no JSON form: %w", err)
	}
	return raw, true, true, nil
}
