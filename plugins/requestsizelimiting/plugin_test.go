package requestsizelimiting

import (
	"net/http"
	"strings"
	"testing"

	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/pdk/pdktest"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// exchange prepares a request whose body is counted each time that it is read.
func exchange(t *testing.T, config string, req pdktest.Request, reads *int) *pdktest.Exchange {
	t.Helper()
	x := pdktest.New(req)
	x.MaxBody = 1000
	x.Script = func(question *wire.Ask) *wire.Answer {
		if question.Fn == wire.AskRequestGetRawBody {
			*reads++
		}
		return nil
	}
	if err := x.Use(Plugin, config); err != nil {
		t.Fatal(err)
	}
	return x
}

func TestSizes(t *testing.T) {
	const (
		ten    = `{"allowed_payload_size": 10, "size_unit": "bytes"}`
		strict = `{"allowed_payload_size": 10, "size_unit": "bytes", "require_content_length": true}`
	)
	length := func(v string) http.Header { return http.Header{"Content-Length": {v}} }
	chunked := func() http.Header { return http.Header{"Transfer-Encoding": {"chunked"}} }
	for _, c := range []struct {
		name   string
		config string
		header http.Header
		body   int
		status int
		text   string
		reads  int
	}{
		{"length at the limit", ten, length("10"), 10, 200, "", 0},
		{"length over the limit", ten, length("11"), 11, 413, "Request size limit exceeded", 0},
		{"no length, no body", ten, nil, 0, 200, "", 0},
		{"length beyond 64 bits", ten, length("99999999999999999999999"), 0, 413, "Request size limit exceeded", 0},
		{"default is 128 megabytes", ``, length("134217728"), 0, 200, "", 0},
		{"default, one byte more", ``, length("134217729"), 0, 413, "Request size limit exceeded", 0},
		{"megabytes", `{"allowed_payload_size": 2}`, length("2097152"), 0, 200, "", 0},
		{"megabytes, one byte more", `{"allowed_payload_size": 2}`, length("2097153"), 0, 413, "Request size limit exceeded", 0},
		{"kilobytes", `{"allowed_payload_size": 2, "size_unit": "kilobytes"}`, length("2048"), 0, 200, "", 0},
		{"kilobytes, one byte more", `{"allowed_payload_size": 2, "size_unit": "kilobytes"}`, length("2049"), 0, 413, "Request size limit exceeded", 0},
		{"nothing is allowed", `{"allowed_payload_size": 0}`, length("1"), 1, 413, "Request size limit exceeded", 0},
		{"nothing is allowed, nothing sent", `{"allowed_payload_size": 0}`, length("0"), 0, 200, "", 0},
		{"the largest limit", `{"allowed_payload_size": 8796093022207}`, length("9223372036854775807"), 0, 413, "Request size limit exceeded", 0},
		{"below the largest limit", `{"allowed_payload_size": 8796093022207}`, length("9223372036853727232"), 0, 200, "", 0},
		{"expecting, over the limit", ten, http.Header{"Content-Length": {"11"}, "Expect": {"100-Continue"}}, 0, 417, "Request size limit exceeded", 0},
		{"expecting, at the limit", ten, http.Header{"Content-Length": {"10"}, "Expect": {"100-continue"}}, 10, 200, "", 0},
		{"expecting something else", ten, http.Header{"Content-Length": {"11"}, "Expect": {"202-accepted"}}, 0, 413, "Request size limit exceeded", 0},

		{"chunked at the limit", ten, chunked(), 10, 200, "", 1},
		{"chunked over the limit", ten, chunked(), 11, 413, "Request size limit exceeded", 1},
		{"chunked over max_body", ten, chunked(), 1001, 413, "Request size limit exceeded", 1},
		{"chunked over max_body, below the limit", ``, chunked(), 1001, 413, "Request size limit exceeded", 1},
		{"chunked, expecting", ten, http.Header{"Transfer-Encoding": {"chunked"}, "Expect": {"100-continue"}}, 11, 417, "Request size limit exceeded", 1},
		{"a length beside chunks does not count", ten, http.Header{"Transfer-Encoding": {"chunked"}, "Content-Length": {"1"}}, 11, 413, "Request size limit exceeded", 1},

		{"length required and given", strict, length("10"), 10, 200, "", 0},
		{"length required, over the limit", strict, length("11"), 11, 413, "Request size limit exceeded", 0},
		{"length required, not given", strict, nil, 0, 411, "A valid Content-Length header is required", 0},
		{"length required, no number", strict, length("ten"), 0, 411, "A valid Content-Length header is required", 0},
		{"length required, empty", strict, length(""), 0, 411, "A valid Content-Length header is required", 0},
		{"length required, negative", strict, length("-1"), 0, 411, "A valid Content-Length header is required", 0},
		{"length required, with a sign", strict, length("+1"), 0, 411, "A valid Content-Length header is required", 0},
		{"length required, a list", strict, length("1, 1"), 0, 411, "A valid Content-Length header is required", 0},
		{"length required, chunked", strict, chunked(), 10, 200, "", 1},
		{"length required, chunked over the limit", strict, chunked(), 11, 413, "Request size limit exceeded", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			reads := 0
			req := pdktest.Request{Method: "POST", Header: c.header, Body: []byte(strings.Repeat("x", c.body))}
			res := exchange(t, c.config, req, &reads).Run()
			for _, f := range res.Failures {
				t.Errorf("%s failed in %s: %+v", f.Plugin, f.Phase, f.Err)
			}
			if res.Response.Status != c.status || !strings.Contains(string(res.Response.Body), c.text) || c.status != 200 && res.Source != "error" {
				t.Errorf("answer %d %s from %s, want %d %s", res.Response.Status, res.Response.Body, res.Source, c.status, c.text)
			}
			if c.status == 200 && len(res.Upstream.Body) != c.body {
				t.Errorf("upstream got %d bytes, want %d", len(res.Upstream.Body), c.body)
			}
			if reads != c.reads {
				t.Errorf("the body was read %d times, want %d", reads, c.reads)
			}
		})
	}
}

