package config

import (
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
)

// settingTable is every static setting: its name, default and documentation, and how it is read. Settings that Kong has too have
// Kong's name, value syntax and meaning.
func settingTable() []setting {
	listen := listSetting("proxy_listen", "127.0.0.1:8000", "addresses, host:port, on which clients are served; with proxy_protocol behind one its connections begin with a PROXY header, of version 1 or 2",
		func(r *settingReader, v *node, items []*node, at *path) {
			list := []string{}
			var introduced []string
			for i, item := range items {
				address, proxied := strings.CutSuffix(item.text, " proxy_protocol")
				known := slices.Contains(list, address)
				switch p := listenAddress(address); {
				case p != nil:
					if strings.HasSuffix(p.expected, withoutOptions) {
						p.expected += " but proxy_protocol"
						if slices.Contains(strings.Fields(item.text), "proxy_protocol") {
							p.fix += " proxy_protocol"
						}
					}
					r.problem(itemAt(at, i), item, p)
				case known && proxied != slices.Contains(introduced, address):
					r.problem(itemAt(at, i), item, &problem{expected: "each address once: it stands here with proxy_protocol and without"})
				case !known:
					list = append(list, address)
					if proxied {
						introduced = append(introduced, address)
					}
				}
			}
			r.s.ProxyProtocolListen = introduced
			if len(items) == 0 {
				r.fail(at, v, Error{Code: CodeMissing, Found: "no address", Expected: "at least one address such as 127.0.0.1:8000"})
			}
			r.s.ProxyListen = list
		})
	listen.Flag = "listen"
	declarative := pathSetting("declarative_config", "file with services, routes, plugins and the other entities; none: every request gets 404",
		func(s *Settings) *string { return &s.DeclarativeConfig })
	declarative.Flag = "config"
	state := pathSetting("state_dir", "directory in which the gateway keeps the last configurations that became live, for its own user alone; made if it is not there; empty: none are kept",
		func(s *Settings) *string { return &s.StateDir })
	servers := row("plugin_servers", "list of mappings", "", "processes that host plugins; as a variable or flag: YAML or JSON text", readPluginServers)
	for _, f := range serverTable() {
		servers.Fields = append(servers.Fields, f.Setting)
	}

	table := []setting{
		listen,
		declarative,
		state,
		switchSetting("start_with_last_good", "off", "start with the newest configuration in state_dir when that of declarative_config is refused; off: do not start",
			func(s *Settings) *bool { return &s.StartWithLastGood }),
		wordSetting("vault_on_failure", entity.OnFailureReject, "what becomes of a plugin record with a reference that leads to no secret, when the reference names a type such as env instead of a vault of the configuration: refuse the configuration, leave the field empty with a warning, or answer 503 to the requests that need the plugin",
			[]string{entity.OnFailureReject, entity.OnFailureEmpty, entity.OnFailureRequest}, func(s *Settings) *string { return &s.VaultOnFailure }),
		servers,
		row("echo_listen", "host:port, or off", "off", "address of an embedded upstream that answers with the request it got, for examples",
			func(r *settingReader, v *node, at *path) {
				s, ok := r.scalar(v, at, "an address, or off")
				if !ok {
					return
				}
				if s == "off" {
					s = ""
				} else if p := listenAddress(s); p != nil {
					p.expected += ", or off"
					r.problem(at, v, p)
					return
				}
				r.s.EchoListen = s
			}),
		operatorListen("admin_listen", "address of the Admin listener, which explains requests and tells the status; no authentication: loopback or a unix socket",
			func(s *Settings) *string { return &s.AdminListen }),
		operatorListen("status_listen", "address of a listener that only answers /status, /status/ready and /metrics, for those who watch the gateway",
			func(s *Settings) *string { return &s.StatusListen }),
		wordSetting("log_level", "notice", "least severe level that is logged", logLevels, func(s *Settings) *string { return &s.LogLevel }),
		wordSetting("log_format", "text", "form of log lines", []string{"text", "json"}, func(s *Settings) *string { return &s.LogFormat }),
		textSetting("tracing_endpoint", "", "URL to which spans of requests and plugin calls are sent, as OTLP over HTTP, such as http://127.0.0.1:4318/v1/traces; empty: none",
			func(s *Settings) *string { return &s.TracingEndpoint }, tracingEndpoint),
		samplingRate(),
		wordSetting("server_timing", "off", "header Server-Timing with the time of every plugin call; debug: where allow_debug_header is on and the request has Kong-Debug: 1",
			[]string{"off", "debug", "on"}, func(s *Settings) *string { return &s.ServerTiming }),

		listSetting("trusted_ips", "", "addresses and networks of clients whose X-Forwarded-* and real_ip_header are believed", readTrusted),
		textSetting("real_ip_header", "X-Real-IP", "header with the address of the client, or proxy_protocol: that of the PROXY header, on listeners that have one",
			func(s *Settings) *string { return &s.RealIPHeader }, realIPHeader),
		switchSetting("real_ip_recursive", "off", "take the last address of real_ip_header that is not trusted, instead of the last",
			func(s *Settings) *bool { return &s.RealIPRecursive }),
		wordSetting("identity_headers", "drop", "what becomes of X-Consumer-*, X-Credential-Identifier, X-Anonymous-Consumer and X-Authenticated-* that a client sends: drop; trusted: those of trusted_ips pass; keep: all pass, as in Kong",
			[]string{"drop", "trusted", "keep"}, func(s *Settings) *string { return &s.IdentityHeaders }),
		listSetting("headers", "server_tokens, latency_tokens, X-Kong-Request-Id",
			"headers added to responses: server_tokens (Via, Server), latency_tokens (X-Kong-Proxy-Latency, X-Kong-Upstream-Latency, X-Kong-Response-Latency, X-Kong-Admin-Latency), X-Kong-Request-Id, X-Kong-Upstream-Status; any of these headers singly; or off", readHeaders),
		listSetting("headers_upstream", "X-Kong-Request-Id", "headers added to requests to the upstream: X-Kong-Request-Id, or off",
			func(r *settingReader, _ *node, items []*node, at *path) {
				r.s.UpstreamRequestID = false
				for i, item := range items {
					word := strings.ToLower(item.text)
					if p := oneOf("X-Kong-Request-Id", "off")(item.text); p != nil && word != "x-kong-request-id" {
						r.problem(itemAt(at, i), item, p)
						continue
					}
					r.s.UpstreamRequestID = word != "off"
				}
			}),
		switchSetting("allow_debug_header", "off", "answer Kong-Debug: 1 with the route and service",
			func(s *Settings) *bool { return &s.AllowDebugHeader }),
		textSetting("plugin_debug_header", "", "header of responses that lists the plugins of the access phase with the levels of their records, for debugging; empty: none",
			func(s *Settings) *string { return &s.PluginDebugHeader }, func(s string) *problem {
				if s != "" && !headerName(s) {
					return &problem{expected: "a header name of letters, digits, '-' and '_', such as X-Outrigger-Plugins"}
				}
				return nil
			}),
		wordSetting("error_default_type", "text/plain", "media type of errors when the client accepts anything",
			[]string{"text/plain", "text/html", "application/json", "application/xml"}, func(s *Settings) *string { return &s.ErrorDefaultType }),
		templateSetting("html", func(s *Settings) *ErrorTemplate { return &s.ErrorTemplates.HTML }),
		templateSetting("json", func(s *Settings) *ErrorTemplate { return &s.ErrorTemplates.JSON }),
		templateSetting("plain", func(s *Settings) *ErrorTemplate { return &s.ErrorTemplates.Plain }),
		templateSetting("xml", func(s *Settings) *ErrorTemplate { return &s.ErrorTemplates.XML }),
		wordSetting("router_flavor", "traditional_compatible", "how routes are matched and ordered; traditional is Kong's older order and the only one with path_handling v1, expressions also takes routes with an expression and a priority",
			[]string{"traditional_compatible", "traditional", "expressions"}, func(s *Settings) *string { return &s.RouterFlavor }),
		wordSetting("router_tie_break", "created_at", "which of two routes that are equal otherwise wins: the one with the earlier created_at, then with the smaller id; or, as in Kong, the one with the larger UUID (not under traditional, where Kong looks at created_at too)",
			[]string{"created_at", "kong"}, func(s *Settings) *string { return &s.RouterTieBreak }),
		switchSetting("strict_protocols", "off", "match routes for http and grpc with plain requests only, and those for https and grpcs with TLS only; off, as in Kong: protocols do not select routes, and a plain request for an https route is told to use https",
			func(s *Settings) *bool { return &s.StrictProtocols }),

		wordSetting("plugin_ordering_algorithm", "legacy", "how rules of ordering change the order of plugins",
			[]string{"legacy", "priority_preserving"}, func(s *Settings) *string { return &s.PluginOrderingAlgorithm }),
		wordSetting("ordering_mode", "pull", "who moves under the algorithm legacy: pull what must run first forward, or push what must wait back",
			[]string{"pull", "push"}, func(s *Settings) *string { return &s.OrderingMode }),
		switchSetting("strict_ordering", "off", "refuse rules of ordering that name a plugin without an enabled record, instead of a warning",
			func(s *Settings) *bool { return &s.StrictOrdering }),
		wordSetting("late_plugins", "", "what becomes of a plugin that only runs for the consumer and whose place was before the plugin that authenticates: run next, skip it, answer 500 (error); empty: run it if only a rule put it there",
			[]string{"run", "skip", "error"}, func(s *Settings) *string { return &s.LatePlugins }),
		wordSetting("plugin_protocols", "", "enforce: records run only for requests of their protocols; empty: as in Kong, protocols are checked at load only",
			[]string{"enforce"}, func(s *Settings) *string { return &s.PluginProtocols }),

		sizeSetting("client_max_body_size", "0", "largest request body; 0: no limit", 0, math.MaxInt64,
			func(s *Settings, n int64) { s.ClientMaxBodySize = n }),
		timeSetting("client_header_timeout", "60s", "for the head of a request to arrive", time.Millisecond,
			func(s *Settings) *time.Duration { return &s.ClientHeaderTimeout }),
		timeSetting("client_body_timeout", "60s", "between two pieces of a request body", time.Millisecond,
			func(s *Settings) *time.Duration { return &s.ClientBodyTimeout }),
		sizeSetting("client_min_rate", "240", "bytes per second that a request body has to have; a slower one, counted while the gateway waits for the client, is answered 408 when client_body_timeout is used up; 0: any", 0, 1<<30,
			func(s *Settings, n int64) { s.ClientMinRate = int(n) }),
		timeSetting("send_timeout", "60s", "between two pieces of a response that the client takes", time.Millisecond,
			func(s *Settings) *time.Duration { return &s.SendTimeout }),
		sizeSetting("send_min_rate", "240", "bytes per second that a client has to take of a response; a slower one, counted while writes are blocked, is cut off when send_timeout is used up; 0: any", 0, 1<<30,
			func(s *Settings, n int64) { s.SendMinRate = int(n) }),
		countSetting("max_connections", "0", "connections of clients, at most: for a new one an idle one ends, or it waits; 0: half of the files that the process may open", 0, math.MaxInt32,
			func(s *Settings) *int { return &s.MaxConnections }),
		timeSetting("keepalive_timeout", "75s", "for which an idle client connection is kept", time.Millisecond,
			func(s *Settings) *time.Duration { return &s.KeepaliveTimeout }),
		switchSetting("ignore_client_abort", "off", "serve a request to its end although its client has closed the connection, or its sending half",
			func(s *Settings) *bool { return &s.IgnoreClientAbort }),
		sizeSetting("max_header_size", "32k", "largest head of a request: request line and headers", 1<<10, 16<<20,
			func(s *Settings, n int64) { s.MaxHeaderSize = int(n) }),
		sizeSetting("max_uri_size", "8k", "longest request target, path and query; a longer one is answered 414", 256, 1<<20,
			func(s *Settings, n int64) { s.MaxURISize = int(n) }),
		sizeSetting("max_header_line", "16k", "longest header line of a request, and longest trailer section of a request body", 256, 1<<20,
			func(s *Settings, n int64) { s.MaxHeaderLine = int(n) }),
		countSetting("max_headers", "200", "header lines of a request, at most", 1, 1<<16,
			func(s *Settings) *int { return &s.MaxHeaders }),
		sizeSetting("max_body", "8m", "largest body that is kept in memory because a plugin reads it", 1<<10, 1<<30,
			func(s *Settings, n int64) { s.MaxBody = int(n) }),
		sizeSetting("max_bodies_in_memory", "256m", "largest sum of the bodies that all requests keep in memory because plugins read or make them; a request that wants more is answered 503", 1<<20, math.MaxInt64,
			func(s *Settings, n int64) { s.MaxBodiesInMemory = n }),
		sizeSetting("max_shared", "64k", "largest sum of the keys and values in ctx.shared of one request", 1<<10, 16<<20,
			func(s *Settings, n int64) { s.MaxShared = int(n) }),
		countSetting("log_queue_size", "4096", "requests that may wait for their log phase; the log phase of more is dropped and counted", 1, 1<<20,
			func(s *Settings) *int { return &s.LogQueueSize }),
		sizeSetting("plugin_cache_size", "64m", "largest sum of the keys and values that all plugins together keep in the cache of the PDK", 1<<10, 1<<40,
			func(s *Settings, n int64) { s.PluginCacheSize = n }),
		switchSetting("telemetry_logs", "off", "write what plugins give to telemetry.log as log lines at level info",
			func(s *Settings) *bool { return &s.TelemetryLogs }),

		countSetting("upstream_keepalive_pool_size", "512", "idle connections kept per target; 0: none", 0, 1<<20,
			func(s *Settings) *int { return &s.UpstreamKeepalivePoolSize }),
		countSetting("upstream_keepalive_max_requests", "10000", "requests over one connection to a target; 0: no limit", 0, math.MaxInt32,
			func(s *Settings) *int { return &s.UpstreamKeepaliveMaxRequests }),
		timeSetting("upstream_keepalive_idle_timeout", "60", "for which an idle connection to a target is kept", 0,
			func(s *Settings) *time.Duration { return &s.UpstreamKeepaliveIdleTimeout }),
		sizeSetting("upstream_max_header_size", "32k", "largest head of a response: status line and headers; a longer one is answered 502", 1<<10, 16<<20,
			func(s *Settings, n int64) { s.UpstreamMaxHeaderSize = int(n) }),

		timeSetting("drain_delay", "0s", "for which the gateway goes on accepting connections at shutdown, while it is not ready any more and ends each connection with its next response; as long as load balancers need to notice", 0,
			func(s *Settings) *time.Duration { return &s.DrainDelay }),
		timeSetting("drain_timeout", "10s", "for which requests in flight may go on at shutdown, and calls on a plugin server that is to end", 0,
			func(s *Settings) *time.Duration { return &s.DrainTimeout }),
		timeSetting("upgrade_timeout", "60s", "for a new process to be ready at an upgrade; then it is ended, and the old one goes on", time.Second,
			func(s *Settings) *time.Duration { return &s.UpgradeTimeout }),
		countSetting("worker_threads", "0", "threads that run at the same time; 0: one per processor", 0, 4096,
			func(s *Settings) *int { return &s.WorkerThreads }),
		textSetting("node_id", "", "id of this node, a UUID; empty: made at start", func(s *Settings) *string { return &s.NodeID }, uuidText),
		textSetting("cluster_id", "", "id of the cluster that this node belongs to, a UUID; empty: none", func(s *Settings) *string { return &s.ClusterID }, clusterID),
		pathSetting("black_box", "directory for recordings of failing calls of plugins, which outrigger replay sends again; made if it is not there; empty: off",
			func(s *Settings) *string { return &s.BlackBox }),
		sizeSetting("black_box_size", "64m", "largest sum of all recordings of the black box; the oldest are removed first", 64<<10, 1<<40,
			func(s *Settings, n int64) { s.BlackBoxSize = n }),
		switchSetting("black_box_bodies", "off", "record bodies too, up to 1m each, instead of only their size and SHA-256",
			func(s *Settings) *bool { return &s.BlackBoxBodies }),
		listSetting("black_box_redact", "", "names of headers, query parameters and keys whose values the black box leaves out, beside those that it knows; * stands for any text",
			readRedact),
		pathSetting("run_dir", "directory for the sockets of plugin servers; empty: a private one below the system's directory for such things",
			func(s *Settings) *string { return &s.RunDir }),
	}
	after := slices.IndexFunc(table, func(s setting) bool { return s.Name == "log_format" })
	return append(slices.Insert(table, after+1, accessLogSettings()...), dnsSettings()...)
}

