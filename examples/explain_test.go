package examples

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

// explainedStep is what these tests read of a step.
type explainedStep struct {
	Plugin, Scope string
	Level         int
	Runs          bool
}

type explained struct {
	Route  *struct{ Name string }
	Losers []struct{ Name, Reason string }

	Plugins struct {
		AuthenticatedBy string `json:"authenticated_by"`
		Phases          []struct {
			Phase string
			Steps []explainedStep
		}
	}
}

// access lists the plugins of access.
func (e *explained) access() string {
	var names []string
	for _, p := range e.Plugins.Phases {
		for _, st := range p.Steps {
			if p.Phase == "access" && st.Runs {
				names = append(names, st.Plugin)
			}
		}
	}
	return strings.Join(names, " ")
}

const ordered = `consumers: [{username: ann, keyauth_credentials: [{key: key-of-ann}]}]
plugins:
- {name: key-auth}
- {name: hello-go, ordering: {before: {access: [key-auth]}}}
- {name: hello-js}
- {name: hello-python, consumer: ann}
`

// outrigger explain asks the plugin servers as check does, and ends them.
func TestExplain(t *testing.T) {
	t.Parallel()
	g, args := launch{
		settings: settings{"plugin_servers": exampleServers("msgpack")},
		entities: routes("http://127.0.0.1:9", route("/a"), route("/")) + ordered,
	}.files(t)
	r := command(t, g.dir, nil, append([]string{"explain", "--url", "/a/b", "--credential", "key-auth=key-of-ann"}, args...)...)
	if r.code != 0 {
		t.Fatalf("found code %d\n%s%s", r.code, r.out, r.err)
	}
	wantLine(t, r.out, "route: r-a", "gateway.yaml:")
	wantLine(t, r.out, "not r-", "shorter path: 1 against 2")
	wantLine(t, r.out, "hello-go", "moved from place", "hello-go before key-auth", "gateway.yaml:")
	wantLine(t, r.out, "hello-python", "consumer ann")

	r = command(t, g.dir, nil, append([]string{"explain", "--json", "--url", "/a/b", "--consumer", "ann"}, args...)...)
	var e explained
	if err := json.Unmarshal([]byte(r.out), &e); err != nil || r.code != 0 {
		t.Fatalf("found code %d, %v\n%s%s", r.code, err, r.out, r.err)
	}
	if e.Route == nil || e.Route.Name != "r-a" || e.Plugins.AuthenticatedBy != "key-auth" || !strings.HasPrefix(e.access(), "hello-go key-auth") {
		t.Errorf("found %+v, access %q", e, e.access())
	}

	r = command(t, g.dir, nil, append([]string{"explain", "--offline"}, args...)...)
	if r.code != 0 {
		t.Errorf("offline: found code %d\n%s", r.code, r.err)
	}
	wantLine(t, r.out, "hello-go", "?", "unknown plugin", "not asked")
}

// The exit code of --diff tells a pipeline whether anything changes.
func TestExplainDiff(t *testing.T) {
	t.Parallel()
	g, _ := launch{}.files(t)
	file := func(name, text string) string {
		path := filepath.Join(g.dir, name)
		write(t, path, routes("http://127.0.0.1:9", route("/a"))+text)
		return path
	}
	old := file("old.yaml", "plugins: [{name: key-auth}]\n")
	for _, c := range []struct {
		name, text string
		code       int
		line       []string
	}{
		{"same.yaml", "plugins: [{name: key-auth, tags: [x]}]\n", 0, []string{"no chain changes"}},
		{"more.yaml", "plugins: [{name: key-auth}, {name: correlation-id}]\n", 3, []string{"+ correlation-id", "global"}},
		{"wrong.yaml", "plugins: [{name: key-auht}]\n", 1, []string{"wrong.yaml:", "nearest: key-auth"}},
	} {
		r := command(t, g.dir, nil, "explain", "--diff", old, file(c.name, c.text))
		if r.code != c.code {
			t.Errorf("%s: found code %d, expected %d\n%s", c.name, r.code, c.code, r.err)
		}
		wantLine(t, r.out+r.err, c.line...)
	}
}

// The Admin listener of a running gateway explains what its requests get.
func TestAdminListener(t *testing.T) {
	t.Parallel()
	up := echoUpstream(t)
	l := launch{settings: settings{"plugin_servers": []server{exampleServer("go", "msgpack")}, "plugin_debug_header": "X-Outrigger-Plugins"}}
	l.entities = routes(up.URL, route("/a")) + "plugins: [{name: key-auth, config: {anonymous: guest}}, {name: hello-go}]\nconsumers: [{username: guest}]\n"
	socket := filepath.Join(built.temp, "admin-test.sock")
	l.settings["admin_listen"] = "unix://" + socket
	g := l.start(t)
	said := g.get(t, "/a").want(t, 200).header.Get("X-Outrigger-Plugins")
	if said != "key-auth;level=12, hello-go;level=12" {
		t.Errorf("the debug header is %q", said)
	}
	client := &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}}
	ask := func(target string, into any) int {
		t.Helper()
		resp, err := client.Get("http://admin" + target)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode
	}
	var e explained
	if code := ask("/explain?url=/a&consumer=guest", &e); code != 200 || e.Route == nil || e.Route.Name != "r-a" || !strings.Contains(e.access(), "key-auth") {
		t.Errorf("found %d, %+v", code, e)
	}
	var status struct {
		Generation    struct{ Number, Routes int }
		PluginServers []struct {
			Server, State string
		} `json:"plugin_servers"`
	}
	if code := ask("/status", &status); code != 200 || status.Generation.Routes != 1 || len(status.PluginServers) != 1 || status.PluginServers[0].State != "ready" {
		t.Errorf("found %d, %+v", code, status)
	}
	var problem struct{ Message, Field string }
	if code := ask("/explain?consumer=nobody-here", &problem); code != 400 || problem.Field != "consumer" {
		t.Errorf("found %d, %+v", code, problem)
	}
}
