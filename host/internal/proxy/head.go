package proxy

import (
	"net/http"
	"strings"
	"sync"

	"github.com/outrigger-gateway/outrigger/host/internal/guard"
	"github.com/outrigger-gateway/outrigger/host/internal/httpbyte"
)

// head is the head of a request as it came. Its slices are parts of memory that lives as long as the request. It is pooled.
type head struct {
	method []byte
	target []byte // of the request line
	host   []byte // value of Host
	http10 bool
	raw    []byte        // the header lines
	lines  []guard.Field // plugins and upstream see every line as it came
	// verbatim: every line of raw is name, colon, space, value and CRLF, of characters that may be passed on.
	verbatim bool

	wire guard.Head // what the slices are parts of
}

var heads = sync.Pool{New: func() any { return new(head) }}

// take makes it the head that the guard has read into wire.
func (h *head) take() {
	w := &h.wire
	h.method, h.target, h.host, h.http10, h.raw, h.verbatim = w.Method, w.Target, w.Host, w.HTTP10, w.Raw, w.Verbatim
	h.lines = w.Fields
}

// list is all values of a header with commas between them; name is in lower case. It is a copy.
func (h *head) list(name string) string {
	var values []string
	for _, l := range h.lines {
		if len(l.Name) == len(name) && httpbyte.Fold(l.Name, name) {
			values = append(values, string(l.Value))
		}
	}
	return strings.Join(values, ",")
}

// release gives the head back. Nothing may use its slices afterwards.
func (h *head) release() {
	h.empty()
	heads.Put(h)
}

// empty keeps the room of the head alone.
func (h *head) empty() {
	h.wire.Reset()
	h.method, h.target, h.host, h.raw, h.lines = nil, nil, nil, nil, nil
}

// Every request is read by the guard. For fasthttp, which would read it again and keep what nobody needs, the shortest head with the same meaning for the
// response and for the connection takes its place. Bodies never pass through it.
var standIns = [8][]byte{
	0:                             []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
	closing:                       []byte("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
	forHead:                       []byte("HEAD / HTTP/1.1\r\nHost: x\r\n\r\n"),
	forHead | closing:             []byte("HEAD / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
	version10:                     []byte("GET / HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\n\r\n"),
	version10 | closing:           []byte("GET / HTTP/1.0\r\nHost: x\r\n\r\n"),
	version10 | forHead:           []byte("HEAD / HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\n\r\n"),
	version10 | forHead | closing: []byte("HEAD / HTTP/1.0\r\nHost: x\r\n\r\n"),
}

// What stand-ins differ in.
const (
	closing = 1 << iota // the connection ends after the response
	forHead
	version10
)

// standInSize is room for every stand-in.
const standInSize = 64

// standIn is what fasthttp gets to see of the request.
func (h *head) standIn() []byte {
	which := 0
	if h.wire.Closes {
		which |= closing
	}
	if len(h.method) == len(http.MethodHead) && string(h.method) == http.MethodHead {
		which |= forHead
	}
	if h.http10 {
		which |= version10
	}
	return standIns[which]
}

var keepsAlive = []byte("keep-alive")
