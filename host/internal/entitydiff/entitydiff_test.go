package entitydiff

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/outrigger-gateway/outrigger/host/internal/config"
	"github.com/outrigger-gateway/outrigger/host/internal/entity"
)

func set(t testing.TB, text string, env ...string) *entity.Set {
	t.Helper()
	s, _, err := config.Source{Name: "g.yaml", Data: []byte("_format_version: '3.0'\n" + text), Env: env}.Parse()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestCompare(t *testing.T) {
	before := set(t, `
vaults: [{prefix: a, name: env, config: {prefix: X}}]
services:
- {name: orders, host: a.example, routes: [{name: r, paths: [/a]}, {name: gone, paths: [/g]}], plugins: [{name: p, config: {limit: 5, limits: {second: 1, hour: 2}, password: hunter2}}]}
- {name: same, host: b.example}
upstreams: [{name: pool, targets: [{target: "10.0.0.1:80"}, {target: "10.0.0.2:80", weight: 5}]}]
consumers:
- {username: ann, groups: [gold], keyauth_credentials: [{key: hunter2, id: 4e8d95d4-40f2-4818-adcb-30e00c349618}], basicauth_credentials: [{username: ann, password: hunter2}], acls: [{group: a}]}
consumer_groups: [{name: gold}, {name: silver}]
plugins: [{name: env, config: {text: '${{ env "E" }}'}}, {name: q, timeout: 250, enabled: true}]
`, "E=hunter2")
	after := set(t, `
vaults: [{prefix: a, name: env, config: {prefix: Y}, on_failure: empty}]
routes: [{name: r, service: orders, paths: [/a, /b], tags: [x]}]
plugins:
- {name: p, service: orders, config: {limit: 6, limits: {second: 1, day: 3}, password: hunter3}}
- {name: env, config: {text: '${{ env "E" }}'}}
- {name: q, timeout: 500, enabled: false}
services:
- {name: same, host: b.example}
- {name: orders, host: a.example, id: 5e8d95d4-40f2-4818-adcb-30e00c349618}
- {name: new, host: c.example}
targets: [{upstream: pool, target: "10.0.0.2:80"}, {upstream: pool, target: "10.0.0.3:80"}]
upstreams: [{name: pool, host_header: h.example}]
consumers:
- {username: ann, groups: [gold, silver], keyauth_credentials: [{key: hunter4, id: 4e8d95d4-40f2-4818-adcb-30e00c349618}], basicauth_credentials: [{username: ann, password: hunter4}], acls: [{group: b}]}
consumer_groups: [{name: gold}, {name: silver, priority: 7}]
`, "E=hunter4")
	d := Compare(before, after)
	var b strings.Builder
	if err := d.Text(&b); err != nil {
		t.Fatal(err)
	}
	want := `~ vaults a
    config.prefix: "X" -> "Y"
    on_failure: "reject_config" -> "empty"
~ services orders
    id: "35edc2f9-6562-5b55-9e78-a4b1c9e7d9a2" -> "5e8d95d4-40f2-4818-adcb-30e00c349618"
+ services new
~ routes r
    paths: ["/a"] -> ["/a","/b"]
    tags: (none) -> ["x"]
- routes gone
~ upstreams pool
    host_header: (none) -> "h.example"
~ targets pool 10.0.0.2:80
    weight: 5 -> 100
+ targets pool 10.0.0.3:80
- targets pool 10.0.0.1:80
~ consumers ann
    groups: ["gold"] -> ["gold","silver"]
~ consumer_groups silver
    priority: (none) -> 7
~ keyauth_credentials of ann 4e8d95d4-40f2-4818-adcb-30e00c349618
    key: a secret is another one
~ basicauth_credentials ann
    password: a secret is another one
+ acls ann b
- acls ann a
~ plugins p (service orders)
    id: "X" -> "X"
    config.limit: 5 -> 6
    config.limits.day: (none) -> 3
    config.limits.hour: 2 -> (none)
    config.password: a secret is another one
~ plugins env (global)
    config.text: a secret is another one
~ plugins q (global)
    enabled: true -> false
    timeout: "250ms" -> "500ms"
3 added, 3 removed, 12 changed
note: which fields of p, env are secret is not known: what sounds or looks like it is not shown
`
	got := withoutIDs(b.String())
	if got != withoutIDs(want) {
		t.Errorf("found\n%s\nexpected\n%s", got, withoutIDs(want))
	}
	text, err := json.Marshal(d)
	if err != nil || strings.Contains(string(text)+got, "hunter") {
		t.Errorf("a secret is shown: %v\n%s\n%s", err, text, got)
	}
}

// A partial holds what plugins hold, such as the password of a Redis.
func TestSecretsOfPartials(t *testing.T) {
	const document = "partials: [{name: shared, type: redis-ce, config: {host: HOST, password: HOST-hunter2}}]\n"
	d := Compare(set(t, strings.ReplaceAll(document, "HOST", "one")), set(t, strings.ReplaceAll(document, "HOST", "two")))
	var b strings.Builder
	if err := d.Text(&b); err != nil {
		t.Fatal(err)
	}
	if got := b.String(); strings.Contains(got, "hunter") || !strings.Contains(got, `config.host: "one" -> "two"`) || !strings.Contains(got, "config.password: a secret is another one") {
		t.Errorf("found\n%s", got)
	}
}

// The headers of active checks hold what services ask for.
func TestSecretsOfChecks(t *testing.T) {
	const document = "upstreams: [{name: u, slots: 10VALUE, healthchecks: {active: {headers: {NAME: [hunter2-VALUE]}}}}]\n"
	for _, name := range []string{"Authorization", "X-Api-Key"} {
		document := strings.ReplaceAll(document, "NAME", name)
		d := Compare(set(t, strings.ReplaceAll(document, "VALUE", "1")), set(t, strings.ReplaceAll(document, "VALUE", "2")))
		var b strings.Builder
		if err := d.Text(&b); err != nil || strings.Contains(b.String(), "hunter") || !strings.Contains(b.String(), "slots: 101 -> 102\n") {
			t.Errorf("%v, found\n%s", err, b.String())
		}
	}
}

// What the environment gave is in no difference, whatever field it stands in.
func TestSecretsFromTheEnvironment(t *testing.T) {
	const document = `
services: [{name: a, url: '${{ env "URL" }}', tags: ['${{ env "PASS" }}', x]}, {name: b, host: "${{ env 'PASS' }}.example"}]
plugins: [{name: p, tags: ['${{ env "PASS" }}'], config: {plain: x, number: '${{ env "PIN" | toInt }}'}}]
routes: [{name: r, service: a, paths: [/a], headers: {x-key: ['${{ env "PASS" }}']}}]
`
	before := set(t, document, "PASS=hunter2", "URL=http://hunter3.example:81/hunter4", "PIN=71717171")
	after := set(t, document, "PASS=hunter5", "URL=http://hunter6.example:81/hunter7", "PIN=72727272")
	if len(before.Hidden) != 4 { // each once, however often it stands there
		t.Errorf("found %q", before.Hidden)
	}
	d := Compare(before, after)
	var b strings.Builder
	if err := d.Text(&b); err != nil {
		t.Fatal(err)
	}
	if text, err := json.Marshal(d); err != nil || strings.Contains(b.String()+string(text), "hunter") || strings.Contains(b.String()+string(text), "7171") || d.Changed != 4 {
		t.Errorf("found\n%s\n%s, %v", b.String(), text, err)
	}
}

// Where no schema says what is secret, names and forms do; a key below such a name may be a secret itself.
func TestSecretsWithoutSchemas(t *testing.T) {
	document := func(version string) *entity.Set {
		return set(t, strings.ReplaceAll(`
plugins:
- name: p
  config:
    Signing-Key: hunter2-VERSION
    basicAuth: {ann: hunter3-VERSION}
    tokens: {hunter4-VERSION: ann}
    store: "redis://gw:hunter5-VERSION@store.example:6379/1"
    pem: "-----BEGIN PRIVATE KEY-----\\nhunter6-VERSION"
    list: [{x_api_token: hunter7-VERSION}]
    add: {headers: ["Authorization: Basic hunter8-VERSION"], value: Bearer hunter9-VERSION}
    rename: ["X-Api-Key:hunter10-VERSION"]
    named: [{name: X-Api-Key, value: hunter11-VERSION}]
    pair: {Header: X-Auth, value: hunter12-VERSION, limit: 7VERSION}
    lists: [[X-Access-Token, hunter13-VERSION]]
    line: host=db.example password=hunter14-VERSION
    json: '{"api_token": "hunter15-VERSION"}'
    drawn: hunter16ABCDEFGHVERSIONxyz
    lines: "X-Version: VERSION\nAuthorization: Basic hunter17-VERSION"
    settings: "user: gw\npassword: hunter18-VERSION"
    command: "curl -H 'Authorization: Bearer hunter19-VERSION' http://h.example"
    object: '{"Authorization": "Basic hunter20-VERSION"}'
    single: "{'token': 'hunter21-VERSION'}"
    counts: "{\"max_tokens\": VERSION}"
    colors: [{name: color, value: VERSION}, [red, VERSION]]
    slug: the-service-of-2026-number-VERSION
    says: the basic authentication of version VERSION
    limit: 1VERSION
    key_in_body: VERSION0
    plain: http://h.example:80/VERSION@b
    headers: {X-Api-Key: hunter22-VERSION, Authorization: hunter23-VERSION, authorization_kind: VERSION}
`, "VERSION", version))
	}
	before, after := document("1"), document("2")
	d := Compare(before, after)
	var b strings.Builder
	if err := d.Text(&b); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(d)
	if err != nil || strings.Contains(b.String()+string(text), "hunter") {
		t.Errorf("a secret is shown: %v\n%s", err, b.String())
	}
	for _, want := range []string{
		"    config.tokens: a secret is another one\n", "    config.limit: 11 -> 12\n", "    config.pair.limit: 71 -> 72\n    config.pair.value: a secret is another one\n",
		`    config.colors: [{"name":"color","value":1},["red",1]] -> [{"name":"color","value":2},["red",2]]`, `    config.counts: "{\"max_tokens\": 1}" -> "{\"max_tokens\": 2}"`, "    config.slug: \"the-service-of-2026-number-1\" -> ", `    config.plain: "http://h.example:80/1@b" -> "http://h.example:80/2@b"`,
		"    config.key_in_body: a secret is another one\n", `    config.says: "the basic authentication of version 1" -> "the basic authentication of version 2"`,
		"note: which fields of p are secret is not known: what sounds or looks like it is not shown\n",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("found\n%s\nexpected a line %q", b.String(), want)
		}
	}
	before.Plugins[0].SchemaKnown, after.Plugins[0].SchemaKnown = true, true
	b.Reset()
	if err := Compare(before, after).Text(&b); err != nil || strings.Contains(b.String(), "note:") || strings.Contains(b.String(), "hunter22") || strings.Contains(b.String(), "hunter23") ||
		!strings.Contains(b.String(), "config.headers.authorization_kind: 1 -> 2\n") || !strings.Contains(b.String(), "config.key_in_body: 10 -> 20\n") {
		t.Errorf("%v, with a schema found\n%s", err, b.String())
	}
}

