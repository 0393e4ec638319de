package proxy

import (
	"bytes"
	"cmp"
	"strconv"
	"strings"

	"github.com/outrigger-gateway/outrigger/host/internal/bytesx"
	"github.com/outrigger-gateway/outrigger/host/internal/exchange"
	"github.com/outrigger-gateway/outrigger/host/internal/httpbyte"
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
	r.writeConnection()
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
// made up. What the client names in Connection ends here, but never what a plugin has set: a client could take the plugin's word back.
func (r *request) copyRequestHeaders() {
	nominated := r.nominated()
	if r.ex.Dirty&exchange.DirtyRequestHeaders != 0 {
		for _, f := range r.ex.Facts.Request.Headers {
			dropped := nominated
			if len(dropped) > 0 && r.ex.HasSet(f.Name) {
				dropped = nil
			}
			if r.passUpstream([]byte(f.Name), dropped) {
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
			r.out.Trailers = true
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
		passes := r.passUpstream(l.Name, nominated) && !r.forged(l.Name)
		if !h.verbatim {
			if passes {
				r.out.Add(bytesx.View(l.Name), bytesx.View(l.Value))
			}
			continue
		}
		end := at + len(l.Name) + len(": ") + len(l.Value) + len("\r\n")
		if !passes {
			r.out.Fields = append(r.out.Fields, h.raw[from:at]...)
			from = end
		}
		at = end
	}
	r.out.Fields = append(r.out.Fields, h.raw[from:at]...)
}

// nominated is what the client's Connection headers name; empty for most requests.
func (r *request) nominated() []byte {
	r.scratch = r.scratch[:0]
	for i := range r.head.lines {
		l := &r.head.lines[i]
		if len(l.Name) == len("connection") && httpbyte.Fold(l.Name, "connection") && !bytes.EqualFold(l.Value, keepsAlive) {
			r.scratch = append(append(r.scratch, l.Value...), ',')
		}
	}
	return r.scratch
}

// passUpstream reports whether a request header is copied. nominated is what the client's Connection header names.
func (r *request) passUpstream(name, nominated []byte) bool {
	if hopByHop(name) || r.ownRequestHeader(name) || r.traceHeader(name) {
		return false
	}
	return len(nominated) == 0 || !hasToken(nominated, name)
}

// hopByHop names the headers that end at this hop, in both directions.
func hopByHop(name []byte) bool {
	switch len(name) {
	case 2:
		return httpbyte.Fold(name, "te")
	case 5:
		return httpbyte.Fold(name, "proxy")
	case 6:
		return httpbyte.Fold(name, "expect")
	case 7:
		return httpbyte.Fold(name, "upgrade") || httpbyte.Fold(name, "trailer")
	case 10:
		return httpbyte.Fold(name, "connection") || httpbyte.Fold(name, "keep-alive")
	case 14:
		return httpbyte.Fold(name, "content-length") // set from the body
	case 16:
		return httpbyte.Fold(name, "proxy-connection")
	case 17:
		return httpbyte.Fold(name, "transfer-encoding")
	}
	return false
}

// ownRequestHeader names the headers that setHost, setForwarded and writeUpstream set.
func (r *request) ownRequestHeader(name []byte) bool {
	switch len(name) {
	case 3:
		return httpbyte.Fold(name, "via")
	case 4:
		return httpbyte.Fold(name, "host")
	case 9:
		return httpbyte.Fold(name, "x-real-ip")
	case 15:
		return httpbyte.Fold(name, "x-forwarded-for")
	case 16:
		return httpbyte.Fold(name, "x-forwarded-host") || httpbyte.Fold(name, "x-forwarded-port") || httpbyte.Fold(name, "x-forwarded-path")
	case 17:
		return httpbyte.Fold(name, "x-forwarded-proto") || r.proxy.opts.HeadersUpstream && httpbyte.Fold(name, "x-kong-request-id")
	case 18:
		return httpbyte.Fold(name, "x-forwarded-prefix")
	}
	return false
}

// Whose identity headers pass: those of plugins always do.
const (
	IdentityDrop    = "drop"    // none of a client's
	IdentityTrusted = "trusted" // those of a peer in TrustedIPs
	IdentityKeep    = "keep"    // everybody's, as in Kong
)

// forged reports whether a header of the client is one by which only plugins may say who is calling.
func (r *request) forged(name []byte) bool {
	if !identity(name) {
		return false
	}
	switch r.proxy.opts.IdentityHeaders {
	case IdentityKeep:
		return false
	case IdentityTrusted:
		return !r.peer.trusted
	}
	return true
}

// identity names the headers by which authentication plugins tell the upstream who is calling.
func identity(name []byte) bool {
	if len(name) < len("x-consumer-") || name[0]|0x20 != 'x' {
		return false
	}
	switch len(name) {
	case len("x-anonymous-consumer"):
		if httpbyte.Fold(name, "x-anonymous-consumer") {
			return true
		}
	case len("x-credential-identifier"):
		if httpbyte.Fold(name, "x-credential-identifier") {
			return true
		}
	}
	return httpbyte.Fold(name, "x-consumer-") || len(name) > len("x-authenticated-") && httpbyte.Fold(name, "x-authenticated-")
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

	r.forwardOne("X-Forwarded-Proto", "x-forwarded-proto", r.scheme())
	r.forwardOne("X-Forwarded-Host", "x-forwarded-host", r.host)
	r.forwardPort()
	r.forwardOne("X-Forwarded-Path", "x-forwarded-path", cmp.Or(bytesx.View(r.target.path), "/"))
	r.forwardOne("X-Forwarded-Prefix", "x-forwarded-prefix", r.match.Prefix)
	r.scratch = appendList(r.scratch[:0], r, "via")
	via := r.proxy.via
	if r.head.http10 {
		via = r.proxy.via10
	}
	r.scratch = append(r.scratch, via...)
	r.add("Via", r.scratch)
}

// forwardOne adds one of X-Forwarded-*: what a trusted peer says, as it says it, else the gateway's own; nothing when both are empty. lower is the
// name in lower case.
func (r *request) forwardOne(name, lower, own string) {
	if r.peer.trusted {
		if r.scratch = bytes.TrimSuffix(appendList(r.scratch[:0], r, lower), listComma); len(r.scratch) > 0 {
			r.add(name, r.scratch)
			return
		}
	}
	if own != "" {
		r.out.Add(name, own)
	}
}

// forwardPort adds X-Forwarded-Port: without one of a trusted peer the port in its X-Forwarded-Host, as for plugins, then that of the listener.
func (r *request) forwardPort() {
	port := r.port
	if r.peer.trusted {
		if _, said := splitHost(first(r.forwardedHeader("x-forwarded-host"))); said != 0 {
			port = said
		}
	}
	var digits [len("65535")]byte
	r.forwardOne("X-Forwarded-Port", "x-forwarded-port", bytesx.View(strconv.AppendInt(digits[:0], int64(port), 10)))
}

// listComma stands between the values of a header of several lines when they are written as one.
var listComma = []byte(", ")

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

// appendList appends the values of a request header, each followed by a comma; name is in lower case. One with _ is another header, which a proxy in front
// may have passed on.
func appendList(dst []byte, r *request, name string) []byte {
	add := func(found, value string) {
		if value != "" && len(found) == len(name) && strings.EqualFold(found, name) {
			dst = append(append(dst, value...), listComma...)
		}
	}
	if r.ex.Dirty&exchange.DirtyRequestHeaders != 0 {
		for i := range r.ex.Facts.Request.Headers {
			add(r.ex.Facts.Request.Headers[i].Name, r.ex.Facts.Request.Headers[i].Value)
		}
		return dst
	}
	for i := range r.head.lines {
		add(bytesx.View(r.head.lines[i].Name), bytesx.View(r.head.lines[i].Value))
	}
	return dst
}
