package exchange

import (
	"strconv"
	"testing"
	"time"

	"github.com/outrigger-gateway/outrigger/proto/wire"
)

func TestVariables(t *testing.T) {
	e, _ := begin()
	e.Gateway = &Gateway{Hostname: "gw-1"}
	f := &e.Facts
	f.RequestID, f.StartTime = "0123456789abcdef0123456789abcdef", time.Now().Add(-2*time.Second).UnixMilli()
	f.Request = wire.Request{
		Method: "POST", Scheme: "https", Host: "example.com", Port: 8443, HTTPVersion: 20, Target: "/a%20b?q=1&Q=2&empty=&bare&x=y=z",
		Path: "/a b", RawQuery: "q=1&Q=2&empty=&bare&x=y=z", Headers: []wire.Header{
			{Name: "Content-Type", Value: "text/plain"}, {Name: "Content-Length", Value: "12"}, {Name: "X-Two", Value: "1"}, {Name: "x-two", Value: "2"},
			{Name: "Cookie", Value: "a=1; b=two=2"}, {Name: "cookie", Value: "c=3"}, {Name: "X-Empty", Value: ""},
		},
	}
	f.Client = wire.Client{IP: "10.0.0.9", Port: 4000, ForwardedIP: "192.0.2.1", ForwardedPort: 5000, Trusted: true}
	f.TLS = wire.TLS{Set: true, Version: "TLSv1.3", Cipher: "TLS_AES_128_GCM_SHA256", ClientVerify: "NONE"}
	e.ResponseArrived(false)
	e.NeedResponse()
	f.ServiceResponse.Status = 201
	f.ServiceResponse.Headers = []wire.Header{{Name: "X-Up", Value: "upstream"}}
	f.Response = wire.Response{Status: 202, Headers: []wire.Header{{Name: "X-Sent", Value: "a"}, {Name: "X-Sent", Value: "b"}}}

	for name, want := range map[string]string{
		"request_method": "POST", "request_uri": "/a%20b?q=1&Q=2&empty=&bare&x=y=z", "uri": "/a b", "args": "q=1&Q=2&empty=&bare&x=y=z",
		"query_string": "q=1&Q=2&empty=&bare&x=y=z", "is_args": "?", "scheme": "https", "https": "on", "host": "example.com", "hostname": "gw-1",
		"server_port": "8443", "server_protocol": "HTTP/2.0", "remote_addr": "192.0.2.1", "remote_port": "5000", "realip_remote_addr": "10.0.0.9",
		"realip_remote_port": "4000", "request_id": "0123456789abcdef0123456789abcdef", "status": "202", "content_type": "text/plain",
		"content_length": "12", "ssl_protocol": "TLSv1.3", "ssl_cipher": "TLS_AES_128_GCM_SHA256", "ssl_client_verify": "NONE",
		"upstream_uri": "/up?b=1", "upstream_status": "201",
		"arg_q": "1", "arg_Q": "1", "arg_empty": "", "arg_x": "y=z", "cookie_a": "1", "cookie_b": "two=2", "cookie_c": "3",
		"http_content_type": "text/plain", "http_x_two": "1, 2", "http_x_empty": "", "sent_http_x_sent": "a, b", "upstream_http_x_up": "upstream",
	} {
		if got, ok := e.Variable(name); got != want || !ok {
			t.Errorf("%s is %q, %t; want %q", name, got, ok, want)
		}
	}
	for _, name := range []string{"", "nonsense", "arg_", "arg_gone", "arg_bare", "cookie_gone", "http_gone", "sent_http_gone", "upstream_http_x_sent", "http_"} {
		if got, ok := e.Variable(name); ok {
			t.Errorf("%s is %q, want no value", name, got)
		}
	}
}

// Times move on, so that they are compared with a little room.
func TestTimesAmongVariables(t *testing.T) {
	e, _ := begin()
	before := time.Now()
	e.Facts.StartTime = before.Add(-2 * time.Second).UnixMilli()
	number := func(name string) float64 {
		text, _ := e.Variable(name)
		f, err := strconv.ParseFloat(text, 64)
		if err != nil || len(text) < 5 || text[len(text)-4] != '.' {
			t.Errorf("%s is %q, want seconds with three digits", name, text)
		}
		return f
	}
	if n := number("request_time"); n < 2 || n > 60 {
		t.Errorf("request_time is %v", n)
	}
	if n, now := number("msec"), float64(before.UnixMilli())/1000; n < now || n > now+60 {
		t.Errorf("msec is %v", n)
	}
	text, _ := e.Variable("time_iso8601")
	if at, err := time.Parse(time.RFC3339, text); err != nil || at.Before(before.Truncate(time.Second)) {
		t.Errorf("time_iso8601 is %q, %v", text, err)
	}
	e.Facts.Request.Headers = []wire.Header{{Name: "A", Value: "b"}, {Name: "Content-Length", Value: "100"}}
	// GET /a?b=1&b=2&c HTTP/1.1, two headers, an empty line, the body
	if text, _ := e.Variable("request_length"); text != strconv.Itoa(27+6+21+2+100) {
		t.Errorf("request_length is %s", text)
	}
}

// What is not known has no value: nothing of a response before there is one, nothing of TLS without it.
func TestVariablesWithoutValue(t *testing.T) {
	e, _ := begin()
	e.Facts.Request.RawQuery, e.Facts.Request.Headers, e.Facts.Request.Port = "", nil, 0
	for _, name := range []string{
		"is_args", "args", "https", "hostname", "server_port", "remote_port", "status", "upstream_status", "content_type", "content_length",
		"ssl_protocol", "ssl_cipher", "ssl_client_verify", "upstream_http_x",
	} {
		if got, ok := e.Variable(name); ok {
			t.Errorf("%s is %q, want no value", name, got)
		}
	}
}
