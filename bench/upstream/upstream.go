// Package upstream is the upstream of the benchmarks: it answers every request with the same bytes and spends as little CPU as it can, so that
// the gateway is what is measured.
//
// It understands requests with Content-Length or without a body, pipelined or not. A path with /bytes/N is answered with N bytes, one with
// /bench/echo with the head of the request itself: the runner sees so what a plugin did to it.
package upstream

import (
	"bytes"
	"errors"
	"net"
	"strconv"
	"sync"
)

const (
	// Size of the body of an answer, bytes, unless the path says another one.
	Size = 512
	// maxHead bounds the head of one request, maxSize the body of an answer, bytes.
	maxHead = 64 << 10
	maxSize = 64 << 20
	// EchoPath is answered with the head of the request.
	EchoPath = "/bench/echo"
)

// Serve answers connections until the listener is closed.
func Serve(ln net.Listener) error {
	var replies replies
	for {
		conn, err := ln.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		go answer(conn, &replies)
	}
}

// replies are the whole responses by the size of their bodies.
type replies struct{ known sync.Map }

func (r *replies) of(size int) []byte {
	if found, ok := r.known.Load(size); ok {
		return found.([]byte)
	}
	made, _ := r.known.LoadOrStore(size, response(bytes.Repeat([]byte("x"), size)))
	return made.([]byte)
}

// response is a whole response with headers as an application sends them.
func response(body []byte) []byte {
	b := []byte("HTTP/1.1 200 OK\r\nServer: bench\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\nContent-Type: text/plain; charset=utf-8\r\n" +
		"Cache-Control: no-cache\r\nETag: \"5d8c72a5edda8d6a\"\r\nContent-Length: ")
	b = strconv.AppendInt(b, int64(len(body)), 10)
	return append(append(b, "\r\n\r\n"...), body...)
}

var (
	endOfHead     = []byte("\r\n\r\n")
	echoPath      = []byte(EchoPath)
	bytesPath     = []byte("/bytes/")
	contentLength = []byte("\r\ncontent-length:")
	transfer      = []byte("\r\ntransfer-encoding:")
	noLength      = []byte("HTTP/1.1 411 Length Required\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
)

// answer serves one connection until the peer closes it or sends what it does not understand.
func answer(conn net.Conn, replies *replies) {
	defer func() { _ = conn.Close() }()
	buf := make([]byte, maxHead)
	usual := replies.of(Size)
	filled := 0
	for {
		n, err := conn.Read(buf[filled:])
		if err != nil {
			return
		}
		filled += n
		rest := buf[:filled]
		for {
			end := bytes.Index(rest, endOfHead)
			if end < 0 {
				break
			}
			head := rest[:end+len(endOfHead)]
			rest = rest[len(head):]
			body, ok := bodyLength(head)
			if !ok {
				_, _ = conn.Write(noLength)
				return
			}
			reply := replyTo(head, usual, replies)
			here := min(body, len(rest))
			rest = rest[here:]
			if !discard(conn, body-here) {
				return
			}
			if _, err := conn.Write(reply); err != nil {
				return
			}
		}
		filled = copy(buf, rest)
		if filled == len(buf) {
			return
		}
	}
}

// bodyLength finds the length of the body of a request; !ok when the head does not tell it.
func bodyLength(head []byte) (length int, ok bool) {
	if head[0] == 'G' { // GET: nearly all of them
		return 0, true
	}
	lower := bytes.ToLower(head)
	if bytes.Contains(lower, transfer) {
		return 0, false
	}
	i := bytes.Index(lower, contentLength)
	if i < 0 {
		return 0, true
	}
	value, _, _ := bytes.Cut(lower[i+len(contentLength):], []byte("\r"))
	n, err := strconv.Atoi(string(bytes.TrimSpace(value)))
	return n, err == nil && n >= 0
}

// discards are buffers for bodies that nobody looks at.
var discards = sync.Pool{New: func() any { return new([256 << 10]byte) }}

// discard reads so many bytes of a body.
func discard(conn net.Conn, left int) bool {
	if left == 0 {
		return true
	}
	buf := discards.Get().(*[256 << 10]byte)
	defer discards.Put(buf)
	for left > 0 {
		n, err := conn.Read(buf[:min(left, len(buf))])
		if err != nil {
			return false
		}
		left -= n
	}
	return true
}

// replyTo finds the answer to a request by its path.
func replyTo(head, usual []byte, replies *replies) []byte {
	line, _, _ := bytes.Cut(head, []byte(" HTTP/"))
	if i := bytes.Index(line, bytesPath); i >= 0 {
		digits := line[i+len(bytesPath):]
		if end := bytes.IndexByte(digits, '?'); end >= 0 {
			digits = digits[:end]
		}
		if size, err := strconv.Atoi(string(digits)); err == nil && size >= 0 && size <= maxSize {
			return replies.of(size)
		}
	}
	if bytes.Contains(line, echoPath) {
		return response(head)
	}
	return usual
}
