package upstream

import (
	"bufio"
	"errors"
	"net"
	"testing"

	"github.com/valyala/fasthttp"
)

// lateQuit is a client that goes when its response has come, before anybody knows that its request is over.
type lateQuit struct {
	who  interface{ GiveUp(id uint32) }
	gone bool
}

func (q *lateQuit) Enter(who interface{ GiveUp(id uint32) }, _ uint32) { q.who = who }
func (q *lateQuit) Gone() bool                                         { return q.gone }

func (q *lateQuit) Leave() {
	if q.who != nil && !q.gone {
		q.gone = true
		q.who.GiveUp(0) // just before it was too late for that
	}
	q.who = nil
}

// A connection that is given up at the last moment is not used again.
func TestGivenUpAtTheLastMoment(t *testing.T) {
	p := newPeer(t, func(_ int, c net.Conn, br *bufio.Reader) { answers(ok, ok)(0, c, br) })
	tr := transport(t, Options{})
	for range 2 {
		req, resp := request("GET"), fasthttp.AcquireResponse()
		req.Quit = &lateQuit{}
		err := tr.RoundTrip(p.target(), req, resp, 0)
		fasthttp.ReleaseResponse(resp)
		if err != nil {
			t.Fatal(err)
		}
	}
	if n := idle(tr); n != 0 {
		t.Errorf("%d connections that were given up are kept", n)
	}
}

// leaves is a list of places after which the client goes.
type leaves struct {
	places
	quit *lateQuit
}

func (l *leaves) Try(n int) *Target {
	if n > 0 {
		l.quit.gone = true
		return nil
	}
	return l.places.Try(n)
}

// Who goes while another target is looked for has gone; the failure of the one before is not the end of its request.
func TestGoneBetweenTries(t *testing.T) {
	gone := newPeer(t, nil)
	gone.ln.Close()
	req, resp := request("GET"), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseResponse(resp)
	quit := &neverQuit{}
	req.Quit = quit
	to := &leaves{places: places{list: []*Target{gone.target()}}, quit: &quit.lateQuit}
	if err := transport(t, Options{}).RoundTrip(to, req, resp, 5); !errors.Is(err, ErrClientGone) {
		t.Errorf("error %v", err)
	}
}

// neverQuit is a client that goes only when a test says so.
type neverQuit struct{ lateQuit }

func (*neverQuit) Leave() {}
