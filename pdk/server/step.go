package server

import (
	"bytes"
	"strings"
	"sync/atomic"
	"time"

	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/pdk/local"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// advance sends the outcome of a step and makes the next one ready; docs/wire.md section 5.3. It reports false when the call was cancelled.
func (r *run) advance(t *turn) bool {
	l, next := r.lane, &r.call.Rest[r.step]
	l.mu.Lock()
	cancelled := r.detached || r.pinned
	l.mu.Unlock()
	if cancelled {
		return false
	}
	l.carrier.outcome(r.id, uint16(r.step), r.sealedOutcome())
	host := &stepHost{run: r, step: r.step + 1, answerStore: answerStore{items: next.Prefetched, recorded: r.host.recorded || len(r.out.Ops) > 0}}
	applyStep(&r.facts, r.out.Ops)
	r.facts.Trace = next.Trace
	r.later = wire.Call{Instance: next.Instance, Phase: r.call.Phase, TimeoutMS: next.TimeoutMS, Facts: &r.facts, Plugin: next.Plugin, Prefetched: next.Prefetched}
	instance := l.server.instances.acquire(next.Instance)
	if instance != nil {
		r.later.PluginID = instance.record
	}
	session := r.begin(host, &r.later, time.Now())

	l.mu.Lock()
	if r.detached || r.pinned {
		l.mu.Unlock()
		session.Release()
		if instance != nil {
			instance.release()
		}
		return false
	}
	before, beforeInstance := r.session, r.instance
	r.step, r.session, r.instance, r.host, r.pace = r.step+1, session, instance, host, instance.pace(r.call.Phase)
	if r.asking { // a goroutine of the plugin asks, and its handler did not wait for it
		r.wake(errOver())
		r.answers = make(chan wire.Answer, 1)
	}
	if r.turn != 0 && (t == nil || !t.end()) { // another goroutine has the lead
		r.turn = 0
	}
	if r.turn != 0 {
		t.begin(r.pace)
		r.turn = t.number
	}
	turn := r.turn
	l.mu.Unlock()
	if !before.Release() {
		r.held = true
	}
	beforeInstance.release()
	l.flush(turn, false)
	return true
}

// begin starts the session of a step.
func (r *run) begin(host *stepHost, call *wire.Call, now time.Time) *local.Session {
	s := local.Begin(call, r.lane.node, host)
	s.OnSeal(r.onSeal)
	if call.TimeoutMS > 0 {
		s.Deadline(now.Add(time.Duration(call.TimeoutMS) * time.Millisecond))
	}
	host.session = s
	return s
}

// applyStep makes the facts what the host would send with a call of its own to the next step.
func applyStep(f *wire.Facts, ops []wire.Op) {
	for i := range ops {
		if local.Check(&ops[i]) != nil {
			return // the host refuses all of them
		}
	}
	for i := range ops {
		switch op := &ops[i]; op.Code {
		case wire.OpServiceRequestSetHeader, wire.OpServiceRequestAddHeader, wire.OpResponseSetHeader, wire.OpResponseAddHeader:
			op.Name = strings.ToLower(op.Name) // as names travel
		}
		_, _ = local.ApplyChecked(f, &ops[i]) // it fails for nothing that was checked
	}
}

// answerStore holds the answers that came with a step; docs/wire.md section 5.4.
type answerStore struct {
	session  *local.Session
	items    []wire.Prefetched
	used     uint32 // bit mask; atomic
	recorded bool   // a step before has recorded an operation
}

// at finds the answer to a question. There is none when it may have changed since the call was sent.
func (s *answerStore) at(a *wire.Ask) (answer wire.Answer, ok bool) {
	for i := range s.items {
		if item := &s.items[i]; item.Fn == a.Fn && sameArgs(item.Args, a.Args) {
			if s.stale(a.Fn) {
				return answer, false
			}
			atomic.OrUint32(&s.used, 1<<i)
			return item.Answer, true
		}
	}
	return answer, false
}

func (s *answerStore) stale(fn wire.AskFn) bool {
	switch uint16(fn) {
	case pdk.AskRequestGetRawBody, pdk.AskServiceResponseGetRawBody, pdk.AskClientTLSGetFullClientCertificateChain:
		return false
	}
	return s.recorded || s.session.Recorded()
}

// unused is the bit mask of the answers that the handler did not ask for.
func (s *answerStore) unused() uint32 { return (1<<len(s.items) - 1) &^ atomic.LoadUint32(&s.used) }

func sameArgs(a, b [][]byte) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !bytes.Equal(some(a[i]), some(b[i])) {
			return false
		}
	}
	return true
}

// some is an argument as MessagePack: nil stands for a nil one.
func some(arg []byte) []byte {
	if len(arg) == 0 {
		return []byte{0xc0}
	}
	return arg
}
