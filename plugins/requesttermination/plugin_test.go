package requesttermination

import (
	"encoding/json"
	"net/http"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/pdk/pdktest"
)

func run(t *testing.T, config string, req pdktest.Request) pdktest.Result {
	t.Helper()
	x := pdktest.New(req)
	x.MaxBody = 1000
	if err := x.Use(Plugin, config); err != nil {
		t.Fatal(err)
	}
	res := x.Run()
	for _, f := range res.Failures {
		t.Errorf("%s failed in %s: %+v", f.Plugin, f.Phase, f.Err)
	}
	return res
}

func TestAnswers(t *testing.T) {
	const asJSON = "application/json; charset=utf-8"
	for _, c := range []struct {
		name, config string
		status       int
		contentType  string
		body         string
	}{
		{"default", ``, 503, asJSON, `{"message":"Service unavailable"}`},
		{"nulls", `{"message": null, "body": null, "content_type": null, "trigger": null}`, 503, asJSON, `{"message":"Service unavailable"}`},
		{"401", `{"status_code": 401}`, 401, asJSON, `{"message":"Unauthorized"}`},
		{"404", `{"status_code": 404}`, 404, asJSON, `{"message":"Not found"}`},
		{"405", `{"status_code": 405}`, 405, asJSON, `{"message":"Method not allowed"}`},
		{"500", `{"status_code": 500}`, 500, asJSON, `{"message":"An unexpected error occurred"}`},
		{"502", `{"status_code": 502}`, 502, asJSON, `{"message":"Bad Gateway"}`},
		{"a status without a message", `{"status_code": 204}`, 204, "", ``},
		{"another", `{"status_code": 403}`, 403, "", ``},
		{"message", `{"status_code": 403, "message": "no \"<way>\""}`, 403, asJSON, `{"message":"no \"<way>\""}`},
		{"message in place of the default", `{"message": "later"}`, 503, asJSON, `{"message":"later"}`},
		{"body", `{"status_code": 200, "body": "{\"a\": 1}"}`, 200, "", `{"a": 1}`},
		{"body with its type", `{"status_code": 200, "body": "<p>", "content_type": "text/html"}`, 200, "text/html", `<p>`},
	} {
		t.Run(c.name, func(t *testing.T) {
			res := run(t, c.config, pdktest.Request{Header: http.Header{"Accept": {"text/html"}}})
			r := res.Response
			if r.Status != c.status || string(r.Body) != c.body || r.Header.Get("Content-Type") != c.contentType || res.Source != "exit" || res.Upstream != nil {
				t.Errorf("answer %d %v %s from %s, want %d %q %s", r.Status, r.Header, r.Body, res.Source, c.status, c.contentType, c.body)
			}
		})
	}
}

func TestTrigger(t *testing.T) {
	for _, c := range []struct {
		name   string
		config string
		req    pdktest.Request
		status int
	}{
		{"absent", `{"trigger": "X-Stop"}`, pdktest.Request{}, 200},
		{"header", `{"trigger": "X-Stop"}`, pdktest.Request{Header: http.Header{"X-Stop": {"1"}}}, 503},
		{"header in other letters", `{"trigger": "x_stop"}`, pdktest.Request{Header: http.Header{"X-Stop": {"1"}}}, 503},
		{"empty header", `{"trigger": "X-Stop"}`, pdktest.Request{Header: http.Header{"X-Stop": {""}}}, 503},
		{"query", `{"trigger": "stop"}`, pdktest.Request{URL: "http://gw.test/?a=1&stop=now"}, 503},
		{"bare argument", `{"trigger": "stop"}`, pdktest.Request{URL: "http://gw.test/?stop"}, 503},
		{"argument in other letters", `{"trigger": "stop"}`, pdktest.Request{URL: "http://gw.test/?STOP=1"}, 200},
		{"value, not name", `{"trigger": "stop"}`, pdktest.Request{URL: "http://gw.test/?a=stop"}, 200},
		{"echo too waits for it", `{"trigger": "stop", "echo": true}`, pdktest.Request{}, 200},
		{"echo with it", `{"trigger": "stop", "echo": true}`, pdktest.Request{URL: "http://gw.test/?stop"}, 503},
	} {
		t.Run(c.name, func(t *testing.T) {
			if res := run(t, c.config, c.req); res.Response.Status != c.status {
				t.Errorf("status %d, want %d", res.Response.Status, c.status)
			}
		})
	}
}

