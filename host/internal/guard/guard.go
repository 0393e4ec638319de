// Package guard reads requests of HTTP/1.0 and HTTP/1.1 from bytes, and refuses those that two parsers could read differently (RFC 9112).
//
// It stands before the HTTP library: Reader keeps what came, Reader.Next takes the head of one request off it and frames it, Body reads the body behind
// the head and not a byte more. Whatever comes after stays in the Reader until the next request is wanted. The package does no I/O of its own, has no
// clock and knows no HTTP library.
package guard

import (
	"fmt"
	"net/http"
)

// Limits bound what a client may send. All are in bytes but Fields.
type Limits struct {
	Head    int // request line and header lines with all their line ends
	URI     int // request target
	Line    int // one header line, without its line end
	Fields  int // header lines
	Trailer int // trailer section of a chunked body; also its chunk extensions, all together
}

// Class says what was wrong with a request, or with the PROXY header before it, in a word for logs and tables.
type Class string

// Classes.
const (
	ClassOrigin  Class = "PROXY header"
	ClassLine    Class = "request line"
	ClassTarget  Class = "target"
	ClassHeader  Class = "header line"
	ClassHost    Class = "host"
	ClassFraming Class = "framing"
	ClassChunk   Class = "chunk"
	ClassLimit   Class = "limit"
	ClassExpect  Class = "expectation"
	ClassTime    Class = "time"
)

// Refusal is why a request is not served. The connection is of no use afterwards: where the next request would begin is not known.
type Refusal struct {
	Status int // to answer
	Class  Class
	Detail string // what was found and what was expected
}

func (r *Refusal) Error() string { return string(r.Class) + ": " + r.Detail }

// refuse makes a refusal with status 400.
func refuse(class Class, format string, args ...any) *Refusal {
	return &Refusal{Status: http.StatusBadRequest, Class: class, Detail: fmt.Sprintf(format, args...)}
}

func refuseWith(status int, class Class, format string, args ...any) *Refusal {
	r := refuse(class, format, args...)
	r.Status = status
	return r
}

// shown is a part of a request for a message: at most 40 bytes of it.
func shown(b []byte) string {
	const most = 40
	if len(b) > most {
		return fmt.Sprintf("%q and %d bytes more", b[:most], len(b)-most)
	}
	return fmt.Sprintf("%q", b)
}
