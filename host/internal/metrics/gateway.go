package metrics

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/outrigger-gateway/outrigger/host/internal/balancer"
	"github.com/outrigger-gateway/outrigger/host/internal/budget"
	"github.com/outrigger-gateway/outrigger/host/internal/pluginserver"
)

// Status is what is read when somebody scrapes.
type Status struct {
	Servers     []pluginserver.Status
	Generation  uint64
	Hash        string
	Waiting     bool
	LogsDropped uint64
	LogsQueued  int
	Connections Connections
	// AccessLogDropped are the lines that were not written; AccessLog says whether there is an access log.
	AccessLog        bool
	AccessLogDropped uint64
	// SpansDropped are those of traces that found the export queue full; Tracing says whether there is one.
	Tracing      bool
	SpansDropped uint64
	// Bodies are those of requests and responses that are kept in memory: bytes now, the bound, and how often there was not enough.
	Bodies Bodies
	// BlackBox counts failed calls by what the black box made of them; nil: it is off.
	BlackBox  map[string]uint64
	Upstreams []balancer.Status
}

// Bodies in memory.
type Bodies struct {
	Used, Most int64
	Refused    uint64
}

// Connections of clients.
type Connections struct {
	Accepted                          uint64
	Active, Reading, Writing, Waiting uint64
	Most                              uint64 // max_connections; 0: no limit
	Delayed, Evicted                  uint64 // that waited for room, and idle ones that made some
}

// gateway is a collector that asks the gateway.
type gateway struct{ status func() Status }

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("outrigger_"+name, help, labels, nil)
}

var (
	serverUp       = desc("plugin_server_up", "1 while the server takes calls.", "server")
	serverInFlight = desc("plugin_server_in_flight", "Calls that wait for their outcome.", "server")
	serverShed     = desc("plugin_server_shed_total", "Calls refused because max_in_flight was reached.", "server")
	serverFused    = desc("fused_calls_total", "Calls that carried several steps to the server.", "server")
	serverSteps    = desc("fused_steps_total", "Steps that ran in calls of several.", "server")
	serverRetired  = desc("plugin_server_retired_builds", "Older builds that still serve requests which began with them.", "server")
	processUp      = desc("plugin_process_up", "1 while the process takes calls.", "server", "process")
	serverBuild    = desc("plugin_server_build", "Number of the build that is current, from 1.", "server")
	serverCanary   = desc("plugin_server_canary_ratio", "Share of the requests that a new build takes as a canary, 0 to 1.", "server")
	processStarts  = desc("plugin_process_starts_total", "Attempts to start the process, or to connect to it.", "server", "process")
	processAgain   = desc("plugin_process_restarts_total", "Starts after an end or a failure.", "server", "process")
	processWorn    = desc("plugin_process_recycled_total", "Starts of successors that took the place of a worn process.", "server", "process")
	processMemory  = desc("plugin_process_resident_memory_bytes", "Resident memory with that of descendants, at the last health check.", "server", "process")
	processFiles   = desc("plugin_process_open_fds", "Open descriptors, at the last health check.", "server", "process")
	processFlight  = desc("plugin_process_in_flight", "Calls that wait for their outcome.", "server", "process")
	processLanes   = desc("plugin_process_lanes", "Connections that carry calls.", "server", "process")
	processFailed  = desc("plugin_process_instances_failed", "Instances that the process refused or did not answer for.", "server", "process")

	budgetInFlight = desc("plugin_budget_in_flight", "Calls that count against a bound of calls in flight. Without plugin: the bound of the whole server.", "server", "plugin")
	budgetWaiting  = desc("plugin_budget_waiting", "Calls that wait in the queue of a bound.", "server", "plugin")
	budgetRefused  = desc("plugin_budget_refused_total", "Calls refused by a bound or an open breaker.", "server", "plugin")
	breakerOpen    = desc("plugin_breaker_open", "1 while a breaker refuses calls or lets probes through.", "server", "plugin")
	breakerOpened  = desc("plugin_breaker_opened_total", "How often a breaker opened.", "server", "plugin")

	generationNumber  = desc("generation_number", "Number of the configuration that is live.")
	generationInfo    = desc("generation_info", "1, with the hash of the entities that are live.", "hash")
	generationWaiting = desc("generation_waiting", "1 while the configuration waits for a plugin server that was never up.")
	logDropped        = desc("log_phases_dropped_total", "Log phases that found the queue full.")
	accessDropped     = desc("access_log_dropped_total", "Lines of the access log that were not written.")
	logQueued         = desc("log_phases_queued", "Requests that wait for their log phase.")
	accepted          = desc("connections_accepted_total", "Connections of clients.")
	connections       = desc("connections", "Open connections of clients, by what they do.", "state")
	connectionsMost   = desc("connections_limit", "Bound of the open connections of clients, max_connections.")
	delayed           = desc("connections_delayed_total", "Connections of clients that waited because there were as many as max_connections allows.")
	evicted           = desc("connections_evicted_total", "Idle connections of clients that ended to make room for others.")
	bodies            = desc("bodies_in_memory_bytes", "Bytes of bodies that are kept in memory for plugins.")
	bodiesMost        = desc("bodies_in_memory_limit_bytes", "Bound of these bytes, max_bodies_in_memory.")
	bodiesRefused     = desc("bodies_in_memory_refused_total", "Bodies, or pieces of them, that found no room within the bound.")
	blackBoxCalls     = desc("black_box_calls_total", "Failed calls by what the black box made of them: recorded, dropped, limited, failed or not_sent.", "result")
	spansDropped      = desc("spans_dropped_total", "Spans that found the queue of the export full, or that the collector did not take.")
)

