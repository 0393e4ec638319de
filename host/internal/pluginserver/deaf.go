package pluginserver

import (
	"errors"
	"fmt"
	"time"

	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// laneChecks is the room on a lane for the calls of checkLanes, beside the plugins' calls.
const laneChecks = 1

var errDeaf = errors.New("the server answers health checks, but nobody reads one of its lanes")

// checkLanes asks whether those lanes are read whose last call has got no answer: by a call of instance 0, which a server refuses without a handler.
// Where only handlers hang that answer comes; where the reader of a lane is gone it does not, however well the rest of the server is.
func (l *life) checkLanes() error {
	s := l.peer.server
	s.mu.Lock()
	lanes := l.lanes
	s.mu.Unlock()
	deadline := time.Now().Add(s.healthTime())
	for _, n := range lanes {
		if n.exclusive || !n.unanswered.Load() {
			continue // exclusive, it takes one call at a time: this one would wait behind a handler
		}
		var out wire.Outcome
		err := n.Call(nobodysCall(s.healthTime()), deadline, nil, &out)
		n.heard(err, 1)
		if callTimedOut(err) {
			return fmt.Errorf("%w: a call of no instance was not refused within %v", errDeaf, s.healthTime())
		}
	}
	return nil
}

// nobodysCall is a call of an instance that there is never one of.
func nobodysCall(timeout time.Duration) *wire.Call {
	return &wire.Call{Phase: 2, TimeoutMS: uint32(timeout.Milliseconds()), Facts: &wire.Facts{
		RequestID: "00000000000000000000000000000000", StartTime: time.Now().UnixMilli(),
		Request: wire.Request{Method: "GET", Scheme: "http", Host: "localhost", Port: 80, HTTPVersion: 11, Target: "/", Path: "/"},
		Client:  wire.Client{IP: "127.0.0.1", ForwardedIP: "127.0.0.1"},
	}}
}
