package host

import (
	"context"
	"log/slog"

	"github.com/outrigger-gateway/outrigger/host/internal/exchange"
	"github.com/outrigger-gateway/outrigger/host/internal/plan"
	"github.com/outrigger-gateway/outrigger/host/internal/telemetry"
	"github.com/outrigger-gateway/outrigger/host/internal/transport"
	"github.com/outrigger-gateway/outrigger/pdk"
)

// serverLine logs a line of a plugin on a plugin server.
func (h *Host) serverLine(server string, rec transport.LogRecord) {
	in, _ := rec.Who.(*plan.Instance)
	h.line(in, rec.Level, rec.Message, server, rec.Instance, rec.RequestID, pdk.PhaseFromCode(rec.Phase))
}

// whose finds the instance that a line is from as long as a request holds it. When the line is written, a reload may have let it go.
func (h *Host) whose(instance uint64) any { return h.builder.Instance(instance) }

// nativeLine logs a line of a native plugin.
func (h *Host) nativeLine(in *plan.Instance, requestID string, phase pdk.Phase, level uint8, message string) {
	h.line(in, level, message, "native", in.ID, requestID, phase)
}

// line logs a line of an instance; in is nil when nobody knows whose it is.
func (h *Host) line(in *plan.Instance, level uint8, message, server string, instance uint64, requestID string, phase pdk.Phase) {
	l := telemetry.Level(level)
	if !h.logger.Enabled(context.Background(), l) {
		return
	}
	attrs := []slog.Attr{slog.String("server", server)}
	switch {
	case in != nil:
		attrs = in.LogAttrs()
	case instance != 0:
		attrs = append(attrs, slog.Uint64("instance", instance))
	}
	if instance != 0 {
		attrs = append(attrs, slog.String("phase", phase.String()), slog.String("request_id", requestID))
	}
	h.logger.LogAttrs(context.Background(), l, message, attrs...)
}

// telemetryRecord logs what a plugin gave to telemetry.log. Who the plugin is does not depend on what it says of itself, which is plugin_name.
func (h *Host) telemetryRecord(t exchange.Telemetry) {
	var attrs []slog.Attr
	if in := t.Instance; in != nil {
		attrs = append(in.LogAttrs(), slog.String("phase", t.Phase.String()))
	}
	attrs = append(attrs, slog.String("request_id", t.RequestID), slog.String("trace_id", t.TraceID),
		slog.String("plugin_name", t.Plugin), slog.String("type", t.Type), slog.Any("attributes", t.Attributes))
	h.logger.LogAttrs(context.Background(), slog.LevelInfo, t.Message, attrs...)
}
