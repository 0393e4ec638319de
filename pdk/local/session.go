// Package local gives the PDK its meaning in Go: it answers reads from the facts of a call, records writes and shows them to later reads, and
// seals the outcome. The host runs native plugins with it, package pdk/server runs external ones with it, and so does pdktest.
//
// A Session is the state of one handler call. The host or server calls Begin, Run and Release; the handler sees the *pdk.PDK.
package local

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// Node is what the PDK knows of the gateway node. It is not changed while sessions use it.
type Node struct {
	ID        string
	Hostname  string
	Trusted   []netip.Prefix // trusted_ips
	LogLevel  uint8          // lines below it are not made; 0 debug to 7 emerg
	LevelNow  *atomic.Uint32 // takes the place of LogLevel and may change meanwhile; nil: LogLevel counts
	MaxBody   int            // largest body that a plugin may set, in bytes; 0: no limit
	MaxShared int            // largest ctx.shared and largest ctx.plugin, as SharedSize counts, in bytes; 0: no limit
	ClusterID string         // "": the node belongs to no cluster
	Version   string         // of the gateway
	// TelemetryLogs says that the records of telemetry.log go somewhere.
	TelemetryLogs bool
}

// level is the level now.
func (n *Node) level() uint8 {
	if n.LevelNow != nil {
		return uint8(n.LevelNow.Load())
	}
	return n.LogLevel
}

// Host is the other side of a session: who answers questions and takes log lines.
type Host interface {
	// Ask may block. It is called without any lock held, for one question of a session at a time.
	Ask(a *wire.Ask) wire.Answer
	// Log must not call back into the session.
	Log(level uint8, message string)
}

// state of a session.
type state uint8

const (
	open      state = iota
	exited          // response.exit or response.error was called; the handler may still run
	cancelled       // nobody waits for the outcome
	ended           // the handler has returned, or none has begun
)

// Session is the state of one handler call. Its own methods are for the host or server that made it.
//
// Lock order: asking, mu, then whatever the Host locks.
type Session struct {
	asking sync.Mutex // held while a question is on its way

	mu     sync.Mutex // guards all below
	serial uint64     // of the handle that may use the session
	state  state
	busy   int // questions under way

	call     *wire.Call
	facts    *wire.Facts
	node     *Node
	host     Host
	phase    pdk.Phase
	out      *wire.Outcome
	onSeal   func()
	failure  *pdk.Error // of a read that has no error result
	ctx      context.Context
	cancel   context.CancelFunc
	deadline time.Time

	ops    []wire.Op
	values []string // arena of the values of ops
	spans  []span
	view   view

	quiet        bool // no question was under way when the handler ended; for the host
	spansRefused bool // the log says that there are too many spans

	handle *handle
	slab   []handle // handles not yet given out; a handle is given out once
}

// slabSize is how many handles are made at once. They are never used again, because a plugin may keep one.
const slabSize = 32

var sessions = sync.Pool{New: func() any { return &Session{state: ended} }}

// Begin starts a session for a call. It reads the call's facts and never changes them. host may be asked and logged to until Release.
func Begin(c *wire.Call, node *Node, host Host) *Session { return BeginInto(c, node, host, nil) }

// BeginInto is Begin for a host that runs the handler at once: Run fills out, and nothing cancels the call before it.
func BeginInto(c *wire.Call, node *Node, host Host, out *wire.Outcome) *Session {
	s := sessions.Get().(*Session)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.serial++
	s.state, s.quiet = open, false
	s.call, s.facts, s.node, s.host, s.out = c, c.Facts, node, host, out
	s.phase = pdk.PhaseFromCode(c.Phase)
	s.view.begin(c)
	if len(s.slab) == 0 {
		s.slab = make([]handle, slabSize)
	}
	h := &s.slab[0]
	s.slab = s.slab[1:]
	h.session, h.serial, h.logLevel = s, s.serial, node.level()
	h.pdk.Init(h)
	s.handle = h
	return s
}

// PDK is the handle for the handler. It may be kept and used from any goroutine; after the call it answers wrong_phase.
func (s *Session) PDK() *pdk.PDK { return &s.handle.pdk }

// Deadline sets when the call's context ends. Without it, it ends TimeoutMS after it was first asked for.
func (s *Session) Deadline(t time.Time) {
	s.mu.Lock()
	s.deadline = t
	s.mu.Unlock()
}

// Recorded reports whether the handler has recorded an operation.
func (s *Session) Recorded() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.ops)+len(s.spans) > 0
}

