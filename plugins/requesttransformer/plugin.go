// Package requesttransformer is the plugin request-transformer: it edits path, method, headers, body and query of the request that
// goes upstream.
package requesttransformer

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/plugins/internal/fields"
)

// Plugin is request-transformer.
var Plugin = pdk.Plugin{
	Name:     "request-transformer",
	Version:  "0.1.0",
	Priority: 801,
	New:      func() any { return &instance{Config: defaults()} },
}

type instance struct {
	Config
	uri                    *template
	headers, body, query   section
	needHeaders, needQuery bool // templates look into them
}

// Configure compiles the lists.
func (in *instance) Configure() (err error) {
	c := &in.Config
	if err := checkMethod(c.HTTPMethod); err != nil {
		return err
	}
	if in.headers, err = compileSection("headers", c.Remove.Headers, c.Rename.Headers, c.Replace.Headers, c.Add.Headers, c.Append.Headers); err != nil {
		return err
	}
	if err := in.headers.checkHeaders(); err != nil {
		return err
	}
	if in.body, err = compileSection("body", c.Remove.Body, c.Rename.Body, c.Replace.Body, c.Add.Body, c.Append.Body); err != nil {
		return err
	}
	if in.query, err = compileSection("querystring", c.Remove.QueryString, c.Rename.QueryString, c.Replace.QueryString, c.Add.QueryString, c.Append.QueryString); err != nil {
		return err
	}
	all := slices.Concat(in.headers.templates(), in.body.templates(), in.query.templates())
	if c.Replace.URI != nil {
		if in.uri, err = parseTemplate(*c.Replace.URI); err != nil {
			return fmt.Errorf("replace.uri: %w", err)
		}
		all = append(all, in.uri)
	}
	in.needHeaders = slices.ContainsFunc(all, func(t *template) bool { return t.uses(headers) })
	in.needQuery = slices.ContainsFunc(all, func(t *template) bool { return t.uses(queryParams) })
	return nil
}

// Access edits in the order path, method, headers, body, query.
func (in *instance) Access(k *pdk.PDK) error {
	f, err := takeFacts(k, in.needHeaders, in.needQuery)
	if err != nil {
		return err
	}
	if err := in.setPath(k, f); err != nil {
		return err
	}
	if err := in.setMethod(k); err != nil {
		return tooLarge(k, err)
	}
	if !in.headers.empty() {
		h := headerSet{k: k}
		if err := in.headers.apply(&h, f, true); err != nil {
			return err
		}
		if h.err != nil {
			return h.err
		}
	}
	if err := in.editBody(k, f); err != nil {
		return tooLarge(k, err)
	}
	return in.editQuery(k, f)
}

// tooLarge answers 413 when the body is over the limit: edits that remove something must not be passed over.
func tooLarge(k *pdk.PDK, err error) error {
	if errors.Is(err, pdk.ErrData) {
		k.Log.Warn("the request body cannot be edited: ", err)
		return k.Response.Error(http.StatusRequestEntityTooLarge, "", nil)
	}
	return err
}

func (in *instance) setPath(k *pdk.PDK, f *facts) error {
	if in.uri == nil {
		return nil
	}
	path, err := in.uri.render(f)
	if err != nil || path == "" {
		return err
	}
	return k.ServiceRequest.SetPath(path)
}

// setMethod replaces the method. The fields of a form move to the query when the new method has no body.
func (in *instance) setMethod(k *pdk.PDK) error {
	if in.HTTPMethod == nil {
		return nil
	}
	if err := k.ServiceRequest.SetMethod(*in.HTTPMethod); err != nil {
		return err
	}
	switch *in.HTTPMethod {
	case http.MethodGet, http.MethodHead, http.MethodTrace:
	default:
		return nil
	}
	contentType, _ := k.Request.GetHeader("Content-Type")
	if fields.KindOf(contentType) != fields.Form || encoded(k) {
		return nil
	}
	raw, err := k.Request.GetRawBody()
	if err != nil || len(raw) == 0 {
		return err
	}
	query := fields.ParseArgs(k.Request.GetRawQuery())
	query.AppendAll(fields.ParseArgs(string(raw)))
	if err := k.ServiceRequest.SetRawQuery(query.String()); err != nil {
		return err
	}
	return k.ServiceRequest.SetRawBody(nil)
}

// encoded reports whether the body is compressed: then its fields cannot be seen.
func encoded(k *pdk.PDK) bool {
	coding, ok := k.Request.GetHeader("Content-Encoding")
	return ok && coding != "" && !strings.EqualFold(strings.TrimSpace(coding), "identity")
}

func (in *instance) editBody(k *pdk.PDK, f *facts) error {
	if in.body.empty() {
		return nil
	}
	contentType, _ := k.Request.GetHeader("Content-Type")
	kind := fields.KindOf(contentType)
	if kind == fields.Other {
		return nil
	}
	if encoded(k) {
		k.Log.Warn("the request body is compressed and goes on as it is")
		return nil
	}
	raw, err := k.Request.GetRawBody()
	if err != nil {
		return err
	}
	body, ok := fields.Parse(kind, contentType, raw)
	if !ok {
		k.Log.Warn("the request body cannot be read as ", contentType, " with fields and goes on as it is")
		return nil
	}
	s := in.body
	if kind == fields.Multipart {
		s.append = nil
	}
	if err := s.apply(body, f, kind != fields.Multipart); err != nil {
		return err
	}
	if !body.Changed() {
		return nil
	}
	return k.ServiceRequest.SetRawBody(body.Bytes())
}

func (in *instance) editQuery(k *pdk.PDK, f *facts) error {
	if in.query.empty() {
		return nil
	}
	query := fields.ParseArgs(k.Request.GetRawQuery())
	if err := in.query.apply(query, f, true); err != nil {
		return err
	}
	if !query.Changed() {
		return nil
	}
	return k.ServiceRequest.SetRawQuery(query.String())
}

// apply runs a section over the values of one part. removeFirst says whether remove comes before rename, which it does but for
// multipart bodies.
func (s *section) apply(set fields.Set, f *facts, removeFirst bool) error {
	if removeFirst {
		s.removeFrom(set)
	}
	for _, e := range s.rename {
		to, err := e.render(f)
		if err != nil {
			return err
		}
		if to != "" {
			set.Rename(e.name, to)
		}
	}
	if !removeFirst {
		s.removeFrom(set)
	}
	for _, e := range s.replace {
		if !set.Has(e.name) {
			continue
		}
		value, err := e.render(f)
		switch {
		case err != nil:
			return err
		case value == "":
			set.Remove(e.name)
		default:
			set.Put(e.name, value)
		}
	}
	for _, e := range s.add {
		if set.Has(e.name) {
			continue
		}
		value, err := e.render(f)
		if err != nil {
			return err
		}
		if value != "" {
			set.Put(e.name, value)
		}
	}
	for _, e := range s.append {
		value, err := e.render(f)
		if err != nil {
			return err
		}
		if value != "" {
			set.Append(e.name, value)
		}
	}
	return nil
}

func (s *section) removeFrom(set fields.Set) {
	for _, name := range s.remove {
		set.Remove(name)
	}
}

// render is the value of an edit; "" is none.
func (e *edit) render(f *facts) (string, error) {
	if e.value == nil {
		return "", nil
	}
	return e.value.render(f)
}
