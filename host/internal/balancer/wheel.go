package balancer

import (
	"cmp"
	"slices"
)

// longestWheel bounds the wheel of weights that have no common divisor: beyond, shares are rounded.
const longestWheel = 1 << 14

// wheel is the order of round-robin: every healthy place as often as its weight, reduced by the greatest common divisor of all, and as far apart as
// that allows.
func wheel(places []*Place) []uint32 {
	divisor, sum := 0, 0
	for _, p := range places {
		if p.healthy.Load() {
			divisor, sum = gcd(divisor, p.weight), sum+p.weight
		}
	}
	if sum == 0 {
		return nil
	}
	type turn struct {
		at    float64
		place uint32
	}
	scale := 1 / float64(divisor)
	if sum/divisor > longestWheel {
		scale = longestWheel / float64(sum)
	}
	var turns []turn
	for i, p := range places {
		if !p.healthy.Load() {
			continue
		}
		n := max(1, int(float64(p.weight)*scale+0.5))
		for k := range n {
			turns = append(turns, turn{(float64(k) + 0.5) / float64(n), uint32(i)})
		}
	}
	slices.SortStableFunc(turns, func(a, b turn) int { return cmp.Compare(a.at, b.at) })
	order := make([]uint32, len(turns))
	for i, t := range turns {
		order[i] = t.place
	}
	return order
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// turn is the place whose turn it is. The turn of one that may not be used is over with that: its share goes to all others.
func (b *Balancer) turn(v *view, c *Choice, tried []*Place, full *bool) *Place {
	n := len(v.wheel)
	if n == 0 {
		return nil
	}
	at := 0
	for range min(n, 4*len(v.places)) {
		at = int(v.next.Add(1) % uint32(n))
		p := v.places[v.wheel[at]]
		if !b.may(p, c.Now, tried) || b.slow && random() >= b.ease(p, c.Now) {
			continue
		}
		if b.take(p, full) {
			return p
		}
	}
	for i := range v.places { // most are away, or have their connections: whoever is left
		p := v.places[(at+i)%len(v.places)]
		if b.may(p, c.Now, tried) && b.take(p, full) {
			return p
		}
	}
	return nil
}
