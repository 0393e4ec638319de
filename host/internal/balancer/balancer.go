// Package balancer chooses the target of an upstream for each try of a request, and knows which targets may be chosen (spec/gateway.md section 7).
//
//	balancer.go  the choice, and what is told of a try
//	view.go      the places that targets stand for at the moment, from names to addresses
//	place.go     what is known of one place, for as long as it is one
//	wheel.go     round-robin
//	ring.go      consistent hashing
//	scan.go      least connections and latency
//	health.go    the state machine of health
//	probe.go     active checks
//	outlier.go   ejection of places that keep failing
//	limits.go    retry budget
//	line.go      requests that wait for a connection
//	kin.go       what balancers of one upstream share, and what is known of addresses that left
//	registry.go  balancers shared by generations
//	status.go    what operators see
//
// A target is what the configuration says, host:port. A place is one address and port that a target stands for: a name may have several.
package balancer

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
	"github.com/outrigger-gateway/outrigger/host/internal/resolve"
)

// Resolver finds what names stand for.
type Resolver interface {
	Lookup(ctx context.Context, host string) (*resolve.Answer, error)
}

// Algorithms.
const (
	roundRobin = iota
	leastConnections
	consistentHashing
	latency
	stickySessions
)

var algorithms = map[string]int{
	"": roundRobin, "round-robin": roundRobin, "least-connections": leastConnections, "consistent-hashing": consistentHashing,
	"latency": latency, "sticky-sessions": stickySessions,
}

// Balancer chooses among the places of one upstream. Many requests may use it at once.
type Balancer struct {
	// Upstream is the configuration; of a service without one it has nothing but a name and a target.
	Upstream *entity.Upstream

	algorithm int
	passive   bool // the requests of clients say something about health
	outliers  bool
	slow      bool
	targets   []*target
	names     int // of targets that are names
	resolver  Resolver
	logger    *slog.Logger

	view atomic.Pointer[view]
	kin  *kin
	// asking holds the round of questions under way; nil: there is none.
	asking struct {
		sync.Mutex
		round *round
	}
	// known is closed when something is known of the names for the first time.
	known     chan struct{}
	knownOnce sync.Once

	mu      sync.Mutex // held to change the view
	states  map[identity]*state
	left    map[identity]departed
	settled bool // every name was asked for: places that come from now on are new ones

	limits
}

// target is one target of the configuration.
type target struct {
	text   string // host:port
	index  int    // among all
	host   string
	port   int
	weight int
	addr   netip.Addr // of a host that is an address
	// answer and err are what is known of a name: both, when the answer is an old one because the name servers fail. again is when to ask. They are guarded by
	// Balancer.mu.
	answer *resolve.Answer
	err    error
	again  time.Time
}

// Why no place was chosen.
var (
	ErrNoPeer = errors.New("the upstream has no target that may be used")
	ErrGone   = errors.New("nobody waits for the request any more")
	ErrFull   = errors.New("every target of the upstream has all the connections that it may have (circuit_breakers.max_connections)")
)

// Choice is what a request wants of Choose.
type Choice struct {
	Now      time.Time
	Hash     uint32 // of consistent-hashing, by Hash
	Sticky   string // of sticky-sessions: the value of the cookie
	Tried    []*Place
	Patience time.Duration // for names that nobody has asked for, and for a connection that becomes free
	Quit     Quit          // of the client; nil: the request waits whatever happens

	gone   <-chan struct{} // closed when nobody waits for the request any more
	called bool            // it stood in line, and others behind it
}

// Quit tells a request that waits when its client has gone. It is a *wire.Quit.
type Quit interface {
	Enter(who interface{ GiveUp(id uint32) }, id uint32)
	Leave()
}

// parting is closed when the client of a request that waits has gone.
type parting chan struct{}

// GiveUp is called by the Quit of the client.
func (p parting) GiveUp(uint32) { close(p) }

// watch begins to watch for the client, until over is called.
func (c *Choice) watch() (gone <-chan struct{}, over func()) {
	if c.gone != nil || c.Quit == nil {
		return c.gone, func() {}
	}
	leaves := make(parting)
	c.Quit.Enter(leaves, 0)
	c.gone = leaves
	return leaves, func() {
		c.Quit.Leave()
		c.gone = nil
	}
}

