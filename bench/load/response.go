package load

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
)

// maxHead bounds the head of a response and a line of a chunked body, bytes.
const maxHead = 64 << 10

// response reads one response after the other from a connection, in pieces as they come, and keeps no bodies.
type response struct {
	state  state
	part   []byte // of a head or line that has not ended yet
	left   int64  // bytes to come: of the body, or of the chunk
	length int64  // of the body so far
	status int
	closes bool // the server closes the connection behind it
}

type state uint8

const (
	inHead state = iota
	inBody
	inChunkSize
	inChunk
	inChunkEnd
	inTrailer
)

var (
	endOfHead = []byte("\r\n\r\n")
	endOfLine = []byte("\r\n")
)

// reset prepares for the next response.
func (r *response) reset() { *r = response{part: r.part[:0]} }

// feed reads bytes; done says that the response is complete, and rest is what came behind it.
func (r *response) feed(b []byte) (rest []byte, done bool, err error) {
	for {
		switch r.state {
		case inHead:
			head, behind, err := r.until(b, endOfHead)
			if head == nil || err != nil {
				return nil, false, err
			}
			if err := r.readHead(head); err != nil {
				return nil, false, err
			}
			b = behind
			r.part = r.part[:0]
			if r.state == inBody && r.left == 0 {
				return b, true, nil
			}
		case inBody, inChunk:
			n := min(r.left, int64(len(b)))
			b = b[n:]
			r.left -= n
			r.length += n
			if r.left > 0 {
				return nil, false, nil
			}
			if r.state == inBody {
				return b, true, nil
			}
			r.state = inChunkEnd
		default:
			line, behind, err := r.until(b, endOfLine)
			if line == nil || err != nil {
				return nil, false, err
			}
			ended, err := r.readLine(line[:len(line)-len(endOfLine)])
			if err != nil {
				return nil, false, err
			}
			b = behind
			r.part = r.part[:0]
			if ended {
				return b, true, nil
			}
		}
	}
}

// until cuts the bytes behind a mark; before it, nil is returned and the bytes are kept for the next piece. What is cut is valid until part
// changes.
func (r *response) until(b, mark []byte) (cut, behind []byte, err error) {
	if len(r.part) == 0 {
		if i := bytes.Index(b, mark); i >= 0 {
			return b[:i+len(mark)], b[i+len(mark):], nil
		}
		r.part = append(r.part, b...)
	} else {
		from := max(0, len(r.part)-len(mark)+1)
		before := len(r.part)
		r.part = append(r.part, b...)
		if i := bytes.Index(r.part[from:], mark); i >= 0 {
			end := from + i + len(mark)
			return r.part[:end], b[end-before:], nil
		}
	}
	if len(r.part) > maxHead {
		return nil, nil, fmt.Errorf("found a head or a line of more than %d bytes", maxHead)
	}
	return nil, nil, nil
}

// readHead reads status, length and what becomes of the connection.
func (r *response) readHead(head []byte) error {
	if len(head) < len("HTTP/1.1 200") || !bytes.HasPrefix(head, []byte("HTTP/1.")) {
		return fmt.Errorf("found %q, expected a response of HTTP/1.1", head[:min(len(head), 40)])
	}
	status, err := strconv.Atoi(string(head[9:12]))
	if err != nil {
		return fmt.Errorf("found the status line %q, expected a status", head[:min(len(head), 40)])
	}
	if status >= 100 && status < 200 {
		return nil // the real one follows
	}
	r.status = status
	r.closes = head[7] == '0'
	lengthKnown, chunked := false, false
	for line := head[bytes.Index(head, endOfLine)+2:]; len(line) > 2; {
		end := bytes.Index(line, endOfLine)
		name, value, ok := bytes.Cut(line[:end], []byte{':'})
		line = line[end+2:]
		if !ok {
			return fmt.Errorf("found the header line %q, expected a name and a value", name)
		}
		switch {
		case equal(name, "content-length"):
			n, err := strconv.ParseInt(string(bytes.TrimSpace(value)), 10, 64)
			if err != nil || n < 0 {
				return fmt.Errorf("found Content-Length %q", value)
			}
			r.left, lengthKnown = n, true
		case equal(name, "transfer-encoding"):
			chunked = equal(bytes.TrimSpace(value), "chunked")
		case equal(name, "connection"):
			r.closes = equal(bytes.TrimSpace(value), "close")
		}
	}
	switch {
	case chunked:
		r.state = inChunkSize
	case status == 204 || status == 304:
		r.state, r.left = inBody, 0
	case lengthKnown:
		r.state = inBody
	default:
		return errors.New("found neither Content-Length nor chunks: a body that ends with the connection cannot be measured")
	}
	return nil
}

// equal compares a header's name with one in lower case; the case does not matter.
func equal(name []byte, lower string) bool {
	if len(name) != len(lower) {
		return false
	}
	for i := range name {
		c := name[i]
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// readLine reads a line of a chunked body, without its end; ended says that the body is over.
func (r *response) readLine(line []byte) (ended bool, err error) {
	switch r.state {
	case inChunkEnd:
		if len(line) > 0 {
			return false, fmt.Errorf("found %q behind a chunk, expected the end of the line", line)
		}
		r.state = inChunkSize
	case inTrailer:
		return len(line) == 0, nil
	default:
		size, _, _ := bytes.Cut(line, []byte{';'})
		n, err := strconv.ParseInt(string(bytes.TrimSpace(size)), 16, 64)
		if err != nil || n < 0 {
			return false, fmt.Errorf("found the chunk size %q", line)
		}
		r.left = n
		if r.state = inChunk; n == 0 {
			r.state = inTrailer
		}
	}
	return false, nil
}
