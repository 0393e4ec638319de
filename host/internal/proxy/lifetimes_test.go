package proxy

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// A connection that is left has no memory for requests, however large the last one was: a parked one would keep it.
func TestConnectionsThatAreLeftHaveNoRoom(t *testing.T) {
	g := start(t, echo, plain, nil)
	mine, theirs := net.Pipe()
	defer mine.Close()
	defer theirs.Close()
	s := NewServer(g.proxy, testServer)
	defer func() {
		if err := s.Shutdown(t.Context()); err != nil {
			t.Errorf("shutdown: %v", err)
		}
	}()
	c := s.newConn(mine, peer{}, 0)
	go func() {
		_, _ = io.WriteString(theirs, "GET /api/x HTTP/1.1\r\nHost: x\r\nX: "+strings.Repeat("x", 11<<10)+"\r\n\r\n") // more than the first room
	}()
	if _, err := c.Read(make([]byte, standInSize)); err != nil || c.refused != nil {
		t.Fatal(err, c.refused)
	}
	c.takeHead().release()
	if c.leaveRoom(); c.in.HasRoom() {
		t.Error("it keeps its room")
	}
}

// Connections that were taken over for a stream of HTTP/1.0 or for another protocol count as busy until they end, and no longer.
func TestTakenOverConnectionsAreBusyUntilTheyEnd(t *testing.T) {
	g := start(t, http.HandlerFunc(switcher), plain, nil)
	c, br, resp := upgraded(t, g.addr, "")
	if resp.StatusCode != 101 {
		t.Fatal(resp.Status)
	}
	wantLine(t, br, "first")
	if n := g.proxy.Statistics(); n.Active != 1 || n.Writing != 1 {
		t.Errorf("open tunnel: %+v", n)
	}
	c.Close()
	eventually(t, "the end of the tunnel", func() bool { return g.proxy.counters.busy.Load() == 0 })

	stream := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "hello")
		w.(http.Flusher).Flush()
	})
	g = start(t, stream, plain, nil)
	text := g.text("GET /api HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
	head, body, _ := strings.Cut(text, "\r\n\r\n")
	if strings.Count(head, "Connection: ") != 1 || !strings.Contains(head, "Connection: close") || body != "hello" {
		t.Errorf("stream to a client of HTTP/1.0: %s", text)
	}
	eventually(t, "the end of the stream", func() bool { return g.proxy.counters.busy.Load() == 0 })
}

// A server that ends waits for a stream to a client of HTTP/1.0, which could not tell a part of it from the whole; and cuts it off when time is up so
// that the client sees it.
func TestStreamsOfHTTP10AtTheEnd(t *testing.T) {
	for _, cut := range []bool{false, true} {
		more := make(chan struct{})
		stream := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, "first ")
			w.(http.Flusher).Flush()
			select {
			case <-more:
			case <-r.Context().Done():
			}
			fmt.Fprint(w, "last")
		})
		g := start(t, stream, plain, nil)
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		s := NewServer(g.proxy, testServer)
		s.Serve(ln)
		c := dialTo(t, ln.Addr().String())
		sendTo(t, c, "GET /api HTTP/1.0\r\n\r\n")
		br := bufio.NewReader(c)
		resp, err := http.ReadResponse(br, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(resp.Body, make([]byte, len("first "))); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the end of the HTTP library's part", func() bool { return s.http.GetOpenConnectionsCount() == 0 })
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- s.Shutdown(ctx) }()
		eventually(t, "the wait for the stream", func() bool {
			g.proxy.tunnels.mu.Lock()
			defer g.proxy.tunnels.mu.Unlock()
			return g.proxy.tunnels.ended
		})
		if cut {
			cancel()
		} else {
			close(more)
		}
		rest, err := io.ReadAll(resp.Body)
		if cut && err == nil || !cut && (err != nil || string(rest) != "last") {
			t.Errorf("cut %v: %q, %v", cut, rest, err)
		}
		<-ended
		cancel()
		if cut {
			close(more)
		}
		eventually(t, "the end of the request", func() bool { return g.proxy.inFlight.Load() == 0 })
	}
}
