// Package responsetransformer is the plugin response-transformer: it edits headers and JSON bodies of responses.
package responsetransformer

import (
	"encoding/json"
	"strings"

	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/plugins/internal/fields"
)

// Plugin is response-transformer.
var Plugin = pdk.Plugin{
	Name:     "response-transformer",
	Version:  "0.1.0",
	Priority: 800,
	New:      func() any { return &instance{Config: defaults()} },
}

type instance struct {
	Config
	headers, body edits
}

// Configure compiles the lists.
func (in *instance) Configure() (err error) {
	in.headers, in.body, err = in.compile()
	return err
}

// HeaderFilter edits the headers, and has the body read whole when it is to be edited.
func (in *instance) HeaderFilter(k *pdk.PDK) error {
	if err := in.headers.applyToHeaders(k); err != nil {
		return err
	}
	if in.body.empty() || !isJSON(k) {
		return nil
	}
	if encoded(k) {
		k.Log.Warn("the response body is compressed and goes on as it is")
		return nil
	}
	if err := k.Response.ClearHeader("Content-Length"); err != nil {
		return err
	}
	return k.ServiceRequest.EnableBuffering()
}

// BodyFilter edits the body, which comes in one piece.
func (in *instance) BodyFilter(k *pdk.PDK, chunk []byte, last bool) ([]byte, error) {
	if in.body.empty() || !last || len(chunk) == 0 || !isJSON(k) || encoded(k) {
		return nil, nil
	}
	object, err := fields.ParseObject(chunk)
	if err != nil {
		k.Log.Warn("the response body goes on as it is: ", err)
		return nil, nil
	}
	in.body.applyToObject(object)
	if !object.Changed() {
		return nil, nil
	}
	return object.Bytes(), nil
}

// isJSON reports whether the response says that it is application/json; of several types one is enough.
func isJSON(k *pdk.PDK) bool {
	contentType, _ := k.Response.GetHeader("Content-Type")
	for text := range strings.SplitSeq(contentType, ",") {
		mediaType, _, _ := strings.Cut(text, ";")
		if strings.EqualFold(strings.TrimSpace(mediaType), "application/json") {
			return true
		}
	}
	return false
}

// encoded reports whether the body is compressed: then its members cannot be seen.
func encoded(k *pdk.PDK) bool {
	coding, ok := k.Response.GetHeader("Content-Encoding")
	return ok && coding != "" && !strings.EqualFold(strings.TrimSpace(coding), "identity")
}

// applyToHeaders runs the operations over the response headers.
func (e *edits) applyToHeaders(k *pdk.PDK) error {
	r := k.Response
	for _, name := range e.remove {
		if err := r.ClearHeader(name); err != nil {
			return err
		}
	}
	for _, x := range e.rename {
		if err := rename(k, x.name, x.value); err != nil {
			return err
		}
	}
	for _, x := range e.replace {
		if _, ok := r.GetHeader(x.name); ok {
			if err := r.SetHeader(x.name, x.value); err != nil {
				return err
			}
		}
	}
	for _, x := range e.add {
		if _, ok := r.GetHeader(x.name); !ok {
			if err := r.SetHeader(x.name, x.value); err != nil {
				return err
			}
		}
	}
	for _, x := range e.append {
		if err := r.AddHeader(x.name, x.value); err != nil {
			return err
		}
	}
	return nil
}

// rename moves all values of one header to another.
func rename(k *pdk.PDK, from, to string) error {
	if _, ok := k.Response.GetHeader(from); !ok || strings.EqualFold(from, to) {
		return nil
	}
	headers, err := k.Response.GetHeaders(1000)
	if err != nil {
		return err
	}
	values := headers.Values(from)
	if len(values) == 0 {
		return nil
	}
	if err := k.Response.ClearHeader(from); err != nil {
		return err
	}
	return k.Response.SetHeader(to, values...)
}

// applyToObject runs the operations over the members of a JSON object.
func (e *edits) applyToObject(o *fields.Object) {
	for _, name := range e.remove {
		o.Remove(name)
	}
	for _, x := range e.rename {
		o.Rename(x.name, x.value)
	}
	for _, x := range e.replace {
		if o.Has(x.name) {
			o.PutJSON(x.name, json.RawMessage(x.value))
		}
	}
	for _, x := range e.add {
		if !o.Has(x.name) {
			o.PutJSON(x.name, json.RawMessage(x.value))
		}
	}
	for _, x := range e.append {
		o.AppendJSON(x.name, json.RawMessage(x.value))
	}
}
