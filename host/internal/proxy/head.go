package proxy

import (
	"bytes"
	"encoding/binary"
	"sync"

	"github.com/valyala/fasthttp"
)

// head is the head of a request as it came. Its slices are parts of memory that lives as long as the request. It is pooled.
type head struct {
	method []byte
	target []byte // of the request line
	host   []byte // value of Host, the last one
	http10 bool
	hosts  int    // lines of Host
	raw    []byte // the header lines
	lines  []headerLine
	// verbatim: every line of raw is name, colon, space, value and CRLF, of characters that may be passed on.
	verbatim bool
	// broken: a line is folded, or its name has a blank in it.
	broken bool

	block []byte // what the slices are parts of, when the head was taken here
}

// headerLine is one line of the request head. The codec joins cookies, keeps only the last of some headers and adds trailers to them; plugins
// and upstream see every line as it came.
type headerLine struct{ name, value []byte }

var heads = sync.Pool{New: func() any { return new(head) }}

// release gives the head back. Nothing may use its slices afterwards.
func (h *head) release() {
	if cap(h.block) > mostKept {
		h.block = nil
	}
	clear(h.lines)
	*h = head{block: h.block[:0], lines: h.lines[:0]}
	heads.Put(h)
}

// mostKept is the size of a block that is kept for other requests.
const mostKept = 8 << 10

// parsedHead takes the head that fasthttp has parsed apart. The slices are fasthttp's.
func parsedHead(from *fasthttp.RequestHeader) *head {
	h := heads.Get().(*head)
	h.method, h.target, h.host = from.Method(), from.RequestURI(), from.Host()
	h.http10 = !from.IsHTTP11()
	h.raw = from.RawHeaders()
	for rest := h.raw; len(rest) > 0; {
		line := rest
		if i := bytes.IndexByte(rest, '\n'); i >= 0 {
			line, rest = rest[:i], rest[i+1:]
		} else {
			rest = nil
		}
		if line = bytes.TrimSuffix(line, []byte{'\r'}); len(line) == 0 {
			continue
		}
		i := bytes.IndexByte(line, ':')
		if i <= 0 || bytes.IndexByte(line[:i], ' ') >= 0 || line[0] == '\t' {
			h.broken = true
			continue
		}
		h.add(line[:i], trimBlanks(line[i+1:]))
	}
	return h
}

func (h *head) add(name, value []byte) {
	if len(name) == len("host") && fold(name, "host") {
		h.hosts++
	}
	h.lines = append(h.lines, headerLine{name, value})
}

// A plain request is what nearly all are: GET or HEAD without a body, whole in one read, and nothing about it is unusual. Its head is taken apart
// here, once. For fasthttp, which would do it again and keep what nobody needs, the shortest head takes its place. Whatever is not plain goes to
// fasthttp as it is: plainHead is to refuse more than fasthttp does, never less.
var (
	standInGet  = []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	standInHead = []byte("HEAD / HTTP/1.1\r\nHost: x\r\n\r\n")
)

// standIn is what fasthttp gets to see of a plain request.
func (h *head) standIn() []byte {
	if len(h.method) == len("HEAD") {
		return standInHead
	}
	return standInGet
}

var (
	endOfHead  = []byte("\r\n\r\n")
	endOfLine  = []byte(" HTTP/1.1")
	getSpace   = []byte("GET ")
	headSpace  = []byte("HEAD ")
	keepsAlive = []byte("keep-alive")
)

// plainHead is the head of a plain request; nil when data is anything else. The data is copied.
func plainHead(data []byte) *head {
	if len(data) < len(standInHead) || !bytes.HasSuffix(data, endOfHead) {
		return nil
	}
	method := 0
	switch {
	case bytes.HasPrefix(data, getSpace):
		method = len("GET")
	case bytes.HasPrefix(data, headSpace):
		method = len("HEAD")
	default:
		return nil
	}
	h := heads.Get().(*head)
	h.block = append(h.block[:0], data...)
	if !h.plain(method) {
		h.release()
		return nil
	}
	return h
}

