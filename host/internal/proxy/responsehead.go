package proxy

import (
	"bufio"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/outrigger-gateway/outrigger/host/internal/exchange"
	"github.com/outrigger-gateway/outrigger/host/internal/httpbyte"
	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// writeHeaders brings the response head into its last form: the facts when a plugin wrote to them, and the gateway's own headers.
func (r *request) writeHeaders() {
	h := &r.ctx.Response.Header
	if r.ex.Dirty&exchange.DirtyAdded != 0 && (r.ex.Handles(pdk.PhaseBodyFilter) || r.ex.Handles(pdk.PhaseLog)) {
		r.ex.NeedResponse() // they are to see it without the gateway's own headers
	}
	switch {
	case r.ex.Dirty&exchange.DirtyResponse != 0:
		r.writeFacts(h)
	case r.ex.Dirty&exchange.DirtyAdded != 0:
		for _, line := range r.ex.Added() {
			if !ofConnection(line.Name) && !strings.EqualFold(line.Name, "Content-Length") {
				h.Add(line.Name, line.Value)
			}
		}
	}
	if r.dest.balancer != nil {
		r.giveCookie(h)
	}
	if r.upgrade && h.StatusCode() == http.StatusUpgradeRequired {
		h.Add("Connection", "Upgrade")
	}
	o := &r.proxy.opts
	proxied := r.ex.Facts.Response.Source == wire.SourceService && r.ex.Facts.HasServiceResponse
	if proxied {
		if o.Headers.Via {
			h.Add("Via", r.proxy.via)
		}
		if o.Headers.UpstreamLatency {
			r.setNumber(h, "X-Kong-Upstream-Latency", r.ex.Latencies.Proxy)
		}
		if o.Headers.ProxyLatency {
			r.setNumber(h, "X-Kong-Proxy-Latency", r.ex.Latencies.Kong)
		}
	} else {
		if o.Headers.Server {
			h.SetServer("outrigger/" + o.Version)
		}
		if o.Headers.ResponseLatency {
			r.setNumber(h, "X-Kong-Response-Latency", time.Since(r.start).Milliseconds())
		}
	}
	if o.Headers.UpstreamStatus && r.ex.Facts.HasServiceResponse {
		r.setNumber(h, "X-Kong-Upstream-Status", int64(r.ex.Facts.ServiceResponse.Status))
	}
	if o.Headers.RequestID {
		h.SetBytesV("X-Kong-Request-Id", r.id[:])
	}
	if r.ex.Timed {
		r.serverTiming(h)
	}
	if o.DebugHeader && r.ex.Route != nil && r.header("kong-debug") == "1" {
		r.debugHeaders(h)
	}
	if o.PluginDebugHeader != "" && r.ex.Route != nil && r.fits(r.ex.Route) {
		r.pluginDebugHeader(h)
	}
}

func (r *request) setNumber(h *fasthttp.ResponseHeader, name string, n int64) {
	r.scratch = strconv.AppendInt(r.scratch[:0], n, 10)
	h.SetBytesV(name, r.scratch)
}

func (r *request) debugHeaders(h *fasthttp.ResponseHeader) {
	h.Set("Kong-Route-Id", r.ex.Route.ID)
	if r.ex.Route.Name != "" {
		h.Set("Kong-Route-Name", r.ex.Route.Name)
	}
	if s := r.ex.Service; s != nil {
		h.Set("Kong-Service-Id", s.ID)
		if s.Name != "" {
			h.Set("Kong-Service-Name", s.Name)
		}
	}
}

// pluginDebugHeader lists the plugins whose turn access is, as a list of RFC 8941: "key-auth;level=12, acl;level=8". The levels are those of the
// records that were chosen, 1 to 12, most specific first.
func (r *request) pluginDebugHeader(h *fasthttp.ResponseHeader) {
	r.scratch = r.scratch[:0]
	for i, st := range r.ex.Chain(pdk.PhaseAccess) {
		if i > 0 {
			r.scratch = append(r.scratch, ", "...)
		}
		r.scratch = st.AppendShort(r.scratch)
	}
	h.SetBytesV(r.proxy.opts.PluginDebugHeader, r.scratch)
}

// writeFacts replaces the response head by what the plugins left in the facts. The length of the body stays the proxy's business, except that a
// plugin may remove Content-Length from a stream.
func (r *request) writeFacts(h *fasthttp.ResponseHeader) {
	f := &r.ex.Facts
	length := h.ContentLength()
	r.resetKeepingDate(h)
	r.prepareHeader(h)
	h.SetStatusCode(f.Response.Status)
	kept := false
	for _, line := range f.Response.Headers {
		switch {
		case strings.EqualFold(line.Name, "Content-Length"):
			kept = true
		case ofConnection(line.Name):
			// not a plugin's to set
		default:
			h.Add(line.Name, line.Value)
		}
	}
	if !kept && (r.ctx.Response.IsBodyStream() || r.ctx.Response.SkipBody) {
		length = -1
	}
	h.SetContentLength(length)
}

// ofConnection names the response headers that are about the connection to the client.
func ofConnection(name string) bool {
	switch len(name) {
	case 7:
		return strings.EqualFold(name, "Trailer")
	case 10:
		return strings.EqualFold(name, "Connection") || strings.EqualFold(name, "Keep-Alive")
	case 17:
		return strings.EqualFold(name, "Transfer-Encoding")
	}
	return false
}

// prepareHeader keeps fasthttp from adding or rewriting headers.
func (r *request) prepareHeader(h *fasthttp.ResponseHeader) {
	h.DisableNormalizing()
	h.SetNoDefaultContentType(true)
}

// resetKeepingDate empties the head but for the upstream's Date, which fasthttp lets nobody set. Without one, fasthttp adds the time of now.
func (r *request) resetKeepingDate(h *fasthttp.ResponseHeader) {
	if !r.hasDate || r.ex.Facts.Response.Source != wire.SourceService {
		h.Reset()
		return
	}
	var date []byte
	for k, v := range h.All() {
		if len(k) == len("date") && httpbyte.Fold(k, "date") {
			date = v
		}
	}
	r.scratch = append(append(append(r.scratch[:0], "HTTP/1.1 200 OK\r\nDate: "...), date...), "\r\n\r\n"...)
	if r.headReader == nil {
		r.headReader = bufio.NewReaderSize(nil, 256)
	}
	r.headSource.Reset(r.scratch)
	r.headReader.Reset(&r.headSource)
	if err := h.Read(r.headReader); err != nil { // a date of hundreds of bytes
		h.Reset()
	}
	h.SetStatusMessage(nil) // the head of the date says "OK", whatever the status
	h.SetContentLength(0)
	h.ResetConnectionClose()
}

// resetResponse throws away what a failed upstream left.
func (r *request) resetResponse() {
	r.ctx.Response.Reset()
	r.prepareHeader(&r.ctx.Response.Header)
}
