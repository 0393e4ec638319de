package basicauth

import (
	"crypto/sha1"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"strings"
	"testing"

	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/pdk/pdktest"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

var (
	alice = &pdk.Consumer{ID: "aaaaaaaa-0000-4000-8000-000000000001", Username: "alice", CustomID: "c-1"}
	guest = &pdk.Consumer{ID: "aaaaaaaa-0000-4000-8000-000000000002", Username: "nobody"}
)

// credentials belong to alice; the one of "lost" to a consumer that does not exist, that of "broken" to what is no id.
func credentials() map[string]map[string]*pdk.Credential {
	byName := map[string]*pdk.Credential{}
	for user, password := range map[string]string{"ann": "open:sesame", "zoë": "pässwörd", "empty": "", "lost": "x", "broken": "x", "odd": "x"} {
		c := &pdk.Credential{ID: "id-of-" + user, ConsumerID: alice.ID}
		switch user {
		case "lost":
			c.ConsumerID = "aaaaaaaa-0000-4000-8000-000000000009"
		case "broken":
			c.ConsumerID = "not an id"
		}
		sum := sha1.Sum([]byte(password + c.ConsumerID))
		c.Fields = map[string]any{"username": user, "password": hex.EncodeToString(sum[:])}
		byName[user] = c
	}
	byName["odd"].Fields["password"] = "not hex"
	byName["none"] = &pdk.Credential{ID: "id-of-none", ConsumerID: alice.ID}
	return map[string]map[string]*pdk.Credential{"basicauth_credentials": byName}
}

func run(t *testing.T, config string, req pdktest.Request) pdktest.Result {
	t.Helper()
	x := pdktest.New(req)
	x.Consumers = []*pdk.Consumer{alice, guest}
	x.Credentials = credentials()
	if err := x.Use(Plugin, config); err != nil {
		t.Fatal(err)
	}
	res := x.Run()
	for _, f := range res.Failures {
		t.Errorf("%s failed in %s: %+v", f.Plugin, f.Phase, f.Err)
	}
	return res
}

func basic(pair string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(pair)) }

func TestAuthentication(t *testing.T) {
	good := basic("ann:open:sesame")
	for _, c := range []struct {
		name   string
		header http.Header
		want   string // user that the credential belongs to; "": 401
	}{
		{"none", nil, ""},
		{"password with a colon", http.Header{"Authorization": {good}}, "ann"},
		{"lower case", http.Header{"Authorization": {"b" + good[1:]}}, "ann"},
		{"upper case", http.Header{"Authorization": {"BASIC" + good[5:]}}, ""},
		{"mixed case", http.Header{"Authorization": {"BaSic" + good[5:]}}, ""},
		{"several spaces", http.Header{"Authorization": {"  Basic  " + good[6:] + " "}}, "ann"},
		{"no space", http.Header{"Authorization": {"Basic" + good[6:]}}, ""},
		{"no padding", http.Header{"Authorization": {strings.TrimRight(basic("zoë:pässwörd"), "=")}}, "zoë"},
		{"UTF-8", http.Header{"Authorization": {basic("zoë:pässwörd")}}, "zoë"},
		{"Latin-1 password", http.Header{"Authorization": {basic("zo\xeb:p\xe4ssw\xf6rd")}}, ""},
		{"empty password", http.Header{"Authorization": {basic("empty:")}}, "empty"},
		{"empty password of another", http.Header{"Authorization": {basic("ann:")}}, ""},
		{"wrong password", http.Header{"Authorization": {basic("ann:open")}}, ""},
		{"longer password", http.Header{"Authorization": {basic("ann:open:sesame ")}}, ""},
		{"password in capitals", http.Header{"Authorization": {basic("ann:OPEN:SESAME")}}, ""},
		{"user in capitals", http.Header{"Authorization": {basic("ANN:open:sesame")}}, ""},
		{"unknown user", http.Header{"Authorization": {basic("bob:open:sesame")}}, ""},
		{"empty user", http.Header{"Authorization": {basic(":open:sesame")}}, ""},
		{"no colon", http.Header{"Authorization": {basic("ann")}}, ""},
		{"the hash is no password", http.Header{"Authorization": {basic("ann:" + credentials()["basicauth_credentials"]["ann"].Fields["password"].(string))}}, ""},
		{"nothing after the scheme", http.Header{"Authorization": {"Basic "}}, ""},
		{"no base64", http.Header{"Authorization": {"Basic ann:open:sesame"}}, ""},
		{"too much padding", http.Header{"Authorization": {good + "="}}, ""},
		{"other scheme", http.Header{"Authorization": {"Bearer" + good[5:]}}, ""},
		{"stored form is broken", http.Header{"Authorization": {basic("odd:x")}}, ""},
		{"stored form is absent", http.Header{"Authorization": {basic("none:")}}, ""},
		{"proxy", http.Header{"Proxy-Authorization": {good}}, "ann"},
		{"proxy first", http.Header{"Proxy-Authorization": {good}, "Authorization": {basic("zoë:pässwörd")}}, "ann"},
		{"a known user of the proxy header decides", http.Header{"Proxy-Authorization": {basic("ann:wrong")}, "Authorization": {good}}, ""},
		{"an unknown user of the proxy header does not", http.Header{"Proxy-Authorization": {basic("bob:x")}, "Authorization": {good}}, "ann"},
		{"a broken proxy header does not", http.Header{"Proxy-Authorization": {"Bearer x"}, "Authorization": {good}}, "ann"},
		{"unknown in both", http.Header{"Proxy-Authorization": {basic("bob:x")}, "Authorization": {basic("eve:x")}}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			res := run(t, "", pdktest.Request{Header: c.header})
			if c.want != "" {
				if res.Upstream == nil || res.Consumer == nil || res.Consumer.ID != alice.ID || res.Credential == nil || res.Credential.ID != "id-of-"+c.want {
					t.Fatalf("not authenticated: %d %s, consumer %v, credential %v", res.Response.Status, res.Response.Body, res.Consumer, res.Credential)
				}
				if _, shown := res.Credential.Fields["password"]; shown || res.Credential.Fields["username"] != c.want {
					t.Errorf("the plugins that follow see %v", res.Credential.Fields)
				}
				return
			}
			if res.Response.Status != 401 || !strings.Contains(string(res.Response.Body), `"Unauthorized"`) || res.Source != "error" {
				t.Errorf("answer %d %s from %s, want 401", res.Response.Status, res.Response.Body, res.Source)
			}
			if got := res.Response.Header.Values("WWW-Authenticate"); len(got) != 1 || got[0] != `Basic realm="service"` {
				t.Errorf("WWW-Authenticate is %q", got)
			}
			if res.Upstream != nil || res.Consumer != nil || res.Credential != nil {
				t.Errorf("upstream saw %v, consumer is %v", res.Upstream, res.Consumer)
			}
		})
	}
}