// newBalancer makes the balancer of an upstream. What old knows of places that both have stays; nil: there was none.
func newBalancer(u *entity.Upstream, o Options, old *Balancer) *Balancer {
	b := &Balancer{
		Upstream: u, algorithm: algorithms[u.Algorithm], resolver: o.Resolver, logger: o.Logger,
		known: make(chan struct{}), states: map[identity]*state{}, left: map[identity]departed{},
	}
	b.passive = checksPassively(&u.Health.Passive)
	b.outliers = u.Outliers.Consecutive5xx > 0 || u.Outliers.ConsecutiveGatewayFailure > 0
	b.slow = u.SlowStart.Window > 0
	for _, t := range u.Targets {
		host, port, err := net.SplitHostPort(t.Target)
		if err != nil {
			continue // not after package config has checked it
		}
		own := &target{text: t.Target, index: len(b.targets), host: host, weight: t.Weight}
		own.port, _ = strconv.Atoi(port)
		if addr, err := netip.ParseAddr(host); err == nil {
			own.addr = addr.Unmap()
		} else {
			b.names++
		}
		b.targets = append(b.targets, own)
	}
	if old != nil {
		b.inherit(old)
	} else {
		b.kin = new(kin)
	}
	b.kin.join(b)
	b.mu.Lock()
	b.build(true)
	b.settled = b.settled || b.names == 0
	b.mu.Unlock()
	if b.names == 0 {
		b.know()
	}
	return b
}

// inherit takes over what is known of names and places.
func (b *Balancer) inherit(old *Balancer) {
	old.mu.Lock()
	defer old.mu.Unlock()
	b.kin, b.settled = old.kin, old.settled
	maps.Copy(b.states, old.states)
	maps.Copy(b.left, old.left)
	known := make(map[string]*target, old.names)
	for _, t := range old.targets {
		if t.answer != nil {
			known[t.host] = t
		}
	}
	for _, t := range b.targets {
		if before := known[t.host]; before != nil {
			t.answer, t.err, t.again = before.answer, before.err, before.again
			b.know()
		}
	}
}

// Choose chooses a place for a try: one that was not tried before, as long as there is one. The place counts the request until Release. Now is another time
// afterwards when the request had to wait.
func (b *Balancer) Choose(c *Choice) (p *Place, err error) {
	if b.pending.Load() == 0 { // else those that wait come first
		if p, err = b.chooseNow(c); err != ErrFull {
			return p, err
		}
	}
	if err = ErrFull; b.Upstream.Breaker.MaxPendingRequests > 0 {
		p, err = b.await(c)
	}
	if err == ErrFull {
		b.overflows.Add(1)
	}
	return p, err
}

func (b *Balancer) chooseNow(c *Choice) (*Place, error) {
	v, err := b.current(c)
	if err != nil {
		return nil, err
	}
	if len(v.places) == 0 {
		if err := b.nameless(v); err != nil {
			return nil, err
		}
	}
	if !v.usable {
		return nil, ErrNoPeer
	}
	full := false
	p := b.pick(v, c, c.Tried, &full)
	if p == nil && len(c.Tried) > 0 {
		p = b.pick(v, c, nil, &full)
	}
	switch {
	case p != nil:
		return p, nil
	case full:
		return nil, ErrFull
	}
	return nil, ErrNoPeer
}

// pick chooses among the places that are not among tried. full is set when one was left out because it has all its connections.
func (b *Balancer) pick(v *view, c *Choice, tried []*Place, full *bool) *Place {
	switch b.algorithm {
	case leastConnections, latency:
		return b.scan(v, c, tried, full)
	case consistentHashing:
		return b.walkRing(v, c, tried, full)
	case stickySessions:
		if p := v.byToken[c.Sticky]; p != nil && b.may(p, c.Now, tried) && b.take(p, full) {
			return p
		}
	}
	return b.turn(v, c, tried, full)
}

// may reports whether a place may get a request.
func (b *Balancer) may(p *Place, now time.Time, tried []*Place) bool {
	return p.weight > 0 && p.healthy.Load() && !p.away(now) && !contains(tried, p)
}

// take counts a request at a place, unless that has all it may have.
func (b *Balancer) take(p *Place, full *bool) bool {
	most := int64(b.Upstream.Breaker.MaxConnections)
	if n := p.open.Add(1); most > 0 && n > most {
		p.open.Add(-1)
		*full = true
		return false
	}
	return true
}

// Release says that a request which Choose gave the place is over: its answer was passed on, or the try failed.
func (b *Balancer) Release(p *Place) {
	p.open.Add(-1)
	b.kin.freed()
}

func contains(list []*Place, p *Place) bool {
	for _, other := range list {
		if other.state == p.state {
			return true
		}
	}
	return false
}

// ease is the share of its weight, up to 1, that a place gets which is new or healthy again.
func (b *Balancer) ease(p *Place, now time.Time) float64 {
	since := p.since.Load()
	if !b.slow || since == 0 {
		return 1
	}
	return growth(&b.Upstream.SlowStart, now.Sub(time.Unix(0, since)))
}

// random is a number from 0 up to, but not, 1.
func random() float64 { return rand.Float64() }
