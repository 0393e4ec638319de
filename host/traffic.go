package host

import (
	"github.com/outrigger-gateway/outrigger/host/internal/dispatch"
	"github.com/outrigger-gateway/outrigger/host/internal/guard"
	"github.com/outrigger-gateway/outrigger/host/internal/plugincache"
	"github.com/outrigger-gateway/outrigger/host/internal/proxy"
	"github.com/outrigger-gateway/outrigger/host/internal/upstream"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// interceptors stand around the calls of plugin servers, in this order: metrics, tracing, black box, canary, budgets, quarantine.
func (h *Host) interceptors() []dispatch.Interceptor {
	list := h.sight.interceptors()
	if h.blackBox = h.newBlackBox(); h.blackBox != nil {
		list = append(list, h.blackBox)
	}
	list = append(list, &h.observer, dispatch.Budgets{}, h.quarantine)
	return list
}

func (h *Host) startProxy() {
	s := h.settings
	h.upstream = upstream.New(upstream.Options{
		IdlePerTarget: s.UpstreamKeepalivePoolSize, RequestsPerConn: s.UpstreamKeepaliveMaxRequests, IdleTimeout: s.UpstreamKeepaliveIdleTimeout,
		Lookup: h.lookup, MaxHead: s.UpstreamMaxHeaderSize,
	})
	h.cache = plugincache.New(s.PluginCacheSize)
	gateway := h.gateway()
	h.proxy = proxy.New(proxy.Options{
		Generations: &h.generations, Gateway: gateway,
		Dispatcher: &dispatch.Dispatcher{Node: h.node, Logger: h.logger, PluginLog: h.nativeLine, MaxInlineBody: wire.ChunkSize, Interceptors: h.interceptors(), Watchers: h.sight.watchers()},
		Upstream:   h.upstream, Logger: h.logger, Version: Version,
		TrustedIPs: s.TrustedIPs, RealIPHeader: s.RealIPHeader, RealIPRecursive: s.RealIPRecursive,
		IdentityHeaders: s.IdentityHeaders, Headers: responseHeaders(s.Headers), ErrorTemplates: errorTemplates(&s.ErrorTemplates),
		HeadersUpstream: s.UpstreamRequestID, DebugHeader: s.AllowDebugHeader, PluginDebugHeader: s.PluginDebugHeader,
		ErrorDefaultType: s.ErrorDefaultType, MaxBody: s.MaxBody, Bodies: h.bodies, MaxRequestBody: s.ClientMaxBodySize,
		ServerTiming: s.ServerTiming, Observer: h.sight.metrics.Requests, Tracer: h.sight.tracer, AccessLog: h.sight.access,
		LogQueue: s.LogQueueSize, LogWorkers: 4,
	})
	h.sight.source.Store(&source{h.servers, h.proxy, h.blackBox})
	gateway.Statistics = h.proxy.Statistics
	h.http = proxy.NewServer(h.proxy, proxy.ServerOptions{
		Limits:        guard.Limits{Head: s.MaxHeaderSize, URI: s.MaxURISize, Line: s.MaxHeaderLine, Fields: s.MaxHeaders, Trailer: s.MaxHeaderLine},
		HeaderTimeout: s.ClientHeaderTimeout, BodyTimeout: s.ClientBodyTimeout, IdleTimeout: s.KeepaliveTimeout, WriteTimeout: s.SendTimeout,
		BodyRate: s.ClientMinRate, SendRate: s.SendMinRate,
		IgnoreAbort: s.IgnoreClientAbort, MaxConnections: mostConnections(s.MaxConnections),
	})
}

// mostConnections is how many connections clients may have; 0: as many as they like. Unless the settings say so, half of the files stay for connections to
// services, for plugin servers and for logs.
func mostConnections(set int) int {
	if set > 0 {
		return set
	}
	return openFiles() / 2
}
