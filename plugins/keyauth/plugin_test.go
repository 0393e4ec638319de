package keyauth

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/pdk/pdktest"
)

var (
	alice  = &pdk.Consumer{ID: "aaaaaaaa-0000-4000-8000-000000000001", Username: "alice", CustomID: "c-1"}
	nobody = &pdk.Consumer{ID: "aaaaaaaa-0000-4000-8000-000000000002", Username: "nobody"}
)

// credentials belong to alice; the one of "lost" to a consumer that does not exist, that of "broken" to what is no id.
func credentials() map[string]map[string]*pdk.Credential {
	return map[string]map[string]*pdk.Credential{"keyauth_credentials": {
		"secret": {ID: "key-1", ConsumerID: alice.ID, Fields: map[string]any{"key": "secret"}},
		"lost":   {ID: "key-2", ConsumerID: "aaaaaaaa-0000-4000-8000-000000000009"},
		"broken": {ID: "key-3", ConsumerID: "not an id"},
	}}
}

func run(t *testing.T, config string, req pdktest.Request) pdktest.Result {
	t.Helper()
	x := pdktest.New(req)
	x.Consumers = []*pdk.Consumer{alice, nobody}
	x.Credentials = credentials()
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

const formType = "application/x-www-form-urlencoded"

func TestWhereKeysAreFound(t *testing.T) {
	const (
		passes    = ""
		noKey     = "No API key found in request"
		duplicate = "Duplicate API key found"
		unknown   = "Unauthorized"
	)
	multi := func(parts ...string) string {
		body := ""
		for _, p := range parts {
			name, value, _ := strings.Cut(p, "=")
			body += fmt.Sprintf("--b\r\nContent-Disposition: form-data; name=%q\r\n\r\n%s\r\n", name, value)
		}
		return body + "--b--\r\n"
	}
	for _, c := range []struct {
		name        string
		config      string
		query       string
		header      http.Header
		contentType string
		body        string
		want        string
	}{
		{name: "no key", want: noKey},
		{name: "header", header: http.Header{"Apikey": {"secret"}}, want: passes},
		{name: "header in capitals", header: http.Header{"APIKEY": {"secret"}}, want: passes},
		{name: "empty header", header: http.Header{"Apikey": {""}}, want: noKey},
		{name: "empty header hides the query", header: http.Header{"Apikey": {""}}, query: "apikey=secret", want: noKey},
		{name: "unknown key", header: http.Header{"Apikey": {"wrong"}}, want: unknown},
		{name: "two headers", header: http.Header{"Apikey": {"secret", "secret"}}, want: duplicate},
		{name: "headers off", config: `{"key_in_header": false}`, header: http.Header{"Apikey": {"secret"}}, want: noKey},
		{name: "query", query: "a=1&apikey=secret", want: passes},
		{name: "encoded query", query: "%61pikey=%73ecret", want: passes},
		{name: "query in capitals", query: "APIKEY=secret", want: noKey},
		{name: "bare query argument", query: "apikey", want: noKey},
		{name: "empty query argument", query: "apikey=", want: noKey},
		{name: "two query arguments", query: "apikey=secret&apikey=secret", want: duplicate},
		{name: "query off", config: `{"key_in_query": false}`, query: "apikey=secret", want: noKey},
		{name: "header before query", header: http.Header{"Apikey": {"wrong"}}, query: "apikey=secret", want: unknown},
		{name: "first name decides", config: `{"key_names": ["first", "second"]}`, query: "first=wrong", header: http.Header{"Second": {"secret"}}, want: unknown},
		{name: "second name", config: `{"key_names": ["first", "second"]}`, header: http.Header{"Second": {"secret"}}, want: passes},
		{name: "bodies are off", contentType: formType, body: "apikey=secret", want: noKey},
		{name: "form", config: `{"key_in_body": true}`, contentType: formType, body: "a=1&apikey=secret", want: passes},
		{name: "form twice", config: `{"key_in_body": true}`, contentType: formType, body: "apikey=secret&apikey=secret", want: duplicate},
		{name: "JSON", config: `{"key_in_body": true}`, contentType: "application/json; charset=utf-8", body: `{"apikey":"secret"}`, want: passes},
		{name: "JSON list", config: `{"key_in_body": true}`, contentType: "application/json", body: `{"apikey":["secret","secret"]}`, want: duplicate},
		{name: "JSON number", config: `{"key_in_body": true}`, contentType: "application/json", body: `{"apikey":1}`, want: noKey},
		{name: "broken JSON", config: `{"key_in_body": true}`, contentType: "application/json", body: `{"apikey":"secret"`, want: noKey},
		{name: "multipart", config: `{"key_in_body": true}`, contentType: "multipart/form-data; boundary=b", body: multi("apikey=secret"), want: passes},
		{name: "multipart twice", config: `{"key_in_body": true}`, contentType: "multipart/form-data; boundary=b", body: multi("apikey=secret", "apikey=x"), want: duplicate},
		{name: "other type", config: `{"key_in_body": true}`, contentType: "text/plain", body: "apikey=secret", want: noKey},
		{name: "body over the limit", config: `{"key_in_body": true}`, contentType: formType, body: "apikey=secret&x=" + strings.Repeat("x", 1000), want: noKey},
		{name: "query before body", config: `{"key_in_body": true}`, query: "apikey=wrong", contentType: formType, body: "apikey=secret", want: unknown},
	} {
		t.Run(c.name, func(t *testing.T) {
			header := c.header.Clone()
			if header == nil {
				header = http.Header{}
			}
			if c.contentType != "" {
				header.Set("Content-Type", c.contentType)
			}
			res := run(t, c.config, pdktest.Request{Method: "POST", URL: "http://gw.test/x?" + c.query, Header: header, Body: []byte(c.body)})
			if c.want == passes {
				if res.Upstream == nil || res.Consumer == nil || res.Consumer.ID != alice.ID || res.Credential == nil || res.Credential.ID != "key-1" {
					t.Fatalf("not authenticated: %d %s, consumer %v, credential %v", res.Response.Status, res.Response.Body, res.Consumer, res.Credential)
				}
				return
			}
			if res.Response.Status != 401 || !strings.Contains(string(res.Response.Body), `"`+c.want+`"`) || res.Source != "error" {
				t.Errorf("answer %d %s from %s, want 401 %s", res.Response.Status, res.Response.Body, res.Source, c.want)
			}
			if got := res.Response.Header.Get("WWW-Authenticate"); got != "Key" {
				t.Errorf("WWW-Authenticate is %q, want Key", got)
			}
			if res.Upstream != nil || res.Consumer != nil {
				t.Errorf("upstream saw %v, consumer is %v", res.Upstream, res.Consumer)
			}
		})
	}
}

func TestRealm(t *testing.T) {
	res := run(t, `{"realm": "a \"b\" \\"}`, pdktest.Request{})
	if got, want := res.Response.Header.Get("WWW-Authenticate"), `Key realm="a \"b\" \\"`; got != want {
		t.Errorf("WWW-Authenticate is %s, want %s", got, want)
	}
}

func TestIdentityHeaders(t *testing.T) {
	forged := func() http.Header {
		return http.Header{
			"X-Consumer-Id": {"forged"}, "X-Consumer-Custom-Id": {"forged"}, "X-Consumer-Username": {"forged"},
			"X-Credential-Identifier": {"forged"}, "X-Anonymous-Consumer": {"forged"},
		}
	}
	names := []string{"X-Consumer-ID", "X-Consumer-Custom-ID", "X-Consumer-Username", "X-Credential-Identifier", "X-Anonymous-Consumer"}
	for _, c := range []struct {
		config, query string
		want          [5]string
	}{
		{"", "apikey=secret", [5]string{alice.ID, "c-1", "alice", "key-1", ""}},
		{`{"anonymous": "nobody"}`, "", [5]string{nobody.ID, "", "nobody", "", "true"}},
		{`{"anonymous": "` + nobody.ID + `"}`, "apikey=wrong", [5]string{nobody.ID, "", "nobody", "", "true"}},
	} {
		res := run(t, c.config, pdktest.Request{URL: "http://gw.test/?" + c.query, Header: forged()})
		if res.Upstream == nil {
			t.Fatalf("%s %s: answered with %d %s", c.config, c.query, res.Response.Status, res.Response.Body)
		}
		for i, name := range names {
			if got := strings.Join(res.Upstream.Header.Values(name), ", "); got != c.want[i] {
				t.Errorf("%s %s: upstream sees %s: %q, want %q", c.config, c.query, name, got, c.want[i])
			}
		}
	}
}

func TestAnonymous(t *testing.T) {
	authenticated := pdktest.Request{Consumer: nobody, Credential: &pdk.Credential{ID: "other"}}
	t.Run("another plugin has authenticated", func(t *testing.T) {
		res := run(t, `{"anonymous": "alice"}`, authenticated)
		if res.Upstream == nil || res.Consumer != nobody || res.Credential.ID != "other" || res.Upstream.Header.Get("X-Anonymous-Consumer") != "" {
			t.Errorf("consumer %v, credential %v", res.Consumer, res.Credential)
		}
	})
	t.Run("without anonymous this plugin must succeed too", func(t *testing.T) {
		if res := run(t, "", authenticated); res.Response.Status != 401 {
			t.Errorf("status %d, want 401", res.Response.Status)
		}
	})
	t.Run("it does not exist", func(t *testing.T) {
		res := run(t, `{"anonymous": "missing"}`, pdktest.Request{})
		if res.Response.Status != 500 || !strings.Contains(string(res.Response.Body), "anonymous consumer missing is configured but doesn't exist") {
			t.Errorf("answer %d %s", res.Response.Status, res.Response.Body)
		}
	})
	t.Run("a custom_id does not name it", func(t *testing.T) {
		if res := run(t, `{"anonymous": "c-1"}`, pdktest.Request{}); res.Response.Status != 500 {
			t.Errorf("status %d, want 500", res.Response.Status)
		}
	})
	t.Run("it takes failed look-ups too", func(t *testing.T) {
		res := run(t, `{"anonymous": "nobody"}`, pdktest.Request{URL: "http://gw.test/?apikey=lost"})
		if res.Consumer == nil || res.Consumer.Username != "nobody" || res.Credential != nil {
			t.Errorf("consumer %v, credential %v", res.Consumer, res.Credential)
		}
	})
}

func TestConsumerCannotBeLoaded(t *testing.T) {
	for _, key := range []string{"lost", "broken"} {
		res := run(t, "", pdktest.Request{URL: "http://gw.test/?apikey=" + key})
		if res.Response.Status != 500 || !strings.Contains(string(res.Response.Body), `"An unexpected error occurred"`) || res.Response.Header.Get("WWW-Authenticate") != "" {
			t.Errorf("%s: answer %d %v %s", key, res.Response.Status, res.Response.Header, res.Response.Body)
		}
		if len(res.Log) != 1 || res.Log[0].Level != 4 || strings.Contains(res.Log[0].Message, key+" ") {
			t.Errorf("%s: log %v", key, res.Log)
		}
	}
}

func TestPreflight(t *testing.T) {
	for _, c := range []struct {
		config, method string
		want           int
	}{
		{"", "OPTIONS", 401},
		{`{"run_on_preflight": false}`, "OPTIONS", 200},
		{`{"run_on_preflight": false}`, "GET", 401},
	} {
		if res := run(t, c.config, pdktest.Request{Method: c.method}); res.Response.Status != c.want {
			t.Errorf("%s %s: status %d, want %d", c.config, c.method, res.Response.Status, c.want)
		}
	}
}

func TestHideCredentials(t *testing.T) {
	const config = `{"hide_credentials": true, "key_in_body": true, "key_names": ["apikey", "other"]}`
	req := func() pdktest.Request {
		return pdktest.Request{
			Method: "POST", URL: "http://gw.test/?a=%20&apikey=secret&b&other=x",
			Header: http.Header{"Apikey": {"secret"}, "Other": {"x"}, "Content-Type": {formType}}, Body: []byte("x=1&apikey=2&other=3"),
		}
	}
	res := run(t, config, req())
	u := res.Upstream
	if u == nil {
		t.Fatalf("answered with %d %s", res.Response.Status, res.Response.Body)
	}
	if u.Header.Get("Apikey") != "" || u.Header.Get("Other") != "x" || u.Query != "a=%20&b&other=x" || string(u.Body) != "x=1&other=3" {
		t.Errorf("upstream sees %v, query %s, body %s", u.Header, u.Query, u.Body)
	}
	u = run(t, `{"hide_credentials": true}`, req()).Upstream
	if u.Header.Get("Apikey") != "" || u.Query != "a=%20&b&other=x" || string(u.Body) != "x=1&apikey=2&other=3" {
		t.Errorf("without key_in_body upstream sees %v, query %s, body %s", u.Header, u.Query, u.Body)
	}
	u = run(t, "", req()).Upstream
	if u.Header.Get("Apikey") != "secret" || u.Query != "a=%20&apikey=secret&b&other=x" {
		t.Errorf("by default upstream sees %v, query %s", u.Header, u.Query)
	}
	wrong := req()
	wrong.Header.Set("Apikey", "wrong")
	wrong.URL = "http://gw.test/"
	u = run(t, `{"hide_credentials": true, "anonymous": "nobody"}`, wrong).Upstream
	if u.Header.Get("Apikey") != "" {
		t.Errorf("the wrong key of an anonymous request goes upstream: %v", u.Header)
	}
}

func TestConfig(t *testing.T) {
	for config, want := range map[string]string{
		`{"key_names": []}`:          "key_names: found 0 elements, expected at least 1",
		`{"key_names": ["a b"]}`:     "key_names.0: found",
		`{"anonymous": ""}`:          "anonymous: found",
		`{"key_in_head": true}`:      "key_in_head: is unknown",
		`{"hide_credentials": null}`: "hide_credentials: found null",
		`{"key_names": null}`:        "key_names: found null",
	} {
		err := pdktest.New(pdktest.Request{}).Use(Plugin, config)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %s", config, err, want)
		}
	}
}
