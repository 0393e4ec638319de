package examples

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// What is said about deadline and failure for a server, for a plugin on it and by a record decides, the most specific first; where nobody says
// anything a call has a second. Deadlines that passed are counted.
func TestLesson09Deadlines(t *testing.T) {
	t.Parallel()
	up := echoUpstream(t)
	for _, carrier := range carriers {
		for _, l := range languages {
			t.Run(l.name+" "+carrier, func(t *testing.T) {
				t.Parallel()
				testDeadlines(t, up.URL, carrier, l)
			})
		}
	}
}

func testDeadlines(t *testing.T, upstream, carrier string, l language) {
	plugin, other := "fault-"+l.name, "fault-response-"+l.name
	sleep := func(plugin string, ms int, phase, record string) string {
		return fmt.Sprintf("{name: %s, config: {do: sleep, ms: %d, phase: %s}%s}", plugin, ms, phase, record)
	}
	// Where a deadline is not the subject there is time enough: those that pass are counted.
	list := []string{
		route("/raise/server", fmt.Sprintf("{name: %s, timeout: 20s, config: {do: raise}}", plugin)),
		route("/raise/closed", fmt.Sprintf("{name: %s, timeout: 20s, fail_mode: closed, config: {do: raise}}", plugin)),
		route("/raise/status", fmt.Sprintf("{name: %s, timeout: 20s, fail_mode: closed, fail_status: 503, config: {do: raise}}", plugin)),
		route("/slow/access", sleep(plugin, 2000, "access", "")),
		route("/slow/access/patient", sleep(plugin, 2000, "access", ", timeout: 20s")),
		route("/slow/header_filter", sleep(plugin, 2000, "header_filter", ", timeouts: {access: 20s}")),
		route("/slow/header_filter/closed", sleep(plugin, 2000, "header_filter", ", timeout: 200ms, timeouts: {access: 20s}, fail_mode: closed")),
		route("/slow/response", sleep(other, 2000, "response", "")),
		route("/slow/response/patient", sleep(other, 2000, "response", ", timeouts: {response: 20s}")),
	}
	s := testServer(l.name, carrier).with("fail_mode", "open", "fail_status", 502, "timeout", "20s", "timeouts", map[string]any{"access": 200},
		"plugins", map[string]any{other: map[string]any{"timeout": "200ms", "fail_mode": "closed", "fail_status": 504}})
	g := launch{settings: settings{"plugin_servers": []server{s}, "status_listen": "127.0.0.1:0"}, entities: routes(upstream, list...)}.start(t)
	g.get(t, "/raise/server").want(t, 200)
	g.get(t, "/raise/closed").want(t, 502)
	g.get(t, "/raise/status").want(t, 503)
	g.get(t, "/slow/access").want(t, 200).wantHeader(t, "X-Fault")
	g.get(t, "/slow/access/patient").want(t, 200).wantHeader(t, "X-Fault", "left")
	g.get(t, "/slow/header_filter").want(t, 200).wantHeader(t, "X-Fault", "left")
	g.get(t, "/slow/header_filter/closed").want(t, 502).wantHeader(t, "X-Fault")
	g.get(t, "/slow/response").want(t, 504)
	g.get(t, "/slow/response/patient").want(t, 200)
	countTimeouts(t, g, l, map[string]string{"access": plugin, "header_filter": plugin, "response": other})

	// Nobody says anything: a second.
	dir := t.TempDir()
	s = testServer(l.name, carrier)
	delete(s, "timeout")
	g = launch{settings: settings{"plugin_servers": []server{s}, "status_listen": "127.0.0.1:0"}, entities: routes(upstream, route("/slow", fmt.Sprintf("{name: %s, config: {do: hold, dir: %s}}", plugin, dir)))}.start(t)
	mark := g.log.mark()
	a := g.get(t, "/slow", "X-Hold", "held").want(t, 500) // the handler waits for longer than the client
	write(t, filepath.Join(dir, "release"), "")
	failed := g.log.waitFields(t, mark, "msg", "plugin failed", "request_id", a.header.Get("X-Kong-Request-Id"))
	if took, _ := failed["duration_ms"].(float64); !failed.has("code", "timeout", "plugin", plugin) || took < 990 {
		t.Errorf("found %v, expected a timeout after a second", failed)
	}
	countTimeouts(t, g, l, map[string]string{"access": plugin})
}

