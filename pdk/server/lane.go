package server

import (
	"fmt"
	"math"
	"net/netip"
	"sync"
	"time"

	"github.com/outrigger-gateway/outrigger/pdk/local"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// carrier is how a lane says something to the host. Its methods may be called from any goroutine and may wait until there is room; when the lane is
// dead they do nothing.
type carrier interface {
	// outcome says how a step ended; after that of the last step the call is no longer in flight. It may be kept until flush.
	outcome(id uint32, step uint16, out *wire.Outcome)
	ask(id uint32, step uint16, a *wire.Ask)
	// log may be kept until flush.
	log(id uint32, step uint16, l *wire.LogLine)
	// flush sends what is kept. others says that calls of the lane are in flight that may soon have more to say.
	flush(others bool)
}

// lane is one data-plane connection, apart from its carrier. The leader of its crew reads it and calls the methods below that are for the reader.
//
// Lock order: the session's, then mu, then the carrier's. The reader calls into sessions without holding mu.
type lane struct {
	server  *Server
	carrier carrier
	crew    *crew
	node    *local.Node // set by hello, before the first call

	mu    sync.Mutex
	calls map[uint32]*run // in flight
	dead  bool
}

func newLane(s *Server, c carrier) *lane {
	return &lane{server: s, carrier: c, calls: map[uint32]*run{}}
}

// hello takes over what the host says of its node. For the reader.
func (l *lane) hello(h *wire.HostHello) error {
	if h.Version != wire.Version {
		return fmt.Errorf("the host speaks version %d, this server %d", h.Version, wire.Version)
	}
	node := &local.Node{
		ID: h.NodeID, Hostname: h.Hostname, LogLevel: h.LogLevel,
		MaxBody: clampInt(h.MaxBody), MaxShared: clampInt(h.MaxShared), ClusterID: h.ClusterID, Version: h.GatewayVersion, TelemetryLogs: h.TelemetryLogs,
	}
	for _, cidr := range h.TrustedCIDRs {
		p, err := netip.ParsePrefix(cidr)
		if err != nil {
			return fmt.Errorf("trusted_cidrs: %w", err)
		}
		node.Trusted = append(node.Trusted, p.Masked())
	}
	l.node = node
	return nil
}

func clampInt(n uint64) int { return int(min(n, math.MaxInt)) }

// maxGathered bounds the chunks of one call: a call may carry the request's body and the response's.
func (l *lane) maxGathered() int {
	if l.node == nil || l.node.MaxBody == 0 {
		return math.MaxInt
	}
	return 2 * max(min(l.node.MaxBody, math.MaxInt/2), wire.ChunkSize)
}

// begin makes a decoded call ready to be executed. For the reader. An error means that the lane must be closed.
func (l *lane) begin(r *run, id uint32, received time.Time) error {
	r.lane, r.id = l, id
	if r.instance = l.server.instances.acquire(r.call.Instance); r.instance != nil {
		r.call.PluginID = r.instance.record
	}
	r.pace = r.instance.pace(r.call.Phase)
	r.first.run, r.first.items = r, r.call.Prefetched
	r.host = &r.first
	r.session = r.begin(r.host, &r.call, received)
	l.server.running.up()
	l.mu.Lock()
	defer l.mu.Unlock()
	if id == 0 || l.calls[id] != nil {
		return fmt.Errorf("call id %d is in use or 0", id)
	}
	l.calls[id] = r
	return nil
}

// refused is a run that fails, for a call that cannot be run.
func refused(code, message string) *run {
	r := newRun()
	r.call.Instance, r.call.Phase, r.call.TimeoutMS, r.call.Rest, r.call.Prefetched = 0, 0, 0, r.call.Rest[:0], r.call.Prefetched[:0]
	r.fault = &wire.Error{Code: code, Message: message}
	return r
}

// flush sends what the carrier keeps, unless the goroutine that has this turn of the crew will.
func (l *lane) flush(turn uint64, others bool) {
	if !l.crew.holds(turn) {
		l.carrier.flush(others)
	}
}

// answer hands an answer to the run that waits for it. One that nobody waits for any more, because its step has ended for example, is dropped. For the
// reader.
func (l *lane) answer(id uint32, step uint16, a wire.Answer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r := l.calls[id]; r != nil && r.step == int(step) {
		r.wake(a)
	}
}

// cancel seals a call. For the reader. The session hears of it before whoever waits for an answer, so that a question of a cancelled call ends
// as every other PDK function of it.
func (l *lane) cancel(id uint32) {
	l.mu.Lock()
	r := l.calls[id]
	if r == nil {
		l.mu.Unlock()
		return
	}
	r.pinned = true // its session stays
	session := r.session
	l.mu.Unlock()
	session.Cancel()
	l.mu.Lock()
	if !r.detached {
		l.detachLocked(r)
	}
	r.pinned = false
	over := r.over
	l.mu.Unlock()
	if over {
		r.recycle()
	}
}

// die ends the lane: every call is sealed. For the reader, when it stops.
func (l *lane) die() {
	l.mu.Lock()
	l.dead = true
	var ids []uint32
	for id := range l.calls {
		ids = append(ids, id)
	}
	l.mu.Unlock()
	for _, id := range ids {
		l.cancel(id)
	}
}

// detach takes a run out of the calls in flight, which is the right to send its outcome. It reports false when another has done so, or when the
// reader is cancelling it. others says whether other calls are in flight; turn is the hold on the lead of the goroutine that executes the run.
func (l *lane) detach(r *run) (mine, others bool, turn uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !r.detached {
		l.detachLocked(r)
		mine = !r.pinned
	}
	return mine, len(l.calls) > 0, r.turn
}

func (l *lane) detachLocked(r *run) {
	r.detached = true
	delete(l.calls, r.id)
	if r.asking {
		r.wake(errOver())
	}
}
