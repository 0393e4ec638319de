package balancer

import "time"

// scan finds the place with the smallest score among those that may be used. Equal ones take turns.
func (b *Balancer) scan(v *view, c *Choice, tried []*Place, full *bool) *Place {
	n := len(v.places)
	at := int(v.next.Add(1) % uint32(max(n, 1)))
	for range n { // until one is free: another request may have taken the last connection of the best
		var best *Place
		var least float64
		for i := range n {
			p := v.places[(at+i)%n]
			if !b.may(p, c.Now, tried) {
				continue
			}
			if most := int64(b.Upstream.Breaker.MaxConnections); most > 0 && p.open.Load() >= most {
				*full = true
				continue
			}
			if score := b.score(p, c.Now); best == nil || score < least {
				best, least = p, score
			}
		}
		if best == nil {
			return nil
		}
		if b.take(best, full) {
			return best
		}
	}
	return nil
}

// score is how little a place should get the next request: the requests that it has, with latency each as long as it takes, by its weight.
func (b *Balancer) score(p *Place, now time.Time) float64 {
	open := p.open.Load()
	load := float64(open+1) / (float64(p.weight) * b.ease(p, now))
	if b.algorithm != latency {
		return load
	}
	p.mu.Lock()
	cost := p.cost.now(now)
	p.mu.Unlock()
	if cost < fastest {
		if cost = fastest; open > 0 {
			cost = unanswered
		}
	}
	return load * cost
}

// Costs in seconds under latency. fastest is that of a place of which nothing is known, or nothing of late: it is tried soon. Until it answers, its cost is
// unanswered: it takes no flood of requests meanwhile.
const fastest, unanswered = 1e-6, 3600
