package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"
)

// way is how a client sends a request and reads its answer.
type way struct {
	name   string
	weight int
	// may says which faults it can be used with; nil: with all.
	may func(*fault) bool
	do  func(*client, *way)
	// what its requests are like: HTTP/1.0, HEAD, for a large body, with Expect, in chunks with extensions and trailers
	old, headOnly, large, expect, chunks bool
}

// Which faults a way can be used with.
func isQuiet(f *fault) bool         { return f.quiet }
func isWhole(f *fault) bool         { return !f.truncated }
func hasBody(f *fault) bool         { return f.body }
func isEcho(f *fault) bool          { return f.name == "echo" }
func isQuietBodiless(f *fault) bool { return f.quiet && !f.body }

// ways of the clients.
var ways = []way{
	{name: "plain", weight: 50, do: (*client).plain},
	{name: "pipelined", weight: 8, may: isQuiet, do: (*client).pipelined},
	{name: "aborted", weight: 6, do: (*client).aborted},
	{name: "HTTP/1.0", weight: 5, may: isWhole, old: true, do: (*client).plain},
	{name: "HEAD", weight: 5, may: isQuietBodiless, headOnly: true, do: (*client).plain},
	{name: "expects 100", weight: 5, may: isEcho, expect: true, do: (*client).expects},
	{name: "chunks with trailers", weight: 5, may: hasBody, chunks: true, do: (*client).plain},
	{name: "half-closed", weight: 3, may: isQuiet, do: (*client).halfClosed},
	{name: "slow to send", weight: 4, do: (*client).slowToSend},
	{name: "slow to read", weight: 3, may: isQuietBodiless, large: true, do: (*client).slowToRead},
}

func (c *client) plain(w *way) { c.whole(c.request(w)) }

// whole sends a request at once and reads its answer.
func (c *client) whole(s *sent) {
	s.at = time.Now()
	c.write(append(s.head[:len(s.head):len(s.head)], s.rest...)) // an error: there may be an answer all the same
	c.read(s)
}

// pipelined sends several requests at once; their answers come in their order. What comes behind the end of a connection is not answered.
func (c *client) pipelined(w *way) {
	var all []*sent
	var b []byte
	for range 2 + c.chance.IntN(4) {
		s := c.request(w)
		all = append(all, s)
		b = append(append(b, s.head...), s.rest...)
	}
	for _, s := range all {
		s.at = time.Now()
	}
	c.write(b)
	for i, s := range all {
		if !c.read(s) {
			c.t.count("pipelined behind the end of a connection", len(all)-i-1)
			return
		}
	}
}

// aborted sends a request, or a part of it, perhaps reads a part of the answer, and goes away.
func (c *client) aborted(w *way) {
	s := c.request(w)
	message := append(s.head, s.rest...)
	n := len(message)
	if c.chance.IntN(2) == 0 {
		n = 1 + c.chance.IntN(n)
	}
	if c.write(message[:n]) && c.chance.IntN(2) == 0 {
		_ = c.conn.SetReadDeadline(time.Now().Add(time.Duration(c.chance.IntN(50)) * time.Millisecond))
		_, _ = c.r.Read(make([]byte, 1+c.chance.IntN(4<<10)))
	}
	if c.chance.IntN(2) == 0 {
		_ = c.conn.SetLinger(0)
	}
	c.t.count("aborted by the client", 1)
	c.hangUp()
}

// expects sends a body when it is asked for.
func (c *client) expects(w *way) {
	s := c.request(w)
	s.at = time.Now()
	c.write(s.head)
	resp, err := c.readHead(s)
	switch {
	case err != nil:
		c.t.found(wrong, s.fault.name, c.about(s, fmt.Sprintf("neither 100 nor an answer: %v", err)))
		c.hangUp()
	case resp.StatusCode != http.StatusContinue:
		s.unsent = len(s.rest) > 0 // who has nothing to send is not asked for it
		c.readBody(s, resp)
	default:
		c.write(s.rest)
		c.read(s)
	}
}

