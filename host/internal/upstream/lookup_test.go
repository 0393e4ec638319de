package upstream

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

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
	tr := transport(t, Options{IdlePerTarget: 1, Lookup: func(_ context.Context, host string) ([]netip.AddrPort, error) {
		asked++
		if host != "orders.test" {
			return nil, &net.DNSError{Err: "no such name", Name: host, IsNotFound: true}
		}
		return []netip.AddrPort{netip.MustParseAddrPort("127.0.0.3:0"), netip.MustParseAddrPort("127.0.0.1:0")}, nil
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

// Each address of a name has its share of the time, and the port that its record says.
func TestLookupOfAnAddressThatIsSilent(t *testing.T) {
	good := newPeer(t, answers(ok))
	_, text, _ := net.SplitHostPort(good.ln.Addr().String())
	asked := []string{}
	tr := transport(t, Options{Lookup: func(context.Context, string) ([]netip.AddrPort, error) {
		return []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:7"), netip.MustParseAddrPort("127.0.0.1:" + text)}, nil
	}})
	var shares []time.Duration
	tr.dialer.ControlContext = func(ctx context.Context, _, address string, _ syscall.RawConn) error {
		asked = append(asked, address)
		end, _ := ctx.Deadline()
		shares = append(shares, time.Until(end))
		if len(asked) == 1 {
			return syscall.EHOSTUNREACH
		}
		return nil
	}
	target := good.target()
	target.Host, target.Port, target.ConnectTimeout = "orders.test", 80, time.Hour
	resp := fasthttp.AcquireResponse()
	defer fasthttp.ReleaseResponse(resp)
	if err := tr.RoundTrip(target, request("GET"), resp, 0); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(asked, []string{"192.0.2.1:7", "127.0.0.1:" + text}) {
		t.Errorf("asked %q", asked)
	}
	if shares[0] > 31*time.Minute || shares[1] < 50*time.Minute {
		t.Errorf("the addresses have %v of an hour", shares)
	}
}
