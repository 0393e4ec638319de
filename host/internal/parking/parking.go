// Package parking keeps idle connections without a goroutine and without buffers: what a connection costs while nothing happens on it is an entry in a
// table. The kernel says when the peer sends something.
package parking

import (
	"syscall"
	"time"
)

// Conn is a connection of the operating system.
type Conn interface{ syscall.Conn }

// Reason says why a connection leaves.
type Reason uint8

// Reasons.
const (
	Readable Reason = iota // the peer sent something, or closed its sending half
	Expired                // nothing came until the given time
	Broken                 // there is nobody any more who would read an answer
	Evicted                // Evict was called
	Ended                  // Close was called
)

// sweepEvery is how often parked connections are looked at whose time is up.
const sweepEvery = time.Second

// parked is one connection.
type parked struct {
	conn  Conn
	until time.Time
	leave func(Reason)
	stay  int32 // tells it from others that had its descriptor
}
