package proxy

import (
	"errors"
	"net/http"

	"github.com/valyala/fasthttp"

	"github.com/outrigger-gateway/outrigger/host/internal/guard"
	"github.com/outrigger-gateway/outrigger/pdk/local"
)

// refuse answers a request that the guard did not let pass, and ends the connection. Nothing of the request is known for sure: no plugin sees it. The
// form of the body alone follows what it said before it was refused.
func (p *Proxy) refuse(ctx *fasthttp.RequestCtx, conn *clientConn) {
	why := conn.refused
	status := http.StatusBadRequest
	var refused *guard.Refusal
	if errors.As(why, &refused) {
		status = refused.Status
	}
	var id [32]byte
	newRequestID(&id)
	h := conn.takeHead()
	format := p.messageErrorFormat(h.list("accept"), h.list("content-type"))
	h.release()
	contentType, body := p.errorBody(format, local.ErrorMessage(status), string(id[:]))
	ctx.Response.Header.Reset() // fasthttp adds a Date then
	ctx.Response.Header.DisableNormalizing()
	ctx.SetStatusCode(status)
	ctx.SetContentType(contentType)
	ctx.SetBody(body)
	last(ctx, conn)
	if p.opts.Headers.Server {
		ctx.Response.Header.SetServer("outrigger/" + p.opts.Version)
	}
	if p.opts.Headers.RequestID {
		ctx.Response.Header.SetBytesV("X-Kong-Request-Id", id[:])
	}
	if p.opts.Observer != nil {
		p.opts.Observer.Done(status, 0, 0)
	}
	p.logRefused(conn.peer, ctx.Time(), status, id[:])
	p.opts.Logger.Info("request refused", "client_ip", conn.peer.text, "status", status, "request_id", string(id[:]), "error", why.Error())
}
