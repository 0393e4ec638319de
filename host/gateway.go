package host

import (
	"context"
	"log/slog"

	"github.com/outrigger-gateway/outrigger/host/internal/certs"
	"github.com/outrigger-gateway/outrigger/host/internal/exchange"
)

// gateway is what plugins reach beyond their request. Statistics is the proxy's.
func (h *Host) gateway() *exchange.Gateway {
	configuration := h.settings.Map()
	configuration["node_id"] = h.node.ID // as it is when the setting is empty
	g := &exchange.Gateway{
		Hostname: h.node.Hostname, Vault: h.vault, Cache: h.cache, Certificates: certs.NewStore(),
		Configuration: func() map[string]any { return configuration },
	}
	if h.settings.TelemetryLogs {
		g.Telemetry = h.telemetryRecord
	}
	return g
}

// telemetryRecord logs what a plugin gave to telemetry.log.
func (h *Host) telemetryRecord(t exchange.Telemetry) {
	h.logger.LogAttrs(context.Background(), slog.LevelInfo, t.Message,
		slog.String("plugin", t.Plugin), slog.String("type", t.Type), slog.Any("attributes", t.Attributes),
		slog.String("request_id", t.RequestID), slog.String("trace_id", t.TraceID))
}
