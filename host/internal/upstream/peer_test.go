package upstream

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
)

// peer is an upstream that plays a script per connection. serve returns to close the connection.
type peer struct {
	ln    net.Listener
	conns atomic.Int32
	done  sync.WaitGroup
}

func newPeer(t testing.TB, serve func(n int, c net.Conn, br *bufio.Reader)) *peer {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &peer{ln: ln}
	var mu sync.Mutex
	var open []net.Conn
	p.done.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			n := int(p.conns.Add(1))
			mu.Lock()
			open = append(open, c)
			mu.Unlock()
			p.done.Go(func() {
				defer c.Close()
				serve(n, c, bufio.NewReader(c))
			})
		}
	})
	t.Cleanup(func() {
		ln.Close()
		mu.Lock()
		for _, c := range open {
			c.Close()
		}
		mu.Unlock()
		p.done.Wait()
	})
	return p
}

func (p *peer) target() *Target {
	return &Target{Host: "127.0.0.1", Port: p.ln.Addr().(*net.TCPAddr).Port, ConnectTimeout: patience, WriteTimeout: patience, ReadTimeout: patience}
}

// answers plays a list of answers on each connection, one per request, and then closes it.
func answers(list ...string) func(int, net.Conn, *bufio.Reader) {
	return func(_ int, c net.Conn, br *bufio.Reader) {
		for _, a := range list {
			r, err := http.ReadRequest(br)
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, r.Body)
			if _, err := io.WriteString(c, a); err != nil {
				return
			}
		}
	}
}

const ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

func transport(t testing.TB, o Options) *Transport {
	if o.IdlePerTarget == 0 {
		o.IdlePerTarget = 8
	}
	tr := New(o)
	t.Cleanup(tr.Close)
	return tr
}

func request(method string) *Request {
	return &Request{Method: method, Target: []byte("/"), Host: []byte("x")}
}

// try sends a request and reads the whole body. stream sends the body as a stream.
func try(tr *Transport, to *Target, method string, body io.Reader, retries int) (status int, text string, err error) {
	req, resp := request(method), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseResponse(resp)
	switch b := body.(type) {
	case nil:
	case *strings.Reader:
		req.Body, _ = io.ReadAll(b)
	default:
		req.Stream, req.Size = body, -1
	}
	resp.Header.DisableNormalizing()
	resp.Header.SetNoDefaultContentType(true)
	if err := tr.RoundTrip(to, req, resp, retries); err != nil {
		return 0, "", err
	}
	if len(resp.Header.ContentType()) > 0 {
		return 0, "", fmt.Errorf("content type %q came from nowhere", resp.Header.ContentType())
	}
	if !resp.IsBodyStream() {
		return resp.StatusCode(), string(resp.Body()), nil
	}
	b, err := io.ReadAll(resp.BodyStream())
	if cerr := resp.CloseBodyStream(); err == nil {
		err = cerr
	}
	return resp.StatusCode(), string(b), err
}

func kind(err error) string {
	var e *Error
	if !errors.As(err, &e) {
		return fmt.Sprint(err)
	}
	return [...]string{"connect", "resolve", "timeout", "bad response", "body", "no target"}[e.Kind]
}

func idle(tr *Transport) int {
	tr.mu.RLock()
	defer tr.mu.RUnlock()
	n := 0
	for _, p := range tr.pools {
		p.mu.Lock()
		n += len(p.idle)
		p.mu.Unlock()
	}
	return n
}

// patience is how long a test waits for what must happen. It is long: the machine may be busy.
const patience = 20 * time.Second

// waitClosed waits until the kernel knows that the peer closed what is idle.
func waitClosed(t *testing.T, tr *Transport) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		quiet := true
		tr.mu.RLock()
		for _, p := range tr.pools {
			p.mu.Lock()
			for _, c := range p.idle {
				quiet = quiet && !c.silent()
			}
			p.mu.Unlock()
		}
		tr.mu.RUnlock()
		if quiet {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the peer's close did not arrive within %v", patience)
		}
		time.Sleep(time.Millisecond)
	}
}

// iotestOnce is a stream that cannot be read twice.
func iotestOnce(s string) io.Reader { return io.MultiReader(bytes.NewReader([]byte(s))) }

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }
