package main

import (
	"net/http"
	"testing"

	"github.com/outrigger-gateway/outrigger/pdk/kongcompat/server"
	"github.com/outrigger-gateway/outrigger/pdk/pdktest"
)

func run(t *testing.T, status int) pdktest.Result {
	t.Helper()
	p, err := server.Plugin(New, Version, Priority, server.Name("headers"))
	if err != nil {
		t.Fatal(err)
	}
	x := pdktest.New(pdktest.Request{
		Method: "POST", URL: "http://gw.test/a?old=1", Header: http.Header{"X-Second": {"you & me"}, "X-Gone": {"1"}}, Body: []byte("body \xff"),
	})
	x.Answer = func(pdktest.Upstream) pdktest.Response {
		return pdktest.Response{Status: status, Header: http.Header{"X-Gone": {"1"}, "Server": {"up"}}, Body: []byte("answer")}
	}
	if err := x.Use(p, `{"remove":["x-gone"],"target":{"host":"10.0.0.1","port":8080}}`); err != nil {
		t.Fatal(err)
	}
	return x.Run()
}

func TestRequestAndResponse(t *testing.T) {
	res := run(t, 500)
	up := res.Upstream
	if len(res.Failures) > 0 || up == nil || up.Path != "/v2/a" || up.Query != "from=you%20%26%20me&n=1&n=2" || up.Header.Get("X-Gone") != "" ||
		up.Header.Get("X-Route") != "test to test" || up.Host != "10.0.0.1" || up.Port != 8080 {
		t.Fatalf("upstream %+v, %+v", up, res)
	}
	if h := res.Response.Header; res.Response.Status != 502 || h.Get("X-Upstream-Status") != "500" || h.Get("X-Upstream-Headers") != "3" || h.Get("X-Gone") != "" || h.Get("Server") != "up" {
		t.Errorf("response %d %v", res.Response.Status, h)
	}
}

// TestAStatusThatIsNone fails the handler, which ends in a status 500.
func TestAStatusThatIsNone(t *testing.T) {
	if res := run(t, 418); res.Response.Status != 500 || len(res.Failures) != 1 {
		t.Errorf("%+v", res)
	}
}
