package metrics

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

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
	// SpansDropped are those of traces that found the export queue full; Tracing says whether there is one.
	Tracing      bool
	SpansDropped uint64
}

// Connections of clients.
type Connections struct {
	Accepted                          uint64
	Active, Reading, Writing, Waiting uint64
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
	serverRetired  = desc("plugin_server_retired_builds", "Older builds that still serve requests which began with them.", "server")
	processUp      = desc("plugin_process_up", "1 while the process takes calls.", "server", "process")
	processStarts  = desc("plugin_process_starts_total", "Attempts to start the process, or to connect to it.", "server", "process")
	processFlight  = desc("plugin_process_in_flight", "Calls that wait for their outcome.", "server", "process")
	processLanes   = desc("plugin_process_lanes", "Connections that carry calls.", "server", "process")
	processFailed  = desc("plugin_process_instances_failed", "Instances that the process refused or did not answer for.", "server", "process")

	generationNumber  = desc("generation_number", "Number of the configuration that is live.")
	generationInfo    = desc("generation_info", "1, with the hash of the entities that are live.", "hash")
	generationWaiting = desc("generation_waiting", "1 while the configuration waits for a plugin server that was never up.")
	logDropped        = desc("log_phases_dropped_total", "Log phases that found the queue full.")
	logQueued         = desc("log_phases_queued", "Requests that wait for their log phase.")
	accepted          = desc("connections_accepted_total", "Connections of clients.")
	connections       = desc("connections", "Open connections of clients, by what they do.", "state")
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
	w.counter(accepted, float64(s.Connections.Accepted))
	w.gauge(connections, float64(s.Connections.Reading), "reading")
	w.gauge(connections, float64(s.Connections.Writing), "writing")
	w.gauge(connections, float64(s.Connections.Waiting), "waiting")
	if s.Tracing {
		w.counter(spansDropped, float64(s.SpansDropped))
	}
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
	w.gauge(serverRetired, float64(s.Retired), name)
	for i := range s.Processes {
		p, number := &s.Processes[i], strconv.Itoa(i)
		w.gauge(processUp, truth(p.State == pluginserver.StateReady), name, number)
		w.counter(processStarts, float64(p.Starts), name, number)
		w.gauge(processFlight, float64(p.InFlight), name, number)
		w.gauge(processLanes, float64(p.Lanes), name, number)
		w.gauge(processFailed, float64(len(p.Failed)), name, number)
	}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
