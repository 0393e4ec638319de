package pdktest_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/pdk/pdktest"
)

func TestWhereTheRequestGoes(t *testing.T) {
	x := pdktest.New(pdktest.Request{Service: &pdk.Service{Name: "s", Protocol: "https", Host: "up.test", Port: 443, Retries: 5, ReadTimeout: 60000}})
	x.Upstreams = []string{"blue"}
	const cert, key = "-----BEGIN CERTIFICATE-----", "-----BEGIN PRIVATE KEY-----"
	use(t, x, plugin("p", 1, pdk.Handlers{Access: func(k *pdk.PDK) error {
		if err := k.Service.SetUpstream("green"); !errors.Is(err, pdk.ErrData) {
			t.Errorf("an upstream that is not there: %v", err)
		}
		return errors.Join(k.Service.SetTarget("first.test", 1), k.Service.SetUpstream("blue"), k.Service.SetRetries(2), k.Service.SetTimeouts(1, 2, 3),
			k.Service.SetFallbackTargets([]string{"b.test:80"}), k.Service.SetTLSVerify(true), k.Service.SetTLSVerifyDepth(0),
			k.Service.SetTLSCertKey(cert, key), k.Service.SetTLSVerifyStore(cert))
	}}))
	up := x.Run().Upstream
	if up == nil || up.Name != "blue" || up.Host != "" || up.Retries != 2 || up.ConnectTimeout != 1 || up.WriteTimeout != 2 || up.ReadTimeout != 3 || !slices.Equal(up.Fallbacks, []string{"b.test:80"}) {
		t.Fatalf("upstream %+v", up)
	}
	if tls := up.TLS; tls.Verify == nil || !*tls.Verify || tls.VerifyDepth == nil || *tls.VerifyDepth != 0 || tls.Certificates != cert || tls.Key != key || tls.Store != cert {
		t.Errorf("TLS %+v", tls)
	}
	x = pdktest.New(pdktest.Request{Service: &pdk.Service{Name: "s", Protocol: "https", Host: "up.test", Port: 443, Retries: 5, ReadTimeout: 60000}})
	if up = x.Run().Upstream; up.Host != "up.test" || up.Port != 443 || up.Retries != 5 || up.ReadTimeout != 60000 || up.TLS.Verify != nil {
		t.Errorf("without a plugin %+v", up)
	}
}

