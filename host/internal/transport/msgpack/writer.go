package msgpack

import (
	"errors"
	"net"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/outrigger-gateway/outrigger/proto/wire"
	"github.com/outrigger-gateway/outrigger/proto/wire/rawio"
)

const (
	// maxPending bounds the bytes that wait to be written: whoever finds more waits for room.
	maxPending = 256 << 10
	// batch is how much of a large body one sender queues before it lets others in.
	batch = 128 << 10
	// maxKept is the largest buffer that is kept for later.
	maxKept = 1 << 20
	// farewell is how long a closing lane tries to send what is pending and its goaway.
	farewell = 250 * time.Millisecond
)

// waiter is who waits for room in the pending bytes: a call.
type waiter interface{ Wake() }

// writer is the combining writer: callers append frames under its lock, and whoever finds no writer at work becomes it and writes
// everything with one system call. A caller never blocks in a write: what the socket does not take at once goes to a goroutine
// that lives until the pending bytes are gone. So a peer that does not read holds up nobody beyond his deadline.
type writer struct {
	conn  net.Conn
	raw   syscall.RawConn // nil when the connection is no plain socket: then the goroutine writes everything
	broke func(error)     // told of a failed write, without the lock

	// Of whoever writes.
	once func(fd uintptr) bool // writes out to fd without blocking
	out  []byte
	n    int
	err  error

	mu      sync.Mutex
	pending []byte
	spare   []byte
	writing bool
	closing bool     // nothing may be appended any more; whoever writes last closes the connection
	waiters []waiter // wait for room
}

func newWriter(conn net.Conn, broke func(error)) *writer {
	w := &writer{conn: conn, broke: broke}
	if sc, ok := conn.(syscall.Conn); ok {
		if raw, err := sc.SyscallConn(); err == nil {
			w.raw = raw
		}
	}
	w.once = func(fd uintptr) bool {
		for {
			n, err := rawio.Write(fd, w.out[w.n:])
			switch {
			case err == nil:
				if w.n += n; w.n < len(w.out) && n > 0 {
					continue
				}
			case errors.Is(err, syscall.EINTR):
				continue
			case errors.Is(err, syscall.EAGAIN):
			default:
				w.err = err
			}
			return true
		}
	}
	return w
}

// room reports whether something may be appended. The lock is held.
func (w *writer) room() bool { return len(w.pending) < maxPending }

// enlist makes c hear when there may be room again. The lock is held.
func (w *writer) enlist(c waiter) { w.waiters = append(w.waiters, c) }

// delist forgets c, if it is still there. The lock is held.
func (w *writer) delist(c waiter) {
	if i := slices.Index(w.waiters, c); i >= 0 {
		w.waiters = slices.Delete(w.waiters, i, i+1)
	}
}

// kick sees to it that what was appended is written, and releases the lock. The caller writes itself if nobody does; with others
// in flight it lets them append first. It stops writing for others when done says that its own wait is over.
func (w *writer) kick(others bool, done func() bool) {
	if w.writing || len(w.pending) == 0 {
		w.mu.Unlock()
		return
	}
	w.writing = true
	if w.raw == nil {
		w.mu.Unlock()
		go w.flush(nil)
		return
	}
	if others {
		w.mu.Unlock()
		runtime.Gosched()
		w.mu.Lock()
	}
	for {
		buf := w.swap()
		w.mu.Unlock()
		n, err := w.try(buf)
		w.mu.Lock()
		if err == nil && n < len(buf) {
			w.mu.Unlock()
			go w.flush(buf[n:])
			return
		}
		w.keep(buf)
		if w.finished(err) {
			return
		}
		if done() {
			w.mu.Unlock()
			go w.flush(nil)
			return
		}
	}
}

// flush writes rest and then what is pending, and may block.
func (w *writer) flush(rest []byte) {
	var err error
	if len(rest) > 0 {
		_, err = w.conn.Write(rest)
	}
	w.mu.Lock()
	if w.finished(err) {
		return
	}
	for {
		buf := w.swap()
		w.mu.Unlock()
		_, err := w.conn.Write(buf)
		w.mu.Lock()
		w.keep(buf)
		if w.finished(err) {
			return
		}
	}
}

// swap takes the pending bytes and puts the other buffer in their place. The lock is held.
func (w *writer) swap() []byte {
	buf := w.pending
	w.pending, w.spare = w.spare[:0], nil
	return buf
}

// keep takes back a buffer that was written. The lock is held.
func (w *writer) keep(buf []byte) {
	if cap(buf) <= maxKept {
		w.spare = buf[:0]
	}
}

// finished looks around after a write: those who wait for room are woken. When nothing is left to write, or the write failed, it
// gives up the writer's part, releases the lock and reports true.
func (w *writer) finished(err error) bool {
	for i, c := range w.waiters {
		c.Wake()
		w.waiters[i] = nil
	}
	w.waiters = w.waiters[:0]
	if err == nil && len(w.pending) > 0 {
		return false
	}
	w.writing = false
	closing := w.closing
	if err != nil {
		w.pending, w.spare = nil, nil
		w.closing = true
	}
	w.mu.Unlock()
	if err != nil && !closing {
		w.broke(err)
	}
	if err != nil || closing {
		_ = w.conn.Close()
	}
	return true
}

// try writes what the socket takes at once.
func (w *writer) try(buf []byte) (int, error) {
	w.out, w.n, w.err = buf, 0, nil
	err := w.raw.Write(w.once)
	n := w.n
	if err == nil {
		err = w.err
	}
	w.out = nil
	return n, err
}

// shut appends a last frame if there is one, and closes the connection when it and what was pending are written, at the latest
// after farewell.
func (w *writer) shut(goaway *wire.GoAway) {
	w.mu.Lock()
	if w.closing {
		w.mu.Unlock()
		_ = w.conn.Close()
		return
	}
	w.closing = true
	if goaway != nil {
		start := len(w.pending)
		w.pending = wire.AppendGoAway(wire.BeginFrame(w.pending), goaway)
		wire.EndFrame(w.pending, start, 0, wire.TypeGoAway)
	}
	_ = w.conn.SetWriteDeadline(time.Now().Add(farewell))
	if w.writing {
		w.mu.Unlock() // whoever writes goes on to the goaway and closes
		return
	}
	w.writing = true
	w.mu.Unlock()
	go w.flush(nil)
}
