package examples

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// lineOf is the number of the last line of a text that ends with a line feed.
func lineOf(text string) int { return strings.Count(text, "\n") }

// Every rule of a configuration, declared in the way of each language, is checked before anything runs: types, required fields, enums, ranges,
// patterns, lengths, nested records, lists and maps. Each fault is told with its line and path; a secret is never shown.
func TestLesson20ConfigIsCheckedBeforeAnythingRuns(t *testing.T) {
	t.Parallel()
	const secret = "hunter2"
	text := strings.TrimSuffix(routes("http://127.0.0.1:9"), "  routes:\n") + "  plugins:\n"
	type fault struct {
		line  int
		parts []string
	}
	var want []fault
	records := 0
	for _, l := range languages {
		for _, c := range []struct {
			field, value    string // of the configuration
			path            string // of the fault, when it is not the field
			found, expected string
		}{
			{"token", secret, "", "found a value that is not shown", "at least 8 characters"},
			{"token", "[" + secret + "]", "", "found", "a string"},
			{"mode", "severe", "", `found "severe"`, "strict"},
			{"limit", "0", "", "found 0", "at least 1"},
			{"limit", "11", "", "found 11", "at most 10"},
			{"limit", "many", "", `found "many"`, "a whole number"},
			{"ratio", "1.5", "", "found 1.5", "at most 1"},
			{"code", "ABC", "", `found "ABC"`, "^[a-z]+$"},
			{"range", "{low: x}", "range.low", `found "x"`, "a whole number"},
			{"range", "{lwo: 1}", "range.lwo", `unknown key "lwo"`, "low"},
			{"rules", "[{name: a}, {}]", "rules[1]", "found", "name"},
			{"rules", "[{name: ''}]", "rules[0].name", `found ""`, "at least 1"},
			{"rules", "[{name: a}, {name: b}, {name: c}]", "", "found", "at most 2"},
			{"limits", "{a: 1, b: x}", "limits.b", `found "x"`, "a whole number"},
		} {
			path := c.path
			if path == "" {
				path = c.field
			}
			text += fmt.Sprintf("  - name: strict-%s\n    consumer: {username: c%d}\n    config:\n", l.name, records)
			if c.field != "token" {
				text += "      token: long-enough-" + secret + "\n"
			}
			text += fmt.Sprintf("      %s: %s\n", c.field, c.value)
			want = append(want, fault{lineOf(text), []string{fmt.Sprintf("services[0].plugins[%d].config.%s", records, path), c.found, c.expected}})
			records++
		}
		text += fmt.Sprintf("  - name: strict-%s\n    consumer: {username: c%d}\n    config: {limit: 3}\n", l.name, records)
		want = append(want, fault{lineOf(text), []string{fmt.Sprintf("services[0].plugins[%d].config", records), "token"}})
		records++
	}
	text += "consumers:\n"
	for i := range records {
		text += fmt.Sprintf("- {username: c%d}\n", i)
	}
	l := launch{settings: settings{"plugin_servers": testServers("msgpack")}, entities: text}
	r := l.check(t)
	if r.code != 1 || r.out != "" {
		t.Errorf("found code %d and standard output %q, expected 1 and nothing", r.code, r.out)
	}
	for _, f := range want {
		wantLine(t, r.err, append(f.parts, fmt.Sprintf("gateway.yaml:%d:", f.line))...)
	}
	if n := strings.Count(r.err, "config "); n != len(want) {
		t.Errorf("%d errors, expected %d:\n%s", n, len(want), r.err)
	}
	if strings.Contains(r.err, secret) {
		t.Errorf("a secret is shown:\n%s", r.err)
	}
}