func TestWhatTheGatewayKnows(t *testing.T) {
	const bob, reference = "f1d2d2f9-24e9-46ac-8635-06d52d3d1f2b", "{vault://env/pw}"
	x := pdktest.New(pdktest.Request{
		URL: "https://gw.test/a?x=1", Header: http.Header{"Cookie": {"a=b; c=d"}},
		TLS: &pdktest.TLS{Version: "TLSv1.2", Cipher: "c", ClientVerify: "SUCCESS", Certificates: "PEM"}, Groups: []*pdk.ConsumerGroup{{ID: "g0"}},
	})
	x.Consumers, x.Groups = []*pdk.Consumer{{ID: bob}}, map[string][]*pdk.ConsumerGroup{bob: {{ID: "g1", Name: "gold"}}}
	x.Secrets = map[string]string{reference: "s3cret"}
	x.Cache = pdktest.Cache{"p": {"k": int64(1)}}
	x.Configuration = map[string]any{"log_level": "info"}
	x.Statistics = map[string]any{"total_requests": 7}
	x.Memory = map[string]any{"process": map[string]any{"heap": 5}}
	x.Variables = map[string]string{"request_time": "0.001"}
	x.ClusterID, x.Version = "cluster", "9.9.9"
	p := plugin("p", 1, pdk.Handlers{
		Access: func(k *pdk.PDK) error {
			groups, err := k.Client.AuthenticateConsumerGroupByConsumerID(bob)
			if err != nil || len(groups) != 1 || k.Client.GetConsumerGroup().Name != "gold" {
				t.Errorf("groups %v %v", groups, err)
			}
			if _, err := k.Client.AuthenticateConsumerGroupByConsumerID("00000000-0000-4000-8000-000000000000"); !errors.Is(err, pdk.ErrData) {
				t.Errorf("groups of nobody: %v", err)
			}
			secret, err1 := k.Vault.Get(reference)
			_, err2 := k.Vault.Get("{vault://env/none}")
			options, err3 := k.Vault.Update(map[string]any{"password": "old", "$refs": map[string]any{"password": reference}})
			if secret != "s3cret" || err1 != nil || !errors.Is(err2, pdk.ErrData) || options["password"] != "s3cret" || err3 != nil {
				t.Errorf("vault %q %v %v %v %v", secret, err1, err2, options, err3)
			}
			cached, err := k.Cache.Get("k")
			if cached != int64(1) || err != nil {
				t.Errorf("cache %v %v", cached, err)
			}
			chain, has, err := k.ClientTLS.GetFullClientCertificateChain()
			if chain != "PEM" || !has || err != nil {
				t.Errorf("chain %q %v %v", chain, has, err)
			}
			cluster, _ := k.Cluster.GetID()
			if cluster != "cluster" || k.Node.GetVersion() != "9.9.9" || k.Plugin.GetID() != "id-of-p" {
				t.Errorf("node %q %q %q", cluster, k.Node.GetVersion(), k.Plugin.GetID())
			}
			memory, err1 := k.Node.GetMemoryStats("", -1)
			settings, err2 := k.Node.GetConfiguration()
			counters, err3 := k.Nginx.GetStatistics()
			if memory["process"] == nil || settings["log_level"] != "info" || counters["total_requests"] != int64(7) || errors.Join(err1, err2, err3) != nil {
				t.Errorf("asks %v %v %v", memory, settings, counters)
			}
			for name, want := range map[string]string{
				"request_method": "GET", "uri": "/a", "args": "x=1", "arg_x": "1", "https": "on", "cookie_c": "d", "ssl_protocol": "TLSv1.2", "request_time": "0.001",
				"http_cookie": "a=b; c=d", "nope": "", "status": "",
			} {
				if got, has, err := k.Nginx.GetVar(name); got != want || has != (want != "") || err != nil {
					t.Errorf("variable %s is %q %v %v", name, got, has, err)
				}
			}
			return errors.Join(k.Cache.Set("k", nil, 0), k.Cache.Set("new", []any{"v"}, 5), k.ClientTLS.SetClientVerify("FAILED:no"), k.CtxPlugin.Set("seen", 1))
		},
		Log: func(k *pdk.PDK) error {
			if k.CtxPlugin.Get("seen") != int64(1) || k.CtxShared.Get("seen") != nil {
				t.Error("ctx.plugin does not reach the log phase")
			}
			outer := k.Tracing.StartSpan("outer", map[string]any{"a": 1})
			k.Tracing.StartSpan("inner", nil).RecordError("boom")
			outer.Finish()
			return k.Telemetry.Log("p", map[string]any{"c": 1}, "audit", "done", map[string]any{"n": 1})
		},
	})
	if err := x.Use(p, "", pdktest.ID("id-of-p")); err != nil {
		t.Fatal(err)
	}
	res := x.Run()
	if len(res.Failures) > 0 {
		t.Fatalf("failures %+v", res.Failures)
	}
	if want := (pdktest.Cache{"p": {"new": []any{"v"}}}); !reflect.DeepEqual(x.Cache, want) {
		t.Errorf("cache %v", x.Cache)
	}
	if len(res.Groups) != 1 || res.Groups[0].Name != "gold" || res.ClientVerify != "FAILED:no" || res.Plugin["p"]["seen"] != int64(1) {
		t.Errorf("result %+v", res)
	}
	if len(res.Telemetry) != 1 || res.Telemetry[0].Type != "audit" || res.Telemetry[0].Attributes["n"] != int64(1) {
		t.Errorf("telemetry %+v", res.Telemetry)
	}
	if len(res.Spans) != 2 || res.Spans[0].Name != "outer" || res.Spans[1].Parent != 1 || res.Spans[1].Status != pdk.SpanError || res.Spans[1].Phase != pdk.PhaseLog {
		t.Errorf("spans %+v", res.Spans)
	}
	var entry struct {
		Request struct {
			TLS map[string]string `json:"tls"`
		} `json:"request"`
		Spans          []map[string]any `json:"spans"`
		UpstreamStatus int              `json:"upstream_status"`
		Route          map[string]any   `json:"route"`
	}
	if err := json.Unmarshal([]byte(res.Entry), &entry); err != nil || entry.Request.TLS["client_verify"] != "FAILED:no" || len(entry.Spans) != 2 ||
		entry.Spans[0]["plugin_id"] != "id-of-p" || entry.UpstreamStatus != 200 || entry.Route["name"] != "test" {
		t.Errorf("entry %s %v", res.Entry, err)
	}
}

