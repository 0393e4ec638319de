package proxy

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// paced is a connection between a client and a server with times as they are by default, both ends of which are in memory. The clock is that of the test.
func paced(t *testing.T, bodyRate, sendRate int) (client net.Conn, c *clientConn) {
	t.Helper()
	client, theirs := net.Pipe()
	t.Cleanup(func() { client.Close(); theirs.Close() })
	s := &Server{proxy: &Proxy{opts: Options{Logger: slog.New(slog.DiscardHandler)}}, opts: testServer}
	s.opts.BodyTimeout, s.opts.WriteTimeout, s.opts.BodyRate, s.opts.SendRate = time.Minute, time.Minute, bodyRate, sendRate
	return client, s.newConn(theirs, peer{}, 0)
}

// A body may be as slow as its rate, and slower for as long as patience lasts; it counts what the client lets wait, and nothing else.
func TestPaceOfBodies(t *testing.T) {
	for _, c := range []struct {
		name           string
		rate           int
		piece, pieces  int
		pause          time.Duration // of the client, before each piece
		reads          time.Duration // pause of whoever reads, before each read
		after          int           // pieces after which the client sends at once
		answered, slow bool
	}{
		{name: "a byte every 10 s", rate: 240, piece: 1, pieces: 100, pause: 10 * time.Second, slow: true},
		{name: "as slow as it likes", piece: 1, pieces: 100, pause: 50 * time.Second},
		{name: "at its rate", rate: 240, piece: 240, pieces: 600, pause: time.Second},
		{name: "half of it", rate: 240, piece: 120, pieces: 600, pause: time.Second, slow: true},
		{name: "half of it, and then more", rate: 240, piece: 120, pieces: 600, pause: time.Second, after: 50},
		{name: "long pauses, but more between them", rate: 240, piece: 12000, pieces: 20, pause: 50 * time.Second},
		{name: "long pauses, but much more between them", rate: 240, piece: 14000, pieces: 20, pause: 50 * time.Second}, // all patience is back each time
		{name: "nobody reads", rate: 240, piece: 100, pieces: 50, reads: 30 * time.Second},
		{name: "after the answer", rate: 240, piece: 1, pieces: 100, pause: 10 * time.Second, answered: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, conn := paced(t, c.rate, 0)
				conn.RetimeRead(0) // as for every request with a body
				conn.body.Reset(&conn.in, int64(c.piece*c.pieces), &conn.server.opts.Limits)
				ended := make(chan struct{})
				go func() {
					defer close(ended)
					for i := range c.pieces {
						if c.after == 0 || i < c.after {
							time.Sleep(c.pause)
						}
						if _, err := client.Write(make([]byte, c.piece)); err != nil {
							return
						}
					}
				}()
				if c.answered { // while a read waits with a deadline that came of the rate
					time.AfterFunc(55*time.Second, func() { conn.keepsBody() })
				}
				began, got, err := time.Now(), 0, error(nil)
				for buf := make([]byte, 4<<10); err == nil; {
					time.Sleep(c.reads)
					var n int
					n, err = (*bodySide)(conn).Read(buf)
					got += n
				}
				var slow *tooSlow
				switch took := time.Since(began); {
				case errors.As(err, &slow) != c.slow:
					t.Errorf("after %v and %d bytes: %v", took, got, err)
				case !c.slow && (err != io.EOF || got != c.piece*c.pieces):
					t.Errorf("%d bytes, %v", got, err)
				case c.slow && (took < time.Minute || took > 3*time.Minute):
					t.Errorf("cut off after %v", took)
				case c.slow && !isTimeout(err):
					t.Errorf("%v is no timeout", err)
				}
				client.Close()
				<-ended
			})
		})
	}
}

