package metrics

import (
	"math/bits"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/outrigger-gateway/outrigger/host/internal/dispatch"
	"github.com/outrigger-gateway/outrigger/host/internal/plan"
	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// Calls counts the calls of plugins on plugin servers. It is an interceptor of dispatch; a successful call costs additions only.
type Calls struct {
	calls, sent, received, asks, prefetched, opened *prometheus.CounterVec
	duration                                        *prometheus.HistogramVec
}

func newCalls() *Calls {
	labels := []string{"server", "plugin", "phase"}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	return &Calls{
		calls: counter("outrigger_plugin_calls_total",
			"Calls of a plugin for a phase, by how they ended: ok, handler_error, timeout, closed, overloaded and so on.", append(labels, "code")...),
		sent:     counter("outrigger_plugin_sent_bytes_total", "Bytes of the calls, with bodies and answers, that went to the plugin server.", labels...),
		received: counter("outrigger_plugin_received_bytes_total", "Bytes of the outcomes, with bodies and questions, that came from the plugin server.", labels...),
		asks:     counter("outrigger_plugin_host_calls_total", "Questions that handlers asked the gateway, a round trip each.", labels...),
		prefetched: counter("outrigger_plugin_prefetched_answers_total",
			"Answers that travelled with a call, by what became of them: used, unused, or unknown when the call ended without an outcome.", append(labels, "result")...),
		opened: counter("outrigger_plugin_failed_open_total", "Calls that failed while the request went on without them (fail_mode: open).", labels...),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "outrigger_plugin_call_duration_seconds", Help: "Time from sending a call until its outcome was there, or given up.", Buckets: seconds,
		}, labels),
	}
}

// Describe and Collect implement prometheus.Collector.
func (m *Calls) Describe(ch chan<- *prometheus.Desc) {
	m.each(func(c prometheus.Collector) { c.Describe(ch) })
}

// Collect implements prometheus.Collector.
func (m *Calls) Collect(ch chan<- prometheus.Metric) {
	m.each(func(c prometheus.Collector) { c.Collect(ch) })
}

func (m *Calls) each(f func(prometheus.Collector)) {
	for _, c := range []prometheus.Collector{m.calls, m.sent, m.received, m.asks, m.prefetched, m.opened, m.duration} {
		f(c)
	}
}

// meters are the counters of one instance, resolved phase by phase when it is called first.
type meters struct {
	phases [pdk.PhaseCount]atomic.Pointer[meter]
}

type meter struct {
	ok                   prometheus.Counter
	sent, received, asks prometheus.Counter
	duration             prometheus.Observer
}

// of finds the counters of an instance for a phase.
func (m *Calls) of(in *plan.Instance, phase pdk.Phase) *meter {
	if in.Meters == nil {
		return m.resolve(in, phase)
	}
	all, _ := in.Meters.Load().(*meters)
	if all == nil {
		in.Meters.CompareAndSwap(nil, new(meters))
		all = in.Meters.Load().(*meters)
	}
	found := all.phases[phase.Index()].Load()
	if found == nil {
		found = m.resolve(in, phase) // who comes at the same time finds the same
		all.phases[phase.Index()].Store(found)
	}
	return found
}

func (m *Calls) resolve(in *plan.Instance, phase pdk.Phase) *meter {
	server, plugin, name := in.Server, in.Record.Name, phase.String()
	return &meter{
		ok: m.calls.WithLabelValues(server, plugin, name, dispatch.OK.String()), sent: m.sent.WithLabelValues(server, plugin, name),
		received: m.received.WithLabelValues(server, plugin, name), asks: m.asks.WithLabelValues(server, plugin, name),
		duration: m.duration.WithLabelValues(server, plugin, name),
	}
}

// Before implements dispatch.Interceptor.
func (m *Calls) Before(*dispatch.Call) error { return nil }

// Asked implements dispatch.Interceptor.
func (m *Calls) Asked(*dispatch.Call, *wire.Ask, *wire.Answer) {}

// After implements dispatch.Interceptor.
func (m *Calls) After(c *dispatch.Call) {
	of := m.of(c.Instance, c.Phase)
	of.duration.Observe(c.Duration.Seconds())
	of.sent.Add(float64(c.Request.Traffic.Sent))
	of.received.Add(float64(c.Request.Traffic.Received))
	if c.Asks > 0 {
		of.asks.Add(float64(c.Asks))
	}
	if len(c.Request.Prefetched) > 0 && c.Sent {
		m.answers(c)
	}
	if c.Code == dispatch.OK {
		of.ok.Inc()
		return
	}
	server, plugin, phase := c.Instance.Server, c.Instance.Record.Name, c.Phase.String()
	m.calls.WithLabelValues(server, plugin, phase, c.Code.String()).Inc()
	if c.FailedOpen {
		m.opened.WithLabelValues(server, plugin, phase).Inc()
	}
}

// answers counts what travelled with a call ahead of its questions.
func (m *Calls) answers(c *dispatch.Call) {
	shipped := len(c.Request.Prefetched)
	add := func(result string, n int) {
		if n > 0 {
			m.prefetched.WithLabelValues(c.Instance.Server, c.Instance.Record.Name, c.Phase.String(), result).Add(float64(n))
		}
	}
	switch c.Code {
	case dispatch.OK, dispatch.HandlerError, dispatch.Refused:
		unused := bits.OnesCount32(c.Outcome.Unused & (1<<shipped - 1))
		add("used", shipped-unused)
		add("unused", unused)
	default:
		add("unknown", shipped)
	}
}
