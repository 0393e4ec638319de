package load

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// server answers with handle and counts the requests.
func server(t *testing.T, handle http.HandlerFunc) (address string, requests *atomic.Int64) {
	t.Helper()
	requests = new(atomic.Int64)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		handle(w, r)
	}))
	t.Cleanup(s.Close)
	return s.Listener.Addr().String(), requests
}

func answers(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

var get = []byte("GET / HTTP/1.1\r\nHost: bench\r\n\r\n")

func TestClosedLoop(t *testing.T) {
	address, requests := server(t, answers(200, "hello"))
	var began, ended int64
	r, err := Run(Spec{Address: address, Request: get, Connections: 3, Warm: 20 * time.Millisecond, Time: 500 * time.Millisecond, Status: 200, Body: 5},
		func() { began = requests.Load() }, func() { ended = requests.Load() })
	if err != nil || r.Errors.Total() != 0 {
		t.Fatal(err, r.Errors.String())
	}
	// Those that were under way when it began or ended may count or not.
	if n := int64(r.Requests); n == 0 || n < ended-began-3 || n > ended-began+3 {
		t.Errorf("found %d requests, the server %d", n, ended-began)
	}
	if r.P50 <= 0 || r.P50 > r.P99 || r.P99 > r.Max || r.CPU <= 0 || r.PerSecond != float64(r.Requests)/0.5 {
		t.Errorf("found %+v", r)
	}
}

// What is answered between the moment of the begin and the call that tells it is of neither side: it would be of one only.
func TestCountingBeginsWhenItIsTold(t *testing.T) {
	d := driver{from: 10, to: 20}
	if d.counts(5, 15) {
		t.Error("an answer counts before the begin was told")
	}
	d.advance(15)
	if !d.counts(5, 15) || !d.counts(15, 19) || d.counts(15, 20) {
		t.Error("answers of the measurement do not count, or one behind it does")
	}
}

// At a fixed rate exactly the requests of the time are sent, however slow the machine is.
func TestFixedRateSendsExactly(t *testing.T) {
	address, requests := server(t, answers(200, "hello"))
	r, err := Run(Spec{
		Address: address, Request: get, Connections: 2, Rate: 500, Warm: 100 * time.Millisecond, Time: 200 * time.Millisecond, Status: 200, Body: -1,
		Timeout: time.Minute,
	}, nil, nil)
	if err != nil || r.Errors.Total() != 0 {
		t.Fatal(err, r.Errors.String())
	}
	if r.Requests != 100 || requests.Load() != 150 {
		t.Errorf("found %d requests, the server %d; expected 100 of 150", r.Requests, requests.Load())
	}
}

// The processor time of other processes is read at the same moments as the requests are counted; one that is gone is not taken for an idle one.
func TestWatches(t *testing.T) {
	address, _ := server(t, answers(200, "hello"))
	r, err := Run(Spec{
		Address: address, Request: get, Connections: 1, Warm: 20 * time.Millisecond, Time: 100 * time.Millisecond, Status: 200, Body: 5,
		Watch: []int{os.Getpid(), 1<<22 - 1},
	}, nil, nil)
	if err != nil || len(r.Used) != 2 || r.Used[0] <= 0 || r.Used[1] != -1 || r.Answered < r.Requests || r.Used[0] < r.CPU/2 {
		t.Errorf("found %+v, %v", r, err)
	}
}

// A stall delays all requests that should have started meanwhile, not only the one that met it.
func TestStallIsSeenByAll(t *testing.T) {
	const stall = 60 * time.Millisecond
	var once sync.Once
	address, _ := server(t, func(w http.ResponseWriter, r *http.Request) {
		once.Do(func() { time.Sleep(stall) })
		answers(200, "late")(w, r)
	})
	r, err := Run(Spec{
		Address: address, Request: get, Connections: 1, Rate: 1000, Time: 40 * time.Millisecond, Status: 200, Body: 4, Timeout: time.Minute,
	}, nil, nil)
	if err != nil || r.Errors.Total() != 0 || r.Requests != 40 {
		t.Fatal(err, r.Errors.String(), r.Requests)
	}
	// The one in the middle should have started after 20 ms, and cannot have been answered before 60 ms.
	if r.P50 < 39*time.Millisecond {
		t.Errorf("half of the requests took at most %s, expected about %s or more", r.P50, stall-20*time.Millisecond)
	}
}

func TestBodiesOfBothDirections(t *testing.T) {
	body := strings.Repeat("x", 1<<20)
	var wrong atomic.Int64
	address, _ := server(t, func(w http.ResponseWriter, r *http.Request) {
		if b, err := io.ReadAll(r.Body); err != nil || string(b) != body {
			wrong.Add(1)
		}
		if r.URL.Path == "/chunked" {
			w.(http.Flusher).Flush() // before the length is known
		} else {
			w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		}
		_, _ = io.WriteString(w, body)
	})
	for _, path := range []string{"/", "/chunked"} {
		request := []byte("POST " + path + " HTTP/1.1\r\nHost: bench\r\nContent-Length: 1048576\r\n\r\n" + body)
		r, err := Run(Spec{Address: address, Request: request, Connections: 2, Rate: 100, Time: 100 * time.Millisecond, Status: 200, Body: 1 << 20, Timeout: time.Minute}, nil, nil)
		if err != nil || r.Errors.Total() != 0 || r.Requests != 10 || wrong.Load() != 0 {
			t.Errorf("%s: %v, %s, %d requests, %d wrong bodies at the server", path, err, r.Errors.String(), r.Requests, wrong.Load())
		}
	}
}

func TestErrorsAreCounted(t *testing.T) {
	hold := make(chan struct{})
	for _, c := range []struct {
		name   string
		handle http.HandlerFunc
		want   func(*Errors) int
		first  string
	}{
		{"status", answers(502, "hello"), func(e *Errors) int { return e.Status }, "found status 502, expected 200"},
		{"length", answers(200, "hell"), func(e *Errors) int { return e.Body }, "found a body of 4 bytes, expected 5"},
		{"malformed", raw("SSH-2.0\r\n\r\n"), func(e *Errors) int { return e.Malformed }, `found "SSH-2.0`},
		{"more than asked for", raw("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello, world"), func(e *Errors) int { return e.Malformed }, "behind the answer"},
		{"closed", raw("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe"), func(e *Errors) int { return e.Read }, "closed the connection"},
		{"timeout", func(http.ResponseWriter, *http.Request) { <-hold }, func(e *Errors) int { return e.Timeout }, "no answer within 50ms"},
	} {
		t.Run(c.name, func(t *testing.T) {
			address, _ := server(t, c.handle)
			spec := Spec{Address: address, Request: get, Connections: 1, Rate: 100, Time: 30 * time.Millisecond, Status: 200, Body: 5}
			if c.name == "timeout" {
				spec.Timeout = 50 * time.Millisecond
				defer close(hold)
			}
			r, err := Run(spec, nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			if c.want(&r.Errors) != 3 || r.Errors.Total() != 3 || r.Requests != 0 || !strings.Contains(r.Errors.String(), c.first) {
				t.Errorf("found %d requests and %s, expected 3 errors", r.Requests, r.Errors.String())
			}
		})
	}
}

// raw answers with bytes and closes the connection.
func raw(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			panic(err)
		}
		_, _ = io.WriteString(conn, text)
		_ = conn.Close()
	}
}

