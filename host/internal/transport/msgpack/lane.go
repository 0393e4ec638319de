// Package msgpack is the lane of carrier msgpack: frames with MessagePack bodies on a stream socket (docs/wire.md).
//
// A call costs one short critical section to append its frame, one system call to write it, which other callers share, and one
// wake-up when the reader brings the outcome. There is no timer, no deadline of the socket and no goroutine per call.
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
)

type (
	table = flight.Table[[]byte, []byte]
	call  = flight.Call[[]byte, []byte]
)

// lane implements transport.Lane.
type lane struct {
	peer  string // for messages
	conn  net.Conn
	table *table
	w     *writer
	slots flight.Slots // guarded by w.mu
	hello wire.ServerHello
	logs  *flight.Logs

	frameTime time.Duration // for one frame to arrive
}

// defaultFrameTime is the frame time of Options that leave it zero.
const defaultFrameTime = 10 * time.Second

// Call implements transport.Lane.
func (l *lane) Call(c *wire.Call, deadline time.Time, asker transport.Asker, out *wire.Outcome) error {
	if c.Facts == nil {
		return &transport.Error{Kind: transport.BadFrame, Msg: "a call without facts"}
	}
	if c.TimeoutMS == 0 && !deadline.IsZero() {
		defer func() { c.TimeoutMS = 0 }() // the call is the caller's, who may send it again later
		c.TimeoutMS = uint32(min(max(time.Until(deadline).Milliseconds(), 1), math.MaxUint32))
	}
	fl, err := l.table.Begin(c, deadline)
	if err != nil {
		return err
	}
	defer l.table.End(fl)
	if err := l.sendCall(fl, c); err != nil {
		return err
	}
	for {
		ev := l.table.Wait(fl)
		switch {
		case ev.IsAsk:
			c.Traffic.Received += wire.HeaderSize + len(ev.Ask)
			ask, err := wire.DecodeAsk(ev.Ask)
			if err != nil {
				return l.bad(fmt.Errorf("call %d: %w", fl.ID, err))
			}
			if ans := flight.Answer(asker, &ask); !fl.Ended() {
				c.Traffic.Sent += l.sendAnswer(fl, &ans)
			}
		case ev.Err != nil:
			l.abandon(fl, ev.Err)
			return ev.Err
		default:
			c.Traffic.Received += wire.HeaderSize + len(ev.Outcome) + len(ev.Bulk)
			if err := wire.DecodeOutcome(ev.Outcome, ev.Bulk, out); err != nil {
				return l.bad(fmt.Errorf("call %d: %w", fl.ID, err))
			}
			return nil
		}
	}
}

// sendCall queues the call: large bodies first, then entities that the lane has not named, then the call itself. When the call
// ends while it waits for room it returns nil, and the wait for the outcome finds out why.
func (l *lane) sendCall(fl *call, c *wire.Call) error {
	var big [3][]byte
	for _, b := range wire.AppendLargeOfCall(big[:0], c) {
		if !l.sendChunks(fl, b) {
			return nil
		}
		c.Traffic.Sent += len(b)
	}
	if !l.reserve(fl) {
		return nil
	}
	start := len(l.w.pending)
	slots, err := l.nameEntities(c)
	if err == nil {
		at := len(l.w.pending)
		l.w.pending = wire.AppendCall(wire.BeginFrame(l.w.pending), c, slots)
		if n := wire.EndFrame(l.w.pending, at, fl.ID, wire.TypeCall); n > wire.MaxFrame {
			l.w.pending = l.w.pending[:at]
			err = &transport.Error{Kind: transport.TooLarge, Msg: fmt.Sprintf("a call of %d bytes, at most %d fit into a frame", n, wire.MaxFrame)}
		}
	}
	if err == nil {
		fl.Sent = true
		c.Traffic.Sent += len(l.w.pending) - start
	} else if fl.Sent { // its chunks are there
		l.w.pending = wire.AppendFrame(l.w.pending, fl.ID, wire.TypeCancel, nil)
	}
	if len(l.w.pending) == start {
		l.w.mu.Unlock()
		return err
	}
	l.kick(fl)
	return err
}