// halfClosed closes its sending side behind the request. The gateway takes that for a client that has gone, when it takes a while; else there is the answer.
func (c *client) halfClosed(w *way) {
	s := c.request(w)
	s.at = time.Now()
	c.write(append(s.head, s.rest...))
	_ = c.conn.CloseWrite()
	if _, err := c.r.Peek(1); err != nil {
		c.t.count("half-closed and taken for gone", 1)
		c.hangUp()
		return
	}
	resp, err := c.readHead(s)
	if err != nil {
		c.t.count("half-closed and taken for gone", 1)
		c.hangUp()
		return
	}
	body, err := io.ReadAll(resp.Body)
	if resp.StatusCode == 499 || s.place.failed(resp.StatusCode) != nil { // the call of the plugin was broken off, too
		c.t.count("half-closed and taken for gone", 1)
		c.hangUp()
		return
	}
	s.gone = err != nil
	v, why := judge(s, resp, body, err)
	c.t.judged(s, resp.StatusCode, v, c.about(s, why))
	c.hangUp()
}

// slowToSend sends a request in pieces.
func (c *client) slowToSend(w *way) {
	s := c.request(w)
	s.at = time.Now()
	message := append(s.head, s.rest...)
	for pieces := 3 + c.chance.IntN(8); len(message) > 0 && pieces > 0; pieces-- {
		n := 1 + c.chance.IntN(len(message))
		if pieces == 1 {
			n = len(message)
		}
		if !c.write(message[:n]) {
			break
		}
		message = message[n:]
		time.Sleep(time.Duration(1+c.chance.IntN(5)) * time.Millisecond) // the fault itself
	}
	c.read(s)
}

// slowToRead takes a large answer in small pieces.
func (c *client) slowToRead(w *way) {
	s := c.request(w)
	s.slowly = true
	_ = c.conn.SetReadBuffer(64 << 10)
	c.whole(s)
	c.hangUp() // the small buffer goes with it
}

// pauses is a reader that takes its time.
type pauses struct{ from io.Reader }

func (p pauses) Read(b []byte) (int, error) {
	time.Sleep(time.Millisecond) // the fault itself
	return p.from.Read(b[:min(len(b), 16<<10)])
}

// runTunnels keeps a WebSocket tunnel open for some seconds, and then another one.
func (c *client) runTunnels(ctx context.Context) {
	for ctx.Err() == nil {
		if c.dial(ctx) {
			c.tunnel(ctx)
			c.hangUp()
		}
	}
}

// tunnelFault stands for tunnels in the table.
var tunnelFault = fault{name: "tunnel", statuses: []int{http.StatusSwitchingProtocols}}

// tunnel opens a tunnel and has the upstream send everything back.
func (c *client) tunnel(ctx context.Context) {
	c.n++
	s := &sent{fault: &tunnelFault, place: &tunnels, way: "WebSocket", token: fmt.Sprintf("%s-%d", c.name, c.n), exit: -1, at: time.Now()}
	c.write(fmt.Appendf(nil, "GET /tunnel/%s/0 HTTP/1.1\r\nHost: %s\r\nX-Token: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", s.token, s.place.host, s.token))
	resp, err := c.readHead(s)
	if err != nil {
		c.t.found(wrong, s.fault.name, c.about(s, fmt.Sprintf("no answer: %v", err)))
		return
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		c.readBody(s, resp)
		time.Sleep(50 * time.Millisecond) // its plugin server is away
		return
	}
	v, why := judge(s, resp, nil, nil)
	c.t.judged(s, resp.StatusCode, v, c.about(s, why))
	for end := time.Now().Add(time.Duration(1+c.chance.IntN(8)) * time.Second); time.Now().Before(end) && ctx.Err() == nil; {
		message := bodyOf(s.token, 1+c.chance.IntN(8<<10))
		if err := c.echo(message); err != nil {
			c.t.found(wrong, s.fault.name, c.about(s, err.Error()))
			return
		}
		c.t.count("messages through tunnels", 1)
		time.Sleep(time.Duration(c.chance.IntN(50)) * time.Millisecond) // the pace of the tunnel
	}
}

// echo sends a message through a tunnel, which has to come back.
func (c *client) echo(message []byte) error {
	_ = c.conn.SetDeadline(time.Now().Add(patience))
	if _, err := c.conn.Write(message); err != nil {
		return fmt.Errorf("the tunnel broke off while sending: %w", err)
	}
	got := make([]byte, len(message))
	if n, err := io.ReadFull(c.r, got); err != nil {
		return fmt.Errorf("the tunnel broke off after %d of %d bytes: %w", n, len(got), err)
	}
	if string(got) != string(message) {
		return fmt.Errorf("the tunnel holds something else: %.60q", got)
	}
	return nil
}
