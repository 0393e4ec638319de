package tracing

import (
	"context"
	"crypto/rand"
	"log/slog"
	"sync/atomic"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

const (
	maxQueued     = 8192 // spans that wait for the collector, about 1 KiB each; see mostText
	batchSize     = 512
	batchTime     = 2 * time.Second
	exportTimeout = 10 * time.Second
)

// export is the way of spans to the collector: the batches of the SDK behind a bound of our own, which counts what it drops.
type export struct {
	sdktrace.SpanProcessor
	collector sdktrace.SpanExporter
	logger    *slog.Logger
	queued    atomic.Int64
	dropped   atomic.Uint64
	failing   atomic.Bool
}

func newExport(collector sdktrace.SpanExporter, logger *slog.Logger) *export {
	e := &export{collector: collector, logger: logger}
	e.SpanProcessor = sdktrace.NewBatchSpanProcessor(taker{e}, sdktrace.WithMaxQueueSize(maxQueued), sdktrace.WithMaxExportBatchSize(batchSize),
		sdktrace.WithBatchTimeout(batchTime), sdktrace.WithExportTimeout(2*exportTimeout))
	return e
}

// OnEnd implements sdktrace.SpanProcessor. It never waits.
func (e *export) OnEnd(s sdktrace.ReadOnlySpan) {
	if !s.SpanContext().IsSampled() {
		return
	}
	if e.queued.Add(1) > maxQueued {
		e.queued.Add(-1)
		e.dropped.Add(1)
		return
	}
	e.SpanProcessor.OnEnd(s)
}

// taker is the exporter as the batches of the SDK see it.
type taker struct{ *export }

// ExportSpans implements sdktrace.SpanExporter. An error is logged when it is news, and the spans are counted as dropped.
func (e taker) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	e.queued.Add(-int64(len(spans)))
	err := e.collector.ExportSpans(ctx, spans)
	if err != nil {
		e.dropped.Add(uint64(len(spans)))
		if !e.failing.Swap(true) {
			e.logger.Warn("the collector does not take spans: they are dropped until it does", "dropped", e.dropped.Load(), "error", err.Error())
		}
	} else if e.failing.Swap(false) {
		e.logger.Info("the collector takes spans again", "dropped", e.dropped.Load())
	}
	return nil
}

// Shutdown implements sdktrace.SpanExporter.
func (e taker) Shutdown(ctx context.Context) error { return e.collector.Shutdown(ctx) }

// ownID is the key of the request id in a context: the id of the trace that begins there.
type ownID struct{}

// sentID is the key of the id of a span that was told to a plugin before the span began.
type sentID struct{}

// ids are those of the SDK but for the traces that begin with a request, and for spans that a plugin knows already.
type ids struct{}

// NewIDs implements sdktrace.IDGenerator.
func (g ids) NewIDs(ctx context.Context) (trace.TraceID, trace.SpanID) {
	text, _ := ctx.Value(ownID{}).(string)
	id, err := trace.TraceIDFromHex(text)
	if err != nil {
		_, _ = rand.Read(id[:]) // it never fails
	}
	return id, g.NewSpanID(ctx, id)
}

// NewSpanID implements sdktrace.IDGenerator.
func (ids) NewSpanID(ctx context.Context, _ trace.TraceID) (id trace.SpanID) {
	id, _ = ctx.Value(sentID{}).(trace.SpanID)
	for !id.IsValid() {
		_, _ = rand.Read(id[:]) // it never fails
	}
	return id
}
