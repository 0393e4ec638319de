package examples

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// wantLine fails the test unless a line of the text holds all the parts.
func wantLine(t *testing.T, text string, parts ...string) {
	t.Helper()
	for l := range strings.Lines(text) {
		if holdsAll(l, parts) {
			return
		}
	}
	t.Errorf("no line holds %q in:\n%s", parts, text)
}

func holdsAll(text string, parts []string) bool {
	for _, part := range parts {
		if !strings.Contains(text, part) {
			return false
		}
	}
	return true
}

// outrigger check of a valid configuration: nothing is served, everything has been asked.
func TestCheckValid(t *testing.T) {
	t.Parallel()
	entities := readShipped(t, "gateway.yaml")
	r := launch{settings: settings{"plugin_servers": exampleServers("msgpack")}, entities: entities}.check(t)
	if r.code != 0 || !strings.Contains(r.out, "the configuration is valid: 1 services") || !strings.Contains(r.out, "3 plugin servers") {
		t.Errorf("found code %d, standard output %q, standard error:\n%s", r.code, r.out, r.err)
	}
}

// The schema of every external plugin is held against its configuration, and each mistake is found at its place in the file.
func TestCheckPluginConfig(t *testing.T) {
	t.Parallel()
	text := routes("http://127.0.0.1:9")
	text = strings.TrimSuffix(text, "  routes:\n") + "  plugins:\n"
	var want [][]string
	at := func(path string, found, expected string) {
		n := strings.Count(text, "\n") // the mistake is in the last line
		want = append(want, []string{fmt.Sprintf("gateway.yaml:%d:", n), path, found, expected})
	}
	for i, l := range languages {
		path := func(k int) string { return fmt.Sprintf("services[0].plugins[%d].config", i*4+k) }
		text += "  - name: hello-" + l.name + "\n    config:\n      greeting: 5\n"
		at(path(0)+".greeting", "found 5", "expected a string")
		text += "  - name: hello-" + l.name + "\n    consumer: {username: someone}\n    config:\n      greetign: hi\n"
		at(path(1)+".greetign", `unknown key "greetign"`, "(nearest: greeting)")
		text += "  - name: gatekeeper-" + l.name + "\n    config:\n      values: []\n"
		at(path(2)+".values", "found", "at least 1")
		text += "  - name: hello-" + l.name + "\n    consumer: {username: another}\n    config:\n      greeting: ''\n"
		at(path(3)+".greeting", `found ""`, "at least 1")
	}
	text += "  - name: helo-go\n"
	at("services[0].plugins[12].name", `found "helo-go"`, "(nearest: hello-go)")
	text += "consumers: [{username: someone}, {username: another}]\n"

	r := launch{settings: settings{"plugin_servers": exampleServers("msgpack")}, entities: text}.check(t)
	if r.code != 1 || r.out != "" {
		t.Errorf("found code %d and standard output %q, expected 1 and nothing", r.code, r.out)
	}
	for _, parts := range want {
		wantLine(t, r.err, parts...)
	}
	if n := strings.Count(r.err, "config "); n != len(want) {
		t.Errorf("%d errors, expected %d:\n%s", n, len(want), r.err)
	}
}

// An unknown plugin is named with the nearest one that is loaded.
func TestLesson08UnknownPlugin(t *testing.T) {
	t.Parallel()
	entities := routes("http://127.0.0.1:9", route("/", "{name: key-auht}", "{name: nothing-like-it-at-all}"))
	r := launch{settings: settings{"plugin_servers": []server{exampleServer("go", "grpc")}}, entities: entities}.check(t)
	if r.code != 1 {
		t.Errorf("found code %d, expected 1", r.code)
	}
	wantLine(t, r.err, "gateway.yaml:6:", "services[0].routes[0].plugins[0].name", `found "key-auht"`, "expected a plugin that is loaded", "hello-go", "(nearest: key-auth)")
	wantLine(t, r.err, "services[0].routes[0].plugins[1].name", `found "nothing-like-it-at-all"`, "add the plugin server that hosts it")
}

