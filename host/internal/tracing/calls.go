package tracing

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/outrigger-gateway/outrigger/host/internal/dispatch"
	"github.com/outrigger-gateway/outrigger/host/internal/exchange"
	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// mostCalls bounds the spans of plugin calls in one request: body_filter may run without end.
const mostCalls = 512

// Calls makes a span of every plugin call. It is an interceptor of dispatch.
type Calls struct{ tracer *Tracer }

// Calls is the interceptor of the tracer.
func (t *Tracer) Calls() *Calls { return &Calls{t} }

// Before implements dispatch.Interceptor. The plugin gets the context of its call, so that spans of its own are children of it.
func (t *Calls) Before(c *dispatch.Call) error {
	r, _ := c.Exchange.Trace.(*Request)
	if r == nil {
		return nil
	}
	c.Exchange.Facts.Trace = r.carry
	if r.calls++; !r.kept || r.calls > mostCalls {
		return nil
	}
	in, kind := c.Instance, trace.SpanKindClient
	if in.Native != nil {
		kind = trace.SpanKindInternal
	}
	parent := r.ctx
	if c.Ahead.Parent != "" {
		parent = context.WithValue(parent, sentID{}, spanOf(c.Ahead))
	}
	var ctx context.Context
	ctx, r.call = t.tracer.tracer.Start(parent, clean(in.Record.Name+" "+c.Phase.String()), trace.WithTimestamp(c.Start), trace.WithSpanKind(kind), trace.WithAttributes(
		text("outrigger.plugin", in.Record.Name), text("outrigger.plugin.id", in.Record.ID), text("outrigger.phase", c.Phase.String()),
	))
	if in.Server != "" {
		r.call.SetAttributes(text("outrigger.server", in.Server))
	}
	r.made = len(c.Exchange.Spans)
	c.Exchange.Facts.Trace = carried(ctx)
	return nil
}

// Ahead implements dispatch.Tracer: the span of the call begins later, but its id is known to the plugin by then.
func (t *Calls) Ahead(ex *exchange.Exchange) wire.Trace {
	r, _ := ex.Trace.(*Request)
	if r == nil {
		return wire.Trace{}
	}
	if !r.kept {
		return r.carry
	}
	of := trace.SpanContextFromContext(r.ctx)
	return carried(trace.ContextWithSpanContext(r.ctx, of.WithSpanID(ids{}.NewSpanID(context.Background(), of.TraceID()))))
}

// spanOf is the id of the span in a trace context of this package.
func spanOf(t wire.Trace) trace.SpanID {
	ctx := propagation.TraceContext{}.Extract(context.Background(), propagation.MapCarrier{"traceparent": t.Parent})
	return trace.SpanContextFromContext(ctx).SpanID()
}

// Asked implements dispatch.Interceptor.
func (t *Calls) Asked(*dispatch.Call, *wire.Ask, *wire.Answer) {}

// After implements dispatch.Interceptor.
func (t *Calls) After(c *dispatch.Call) {
	r, _ := c.Exchange.Trace.(*Request)
	if r == nil || r.call == nil {
		return
	}
	span := r.call
	r.call = nil
	if made := c.Exchange.Spans; len(made) > r.made {
		t.children(trace.ContextWithSpan(r.ctx, span), made[r.made:])
	}
	if c.Asks > 0 {
		span.SetAttributes(attribute.Int("outrigger.host_calls", c.Asks))
	}
	if c.Err != nil {
		span.SetAttributes(text("outrigger.code", c.Code.String()), attribute.Bool("outrigger.failed_open", c.FailedOpen))
		span.SetStatus(codes.Error, clean(c.Err.Error()))
	}
	span.End(trace.WithTimestamp(c.Start.Add(c.Duration)))
}

// children makes spans of what the handler traced (tracing.start_span). Parents come before their children.
func (t *Calls) children(ctx context.Context, made []exchange.Span) {
	started := make(map[int]context.Context, len(made))
	for i := range made {
		s := &made[i]
		parent := started[s.Parent]
		if parent == nil {
			parent = ctx
		}
		at, span := t.tracer.tracer.Start(parent, clean(s.Name), trace.WithTimestamp(time.UnixMicro(s.Start)), trace.WithAttributes(attributesOf(s.Attributes)...))
		started[s.Number] = at
		for _, e := range s.Events {
			span.AddEvent(clean(e.Name), trace.WithTimestamp(time.UnixMicro(e.Time)), trace.WithAttributes(attributesOf(e.Attributes)...))
		}
		switch s.Status {
		case pdk.SpanOK:
			span.SetStatus(codes.Ok, "")
		case pdk.SpanError:
			span.SetStatus(codes.Error, clean(s.Message))
		}
		span.End(trace.WithTimestamp(time.UnixMicro(s.End)))
	}
}

// attributesOf translates attributes as the PDK keeps them. What OpenTelemetry has no type for becomes JSON.
func attributesOf(attributes map[string]any) []attribute.KeyValue {
	list := make([]attribute.KeyValue, 0, len(attributes))
	for name, value := range attributes {
		key := attribute.Key(clean(name))
		switch v := value.(type) {
		case nil:
		case bool:
			list = append(list, key.Bool(v))
		case int:
			list = append(list, key.Int(v))
		case int64:
			list = append(list, key.Int64(v))
		case uint64:
			list = append(list, key.String(fmt.Sprint(v)))
		case float64:
			list = append(list, key.Float64(v))
		case string:
			list = append(list, key.String(clean(v)))
		case []byte:
			list = append(list, key.String(clean(string(v))))
		default:
			encoded, err := json.Marshal(v)
			if err != nil { // maps with other keys, not a number
				encoded = []byte(fmt.Sprint(v))
			}
			list = append(list, key.String(clean(string(encoded))))
		}
	}
	return list
}
