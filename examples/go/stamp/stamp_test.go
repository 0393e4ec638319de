package stamp_test

import (
	"bytes"
	"net/http"
	"testing"

	"github.com/outrigger-gateway/outrigger/examples/go/stamp"
	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/pdk/pdktest"
)

func TestStamp(t *testing.T) {
	for _, c := range []struct {
		name, config  string
		body          []byte
		mark, trailer string
	}{
		{"defaults", ``, []byte("body"), "go", "\n-- stamped by go\n"},
		{"configured", `{"mark": "m", "trailer": "!"}`, []byte("body"), "m", "!"},
		{"no body", ``, nil, "go", "\n-- stamped by go\n"},
		{"several pieces", `{"trailer": "!"}`, bytes.Repeat([]byte("x"), 100_000), "go", "!"},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := pdktest.New(pdktest.Request{URL: "http://gw.test/orders"})
			x.Answer = func(pdktest.Upstream) pdktest.Response {
				return pdktest.Response{Status: 201, Header: http.Header{"Content-Length": {"4"}}, Body: c.body}
			}
			if err := x.Use(stamp.Plugin, c.config); err != nil {
				t.Fatal(err)
			}
			res := x.Run()
			if got := res.Response.Header.Get("X-Stamp-Go"); got != c.mark {
				t.Errorf("X-Stamp-Go is %q, expected %q", got, c.mark)
			}
			if res.Response.Header.Get("Content-Length") != "" {
				t.Error("Content-Length is still there")
			}
			if want := append(bytes.Clone(c.body), c.trailer...); !bytes.Equal(res.Response.Body, want) {
				t.Errorf("body of %d bytes, expected %d", len(res.Response.Body), len(want))
			}
			if len(res.Log) != 1 || res.Log[0] != (pdktest.Line{Plugin: "stamp-go", Phase: pdk.PhaseLog, Level: 1, Message: "stamped GET /orders 201"}) {
				t.Errorf("log %+v", res.Log)
			}
		})
	}
}
