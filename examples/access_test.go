package examples

import (
	"encoding/base64"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

func basic(pair string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(pair)) }

// people are consumers with passwords and groups, nested and at the top level.
const people = `
consumers:
- username: ann
  basicauth_credentials: [{username: ann, password: "open:sesame"}]
  acls: [{group: staff}, {group: admins}]
  keyauth_credentials: [{key: anns-key}]
- username: bob
  groups: [team]
- username: guest
consumer_groups: [{name: team}]
basicauth_credentials: [{consumer: bob, username: "bób", password: "pässwörd"}]
acls: [{consumer: bob, group: visitors}]
`

// Authentication by password, groups and limits in one chain, natively and in a plugin server: the same answers.
func TestPasswordsGroupsAndLimits(t *testing.T) {
	t.Parallel()
	up := echoUpstream(t)
	config := func(limit int) string {
		var list []string
		for _, served := range []string{"", "served-"} {
			list = append(list,
				route("/"+served+"staff",
					"{name: "+served+"basic-auth, config: {hide_credentials: true, realm: shop}}", "{name: "+served+"acl, config: {allow: [staff, directors]}}",
					// A year: no test runs past the end of the window.
					fmt.Sprintf("{name: %srate-limiting, config: {year: %d, error_message: enough}}", served, limit)),
				route("/"+served+"either",
					"{name: "+served+"key-auth, config: {anonymous: guest}}", "{name: "+served+"basic-auth, config: {anonymous: guest}}", "{name: "+served+"acl, config: {deny: [visitors]}}"),
				route("/"+served+"team", "{name: "+served+"basic-auth}", "{name: "+served+"acl, config: {allow: [team], include_consumer_groups: true, hide_groups_header: true}}"),
				route("/"+served+"crowd", "{name: "+served+"rate-limiting, config: {year: 20, limit_by: header, header_name: x-who}}"),
			)
		}
		return routes(up.URL, list...) + people
	}
	g := launch{settings: settings{"plugin_servers": []server{testServer("go", "msgpack")}}, entities: config(3)}.start(t)
	ann, bob := basic("ann:open:sesame"), basic("bób:pässwörd")
	for _, at := range []string{"/", "/served-"} {
		t.Run("chain at "+at, func(t *testing.T) {
			for _, wrong := range [][]string{nil, {"Authorization", basic("ann:wrong")}, {"Authorization", basic("eve:open:sesame")}, {"Authorization", "Bearer x"}} {
				a := g.get(t, at+"staff", wrong...).want(t, 401).wantHeader(t, "WWW-Authenticate", `Basic realm="shop"`)
				a.wantHeader(t, "RateLimit-Limit") // nobody was counted
			}
			g.get(t, at+"staff", "Authorization", bob).want(t, 403)
			for left := 2; left >= 0; left-- {
				a := g.get(t, at+"staff", "Authorization", ann, "X-Consumer-Groups", "forged", "X-Consumer-Username", "forged").want(t, 200)
				a.wantHeader(t, "X-RateLimit-Limit-Year", "3").wantHeader(t, "X-RateLimit-Remaining-Year", fmt.Sprint(left)).wantHeader(t, "RateLimit-Remaining", fmt.Sprint(left))
				e := a.echo(t)
				e.wantUpstream(t, "X-Consumer-Username", "ann")
				e.wantUpstream(t, "X-Credential-Identifier", "ann")
				e.wantUpstream(t, "X-Consumer-Groups", "admins, staff")
				e.wantUpstream(t, "Authorization")
			}
			a := g.get(t, at+"staff", "Authorization", ann).want(t, 429).wantHeader(t, "X-RateLimit-Remaining-Year", "0")
			if retry := a.header.Get("Retry-After"); retry == "" || retry != a.header.Get("RateLimit-Reset") || !strings.Contains(string(a.body), `"enough"`) {
				t.Errorf("refused with %v", a)
			}
		})
		t.Run("either at "+at, func(t *testing.T) {
			for _, c := range []struct {
				name, user string
				headers    []string
			}{
				{"key", "ann", []string{"apikey", "anns-key"}},
				{"password", "ann", []string{"Authorization", ann}},
				{"password for a proxy", "ann", []string{"Proxy-Authorization", ann, "Authorization", "Bearer x"}},
				{"both wrong", "guest", []string{"Authorization", basic("ann:x"), "apikey", "x"}},
				{"neither", "guest", nil},
			} {
				e := g.get(t, at+"either", c.headers...).want(t, 200).echo(t)
				if found := strings.Join(e.Headers["x-consumer-username"], "+"); found != c.user {
					t.Errorf("%s: the consumer is %q, expected %q", c.name, found, c.user)
				}
			}
			g.get(t, at+"either", "Authorization", bob).want(t, 403)
		})
		t.Run("consumer groups at "+at, func(t *testing.T) {
			g.get(t, at+"team", "Authorization", ann).want(t, 403)
			g.get(t, at+"team", "Authorization", bob).want(t, 200).echo(t).wantUpstream(t, "X-Consumer-Groups")
		})
		t.Run("crowd at "+at, func(t *testing.T) {
			var passed, refused atomic.Int64
			var wg sync.WaitGroup
			for range 60 {
				wg.Go(func() {
					switch a, err := g.do("GET", at+"crowd", nil, "X-Who", "crowd"); {
					case err != nil:
						t.Error(err)
					case a.status == 200:
						passed.Add(1)
					case a.status == 429:
						refused.Add(1)
					}
				})
			}
			wg.Wait()
			if passed.Load() != 20 || refused.Load() != 40 {
				t.Errorf("%d requests passed and %d were refused, expected 20 and 40", passed.Load(), refused.Load())
			}
			g.get(t, at+"crowd", "X-Who", "another").want(t, 200)
		})
	}

	// Two more are allowed, and what was counted stays. A password that changed counts at once.
	g.reload(t, strings.ReplaceAll(config(5), "pässwörd", "changed"))
	for _, at := range []string{"/", "/served-"} {
		g.get(t, at+"staff", "Authorization", ann).want(t, 200).wantHeader(t, "X-RateLimit-Remaining-Year", "1")
		g.get(t, at+"team", "Authorization", bob).want(t, 401)
		g.get(t, at+"team", "Authorization", basic("bób:changed")).want(t, 200)
	}

	// Nothing tells of passwords.
	for _, l := range g.log.since(0) {
		if text := fmt.Sprint(l); strings.Contains(text, "sesame") || strings.Contains(text, ann) {
			t.Errorf("the log has %s", text)
		}
	}
}

