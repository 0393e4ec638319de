package proxy

import (
	"cmp"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/accesslog"
	"github.com/outrigger-gateway/outrigger/host/internal/bytesx"
	"github.com/outrigger-gateway/outrigger/host/internal/httpbyte"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// logAccess leaves the line of a request that is over in the access log.
func (r *request) logAccess(now time.Time) {
	log := r.proxy.opts.AccessLog
	r.realIP() // before scratch is in use
	b := append(r.scratch[:0], '{')
	fields := log.Fields()
	for i := range fields {
		b = appendAccess(b, &fields[i], func(b []byte) []byte { return r.appendField(b, &fields[i], now) })
	}
	r.scratch = append(b, '}', '\n')
	log.Append(r.scratch)
}

// appendAccess appends a field; nothing when value appends nothing.
func appendAccess(b []byte, f *accesslog.Field, value func(b []byte) []byte) []byte {
	before := len(b)
	if before > 1 {
		b = append(b, ',')
	}
	b = append(b, f.Key()...)
	empty := len(b)
	if b = value(b); len(b) == empty {
		return b[:before]
	}
	return b
}

// appendField appends the value of a field as JSON; nothing when there is none.
func (r *request) appendField(b []byte, f *accesslog.Field, now time.Time) []byte {
	switch f.Code {
	case accesslog.Time:
		return accesslog.AppendTime(b, r.start)
	case accesslog.RequestID:
		return accesslog.AppendString(b, bytesx.View(r.id[:]))
	case accesslog.ClientIP, accesslog.ClientPort, accesslog.PeerIP, accesslog.PeerPort:
		return r.appendAddress(b, f.Code)
	case accesslog.Method:
		return accesslog.AppendString(b, bytesx.View(r.head.method))
	case accesslog.Scheme:
		return accesslog.AppendString(b, r.scheme())
	case accesslog.Host:
		return appendText(b, r.host)
	case accesslog.Path:
		return appendText(b, bytesx.View(r.target.path))
	case accesslog.Query:
		return appendText(b, bytesx.View(r.target.query))
	case accesslog.Protocol:
		if r.head.http10 {
			return append(b, `"HTTP/1.0"`...)
		}
		return append(b, `"HTTP/1.1"`...)
	case accesslog.Status:
		return strconv.AppendInt(b, int64(r.ctx.Response.StatusCode()), 10)
	case accesslog.Source:
		return accesslog.AppendString(b, sourceNames[r.ex.Facts.Response.Source])
	case accesslog.Upstream:
		if r.upstreamStart.IsZero() {
			return b
		}
		return appendTarget(b, r.dest.to.Host, r.dest.to.Port)
	case accesslog.UpstreamStatus:
		if r.ex.Facts.HasServiceResponse {
			b = strconv.AppendInt(b, int64(r.ex.Facts.ServiceResponse.Status), 10)
		}
		return b
	case accesslog.RequestBytes:
		return strconv.AppendInt(b, r.clientBody.got, 10)
	case accesslog.ResponseBytes:
		return strconv.AppendInt(b, r.sent, 10)
	case accesslog.Duration, accesslog.UpstreamTime, accesslog.GatewayTime:
		return r.appendTime(b, f.Code, now)
	case accesslog.UserAgent:
		return r.appendReceived(b, "user-agent")
	case accesslog.Referer:
		return r.appendReceived(b, "referer")
	case accesslog.RequestHeader:
		return r.appendReceived(b, f.Header)
	case accesslog.ResponseHeader:
		for k, v := range r.ctx.Response.Header.All() {
			if len(k) == len(f.Header) && httpbyte.Fold(k, f.Header) {
				return accesslog.AppendString(b, bytesx.View(v))
			}
		}
		return b
	}
	return r.appendEntity(b, f.Code)
}

var sourceNames = [...]string{wire.SourceService: "service", wire.SourceExit: "exit", wire.SourceError: "error"}

// appendText appends text that is there.
func appendText(b []byte, text string) []byte {
	if text == "" {
		return b
	}
	return accesslog.AppendString(b, text)
}

// appendAddress appends an address or a port that is known.
func (r *request) appendAddress(b []byte, what accesslog.Code) []byte {
	addr, port := r.peer.addr, r.peer.port
	if what == accesslog.ClientIP || what == accesslog.ClientPort {
		addr, port = r.realIP()
	}
	switch {
	case what == accesslog.ClientIP || what == accesslog.PeerIP:
		return appendIP(b, addr)
	case port != 0:
		return strconv.AppendInt(b, int64(port), 10)
	}
	return b
}

// appendTarget appends host:port, an IPv6 address in brackets. A plugin may have set the host, to what a client sent.
func appendTarget(b []byte, host string, port int) []byte {
	if strings.IndexByte(host, ':') >= 0 && host[0] != '[' {
		b = accesslog.AppendString(b, "["+host+"]")
	} else {
		b = accesslog.AppendString(b, host)
	}
	b = append(b[:len(b)-1], ':')
	return append(strconv.AppendInt(b, int64(port), 10), '"')
}

func appendIP(b []byte, addr netip.Addr) []byte {
	if !addr.IsValid() {
		return b
	}
	return append(addr.AppendTo(append(b, '"')), '"')
}

// appendTime appends one of the times of the request.
func (r *request) appendTime(b []byte, what accesslog.Code, now time.Time) []byte {
	asked := !r.upstreamStart.IsZero()
	switch {
	case what == accesslog.GatewayTime && asked:
		return accesslog.AppendMilliseconds(b, r.upstreamStart.Sub(r.start))
	case what != accesslog.UpstreamTime:
		return accesslog.AppendMilliseconds(b, now.Sub(r.start))
	case asked:
		return accesslog.AppendMilliseconds(b, r.upstreamEnd.Sub(r.upstreamStart))
	}
	return b
}

// appendEntity appends the name or the id of what the request met.
func (r *request) appendEntity(b []byte, what accesslog.Code) []byte {
	route, service, consumer := r.ex.Route, r.ex.Service, r.ex.Consumer
	switch {
	case what == accesslog.Route && route != nil:
		return accesslog.AppendString(b, cmp.Or(route.Name, route.ID))
	case what == accesslog.RouteID && route != nil:
		return accesslog.AppendString(b, route.ID)
	case what == accesslog.Service && service != nil:
		return accesslog.AppendString(b, cmp.Or(service.Name, service.ID))
	case what == accesslog.ServiceID && service != nil:
		return accesslog.AppendString(b, service.ID)
	case what == accesslog.Consumer && consumer != nil:
		return accesslog.AppendString(b, cmp.Or(consumer.Username, consumer.CustomID, consumer.ID))
	case (what == accesslog.Consumer || what == accesslog.ConsumerID) && r.ex.Facts.Consumer != nil:
		return appendText(b, r.ex.Facts.Consumer.ID) // of a consumer that the configuration does not know, too
	}
	return b
}

// appendReceived appends the first value of a request header as it came.
func (r *request) appendReceived(b []byte, name string) []byte {
	for i := range r.head.lines {
		if l := &r.head.lines[i]; len(l.Name) == len(name) && httpbyte.Fold(l.Name, name) {
			return accesslog.AppendString(b, bytesx.View(l.Value))
		}
	}
	return b
}

// logRefused leaves the line of a request that could not be read: nothing of it is known but its answer.
func (p *Proxy) logRefused(from peer, start time.Time, status int, id []byte) {
	log := p.opts.AccessLog
	if log == nil {
		return
	}
	fields := log.Fields()
	b := []byte{'{'}
	for i := range fields {
		b = appendAccess(b, &fields[i], func(b []byte) []byte {
			switch fields[i].Code {
			case accesslog.Time:
				return accesslog.AppendTime(b, start)
			case accesslog.RequestID:
				return accesslog.AppendString(b, string(id))
			case accesslog.ClientIP, accesslog.PeerIP:
				return appendIP(b, from.addr)
			case accesslog.ClientPort, accesslog.PeerPort:
				return strconv.AppendInt(b, int64(from.port), 10)
			case accesslog.Status:
				return strconv.AppendInt(b, int64(status), 10)
			case accesslog.Source:
				return append(b, `"error"`...)
			}
			return b
		})
	}
	log.Append(append(b, '}', '\n'))
}
