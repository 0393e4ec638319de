package report

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/outrigger-gateway/outrigger/bench/chart"
	"github.com/outrigger-gateway/outrigger/bench/scenario"
	"github.com/outrigger-gateway/outrigger/bench/stats"
)

// draw writes the charts of the scenarios into dir, and remembers their names relative to the report.
func (r *Report) draw(dir, name string, scenarios []*scenario.Scenario) error {
	for _, s := range scenarios {
		i := slices.IndexFunc(r.Scenarios, func(result Result) bool { return result.Name == s.Name })
		if i < 0 {
			continue
		}
		for _, c := range s.Charts {
			drawn := r.Scenarios[i].chart(&c)
			if drawn == nil {
				continue // nothing that it shows was measured
			}
			if err := os.MkdirAll(dir, 0o755); err != nil {
				return err
			}
			if err := os.WriteFile(filepath.Join(dir, c.Name+".svg"), drawn, 0o644); err != nil {
				return err
			}
			r.Scenarios[i].Charts = append(r.Scenarios[i].Charts, name+"/"+c.Name+".svg")
		}
	}
	return nil
}

// titles of the measures on an axis.
var titles = map[string]string{
	PerSecond: "requests per second", Ratio: "throughput relative to no plugin", P50: "p50 latency, µs", P90: "p90 latency, µs", P99: "p99 latency, µs",
	P999: "p99.9 latency, µs", CPU: "processor time per request, host and servers, µs", HostCPU: "processor time of the host per request, µs",
	ServerCPU: "processor time of the servers per request, µs", AddedP50: "added p50 latency, µs", AddedP99: "added p99 latency, µs",
	AddedCPU: "added processor time per request, µs", Max: "longest latency, µs", UpstreamCPU: "processor time of the upstream per request, µs",
	LoadCPU: "processor time of the load generator per request, µs", AddedAlloc: "added allocations of the host per request", HostAllocs: "allocations of the host per request", IdleMemory: "resident memory, MB",
}

// Draws says which chart of a scenario has a measure that there is not.
func Draws(s *scenario.Scenario) error {
	for _, c := range s.Charts {
		if known := slices.Sorted(maps.Keys(titles)); !slices.Contains(known, c.Measure) {
			return fmt.Errorf("scenario %s: chart %s: unknown measure %q%s: expected %s", s.Name, c.Name, c.Measure, scenario.Nearest(c.Measure, known), strings.Join(known, ", "))
		}
	}
	return nil
}

// chart draws one; nil when there is nothing to show.
func (s *Result) chart(c *scenario.Chart) []byte {
	points := s.shown(c)
	if len(points) == 0 {
		return nil
	}
	drawn := &chart.Chart{Title: c.Title, XTitle: c.XTitle, YTitle: titles[c.Measure]}
	if c.Measure == Ratio || c.Relative != nil {
		drawn.Reference = 1
	}
	if c.X == "variant" {
		bars(drawn, c, points)
		return drawn.Bars()
	}
	if c.Relative != nil {
		drawn.YTitle += fmt.Sprintf(", relative to that at %s", short(*c.Relative))
	}
	s.lines(drawn, c, points)
	return drawn.Lines()
}

// shown are the points of a chart.
func (s *Result) shown(c *scenario.Chart) []*Point {
	most := 0
	for _, p := range s.Points {
		if (p.Rate > 0) == c.Rate {
			most = max(most, p.Connections)
		}
	}
	fastest := 0 // of several rates a chart of bars shows one
	for _, p := range s.Points {
		fastest = max(fastest, p.Rate)
	}
	var list []*Point
	for i := range s.Points {
		p := &s.Points[i]
		_, measured := p.Measures[c.Measure]
		connections := c.Connections
		if connections == 0 && c.X == "variant" {
			connections = most
		}
		switch {
		case !measured || !p.Valid() || (p.Rate > 0) != c.Rate:
		case connections != 0 && p.Connections != connections:
		case c.X == "variant" && c.Rate && p.Rate != fastest:
		case c.X == "x" && p.Variant == p.Baseline: // it has no place on the axis
		case c.Measure == Ratio && p.Variant == p.Baseline: // it is the line at 1
		default:
			list = append(list, p)
		}
	}
	return list
}

