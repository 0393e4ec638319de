// Package transport is the host's side of the data plane: lanes that carry phase calls to a plugin server.
//
// A lane is one data-plane connection. Packages transport/msgpack and transport/grpc make lanes of the two carriers; docs/wire.md is
// the specification. Everything here means the same over both.
package transport

import (
	"errors"
	"net"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/budget"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// Asker answers the questions of one call, on the caller's goroutine, while Lane.Call waits for the outcome. Answer must come back by
// the deadline of the call: Lane.Call cannot return while it runs. A panic in it becomes an answer with host_error.
type Asker = wire.Asker

// Stepper takes the outcomes of a call of several steps, on the caller's goroutine too.
type Stepper = wire.Stepper

// Lane is one data-plane connection. Its methods may be called at once from many goroutines.
type Lane interface {
	// Call sends c, answers asks through asker and fills out. An error is an *Error; an outcome that failed is not an error.
	//
	// A call with further steps (Rest) wants an asker that is a Stepper. Its Next gets each outcome but that of the last step, and says when the next step must
	// have ended, or that nobody waits for more; the deadline of Call is that of the first step. Call returns nil after the outcome of the last
	// step, after one that stops the call (wire.Stops; it has gone to Next when steps are left), and when Next wants no more. An error is that of the step that
	// ran. To a server that knows no steps only the first goes: Call returns nil after its outcome, which out holds. Rest stays as it is until Call returns.
	Call(c *wire.Call, deadline time.Time, asker Asker, out *wire.Outcome) error
	// InFlight is the number of calls that wait for their outcome.
	InFlight() int
	// Oldest is when the oldest call in flight was sent; zero when there is none.
	Oldest() time.Time
	// Done is closed when the lane is dead.
	Done() <-chan struct{}
	// Err says why the lane is dead; nil while it lives.
	Err() error
	// Hello is the server's first message.
	Hello() wire.ServerHello
	// Close says goaway with code and msg and ends the lane; calls in flight get Closed.
	Close(code, msg string) error
}

// Options of a lane.
type Options struct {
	Hello       wire.HostHello
	Token       []byte // from Describe
	MaxInFlight int    // calls in flight; more get Overloaded; 0: no bound
	// OnLog gets what handlers log, in order, some time after it came, also after the calls have ended. Nil: dropped.
	OnLog func(rec LogRecord)
	// Who says for LogRecord.Who whose instance it is. It is called while the call runs, with locks held: it must neither block nor call the lane.
	// Nil: nobody's.
	Who func(instance uint64) any
	// Backlog counts the lane while it holds lines that OnLog has not got yet. A line that came before an outcome counts when Call returns. Nil: nobody waits.
	Backlog *Backlog
	Bodies  *budget.Bytes // bounds the bodies of outcomes while they arrive, over all lanes; nil: only each call is bounded
	// Check looks at a new connection of its own before anything is said on it; an error ends it. Nil: nobody does.
	Check func(conn net.Conn) error
	// FrameTime is how long a frame may take from its first byte to its last; 0: 10 s. A lane whose server says that more comes, and sends nothing, would
	// look alive for ever. Carrier grpc has the health checks for it: they travel on the same connection.
	FrameTime time.Duration
}

// LogRecord is one line that a handler logged.
type LogRecord struct {
	Instance  uint64 // 0: outside a call
	Who       any    // what Options.Who says of Instance; nil outside a call
	RequestID string
	Phase     uint8
	Level     uint8 // 0 debug .. 7 emerg
	Message   string
}

// ErrorKind says what went wrong with a call.
type ErrorKind uint8

// Kinds of errors.
const (
	Timeout    ErrorKind = 1 + iota // the deadline passed
	Closed                          // the lane died, or was dead
	Overloaded                      // too many calls in flight
	BadFrame                        // what the server sent for this call does not decode; the lane died of it, and everybody else gets Closed
	Cancelled                       // the caller gave up
	TooLarge                        // a message is over its bound
)

// ErrNotReady is what the error of a call is, by errors.Is, while no process of its server takes calls.
var ErrNotReady = errors.New("the plugin server is not ready")

// Error is how a call failed without an outcome.
type Error struct {
	Kind ErrorKind
	Msg  string
	Err  error
	// Life is the life of the process that ended under the call (Closed); 0: not known, or the call was never sent.
	Life uint64
}

func (e *Error) Error() string {
	if e.Err != nil {
		return e.Msg + ": " + e.Err.Error()
	}
	return e.Msg
}

func (e *Error) Unwrap() error { return e.Err }
