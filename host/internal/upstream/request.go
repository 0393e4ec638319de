package upstream

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"
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
	// Answered is when the head of the response was there; RoundTrip sets it.
	Answered time.Time
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
	*r = Request{Target: r.Target[:0], Host: r.Host[:0], Fields: r.Fields[:0]}
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

// write sends the request, but for what stays in the buffer of w. The errors of bufio are of the wire, others are of the stream.
func (r *Request) write(w *bufio.Writer) error {
	oneLine(r.Target)
	oneLine(r.Host)
	// Errors of w stay in it: the last operation has them too.
	_, _ = w.WriteString(r.Method)
	_ = w.WriteByte(' ')
	_, _ = w.Write(r.Target)
	_, _ = w.WriteString(" HTTP/1.1\r\nHost: ")
	_, _ = w.Write(r.Host)
	_, _ = w.WriteString("\r\n")
	_, _ = w.Write(r.Fields)
	length := r.length()
	if length < 0 {
		_, _ = w.WriteString("Transfer-Encoding: chunked\r\n\r\n")
		return writeChunks(w, r.Stream)
	}
	if !r.bare() {
		_, _ = w.WriteString("Content-Length: ")
		_, _ = w.Write(strconv.AppendInt(w.AvailableBuffer(), int64(length), 10))
		_, _ = w.WriteString("\r\n")
	}
	_, err := w.WriteString("\r\n")
	if r.Stream == nil {
		_, err = w.Write(r.Body)
		return err
	}
	if err != nil {
		return err
	}
	n, err := w.ReadFrom(io.LimitReader(r.Stream, int64(length)))
	if err == nil {
		err = ended(r.Stream, n, int64(length))
	}
	return err
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

// chunkSize is how much of a stream of unknown length is sent at once, at most.
const chunkSize = 16 << 10

var chunks = sync.Pool{New: func() any { return new([chunkSize]byte) }}

// writeChunks sends a stream as it comes, without trailers.
func writeChunks(w *bufio.Writer, stream io.Reader) error {
	buf := chunks.Get().(*[chunkSize]byte)
	defer chunks.Put(buf)
	for {
		n, err := stream.Read(buf[:])
		if n > 0 {
			_, _ = w.Write(strconv.AppendInt(w.AvailableBuffer(), int64(n), 16))
			_, _ = w.WriteString("\r\n")
			_, _ = w.Write(buf[:n])
			_, _ = w.WriteString("\r\n")
			if ferr := w.Flush(); ferr != nil {
				return ferr
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
