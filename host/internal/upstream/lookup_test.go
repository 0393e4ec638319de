package upstream

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strconv"
	"testing"

	"github.com/valyala/fasthttp"
)

// A name is connected to at one address after another; its connections are kept by name.
func TestLookup(t *testing.T) {
	good := newPeer(t, answers(ok, ok))
	_, text, err := net.SplitHostPort(good.ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	asked := 0
	tr := transport(t, Options{IdlePerTarget: 1, Lookup: func(_ context.Context, host string) ([]netip.Addr, error) {
		asked++
		if host != "orders.test" {
			return nil, &net.DNSError{Err: "no such name", Name: host, IsNotFound: true}
		}
		return []netip.Addr{netip.MustParseAddr("127.0.0.3"), netip.MustParseAddr("127.0.0.1")}, nil
	}})
	round := func(host string) error {
		target := good.target()
		target.Host, target.Port = host, port
		resp := fasthttp.AcquireResponse()
		defer fasthttp.ReleaseResponse(resp)
		return tr.RoundTrip(target, request("GET"), resp, 0)
	}
	for range 2 {
		if err := round("orders.test"); err != nil {
			t.Fatal(err)
		}
	}
	if asked != 1 || good.conns.Load() != 1 {
		t.Errorf("asked %d times for %d connections", asked, good.conns.Load())
	}
	var e *Error
	if err := round("gone.test"); !errors.As(err, &e) || e.Kind != KindResolve {
		t.Errorf("a name that does not exist: %v", err)
	}
	asked = 0
	if err := round("127.0.0.3"); !errors.As(err, &e) || e.Kind != KindConnect || asked != 0 {
		t.Errorf("an address: %v, asked %d times", err, asked)
	}
}
