package guard

import (
	"bytes"
	"net/http"

	"github.com/outrigger-gateway/outrigger/host/internal/httpbyte"
)

// target checks the form of the target (RFC 9112 section 3.2).
func (h *Head) target() *Refusal {
	t := h.Target
	switch {
	case len(t) == 0:
		return refuse(ClassTarget, "no target")
	case string(h.Method) == http.MethodConnect, string(h.Method) == http.MethodTrace:
		return refuseWith(http.StatusMethodNotAllowed, ClassLine, "method %s", h.Method)
	case t[0] == '/':
		return checkOrigin(t)
	case string(t) == "*":
		return h.serverWide()
	}
	return h.absolute(t)
}

// absolute takes a target in absolute form apart.
func (h *Head) absolute(t []byte) *Refusal {
	scheme := bytes.IndexByte(t, ':')
	if scheme < 0 || !bytes.HasPrefix(t[scheme:], []byte("://")) ||
		!httpbyte.Same(t[:scheme], "http") && !httpbyte.Same(t[:scheme], "https") {
		return refuse(ClassTarget, "%s, expected a path, or http:// and a host", shown(t))
	}
	rest := t[scheme+len("://"):]
	end := bytes.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	if h.Authority = rest[:end]; !IsHost(h.Authority) {
		return refuse(ClassTarget, "host %s, expected a name or an address, and a port if need be", shown(h.Authority))
	}
	if end == len(rest) && string(h.Method) == http.MethodOptions { // RFC 9112 section 3.2.4: the same as *
		return h.serverWide()
	}
	return checkOrigin(rest[end:])
}

// serverWide refuses OPTIONS of a server as a whole: no route says whose that is, and OPTIONS of / is another question.
func (h *Head) serverWide() *Refusal {
	return refuse(ClassTarget, "%s %s, expected a path", h.Method, shown(h.Target))
}

// What the bytes of a target are worth a look for.
const (
	plainByte  = iota
	badByte    // never in a target
	markByte   // ?
	closerByte // in a path, a reason to look closer
)

var targetBytes = func() (s [256]uint8) {
	for c := range 0x21 {
		s[c] = badByte
	}
	s[0x7f], s['#'], s['?'] = badByte, badByte, markByte
	for _, c := range []byte(`%\;`) {
		s[c] = closerByte
	}
	return s
}()

// checkOrigin checks path and query. Bytes above ASCII pass: the path is escaped on its way to the service.
func checkOrigin(t []byte) *Refusal {
	path, closer := len(t), false
	for i, c := range t {
		switch targetBytes[c] {
		case badByte:
			return refuse(ClassTarget, "byte 0x%02x in the target", c)
		case markByte:
			path = min(path, i)
		case closerByte:
			closer = closer || i < path
		case plainByte:
			closer = closer || c == '.' && t[max(i-1, 0)] == '/' && i < path
		}
	}
	if !closer {
		return nil
	}
	return checkPath(t[:path])
}

// checkPath refuses paths that the gateway and a service could take for different ones although the gateway normalises them: dot segments that only
// a service sees which decodes %2F and %5C, takes \ for / or cuts parameters off, those behind an empty segment, and those that leave the root. What is
// escaped badly and %00 are refused too.
func checkPath(p []byte) *Refusal {
	var (
		s     segment
		depth int
	)
	for i := 0; i < len(p); {
		c, n := p[i], 1
		if c == '%' {
			if i+2 >= len(p) || !hexDigits[p[i+1]] || !hexDigits[p[i+2]] {
				return refuse(ClassTarget, "a %% without two hexadecimal digits in the path")
			}
			c, n = unhex(p[i+1])<<4|unhex(p[i+2]), 3
		}
		if c == 0 {
			return refuse(ClassTarget, "%%00 in the path")
		}
		if c == '/' || c == '\\' {
			plain := n == 1 && c == '/'
			if err := s.ends(plain, &depth); err != nil {
				return err
			}
			s = segment{hidden: !plain, afterEmpty: s.length == 0 && i > 0}
		} else {
			s.add(c)
		}
		i += n
	}
	return s.ends(true, &depth)
}

// segment is a part of a path between two characters that some server takes for a slash.
type segment struct {
	length, dots int
	params       bool // a ; came
	hidden       bool // it begins behind something else than a slash
	afterEmpty   bool // it follows an empty one
}

func (s *segment) add(c byte) {
	s.length++
	switch {
	case c == ';':
		s.params = true
	case s.params:
	case c == '.' && s.dots == s.length-1:
		s.dots++
	default:
		s.dots = 3 // no dot segment
	}
}

// ends judges a segment. plain says that it ends at a slash or with the path; depth counts those that are open.
func (s *segment) ends(plain bool, depth *int) *Refusal {
	switch {
	case s.length == 0:
	case s.dots != 1 && s.dots != 2:
		*depth++
	case s.hidden || !plain || s.params:
		return refuse(ClassTarget, "a hidden dot segment in the path")
	case s.dots == 1:
	case s.afterEmpty:
		return refuse(ClassTarget, "a dot segment behind an empty one in the path")
	default:
		if *depth--; *depth < 0 {
			return refuse(ClassTarget, "a path that leaves the root")
		}
	}
	return nil
}

func unhex(c byte) byte {
	switch {
	case c <= '9':
		return c - '0'
	default:
		return c | 0x20 - 'a' + 10
	}
}
