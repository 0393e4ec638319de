package upstream

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/outrigger-gateway/outrigger/host/internal/httpbyte"
)

// chunked reads a chunked body and the trailer section behind it, and nothing more. It is as strict as the reading of heads: lines end in CRLF, sizes are
// hexadecimal digits, extensions are skipped.
type chunked struct {
	br    *bufio.Reader
	left  int64 // of the chunk
	begun bool  // a chunk was read: CRLF follows it
	waste int   // bytes of size lines beyond what chunks of a decent size need
	// trailers are the lines of the trailer section as they came, when they are wanted.
	trailers []byte
	wanted   bool
}

const (
	longestSizeLine = 4 << 10  // with extensions
	mostWaste       = 16 << 10 // a body of tiny chunks with long extensions costs more than it is worth
	longestTrailers = 16 << 10 // all lines together
	mostTrailers    = 100      // lines: each is looked for among the headers
)

func (r *chunked) Read(p []byte) (n int, err error) {
	for n < len(p) {
		if r.left == 0 {
			if n > 0 && !r.nextLineIsThere() { // no waiting with something in hand
				break
			}
			if err = r.nextChunk(); err != nil {
				return n, err
			}
		}
		room := p[n:]
		if int64(len(room)) > r.left {
			room = room[:r.left]
		}
		got, err := r.br.Read(room)
		n += got
		if r.left -= int64(got); err != nil {
			return n, cutOff(err)
		}
		if r.left > 0 {
			break // what was in the buffer is read
		}
	}
	return n, nil
}

// nextLineIsThere reports whether the next chunk can begin without a wait.
func (r *chunked) nextLineIsThere() bool {
	b, _ := r.br.Peek(r.br.Buffered())
	if len(b) < len("\r\n") {
		return false
	}
	return bytes.IndexByte(b[len("\r\n"):], '\n') >= 0
}

// nextChunk reads the line with the size of the next chunk. The last one, of size 0, ends in io.EOF, when its trailers were read too.
func (r *chunked) nextChunk() error {
	if r.begun {
		b, err := r.br.Peek(len("\r\n"))
		if err != nil {
			return cutOff(err)
		}
		if string(b) != "\r\n" {
			return malformedf("a chunk of the response is longer than its size says: %s follows it", shown(b))
		}
		_, _ = r.br.Discard(len("\r\n"))
	}
	line, err := readLine(r.br, longestSizeLine)
	if err != nil {
		return err
	}
	if r.left, err = chunkSize(line); err != nil {
		return err
	}
	r.waste = max(0, r.waste+len(line)-16-int(min(r.left, mostWaste)))
	if r.waste > mostWaste {
		return malformedf("the response has many small chunks with long extensions")
	}
	r.begun = true
	if r.left == 0 {
		if err := r.readTrailers(); err != nil {
			return err
		}
		return io.EOF
	}
	return nil
}

// chunkSize reads a size line without its line end.
func chunkSize(line []byte) (int64, error) {
	const longest = 15 // digits: more do not fit into 63 bits
	n, size := 0, int64(0)
	for ; n < len(line); n++ {
		var digit byte
		switch c := line[n]; {
		case '0' <= c && c <= '9':
			digit = c - '0'
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			digit = c | 0x20 - 'a' + 10
		default:
			digit = 16
		}
		if digit == 16 {
			break
		}
		size = size<<4 | int64(digit)
	}
	rest := line[n:]
	for len(rest) > 0 && httpbyte.IsBlank(rest[0]) { // some servers pad sizes with blanks
		rest = rest[1:]
	}
	if n == 0 || n > longest || len(rest) > 0 && rest[0] != ';' || !httpbyte.IsText(rest) {
		return 0, malformedf("the size of a chunk of the response is %s, expected up to %d hexadecimal digits", shown(line), longest)
	}
	return size, nil
}

func (r *chunked) readTrailers() error {
	for n, size := 0, 0; ; n++ {
		line, err := readLine(r.br, longestTrailers)
		if err != nil {
			return err
		}
		if len(line) == 0 {
			return nil
		}
		if size += len(line); size > longestTrailers {
			return malformedf("the trailers of the response are longer than %d bytes", longestTrailers)
		}
		if n == mostTrailers {
			return malformedf("the response has more than %d trailers", mostTrailers)
		}
		colon := bytes.IndexByte(line, ':')
		if colon < 0 || !httpbyte.IsToken(line[:colon]) || !httpbyte.IsText(line[colon+1:]) {
			return malformedf("a trailer of the response is %s, expected a name, a colon and a value", shown(line))
		}
		if r.wanted {
			r.trailers = append(append(r.trailers, line...), '\n')
		}
	}
}

// readLine reads a line of at most that many bytes, and takes CRLF off its end. The line is a view of the buffer.
func readLine(br *bufio.Reader, longest int) ([]byte, error) {
	line, err := br.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull), len(line) > longest+len("\r\n"):
		return nil, malformedf("a line in the body of the response is longer than %d bytes", longest)
	case err != nil:
		return nil, cutOff(err)
	case len(line) < len("\r\n") || line[len(line)-2] != '\r':
		return nil, malformedf("a line in the body of the response ends in LF alone: %s", shown(line))
	}
	return line[:len(line)-len("\r\n")], nil
}

// cutOff is the error of a body that ended too early.
func cutOff(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// malformed is a response that is not HTTP as it should be. A request that got one must not be sent again: it was answered.
type malformed struct{ error }

func malformedf(format string, args ...any) error { return malformed{fmt.Errorf(format, args...)} }
