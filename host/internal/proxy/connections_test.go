//go:build linux

package proxy

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/parking"
)

const simple = "GET /api HTTP/1.1\r\nHost: x\r\n\r\n"

// When there are as many connections as there may be, an idle one ends for a new one.
func TestIdleConnectionsMakeRoom(t *testing.T) {
	g := start(t, echo, plain, nil)
	options := testServer
	options.MaxConnections = 2
	addr, s := serveBounded(t, g, options)
	first := dialTo(t, addr)
	ask(t, first, simple)
	ask(t, dialTo(t, addr), simple)
	ask(t, dialTo(t, addr), simple)
	ask(t, dialTo(t, addr), simple)
	if n := s.opened(); n > 2 {
		t.Errorf("%d connections are open", n)
	}
	if n := g.proxy.Sights(); n.EvictedConnections != 2 || n.MostConnections != 2 {
		t.Errorf("%+v", n)
	}
}

// One whose client sends something in the moment in which it is to make room is served, and has made none.
func TestEvictedConnectionWithInput(t *testing.T) {
	g := start(t, echo, plain, nil)
	_, s := serveBounded(t, g, testServer)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	for _, sends := range []bool{true, false} {
		client := dialTo(t, ln.Addr().String())
		nc, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		conn := s.newConn(nc, peer{}, 0)
		s.admit(conn)
		want := uint64(1)
		if sends {
			want = 0
			sendTo(t, client, simple)
			eventually(t, "the request is there", func() bool { return hasInput(nc) })
		}
		var serving sync.WaitGroup
		serving.Go(func() { s.unpark(conn, parking.Evicted) })
		if sends {
			if resp, err := http.ReadResponse(bufio.NewReader(client), nil); err != nil || resp.StatusCode != 200 {
				t.Error(resp, err)
			}
			client.Close()
		} else if text, err := io.ReadAll(client); err != nil || len(text) > 0 {
			t.Errorf("%q %v", text, err)
		}
		serving.Wait()
		if n := g.proxy.Sights().EvictedConnections; n != want {
			t.Errorf("it sends: %t: %d connections have made room, expected %d", sends, n, want)
		}
	}
}

// Without an idle one, the new one waits for the next response; and the end of the server serves it all the same.
func TestConnectionsWaitForRoom(t *testing.T) {
	for _, ends := range []bool{false, true} {
		release, serving := make(chan struct{}), make(chan struct{}, 4)
		g := start(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			serving <- struct{}{}
			<-release
		}), plain, nil)
		options := testServer
		options.MaxConnections = 1
		addr, s := serveBounded(t, g, options)
		busy, waits := dialTo(t, addr), dialTo(t, addr)
		sendTo(t, busy, simple)
		<-serving
		sendTo(t, waits, simple)
		eventually(t, "the second connection waits", func() bool { return g.proxy.Sights().DelayedConnections == 1 })
		if n := s.opened(); n != 1 || len(serving) > 0 {
			t.Errorf("%d connections are open, %d requests more are served", n, len(serving))
		}
		ended := make(chan error, 1)
		if ends {
			go func() { ended <- s.Shutdown(t.Context()) }()
			<-serving // beside the other one
		}
		close(release)
		for _, c := range []net.Conn{busy, waits} {
			if resp, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil || resp.StatusCode != 200 || resp.Close != (ends || c == busy) {
				t.Error(resp, err)
			}
			c.Close()
		}
		if ends {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
		if !strings.Contains(g.logs.String(), "max_connections") {
			t.Errorf("the log says\n%s", g.logs.String())
		}
	}
}

