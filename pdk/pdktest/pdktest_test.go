package pdktest_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/pdk/pdktest"
)

// everything is a plugin whose handlers the test gives.
type everything struct {
	Word string `json:"word" schema:"minlen=1"`
	s    *pdk.Handlers
}

func call(f func(*pdk.PDK) error, k *pdk.PDK) error {
	if f == nil {
		return nil
	}
	return f(k)
}

func (e *everything) Rewrite(k *pdk.PDK) error      { return call(e.s.Rewrite, k) }
func (e *everything) Access(k *pdk.PDK) error       { return call(e.s.Access, k) }
func (e *everything) Response(k *pdk.PDK) error     { return call(e.s.Response, k) }
func (e *everything) HeaderFilter(k *pdk.PDK) error { return call(e.s.HeaderFilter, k) }
func (e *everything) Log(k *pdk.PDK) error          { return call(e.s.Log, k) }
func (e *everything) BodyFilter(k *pdk.PDK, chunk []byte, last bool) ([]byte, error) {
	if e.s.BodyFilter == nil {
		return nil, nil
	}
	return e.s.BodyFilter(k, chunk, last)
}

func plugin(name string, priority int, h pdk.Handlers) pdk.Plugin {
	return pdk.Plugin{Name: name, Version: "1", Priority: priority, New: func() any { return &everything{s: &h} }}
}

func use(t *testing.T, x *pdktest.Exchange, p pdk.Plugin) {
	t.Helper()
	if err := x.Use(p, ""); err != nil {
		t.Fatal(err)
	}
}

func TestProxied(t *testing.T) {
	x := pdktest.New(pdktest.Request{Method: "POST", URL: "https://Shop.test/a/b?x=1", Header: http.Header{"X-A": {"1", "2"}}, Body: []byte("in")})
	x.Answer = func(up pdktest.Upstream) pdktest.Response {
		if up.Method != "PUT" || up.Path != "/new" || up.Scheme != "https" || up.Query != "x=1&y" || string(up.Body) != "IN" {
			t.Errorf("the upstream sees %+v", up)
		}
		return pdktest.Response{Status: 201, Header: http.Header{"X-Up": {"u"}}, Body: []byte("hello")}
	}
	var order []string
	use(t, x, plugin("second", 1, pdk.Handlers{Access: func(k *pdk.PDK) error {
		order = append(order, "second")
		if v, _ := k.Request.GetHeader("x-new"); v != "n" {
			t.Errorf("the second plugin sees x-new %q", v)
		}
		return nil
	}}))
	use(t, x, plugin("first", 2, pdk.Handlers{
		Rewrite: func(k *pdk.PDK) error { return k.ServiceRequest.SetHeader("X-New", "n") },
		Access: func(k *pdk.PDK) error {
			order = append(order, "first")
			if k.Request.GetScheme() != "https" || k.Request.GetHost() != "shop.test" || k.Request.GetPort() != 443 || k.Request.GetPath() != "/a/b" {
				t.Error("the request line")
			}
			body, err := k.Request.GetRawBody()
			return errors.Join(err, k.ServiceRequest.SetRawBody([]byte(strings.ToUpper(string(body)))), k.ServiceRequest.SetMethod("PUT"),
				k.ServiceRequest.SetPath("/new"), k.ServiceRequest.SetScheme("https"), k.ServiceRequest.SetRawQuery("x=1&y"),
				k.Response.SetHeader("X-Early", "e"), k.CtxShared.Set("k", []any{"v"}))
		},
		Response: func(k *pdk.PDK) error {
			body, err := k.ServiceResponse.GetRawBody()
			return errors.Join(err, k.Response.SetRawBody(append(body, '!')), k.Response.SetStatus(202))
		},
		HeaderFilter: func(k *pdk.PDK) error { return k.Response.SetHeader("X-Filter", "f") },
		BodyFilter: func(_ *pdk.PDK, chunk []byte, last bool) ([]byte, error) {
			return []byte("<" + string(chunk) + ">"), nil
		},
		Log: func(k *pdk.PDK) error {
			k.Log.Warn("bye ", k.Response.GetStatus())
			return k.Log.SetSerializeValue("extra.word", "w", "")
		},
	}))
	x.Piece = 4
	res := x.Run()
	if len(res.Failures) > 0 || !slices.Equal(order, []string{"first", "second"}) {
		t.Fatalf("failures %+v, order %q", res.Failures, order)
	}
	h := res.Response.Header
	if res.Response.Status != 202 || string(res.Response.Body) != "<hell><o!>" || h.Get("X-Up") != "u" || h.Get("X-Early") != "e" || h.Get("X-Filter") != "f" || h.Get("Content-Length") != "6" {
		t.Errorf("response %d %q %v", res.Response.Status, res.Response.Body, h)
	}
	if res.Upstream.Header.Get("X-New") != "n" || !slices.Equal(res.Upstream.Header["X-A"], []string{"1", "2"}) || res.Source != "service" {
		t.Errorf("upstream %v, source %s", res.Upstream.Header, res.Source)
	}
	if want := []pdktest.Line{{"first", pdk.PhaseLog, 3, "bye 202"}}; !slices.Equal(res.Log, want) {
		t.Errorf("log %+v", res.Log)
	}
	var entry struct {
		Extra  map[string]string `json:"extra"`
		Source string            `json:"source"`
	}
	if err := json.Unmarshal([]byte(res.Entry), &entry); err != nil || entry.Extra["word"] != "w" || entry.Source != "upstream" {
		t.Errorf("entry %s %v", res.Entry, err)
	}
	if list, ok := res.Shared["k"].([]any); !ok || list[0] != "v" {
		t.Errorf("shared %v", res.Shared)
	}
}