// countTimeouts waits until one deadline of each plugin in its phase is counted as passed.
func countTimeouts(t *testing.T, g *gateway, l language, byPhase map[string]string) {
	t.Helper()
	eventually(t, patience, "the deadlines to be counted", func() (bool, string) {
		_, text := page(t, statusOf(t, g)+"/metrics")
		for phase, plugin := range byPhase {
			want := fmt.Sprintf(`outrigger_plugin_calls_total{code="timeout",phase="%s",plugin="%s",server="%s"} 1`, phase, plugin, l.name)
			if !strings.Contains(text, "\n"+want+"\n") {
				return false, "there is no " + want
			}
		}
		return true, ""
	})
}

// Plugins that authenticate: the consumer is set for what follows, a failure is never an open door, and a plugin that does not say that it
// authenticates is not believed where it may fail open.
func TestAuthentication(t *testing.T) {
	t.Parallel()
	for _, carrier := range carriers {
		t.Run(carrier, func(t *testing.T) {
			t.Parallel()
			up := echoUpstream(t)
			var list []string
			for _, l := range languages {
				list = append(list,
					route("/login/"+l.name, "{name: login-"+l.name+"}"),
					route("/broken/"+l.name, "{name: login-"+l.name+", config: {do: raise}}"),
					route("/confirmed/"+l.name, "{name: login-"+l.name+", config: {do: raise}, fail_mode: open, allow_fail_open: true}"),
					route("/sneak/closed/"+l.name, "{name: sneak-"+l.name+"}"),
					route("/sneak/open/"+l.name, "{name: sneak-"+l.name+", fail_mode: open}"))
			}
			entities := routes(up.URL, list...) + "consumers: [{username: ada, plugins: [{name: request-transformer, config: {add: {headers: ['x-for:ada']}}}]}, {username: bob}]\n"
			g := launch{settings: settings{"plugin_servers": testServers(carrier)}, entities: entities}.start(t)
			for _, l := range languages {
				g.get(t, "/login/"+l.name).want(t, 401)
				g.get(t, "/login/"+l.name, "X-User", "eve").want(t, 401)
				ada := g.get(t, "/login/"+l.name, "X-User", "ada").want(t, 200).echo(t)
				ada.wantUpstream(t, "X-Who", "ada")
				ada.wantUpstream(t, "X-For", "ada")
				bob := g.get(t, "/login/"+l.name, "X-User", "bob").want(t, 200).echo(t)
				bob.wantUpstream(t, "X-Who", "bob")
				bob.wantUpstream(t, "X-For")

				g.get(t, "/broken/"+l.name, "X-User", "ada").want(t, 500)
				open := g.get(t, "/confirmed/"+l.name, "X-User", "ada").want(t, 200).echo(t)
				open.wantUpstream(t, "X-Who")
				open.wantUpstream(t, "X-For") // nothing of the failed handler stays, the consumer least of all

				g.get(t, "/sneak/closed/"+l.name, "X-User", "ada").want(t, 200).echo(t).wantUpstream(t, "X-For", "ada")
				// It could fail open: the first attempt is refused, and from then on it fails closed. It is never passed by.
				mark := g.log.mark()
				a := g.get(t, "/sneak/open/"+l.name, "X-User", "ada").want(t, 500)
				failed := g.log.waitFields(t, mark, "msg", "plugin failed", "request_id", a.header.Get("X-Kong-Request-Id"))
				if !failed.has("plugin", "sneak-"+l.name, "phase", "access") {
					t.Errorf("found the log line %v", failed)
				}
				if a := g.get(t, "/sneak/open/"+l.name, "X-User", "ada"); a.status != 500 {
					a.want(t, 200).echo(t).wantUpstream(t, "X-For", "ada")
				}
			}
		})
	}
}

