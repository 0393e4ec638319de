package proxy

import (
	"bufio"
	"bytes"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/outrigger-gateway/outrigger/host/internal/bytesx"
	"github.com/outrigger-gateway/outrigger/host/internal/exchange"
	"github.com/outrigger-gateway/outrigger/host/internal/generation"
	"github.com/outrigger-gateway/outrigger/host/internal/httpbyte"
	"github.com/outrigger-gateway/outrigger/host/internal/router"
	"github.com/outrigger-gateway/outrigger/host/internal/tracing"
	"github.com/outrigger-gateway/outrigger/host/internal/upstream"
	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/pdk/local"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// request is the proxy's side of one exchange. It is pooled and belongs to the goroutine that serves the connection.
type request struct {
	current
	ex    exchange.Exchange
	match router.Match
	dest  destination
	out   upstream.Request // to the service

	scratch    []byte
	headReader *bufio.Reader
	headSource bytes.Reader
}

// current is what a request has for itself; request keeps the rest for the next one, because of the room in it.
type current struct {
	proxy *Proxy
	ctx   *fasthttp.RequestCtx
	gen   *generation.Generation

	start, upstreamStart, upstreamEnd time.Time

	trace       *tracing.Request // nil: nothing is traced
	outgoing    tracing.Outgoing
	timedBefore int // plugin calls before the upstream was asked

	id       [32]byte
	conn     *clientConn
	head     *head  // as received
	tls      bool   // the client came over TLS
	port     int    // of the listener
	target   target // of the request line
	path     string // normalised; a view of the request
	host     string // lower case; a view of the request
	hostPort int
	peer     peer
	client   clientAddress

	clientBody   clientBody
	body         []byte // the request body in memory
	hasBody      bool
	responseBody []byte // the upstream's body in memory
	bufferedBody bool

	sent     int64 // bytes of the answer's body
	hasDate  bool  // the upstream's response says when it was made
	upgrade  bool  // the answer names a protocol to upgrade to
	finished bool
}

var requests = sync.Pool{New: func() any { return new(request) }}

func acquire(p *Proxy, ctx *fasthttp.RequestCtx, gen *generation.Generation) *request {
	r := requests.Get().(*request)
	r.proxy, r.ctx, r.gen = p, ctx, gen
	r.start = ctx.Time()
	newRequestID(&r.id)
	conn := ctx.Conn().(*clientConn)
	conn.At(time.Time{}) // what finish said of the last request is too old by now
	conn.began.Store(r.start.UnixNano())
	r.conn, r.head, r.peer, r.port = conn, conn.takeHead(), conn.peer, conn.port
	r.ex.Quit, r.out.Quit = &conn.quit, &conn.quit
	r.target = splitTarget(r.head.target)
	r.path = normalPath(bytesx.View(r.target.path))
	r.host, r.hostPort = hostOf(&r.target, r.head)
	r.ex.Live, r.ex.Dir, r.ex.Gateway, r.ex.Bodies = r, gen, p.opts.Gateway, p.opts.Bodies
	r.ex.Latencies.Proxy = -1
	r.ex.Facts.StartTime = r.start.UnixMilli()
	if p.opts.Tracer != nil {
		r.beginTrace()
	}
	r.ex.Timed = r.timed()
	r.ex.Plan = gen.Plans.ForRoute(nil, r.secure())
	if length := r.head.wire.Length; length != 0 {
		r.clientBody = clientBody{r: (*bodySide)(conn), conn: conn, size: int(length), left: -1}
		if limit := p.opts.MaxRequestBody; limit > 0 {
			r.clientBody.left = limit
			if length > limit {
				r.failHere(http.StatusRequestEntityTooLarge)
			}
		}
	}
	return r
}

// failHere answers for what went wrong with the HTTP messages themselves.
func (r *request) failHere(status int) {
	r.ex.Fail(status, "")
	r.ex.Answer.Transport = true
}

// method is the method as it is now.
func (r *request) method() string {
	if r.ex.Dirty&exchange.DirtyMethod != 0 {
		return r.ex.Facts.Request.Method
	}
	return bytesx.View(r.head.method)
}

// route finds the route, or fails the exchange as spec/gateway.md 2.7 says.
func (r *request) route() {
	req := router.Request{
		Method: r.method(), Scheme: r.matchedScheme(), Host: r.host, HostPort: r.hostPort,
		ListenPort: r.port, Path: r.path, TLS: r.tls, Headers: headerView{r}, Query: r.query(), Addresses: headerView{r},
	}
	if !r.gen.Router.Match(&req, &r.match) {
		r.ex.Fail(fasthttp.StatusNotFound, "no Route matched with those values")
		return
	}
	route := r.match.Route
	r.ex.Route, r.ex.Service = route, route.Service
	r.ex.Facts.Route, r.ex.Facts.Service = r.gen.RouteDoc(route), r.gen.ServiceDoc(route.Service)
	if r.ex.RequestLoaded() {
		r.loadRouted(&r.ex.Facts)
	}
	if !r.fits(route) {
		r.turnAway(route) // it does not come to access: the plan stays the global one (3.1)
		return
	}
	r.ex.Plan = r.gen.Plans.ForRoute(route, r.secure())
}

// arrived says that the upstream's response is in ctx.Response.
func (r *request) arrived(buffered bool) {
	r.ex.Facts.ServiceResponse.Status = r.ctx.Response.StatusCode()
	r.hasDate = r.out.Dated
	r.ex.ResponseArrived(buffered)
	if !r.hasDate { // RFC 9110 section 6.6.1: a gateway adds it, which takes a head of our own
		r.ex.NeedResponse()
		r.ex.Dirty |= exchange.DirtyResponse
	}
}

// LoadRequest implements exchange.Live: every string is a part of one immutable copy of the message head.
func (r *request) LoadRequest(f *wire.Facts) {
	raw, target, method := r.head.raw, r.head.target, r.head.method
	block := make([]byte, 0, len(r.id)+longestIP+len(r.host)+len(method)+len(target)+len(raw))
	block = append(block, r.id[:]...)
	block = append(block, r.peer.text...)
	ip := len(block) - len(r.id)
	block = append(block, r.host...)
	block = append(block, method...)
	block = append(block, target...)
	block = append(block, raw...)
	text := bytesx.View(block) // nobody writes to it any more
	f.RequestID, text = text[:len(r.id)], text[len(r.id):]
	f.Client.IP, text = text[:ip], text[ip:]
	q := &f.Request
	q.Host, text = text[:len(r.host)], text[len(r.host):]
	q.Method, text = text[:len(method)], text[len(method):]
	q.Target, text = text[:len(target)], text[len(target):]
	q.Scheme = r.scheme()
	q.Port = r.port
	q.HTTPVersion = 11
	if r.head.http10 {
		q.HTTPVersion = 10
	}
	_, rest, _ := strings.Cut(q.Target, "?")
	q.RawQuery = rest
	q.Path = normalPath(q.Target[len(q.Target)-len(r.target.path)-r.queryRoom() : len(q.Target)-r.queryRoom()])
	q.Headers = r.headersIn(q.Headers[:0], text, raw)
	r.loadAddresses(f)
	if r.ex.Route != nil {
		r.loadRouted(f)
	}
}

// longestIP is room for the text of an address, without a zone.
const longestIP = len("ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255")

// headersIn appends the header lines of the request as parts of text, which is a copy of the raw head. Identity headers that only plugins may set
// are left out.
func (r *request) headersIn(dst []wire.Header, text string, raw []byte) []wire.Header {
	for i := range r.head.lines {
		l := &r.head.lines[i]
		if r.forged(l.Name) {
			continue
		}
		at := cap(raw) - cap(l.Name) // both are views of the same bytes
		h := wire.Header{Name: text[at : at+len(l.Name)]}
		if n := len(l.Value); n > 0 {
			at = cap(raw) - cap(l.Value)
			h.Value = text[at : at+n]
		}
		dst = append(dst, h)
	}
	return dst
}

// queryRoom is the length of the query in the target with its question mark.
func (r *request) queryRoom() int {
	if r.target.mark {
		return len(r.target.query) + 1
	}
	return 0
}

// loadRouted fills what only the router knows.
func (r *request) loadRouted(f *wire.Facts) {
	if r.match.Prefix != "" && !f.Forwarded.HasPrefix {
		r.forwardedFromRequest(f)
		f.Forwarded.Prefix, f.Forwarded.HasPrefix = kept(r.match.Prefix, f.Request.Path), true
	}
	for _, c := range r.match.Captures.Unnamed {
		f.Captures.Unnamed = append(f.Captures.Unnamed, strings.Clone(c))
	}
	for _, c := range r.match.Captures.Named {
		f.Captures.Named = append(f.Captures.Named, wire.Header{Name: c.Name, Value: strings.Clone(c.Value)})
	}
}

// kept is text that does not change with the request: what path begins with when it is that, otherwise a copy.
func kept(text, path string) string {
	if strings.HasPrefix(path, text) {
		return path[:len(text)]
	}
	return strings.Clone(text)
}

// LoadResponse implements exchange.Live.
func (r *request) LoadResponse(f *wire.Facts) {
	h := &r.ctx.Response.Header
	f.Response.Status = h.StatusCode()
	size := 0
	for k, v := range h.All() {
		size += len(k) + len(v)
	}
	block := make([]byte, 0, size)
	for k, v := range h.All() {
		block = append(append(block, k...), v...)
	}
	text := bytesx.View(block) // nobody writes to it any more
	f.Response.Headers = f.Response.Headers[:0]
	for k, v := range h.All() {
		n := len(k) + len(v)
		f.Response.Headers = append(f.Response.Headers, wire.Header{Name: text[:len(k)], Value: text[len(k):n]})
		text = text[n:]
	}
	f.ServiceResponse.Headers = append(f.ServiceResponse.Headers[:0], f.Response.Headers...)
}

// RequestBody implements exchange.Live. A body over the limit stays whole: what was read of it goes upstream before the rest.
func (r *request) RequestBody() ([]byte, error) {
	if r.hasBody {
		return r.body, nil
	}
	if r.clientBody.r == nil {
		r.hasBody = true
		return nil, nil
	}
	if r.out.Sending() { // who sends reads it meanwhile
		return nil, &wire.Error{Code: wire.CodeBadData, Message: "the request body is on its way to the service, and was not kept: read it before"}
	}
	limit := r.proxy.opts.MaxBody
	if r.clientBody.size > limit {
		return nil, tooLarge("request body", r.clientBody.size, limit)
	}
	b := r.clientBody.prefix // of an earlier try
	r.clientBody.prefix = nil
	b, err := r.readHeld(b, &r.clientBody, r.clientBody.size, limit)
	if err != nil || len(b) > limit {
		r.clientBody.prefix = b // whoever goes on gets the same bytes and the same error
		return nil, unread("request body", err, len(b), limit)
	}
	r.body, r.hasBody, r.clientBody.r = b, true, nil
	return b, nil
}

// ResponseBody implements exchange.Live.
func (r *request) ResponseBody() ([]byte, error) {
	if r.bufferedBody {
		return r.responseBody, nil
	}
	resp := &r.ctx.Response
	limit := r.proxy.opts.MaxBody
	if !resp.IsBodyStream() {
		if n := len(resp.Body()); n > limit {
			return nil, tooLarge("response body", n, limit)
		}
		if err := r.ex.Hold(len(resp.Body())); err != nil {
			return nil, err
		}
		r.responseBody, r.bufferedBody = bytes.Clone(resp.Body()), true
		return r.responseBody, nil
	}
	if n := resp.Header.ContentLength(); n > limit {
		return nil, tooLarge("response body", n, limit)
	}
	stream := resp.BodyStream().(*upstream.Body)
	var b []byte
	rest := stream.ReadCloser
	if tried, again := rest.(*prefixedStream); again {
		b, rest = tried.prefix, tried.rest
	}
	b, err := r.readHeld(b, rest, resp.Header.ContentLength(), limit)
	if err != nil || len(b) > limit {
		stream.ReadCloser = &prefixedStream{prefix: b, rest: rest}
		return nil, unread("response body", err, len(b), limit)
	}
	r.responseBody, r.bufferedBody = b, true
	resp.SetBodyRaw(b) // closes the stream, which gives the connection back
	return b, nil
}

// UpstreamURI implements exchange.Live.
func (r *request) UpstreamURI() string {
	if r.ex.Route == nil || r.ex.Service == nil {
		return ""
	}
	return string(r.appendURI(nil))
}

// unread says why a body of which size bytes were read is not in memory.
func unread(what string, err error, size, limit int) *wire.Error {
	if err == nil {
		return tooLarge(what, size, limit)
	}
	if we, known := err.(*wire.Error); known {
		return we
	}
	return &wire.Error{Code: wire.CodeHostError, Message: "reading the " + what + ": " + err.Error()}
}

func tooLarge(what string, size, limit int) *wire.Error {
	return &wire.Error{Code: wire.CodeBadData, Message: what + " of " + strconv.Itoa(size) + " bytes or more is over the limit max_body of " + strconv.Itoa(limit) + " bytes"}
}

// finish ends the request: the log phase is queued, everything is given back. It runs once, after the last byte was written or given up.
func (r *request) finish() {
	if r.finished {
		return
	}
	r.finished = true
	now := time.Now()
	r.ex.Latencies.Request = now.Sub(r.start).Milliseconds()
	if !r.upstreamEnd.IsZero() {
		r.ex.Latencies.Receive = now.Sub(r.upstreamEnd).Milliseconds()
	} else {
		r.ex.Latencies.Kong = r.ex.Latencies.Request
	}
	r.observed(now)
	if r.proxy.opts.AccessLog != nil {
		r.logAccess(now)
	}
	if r.ex.Handles(pdk.PhaseLog) {
		if !r.upstreamStart.IsZero() {
			r.ex.Upstream.Path = string(r.appendURI(r.scratch[:0]))
		}
		r.gen.Retain()
		r.proxy.logs.push(r.ex.Detach(), r.gen)
	}
	r.conn.began.Store(0)
	r.conn.At(now) // fasthttp writes the response, or what is left of it, and waits for the next request
	p, gen := r.proxy, r.gen
	r.ex.Reset()
	m := &r.match
	clear(m.Captures.Unnamed[:cap(m.Captures.Unnamed)])
	clear(m.Captures.Named[:cap(m.Captures.Named)])
	m.Route, m.MatchedPath, m.Prefix = nil, "", ""
	r.dest.reset()
	r.out.Reset()
	r.head.release()
	r.current = current{}
	requests.Put(r)
	gen.Release()
	p.inFlight.Add(-1)
}

// headerView lets the router read request headers without copying them.
type headerView struct{ r *request }

// HeaderValue implements router.Headers.
func (v headerView) HeaderValue(name string, i int) (string, bool) {
	if v.r.ex.Dirty&exchange.DirtyRequestHeaders != 0 {
		for _, h := range v.r.ex.Facts.Request.Headers {
			if local.SameHeader(h.Name, name) {
				if i == 0 {
					return h.Value, true
				}
				i--
			}
		}
		return "", false
	}
	for _, l := range v.r.head.lines {
		if len(l.Name) == len(name) && httpbyte.Fold(l.Name, name) {
			if i == 0 {
				return bytesx.View(l.Value), true
			}
			i--
		}
	}
	return "", false
}
