package exchange

import (
	"slices"

	"github.com/outrigger-gateway/outrigger/pdk/local"
)

// Serialize is the log entry of the exchange as JSON, with the values that plugins set.
func (e *Exchange) Serialize() (string, error) {
	e.NeedRequest()
	e.NeedResponse()
	entry := local.LogEntry{Facts: &e.Facts, Latencies: e.Latencies, UpstreamURI: e.Upstream.Path, Tries: e.Tries, Set: e.Serialized}
	for i := range e.Spans {
		s := &e.Spans[i]
		span := local.LoggedSpan{Phase: s.Phase, Number: s.Number, Parent: s.Parent, SpanRecord: s.SpanRecord}
		if s.Plugin != nil {
			span.Plugin, span.PluginID = s.Plugin.Record.Name, s.Plugin.Record.ID
		}
		entry.Spans = append(entry.Spans, span)
	}
	return entry.JSON()
}

// setSerialized keeps a value for the log entry. It takes the place of an earlier one under the same key when nothing between them asks what is
// there already, so that a body_filter may say the same thing for every chunk.
func (e *Exchange) setSerialized(v local.LogValue) {
	for i := len(e.Serialized) - 1; i >= 0 && v.Overwrites() && e.Serialized[i].Overwrites(); i-- {
		if old := &e.Serialized[i]; old.Key == v.Key {
			e.serializedBytes -= sizeOf(old)
			e.Serialized = slices.Delete(e.Serialized, i, i+1)
			break
		}
	}
	e.serializedBytes += sizeOf(&v)
	e.Serialized = append(e.Serialized, v)
}

func sizeOf(v *local.LogValue) int { return len(v.Key) + len(v.Value) }
