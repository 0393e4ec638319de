package upstream

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
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

// After each kind of answer: what came, and whether the connection may be used again.
func TestAnswersAndTheirConnections(t *testing.T) {
	big := strings.Repeat("x", 100<<10)
	chunked := "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;ext=1\r\n world\r\n0\r\n"
	for _, c := range []struct {
		name, method, answer string
		status               int
		body                 string
		kept                 bool
	}{
		{"small", "GET", ok, 200, "ok", true},
		{"large", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 102400\r\n\r\n" + big, 200, big, true},
		{"chunked", "GET", chunked + "\r\n", 200, "hello world", true},
		{"trailers", "GET", chunked + "X-T: 1\r\nX-U: 2\r\n\r\n", 200, "hello world", true},
		{"until close", "GET", "HTTP/1.1 200 OK\r\n\r\nhello", 200, "hello", false},
		{"HTTP/1.0", "GET", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, "ok", false},
		{"HTTP/1.0 kept", "GET", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok", 200, "ok", true},
		{"close", "GET", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", 200, "ok", false},
		{"Close in a list", "GET", "HTTP/1.1 200 OK\r\nconnection: X-A, Close\r\nContent-Length: 2\r\n\r\nok", 200, "ok", false},
		{"HEAD", "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 102400\r\n\r\n", 200, "", true},
		{"HEAD of chunked", "HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 200, "", true},
		{"204", "GET", "HTTP/1.1 204 No Content\r\n\r\n", 204, "", true},
		{"304 with a length", "GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", 304, "", true},
		{"100 before", "POST", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + ok, 200, "ok", true},
		{"bytes behind", "GET", ok + "HTTP/1.1 200 OK\r\n", 200, "ok", false},
		{"bytes behind chunked", "GET", chunked + "\r\nHTTP/1.1", 200, "hello world", false},
		{"empty", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, "", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPeer(t, func(_ int, conn net.Conn, br *bufio.Reader) {
				answers(c.answer)(0, conn, br)
				if c.kept {
					_, _ = br.ReadByte() // until the gateway closes
				}
			})
			tr := transport(t, Options{})
			status, body, err := try(tr, p.target(), c.method, nil, 0)
			if err != nil || status != c.status || body != c.body {
				t.Errorf("%d, %d bytes, %v", status, len(body), err)
			}
			if n := idle(tr); n != map[bool]int{true: 1}[c.kept] {
				t.Errorf("%d connections are kept", n)
			}
		})
	}
}

// A body that ends too early is an error, never a shorter body.
func TestTruncatedBodies(t *testing.T) {
	for name, answer := range map[string]string{
		"small":               "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nok",
		"large":               "HTTP/1.1 200 OK\r\nContent-Length: 102400\r\n\r\nok",
		"inside a chunk":      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
		"between chunks":      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
		"before the trailers": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
		"inside the trailers": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-T: 1",
		"broken chunk size":   "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			p := newPeer(t, answers(answer))
			tr := transport(t, Options{})
			_, body, err := try(tr, p.target(), "GET", nil, 5)
			if err == nil {
				t.Errorf("%q looks complete", body)
			}
			if n := p.conns.Load(); n != 1 {
				t.Errorf("the request was sent %d times although the upstream had answered", n)
			}
			if idle(tr) != 0 {
				t.Error("the connection is kept")
			}
		})
	}
}

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

// places lists the targets of the tries; the last one serves all that follow.
type places struct {
	list  []*Target
	tries []int
	ended []Outcome
}

func (p *places) Try(n int) *Target {
	p.tries = append(p.tries, n)
	if len(p.list) == 0 {
		return nil
	}
	return p.list[min(n, len(p.list)-1)]
}

func (p *places) Done(n int, o Outcome) {
	if n != len(p.ended) {
		o.Err = fmt.Errorf("told of try %d after %d others", n, len(p.ended))
	}
	p.ended = append(p.ended, o)
}

// Every try is told how it ended, and how long it took.
func TestOutcomesOfTries(t *testing.T) {
	gone := newPeer(t, nil)
	gone.ln.Close()
	good := newPeer(t, answers(ok, ok))
	tr := transport(t, Options{IdlePerTarget: 1})
	round := func(to *places) []Outcome {
		resp := fasthttp.AcquireResponse()
		defer fasthttp.ReleaseResponse(resp)
		if err := tr.RoundTrip(to, request("GET"), resp, 1); err != nil {
			t.Fatal(err)
		}
		return to.ended
	}
	ended := round(&places{list: []*Target{gone.target(), good.target()}})
	if len(ended) != 2 {
		t.Fatalf("told of %+v", ended)
	}
	var e *Error
	if refused := ended[0]; !errors.As(refused.Err, &e) || e.Kind != KindConnect || refused.Status != 0 || refused.Head != 0 || refused.Lost <= 0 {
		t.Errorf("a refused connection: %+v", refused)
	}
	if fresh := ended[1]; fresh.Err != nil || fresh.Status != 200 || fresh.Connect <= 0 || fresh.Head < fresh.Connect || fresh.Lost != 0 {
		t.Errorf("an answer over a new connection: %+v", fresh)
	}
	if ended = round(&places{list: []*Target{good.target()}}); len(ended) != 1 || ended[0].Connect != 0 || ended[0].Head <= 0 {
		t.Errorf("an answer over a kept connection: %+v", ended)
	}
}

func TestTriesGoToTheirTargets(t *testing.T) {
	dies := newPeer(t, func(_ int, c net.Conn, br *bufio.Reader) { _, _ = http.ReadRequest(br) })
	gone := newPeer(t, nil)
	gone.ln.Close()
	good := newPeer(t, answers(ok))
	round := func(to *places, method string, retries int) error {
		req, resp := request(method), fasthttp.AcquireResponse()
		defer fasthttp.ReleaseResponse(resp)
		return transport(t, Options{}).RoundTrip(to, req, resp, retries)
	}
	to := &places{list: []*Target{gone.target(), dies.target(), good.target()}}
	if err := round(to, "GET", 5); err != nil || !slices.Equal(to.tries, []int{0, 1, 2}) {
		t.Errorf("tries %v, %v", to.tries, err)
	}
	to = &places{list: []*Target{gone.target(), dies.target(), good.target()}}
	if err := round(to, "GET", 1); kind(err) != "bad response" || !slices.Equal(to.tries, []int{0, 1}) {
		t.Errorf("one retry: tries %v, %v", to.tries, err)
	}
	to = &places{list: []*Target{gone.target(), dies.target(), good.target()}}
	if err := round(to, "POST", 5); kind(err) != "bad response" || !slices.Equal(to.tries, []int{0, 1}) {
		t.Errorf("a request that may be sent once only: tries %v, %v", to.tries, err)
	}
	to = &places{}
	if err := round(to, "GET", 5); kind(err) != "no target" || len(to.tries) != 1 {
		t.Errorf("no target: tries %v, %v", to.tries, err)
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

func TestRetriesByMethod(t *testing.T) {
	dies := func(_ int, c net.Conn, br *bufio.Reader) { _, _ = http.ReadRequest(br) } // reads, closes without an answer
	for _, c := range []struct {
		method string
		body   io.Reader
		tries  int32
	}{
		{"GET", nil, 3}, {"PUT", strings.NewReader("x"), 3}, {"DELETE", nil, 3},
		{"POST", strings.NewReader("x"), 1}, {"PATCH", nil, 1}, {"LOCK", nil, 1},
		{"PUT", iotestOnce("stream"), 1}, // its bytes are consumed
	} {
		p := newPeer(t, dies)
		if _, _, err := try(transport(t, Options{}), p.target(), c.method, c.body, 2); kind(err) != "bad response" {
			t.Errorf("%s: %v", c.method, err)
		}
		if n := p.conns.Load(); n != c.tries {
			t.Errorf("%s was tried %d times, want %d", c.method, n, c.tries)
		}
	}
}

// A retry must not leave traces of the first try, such as a default content type (see try).
func TestRetrySucceeds(t *testing.T) {
	p := newPeer(t, func(n int, c net.Conn, br *bufio.Reader) {
		if n == 1 {
			_, _ = http.ReadRequest(br)
			return
		}
		answers(ok)(n, c, br)
	})
	if status, body, err := try(transport(t, Options{}), p.target(), "GET", nil, 1); status != 200 || body != "ok" {
		t.Errorf("%d %q %v", status, body, err)
	}
}

func TestKindsOfErrors(t *testing.T) {
	hang := make(chan struct{})
	defer close(hang)
	silent := newPeer(t, func(int, net.Conn, *bufio.Reader) { <-hang })
	half := newPeer(t, func(n int, c net.Conn, br *bufio.Reader) {
		answers("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab")(n, c, br)
		<-hang
	})
	nonsense := newPeer(t, answers("SSH-2.0 hello\r\n\r\n"))
	switching := newPeer(t, answers("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"))
	endless := newPeer(t, answers(strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 200)))
	twoLengths := newPeer(t, answers("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok"))
	gone := newPeer(t, nil)
	gone.ln.Close()
	tr := transport(t, Options{})
	quick := func(p *peer) *Target {
		to := p.target()
		to.ReadTimeout, to.WriteTimeout = 50*time.Millisecond, 50*time.Millisecond
		return to
	}
	brokenBody := io.MultiReader(strings.NewReader("abc"), errReader{errors.New("client is gone")})
	slowBody := io.MultiReader(strings.NewReader("abc"), errReader{timeoutError{}})
	for _, c := range []struct {
		name, want string
		to         *Target
		body       io.Reader
	}{
		{"refused", "connect", gone.target(), nil},
		{"unknown name", "resolve", &Target{Host: "no-such-host.invalid", Port: 80, ConnectTimeout: 2 * time.Second}, nil},
		{"silent", "timeout", quick(silent), nil},
		{"half a small body", "timeout", quick(half), nil},
		{"nonsense", "bad response", nonsense.target(), nil},
		{"switching protocols", "bad response", switching.target(), nil},
		{"interim answers without end", "bad response", endless.target(), nil},
		{"two lengths", "bad response", twoLengths.target(), nil},
		{"the client's body breaks", "body", silent.target(), brokenBody},
		{"the client is too slow", "body", silent.target(), slowBody},
		{"the upstream does not read", "timeout", quick(silent), io.LimitReader(zeros{}, 64<<20)},
	} {
		start := time.Now()
		_, _, err := try(tr, c.to, "GET", c.body, 0)
		if kind(err) != c.want {
			t.Errorf("%s: %s (%v), want %s", c.name, kind(err), err, c.want)
		}
		if took := time.Since(start); took > patience {
			t.Errorf("%s took %v", c.name, took)
		}
	}
	if idle(tr) != 0 {
		t.Error("a connection is kept after an error")
	}
}

type errReader struct{ err error }

func (e errReader) Read([]byte) (int, error) { return 0, e.err }

type timeoutError struct{}

func (timeoutError) Error() string   { return "i/o timeout" }
func (timeoutError) Timeout() bool   { return true }
func (timeoutError) Temporary() bool { return true }

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// An upstream that answers before it has read the whole body, and closes: the client gets the answer.
func TestEarlyAnswer(t *testing.T) {
	p := newPeer(t, func(_ int, c net.Conn, br *bufio.Reader) {
		if _, err := br.Peek(1); err != nil {
			return
		}
		_, _ = io.WriteString(c, "HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig")
		_ = c.(*net.TCPConn).CloseWrite()
		_ = c.(*net.TCPConn).SetReadBuffer(1)
	})
	tr := transport(t, Options{})
	status, body, err := try(tr, p.target(), "POST", io.LimitReader(zeros{}, 256<<20), 0)
	if status != 413 || body != "big" {
		t.Errorf("%d %q %v", status, body, err)
	}
	if idle(tr) != 0 {
		t.Error("a connection with half a request on it is kept")
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

func TestBracketsOfIPv6(t *testing.T) {
	for _, host := range []string{"::1", "[::1]"} {
		if got := (&Target{Host: host, Port: 80}).Address(); got != "[::1]:80" {
			t.Errorf("%s gives %s", host, got)
		}
	}
}
