package upstream

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
)

// bodies are the ways in which a request body comes, as what makes a request of them.
var bodies = map[string]func(r *Request){
	"no":           func(*Request) {},
	"in memory":    func(r *Request) { r.Body = []byte("body") },
	"short stream": func(r *Request) { r.Stream, r.Size = iotestOnce("body"), 4 },
	"long stream": func(r *Request) {
		r.Stream, r.Size = iotestOnce(strings.Repeat("x", 2*inline)), 2*inline
	},
	"chunked": func(r *Request) { r.Stream, r.Size = iotestOnce("body"), -1 },
}

// over sends a request over a kept connection, with no retries.
func over(t *testing.T, tr *Transport, to *Target, method string, body func(r *Request)) (tries []Outcome, err error) {
	t.Helper()
	req, resp := request(method), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseResponse(resp)
	body(req)
	list := &places{list: []*Target{to}}
	err = tr.RoundTrip(list, req, resp, 0)
	if err == nil && resp.StatusCode() != 200 {
		err = fmt.Errorf("status %d", resp.StatusCode())
	}
	return list.ended, err
}

// kept is a transport with one kept connection to a peer.
func kept(t *testing.T, p *peer) *Transport {
	t.Helper()
	tr := transport(t, Options{})
	if _, err := over(t, tr, p.target(), "GET", bodies["no"]); err != nil || idle(tr) != 1 {
		t.Fatalf("%v, %d connections are kept", err, idle(tr))
	}
	return tr
}

// broken is a connection of which the kernel says, at the first write, that the peer has reset it.
type broken struct{ net.Conn }

func (broken) Write([]byte) (int, error) { return 0, syscall.EPIPE }
func (broken) Read([]byte) (int, error)  { return 0, syscall.ECONNRESET }

// When nothing of a request could be sent over a kept connection, it goes over a new one, whatever its method and its body: that is no failed try.
func TestNothingSentOverAKeptConnection(t *testing.T) {
	for name, body := range bodies {
		for _, method := range []string{"GET", "PUT", "POST", "PATCH"} {
			p := newPeer(t, answers(ok, ok))
			tr := kept(t, p)
			for _, pool := range tr.pools {
				pool.idle[0].net.Conn = broken{pool.idle[0].net.Conn}
			}
			if tries, err := over(t, tr, p.target(), method, body); err != nil || len(tries) != 1 || tries[0].Err != nil {
				t.Errorf("%s with %s body: %v, tries %+v", method, name, err, tries)
			}
			if n := p.conns.Load(); n != 2 {
				t.Errorf("%s with %s body: %d connections", method, name, n)
			}
		}
	}
}

// A kept connection that the peer closes while a request is on its way to it is no failed try either, but only what may be sent again is.
func TestKeptConnectionClosedMeanwhile(t *testing.T) {
	for name, body := range bodies {
		for _, method := range []string{"GET", "PUT", "DELETE", "POST", "PATCH"} {
			p := newPeer(t, func(n int, c net.Conn, br *bufio.Reader) {
				answers(ok)(n, c, br)
				if n > 1 {
					return
				}
				if r, err := http.ReadRequest(br); err == nil {
					_, _ = io.Copy(io.Discard, r.Body)
				}
			})
			tr := kept(t, p)
			tries, err := over(t, tr, p.target(), method, body)
			again := (method == "GET" || method == "PUT" || method == "DELETE") && name != "long stream" && name != "chunked"
			if (err == nil) != again || len(tries) != 1 || (tries[0].Err == nil) != again {
				t.Errorf("%s with %s body: %v, tries %+v, want another connection: %v", method, name, err, tries, again)
			}
			if n, want := p.conns.Load(), map[bool]int32{false: 1, true: 2}[again]; n != want {
				t.Errorf("%s with %s body: %d connections, want %d", method, name, n, want)
			}
		}
	}
}

// A request with a short body is repeated as one without.
func TestShortStreamsAreSentAgain(t *testing.T) {
	for name, want := range map[string]int32{"short stream": 3, "long stream": 1, "chunked": 1} {
		p := newPeer(t, func(_ int, _ net.Conn, br *bufio.Reader) {
			if r, err := http.ReadRequest(br); err == nil {
				if got, _ := io.ReadAll(r.Body); name == "short stream" && string(got) != "body" {
					t.Errorf("body %q", got)
				}
			}
		})
		req, resp := request("PUT"), fasthttp.AcquireResponse()
		bodies[name](req)
		if err := transport(t, Options{}).RoundTrip(p.target(), req, resp, 2); kind(err) != "bad response" {
			t.Errorf("%s: %v", name, err)
		}
		fasthttp.ReleaseResponse(resp)
		if n := p.conns.Load(); n != want {
			t.Errorf("%s: %d tries, want %d", name, n, want)
		}
	}
}

// A connection that was idle for longer than it may be is not used any more, also before it is swept: the peer is about to close it.
func TestKeptConnectionThatIsTooOld(t *testing.T) {
	p := newPeer(t, answers(ok, ok, ok))
	tr := kept(t, p)
	for _, pool := range tr.pools {
		pool.idle[0].idleSince = time.Now().Add(-tr.opts.IdleTimeout)
	}
	if _, err := over(t, tr, p.target(), "POST", bodies["no"]); err != nil || p.conns.Load() != 2 || idle(tr) != 1 {
		t.Errorf("%v, %d connections, %d are kept", err, p.conns.Load(), idle(tr))
	}
}
