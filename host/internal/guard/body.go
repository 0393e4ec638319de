package guard

import (
	"bytes"
	"io"
	"net/http"

	"github.com/outrigger-gateway/outrigger/host/internal/httpbyte"
)

// Body reads the body behind a head and not a byte more. It is an error when the client ends before the body does (io.ErrUnexpectedEOF), and when a
// chunked body is anything but what RFC 9112 section 7.1 says (*Refusal). Errors and the end are sticky.
type Body struct {
	in    *Reader
	l     *Limits
	left  int64 // of the body, or of the chunk
	state bodyState
	err   error
	extra int // bytes of chunk extensions and trailers
}

type bodyState uint8

const (
	fixed     bodyState = iota
	chunkSize           // the line with the size of a chunk is next
	chunkData           // left is what is left of it
	chunkEnd            // the line end behind the data is next
)

// Reset makes it the body that a head announces, whose first bytes are the next ones of in.
func (b *Body) Reset(in *Reader, length int64, l *Limits) {
	*b = Body{in: in, l: l, left: length}
	switch length {
	case Chunked:
		b.state, b.left = chunkSize, 0
	case 0:
		b.err = io.EOF
	}
}

// Ended reports whether the body was read to its end.
func (b *Body) Ended() bool { return b.err == io.EOF }

// Here reports whether the next byte of the body has come already, or its end.
func (b *Body) Here() bool { return b.err != nil || b.in.Buffered() > 0 }

// AllHere reports whether the rest of the body is known to have come.
func (b *Body) AllHere() bool { return b.err != nil || b.Within(int64(b.in.Buffered())) }

// Within reports whether the rest of the body is known to be at most n bytes.
func (b *Body) Within(n int64) bool {
	return b.err == io.EOF || b.err == nil && b.state == fixed && b.left <= n
}

func (b *Body) Read(p []byte) (n int, err error) {
	for n == 0 && b.err == nil && len(p) > 0 {
		switch b.state {
		case chunkSize:
			b.err = b.readSize()
			continue
		case chunkEnd:
			b.err = b.readEnd()
			continue
		}
		n, err = b.in.Read(p[:min(int64(len(p)), b.left)])
		b.left -= int64(n)
		switch {
		case b.left > 0:
			b.err = whole(err)
		case b.state == fixed:
			b.err = io.EOF
		default:
			b.state = chunkEnd
		}
	}
	if n > 0 && b.err != io.EOF {
		return n, nil
	}
	return n, b.err
}

// Fetch reads once from the source, although something may be there already; Read finds what came. It is for a body of announced length that is not all
// here. Its errors are sticky, too.
func (b *Body) Fetch() (int, error) {
	n, err := b.in.Fill()
	if err != nil {
		b.err = whole(err)
	}
	return n, b.err
}

