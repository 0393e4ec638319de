package examples

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// budgetsOf are the budgets of the plugin server of a language, as the Admin listener tells them.
func (g *operated) budgetsOf(t testing.TB, lang string) []map[string]any {
	t.Helper()
	_, status := g.ask(t, "GET", "/status", "")
	for _, s := range status["plugin_servers"].([]any) {
		if s := s.(map[string]any); s["server"] == lang {
			var list []map[string]any
			for _, b := range s["budgets"].([]any) {
				list = append(list, b.(map[string]any))
			}
			return list
		}
	}
	t.Fatalf("there is no plugin server %q in %v", lang, status)
	return nil
}

// residentBytes is the memory of a process.
func residentBytes(t testing.TB, pid int) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.Atoi(strings.Fields(string(text))[1])
	if err != nil {
		t.Fatal(err)
	}
	return pages * os.Getpagesize()
}

// operatedOn starts a gateway with an Admin listener.
func operatedOn(t *testing.T, entities string, servers ...server) *operated {
	t.Helper()
	s := settings{"plugin_servers": servers, "admin_listen": "127.0.0.1:0"}
	g := &operated{gateway: launch{settings: s, entities: entities}.start(t), settings: s}
	g.admin = g.log.waitFields(t, 0, "msg", "the Admin listener is open").text("address")
	return g
}

// 200 clients meet a plugin that hangs and may have eight calls: all are answered by policy, others are served meanwhile, and nothing is left.
func TestAHangingPluginTakesItsPlacesOnly(t *testing.T) {
	t.Parallel()
	up := echoUpstream(t)
	for _, l := range languages {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			plugin := "fault-" + l.name
			s := testServer(l.name, "msgpack").with("timeout", "300ms", "plugins", map[string]any{plugin: map[string]any{"max_in_flight": 8, "queue": 8}})
			g := operatedOn(t, routes(up.URL,
				route("/hang", fmt.Sprintf("{name: %s, config: {do: sleep, ms: 600, phase: access}}", plugin)),
				route("/open", fmt.Sprintf("{name: %s, fail_mode: open, config: {do: sleep, ms: 600, phase: access}}", plugin)),
				route("/fine", fmt.Sprintf("{name: login-%s}", l.name))), s)
			before := residentBytes(t, g.pid)
			var mu sync.Mutex
			counts := map[string]int{}
			var all sync.WaitGroup
			for i := range 200 {
				path := []string{"/hang", "/open"}[i%2]
				all.Go(func() {
					a, err := g.do("GET", path, nil)
					what := ""
					if err != nil {
						what = err.Error()
					} else {
						what = fmt.Sprintf("%s %d %s", path, a.status, a.header.Get("Retry-After"))
					}
					mu.Lock()
					counts[what]++
					mu.Unlock()
				})
			}
			g.get(t, "/fine", "X-User", "ada")
			all.Wait()
			// A refused call whose header_filter is late is answered 500 over the 503, whose Retry-After goes.
			if counts["/open 200 "] != 100 || counts["/hang 500 "]+counts["/hang 503 1"] != 100 || counts["/hang 503 1"] == 0 {
				t.Errorf("answers %v", counts)
			}
			// Bounded by far more than 200 goroutines and their buffers take, and by far less than what hangs for ever would.
			if grown := residentBytes(t, g.pid) - before; grown > 128<<20 {
				t.Errorf("the gateway has grown by %d bytes", grown)
			}
			var refused float64
			eventually(t, patience, "the places to be free", func() (bool, string) {
				list := g.budgetsOf(t, l.name)
				refused = 0
				for _, b := range list {
					refused += b["refused"].(float64)
					if b["in_flight"] != 0.0 || b["waiting"] != 0.0 {
						return false, fmt.Sprint(list)
					}
				}
				return len(list) == 2 && list[1]["level"] == "plugin" && list[1]["plugin"] == plugin, fmt.Sprint(list)
			})
			if refused < 1 {
				t.Error("no refused call is told")
			}
		})
	}
}

// The breaker of a record opens, refuses at once, tries again and closes, and a reload in between does not reset it.
func TestTheBreakerOfARecord(t *testing.T) {
	t.Parallel()
	up := echoUpstream(t)
	const budget = "error_budget: {ratio: 0.5, calls: 4, window: 1m, open_for: 60s, probes: 1}, fail_body: broken"
	record := func(do string) string {
		return routes(up.URL, route("/", fmt.Sprintf("{id: 4e8d95d4-40f2-4818-adcb-30e00c349618, name: fault-go, %s, config: {do: %s}}", budget, do)))
	}
	g := operatedOn(t, record("raise"), testServer("go", "grpc"))
	for range 4 {
		if a := g.get(t, "/").want(t, 500); string(a.body) != "broken" {
			t.Errorf("body %q", a.body)
		}
	}
	open := func() {
		t.Helper()
		start := time.Now()
		retry, err := strconv.Atoi(g.get(t, "/").want(t, 503).header.Get("Retry-After"))
		if err != nil || retry < 1 || retry > 66 {
			t.Errorf("Retry-After %d, %v", retry, err)
		}
		if took := time.Since(start); took > patience {
			t.Errorf("the refusal took %s", took)
		}
	}
	open()
	g.reload(t, record("exit"))
	open()
	list := g.budgetsOf(t, "go")
	if b := list[1]; b["level"] != "record" || b["breaker"] != "open" || b["opened"] != 1.0 || b["refused"] != 2.0 {
		t.Errorf("budgets %v", list)
	}
}

// What a server says about a plugin that it does not host is a warning; a plugin that authenticates is not opened there.
func TestPoliciesOfPluginsAreChecked(t *testing.T) {
	t.Parallel()
	entities := routes("http://127.0.0.1:9", route("/", "{name: login-go}"))
	s := testServer("go", "msgpack")
	r := launch{settings: settings{"plugin_servers": []server{s.with("plugins", map[string]any{"logn-go": map[string]any{"timeout": 5}})}}, entities: entities}.check(t)
	if r.code != 0 || !strings.Contains(r.out+r.err, `plugin server "go" has no plugin of this name`) || !strings.Contains(r.out+r.err, "logn-go") {
		t.Errorf("code %d, %s%s", r.code, r.out, r.err)
	}
	r = launch{settings: settings{"plugin_servers": []server{s.with("plugins", map[string]any{"login-go": map[string]any{"fail_mode": "open"}})}}, entities: entities}.check(t)
	if r.code != 1 {
		t.Errorf("fail_mode open of a plugin that authenticates: code %d", r.code)
	}
	wantLine(t, r.err, "fail_mode open", "plugins.login-go", "which authenticates")
}
