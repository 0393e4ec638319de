// Package proxy is the main path of a request: rewrite, route, access, upstream, response phases, log. It is the only package that knows
// both fasthttp and the exchange.
package proxy

import (
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/outrigger-gateway/outrigger/host/internal/accesslog"
	"github.com/outrigger-gateway/outrigger/host/internal/budget"
	"github.com/outrigger-gateway/outrigger/host/internal/dispatch"
	"github.com/outrigger-gateway/outrigger/host/internal/exchange"
	"github.com/outrigger-gateway/outrigger/host/internal/generation"
	"github.com/outrigger-gateway/outrigger/host/internal/tracing"
	"github.com/outrigger-gateway/outrigger/host/internal/upstream"
	"github.com/outrigger-gateway/outrigger/pdk"
)

// Options of a proxy.
type Options struct {
	Generations *generation.Holder
	Dispatcher  *dispatch.Dispatcher
	Upstream    *upstream.Transport
	Gateway     *exchange.Gateway // what plugins ask about the gateway itself; nil: they get no answer
	Logger      *slog.Logger

	Version string // of the gateway, for Via and Server

	TrustedIPs      []netip.Prefix
	RealIPHeader    string // X-Real-IP, X-Forwarded-For or another header
	RealIPRecursive bool
	// IdentityHeaders says whose headers such as X-Consumer-ID pass: IdentityDrop, which "" is too, IdentityTrusted or IdentityKeep.
	IdentityHeaders string

	// What is told to clients and upstreams.
	Headers         HeaderTokens
	HeadersUpstream bool // X-Kong-Request-Id upstream
	DebugHeader     bool // allow_debug_header
	// PluginDebugHeader is the name of a header that lists the plugins of a response; "": none.
	PluginDebugHeader string

	ErrorDefaultType string // of errors without Accept; text/plain
	ErrorTemplates   ErrorTemplates
	MaxBody          int // largest body that is kept in memory for a plugin
	// Bodies bounds the bodies that all requests keep in memory; nil: only each one is bounded.
	Bodies         *budget.Bytes
	MaxRequestBody int64 // client_max_body_size; 0: no limit

	// ServerTiming says who gets the header Server-Timing: "on" all, "debug" those who ask for it while DebugHeader allows it. The dispatcher needs
	// Timings among its interceptors and watchers then.
	ServerTiming string
	Observer     Observer        // nil: none
	AccessLog    *accesslog.Log  // nil: none
	Tracer       *tracing.Tracer // nil: nothing is traced

	LogQueue   int // exchanges waiting for their log phase; more are dropped and counted
	LogWorkers int
}

// HeaderTokens are the headers that responses get.
type HeaderTokens struct {
	Via             bool // when the response is the upstream's
	Server          bool // when it is the gateway's own
	UpstreamLatency bool // X-Kong-Upstream-Latency
	ProxyLatency    bool // X-Kong-Proxy-Latency
	ResponseLatency bool // X-Kong-Response-Latency
	RequestID       bool // X-Kong-Request-Id
	UpstreamStatus  bool // X-Kong-Upstream-Status
}

// Proxy serves requests.
type Proxy struct {
	opts Options
	logs *logQueue
	// via is what Via says of a message of HTTP/1.1, via10 of HTTP/1.0.
	via, via10 string
	// realIPHeader is opts.RealIPHeader in lower case.
	realIPHeader string
	// InFlight is the number of requests being served.
	inFlight atomic.Int64
	counters counters
	tunnels  tunnels
}

// New makes a proxy. Close ends its log queue.
func New(o Options) *Proxy {
	p := &Proxy{opts: o, via: "1.1 outrigger/" + o.Version, via10: "1.0 outrigger/" + o.Version, realIPHeader: strings.ToLower(o.RealIPHeader)}
	p.logs = newLogQueue(o.Dispatcher, o.Logger, o.LogQueue, o.LogWorkers)
	return p
}

// Close waits for the log phase of the requests served so far, then ends.
func (p *Proxy) Close() { p.logs.close() }

// LogsDropped is the number of log phases that found the queue full.
func (p *Proxy) LogsDropped() uint64 { return p.logs.dropped.Load() }

// Handle serves one request.
func (p *Proxy) Handle(ctx *fasthttp.RequestCtx) {
	gen := p.opts.Generations.Acquire()
	if gen == nil {
		ctx.Error("not ready", http.StatusServiceUnavailable)
		return
	}
	p.inFlight.Add(1)
	p.counters.requests.Add(1)
	r := acquire(p, ctx, gen)

	if !r.ex.Answer.Given {
		p.opts.Dispatcher.Run(&r.ex, r.ex.Plan.Chain(pdk.PhaseRewrite), pdk.PhaseRewrite)
	}
	if !r.ex.Answer.Given {
		r.route()
	}
	if !r.ex.Answer.Given {
		p.opts.Dispatcher.RunAccess(&r.ex)
	} else {
		p.opts.Dispatcher.Enroll(&r.ex)
	}
	r.giveUp()
	if !r.ex.Answer.Given {
		r.forward()
	}
	r.respond()
}

// forward sends the request to its service and runs the response phase on what comes back.
func (r *request) forward() {
	if r.ex.Service == nil {
		r.ex.Fail(http.StatusServiceUnavailable, "no Service found with those values")
		return
	}
	if !r.awaitBody() {
		return
	}
	now, err := r.destine()
	if err != nil {
		r.upstreamFailed(err)
		return
	}
	r.timedBefore = len(r.ex.Timings)
	r.traceUpstream()
	r.writeUpstream()
	r.upstreamStart, r.out.Started = now, now
	err = r.proxy.opts.Upstream.RoundTrip(r, &r.out, &r.ctx.Response, r.dest.retries)
	if r.upstreamEnd = r.out.Answered; err != nil {
		r.upstreamEnd = time.Now()
	}
	r.tracedUpstream(err)
	r.ex.Latencies.Kong = r.upstreamStart.Sub(r.start).Milliseconds()
	r.ex.Latencies.Proxy = r.upstreamEnd.Sub(r.upstreamStart).Milliseconds()
	if err != nil {
		r.resetResponse()
		r.upstreamFailed(err)
		return
	}
	chain := r.ex.Chain(pdk.PhaseResponse)
	r.arrived(len(chain) > 0)
	r.proxy.opts.Dispatcher.Run(&r.ex, chain, pdk.PhaseResponse)
}

// respond gives the client its answer: the upstream's, or the gateway's own. Filters and log run for both.
func (r *request) respond() {
	ex := &r.ex
	if ex.Answer.Given {
		r.answer()
	}
	if chain := ex.Chain(pdk.PhaseHeaderFilter); len(chain) > 0 {
		r.proxy.opts.Dispatcher.Run(ex, chain, pdk.PhaseHeaderFilter)
		if ex.Answer.Given {
			r.answer()
		}
	}
	r.writeHeaders()
	r.writeBody() // finishes the request when the body has been written
}
