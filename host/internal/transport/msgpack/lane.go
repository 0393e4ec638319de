// Package msgpack is the lane of carrier msgpack: frames with MessagePack bodies on a stream socket (docs/wire.md).
//
// A call costs one short critical section to append its frame, one system call to write it, which other callers share, and one
// wake-up when the outcome comes, which the caller reads itself when it is alone. There is no timer, no deadline of the socket and no
// goroutine per call.
package msgpack

import (
	"fmt"
	"net"
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
	r     *reader
}

// defaultFrameTime is the frame time of Options that leave it zero.
const defaultFrameTime = 10 * time.Second

// longOutcome is the size of an outcome, in bytes, from which on nothing stays for the next one: the room that it has left would hold on to its text.
const longOutcome = 4 << 10

// Call implements transport.Lane.
func (l *lane) Call(c *wire.Call, deadline time.Time, asker transport.Asker, out *wire.Outcome) error {
	return l.table.Run(l, c, deadline, asker, out)
}

// AskOf implements flight.Carrier.
func (l *lane) AskOf(a []byte) (wire.Ask, int, error) {
	ask, err := wire.DecodeAsk(a)
	return ask, wire.HeaderSize + len(a), err
}

// OutcomeOf implements flight.Carrier.
func (l *lane) OutcomeOf(fl *call, o, bulk []byte, out *wire.Outcome) (size int, err error) {
	if fl.Room, err = wire.DecodeOutcomeInto(o, bulk, out, fl.Room); len(o) > longOutcome {
		fl.Room = nil
	}
	return wire.HeaderSize + len(o) + len(bulk), err
}

// SendCall implements flight.Carrier: large bodies first, then entities that the lane has not named, then the call itself.
func (l *lane) SendCall(fl *call, c *wire.Call) error {
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

// SendAnswer implements flight.Carrier. When the call ends meanwhile, the server forgets what it has of the answer by the cancel.
func (l *lane) SendAnswer(fl *call, step uint16, ans *wire.Answer) int {
	large := ans.Err == nil && ans.IsBytes && len(ans.Bytes) > wire.ChunkSize
	if large && !l.sendChunks(fl, ans.Bytes) || !l.reserve(fl) {
		if large {
			l.SendCancel(fl)
		}
		return 0
	}
	start := len(l.w.pending)
	l.w.pending = wire.AppendAnswer(wire.BeginFrame(l.w.pending), ans)
	if n := wire.EndFrameStep(l.w.pending, start, fl.ID, wire.TypeAnswer, step); n > wire.MaxFrame {
		l.w.pending = wire.AppendAnswer(wire.BeginFrame(l.w.pending[:start]), &wire.Answer{Err: &wire.Error{
			Code: wire.CodeTooLarge, Message: fmt.Sprintf("an answer of %d bytes, at most %d fit into a frame", n, wire.MaxFrame),
		}})
		wire.EndFrameStep(l.w.pending, start, fl.ID, wire.TypeAnswer, step)
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

// SendCancel implements flight.Carrier. A cancel needs no room: it is short, and at most one follows each call that found room.
func (l *lane) SendCancel(fl *call) {
	l.w.mu.Lock()
	if l.w.closing {
		l.w.mu.Unlock()
		return
	}
	l.w.pending = wire.AppendFrame(l.w.pending, fl.ID, wire.TypeCancel, nil)
	l.kick(fl)
}

// Bad implements flight.Carrier. Whoever waits gets Closed; the error returned is for the call that it was about.
func (l *lane) Bad(err error) error {
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