// A plugin whose name sounds like a secret has fields that do not.
func TestSecretsOfPluginsWithTellingNames(t *testing.T) {
	const document = "plugins: [{name: key-auth-token, instance_name: one, config: {limits: {a: VALUE}}}]\n"
	d := Compare(set(t, strings.ReplaceAll(document, "VALUE", "x")), set(t, strings.ReplaceAll(document, "VALUE", "y")))
	var b strings.Builder
	if err := d.Text(&b); err != nil || !strings.Contains(b.String(), `config.limits.a: "x" -> "y"`) {
		t.Errorf("found %v\n%s", err, b.String())
	}
}

// What has no name is the same by its id or by all that it holds: two of them are not one that changed.
func TestCompareWithoutNames(t *testing.T) {
	const id = "5e8d95d4-40f2-4818-adcb-30e00c349618"
	for name, c := range map[string]struct{ before, after, want string }{
		"others": {
			"services: [{host: a}, {host: b}]", "services: [{host: c}, {host: b}]",
			"+ services ID\n- services ID\n1 added, 1 removed, 0 changed\n",
		},
		"one becomes two": {
			"services: [{name: s, host: h, routes: [{paths: [/a]}]}]", "services: [{name: s, host: h, routes: [{paths: [/b]}, {paths: [/a], strip_path: true}]}]",
			"+ routes ID\n1 added, 0 removed, 0 changed\n",
		},
		"an id is written": {
			"routes: [{paths: [/x]}, {paths: [/a]}]", "routes: [{paths: [/a], id: " + id + "}, {paths: [/x]}]",
			"~ routes ID\n    id: \"ID\" -> \"ID\"\n0 added, 0 removed, 1 changed\n",
		},
		"by id": {
			"routes: [{paths: [/x]}, {paths: [/a], id: " + id + "}]", "routes: [{paths: [/b], id: " + id + "}, {paths: [/x]}]",
			"~ routes ID\n    paths: [\"/a\"] -> [\"/b\"]\n0 added, 0 removed, 1 changed\n",
		},
		"the same twice": {
			"services: [{host: a}, {host: a}]", "services: [{host: a}]", "- services ID\n0 added, 1 removed, 0 changed\n",
		},
		"a name that comes": {
			"routes: [{paths: [/a]}]", "routes: [{paths: [/a], name: r}]", "+ routes r\n- routes ID\n1 added, 1 removed, 0 changed\n",
		},
		"a name that two have": {
			"keys: [{kid: k, jwk: JWK, set: a}, {kid: k, jwk: JWK, set: b}]\nkey_sets: [{name: a}, {name: b}]",
			"keys: [{kid: k, jwk: JWK, set: b, tags: [x]}, {kid: k, jwk: JWK, set: a}]\nkey_sets: [{name: a}, {name: b}]",
			"~ keys k\n    tags: (none) -> [\"x\"]\n0 added, 0 removed, 1 changed\n",
		},
	} {
		const jwk = `'{"kty":"oct","kid":"k","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}'`
		var b strings.Builder
		d := Compare(set(t, strings.ReplaceAll(c.before, "JWK", jwk)), set(t, strings.ReplaceAll(c.after, "JWK", jwk)))
		if err := d.Text(&b); err != nil {
			t.Fatal(err)
		}
		if got := anID.ReplaceAllString(b.String(), "ID"); got != c.want {
			t.Errorf("%s: found\n%s\nexpected\n%s", name, got, c.want)
		}
	}
}

