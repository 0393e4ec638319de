package report

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/outrigger-gateway/outrigger/bench/stats"
)

// Target is what a run should find: (of - less) / (over - over_less), of which all but of may be left out. Each is a figure, written
// scenario/variant@connections:measure, or with a fixed rate scenario/variant@connections,rate:measure. What two figures have to do with each
// other is found round by round.
type Target struct {
	What     string   `yaml:"what" json:"what"`
	Of       string   `yaml:"of" json:"of"`
	Less     string   `yaml:"less" json:"less,omitempty"`
	Over     string   `yaml:"over" json:"over,omitempty"`
	OverLess string   `yaml:"over_less" json:"over_less,omitempty"`
	AtLeast  *float64 `yaml:"at_least" json:"at_least,omitempty"`
	AtMost   *float64 `yaml:"at_most" json:"at_most,omitempty"`
	Unit     string   `yaml:"unit" json:"unit,omitempty"`
}

// Judged is a target and what was found. Without figures it is not judged.
type Judged struct {
	Target
	Found *stats.Spread `json:"found,omitempty"`
	Met   bool          `json:"met"`
}

// figure is a reference to the values of a point.
type figure struct {
	scenario, variant, measure string
	connections, rate          int
}

// ParseTargets reads a file of targets.
func ParseTargets(text []byte) ([]Target, error) {
	var file struct {
		Targets []Target `yaml:"targets"`
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(&file); err != nil {
		return nil, fmt.Errorf("reading the targets: %w", err)
	}
	var errs []error
	for i, t := range file.Targets {
		if t.What == "" || t.Of == "" || t.OverLess != "" && t.Over == "" {
			errs = append(errs, fmt.Errorf("targets[%d] %q: expected what, of, and over where over_less is", i, t.What))
		}
		for _, text := range []string{t.Of, t.Less, t.Over, t.OverLess} {
			if _, err := parseFigure(text); text != "" && err != nil {
				errs = append(errs, fmt.Errorf("targets[%d] %q: %w", i, t.What, err))
			}
		}
	}
	return file.Targets, errors.Join(errs...)
}

func parseFigure(text string) (figure, error) {
	var f figure
	var load string
	wrong := func(err error) (figure, error) {
		return f, fmt.Errorf("found the figure %q, expected one such as plugins/go-msgpack@64:ratio or calls/go-1@16,2000:p50_us: %w", text, err)
	}
	rest, measure, ok1 := strings.Cut(text, ":")
	rest, load, ok2 := strings.Cut(rest, "@")
	var ok3 bool
	f.scenario, f.variant, ok3 = strings.Cut(rest, "/")
	if f.measure = measure; !ok1 || !ok2 || !ok3 {
		return wrong(errors.New("a part is missing"))
	}
	if !Known(measure) {
		return wrong(fmt.Errorf("unknown measure %q", measure))
	}
	connections, rate, fixed := strings.Cut(load, ",")
	var err error
	if f.connections, err = strconv.Atoi(connections); err != nil {
		return wrong(err)
	}
	if fixed {
		if f.rate, err = strconv.Atoi(rate); err != nil {
			return wrong(err)
		}
	}
	return f, nil
}

// Judge finds out what became of the targets.
func (r *Report) Judge(targets []Target) []Judged {
	var list []Judged
	for _, t := range targets {
		j := Judged{Target: t}
		if values := r.evaluate(&t); len(values) > 0 {
			found := stats.SpreadOf(values)
			j.Found = &found
			j.Met = (t.AtLeast == nil || found.Median >= *t.AtLeast) && (t.AtMost == nil || found.Median <= *t.AtMost)
		}
		list = append(list, j)
	}
	return list
}

// evaluate gives a value for each round that has all figures.
func (r *Report) evaluate(t *Target) []float64 {
	of := r.values(t.Of)
	var list []float64
	for _, round := range sortedRounds(of) {
		value, complete := of[round], true
		take := func(text string) float64 {
			v, ok := r.values(text)[round]
			complete = complete && ok
			return v
		}
		if t.Less != "" {
			value -= take(t.Less)
		}
		if t.Over != "" {
			below := take(t.Over)
			if t.OverLess != "" {
				below -= take(t.OverLess)
			}
			if complete = complete && below > 0; complete {
				value /= below
			}
		}
		if complete {
			list = append(list, value)
		}
	}
	return list
}

func sortedRounds(values map[int]float64) []int {
	var rounds []int
	for round := range values {
		rounds = append(rounds, round)
	}
	slices.Sort(rounds)
	return rounds
}

// values of a figure by round; none when it was not measured, or is invalid.
func (r *Report) values(text string) map[int]float64 {
	f, err := parseFigure(text)
	if err != nil {
		return nil
	}
	for i := range r.Scenarios {
		s := &r.Scenarios[i]
		if s.Name != f.scenario {
			continue
		}
		for j := range s.Points {
			if p := &s.Points[j]; p.Variant == f.variant && p.Connections == f.connections && p.Rate == f.rate && p.Body < 0 && p.Response < 0 {
				return s.valuesOf(p, f.measure)
			}
		}
	}
	return nil
}

// valuesOf a point by round.
func (r *Result) valuesOf(p *Point, measure string) map[int]float64 {
	if !p.Valid() {
		return nil
	}
	var baseline map[int]*Sample
	if b := r.Find(p.Baseline, p.Load); b != nil {
		baseline = byRound(b.Samples)
	}
	values := map[int]float64{}
	for i := range p.Samples {
		x := &p.Samples[i]
		if v, ok := x.Values[measure]; ok {
			values[x.Round] = v
		} else if v, ok := compared(x, baseline[x.Round])[measure]; ok {
			values[x.Round] = v
		}
	}
	return values
}
