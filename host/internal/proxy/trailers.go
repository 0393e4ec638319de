package proxy

import (
	"bytes"
	"io"

	"github.com/valyala/fasthttp"

	"github.com/outrigger-gateway/outrigger/host/internal/upstream"
)

// passTrailers has the trailers of the upstream follow a response that goes to the client in chunks, when the client takes them. What was announced is named
// in the head, and what came follows the body.
func (r *request) passTrailers(b *upstream.Body) {
	h := &r.ctx.Response.Header
	if !r.out.Trailers || h.ContentLength() >= 0 || r.head.http10 {
		return
	}
	for _, name := range b.Announced {
		if !inHead(h, name) {
			_ = h.AddTrailerBytes(name) // those that may not be trailers are left out
		}
	}
	b.ReadCloser = &trailing{ReadCloser: b.ReadCloser, body: b, head: h}
}

// trailing is the stream of a response with trailers.
type trailing struct {
	io.ReadCloser
	body *upstream.Body
	head *fasthttp.ResponseHeader
}

// Read sets the trailers when the body has ended: they are written next. The head was written before.
func (t *trailing) Read(p []byte) (int, error) {
	n, err := t.ReadCloser.Read(p)
	if err != io.EOF || t.head == nil {
		return n, err
	}
	h := t.head
	t.head = nil
	_ = h.SetTrailerBytes(nil) // not those that did not come
	var set [][]byte
	for name, value := range t.body.Trailers() {
		switch {
		case contains(set, name):
			h.SetBytesKV(name, bytes.Join([][]byte{h.PeekBytes(name), value}, []byte(", ")))
		case !inHead(h, name) && h.AddTrailerBytes(name) == nil:
			h.AddBytesKV(name, value)
			set = append(set, name)
		}
	}
	return n, err
}

// inHead reports whether a response has a header: a trailer of the same name cannot be told from it.
func inHead(h *fasthttp.ResponseHeader, name []byte) bool {
	for k := range h.All() {
		if bytes.EqualFold(k, name) {
			return true
		}
	}
	return false
}

func contains(list [][]byte, name []byte) bool {
	for _, n := range list {
		if bytes.Equal(n, name) {
			return true
		}
	}
	return false
}
