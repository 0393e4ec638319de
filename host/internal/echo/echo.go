// Package echo is a small upstream that answers with what it was sent. The examples run against it, so that the gateway can be tried
// without anything else installed.
package echo

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/valyala/fasthttp"

	"github.com/outrigger-gateway/outrigger/host/internal/serving"
)

// Server is the echo upstream.
type Server struct {
	http      fasthttp.Server
	listeners serving.Listeners
	leaving   atomic.Bool // a response ends its connection
}

// New makes an echo upstream.
func New() *Server {
	s := &Server{}
	s.http = fasthttp.Server{Handler: s.handle, Name: "echo", DisableHeaderNamesNormalizing: true, MaxRequestBodySize: 64 << 20}
	return s
}

// Serve answers connections from ln until Shutdown. It returns at once.
func (s *Server) Serve(ln net.Listener) {
	s.listeners.Serve(ln, func() { _ = s.http.Serve(ln) }) // it fails only when the listener is closed
}

// Leave accepts no more connections, and ends each with its next response: another process answers on the same socket.
func (s *Server) Leave() {
	s.leaving.Store(true)
	s.listeners.Close()
}

// Shutdown closes the listener and waits for the requests in flight.
func (s *Server) Shutdown(ctx context.Context) error {
	return s.listeners.Shutdown(ctx, &s.http)
}

// request is what the echo answers.
type request struct {
	Method  string              `json:"method"`
	URI     string              `json:"uri"`
	Host    string              `json:"host"`
	Headers map[string][]string `json:"headers"` // names lower-cased
	Body    string              `json:"body"`
}

func (s *Server) handle(ctx *fasthttp.RequestCtx) {
	if s.leaving.Load() {
		ctx.SetConnectionClose()
	}
	r := request{
		Method: string(ctx.Method()), URI: string(ctx.Request.Header.RequestURI()), Host: string(ctx.Host()),
		Headers: map[string][]string{}, Body: string(ctx.Request.Body()),
	}
	for k, v := range ctx.Request.Header.All() {
		name := strings.ToLower(string(k))
		r.Headers[name] = append(r.Headers[name], string(v))
	}
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		ctx.Error(err.Error(), http.StatusInternalServerError)
		return
	}
	ctx.SetContentType("application/json")
	ctx.SetBody(append(b, '\n'))
}
