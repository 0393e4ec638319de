package proxy

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/outrigger-gateway/outrigger/pdk"
)

// whoami authenticates the consumer that a header names.
type whoami struct{}

func (whoami) Access(k *pdk.PDK) error {
	name, ok := k.Request.GetHeader("x-user")
	if !ok {
		return nil
	}
	c, err := k.Client.LoadConsumer(name, true)
	if err != nil || c == nil {
		return k.Response.Exit(401, "nobody", nil)
	}
	return k.Client.Authenticate(c, nil)
}

// stamp tells the upstream and the client which of its records ran.
type stamp struct {
	Text string `json:"text" schema:"default=default"`
	More string `json:"more"`
}

func (s *stamp) Access(k *pdk.PDK) error {
	return k.ServiceRequest.AddHeader("X-Ran", s.Text+s.More)
}

func (s *stamp) HeaderFilter(k *pdk.PDK) error {
	return k.Response.AddHeader("X-Filtered", s.Text+s.More)
}

func stampPlugin(name string, priority int) pdk.Plugin {
	return pdk.Plugin{Name: name, Version: "1", Priority: priority, New: func() any { return &stamp{} }}
}

var scopePlugins = []pdk.Plugin{
	{Name: "who", Version: "1", Priority: 1000, Authenticates: true, New: func() any { return &whoami{} }},
	stampPlugin("one", 500), stampPlugin("two", 400), stampPlugin("three", 2000),
}

// ran lists what the upstream and the client saw.
func (r reply) ran() string {
	var upstream []string
	for line := range strings.Lines(r.body) {
		if v, ok := strings.CutPrefix(line, "X-Ran: "); ok {
			upstream = append(upstream, strings.TrimSpace(v))
		}
	}
	return strings.Join(upstream, " ") + " | " + strings.Join(r.Header.Values("X-Filtered"), " ")
}

// The whole way of records from a document to a request.
func TestScopes(t *testing.T) {
	g := start(t, echo, `
_format_version: "3.0"
services: [{name: s, url: "http://UPSTREAM", routes: [
  {name: r, paths: [/r]}, {name: off, paths: [/off]}, {name: order, paths: [/order]}, {name: when, paths: [/when]}, {name: stack, paths: [/stack]}, {name: clone, paths: [/clone]},
  {name: tls, paths: [/tls], protocols: [https]}]}]
consumers: [{username: ann, groups: [gold]}, {username: bob}]
consumer_groups: [{name: gold}]
partials: [{name: shared, config: {more: "+partial"}}]
cloned_plugins: [{name: copy, ref: one, priority: 5000}]
plugins:
- {name: who}
- {name: one, config: {text: global}}
- {name: one, route: r, inherit: true, config: {more: "+route"}}
- {name: one, consumer_group: gold, config: {text: gold}, partials: [{name: shared}]}
- {name: one, route: "off", mode: disable}
- {name: one, consumer: bob, route: "off", config: {text: bob}}
- {name: two, route: order, config: {text: two}, ordering: {before: {access: [one, who], header_filter: [one]}}}
- {name: two, route: order, consumer: bob, config: {text: bob-two}, ordering: {after: {access: [one]}}}
- {name: two, route: when, config: {text: get}, condition: "http.method == 'GET'", on_false: next}
- {name: two, service: s, config: {text: vip}, condition: "http.headers.x_vip.startsWith('1')", on_false: skip}
- {name: one, route: when, mode: disable}
- {name: two, route: r, mode: disable}
- {name: two, route: "off", mode: disable}
- {name: three, route: stack, config: {text: a}, stack: true, instance_name: a}
- {name: three, route: stack, config: {text: b}, stack: true, instance_name: b}
- {name: three, route: stack, config: {text: plain}}
- {name: two, route: stack, mode: disable}
- {name: copy, route: clone, config: {text: copy}}
- {name: two, route: clone, mode: disable}
`, scopePlugins)
	for _, c := range []struct{ method, path, user, vip, want string }{
		{"GET", "/r", "", "", "global+route | global+route"},
		{"GET", "/r", "bob", "", "global+route | global+route"},
		{"GET", "/r", "ann", "", "gold+partial | gold+partial"},
		{"GET", "/off", "", "", " | "},
		{"GET", "/off", "bob", "", "bob | bob"},
		{"GET", "/order", "", "", "two global | two global"},
		{"GET", "/order", "ann", "", "two gold+partial | two gold+partial"},
		{"GET", "/when", "", "", "get | get"},
		{"POST", "/when", "", "1", "vip | vip"},
		{"POST", "/when", "", "0", " | "},
		{"GET", "/stack", "", "", "b a plain global | b a plain global"},
		{"GET", "/clone", "", "", "copy global | copy global"},
	} {
		headers := []string{}
		if c.user != "" {
			headers = append(headers, "X-User", c.user)
		}
		if c.vip != "" {
			headers = append(headers, "X-Vip", c.vip)
		}
		r := g.do(c.method, c.path, nil, headers...)
		if got := r.ran(); got != c.want || r.StatusCode != 200 {
			t.Errorf("%+v: %d %s", c, r.StatusCode, got)
		}
	}
	// What never comes to access has the filters of global records.
	g.get("/nowhere").want(t, 404, "")
	for _, path := range []string{"/nowhere", "/tls"} {
		if got := g.get(path).Header.Values("X-Filtered"); len(got) != 1 || got[0] != "global" {
			t.Errorf("%s: filtered by %v", path, got)
		}
	}
	// A condition that fails answers 500.
	g.do("POST", "/when", nil).want(t, 500, "unexpected error")
	if !strings.Contains(g.logs.String(), "evaluating the condition") {
		t.Error(g.logs.String())
	}
}

