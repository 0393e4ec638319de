package examples

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// told lists what the plugin hooked-LANG with a mark has told so far.
func told(g *gateway, mark string) []string {
	var all []string
	for _, l := range g.log.since(0) {
		if what, ok := strings.CutPrefix(l.text("msg"), "hooked "+mark+" "); ok {
			all = append(all, what)
		}
	}
	return all
}

// configure runs once before the first call of an instance, and close once after its last: when a reload has replaced it and its last request is
// answered, and when the gateway ends. An instance that a reload leaves as it was is not touched.
func TestConfigureAndCloseRunOnce(t *testing.T) {
	t.Parallel()
	up := echoUpstream(t)
	for _, carrier := range carriers {
		t.Run(carrier, func(t *testing.T) {
			t.Parallel()
			testHooks(t, up.URL, carrier)
		})
	}
}

func testHooks(t *testing.T, upstream, carrier string) {
	dirs := map[string]string{}
	for _, l := range languages {
		dirs[l.name] = t.TempDir()
	}
	entities := func(word string) string {
		var list []string
		for _, l := range languages {
			list = append(list,
				route("/changed/"+l.name, fmt.Sprintf("{name: hooked-%s, timeout: 60s, config: {mark: %s-%s, dir: %s}}", l.name, word, l.name, dirs[l.name])),
				route("/kept/"+l.name, fmt.Sprintf("{name: hooked-%s, config: {mark: kept-%s}}", l.name, l.name)))
		}
		return routes(upstream, list...)
	}
	g := launch{settings: settings{"plugin_servers": testServers(carrier)}, entities: entities("old")}.start(t)
	want := func(mark string, expected ...string) {
		t.Helper()
		eventually(t, patience, fmt.Sprintf("%s to tell %q", mark, expected), func() (bool, string) {
			found := told(g, mark)
			return slices.Equal(found, expected), fmt.Sprintf("%q", found)
		})
	}
	held := map[string]*held{}
	for _, l := range languages {
		want("old-"+l.name, "configured")
		g.get(t, "/kept/"+l.name).want(t, 200).wantHeader(t, "X-Mark", "kept-"+l.name)
		held[l.name] = holdAt(t, g, "/changed/"+l.name, dirs[l.name], 1)
	}
	g.reload(t, entities("new"))
	for _, l := range languages {
		// The new instance serves, and the old one is open as long as its request runs.
		g.get(t, "/changed/"+l.name).want(t, 200).wantHeader(t, "X-Mark", "new-"+l.name)
		want("new-"+l.name, "configured", "ran")
		want("old-"+l.name, "configured")
	}
	for _, l := range languages {
		held[l.name].release(t)[0].want(t, 200).wantHeader(t, "X-Mark", "old-"+l.name)
	}
	for _, l := range languages { // when the last request of the old configuration is answered
		want("old-"+l.name, "configured", "ran", "closed")
		want("kept-"+l.name, "configured", "ran")
	}
	g.signal(t, syscall.SIGTERM)
	if code := g.exit(t); code != 0 {
		t.Errorf("the gateway ended with code %d, expected 0", code)
	}
	for _, l := range languages {
		want("new-"+l.name, "configured", "ran", "closed")
		want("kept-"+l.name, "configured", "ran", "closed")
		want("old-"+l.name, "configured", "ran", "closed")
	}
}

// header_filter and response write the status and the headers that the client gets, and leave the body as it is.
func TestHeaderFilterWrites(t *testing.T) {
	t.Parallel()
	up := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header()["X-Up"] = []string{"one", "two"}
		w.Header().Set("X-Gone", "1")
		w.Header().Set("X-Stays", "1")
		fmt.Fprint(w, "the body")
	})
	for _, carrier := range carriers {
		t.Run(carrier, func(t *testing.T) {
			t.Parallel()
			var list, paths []string
			add := func(plugin, phase string) {
				path := "/" + plugin + "/" + phase
				paths = append(paths, path)
				list = append(list, route(path, fmt.Sprintf("{name: %s, config: {do: edit, phase: %s}}", plugin, phase)))
			}
			for _, p := range faultPlugins {
				add(p.plugin, "header_filter")
			}
			for _, l := range languages {
				add("fault-response-"+l.name, "response")
			}
			g := launch{settings: settings{"plugin_servers": testServers(carrier)}, entities: routes(up.URL, list...)}.start(t)
			for _, path := range paths {
				a := g.get(t, path).want(t, 299)
				a.wantHeader(t, "X-Fault", "left").wantHeader(t, "X-Up", "one", "two", "more").wantHeader(t, "X-Gone").wantHeader(t, "X-Stays", "1")
				if string(a.body) != "the body" {
					t.Errorf("%s: found the body %q", path, a.body)
				}
			}
		})
	}
}

// The rewrite phase runs for plugins that are configured globally, before the route is known, and for no others.
func TestRewriteIsGlobal(t *testing.T) {
	t.Parallel()
	up := echoUpstream(t)
	for _, carrier := range carriers {
		t.Run(carrier, func(t *testing.T) {
			t.Parallel()
			var global, onRoute []string
			for _, p := range faultPlugins {
				record := fmt.Sprintf("{name: %s, config: {do: raise, phase: rewrite}}", p.plugin)
				global, onRoute = append(global, record), append(onRoute, record)
			}
			g := launch{settings: settings{"plugin_servers": testServers(carrier)}, entities: routes(up.URL, route("/", onRoute...))}.start(t)
			g.get(t, "/").want(t, 200)
			for _, record := range global {
				g.reload(t, routes(up.URL, route("/"))+"plugins: ["+record+"]\n")
				g.get(t, "/").want(t, 500)
			}
		})
	}
}