// From HTTP/2 on a body needs neither a length nor a coding.
func TestHTTP2(t *testing.T) {
	for size, refused := range map[int]bool{10: false, 11: true} {
		reads := 0
		x := exchange(t, `{"allowed_payload_size": 10, "size_unit": "bytes"}`, pdktest.Request{Body: make([]byte, size)}, &reads)
		out := x.Call(&wire.Call{
			Phase: pdk.PhaseAccess.Code(),
			Facts: &wire.Facts{Request: wire.Request{Method: "POST", HTTPVersion: 20, Target: "/", Path: "/"}},
		})
		if out.Err != nil || reads != 1 || (len(out.Ops) == 1) != refused {
			t.Errorf("%d bytes: outcome %+v after %d reads", size, out, reads)
		}
	}
}

// A body that breaks off is no body that is too large.
func TestBrokenBody(t *testing.T) {
	x := pdktest.New(pdktest.Request{Method: "POST", Header: http.Header{"Transfer-Encoding": {"chunked"}}})
	x.Script = func(*wire.Ask) *wire.Answer {
		return &wire.Answer{Err: &wire.Error{Code: wire.CodeHostError, Message: "the client went away"}}
	}
	if err := x.Use(Plugin, ""); err != nil {
		t.Fatal(err)
	}
	res := x.Run()
	if len(res.Failures) != 1 || res.Failures[0].Err.Code != wire.CodeHostError || res.Upstream != nil {
		t.Errorf("failures %v, answer %d", res.Failures, res.Response.Status)
	}
}

func TestConfig(t *testing.T) {
	for config, want := range map[string]string{
		`{"allowed_payload_size": -1}`:            "allowed_payload_size: found -1",
		`{"allowed_payload_size": 8796093022208}`: "allowed_payload_size: found 8796093022208",
		`{"allowed_payload_size": 1.5}`:           "allowed_payload_size: found 1.5",
		`{"size_unit": "gigabytes"}`:              "size_unit: found",
		`{"require_content_length": null}`:        "require_content_length: found null",
	} {
		err := pdktest.New(pdktest.Request{}).Use(Plugin, config)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %s", config, err, want)
		}
	}
}
