package proxy

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/outrigger-gateway/outrigger/host/internal/bytesx"
	"github.com/outrigger-gateway/outrigger/host/internal/exchange"
	"github.com/outrigger-gateway/outrigger/host/internal/router"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// target is a request target taken apart. The slices are parts of it.
type target struct {
	host  []byte // of an absolute form
	path  []byte
	query []byte
	mark  bool // there is a question mark
}

func splitTarget(t []byte) target {
	var s target
	if len(t) > 0 && t[0] != '/' {
		if i := bytes.Index(t, []byte("://")); i > 0 {
			t = t[i+3:]
			end := bytes.IndexAny(t, "/?")
			if end < 0 {
				end = len(t)
			}
			s.host, t = t[:end], t[end:]
			if at := bytes.LastIndexByte(s.host, '@'); at >= 0 {
				s.host = s.host[at+1:]
			}
		}
	}
	if i := bytes.IndexByte(t, '?'); i >= 0 {
		s.path, s.query, s.mark = t[:i], t[i+1:], true
	} else {
		s.path = t
	}
	return s
}

// newRequestID makes 32 lower-case hex digits. They are random, not secret: they tell requests apart.
func newRequestID(dst *[32]byte) {
	var b [16]byte
	binary.LittleEndian.PutUint64(b[:8], rand.Uint64())
	binary.LittleEndian.PutUint64(b[8:], rand.Uint64())
	hex.Encode(dst[:], b[:])
}

// normalPath is the normalised path of a target.
func normalPath(path string) string {
	if path == "" { // of an absolute form
		path = "/"
	}
	return router.Normalize(path)
}

// hostOf is the lower-case host of the request, from the request line or the Host header, and its port; 0 for none. The text is a view of the
// request where that is possible.
func hostOf(t *target, received *head) (string, int) {
	h := t.host
	if len(h) == 0 {
		h = received.host
	}
	return splitHost(strings.ToLower(bytesx.View(h)))
}

// splitHost parts host and port. IPv6 literals keep their brackets.
func splitHost(s string) (string, int) {
	i := strings.LastIndexByte(s, ':')
	if i < 0 || strings.IndexByte(s[i:], ']') >= 0 {
		return s, 0
	}
	port, err := strconv.ParseUint(s[i+1:], 10, 16)
	if err != nil {
		return s[:i], 0
	}
	return s[:i], int(port)
}

func (r *request) scheme() string {
	if r.tls {
		return "https"
	}
	return "http"
}

// portOf is the port of an address of TCP; 0 for others.
func portOf(a net.Addr) int {
	if a, ok := a.(*net.TCPAddr); ok {
		return a.Port
	}
	return 0
}

// peer is the direct peer and what it may say about the client.
type peer struct {
	addr    netip.Addr
	text    string // addr
	port    int
	trusted bool
}

func (p *Proxy) peerOf(remote net.Addr) peer {
	a, ok := remote.(*net.TCPAddr)
	if !ok {
		return peer{}
	}
	addr, _ := netip.AddrFromSlice(a.IP)
	addr = addr.Unmap()
	return peer{addr: addr, text: addr.String(), port: a.Port, trusted: trusted(p.opts.TrustedIPs, addr)}
}

func trusted(prefixes []netip.Prefix, a netip.Addr) bool {
	for _, p := range prefixes {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// realIP is the client's address and port as a trusted peer gives them; the peer's own otherwise. Port 0 is unknown. It does not change with what
// plugins write.
func (r *request) realIP() (netip.Addr, int) {
	if !r.peer.trusted {
		return r.peer.addr, r.peer.port
	}
	if !r.client.known {
		r.client.addr, r.client.port = r.findClient()
		r.client.known = true
	}
	return r.client.addr, r.client.port
}

// clientAddress is what realIP found.
type clientAddress struct {
	addr  netip.Addr
	port  int
	known bool
}

// ProxyProtocol is the real_ip_header that means the PROXY header of the connection.
const ProxyProtocol = "proxy_protocol"

// findClient walks real_ip_header from its end, whatever header it is: the last entry was written by the peer. With real_ip_recursive entries of trusted
// addresses are skipped. Whatever is no address ends the walk: what stands before it may be the client's invention.
func (r *request) findClient() (addr netip.Addr, port int) {
	p := r.proxy
	addr, port = r.peer.addr, r.peer.port
	if p.realIPHeader == ProxyProtocol {
		if o := r.conn.origin; o.Addr.IsValid() {
			addr, port = o.Addr, o.Port
		}
		return addr, port
	}
	for i := len(r.head.lines) - 1; i >= 0; i-- {
		l := &r.head.lines[i]
		if len(l.Name) != len(p.realIPHeader) || !strings.EqualFold(bytesx.View(l.Name), p.realIPHeader) { // one with _ is not what the peer wrote: it may have passed a client's on
			continue
		}
		for entry, rest := lastEntry(l.Value); len(entry) > 0; entry, rest = lastEntry(rest) {
			a, number, ok := parseAddr(bytesx.View(entry))
			if !ok {
				return addr, port
			}
			addr, port = a, number
			if !p.opts.RealIPRecursive || !trusted(p.opts.TrustedIPs, a) {
				return addr, port
			}
		}
	}
	return addr, port
}

// lastEntry is the last element of a list of words between commas or blanks, and what stands before it.
func lastEntry(list []byte) (entry, rest []byte) {
	const between = ", \t"
	list = bytes.TrimRight(list, between)
	at := bytes.LastIndexAny(list, between) + 1
	return list[at:], list[:at]
}

// parseAddr reads an address with or without a port: 1.2.3.4, 1.2.3.4:5, ::1, [::1], [::1]:5.
func parseAddr(s string) (netip.Addr, int, bool) {
	if strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]") {
		s = s[1 : len(s)-1]
		if strings.IndexByte(s, ':') < 0 {
			return netip.Addr{}, 0, false
		}
	}
	a, err := netip.ParseAddr(s)
	port := 0
	if err != nil {
		var ap netip.AddrPort
		if ap, err = netip.ParseAddrPort(s); err != nil {
			return netip.Addr{}, 0, false
		}
		a, port = ap.Addr(), int(ap.Port())
	}
	return a.Unmap(), port, a.Zone() == ""
}