// OnSeal sets what is called at once when an exit seals the outcome while the handler still runs. It is called on the goroutine of whoever
// called the exit, at most once, with the outcome filled, and must not call the session or the PDK.
func (s *Session) OnSeal(f func()) {
	s.mu.Lock()
	s.onSeal = f
	s.mu.Unlock()
}

// Run runs the handler of the call's phase and fills the outcome, which refers to the session's memory and holds until Release. A handler that
// fails, panics, ends its goroutine, or read something in a wrong phase gives a failed outcome without operations. An outcome that an exit
// sealed stands, whatever the handler does afterwards.
//
// When the handler calls runtime.Goexit the outcome is filled too, while the goroutine ends.
func (s *Session) Run(h *pdk.Handlers, out *wire.Outcome) {
	*out = wire.Outcome{}
	alive := true
	if s.out != out { // only the host sets it, and it is the host who calls
		s.mu.Lock()
		s.out = out
		alive = s.state == open
		s.mu.Unlock()
	}
	var body []byte
	var err error
	if !alive { // cancelled before it began
		s.finish(nil, nil)
		return
	}
	returned := false
	defer func() {
		if !returned {
			err = crash(recover())
		}
		s.finish(body, err)
	}()
	body, err = s.invoke(h)
	returned = true
}

var errNoHandler = errors.New("the plugin does not handle this phase")

func (s *Session) invoke(h *pdk.Handlers) ([]byte, error) {
	var f func(*pdk.PDK) error
	switch s.phase {
	case pdk.PhaseRewrite:
		f = h.Rewrite
	case pdk.PhaseAccess:
		f = h.Access
	case pdk.PhaseResponse:
		f = h.Response
	case pdk.PhaseHeaderFilter:
		f = h.HeaderFilter
	case pdk.PhaseLog:
		f = h.Log
	case pdk.PhaseBodyFilter:
		if h.BodyFilter != nil {
			chunk := s.call.Chunk
			return h.BodyFilter(s.PDK(), chunk[:len(chunk):len(chunk)], s.call.Last)
		}
	}
	if f == nil {
		return nil, errNoHandler
	}
	return nil, f(s.PDK())
}

// panicError is a handler's panic.
type panicError struct {
	value any
	stack []byte
}

func (e *panicError) Error() string {
	if e.value == nil {
		return "the handler ended its goroutine"
	}
	return "panic: " + Spoken(e.value)
}

func crash(value any) error { return &panicError{value: value, stack: debug.Stack()} }

// finish fills the outcome when the handler is over.
func (s *Session) finish(body []byte, err error) {
	if err == nil {
		s.conclude(body, nil)
		return
	}
	failed := &wire.Error{Code: wire.CodeHandlerError, Message: "the handler failed, and its error ended the goroutine"}
	defer func() { s.conclude(nil, failed) }() // the methods of the error are the plugin's: they may call runtime.Goexit, too
	failed = wireError(err)                    // unlocked: an Error method may use the PDK
}

// conclude fills the outcome. failed is nil when the handler did not fail.
func (s *Session) conclude(body []byte, failed *wire.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	was, late := s.state, s.overdue()
	s.end()
	s.quiet = s.busy == 0
	if failed == nil && s.failure != nil {
		failed = wireError(s.failure)
	}
	switch {
	case was == exited:
		if failed != nil {
			s.host.Log(levelWarn, "the handler failed after its exit, which stands: "+failed.Message)
		}
	case was == cancelled:
		s.out.Err = &wire.Error{Code: wire.CodeCancelled, Message: "nobody waits for the outcome"}
	case failed != nil:
		s.out.Err = failed
	case late:
		s.out.Err = &wire.Error{Code: wire.CodeCancelled, Message: "the deadline passed"}
	default:
		s.fill()
		if s.out.Err == nil {
			s.out.Body, s.out.HasBody = body, body != nil
		}
	}
}

// maxOutcome bounds what an outcome carries beside bodies, in bytes, so that it fits into a frame.
const maxOutcome = wire.MaxFrame - 1<<20

// fill puts the spans and the operations into the outcome, unless they are more than the wire carries: natively that must fail too.
func (s *Session) fill() {
	s.endSpans()
	items, size := 0, 0
	for i := range s.ops {
		op := &s.ops[i]
		items += 8 + len(op.Values) + 2*len(op.Headers)
		size += len(op.Name) + len(op.Value) + len(op.Credential)
		for _, h := range op.Headers {
			size += len(h.Name) + len(h.Value)
		}
		for _, v := range op.Values {
			size += len(v)
		}
	}
	if size > maxOutcome {
		s.out.Err = &wire.Error{Code: wire.CodeTooLarge, Message: fmt.Sprintf("the operations of the handler hold %d bytes beside bodies; at most %d fit into an outcome", size, maxOutcome)}
		return
	}
	if len(s.ops) > wire.MaxOps || items > wire.MaxItems {
		s.out.Err = &wire.Error{Code: wire.CodeTooLarge, Message: fmt.Sprintf("the handler made %d operations; at most %d fit into an outcome", len(s.ops), wire.MaxOps)}
		return
	}
	s.out.Ops = s.ops
}

