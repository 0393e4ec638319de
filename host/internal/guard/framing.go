package guard

import (
	"bytes"
	"net/http"

	"github.com/outrigger-gateway/outrigger/host/internal/httpbyte"
)

// meaning takes what a header says of framing, of the connection and of the host. Nearly all headers say nothing of them.
func (h *Head) meaning(f Field) *Refusal {
	switch len(f.Name) {
	case 4:
		if httpbyte.Fold(f.Name, "host") {
			return h.host(f.Value)
		}
	case 6:
		if httpbyte.Fold(f.Name, "expect") {
			return h.expect(f.Value)
		}
	case 7:
		if httpbyte.Fold(f.Name, "upgrade") {
			h.upgrade = len(f.Value) > 0
		}
	case 10:
		if httpbyte.Fold(f.Name, "connection") {
			return h.connectionTokens(f.Value)
		}
	case 14:
		if httpbyte.Fold(f.Name, "content-length") {
			return h.contentLength(f)
		}
	case 17:
		if httpbyte.Fold(f.Name, "transfer-encoding") {
			return h.transferEncoding(f)
		}
	}
	return nil
}

func (h *Head) host(value []byte) *Refusal {
	if h.hosts++; h.hosts > 1 {
		return refuse(ClassHost, "more than one Host")
	}
	if !IsHost(value) {
		return refuse(ClassHost, "Host %s, expected a name or an address, and a port if need be", shown(value))
	}
	h.Host = value
	return nil
}

// IsHost reports whether b is a name, an IPv4 address or an IPv6 address in brackets, with or without a port.
func IsHost(b []byte) bool {
	name, port := b, []byte(nil)
	if len(b) > 0 && b[0] == '[' {
		end := bytes.IndexByte(b, ']')
		if end < len("[::") || !allOf(&ipv6Bytes, b[1:end]) {
			return false
		}
		if rest := b[end+1:]; len(rest) > 0 {
			return rest[0] == ':' && validPort(rest[1:])
		}
		return true
	}
	if i := bytes.IndexByte(b, ':'); i >= 0 {
		name, port = b[:i], b[i+1:]
	}
	return len(name) > 0 && allOf(&hostBytes, name) && validPort(port)
}

// validPort reports whether b is a port, or nothing.
func validPort(b []byte) bool {
	if len(b) > len("65535") {
		return false
	}
	n := 0
	for _, c := range b {
		if !digits[c] {
			return false
		}
		n = n*10 + int(c-'0')
	}
	return n <= 65535
}

func (h *Head) expect(value []byte) *Refusal {
	if h.HTTP10 { // RFC 9110 section 10.1.1
		return nil
	}
	if !httpbyte.Same(value, "100-continue") {
		return refuseWith(http.StatusExpectationFailed, ClassExpect, "Expect %s, expected 100-continue", shown(value))
	}
	h.Expects = true
	return nil
}

// mostOptions is how many elements Connection may have, all lines together. Every header is compared with each of them, and nobody needs more than a few.
const mostOptions = 64

func (h *Head) connectionTokens(value []byte) *Refusal {
	if httpbyte.Same(value, "keep-alive") { // what most clients send
		h.keeps = true
		return nil
	}
	for token := range bytes.SplitSeq(value, []byte(",")) {
		if h.options++; h.options > mostOptions {
			return refuseWith(http.StatusRequestHeaderFieldsTooLarge, ClassLimit, "more than %d elements of Connection", mostOptions)
		}
		token = httpbyte.TrimBlanks(token)
		switch {
		case httpbyte.Same(token, "close"):
			h.Closes = true
		case httpbyte.Same(token, "keep-alive"):
			h.keeps = true
		case httpbyte.Same(token, "upgrade"):
			h.connection = true
		}
	}
	return nil
}

// mostDigits of a Content-Length: as many as cannot overflow.
const mostDigits = 18

func (h *Head) contentLength(f Field) *Refusal {
	switch v := f.Value; {
	case f.Name[len("content")] != '-':
		return refuse(ClassFraming, "%s, which a server may take for Content-Length", f.Name)
	case h.sized:
		return refuse(ClassFraming, "more than one Content-Length")
	case h.Length == Chunked:
		return refuse(ClassFraming, "Content-Length and Transfer-Encoding")
	case len(v) == 0 || !allOf(&digits, v):
		return refuse(ClassFraming, "Content-Length %s, expected digits", shown(v))
	case len(v) > mostDigits:
		return refuseWith(http.StatusRequestEntityTooLarge, ClassFraming, "Content-Length %s is too large", shown(v))
	}
	h.sized = true
	for _, c := range f.Value {
		h.Length = h.Length*10 + int64(c-'0')
	}
	return nil
}

func (h *Head) transferEncoding(f Field) *Refusal {
	switch {
	case f.Name[len("transfer")] != '-':
		return refuse(ClassFraming, "%s, which a server may take for Transfer-Encoding", f.Name)
	case h.HTTP10:
		return refuse(ClassFraming, "Transfer-Encoding in a request of HTTP/1.0")
	case h.Length == Chunked:
		return refuse(ClassFraming, "more than one Transfer-Encoding")
	case h.sized:
		return refuse(ClassFraming, "Content-Length and Transfer-Encoding")
	case !httpbyte.Same(f.Value, "chunked"):
		return unknownCoding(f.Value)
	}
	h.Length = Chunked
	return nil
}

// unknownCoding tells a coding that is not supported (RFC 9112 section 6.1) from nonsense.
func unknownCoding(value []byte) *Refusal {
	last := value
	for coding := range bytes.SplitSeq(value, []byte(",")) {
		if last = httpbyte.TrimBlanks(coding); !httpbyte.IsToken(last) {
			return refuse(ClassFraming, "Transfer-Encoding %s, expected chunked", shown(value))
		}
	}
	if bytes.Count(bytes.ToLower(value), []byte("chunked")) != 1 || !httpbyte.Same(last, "chunked") {
		return refuse(ClassFraming, "Transfer-Encoding %s, expected chunked", shown(value))
	}
	return refuseWith(http.StatusNotImplemented, ClassFraming, "Transfer-Encoding %s, only chunked is supported", shown(value))
}

// settle looks at the head as a whole.
func (h *Head) settle() error {
	switch {
	case h.hosts == 0 && !h.HTTP10:
		return refuse(ClassHost, "no Host")
	case len(h.Authority) > 0 && h.hosts == 1 && !h.sameAuthority():
		return refuse(ClassHost, "Host %s, the target names %s", shown(h.Host), shown(h.Authority))
	}
	if h.HTTP10 {
		h.Closes = h.Closes || !h.keeps
	}
	h.Upgrades = h.upgrade && h.connection && !h.HTTP10
	h.Expects = h.Expects && h.Length != 0
	return nil
}

// sameAuthority compares the host of an absolute target with Host.
func (h *Head) sameAuthority() bool {
	port := []byte(":80")
	if len(h.Target) > len("https") && h.Target[len("http")]|0x20 == 's' {
		port = []byte(":443")
	}
	return bytes.EqualFold(withoutPort(h.Authority, port), withoutPort(h.Host, port))
}

// withoutPort takes the default port off, and an empty one.
func withoutPort(host, port []byte) []byte {
	return bytes.TrimSuffix(bytes.TrimSuffix(host, port), []byte(":"))
}
