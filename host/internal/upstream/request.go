package upstream

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/valyala/fasthttp"
)

// Request is what is sent to an upstream. Its head is bytes as they go on the wire, so that nothing takes it apart once more; how its body is framed
// is written from the body itself. The zero value with a method, a target and a host is a request without a body.
type Request struct {
	Method string
	Target []byte // of the request line
	Host   []byte // value of Host; see Targets
	Fields []byte // the other header lines, by Add; none of Host, Content-Length and Transfer-Encoding
	Body   []byte
	Stream io.Reader // the body, when not nil; it can be read once
	Size   int       // of Stream, bytes; -1: unknown, it goes in chunks
	// Started is the time at the call of RoundTrip; zero: it looks at the clock.
	Started time.Time
	// Quit ends a try when the client has gone; nil: nothing does. It is a *wire.Quit.
	Quit Quit
	// Trailers: the client takes the trailers of the response.
	Trailers bool
	// Upgrade is the protocol, in lower case, to which the request asks to switch; "": none. The lines that ask are among Fields.
	Upgrade string
	// RetryOn are the statuses whose responses are given up for another try, when the request may be sent again and there is one.
	RetryOn []int

	// What RoundTrip says of the response, beside what is in it.
	Answered time.Time // when its head was there
	Dated    bool      // it has a Date
	Tunnel   *Tunnel   // the connection, when the upstream switched protocols; whoever sent the request has to close it

	announced [][]byte // names in Trailer
	sending   *sending // of a long body
	kept      []byte   // what was read of a short Stream
	whole     bool     // that is all of it: the request can be sent again
	begun     bool     // a part of Stream may have been read, and is not kept
}

// Add appends a header line. What would end the line in a name or a value becomes a space.
func (r *Request) Add(name, value string) {
	start := len(r.Fields)
	r.Fields = append(append(append(r.Fields, name...), ": "...), value...)
	oneLine(r.Fields[start:])
	r.Fields = append(r.Fields, "\r\n"...)
}

// oneLine makes spaces of line ends, in place.
func oneLine(b []byte) {
	if bytes.IndexByte(b, '\r') < 0 && bytes.IndexByte(b, '\n') < 0 {
		return
	}
	for i, c := range b {
		if c == '\r' || c == '\n' {
			b[i] = ' '
		}
	}
}

// Reset makes it the zero value. The room of its slices stays, without what they held.
func (r *Request) Reset() {
	*r = Request{Target: r.Target[:0], Host: r.Host[:0], Fields: r.Fields[:0], kept: r.kept[:0]}
}

// length is how long the body is; -1: unknown.
func (r *Request) length() int {
	if r.Stream != nil {
		return r.Size
	}
	return len(r.Body)
}

// short reports whether one write sends the whole request, so that the wait for its answer begins at once.
func (r *Request) short() bool {
	return r.Stream == nil && len(r.Fields)+len(r.Body) < writeBuffer/2
}

// bare says that a request without a body has no Content-Length either.
func (r *Request) bare() bool {
	return r.Stream == nil && len(r.Body) == 0 && (r.Method == http.MethodGet || r.Method == http.MethodHead)
}

// idempotent reports whether the request may be sent again after a part of it was.
func (r *Request) idempotent() bool {
	switch r.Method {
	case http.MethodPost, http.MethodPatch, "LOCK", http.MethodConnect:
		return false
	}
	return true
}

// unwanted reports whether a response is to be given up, and the request sent again.
func (r *Request) unwanted(status int) bool {
	return len(r.RetryOn) > 0 && slices.Contains(r.RetryOn, status) && !r.begun && r.idempotent()
}

// giveUp empties the response of a try that another one follows, which replaces the head.
func (r *Request) giveUp(resp *fasthttp.Response) {
	if b, ok := resp.BodyStream().(*Body); ok {
		b.body.drain()
	}
	resp.ResetBody() // gives the connection back, or closes it
	r.announced = nil
}

// write sends the request, but for what stays in the buffer of w. The errors of bufio are of the wire, others are of the stream.
func (r *Request) write(w *bufio.Writer) error {
	r.writeHead(w)
	return r.writeBody(w, nil)
}

