package balancer

import (
	"net"
	"strconv"
	"time"
)

// Status is an upstream as operators see it.
type Status struct {
	Name      string         `json:"name"`
	Algorithm string         `json:"algorithm"`
	Health    string         `json:"health"`            // HEALTHY, UNHEALTHY, DNS_ERROR, HEALTHCHECKS_OFF
	Available float64        `json:"available_percent"` // of the weight
	Targets   []TargetStatus `json:"targets"`

	InFlight  int64  `json:"in_flight"` // requests
	Pending   int64  `json:"pending"`   // that wait for a connection
	Retries   uint64 `json:"retries"`
	Denied    uint64 `json:"retries_denied"` // by the retry budget
	Overflows uint64 `json:"overflows"`      // requests for which no target had a connection
	Ejections uint64 `json:"ejections"`
}

// TargetStatus is one target of an upstream.
type TargetStatus struct {
	Target    string        `json:"target"`
	Weight    int           `json:"weight"`
	Health    string        `json:"health"`          // HEALTHY, UNHEALTHY, DNS_ERROR, HEALTHCHECKS_OFF
	Error     string        `json:"error,omitempty"` // why its name does not resolve; it may have addresses of before
	Addresses []PlaceStatus `json:"addresses"`
}

// PlaceStatus is one address that a target stands for.
type PlaceStatus struct {
	Address  string `json:"address"`
	Weight   int    `json:"weight"`
	Health   string `json:"health"` // HEALTHY, UNHEALTHY, HEALTHCHECKS_OFF
	State    string `json:"state"`  // healthy, mostly_healthy, mostly_unhealthy, unhealthy
	InFlight int64  `json:"in_flight"`
	// EjectedFor is how many seconds more the address gets no requests because it kept failing.
	EjectedFor float64 `json:"ejected_for,omitempty"`
	// LatencyMS is what algorithm latency compares, milliseconds.
	LatencyMS float64 `json:"latency_ms,omitempty"`
}

const (
	reportHealthy   = "HEALTHY"
	reportUnhealthy = "UNHEALTHY"
	reportDNS       = "DNS_ERROR"
	reportOff       = "HEALTHCHECKS_OFF"
)

// Status is the balancer now.
func (b *Balancer) Status() Status {
	v, now := b.latest(), time.Now()
	s := Status{
		Name: b.Upstream.Name, Algorithm: b.Upstream.Algorithm, Available: v.share, Targets: []TargetStatus{},
		InFlight: b.active.Load(), Pending: b.pending.Load(), Retries: b.retries.Load(), Denied: b.denied.Load(),
		Overflows: b.overflows.Load(), Ejections: b.ejected.Load(),
	}
	report := func(healthy bool) string {
		switch {
		case !b.checked():
			return reportOff
		case healthy:
			return reportHealthy
		}
		return reportUnhealthy
	}
	if s.Health = report(v.usable); len(v.places) == 0 && v.err != nil {
		s.Health = reportDNS
	}
	b.mu.Lock()
	for _, t := range b.targets {
		ts := TargetStatus{Target: t.text, Weight: t.weight, Addresses: []PlaceStatus{}}
		switch {
		case t.err != nil && t.answer == nil:
			ts.Health, ts.Error = reportDNS, t.err.Error()
		case t.err != nil:
			ts.Error = t.err.Error()
		}
		s.Targets = append(s.Targets, ts)
	}
	b.mu.Unlock()
	healthy := make([]bool, len(b.targets))
	for _, p := range v.places {
		ts := &s.Targets[p.target.index]
		ts.Addresses = append(ts.Addresses, p.status(now, report))
		healthy[p.target.index] = healthy[p.target.index] || p.healthy.Load()
	}
	for i := range s.Targets {
		switch ts := &s.Targets[i]; {
		case ts.Health != "":
		case ts.Weight == 0:
			ts.Health = reportOff // nobody asks it, and it gets no requests
		default:
			ts.Health = report(healthy[i] || len(ts.Addresses) == 0)
		}
	}
	return s
}

func (p *Place) status(now time.Time, report func(healthy bool) string) PlaceStatus {
	p.mu.Lock()
	defer p.mu.Unlock()
	ps := PlaceStatus{
		Address: net.JoinHostPort(p.Host, strconv.Itoa(p.Port)), Weight: p.weight, Health: report(!p.health.unhealthy), State: p.health.state(),
		InFlight: p.open.Load(), LatencyMS: p.cost.now(now) * 1000,
	}
	if p.away(now) {
		ps.EjectedFor = time.Unix(0, p.until.Load()).Sub(now).Seconds()
	}
	return ps
}

// Up reports whether the address may get requests.
func (p *PlaceStatus) Up() bool {
	return (p.State == "healthy" || p.State == "mostly_healthy") && p.EjectedFor == 0
}