func TestExit(t *testing.T) {
	x := pdktest.New(pdktest.Request{})
	ran := ""
	use(t, x, plugin("gate", 2, pdk.Handlers{Access: func(k *pdk.PDK) error {
		_ = k.Response.SetHeader("X-Kept", "1")
		_ = k.Response.SetHeader("X-Over", "old")
		return k.Response.Exit(403, map[string]any{"message": "no"}, map[string][]string{"X-Over": {"new"}})
	}}))
	use(t, x, plugin("later", 1, pdk.Handlers{
		Access:       func(*pdk.PDK) error { ran += "access "; return nil },
		Response:     func(*pdk.PDK) error { ran += "response "; return nil },
		HeaderFilter: func(*pdk.PDK) error { ran += "header_filter "; return nil },
		Log:          func(k *pdk.PDK) error { ran += "log " + k.Response.GetSource(); return nil },
	}))
	res := x.Run()
	h := res.Response.Header
	if res.Upstream != nil || res.Response.Status != 403 || string(res.Response.Body) != `{"message":"no"}` || res.Source != "exit" || ran != "header_filter log exit" {
		t.Errorf("result %+v, ran %q", res, ran)
	}
	if h.Get("X-Kept") != "1" || h.Get("X-Over") != "new" || h.Get("Content-Type") != "application/json; charset=utf-8" || h.Get("Content-Length") != "16" {
		t.Errorf("headers %v", h)
	}
	x = pdktest.New(pdktest.Request{})
	use(t, x, plugin("err", 1, pdk.Handlers{Access: func(k *pdk.PDK) error { return k.Response.Error(503, "busy", nil) }}))
	if res = x.Run(); res.Response.Status != 503 || res.Source != "error" || !strings.Contains(string(res.Response.Body), `"busy"`) {
		t.Errorf("result %+v", res)
	}
}

func TestFailure(t *testing.T) {
	x := pdktest.New(pdktest.Request{})
	use(t, x, plugin("bad", 1, pdk.Handlers{Access: func(k *pdk.PDK) error {
		_ = k.CtxShared.Set("k", 1)
		panic("boom")
	}}))
	res := x.Run()
	if len(res.Failures) != 1 || res.Failures[0].Plugin != "bad" || !strings.Contains(res.Failures[0].Err.Message, "boom") || res.Failures[0].Err.Detail == "" {
		t.Errorf("failures %+v", res.Failures)
	}
	if res.Response.Status != 500 || res.Source != "error" || len(res.Shared) != 0 || res.Upstream != nil {
		t.Errorf("result %+v", res)
	}
}

func TestAuthentication(t *testing.T) {
	x := pdktest.New(pdktest.Request{Header: http.Header{"Apikey": {"s3cret"}, "Authorization": {"hush"}}})
	bob := &pdk.Consumer{ID: "f1d2d2f9-24e9-86ac-8635-06d52d3d1f2b", Username: "bob", CreatedAt: 5}
	x.Consumers = []*pdk.Consumer{bob}
	x.Credentials = map[string]map[string]*pdk.Credential{"keyauth_credentials": {"s3cret": {ID: "k", ConsumerID: bob.ID}}}
	use(t, x, plugin("auth", 2, pdk.Handlers{Access: func(k *pdk.PDK) error {
		key, _ := k.Request.GetHeader("apikey")
		credential, err := k.Client.LoadCredential("keyauth_credentials", key)
		if err != nil {
			return err
		}
		consumer, err := k.Client.LoadConsumer(credential.ConsumerID, false)
		if err != nil {
			return err
		}
		if none, err := k.Client.LoadConsumer("alice", true); none != nil || err != nil {
			t.Errorf("alice is %v %v", none, err)
		}
		return k.Client.Authenticate(consumer, credential)
	}}))
	use(t, x, plugin("next", 1, pdk.Handlers{
		Access: func(k *pdk.PDK) error {
			if c := k.Client.GetConsumer(); c == nil || c.Username != "bob" || c.CreatedAt != 5 {
				t.Errorf("consumer %+v", c)
			}
			return nil
		},
		Log: func(k *pdk.PDK) error {
			if entry, err := k.Log.Serialize(); err != nil || strings.Contains(entry, "hush") || !strings.Contains(entry, `"username":"bob"`) {
				t.Errorf("entry %s %v", entry, err)
			}
			return nil
		},
	}))
	if res := x.Run(); len(res.Failures) > 0 || res.Consumer.Username != "bob" || res.Credential.ID != "k" {
		t.Errorf("result %+v", res)
	}
}

