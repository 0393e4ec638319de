package proxy

import (
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