// Rules and consumers change while requests are under way: each request sees one configuration from its first handler to its last.
func TestReorderingUnderLoad(t *testing.T) {
	document := func(version int) string {
		rule := ""
		if version%2 == 1 {
			rule = ", ordering: {before: {access: [one], header_filter: [one]}}"
		}
		consumer := "ann"
		if version%3 == 0 {
			consumer = "bob"
		}
		return fmt.Sprintf(`
_format_version: "3.0"
services: [{name: s, url: "http://UPSTREAM", routes: [{name: r, paths: [/]}]}]
consumers: [{username: ann}, {username: bob}]
plugins:
- {name: who}
- {name: three, config: {text: v%[1]d}}
- {name: one, config: {text: v%[1]d}}
- {name: two, config: {text: v%[1]d}%[2]s}
- {name: two, consumer: %[3]s, config: {text: v%[1]d, more: mine}%[2]s}
`, version, rule, consumer)
	}
	var upstream string
	g := start(t, echo, document(0), scopePlugins)
	upstream = g.upstream
	var stop atomic.Bool
	var served atomic.Int64
	var wg sync.WaitGroup
	for i := range 4 {
		user := []string{"ann", "bob"}[i%2]
		wg.Go(func() {
			for !stop.Load() {
				r := g.get("/", "X-User", user)
				seen, filtered, _ := strings.Cut(r.ran(), " | ")
				version, _, _ := strings.Cut(seen, " ")
				var n int
				if _, err := fmt.Sscanf(version, "v%d", &n); err != nil || seen != filtered || seen != wanted(n, user) {
					t.Errorf("%s: %d, upstream saw %q and client %q, want %q", user, r.StatusCode, seen, filtered, wanted(n, user))
					return
				}
				served.Add(1)
			}
		})
	}
	for version := 1; version <= 60; version++ {
		g.load(strings.ReplaceAll(document(version), "UPSTREAM", upstream))
		r := g.get("/", "X-User", "ann") // the next request after the change sees it
		if seen, _, _ := strings.Cut(r.ran(), " | "); seen != wanted(version, "ann") {
			t.Errorf("after version %d: %s", version, seen)
		}
	}
	stop.Store(true)
	wg.Wait()
	if served.Load() == 0 {
		t.Error("no request was served meanwhile")
	}
}

// wanted is what a version does for a user.
func wanted(version int, user string) string {
	v := fmt.Sprint("v", version)
	two := v
	if (version%3 == 0) == (user == "bob") {
		two += "mine"
	}
	if version%2 == 1 {
		return strings.Join([]string{v, two, v}, " ")
	}
	return strings.Join([]string{v, v, two}, " ")
}
