package host

import (
	"cmp"
	"context"
	"sync/atomic"

	"github.com/outrigger-gateway/outrigger/host/internal/accesslog"
	"github.com/outrigger-gateway/outrigger/host/internal/admin"
	"github.com/outrigger-gateway/outrigger/host/internal/blackbox"
	"github.com/outrigger-gateway/outrigger/host/internal/dispatch"
	"github.com/outrigger-gateway/outrigger/host/internal/metrics"
	"github.com/outrigger-gateway/outrigger/host/internal/proxy"
	"github.com/outrigger-gateway/outrigger/host/internal/tracing"
)

// sight is how a gateway is watched.
type sight struct {
	metrics *metrics.Metrics
	tracer  *tracing.Tracer // nil: nothing is traced
	timed   bool            // some answers have Server-Timing
	access  *accesslog.Log  // nil: there is none
	// source is what a scrape reads; nil before requests are served.
	source atomic.Pointer[source]

	status        *admin.Server // nil: status_listen is off
	statusAddress string
}

type source struct {
	servers  *servers
	proxy    *proxy.Proxy
	blackBox *blackbox.Recorder // nil: off
}

// startSight makes what counts and traces, before anything happens that they are to see.
func (h *Host) startSight(ctx context.Context) error {
	h.sight.metrics = metrics.New(Version, h.figures)
	h.sight.timed = h.settings.ServerTiming != "off"
	if err := h.openAccessLog(); err != nil {
		return err
	}
	if h.settings.TracingEndpoint == "" {
		return nil
	}
	var err error
	h.sight.tracer, err = tracing.New(ctx, tracing.Options{
		Endpoint: h.settings.TracingEndpoint, Rate: h.settings.TracingSamplingRate, Version: Version, Node: h.node.ID, Logger: h.logger,
	})
	return err
}

// interceptors of plugin calls that only watch.
func (s *sight) interceptors() []dispatch.Interceptor {
	return append([]dispatch.Interceptor{s.metrics.Calls}, s.watchers()...)
}

// watchers are those of native calls; none when nothing wants to know about them.
func (s *sight) watchers() []dispatch.Interceptor {
	var list []dispatch.Interceptor
	if s.tracer != nil {
		list = append(list, s.tracer.Calls())
	}
	if s.timed {
		list = append(list, proxy.Timings{})
	}
	return list
}

// figures are what a scrape reads.
func (h *Host) figures() metrics.Status {
	s := h.sight.source.Load()
	if s == nil {
		return metrics.Status{}
	}
	seen, statistics := s.proxy.Sights(), s.proxy.Statistics()
	out := metrics.Status{
		Servers: h.serverStatus(s.servers), LogsDropped: seen.LogsDropped, LogsQueued: seen.LogsQueued,
		Connections: metrics.Connections{Accepted: statistics.Accepted, Reading: statistics.Reading, Writing: statistics.Writing, Waiting: statistics.Waiting,
			Most: seen.MostConnections, Delayed: seen.DelayedConnections, Evicted: seen.EvictedConnections},
		Bodies: metrics.Bodies{Used: h.bodies.Used(), Most: h.bodies.Most(), Refused: h.bodies.Refused()},
	}
	if gen := h.generations.Current(); gen != nil {
		out.Generation, out.Hash, out.Waiting = gen.Number, gen.Set.Hash, gen.Waiting()
		out.Upstreams = gen.Balancing()
	}
	if s.blackBox != nil {
		out.BlackBox = s.blackBox.Stats().ByResult()
	}
	if log := h.sight.access; log != nil {
		out.AccessLog, out.AccessLogDropped = true, log.Dropped()
	}
	if t := h.sight.tracer; t != nil {
		out.Tracing, out.SpansDropped = true, t.Dropped()
	}
	return out
}

// StatusSetting is where the settings say that /status and /metrics are answered: the status listener, or the Admin listener; empty for none.
func (h *Host) StatusSetting() string { return cmp.Or(h.settings.StatusListen, h.settings.AdminListen) }

// Unready implements admin.Watched.
func (o operator) Unready() []admin.Reason {
	if o.stopping() {
		return []admin.Reason{{State: "stopping", Reason: errStopping.Error()}}
	}
	var list []admin.Reason
	gen := o.generations.Current()
	if gen == nil {
		list = append(list, admin.Reason{State: "starting", Reason: "no configuration is live"})
	}
	for _, s := range o.servers.all.Ready() {
		if !s.Ready {
			list = append(list, admin.Reason{Server: s.Server, State: s.State, Reason: s.Reason})
		}
	}
	if len(list) == 0 && gen.Waiting() {
		list = append(list, admin.Reason{State: "starting", Reason: "the configuration that is live lacks the plugins of a server that has just come up"})
	}
	return list
}

// Metrics implements admin.Watched.
func (o operator) Metrics() (text []byte, contentType string, err error) {
	return o.sight.metrics.Text()
}