// A plugin server that is down at the first start: its routes answer 503 until it comes, and are never open.
func TestLesson08LateServerIsNeverOpen(t *testing.T) {
	t.Parallel()
	up := echoUpstream(t)
	late := filepath.Join(t.TempDir(), "late")
	servers := []server{
		testServer("go", "msgpack").with("command", []string{late}, "fail_mode", "open"),
		exampleServer("js", "msgpack"),
	}
	g := launch{late: true, settings: settings{"plugin_servers": servers}, entities: routes(up.URL, route("/late", "{name: login-go, fail_mode: closed}"), route("/js", "{name: hello-js}")) + "consumers: [{username: ada}]\n"}.start(t)
	g.get(t, "/late", "X-User", "ada").want(t, 503)
	g.get(t, "/js").want(t, 200).wantHeader(t, "X-Hello-Js", "hello, world")
	if err := os.Symlink(built.goTests, late); err != nil {
		t.Fatal(err)
	}
	eventually(t, startPatience, "the late server's route to answer", func() (bool, string) {
		a := g.get(t, "/late", "X-User", "ada")
		return a.status == 200, a.String()
	})
	g.get(t, "/late").want(t, 401)
	g.get(t, "/js").want(t, 200).wantHeader(t, "X-Hello-Js", "hello, world")
}

// A server with a bound on calls in flight sheds what is more, at once, and serves again afterwards.
func TestOverload(t *testing.T) {
	t.Parallel()
	up := echoUpstream(t)
	for _, carrier := range carriers {
		t.Run(carrier, func(t *testing.T) {
			t.Parallel()
			testOverload(t, up.URL, carrier)
		})
	}
}

func testOverload(t *testing.T, upstream, carrier string) {
	s := testServer("python", carrier).with("max_in_flight", 2)
	dir := t.TempDir()
	slow := fmt.Sprintf("{name: fault-async-python, config: {do: hold, dir: %s}}", dir)
	g := launch{settings: settings{"plugin_servers": []server{s}}, entities: routes(upstream, route("/slow", slow), route("/quick", "{name: fault-python}"))}.start(t)
	two := holdAt(t, g, "/slow", dir, 2)
	for range 4 {
		if a := g.get(t, "/slow", "X-Hold", "shed").want(t, 503); a.header.Get("Retry-After") == "" {
			t.Errorf("found no Retry-After: %v", a)
		}
	}
	for _, a := range two.release(t) {
		a.want(t, 200)
	}
	eventually(t, patience, "calls to be taken again", func() (bool, string) {
		a := g.get(t, "/quick") // the log phase of the slow requests may still be in flight
		return a.status == 200, a.String()
	})
}

// Values keep their types through ctx.shared from one language to another and back.
func TestLesson11SharedValues(t *testing.T) {
	t.Parallel()
	up := echoUpstream(t)
	samples := []string{
		`null`, `true`, `false`, `0`, `-1`, `9007199254740991`, `1.5`, `""`, `"text"`, `[]`, `{}`, `[[],{},null,false,0,""]`,
		`{"a":{"b":[1,2,{"c":null}]},"":"empty key"}`, `"é 漢字 😀"`,
	}
	names := []string{"go", "python", "js"}
	for _, carrier := range carriers {
		t.Run(carrier, func(t *testing.T) {
			t.Parallel()
			var paths, list []string
			for _, first := range names {
				for _, second := range names {
					for _, third := range names {
						path := "/" + first + "/" + second + "/" + third
						paths = append(paths, path)
						list = append(list, route(path, "{name: sample-"+first+"}", "{name: relay-"+second+"}", "{name: show-"+third+"}"))
					}
				}
			}
			g := launch{settings: settings{"plugin_servers": testServers(carrier)}, entities: routes(up.URL, list...)}.start(t)
			for _, path := range paths {
				for _, sample := range samples {
					e := g.get(t, path, "X-Sample", sample).want(t, 200).echo(t)
					wantJSON(t, path+" "+sample, e.Headers["x-sample-out"], sample)
				}
			}
		})
	}
}

// wantJSON compares one JSON text with what came out.
func wantJSON(t *testing.T, what string, found []string, expected string) {
	t.Helper()
	var a, b any
	if len(found) != 1 {
		t.Errorf("%s: found %q, expected one value", what, found)
		return
	}
	if err := json.Unmarshal([]byte(found[0]), &a); err != nil {
		t.Errorf("%s: found %q: %v", what, found[0], err)
		return
	}
	if err := json.Unmarshal([]byte(expected), &b); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(a, b) {
		t.Errorf("%s: found %s", what, found[0])
	}
}
