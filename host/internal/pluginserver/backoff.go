package pluginserver

import (
	"math/rand/v2"
	"time"
)

// Backoff says how long to wait between attempts: Min, doubling to Max, back to Min after a life of Healthy. Each wait is spread by
// a fifth up and down, so that many processes that died together do not start together.
//
// To start a process is dear, and one that dies soon after its start will do so again. To connect is cheap, and who restarts an
// attached server waits for it: its waits stay short.
type Backoff struct {
	Min     time.Duration // 0 means 100 ms; attached: 50 ms
	Max     time.Duration // 0 means 10 s; attached: 1 s
	Healthy time.Duration // 0 means 30 s; attached: 1 s
}

func (b Backoff) withDefaults(managed bool) Backoff {
	defaults := Backoff{Min: 50 * time.Millisecond, Max: time.Second, Healthy: time.Second}
	if managed {
		defaults = Backoff{Min: 100 * time.Millisecond, Max: 10 * time.Second, Healthy: 30 * time.Second}
	}
	return b.or(defaults)
}

// or fills the zero fields.
func (b Backoff) or(defaults Backoff) Backoff {
	if b.Min <= 0 {
		b.Min = defaults.Min
	}
	if b.Max <= 0 {
		b.Max = defaults.Max
	}
	b.Max = max(b.Min, b.Max)
	if b.Healthy <= 0 {
		b.Healthy = defaults.Healthy
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