// plain takes the block apart, and reports whether it is that of a plain request. method is the length of the method.
func (h *head) plain(method int) bool {
	first := bytes.IndexByte(h.block, '\r')
	line := h.block[:first]
	if !bytes.HasSuffix(line, endOfLine) {
		return false
	}
	h.method, h.target = line[:method], line[method+1:max(len(line)-len(endOfLine), method+1)]
	if len(h.target) == 0 || h.target[0] != '/' || !allOf(&targetBytes, h.target) || h.block[first+1] != '\n' {
		return false
	}
	h.raw = h.block[first+2:]
	h.verbatim = true
	for rest := h.raw; ; {
		end := bytes.IndexByte(rest, '\r')
		if rest[end+1] != '\n' { // the block ends in CRLFCRLF
			return false
		}
		if end == 0 {
			return len(rest) == 2 && h.hosts == 1
		}
		line, rest = rest[:end], rest[end+2:]
		colon := bytes.IndexByte(line, ':')
		if colon <= 0 {
			return false
		}
		name, value := line[:colon], trimBlanks(line[colon+1:])
		if !allOf(&tokenBytes, name) || !printable(value) || !h.usual(name, value) {
			return false
		}
		h.verbatim = h.verbatim && len(line) == colon+len(": ")+len(value) && line[colon+1] == ' '
		h.add(name, value)
	}
}

// usual says that a header changes nothing of how a request without a body is read and answered.
func (h *head) usual(name, value []byte) bool {
	switch len(name) {
	case 4:
		if fold(name, "host") {
			h.host = value
			return plainHost(value)
		}
	case 6:
		return !fold(name, "expect")
	case 7:
		return !fold(name, "upgrade") && !fold(name, "trailer")
	case 10:
		return !fold(name, "connection") || bytes.EqualFold(value, keepsAlive)
	case 14:
		return !fold(name, "content-length")
	case 16:
		return !fold(name, "proxy-connection")
	case 17:
		return !fold(name, "transfer-encoding")
	}
	return true
}

// plainHost reports whether a value of Host is a name or an IPv4 address, with or without a port.
func plainHost(b []byte) bool {
	if i := bytes.IndexByte(b, ':'); i >= 0 {
		port := b[i+1:]
		if len(port) == 0 || len(port) > len("65535") || !allOf(&digits, port) {
			return false
		}
		b = b[:i]
	}
	return len(b) > 0 && allOf(&hostBytes, b)
}

func trimBlanks(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t') {
		b = b[:len(b)-1]
	}
	return b
}

// byteSet is a set of bytes.
type byteSet [256]bool

// setOf has the bytes from first to last and more.
func setOf(first, last byte, more string) (s byteSet) {
	for c := int(first); c <= int(last); c++ {
		s[c] = true
	}
	for i := range len(more) {
		s[more[i]] = true
	}
	return s
}

const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

var (
	digits      = setOf('0', '9', "")
	hostBytes   = setOf('0', '9', letters+"-._")
	tokenBytes  = setOf('0', '9', letters+"!#$%&'*+-.^_`|~") // RFC 9110 section 5.6.2
	targetBytes = setOf('!', '~', "")                        // no blanks, no controls, nothing above ASCII
)

func allOf(set *byteSet, b []byte) bool {
	for _, c := range b {
		if !set[c] {
			return false
		}
	}
	return true
}

// printable reports whether b has no control characters. A tab is one here.
func printable(b []byte) bool {
	const (
		ones  = 0x0101010101010101
		highs = 0x8080808080808080
	)
	for ; len(b) >= 8; b = b[8:] {
		x := binary.LittleEndian.Uint64(b)
		del := x ^ 0x7f*ones
		// A byte below 0x20 borrows from its highest bit; so does a byte of del that is 0.
		if ((x-0x20*ones)&^x|(del-ones)&^del)&highs != 0 {
			return false
		}
	}
	for _, c := range b {
		if c < 0x20 || c == 0x7f {
			return false
		}
	}
	return true
}
