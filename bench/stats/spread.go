// Package stats has what the benchmark says about many numbers: the spread of a few measurements, and the distribution of many latencies.
package stats

import "slices"

// Spread is what several measurements of one thing say: their median and their ends.
type Spread struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

// SpreadOf summarises values; of none it is zero.
func SpreadOf(values []float64) Spread {
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

// Scaled is the spread in another unit.
func (s Spread) Scaled(by float64) Spread {
	return Spread{Median: s.Median * by, Min: s.Min * by, Max: s.Max * by}
}

// Apart says that two spreads have no value in common: the difference of their medians is more than chance.
func (s Spread) Apart(o Spread) bool { return s.Max < o.Min || o.Max < s.Min }