// A client that sends requests behind the one which it says is its last gets the response to that, also when it has finished sending by then.
func TestRequestsBehindTheLastOne(t *testing.T) {
	const last = "GET /api HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
	for _, finishes := range []bool{false, true} {
		sent := make(chan struct{})
		g := start(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			<-sent
			fmt.Fprint(w, "last")
		}), plain, nil)
		conn := boundedBy(t, g, func(o *ServerOptions) { o.IgnoreAbort = true }) // who has finished sending has not gone
		sendTo(t, conn, last+strings.Repeat(last, 1000))
		if finishes {
			if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
				t.Fatal(err)
			}
		}
		close(sent)
		if text, err := io.ReadAll(conn); err != nil || !strings.HasSuffix(string(text), "\r\n\r\nlast") || strings.Count(string(text), "HTTP/1.1") != 1 {
			t.Errorf("it finishes: %t: %v, %q", finishes, err, text)
		}
	}
}

// watchedEnd tells what is to be known when it is closed.
type watchedEnd struct {
	net.Conn
	tell func()
}

func (c *watchedEnd) Close() error {
	c.tell()
	return c.Conn.Close()
}

// A connection counts until it is closed: one that still takes bytes which nobody wants needs its file, and the server does not end before it.
func TestConnectionsCountUntilTheyAreClosed(t *testing.T) {
	_, conn := paced(t, 0, 0)
	s, counted := conn.server, -1
	s.served, s.freed.L = map[*clientConn]struct{}{}, &s.mu
	conn.Conn.Conn = &watchedEnd{conn.Conn.Conn, func() { counted = s.opened() }}
	s.admit(conn)
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	if left := s.opened(); counted != 1 || left != 0 {
		t.Errorf("%d connections are open when it is closed, %d afterwards, expected 1 and 0", counted, left)
	}
}

// Connections that wait in the queue of a listener are taken out of it.
func TestAcceptWaiting(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	const clients = 20
	for range clients {
		sendTo(t, dialTo(t, ln.Addr().String()), simple)
	}
	got := 0
	eventually(t, "all are accepted", func() bool {
		for _, c := range acceptWaiting(ln) {
			got++
			if _, err := http.ReadRequest(bufio.NewReader(c)); err != nil {
				t.Error(err)
			}
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}
		return got == clients
	})
}

