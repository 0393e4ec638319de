package hello_test

import (
	"net/http"
	"testing"

	"github.com/outrigger-gateway/outrigger/examples/go/hello"
	"github.com/outrigger-gateway/outrigger/pdk/pdktest"
)

func TestHello(t *testing.T) {
	for _, c := range []struct {
		name, config string
		header       http.Header
		want         string
	}{
		{"defaults", ``, nil, "hello, world"},
		{"configured", `{"greeting": "ahoy", "name": "crew"}`, nil, "ahoy, crew"},
		{"named", ``, http.Header{"X-Name": {"Ada"}}, "hello, Ada"},
		{"in a mood", ``, http.Header{"X-Name": {"Ada"}, "X-Mood": {"happy"}}, "hello, Ada (happy)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := pdktest.New(pdktest.Request{Header: c.header})
			if err := x.Use(hello.Plugin, c.config); err != nil {
				t.Fatal(err)
			}
			res := x.Run()
			if got := res.Upstream.Header.Get("X-Hello-Go"); got != c.want {
				t.Errorf("the upstream gets %q, expected %q", got, c.want)
			}
			if got := res.Response.Header.Get("X-Hello-Go"); got != c.want {
				t.Errorf("the client gets %q, expected %q", got, c.want)
			}
		})
	}
}

func TestConfiguration(t *testing.T) {
	for _, bad := range []string{`{"greeting": ""}`, `{"greting": "x"}`, `{"name": 5}`} {
		if err := pdktest.New(pdktest.Request{}).Use(hello.Plugin, bad); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
}
