// Package metrics counts what the gateway does and writes it in the format of Prometheus.
//
//	calls.go     calls of plugins, counted by an interceptor of dispatch
//	requests.go  requests of clients, counted by the proxy
//	upstreams.go upstreams and their targets, read when somebody scrapes
//	gateway.go   plugin servers, processes, connections and the configuration, read when somebody scrapes
//
// Labels are bounded by the configuration: server, process, plugin, phase and code, upstream, target and its addresses. Nothing is labelled with a record, a route, a consumer or a
// path.
package metrics

import (
	"bytes"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/common/expfmt"
)

// Metrics are those of one gateway.
type Metrics struct {
	Calls    *Calls    // an interceptor
	Requests *Requests // an observer of the proxy
	registry *prometheus.Registry
}

// seconds are the bounds of the buckets of durations: a call of a plugin server takes tens of microseconds, a timeout seconds.
var seconds = []float64{50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 0.1, 0.25, 0.5, 1, 2.5, 5, 10}

// New makes the metrics of a gateway. What status says is read when somebody scrapes.
func New(version string, status func() Status) *Metrics {
	m := &Metrics{Calls: newCalls(), Requests: newRequests(), registry: prometheus.NewRegistry()}
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "outrigger_build_info", Help: "1, with the version of the gateway.", ConstLabels: prometheus.Labels{"version": version},
	})
	build.Set(1)
	m.registry.MustRegister(
		m.Calls, m.Requests, gateway{status}, build,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return m
}

// Text is a scrape, and its content type.
func (m *Metrics) Text() ([]byte, string, error) {
	families, err := m.registry.Gather()
	if err != nil {
		return nil, "", fmt.Errorf("gathering metrics: %w", err)
	}
	var out bytes.Buffer
	format := expfmt.NewFormat(expfmt.TypeTextPlain)
	w := expfmt.NewEncoder(&out, format)
	for _, f := range families {
		if err := w.Encode(f); err != nil {
			return nil, "", fmt.Errorf("writing metric %s: %w", f.GetName(), err)
		}
	}
	return out.Bytes(), string(format), nil
}
