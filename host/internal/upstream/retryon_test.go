package upstream

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"
)

const busy = "HTTP/1.1 503 Busy\r\n"

// An answer that is given up: the next one is as if it had never been, and its connection is kept when what is left of it is short and there.
func TestAnswersThatAreGivenUp(t *testing.T) {
	for _, c := range []struct {
		name, answer string
		kept         bool
	}{
		{"no body", busy + "Content-Length: 0\r\n\r\n", true},
		{"small", busy + "Content-Length: 4\r\n\r\nbusy", true},
		{"headers", busy + "Content-Type: text/odd\r\nServer: odd\r\nSet-Cookie: a=b\r\nContent-Encoding: gzip\r\nContent-Encoding: br\r\nX-Odd: 1\r\nContent-Length: 4\r\n\r\nbusy", true},
		{"chunked", busy + "Transfer-Encoding: chunked\r\n\r\n4\r\nbusy\r\n0\r\n\r\n", true},
		{"trailers", busy + "Transfer-Encoding: chunked\r\nTrailer: X-Odd\r\n\r\n4\r\nbusy\r\n0\r\nX-Odd: 1\r\n\r\n", true},
		{"interim", "HTTP/1.1 103 Early Hints\r\nLink: </odd>\r\n\r\n" + busy + "Content-Length: 0\r\n\r\n", true},
		{"large", busy + "Content-Length: 100000\r\n\r\n" + strings.Repeat("x", 100000), false},
		{"large and chunked", busy + "Transfer-Encoding: chunked\r\n\r\n186a0\r\n" + strings.Repeat("x", 100000) + "\r\n0\r\n\r\n", false},
		{"large that does not come", busy + "Content-Length: 100000\r\n\r\nx", false},
		{"chunked that does not come", busy + "Transfer-Encoding: chunked\r\n\r\n4\r\nbu", false},
		{"until close", busy + "\r\nbusy", false},
		{"close", busy + "Connection: close\r\nContent-Length: 4\r\n\r\nbusy", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPeer(t, func(n int, conn net.Conn, br *bufio.Reader) {
				if n == 1 {
					answers(c.answer)(n, conn, br)
				}
				answers(ok)(n, conn, br)
			})
			req, resp := request("GET"), fasthttp.AcquireResponse()
			defer fasthttp.ReleaseResponse(resp)
			resp.Header.DisableNormalizing()
			resp.Header.SetNoDefaultContentType(true)
			req.RetryOn, req.Trailers = []int{502, 503}, true
			to := &places{list: []*Target{p.target()}}
			if err := transport(t, Options{}).RoundTrip(to, req, resp, 1); err != nil {
				t.Fatal(err)
			}
			left := 0 // lines of the head
			for range resp.Header.All() {
				left++
			}
			if left != 1 || string(resp.Header.StatusMessage()) != "OK" || string(resp.Body()) != "ok" || len(req.announced) > 0 {
				t.Errorf("got\n%s\nwith trailers %q", resp, req.announced)
			}
			if len(to.ended) != 2 || to.ended[0].Status != 503 || to.ended[0].Err != nil || to.ended[0].Head <= 0 || to.ended[1].Status != 200 {
				t.Errorf("tries %+v", to.ended)
			}
			if kept := p.conns.Load() == 1; kept != c.kept {
				t.Errorf("the connection is kept: %v", kept)
			}
		})
	}
}

// An answer of which the body breaks off is given up like any other with that status.
func TestGivenUpWithABrokenBody(t *testing.T) {
	p := newPeer(t, func(n int, c net.Conn, br *bufio.Reader) {
		answers(map[bool]string{true: busy + "Content-Length: 10\r\n\r\nbusy", false: ok}[n == 1])(n, c, br)
	})
	round := func(method string, retries int) ([]Outcome, error) {
		p.conns.Store(0)
		req, resp := request(method), fasthttp.AcquireResponse()
		defer fasthttp.ReleaseResponse(resp)
		req.RetryOn = []int{503}
		to := &places{list: []*Target{p.target()}}
		err := transport(t, Options{}).RoundTrip(to, req, resp, retries)
		return to.ended, err
	}
	if tries, err := round("GET", 1); err != nil || len(tries) != 2 || tries[0].Err == nil || tries[1].Status != 200 {
		t.Errorf("GET: %+v, %v", tries, err)
	}
	if tries, err := round("POST", 1); kind(err) != "bad response" || len(tries) != 1 {
		t.Errorf("POST: %+v, %v", tries, err)
	}
	if tries, err := round("GET", 0); kind(err) != "bad response" || len(tries) != 1 {
		t.Errorf("without a further try: %+v, %v", tries, err)
	}
}

