package ratelimiting

import "time"

// The periods that can be limited, shortest first.
const (
	second = iota
	minute
	hour
	day
	month
	year
	periods // their number
)

var (
	names = [periods]string{"second", "minute", "hour", "day", "month", "year"}
	// lengths are the seconds of a period. Months and years count as 30 and 365 days in RateLimit-Reset, as in Kong; their windows are those of the calendar.
	lengths = [periods]int64{1, 60, 3600, 86400, 2592000, 31536000}
)

// limits are numbers of requests by period; 0: no limit.
type limits [periods]float64

// windowStart is when the window began that t is in, in seconds since the epoch. Windows follow the calendar of UTC.
func windowStart(period int, t time.Time) int64 {
	switch period {
	case month:
		t = t.UTC()
		return time.Date(t.Year(), t.Month(), 1, 0, 0, 0, 0, time.UTC).Unix()
	case year:
		return time.Date(t.UTC().Year(), 1, 1, 0, 0, 0, 0, time.UTC).Unix()
	}
	now := t.Unix()
	return now - now%lengths[period]
}

// verdict is what became of one request.
type verdict struct {
	limits  limits
	blocked bool
	used    [periods]int64 // requests before this one, in the current window
	elapsed [periods]int64 // seconds since the window began
}

// remaining is how many requests of a period are left after this one.
func (v *verdict) remaining(period int) float64 {
	left := v.limits[period] - float64(v.used[period])
	if !v.blocked {
		left--
	}
	return max(0, left)
}

// reset is when the window of a period ends, in seconds from now, at least 1.
func (v *verdict) reset(period int) int64 {
	return max(1, lengths[period]-v.elapsed[period])
}

// tightest is the period with the least remaining requests, the longest of several.
func (v *verdict) tightest() int {
	found := -1
	for p, limit := range v.limits {
		if limit > 0 && (found < 0 || v.remaining(p) <= v.remaining(found)) {
			found = p
		}
	}
	return found
}
