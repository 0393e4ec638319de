package local

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// body is a body that is known, or that the host answers and that is known from then on. The session is locked.
func (h *handle) body(s *Session, fn int, question uint16, place *knownBody) ([]byte, error) {
	if !place.known {
		answer, err := h.question(s, fn, question)
		if err != nil {
			return nil, err
		}
		body, err := bytesOf(fn, answer)
		if err != nil {
			return nil, err
		}
		if !place.known { // else it was set meanwhile
			*place = knownBody{body, true}
		}
	}
	return place.bytes, nil
}

// copied gives a plugin bytes of its own, never nil without an error.
func copied(b []byte, err error) ([]byte, error) {
	if err != nil {
		return nil, err
	}
	if len(b) == 0 {
		return []byte{}, nil
	}
	return bytes.Clone(b), nil
}

// Media types that get_body reads and set_body writes.
const (
	MIMEForm      = "application/x-www-form-urlencoded"
	MIMEJSON      = "application/json"
	MIMEMultipart = "multipart/form-data"
)

const contentType = "Content-Type"

// RequestGetBody implements pdk.Backend.
func (h *handle) RequestGetBody(mimetype string, maxArgs int) (pdk.Body, error) {
	const fn = pdk.FnRequestGetBody
	s, err := h.begin(fn)
	if err != nil {
		return pdk.Body{}, err
	}
	defer s.mu.Unlock()
	return h.parsed(s, fn, s.view.request.lines, mimetype, maxArgs, pdk.AskRequestGetRawBody, &s.view.clientBody)
}

// ServiceResponseGetBody implements pdk.Backend.
func (h *handle) ServiceResponseGetBody(mimetype string, maxArgs int) (pdk.Body, error) {
	const fn = pdk.FnServiceResponseGetBody
	s, err := h.begin(fn)
	if err != nil {
		return pdk.Body{}, err
	}
	defer s.mu.Unlock()
	return h.parsed(s, fn, s.facts.ServiceResponse.Headers, mimetype, maxArgs, pdk.AskServiceResponseGetRawBody, &s.view.upstreamBody)
}

// parsed is a body by the media type that the argument or the headers name. The session is locked.
func (h *handle) parsed(s *Session, fn int, lines []wire.Header, mimetype string, maxArgs int, question uint16, place *knownBody) (pdk.Body, error) {
	limit, err := checkMax("max_args", maxArgs)
	if err != nil {
		return pdk.Body{}, argError(fn, err)
	}
	if mimetype == "" {
		mimetype, _ = findHeader(lines, contentType)
	}
	if _, err := BodyMIME(mimetype); err != nil { // before a body is asked for in vain
		return pdk.Body{}, dataError(fn, err)
	}
	raw, err := h.body(s, fn, question, place)
	if err != nil {
		return pdk.Body{}, err
	}
	body, err := ParseBody(mimetype, raw, limit)
	if err != nil {
		return pdk.Body{}, dataError(fn, err)
	}
	return body, nil
}

// mediaType is a content type without its parameters, in lower case.
func mediaType(contentType string) string {
	kind, _, _ := strings.Cut(contentType, ";")
	return strings.ToLower(strings.TrimSpace(kind))
}

// BodyMIME is the media type, of those above, by which a body with a content type is parsed: as in Kong, the one with which the content type
// begins.
func BodyMIME(contentType string) (string, error) {
	kind := mediaType(contentType)
	if kind == "" {
		return "", errors.New("missing content type")
	}
	for _, mime := range []string{MIMEForm, MIMEJSON, MIMEMultipart} {
		if strings.HasPrefix(kind, mime) {
			return mime, nil
		}
	}
	return "", fmt.Errorf("unsupported content type %q; expected %s, %s or %s", contentType, MIMEForm, MIMEJSON, MIMEMultipart)
}

// ParseBody parses a body by its content type. Of a form and of multipart it reads maxArgs fields.
func ParseBody(contentType string, raw []byte, maxArgs int) (pdk.Body, error) {
	mime, err := BodyMIME(contentType)
	if err != nil {
		return pdk.Body{}, err
	}
	body := pdk.Body{MIME: mime}
	switch mime {
	case MIMEForm:
		body.Value = parseForm(string(raw), maxArgs)
	case MIMEJSON:
		body.Value, err = parseJSON(raw)
	case MIMEMultipart:
		body.Value, err = parseMultipart(contentType, raw, maxArgs)
	}
	return body, err
}

// parseForm reads a form like a query: text, true for a bare name, a list for a repeated one.
func parseForm(form string, maxArgs int) map[string]any {
	m := map[string]any{}
	for range maxArgs {
		name, value, bare, rest, ok := nextArg(form)
		if !ok {
			break
		}
		form = rest
		v := any(DecodeQuery(value))
		if bare {
			v = true
		}
		AddRepeated(m, DecodeQuery(name), v)
	}
	return m
}
