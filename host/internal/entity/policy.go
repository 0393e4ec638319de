package entity

import "time"

// CallPolicy is what one level says about the calls of plugins: a plugin server, a plugin on it, or a plugin record. For what a level does not
// say, the zero value, the less specific one counts. Limits are no replacement for each other: those of every level count.
type CallPolicy struct {
	Timeout    time.Duration            // of one phase call
	Timeouts   map[string]time.Duration // by phase; the others have Timeout
	FailMode   string                   // "", open, closed
	FailStatus int                      // when a handler fails closed; 0: 500, and 503 when there is no room
	FailBody   string                   // of that answer; "": Kong's error body

	MaxInFlight int // calls at the same time; 0: the level sets no bound
	Queue       int // calls beyond it that wait for a place
	ErrorBudget ErrorBudget
}

// ErrorBudget says which failures open the breaker of a level. The zero value is none.
type ErrorBudget struct {
	Ratio         float64       // of the calls, above 0 to 1
	Calls         int           // in the window, below which nothing opens it
	Window        time.Duration // that is looked at
	OpenFor       time.Duration // how long calls are refused before it is tried again
	Probes        int           // calls that have to succeed then
	HandlerErrors bool          // errors of handlers count too, not only timeouts and servers that die
}

// TimeoutOf is the time of one call in a phase; 0: the level says nothing.
func (p *CallPolicy) TimeoutOf(phase string) time.Duration {
	if t, ok := p.Timeouts[phase]; ok {
		return t
	}
	return p.Timeout
}
