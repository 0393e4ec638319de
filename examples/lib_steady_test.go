package examples

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// steady is a client that keeps its connection, and opens another one only when a response said so. It sends nothing twice: what goes wrong is seen.
type steady struct {
	address string
	conn    net.Conn
	r       *bufio.Reader
}

func (s *steady) do(method, path, body string) (*http.Response, error) {
	if s.conn == nil {
		c, err := net.DialTimeout("tcp", s.address, patience)
		if err != nil {
			return nil, err
		}
		s.conn, s.r = c, bufio.NewReader(c)
	}
	if err := s.conn.SetDeadline(time.Now().Add(startPatience)); err != nil {
		return nil, err
	}
	if _, err := fmt.Fprintf(s.conn, "%s %s HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s", method, path, len(body), body); err != nil {
		return nil, fmt.Errorf("sending a request: %w", err)
	}
	resp, err := http.ReadResponse(s.r, nil)
	if err != nil {
		return nil, fmt.Errorf("reading a response: %w", err)
	}
	err = resp.Body.Close() // reads the rest
	if resp.Close {
		s.close()
	}
	return resp, err
}

func (s *steady) close() {
	if s.conn != nil {
		s.conn.Close()
		s.conn = nil
	}
}

// crowd are steady clients that send requests until they are stopped.
type crowd struct {
	sent, failed atomic.Int64
	first        sync.Once
	why          error // of the first that failed
	stop         chan struct{}
	clients      sync.WaitGroup
}

// crowded begins to send requests. Each has to be answered 200 by a plugin of the gateway.
func crowded(t *testing.T, g *gateway, clients int) *crowd {
	c := &crowd{stop: make(chan struct{})}
	for i := range clients {
		method, body := "GET", ""
		if i%2 == 1 {
			method, body = "POST", "a body that is sent once"
		}
		c.clients.Go(func() {
			s := steady{address: g.address}
			defer s.close()
			for {
				select {
				case <-c.stop:
					return
				default:
				}
				resp, err := s.do(method, "/stamp", body)
				c.sent.Add(1)
				if err == nil && (resp.StatusCode != 200 || resp.Header.Get("X-Stamp-Go") != "go") {
					err = fmt.Errorf("found status %d and %v", resp.StatusCode, resp.Header)
				}
				if err != nil {
					c.failed.Add(1)
					c.first.Do(func() { c.why = err })
					s.close()
				}
			}
		})
	}
	t.Cleanup(c.end)
	return c
}

func (c *crowd) end() {
	c.first.Do(func() {})
	select {
	case <-c.stop:
	default:
		close(c.stop)
	}
	c.clients.Wait()
}

// more waits until some more requests were sent.
func (c *crowd) more(t *testing.T, n int64) {
	t.Helper()
	from := c.sent.Load()
	eventually(t, startPatience, "requests under load", func() (bool, string) {
		return c.sent.Load() >= from+n, fmt.Sprintf("%d of %d", c.sent.Load()-from, n)
	})
}
