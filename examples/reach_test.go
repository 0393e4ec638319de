package examples

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// What handlers reach beyond their request, in every language and over both carriers: the vault, the cache, the node, another upstream, the
// consumer groups that choose the plugins behind them, ctx.plugin up to the log phase.
func TestBeyondTheRequest(t *testing.T) {
	t.Parallel()
	up := echoUpstream(t)
	pool := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "from the pool") }))
	t.Cleanup(pool.Close)
	target, err := url.Parse(pool.URL)
	if err != nil {
		t.Fatal(err)
	}
	const cluster, gold = "4e8d95d4-40f2-4818-adcb-30e00c349618", "11111111-2222-3333-4444-555555555555"
	for _, carrier := range carriers {
		t.Run(carrier, func(t *testing.T) {
			t.Parallel()
			var paths []string
			records := "plugins:\n"
			for _, l := range languages {
				paths = append(paths, route("/"+l.name, "{name: reach-"+l.name+"}", "{name: group-"+l.name+", config: {of: nobody}}"))
				records += fmt.Sprintf("- {name: group-%s, route: r-%s, consumer_group: gold, config: {of: gold}}\n", l.name, l.name)
			}
			g := launch{
				settings: settings{"plugin_servers": testServers(carrier), "cluster_id": cluster, "telemetry_logs": true},
				env:      []string{"REACH_SECRET=s3cret"},
				entities: routes(up.URL, paths...) + "consumer_groups: [{name: gold, id: " + gold + "}]\nupstreams: [{name: pool, targets: [{target: \"" + target.Host + "\"}]}]\n" + records,
			}.start(t)
			for _, l := range languages {
				path := "/" + l.name
				seen := reached(t, g.get(t, path))
				want := map[string]any{
					"secret": "s3cret", "method": "GET", "requests": true, "level": "info", "memory": true, "count": 0.0, "cluster": cluster,
				}
				for key, v := range want {
					if seen[key] != v {
						t.Errorf("%s: %s is %v, want %v", l.name, key, seen[key], v)
					}
				}
				if id, _ := seen["id"].(string); len(id) != 36 {
					t.Errorf("%s: the id of the plugin is %v", l.name, seen["id"])
				}
				second := g.get(t, path, "X-Group", gold, "X-Upstream", "nowhere")
				if seen := reached(t, second); seen["count"] != 1.0 || seen["upstream"] != "bad_data" {
					t.Errorf("%s: the second request saw %v", l.name, seen)
				}
				second.echo(t).wantUpstream(t, "X-Group-Of", "gold")
				if a := g.get(t, path, "X-Upstream", "pool"); !strings.Contains(string(a.body), "from the pool") {
					t.Errorf("%s: set_upstream: %s", l.name, a.body)
				}
				g.log.wait(t, 0, "what the log handler found", func(n line) bool { return n.text("msg") == "reach-"+l.name+" logged 1 reach" })
				g.log.wait(t, 0, "the telemetry record", func(n line) bool {
					return n.text("msg") == "telemetry of "+l.name && n.text("type") == "test" && n.text("plugin") == "reach-"+l.name && len(n.text("trace_id")) == 32
				})
			}
		})
	}
}

func reached(t *testing.T, a *answer) map[string]any {
	t.Helper()
	a.want(t, 200)
	var seen map[string]any
	text := strings.Join(a.echo(t).Headers["x-reach"], "")
	if err := json.Unmarshal([]byte(text), &seen); err != nil {
		t.Fatalf("X-Reach %q: %v", text, err)
	}
	return seen
}

// A reference in a field that may hold one becomes the secret before the plugin is configured. One that leads nowhere refuses the
// configuration with its place, and no message shows a secret.
func TestSecretsInConfigurations(t *testing.T) {
	t.Parallel()
	up := echoUpstream(t)
	config := func(fields string) string {
		return routes(up.URL, route("/go", "{name: reach-go, config: {"+fields+"}}"))
	}
	g := launch{
		settings: settings{"plugin_servers": []server{testServer("go", "msgpack")}, "telemetry_logs": true}, env: []string{"REACH_SECRET=s3cret", "REACH_JSON={\"password\": \"pa55word\"}"},
		entities: config(`password: "{vault://env/reach-json/password}"`),
	}.start(t)
	if seen := reached(t, g.get(t, "/go")); seen["password"] != "pa55word" {
		t.Errorf("the plugin got %v", seen["password"])
	}
	for fields, want := range map[string]string{
		`password: "{vault://env/gone}"`:                       `gateway.yaml:6:`,
		`password: "{vault://env/reach-secret}", refuse: true`: `the password is ***`,
		`password: "written in the file", refuse: true`:        `the password is ***`,
	} {
		refused := g.hup(t, config(fields))
		text := fmt.Sprint(refused)
		if refused.text("msg") != reloadRefused || !strings.Contains(text, want) || strings.Contains(text, "s3cret") || strings.Contains(text, "written in") {
			t.Errorf("%s: %s", fields, text)
		}
	}
	if seen := reached(t, g.get(t, "/go")); seen["password"] != "pa55word" {
		t.Errorf("after the refusals the plugin has %v", seen["password"])
	}
}
