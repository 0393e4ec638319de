package ratelimiting

import (
	"testing"
	"time"
)

func at(t *testing.T, text string) time.Time {
	t.Helper()
	v, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestWindows(t *testing.T) {
	for _, c := range []struct {
		now  string
		want [periods]string // when the windows began
	}{
		{"2026-03-05T07:08:09.999Z", [periods]string{
			"2026-03-05T07:08:09Z", "2026-03-05T07:08:00Z", "2026-03-05T07:00:00Z", "2026-03-05T00:00:00Z", "2026-03-01T00:00:00Z", "2026-01-01T00:00:00Z",
		}},
		{"2024-02-29T23:59:59.5Z", [periods]string{
			"2024-02-29T23:59:59Z", "2024-02-29T23:59:00Z", "2024-02-29T23:00:00Z", "2024-02-29T00:00:00Z", "2024-02-01T00:00:00Z", "2024-01-01T00:00:00Z",
		}},
		{"2024-12-31T23:59:59Z", [periods]string{
			"2024-12-31T23:59:59Z", "2024-12-31T23:59:00Z", "2024-12-31T23:00:00Z", "2024-12-31T00:00:00Z", "2024-12-01T00:00:00Z", "2024-01-01T00:00:00Z",
		}},
		{"2025-01-01T00:00:00Z", [periods]string{
			"2025-01-01T00:00:00Z", "2025-01-01T00:00:00Z", "2025-01-01T00:00:00Z", "2025-01-01T00:00:00Z", "2025-01-01T00:00:00Z", "2025-01-01T00:00:00Z",
		}},
		// Elsewhere it is another day, month and year already.
		{"2025-01-01T05:30:00+05:45", [periods]string{
			"2024-12-31T23:45:00Z", "2024-12-31T23:45:00Z", "2024-12-31T23:00:00Z", "2024-12-31T00:00:00Z", "2024-12-01T00:00:00Z", "2024-01-01T00:00:00Z",
		}},
	} {
		for p, want := range c.want {
			if got := time.Unix(windowStart(p, at(t, c.now)), 0).UTC().Format(time.RFC3339); got != want {
				t.Errorf("%s: the %s began at %s, want %s", c.now, names[p], got, want)
			}
		}
	}
}

func TestVerdict(t *testing.T) {
	for _, c := range []struct {
		name      string
		v         verdict
		tightest  int
		remaining [periods]float64
		reset     int64
	}{
		{"one period", verdict{limits: limits{minute: 5}, used: [periods]int64{minute: 1}, elapsed: [periods]int64{minute: 20}}, minute, [periods]float64{minute: 3}, 40},
		{"the least", verdict{limits: limits{minute: 5, hour: 9}, used: [periods]int64{hour: 8}}, hour, [periods]float64{minute: 4}, 3600},
		{"the longest of equals", verdict{limits: limits{second: 5, minute: 5, hour: 9}, used: [periods]int64{hour: 1}}, minute, [periods]float64{second: 4, minute: 4, hour: 7}, 60},
		{"blocked: the others are not reduced", verdict{limits: limits{minute: 2, hour: 9}, blocked: true, used: [periods]int64{minute: 2, hour: 3}}, minute, [periods]float64{hour: 6}, 60},
		{"blocked by both", verdict{limits: limits{minute: 2, hour: 2}, blocked: true, used: [periods]int64{minute: 2, hour: 2}}, hour, [periods]float64{}, 3600},
		{"part of a request", verdict{limits: limits{minute: 2.5}, used: [periods]int64{minute: 1}}, minute, [periods]float64{minute: 0.5}, 60},
		{"never below 0", verdict{limits: limits{minute: 2.5}, used: [periods]int64{minute: 2}}, minute, [periods]float64{}, 60},
		{"the 31st of a month", verdict{limits: limits{month: 2}, elapsed: [periods]int64{month: 30*86400 + 5}}, month, [periods]float64{month: 1}, 1},
		{"the end of a second", verdict{limits: limits{second: 2}}, second, [periods]float64{second: 1}, 1},
	} {
		if got := c.v.tightest(); got != c.tightest {
			t.Errorf("%s: the tightest is %d, want %d", c.name, got, c.tightest)
		}
		for p, limit := range c.v.limits {
			if got := c.v.remaining(p); limit > 0 && got != c.remaining[p] {
				t.Errorf("%s: %v remain of the %s, want %v", c.name, got, names[p], c.remaining[p])
			}
		}
		if got := c.v.reset(c.tightest); got != c.reset {
			t.Errorf("%s: reset in %d, want %d", c.name, got, c.reset)
		}
	}
}
