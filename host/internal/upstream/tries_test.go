package upstream

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"
)

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
