package sweep_test

import (
	"net/http"
	"testing"

	"github.com/outrigger-gateway/outrigger/bench/plugins/sweep"
	"github.com/outrigger-gateway/outrigger/pdk/pdktest"
)

func TestSweep(t *testing.T) {
	for _, c := range []struct {
		config string
		set    []string
	}{
		{`{}`, nil},
		{`{"calls": 10}`, []string{"X-Sweep-10"}},
		{`{"calls": 30}`, []string{"X-Sweep-10", "X-Sweep-20", "X-Sweep-30"}},
	} {
		t.Run(c.config, func(t *testing.T) {
			x := pdktest.New(pdktest.Request{Header: http.Header{"User-Agent": {"test"}}})
			if err := x.Use(sweep.Plugin, c.config); err != nil {
				t.Fatal(err)
			}
			res := x.Run()
			if res.Response.Status != http.StatusOK {
				t.Fatalf("found status %d", res.Response.Status)
			}
			for _, name := range []string{"X-Sweep-10", "X-Sweep-20", "X-Sweep-30"} {
				want := ""
				for _, n := range c.set {
					if n == name {
						want = "set"
					}
				}
				if got := res.Upstream.Header.Get(name); got != want {
					t.Errorf("the upstream gets %s %q, expected %q", name, got, want)
				}
			}
		})
	}
}

func TestConfiguration(t *testing.T) {
	for _, bad := range []string{`{"calls": 0}`, `{"calls": 1001}`, `{"call": 1}`} {
		if err := pdktest.New(pdktest.Request{}).Use(sweep.Plugin, bad); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
}
