package exchange

import (
	"fmt"
	"slices"
	"strings"

	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/pdk/local"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// What all handlers together may write into the head of the request, and into that of the response. What they take away again counts too.
const (
	maxHeadLines = 1000
	maxHeadBytes = 256 << 10
	// maxTarget bounds the path and the query that a handler sets, each, in bytes.
	maxTarget = 64 << 10
)

// written is what handlers have written into a head: header lines, and the bytes of their names and values.
type written struct{ lines, bytes int }

// heads of an exchange, as indexes of wrote.
const (
	ofRequest = iota
	ofResponse
)

// boundHeads is what handlers will have written into the heads; it refuses operations after which that would be more than they may.
func (e *Exchange) boundHeads(ops []wire.Op) (after [2]written, err error) {
	after = e.wrote
	for i := range ops {
		op := &ops[i]
		w := &after[ofResponse]
		switch op.Code {
		case pdk.OpServiceRequestSetHeader, pdk.OpServiceRequestAddHeader:
			w = &after[ofRequest]
			fallthrough
		case pdk.OpResponseSetHeader, pdk.OpResponseAddHeader:
			for _, v := range op.Values {
				w.add(op.Name, v)
			}
		case pdk.OpResponseExit, pdk.OpResponseError:
			for _, h := range op.Headers {
				w.add(h.Name, h.Value)
			}
		default:
			continue
		}
		if w.lines > maxHeadLines || w.bytes > maxHeadBytes {
			return after, fmt.Errorf("%s: plugins would have written %d header lines of %d bytes into one message; at most %d lines of %d bytes are allowed",
				pdk.FunctionOfOp(uint16(op.Code)).Name, w.lines, w.bytes, maxHeadLines, maxHeadBytes)
		}
	}
	return after, nil
}

func (w *written) add(name, value string) {
	w.lines++
	w.bytes += len(name) + len(value)
}

// checkHead refuses what has the form of a header, a path or a query and cannot stand in the head of a request.
func checkHead(op *wire.Op) error {
	switch op.Code {
	case pdk.OpServiceRequestSetHeader, pdk.OpServiceRequestAddHeader:
		if local.SameHeader(op.Name, "host") {
			for _, v := range op.Values {
				if err := checkHost(v); err != nil {
					return err
				}
			}
		}
	case pdk.OpServiceRequestSetPath, pdk.OpServiceRequestSetRawQuery:
		if len(op.Name) > maxTarget {
			return fmt.Errorf("found %d bytes, expected at most %d", len(op.Name), maxTarget)
		}
	}
	return nil
}

// checkHost refuses a value of Host that is no host with or without a port (RFC 9110 section 7.2): an upstream may take the rest for something else.
func checkHost(host string) error {
	name, port := host, ""
	if at := strings.LastIndexByte(host, ':'); at >= 0 && !strings.HasSuffix(host, "]") {
		name, port = host[:at], host[at+1:]
	}
	literal := strings.HasPrefix(name, "[") && strings.HasSuffix(name, "]")
	allowed := hostMarks
	if literal {
		name, allowed = name[1:len(name)-1], ":."
	}
	wrong := func(c rune) bool {
		return !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune(allowed, c))
	}
	if name == "" || strings.ContainsFunc(name, wrong) || strings.ContainsFunc(port, func(c rune) bool { return c < '0' || c > '9' }) || len(port) > 5 {
		return fmt.Errorf("found the value %q for Host, expected a host name or an address, with or without a port", host)
	}
	return nil
}

// hostMarks are the characters of a reg-name beside letters and digits: RFC 3986 section 3.2.2, without the comma, which would make a list of it.
const hostMarks = "-._~%!$&'()*+;="

// HasSet reports whether a plugin has set or added lines of a request header.
func (e *Exchange) HasSet(name string) bool {
	return slices.ContainsFunc(e.set, func(set string) bool { return local.SameHeader(set, name) })
}
