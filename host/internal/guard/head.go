package guard

import (
	"bytes"
	"net/http"
	"slices"

	"github.com/outrigger-gateway/outrigger/host/internal/httpbyte"
)

// Head is the head of a request as it came, and what it says of the body. Its slices are parts of memory that lives as long as the Head is not reset.
type Head struct {
	Method []byte
	Target []byte // of the request line
	// Authority is the host of a target in absolute form, with its port; empty for the other forms. Host names the same one then.
	Authority []byte
	Host      []byte // value of Host; empty: a request of HTTP/1.0 without one
	HTTP10    bool
	Raw       []byte // the header lines, and the empty line behind them
	Fields    []Field
	// Verbatim: every line of Raw is name, colon, space, value and CRLF.
	Verbatim bool

	Length   int64 // of the body; Chunked: it tells its end itself
	Expects  bool  // the client waits for 100 Continue before it sends the body
	Closes   bool  // the client wants, or its version implies, that the connection ends after the response
	Upgrades bool  // the client offers to go on in another protocol

	block []byte // what the slices are parts of

	hosts      int
	options    int  // elements of Connection
	keeps      bool // Connection: keep-alive
	sized      bool // there is a Content-Length
	upgrade    bool // there is an Upgrade
	connection bool // Connection names it
}

// Chunked is the Length of a body that comes in chunks.
const Chunked = -1

// Field is one line of the head, without blanks around the value.
type Field struct{ Name, Value []byte }

// mostKept is the size of a block that is kept for other requests.
const mostKept = 8 << 10

// Reset makes it empty. Nothing may use its slices afterwards.
func (h *Head) Reset() {
	if cap(h.block) > mostKept {
		h.block = nil
	}
	clear(h.Fields)
	*h = Head{block: h.block[:0], Fields: h.Fields[:0]}
}

// parse takes a head apart, which ends with the first empty line of data, and data with one. The data is copied. It returns the size of the head.
func (h *Head) parse(data []byte, l *Limits) (int, error) {
	h.block = append(h.block[:0], data...)
	first := bytes.IndexByte(h.block, '\r')
	if h.block[first+1] != '\n' {
		return 0, refuse(ClassLine, "a CR without LF in the request line")
	}
	if err := h.requestLine(h.block[:first], l); err != nil {
		return 0, err
	}
	h.Verbatim = true
	for at := first + 2; ; {
		end := at + bytes.IndexByte(h.block[at:], '\r') // the block ends in CRLFCRLF
		line := h.block[at:end]
		if h.block[end+1] != '\n' {
			return 0, refuse(ClassHeader, "a CR without LF behind %s", shown(line))
		}
		at = end + 2
		if at > l.Head {
			return 0, tooLong(h.block, l)
		}
		if len(line) == 0 {
			h.Raw = h.block[first+2 : at]
			return at, h.settle()
		}
		if err := h.line(line, l); err != nil {
			return 0, err
		}
	}
}

// keep takes the lines that came of a head that is refused for its size, or because it does not end.
func (h *Head) keep(data []byte, l *Limits) {
	if end := bytes.LastIndex(data, endOfHead[:len("\r\n")]); end >= 0 {
		_, _ = h.parse(slices.Concat(data[:end], endOfHead), l) // what else is wrong with it counts no more
	}
}

// longestMethod is the length of a method, at most. The longest registered one has 17 bytes.
const longestMethod = 32

// requestLine takes method, target and version.
func (h *Head) requestLine(line []byte, l *Limits) *Refusal {
	space := bytes.IndexByte(line, ' ')
	if space < 0 {
		return refuse(ClassLine, "%s, expected a request line such as GET / HTTP/1.1", shown(line))
	}
	if err := checkMethod(line, space); err != nil {
		return err
	}
	h.Method = line[:space]
	rest := line[space+1:]
	space = bytes.LastIndexByte(rest, ' ')
	if space < 0 {
		return refuse(ClassLine, "no version, expected a request line such as GET / HTTP/1.1")
	}
	h.Target = rest[:space]
	if err := h.version(rest[space+1:]); err != nil {
		return err
	}
	if len(h.Target) > l.URI {
		return refuseWith(http.StatusRequestURITooLong, ClassLimit, "a target of %d bytes, the limit is %d", len(h.Target), l.URI)
	}
	return h.target()
}

// checkMethod looks at the beginning of a request line, of which space is the first blank; negative: it has none yet.
func checkMethod(line []byte, space int) *Refusal {
	method := line
	if space >= 0 {
		method = line[:space]
	}
	if !allOf(&methodBytes, method) || len(method) > longestMethod || space == 0 {
		return refuse(ClassLine, "%s, expected a method", shown(method))
	}
	return nil
}

func (h *Head) version(v []byte) *Refusal {
	switch {
	case string(v) == "HTTP/1.1":
		return nil
	case string(v) == "HTTP/1.0":
		h.HTTP10 = true
		return nil
	case len(v) == len("HTTP/1.1") && bytes.HasPrefix(v, []byte("HTTP/")) && digits[v[5]] && v[6] == '.' && digits[v[7]]:
		return refuseWith(http.StatusHTTPVersionNotSupported, ClassLine, "version %s, expected HTTP/1.1 or HTTP/1.0", v)
	}
	return refuse(ClassLine, "version %s, expected HTTP/1.1 or HTTP/1.0", shown(v))
}

// line takes one header line.
func (h *Head) line(line []byte, l *Limits) *Refusal {
	switch {
	case len(line) > l.Line:
		return refuseWith(http.StatusRequestHeaderFieldsTooLarge, ClassLimit, "a header line of %d bytes, the limit is %d", len(line), l.Line)
	case len(h.Fields) == l.Fields:
		return refuseWith(http.StatusRequestHeaderFieldsTooLarge, ClassLimit, "more than %d header lines", l.Fields)
	}
	colon := bytes.IndexByte(line, ':')
	f, err := fieldOf(line, colon)
	if err != nil {
		return err
	}
	if err := h.meaning(f); err != nil {
		return err
	}
	h.Verbatim = h.Verbatim && len(line) == colon+len(": ")+len(f.Value) && line[colon+1] == ' '
	h.Fields = append(h.Fields, f)
	return nil
}

// fieldOf takes a header line apart at its first colon.
func fieldOf(line []byte, colon int) (Field, *Refusal) {
	if colon <= 0 || !httpbyte.IsToken(line[:colon]) {
		if line[0] == ' ' || line[0] == '\t' {
			return Field{}, refuse(ClassHeader, "%s is folded or begins with a blank", shown(line))
		}
		return Field{}, refuse(ClassHeader, "%s, expected a name without blanks and a colon", shown(line))
	}
	f := Field{line[:colon], httpbyte.TrimBlanks(line[colon+1:])}
	if !httpbyte.IsText(f.Value) {
		return Field{}, refuse(ClassHeader, "a control character in the value of %s", f.Name)
	}
	return f, nil
}
