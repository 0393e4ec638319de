package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// upstream is a server that misbehaves as the path of a request says. It listens on two addresses with the same port, for a name that moves.
type upstream struct {
	port      int
	listeners []net.Listener
	wg        sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]struct{}
	ended bool
}

// addresses of the upstream.
var addresses = []string{"127.0.0.1", "127.0.0.2"}

func startUpstream() (*upstream, error) {
	u := &upstream{conns: map[net.Conn]struct{}{}}
	for _, a := range addresses {
		ln, err := net.Listen("tcp", net.JoinHostPort(a, strconv.Itoa(u.port)))
		if err != nil {
			u.close()
			return nil, err
		}
		u.port = ln.Addr().(*net.TCPAddr).Port
		u.listeners = append(u.listeners, ln)
		u.wg.Go(func() { u.accept(ln, a) })
	}
	return u, nil
}

func (u *upstream) close() {
	for _, ln := range u.listeners {
		_ = ln.Close()
	}
	u.mu.Lock()
	u.ended = true
	for c := range u.conns {
		_ = c.Close()
	}
	u.mu.Unlock()
	u.wg.Wait()
}

func (u *upstream) accept(ln net.Listener, address string) {
	for {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		u.mu.Lock()
		if u.ended {
			u.mu.Unlock()
			_ = c.Close()
			return
		}
		u.conns[c] = struct{}{}
		u.mu.Unlock()
		u.wg.Go(func() {
			u.serve(c.(*net.TCPConn), address)
			_ = c.Close()
			u.mu.Lock()
			delete(u.conns, c)
			u.mu.Unlock()
		})
	}
}

// serve answers requests until one of them ends the connection.
func (u *upstream) serve(c *net.TCPConn, address string) {
	r := bufio.NewReader(c)
	for {
		req, err := http.ReadRequest(r)
		if err != nil || !u.answer(c, req, address) {
			return
		}
	}
}

// fault is one way in which an upstream misbehaves.
type fault struct {
	name string
	// statuses are what a client may get. A status of the upstream's own, 200, comes with the whole body, unless truncated says that it may break off.
	statuses  []int
	truncated bool
	body      bool // sent with a request body
	weight    int
}

var faults = []fault{
	{name: "none", statuses: []int{200}, weight: 20},
	{name: "chunked", statuses: []int{200}, weight: 6},
	{name: "echo", statuses: []int{200}, body: true, weight: 8},
	{name: "slow", statuses: []int{200}, weight: 3},
	{name: "stall", statuses: []int{504}, weight: 1},
	{name: "reset", statuses: []int{502}, weight: 1},
	{name: "reset-head", statuses: []int{502}, weight: 1},
	{name: "reset-body", statuses: []int{200, 502}, truncated: true, weight: 1},
	{name: "reset-chunk", statuses: []int{200, 502}, truncated: true, weight: 1},
	{name: "half-close", statuses: []int{200}, weight: 1},
	{name: "early", statuses: []int{413, 502}, body: true, weight: 1},
	{name: "surplus", statuses: []int{200}, weight: 2},
	{name: "garbage", statuses: []int{502}, weight: 1},
	{name: "two-lengths", statuses: []int{502}, weight: 1},
	{name: "moving", statuses: []int{200}, weight: 3},
}

// answer answers one request; false ends the connection. Paths are /FAULT/TOKEN/SIZE.
func (u *upstream) answer(c *net.TCPConn, req *http.Request, address string) bool {
	parts := strings.Split(strings.Trim(req.URL.Path, "/"), "/")
	if len(parts) != 3 {
		_, _ = io.WriteString(c, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
		return true
	}
	name, token := parts[0], parts[1]
	size, _ := strconv.Atoi(parts[2])
	body := bodyOf(token, size)
	head := func(framing string) string {
		return "HTTP/1.1 200 OK\r\nX-Token: " + token + "\r\nX-Address: " + address + "\r\n" + framing + "\r\n"
	}
	sized := head("Content-Length: " + strconv.Itoa(len(body)) + "\r\n")
	if name == "early" {
		_, _ = io.WriteString(c, "HTTP/1.1 413 Too Large\r\nX-Token: "+token+"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
		return false
	}
	sent, err := io.ReadAll(req.Body)
	if err != nil {
		return false
	}
	switch name {
	case "none", "moving":
		return write(c, sized, body)
	case "echo":
		return write(c, head("Content-Length: "+strconv.Itoa(len(sent))+"\r\n"), sent)
	case "chunked":
		var b bytes.Buffer
		for rest := body; len(rest) > 0; {
			n := min(len(rest), 1+rand.IntN(8<<10))
			fmt.Fprintf(&b, "%x\r\n%s\r\n", n, rest[:n])
			rest = rest[n:]
		}
		b.WriteString("0\r\n\r\n")
		return write(c, head("Transfer-Encoding: chunked\r\n"), b.Bytes())
	case "slow":
		time.Sleep(time.Duration(20+rand.IntN(200)) * time.Millisecond) // the fault itself
		return write(c, sized, body)
	case "stall":
		time.Sleep(4 * readTimeout) // the fault itself
		return false
	case "reset":
		_ = c.SetLinger(0)
		return false
	case "reset-head":
		_, _ = io.WriteString(c, sized[:len(sized)/2])
		_ = c.SetLinger(0)
		return false
	case "reset-body":
		_ = write(c, sized, body[:len(body)/2])
		_ = c.SetLinger(0)
		return false
	case "reset-chunk":
		_ = write(c, head("Transfer-Encoding: chunked\r\n"), fmt.Appendf(nil, "%x\r\n%s", len(body), body[:len(body)/2]))
		return false
	case "half-close":
		_ = write(c, sized, body)
		_ = c.CloseWrite()
		_, _ = io.Copy(io.Discard, c)
		return false
	case "surplus":
		return write(c, sized, append(body, "HTTP/1.1 200 OK\r\nX-Token: smuggled\r\nContent-Length: 8\r\n\r\nsmuggled"...))
	case "garbage":
		_, _ = io.WriteString(c, "\x16\x03\x01\x00\x05hello, no HTTP here\r\n\r\n")
		return false
	case "two-lengths":
		return write(c, head("Content-Length: 5\r\nContent-Length: "+strconv.Itoa(len(body)+6)+"\r\n"), body)
	}
	return write(c, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", nil)
}

func write(c net.Conn, head string, body []byte) bool {
	_, err := c.Write(append([]byte(head), body...))
	return err == nil
}

// bodyOf is the body for a request: nothing but its token, so that bytes of another answer show.
func bodyOf(token string, size int) []byte {
	if size == 0 {
		return []byte{}
	}
	return bytes.Repeat([]byte(token+"\n"), 1+size/(len(token)+1))[:size]
}
