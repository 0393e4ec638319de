package upstream

import (
	"bytes"
	"io"
	"iter"
	"net"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/httpbyte"
)

// Body holds the stream of a response. Whoever wants to wrap the stream replaces the ReadCloser in it: fasthttp closes a stream that is
// taken out of a response.
type Body struct {
	io.ReadCloser
	body *body
	// Announced are the names of the trailers that the head announced, when the request wants them.
	Announced [][]byte
}

// Trailers are the names and values of the trailers that came, when the request wants them; there are none before the stream is read to its end. Names
// that concern only this hop, or how the message is read, are left out.
func (b *Body) Trailers() iter.Seq2[[]byte, []byte] {
	return func(yield func(name, value []byte) bool) {
		if b.body.chunked == nil {
			return
		}
		for line := range bytes.Lines(b.body.chunked.trailers) {
			name, value, _ := bytes.Cut(line, []byte{':'})
			if !ofHop(name) && !ofFraming(name) && !yield(name, httpbyte.TrimBlanks(bytes.TrimSuffix(value, []byte{'\n'}))) {
				return
			}
		}
	}
}

// body streams a response body. The connection goes back to the pool when the body was read to its end and is closed otherwise.
type body struct {
	conn    *conn
	chunked *chunked
	left    int64
	fixed   bool
	keep    bool
	err     error
}

func (b *body) Read(p []byte) (n int, err error) {
	if b.err != nil {
		return 0, b.err
	}
	b.conn.patient()
	switch {
	case b.fixed:
		if int64(len(p)) > b.left {
			p = p[:b.left]
		}
		n, err = b.conn.br.Read(p)
		b.left -= int64(n)
		if err == io.EOF && b.left > 0 {
			err = io.ErrUnexpectedEOF
		} else if err == nil && b.left == 0 {
			err = io.EOF
		}
	case b.chunked != nil:
		n, err = b.chunked.Read(p)
	default:
		n, err = b.conn.br.Read(p)
	}
	b.err = err
	return n, err
}

// What is read of a body that nobody wants, to keep its connection: so many bytes, when they come within the time.
const (
	drainedBytes = 64 << 10
	drainedTime  = 50 * time.Millisecond
)

// drain reads the rest of a short body, so that Close keeps the connection. It changes nothing about a long one, which is closed with it.
func (b *body) drain() {
	c := b.conn
	if !b.keep || b.fixed || c.sending != nil { // bodies that are short and of a known length never get here
		return
	}
	patience := c.net.ReadTimeout
	c.net.ReadTimeout = 0
	_ = c.net.SetReadDeadline(time.Now().Add(drainedTime)) // when it fails, reading does
	_, _ = io.CopyN(io.Discard, b, drainedBytes+1)
	c.net.ReadTimeout = patience
	if c.net.Rearm() != nil {
		b.keep = false
	}
}

// Close ends the stream. It may be called more than once.
func (b *body) Close() error {
	if b.conn == nil {
		return nil
	}
	c := b.conn
	b.conn = nil
	c.done(b.err == io.EOF && b.keep, time.Now())
	if b.err == nil {
		b.err = net.ErrClosed
	}
	return nil
}