// whole makes an early end an error.
func whole(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// longestSize is the line of a chunk size, at most, with its extensions.
const longestSize = 1 << 10

// readSize reads the line with the size of the next chunk, and the trailers behind the last one.
func (b *Body) readSize() error {
	line, err := b.line(longestSize)
	if err != nil {
		return err
	}
	n := 0
	for n < len(line) && hexDigits[line[n]] {
		n++
	}
	switch {
	case n == 0 || n > 16 || n == 16 && line[0] > '7':
		return refuse(ClassChunk, "chunk size %s, expected hexadecimal digits", shown(line))
	case !extensions(line[n:]):
		return refuse(ClassChunk, "%s behind a chunk size, expected extensions such as ;name=value", shown(line[n:]))
	}
	if b.extra += len(line) - n; b.extra > b.l.Trailer {
		return refuse(ClassLimit, "more than %d bytes of chunk extensions", b.l.Trailer)
	}
	for _, c := range line[:n] {
		b.left = b.left<<4 | int64(unhex(c))
	}
	if b.left > 0 {
		b.state = chunkData
		return nil
	}
	if err := b.trailers(); err != nil {
		return err
	}
	return io.EOF
}

// extensions reports whether b is what may follow a chunk size: parts that begin with a semicolon, a name and perhaps a value each, without blanks.
func extensions(b []byte) bool {
	for len(b) > 0 {
		if b[0] != ';' {
			return false
		}
		n := 1
		for n < len(b) && httpbyte.InToken(b[n]) {
			n++
		}
		if n == 1 {
			return false
		}
		if n == len(b) || b[n] == ';' {
			b = b[n:]
			continue
		}
		if b[n] != '=' {
			return false
		}
		if b = extensionValue(b[n+1:]); b == nil {
			return false
		}
	}
	return true
}

// extensionValue takes a token or a quoted string off b; nil: there is none.
func extensionValue(b []byte) []byte {
	n := 0
	if len(b) > 0 && b[0] == '"' {
		for n = 1; n < len(b) && b[n] != '"'; n++ {
			if b[n] == '\\' {
				n++
			}
		}
		if n >= len(b) || !httpbyte.IsText(b[:n]) {
			return nil
		}
		return b[n+1:]
	}
	for n < len(b) && httpbyte.InToken(b[n]) {
		n++
	}
	if n == 0 {
		return nil
	}
	return b[n:]
}

// readEnd reads the line end behind the data of a chunk.
func (b *Body) readEnd() error {
	for b.in.Buffered() < 2 {
		if b.in.Buffered() == 1 && b.in.buf[b.in.r] != '\r' {
			break
		}
		if _, err := b.in.Fill(); err != nil {
			return whole(err)
		}
	}
	in := b.in
	if in.buf[in.r] != '\r' || in.buf[in.r+1] != '\n' {
		return refuse(ClassChunk, "a chunk that is longer than its size")
	}
	in.r += 2
	b.state = chunkSize
	return nil
}

// trailers reads the trailer section. Its fields are thrown away, which RFC 9110 section 6.5.1 allows; but what nobody should pass on is refused here too.
func (b *Body) trailers() error {
	for count := 0; ; count++ {
		line, err := b.line(b.l.Trailer)
		if err != nil {
			return err
		}
		if len(line) == 0 {
			return nil
		}
		if b.extra += len(line) + 2; b.extra > b.l.Trailer || count == b.l.Fields {
			return refuseWith(http.StatusRequestHeaderFieldsTooLarge, ClassLimit, "a trailer section over the limit of %d bytes or %d lines", b.l.Trailer, b.l.Fields)
		}
		f, refused := fieldOf(line, bytes.IndexByte(line, ':'))
		if refused != nil {
			return refused
		}
		if framingField(f.Name) {
			return refuse(ClassFraming, "%s in a trailer section", f.Name)
		}
	}
}

// framingField names what may not stand in a trailer section because it would say how the message is read (RFC 9110 section 6.5.1).
func framingField(name []byte) bool {
	switch len(name) {
	case 4:
		return httpbyte.Fold(name, "host")
	case 7:
		return httpbyte.Fold(name, "trailer")
	case 14:
		return httpbyte.Fold(name, "content-length")
	case 17:
		return httpbyte.Fold(name, "transfer-encoding")
	}
	return false
}

// line takes a line off, without its end. It is good until the next read. Lines end in CRLF.
func (b *Body) line(most int) ([]byte, error) {
	in, seen := b.in, 0
	for {
		data := in.buf[in.r:in.w]
		if i := bytes.IndexByte(data[seen:], '\n'); i >= 0 && seen+i <= most {
			i += seen
			if i == 0 || data[i-1] != '\r' {
				return nil, refuse(ClassChunk, "a line that ends in LF without CR")
			}
			if bytes.IndexByte(data[:i-1], '\r') >= 0 {
				return nil, refuse(ClassChunk, "a CR without LF")
			}
			in.r += i + 1
			return data[:i-1], nil
		}
		if seen = len(data); seen > most {
			return nil, refuse(ClassLimit, "a line of %d bytes or more in a chunked body, the limit is %d", seen, most)
		}
		if _, err := in.Fill(); err != nil {
			return nil, whole(err)
		}
	}
}