func TestRealm(t *testing.T) {
	res := run(t, `{"realm": "a \"b\" \\"}`, pdktest.Request{})
	if got, want := res.Response.Header.Get("WWW-Authenticate"), `Basic realm="a \"b\" \\"`; got != want {
		t.Errorf("WWW-Authenticate is %s, want %s", got, want)
	}
}

func TestIdentityHeaders(t *testing.T) {
	names := []string{"X-Consumer-ID", "X-Consumer-Custom-ID", "X-Consumer-Username", "X-Credential-Identifier", "X-Anonymous-Consumer"}
	for _, c := range []struct {
		config, pair string
		want         [5]string
	}{
		{"", "ann:open:sesame", [5]string{alice.ID, "c-1", "alice", "ann", ""}},
		{"", "zoë:pässwörd", [5]string{alice.ID, "c-1", "alice", "zoë", ""}},
		{`{"anonymous": "nobody"}`, "ann:wrong", [5]string{guest.ID, "", "nobody", "", "true"}},
		{`{"anonymous": "` + guest.ID + `"}`, "", [5]string{guest.ID, "", "nobody", "", "true"}},
	} {
		header := http.Header{"Authorization": {basic(c.pair)}}
		for _, name := range names {
			header.Set(name, "forged")
		}
		res := run(t, c.config, pdktest.Request{Header: header})
		if res.Upstream == nil {
			t.Fatalf("%s %s: answered with %d %s", c.config, c.pair, res.Response.Status, res.Response.Body)
		}
		for i, name := range names {
			if got := strings.Join(res.Upstream.Header.Values(name), ", "); got != c.want[i] {
				t.Errorf("%s %s: upstream sees %s: %q, want %q", c.config, c.pair, name, got, c.want[i])
			}
		}
	}
}