// header is the first value of a request header as it stands; name is in lower case. The text may be a view of the request.
func (r *request) header(name string) string {
	v, _ := headerView{r}.HeaderValue(name, 0)
	return v
}

// forwardedHeader is the first value of a header by which a trusted peer speaks for its client. Names with _ do not count: what is no header of the
// peer's it may have passed on from the client.
func (r *request) forwardedHeader(name string) string {
	if r.ex.Dirty&exchange.DirtyRequestHeaders != 0 {
		for _, h := range r.ex.Facts.Request.Headers {
			if strings.EqualFold(h.Name, name) {
				return h.Value
			}
		}
		return ""
	}
	for i := range r.head.lines {
		if l := &r.head.lines[i]; len(l.Name) == len(name) && strings.EqualFold(bytesx.View(l.Name), name) {
			return bytesx.View(l.Value)
		}
	}
	return ""
}

// loadAddresses fills Forwarded and Client but for its IP.
func (r *request) loadAddresses(f *wire.Facts) {
	c := &f.Client
	c.Port, c.Trusted = r.peer.port, r.peer.trusted
	addr, port := r.realIP()
	c.ForwardedIP, c.ForwardedPort = c.IP, port
	if addr != r.peer.addr {
		c.ForwardedIP = addr.String()
	}
	if !r.peer.trusted {
		return
	}
	w := r.forwarded()
	if w == (forwarded{}) {
		return
	}
	r.forwardedFromRequest(f)
	fw := &f.Forwarded
	if w.scheme != "" {
		fw.Scheme = w.scheme
	}
	if w.host != "" {
		fw.Host = w.host
	}
	if w.port != 0 {
		fw.Port = w.port
	}
	if w.path != "" {
		fw.Path = w.path
	}
	if w.prefix != "" {
		fw.Prefix, fw.HasPrefix = w.prefix, true
	}
}

// forwardedFromRequest starts Forwarded with the request's own values.
func (r *request) forwardedFromRequest(f *wire.Facts) {
	if f.Forwarded.Set {
		return
	}
	q := &f.Request
	f.Forwarded = wire.Forwarded{Set: true, Scheme: q.Scheme, Host: q.Host, Port: q.Port, Path: q.Path}
}

// forwarded holds what a trusted peer said in X-Forwarded-*; zero values: nothing.
type forwarded struct {
	scheme, host, path, prefix string
	port                       int
}

// forwarded reads X-Forwarded-* of a trusted peer (spec/pdk.md 1.5).
func (r *request) forwarded() forwarded {
	var w forwarded
	w.scheme = strings.Clone(strings.ToLower(first(r.forwardedHeader("x-forwarded-proto"))))
	var hostPort int
	if h := first(r.forwardedHeader("x-forwarded-host")); h != "" {
		if at := strings.LastIndexByte(h, '@'); at >= 0 {
			h = h[at+1:]
		}
		w.host, hostPort = splitHost(strings.Clone(strings.ToLower(h)))
	}
	if n, err := strconv.ParseUint(first(r.forwardedHeader("x-forwarded-port")), 10, 16); err == nil && n > 0 {
		w.port = int(n)
	} else {
		w.port = hostPort
	}
	w.path = strings.Clone(r.forwardedHeader("x-forwarded-path"))
	w.prefix = strings.Clone(r.forwardedHeader("x-forwarded-prefix"))
	return w
}

// first is the first element of a comma-separated header value.
func first(s string) string {
	if i := strings.IndexByte(s, ','); i >= 0 {
		s = s[:i]
	}
	return strings.TrimSpace(s)
}

// upstreamPath is the path to send as route and service say, normalised and escaped, without query. It may be a view of the request.
func (r *request) upstreamPath() string {
	base := ""
	if r.ex.Service != nil {
		base = r.ex.Service.Path
	}
	return router.EscapePath(router.UpstreamPath(base, &r.match, r.path, r.match.Route.StripPath))
}

// appendURI appends the request target for the upstream: the path, and the query as the client sent it or as plugins set it.
func (r *request) appendURI(dst []byte) []byte {
	if r.ex.Upstream.Path != "" {
		dst = append(dst, r.ex.Upstream.Path...)
	} else {
		dst = append(dst, r.upstreamPath()...)
	}
	if r.ex.Dirty&exchange.DirtyQuery != 0 {
		if q := r.ex.Facts.Request.RawQuery; q != "" {
			dst = append(append(dst, '?'), q...)
		}
	} else if r.target.mark {
		dst = append(append(dst, '?'), r.target.query...)
	}
	return dst
}