func TestFailModes(t *testing.T) {
	bad := func(k *pdk.PDK) error {
		_ = k.ServiceRequest.SetHeader("X-Lost", "1")
		return errors.New("boom")
	}
	x := pdktest.New(pdktest.Request{Header: http.Header{"Accept": {"text/html"}}})
	if err := x.Use(plugin("open", 1, pdk.Handlers{Access: bad}), "", pdktest.FailOpen()); err != nil {
		t.Fatal(err)
	}
	res := x.Run()
	if res.Response.Status != 200 || len(res.Failures) != 1 || res.Upstream.Header.Get("X-Lost") != "" {
		t.Errorf("failing open %+v", res)
	}
	x = pdktest.New(pdktest.Request{Header: http.Header{"Accept": {"text/html"}}})
	use(t, x, plugin("closed", 1, pdk.Handlers{Access: bad}))
	res = x.Run()
	if res.Response.Status != 500 || res.Source != "error" || res.Response.Header.Get("Content-Type") != "text/html; charset=utf-8" || !strings.Contains(string(res.Response.Body), "<p>An unexpected error occurred.</p>") {
		t.Errorf("failing closed %+v %s", res, res.Response.Body)
	}
	x = pdktest.New(pdktest.Request{})
	sets := pdk.Handlers{Access: func(k *pdk.PDK) error { return k.Client.Authenticate(&pdk.Consumer{ID: "c"}, nil) }}
	if err := x.Use(plugin("sets", 1, sets), "", pdktest.FailOpen()); err != nil {
		t.Fatal(err)
	}
	if res = x.Run(); len(res.Failures) != 1 || res.Consumer != nil {
		t.Errorf("a plugin that fails open and does not say that it authenticates: %+v", res)
	}
	says := plugin("says", 1, sets)
	says.Authenticates = true
	if err := pdktest.New(pdktest.Request{}).Use(says, "", pdktest.FailOpen()); err == nil {
		t.Error("a plugin that authenticates may fail open")
	}
}

func TestHeadersBeforeTheResponse(t *testing.T) {
	for _, buffered := range []bool{false, true} {
		x := pdktest.New(pdktest.Request{})
		x.Answer = func(pdktest.Upstream) pdktest.Response {
			return pdktest.Response{Header: http.Header{"X-Both": {"upstream"}}, Body: []byte("body")}
		}
		use(t, x, pdk.Plugin{Name: "early", Version: "1", Priority: 2, New: func() any { return &early{} }})
		both, body := []string{"upstream", "plugin"}, "body"
		if buffered {
			use(t, x, pdk.Plugin{Name: "buffers", Version: "1", Priority: 1, New: func() any { return &buffers{} }})
			both, body = both[:1], "body!"
		}
		res := x.Run()
		if h := res.Response.Header; !slices.Equal(h.Values("X-Both"), both) || h.Get("X-Early") != "1" || string(res.Response.Body) != body {
			t.Errorf("buffered %v: %v %q", buffered, h, res.Response.Body)
		}
	}
}

// early sets headers before there is a response.
type early struct{}

func (*early) Access(k *pdk.PDK) error {
	return errors.Join(k.Response.SetHeader("X-Both", "plugin"), k.Response.SetHeader("X-Early", "1"))
}

// buffers handles the response phase, for which the gateway buffers.
type buffers struct{}

func (*buffers) Response(k *pdk.PDK) error {
	body, err := k.Response.GetRawBody()
	if err != nil {
		return err
	}
	if err := k.Response.SetRawBody(append(body, '!')); err != nil {
		return err
	}
	_, err = k.Response.GetRawBody()
	return err
}

// keyed has a configuration with a secret.
type keyed struct {
	Key string `json:"key" schema:"secret,referenceable,minlen=3"`
}

func (k *keyed) Validate() error {
	if k.Key == "forbidden" {
		return &pdk.ConfigError{Path: "key", Message: "found what everybody knows, expected another"}
	}
	return nil
}

func (k *keyed) Access(kong *pdk.PDK) error { return kong.ServiceRequest.SetHeader("X-Key", k.Key) }

func TestReferencesInAConfiguration(t *testing.T) {
	p := pdk.Plugin{Name: "keyed", Version: "1", New: func() any { return &keyed{} }}
	x := pdktest.New(pdktest.Request{})
	x.Secrets = map[string]string{"{vault://env/key}": "s3cret", "{vault://env/known}": "forbidden"}
	if err := x.Use(p, `{"key":"{vault://env/none}"}`); err == nil || !strings.Contains(err.Error(), "key: expected a reference that leads to a secret") {
		t.Errorf("a reference that leads nowhere: %v", err)
	}
	var refused *pdk.ConfigError
	if err := x.Use(p, `{"key":"{vault://env/known}"}`); !errors.As(err, &refused) || refused.Path != "key" {
		t.Errorf("Validate is not asked: %v", err)
	}
	if err := x.Use(p, `{"key":"{vault://env/key}"}`); err != nil {
		t.Fatal(err)
	}
	if got := x.Run().Upstream.Header.Get("X-Key"); got != "s3cret" {
		t.Errorf("the plugin sees %q", got)
	}
}

// The trace context of a call is the one that the request brings.
func TestTraceContext(t *testing.T) {
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	x := pdktest.New(pdktest.Request{Header: http.Header{"Traceparent": {parent}}})
	var found, state string
	use(t, x, plugin("p", 1, pdk.Handlers{Access: func(k *pdk.PDK) error {
		found, _ = k.Tracing.GetTraceparent()
		state, _ = k.Tracing.GetTracestate()
		return nil
	}}))
	x.Run()
	if found != parent || state != "" {
		t.Errorf("found %q and %q", found, state)
	}
}
