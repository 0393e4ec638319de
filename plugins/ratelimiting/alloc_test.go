//go:build !race

package ratelimiting

import (
	"testing"

	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/pdk/pdktest"
	"github.com/outrigger-gateway/outrigger/pdk/schema"
)

func TestCountingAllocatesNothing(t *testing.T) {
	c := newCounters(clockAt(t, "2026-03-05T07:08:09Z").time)
	l := limits{1e9, 1e9, 1e9, 1e9, 1e9, 1e9}
	k := key{"record", byConsumer, alice.ID}
	if n := testing.AllocsPerRun(100, func() { c.take(k, &l) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// probe calls Access of an instance again and again within one call.
type probe struct {
	access      func(*pdk.PDK) error
	allocations *float64
}

func (p *probe) Access(k *pdk.PDK) error {
	var err error
	*p.allocations = testing.AllocsPerRun(100, func() {
		if err == nil {
			err = p.access(k)
		}
	})
	return err
}

// A request costs one allocation, the numbers of the headers; none without headers.
func TestAllocationsOfARequest(t *testing.T) {
	for config, most := range map[string]float64{
		`{"minute": 100000, "hide_client_headers": true}`:                        0,
		`{"minute": 100000, "hour": 200000}`:                                     1,
		`{"minute": 100000, "hour": 200000, "limit_by": "ip"}`:                   1,
		`{"minute": 100000, "limit_by": "header", "header_name": "user-agent"}`:  1,
		`{"minute": 100000, "limit_by": "service", "hide_client_headers": true}`: 0,
	} {
		g := newGateway(t, "2026-03-05T07:08:09Z")
		in := g.plugin.New().(*instance)
		if err := schema.Decode(in, []byte(config)); err != nil {
			t.Fatal(err)
		}
		in.Configure()
		n := -1.0
		x := pdktest.New(pdktest.Request{Consumer: alice, Header: map[string][]string{"User-Agent": {"test"}}})
		if err := x.Use(pdk.Plugin{Name: "probe", Version: "1", New: func() any { return &probe{in.Access, &n} }}, ""); err != nil {
			t.Fatal(err)
		}
		res := x.Run()
		if len(res.Failures) != 0 || res.Upstream == nil {
			t.Errorf("%s: %v %d", config, res.Failures, res.Response.Status)
		}
		if n < 0 || n > most {
			t.Errorf("%s: %v allocations, want at most %v", config, n, most)
		}
	}
}