// Quiet reports, once Run has returned, that no question was under way when the handler ended: the Host is not asked any more.
func (s *Session) Quiet() bool { return s.quiet }

const levelWarn = 3

// maxDetail bounds the stack trace in a failed outcome, in bytes; maxMessage its message.
const (
	maxDetail  = 16 << 10
	maxMessage = 4 << 10
)

// wireError is the error of a failed outcome. An error of the PDK keeps its code. The methods of a plugin's error may panic, above all those of
// a nil pointer in a variable of type error: that must not end the process.
func wireError(err error) (e *wire.Error) {
	e = &wire.Error{Code: wire.CodeHandlerError, Message: cut(Spoken(err), maxMessage)}
	defer func() { _ = recover() }()
	var pe *pdk.Error
	var crashed *panicError
	switch {
	case errors.Is(err, errNoHandler):
		e.Code = wire.CodeWrongPhase
	case errors.As(err, &crashed):
		e.Detail = cut(string(crashed.stack), maxDetail)
	case errors.As(err, &pe) && pe.Code != "":
		e.Code = pe.Code
	}
	return e
}

// Spoken is the text of an error or of what was panicked with. fmt survives a method that panics, but not when the text of that panic panics again.
func Spoken(v any) (text string) {
	defer func() {
		if recover() != nil {
			text = fmt.Sprintf("%T, whose text cannot be made: its method panics", v)
		}
	}()
	return fmt.Sprint(v)
}

func cut(s string, n int) string {
	if len(s) > n {
		return s[:n] + "…"
	}
	return s
}

// alive says whether functions may be called; s.mu is held.
func (s *Session) alive() bool { return s.state == open && !s.overdue() }

// overdue says whether the deadline has passed for a handler that has asked for its context: what it does when it hears of that must not count
// because the host's clock says otherwise. s.mu is held.
func (s *Session) overdue() bool { return s.state == open && s.ctx != nil && s.ctx.Err() != nil }

// seal makes the outcome final because of an exit. s.mu is held.
func (s *Session) seal() {
	s.state = exited
	if s.out != nil {
		s.fill()
	}
	if s.cancel != nil {
		s.cancel()
	}
	if s.onSeal != nil {
		s.onSeal()
	}
}

// end makes the handle useless. s.mu is held.
func (s *Session) end() {
	s.state = ended
	if s.cancel != nil {
		s.cancel()
	}
}

// Cancel says that nobody waits for the outcome: the context ends and later PDK calls fail. It does nothing after the handler returned.
func (s *Session) Cancel() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == open || s.state == exited {
		s.state = cancelled
		if s.cancel != nil {
			s.cancel()
		}
	}
}

// Release ends the session. What Run filled into the outcome is no longer valid. It reports whether nothing of the session is under way any more;
// false means that a goroutine of the plugin still waits in Host.Ask, so that what the Host uses must not be given to another session.
func (s *Session) Release() (idle bool) {
	if s.quiet { // handles that were kept find the session ended, and look at nothing else of it
		s.forget()
		sessions.Put(s)
		return true
	}
	s.mu.Lock()
	s.end()
	s.serial++
	s.forget()
	idle = s.busy == 0
	s.mu.Unlock()
	if idle {
		sessions.Put(s)
	}
	return idle
}

// forget drops what the session knows of its call, and keeps the room.
func (s *Session) forget() {
	s.call, s.facts, s.node, s.host, s.out, s.onSeal = nil, nil, nil, nil, nil, nil
	s.failure, s.ctx, s.cancel, s.deadline, s.handle = nil, nil, nil, time.Time{}, nil
	s.ops, s.values, s.spans, s.spansRefused = emptied(s.ops), emptied(s.values), emptied(s.spans), false
	s.view.reset()
}

// maxKept bounds the slices that a pooled session keeps, in elements.
const maxKept = 256

// emptied drops what a slice refers to and keeps its room, unless that is large.
func emptied[T any](list []T) []T {
	if cap(list) > maxKept {
		return nil
	}
	clear(list)
	return list[:0]
}
