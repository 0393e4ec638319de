package balancer

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// kin are the balancers of one upstream that live: that of the newest generation, and those of older ones that still have requests. They share the states of
// their places: what one learns or gives back, the others have to hear of.
type kin struct {
	changes   atomic.Uint64 // of health
	unchecked atomic.Bool   // the newest one has no checks: what the older ones see changes no health any more
	mu        sync.Mutex    // held to change members
	members   atomic.Pointer[[]*Balancer]
}

func (k *kin) join(b *Balancer) {
	k.mu.Lock()
	defer k.mu.Unlock()
	list := append(slices.Clone(k.list()), b)
	k.members.Store(&list)
}

func (k *kin) leave(b *Balancer) {
	k.mu.Lock()
	defer k.mu.Unlock()
	list := slices.DeleteFunc(slices.Clone(k.list()), func(other *Balancer) bool { return other == b })
	k.members.Store(&list)
}

func (k *kin) list() []*Balancer {
	if p := k.members.Load(); p != nil {
		return *p
	}
	return nil
}

// freed says that a connection may have become free, for whoever waits for one.
func (k *kin) freed() {
	for _, b := range k.list() {
		b.freed()
	}
}

// freed lets the request choose that has waited for the longest time.
func (b *Balancer) freed() {
	if b.pending.Load() > 0 {
		b.line.freed()
	}
}

// departed is the state of an address that its name stands for no more, or that is no target any more. It may come back: records that rotate, a name server
// that knew nothing for a moment, a reload that is taken back.
type departed struct {
	*state
	at time.Time
}

// What is kept of addresses that left: longer than a name that is gone is usually remembered as that, and not without bounds.
const (
	keptDeparted = 5 * time.Minute
	mostDeparted = 1000
)

// forgotten reports whether a departed state does not count any more. One that has requests does: their number is in it.
func (d departed) forgotten(now time.Time) bool {
	return d.state == nil || now.Sub(d.at) > keptDeparted && d.open.Load() == 0
}

// knownState is the state of a place, also of one that left not long ago; nil: it is a new one. mu is held.
func (b *Balancer) knownState(id identity, now time.Time) *state {
	if s := b.states[id]; s != nil {
		return s
	}
	if d := b.left[id]; !d.forgotten(now) {
		return d.state
	}
	return nil
}

// depart keeps the states of places that are not among used, and forgets those that left too long ago; mu is held.
func (b *Balancer) depart(used map[identity]*state, now time.Time) {
	for id, s := range b.states {
		if used[id] == nil {
			b.left[id] = departed{s, now}
		}
	}
	for id, d := range b.left {
		if used[id] != nil || d.forgotten(now) {
			delete(b.left, id)
		}
	}
	over := len(b.left) - mostDeparted
	if over <= 0 {
		return
	}
	ids := make([]identity, 0, len(b.left))
	for id := range b.left {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(x, y identity) int { return cmp.Compare(b.left[x].at.UnixNano(), b.left[y].at.UnixNano()) })
	for _, id := range ids[:over] {
		delete(b.left, id)
	}
}

// removed is what is known of the places of an upstream that a reload took away. It may come back, as a target may.
type removed struct {
	*Balancer // of states alone
	at        time.Time
}

// leaves keeps what is known of the places of an upstream that no generation has any more, and forgets those that left too long ago; Registry.mu is held.
func (r *Registry) leaves(b *Balancer, now time.Time) {
	maps.DeleteFunc(r.left, func(_ string, u removed) bool { return now.Sub(u.at) > keptDeparted })
	if !b.checked() && !b.outliers || len(r.left) >= mostDeparted {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	r.left[b.Upstream.ID] = removed{&Balancer{Upstream: b.Upstream, passive: b.passive, kin: b.kin, states: maps.Clone(b.states), left: maps.Clone(b.left)}, now}
}

// returns takes out what is known of an upstream that comes back; nil: it is a new one. Registry.mu is held.
func (r *Registry) returns(id string, now time.Time) *Balancer {
	u, ok := r.left[id]
	delete(r.left, id)
	if !ok || now.Sub(u.at) > keptDeparted {
		return nil
	}
	return u.Balancer
}