// bars has one for each variant, in colours that tell ours, the baselines and peers apart.
func bars(drawn *chart.Chart, c *scenario.Chart, points []*Point) {
	groups := make([]chart.Series, 3)
	for _, p := range points {
		group := 0
		switch {
		case p.Variant == p.Baseline && (c.Measure == Ratio || strings.HasPrefix(c.Measure, "added")):
			continue // compared with itself
		case p.Variant == p.Baseline:
			group = 2
		case p.Baseline == p.Variant+"-no-plugin":
			group = 1
		}
		groups[group].Points = append(groups[group].Points, figureAt(float64(len(drawn.Names)), p.Measures[c.Measure]))
		drawn.Names = append(drawn.Names, p.Variant)
	}
	drawn.Series = groups
}

func figureAt(x float64, m stats.Spread) chart.Point {
	return chart.Point{X: x, Y: m.Median, Low: m.Min, High: m.Max}
}

// lines has one for each series, or for each variant where the scenario names no series.
func (s *Result) lines(drawn *chart.Chart, c *scenario.Chart, points []*Point) {
	var xs []float64
	at := func(p *Point) float64 {
		switch c.X {
		case "connections":
			return float64(p.Connections)
		case "body":
			return float64(p.Body)
		case "response":
			return float64(p.Response)
		}
		return p.X
	}
	for _, p := range points {
		xs = append(xs, at(p))
	}
	slices.Sort(xs)
	xs = slices.Compact(xs)
	if c.X != "x" { // numbers that grow by factors stand at equal distances
		for _, x := range xs {
			name := short(x)
			if c.X != "connections" {
				name = scenario.SizeText(int(x))
			}
			drawn.Names = append(drawn.Names, name)
		}
	}
	for _, p := range points {
		name := p.Series
		if name == "" {
			name = p.Variant
		}
		name = inWords(name)
		i := slices.IndexFunc(drawn.Series, func(other chart.Series) bool { return other.Name == name })
		if i < 0 {
			i = len(drawn.Series)
			drawn.Series = append(drawn.Series, chart.Series{Name: name})
		}
		x := at(p)
		m := p.Measures[c.Measure]
		if c.Relative != nil {
			m = s.relative(p, c, points)
		}
		if c.X != "x" {
			x = float64(slices.Index(xs, x))
		}
		drawn.Series[i].Points = append(drawn.Series[i].Points, figureAt(x, m))
	}
	for i := range drawn.Series {
		slices.SortFunc(drawn.Series[i].Points, func(a, b chart.Point) int { return int(2 * (a.X - b.X)) })
	}
}

// inWords writes the language that a name begins with as people do.
func inWords(name string) string {
	for short, word := range map[string]string{"go": "Go", "python": "Python", "js": "JavaScript"} {
		if rest, ok := strings.CutPrefix(name, short); ok && (rest == "" || rest[0] == ',' || rest[0] == '-') {
			return word + strings.ReplaceAll(rest, "-", ", ")
		}
	}
	return name
}

// relative is the measure of a point over that of the point of its series at the chart's x, round by round.
func (s *Result) relative(p *Point, c *scenario.Chart, points []*Point) stats.Spread {
	var base map[int]float64
	for _, other := range points {
		if other.Series == p.Series && other.X == *c.Relative && other.Load == p.Load {
			base = s.valuesOf(other, c.Measure)
		}
	}
	own := s.valuesOf(p, c.Measure)
	var list []float64
	for _, round := range sortedRounds(own) {
		if base[round] > 0 {
			list = append(list, own[round]/base[round])
		}
	}
	return stats.SpreadOf(list)
}
