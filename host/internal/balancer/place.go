package balancer

import (
	"math"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
)

// Place is one address of an upstream, as a view has it.
type Place struct {
	Host string // an IP address, IPv6 without brackets
	Port int
	// Name is the host of the target when that is a name, or that of an SRV record when the upstream wants it; "": the target is an address.
	Name string
	// Token stands for the place in the cookie of sticky-sessions; "": the upstream has none.
	Token string

	target *target
	weight int
	order  string // of places, the same on every node
	*state
}

// identity is what makes a place the same one in another view.
type identity struct {
	host string // of the target
	addr netip.Addr
	port int
}

// state is what is known of a place. Views and balancers of the same upstream share it.
type state struct {
	open    atomic.Int64 // requests that it has
	healthy atomic.Bool
	since   atomic.Int64 // Unix time in nanoseconds from which slow start counts; 0: none
	until   atomic.Int64 // Unix time in nanoseconds until which it is ejected; 0: it is not

	mu        sync.Mutex
	health    health
	failures  run
	cost      cost
	ejections int // of late
	returned  time.Time
}

func newState() *state {
	s := &state{}
	s.healthy.Store(true)
	return s
}

// away reports whether the place is ejected.
func (s *state) away(now time.Time) bool {
	until := s.until.Load()
	return until != 0 && now.UnixNano() < until
}

// Address is host:port.
func (p *Place) Address() string {
	return netip.AddrPortFrom(netip.MustParseAddr(p.Host), uint16(p.Port)).String()
}

// token is what stands for a place in a cookie: nobody learns the address from it.
func token(upstream string, id identity) string {
	text := upstream + "\x00" + id.host + "\x00" + id.addr.String() + "\x00" + strconv.Itoa(id.port)
	sum := uint64(xxh32([]byte(text)))<<32 | uint64(xxh32([]byte("\x00"+text)))
	return strconv.FormatUint(sum, 36)
}

// cost is a peak EWMA of the time to an answer: a rise counts at once, a fall with the decay.
type cost struct {
	seconds float64
	at      time.Time
}

const decay = 10 * time.Second

func (c *cost) observe(took time.Duration, now time.Time) {
	seconds := took.Seconds()
	before := c.now(now)
	share := 1.0
	if !c.at.IsZero() {
		share = 1 - math.Exp(-now.Sub(c.at).Seconds()/decay.Seconds())
	}
	if seconds >= before {
		c.seconds = seconds
	} else {
		c.seconds = before + seconds*share
	}
	c.at = now
}

// now is the cost as time has worn it down: who gets no requests because it was slow is tried again.
func (c *cost) now(now time.Time) float64 {
	if c.at.IsZero() {
		return 0
	}
	return c.seconds * math.Exp(-now.Sub(c.at).Seconds()/decay.Seconds())
}

// growth is the share of the weight after a time of slow start, as in Envoy.
func growth(s *entity.SlowStart, age time.Duration) float64 {
	if age >= s.Window {
		return 1
	}
	share := math.Pow(max(age.Seconds(), 0)/s.Window.Seconds(), 1/s.Aggression)
	return max(share, float64(s.MinPercent)/100)
}
