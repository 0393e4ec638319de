package proxy

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// The address in a PROXY header is the client's when the peer is trusted, for every request of the connection, also when it was parked before and after the first; without the header
// nobody is served.
func TestProxyProtocol(t *testing.T) {
	const header = "PROXY TCP4 192.0.2.7 192.0.2.1 4711 80\r\n"
	const get = "GET /api HTTP/1.1\r\nHost: x\r\n\r\n"
	for _, trusts := range []bool{true, false} {
		g := start(t, echo, plain, nil, func(o *Options) {
			o.RealIPHeader = ProxyProtocol
			if trusts {
				trustLoopback(o)
			}
		})
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		options := testServer
		s := NewServer(g.proxy, options)
		s.ServeProxied(ln)
		t.Cleanup(func() {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			if err := s.Shutdown(ctx); err != nil {
				t.Errorf("shutdown: %v", err)
			}
		})
		want := "X-Real-Ip: 127.0.0.1\n"
		if trusts {
			want = "X-Real-Ip: 192.0.2.7\n"
		}
		for _, step := range []int{1, 1000} { // bytes at once
			c := dialTo(t, ln.Addr().String())
			for rest := header + get + strings.Replace(get, "Host", "Connection: close\r\nHost", 1); len(rest) > 0; {
				n := min(step, len(rest))
				sendTo(t, c, rest[:n])
				rest = rest[n:]
			}
			text, err := io.ReadAll(c)
			if err != nil || strings.Count(string(text), want) != 2 {
				t.Errorf("trusted %t: %v, expected twice %q in\n%s", trusts, err, want, text)
			}
		}
		for _, other := range []string{get, "PROXY TCP4 1.2.3.4\r\n" + get, "\r\n" + header + get} {
			c := dialTo(t, ln.Addr().String())
			sendTo(t, c, other)
			if text, _ := io.ReadAll(c); len(text) > 0 {
				t.Errorf("%q was answered %q", other, text)
			}
		}
		if !trusts {
			continue
		}
		c := dialTo(t, ln.Addr().String())
		if s.lot != nil {
			awaitParkedNow(t, s)
		}
		sendTo(t, c, header)
		ask(t, c, get)
		if s.lot != nil {
			awaitParkedNow(t, s)
			sendTo(t, c, strings.Replace(get, "Host", "Connection: close\r\nHost", 1))
			if text, err := io.ReadAll(c); err != nil || !strings.Contains(string(text), want) {
				t.Errorf("after it was parked: %v\n%s", err, text)
			}
		}
	}
}

// awaitParkedNow waits until one connection is parked.
func awaitParkedNow(t *testing.T, s *Server) {
	t.Helper()
	for deadline := time.Now().Add(patience); s.lot.Len() != 1; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d connections are parked, expected 1", s.lot.Len())
		}
	}
}