func TestAnonymous(t *testing.T) {
	authenticated := pdktest.Request{Consumer: guest, Credential: &pdk.Credential{ID: "other"}}
	t.Run("another plugin has authenticated", func(t *testing.T) {
		res := run(t, `{"anonymous": "alice"}`, authenticated)
		if res.Upstream == nil || res.Consumer != guest || res.Credential.ID != "other" || res.Upstream.Header.Get("X-Anonymous-Consumer") != "" {
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
		res := run(t, `{"anonymous": "nobody"}`, pdktest.Request{Header: http.Header{"Authorization": {basic("lost:x")}}})
		if res.Consumer == nil || res.Consumer.Username != "nobody" || res.Credential != nil {
			t.Errorf("consumer %v, credential %v", res.Consumer, res.Credential)
		}
	})
}

func TestTheHostCannotAnswer(t *testing.T) {
	check := func(t *testing.T, res pdktest.Result) {
		t.Helper()
		if res.Response.Status != 500 || !strings.Contains(string(res.Response.Body), `"An unexpected error occurred"`) || res.Response.Header.Get("WWW-Authenticate") != "" {
			t.Errorf("answer %d %v %s", res.Response.Status, res.Response.Header, res.Response.Body)
		}
		if len(res.Log) != 1 || res.Log[0].Level != 4 || strings.Contains(res.Log[0].Message, "secret") {
			t.Errorf("log %v", res.Log)
		}
	}
	for _, user := range []string{"lost", "broken"} {
		check(t, run(t, "", pdktest.Request{Header: http.Header{"Authorization": {basic(user + ":x")}}}))
	}
	x := pdktest.New(pdktest.Request{Header: http.Header{"Authorization": {basic("ann:secret")}}})
	x.Script = func(*wire.Ask) *wire.Answer {
		return &wire.Answer{Err: &wire.Error{Code: wire.CodeHostError, Message: "out of order"}}
	}
	if err := x.Use(Plugin, ""); err != nil {
		t.Fatal(err)
	}
	check(t, x.Run())
}

func TestPreflightIsNotSpecial(t *testing.T) {
	if res := run(t, "", pdktest.Request{Method: "OPTIONS"}); res.Response.Status != 401 {
		t.Errorf("status %d, want 401", res.Response.Status)
	}
}

func TestHideCredentials(t *testing.T) {
	good := basic("ann:open:sesame")
	for _, c := range []struct {
		name, config         string
		proxy, authorization string
		left                 string // names of the headers that the upstream sees
	}{
		{"off", "", good, good, "Authorization Proxy-Authorization"},
		{"the one that decides", `{"hide_credentials": true}`, "", good, ""},
		{"the other is not examined", `{"hide_credentials": true}`, good, good, "Authorization"},
		{"both are examined", `{"hide_credentials": true}`, basic("bob:x"), good, ""},
		{"another scheme is examined too", `{"hide_credentials": true}`, "Bearer x", good, ""},
		{"anonymous", `{"hide_credentials": true, "anonymous": "nobody"}`, basic("bob:x"), basic("ann:wrong"), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			header := http.Header{"X-Other": {"x"}}
			for name, value := range map[string]string{"Proxy-Authorization": c.proxy, "Authorization": c.authorization} {
				if value != "" {
					header.Set(name, value)
				}
			}
			res := run(t, c.config, pdktest.Request{Header: header})
			if res.Upstream == nil || res.Upstream.Header.Get("X-Other") != "x" {
				t.Fatalf("answer %d %s", res.Response.Status, res.Response.Body)
			}
			var left []string
			for _, name := range []string{"Authorization", "Proxy-Authorization"} {
				if res.Upstream.Header.Get(name) != "" {
					left = append(left, name)
				}
			}
			if got := strings.Join(left, " "); got != c.left {
				t.Errorf("upstream sees %q, want %q", got, c.left)
			}
		})
	}
}

func TestConfig(t *testing.T) {
	for config, want := range map[string]string{
		`{"realm": ""}`:              "realm: found",
		`{"realm": null}`:            "realm: found null",
		`{"realm": "a\nb"}`:          "realm: found",
		`{"anonymous": ""}`:          "anonymous: found",
		`{"hide_credentials": null}`: "hide_credentials: found null",
		`{"run_on_preflight": true}`: "run_on_preflight: is unknown",
	} {
		err := pdktest.New(pdktest.Request{}).Use(Plugin, config)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %s", config, err, want)
		}
	}
}

// FuzzParse holds parse against net/http: what it takes out of a header must be what net/http reads from the usual spelling of it.
func FuzzParse(f *testing.F) {
	for _, value := range []string{
		"", "Basic", "Basic ", "basic Og==", basic("ann:open"), basic("ann:"), basic(":x"), basic("a:b:c"), basic("zoë:p"), "Basic YQ", "Basic YTpi=", "Basic YTpi\x00", "Bearer YTpi",
		basic("\xff:x"), "Basic\tYTpi", "Basic YTpi YTpi",
	} {
		f.Add(value)
	}
	f.Fuzz(func(t *testing.T, value string) {
		user, password, ok := parse(value)
		if !ok {
			if user != "" || password != "" {
				t.Errorf("%q is refused, but gives %q and %q", value, user, password)
			}
			return
		}
		if user == "" || strings.Contains(user, ":") {
			t.Errorf("%q gives the user %q", value, user)
		}
		again, secret, ok := parse(basic(user + ":" + password))
		if !ok || again != user || secret != password {
			t.Errorf("%q gives %q and %q, which give %q and %q, %v", value, user, password, again, secret, ok)
		}
		r := http.Request{Header: http.Header{"Authorization": {basic(user + ":" + password)}}}
		if u, p, ok := r.BasicAuth(); !ok || u != user || p != password {
			t.Errorf("%q gives %q and %q, net/http reads %q and %q", value, user, password, u, p)
		}
	})
}
