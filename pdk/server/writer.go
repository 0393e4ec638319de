package server

import (
	"io"
	"net"
	"runtime"
	"sync"
	"time"

	"github.com/outrigger-gateway/outrigger/proto/wire"
	"github.com/outrigger-gateway/outrigger/proto/wire/rawio"
)

const (
	// maxPending bounds the bytes that wait to be written; whoever finds more waits for room.
	maxPending = 256 << 10
	// batch is how much of a large body is queued before others may queue their frames.
	batch = 128 << 10
	// maxBuffer is the largest buffer that is kept for later.
	maxBuffer = 1 << 20
	// farewell is how long a lane that is closed tries to send what is pending.
	farewell = 250 * time.Millisecond
)

// writer is the combining writer of a lane: handlers append frames under its lock, and who flushes and finds nobody writing writes everything with one
// system call, until nothing is left. There is no writer goroutine.
type writer struct {
	conn   net.Conn
	stream io.ReadWriter // conn, the quickest way

	mu      sync.Mutex
	room    sync.Cond // pending has become shorter, or the lane is dead
	pending []byte
	spare   []byte
	writing bool
	dead    bool
}

func newWriter(conn net.Conn) *writer {
	w := &writer{conn: conn, stream: conn}
	if raw := rawio.New(conn); raw != nil {
		w.stream = raw
	}
	w.room.L = &w.mu
	return w
}

// lock waits for room and locks pending for appending whole frames. It reports false, unlocked, when the lane is dead.
func (w *writer) lock() bool {
	w.mu.Lock()
	for len(w.pending) >= maxPending && !w.dead {
		w.room.Wait()
	}
	if w.dead {
		w.mu.Unlock()
		return false
	}
	return true
}

// write unlocks and sees to it that what is pending is written. others says that calls are in flight that may soon append too: they are given
// the chance first.
func (w *writer) write(others bool) {
	if w.writing || len(w.pending) == 0 {
		w.mu.Unlock()
		return
	}
	w.writing = true
	if others {
		w.mu.Unlock()
		runtime.Gosched()
		w.mu.Lock()
	}
	for len(w.pending) > 0 {
		buf := w.pending
		w.pending, w.spare = w.spare[:0], nil
		w.mu.Unlock()
		_, err := w.stream.Write(buf)
		w.mu.Lock()
		if err != nil {
			w.dead, w.pending = true, nil
			_ = w.conn.Close() // the reader finds out
		}
		if cap(buf) <= maxBuffer {
			w.spare = buf[:0]
		}
		w.room.Broadcast()
	}
	w.writing = false
	w.room.Broadcast()
	w.mu.Unlock()
}

// keep unlocks and leaves what is pending to the next flush, unless it is much.
func (w *writer) keep() {
	if len(w.pending) >= maxPending/2 {
		w.write(false)
		return
	}
	w.mu.Unlock()
}

// frame appends a small frame. w is locked.
func (w *writer) frame(id uint32, step uint16, t wire.Type, body func(dst []byte) []byte) {
	start := len(w.pending)
	w.pending = body(wire.BeginFrame(w.pending))
	wire.EndFrameStep(w.pending, start, id, t, step)
}

// close says goaway, if there is something to say, and closes the connection once what is pending is written, at the latest after farewell.
func (w *writer) close(g *wire.GoAway) {
	_ = w.conn.SetWriteDeadline(time.Now().Add(farewell))
	w.mu.Lock()
	if !w.dead && g != nil {
		w.frame(0, 0, wire.TypeGoAway, func(dst []byte) []byte { return wire.AppendGoAway(dst, g) })
	}
	w.write(false)
	w.mu.Lock()
	for w.writing {
		w.room.Wait()
	}
	w.dead = true
	w.room.Broadcast()
	w.mu.Unlock()
	_ = w.conn.Close()
}

// tooLarge is the outcome in place of one that does not fit into a frame.
func tooLarge() *wire.Outcome {
	return &wire.Outcome{Err: &wire.Error{Code: wire.CodeTooLarge, Message: "the operations of the handler do not fit into a frame"}}
}

// outcome implements carrier.
func (w *writer) outcome(id uint32, step uint16, out *wire.Outcome) {
	var large [4][]byte
	for _, body := range wire.AppendLargeOfOutcome(large[:0], out) {
		for len(body) > 0 {
			if !w.lock() {
				return
			}
			n := min(len(body), batch)
			w.pending = wire.AppendChunks(w.pending, id, body[:n])
			body = body[n:]
			w.write(false)
		}
	}
	if !w.lock() {
		return
	}
	start := len(w.pending)
	w.pending = wire.AppendOutcome(wire.BeginFrame(w.pending), out)
	if n := wire.EndFrameStep(w.pending, start, id, wire.TypeOutcome, step); n > wire.MaxFrame {
		w.pending = wire.AppendOutcome(wire.BeginFrame(w.pending[:start]), tooLarge())
		wire.EndFrameStep(w.pending, start, id, wire.TypeOutcome, step)
	}
	w.keep()
}

// ask implements carrier.
func (w *writer) ask(id uint32, step uint16, a *wire.Ask) {
	if w.lock() {
		w.frame(id, step, wire.TypeAsk, func(dst []byte) []byte { return wire.AppendAsk(dst, a) })
		w.write(false)
	}
}

// urgent is the level from which on a line of the log is written at once; others travel with the next frame.
const urgent = 4

// log implements carrier.
func (w *writer) log(id uint32, step uint16, line *wire.LogLine) {
	if !w.lock() {
		return
	}
	w.frame(id, step, wire.TypeLog, func(dst []byte) []byte { return wire.AppendLog(dst, line) })
	if line.Level >= urgent {
		w.write(false)
		return
	}
	w.keep()
}

// flush implements carrier.
func (w *writer) flush(others bool) {
	w.mu.Lock()
	w.write(others)
}