// What the client gets when several things go wrong is what the last try gave.
func TestTheLastTryCounts(t *testing.T) {
	gone := newPeer(t, nil)
	gone.ln.Close()
	dies := newPeer(t, func(_ int, _ net.Conn, br *bufio.Reader) { _, _ = http.ReadRequest(br) })
	for _, streamed := range []bool{false, true} {
		answer := busy + "Content-Length: 4\r\n\r\nbusy"
		if streamed {
			answer = busy + "Transfer-Encoding: chunked\r\n\r\n4\r\nbusy\r\n0\r\n\r\n"
		}
		full := newPeer(t, answers(answer, answer))
		for _, c := range []struct {
			name    string
			list    []*Target // nil: there is none
			retries int
			want    string
			tries   []int
		}{
			{"no retries", []*Target{full.target()}, 0, "busy", []int{0}},
			{"all retries used", []*Target{gone.target(), dies.target(), full.target()}, 2, "busy", []int{0, 1, 2}},
			{"no other target", []*Target{full.target(), nil}, 5, "busy", []int{0, 1}},
			{"no other target after a failure", []*Target{gone.target(), full.target(), nil}, 5, "busy", []int{0, 1, 2}},
			{"refused afterwards", []*Target{full.target(), gone.target()}, 1, "connect", []int{0, 1}},
			{"closed afterwards", []*Target{full.target(), dies.target()}, 1, "bad response", []int{0, 1}},
			{"refused, then no target", []*Target{full.target(), gone.target(), nil}, 5, "connect", []int{0, 1, 2}},
		} {
			req, resp := request("GET"), fasthttp.AcquireResponse()
			req.RetryOn = []int{503}
			to := &places{list: c.list}
			err := transport(t, Options{}).RoundTrip(to, req, resp, c.retries)
			got := kind(err)
			if err == nil {
				body := string(resp.Body()) // reads the stream
				if got = body; resp.StatusCode() != 503 {
					t.Errorf("%s: status %d", c.name, resp.StatusCode())
				}
			}
			fasthttp.ReleaseResponse(resp)
			if got != c.want || !slices.Equal(to.tries, c.tries) {
				t.Errorf("%s, streamed %v: %q after tries %v, want %q after %v", c.name, streamed, got, to.tries, c.want, c.tries)
			}
		}
	}
}

// A body in memory is sent once more, however long it is and how much of it was on its way; of a stream it depends on whether it was kept.
func TestGivenUpWithABody(t *testing.T) {
	long := strings.Repeat("x", 1<<20)
	for _, c := range []struct {
		name  string
		body  func(r *Request)
		early bool // the answer comes before the body is read
		tries int
	}{
		{"memory", func(r *Request) { r.Body = []byte("small") }, false, 2},
		{"long memory", func(r *Request) { r.Body = []byte(long) }, false, 2},
		{"long memory, early", func(r *Request) { r.Body = []byte(long) }, true, 2},
		{"short stream", func(r *Request) { r.Stream, r.Size = strings.NewReader("small"), 5 }, false, 2},
		{"long stream", func(r *Request) { r.Stream, r.Size = strings.NewReader(long), len(long) }, false, 1},
		{"long stream, early", func(r *Request) { r.Stream, r.Size = strings.NewReader(long), len(long) }, true, 1},
		{"chunks", func(r *Request) { r.Stream, r.Size = strings.NewReader("small"), -1 }, false, 1},
	} {
		got := make(chan int, 9)
		p := newPeer(t, func(_ int, conn net.Conn, br *bufio.Reader) {
			for {
				r, err := http.ReadRequest(br)
				if err != nil {
					return
				}
				if c.early && len(got) == 0 {
					got <- 0
					_, _ = io.WriteString(conn, busy+"Content-Length: 0\r\n\r\n")
					_, _ = io.Copy(io.Discard, r.Body) // or the connection is reset
					continue
				}
				n, _ := io.Copy(io.Discard, r.Body)
				answer := ok
				if len(got) == 0 {
					answer = busy + "Content-Length: 0\r\n\r\n"
				}
				got <- int(n)
				_, _ = io.WriteString(conn, answer)
			}
		})
		req, resp := request("PUT"), fasthttp.AcquireResponse()
		c.body(req)
		size := max(len(req.Body), req.Size)
		req.RetryOn = []int{503}
		err := transport(t, Options{}).RoundTrip(p.target(), req, resp, 5)
		status := resp.StatusCode()
		fasthttp.ReleaseResponse(resp)
		if want := map[int]int{1: 503, 2: 200}[c.tries]; err != nil || status != want || len(got) != c.tries {
			t.Errorf("%s: %d after %d tries, %v, want %d after %d", c.name, status, len(got), err, want, c.tries)
			continue
		}
		if first := <-got; c.tries == 2 {
			if second := <-got; second != size || !c.early && first != size {
				t.Errorf("%s: bodies of %d and %d bytes, want %d", c.name, first, second, size)
			}
		}
	}
}
