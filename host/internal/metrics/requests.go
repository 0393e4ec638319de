package metrics

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Requests counts the requests of clients. It is an observer of the proxy.
type Requests struct {
	total    *prometheus.CounterVec
	classes  [6]prometheus.Counter // 1xx to 5xx, and the rest at 0
	duration prometheus.Histogram
	upstream prometheus.Histogram
}

func newRequests() *Requests {
	histogram := func(name, help string) prometheus.Histogram {
		return prometheus.NewHistogram(prometheus.HistogramOpts{Name: name, Help: help, Buckets: seconds})
	}
	r := &Requests{
		total:    prometheus.NewCounterVec(prometheus.CounterOpts{Name: "outrigger_requests_total", Help: "Requests answered, by the class of the status: 2xx, 4xx and so on."}, []string{"code"}),
		duration: histogram("outrigger_request_duration_seconds", "Time from the head of a request until its answer was written."),
		upstream: histogram("outrigger_upstream_duration_seconds", "Time from sending a request to its service until the head of the response was there."),
	}
	for i := range r.classes {
		class := "other"
		if i > 0 {
			class = strconv.Itoa(i) + "xx"
		}
		r.classes[i] = r.total.WithLabelValues(class)
	}
	return r
}

// Done counts one request. Upstream is 0 when there was no service to ask, or it did not answer; took is for a request that could not be parsed.
func (r *Requests) Done(status int, took, upstream time.Duration) {
	class := status / 100
	if class < 1 || class > 5 {
		class = 0
	}
	r.classes[class].Inc()
	if took > 0 {
		r.duration.Observe(took.Seconds())
	}
	if upstream > 0 {
		r.upstream.Observe(upstream.Seconds())
	}
}

// Describe implements prometheus.Collector.
func (r *Requests) Describe(ch chan<- *prometheus.Desc) {
	r.total.Describe(ch)
	r.duration.Describe(ch)
	r.upstream.Describe(ch)
}

// Collect implements prometheus.Collector.
func (r *Requests) Collect(ch chan<- prometheus.Metric) {
	r.total.Collect(ch)
	r.duration.Collect(ch)
	r.upstream.Collect(ch)
}
