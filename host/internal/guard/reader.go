package guard

import (
	"bytes"
	"io"
	"net/http"
)

// Reader keeps what came from a client until it is wanted. The zero value with a source is empty; it is for one goroutine.
type Reader struct {
	Source io.Reader

	buf  []byte
	r, w int // buf[r:w] is there

	// Of the head that is not all there yet, from r on.
	seen  int  // bytes whose line ends were looked at
	first bool // the request line was checked
	blank bool // an empty line came before it
}

// FirstSize is the room that a Reader begins with.
const FirstSize = 8 << 10

// Use gives the Reader its first room, for instance from a pool. It is empty then.
func (r *Reader) Use(room []byte) { *r = Reader{Source: r.Source, buf: room} }

// HasRoom reports whether it has room that was given to it or that it made.
func (r *Reader) HasRoom() bool { return r.buf != nil }

// Room takes the room back when it is empty and still the first one; nil otherwise.
func (r *Reader) Room() []byte {
	room := r.buf
	if r.r != r.w || len(room) != FirstSize {
		return nil
	}
	r.buf, r.r, r.w = nil, 0, 0
	return room
}

// Buffered is the number of bytes that came and were not taken.
func (r *Reader) Buffered() int { return r.w - r.r }

// Fill reads once from the source, at least one byte when there is no error. It makes room when there is none.
func (r *Reader) Fill() (int, error) {
	if r.r == r.w {
		r.r, r.w = 0, 0
	}
	if r.w == len(r.buf) {
		r.grow()
	}
	for range 100 {
		n, err := r.Source.Read(r.buf[r.w:])
		r.w += n
		if n > 0 {
			return n, nil
		}
		if err != nil {
			return 0, err
		}
	}
	return 0, io.ErrNoProgress
}

// grow makes room behind what is there.
func (r *Reader) grow() {
	to := r.buf
	if 2*r.r <= len(r.buf) { // moving would gain little
		to = make([]byte, max(2*len(r.buf), FirstSize))
	}
	r.w = copy(to, r.buf[r.r:r.w])
	r.buf, r.r = to, 0
}

// Unread puts bytes back before those that are there.
func (r *Reader) Unread(p []byte) {
	if len(p) == 0 {
		return
	}
	r.buf = append(bytes.Clone(p), r.buf[r.r:r.w]...)
	r.r, r.w = 0, len(r.buf)
}

// Read takes what is there, and reads from the source when nothing is.
func (r *Reader) Read(p []byte) (int, error) {
	if r.r == r.w {
		return r.Source.Read(p)
	}
	n := copy(p, r.buf[r.r:r.w])
	r.r += n
	return n, nil
}

var endOfHead = []byte("\r\n\r\n")

// Next takes the head of the next request. false without an error: it is not all there yet, Fill. What can be refused already is refused, so that nobody
// waits for the rest of what is no request. An error is a *Refusal; the Head then has what stands before the line that is refused.
func (r *Reader) Next(h *Head, l *Limits) (bool, error) {
	data := r.buf[r.r:r.w]
	if !r.blank && len(data) >= 2 && data[0] == '\r' && data[1] == '\n' { // RFC 9112 section 2.2 wants one to pass
		r.blank, r.seen = true, 0
		r.r += 2
		data = data[2:]
	}
	if !bytes.HasSuffix(data, endOfHead) { // with most requests nothing has come behind the head
		from := max(r.seen-len(endOfHead)+1, 0)
		end := bytes.Index(data[from:], endOfHead)
		if end < 0 {
			return false, r.partial(h, data, l)
		}
		data = data[:from+end+len(endOfHead)]
	}
	end, err := h.parse(data, l)
	if err != nil {
		return false, err
	}
	r.r += end
	r.seen, r.first, r.blank = 0, false, false
	return true, nil
}

// Came gives the Head what stands in the lines that came, when no more will.
func (r *Reader) Came(h *Head, l *Limits) { h.keep(r.buf[r.r:r.w], l) }

// partial looks at a head of which the end has not come.
func (r *Reader) partial(h *Head, data []byte, l *Limits) error {
	if i := bareLF(data, r.seen); i >= 0 {
		return refuse(ClassLine, "a line that ends in LF without CR")
	}
	if !r.first {
		line, rest, cr := bytes.Cut(data, []byte{'\r'})
		if r.first = len(rest) > 0; r.first {
			if rest[0] != '\n' {
				return refuse(ClassLine, "a CR without LF in the request line")
			}
			if err := new(Head).requestLine(line, l); err != nil {
				return err
			}
		} else if len(line) > 0 || !cr {
			if err := checkMethod(line, bytes.IndexByte(line, ' ')); err != nil {
				return err
			}
		}
	}
	if len(data) >= l.Head {
		h.keep(data, l)
		return tooLong(data, l)
	}
	r.seen = len(data)
	return nil
}

// bareLF is the place of the first LF without CR, from a place on; negative: there is none.
func bareLF(data []byte, from int) int {
	for {
		i := bytes.IndexByte(data[from:], '\n')
		if i < 0 {
			return -1
		}
		if i += from; i == 0 || data[i-1] != '\r' {
			return i
		}
		from = i + 1
	}
}

// tooLong refuses a head over its limit, and says whether the target is why.
func tooLong(data []byte, l *Limits) error {
	line := bytes.IndexByte(data, '\r')
	if line < 0 {
		line = len(data)
	}
	if line > l.URI+longestMethod {
		return refuseWith(http.StatusRequestURITooLong, ClassLimit, "a request line of %d bytes or more, the limit of a target is %d", line, l.URI)
	}
	return refuseWith(http.StatusRequestHeaderFieldsTooLarge, ClassLimit, "a head of %d bytes or more, the limit is %d", len(data), l.Head)
}