func TestTrustedPeer(t *testing.T) {
	header := http.Header{"X-Forwarded-Proto": {"HTTPS"}, "X-Forwarded-Host": {"User@Fwd.Test:99"}, "X-Forwarded-Prefix": {"/api"}, "X-Real-Ip": {"1.2.3.4"}}
	for _, trusted := range []bool{true, false} {
		req := pdktest.Request{Header: header}
		want := []any{"http", "gw.test", 8000, "10.0.0.9", ""}
		if trusted {
			req.Trusted = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
			want = []any{"https", "fwd.test", 99, "1.2.3.4", "/api"}
		}
		x := pdktest.New(req)
		use(t, x, plugin("p", 1, pdk.Handlers{Access: func(k *pdk.PDK) error {
			prefix, _ := k.Request.GetForwardedPrefix()
			got := []any{k.Request.GetForwardedScheme(), k.Request.GetForwardedHost(), k.Request.GetForwardedPort(), k.Client.GetForwardedIP(), prefix}
			if !slices.Equal(got, want) || k.IP.IsTrusted("10.0.0.9") != trusted {
				t.Errorf("trusted %v: %v", trusted, got)
			}
			return nil
		}}))
		x.Run()
	}
}

func TestGivenFacts(t *testing.T) {
	x := pdktest.New(pdktest.Request{
		Peer: "[::1]:5", Route: &pdk.Route{Name: "r"}, Service: &pdk.Service{Name: "s"}, Consumer: &pdk.Consumer{ID: "c"}, Credential: &pdk.Credential{ID: "k"},
		Captures: pdk.Captures{Unnamed: []string{"42"}, Named: map[string]string{"id": "42"}}, Shared: map[string]any{"a": 1},
	})
	x.MaxShared, x.MaxBody, x.LogLevel = 10, 1, 4
	use(t, x, plugin("p", 1, pdk.Handlers{Access: func(k *pdk.PDK) error {
		c := k.Request.GetURICaptures()
		if k.Router.GetRoute().Name != "r" || k.Router.GetService().Name != "s" || k.Client.GetConsumer().ID != "c" || k.Client.GetCredential().ID != "k" ||
			c.Named["id"] != "42" || k.CtxShared.Get("a") != int64(1) || k.Client.GetIP() != "::1" {
			t.Error("facts")
		}
		if err := k.CtxShared.Set("long", "long text"); !errors.Is(err, pdk.ErrArg) {
			t.Errorf("over max_shared: %v", err)
		}
		if err := k.ServiceRequest.SetRawBody([]byte("long")); !errors.Is(err, pdk.ErrArg) {
			t.Errorf("over max_body: %v", err)
		}
		k.Log.Warn("not seen")
		return nil
	}}))
	if res := x.Run(); len(res.Failures) > 0 || len(res.Log) > 0 {
		t.Errorf("result %+v", res)
	}
}

func TestUseRefuses(t *testing.T) {
	x := pdktest.New(pdktest.Request{})
	if err := x.Use(plugin("p", 1, pdk.Handlers{}), `{"word":""}`); err == nil || !strings.Contains(err.Error(), "word") {
		t.Errorf("error %v", err)
	}
	if err := x.Use(pdk.Plugin{Name: "none", New: func() any { return &struct{}{} }}, ""); err == nil {
		t.Error("a plugin without handlers is taken")
	}
}

func TestWrongRequests(t *testing.T) {
	for _, req := range []pdktest.Request{{URL: "/path"}, {Peer: "here"}, {Peer: "1.2.3.4:x"}, {Shared: map[string]any{"a": func() {}}}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%+v is taken", req)
				}
			}()
			pdktest.New(req)
		}()
	}
}
