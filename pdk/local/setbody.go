package local

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/outrigger-gateway/outrigger/pdk"
)

// ServiceRequestSetBody implements pdk.Backend.
func (h *handle) ServiceRequestSetBody(value any, mimetype string) error {
	const fn = pdk.FnServiceRequestSetBody
	s, err := h.begin(fn)
	if err != nil {
		return err
	}
	current, has := findHeader(s.view.request.lines, contentType)
	s.mu.Unlock()
	if mimetype == "" {
		if mimetype = current; !has || mediaType(current) == "" {
			return dataError(fn, errors.New("missing content type: the request has none, and no media type is given"))
		}
	}
	body, written, err := encodeBody(value, mimetype, current) // unlocked: a method of the value may use the PDK
	if err != nil {
		return argError(fn, err)
	}
	if s, err = h.begin(fn); err != nil {
		return err
	}
	defer s.mu.Unlock()
	if err := s.checkBody(fn, body); err != nil {
		return err
	}
	op := s.op(pdk.FnServiceRequestSetRawBody)
	op.Body, op.HasBody = body, true
	s.view.clientBody = knownBody{body, true}
	s.setRequestHeader(contentType, []string{written})
	return nil
}

// encodeBody writes a value in a media type and gives the content type to say so. current is the request's.
func encodeBody(value any, mimetype, current string) (body []byte, written string, err error) {
	switch mediaType(mimetype) {
	case MIMEJSON:
		body, err = jsonBody(value)
		return body, MIMEJSON, err
	case MIMEForm:
		body, err = formBody(value)
		return body, MIMEForm, err
	case MIMEMultipart:
		boundary := parameter(mimetype, "boundary")
		if boundary == "" {
			boundary = parameter(current, "boundary")
		}
		return multipartBody(value, boundary)
	}
	return nil, "", fmt.Errorf("media type %q cannot be written; expected %s, %s or %s", mimetype, MIMEJSON, MIMEForm, MIMEMultipart)
}

// jsonBody writes a map or a list, every object with its keys sorted.
func jsonBody(value any) ([]byte, error) {
	raw, err := bodyJSON(value)
	if err != nil {
		return nil, fmt.Errorf("value has no JSON form: %w", err)
	}
	if len(raw) == 0 || raw[0] != '{' && raw[0] != '[' {
		return nil, fmt.Errorf("value is a %T; expected a map or a list", value)
	}
	var sorted any // the fields of structs stand in order of their declaration
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if err := d.Decode(&sorted); err != nil {
		return nil, fmt.Errorf("value has no JSON form: %w", err)
	}
	return encodeJSON(sorted, "")
}

// fieldsOf is a value that must be a map, in plain types.
func fieldsOf(value any) (map[string]any, error) {
	raw, err := encodeValue(value)
	if err != nil {
		return nil, err
	}
	m, err := decodeMap(raw)
	if err != nil {
		return nil, fmt.Errorf("value is a %T; expected a map", value)
	}
	return m, nil
}

// formBody writes a map as a form: true is a bare name, false and an empty list leave the name out.
func formBody(value any) ([]byte, error) {
	fields, err := fieldsOf(value)
	if err != nil {
		return nil, err
	}
	args := make(map[string][]pdk.QueryValue, len(fields))
	for name, field := range fields {
		list, isList := field.([]any)
		if !isList {
			list = []any{field}
		}
		for _, item := range list {
			switch item {
			case true:
				args[name] = append(args[name], pdk.QueryValue{Bare: true})
				continue
			case false:
				continue
			}
			text, err := scalarText(item)
			if _, isBytes := item.([]byte); err != nil || isBytes {
				return nil, fmt.Errorf("field %q is a %T; expected text, a number, true, false, or a list of these", name, item)
			}
			args[name] = append(args[name], pdk.QueryValue{Text: text})
		}
	}
	return []byte(EncodeQuery(args)), nil
}

// multipartBody writes a map as multipart/form-data, RFC 7578. Without a boundary it makes one of the content. A given one, which the client may
// know, must not be in the content: fields could be injected.
func multipartBody(value any, boundary string) (body []byte, written string, err error) {
	fields, err := fieldsOf(value)
	if err != nil {
		return nil, "", err
	}
	names := slices.Sorted(maps.Keys(fields))
	texts := make([]string, len(names))
	sum := sha256.New()
	for i, name := range names {
		if texts[i], err = scalarText(fields[name]); err != nil {
			return nil, "", fmt.Errorf("field %q is a %T; expected text, bytes, a number, true or false", name, fields[name])
		}
		if boundary != "" && (strings.Contains(name, "--"+boundary) || strings.Contains(texts[i], "--"+boundary)) {
			return nil, "", fmt.Errorf("field %q holds the boundary %q; expected one that is not in the fields", name, boundary)
		}
		sum.Write([]byte(name + "\x00" + texts[i] + "\x00"))
	}
	if boundary == "" {
		boundary = "outrigger-" + hex.EncodeToString(sum.Sum(nil))[:32]
	}
	written = MIMEMultipart + "; boundary=" + quoteParameter(boundary)
	if err := CheckHeaderValue(contentType, written); err != nil {
		return nil, "", fmt.Errorf("boundary %q: %w", boundary, err)
	}
	var b bytes.Buffer
	quote := strings.NewReplacer(`"`, "%22", "\r", "%0D", "\n", "%0A")
	for i, name := range names {
		fmt.Fprintf(&b, "--%s\r\nContent-Disposition: form-data; name=\"%s\"\r\n\r\n%s\r\n", boundary, quote.Replace(name), texts[i])
	}
	fmt.Fprintf(&b, "--%s--\r\n", boundary)
	return b.Bytes(), written, nil
}

// scalarText writes text, bytes, a number, true or false.
func scalarText(v any) (string, error) {
	switch t := v.(type) {
	case string:
		return t, nil
	case []byte:
		return string(t), nil
	case bool:
		return strconv.FormatBool(t), nil
	case int64, uint64:
		return fmt.Sprint(t), nil
	case float64:
		if !math.IsNaN(t) && !math.IsInf(t, 0) {
			return string(appendNumber(nil, t, 64)), nil
		}
	}
	return "", errors.New("no scalar")
}

// quoteParameter quotes a parameter of a header that is no token of RFC 2045.
func quoteParameter(s string) string {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || strings.IndexByte(`()<>@,;:\"/[]?=`, c) >= 0 {
			return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
		}
	}
	return s
}
