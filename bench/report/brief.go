package report

import (
	"encoding/json"
	"io"
	"math"
)

// Brief is what --json prints: medians of the points of the closed loop, and nothing else.
type Brief struct {
	Results []BriefPoint `json:"results"`
}

// BriefPoint is one variant at one number of connections. Times are microseconds, of processors per request.
type BriefPoint struct {
	Name        string  `json:"name"`
	Connections int     `json:"connections"`
	PerSecond   float64 `json:"rps"`
	P50         float64 `json:"p50_us"`
	P99         float64 `json:"p99_us"`
	HostCPU     float64 `json:"cpu_host_us"`
	ServerCPU   float64 `json:"cpu_server_us"`
	Ratio       float64 `json:"ratio_to_no_plugin"`
}

// Brief leaves out points that are invalid, at a fixed rate, or with bodies. Of a variant that several scenarios have measured at the same
// number of connections it takes the first.
func (r *Report) Brief() Brief {
	b := Brief{Results: []BriefPoint{}}
	type name struct {
		variant     string
		connections int
	}
	seen := map[name]bool{}
	for _, s := range r.Scenarios {
		for _, p := range s.Points {
			_, compares := p.Measures[Ratio] // a call on a lane does not
			if !p.Valid() || !compares || p.Rate > 0 || p.Body >= 0 || p.Response >= 0 || seen[name{p.Variant, p.Connections}] {
				continue
			}
			seen[name{p.Variant, p.Connections}] = true
			round := func(measure string) float64 { return math.Round(p.Measures[measure].Median*1000) / 1000 }
			b.Results = append(b.Results, BriefPoint{
				p.Variant, p.Connections, round(PerSecond), round(P50), round(P99), round(HostCPU), round(ServerCPU), round(Ratio),
			})
		}
	}
	return b
}

// Write prints it.
func (b Brief) Write(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(b)
}
