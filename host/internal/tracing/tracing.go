// Package tracing makes OpenTelemetry spans of requests and plugin calls, and sends them to a collector.
//
//	tracing.go  the tracer, and the span of a request
//	calls.go    spans of plugin calls and of what plugins traced, by an interceptor of dispatch
//	text.go     text as a collector takes it
//	export.go   the bounded queue to the collector
//
// A request that brings a W3C trace context continues it; one without gets its request id as the id of its trace. Spans never hold up a request: a
// full queue drops and counts.
package tracing

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// Options of a tracer.
type Options struct {
	Endpoint string  // URL of a collector that takes OTLP over HTTP
	Rate     float64 // share of the requests that are traced, 0 to 1, when nobody before has decided
	Version  string  // of the gateway
	Node     string  // id of this node
	Logger   *slog.Logger
}

// Tracer traces requests. It may be used by many at once.
type Tracer struct {
	provider *sdktrace.TracerProvider
	tracer   trace.Tracer
	export   *export
}

// New makes a tracer. A collector that cannot be reached is no error: spans are dropped and counted until it can. The environment of OpenTelemetry
// counts for what the settings do not say: OTEL_RESOURCE_ATTRIBUTES, OTEL_SERVICE_NAME, OTEL_EXPORTER_OTLP_HEADERS.
func New(ctx context.Context, o Options) (*Tracer, error) {
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(o.Endpoint), otlptracehttp.WithTimeout(exportTimeout),
		otlptracehttp.WithRetry(otlptracehttp.RetryConfig{Enabled: true, InitialInterval: time.Second, MaxInterval: 5 * time.Second, MaxElapsedTime: exportTimeout}))
	if err != nil {
		return nil, fmt.Errorf("tracing_endpoint %s: %w", o.Endpoint, err)
	}
	about, err := resource.New(ctx, resource.WithTelemetrySDK(), resource.WithAttributes(
		attribute.String("service.name", "outrigger"), attribute.String("service.version", o.Version), attribute.String("service.instance.id", o.Node),
	), resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("the resource attributes of the environment: %w", err)
	}
	e := newExport(exporter, o.Logger)
	provider := sdktrace.NewTracerProvider(
		sdktrace.WithResource(about), sdktrace.WithSpanProcessor(e), sdktrace.WithIDGenerator(ids{}),
		sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(o.Rate))),
	)
	return &Tracer{provider: provider, tracer: provider.Tracer("outrigger", trace.WithInstrumentationVersion(o.Version)), export: e}, nil
}

// Dropped is the number of spans that were lost.
func (t *Tracer) Dropped() uint64 { return t.export.dropped.Load() }

// Shutdown sends what is queued, at most until ctx ends.
func (t *Tracer) Shutdown(ctx context.Context) error { return t.provider.Shutdown(ctx) }

// Incoming is a request as it comes. Method, Traceparent and Path may be views: what is kept of them is copied.
type Incoming struct {
	Start                   time.Time
	RequestID               string // 32 hex digits
	Method                  string
	Traceparent, Tracestate string
	Path, Scheme            string
	Client                  net.IP
}

// methods that spans are named after. Clients may send any word: the others would be names without end.
var methods = []string{"GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "CONNECT", "TRACE"}

// otherMethod is what OpenTelemetry calls the rest; spans have nameOfOther then.
const otherMethod, nameOfOther = "_OTHER", "HTTP"

// methodOf is a known method, or otherMethod, and the name of its spans.
func methodOf(text string) (method, name string) {
	if i := slices.Index(methods, text); i >= 0 {
		return methods[i], methods[i]
	}
	return otherMethod, nameOfOther
}

// Request is the trace of one request. Only the goroutine that has the exchange uses it.
type Request struct {
	tracer *Tracer
	ctx    context.Context // of the request's span
	span   trace.Span
	kept   bool       // somebody keeps the spans; the request's own may have ended
	name   string     // of the span, without the route
	carry  wire.Trace // the request's span, for those who are told of no closer one
	calls  int

	call trace.Span // of the plugin call under way
	made int        // spans of plugins when it began
}

// Begin starts the span of a request.
func (t *Tracer) Begin(in *Incoming) *Request {
	ctx := context.Background()
	if in.Traceparent != "" {
		ctx = propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{"traceparent": in.Traceparent, "tracestate": in.Tracestate})
	}
	if !trace.SpanContextFromContext(ctx).IsValid() {
		ctx = context.WithValue(ctx, ownID{}, in.RequestID)
	}
	method, name := methodOf(in.Method)
	r := &Request{tracer: t, name: name}
	r.ctx, r.span = t.tracer.Start(ctx, name, trace.WithTimestamp(in.Start), trace.WithSpanKind(trace.SpanKindServer))
	if r.kept = r.span.IsRecording(); r.kept {
		r.span.SetAttributes(text("http.request.method", method), text("url.path", strings.Clone(in.Path)), text("url.scheme", in.Scheme),
			text("client.address", in.Client.String()), text("outrigger.request_id", in.RequestID))
		if method == otherMethod {
			r.span.SetAttributes(text("http.request.method_original", strings.Clone(in.Method)))
		}
	}
	r.carry = carried(r.ctx)
	return r
}

// carried is the trace context of the span in ctx, as it travels.
func carried(ctx context.Context) wire.Trace {
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	return wire.Trace{Parent: carrier["traceparent"], State: carrier["tracestate"]}
}

// Outgoing is the request to the service: its span, and the context that the service gets.
type Outgoing struct {
	span trace.Span
	wire.Trace
}

// Upstream starts the span of the request to the service.
func (r *Request) Upstream(start time.Time) Outgoing {
	if !r.kept {
		return Outgoing{Trace: r.carry}
	}
	ctx, span := r.tracer.tracer.Start(r.ctx, "upstream", trace.WithTimestamp(start), trace.WithSpanKind(trace.SpanKindClient))
	return Outgoing{span: span, Trace: carried(ctx)}
}

// End ends the span of the request to the service. Status is 0, and err says why, when there was no response; address is host:port, and may be a view.
func (o Outgoing) End(at time.Time, address []byte, tries, status int, err error) {
	if o.span == nil {
		return
	}
	o.span.SetAttributes(text("server.address", string(address)), attribute.Int("outrigger.upstream.tries", tries))
	if status != 0 {
		o.span.SetAttributes(attribute.Int("http.response.status_code", status))
	}
	switch {
	case err != nil:
		o.span.SetStatus(codes.Error, clean(err.Error()))
	case status >= http.StatusBadRequest:
		o.span.SetStatus(codes.Error, "")
	}
	o.span.End(trace.WithTimestamp(at))
}

// Ended is what a request turned out to be.
type Ended struct {
	Route, RouteID, Service string
	Status                  int
}

// End ends the span of the request. The spans of its log phase may come later.
func (r *Request) End(at time.Time, e Ended) {
	if !r.kept {
		return
	}
	attributes := []attribute.KeyValue{attribute.Int("http.response.status_code", e.Status)}
	for _, kv := range [][2]string{{"outrigger.route", e.Route}, {"outrigger.route.id", e.RouteID}, {"outrigger.service", e.Service}} {
		if kv[1] != "" {
			attributes = append(attributes, text(kv[0], kv[1]))
		}
	}
	r.span.SetAttributes(attributes...)
	if e.Route != "" {
		r.span.SetName(clean(r.name + " " + e.Route))
	}
	if e.Status >= http.StatusInternalServerError {
		r.span.SetStatus(codes.Error, "")
	}
	r.span.End(trace.WithTimestamp(at))
}
