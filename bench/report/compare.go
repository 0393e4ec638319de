package report

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/outrigger-gateway/outrigger/bench/stats"
)

// Read reads the JSON file of a run.
func Read(path string) (*Report, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading a result: %w", err)
	}
	var r Report
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, fmt.Errorf("reading the result %s: %w", path, err)
	}
	if len(r.Scenarios) == 0 {
		return nil, fmt.Errorf("reading the result %s: found no scenarios; expected the .json file that outrigger bench writes into its directory of results, not what --json prints", path)
	}
	for _, s := range r.Scenarios {
		for _, p := range s.Points {
			if p.Measures == nil {
				return nil, fmt.Errorf("reading the result %s: point %s of scenario %s has no measures; expected a file of this version of outrigger bench", path, p.Variant, s.Name)
			}
		}
	}
	return &r, nil
}

// Change is one measure of one point that two runs have.
type Change struct {
	Scenario, Variant, Load, Measure string
	Old, New                         stats.Spread
	// By is the new median over the old one, minus one.
	By float64
	// Worse says that the point got worse by more than the tolerance and the spreads have no value in common.
	Worse bool
}

// Comparison of two runs.
type Comparison struct {
	Changes []Change
	// Broken are points that were valid and are not any more; Missing those that the new run does not have.
	Broken, Missing []string
}

// compares are the measures that say the same on machines of different speed, or nearly: what is left of the baseline's throughput, and at a fixed
// rate the latency that is added. Processor time depends on the machine, too, and is the one to look at when both ran on the same.
var compares = []struct {
	measure     string
	higherIsBad bool
	fixedRate   bool
	least       float64 // changes below it mean nothing, in the unit of the measure
}{
	{Ratio, false, false, 0},
	{CPU, true, false, 0.5},
	{AddedP50, true, true, 20},
}

// Compare finds what changed from old to new by more than the tolerance, a share such as 0.05.
func Compare(old, new *Report, tolerance float64) Comparison {
	var c Comparison
	for i := range old.Scenarios {
		s := &old.Scenarios[i]
		for j := range s.Points {
			p := &s.Points[j]
			if !p.Valid() {
				continue
			}
			where := fmt.Sprintf("%s: %s at %s", s.Name, p.Variant, p.Load)
			q := new.find(s.Name, p)
			_, failed := new.Failed[s.Name]
			switch {
			case q == nil && failed:
				c.Broken = append(c.Broken, where)
			case q == nil:
				c.Missing = append(c.Missing, where)
			case !q.Valid():
				c.Broken = append(c.Broken, where)
			default:
				c.compare(s.Name, p, q, tolerance)
			}
		}
	}
	return c
}

func (r *Report) find(scenario string, p *Point) *Point {
	for i := range r.Scenarios {
		if r.Scenarios[i].Name == scenario {
			return r.Scenarios[i].Find(p.Variant, p.Load)
		}
	}
	return nil
}

func (c *Comparison) compare(scenario string, p, q *Point, tolerance float64) {
	for _, m := range compares {
		a, ok1 := p.Measures[m.measure]
		b, ok2 := q.Measures[m.measure]
		if !ok1 || !ok2 || m.fixedRate != (p.Rate > 0) || a.Median <= 0 || m.measure == Ratio && p.Variant == p.Baseline {
			continue
		}
		change := Change{Scenario: scenario, Variant: p.Variant, Load: p.Load.String(), Measure: m.measure, Old: a, New: b, By: b.Median/a.Median - 1}
		worse := change.By
		if !m.higherIsBad {
			worse = -worse
		}
		moved := max(b.Median-a.Median, a.Median-b.Median)
		change.Worse = worse > tolerance && moved > m.least && a.Apart(b)
		c.Changes = append(c.Changes, change)
	}
}

// Regressions counts what got worse.
func (c *Comparison) Regressions() int {
	n := len(c.Broken)
	for _, x := range c.Changes {
		if x.Worse {
			n++
		}
	}
	return n
}

// Write prints the comparison as a Markdown table. What changed by less than the tolerance, or within the spreads, is only counted.
func (c *Comparison) Write(w io.Writer, tolerance float64) error {
	var b strings.Builder
	shown := 0
	for _, x := range c.Changes {
		if !x.Old.Apart(x.New) || max(x.By, -x.By) <= tolerance {
			continue
		}
		if shown++; shown == 1 {
			b.WriteString("| scenario | variant | load | measure | old | new | change | |\n|---|---|---|---|---|---|---|---|\n")
		}
		verdict := ""
		if x.Worse {
			verdict = "**worse**"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %+.1f %% | %s |\n", x.Scenario, x.Variant, x.Load, x.Measure, Text(x.Old, 2), Text(x.New, 2), 100*x.By, verdict)
	}
	fmt.Fprintf(&b, "%d of %d figures changed by more than %.0f %% and beyond their spreads; %d got worse.\n", shown, len(c.Changes), 100*tolerance, c.Regressions())
	for _, where := range c.Broken {
		fmt.Fprintf(&b, "invalid now: %s\n", where)
	}
	if len(c.Missing) > 0 {
		fmt.Fprintf(&b, "not in the new run: %s\n", strings.Join(c.Missing, "; "))
	}
	_, err := io.WriteString(w, b.String())
	return err
}
