package tracing

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// stuck is a collector that takes nothing before it is let go.
type stuck struct {
	free  chan struct{}
	took  atomic.Int64
	fails bool
}

func (s *stuck) ExportSpans(_ context.Context, spans []sdktrace.ReadOnlySpan) error {
	<-s.free
	if s.fails {
		return errors.New("no")
	}
	s.took.Add(int64(len(spans)))
	return nil
}

func (*stuck) Shutdown(context.Context) error { return nil }

// A collector that hangs stops nobody: what has no room is dropped and counted, and every span is either sent or counted.
func TestQueueIsBounded(t *testing.T) {
	for _, fails := range []bool{false, true} {
		s := &stuck{free: make(chan struct{}), fails: fails}
		e := newExport(s, slog.New(slog.DiscardHandler))
		p := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(e), sdktrace.WithIDGenerator(ids{}))
		const total = maxQueued + 4*batchSize
		for range total {
			_, span := p.Tracer("test").Start(t.Context(), "span")
			span.End()
		}
		if n := e.dropped.Load(); n < total-maxQueued-2*batchSize {
			t.Errorf("%d spans were dropped of %d, of which %d have room", n, total, maxQueued)
		}
		close(s.free)
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		if err := p.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		cancel()
		if sent, dropped := s.took.Load(), int64(e.dropped.Load()); sent+dropped != total || fails && sent != 0 {
			t.Errorf("%d spans were sent and %d dropped, together not %d", sent, dropped, total)
		}
		if n := e.queued.Load(); n != 0 {
			t.Errorf("%d spans are still counted as waiting", n)
		}
	}
}

func TestIDs(t *testing.T) {
	const request = "0af7651916cd43dd8448eb211c80319c"
	if id, span := (ids{}).NewIDs(context.WithValue(t.Context(), ownID{}, request)); id.String() != request || !span.IsValid() {
		t.Errorf("found %s, %s", id, span)
	}
	a, _ := ids{}.NewIDs(t.Context())
	b, _ := ids{}.NewIDs(t.Context())
	if !a.IsValid() || a == b {
		t.Errorf("found %s and %s", a, b)
	}
}
