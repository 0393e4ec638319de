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
	// outcome is called for a call that is no longer in flight. others says that more calls of the lane are.
	outcome(id uint32, out *wire.Outcome, others bool)
	ask(id uint32, a *wire.Ask)
	// log may keep the line until the next outcome.
	log(id uint32, l *wire.LogLine)
	// flushLog sends what log kept.
	flushLog()
}

// lane is one data-plane connection, apart from its carrier. One goroutine reads the lane and calls the methods below that say so.
//
// Lock order: the session's, then mu, then the carrier's. The reader calls into sessions without holding mu.
type lane struct {
	server  *Server
	carrier carrier
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
	r.session = local.Begin(&r.call, l.node, r)
	r.session.OnSeal(r.onSeal)
	if r.call.TimeoutMS > 0 {
		r.session.Deadline(received.Add(time.Duration(r.call.TimeoutMS) * time.Millisecond))
	}
	l.server.running.up()
	l.mu.Lock()
	defer l.mu.Unlock()
	if id == 0 || l.calls[id] != nil {
		return fmt.Errorf("call id %d is in use or 0", id)
	}
	l.calls[id] = r
	return nil
}

// refuse answers a call that cannot be run. For the reader.
func (l *lane) refuse(id uint32, code, message string) {
	l.carrier.outcome(id, &wire.Outcome{Err: &wire.Error{Code: code, Message: message}}, false)
}

// answer hands an answer to the run that waits for it. One that nobody waits for any more is dropped. For the reader.
func (l *lane) answer(id uint32, a wire.Answer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r := l.calls[id]; r != nil {
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
	r.pinned = true
	l.mu.Unlock()
	r.session.Cancel()
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
// reader is cancelling it, and whether other calls are in flight.
func (l *lane) detach(r *run) (mine, others bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r.detached {
		return false, false
	}
	l.detachLocked(r)
	return !r.pinned, len(l.calls) > 0
}

func (l *lane) detachLocked(r *run) {
	r.detached = true
	delete(l.calls, r.id)
	r.wake(wire.Answer{Err: &wire.Error{Code: wire.CodeCancelled, Message: "the call is over"}})
}

// run is one call and what it needs while it is executed. It is pooled. It is the local.Host of its session.
type run struct {
	next *run // in the queue of the pool

	lane     *lane
	id       uint32
	instance *instance // nil: there is none
	session  *local.Session
	call     wire.Call
	facts    wire.Facts
	out      wire.Outcome
	onSeal   func() // r.sealed

	answers chan wire.Answer // has room for one

	// Guarded by lane.mu.
	asking   bool // somebody waits on answers
	detached bool
	pinned   bool // the reader cancels it
	over     bool // executed, and left to the reader to recycle
}

var runs = sync.Pool{New: func() any {
	r := &run{answers: make(chan wire.Answer, 1)}
	r.call.Facts = &r.facts
	r.onSeal = r.sealed
	return r
}}

func newRun() *run { return runs.Get().(*run) }

// execute runs the handler and sends the outcome. It may not return: the handler may end the goroutine.
func (r *run) execute() {
	defer r.finish()
	if r.instance == nil {
		r.out = wire.Outcome{Err: &wire.Error{Code: wire.CodeUnknownInstance, Message: fmt.Sprintf("there is no instance %d", r.call.Instance)}}
		return
	}
	r.session.Run(&r.instance.handlers, &r.out)
}

func (r *run) finish() {
	l := r.lane
	mine, others := l.detach(r)
	if mine {
		l.carrier.outcome(r.id, &r.out, others)
	} else {
		// An exit has sent the outcome, or the reader has cancelled the call and may still be at it.
		l.mu.Lock()
		r.over = true
		pinned := r.pinned
		l.mu.Unlock()
		l.carrier.flushLog()
		if pinned {
			return
		}
	}
	r.recycle()
}

// sealed is called by the session when an exit made the outcome final.
func (r *run) sealed() {
	if mine, others := r.lane.detach(r); mine {
		r.lane.carrier.outcome(r.id, &r.out, others)
	}
}

// maxKept bounds the lists that a pooled run keeps, in elements.
const maxKept = 256

func (r *run) recycle() {
	server, idle := r.lane.server, r.session.Release()
	if r.instance != nil {
		r.instance.release()
	}
	f := &r.facts
	small := max(cap(f.Request.Headers), cap(f.Response.Headers), cap(f.ServiceResponse.Headers), cap(f.Shared), cap(f.Groups), cap(r.call.Plugin), cap(f.Captures.Unnamed)) <= maxKept
	if idle && small {
		r.next, r.lane, r.instance, r.session = nil, nil, nil, nil
		r.asking, r.detached, r.pinned, r.over = false, false, false, false
		r.out = wire.Outcome{}
		runs.Put(r)
	}
	server.running.down()
}

// Ask implements local.Host.
func (r *run) Ask(a *wire.Ask) wire.Answer {
	l := r.lane
	l.mu.Lock()
	if r.detached || l.dead {
		l.mu.Unlock()
		return wire.Answer{Err: &wire.Error{Code: wire.CodeCancelled, Message: "the call is over"}}
	}
	r.asking = true
	l.mu.Unlock()
	l.carrier.ask(r.id, a)
	return <-r.answers
}

// wake gives the answer to whoever waits for it. lane.mu is held.
func (r *run) wake(a wire.Answer) {
	if r.asking {
		r.asking = false
		r.answers <- a
	}
}

// maxLine bounds a line of the log, in bytes.
const maxLine = 64 << 10

// Log implements local.Host.
func (r *run) Log(level uint8, message string) {
	if len(message) > maxLine {
		message = message[:maxLine] + "…"
	}
	r.lane.carrier.log(r.id, &wire.LogLine{Level: level, Message: message})
}
