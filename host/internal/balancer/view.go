package balancer

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/resolve"
)

// view is what targets stand for at one time, and who may be chosen. It is not changed after it was made, but for the counter of turns.
type view struct {
	places  []*Place // all with a weight above 0, in an order that is the same on every node
	byToken map[string]*Place
	ring    *ring
	wheel   []uint32       // of round-robin: indices of healthy places, as often as their weights say
	next    *atomic.Uint32 // whose turn it is; views of one order share it
	usable  bool           // more of the weight is available than the threshold
	share   float64        // of the weight that is available, percent
	expires time.Time      // of the first name; zero: there are none
	trusted time.Time      // until when nobody waits for names as long as the view is usable; zero: not known before all were asked for
	changes uint64         // of health that the view knows
	err     error          // why there are no places; nil: there are no targets that could have some
}

// current is the view of now. It waits only for names of which nothing is known yet, or nothing of late: an address that nobody has asked for in a while
// may be somebody else's by now, and a name that was gone may be back. Names that are slow are waited for once, not by every request until they answer.
func (b *Balancer) current(c *Choice) (*view, error) {
	v := b.latest()
	if b.names == 0 || c.Now.Before(v.expires) {
		return v, nil
	}
	r := b.refresh()
	asked, wait := r.all, max(c.Patience, shortestLook)
	switch {
	case len(v.places) > 0 && (c.called || c.Now.Sub(v.expires) < idleNames || v.usable && c.Now.Before(v.trusted)):
		return v, nil
	case len(v.places) > 0 || v.err != nil:
		if wait = min(wait, longestLook-time.Since(r.since)); wait <= 0 {
			return v, nil
		}
		if v.usable && !v.trusted.IsZero() {
			asked = r.used
		}
	default: // nothing at all is known: the first answer will do
		asked = b.known
	}
	gone, over := c.watch()
	defer over()
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-asked:
	case <-timer.C:
	case <-gone:
		return nil, ErrGone
	}
	c.Now = time.Now()
	return b.view.Load(), nil
}

// longestLook is how long after names were asked for requests wait for them while something else is known, be it a failure: when the name servers are
// silent, that has to do.
const longestLook = 2 * time.Second

// shortestLook is how long a request with less patience waits for names. A connect_timeout of milliseconds is about a machine next door; the first answer of
// a name server may take longer, and a request that fails is worse than one that is late.
const shortestLook = time.Second

// nameless is why a view has no places, when names are the reason: they do not resolve, or nobody has said yet what they stand for.
func (b *Balancer) nameless(v *view) error {
	if v.err != nil || b.names == 0 {
		return v.err
	}
	select {
	case <-b.known:
		return nil
	default:
	}
	i := slices.IndexFunc(b.targets, func(t *target) bool { return !t.addr.IsValid() })
	return &net.DNSError{Err: "the name servers have not answered yet", Name: b.targets[i].host, IsTimeout: true, IsTemporary: true}
}

// latest is the view that knows every change of health, also one that another balancer of the upstream made.
func (b *Balancer) latest() *view {
	if v := b.view.Load(); v.changes == b.kin.changes.Load() {
		return v
	}
	b.rebuild()
	return b.view.Load()
}

// idleNames is how long after its time an answer is used while the next one is asked for. That takes less: what is older was not used for a while.
const idleNames = 20 * time.Second

// rebuild makes a view that knows who is healthy now.
func (b *Balancer) rebuild() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.build(false)
}

// retryNames is how long names that do not resolve are left alone.
const retryNames = time.Second

// longestLookup bounds one look at the names.
const longestLookup = 30 * time.Second

// round is one look at the names whose answers have run out.
type round struct {
	since time.Time
	used  chan struct{} // closed when those that have addresses have answered
	all   chan struct{} // closed when all have
}

// refresh asks for names whose answers have run out, on goroutines of its own.
func (b *Balancer) refresh() *round {
	b.asking.Lock()
	defer b.asking.Unlock()
	if b.asking.round != nil {
		return b.asking.round
	}
	r := &round{time.Now(), make(chan struct{}), make(chan struct{})}
	b.asking.round = r
	go func() {
		b.ask(r)
		b.asking.Lock()
		b.asking.round = nil
		b.asking.Unlock()
		close(r.all)
	}()
	return r
}

// ask asks for all names whose answers have run out.
func (b *Balancer) ask(r *round) {
	ctx, cancel := context.WithTimeout(context.Background(), longestLookup)
	defer cancel()
	var used, others sync.WaitGroup
	for _, t := range b.targets {
		if t.addr.IsValid() {
			continue
		}
		due, serves := b.due(t)
		if !due {
			continue
		}
		group := &others
		if serves {
			group = &used
		}
		group.Go(func() {
			answer, err := b.resolver.Lookup(ctx, t.host)
			b.learn(t, answer, err)
		})
	}
	used.Wait()
	close(r.used)
	others.Wait()
	b.know()
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.settled {
		b.settled = true
		b.build(false)
	}
}

// due reports whether a name is to be asked for, and whether it has addresses meanwhile.
func (b *Balancer) due(t *target) (due, serves bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return !time.Now().Before(t.again), t.answer != nil
}