// Describe implements prometheus.Collector: the metrics are those that Collect makes.
func (g gateway) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (g gateway) Collect(ch chan<- prometheus.Metric) {
	s := g.status()
	w := writer{ch}
	w.gauge(generationNumber, float64(s.Generation))
	if s.Hash != "" {
		w.gauge(generationInfo, 1, s.Hash)
	}
	w.gauge(generationWaiting, truth(s.Waiting))
	w.counter(logDropped, float64(s.LogsDropped))
	w.gauge(logQueued, float64(s.LogsQueued))
	if s.AccessLog {
		w.counter(accessDropped, float64(s.AccessLogDropped))
	}
	w.counter(accepted, float64(s.Connections.Accepted))
	w.gauge(connections, float64(s.Connections.Reading), "reading")
	w.gauge(connections, float64(s.Connections.Writing), "writing")
	w.gauge(connections, float64(s.Connections.Waiting), "waiting")
	if s.Connections.Most > 0 {
		w.gauge(connectionsMost, float64(s.Connections.Most))
	}
	w.counter(delayed, float64(s.Connections.Delayed))
	w.counter(evicted, float64(s.Connections.Evicted))
	w.gauge(bodies, float64(s.Bodies.Used))
	w.gauge(bodiesMost, float64(s.Bodies.Most))
	w.counter(bodiesRefused, float64(s.Bodies.Refused))
	if s.Tracing {
		w.counter(spansDropped, float64(s.SpansDropped))
	}
	for result, n := range s.BlackBox {
		w.counter(blackBoxCalls, float64(n), result)
	}
	w.upstreams(s.Upstreams)
	for i := range s.Servers {
		w.server(&s.Servers[i])
	}
}

// writer makes the metrics of one scrape.
type writer struct{ ch chan<- prometheus.Metric }

func (w writer) gauge(d *prometheus.Desc, v float64, labels ...string) {
	w.ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
}

func (w writer) counter(d *prometheus.Desc, v float64, labels ...string) {
	w.ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, labels...)
}

func (w writer) server(s *pluginserver.Status) {
	name := s.Server
	w.gauge(serverUp, truth(s.Ready), name)
	w.gauge(serverInFlight, float64(s.InFlight), name)
	w.counter(serverShed, float64(s.Shed), name)
	w.counter(serverFused, float64(s.Fused.Calls), name)
	w.counter(serverSteps, float64(s.Fused.Steps), name)
	w.gauge(serverRetired, float64(s.Retired), name)
	w.gauge(serverBuild, float64(s.Build), name)
	if s.Canary != nil {
		w.gauge(serverCanary, s.Canary.Share, name)
	}
	w.budgets(name, s.Budgets)
	for i := range s.Processes {
		p := &s.Processes[i]
		number := strconv.Itoa(p.Number)
		w.gauge(processUp, truth(p.State == pluginserver.StateReady), name, number)
		w.counter(processStarts, float64(p.Starts), name, number)
		w.counter(processAgain, float64(p.Restarts), name, number)
		w.counter(processWorn, float64(p.Recycled), name, number)
		if p.RSSBytes > 0 {
			w.gauge(processMemory, float64(p.RSSBytes), name, number)
			w.gauge(processFiles, float64(p.OpenFiles), name, number)
		}
		w.gauge(processFlight, float64(p.InFlight), name, number)
		w.gauge(processLanes, float64(p.Lanes), name, number)
		w.gauge(processFailed, float64(len(p.Failed)), name, number)
	}
}

// budgets sums those of the records of a plugin up: records are no label.
func (w writer) budgets(server string, list []budget.Status) {
	type sum struct {
		inFlight, waiting  int
		refused, opened    uint64
		breaker, breakerOn bool
	}
	sums := map[string]*sum{}
	for i := range list {
		b := &list[i]
		s := sums[b.Plugin]
		if s == nil {
			s = &sum{}
			sums[b.Plugin] = s
		}
		s.inFlight, s.waiting, s.refused, s.opened = s.inFlight+b.InFlight, s.waiting+b.Waiting, s.refused+b.Refused, s.opened+b.Opened
		s.breaker = s.breaker || b.Breaker != ""
		s.breakerOn = s.breakerOn || b.Breaker != "" && b.Breaker != "closed"
	}
	for plugin, s := range sums {
		w.gauge(budgetInFlight, float64(s.inFlight), server, plugin)
		w.gauge(budgetWaiting, float64(s.waiting), server, plugin)
		w.counter(budgetRefused, float64(s.refused), server, plugin)
		if s.breaker {
			w.gauge(breakerOpen, truth(s.breakerOn), server, plugin)
			w.counter(breakerOpened, float64(s.opened), server, plugin)
		}
	}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
