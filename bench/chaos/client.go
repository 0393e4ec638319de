package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// clientLimit is how long a client waits for a complete answer. A request may meet the deadlines of five phases, on a busy machine.
const clientLimit = 15 * time.Second

// keptConnections is how many idle connections a client keeps. The more it opened under a fault are closed again, so that they do not count as
// something that the gateway leaks.
const keptConnections = 2

// client sends requests over kept connections and never sends one again, as net/http would: a connection that the gateway resets is
// an answer that is missing.
type client struct {
	mu      sync.Mutex
	address string
	idle    []*connection
}

type connection struct {
	net.Conn
	in *bufio.Reader
}

// do sends one request. Whatever goes wrong is part of the answer.
func (c *client) do(r request) answer {
	conn, err := c.take()
	if err != nil {
		return answer{err: fmt.Errorf("connect: %w", err)}
	}
	a, reusable := conn.exchange(r)
	if !reusable || !c.keep(conn) {
		_ = conn.Close()
	}
	return a
}

// take is an idle connection, or a new one.
func (c *client) take() (*connection, error) {
	if conn := c.kept(); conn != nil {
		return conn, nil
	}
	c.mu.Lock()
	address := c.address
	c.mu.Unlock()
	conn, err := net.DialTimeout("tcp", address, clientLimit)
	if err != nil {
		return nil, err
	}
	return &connection{conn, bufio.NewReader(conn)}, nil
}

func (c *client) kept() *connection {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.idle) == 0 {
		return nil
	}
	conn := c.idle[len(c.idle)-1]
	c.idle = c.idle[:len(c.idle)-1]
	return conn
}

func (c *client) keep(conn *connection) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.idle) >= keptConnections {
		return false
	}
	c.idle = append(c.idle, conn)
	return true
}

// move lets requests go to another address from now on.
func (c *client) move(address string) {
	c.close()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.address = address
}

// close closes idle connections.
func (c *client) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.idle {
		_ = conn.Close()
	}
	c.idle = nil
}

// exchange writes a request and reads its answer.
func (c *connection) exchange(r request) (a answer, reusable bool) {
	_ = c.SetDeadline(time.Now().Add(clientLimit))
	if _, err := c.Write(encode(r)); err != nil {
		return answer{err: fmt.Errorf("send: %w", err)}, false
	}
	resp, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return answer{err: fmt.Errorf("read the head: %w", err)}, false
	}
	defer func() { _ = resp.Body.Close() }()
	a = answer{status: resp.StatusCode, header: resp.Header}
	a.body, a.err = io.ReadAll(resp.Body)
	return a, a.err == nil && !resp.Close
}

func encode(r request) []byte {
	method := http.MethodGet
	if r.kind.body > 0 {
		method = http.MethodPost
	}
	b := fmt.Appendf(nil, "%s %s HTTP/1.1\r\nHost: chaos\r\nX-Nonce: %s\r\n", method, r.kind.path, r.nonce)
	if r.kind.deny {
		b = append(b, "X-Deny: 1\r\n"...)
	}
	if r.order != "" {
		b = fmt.Appendf(b, "X-Chaos: %s\r\n", r.order)
	}
	if r.kind.body > 0 {
		body := r.payload()
		b = fmt.Appendf(b, "Content-Length: %d\r\n", len(body))
		return append(append(b, "\r\n"...), body...)
	}
	return append(b, "\r\n"...)
}
