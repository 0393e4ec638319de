package local

import (
	"fmt"
	"slices"

	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// ServiceRequestEnableBuffering implements pdk.Backend.
func (h *handle) ServiceRequestEnableBuffering() error {
	s, err := h.begin(pdk.FnServiceRequestEnableBuffering)
	if err != nil {
		return err
	}
	defer s.mu.Unlock()
	s.op(pdk.FnServiceRequestEnableBuffering)
	return nil
}

// ServiceRequestSetScheme implements pdk.Backend.
func (h *handle) ServiceRequestSetScheme(scheme string) error {
	s, err := h.begin(pdk.FnServiceRequestSetScheme)
	if err != nil {
		return err
	}
	defer s.mu.Unlock()
	if err := CheckScheme(scheme); err != nil {
		return argError(pdk.FnServiceRequestSetScheme, err)
	}
	s.op(pdk.FnServiceRequestSetScheme).Name = scheme
	return nil
}

// ServiceRequestSetPath implements pdk.Backend.
func (h *handle) ServiceRequestSetPath(path string) error {
	s, err := h.begin(pdk.FnServiceRequestSetPath)
	if err != nil {
		return err
	}
	defer s.mu.Unlock()
	escaped, err := EscapePath(path)
	if err != nil {
		return argError(pdk.FnServiceRequestSetPath, err)
	}
	s.op(pdk.FnServiceRequestSetPath).Name = escaped
	return nil
}

// ServiceRequestSetRawQuery implements pdk.Backend.
func (h *handle) ServiceRequestSetRawQuery(query string) error {
	s, err := h.begin(pdk.FnServiceRequestSetRawQuery)
	if err != nil {
		return err
	}
	defer s.mu.Unlock()
	if err := CheckRawQuery(query); err != nil {
		return argError(pdk.FnServiceRequestSetRawQuery, err)
	}
	s.setRawQuery(query)
	return nil
}

// ServiceRequestSetQuery implements pdk.Backend.
func (h *handle) ServiceRequestSetQuery(args map[string][]pdk.QueryValue) error {
	query := EncodeQuery(args)
	s, err := h.begin(pdk.FnServiceRequestSetQuery)
	if err != nil {
		return err
	}
	defer s.mu.Unlock()
	s.setRawQuery(query)
	return nil
}

func (s *Session) setRawQuery(query string) {
	s.op(pdk.FnServiceRequestSetRawQuery).Name = query
	s.view.rawQuery = query
}

// ServiceRequestSetMethod implements pdk.Backend.
func (h *handle) ServiceRequestSetMethod(method string) error {
	s, err := h.begin(pdk.FnServiceRequestSetMethod)
	if err != nil {
		return err
	}
	defer s.mu.Unlock()
	if err := CheckMethod(method); err != nil {
		return argError(pdk.FnServiceRequestSetMethod, err)
	}
	s.op(pdk.FnServiceRequestSetMethod).Name = method
	s.view.method = method
	return nil
}

// ServiceRequestSetHeader implements pdk.Backend.
func (h *handle) ServiceRequestSetHeader(name string, values ...string) error {
	s, err := h.begin(pdk.FnServiceRequestSetHeader)
	if err != nil {
		return err
	}
	defer s.mu.Unlock()
	if err := checkHeader(name, values); err != nil {
		return argError(pdk.FnServiceRequestSetHeader, err)
	}
	s.setRequestHeader(name, values)
	return nil
}

// checkHeader checks a header that a plugin writes. Blanks around a value are fine.
func checkHeader(name string, values []string) error {
	if err := CheckHeaderName(name); err != nil {
		return err
	}
	for _, v := range values {
		if err := CheckHeaderValue(name, v); err != nil {
			return err
		}
	}
	return nil
}

func (s *Session) setRequestHeader(name string, values []string) {
	op := s.op(pdk.FnServiceRequestSetHeader)
	op.Name, op.Values = name, s.keep(values)
	s.view.request.setR(name, op.Values)
}

// ServiceRequestAddHeader implements pdk.Backend.
func (h *handle) ServiceRequestAddHeader(name string, values ...string) error {
	s, err := h.begin(pdk.FnServiceRequestAddHeader)
	if err != nil {
		return err
	}
	defer s.mu.Unlock()
	if err := checkHeader(name, values); err != nil {
		return argError(pdk.FnServiceRequestAddHeader, err)
	}
	if len(values) == 0 {
		return nil
	}
	op := s.op(pdk.FnServiceRequestAddHeader)
	op.Name, op.Values = name, s.keep(values)
	s.view.request.addR(name, op.Values)
	return nil
}

// ServiceRequestClearHeader implements pdk.Backend.
func (h *handle) ServiceRequestClearHeader(name string) error {
	s, err := h.begin(pdk.FnServiceRequestClearHeader)
	if err != nil {
		return err
	}
	defer s.mu.Unlock()
	if err := CheckHeaderName(name); err != nil {
		return argError(pdk.FnServiceRequestClearHeader, err)
	}
	s.op(pdk.FnServiceRequestClearHeader).Name = name
	s.view.request.clear(name)
	return nil
}

// ServiceRequestSetHeaders implements pdk.Backend.
func (h *handle) ServiceRequestSetHeaders(headers map[string][]string) error {
	s, err := h.begin(pdk.FnServiceRequestSetHeaders)
	if err != nil {
		return err
	}
	defer s.mu.Unlock()
	names, err := checkHeaderMap(headers)
	if err != nil {
		return argError(pdk.FnServiceRequestSetHeaders, err)
	}
	for _, name := range names {
		s.setRequestHeader(name, headers[name])
	}
	return nil
}

// checkHeaderMap checks every header and lists the names in order.
func checkHeaderMap(headers map[string][]string) ([]string, error) {
	names := make([]string, 0, len(headers))
	for name := range headers {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if err := checkHeader(name, headers[name]); err != nil {
			return nil, err
		}
	}
	return names, nil
}

// ServiceRequestSetRawBody implements pdk.Backend.
func (h *handle) ServiceRequestSetRawBody(body []byte) error {
	s, err := h.begin(pdk.FnServiceRequestSetRawBody)
	if err != nil {
		return err
	}
	defer s.mu.Unlock()
	if err := s.setBody(pdk.FnServiceRequestSetRawBody, body); err != nil {
		return err
	}
	s.view.clientBody = knownBody{s.ops[len(s.ops)-1].Body, true}
	return nil
}

// setBody records an operation with a copy of a body.
func (s *Session) setBody(fn int, body []byte) error {
	if err := s.checkBody(fn, body); err != nil {
		return err
	}
	op := s.op(fn)
	op.Body, op.HasBody = append([]byte{}, body...), true
	return nil
}

func (s *Session) checkBody(fn int, body []byte) error {
	if limit := s.node.MaxBody; limit > 0 && len(body) > limit {
		return argError(fn, fmt.Errorf("body has %d bytes; at most %d (max_body) are allowed", len(body), limit))
	}
	return nil
}

// serviceResponse is the upstream's response, nil when there is none.
func (s *Session) serviceResponse() *wire.Response {
	if !s.facts.HasServiceResponse {
		return nil
	}
	return &s.facts.ServiceResponse
}

// ServiceResponseGetStatus implements pdk.Backend.
func (h *handle) ServiceResponseGetStatus() (int, bool) {
	s := h.read(pdk.FnServiceResponseGetStatus)
	if s == nil {
		return 0, false
	}
	defer s.mu.Unlock()
	if r := s.serviceResponse(); r != nil {
		return r.Status, true
	}
	return 0, false
}

// ServiceResponseGetHeader implements pdk.Backend.
func (h *handle) ServiceResponseGetHeader(name string) (string, bool) {
	s := h.read(pdk.FnServiceResponseGetHeader)
	if s == nil {
		return "", false
	}
	defer s.mu.Unlock()
	if r := s.serviceResponse(); r != nil {
		return findHeader(r.Headers, name)
	}
	return "", false
}

// ServiceResponseGetHeaders implements pdk.Backend.
func (h *handle) ServiceResponseGetHeaders(maxHeaders int) (pdk.MultiMap, error) {
	s, err := h.begin(pdk.FnServiceResponseGetHeaders)
	if err != nil {
		return pdk.MultiMap{}, err
	}
	defer s.mu.Unlock()
	var lines []wire.Header
	if r := s.serviceResponse(); r != nil {
		lines = r.Headers
	}
	return headers(pdk.FnServiceResponseGetHeaders, lines, maxHeaders)
}

// ServiceResponseGetRawBody implements pdk.Backend.
func (h *handle) ServiceResponseGetRawBody() ([]byte, error) {
	s, err := h.begin(pdk.FnServiceResponseGetRawBody)
	if err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	body, err := h.body(s, pdk.FnServiceResponseGetRawBody, pdk.AskServiceResponseGetRawBody, &s.view.upstreamBody)
	return copied(body, err)
}
