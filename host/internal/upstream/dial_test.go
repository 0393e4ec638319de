package upstream

import (
	"context"
	"errors"
	"net/netip"
	"testing"

	"github.com/valyala/fasthttp"

	protocol "github.com/outrigger-gateway/outrigger/proto/wire"
)

// A connection attempt ends when the client of the request goes, and when the transport is closed.
func TestAttemptsEnd(t *testing.T) {
	for name, c := range map[string]struct {
		end   func(*Transport, *protocol.Quit)
		check func(error) bool
	}{
		"the client goes":         {func(_ *Transport, q *protocol.Quit) { q.Go() }, func(err error) bool { return kind(err) == "body" && errors.Is(err, ErrClientGone) }},
		"the transport is closed": {func(tr *Transport, _ *protocol.Quit) { tr.Close() }, func(err error) bool { return kind(err) == "connect" }},
	} {
		asked := make(chan struct{}, 8)
		tr := transport(t, Options{Lookup: func(ctx context.Context, _ string) ([]netip.AddrPort, error) {
			asked <- struct{}{}
			<-ctx.Done()
			return nil, ctx.Err()
		}})
		var quit protocol.Quit
		result := make(chan error, 1)
		go func() {
			req, resp := request("GET"), fasthttp.AcquireResponse()
			defer fasthttp.ReleaseResponse(resp)
			req.Quit = &quit
			result <- tr.RoundTrip(&Target{Host: "slow.test", Port: 80, ConnectTimeout: 10 * patience}, req, resp, 3)
		}()
		<-asked
		c.end(tr, &quit)
		if err := <-result; !c.check(err) {
			t.Errorf("%s: %v", name, err)
		}
		if n := len(asked); n > 0 {
			t.Errorf("%s: %d further attempts", name, n)
		}
	}
}
