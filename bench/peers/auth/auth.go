// Package auth is an authorisation server as nginx auth_request, Traefik forwardAuth and Caddy forward_auth ask one: 204 lets the request pass, and
// the header of the answer is copied to where the gateway's configuration says.
package auth

import (
	"net"
	"net/http"

	"github.com/valyala/fasthttp"
)

// Serve answers until the listener is closed.
func Serve(l net.Listener) error {
	s := fasthttp.Server{Handler: allow, NoDefaultServerHeader: true, NoDefaultDate: true, NoDefaultContentType: true}
	return s.Serve(l)
}

func allow(ctx *fasthttp.RequestCtx) {
	h := &ctx.Request.Header
	if len(h.UserAgent()) == 0 {
		ctx.SetStatusCode(http.StatusForbidden)
		return
	}
	greeting := make([]byte, 0, 64)
	greeting = append(append(greeting, "good day, "...), h.Peek("X-Name")...)
	ctx.Response.Header.SetBytesV("X-Hello", greeting)
	ctx.SetStatusCode(http.StatusNoContent)
}