// nameEntities finds the slots of the entities of a call, and queues those that are new to the lane. The writer's lock is held.
func (l *lane) nameEntities(c *wire.Call) (slots wire.Slots, err error) {
	if slots.Route, err = l.nameEntity(c.Route, c.Facts); err != nil {
		return slots, err
	}
	if slots.Service, err = l.nameEntity(c.Service, c.Facts); err != nil {
		return slots, err
	}
	slots.Consumer, err = l.nameEntity(c.Consumer, c.Facts)
	return slots, err
}

func (l *lane) nameEntity(e *wire.Entity, f *wire.Facts) (uint16, error) {
	if e == nil {
		return 0, nil
	}
	if len(e.Doc) == 0 || len(e.Doc) > wire.MaxFrame-16 {
		return 0, &transport.Error{Kind: transport.TooLarge, Msg: fmt.Sprintf("entity %q has a document of %d bytes, expected 1 to %d", e.ID, len(e.Doc), wire.MaxFrame-16)}
	}
	slot, fresh := l.slots.Of(e, f)
	if fresh {
		at := len(l.w.pending)
		l.w.pending = wire.AppendEntity(wire.BeginFrame(l.w.pending), slot, e)
		wire.EndFrame(l.w.pending, at, 0, wire.TypeEntity)
	}
	return slot, nil
}

// sendAnswer queues an answer and says how many bytes it takes. It stops when the call ends meanwhile; the server then forgets what it has of it
// by the cancel.
func (l *lane) sendAnswer(fl *call, ans *wire.Answer) int {
	large := ans.Err == nil && ans.IsBytes && len(ans.Bytes) > wire.ChunkSize
	if large && !l.sendChunks(fl, ans.Bytes) || !l.reserve(fl) {
		if large {
			l.cancel(fl)
		}
		return 0
	}
	start := len(l.w.pending)
	l.w.pending = wire.AppendAnswer(wire.BeginFrame(l.w.pending), ans)
	if n := wire.EndFrame(l.w.pending, start, fl.ID, wire.TypeAnswer); n > wire.MaxFrame {
		l.w.pending = wire.AppendAnswer(wire.BeginFrame(l.w.pending[:start]), &wire.Answer{Err: &wire.Error{
			Code: wire.CodeTooLarge, Message: fmt.Sprintf("an answer of %d bytes, at most %d fit into a frame", n, wire.MaxFrame),
		}})
		wire.EndFrame(l.w.pending, start, fl.ID, wire.TypeAnswer)
	}
	size := len(l.w.pending) - start
	if large {
		size += len(ans.Bytes)
	}
	l.kick(fl)
	return size
}

// sendChunks queues a large body, a batch at a time, so that frames of other calls pass in between. It reports false when the
// call ended meanwhile.
func (l *lane) sendChunks(fl *call, b []byte) bool {
	for len(b) > 0 {
		if !l.reserve(fl) {
			return false
		}
		for queued := 0; len(b) > 0 && queued < batch && l.w.room(); queued += wire.ChunkSize {
			n := min(len(b), wire.ChunkSize)
			l.w.pending = wire.AppendFrame(l.w.pending, fl.ID, wire.TypeChunk, b[:n])
			b = b[n:]
		}
		fl.Sent = true
		l.kick(fl)
	}
	return true
}

// reserve takes the writer's lock with room to append. It reports false, without the lock, when the call ended or the lane died
// meanwhile.
func (l *lane) reserve(fl *call) bool {
	l.w.mu.Lock()
	for {
		if fl.Ended() || l.w.closing {
			l.w.mu.Unlock()
			return false
		}
		if l.w.room() {
			return true
		}
		l.w.enlist(fl)
		l.w.mu.Unlock()
		<-fl.Woken()
		l.w.mu.Lock()
		l.w.delist(fl)
	}
}

// kick writes what is pending, or leaves it to who writes already. It releases the writer's lock.
func (l *lane) kick(fl *call) { l.w.kick(l.table.InFlight() > 1, fl.Ended) }

