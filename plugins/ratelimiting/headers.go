package ratelimiting

import (
	"strconv"

	"github.com/outrigger-gateway/outrigger/pdk"
)

// Headers for each period.
var (
	limitHeaders = [periods]string{
		"X-RateLimit-Limit-Second", "X-RateLimit-Limit-Minute", "X-RateLimit-Limit-Hour",
		"X-RateLimit-Limit-Day", "X-RateLimit-Limit-Month", "X-RateLimit-Limit-Year",
	}
	remainingHeaders = [periods]string{
		"X-RateLimit-Remaining-Second", "X-RateLimit-Remaining-Minute", "X-RateLimit-Remaining-Hour",
		"X-RateLimit-Remaining-Day", "X-RateLimit-Remaining-Month", "X-RateLimit-Remaining-Year",
	}
)

// tell tells the client what is left.
func (in *instance) tell(k *pdk.PDK, v *verdict) error {
	// All numbers are parts of one string, for one allocation.
	var room [periods*24 + 24]byte
	var ends [periods]int
	text := room[:0]
	for p, limit := range v.limits {
		if limit != 0 {
			text = strconv.AppendFloat(text, v.remaining(p), 'f', -1, 64)
		}
		ends[p] = len(text)
	}
	tightest := v.tightest()
	all := string(strconv.AppendInt(text, v.reset(tightest), 10))
	reset := all[ends[periods-1]:]

	remaining, begin := "", 0
	for p, limit := range v.limits {
		if limit == 0 {
			continue
		}
		left := all[begin:ends[p]]
		begin = ends[p]
		if p == tightest {
			remaining = left
		}
		if err := set(k, limitHeaders[p], in.limit[p], remainingHeaders[p], left); err != nil {
			return err
		}
	}
	if err := set(k, "RateLimit-Limit", in.limit[tightest], "RateLimit-Remaining", remaining, "RateLimit-Reset", reset); err != nil {
		return err
	}
	if v.blocked {
		return k.Response.SetHeader("Retry-After", reset)
	}
	return nil
}

// set sets headers, given as names and values in turn.
func set(k *pdk.PDK, pairs ...string) error {
	for i := 0; i < len(pairs); i += 2 {
		if err := k.Response.SetHeader(pairs[i], pairs[i+1]); err != nil {
			return err
		}
	}
	return nil
}