var anID = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)

// withoutIDs leaves out the ids that are derived.
func withoutIDs(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "    id: ") {
			line = "    id\n"
		}
		b.WriteString(line)
	}
	return b.String()
}

// Where an entity stands, in which order, and in which dialect is no difference.
func TestTheSame(t *testing.T) {
	before := set(t, `
services: [{name: a, host: h, routes: [{name: r, paths: [/a], plugins: [{name: p, config: {x: 1}}]}], plugins: [{name: p}]}]
consumers: [{username: ann, groups: [gold], keyauth_credentials: [{key: k}]}]
consumer_groups: [{name: gold}]
`)
	after := set(t, `
_plugin_configs: {one: {x: 1.0}}
_info: {defaults: {service: {retries: 5}}}
consumer_groups: [{name: gold, consumers: [{username: ann}]}]
keyauth_credentials: [{key: k, consumer: ann}]
plugins: [{name: p, service: a}, {name: p, route: {name: r}, _config: one}]
consumers: [{username: ann}]
routes: [{name: r, service: {name: a}, paths: [/a], methods: []}]
services: [{name: a, url: "http://h:80"}]
`)
	d := Compare(before, after)
	var b strings.Builder
	if err := d.Text(&b); err != nil || d.Differs || b.String() != "nothing is different\n" {
		t.Errorf("%v, %s", err, b.String())
	}
	if d := Compare(before, before); d.Differs {
		t.Errorf("found %+v", d.Changes)
	}
}

// BenchmarkCompare compares configurations in which every record changes. The time for each route is the same at all sizes.
func BenchmarkCompare(b *testing.B) {
	document := func(n int, path string) string {
		var text strings.Builder
		text.WriteString("services: [{name: a, host: h}]\nroutes:\n")
		for i := range n {
			fmt.Fprintf(&text, "- {name: r%d, service: a, paths: [/%s%d], plugins: [{name: p, config: {n: %d}}]}\n", i, path, i, len(path))
		}
		return text.String()
	}
	for _, n := range []int{100, 1000, 10000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			before, after := set(b, document(n, "a")), set(b, document(n, "bb"))
			for b.Loop() {
				Compare(before, after)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/route")
		})
	}
}
