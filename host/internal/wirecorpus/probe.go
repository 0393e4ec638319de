package wirecorpus

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Answer is what a server made of a case.
type Answer struct {
	// Statuses are those of the final responses, in order; a 0 at the end: the connection was closed behind them.
	Statuses []int
	// Silent: the server neither answered nor closed the connection in time.
	Silent bool
}

// Probe sends a case to a server and reads what it answers, until it closes the connection or nothing comes for as long as patience.
func Probe(addr string, c *Case, patience time.Duration) (Answer, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return Answer{}, err
	}
	defer conn.Close()
	var sending sync.WaitGroup
	defer sending.Wait()
	sending.Go(func() {
		_ = conn.SetWriteDeadline(time.Now().Add(patience))
		_, err := conn.Write(c.Bytes) // fails when the server has had enough
		if half, ok := conn.(*net.TCPConn); ok && err == nil && c.End {
			_ = half.CloseWrite()
		}
	})
	return read(conn, c, patience), nil
}

// read reads responses. Requests of the case are recognised only by their methods.
func read(conn net.Conn, c *Case, patience time.Duration) (a Answer) {
	br := bufio.NewReader(conn)
	for {
		_ = conn.SetReadDeadline(time.Now().Add(patience))
		if _, err := br.Peek(1); err != nil {
			if a.Silent = timedOut(err); !a.Silent {
				a.Statuses = append(a.Statuses, 0)
			}
			return a
		}
		method := ""
		if slices.Contains(c.Served, "HEAD /a") && len(a.Statuses) == 0 {
			method = http.MethodHead
		}
		res, err := http.ReadResponse(br, &http.Request{Method: method})
		if err != nil { // no HTTP, as an answer to HTTP/0.9 is not
			a.Statuses = append(a.Statuses, -1)
			return a
		}
		if res.StatusCode >= 200 {
			a.Statuses = append(a.Statuses, res.StatusCode)
		}
		if _, err := io.Copy(io.Discard, res.Body); err != nil {
			a.Statuses = append(a.Statuses, -1)
			return a
		}
	}
}

func timedOut(err error) bool {
	var e net.Error
	return errors.As(err, &e) && e.Timeout()
}

// Service is what requests get to that a server lets pass. It answers 200 to all of them and keeps them.
type Service struct {
	Addr string

	ln     net.Listener
	served sync.WaitGroup
	mu     sync.Mutex
	heard  []string
	conns  map[net.Conn]struct{}
}

// NewService starts a service on loopback; Close ends it.
func NewService() (*Service, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &Service{Addr: ln.Addr().String(), ln: ln, conns: map[net.Conn]struct{}{}}
	s.served.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns[conn] = struct{}{}
			s.mu.Unlock()
			s.served.Go(func() { s.serve(conn) })
		}
	})
	return s, nil
}

// serve answers the whole requests of a connection.
func (s *Service) serve(conn net.Conn) {
	defer func() {
		conn.Close()
		s.mu.Lock()
		delete(s.conns, conn)
		s.mu.Unlock()
	}()
	br := bufio.NewReader(conn)
	for {
		req, err := http.ReadRequest(br)
		if err != nil {
			return
		}
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return
		}
		text := req.Method + " " + req.RequestURI
		if len(body) > 0 {
			text += " " + string(body)
		}
		s.mu.Lock()
		s.heard = append(s.heard, text)
		s.mu.Unlock()
		if _, err := io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"); err != nil {
			return
		}
	}
}

// Take is what the service got since the last time.
func (s *Service) Take() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	heard := s.heard
	s.heard = nil
	return heard
}

// Close ends the service and its connections.
func (s *Service) Close() {
	_ = s.ln.Close()
	s.mu.Lock()
	for conn := range s.conns {
		_ = conn.Close()
	}
	s.mu.Unlock()
	s.served.Wait()
}
