package responses

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

// Upstream answers /case/N with case N, and everything else with the path that it was asked for. It ends its part of a case with a reset when the client
// has got the head of the response.
type Upstream struct {
	Addr string

	ln     net.Listener
	cases  []*Case
	served sync.WaitGroup

	mu    sync.Mutex
	open  map[net.Conn]struct{}
	conns int
	last  net.Conn       // that a case came over
	over  map[string]int // which connection a path came over
	hits  map[string]int
}

// NewUpstream starts one on loopback; Close ends it.
func NewUpstream(cases []*Case) (*Upstream, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	u := &Upstream{Addr: ln.Addr().String(), ln: ln, cases: cases, open: map[net.Conn]struct{}{}, over: map[string]int{}, hits: map[string]int{}}
	u.served.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			u.mu.Lock()
			u.conns++
			id := u.conns
			u.open[c] = struct{}{}
			u.mu.Unlock()
			u.served.Go(func() { u.serve(c, id) })
		}
	})
	return u, nil
}

// Close ends the upstream and its connections.
func (u *Upstream) Close() {
	_ = u.ln.Close()
	u.mu.Lock()
	for c := range u.open {
		_ = c.Close()
	}
	u.mu.Unlock()
	u.served.Wait()
}

func (u *Upstream) serve(c net.Conn, id int) {
	defer func() {
		u.mu.Lock()
		delete(u.open, c)
		u.mu.Unlock()
		_ = c.Close()
	}()
	br := bufio.NewReader(c)
	for {
		r, err := http.ReadRequest(br)
		if err != nil {
			return
		}
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return
		}
		path := r.URL.Path
		u.mu.Lock()
		u.over[path] = id
		u.hits[path]++
		if strings.Contains(path, "/case/") {
			u.last = c
		}
		u.mu.Unlock()
		n, err := strconv.Atoi(path[strings.LastIndexByte(path, '/')+1:])
		if err != nil || n >= len(u.cases) || !strings.Contains(path, "/case/") {
			if _, err := fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(path), path); err != nil {
				return
			}
			continue
		}
		if _, err := c.Write(u.cases[n].Response()); err != nil {
			return
		}
		switch u.cases[n].Then {
		case "open":
		case "reset":
			_, _ = br.Peek(1) // until it is reset, or the gateway has gone
			return
		default:
			return
		}
	}
}

// reset breaks the connection that the last case came over.
func (u *Upstream) reset() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if tcp, ok := u.last.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
		_ = tcp.Close()
	}
}
