package examples

import (
	"os"
	"strconv"
	"strings"
	"testing"
)

// Servers of every language work under all the isolation that a machine can offer, and `check` and the log say what it is.
func TestIsolation(t *testing.T) {
	t.Parallel()
	up := echoUpstream(t)
	var list []string
	var servers []server
	for _, l := range languages {
		list = append(list, route("/"+l.name, "{name: hello-"+l.name+", config: {greeting: hello}}"))
		servers = append(servers, exampleServer(l.name, "msgpack").with(
			"limits", map[string]any{"memory": "2g", "file_size": "1m", "open_files": 512},
			"isolation", map[string]any{"seccomp": "default", "landlock": map[string]any{"write": []string{}}},
		))
	}
	l := launch{settings: settings{"plugin_servers": servers, "admin_listen": "127.0.0.1:0"}, entities: routes(up.URL, list...)}
	checked := l.check(t)
	if checked.code != 0 {
		t.Fatalf("check: code %d\n%s%s", checked.code, checked.out, checked.err)
	}
	g := &operated{gateway: l.start(t), settings: l.settings}
	g.admin = g.log.waitFields(t, 0, "msg", "the Admin listener is open").text("address")
	_, status := g.ask(t, "GET", "/status", "")
	for _, l := range languages {
		if !strings.Contains(checked.out, `isolation of plugin server "`+l.name+`":`) {
			t.Errorf("check does not say how %s is isolated:\n%s", l.name, checked.out)
		}
		g.get(t, "/"+l.name).want(t, 200)
		b, err := os.ReadFile("/proc/" + strconv.Itoa(g.serverPID(t, l.name)) + "/status")
		if err != nil {
			t.Fatal(err)
		}
		seen := strings.Join(strings.Fields(string(b)), " ")
		for name, want := range map[string]string{"no_new_privileges": "NoNewPrivs: 1", "seccomp": "Seccomp: 2", "landlock": "", "limits.open_files": ""} {
			state := measure(t, status, l.name, name)
			if state != "on" && (state != "not available" || name == "no_new_privileges") {
				t.Errorf("%s: %s is %q", l.name, name, state)
			}
			if state == "on" && !strings.Contains(seen, want) {
				t.Errorf("%s: %s is said to be on, but the process says %s", l.name, name, seen)
			}
		}
	}
}

// measure is the state of a measure of a plugin server's first process, as the status says.
func measure(t *testing.T, status map[string]any, lang, name string) any {
	t.Helper()
	for _, s := range status["plugin_servers"].([]any) {
		if s := s.(map[string]any); s["server"] == lang {
			for _, m := range s["processes"].([]any)[0].(map[string]any)["isolation"].([]any) {
				if m := m.(map[string]any); m["name"] == name {
					return m["state"]
				}
			}
		}
	}
	t.Errorf("the status says nothing about %s of %s: %v", name, lang, status["plugin_servers"])
	return nil
}
