package gatekeeper_test

import (
	"net/http"
	"testing"

	"github.com/outrigger-gateway/outrigger/examples/go/gatekeeper"
	"github.com/outrigger-gateway/outrigger/pdk/pdktest"
)

func run(t *testing.T, config string, header http.Header) pdktest.Result {
	t.Helper()
	x := pdktest.New(pdktest.Request{Header: header})
	if err := x.Use(gatekeeper.Plugin, config); err != nil {
		t.Fatal(err)
	}
	return x.Run()
}

func TestDenied(t *testing.T) {
	res := run(t, ``, http.Header{"X-Deny": {"1"}})
	if res.Upstream != nil || res.Response.Status != 403 || res.Source != "exit" {
		t.Errorf("%d from %s", res.Response.Status, res.Source)
	}
	if got, want := string(res.Response.Body), `{"message":"denied by gatekeeper","plugin":"gatekeeper-go"}`; got != want {
		t.Errorf("body %s, expected %s", got, want)
	}
	if got := res.Response.Header.Get("Content-Type"); got != "application/json; charset=utf-8" {
		t.Errorf("Content-Type %q", got)
	}
	res = run(t, `{"header": "X-Role", "values": ["guest", "bot"], "message": "no"}`, http.Header{"X-Role": {"bot"}})
	if res.Response.Status != 403 || string(res.Response.Body) != `{"message":"no","plugin":"gatekeeper-go"}` {
		t.Errorf("%d %s", res.Response.Status, res.Response.Body)
	}
}

func TestLetIn(t *testing.T) {
	for _, header := range []http.Header{nil, {"X-Deny": {"0"}}, {"X-Deny": {""}}, {"X-Other": {"1"}}} {
		if res := run(t, ``, header); res.Upstream == nil || res.Response.Status != 200 {
			t.Errorf("%v: %d", header, res.Response.Status)
		}
	}
}

func TestConfiguration(t *testing.T) {
	for _, bad := range []string{`{"values": []}`, `{"values": "1"}`, `{"header": ""}`} {
		if err := pdktest.New(pdktest.Request{}).Use(gatekeeper.Plugin, bad); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
}
