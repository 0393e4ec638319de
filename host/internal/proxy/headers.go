package proxy

import (
	"bytes"
	"cmp"
	"net/http"
	"strconv"
	"strings"

	"github.com/outrigger-gateway/outrigger/host/internal/bytesx"
	"github.com/outrigger-gateway/outrigger/host/internal/entity"
	"github.com/outrigger-gateway/outrigger/host/internal/exchange"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// writeUpstream builds the request for the service: head by spec/gateway.md 4.1, body streamed from the client unless somebody has read
// or replaced it.
func (r *request) writeUpstream() {
	out := &r.out
	out.Method = r.method()
	out.Target = r.appendURI(out.Target[:0])
	r.setHost()
	r.copyRequestHeaders()
	r.setForwarded()
	if r.trace != nil {
		out.Add("traceparent", r.outgoing.Parent)
		if r.outgoing.State != "" {
			out.Add("tracestate", r.outgoing.State)
		}
	}
	out.Add("Connection", "keep-alive")
	if r.proxy.opts.HeadersUpstream {
		out.Add("X-Kong-Request-Id", bytesx.View(r.id[:]))
	}
	switch {
	case r.ex.Upstream.HasBody:
		out.Body = r.ex.Upstream.Body
	case r.hasBody && len(r.body) > 0:
		out.Body = r.body
	case r.clientBody.r != nil:
		out.Stream, out.Size = &r.clientBody, r.clientBody.size
	}
}

// copyRequestHeaders copies what may pass: no hop-by-hop headers, none that the gateway sets itself, and no identity headers that a client
// made up.
func (r *request) copyRequestHeaders() {
	r.scratch = appendList(r.scratch[:0], r, "connection")
	nominated := r.scratch // empty for most requests
	if r.ex.Dirty&exchange.DirtyRequestHeaders != 0 {
		for _, f := range r.ex.Facts.Request.Headers {
			if passUpstream([]byte(f.Name), nominated) && !r.traceHeader([]byte(f.Name)) {
				r.out.Add(f.Name, f.Value)
			}
		}
	} else {
		r.copyLines(nominated)
	}
	for i := 0; ; i++ {
		te, ok := headerView{r}.HeaderValue("te", i)
		if !ok {
			return
		}
		if hasToken([]byte(te), []byte("trailers")) {
			r.out.Add("TE", "trailers")
			return
		}
	}
}

// copyLines copies the lines of the head as it came: neighbours that pass at once, when they stand there as they are to be sent.
func (r *request) copyLines(nominated []byte) {
	h := r.head
	from, at := 0, 0 // of the raw head: what is not copied yet, and the line
	for i := range h.lines {
		l := &h.lines[i]
		passes := passUpstream(l.name, nominated) && !identity(l.name) && !r.traceHeader(l.name)
		if !h.verbatim {
			if passes {
				r.out.Add(bytesx.View(l.name), bytesx.View(l.value))
			}
			continue
		}
		end := at + len(l.name) + len(": ") + len(l.value) + len("\r\n")
		if !passes {
			r.out.Fields = append(r.out.Fields, h.raw[from:at]...)
			from = end
		}
		at = end
	}
	r.out.Fields = append(r.out.Fields, h.raw[from:at]...)
}

// passUpstream reports whether a request header is copied. nominated is the value of the client's Connection header.
func passUpstream(name, nominated []byte) bool {
	if hopByHop(name) || ownRequestHeader(name) {
		return false
	}
	return len(nominated) == 0 || !hasToken(nominated, name)
}

// hopByHop names the headers that end at this hop, in both directions.
func hopByHop(name []byte) bool {
	switch len(name) {
	case 2:
		return fold(name, "te")
	case 5:
		return fold(name, "proxy")
	case 6:
		return fold(name, "expect")
	case 7:
		return fold(name, "upgrade") || fold(name, "trailer")
	case 10:
		return fold(name, "connection") || fold(name, "keep-alive")
	case 14:
		return fold(name, "content-length") // set from the body
	case 16:
		return fold(name, "proxy-connection")
	case 17:
		return fold(name, "transfer-encoding")
	}
	return false
}

// ownRequestHeader names the headers that setHost, setForwarded and writeUpstream set.
func ownRequestHeader(name []byte) bool {
	switch len(name) {
	case 3:
		return fold(name, "via")
	case 4:
		return fold(name, "host")
	case 9:
		return fold(name, "x-real-ip")
	case 15:
		return fold(name, "x-forwarded-for")
	case 16:
		return fold(name, "x-forwarded-host") || fold(name, "x-forwarded-port") || fold(name, "x-forwarded-path")
	case 17:
		return fold(name, "x-forwarded-proto") || fold(name, "x-kong-request-id")
	case 18:
		return fold(name, "x-forwarded-prefix")
	}
	return false
}

// identity names the headers by which authentication plugins tell the upstream who is calling. Only plugins may set them.
func identity(name []byte) bool {
	switch len(name) {
	case 13:
		return fold(name, "x-consumer-id")
	case 17:
		return fold(name, "x-consumer-groups")
	case 19:
		return fold(name, "x-consumer-username")
	case 20:
		return fold(name, "x-consumer-custom-id") || fold(name, "x-anonymous-consumer")
	case 21:
		return fold(name, "x-authenticated-scope")
	case 22:
		return fold(name, "x-authenticated-userid") || fold(name, "x-authenticated-groups")
	case 23:
		return fold(name, "x-credential-identifier")
	}
	return false
}

// fold compares a header name with a lower-case one, with - and _ the same: an upstream may not tell them apart.
func fold(name []byte, lower string) bool {
	for i := range len(lower) {
		c := name[i]
		switch {
		case 'A' <= c && c <= 'Z':
			c |= 0x20
		case c == '_':
			c = '-'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// hasToken reports whether a comma-separated list holds a token, whatever its case; parameters after ";" do not count.
func hasToken(list, token []byte) bool {
	for part := range bytes.SplitSeq(list, []byte(",")) {
		if i := bytes.IndexByte(part, ';'); i >= 0 {
			part = part[:i]
		}
		if bytes.EqualFold(bytes.TrimSpace(part), token) {
			return true
		}
	}
	return false
}

func (r *request) setHost() {
	host := r.out.Host[:0]
	switch {
	case r.ex.Upstream.Host != "": // a plugin's word counts more than anything
		host = append(host, r.ex.Upstream.Host...)
	case r.ex.Route.PreserveHost && len(r.target.host) > 0:
		host = append(host, r.target.host...)
	case r.ex.Route.PreserveHost:
		host = append(host, r.head.host...)
	}
	if len(host) == 0 { // also for a client that sent none
		host = r.dest.appendHost(host)
	}
	r.out.Host = host
}

func (r *request) setForwarded() {
	r.out.Add("X-Real-IP", r.realIPText())
	r.scratch = append(appendList(r.scratch[:0], r, "x-forwarded-for"), r.peer.text...)
	r.add("X-Forwarded-For", r.scratch)

	var w forwarded
	if r.peer.trusted {
		w = r.forwarded()
	}
	r.out.Add("X-Forwarded-Proto", cmp.Or(w.scheme, r.scheme()))
	r.out.Add("X-Forwarded-Host", cmp.Or(w.host, r.host))
	r.scratch = strconv.AppendInt(r.scratch[:0], int64(cmp.Or(w.port, r.port)), 10)
	r.add("X-Forwarded-Port", r.scratch)
	r.out.Add("X-Forwarded-Path", cmp.Or(w.path, bytesx.View(r.target.path), "/"))
	if prefix := cmp.Or(w.prefix, r.match.Prefix); prefix != "" {
		r.out.Add("X-Forwarded-Prefix", prefix)
	}
	r.scratch = appendList(r.scratch[:0], r, "via")
	via := r.proxy.via
	if r.head.http10 {
		via = r.proxy.via10
	}
	r.scratch = append(r.scratch, via...)
	r.add("Via", r.scratch)
}

// realIPText is the address of realIP.
func (r *request) realIPText() string {
	addr, _ := r.realIP()
	if addr == r.peer.addr {
		return r.peer.text
	}
	return addr.String()
}

// add adds a header line to the request for the service.
func (r *request) add(name string, value []byte) { r.out.Add(name, bytesx.View(value)) }

// appendList appends the values of a request header, each followed by a comma; name is in lower case.
func appendList(dst []byte, r *request, name string) []byte {
	for i := 0; ; i++ {
		v, ok := headerView{r}.HeaderValue(name, i)
		if !ok {
			return dst
		}
		if v == "" {
			continue
		}
		dst = append(append(dst, v...), ", "...)
	}
}

// wantsHTTPS reports whether the route is for https only and the request came in plain (spec/gateway.md 2.7).
func (r *request) wantsHTTPS(route *entity.Route) bool {
	return route.SecureOnly() && !r.secure()
}

// secure reports whether the client came over TLS, as far as the gateway can know (spec/gateway.md 2.7).
func (r *request) secure() bool {
	return r.tls || r.peer.trusted && strings.ToLower(first(r.header("x-forwarded-proto"))) == "https"
}

// upgradeRequired answers 426 and names the protocol to use.
func (r *request) upgradeRequired(message, protocol string) {
	r.ex.Fail(http.StatusUpgradeRequired, message)
	r.ex.Answer.Headers = []wire.Header{{Name: "Upgrade", Value: protocol}}
	r.upgrade = true
}

// httpsRequired answers a plain request for an https route.
func (r *request) httpsRequired(route *entity.Route) {
	if route.HTTPSRedirectStatusCode == http.StatusUpgradeRequired || route.HTTPSRedirectStatusCode == 0 {
		r.upgradeRequired("Please use HTTPS protocol", "TLS/1.2, HTTP/1.1")
		return
	}
	host := r.host
	if r.peer.trusted {
		if w := r.forwarded(); w.host != "" {
			host = w.host
		}
	}
	r.ex.Answer = exchange.Answer{
		Given: true, Source: wire.SourceError, Status: route.HTTPSRedirectStatusCode,
		Headers: []wire.Header{{Name: "Location", Value: "https://" + host + string(r.head.target)}},
	}
}
