package blackbox

import (
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/outrigger-gateway/outrigger/host/internal/dispatch"
	"github.com/outrigger-gateway/outrigger/host/internal/entity"
	"github.com/outrigger-gateway/outrigger/host/internal/plan"
	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

func TestNames(t *testing.T) {
	n := namesOf([]string{"x-customer-*", "X_Shop", "myNumber"})
	for name, want := range map[string]bool{
		"Authorization": true, "proxy-authorization": true, "Cookie": true, "Set-Cookie": true, "X-Api-Key": true, "apikey": true, "X_API_KEY": true,
		"accessKey": true, "privatekey": true, "X-Functions-Key": true, "Ocp-Apim-Subscription-Key": true, "db_pass": true, "conf.password": true, "X-Basic-Auth": true,
		"Sec-WebSocket-Key": false, "X-Cache-Key": false, "publicKey": false, "author": false, "keyboard": false, "compass": false,
		"access_token": true, "client_secret": true, "user-password": true, "X-Shop": true, "mynumber": true, "my_number": true, "x-customer-no": true, "key": true, "X-CSRF-Token": true,
		"host": false, "accept": false, "x-customer": false, "keys-of-a-piano": false, "monkey": false, "": false,
	} {
		if n.secret(name) != want {
			t.Errorf("%q is a secret: %t", name, !want)
		}
	}
	for name, want := range map[string]bool{
		"client_secret": true, "redis_password": true, "apiToken": true, "secret_is_base64": true, "token_header": false, "token_endpoint": false, "key": false,
		"session_storage": false, "mynumber": true,
	} {
		if n.setting(name) != want {
			t.Errorf("the setting %q is a secret: %t", name, !want)
		}
	}
	for name, want := range map[string]bool{
		"http_authorization": true, "cookie_x": true, "arg_apikey": true, "http_host": false, "sent_http_set_cookie": true, "request_uri": false,
	} {
		if n.variable(name) != want {
			t.Errorf("variable %q is a secret: %t", name, !want)
		}
	}
}

// Values behind secret names are found in texts of any kind, and what only looks alike stays.
func TestPairs(t *testing.T) {
	r := redactorOf(wire.Facts{})
	for text, want := range map[string]string{
		`{"user": "ada", "password": "pw", "pin": 1234, "token": null}`: `{"user": "ada", "password": "<redacted 2 bytes>", "pin": "<redacted 4 bytes>", "token": null}`,
		`{"password":"a\"b\\","x":1}`:                                   `{"password":"<redacted 6 bytes>","x":1}`,
		`{'apiKey': 'k', 'b': 'c'}`:                                     `{'apiKey': '<redacted 1 bytes>', 'b': 'c'}`,
		`"{\"client_secret\": \"s\", \"n\": 1}"`:                        `"{\"client_secret\": \"<redacted 1 bytes>\", \"n\": 1}"`,
		`name=ada&password=pw&x=1`:                                      `name=ada&password=<redacted 2 bytes>&x=1`,
		`user[password]=a&user%5Bpin%5D=b&c=d`:                          `user[password]=<redacted 1 bytes>&user%5Bpin%5D=<redacted 1 bytes>&c=d`,
		`Authorization: Bearer abcdef, x`:                               `Authorization: Bearer <redacted 6 bytes>, x`,
		`connect host=db password=pw dbname=x`:                          `connect host=db password=<redacted 2 bytes> dbname=x`,
		`connect(password="p w", timeout=3)`:                            `connect(password="<redacted 3 bytes>", timeout=3)`,
		`password: "never closed`:                                       `password: "<redacted 12 bytes>`,
		`x-api-key: k1`:                                                 `x-api-key: <redacted 2 bytes>`,
		`invalid token: expected three parts`:                           `invalid token: expected three parts`,
		`KeyError: 'session'`:                                           `KeyError: 'session'`,
		`    token = decode(header)`:                                    `    token = decode(header)`,
		`if token == x: return`:                                         `if token == x: return`,
		`def f(key: str, password: bytes):`:                             `def f(key: str, password: bytes):`,
		`token=`:                                                        `token=`,
		`token:`:                                                        `token:`,
		`password="`:                                                    `password="`,
		`="`:                                                            `="`,
		`secret:\`:                                                      `secret:<redacted 1 bytes>`,
		`password=<redacted 3 bytes>`:                                   `password=<redacted 3 bytes>`,
	} {
		if got := r.text(text); got != want {
			t.Errorf("%s\nfound    %s\nexpected %s", text, got, want)
		}
	}
	long := strings.Repeat("a", 300) + "password=pw"
	if got := r.text(long); got != strings.Repeat("a", 300)+"password=pw" { // no name is that long
		t.Errorf("found %s", got)
	}
}

func FuzzPairs(f *testing.F) {
	for _, text := range []string{`{"a": "b"}`, `token=x`, `token: 'x\`, `token:\"x\"`, `%5D=`, `Authorization: Basic `} {
		f.Add(text)
	}
	r := redactorOf(wire.Facts{})
	f.Fuzz(func(t *testing.T, text string) {
		r.text(text)
		if got := r.text(`{"password": "s3cret-value"} ` + text); strings.Contains(got[:min(len(got), 40)], "s3cret") {
			t.Errorf("found %q", got)
		}
	})
}

func TestSecretsByTheirLooks(t *testing.T) {
	r := redactorOf(wire.Facts{})
	for text, want := range map[string]string{
		"a -----BEGIN RSA PRIVATE KEY-----\nMII\n-----END RSA PRIVATE KEY----- b": "a <redacted 65 bytes> b",
		"-----BEGIN PRIVATE KEY-----\nMII":                                        "<redacted 31 bytes>",
		"bad eyJhbGciOiJI.eyJzdWIi.abc_- here":                                    "bad <redacted 27 bytes> here",
		"-----BEGIN CERTIFICATE-----":                                             "-----BEGIN CERTIFICATE-----",
	} {
		if got := r.text(text); got != want {
			t.Errorf("%s\nfound    %s\nexpected %s", text, got, want)
		}
	}
}

func redactorOf(f wire.Facts, configured ...string) *redactor {
	return newRedactor(namesOf(nil), &dispatch.Call{
		Request: &wire.Call{Facts: &f}, Outcome: &wire.Outcome{}, Instance: &plan.Instance{Record: &entity.Plugin{Secrets: configured}},
	})
}

func TestRedactedTargets(t *testing.T) {
	r := redactorOf(wire.Facts{Request: wire.Request{Target: "/?token=t%2Doken-1"}})
	for target, want := range map[string]string{
		"/a?b=1&apikey=0123&c": "/a?b=1&apikey=<redacted+4+bytes>&c",
		"/a?api%5Fkey=0123":    "/a?api%5Fkey=<redacted+4+bytes>",
		"/t-oken-1/x":          "/<redacted+8+bytes>/x", // the secret stands in the path too
		"/a?b=t%2Doken-1":      "/a?b=<redacted+10+bytes>",
		"/a?token=&key":        "/a?token=&key",
		"/a":                   "/a",
		"*":                    "*",
	} {
		if got := r.target(target); string(got) != want {
			t.Errorf("%s: found %s, expected %s", target, got, want)
		}
	}
}

func TestRedactedHeaders(t *testing.T) {
	r := redactorOf(wire.Facts{})
	for _, c := range [][3]string{
		{"Authorization", "Bearer abcdef", "Bearer <redacted 6 bytes>"},
		{"proxy-authorization", "abcdef", "<redacted 6 bytes>"},
		{"cookie", "a=b; c=d", "<redacted 8 bytes>"},
		{"referer", "https://u:pw@h/?token=abc&x=1", "https://<redacted 4 bytes>@h/?token=<redacted+3+bytes>&x=1"},
		{"x-api-key", "", ""},
		{"accept", "*/*", "*/*"},
	} {
		if got := r.header(c[0], c[1]); string(got) != c[2] {
			t.Errorf("%s: %s: found %s, expected %s", c[0], c[1], got, c[2])
		}
	}
}

// No secret of a call is in its file, wherever it came by: what handlers, errors and answers repeat of it is redacted too.
func TestNoSecretIsInAFile(t *testing.T) {
	r, dir, _ := newTest(t, func(o *Options) { o.Bodies, o.Redact = true, []string{"x-customer"} })
	c := failing(t, dispatch.Refused, nil)
	f := c.Request.Facts
	f.Request.Headers = []wire.Header{
		{Name: "Authorization", Value: "Basic YWRhOnMzY3JldC1wYXNz"}, {Name: "Cookie", Value: "sid=s3cret-cookie; theme=dark-theme"}, {Name: "x-shop", Value: "s3cret-shop"},
		{Name: "X-Customer", Value: "s3cret-customer"},
	}
	f.Request.Target, f.Request.Path, f.Request.RawQuery = "/s3cret-shop?api_key=s3cret-query", "/s3cret-shop", "api_key=s3cret-query"
	f.Response.Headers = []wire.Header{{Name: "set-cookie", Value: "a=s3cret-set; Path=/"}, {Name: "location", Value: "/?x=s3cret-set"}}
	f.Credential = doc(t, map[string]any{"id": "k", "key": "s3cret-credential", "consumer": map[string]any{"id": "c"}})
	f.Shared = []wire.SharedValue{{Key: "session", Value: raw(t, map[string]any{"a": "s3cret-shared", "n": int64(123456789)})}}
	record := c.Instance.Record
	record.Config = map[string]any{"key": "s3cret-config", "ref": "{vault://env/x}", "list": []any{map[string]any{"k": "s3cret-config"}}, "url": "http://u:s3cret-url@h/"}
	record.Resolved = map[string]any{"key": "s3cret-config", "ref": "s3cret-resolved", "list": []any{map[string]any{"k": "s3cret-config"}}, "url": "http://u:s3cret-url@h/"}
	record.Secrets = []string{"s3cret-config", "s3cret-resolved"}
	record.Config["db_password"], record.Resolved["db_password"] = "s3cret-named", "s3cret-named"
	record.Config["tokens"], record.Resolved["tokens"] = []string{"s3cret-listed"}, []string{"s3cret-listed"}
	c.Request.Chunk = []byte("s3cret-shop and s3cret-pass")
	c.Request.RequestBody = []byte(`{"login": {"password": "s3cret-json", "pin": 4711}, "note": "s3cret-json"}`)
	c.Request.ResponseBody = []byte(`refresh_token=s3cret-form&x=s3cret-form&pwd=x`)
	c.Err = errors.Join(&wire.Error{
		Code: "handler_error", Detail: "at s3cret-resolved, of s3cret-vault and s3cret-loaded, was s3cret-op",
		Message: "bad s3cret-config, s3cret-named, s3cret-listed, s3cret-json, s3cret-form, s3cret-asked, s3cret-argument, s3cret-var, s3cret-jwt, s3cret-authenticated",
	})
	ask := func(fn wire.AskFn, answer *wire.Answer, args ...any) {
		a := &wire.Ask{Fn: fn}
		for _, arg := range args {
			a.Args = append(a.Args, raw(t, arg))
		}
		r.Asked(c, a, answer)
	}
	ask(pdk.AskVaultGet, &wire.Answer{Value: raw(t, "s3cret-vault")}, "{vault://env/y}")
	ask(pdk.AskClientLoadCredential, &wire.Answer{Value: raw(t, map[string]any{"id": "z", "key": "s3cret-loaded"})}, "keyauth_credentials", "s3cret-argument")
	ask(pdk.AskRequestGetRawBody, &wire.Answer{Bytes: []byte(`{"api_key": "s3cret-asked"}`), IsBytes: true})
	ask(pdk.AskNginxGetVar, &wire.Answer{Bytes: []byte("s3cret-var"), IsBytes: true}, "cookie_b")
	ask(pdk.AskNginxGetVar, &wire.Answer{Bytes: []byte("GET /?api_key=s3cret-line HTTP/1.1"), IsBytes: true}, "request")
	ask(pdk.AskLogSerialize, &wire.Answer{Value: raw(t, map[string]any{"request": map[string]any{"headers": map[string]any{"apikey": "s3cret-log"}}})})
	ask(pdk.AskCacheGet, &wire.Answer{Value: raw(t, "s3cret-cache")}, "token:1")
	c.Outcome.Ops = []wire.Op{
		{Code: wire.OpServiceRequestSetHeader, Name: "X-Api-Key", Values: []string{"s3cret-op"}},
		{Code: wire.OpServiceRequestSetHeader, Name: "X-Plain", Values: []string{"s3cret-vault"}},
		{Code: wire.OpServiceRequestSetRawQuery, Name: "token=s3cret-raw"},
		{Code: wire.OpResponseExit, Status: 401, Body: []byte("no s3cret-shop"), HasBody: true, Headers: []wire.Header{{Name: "set-cookie", Value: "x=s3cret-exit"}}},
		{Code: wire.OpClientAuthenticate, Value: raw(t, map[string]any{"id": "c"}), Credential: raw(t, map[string]any{"id": "k", "password": "s3cret-authenticated"})},
		{Code: wire.OpCtxSharedSet, Name: "jwt", Value: raw(t, "s3cret-jwt")},
		{Code: wire.OpServiceSetTLSCertKey, Value: raw(t, []any{"cert", "s3cret-pem"})},
	}
	r.After(c)
	finish(t, r)
	text, err := os.ReadFile(files(t, dir)[0])
	if err != nil {
		t.Fatal(err)
	}
	for i, part := range strings.Split(string(text), "s3cret") {
		if i > 0 {
			t.Errorf("s3cret%.20s is in the file", part)
		}
	}
	if strings.Contains(string(text), "123456789") || strings.Contains(string(text), "YWRhOnMz") || strings.Contains(string(text), "4711") {
		t.Errorf("%s", text)
	}
	rec, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(rec.Secrets, " "); got != "db_password key list.0.k ref tokens.0" {
		t.Errorf("secrets of the configuration: %s", got)
	}
	var config map[string]any
	if err := json.Unmarshal(rec.Config, &config); err != nil || config["key"] != "<redacted 13 bytes>" || config["ref"] != "{vault://env/x}" {
		t.Errorf("%v %v", config, err)
	}
	if id := rec.Call.Credential.V.(map[string]any)["id"]; id != "k" {
		t.Errorf("credential %v", rec.Call.Credential)
	}
}

// A value that happens to be short, or empty, is redacted at its place and looked for nowhere else.
func TestShortSecretsAreNotLookedFor(t *testing.T) {
	r := redactorOf(wire.Facts{Request: wire.Request{Headers: []wire.Header{{Name: "apikey", Value: "a"}, {Name: "cookie", Value: "x="}}}}, "abc", "")
	if got := r.text("a banana, abc"); got != "a banana, abc" {
		t.Error(got)
	}
}