// Every request that was sent before the end of the server is answered, on connections of each kind: those that are parked, idle or busy, and such as nobody
// has accepted yet. The answer ends its connection.
func TestNoRequestIsLostAtTheEnd(t *testing.T) {
	s, addr := parkingServer(t, 3*patience)
	var conns []net.Conn
	for range 20 {
		conns = append(conns, dialTo(t, addr))
	}
	for _, c := range conns[:10] {
		ask(t, c, simple)
	}
	awaitParked(t, s, len(conns))
	for range 10 {
		c := dialTo(t, addr)
		ask(t, c, simple)
		conns = append(conns, c)
	}
	var down atomic.Bool
	var load, sent sync.WaitGroup
	answered := atomic.Int32{}
	for i := range 8 {
		load.Go(func() {
			var c net.Conn
			for n := 0; !down.Load(); n++ {
				if c == nil || i%2 == 0 { // half of them connect for each request
					c = dialTo(t, addr)
				}
				_, err := io.WriteString(c, simple)
				before := !down.Load()
				var resp *http.Response
				if err == nil {
					resp, err = http.ReadResponse(bufio.NewReader(c), nil)
				}
				if err != nil {
					if before {
						t.Errorf("a request that was sent before the end: %v", err)
					}
					return
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				answered.Add(1)
				if resp.Close {
					c = nil
				}
			}
		})
	}
	eventually(t, "the clients are served", func() bool { return answered.Load() > 50 })
	for range 20 {
		conns = append(conns, dialTo(t, addr))
	}
	for _, c := range conns {
		sent.Go(func() {
			if _, err := io.WriteString(c, simple); err != nil {
				t.Error(err)
			}
		})
	}
	sent.Wait()
	down.Store(true)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- s.Shutdown(ctx) }()
	for i, c := range conns {
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil || resp.StatusCode != 200 {
			t.Fatalf("connection %d: %v %v", i, resp, err)
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			t.Errorf("connection %d: %v", i, err)
		}
		if n, err := c.Read(make([]byte, 1)); n > 0 || err != io.EOF {
			t.Errorf("connection %d goes on: %d, %v", i, n, err)
		}
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	load.Wait()
}

// A head that has begun to come has its time at the end of the server; the connection does not stay for a client that does not go on.
func TestHalfAHeadAtTheEnd(t *testing.T) {
	s, addr := parkingServer(t, 3*patience)
	whole, half := dialTo(t, addr), dialTo(t, addr)
	for _, c := range []net.Conn{whole, half} {
		sendTo(t, c, simple[:len(simple)-2])
	}
	eventually(t, "both heads have begun", func() bool { return s.proxy.Statistics().Reading == 2 })
	ended := make(chan error, 1)
	go func() { ended <- s.Shutdown(t.Context()) }()
	eventually(t, "the server ends", s.ending.Load)
	sendTo(t, whole, "\r\n")
	if resp, err := http.ReadResponse(bufio.NewReader(whole), nil); err != nil || resp.StatusCode != 200 || !resp.Close {
		t.Errorf("%v %v", resp, err)
	}
	if resp, err := http.ReadResponse(bufio.NewReader(half), nil); err != nil || resp.StatusCode != 408 {
		t.Errorf("%v %v", resp, err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	half.Close()
	eventually(t, "nobody is busy", func() bool { return s.proxy.counters.busy.Load() == 0 })
}

// The walk that looks for clients that have gone leaves the parked ones out.
func TestParkedConnectionsAreNotWalkedOver(t *testing.T) {
	s, addr := parkingServer(t, 3*patience)
	c := dialTo(t, addr)
	ask(t, c, simple)
	awaitParked(t, s, 1)
	s.mu.Lock()
	served, open := len(s.served), s.open
	s.mu.Unlock()
	if served != 0 || open != 1 || len(s.slow(time.Now())) != 0 {
		t.Errorf("%d are served, %d are open", served, open)
	}
}

// A client that has sent more requests behind one gets the whole response to that one when the server is about to end, although its connection ends with it:
// a reset would take what is still on its way.
func TestTheLastResponseArrivesWhole(t *testing.T) {
	body := strings.Repeat("x", 128<<10)
	g := start(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(body)) }), plain, nil)
	addr, s := serveBounded(t, g, testServer)
	conn := dialTo(t, addr)
	if err := conn.(*net.TCPConn).SetReadBuffer(32 << 10); err != nil { // most of the response stays with the server
		t.Fatal(err)
	}
	eventually(t, "the connection is accepted", func() bool { return s.opened() == 1 })
	s.Announce()
	sendTo(t, conn, simple+"POST /api HTTP/1.1\r\nHost: x\r\nContent-Length: 40000\r\n\r\n"+strings.Repeat("y", 40000))
	eventually(t, "the connection to end", func() bool { return s.opened() == 0 })
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(resp.Body)
	if err != nil || string(got) != body || !resp.Close {
		t.Errorf("found %d bytes, %v, close %t, expected %d bytes and the end of the connection", len(got), err, resp.Close, len(body))
	}
}

// What a client has not taken yet is seen, so that one who takes it slowly can be told from one who takes nothing.
func TestUnsentBytes(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	client := dialTo(t, ln.Addr().String())
	c, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	written, full := 0, 0
	eventually(t, "the buffers of both sides are full", func() bool {
		if err := c.SetWriteDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		n, err := c.Write(make([]byte, 1<<20))
		written, full = written+n, unsentBytes(c)
		return err != nil && full > 0
	})
	if full > written {
		t.Errorf("%d of %d bytes are unsent", full, written)
	}
	if _, err := io.CopyN(io.Discard, client, int64(written)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "everything is taken", func() bool { return unsentBytes(c) == 0 })
}
