package admin

// Upgrader has another process take over from this one.
type Upgrader interface {
	// Upgrade starts the program again, as it is on disk by now, and waits until the new process serves. An error says that this one goes on; one that is
	// a *Refusal says what to answer.
	Upgrade() (Upgraded, error)
}

// Upgraded is the process that has taken over, and the answer to an upgrade.
type Upgraded struct {
	PID     int     `json:"pid"`
	Version string  `json:"version"`
	Took    float64 `json:"took_ms"`
}

// upgrade answers POST /upgrade.
func (s *Server) upgrade(r *Request) Answer {
	return ordered(r, func(took func() float64) (any, error) {
		done, err := s.gateway.Upgrade()
		done.Took = took()
		return done, err
	})
}
