package upstream

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// Interrupter is a stream whose Read may wait. Interrupt may be called by another goroutine, once: it ends a Read that waits, and fails all later ones.
type Interrupter interface{ Interrupt() }

// inline is the size up to which the body of a request is sent before its answer is waited for, in bytes. It is on its way at once.
const inline = 8 << 10

// lastWrite is how long the response waits for the last bytes of a request before the connection is given up. They are in the hands of the kernel, or
// nobody reads them.
const lastWrite = 100 * time.Millisecond

// atOnce is the size up to which a body in memory is.
const atOnce = 64 << 10

// beside reports whether the body is sent beside the wait for the answer.
func (r *Request) beside() bool {
	if r.Stream == nil {
		return len(r.Body) > atOnce
	}
	return r.Size < 0 || r.Size > inline
}

// Sending reports whether a part of the request body was not taken from its stream when the response came. It never will be once the stream of the response is
// closed: whoever owns the stream may read on after that, and not before.
func (r *Request) Sending() bool {
	return r.sending != nil && r.Stream != nil && r.sending.state.Load() != sentWhole
}

// States of a body on its way.
const (
	sentPart   = iota
	sentWhole  // everything was taken from the stream; what is left to do is one write
	sentNoMore // nobody wants the rest
)

var errNoMore = errors.New("the response came before the request body had been sent")

// sending is the body of a request on its way, beside the wait for the answer.
type sending struct {
	conn     *conn
	req      *Request
	patience time.Duration // of reads
	state    atomic.Int32
	done     chan struct{}

	mu       sync.Mutex
	over     bool  // the request was sent, or never will be
	err      error // why it will not
	ofStream bool  // err is the stream's
	answered bool  // the head of the response was read
}

// send sends the head of a request and begins to send its body. Reads have no timeout meanwhile: who is still sending cannot be answered too late.
func (c *conn) send(req *Request) error {
	req.writeHead(c.bw)
	if err := c.bw.Flush(); err != nil {
		return err
	}
	s := &sending{conn: c, req: req, patience: c.net.ReadTimeout, done: make(chan struct{})}
	c.net.ReadTimeout = 0
	if err := c.net.Rearm(); err != nil {
		return err
	}
	c.sending, req.sending, req.begun = s, s, req.Stream != nil
	go s.run()
	return nil
}

// run sends the body. At its end the wait for the answer gets its timeout.
func (s *sending) run() {
	defer close(s.done)
	err := s.req.writeBody(s.conn.bw, s.taken)
	if err == nil {
		err = s.conn.bw.Flush()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over, s.err, s.ofStream = true, err, err != nil && s.conn.net.WriteErr == nil
	switch {
	case s.ofStream:
		s.conn.close() // the request will never be whole: nobody is to wait for its answer
	case err != nil && isTimeout(err) && !s.answered:
		_ = s.conn.net.SetReadDeadline(time.Now()) // what the peer has sent so far was read
	case s.patience > 0:
		_ = s.conn.net.SetReadDeadline(time.Now().Add(s.patience))
	}
}

// taken says that the stream has ended where it should; an error when nobody wants to know any more.
func (s *sending) taken() error {
	if !s.state.CompareAndSwap(sentPart, sentWhole) {
		return errNoMore
	}
	return nil
}

// patient gives the reads of a connection their timeout back once the request was sent.
func (c *conn) patient() {
	s := c.sending
	if s == nil || c.net.ReadTimeout > 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answered = true
	if s.over {
		c.net.ReadTimeout = s.patience
		_ = c.net.Rearm()
	}
}

// failed ends the sending because reading the answer has failed, and says why that was.
func (s *sending) failed(err error) error {
	s.mu.Lock()
	over := s.over
	s.mu.Unlock()
	if !over {
		s.stop()
		return err
	}
	<-s.done
	var m malformed
	switch {
	case s.err == nil || errors.As(err, &m):
		return err
	case s.ofStream:
		return &Error{Kind: KindBody, Err: s.err}
	case isTimeout(s.err):
		return s.err
	}
	return err
}

// end waits for the last bytes of the request, if the connection is to be kept, or ends what is on its way. It reports whether the request was sent whole.
func (s *sending) end(keep bool) bool {
	if keep && s.state.Load() == sentWhole {
		select {
		case <-s.done:
		case <-time.After(lastWrite):
		}
	}
	select {
	case <-s.done:
	default:
		s.stop()
	}
	return keep && s.err == nil
}

// stop ends the sending of a request that nobody will answer any more. The stream is not read afterwards.
func (s *sending) stop() {
	s.conn.close()
	if s.state.CompareAndSwap(sentPart, sentNoMore) {
		if i, ok := s.req.Stream.(Interrupter); ok {
			i.Interrupt()
		}
	}
	<-s.done
}
