package upstream

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"

	"github.com/outrigger-gateway/outrigger/host/internal/httpbyte"
)

// head is what the head of a response says about the connection and the body. The rest of it is read by the HTTP library, from bytes that were found
// to be in order here: every byte of a head is judged once, by rules that leave nothing to be understood in two ways (RFC 9112).
//
// Lines about this hop alone are taken out, so that what reads on sees only what is meant for the client.
type head struct {
	status  int
	old     bool  // HTTP/1.0
	length  int64 // Content-Length; unsized: there is none
	chunked bool
	closes  bool // the connection ends after the response, by its words or by its version
	keeps   bool // Connection: keep-alive
	upgrade bool // Connection: upgrade
	dated   bool
	// protocol is what Upgrade names. A view of the buffer.
	protocol []byte
	// trailers are the values of Trailer. Views of the buffer.
	trailers [][]byte

	connection [][]byte // values of Connection
	encoding   []byte   // the first line of Content-Encoding
	encodings  []byte   // all of them, when there are several: the library keeps the last line alone
	cuts       []span   // what is taken out, in order
	size       int
}

const unsized = -1

// span is a part of a head.
type span struct{ from, to int }

var (
	version   = []byte("HTTP/1.")
	endOfHead = []byte("\r\n\r\n")
)

// reset makes it empty and keeps its room.
func (h *head) reset() {
	*h = head{length: unsized, trailers: h.trailers[:0], connection: h.connection[:0], cuts: h.cuts[:0], encodings: h.encodings[:0]}
}

// errMore: the head is not whole yet, and nothing is wrong with what is there.
var errMore = errors.New("the head is not complete")

// parse reads a head, which data begins with. It fails with errMore when more has to come. Slices of h are views of data.
func (h *head) parse(data []byte) error {
	h.reset()
	first := bytes.IndexByte(data, '\r')
	if first < 0 || first+1 == len(data) {
		return hopeful(data, 0)
	}
	if data[first+1] != '\n' {
		return bareCR(data[:first+1])
	}
	if err := h.statusLine(data[:first]); err != nil {
		return err
	}
	for at := first + 2; ; {
		rest := data[at:]
		n := bytes.IndexByte(rest, '\r')
		if n < 0 || n+1 == len(rest) {
			return hopeful(data, 0)
		}
		if rest[n+1] != '\n' {
			return bareCR(rest[:n+1])
		}
		if n == 0 {
			h.size = at + 2
			break
		}
		if err := h.line(rest[:n], span{at, at + n + 2}); err != nil {
			return err
		}
		at += n + 2
	}
	if err := h.settle(); err != nil {
		return err
	}
	if h.nominates() {
		h.cutNominated(data[:h.size], first+2)
	}
	return nil
}

// hopeful looks at a head that is not whole, from a byte on: what can be no head is refused at once, and not when time is up.
func hopeful(data []byte, from int) error {
	if n := min(len(data), len(version)); !bytes.Equal(data[:n], version[:n]) {
		return fmt.Errorf("the response begins with %s, expected HTTP/1.1", shown(data))
	}
	for at := from; ; {
		n := bytes.IndexByte(data[at:], '\n')
		if n < 0 {
			return errMore
		}
		if at+n == 0 || data[at+n-1] != '\r' {
			return fmt.Errorf("a line of the response head ends in LF alone: %s", shown(data[at:at+n]))
		}
		at += n + 1
	}
}

func bareCR(line []byte) error {
	return fmt.Errorf("a CR without LF in the response head: %s", shown(line))
}

// statusLine reads version and status. The reason may be missing, with its blank.
func (h *head) statusLine(line []byte) error {
	const shortest = len("HTTP/1.1 200")
	if len(line) < shortest || !bytes.HasPrefix(line, version) || line[8] != ' ' || len(line) > shortest && line[shortest] != ' ' {
		return badStatusLine(line)
	}
	switch line[7] {
	case '1':
	case '0':
		h.old = true
	default:
		return badStatusLine(line)
	}
	for _, c := range line[9:shortest] {
		if c < '0' || c > '9' {
			return badStatusLine(line)
		}
		h.status = h.status*10 + int(c-'0')
	}
	if h.status < 100 || !httpbyte.IsText(line[shortest:]) {
		return badStatusLine(line)
	}
	return nil
}

