package pluginserver

import (
	"errors"
	"fmt"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/transport"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// laneChecks is the room on a lane for the calls of checkLanes, beside the plugins' calls.
const laneChecks = 1

var errDeaf = errors.New("the server answers health checks, but nobody reads one of its lanes")

// checkLanes asks, when the last call has got no answer, whether the lanes are read: by a call of instance 0, which a server refuses without a handler.
// Where only handlers hang that answer comes; where the reader of a lane is gone it does not, however well the rest of the server is.
func (l *life) checkLanes() error {
	s := l.peer.server
	if l.pulse.silent.Load() == 0 {
		return nil
	}
	s.mu.Lock()
	lanes := l.lanes
	s.mu.Unlock()
	deadline := time.Now().Add(s.healthTime())
	for _, n := range lanes {
		if n.exclusive {
			continue // one call at a time: it waits behind a handler
		}
		var out wire.Outcome
		err := n.Call(nobodysCall(s.healthTime()), deadline, nil, &out)
		if e, ok := err.(*transport.Error); ok && e.Kind == transport.Timeout {
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
