package pluginserver

import (
	"cmp"
	"strings"
	"time"
)

// State says whether a server takes calls.
type State struct {
	Server string `json:"server"`
	Ready  bool   `json:"ready"`
	State  string `json:"state"`            // starting, ready, down, stopping
	Reason string `json:"reason,omitempty"` // why it is not ready
	Err    error  `json:"-"`                // the reason as an error
}

// Status is a server as an operator sees it.
type Status struct {
	State
	Managed   bool            `json:"managed"`
	Address   string          `json:"address,omitempty"` // attached
	Carrier   string          `json:"carrier"`
	Plugins   []string        `json:"plugins"`
	Instances int             `json:"instances"`
	InFlight  int64           `json:"in_flight"`
	Shed      uint64          `json:"shed"` // calls refused because of max_in_flight
	Processes []ProcessStatus `json:"processes"`
	// Retired is how many older builds still serve requests that began with them.
	Retired int `json:"retired"`
}

// ProcessStatus is one process of a server.
type ProcessStatus struct {
	PID      uint32    `json:"pid,omitempty"`
	State    string    `json:"state"`
	Reason   string    `json:"reason,omitempty"`
	Since    time.Time `json:"since"`
	Starts   int       `json:"starts"` // attempts to start or connect
	SDK      string    `json:"sdk,omitempty"`
	Lanes    int       `json:"lanes"`
	InFlight int       `json:"in_flight"`
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
		case StateDown:
			state = StateDown
		}
	}
	return state
}

// reason why the server is not ready; mu is held.
func (s *Server) reason() error {
	if s.stopping {
		return errStopping
	}
	for _, p := range s.peers {
		if p.cause != nil {
			return p.cause
		}
	}
	return errNoAnswerYet
}

// current is the state of the server; mu is held.
func (s *Server) current() State {
	c := State{Server: s.cfg.Name, Ready: s.ready, State: s.state()}
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
		State: s.current(), Managed: s.cfg.Managed(), Address: s.cfg.Address, Carrier: s.cfg.Carrier,
		Plugins: []string{}, Instances: len(s.instances), InFlight: s.inFlight.Load(), Shed: s.shed.Load(),
	}
	for _, m := range s.manifests {
		st.Plugins = append(st.Plugins, m.Name)
	}
	for _, p := range s.peers {
		ps := ProcessStatus{State: p.state, Since: p.since, Starts: p.starts, Lanes: len(p.lanes)}
		if p.cause != nil {
			ps.Reason = p.cause.Error()
		}
		for _, l := range p.lanes {
			ps.InFlight += l.InFlight()
		}
		if l := p.life; l != nil {
			ps.PID, ps.SDK = l.pid, l.desc.sdk
			for id, a := range l.applied {
				if a.err != nil {
					if ps.Failed == nil {
						ps.Failed = map[uint64]string{}
					}
					ps.Failed[id] = a.err.Error()
				}
			}
		}
		st.Processes = append(st.Processes, ps)
	}
	return st
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
		list[i].Retired = ss.retiredOf(s.cfg.Name)
	}
	return list
}

func byName(a, b *Server) int {
	return cmp.Compare(strings.ToLower(a.cfg.Name), strings.ToLower(b.cfg.Name))
}
