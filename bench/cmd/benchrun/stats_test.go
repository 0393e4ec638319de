package main

import (
	"testing"
)

func TestSpreadOf(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   Spread
	}{
		{nil, Spread{}},
		{[]float64{3}, Spread{3, 3, 3}},
		{[]float64{5, 1, 3}, Spread{3, 1, 5}},
		{[]float64{4, 1, 3, 2}, Spread{2.5, 1, 4}},
	} {
		if got := spreadOf(c.values); got != c.want {
			t.Errorf("%v: found %+v, expected %+v", c.values, got, c.want)
		}
	}
}

func TestSummarise(t *testing.T) {
	s := &Scenario{Connections: []int{1, 64}, Variants: []Variant{{Name: "base"}, {Name: "other"}}}
	samples := map[key][]Sample{
		{1, "base"}:   {{Round: 1, PerSecond: 100}, {Round: 2, PerSecond: 200}, {Round: 3, PerSecond: 50, Errors: Errors{Status: 1}}},
		{1, "other"}:  {{Round: 1, PerSecond: 80}, {Round: 2, PerSecond: 180}, {Round: 3, PerSecond: 1000}},
		{64, "base"}:  {{Round: 1, PerSecond: 100, P50: 10, P99: 20, HostCPU: 5, ServerCPU: 0, Others: 0.3}},
		{64, "other"}: {{Round: 1, PerSecond: 70, Problem: "a plugin server was restarted"}},
	}
	points := summarise(s, samples)
	if len(points) != 4 {
		t.Fatalf("found %d points", len(points))
	}
	if p := points[0]; p.Valid() || p.Connections != 1 || p.Variant != "base" || p.Errors.Status != 1 {
		t.Errorf("an error must make the point invalid: %+v", p)
	}
	// The third round has no valid baseline: it gives no ratio.
	if p := points[1]; !p.Valid() || p.Ratio != (Spread{0.8500000000000001, 0.8, 0.9}) || p.PerSecond.Median != 180 {
		t.Errorf("found %+v", p)
	}
	if p := points[2]; !p.Valid() || p.Ratio.Median != 1 || p.P50.Median != 10 || p.P99.Median != 20 || p.HostCPU.Median != 5 {
		t.Errorf("found %+v", p)
	}
	if p := points[3]; p.Valid() || len(p.Problems) != 1 {
		t.Errorf("a problem must make the point invalid: %+v", p)
	}
	if got := mostOthers(points); got != 0.3 {
		t.Errorf("found %v for others", got)
	}
}

func TestNotMeasuredIsInvalid(t *testing.T) {
	if (&Point{}).Valid() {
		t.Fatal("a point without samples is valid")
	}
}