// A response goes on as long as the client takes something of it, also when one write takes longer than send_timeout.
func TestPaceOfResponses(t *testing.T) {
	for _, c := range []struct {
		name         string
		rate         int
		takes        int           // bytes at once
		pause        time.Duration // before each
		size, writes int
		cut          time.Duration // after this at most; 0: never
	}{
		{name: "nothing is taken", rate: 240, takes: 1, pause: time.Hour, size: 100, writes: 1, cut: time.Minute},
		{name: "nothing is taken, no rate", takes: 1, pause: time.Hour, size: 100, writes: 1, cut: time.Minute},
		{name: "a byte every 50 s", rate: 240, takes: 1, pause: 50 * time.Second, size: 100, writes: 1, cut: 2 * time.Minute},
		{name: "a byte every 50 s, many writes", rate: 240, takes: 1, pause: 50 * time.Second, size: 1, writes: 100, cut: 3 * time.Minute},
		{name: "a byte every 50 s, no rate", takes: 1, pause: 50 * time.Second, size: 100, writes: 1},
		{name: "much in one write", rate: 240, takes: 10000, pause: 10 * time.Second, size: 8 << 20, writes: 1},
		{name: "below the rate", rate: 20000, takes: 10000, pause: 10 * time.Second, size: 8 << 20, writes: 1, cut: 2 * time.Minute},
		{name: "below the rate, many writes", rate: 20000, takes: 10000, pause: 10 * time.Second, size: 8 << 10, writes: 1000, cut: 3 * time.Minute},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, conn := paced(t, 0, c.rate)
				taken := make(chan int, 1)
				go func() {
					got, buf := 0, make([]byte, c.takes)
					for {
						time.Sleep(c.pause)
						n, err := client.Read(buf)
						if got += n; err != nil {
							taken <- got
							return
						}
					}
				}()
				began, written, err := time.Now(), 0, error(nil)
				for range c.writes {
					var n int
					n, err = conn.Write(bytes.Repeat([]byte("x"), c.size))
					if written += n; err != nil {
						break
					}
				}
				took := time.Since(began)
				conn.Conn.Close()
				switch got := <-taken; {
				case got != written:
					t.Errorf("%d bytes were taken, the count is %d", got, written)
				case c.cut == 0 && (err != nil || written != c.size*c.writes):
					t.Errorf("%d bytes after %v: %v", written, took, err)
				case c.cut > 0 && (!errors.Is(err, os.ErrDeadlineExceeded) || took < 50*time.Second || took > c.cut+longestStall):
					t.Errorf("after %v: %v, expected an end after %v", took, err, c.cut)
				}
			})
		})
	}
}

// A client that sends a short body slowly keeps no connection of the service meanwhile.
func TestShortBodiesAreWaitedFor(t *testing.T) {
	from := make(chan string, 2)
	g := start(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			t.Error(err)
		}
		from <- r.RemoteAddr
	}), plain, nil)
	slow := dialTo(t, g.addr)
	sendTo(t, slow, "POST /api HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 8000\r\n\r\n"+strings.Repeat("x", 4000))
	eventually(t, "the slow request", func() bool { return g.proxy.inFlight.Load() == 1 })
	g.get("/api").want(t, 200, "")
	sendTo(t, slow, strings.Repeat("x", 4000))
	text, err := io.ReadAll(slow)
	if err != nil || !strings.HasPrefix(string(text), "HTTP/1.1 200") {
		t.Errorf("%v %s", err, text)
	}
	if other, slow := <-from, <-from; other != slow {
		t.Errorf("the slow request came over %s, the other one over %s before", slow, other)
	}
}

// A client that does not take its 100 Continue holds up nobody: not the end of the server either, which comes for all connections.
func TestContinueThatNobodyTakes(t *testing.T) {
	client, c := paced(t, 0, 0)
	c.expects = true
	c.body.Reset(&c.in, 3, &testServer.Limits)
	wanted := make(chan error, 1)
	go func() {
		_, err := c.wantBody()
		wanted <- err
	}()
	eventually(t, "100 Continue is on its way", func() bool {
		if c.wanting.TryLock() {
			c.wanting.Unlock()
			return false
		}
		return true
	})
	c.stage.Store(awaitsHead) // when the end of the server looked at it
	hurried := make(chan struct{})
	go func() {
		c.hurry(time.Now(), time.Now())
		close(hurried)
	}()
	select {
	case <-hurried:
	case <-time.After(patience):
		t.Error("the end of the server waits for the client")
	}
	if _, err := io.ReadFull(client, make([]byte, len("HTTP/1.1 100 Continue\r\n\r\n"))); err != nil {
		t.Error(err)
	}
	if err := <-wanted; err != nil {
		t.Error(err)
	}
}
