package balancer

import "time"

// run counts failures of a place that came one after another.
type run struct{ errors, gateway int }

// outlier counts a try for outlier detection, and ejects its place when too many failed in a row.
func (b *Balancer) outlier(p *Place, o Outcome) {
	limits := &b.Upstream.Outliers
	gateway := o.Failed || o.Status >= 502 && o.Status <= 504
	if !gateway && o.Status < 500 {
		p.mu.Lock()
		p.failures = run{}
		p.mu.Unlock()
		return
	}
	now := time.Now()
	if p.away(now) {
		return // it was sent before that
	}
	p.mu.Lock()
	p.failures.errors++
	if gateway {
		p.failures.gateway++
	} else {
		p.failures.gateway = 0
	}
	over := limits.Consecutive5xx > 0 && p.failures.errors >= limits.Consecutive5xx ||
		limits.ConsecutiveGatewayFailure > 0 && p.failures.gateway >= limits.ConsecutiveGatewayFailure
	p.mu.Unlock()
	if over {
		b.eject(p, now)
	}
}

// eject takes a place away for a time that grows each time, unless too much of the weight would be away.
func (b *Balancer) eject(p *Place, now time.Time) {
	limits := &b.Upstream.Outliers
	b.mu.Lock()
	defer b.mu.Unlock()
	total, away := 0, p.weight
	for _, other := range b.view.Load().places {
		total += other.weight
		if other.state != p.state && other.away(now) {
			away += other.weight
		}
	}
	if away*100 > total*limits.MaxEjectionPercent || p.away(now) {
		return
	}
	p.mu.Lock()
	if p.ejections > 0 { // one is forgotten for each base time that it stayed well
		p.ejections = max(0, p.ejections-int(now.Sub(p.returned)/limits.BaseEjection))
	}
	p.ejections++
	span := min(time.Duration(p.ejections)*limits.BaseEjection, max(limits.MaxEjection, limits.BaseEjection))
	p.failures, p.returned = run{}, now.Add(span)
	p.until.Store(p.returned.UnixNano())
	if b.slow {
		p.since.Store(p.returned.UnixNano())
	}
	p.mu.Unlock()
	b.ejected.Add(1)
	if b.logger != nil {
		b.logger.Warn("a target is ejected", "upstream", b.Upstream.Name, "target", p.target.text, "address", p.Address(), "for", span.String())
	}
}