// What is wrong with credentials and with these plugins is told with its place.
func TestPasswordsGroupsAndLimitsRefused(t *testing.T) {
	t.Parallel()
	text := routes("http://127.0.0.1:9", route("/")) + people
	first := strings.Count(text, "\n") + 1
	text += `plugins:
- {name: acl, consumer: ann, config: {allow: [staff]}}
- {name: basic-auth, consumer: ann}
- {name: rate-limiting, config: {minute: 1, policy: redis}}
- {name: rate-limiting, consumer: bob, config: {minute: 2, hour: 1}}
- {name: acl}
`
	r := launch{settings: settings{}, entities: text}.check(t)
	if r.code == 0 {
		t.Errorf("the configuration is accepted: %s", r.out)
	}
	for i, parts := range [][]string{
		{"plugins[0].consumer", `a record of "acl" for a consumer`}, {"plugins[1].consumer", `a record of "basic-auth" for a consumer`},
	} {
		wantLine(t, r.err, append(parts, fmt.Sprintf("gateway.yaml:%d:", first+1+i))...)
	}
	// The plugins themselves speak when the records are in order.
	text = strings.Join(strings.Split(text, "\n")[:first], "\n") + "\n" + strings.Join(strings.Split(text, "\n")[first+2:], "\n")
	r = launch{settings: settings{}, entities: text}.check(t)
	if r.code == 0 || strings.Contains(r.err+r.out, "sesame") {
		t.Errorf("found code %d: %s", r.code, r.err)
	}
	for i, parts := range [][]string{
		{"plugins[0].config.policy", "redis", "not supported yet", "write policy: local"}, {"plugins[1].config.hour", "cannot be lower than the limit for minute(2.0)"},
		{"plugins[2].config", "found neither allow nor deny"},
	} {
		wantLine(t, r.err, append(parts, fmt.Sprintf("gateway.yaml:%d:", first+1+i))...)
	}
}