// A plugin that authenticates cannot fail open by accident, whoever says open.
func TestLesson08AuthenticationIsNotOpen(t *testing.T) {
	t.Parallel()
	open := routes("http://127.0.0.1:9", route("/a", "{name: login-go, fail_mode: open}"), route("/b", "{name: login-python, fail_mode: open}"), route("/c", "{name: login-js, fail_mode: open}"))
	r := launch{settings: settings{"plugin_servers": testServers("msgpack")}, entities: open}.check(t)
	if r.code != 1 {
		t.Errorf("found code %d, expected 1; %s", r.code, r.err)
	}
	for i, l := range languages {
		wantLine(t, r.err, fmt.Sprintf("gateway.yaml:%d:", 6+i), "fail_mode", "login-"+l.name, "which authenticates", "allow_fail_open")
	}
	plain := routes("http://127.0.0.1:9", route("/", "{name: login-go}"))
	servers := []server{testServer("go", "msgpack").with("fail_mode", "open")}
	r = launch{settings: settings{"plugin_servers": servers}, entities: plain}.check(t)
	if r.code != 1 {
		t.Errorf("fail_mode open of the server: found code %d, expected 1", r.code)
	}
	wantLine(t, r.err, "gateway.yaml:6:", "fail_mode open", `plugin server "go"`, "login-go")
	confirmed := routes("http://127.0.0.1:9", route("/", "{name: login-go, fail_mode: open, allow_fail_open: true}"))
	r = launch{settings: settings{"plugin_servers": servers}, entities: confirmed}.check(t)
	if r.code != 0 {
		t.Errorf("allow_fail_open: found code %d, expected 0; %s", r.code, r.err)
	}
}

// A plugin server that does not come up is an error of check, with what it said.
func TestLesson19CheckServerDown(t *testing.T) {
	t.Parallel()
	broken := filepath.Join(built.temp, "broken.py")
	if err := os.WriteFile(broken, []byte("import nothing_of_this_name\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	servers := []server{ // those that are started end at once, as soon as the machine lets them
		exampleServer("python", "msgpack").with("command", serverCommand("python", "", broken)),
		{"name": "missing", "command": []string{"./no-such-program"}, "start_timeout": "30s"},
		{"name": "attached", "address": "unix://" + filepath.Join(built.temp, "nobody.sock"), "start_timeout": "2s"},
	}
	r := launch{settings: settings{"plugin_servers": servers}, entities: routes("http://127.0.0.1:9")}.check(t)
	if r.code != 1 {
		t.Errorf("found code %d, expected 1", r.code)
	}
	wantLine(t, r.err, `plugin server "python"`, "nothing_of_this_name")
	wantLine(t, r.err, `plugin server "missing"`, "no-such-program")
	wantLine(t, r.err, `plugin server "attached"`, "nobody.sock")
}

// A configuration that the plugin server does not answer has not been checked.
func TestCheckConfigureHangs(t *testing.T) {
	t.Parallel()
	hanging := filepath.Join(built.temp, "hanging.py")
	text := "import threading, outrigger\n\n\nclass Hanging(outrigger.Plugin):\n    name, version = 'hanging', '1'\n\n" +
		"    def configure(self):\n        threading.Event().wait()\n\n    def access(self, kong): ...\n"
	if err := os.WriteFile(hanging, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	servers := []server{exampleServer("python", "msgpack").with("command", serverCommand("python", "", hanging), "start_timeout", "15s")}
	r := launch{settings: settings{"plugin_servers": servers}, entities: routes("http://127.0.0.1:9", route("/", "{name: hanging}"))}.check(t)
	if r.code != 1 || r.out != "" {
		t.Errorf("found code %d and standard output %q, expected 1 and nothing", r.code, r.out)
	}
	wantLine(t, r.err, `configure plugin "hanging": no answer in time`)
}
