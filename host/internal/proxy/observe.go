package proxy

import (
	"strings"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/bytesx"
	"github.com/outrigger-gateway/outrigger/host/internal/httpbyte"
	"github.com/outrigger-gateway/outrigger/host/internal/tracing"
)

// Observer is told of every request once it is answered. It is called by many requests at once.
type Observer interface {
	// Done: took is the time from the head of the request until its answer was written, upstream the one until the head of the service's response
	// was there. Upstream is 0 without such a response; both are for requests that could not be parsed.
	Done(status int, took, upstream time.Duration)
}

// Sights are what the metrics show of the proxy, beside what an Observer is told.
type Sights struct {
	LogsDropped uint64
	LogsQueued  int
	// Connections of clients: how many may be open, 0 for no limit, how many waited for room and how many idle ones made some.
	MostConnections, DelayedConnections, EvictedConnections uint64
}

// Sights are the figures now.
func (p *Proxy) Sights() Sights {
	c := &p.counters
	return Sights{
		LogsDropped: p.logs.dropped.Load(), LogsQueued: len(p.logs.queue),
		MostConnections: uint64(c.most.Load()), DelayedConnections: c.delayed.Load(), EvictedConnections: c.evicted.Load(),
	}
}

// beginTrace starts the span of the request.
func (r *request) beginTrace() {
	parent, state := r.traceContext()
	r.trace = r.proxy.opts.Tracer.Begin(&tracing.Incoming{
		Start: r.start, RequestID: string(r.id[:]), Method: r.method(), Traceparent: parent, Tracestate: state,
		Path: r.path, Scheme: r.scheme(), Client: r.ctx.RemoteIP(),
	})
	r.ex.Trace = r.trace
}

// traceContext is what the client says of its trace; the parent is a view of the request. Two lines of traceparent are none (W3C Trace Context
// section 3.2.2.5).
func (r *request) traceContext() (parent, state string) {
	parents := 0
	var states []string
	for _, l := range r.head.lines {
		switch {
		case len(l.Name) == len("traceparent") && httpbyte.Fold(l.Name, "traceparent"):
			parent = bytesx.View(l.Value)
			parents++
		case len(l.Name) == len("tracestate") && httpbyte.Fold(l.Name, "tracestate"):
			states = append(states, string(l.Value))
		}
	}
	if parents != 1 {
		return "", ""
	}
	return parent, strings.Join(states, ",")
}

// traceUpstream starts the span of the request to the service.
func (r *request) traceUpstream() {
	if r.trace != nil {
		r.outgoing = r.trace.Upstream(time.Now())
	}
}

// tracedUpstream ends it.
func (r *request) tracedUpstream(err error) {
	if r.trace == nil {
		return
	}
	status := 0
	if err == nil {
		status = r.ctx.Response.StatusCode()
	}
	r.scratch = r.dest.appendHost(r.scratch[:0])
	r.outgoing.End(r.upstreamEnd, r.scratch, len(r.ex.Tries), status, err)
}

// traceHeader reports whether a header of the client is replaced because the gateway traces.
func (r *request) traceHeader(name []byte) bool {
	if r.trace == nil {
		return false
	}
	return len(name) == len("traceparent") && httpbyte.Fold(name, "traceparent") || len(name) == len("tracestate") && httpbyte.Fold(name, "tracestate")
}

// observed tells who watches that the request is over.
func (r *request) observed(now time.Time) {
	o := &r.proxy.opts
	if o.Observer == nil && r.trace == nil {
		return
	}
	status := r.ctx.Response.StatusCode()
	if o.Observer != nil {
		var upstream time.Duration
		if r.ex.Facts.HasServiceResponse {
			upstream = r.upstreamEnd.Sub(r.upstreamStart)
		}
		o.Observer.Done(status, now.Sub(r.start), upstream)
	}
	if r.trace == nil {
		return
	}
	ended := tracing.Ended{Status: status}
	if route := r.ex.Route; route != nil {
		ended.Route, ended.RouteID = route.Name, route.ID
	}
	if service := r.ex.Service; service != nil {
		ended.Service = service.Name
	}
	r.trace.End(now, ended)
}

// timed reports whether the answer is to have Server-Timing.
func (r *request) timed() bool {
	switch r.proxy.opts.ServerTiming {
	case "on":
		return true
	case "debug":
		return r.proxy.opts.DebugHeader && r.header("kong-debug") == "1"
	}
	return false
}
