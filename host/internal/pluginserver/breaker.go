package pluginserver

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// Bounds of a CrashLoop that leaves them zero.
const (
	DefaultCrashDeaths = 5
	DefaultCrashWithin = time.Minute
	DefaultCrashHold   = 30 * time.Second
)

// maxHolds bounds the hold: it doubles up to so many times the first one.
const maxHolds = 16

// CrashLoop says when a process that dies again and again is left alone, and for how long. Deaths are counted for each process of a server on its
// own: eight processes that die together once are no crash loop.
type CrashLoop struct {
	Deaths int           // that open the breaker; 0 means 5; below 0: there is no breaker, and the back-off alone slows the starts
	Within time.Duration // in which they happen, and how long a probe has to live to close it again; 0 means 1 m
	Hold   time.Duration // for which nothing is started; it doubles with each probe that dies, up to 16 times itself; 0 means 30 s
}

func (c CrashLoop) withDefaults() CrashLoop {
	if c.Deaths == 0 {
		c.Deaths = DefaultCrashDeaths
	}
	if c.Within <= 0 {
		c.Within = DefaultCrashWithin
	}
	if c.Hold <= 0 {
		c.Hold = DefaultCrashHold
	}
	return c
}

// breaker decides when one process is started again. Back-off and crash loop are one wait: the back-off spaces the first attempts, and once the
// deaths come too thick the hold takes its place. After a hold one start is made, the probe. If that dies before it has lived for Within, the
// next hold is twice as long; if it lives, all is forgotten.
type breaker struct {
	CrashLoop
	waits  waits
	deaths []time.Time   // the last ones within Within, the oldest first
	hold   time.Duration // the last one; 0: closed
}

// died notes that the process has ended, or did not come up, after it has taken calls for lived. It returns how long to wait, and whether that is
// a hold.
func (b *breaker) died(now time.Time, lived time.Duration) (wait time.Duration, held bool) {
	wait = b.waits.wait(lived)
	if b.Deaths < 0 {
		return wait, false
	}
	if lived >= b.Within {
		b.hold, b.deaths = 0, nil
	}
	first := 0
	for first < len(b.deaths) && now.Sub(b.deaths[first]) > b.Within {
		first++
	}
	b.deaths = append(b.deaths[first:], now)
	switch {
	case b.hold > 0:
		b.hold = min(2*b.hold, maxHolds*b.Hold)
	case len(b.deaths) >= b.Deaths:
		b.hold = b.Hold
	default:
		return wait, false
	}
	b.deaths = nil
	return b.hold + rand.N(b.hold/10+1), true // processes that were held together are not started together
}

// said puts an open breaker into words; last is the last death.
func (b *breaker) said(next time.Time, last error) error {
	how := fmt.Sprintf("%d deaths within %v", b.Deaths, b.Within)
	if b.hold > b.Hold {
		how = fmt.Sprintf("it died again within %v", b.Within)
	}
	return fmt.Errorf("crash loop: %s; nothing is started before %s; the last: %w", how, next.Format(time.RFC3339), last)
}