// echoOf is the echo as a client reads it.
func echoOf(t *testing.T, config string, status int, req pdktest.Request) map[string]any {
	t.Helper()
	res := run(t, config, req)
	if res.Response.Status != status || !strings.HasPrefix(res.Response.Header.Get("Content-Type"), "application/json") || res.Source != "exit" {
		t.Fatalf("answer %d %v %s", res.Response.Status, res.Response.Header, res.Response.Body)
	}
	var got map[string]any
	if err := json.Unmarshal(res.Response.Body, &got); err != nil {
		t.Fatalf("%s: %v", res.Response.Body, err)
	}
	return got
}

func TestEcho(t *testing.T) {
	got := echoOf(t, `{"echo": true, "status_code": 404}`, 404, pdktest.Request{
		Method: "POST", URL: "https://gw.test:8443/a/%62?x=1&y&x=2", Body: []byte(`{"n": 1}`),
		Header: http.Header{"Content-Type": {"application/json"}, "X-A": {"1", "2"}},
		Route:  &pdk.Route{ID: "r", Name: "the-route"}, Service: &pdk.Service{ID: "s", Name: "the-service", Protocol: "http"},
		Captures: pdk.Captures{Unnamed: []string{"b"}, Named: map[string]string{"id": "b"}},
	})
	request := got["request"].(map[string]any)
	for name, want := range map[string]any{
		"scheme": "https", "host": "gw.test", "port": 8443.0, "method": "POST", "path": "/a/b",
		"headers":  map[string]any{"host": "gw.test:8443", "content-type": "application/json", "x-a": []any{"1", "2"}},
		"query":    map[string]any{"x": []any{"1", "2"}, "y": true},
		"raw_body": `{"n": 1}`, "body": map[string]any{"n": 1.0},
		"uri_captures": map[string]any{"named": map[string]any{"id": "b"}, "unnamed": []any{"b"}},
	} {
		if !reflect.DeepEqual(request[name], want) {
			t.Errorf("request.%s is %v, want %v", name, request[name], want)
		}
		delete(request, name)
	}
	if len(request) != 0 {
		t.Errorf("more in request: %v", request)
	}
	kong := got["kong"].(map[string]any)
	if got["message"] != "Not found" || kong["node_id"] != "11111111-2222-4333-8444-555555555555" || kong["hostname"] != "pdktest" || kong["worker_pid"] != float64(os.Getpid()) {
		t.Errorf("message %v, kong %v", got["message"], kong)
	}
	if got["matched_route"].(map[string]any)["name"] != "the-route" || got["matched_service"].(map[string]any)["name"] != "the-service" {
		t.Errorf("route %v, service %v", got["matched_route"], got["matched_service"])
	}
}

func TestEchoOfLittle(t *testing.T) {
	got := echoOf(t, `{"echo": true, "status_code": 418}`, 418, pdktest.Request{})
	request := got["request"].(map[string]any)
	if _, has := got["message"]; has {
		t.Errorf("message %v, expected none", got["message"])
	}
	if _, has := request["body"]; has || request["raw_body"] != "" {
		t.Errorf("body %v, raw_body %v", request["body"], request["raw_body"])
	}
	if want := map[string]any{"named": map[string]any{}, "unnamed": []any{}}; !reflect.DeepEqual(request["uri_captures"], want) {
		t.Errorf("uri_captures %v", request["uri_captures"])
	}
	if got = echoOf(t, `{"echo": true, "message": "m"}`, 503, pdktest.Request{}); got["message"] != "m" {
		t.Errorf("message %v", got["message"])
	}
	for _, size := range []int{950, 1001} { // too large within the answer, and too large to be read
		body := []byte(strings.Repeat("x", size))
		request = echoOf(t, `{"echo": true}`, 503, pdktest.Request{Method: "POST", Body: body})["request"].(map[string]any)
		if _, has := request["raw_body"]; has || request["method"] != "POST" {
			t.Errorf("%d bytes: echoed %v", size, request)
		}
	}
}

func TestConfig(t *testing.T) {
	for config, want := range map[string]string{
		`{"message": "m", "body": "b"}`:         "message: is given beside body or content_type",
		`{"message": "m", "content_type": "c"}`: "message: is given beside body or content_type",
		`{"content_type": "text/plain"}`:        "content_type: is given without a body",
		`{"echo": true, "body": "b"}`:           "echo: is true beside body",
		`{"status_code": 99}`:                   "status_code: found 99",
		`{"status_code": 600}`:                  "status_code: found 600",
		`{"trigger": "a b"}`:                    "trigger: found",
		`{"body": "b", "content_type": "a\nb"}`: "content_type: found",
		`{"body": ""}`:                          "body: found",
	} {
		err := pdktest.New(pdktest.Request{}).Use(Plugin, config)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %s", config, err, want)
		}
	}
}
