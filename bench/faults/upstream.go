package main

import (
	"net"
	"strconv"
	"sync"
)

// upstream is a server that misbehaves as the path of a request says. It listens on two addresses with the same port, for a name that moves.
type upstream struct {
	port      int
	listeners []net.Listener
	// report is told of a request that must not have come.
	report func(v verdict, fault, why string)
	wg     sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]struct{}
	ended bool
}

// addresses of the upstream.
var addresses = []string{"127.0.0.1", "127.0.0.2"}

func startUpstream(report func(v verdict, fault, why string)) (*upstream, error) {
	u := &upstream{report: report, conns: map[net.Conn]struct{}{}}
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
