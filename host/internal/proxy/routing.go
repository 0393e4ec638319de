package proxy

import (
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/outrigger-gateway/outrigger/host/internal/bytesx"
	"github.com/outrigger-gateway/outrigger/host/internal/entity"
	"github.com/outrigger-gateway/outrigger/host/internal/exchange"
	"github.com/outrigger-gateway/outrigger/host/internal/guard"
	"github.com/outrigger-gateway/outrigger/host/internal/httpbyte"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// What a request gets whose route is for another protocol (spec/gateway.md 2.7); it does not come to access. And what the router asks about requests.

// fits reports whether the request speaks the protocol of a route. As long as all requests are of HTTP/1, no route for gRPC is for them.
func (r *request) fits(route *entity.Route) bool {
	return !route.ForGRPC() && (!route.SecureOnly() || r.secure())
}

// turnAway answers a request that does not fit its route.
func (r *request) turnAway(route *entity.Route) {
	switch {
	case !route.ForGRPC():
		r.httpsRequired(route)
	case !startsGRPC(r.header("content-type")):
		r.ex.Fail(http.StatusUnsupportedMediaType, "Non-gRPC request matched gRPC route")
	default:
		r.upgradeRequired("Please use HTTP2 protocol", "HTTP/2")
	}
}

// startsGRPC reports whether a content type begins as those of gRPC do: gRPC-Web too, as in Kong.
func startsGRPC(contentType string) bool {
	const prefix = "application/grpc"
	return len(contentType) >= len(prefix) && strings.EqualFold(contentType[:len(prefix)], prefix)
}

// secure reports whether the client came over TLS, as far as the gateway can know.
func (r *request) secure() bool {
	return r.tls || r.peer.trusted && httpbyte.Same([]byte(first(r.forwardedHeader("x-forwarded-proto"))), "https")
}

// matchedScheme is the scheme by which routes are matched.
func (r *request) matchedScheme() string {
	if r.secure() {
		return "https"
	}
	return "http"
}

// upgradeRequired answers 426 and names the protocol to use.
func (r *request) upgradeRequired(message, protocol string) {
	r.ex.Fail(http.StatusUpgradeRequired, message)
	r.ex.Answer.Headers = []wire.Header{{Name: "Upgrade", Value: protocol}}
	r.upgrade = true
}

// httpsRequired answers a plain request for an https route: 426, or a redirection to the same place: the host is that of a trusted
// X-Forwarded-Host if it is one, else that of the request. A client that names no host cannot be redirected.
func (r *request) httpsRequired(route *entity.Route) {
	host := r.host
	if r.peer.trusted {
		if said := r.forwarded().host; guard.IsHost([]byte(said)) {
			host = said
		}
	}
	status := route.HTTPSRedirectStatusCode
	if status == http.StatusUpgradeRequired || status == 0 || host == "" {
		r.upgradeRequired("Please use HTTPS protocol", "TLS/1.2, HTTP/1.1")
		return
	}
	r.ex.Answer = exchange.Answer{
		Given: true, Source: wire.SourceError, Status: status, Headers: []wire.Header{{Name: "Location", Value: "https://" + host + r.receivedURI()}},
	}
}

// receivedURI is the path and query as received, also of a request in absolute form.
func (r *request) receivedURI() string {
	path := string(r.target.path)
	if !strings.HasPrefix(path, "/") {
		path = "/" // * of OPTIONS, or an absolute form without path
	}
	if r.target.mark {
		path += "?" + string(r.target.query)
	}
	return path
}

// query is the raw query as it is now.
func (r *request) query() string {
	if r.ex.Dirty&exchange.DirtyQuery != 0 {
		return r.ex.Facts.Request.RawQuery
	}
	return bytesx.View(r.target.query)
}

// Source implements router.Addresses: the client, as trusted peers tell.
func (v headerView) Source() (netip.Addr, int) { return v.r.realIP() }

// Destination implements router.Addresses; it is not valid on a unix socket.
func (v headerView) Destination() netip.Addr {
	if a, ok := v.r.ctx.LocalAddr().(*net.TCPAddr); ok {
		return a.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}