// What a configuration leaves out has its default when the handler sees it, the same in every language.
func TestLesson20Defaults(t *testing.T) {
	t.Parallel()
	up := echoUpstream(t)
	var list []string
	for _, l := range languages {
		list = append(list, route("/few/"+l.name, "{name: strict-"+l.name+", config: {token: long-enough}}"),
			route("/many/"+l.name, "{name: strict-"+l.name+", config: {token: long-enough, mode: strict, limit: 10, ratio: 1, code: z, range: {high: 3}, rules: [{name: a}], limits: {a: 1}}}"))
	}
	g := launch{settings: settings{"plugin_servers": testServers("msgpack")}, entities: routes(up.URL, list...)}.start(t)
	for path, want := range map[string]string{
		"/few/":  `{"code":"abc","limit":5,"limits":{},"mode":"loose","range":{"high":10,"low":0},"ratio":0.5,"rules":[],"token":""}`,
		"/many/": `{"code":"z","limit":10,"limits":{"a":1},"mode":"strict","range":{"high":3,"low":0},"ratio":1,"rules":[{"name":"a"}],"token":""}`,
	} {
		for _, l := range languages {
			var seen any
			if err := json.Unmarshal([]byte(g.get(t, path+l.name).want(t, 200).echo(t).Headers["x-strict"][0]), &seen); err != nil {
				t.Fatal(err)
			}
			if found, err := json.Marshal(seen); err != nil || string(found) != want {
				t.Errorf("%s%s: the handler saw %s, expected %s; %v", path, l.name, found, want, err)
			}
		}
	}
}

// What a plugin's own configure refuses is told like the faults of the schema, with file, line and path: by check, at the start, and by a reload,
// after which the old configuration serves on.
func TestConfigureRefusesAField(t *testing.T) {
	t.Parallel()
	up := echoUpstream(t)
	good := routes(up.URL, route("/", "{name: strict-go, config: {token: long-enough}}"))
	text := strings.TrimSuffix(routes(up.URL), "  routes:\n") + "  plugins:\n"
	var want [][]string
	for i, l := range languages {
		text += fmt.Sprintf("  - name: strict-%s\n    config:\n      token: long-enough\n      range:\n        low: 5\n        high: 1\n", l.name)
		place := fmt.Sprintf("services[0].plugins[%d].config.", 2*i)
		want = append(want, []string{fmt.Sprintf("gateway.yaml:%d:", lineOf(text)), place + "range.high", "strict-" + l.name, "found 1, expected at least low, which is 5"})
		text += fmt.Sprintf("  - name: strict-%s\n    consumer: {username: ada}\n    config:\n      token: long-enough\n      rules:\n      - name: a\n      - name: nobody\n", l.name)
		place = fmt.Sprintf("services[0].plugins[%d].config.", 2*i+1)
		want = append(want, []string{fmt.Sprintf("gateway.yaml:%d:", lineOf(text)), place + "rules[1].name", "strict-" + l.name, "found a name that nobody has"})
	}
	bad := text + "  routes: [{name: r, paths: [/]}]\nconsumers: [{username: ada}]\n"
	told := func(how, words string) {
		t.Helper()
		for _, parts := range want {
			wantLine(t, words, parts...)
		}
		if t.Failed() {
			t.Log(how)
		}
	}
	servers := settings{"plugin_servers": testServers("msgpack")}
	r := launch{settings: servers, entities: bad}.check(t)
	if r.code != 1 || r.out != "" {
		t.Errorf("check: found code %d and standard output %q, expected 1 and nothing", r.code, r.out)
	}
	told("check", r.err)

	g := launch{settings: servers, entities: bad}.begin(t)
	g.stops = true // by itself
	if code := g.exit(t); code != 1 {
		t.Errorf("start: found code %d, expected 1", code)
	}
	told("start", g.log.text())

	g = launch{settings: servers, entities: good}.start(t)
	mark := g.log.mark()
	g.hup(t, bad)
	for _, parts := range want {
		g.log.wait(t, mark, fmt.Sprintf("a refused reload with %q", parts), func(l line) bool {
			return l.has("msg", reloadRefused) && holdsAll(l.text("error"), parts)
		})
	}
	g.get(t, "/").want(t, 200)
}
