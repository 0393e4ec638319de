package wire

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// readBuffer is how much one read of a lane may bring. Larger buffers were measured to cost more than they save.
const readBuffer = 64 << 10

// Reader cuts a stream into frames. It is for one goroutine.
type Reader struct {
	// OnRead, if not nil, is called before each read of the source, with how many frames were given before and whether the next one has begun: where to
	// bound the time of a frame. A peer that sends a header alone would hold up everything behind it.
	OnRead func(frames uint64, begun bool)

	src    io.Reader
	buf    []byte
	r, w   int // what is read but not handed out yet: buf[r:w]
	frames uint64
	err    error
}

// NewReader reads frames from src.
func NewReader(src io.Reader) *Reader { return &Reader{src: src, buf: make([]byte, readBuffer)} }

// Buffered reports whether Next will give a frame, or an error, without reading from the source: a reader of many frames flushes
// its own output when nothing is left.
func (r *Reader) Buffered() bool {
	n := r.w - r.r
	if n < HeaderSize {
		return false
	}
	f, err := ParseFrame(r.buf[r.r:])
	return err != nil || n >= HeaderSize+int(f.Length)
}

// Next returns the next frame. The body is valid until the next call of Next. It returns io.EOF at a clean end between two frames,
// io.ErrUnexpectedEOF inside one, and a FormatError for a header that is not the wire's. After os.ErrDeadlineExceeded, what has been
// read of a frame is still there, and Next may be called again.
func (r *Reader) Next() (Frame, []byte, error) {
	if err := r.fill(HeaderSize); err != nil {
		return Frame{}, nil, err
	}
	f, err := ParseFrame(r.buf[r.r:])
	if err != nil {
		return f, nil, err
	}
	if err := r.fill(HeaderSize + int(f.Length)); err != nil {
		return f, nil, fmt.Errorf("reading a %s frame of %d bytes: %w", f.Type, f.Length, err)
	}
	body := r.buf[r.r+HeaderSize : r.r+HeaderSize+int(f.Length)]
	r.r += HeaderSize + int(f.Length)
	r.frames++
	return f, body, nil
}

// fill makes at least n bytes available at r.r.
func (r *Reader) fill(n int) error {
	for r.w-r.r < n {
		if r.err != nil {
			if errors.Is(r.err, io.EOF) && r.w > r.r {
				return io.ErrUnexpectedEOF
			}
			return r.err
		}
		r.makeRoom(n)
		if r.OnRead != nil {
			r.OnRead(r.frames, r.w > r.r)
		}
		m, err := r.src.Read(r.buf[r.w:])
		r.w += m
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
		r.err = err
	}
	return nil
}

// makeRoom gives the buffer free space behind w. It grows only as bytes arrive, at most doubling, so that a header that lies about
// its length costs nothing; after a large frame it shrinks again.
func (r *Reader) makeRoom(n int) {
	if r.r == r.w {
		r.r, r.w = 0, 0
		if len(r.buf) > 4*readBuffer && n <= readBuffer {
			r.buf = make([]byte, readBuffer)
		}
	}
	if free := len(r.buf) - r.w; r.r > 0 && (free < readBuffer/4 || n > len(r.buf)-r.r) {
		r.w = copy(r.buf, r.buf[r.r:r.w])
		r.r = 0
	}
	if r.w == len(r.buf) { // n is larger than the buffer, or it would be satisfied
		grown := make([]byte, min(2*len(r.buf), max(n, readBuffer)))
		copy(grown, r.buf[:r.w])
		r.buf = grown
	}
}

// Body copies the bodies of frames into memory that never changes, as the decoders of this package want it. Small bodies share
// pieces of a few KiB.
type Body struct {
	slab []byte
}

const (
	slabSize  = 4 << 10
	slabLimit = 512 // bodies up to this size share a slab: whoever keeps one string of them keeps the slab
)

// Keep returns a copy of b that nobody changes.
func (k *Body) Keep(b []byte) []byte {
	if len(b) > slabLimit {
		return append(make([]byte, 0, len(b)), b...)
	}
	if len(b) > cap(k.slab)-len(k.slab) {
		k.slab = make([]byte, 0, slabSize)
	}
	start := len(k.slab)
	k.slab = append(k.slab, b...)
	return k.slab[start:len(k.slab):len(k.slab)]
}