// A server that closes its connections in order costs no request.
func TestConnectionsAreOpenedAgain(t *testing.T) {
	address, requests := server(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close")
		answers(200, "hello")(w, r)
	})
	r, err := Run(Spec{Address: address, Request: get, Connections: 2, Rate: 500, Time: 40 * time.Millisecond, Status: 200, Body: 5, Timeout: time.Minute}, nil, nil)
	if err != nil || r.Errors.Total() != 0 || r.Requests != 20 || requests.Load() != 20 || r.Reopened < 18 {
		t.Errorf("%v: %+v, the server %d", err, r, requests.Load())
	}
}

func TestNothingThere(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := ln.Addr().String()
	_ = ln.Close()
	good := Spec{Address: address, Request: get, Connections: 1, Time: time.Second, Status: 200}
	for _, c := range []struct {
		change func(*Spec)
		want   string
	}{
		{func(*Spec) {}, "connection 1 of 1 to " + address + ": connection refused"},
		{func(s *Spec) { s.Address = "nowhere" }, "expected host:port"},
		{func(s *Spec) { s.Connections = 0 }, "found 0 connections"},
		{func(s *Spec) { s.Time = 0 }, "expected times above zero"},
		{func(s *Spec) { s.Rate = -1 }, "found a rate of -1"},
		{func(s *Spec) { s.Request = nil }, "found no request"},
	} {
		s := good
		c.change(&s)
		if _, err := Run(s, nil, nil); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("found %v, expected %q", err, c.want)
		}
	}
}