func badStatusLine(line []byte) error {
	return fmt.Errorf("the status line is %s, expected HTTP/1.1 or HTTP/1.0, a status from 100 to 999 and a reason", shown(line))
}

// line reads one header line, without its line end; at is where it stands, with it.
func (h *head) line(line []byte, at span) error {
	colon := 0
	for colon < len(line) && httpbyte.InToken(line[colon]) {
		colon++
	}
	if colon == 0 || colon == len(line) || line[colon] != ':' {
		return badLine(line)
	}
	name, value := line[:colon], httpbyte.TrimBlanks(line[colon+1:])
	if !httpbyte.IsText(value) {
		return fmt.Errorf("the response header %s has a control character in its value: %s", name, shown(value))
	}
	return h.meaning(name, value, at)
}

func badLine(line []byte) error {
	name, _, found := bytes.Cut(line, []byte{':'})
	switch {
	case httpbyte.IsBlank(line[0]):
		return fmt.Errorf("a folded line in the response head: %s", shown(line))
	case !found:
		return fmt.Errorf("a line of the response head has no colon: %s", shown(line))
	}
	return fmt.Errorf("the name of a response header is %s, expected letters, digits and some signs, and no blank", shown(name))
}

// meaning takes what a line says of the connection or the body. Nearly all say nothing of them.
func (h *head) meaning(name, value []byte, at span) error {
	switch len(name) {
	case 4:
		h.dated = h.dated || httpbyte.Lower(name, "date")
	case 7:
		switch {
		case httpbyte.Lower(name, "upgrade"):
			if h.protocol != nil {
				return errors.New("more than one Upgrade in the response head")
			}
			h.protocol = value[:len(value):len(value)]
			h.cuts = append(h.cuts, at)
		case httpbyte.Lower(name, "trailer"):
			h.trailers = append(h.trailers, value)
			h.cuts = append(h.cuts, at)
		}
	case 10:
		switch {
		case httpbyte.Lower(name, "connection"):
			h.connection = append(h.connection, value)
			h.words(value)
			h.cuts = append(h.cuts, at)
		case httpbyte.Lower(name, "keep-alive"):
			h.cuts = append(h.cuts, at)
		}
	case 14:
		if httpbyte.Lower(name, "content-length") {
			return h.contentLength(value)
		}
	case 16:
		switch {
		case httpbyte.Lower(name, "content-encoding"):
			if h.encoding == nil {
				h.encoding = value[:len(value):len(value)]
				break
			}
			if len(h.encodings) == 0 {
				h.encodings = append(h.encodings, h.encoding...)
			}
			h.encodings = append(append(h.encodings, ", "...), value...)
		case httpbyte.Lower(name, "proxy-connection"):
			h.cuts = append(h.cuts, at)
		}
	case 17:
		if httpbyte.Lower(name, "transfer-encoding") {
			switch {
			case h.chunked:
				return errors.New("more than one Transfer-Encoding in the response head")
			case !named(value, "chunked"):
				return fmt.Errorf("the response has Transfer-Encoding %s, expected chunked", shown(value))
			}
			h.chunked = true
		}
	}
	return nil
}

// longestLength is how many digits Content-Length may have: more do not fit into 63 bits.
const longestLength = 18

func (h *head) contentLength(value []byte) error {
	if h.length != unsized {
		return errors.New("more than one Content-Length in the response head")
	}
	if len(value) == 0 || len(value) > longestLength {
		return fmt.Errorf("Content-Length of the response is %s, expected 1 to %d digits", shown(value), longestLength)
	}
	n := int64(0)
	for _, c := range value {
		if c < '0' || c > '9' {
			return fmt.Errorf("Content-Length of the response is %s, expected digits", shown(value))
		}
		n = n*10 + int64(c-'0')
	}
	h.length = n
	return nil
}

// words reads a value of Connection.
func (h *head) words(list []byte) {
	for len(list) > 0 {
		word := list
		if i := bytes.IndexByte(list, ','); i >= 0 {
			word, list = list[:i], list[i+1:]
		} else {
			list = nil
		}
		switch word = httpbyte.TrimBlanks(word); len(word) {
		case 5:
			h.closes = h.closes || httpbyte.Lower(word, "close")
		case 7:
			h.upgrade = h.upgrade || httpbyte.Lower(word, "upgrade")
		case 10:
			h.keeps = h.keeps || httpbyte.Lower(word, "keep-alive")
		}
	}
}

