//go:build linux

package proxy

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"testing"
	"time"
)

// parkingServer serves a gateway's proxy on a listener of its own.
func parkingServer(t *testing.T, readTimeout time.Duration) (*Server, string) {
	t.Helper()
	g := start(t, echo, plain, nil)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	options := testServer
	options.IdleTimeout = readTimeout
	s := NewServer(g.proxy, options)
	s.Serve(ln)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if n := len(s.served) + s.open; n != 0 {
			t.Errorf("%d connections are still known", n)
		}
		eventually(t, "no connection counts as busy", func() bool { return g.proxy.counters.busy.Load() == 0 }) // some linger
	})
	return s, ln.Addr().String()
}

// ask sends a request over a connection and reads the response.
func ask(t *testing.T, conn net.Conn, request string) {
	t.Helper()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil || res.StatusCode != 200 {
		t.Fatal(res.Status, err)
	}
}

func awaitParked(t *testing.T, s *Server, n int) {
	t.Helper()
	for deadline := time.Now().Add(patience); s.lot.Len() != n; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d connections are parked, expected %d", s.lot.Len(), n)
		}
	}
}

// An idle connection gives its goroutine and its buffers back, and serves requests of every kind afterwards, again and again.
func TestIdleConnectionsAreParked(t *testing.T) {
	s, addr := parkingServer(t, 3*patience)
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	const get = "GET /api/x HTTP/1.1\r\nHost: x\r\n\r\n"
	ask(t, conn, get)
	for _, request := range []string{get, "POST /api/x HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"} {
		awaitParked(t, s, 1)
		if n := s.http.GetOpenConnectionsCount(); n != 0 {
			t.Errorf("%d connections are served while they are parked", n)
		}
		if st := s.proxy.Statistics(); st.Active != 1 || st.Waiting != 1 || st.Accepted != 1 {
			t.Errorf("%+v", st)
		}
		ask(t, conn, request)
		ask(t, conn, get)
	}
	awaitParked(t, s, 1)
	conn.Close()
	awaitParked(t, s, 0)
}

// A connection on which nothing was sent is parked, too. It serves what comes, and is closed without an answer when nothing does.
func TestSilentConnectionsAreParked(t *testing.T) {
	s, addr := parkingServer(t, 3*patience)
	conn := dialTo(t, addr)
	awaitParked(t, s, 1)
	ask(t, conn, "GET /api/x HTTP/1.1\r\nHost: x\r\n\r\n")
	awaitParked(t, s, 1)

	addr, s = serveBounded(t, start(t, echo, plain, nil), func() ServerOptions {
		o := testServer
		o.HeaderTimeout = 2 * parkAfter
		return o
	}())
	conn = dialTo(t, addr)
	awaitParked(t, s, 1)
	if text, err := io.ReadAll(conn); err != nil || len(text) > 0 {
		t.Errorf("a silent connection got %q, %v", text, err)
	}
}

// A connection on which half a request has come is not parked.
func TestHalfARequestIsNotParked(t *testing.T) {
	s, addr := parkingServer(t, 3*patience)
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ask(t, conn, "GET /api/x HTTP/1.1\r\nHost: x\r\n\r\n")
	if _, err := io.WriteString(conn, "POST /api/x HTTP/1.1\r\nHost: x\r\nContent-Le"); err != nil {
		t.Fatal(err)
	}
	idle, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	ask(t, idle, "GET /api/x HTTP/1.1\r\nHost: x\r\n\r\n")
	awaitParked(t, s, 1) // the one that came later: the other had more time
	ask(t, conn, "ngth: 3\r\n\r\nabc")
	awaitParked(t, s, 2)
}

// A connection that cannot be parked waits as long as another one.
func TestOtherConnectionsWaitTheirTime(t *testing.T) {
	s, _ := parkingServer(t, 3*patience)
	theirs, ours := net.Pipe()
	defer theirs.Close()
	defer ours.Close()
	c := s.newConn(ours, peer{}, 0)
	c.spoke = true
	if wait := c.patience(); wait != 3*patience || c.parks {
		t.Errorf("it waits %v, and is parked: %t", wait, c.parks)
	}
}

// A parked connection is closed when the read timeout is over, and when the server ends.
func TestParkedConnectionsEnd(t *testing.T) {
	_, addr := parkingServer(t, 2*parkAfter)
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ask(t, conn, "GET /api/x HTTP/1.1\r\nHost: x\r\n\r\n")
	if _, err := conn.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("after the read timeout: %v", err)
	}
	s, addr := parkingServer(t, 3*patience)
	conn, err = net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ask(t, conn, "GET /api/x HTTP/1.1\r\nHost: x\r\n\r\n")
	awaitParked(t, s, 1)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := s.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	if _, err := conn.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("after the end of the server: %v", err)
	}
}
