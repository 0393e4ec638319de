package exchange

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"runtime/metrics"
	"strconv"
	"strings"

	"github.com/outrigger-gateway/outrigger/host/internal/plan"
	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/pdk/local"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// Gateway is what plugins reach beyond their request: the node and what it keeps for them. All exchanges share one, which is not changed while
// they use it.
type Gateway struct {
	Hostname     string
	Vault        Vault
	Cache        Cache
	Certificates Certificates
	// Configuration gives the static settings by name, without secrets.
	Configuration func() map[string]any
	// Statistics gives the counters of the listeners.
	Statistics func() Statistics
	// Telemetry takes the records of telemetry.log; nil: the setting telemetry_logs is off.
	Telemetry func(Telemetry)
}

// Vault leads from references to secrets.
type Vault interface {
	Get(reference string) (string, error)
	// Update is a copy of a map in which the fields that $refs names hold fresh secrets.
	Update(options map[string]any) map[string]any
}

// Cache keeps values, each one MessagePack value, for the instances of a plugin.
type Cache interface {
	Get(plugin, key string) []byte
	// Set keeps a copy; ttl is in seconds, 0: as long as there is room.
	Set(plugin, key string, value []byte, ttl float64)
	Delete(plugin, key string)
}

// Certificates parses certificates and keys in PEM form. The same text gives the same value.
type Certificates interface {
	Pair(certificates, key string) (*tls.Certificate, error)
	Pool(certificates string) (*x509.CertPool, error)
}

// Telemetry is a record of telemetry.log with the request that it belongs to.
type Telemetry struct {
	Instance           *plan.Instance // that reports; nil: nobody's
	Phase              pdk.Phase
	RequestID, TraceID string
	Plugin             string // as the record says, which may be another name than that of the plugin that reports
	Type, Message      string
	Attributes         map[string]any
}

// Statistics are the counters of the listeners, with nginx's meaning.
type Statistics struct {
	Accepted, Handled, Requests       uint64 // since the start
	Active, Reading, Writing, Waiting uint64 // connections now
}

func (s Statistics) fields() map[string]any {
	return map[string]any{
		"connections_accepted": s.Accepted, "connections_handled": s.Handled, "total_requests": s.Requests,
		"connections_active": s.Active, "connections_reading": s.Reading, "connections_writing": s.Writing, "connections_waiting": s.Waiting,
	}
}

// memoryStats answers node.get_memory_stats: numbers of bytes for unit b, text for k, m and g.
func memoryStats(unit string, scale int) (map[string]any, error) {
	factor, suffix := 1.0, ""
	switch unit {
	case "b":
	case "k":
		factor, suffix = 1<<10, " KiB"
	case "m":
		factor, suffix = 1<<20, " MiB"
	case "g":
		factor, suffix = 1<<30, " GiB"
	default:
		return nil, fmt.Errorf("found unit %q, expected b, k, m or g", unit)
	}
	if scale < 0 || scale > 10 {
		return nil, fmt.Errorf("found scale %d, expected 0 to 10", scale)
	}
	process := map[string]any{}
	for name, n := range memory() {
		if suffix == "" {
			process[name] = n
		} else {
			process[name] = strconv.FormatFloat(float64(n)/factor, 'f', scale, 64) + suffix
		}
	}
	return map[string]any{"process": process}, nil
}

// memory is what the Go runtime says of the memory of this process, in bytes.
func memory() map[string]uint64 {
	samples := []metrics.Sample{
		{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"},
		{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/unused:bytes"},
		{Name: "/memory/classes/heap/stacks:bytes"}, {Name: "/memory/classes/os-stacks:bytes"},
	}
	metrics.Read(samples)
	at := func(i int) uint64 { return samples[i].Value.Uint64() }
	return map[string]uint64{
		"total": at(0), "resident": at(0) - at(1), "heap": at(2), "heap_in_use": at(2) + at(3), "stacks": at(4) + at(5),
	}
}

// cache applies cache.set and cache.delete to what the gateway keeps for the plugin.
func (e *Exchange) cache(in Applier, op *wire.Op) error {
	if e.Gateway == nil || e.Gateway.Cache == nil || in.Instance == nil {
		return nil
	}
	if op.Code == wire.OpCacheDelete {
		key, err := local.CacheDeleteOf(op)
		if err == nil {
			e.Gateway.Cache.Delete(in.Instance.Record.Name, key)
		}
		return err
	}
	key, value, ttl, err := local.CacheSetOf(op)
	switch {
	case err != nil:
		return err
	case value == nil:
		e.Gateway.Cache.Delete(in.Instance.Record.Name, key)
	default:
		e.Gateway.Cache.Set(in.Instance.Record.Name, key, value, ttl)
	}
	return nil
}

// telemetry hands a record of telemetry.log on.
func (e *Exchange) telemetry(in Applier, op *wire.Op) error {
	record, err := local.TelemetryOf(op)
	if err != nil || e.Gateway == nil || e.Gateway.Telemetry == nil {
		return err
	}
	attributes, _ := local.Shown(record.Attributes).(map[string]any)
	e.Gateway.Telemetry(Telemetry{
		Instance: in.Instance, Phase: in.Phase,
		RequestID: e.Facts.RequestID, TraceID: traceID(e.Header("traceparent"), e.Facts.RequestID),
		Plugin: record.Plugin, Type: record.Type, Message: record.Message, Attributes: attributes,
	})
	return nil
}

// traceID is that of a traceparent header (W3C Trace Context section 3.2), or the id of the request.
func traceID(traceparent, requestID string) string {
	parts := strings.Split(traceparent, "-")
	if len(parts) < 4 || len(parts[0]) != 2 || parts[0] == "ff" || len(parts[1]) != 32 || strings.Trim(parts[1], "0123456789abcdef") != "" || strings.Trim(parts[1], "0") == "" {
		return requestID
	}
	return parts[1]
}
