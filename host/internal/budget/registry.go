package budget

import (
	"cmp"
	"slices"
	"sync"
	"time"
)

// Scope is what a budget is of. With Plugin and Record empty it is a whole plugin server, with Record empty one plugin on it.
type Scope struct {
	Build  any // the build of the plugin server, comparable: a new one begins anew
	Server string
	Plugin string
	Record string // id
}

// Level names the scope: server, plugin or record.
func (s Scope) Level() string {
	switch {
	case s.Record != "":
		return "record"
	case s.Plugin != "":
		return "plugin"
	}
	return "server"
}

// Limits are the bounds of one scope; a zero value sets none. It is comparable.
type Limits struct {
	MaxInFlight int // 0: none
	Queue       int // calls that wait for a place
	// Errors opens the breaker; a zero Ratio is none. HandlerErrors: handlers that fail count too, not only servers that do.
	Errors        Errors
	HandlerErrors bool
}

// Phases is how many phases there may be; a budget knows them by their index.
const Phases = 8

// Budget is a limiter of one scope, and a breaker for each of its phases: a plugin that fails in one may well do its work in the others, and their
// calls say nothing about the one. The limiter, and all breakers together, may be nil.
type Budget struct {
	Scope    Scope
	Limits   Limits
	Limiter  *Limiter
	Breakers *[Phases]Breaker

	key  budgetKey
	refs int // guarded by mu of the registry
}

type budgetKey struct {
	scope  Scope
	limits Limits
}

// Registry keeps budgets for as long as somebody uses them. A generation that follows another takes its budgets over as they are; with other
// limits a budget begins anew.
type Registry struct {
	mu  sync.Mutex
	all map[budgetKey]*Budget
}

// Use finds or makes the budget of a scope. Whoever uses it says Release.
func (r *Registry) Use(s Scope, l Limits) *Budget {
	r.mu.Lock()
	defer r.mu.Unlock()
	key := budgetKey{s, l}
	b := r.all[key]
	if b == nil {
		b = &Budget{Scope: s, Limits: l, key: key}
		if l.MaxInFlight > 0 {
			b.Limiter = NewLimiter(l.MaxInFlight, l.Queue)
		}
		if l.Errors.Ratio > 0 {
			b.Breakers = new([Phases]Breaker)
			for i := range b.Breakers {
				b.Breakers[i].init(l.Errors)
			}
		}
		if r.all == nil {
			r.all = map[budgetKey]*Budget{}
		}
		r.all[key] = b
	}
	b.refs++
	return b
}

// Release ends a use.
func (r *Registry) Release(b *Budget) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if b.refs--; b.refs == 0 {
		delete(r.all, b.key)
	}
}

// Status is a budget as an operator sees it.
type Status struct {
	Level       string `json:"level"` // server, plugin, record
	Server      string `json:"-"`
	Plugin      string `json:"plugin,omitempty"`
	Record      string `json:"record,omitempty"`
	MaxInFlight int    `json:"max_in_flight,omitempty"`
	Queue       int    `json:"queue,omitempty"`
	InFlight    int    `json:"in_flight"`
	Waiting     int    `json:"waiting"`
	Refused     uint64 `json:"refused"`           // calls, by limiter and breaker
	Breaker     string `json:"breaker,omitempty"` // closed, open, half_open: the worst of its phases
	Opened      uint64 `json:"opened,omitempty"`  // how often a breaker opened
}

// Status of the budget now.
func (b *Budget) Status() Status {
	s := Status{Level: b.Scope.Level(), Server: b.Scope.Server, Plugin: b.Scope.Plugin, Record: b.Scope.Record, MaxInFlight: b.Limits.MaxInFlight, Queue: b.Limits.Queue}
	if b.Limiter != nil {
		u := b.Limiter.Usage()
		s.InFlight, s.Waiting, s.Refused = u.InFlight, u.Waiting, u.Refused
	}
	if b.Breakers != nil {
		worst := StateClosed
		for i := range b.Breakers {
			state, opened, refused := b.Breakers[i].State()
			s.Opened += opened
			s.Refused += refused
			if state == StateOpen || worst == StateClosed {
				worst = state
			}
		}
		s.Breaker = worst.String()
	}
	return s
}

