package pluginserver

import (
	"cmp"
	"strings"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/budget"
)

// State says whether a server takes calls.
type State struct {
	Server string `json:"server"`
	Ready  bool   `json:"ready"`
	State  string `json:"state"`            // starting, ready, down, crash_loop, draining, stopping
	Reason string `json:"reason,omitempty"` // why it is not ready
	Err    error  `json:"-"`                // the reason as an error
	// Degraded: it is ready, but a process is missing, or lacks an instance that it refused.
	Degraded bool `json:"degraded"`
	// NextAttempt is when the first of its processes is started again; zero: it is ready, or a start runs.
	NextAttempt time.Time `json:"next_attempt,omitzero"`
}

// Status is a server as an operator sees it.
type Status struct {
	State
	Managed   bool     `json:"managed"`
	Address   string   `json:"address,omitempty"` // attached; several are separated by spaces
	Carrier   string   `json:"carrier"`
	Plugins   []string `json:"plugins"`
	Instances int      `json:"instances"`
	InFlight  int64    `json:"in_flight"`
	Shed      uint64   `json:"shed"` // calls refused because of max_in_flight
	Fused     Fused    `json:"fused"`
	// Budgets are the limits of the server, of its plugins and of their records, as far as any are set.
	Budgets   []budget.Status `json:"budgets"`
	Processes []ProcessStatus `json:"processes"`
	Recycled  int             `json:"recycled"` // processes replaced because of what `recycle` says
	// Retired is how many older builds still serve requests that began with them.
	Retired int `json:"retired"`
	// Build is the number of the build that is current, from 1.
	Build int `json:"build"`
	// Canary is the new build that takes a share of the requests; nil: none. Replacement is how the last attempt to replace the build went; nil: there
	// was none. The host fills both.
	Canary      *Canary      `json:"canary,omitempty"`
	Replacement *Replacement `json:"replacement,omitempty"`
}

// Fused counts the calls that carried several steps.
type Fused struct {
	Calls uint64 `json:"calls"`
	Steps uint64 `json:"steps"` // of these calls, that ran
}

// ProcessStatus is one process of a server.
type ProcessStatus struct {
	Number      int       `json:"number"` // of the process within its server, from 0; its successors have the same
	PID         uint32    `json:"pid,omitempty"`
	Address     string    `json:"address,omitempty"` // attached
	State       string    `json:"state"`
	Reason      string    `json:"reason,omitempty"`
	Since       time.Time `json:"since"`
	NextAttempt time.Time `json:"next_attempt,omitzero"` // when it is started again; zero: it lives, or a start runs
	Starts      int       `json:"starts"`                // attempts to start or connect
	Restarts    int       `json:"restarts"`              // of starts: those after an end or a failure
	Recycled    int       `json:"recycled"`              // of starts: successors that took the place of a worn process
	Health      string    `json:"health,omitempty"`      // ok, failing (checks), silent (no call is answered in time)
	SDK         string    `json:"sdk,omitempty"`
	Lanes       int       `json:"lanes"`
	InFlight    int       `json:"in_flight"`
	Calls       uint64    `json:"calls"`                  // that this process has taken
	RSSBytes    uint64    `json:"rss_bytes,omitempty"`    // managed: resident memory with descendants, at the last health check
	OpenFiles   int       `json:"open_files,omitempty"`   // managed: descriptors, at the last health check
	MemoryBytes uint64    `json:"memory_bytes,omitempty"` // managed: what its cgroup uses now, page cache included
	Isolation   []Measure `json:"isolation,omitempty"`    // managed: what keeps the process apart, and what is not available
	// Failed are the instances that the process refused or did not answer for.
	Failed map[uint64]string `json:"failed,omitempty"`
}

// state of the server as a whole; mu is held.
func (s *Server) state() string {
	if s.stopping {
		return StateStopping
	}
	state := StateStarting
	for _, p := range s.peers {
		switch p.state {
		case StateReady:
			return StateReady
		case StateEjected:
			if len(p.lanes) > 0 { // better than nothing
				return StateReady
			}
		case StateDraining:
			state = StateDraining
		case StateCrashLoop:
			state = StateCrashLoop
		case StateDown:
			if state == StateStarting {
				state = StateDown
			}
		}
	}
	return state
}

// reason why the server is not ready; mu is held.
func (s *Server) reason() error {
	if s.stopping {
		return errStopping
	}
	state := s.state()
	for _, p := range s.peers {
		if p.cause != nil && (p.state == state || state == StateReady) {
			return p.cause
		}
	}
	return errNoAnswerYet
}

