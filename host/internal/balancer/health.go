package balancer

import (
	"slices"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
)

// health is the state machine of spec/gateway.md 7.5 for one place.
type health struct {
	unhealthy bool
	counts    [kinds]int
}

// kind is what a try or a check says of a place. Each is counted by itself.
type kind int

const (
	success kind = iota
	tcpFailure
	timeoutFailure
	httpFailure
	kinds int = iota
)

// state names the state as Kong's health checker does.
func (h *health) state() string {
	failures := h.counts[tcpFailure] + h.counts[timeoutFailure] + h.counts[httpFailure]
	switch {
	case h.unhealthy && h.counts[success] > 0:
		return "mostly_unhealthy"
	case h.unhealthy:
		return "unhealthy"
	case failures > 0:
		return "mostly_healthy"
	}
	return "healthy"
}

// count takes one success or failure, of which limit change the state; 0: it says nothing.
func (h *health) count(k kind, limit int) {
	if limit == 0 {
		return
	}
	if k == success {
		h.counts[tcpFailure], h.counts[timeoutFailure], h.counts[httpFailure] = 0, 0, 0
	} else {
		h.counts[success] = 0
	}
	if h.unhealthy != (k == success) {
		return // it is what is said of it
	}
	if h.counts[k]++; h.counts[k] >= limit {
		h.set(k == success)
	}
}

// set is a change by hand, or by what was counted.
func (h *health) set(healthy bool) { *h = health{unhealthy: !healthy} }

// Outcome is how a try ended.
type Outcome struct {
	Status  int           // of the response; 0: there was none
	Failed  bool          // there was none, and the place is to blame
	Timeout bool          // because it took too long
	Took    time.Duration // until the response or the failure; 0: nobody knows
}

// Report says how a try at a place ended.
func (b *Balancer) Report(p *Place, o Outcome) {
	if o.Status == 0 && !o.Failed {
		return // the client's doing
	}
	if b.algorithm == latency && (o.Failed || o.Took > 0) {
		took := o.Took
		if o.Failed {
			took = max(took, failedCost)
		}
		p.mu.Lock()
		p.cost.observe(took, time.Now())
		p.mu.Unlock()
	}
	if b.passive {
		checks := &b.Upstream.Health.Passive
		if k, limit := judge(o, checks.Type, &checks.Healthy, &checks.Unhealthy); limit > 0 {
			b.count(p, "requests", k, limit)
		}
	}
	if b.outliers {
		b.outlier(p, o)
	}
}

// failedCost is what a failed try costs at least under latency: otherwise a place that refuses at once would be the fastest of all.
const failedCost = time.Second

// judge says what an outcome is for the health of a place, and how many of its kind change that.
func judge(o Outcome, checkType string, good *entity.Successes, bad *entity.Failures) (kind, int) {
	switch {
	case o.Timeout || o.Status == 504:
		return timeoutFailure, bad.Timeouts
	case o.Failed:
		return tcpFailure, bad.TCP
	case checkType == "tcp" || checkType == "grpc" || checkType == "grpcs":
		return success, good.Successes
	}
	if _, found := slices.BinarySearch(good.Statuses, o.Status); found {
		return success, good.Successes
	}
	if _, found := slices.BinarySearch(bad.Statuses, o.Status); found {
		return httpFailure, bad.HTTP
	}
	return success, 0
}

// changeHealth changes the health of a place, and the view when that makes a difference. why is for the log.
func (b *Balancer) changeHealth(p *Place, why string, change func(*health)) {
	healthy, changed := p.change(change)
	if !changed {
		return
	}
	b.kin.changes.Add(1)
	b.rebuild()
	b.kin.freed()
	if b.logger != nil {
		said := "a target is healthy again"
		if !healthy {
			said = "a target is unhealthy"
		}
		b.logger.Warn(said, "upstream", b.Upstream.Name, "target", p.target.text, "address", p.Address(), "by", why)
	}
}

// count takes what a try or a check said of a place, unless the upstream has no checks any more: nothing would bring the place back.
func (b *Balancer) count(p *Place, why string, k kind, limit int) {
	b.changeHealth(p, why, func(h *health) {
		if !b.kin.unchecked.Load() {
			h.count(k, limit)
		}
	})
}

// change changes the health of a place, whoever has it.
func (s *state) change(change func(*health)) (healthy, changed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.health.unhealthy
	change(&s.health)
	healthy = !s.health.unhealthy
	if changed = healthy == before; changed {
		s.healthy.Store(healthy)
		if healthy {
			s.since.Store(time.Now().UnixNano())
			s.failures = run{}
		}
	}
	return healthy, changed
}

// SetHealth changes the health of the places of a target by hand, and reports whether there are some. The address may be that of one place.
func (b *Balancer) SetHealth(address string, healthy bool) bool {
	found := false
	for _, p := range b.view.Load().places {
		if p.target.text == address || p.Address() == address {
			b.changeHealth(p, "hand", func(h *health) { h.set(healthy) })
			found = true
		}
	}
	return found
}

// heal makes every place healthy, also those without a weight and those that left: the checks that said otherwise are no more, and nothing else would bring
// them back.
func (b *Balancer) heal() {
	well := func(h *health) { h.set(true) }
	for _, p := range b.view.Load().places {
		b.changeHealth(p, "the end of its checks", well)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range b.states {
		s.change(well)
	}
	for _, d := range b.left {
		d.change(well)
	}
	b.kin.changes.Add(1) // older balancers of the upstream may have them
}

// checked reports whether anything but a hand changes the health of places.
func (b *Balancer) checked() bool { return b.passive || checksActively(&b.Upstream.Health.Active) }

func checksPassively(c *entity.PassiveChecks) bool {
	return c.Healthy.Successes > 0 || c.Unhealthy.TCP > 0 || c.Unhealthy.Timeouts > 0 || c.Unhealthy.HTTP > 0
}

func checksActively(c *entity.ActiveChecks) bool {
	return c.Healthy.Interval > 0 || c.Unhealthy.Interval > 0
}