// writeHead writes the head into w. Errors of w stay in it: the last operation has them too.
func (r *Request) writeHead(w *bufio.Writer) {
	oneLine(r.Target)
	oneLine(r.Host)
	_, _ = w.WriteString(r.Method)
	_ = w.WriteByte(' ')
	_, _ = w.Write(r.Target)
	_, _ = w.WriteString(" HTTP/1.1\r\nHost: ")
	_, _ = w.Write(r.Host)
	_, _ = w.WriteString("\r\n")
	_, _ = w.Write(r.Fields)
	length := r.length()
	switch {
	case length < 0:
		_, _ = w.WriteString("Transfer-Encoding: chunked\r\n")
	case !r.bare():
		_, _ = w.WriteString("Content-Length: ")
		_, _ = w.Write(strconv.AppendInt(w.AvailableBuffer(), int64(length), 10))
		_, _ = w.WriteString("\r\n")
	}
	_, _ = w.WriteString("\r\n")
}

// writeBody writes the body into w. Pieces of a stream are sent as they come when taken is given: it is called once, when all of the body is known
// and the last piece of it is not sent yet; its error ends the sending. Without it a stream is short, and kept.
func (r *Request) writeBody(w *bufio.Writer, taken func() error) error {
	switch {
	case r.Stream == nil:
		return writeMemory(w, r.Body, taken)
	case taken == nil:
		if err := r.keep(); err != nil {
			return err
		}
		return writeMemory(w, r.kept, nil)
	case r.Size < 0:
		return writeChunks(w, r.Stream, taken)
	}
	return writeSized(w, r.Stream, int64(r.Size), taken)
}

// keep reads a short stream into memory. Its errors are those of the stream.
func (r *Request) keep() error {
	if r.whole {
		return nil
	}
	r.kept = slices.Grow(r.kept[:0], r.Size)[:r.Size]
	n, err := 0, error(nil)
	for n < r.Size && err == nil {
		var k int
		k, err = r.Stream.Read(r.kept[n:])
		n += k
	}
	if err == nil || err == io.EOF {
		err = ended(r.Stream, int64(n), int64(r.Size))
	}
	r.whole = err == nil
	return err
}

func writeMemory(w *bufio.Writer, body []byte, taken func() error) error {
	if taken != nil {
		most := max(0, len(body)-writeBuffer)
		if _, err := w.Write(body[:most]); err != nil {
			return err
		}
		if err := taken(); err != nil {
			return err
		}
		body = body[most:]
	}
	_, err := w.Write(body)
	return err
}

// pieceSize is how much of a stream is sent at once, at most.
const pieceSize = 32 << 10

var pieces = sync.Pool{New: func() any { return new([pieceSize]byte) }}

// writeSized sends a stream of which the length was announced.
func writeSized(w *bufio.Writer, stream io.Reader, size int64, taken func() error) error {
	buf := pieces.Get().(*[pieceSize]byte)
	defer pieces.Put(buf)
	for sent := int64(0); ; {
		n, err := 0, error(nil)
		if left := size - sent; left > 0 {
			n, err = stream.Read(buf[:min(left, pieceSize)])
			sent += int64(n)
		}
		switch {
		case err == io.EOF || err == nil && sent == size:
			if err == nil || sent < size {
				err = ended(stream, sent, size)
			} else {
				err = nil
			}
			if err == nil {
				err = taken()
			}
			if err == nil {
				_, err = w.Write(buf[:n])
			}
			return err
		case err != nil:
			return err
		}
		_, err = w.Write(buf[:n])
		if err == nil {
			err = w.Flush()
		}
		if err != nil {
			return err
		}
	}
}

// ended reads the end of a stream, which must come after size bytes; n came.
func ended(stream io.Reader, n, size int64) error {
	var more [1]byte
	for n == size {
		k, err := stream.Read(more[:])
		if n += int64(k); err == io.EOF && n == size {
			return nil
		}
		if err != nil && err != io.EOF {
			return err
		}
	}
	if n > size {
		return fmt.Errorf("the body is longer than the %d bytes that were announced", size)
	}
	return fmt.Errorf("the body has %d bytes, %d were announced", n, size)
}

// writeChunks sends a stream as it comes, without trailers.
func writeChunks(w *bufio.Writer, stream io.Reader, taken func() error) error {
	buf := pieces.Get().(*[pieceSize]byte)
	defer pieces.Put(buf)
	for {
		n, err := stream.Read(buf[:])
		if err != nil && err != io.EOF {
			return err
		}
		if err == io.EOF {
			if terr := taken(); terr != nil {
				return terr
			}
		}
		if n > 0 {
			_, _ = w.Write(strconv.AppendInt(w.AvailableBuffer(), int64(n), 16))
			_, _ = w.WriteString("\r\n")
			_, _ = w.Write(buf[:n])
			_, _ = w.WriteString("\r\n")
			if err == nil {
				err = w.Flush()
			}
		}
		if err == io.EOF {
			_, err = w.WriteString("0\r\n\r\n")
			return err
		}
		if err != nil {
			return err
		}
	}
}