// current is the state of the server; mu is held.
func (s *Server) current() State {
	c := State{Server: s.cfg.Name, Ready: s.ready, State: s.state()}
	for _, p := range s.peers {
		switch {
		case c.Ready:
			c.Degraded = c.Degraded || p.state != StateReady || p.life != nil && p.life.incomplete()
		case !p.attempt.IsZero() && (c.NextAttempt.IsZero() || p.attempt.Before(c.NextAttempt)):
			c.NextAttempt = p.attempt
		}
	}
	if !c.Ready {
		c.Err = s.reason()
		c.Reason = c.Err.Error()
	}
	return c
}

// State of the server now.
func (s *Server) State() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.current()
}

// Status of the server now.
func (s *Server) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := Status{
		State: s.current(), Managed: s.cfg.Managed(), Address: strings.Join(s.cfg.Addresses, " "), Carrier: s.cfg.Carrier,
		Plugins: []string{}, Instances: len(s.instances), Budgets: []budget.Status{s.budget()}, Build: s.number,
	}
	st.InFlight, st.Shed = int64(st.Budgets[0].InFlight), st.Budgets[0].Refused
	st.Fused = Fused{s.fusedCalls.Load(), s.fusedSteps.Load()}
	for _, m := range s.manifests {
		st.Plugins = append(st.Plugins, m.Name)
	}
	for _, p := range s.peers {
		st.Recycled += p.recycled
		ps := p.status()
		st.Processes = append(st.Processes, ps)
	}
	return st
}

// status of one process; the server's mu is held.
func (p *peer) status() ProcessStatus {
	ps := ProcessStatus{
		Number: p.number, Address: p.address(), State: p.state, Since: p.since, NextAttempt: p.attempt, Lanes: len(p.lanes),
		Starts: p.starts, Restarts: p.restarts, Recycled: p.recycled,
	}
	if i := p.server.iso; i != nil {
		ps.Isolation = i.measures
	}
	if p.cause != nil {
		ps.Reason = p.cause.Error()
	}
	for _, l := range p.lanes {
		ps.InFlight += l.InFlight()
	}
	l := p.life
	if l == nil {
		return ps
	}
	ps.PID, ps.SDK, ps.Calls, ps.Health = l.pid, l.desc.sdk, l.pulse.calls.Load(), l.pulse.health()
	ps.RSSBytes, ps.OpenFiles = l.usage.rss, l.usage.files
	if l.link.memory != nil {
		ps.MemoryBytes = l.link.memory()
	}
	for id, a := range l.applied {
		if a.err != nil {
			if ps.Failed == nil {
				ps.Failed = map[uint64]string{}
			}
			ps.Failed[id] = a.err.Error()
		}
	}
	return ps
}

// budget is the status of the limiter of the server.
func (s *Server) budget() budget.Status {
	u := s.room.Usage()
	return budget.Status{Level: "server", Server: s.cfg.Name, MaxInFlight: s.cfg.MaxInFlight, Queue: s.cfg.Queue, InFlight: u.InFlight, Waiting: u.Waiting, Refused: u.Refused}
}

// withBudgets puts the limiter of a server and the budgets that the host keeps for it together. The breaker of the server joins its limiter.
func withBudgets(server budget.Status, others []budget.Status) []budget.Status {
	list := []budget.Status{server}
	for _, b := range others {
		if b.Level == "server" {
			list[0].Breaker, list[0].Opened = b.Breaker, list[0].Opened+b.Opened
			list[0].Refused += b.Refused
		} else {
			list = append(list, b)
		}
	}
	return list
}

// Ready gives the state of every server, by name.
func (ss *Servers) Ready() []State {
	servers := ss.Current()
	list := make([]State, len(servers))
	for i, s := range servers {
		list[i] = s.State()
	}
	return list
}

// Status gives the status of every server, by name.
func (ss *Servers) Status() []Status {
	servers := ss.Current()
	list := make([]Status, len(servers))
	for i, s := range servers {
		list[i] = s.Status()
		if ss.opts.Budgets != nil {
			list[i].Budgets = withBudgets(list[i].Budgets[0], ss.opts.Budgets(s, s.cfg.Name))
		}
		list[i].Retired = ss.retiredOf(s.cfg.Name)
	}
	return list
}

func byName(a, b *Server) int {
	return cmp.Compare(strings.ToLower(a.cfg.Name), strings.ToLower(b.cfg.Name))
}