// abandon tells the server that nobody waits for a call that ended without an outcome.
func (l *lane) abandon(fl *call, err *transport.Error) {
	if fl.Sent && (err.Kind == transport.Timeout || err.Kind == transport.TooLarge || err.Kind == transport.Overloaded || err.Kind == transport.Cancelled) {
		l.cancel(fl)
	}
}

// cancel queues a cancel. It needs no room: it is short, and at most one follows each call that found room.
func (l *lane) cancel(fl *call) {
	l.w.mu.Lock()
	if l.w.closing {
		l.w.mu.Unlock()
		return
	}
	l.w.pending = wire.AppendFrame(l.w.pending, fl.ID, wire.TypeCancel, nil)
	l.kick(fl)
}

// emptyOutcome is what most calls bring: no error, no operation.
var emptyOutcome = wire.AppendOutcome(nil, &wire.Outcome{})

// boundFrames bounds the time of each frame that does not arrive in one piece. The others, nearly all, cost nothing.
func (l *lane) boundFrames(r *wire.Reader) {
	const none = math.MaxUint64
	bounded := uint64(none) // the frame that the deadline of the connection is for
	r.OnRead = func(frame uint64, begun bool) {
		switch {
		case begun && frame != bounded:
			bounded = frame
			_ = l.conn.SetReadDeadline(time.Now().Add(l.frameTime)) // an error: it is closed, as the read will find
		case !begun && bounded != none:
			bounded = none
			_ = l.conn.SetReadDeadline(time.Time{})
		}
	}
}

// read delivers what the server sends until the lane dies.
func (l *lane) read(r *wire.Reader) {
	l.boundFrames(r)
	var keep wire.Body
	for !l.table.Dead() {
		f, body, err := r.Next()
		if err == nil {
			err = l.deliver(f, body, &keep)
		}
		if err != nil {
			l.broken(err)
			return
		}
	}
}

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
		_ = l.bad(err)
	case errors.Is(err, os.ErrDeadlineExceeded):
		_ = l.bad(fmt.Errorf("it did not arrive within %v: %w", l.frameTime, err))
	default:
		l.fail(&transport.Error{Kind: transport.Closed, Msg: "reading from " + l.peer, Err: err}, nil)
	}
}

// goneError is the server's goaway.
type goneError struct{ err *wire.Error }

func (e *goneError) Error() string { return e.err.Error() }

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
		err = l.table.Outcome(f.Call, body)
	case wire.TypeChunk:
		err = l.table.Chunk(f.Call, body)
	case wire.TypeAsk:
		err = l.table.Ask(f.Call, bytes.Clone(body), len(body))
	case wire.TypeLog:
		line, bad := wire.DecodeLog(bytes.Clone(body))
		if bad != nil {
			return bad
		}
		rec := transport.LogRecord{Level: line.Level, Message: line.Message}
		if err = l.table.Origin(f.Call, &rec); err == nil {
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

// bad ends the lane because of what the server sent. Whoever waits gets Closed; the error returned is for the call that it was about.
func (l *lane) bad(err error) error {
	e := &transport.Error{Kind: transport.BadFrame, Msg: "a bad frame from " + l.peer, Err: err}
	l.fail(&transport.Error{Kind: transport.Closed, Msg: "the lane was closed", Err: e}, &wire.GoAway{Code: wire.CodeBadFrame, Message: err.Error()})
	return e
}

// fail ends the lane once.
func (l *lane) fail(err *transport.Error, goaway *wire.GoAway) {
	if l.table.Fail(err) {
		l.w.shut(goaway)
	}
}

// Close implements transport.Lane.
func (l *lane) Close(code, msg string) error {
	l.fail(&transport.Error{Kind: transport.Closed, Msg: "the lane was closed", Err: &wire.Error{Code: code, Message: msg}}, &wire.GoAway{Code: code, Message: msg})
	return nil
}

func (l *lane) InFlight() int           { return l.table.InFlight() }
func (l *lane) Oldest() time.Time       { return l.table.Oldest() }
func (l *lane) Done() <-chan struct{}   { return l.table.Done() }
func (l *lane) Err() error              { return l.table.Err() }
func (l *lane) Hello() wire.ServerHello { return l.hello }