// settle checks what the lines say together.
func (h *head) settle() error {
	if h.chunked {
		if h.length != unsized {
			return errors.New("the response has Content-Length and Transfer-Encoding: where it ends is not certain")
		}
		if h.old {
			return errors.New("the response has Transfer-Encoding, which HTTP/1.0 does not know")
		}
	}
	h.closes = h.closes || h.old && !h.keeps
	return nil
}

// bodyless reports whether no body follows the head, whatever it says of one.
func (h *head) bodyless(method string) bool {
	return method == http.MethodHead || h.status < 200 || h.status == http.StatusNoContent || h.status == http.StatusNotModified
}

// doubtful reports whether a peer that sends this head may send a body that must not be: the connection is of no use afterwards.
func (h *head) doubtful() bool {
	return (h.status < 200 || h.status == http.StatusNoContent) && (h.chunked || h.length > 0)
}

// nominates reports whether Connection names other headers.
func (h *head) nominates() bool {
	for _, v := range h.connection {
		if !named(v, "keep-alive") && !named(v, "close") && !named(v, "upgrade") && len(v) > 0 {
			return true
		}
	}
	return false
}

// cutNominated takes out the lines that Connection names, from byte at on. Those that say where the body ends are needed here, whatever is said of them.
func (h *head) cutNominated(data []byte, at int) {
	h.cuts = h.cuts[:0]
	names := h.nominated()
	h.dated = h.dated && !names["date"]
	lower := make([]byte, 0, 64)
	for n := 0; ; at += n {
		n = bytes.IndexByte(data[at:], '\n') + 1
		if n == len("\r\n") {
			return
		}
		name := data[at : at+bytes.IndexByte(data[at:], ':')]
		lower = appendLower(lower[:0], name)
		if ofHop(name) || !ofFraming(name) && names[string(lower)] {
			h.cuts = append(h.cuts, span{at, at + n})
		}
	}
}

// nominated are the names that Connection has, in lower case. There may be thousands, beside thousands of lines.
func (h *head) nominated() map[string]bool {
	names := map[string]bool{}
	var lower []byte
	for _, v := range h.connection {
		for word := range bytes.SplitSeq(v, []byte{','}) {
			lower = appendLower(lower[:0], httpbyte.TrimBlanks(word))
			names[string(lower)] = true
		}
	}
	return names
}

// appendLower appends ASCII text in lower case.
func appendLower(dst, text []byte) []byte {
	for _, c := range text {
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		dst = append(dst, c)
	}
	return dst
}

// ofHop names the headers that end at this hop.
func ofHop(name []byte) bool {
	switch len(name) {
	case 7:
		return httpbyte.Lower(name, "upgrade") || httpbyte.Lower(name, "trailer")
	case 10:
		return httpbyte.Lower(name, "connection") || httpbyte.Lower(name, "keep-alive")
	case 16:
		return httpbyte.Lower(name, "proxy-connection")
	}
	return false
}

// ofFraming names the headers that say where the body ends.
func ofFraming(name []byte) bool {
	return named(name, "content-length") || named(name, "transfer-encoding")
}

// compact takes out of the head what is to be cut: what stays moves to the end of it. It returns the number of bytes before what stays. The views
// that h has of the head are of no use afterwards.
func (h *head) compact(data []byte) int {
	w, end := h.size, h.size
	for i := len(h.cuts) - 1; i >= 0; i-- {
		cut := h.cuts[i]
		w -= copy(data[w-(end-cut.to):w], data[cut.to:end])
		end = cut.from
	}
	w -= copy(data[w-end:w], data[:end])
	return w
}

// appendAnnounced appends the names that values of Trailer list, as many as there may be trailers. What they are views of is copied.
func appendAnnounced(dst [][]byte, values [][]byte) [][]byte {
	for _, v := range values {
		for word := range bytes.SplitSeq(v, []byte{','}) {
			if len(dst) == mostTrailers {
				return dst
			}
			if name := httpbyte.TrimBlanks(word); httpbyte.IsToken(name) && !ofHop(name) && !ofFraming(name) {
				dst = append(dst, bytes.Clone(name))
			}
		}
	}
	return dst
}