// operatorListen is an address on which operators ask the gateway.
func operatorListen(name, doc string, field func(*Settings) *string) setting {
	return row(name, "host:port, unix:///path, or off", "off", doc, func(r *settingReader, v *node, at *path) {
		s, ok := r.scalar(v, at, "an address, or off")
		if !ok {
			return
		}
		*field(r.s) = ""
		if s == "off" || s == "" {
			return
		}
		if p := adminAddress(s); p != nil {
			r.problem(at, v, p)
			return
		}
		*field(r.s) = s
	})
}

// tracingEndpoint is the rule of tracing_endpoint.
func tracingEndpoint(s string) *problem {
	if s == "" {
		return nil
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return &problem{expected: "the URL of a collector, such as http://127.0.0.1:4318/v1/traces"}
	}
	return nil
}

// samplingRate is a share of the requests.
func samplingRate() setting {
	return row("tracing_sampling_rate", "number", "0.01", "share of the requests that are traced, 0 to 1; a traceparent that comes with a request decides for it",
		func(r *settingReader, v *node, at *path) {
			f, err := strconv.ParseFloat(v.text, 64)
			if v.kind == kindList || v.kind == kindMapping || err != nil || !(f >= 0 && f <= 1) {
				r.fail(at, v, Error{Code: CodeWrongValue, Found: v.describe(), Expected: "a number from 0 to 1"})
				return
			}
			r.s.TracingSamplingRate = f
		})
}

// adminAddress is the rule of admin_listen and status_listen.
func adminAddress(s string) *problem {
	const expected = "an address such as 127.0.0.1:8001, a socket such as unix:///run/outrigger/admin.sock, or off"
	if path, unix := strings.CutPrefix(s, "unix://"); unix {
		if !strings.HasPrefix(path, "/") || len(path) > 107 {
			return &problem{expected: "unix:// and an absolute path of at most 107 bytes"}
		}
		return nil
	}
	p := listenAddress(s)
	if p != nil && p.fix == "" {
		p.expected = expected
	}
	return p
}

func clusterID(s string) *problem {
	if !isUUID(s) {
		return &problem{expected: "a UUID such as 4e8d95d4-40f2-4818-adcb-30e00c349618, the same on all nodes of the cluster"}
	}
	return nil
}

func realIPHeader(s string) *problem {
	if !headerName(s) {
		return &problem{expected: "a header name of letters, digits, '-' and '_'"}
	}
	return nil
}
