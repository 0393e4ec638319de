package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

// call is one request at the upstream.
type call struct {
	c     *net.TCPConn
	r     *bufio.Reader
	req   *http.Request
	token string
	body  []byte // that the request asks for
	marks string // header lines: what plugins have put into the request, sent back
	sized string // head with the length of body
}

// serve answers requests until one of them ends the connection.
func (u *upstream) serve(c *net.TCPConn, address string) {
	r := bufio.NewReader(c)
	for {
		req, err := http.ReadRequest(r)
		if err != nil || !u.answer(c, r, req, address) {
			return
		}
	}
}

// answer answers one request; false ends the connection. Paths are /FAULT/TOKEN/SIZE.
func (u *upstream) answer(c *net.TCPConn, r *bufio.Reader, req *http.Request, address string) bool {
	parts := strings.Split(strings.Trim(req.URL.Path, "/"), "/")
	if len(parts) != 3 {
		_, _ = io.WriteString(c, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
		return true
	}
	size, _ := strconv.Atoi(parts[2])
	x := &call{c: c, r: r, req: req, token: parts[1], body: bodyOf(parts[1], size)}
	if got := req.Header.Get("X-Token"); got != x.token {
		u.report(crossed, parts[0], fmt.Sprintf("the upstream got %s with the token %s", x.token, got))
	}
	if req.Header.Get("X-Exit") != "" {
		u.report(wrong, parts[0], x.token+" reached the upstream, but a plugin was to answer it")
	}
	x.marks = "X-Address: " + address + "\r\n"
	for name, values := range req.Header {
		if strings.HasPrefix(name, "X-Seen-") || strings.HasPrefix(name, "X-Sum-") {
			x.marks += "X-Up-" + strings.TrimPrefix(name, "X-") + ": " + strings.Join(values, ", ") + "\r\n"
		}
	}
	x.sized = x.head("200 OK", "Content-Length: "+strconv.Itoa(len(x.body))+"\r\n")
	if do, early := earlyAnswers[parts[0]]; early {
		return do(x)
	}
	sent, err := io.ReadAll(req.Body)
	if err != nil {
		return false
	}
	if parts[0] == "echo" {
		return x.write(x.head("200 OK", "Content-Length: "+strconv.Itoa(len(sent))+"\r\n"), sent)
	}
	if do, known := answers[parts[0]]; known {
		return do(x)
	}
	_, _ = io.WriteString(c, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
	return true
}

func (x *call) head(status, framing string) string {
	return "HTTP/1.1 " + status + "\r\nX-Token: " + x.token + "\r\n" + x.marks + framing + "\r\n"
}

// write sends a head and a body, of which HEAD gets the head alone.
func (x *call) write(head string, body []byte) bool {
	if x.req.Method == http.MethodHead {
		body = nil
	}
	_, err := x.c.Write(append([]byte(head), body...))
	return err == nil
}

// reset has the connection end with a reset.
func (x *call) reset() bool {
	_ = x.c.SetLinger(0)
	return false
}

// chunks frames a body in chunks of random sizes, without the empty line that ends it.
func (x *call) chunks() []byte {
	var b bytes.Buffer
	for rest := x.body; len(rest) > 0; {
		n := min(len(rest), 1+rand.IntN(8<<10))
		fmt.Fprintf(&b, "%x\r\n%s\r\n", n, rest[:n])
		rest = rest[n:]
	}
	b.WriteString("0\r\n")
	return b.Bytes()
}

// earlyAnswers come before the body of the request was read.
var earlyAnswers = map[string]func(*call) bool{
	"early-close": func(x *call) bool {
		return x.write(x.head("413 Too Large", "Content-Length: 0\r\nConnection: close\r\n"), nil) && false
	},
	"early-read": func(x *call) bool {
		if !x.write(x.head("413 Too Large", "Content-Length: 0\r\n"), nil) {
			return false
		}
		_, err := io.Copy(io.Discard, x.req.Body)
		return err == nil
	},
	"duplex": func(x *call) bool {
		half := len(x.body) / 2
		if !x.write(x.sized, x.body[:half]) {
			return false
		}
		if _, err := io.Copy(io.Discard, x.req.Body); err != nil {
			return false
		}
		return x.write("", x.body[half:])
	},
	"tunnel": func(x *call) bool {
		if !x.write(x.head("101 Switching Protocols", "Connection: Upgrade\r\nUpgrade: websocket\r\n"), nil) {
			return false
		}
		_, _ = io.Copy(x.c, x.r)
		return false
	},
}

// answers come when the request was read.
var answers = map[string]func(*call) bool{
	"none": func(x *call) bool { return x.write(x.sized, x.body) },
	"chunked": func(x *call) bool {
		return x.write(x.head("200 OK", "Transfer-Encoding: chunked\r\n"), append(x.chunks(), "\r\n"...))
	},
	"trailers": func(x *call) bool {
		return x.write(x.head("200 OK", "Transfer-Encoding: chunked\r\nTrailer: X-Trailer-Token\r\n"), append(x.chunks(), "X-Trailer-Token: "+x.token+"\r\n\r\n"...))
	},
	"slow": func(x *call) bool {
		time.Sleep(time.Duration(20+rand.IntN(200)) * time.Millisecond) // the fault itself
		return x.write(x.sized, x.body)
	},
	"stall": func(x *call) bool { // until the gateway gives it up
		_, _ = io.Copy(io.Discard, x.c)
		return false
	},
	"reset":      (*call).reset,
	"reset-head": func(x *call) bool { return x.write(x.sized[:len(x.sized)/2], nil) && x.reset() },
	"reset-body": func(x *call) bool { return x.write(x.sized, x.body[:len(x.body)/2]) && x.reset() },
	"reset-chunk": func(x *call) bool {
		return x.write(x.head("200 OK", "Transfer-Encoding: chunked\r\n"), fmt.Appendf(nil, "%x\r\n%s", len(x.body), x.body[:len(x.body)/2])) && false
	},
	"half-close": func(x *call) bool {
		_ = x.write(x.sized, x.body)
		_ = x.c.CloseWrite()
		_, _ = io.Copy(io.Discard, x.c)
		return false
	},
	"surplus": func(x *call) bool {
		body := append(x.body, "HTTP/1.1 200 OK\r\nX-Token: smuggled\r\nContent-Length: 8\r\n\r\nsmuggled"...)
		if x.req.Method == http.MethodHead {
			x.sized += string(body) // a body that HEAD must not have
		}
		return x.write(x.sized, body)
	},
	"idle-bytes": (*call).idleBytes,
	"garbage": func(x *call) bool {
		return x.write("\x16\x03\x01\x00\x05hello, no HTTP here\r\n\r\n", nil) && false
	},
	"two-lengths": func(x *call) bool {
		return x.write(x.head("200 OK", "Content-Length: 5\r\nContent-Length: "+strconv.Itoa(len(x.body)+6)+"\r\n"), x.body)
	},
}

// idleBytes answers, waits for a quiet moment, and says then, as servers do, that it has waited for a request in vain. It closes then, or when the
// gateway does.
func (x *call) idleBytes() bool {
	if !x.write(x.sized, x.body) {
		return false
	}
	_ = x.c.SetReadDeadline(time.Now().Add(time.Duration(rand.IntN(20)) * time.Millisecond))
	_, err := x.r.Peek(1)
	_ = x.c.SetReadDeadline(time.Time{})
	if err == nil {
		return true // the next request
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return false
	}
	_, _ = io.WriteString(x.c, "HTTP/1.1 408 Request Timeout\r\nX-Unasked: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
	if rand.IntN(2) == 0 {
		_, _ = x.r.Peek(1) // a request that comes now gets none but that answer, as it is when the connection was closed
	}
	return false
}

// bodyOf is the body for a request: nothing but its token, so that bytes of another answer show.
func bodyOf(token string, size int) []byte {
	if size == 0 {
		return []byte{}
	}
	return bytes.Repeat([]byte(token+"\n"), 1+size/(len(token)+1))[:size]
}
