package upstream

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
)

func TestConnectionsAreReused(t *testing.T) {
	p := newPeer(t, answers(ok, ok, ok))
	tr := transport(t, Options{RequestsPerConn: 2})
	for range 4 {
		if status, _, err := try(tr, p.target(), "GET", nil, 0); status != 200 {
			t.Fatal(err)
		}
	}
	if n := p.conns.Load(); n != 2 {
		t.Errorf("%d connections for 4 requests, 2 per connection", n)
	}
	other := p.target()
	other.TLSChain = 3
	if status, _, err := try(tr, other, "GET", nil, 0); status != 200 {
		t.Fatal(err)
	}
	if n := p.conns.Load(); n != 3 {
		t.Errorf("%d connections: another target shares them", n)
	}
}

// Timeouts belong to the request, not to the connection: one that is kept serves requests of any timeouts.
func TestTimeoutsChangeOnAKeptConnection(t *testing.T) {
	hang := make(chan struct{})
	defer close(hang)
	p := newPeer(t, func(n int, c net.Conn, br *bufio.Reader) {
		answers(ok, ok)(n, c, br)
		<-hang // the third request gets no answer
	})
	tr := transport(t, Options{})
	for _, timeout := range []time.Duration{patience, patience / 2} {
		to := p.target()
		to.ReadTimeout, to.WriteTimeout = timeout, timeout
		if status, _, err := try(tr, to, "GET", nil, 0); status != 200 {
			t.Fatal(err)
		}
	}
	to := p.target()
	to.ReadTimeout = 50 * time.Millisecond
	if _, _, err := try(tr, to, "GET", nil, 0); kind(err) != "timeout" {
		t.Errorf("a short read timeout on a kept connection: %v", err)
	}
	if n := p.conns.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
}

// A connection stays good after its read timeout has passed while it was idle.
func TestIdleLongerThanTheReadTimeout(t *testing.T) {
	p := newPeer(t, answers(ok, ok))
	tr := transport(t, Options{})
	to := p.target()
	to.ReadTimeout = 2 * time.Second // the peer answers within it, however busy the machine
	for i := range 2 {
		if i > 0 {
			<-time.After(to.ReadTimeout + 100*time.Millisecond) // the time that passes is what is tested
		}
		if status, _, err := try(tr, to, "GET", nil, 0); status != 200 {
			t.Fatal(err)
		}
	}
	if n := p.conns.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
}

// The peer has closed a kept connection: no request is lost, whatever its method, and it costs no try.
func TestStaleConnections(t *testing.T) {
	for _, method := range []string{"GET", "POST"} {
		closed := make(chan struct{}, 1)
		p := newPeer(t, func(n int, c net.Conn, br *bufio.Reader) {
			answers(ok)(n, c, br)
			c.Close()
			closed <- struct{}{}
		})
		tr := transport(t, Options{})
		for i := range 3 {
			var body io.Reader
			if method == "POST" {
				body = iotestOnce("stream")
			}
			status, _, err := try(tr, p.target(), method, body, 0)
			if status != 200 {
				t.Errorf("%s %d: %v", method, i, err)
			}
			<-closed
			waitClosed(t, tr)
		}
	}
}

// Bytes that come over a kept connection before a request are not its answer: it goes over another connection, whatever its method, and is sent once.
func TestUnaskedBytes(t *testing.T) {
	for _, method := range []string{"GET", "POST"} {
		for name, body := range bodies {
			first, sent := make(chan struct{}), make(chan struct{}, 1)
			p := newPeer(t, func(n int, c net.Conn, br *bufio.Reader) {
				answers(ok)(n, c, br)
				if n == 1 {
					<-first
					_, _ = io.WriteString(c, "HTTP/1.1 500 Unasked\r\nContent-Length: 0\r\n\r\n")
					sent <- struct{}{}
					if _, err := br.ReadByte(); err == nil {
						t.Errorf("%s with %s body went over a connection with bytes on it", method, name)
					}
				}
			})
			tr := kept(t, p)
			close(first)
			<-sent
			waitClosed(t, tr)
			if tries, err := over(t, tr, p.target(), method, body); err != nil || len(tries) != 1 || tries[0].Err != nil {
				t.Errorf("%s with %s body: %v, tries %+v", method, name, err, tries)
			}
			if n := p.conns.Load(); n != 2 {
				t.Errorf("%s with %s body: %d connections", method, name, n)
			}
		}
	}
}

func TestIdleConnectionsExpire(t *testing.T) {
	closed := make(chan struct{})
	p := newPeer(t, func(n int, c net.Conn, br *bufio.Reader) {
		answers(ok)(n, c, br)
		_, _ = br.ReadByte()
		close(closed)
	})
	tr := transport(t, Options{IdleTimeout: 40 * time.Millisecond})
	if status, _, err := try(tr, p.target(), "GET", nil, 0); status != 200 {
		t.Fatal(err)
	}
	select {
	case <-closed:
	case <-time.After(patience):
		t.Fatal("the idle connection was not closed")
	}
	deadline := time.Now().Add(patience)
	for pools := 1; pools > 0; time.Sleep(time.Millisecond) {
		tr.mu.RLock()
		pools = len(tr.pools)
		tr.mu.RUnlock()
		if time.Now().After(deadline) {
			t.Fatal("a pool that nobody uses stays")
		}
	}
}

func TestClose(t *testing.T) {
	release, closed := make(chan struct{}), make(chan struct{}, 2)
	p := newPeer(t, func(n int, c net.Conn, br *bufio.Reader) {
		r, err := http.ReadRequest(br)
		if err != nil {
			return
		}
		if r.Method == "PUT" {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: "+strconv.Itoa(100<<10)+"\r\n\r\n")
			<-release
			_, _ = c.Write(make([]byte, 100<<10))
		} else {
			_, _ = io.WriteString(c, ok)
		}
		_, _ = br.ReadByte()
		closed <- struct{}{}
	})
	tr := New(Options{IdlePerTarget: 8})
	if status, _, err := try(tr, p.target(), "GET", nil, 0); status != 200 {
		t.Fatal(err)
	}
	result := make(chan error, 1)
	streaming := make(chan struct{})
	go func() {
		req, resp := request("PUT"), fasthttp.AcquireResponse()
		err := tr.RoundTrip(p.target(), req, resp, 0)
		close(streaming)
		if err == nil {
			_, err = io.Copy(io.Discard, resp.BodyStream())
			err = errors.Join(err, resp.CloseBodyStream())
		}
		result <- err
	}()
	<-streaming
	tr.Close()
	tr.Close()
	close(release)
	if err := <-result; err != nil {
		t.Errorf("a stream in flight: %v", err)
	}
	select {
	case <-closed:
	case <-time.After(patience):
		t.Fatal("a connection is still open")
	}
	if _, _, err := try(tr, p.target(), "GET", nil, 0); kind(err) != "connect" {
		t.Errorf("after Close: %v", err)
	}
}