// Status lists the budgets of one build of a plugin server, those of the whole server first.
func (r *Registry) Status(build any, server string) []Status {
	r.mu.Lock()
	var list []Status
	for _, b := range r.all {
		if b.Scope.Server == server && b.Scope.Build == build {
			list = append(list, b.Status())
		}
	}
	r.mu.Unlock()
	slices.SortFunc(list, func(a, b Status) int {
		return cmp.Or(cmp.Compare(a.Plugin, b.Plugin), cmp.Compare(a.Record, b.Record), cmp.Compare(b.InFlight, a.InFlight))
	})
	return list
}

// Chain are the budgets that one instance is under, from the plugin server to its record; nil: none.
type Chain []*Budget

// MaxChain is how many budgets an instance may be under.
const MaxChain = 3

// Entry is a call inside its budgets.
type Entry struct {
	phase   int
	tickets [MaxChain]Ticket
}

// Denied is why a call may not begin.
type Denied struct {
	Budget *Budget
	// Full and Waited are of the limiter; otherwise the breaker is open and Wait says how long.
	Full, Waited bool
	Wait         time.Duration
}

// Enter takes a place for a call of a phase in every budget. Breakers are asked first: nobody waits for a place to be refused then.
func (c Chain) Enter(e *Entry, phase int, now, deadline time.Time) (denied Denied, ok bool) {
	e.phase = phase
	for i, b := range c {
		if b.Breakers == nil {
			continue
		}
		t, wait, ok := b.Breakers[phase].Allow(now)
		if !ok {
			c[:i].allowed(e, now)
			return Denied{Budget: b, Wait: wait}, false
		}
		e.tickets[i] = t
	}
	for i, b := range c {
		if b.Limiter == nil {
			continue
		}
		if err := b.Limiter.Enter(deadline); err != nil {
			c[:i].leave()
			c.allowed(e, now)
			return Denied{Budget: b, Full: err == ErrFull, Waited: err == ErrWaited}, false
		}
	}
	return Denied{}, true
}

// Busy reports whether Enter would deny a call at the time now. It takes nothing.
func (c Chain) Busy(phase int, now time.Time) bool {
	for _, b := range c {
		if b.Limiter != nil && b.Limiter.full() || b.Breakers != nil && b.Breakers[phase].stopped(now) {
			return true
		}
	}
	return false
}

// Open reports whether no call of a phase has to wait or is refused: nothing bounds those in flight, and all breakers are closed.
func (c Chain) Open(phase int) bool {
	for _, b := range c {
		if b.Limiter != nil || b.Breakers != nil && Ticket(b.Breakers[phase].term.Load()).state() != StateClosed {
			return false
		}
	}
	return true
}

// Queues reports whether a call may have waited in Enter.
func (c Chain) Queues() bool {
	for _, b := range c {
		if b.Limits.Queue > 0 {
			return true
		}
	}
	return false
}

// allowed takes calls back that breakers have let pass.
func (c Chain) allowed(e *Entry, now time.Time) {
	for i, b := range c {
		if b.Breakers != nil {
			b.Breakers[e.phase].Done(e.tickets[i], now, Neither)
		}
	}
}

func (c Chain) leave() {
	for _, b := range c {
		if b.Limiter != nil {
			b.Limiter.Leave()
		}
	}
}

// Leave ends a call that Enter let in, at the time now. handler says that a failure is the handler's own.
func (c Chain) Leave(e *Entry, now time.Time, r Result, handler bool) {
	for i, b := range c {
		if b.Breakers != nil {
			counts := r
			if r == Failure && handler && !b.Limits.HandlerErrors {
				counts = Success
			}
			b.Breakers[e.phase].Done(e.tickets[i], now, counts)
		}
	}
	c.leave()
}
