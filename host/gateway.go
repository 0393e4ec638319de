package host

import (
	"github.com/outrigger-gateway/outrigger/host/internal/certs"
	"github.com/outrigger-gateway/outrigger/host/internal/exchange"
)

// gateway is what plugins reach beyond their request. Statistics is the proxy's.
func (h *Host) gateway() *exchange.Gateway {
	configuration := h.settings.Map()
	configuration["node_id"] = h.node.ID // as it is when the setting is empty
	g := &exchange.Gateway{
		Hostname: h.node.Hostname, Vault: &liveVault{Host: h}, Cache: h.cache, Certificates: certs.NewStore(),
		Configuration: func() map[string]any { return configuration },
	}
	if h.settings.TelemetryLogs {
		g.Telemetry = h.telemetryRecord
	}
	return g
}
