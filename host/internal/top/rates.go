package top

import (
	"cmp"
	"math"
	"slices"
	"time"

	dto "github.com/prometheus/client_model/go"

	"github.com/outrigger-gateway/outrigger/host/internal/pluginserver"
)

// Interval is what happened between two samples.
type Interval struct {
	Now      *Sample
	seconds  float64
	requests flow // of clients; errors are answers of 5xx
	servers  map[string]*flow
	plugins  []pluginFlow // the busiest first
	// processes are calls a second, by server and number.
	processes map[string]map[int]float64
}

// flow is how much of something there was in an interval.
type flow struct {
	calls, errors float64             // in the interval
	buckets       map[float64]float64 // by upper bound, cumulative
}

type pluginFlow struct {
	server, plugin, phase     string
	sent, received, hostCalls float64
	flow
}

// Between compares two samples of one gateway.
func Between(before, now *Sample) *Interval {
	i := &Interval{Now: now, seconds: now.At.Sub(before.At).Seconds(), servers: map[string]*flow{}, processes: map[string]map[int]float64{}}
	i.countRequests(before, now)
	i.countCalls(before, now)
	old := map[string]map[int]pluginserver.ProcessStatus{}
	for _, s := range before.Status.PluginServers {
		old[s.Server] = map[int]pluginserver.ProcessStatus{}
		for _, p := range s.Processes {
			old[s.Server][p.Number] = p
		}
	}
	for _, s := range now.Status.PluginServers {
		i.processes[s.Server] = map[int]float64{}
		for _, p := range s.Processes {
			calls := p.Calls
			if was := old[s.Server][p.Number]; was.PID == p.PID && was.Calls <= p.Calls {
				calls -= was.Calls
			}
			i.processes[s.Server][p.Number] = float64(calls) / i.seconds
		}
	}
	return i
}

func (i *Interval) countRequests(before, now *Sample) {
	each(before, now, "outrigger_requests_total", func(labels map[string]string, grown float64, _ map[float64]float64) {
		i.requests.calls += grown
		if labels["code"] == "5xx" {
			i.requests.errors += grown
		}
	})
	each(before, now, "outrigger_request_duration_seconds", func(_ map[string]string, _ float64, buckets map[float64]float64) { i.requests.add(buckets) })
}

func (i *Interval) countCalls(before, now *Sample) {
	plugins := map[[3]string]*pluginFlow{}
	of := func(l map[string]string) *pluginFlow {
		key := [3]string{l["server"], l["plugin"], l["phase"]}
		if plugins[key] == nil {
			plugins[key] = &pluginFlow{server: key[0], plugin: key[1], phase: key[2]}
		}
		if i.servers[key[0]] == nil {
			i.servers[key[0]] = &flow{}
		}
		return plugins[key]
	}
	each(before, now, "outrigger_plugin_calls_total", func(l map[string]string, grown float64, _ map[float64]float64) {
		p, s := of(l), i.servers[l["server"]]
		p.calls, s.calls = p.calls+grown, s.calls+grown
		if l["code"] != "ok" {
			p.errors, s.errors = p.errors+grown, s.errors+grown
		}
	})
	each(before, now, "outrigger_plugin_call_duration_seconds", func(l map[string]string, _ float64, buckets map[float64]float64) {
		of(l).add(buckets)
		i.servers[l["server"]].add(buckets)
	})
	each(before, now, "outrigger_plugin_sent_bytes_total", func(l map[string]string, grown float64, _ map[float64]float64) { of(l).sent += grown })
	each(before, now, "outrigger_plugin_received_bytes_total", func(l map[string]string, grown float64, _ map[float64]float64) { of(l).received += grown })
	each(before, now, "outrigger_plugin_host_calls_total", func(l map[string]string, grown float64, _ map[float64]float64) { of(l).hostCalls += grown })
	for _, p := range plugins {
		i.plugins = append(i.plugins, *p)
	}
	slices.SortFunc(i.plugins, func(a, b pluginFlow) int {
		return cmp.Or(cmp.Compare(b.calls, a.calls), cmp.Compare(a.plugin, b.plugin), cmp.Compare(a.server, b.server), cmp.Compare(a.phase, b.phase))
	})
}

// add adds the buckets of a histogram.
func (f *flow) add(buckets map[float64]float64) {
	if f.buckets == nil {
		f.buckets = map[float64]float64{}
	}
	for bound, n := range buckets {
		f.buckets[bound] += n
	}
}

// quantile is where a share of the calls was over, by the rule of histogram_quantile of Prometheus; ok is false without calls.
func (f *flow) quantile(q float64) (took time.Duration, ok bool) {
	bounds := make([]float64, 0, len(f.buckets))
	for bound := range f.buckets {
		bounds = append(bounds, bound)
	}
	slices.Sort(bounds)
	if len(bounds) < 2 || f.buckets[bounds[len(bounds)-1]] <= 0 {
		return 0, false
	}
	rank, lower, below := q*f.buckets[bounds[len(bounds)-1]], 0.0, 0.0
	for _, bound := range bounds {
		n := f.buckets[bound]
		if n < rank || n == below {
			lower, below = bound, n
			continue
		}
		if math.IsInf(bound, 1) {
			break
		}
		return seconds(lower + (bound-lower)*(rank-below)/(n-below)), true
	}
	return seconds(bounds[len(bounds)-2]), true // above the largest bound: that is all that is known
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// each visits the series of a metric with what they grew by. A counter that is smaller than before began again. Buckets are those of a histogram.
func each(before, now *Sample, name string, visit func(labels map[string]string, grown float64, buckets map[float64]float64)) {
	type state struct {
		value   float64
		buckets map[float64]float64
	}
	old := map[string]state{}
	read := func(m *dto.Metric) (labels map[string]string, key string, s state) {
		labels = map[string]string{}
		for _, l := range m.GetLabel() {
			labels[l.GetName()] = l.GetValue()
			key += l.GetName() + "\x00" + l.GetValue() + "\x00"
		}
		if h := m.GetHistogram(); h != nil {
			s.value, s.buckets = float64(h.GetSampleCount()), map[float64]float64{}
			for _, b := range h.GetBucket() {
				s.buckets[b.GetUpperBound()] = float64(b.GetCumulativeCount())
			}
			return labels, key, s
		}
		s.value = m.GetCounter().GetValue()
		return labels, key, s
	}
	for _, m := range before.metrics[name].GetMetric() {
		_, key, s := read(m)
		old[key] = s
	}
	for _, m := range now.metrics[name].GetMetric() {
		labels, key, s := read(m)
		if was := old[key]; was.value <= s.value {
			s.value -= was.value
			for bound, n := range was.buckets {
				s.buckets[bound] -= n
			}
		}
		visit(labels, s.value, s.buckets)
	}
}
