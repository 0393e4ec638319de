package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"time"
)

// patience is how long a client waits for an answer; more means that the gateway has forgotten it.
const patience = 30 * time.Second

// load starts the clients and the tunnels; they end with ctx, and t.wait waits for them.
func load(ctx context.Context, o *options, address string, t *tally) {
	for i := range o.clients {
		c := newClient(fmt.Sprintf("c%d", i), address, t, rand.New(rand.NewPCG(o.seed, uint64(i))))
		t.clients.Go(func() { c.run(ctx) })
	}
	for i := range o.tunnels {
		c := newClient(fmt.Sprintf("t%d", i), address, t, rand.New(rand.NewPCG(o.seed, uint64(o.clients+i))))
		t.clients.Go(func() { c.runTunnels(ctx) })
	}
}

// client is one client with one connection at a time.
type client struct {
	name    string
	address string
	t       *tally
	chance  *rand.Rand
	n       int

	conn *net.TCPConn
	r    *bufio.Reader
}

func newClient(name, address string, t *tally, chance *rand.Rand) *client {
	return &client{name: name, address: address, t: t, chance: chance}
}

func (c *client) run(ctx context.Context) {
	defer c.hangUp()
	for ctx.Err() == nil {
		if c.conn == nil && !c.dial(ctx) {
			continue
		}
		w := choose(c.chance.IntN, ways, func(w *way) int { return w.weight })
		w.do(c, w)
	}
}

func (c *client) dial(ctx context.Context) bool {
	conn, err := net.DialTimeout("tcp", c.address, patience)
	if err != nil {
		if ctx.Err() == nil {
			c.t.found(wrong, "connect", "a connection was refused: "+err.Error())
		}
		return false
	}
	c.conn, c.r = conn.(*net.TCPConn), bufio.NewReader(conn)
	return true
}

func (c *client) hangUp() {
	if c.conn != nil {
		_ = c.conn.Close()
		c.conn = nil
	}
}

// request makes a request with a token of its own, for a fault that the way can be used with.
func (c *client) request(w *way) *sent {
	f := choose(c.chance.IntN, faults, func(f *fault) int {
		if w.may != nil && !w.may(f) {
			return 0
		}
		return f.weight
	})
	p := choose(c.chance.IntN, places, func(p *place) int {
		if p.moving && !f.quiet || f.bare && p.name != places[0].name {
			return 0
		}
		return p.weight
	})
	c.n++
	s := &sent{
		fault: f, place: p, way: w.name, token: fmt.Sprintf("%s-%d", c.name, c.n), exit: -1, old: w.old, headOnly: w.headOnly,
		size: []int{0, 10, 1 << 10, 20 << 10, 100 << 10}[c.chance.IntN(5)],
	}
	if f.truncated || f.name == "two-lengths" {
		s.size = max(s.size, 1<<10)
	}
	if w.large {
		s.size = 400 << 10
	}
	if p.exit != nil && c.chance.IntN(4) == 0 {
		s.exit = []int{0, 100, 30 << 10}[c.chance.IntN(3)]
	}
	c.frame(s, w)
	return s
}

// frame writes the message of a request.
func (c *client) frame(s *sent, w *way) {
	method, version := http.MethodGet, "HTTP/1.1"
	lines := ""
	switch {
	case s.fault.body:
		method = http.MethodPost
		s.body = bodyOf(s.token, []int{0, 5, 3 << 10, 60 << 10, 200 << 10}[c.chance.IntN(5)])
		if w.chunks || !s.old && c.chance.IntN(2) == 0 {
			lines = "Transfer-Encoding: chunked\r\n"
			s.rest = c.chunks(s.body, w.chunks)
		} else {
			lines = "Content-Length: " + strconv.Itoa(len(s.body)) + "\r\n"
			s.rest = s.body
		}
	case s.headOnly:
		method = http.MethodHead
	}
	if s.old {
		version = "HTTP/1.0"
		if c.chance.IntN(2) == 0 {
			lines += "Connection: keep-alive\r\n"
		}
	} else if s.fault.name == "trailers" {
		lines += "TE: trailers\r\nConnection: TE\r\n"
	}
	if w.expect {
		lines += "Expect: 100-continue\r\n"
	}
	if s.exit >= 0 {
		lines += fmt.Sprintf("X-Exit: %d\r\n", s.exit)
	}
	s.head = fmt.Appendf(nil, "%s /%s/%s/%d %s\r\nHost: %s\r\nX-Token: %s\r\n%s\r\n", method, s.fault.name, s.token, s.size, version, s.place.host, s.token, lines)
}

// chunks frames a body, with extensions and trailers if wanted, which end at the gateway.
func (c *client) chunks(body []byte, trailers bool) []byte {
	var b bytes.Buffer
	for len(body) > 0 {
		n := min(len(body), 1+c.chance.IntN(20<<10))
		extension := ""
		if trailers && c.chance.IntN(2) == 0 {
			extension = ";part=one"
		}
		fmt.Fprintf(&b, "%x%s\r\n%s\r\n", n, extension, body[:n])
		body = body[n:]
	}
	b.WriteString("0\r\n")
	if trailers {
		b.WriteString("X-Trailer-Token: smuggled\r\nX-Seen-go-msgpack: smuggled\r\n")
	}
	b.WriteString("\r\n")
	return b.Bytes()
}

// write sends bytes. An error ends the connection only when no answer can be read from it any more: a gateway may answer before it has read everything.
func (c *client) write(b []byte) bool {
	_ = c.conn.SetDeadline(time.Now().Add(patience))
	_, err := c.conn.Write(b)
	return err == nil
}

// read reads one answer and judges it; false when the connection is over.
func (c *client) read(s *sent) bool {
	_ = c.conn.SetDeadline(time.Now().Add(patience))
	resp, err := c.readHead(s)
	if err != nil {
		c.t.found(wrong, s.fault.name, c.about(s, fmt.Sprintf("no answer: %v", err)))
		c.hangUp()
		return false
	}
	return c.readBody(s, resp)
}

func (c *client) readHead(s *sent) (*http.Response, error) {
	method := http.MethodGet
	if s.headOnly {
		method = http.MethodHead
	}
	return http.ReadResponse(c.r, &http.Request{Method: method})
}

// readBody reads the body of an answer and judges all of it; false when the connection is over.
func (c *client) readBody(s *sent, resp *http.Response) bool {
	from := io.Reader(resp.Body)
	if s.slowly {
		from = pauses{from}
	}
	body, err := io.ReadAll(from)
	_ = resp.Body.Close()
	v, why := judge(s, resp, body, err)
	c.t.judged(s, resp.StatusCode, v, c.about(s, why))
	if s.place.moving && resp.StatusCode == http.StatusOK {
		c.t.movedTo(resp.Header.Get("X-Address"), s.at)
	}
	if err != nil || resp.Close || s.unsent {
		c.hangUp()
		return false
	}
	return true
}

// about puts the circumstances of a request before what is told of it.
func (c *client) about(s *sent, why string) string {
	return fmt.Sprintf("%s (%s, %s, %s): %s", s.token, s.place.name, s.way, time.Now().Format("15:04:05.000"), why)
}
