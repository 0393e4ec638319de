package main

import (
	"slices"
)

// Spread is what several measurements of one thing say: their median and their ends.
type Spread struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

// spreadOf summarises values; of none it is zero.
func spreadOf(values []float64) Spread {
	if len(values) == 0 {
		return Spread{}
	}
	sorted := slices.Sorted(slices.Values(values))
	return Spread{Median: median(sorted), Min: sorted[0], Max: sorted[len(sorted)-1]}
}

// median of values in order.
func median(sorted []float64) float64 {
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// Point summarises the samples of one variant at one number of connections.
type Point struct {
	Variant     string `json:"variant"`
	Connections int    `json:"connections"`
	// PerSecond is requests/s; Ratio is that over the baseline's of the same round, 1 for the baseline.
	PerSecond Spread `json:"requests_per_second"`
	Ratio     Spread `json:"ratio"`
	// Latencies in microseconds.
	P50 Spread `json:"p50_us"`
	P99 Spread `json:"p99_us"`
	// Processor time per request in microseconds.
	HostCPU   Spread `json:"host_cpu_us"`
	ServerCPU Spread `json:"server_cpu_us"`
	// Errors of all rounds. With any, or with a problem, the point is invalid and its figures mean nothing.
	Errors   Errors   `json:"errors"`
	Problems []string `json:"problems,omitempty"`
	Samples  []Sample `json:"samples"`
}

// Sample is one measurement.
type Sample struct {
	Round       int     `json:"round"`
	Requests    int     `json:"requests"`
	PerSecond   float64 `json:"requests_per_second"`
	P50         float64 `json:"p50_us"`
	P99         float64 `json:"p99_us"`
	HostCPU     float64 `json:"host_cpu_us"`
	ServerCPU   float64 `json:"server_cpu_us"`
	UpstreamCPU float64 `json:"upstream_cpu_us"`
	LoadCPU     float64 `json:"load_cpu_us"`
	// Others is the part of the machine's processor time, 0 to 1, that was used by processes which have nothing to do with the benchmark, or taken
	// by other machines of the same hardware.
	Others  float64 `json:"others"`
	Errors  Errors  `json:"errors"`
	Problem string  `json:"problem,omitempty"`
}

// Valid says whether the figures mean something.
func (p *Point) Valid() bool {
	return p.Errors.Total() == 0 && len(p.Problems) == 0 && len(p.Samples) > 0
}

// summarise makes the points of a scenario, in the order of connections, then variants. samples has one list per connections and variant, in the
// order of the rounds; a round without a valid baseline gives no ratio.
func summarise(s *Scenario, samples map[key][]Sample) []Point {
	var points []Point
	for _, n := range s.Connections {
		baseline := map[int]float64{}
		for _, x := range samples[key{n, s.Variants[0].Name}] {
			if x.valid() {
				baseline[x.Round] = x.PerSecond
			}
		}
		for _, v := range s.Variants {
			points = append(points, pointOf(v.Name, n, samples[key{n, v.Name}], baseline))
		}
	}
	return points
}

// key names one list of samples.
type key struct {
	connections int
	variant     string
}

func (s *Sample) valid() bool { return s.Errors.Total() == 0 && s.Problem == "" }

func pointOf(variant string, connections int, samples []Sample, baseline map[int]float64) Point {
	p := Point{Variant: variant, Connections: connections, Samples: samples}
	var rate, ratio, p50, p99, hostCPU, serverCPU []float64
	for i := range samples {
		x := &samples[i]
		p.Errors.add(x.Errors)
		if x.Problem != "" && !slices.Contains(p.Problems, x.Problem) {
			p.Problems = append(p.Problems, x.Problem)
		}
		rate, p50, p99 = append(rate, x.PerSecond), append(p50, x.P50), append(p99, x.P99)
		hostCPU, serverCPU = append(hostCPU, x.HostCPU), append(serverCPU, x.ServerCPU)
		if b := baseline[x.Round]; b > 0 {
			ratio = append(ratio, x.PerSecond/b)
		}
	}
	p.PerSecond, p.Ratio, p.P50, p.P99 = spreadOf(rate), spreadOf(ratio), spreadOf(p50), spreadOf(p99)
	p.HostCPU, p.ServerCPU = spreadOf(hostCPU), spreadOf(serverCPU)
	return p
}

// mostOthers is the largest part of the machine that others used during any sample.
func mostOthers(points []Point) float64 {
	most := 0.0
	for _, p := range points {
		for _, x := range p.Samples {
			most = max(most, x.Others)
		}
	}
	return most
}
