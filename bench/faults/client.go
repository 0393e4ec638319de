package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// patience is how long a client waits for an answer; more means that the gateway has forgotten it.
const patience = 15 * time.Second

// load starts the clients; they end with ctx, and t.wait waits for them.
func load(ctx context.Context, o *options, address string, t *tally) {
	for i := range o.clients {
		c := &client{address: address, t: t, chance: rand.New(rand.NewPCG(o.seed, uint64(i))), name: fmt.Sprintf("c%d", i)}
		t.clients.Go(func() { c.run(ctx) })
	}
}

// client is one client with one connection at a time.
type client struct {
	name    string
	address string
	t       *tally
	chance  *rand.Rand
	n       int

	conn net.Conn
	r    *bufio.Reader
}

// sent is a request on its way.
type sent struct {
	fault   *fault
	token   string
	size    int
	body    []byte
	message []byte
}

func (c *client) run(ctx context.Context) {
	defer c.hangUp()
	for ctx.Err() == nil {
		if c.conn == nil && !c.dial(ctx) {
			continue
		}
		switch k := c.chance.IntN(100); {
		case k < 10:
			c.pipeline()
		case k < 15:
			c.abort()
		default:
			s := c.request(c.pick())
			if c.write(s.message) {
				c.read(s)
			}
		}
	}
}

func (c *client) dial(ctx context.Context) bool {
	conn, err := net.DialTimeout("tcp", c.address, patience)
	if err != nil {
		if ctx.Err() == nil {
			c.t.wrong("connect", "a connection was refused: "+err.Error())
		}
		return false
	}
	c.conn, c.r = conn, bufio.NewReader(conn)
	return true
}

func (c *client) hangUp() {
	if c.conn != nil {
		_ = c.conn.Close()
		c.conn = nil
	}
}

// pick chooses a fault by weight.
func (c *client) pick() *fault {
	total := 0
	for i := range faults {
		total += faults[i].weight
	}
	k := c.chance.IntN(total)
	for i := range faults {
		if k -= faults[i].weight; k < 0 {
			return &faults[i]
		}
	}
	panic("unreachable: the weights add up to the total")
}

// request makes a request with a token of its own.
func (c *client) request(f *fault) *sent {
	c.n++
	s := &sent{fault: f, token: fmt.Sprintf("%s-%d", c.name, c.n), size: []int{0, 10, 1 << 10, 20 << 10, 100 << 10}[c.chance.IntN(5)]}
	if f.truncated || f.name == "two-lengths" {
		s.size = max(s.size, 1<<10)
	}
	host := "faults.test"
	if f.name == "moving" {
		host = "moving.test"
	}
	method := "GET"
	var rest []byte
	framing := ""
	if f.body {
		method = "POST"
		s.body = bodyOf(s.token, []int{0, 5, 3 << 10, 60 << 10}[c.chance.IntN(4)])
		if c.chance.IntN(2) == 0 {
			framing = "Content-Length: " + strconv.Itoa(len(s.body)) + "\r\n"
			rest = s.body
		} else {
			framing = "Transfer-Encoding: chunked\r\n"
			if len(s.body) > 0 {
				rest = fmt.Appendf(nil, "%x\r\n%s\r\n", len(s.body), s.body)
			}
			rest = append(rest, "0\r\n\r\n"...)
		}
	}
	s.message = fmt.Appendf(nil, "%s /%s/%s/%d HTTP/1.1\r\nHost: %s\r\n%s\r\n%s", method, f.name, s.token, s.size, host, framing, rest)
	return s
}

func (c *client) write(b []byte) bool {
	_ = c.conn.SetDeadline(time.Now().Add(patience))
	if _, err := c.conn.Write(b); err != nil {
		c.t.count("connection closed while sending")
		c.hangUp()
		return false
	}
	return true
}

// pipeline sends several requests at once; their answers come in their order.
func (c *client) pipeline() {
	var all []*sent
	var b []byte
	for range 2 + c.chance.IntN(4) {
		s := c.request(&faults[c.chance.IntN(3)])
		all = append(all, s)
		b = append(b, s.message...)
	}
	if !c.write(b) {
		return
	}
	for _, s := range all {
		if c.conn == nil || !c.read(s) {
			return
		}
	}
}

// abort sends a request, or a part of it, perhaps reads a part of the answer, and goes away.
func (c *client) abort() {
	s := c.request(c.pick())
	n := len(s.message)
	if c.chance.IntN(2) == 0 {
		n = 1 + c.chance.IntN(n)
	}
	if !c.write(s.message[:n]) {
		return
	}
	if c.chance.IntN(2) == 0 {
		_ = c.conn.SetReadDeadline(time.Now().Add(time.Duration(c.chance.IntN(50)) * time.Millisecond))
		_, _ = c.r.Read(make([]byte, 1+c.chance.IntN(4<<10)))
	}
	if tcp, ok := c.conn.(*net.TCPConn); ok && c.chance.IntN(2) == 0 {
		_ = tcp.SetLinger(0)
	}
	c.t.count("aborted by the client")
	c.hangUp()
}

// read reads one answer and judges it; false when the connection is over.
func (c *client) read(s *sent) bool {
	_ = c.conn.SetDeadline(time.Now().Add(patience))
	resp, err := http.ReadResponse(c.r, nil)
	if err != nil {
		c.t.wrong(s.fault.name, fmt.Sprintf("no answer to %s: %v", s.token, err))
		c.hangUp()
		return false
	}
	body, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	c.judge(s, resp, body, err)
	if err != nil || resp.Close {
		c.hangUp()
		return false
	}
	return true
}

func (c *client) judge(s *sent, resp *http.Response, body []byte, broken error) {
	f, token := s.fault, resp.Header.Get("X-Token")
	c.t.answered(f.name, resp.StatusCode)
	switch {
	case token != "" && token != s.token:
		c.t.crossed(f.name, fmt.Sprintf("%s got the answer to %s", s.token, token))
	case f.name == "echo" && resp.StatusCode == http.StatusBadGateway:
		c.t.unlucky()
	case !slices.Contains(f.statuses, resp.StatusCode):
		c.t.wrong(f.name, fmt.Sprintf("%s got status %d, expected %v: %.200q", s.token, resp.StatusCode, f.statuses, body))
	case resp.StatusCode != http.StatusOK:
	case token == "":
		c.t.wrong(f.name, s.token+" got 200 without a token")
	case broken != nil:
		var late net.Error
		if !f.truncated || errors.As(broken, &late) && late.Timeout() {
			c.t.wrong(f.name, fmt.Sprintf("the body for %s broke off: %v", s.token, broken))
		} else if want := bodyOf(s.token, s.size); !bytes.HasPrefix(want, body) {
			c.t.crossed(f.name, fmt.Sprintf("the broken body for %s holds something else", s.token))
		}
	case f.truncated:
		c.t.wrong(f.name, fmt.Sprintf("the body for %s looks whole, with %d bytes", s.token, len(body)))
	default:
		want := bodyOf(s.token, s.size)
		if f.name == "echo" {
			want = s.body
		}
		if !bytes.Equal(body, want) {
			c.t.crossed(f.name, fmt.Sprintf("the body for %s has %d bytes, expected %d of its own", s.token, len(body), len(want)))
		}
	}
	if f.name == "moving" && resp.StatusCode == http.StatusOK {
		c.t.movedTo(resp.Header.Get("X-Address"))
	}
}
