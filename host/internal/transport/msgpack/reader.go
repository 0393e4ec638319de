package msgpack

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/transport"
	"github.com/outrigger-gateway/outrigger/host/internal/transport/flight"
	"github.com/outrigger-gateway/outrigger/proto/wire"
	"github.com/outrigger-gateway/outrigger/proto/wire/rawio"
)

// reader is the end of the connection that whoever leads the lane reads: a flight.Source. What it holds, half a frame for example, stays when the lead
// passes on.
type reader struct {
	lane   *lane
	source source
	frames *wire.Reader
	keep   wire.Body

	frameTime time.Duration // for one frame to arrive
	bounded   uint64        // the frame that due is for; none
	due       time.Time     // when a frame that has begun must be whole; zero: none has
}

// none is no frame.
const none = math.MaxUint64

func newReader(conn net.Conn, frameTime time.Duration) *reader {
	r := &reader{source: source{conn: conn, raw: rawio.New(conn)}, frameTime: frameTime, bounded: none}
	r.frames = wire.NewReader(&r.source)
	return r
}

// start lets the callers of a lane read it, once the hello has come.
func (r *reader) start(l *lane) {
	r.lane = l
	r.frames.OnRead = r.bound
	l.table.Lead(r)
}

// Read implements flight.Source. A batch that one read brought is delivered whole.
func (r *reader) Read(w flight.Waiter) bool {
	r.source.waiter = w
	for !r.lane.table.Dead() {
		f, body, err := r.frames.Next()
		switch {
		case err == nil:
			err = r.lane.deliver(f, body, &r.keep)
		case errors.Is(err, os.ErrDeadlineExceeded):
			if r.due.IsZero() || time.Now().Before(r.due) { // an interrupt
				r.setDeadline()
				return true
			}
			err = &wire.FormatError{What: "frame", Msg: fmt.Sprintf("it did not arrive within %v: %v", r.frameTime, err)}
		}
		if err != nil {
			r.lane.broken(err)
			return false
		}
		if !r.frames.Buffered() {
			return true
		}
	}
	return false
}

// Interrupt implements flight.Source.
func (r *reader) Interrupt() { _ = r.source.conn.SetReadDeadline(time.Unix(1, 0)) }

// bound bounds the time of each frame that does not arrive in one piece. The others, nearly all, cost nothing.
func (r *reader) bound(frame uint64, begun bool) {
	switch {
	case begun && frame != r.bounded:
		r.bounded, r.due = frame, time.Now().Add(r.frameTime)
	case !begun && r.bounded != none:
		r.bounded, r.due = none, time.Time{}
	default:
		return
	}
	r.setDeadline()
}

// setDeadline makes due the deadline of the connection, whatever it was. An interrupt may be lost by it, so that the waiter must be asked before the next
// read.
func (r *reader) setDeadline() {
	_ = r.source.conn.SetReadDeadline(r.due) // an error: it is closed, as the read will find
	r.source.moved = true
}

// source reads the connection for a waiter.
type source struct {
	conn   net.Conn
	raw    *rawio.Conn   // nil when the connection is no plain socket
	waiter flight.Waiter // nil: before the lane is open
	moved  bool          // the deadline has moved since the last read: the waiter may be over
}

// Read implements io.Reader.
func (s *source) Read(b []byte) (int, error) {
	if s.moved {
		s.moved = false
		if s.waiter.Over() {
			return 0, os.ErrDeadlineExceeded
		}
	}
	if s.raw == nil {
		return s.conn.Read(b)
	}
	return s.raw.Read(b)
}

// deliver hands one frame to who waits for it. It never blocks. Errors of the peer are a FormatError.
func (l *lane) deliver(f wire.Frame, body []byte, keep *wire.Body) error {
	var err error
	switch f.Type {
	case wire.TypeOutcome:
		if bytes.Equal(body, emptyOutcome) {
			body = emptyOutcome
		} else {
			body = keep.Keep(body)
		}
		err = l.table.Outcome(f.Call, f.Step, body)
	case wire.TypeChunk:
		err = l.table.Chunk(f.Call, body)
	case wire.TypeAsk:
		err = l.table.Ask(f.Call, f.Step, bytes.Clone(body), len(body))
	case wire.TypeLog:
		line, bad := wire.DecodeLog(bytes.Clone(body))
		if bad != nil {
			return bad
		}
		rec := transport.LogRecord{Level: line.Level, Message: line.Message}
		if err = l.table.Origin(f.Call, f.Step, &rec); err == nil {
			l.logs.Add(rec)
		}
	case wire.TypeGoAway:
		g, bad := wire.DecodeGoAway(bytes.Clone(body))
		if bad != nil {
			return bad
		}
		return &goneError{&wire.Error{Code: g.Code, Message: g.Message}}
	default:
		err = fmt.Errorf("a server sends no %s here", f.Type)
	}
	if err != nil {
		return &wire.FormatError{What: f.Type.String() + " frame", Msg: err.Error()}
	}
	return nil
}

// emptyOutcome is what most calls bring: no error, no operation.
var emptyOutcome = wire.AppendOutcome(nil, &wire.Outcome{})

// goneError is the server's goaway.
type goneError struct{ err *wire.Error }

func (e *goneError) Error() string { return e.err.Error() }

// broken ends the lane because of an error of reading or delivering.
func (l *lane) broken(err error) {
	var bad *wire.FormatError
	var gone *goneError
	switch {
	case errors.As(err, &gone):
		l.fail(&transport.Error{Kind: transport.Closed, Msg: l.peer + " said goodbye", Err: gone.err}, nil)
	case hungUp(err), errors.Is(err, io.ErrUnexpectedEOF):
		l.fail(&transport.Error{Kind: transport.Closed, Msg: l.peer + " closed the connection", Err: err}, nil)
	case errors.As(err, &bad):
		_ = l.Bad(err)
	default:
		l.fail(&transport.Error{Kind: transport.Closed, Msg: "reading from " + l.peer, Err: err}, nil)
	}
}