// learn keeps what a name stands for. One that does not exist has no places any more; one that nobody can tell has those that it had, as long as its last
// answer may serve.
func (b *Balancer) learn(t *target, answer *resolve.Answer, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	before, now := t.err, time.Now()
	switch {
	case err == nil:
		t.again, err = answer.Expires, answer.Failed
	default:
		answer, t.again = nil, now.Add(retryNames)
		var dns *net.DNSError
		if missing := errors.As(err, &dns) && dns.IsNotFound; !missing && t.answer != nil && now.Before(t.answer.Serves) {
			answer = t.answer
		}
	}
	same := t.answer != nil && answer != nil && slices.Equal(t.answer.Records, answer.Records)
	t.answer, t.err = answer, err
	if err != nil && before == nil && b.logger != nil {
		said := "a target does not resolve"
		if answer != nil {
			said = "a target does not resolve: its last addresses serve on"
		}
		b.logger.Warn(said, "upstream", b.Upstream.Name, "target", t.text, "error", err.Error())
	}
	b.build(!same)
	if answer != nil {
		b.know()
	}
}

// know says that something is known of the names.
func (b *Balancer) know() { b.knownOnce.Do(func() { close(b.known) }) }

// build makes a new view; mu is held. anew: the places may be others. Otherwise only their health has changed.
func (b *Balancer) build(anew bool) {
	old := b.view.Load()
	v := &view{changes: b.kin.changes.Load()}
	if anew || old == nil {
		b.place(v)
	} else {
		v.places, v.byToken, v.ring, v.err = old.places, old.byToken, old.ring, old.err
	}
	b.expiry(v)
	b.weigh(v)
	if b.algorithm == roundRobin || b.algorithm == stickySessions {
		v.wheel = wheel(v.places)
	}
	if old != nil && slices.Equal(old.wheel, v.wheel) { // an answer as before, say: the turns go on
		v.next = old.next
	} else {
		v.next = &atomic.Uint32{}
		v.next.Store(rand.Uint32())
	}
	b.view.Store(v)
	b.freed()
}

// place finds the places of all targets. Those that are there from the beginning start with their whole weight.
func (b *Balancer) place(v *view) {
	used := make(map[identity]*state, len(b.states))
	now := time.Now()
	var errs []error
	for _, t := range b.targets {
		if t.err != nil {
			errs = append(errs, t.err)
		}
		for _, r := range t.records() {
			id := identity{t.host, r.Addr, r.Port}
			s := b.knownState(id, now)
			if s == nil {
				if s = newState(); b.settled {
					s.since.Store(now.UnixNano())
				}
			}
			if used[id] = s; r.Weight == 0 {
				continue
			}
			p := &Place{Host: r.Addr.String(), Port: r.Port, target: t, weight: r.Weight, state: s}
			p.order = t.host + " " + p.Address()
			if !t.addr.IsValid() {
				p.Name = t.host
			}
			if b.algorithm == stickySessions {
				p.Token = token(b.Upstream.ID, id)
			}
			if b.Upstream.UseSRVName && r.Name != "" {
				p.Name = r.Name
			}
			v.places = append(v.places, p)
		}
	}
	b.depart(used, now)
	b.states = used
	v.err = errors.Join(errs...)
	slices.SortStableFunc(v.places, func(x, y *Place) int { return strings.Compare(x.order, y.order) })
	switch b.algorithm {
	case consistentHashing:
		v.ring = newRing(v.places, len(b.targets), b.Upstream.Slots)
	case stickySessions:
		v.byToken = make(map[string]*Place, len(v.places))
		for _, p := range v.places {
			v.byToken[p.Token] = p
		}
	}
}

// records are what a target stands for, each with its port and its weight: that of the target, or of an SRV record as long as the target is not drained.
func (t *target) records() []resolve.Record {
	if t.addr.IsValid() {
		return []resolve.Record{{Addr: t.addr, Port: t.port, Weight: t.weight}}
	}
	if t.answer == nil {
		return nil
	}
	list := slices.Clone(t.answer.Records)
	for i := range list {
		if list[i].Port == 0 {
			list[i].Port = t.port
		}
		if list[i].Weight == 0 || t.weight == 0 {
			list[i].Weight = t.weight
		}
	}
	return list
}

// always is after everything.
var always = time.Unix(1<<40, 0)

// expiry finds when the names are to be asked for again, and how long the places are good meanwhile: a name without any, which is new or does not resolve,
// is nothing to wait for then.
func (b *Balancer) expiry(v *view) {
	if b.settled {
		v.trusted = always
	}
	for _, t := range b.targets {
		if t.addr.IsValid() {
			continue
		}
		at := t.again
		if at.IsZero() {
			at = time.Unix(1, 0) // at once: nothing is known
		}
		if v.expires.IsZero() || at.Before(v.expires) {
			v.expires = at
		}
		if until := at.Add(idleNames); t.answer != nil && until.Before(v.trusted) {
			v.trusted = until
		}
	}
}

// weigh compares the weight that is available with the threshold. A name that does not resolve counts with the weight of its target.
func (b *Balancer) weigh(v *view) {
	total, available := 0, 0
	for _, p := range v.places {
		total += p.weight
		if p.healthy.Load() {
			available += p.weight
		}
	}
	for _, t := range b.targets {
		if !t.addr.IsValid() && t.answer == nil && t.err != nil {
			total += t.weight
		}
	}
	if total > 0 {
		v.share = 100 * float64(available) / float64(total)
	}
	v.usable = available > 0 && v.share > b.Upstream.Health.Threshold
}
