package pluginserver

import (
	"math/rand/v2"
	"time"
)

// Backoff says how long to wait between attempts: Min, doubling to Max, back to Min after a life of Healthy. Each wait is spread by
// a fifth up and down, so that many processes that died together do not start together.
type Backoff struct {
	Min     time.Duration // 0 means 100 ms
	Max     time.Duration // 0 means 10 s
	Healthy time.Duration // 0 means 30 s
}

func (b Backoff) withDefaults() Backoff {
	if b.Min <= 0 {
		b.Min = 100 * time.Millisecond
	}
	if b.Max <= 0 {
		b.Max = 10 * time.Second
	}
	b.Max = max(b.Min, b.Max)
	if b.Healthy <= 0 {
		b.Healthy = 30 * time.Second
	}
	return b
}

// waits is the back-off of one peer.
type waits struct {
	Backoff
	next time.Duration
}

// wait returns the next wait, after something lived for the given time.
func (w *waits) wait(lived time.Duration) time.Duration {
	if w.next == 0 || lived >= w.Healthy {
		w.next = w.Min
	}
	d := w.next
	w.next = min(2*w.next, w.Max)
	return d - d/5 + rand.N(2*d/5+1)
}
