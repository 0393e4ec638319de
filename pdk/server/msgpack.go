package server

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"time"

	"github.com/outrigger-gateway/outrigger/pdk/local"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// greetingTime is how long a connection may take to say who it is, and frameTime a frame that has begun to arrive: it holds up all behind it.
const (
	greetingTime = 10 * time.Second
	frameTime    = 10 * time.Second
)

// acceptLanes serves the data plane of carrier msgpack until the listener is closed. An error means that no lane can be opened any more.
func (s *Server) acceptLanes(l net.Listener) error {
	for {
		conn, err := l.Accept()
		switch {
		case err == nil:
			go s.serveConn(conn)
		case errors.Is(err, net.ErrClosed):
			return nil
		default:
			return err
		}
	}
}

// serveConn serves one lane to its end.
func (s *Server) serveConn(conn net.Conn) {
	w := newWriter(conn)
	_ = conn.SetReadDeadline(time.Now().Add(greetingTime))
	if err := s.greeting(conn); err != nil {
		w.close(nil)
		s.logger.Warn("a connection to the data plane was refused", "error", err)
		return
	}
	r := &reader{lane: newLane(s, w), conn: conn, frames: wire.NewReader(w.stream)}
	r.bulk.lane, r.lane.crew = r.lane, newCrew(r.lane, r)
	if !s.join(r.lane, func(code, message string) { w.close(&wire.GoAway{Code: code, Message: message}) }) {
		w.close(&wire.GoAway{Code: wire.CodeNotReady, Message: "the plugin server is shutting down"})
		return
	}
	defer s.leave(r.lane)
	if w.lock() {
		w.frame(0, 0, wire.TypeHello, func(dst []byte) []byte { return wire.AppendServerHello(dst, serverHello()) })
		w.write(false)
	}
	err := r.hello()
	if err == nil {
		err = r.lane.crew.serve()
	}
	r.lane.die()
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed), errors.Is(err, errGone):
		w.close(nil)
	case errors.Is(err, os.ErrDeadlineExceeded):
		s.logger.Error("a lane is closed because a frame did not arrive in time", "time", s.frameTime)
		w.close(&wire.GoAway{Code: wire.CodeBadFrame, Message: fmt.Sprintf("a frame did not arrive within %v", s.frameTime)})
	case errors.Is(err, io.ErrUnexpectedEOF), errors.As(err, new(net.Error)):
		s.logger.Warn("a lane broke", "error", err)
		w.close(nil)
	default:
		s.logger.Error("a lane is closed because of a bad frame", "error", err)
		w.close(&wire.GoAway{Code: wire.CodeBadFrame, Message: err.Error()})
	}
}

func serverHello() *wire.ServerHello {
	return &wire.ServerHello{
		Version: wire.Version, SDKLanguage: sdkLanguage, SDKVersion: sdkVersion, PID: uint32(os.Getpid()), Features: wire.FeatureSteps | wire.FeaturePrefetch,
	}
}

// greeting checks the first bytes of a lane.
func (s *Server) greeting(conn net.Conn) error {
	version, token, err := wire.ReadGreeting(conn)
	switch {
	case err != nil:
		return err
	case version != wire.Version:
		return fmt.Errorf("the greeting has version %d, expected %d", version, wire.Version)
	case subtle.ConstantTimeCompare(token, s.token) != 1:
		return errors.New("the greeting has a wrong token")
	}
	return nil
}

// errGone says that the host ended the lane properly.
var errGone = errors.New("the host said goaway")

// reader is the reading side of a lane: it decodes every complete frame that one read brought.
type reader struct {
	lane   *lane
	conn   net.Conn
	frames *wire.Reader
	keep   wire.Body
	slots  wire.SlotTable
	bulk   bulk

	received time.Time // when the batch was read
	first    *run      // calls of the batch
	last     **run     // where the next one goes
}

// hello reads the first frame of the host.
func (r *reader) hello() error {
	f, body, err := r.frames.Next()
	if err != nil {
		return err
	}
	if f.Type != wire.TypeHello {
		return fmt.Errorf("the first frame is %s, expected hello", f.Type)
	}
	hello, err := wire.DecodeHostHello(r.keep.Keep(body))
	if err != nil {
		return err
	}
	if err := r.lane.hello(&hello); err != nil {
		return fmt.Errorf("hello: %w", err)
	}
	_ = r.conn.SetReadDeadline(time.Time{})
	r.boundFrames()
	return nil
}

// next implements feed.
func (r *reader) next() (*run, time.Time, error) {
	r.first = nil
	r.last = &r.first
	f, body, err := r.frames.Next()
	r.received = time.Now()
	for err == nil {
		if err = r.frame(f, body); err != nil || !r.frames.Buffered() {
			break
		}
		f, body, err = r.frames.Next()
	}
	return r.first, r.received, err
}

// boundFrames bounds the time of each frame that does not arrive in one piece. The others, nearly all, cost nothing.
func (r *reader) boundFrames() {
	const none = math.MaxUint64
	bounded := uint64(none) // the frame that the deadline of the connection is for
	r.frames.OnRead = func(frame uint64, begun bool) {
		switch {
		case begun && frame != bounded:
			bounded = frame
			_ = r.conn.SetReadDeadline(time.Now().Add(r.lane.server.frameTime)) // an error: it is closed, as the read will find
		case !begun && bounded != none:
			bounded = none
			_ = r.conn.SetReadDeadline(time.Time{})
		}
	}
}

func (r *reader) frame(f wire.Frame, body []byte) error {
	switch f.Type {
	case wire.TypeCall:
		return r.call(f.Call, body)
	case wire.TypeAnswer:
		return r.answer(f, body)
	case wire.TypeChunk:
		return r.bulk.add(f.Call, body)
	case wire.TypeCancel:
		r.bulk.drop(f.Call)
		r.lane.cancel(f.Call)
	case wire.TypeEntity:
		slot, e, err := wire.DecodeEntity(r.keep.Keep(body))
		if err != nil {
			return err
		}
		local.Adopt(e)
		return r.slots.Set(slot, e)
	case wire.TypeGoAway:
		return errGone
	default:
		return fmt.Errorf("a host does not send %s here", f.Type)
	}
	return nil
}

func (r *reader) call(id uint32, body []byte) error {
	var call *run
	if bulk, ok := r.bulk.take(id); !ok {
		call = refused(wire.CodeTooLarge, tooMuch)
	} else {
		call = newRun()
		if err := wire.DecodeCall(r.keep.Keep(body), bulk, &r.slots, &call.call); err != nil {
			return err
		}
	}
	if err := r.lane.begin(call, id, r.received); err != nil {
		call.recycle()
		return err
	}
	*r.last = call
	r.last = &call.next
	return nil
}

func (r *reader) answer(f wire.Frame, body []byte) error {
	bulk, ok := r.bulk.take(f.Call)
	if !ok {
		r.lane.answer(f.Call, f.Step, wire.Answer{Err: &wire.Error{Code: wire.CodeTooLarge, Message: tooMuch}})
		return nil
	}
	a, err := wire.DecodeAnswer(r.keep.Keep(body), bulk)
	if err != nil {
		return err
	}
	r.lane.answer(f.Call, f.Step, a)
	return nil
}
