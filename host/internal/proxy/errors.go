package proxy

import (
	"errors"
	"net/http"
	"strings"

	"github.com/outrigger-gateway/outrigger/host/internal/bytesx"
	"github.com/outrigger-gateway/outrigger/host/internal/exchange"
	"github.com/outrigger-gateway/outrigger/host/internal/upstream"
	"github.com/outrigger-gateway/outrigger/pdk/local"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// upstreamFailed answers for an upstream that did not (spec/gateway.md 2.7).
func (r *request) upstreamFailed(err error) {
	if errors.Is(err, upstream.ErrClientGone) {
		r.proxy.opts.Logger.Info("client has gone", "service", r.ex.Service.Name, "request_id", string(r.id[:]))
		r.failHere(statusClientGone)
		return
	}
	var e *upstream.Error
	if errors.As(err, &e) && e.Kind == upstream.KindBody {
		r.bodyFailed(e.Err)
		return
	}
	r.proxy.opts.Logger.Error("upstream failed",
		"service", r.ex.Service.Name, "host", r.dest.to.Host, "port", r.dest.to.Port, "request_id", string(r.id[:]), "error", err.Error())
	if e == nil {
		r.ex.Fail(http.StatusInternalServerError, "")
		return
	}
	switch e.Kind {
	case upstream.KindTimeout:
		r.failHere(http.StatusGatewayTimeout)
	case upstream.KindNoTarget:
		r.ex.Fail(http.StatusServiceUnavailable, "failure to get a peer from the ring-balancer") // Kong's words
	case upstream.KindOverflow:
		r.failHere(http.StatusServiceUnavailable)
	case upstream.KindResolve:
		r.ex.Fail(http.StatusServiceUnavailable, "name resolution failed")
	default:
		r.failHere(http.StatusBadGateway)
	}
}

// answer makes the response of the gateway's own answer, with a body formatted for the client when the answer asks for that.
func (r *request) answer() {
	a := &r.ex.Answer
	if exchange.IsGRPC(r.header("content-type")) {
		a.ForGRPC()
	}
	if a.Formatted {
		message := a.Message
		if !a.HasMessage {
			message = local.ErrorMessage(a.Status)
		}
		explicit := ""
		for _, h := range a.Headers {
			if strings.EqualFold(h.Name, "Content-Type") {
				explicit = h.Value
			}
		}
		contentType, body := r.proxy.errorBody(r.errorFormat(explicit), message, string(r.id[:]))
		a.Body, a.HasBody = body, true
		if explicit == "" {
			a.Headers = append(a.Headers, wire.Header{Name: "Content-Type", Value: contentType})
		}
	}
	if r.ex.Facts.HasServiceResponse {
		// A plugin replaced the upstream's response: its headers stay, its body and what described it go.
		r.ex.NeedResponse()
		if err := r.ctx.Response.CloseBodyStream(); err != nil {
			r.proxy.opts.Logger.Debug("closing a replaced response", "request_id", string(r.id[:]), "error", err.Error())
		}
		for _, name := range []string{"Content-Length", "Content-Encoding"} {
			r.ex.Facts.Response.Headers = exchange.RemoveHeader(r.ex.Facts.Response.Headers, name)
		}
	}
	r.ex.Answered()
	r.ctx.Response.SetBodyRaw(a.Body)
	r.responseBody, r.bufferedBody = nil, false
	r.ex.NewBody, r.ex.HasNewBody = nil, false
	a.Given = false // so that a filter that answers is seen
}

// errorFormat negotiates: an explicit content type, else Accept with its qualities, else JSON. For errors about the HTTP messages the request's
// own content type and error_default_type come before JSON.
func (r *request) errorFormat(explicit string) local.ErrorFormat {
	if explicit != "" {
		f, _ := local.ErrorFormatOf(explicit)
		return f
	}
	r.scratch = appendList(r.scratch[:0], r, "accept")
	accept := bytesx.View(r.scratch)
	if r.ex.Answer.Transport {
		return r.proxy.messageErrorFormat(accept, r.header("content-type"))
	}
	return local.AcceptedErrorFormat(accept)
}

// messageErrorFormat negotiates for errors about the HTTP messages, with the values of Accept and Content-Type of the request, "" for none.
func (p *Proxy) messageErrorFormat(accept, contentType string) local.ErrorFormat {
	if accept != "" {
		return local.AcceptedErrorFormat(accept)
	}
	f, known := local.ErrorFormatOf(contentType)
	if !known {
		f, _ = local.ErrorFormatOf(p.opts.ErrorDefaultType)
	}
	return f
}

// ErrorTemplates are the error bodies that take the place of the gateway's own, by local.ErrorFormat; "" leaves that. The first %s in one stands for
// the message, escaped for the format, the second for the request id, and %% for a percent sign.
type ErrorTemplates [local.ErrorXML + 1]string

// errorBody is an error body with its content type.
func (p *Proxy) errorBody(f local.ErrorFormat, message, id string) (contentType string, body []byte) {
	template := p.opts.ErrorTemplates[f]
	if template == "" {
		return local.ErrorBody(f, message, id)
	}
	values := []string{local.EscapeError(f, message), id}
	for {
		text, rest, more := strings.Cut(template, "%")
		if body = append(body, text...); !more || rest == "" {
			return local.ErrorType(f), body
		}
		switch {
		case rest[0] != 's':
			body = append(body, '%')
		case len(values) > 0:
			body, values = append(body, values[0]...), values[1:]
		}
		template = rest[1:]
	}
}