// A response is the same in one piece and in pieces of one byte.
func TestResponses(t *testing.T) {
	for _, c := range []struct {
		text   string
		status int
		length int64
		closes bool
		err    string
	}{
		{"HTTP/1.1 200 OK\r\nServer: a\r\nContent-Length: 5\r\n\r\nhello", 200, 5, false, ""},
		{"HTTP/1.1 200 OK\r\ncontent-length:0\r\n\r\n", 200, 0, false, ""},
		{"HTTP/1.1 204 No Content\r\n\r\n", 204, 0, false, ""},
		{"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", 304, 0, false, ""},
		{"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 1\r\n\r\nx", 201, 1, false, ""},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n3;a=b\r\nabc\r\nA\r\n0123456789\r\n0\r\nX-T: 1\r\n\r\n", 200, 13, false, ""},
		{"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx", 200, 1, true, ""},
		{"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", 200, 1, true, ""},
		{"HTTP/1.1 2xx OK\r\n\r\n", 0, 0, false, "expected a status"},
		{"HTTP/1.1 200 OK\r\n\r\n", 0, 0, false, "neither Content-Length nor chunks"},
		{"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", 0, 0, false, "Content-Length"},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", 0, 0, false, "chunk size"},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxy\r\n", 0, 0, false, "behind a chunk"},
		{strings.Repeat("x", maxHead+1), 0, 0, false, "more than"},
	} {
		for _, size := range []int{len(c.text), 1, 7} {
			var r response
			var done bool
			var err error
			var rest []byte
			for b := []byte(c.text); len(b) > 0 && err == nil && !done; {
				n := min(size, len(b))
				rest, done, err = r.feed(bytes.Clone(b[:n])) // what was fed may change at once
				b = b[n:]
				if done && len(b)+len(rest) > 0 {
					t.Errorf("%.40q in pieces of %d: ended %d bytes early", c.text, size, len(b)+len(rest))
				}
			}
			switch {
			case c.err != "":
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Errorf("%.40q in pieces of %d: found %v, expected %q", c.text, size, err, c.err)
				}
			case err != nil || !done || r.status != c.status || r.length != c.length || r.closes != c.closes:
				t.Errorf("%.40q in pieces of %d: found %v, %v, %+v", c.text, size, done, err, r)
			}
		}
	}
}

// Idle connections are used before and after; one that the server does not keep is an error.
func TestHold(t *testing.T) {
	var mu sync.Mutex
	served := map[string]int{}
	address, _ := server(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		served[r.RemoteAddr]++
		mu.Unlock()
		answers(200, "hello")(w, r)
	})
	release, err := Hold(Spec{Address: address, Request: get, Connections: 3, Status: 200})
	if err != nil {
		t.Fatal(err)
	}
	if err := release(); err != nil {
		t.Error(err)
	}
	if len(served) != 3 {
		t.Errorf("found the connections %v, expected 3", served)
	}
	for connection, n := range served {
		if n != 2 {
			t.Errorf("connection %s had %d requests, expected 2", connection, n)
		}
	}
	closing, _ := server(t, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Connection", "close") })
	if _, err := Hold(Spec{Address: closing, Request: get, Connections: 1, Status: 200}); err == nil || !strings.Contains(err.Error(), "idle connection 1 of 1") ||
		!strings.Contains(err.Error(), "closes the connection") {
		t.Errorf("found %v", err)
	}
	if _, err := Hold(Spec{Address: address, Request: get, Connections: 1, Status: 404}); err == nil || !strings.Contains(err.Error(), "found status 200, expected 404") {
		t.Errorf("found %v", err)
	}
	once := true
	fails, _ := server(t, func(w http.ResponseWriter, r *http.Request) {
		if !once {
			w.WriteHeader(500)
		}
		once = false
	})
	if release, err = Hold(Spec{Address: fails, Request: get, Connections: 1, Status: 200}); err != nil {
		t.Fatal(err)
	}
	if err := release(); err == nil || !strings.Contains(err.Error(), "connection 1 of 1 to "+fails+", after it was idle: found status 500") {
		t.Errorf("found %v", err)
	}
}
