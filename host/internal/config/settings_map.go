package config

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/outrigger-gateway/outrigger/host/internal/accesslog"
)

// Map is the settings by name, as plugins may see them: sizes in bytes, times as text such as 1m0s. Of the plugin servers only what says how
// their calls are made is there: commands, environments and files of keys may be secrets.
func (s *Settings) Map() map[string]any {
	servers := make([]any, len(s.PluginServers))
	for i := range s.PluginServers {
		servers[i] = s.PluginServers[i].shown()
	}
	return map[string]any{
		"proxy_listen": list(s.ProxyListen, func(a string) string {
			if slices.Contains(s.ProxyProtocolListen, a) {
				a += " proxy_protocol"
			}
			return a
		}),
		"declarative_config": s.DeclarativeConfig,
		"state_dir":          s.StateDir, "start_with_last_good": s.StartWithLastGood, "vault_on_failure": s.VaultOnFailure,
		"plugin_servers": servers,
		"admin_listen":   s.AdminListen,
		"status_listen":  s.StatusListen,
		"echo_listen":    s.EchoListen,
		"log_level":      s.LogLevel,
		"log_format":     s.LogFormat,

		"proxy_access_log":        s.AccessLog.Path,
		"proxy_access_log_fields": list(s.AccessLog.Fields, func(f accesslog.Field) string { return f.Name }),
		"proxy_access_log_buffer": int64(s.AccessLog.Room),

		"tracing_endpoint":      s.TracingEndpoint,
		"tracing_sampling_rate": s.TracingSamplingRate,
		"server_timing":         s.ServerTiming,

		"trusted_ips":         list(s.TrustedIPs, netip.Prefix.String),
		"real_ip_header":      s.RealIPHeader,
		"real_ip_recursive":   s.RealIPRecursive,
		"identity_headers":    s.IdentityHeaders,
		"headers":             list(s.Headers.words(), text),
		"headers_upstream":    list(upstreamWords(s.UpstreamRequestID), text),
		"allow_debug_header":  s.AllowDebugHeader,
		"plugin_debug_header": s.PluginDebugHeader,
		"error_default_type":  s.ErrorDefaultType,
		"error_template_html": s.ErrorTemplates.HTML.Path, "error_template_json": s.ErrorTemplates.JSON.Path,
		"error_template_plain": s.ErrorTemplates.Plain.Path, "error_template_xml": s.ErrorTemplates.XML.Path,
		"router_flavor":    s.RouterFlavor,
		"router_tie_break": s.RouterTieBreak,
		"strict_protocols": s.StrictProtocols,

		"plugin_ordering_algorithm": s.PluginOrderingAlgorithm,
		"ordering_mode":             s.OrderingMode,
		"strict_ordering":           s.StrictOrdering,
		"late_plugins":              s.LatePlugins,
		"plugin_protocols":          s.PluginProtocols,

		"client_max_body_size":  s.ClientMaxBodySize,
		"client_header_timeout": s.ClientHeaderTimeout.String(),
		"client_body_timeout":   s.ClientBodyTimeout.String(),
		"send_timeout":          s.SendTimeout.String(),
		"client_min_rate":       int64(s.ClientMinRate),
		"send_min_rate":         int64(s.SendMinRate),
		"max_connections":       int64(s.MaxConnections),
		"keepalive_timeout":     s.KeepaliveTimeout.String(),
		"ignore_client_abort":   s.IgnoreClientAbort,
		"max_header_size":       int64(s.MaxHeaderSize),
		"max_uri_size":          int64(s.MaxURISize),
		"max_header_line":       int64(s.MaxHeaderLine),
		"max_headers":           int64(s.MaxHeaders),
		"max_body":              int64(s.MaxBody),
		"max_bodies_in_memory":  s.MaxBodiesInMemory,
		"max_shared":            int64(s.MaxShared),
		"log_queue_size":        int64(s.LogQueueSize),
		"plugin_cache_size":     s.PluginCacheSize,
		"telemetry_logs":        s.TelemetryLogs,

		"upstream_keepalive_pool_size":    int64(s.UpstreamKeepalivePoolSize),
		"upstream_keepalive_max_requests": int64(s.UpstreamKeepaliveMaxRequests),
		"upstream_keepalive_idle_timeout": s.UpstreamKeepaliveIdleTimeout.String(),
		"upstream_max_header_size":        int64(s.UpstreamMaxHeaderSize),

		"dns_resolver": list(s.DNS.Resolvers, text), "dns_hostsfile": s.DNS.HostsFile, "dns_order": list(s.DNS.Order, text),
		"dns_valid_ttl": s.DNS.ValidTTL.String(), "dns_stale_ttl": s.DNS.StaleTTL.String(), "dns_error_ttl": s.DNS.ErrorTTL.String(),
		"dns_not_found_ttl": s.DNS.NotFoundTTL.String(),

		"drain_delay": s.DrainDelay.String(), "drain_timeout": s.DrainTimeout.String(), "upgrade_timeout": s.UpgradeTimeout.String(),
		"worker_threads": int64(s.WorkerThreads),
		"node_id":        s.NodeID,
		"cluster_id":     s.ClusterID,
		"run_dir":        s.RunDir,

		"black_box":        s.BlackBox,
		"black_box_size":   s.BlackBoxSize,
		"black_box_bodies": s.BlackBoxBodies,
		"black_box_redact": list(s.BlackBoxRedact, text),
	}
}

func (s *PluginServer) shown() map[string]any {
	timeouts := make(map[string]any, len(s.Timeouts))
	for phase, t := range s.Timeouts {
		timeouts[phase] = t.String()
	}
	return map[string]any{
		"name": s.Name, "address": list(s.Addresses, text), "carrier": s.Carrier, "processes": int64(s.Processes),
		"timeout": s.Timeout.String(), "timeouts": timeouts, "start_timeout": s.StartTimeout.String(),
		"fail_mode": s.FailMode, "fail_status": int64(cmp.Or(s.FailStatus, 500)), "max_in_flight": int64(s.MaxInFlight), "queue": int64(s.Queue),
	}
}

func upstreamWords(requestID bool) []string {
	if requestID {
		return []string{"X-Kong-Request-Id"}
	}
	return nil
}

func list[T any](in []T, write func(T) string) []any {
	out := make([]any, len(in))
	for i, v := range in {
		out[i] = write(v)
	}
	return out
}

func text(s string) string { return s }
