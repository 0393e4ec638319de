package tracing

import (
	"strings"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/outrigger-gateway/outrigger/host/internal/dispatch"
	"github.com/outrigger-gateway/outrigger/host/internal/entity"
	"github.com/outrigger-gateway/outrigger/host/internal/exchange"
	"github.com/outrigger-gateway/outrigger/host/internal/plan"
	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// A call that is sent before its turn gets a span with the id that was sent, which begins when its turn comes and is a child of the request's.
func TestSpansOfCallsSentAhead(t *testing.T) {
	for _, kept := range []bool{true, false} {
		sampler := sdktrace.NeverSample()
		if kept {
			sampler = sdktrace.AlwaysSample()
		}
		spans := tracetest.NewSpanRecorder()
		provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans), sdktrace.WithIDGenerator(ids{}), sdktrace.WithSampler(sampler))
		tracer := &Tracer{provider: provider, tracer: provider.Tracer("test")}
		r := tracer.Begin(&Incoming{Start: time.Now(), RequestID: "0af7651916cd43dd8448eb211c80319c", Method: "GET", Path: "/"})
		ex := &exchange.Exchange{Trace: r}
		calls := tracer.Calls()
		ahead := []wire.Trace{calls.Ahead(ex), calls.Ahead(ex)}
		turn := time.Now().Add(time.Hour)
		for _, sent := range ahead {
			turn = turn.Add(time.Minute)
			c := &dispatch.Call{
				Instance: &plan.Instance{Record: &entity.Plugin{Name: "p"}}, Phase: pdk.PhaseAccess, Exchange: ex, Start: turn, Duration: time.Second, Ahead: sent,
			}
			if err := calls.Before(c); err != nil {
				t.Fatal(err)
			}
			if ex.Facts.Trace != sent {
				t.Errorf("kept %v: the exchange carries %+v, sent was %+v", kept, ex.Facts.Trace, sent)
			}
			calls.After(c)
		}
		if !kept {
			if ahead[0] != r.carry || len(spans.Ended()) != 0 {
				t.Errorf("sent %+v of a request whose spans nobody keeps", ahead)
			}
			continue
		}
		if ahead[0] == ahead[1] || len(spans.Ended()) != 2 {
			t.Fatalf("sent %+v, %d spans", ahead, len(spans.Ended()))
		}
		for i, s := range spans.Ended() {
			if !strings.Contains(ahead[i].Parent, s.SpanContext().SpanID().String()) || !strings.Contains(ahead[i].Parent, s.SpanContext().TraceID().String()) {
				t.Errorf("span %s of trace %s, sent was %s", s.SpanContext().SpanID(), s.SpanContext().TraceID(), ahead[i].Parent)
			}
			if s.Parent().SpanID() != r.span.SpanContext().SpanID() || s.StartTime().Before(time.Now().Add(time.Minute)) || s.EndTime().Sub(s.StartTime()) != time.Second {
				t.Errorf("span from %s to %s below %s", s.StartTime(), s.EndTime(), s.Parent().SpanID())
			}
		}
	}
}
