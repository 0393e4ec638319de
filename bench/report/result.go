// Package report is what a run of the benchmark found: the figures, their summary, the targets, the files for people and programs, and the
// comparison of two runs.
package report

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/outrigger-gateway/outrigger/bench/load"
	"github.com/outrigger-gateway/outrigger/bench/scenario"
	"github.com/outrigger-gateway/outrigger/bench/stats"
)

// Report is the content of the JSON file.
type Report struct {
	Date    time.Time `json:"date"`
	Commit  string    `json:"commit"`
	Command string    `json:"command"`
	Machine Machine   `json:"machine"`
	// Versions of go, python and node.
	Versions map[string]string `json:"versions"`
	Rounds   int               `json:"rounds"`
	// SampleSeconds is the length of one measurement.
	SampleSeconds float64  `json:"sample_seconds"`
	Scenarios     []Result `json:"scenarios"`
	Targets       []Judged `json:"targets,omitempty"`
	// Skipped says what was not measured, and why.
	Skipped []string `json:"skipped,omitempty"`
	// Failed says by scenario why it could not be measured.
	Failed map[string]string `json:"failed,omitempty"`
}

// Machine is where the figures come from.
type Machine struct {
	CPU   string `json:"cpu"`
	Cores int    `json:"cores"`
	// Memory in bytes.
	Memory int64  `json:"memory"`
	Kernel string `json:"kernel"`
}

// Result is what one scenario found.
type Result struct {
	Name     string  `json:"name"`
	Question string  `json:"question"`
	CPUs     string  `json:"cpus,omitempty"`
	Points   []Point `json:"points"`
	// Charts are the names of the files that were drawn.
	Charts []string `json:"charts,omitempty"`
}

// Point is one variant under one load.
type Point struct {
	Variant string  `json:"variant"`
	Series  string  `json:"series,omitempty"`
	X       float64 `json:"x"`
	// Baseline is the variant that this one is compared with.
	Baseline string `json:"baseline"`
	scenario.Load
	// Measures are the spreads by name; see Measures.
	Measures map[string]stats.Spread `json:"measures"`
	// Errors of all rounds. With any, or with a problem, the point is invalid and its figures mean nothing.
	Errors   load.Errors `json:"errors"`
	Problems []string    `json:"problems,omitempty"`
	Samples  []Sample    `json:"samples"`
}

// Sample is one measurement: the measures of one round by name, without those that compare.
type Sample struct {
	Round    int                `json:"round"`
	Requests int                `json:"requests"`
	Values   map[string]float64 `json:"values"`
	// Others is the part of the machine's processor time, 0 to 1, that was used by processes which have nothing to do with the benchmark, or taken
	// by other machines of the same hardware.
	Others  float64     `json:"others"`
	Errors  load.Errors `json:"errors"`
	Problem string      `json:"problem,omitempty"`
}

// Measures that a sample has, in the order of the tables.
const (
	PerSecond   = "rps"
	P50         = "p50_us"
	P90         = "p90_us"
	P99         = "p99_us"
	P999        = "p999_us"
	Max         = "max_us"
	HostCPU     = "cpu_host_us"
	ServerCPU   = "cpu_server_us"
	CPU         = "cpu_us" // of host and servers
	UpstreamCPU = "cpu_upstream_us"
	LoadCPU     = "cpu_load_us"
	HostAllocs  = "host_allocs" // objects that the host allocates per request
	IdleMemory  = "idle_mb"     // resident memory of the host with idle connections, MB
)

// Measures that compare with the baseline's sample of the same round.
const (
	Ratio      = "ratio" // of requests/s
	AddedP50   = "added_p50_us"
	AddedP99   = "added_p99_us"
	AddedCPU   = "added_cpu_us"
	AddedAlloc = "added_allocs"
)

// added are the measures that are differences, with what they are the difference of.
var added = map[string]string{AddedP50: P50, AddedP99: P99, AddedCPU: CPU, AddedAlloc: HostAllocs}

// Known says whether there is a measure of this name.
func Known(measure string) bool {
	_, known := titles[measure]
	return known
}

// Valid says whether the figures mean something.
func (p *Point) Valid() bool {
	return p.Errors.Total() == 0 && len(p.Problems) == 0 && len(p.Samples) > 0
}

// Valid says whether a sample's figures mean something.
func (s *Sample) Valid() bool { return s.Errors.Total() == 0 && s.Problem == "" }

// Key names the samples of one point.
type Key struct {
	Variant string
	Load    scenario.Load
}

// Summarise makes the points of a scenario, in the order of loads, then variants. A round without a valid baseline compares nothing.
func Summarise(s *scenario.Scenario, samples map[Key][]Sample) Result {
	r := Result{Name: s.Name, Question: s.Question, CPUs: s.CPUs}
	for _, l := range s.Loads {
		for i := range s.Variants {
			v := &s.Variants[i]
			p := Point{Variant: v.Name, Series: v.Series, X: v.X, Baseline: s.BaselineName(v), Load: l, Samples: samples[Key{v.Name, l}]}
			p.summarise(byRound(samples[Key{p.Baseline, l}]))
			r.Points = append(r.Points, p)
		}
	}
	return r
}

// byRound are the valid samples.
func byRound(samples []Sample) map[int]*Sample {
	m := map[int]*Sample{}
	for i := range samples {
		if samples[i].Valid() {
			m[samples[i].Round] = &samples[i]
		}
	}
	return m
}

// Summarise makes the measures of a point that is compared with nothing.
func (p *Point) Summarise() { p.summarise(nil) }

func (p *Point) summarise(baseline map[int]*Sample) {
	values := map[string][]float64{}
	for i := range p.Samples {
		x := &p.Samples[i]
		p.Errors.Add(x.Errors)
		if x.Problem != "" && !slices.Contains(p.Problems, x.Problem) {
			p.Problems = append(p.Problems, x.Problem)
		}
		for name, value := range x.Values {
			values[name] = append(values[name], value)
		}
		for name, value := range compared(x, baseline[x.Round]) {
			values[name] = append(values[name], value)
		}
	}
	p.Measures = map[string]stats.Spread{}
	for name, list := range values {
		p.Measures[name] = stats.SpreadOf(list)
	}
}

// compared are the measures that compare a sample with the baseline's of the same round.
func compared(x, base *Sample) map[string]float64 {
	m := map[string]float64{}
	if base == nil {
		return m
	}
	if b := base.Values[PerSecond]; b > 0 {
		m[Ratio] = x.Values[PerSecond] / b
	}
	for name, of := range added {
		a, ok1 := x.Values[of]
		b, ok2 := base.Values[of]
		if ok1 && ok2 {
			m[name] = a - b
		}
	}
	return m
}

// Invalid lists the points without figures.
func (r *Result) Invalid() []string {
	bad := map[string]bool{}
	for i := range r.Points {
		if p := &r.Points[i]; !p.Valid() {
			bad[fmt.Sprintf("%s: %s at %s", r.Name, p.Variant, p.Load)] = true
		}
	}
	return slices.Sorted(maps.Keys(bad))
}

// Find finds the point of a variant under a load; nil if there is none.
func (r *Result) Find(variant string, l scenario.Load) *Point {
	for i := range r.Points {
		if r.Points[i].Variant == variant && r.Points[i].Load == l {
			return &r.Points[i]
		}
	}
	return nil
}

// mostOthers is the largest part of the machine that others used during any sample.
func (r *Result) mostOthers() float64 {
	most := 0.0
	for _, p := range r.Points {
		for _, x := range p.Samples {
			most = max(most, x.Others)
		}
	}
	return most
}
