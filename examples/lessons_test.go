package examples

import (
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Four handlers of one plugin run side by side: each says that it is there and waits until the test, which has seen all four, releases them.
// Quick ones do not wait for them.
func TestLesson02SlowHandlersOverlap(t *testing.T) {
	t.Parallel()
	up := echoUpstream(t)
	for _, carrier := range carriers {
		t.Run(carrier, func(t *testing.T) {
			t.Parallel()
			var list []string
			dirs := map[string]string{}
			for _, p := range faultPlugins {
				dirs[p.plugin] = t.TempDir()
				list = append(list, route("/"+p.plugin+"/slow", fmt.Sprintf("{name: %s, timeout: 60s, config: {do: hold, dir: %s}}", p.plugin, dirs[p.plugin])),
					route("/"+p.plugin+"/quick", fmt.Sprintf("{name: %s}", p.plugin)))
			}
			g := launch{settings: settings{"plugin_servers": testServers(carrier)}, entities: routes(up.URL, list...)}.start(t)
			for _, p := range faultPlugins {
				slow := holdAt(t, g, "/"+p.plugin+"/slow", dirs[p.plugin], 4)
				for range 5 {
					g.get(t, "/"+p.plugin+"/quick").want(t, 200)
				}
				for _, a := range slow.release(t) {
					a.want(t, 200).wantHeader(t, "X-Fault", "left")
				}
			}
		})
	}
}

// held are requests whose handlers hold.
type held struct {
	dir     string
	answers chan *answer
}

// holdAt sends requests to a route whose plugin holds in a directory, and waits until all their handlers run.
func holdAt(t *testing.T, g *gateway, path, dir string, count int) *held {
	t.Helper()
	h := &held{dir: dir, answers: make(chan *answer, count)}
	for i := range count {
		go func() {
			a, err := g.do("GET", path, nil, "X-Hold", fmt.Sprint("held-", i))
			if err != nil {
				t.Errorf("%s: %v", path, err)
			}
			h.answers <- a
		}()
	}
	eventually(t, patience, fmt.Sprintf("%d handlers of %s to run at once", count, path), func() (bool, string) {
		running, _ := filepath.Glob(filepath.Join(dir, "held-*"))
		return len(running) == count, fmt.Sprint(running)
	})
	return h
}

// release lets the handlers return, and gives the answers.
func (h *held) release(t *testing.T) []*answer {
	t.Helper()
	write(t, filepath.Join(h.dir, "release"), "")
	var all []*answer
	for range cap(h.answers) {
		if a := <-h.answers; a != nil {
			all = append(all, a)
		}
	}
	if len(all) != cap(h.answers) {
		t.Fatalf("%d answers to %d requests", len(all), cap(h.answers))
	}
	return all
}

// In JavaScript a handler fails by a throw, by a promise that is rejected, and by one that is rejected when nobody waits for it. None is a success,
// least of all for a plugin that authenticates.
func TestLesson03FailedPromiseIsNoSuccess(t *testing.T) {
	t.Parallel()
	up := echoUpstream(t)
	for _, carrier := range carriers {
		t.Run(carrier, func(t *testing.T) {
			t.Parallel()
			var list []string
			for _, plugin := range []string{"fault-js", "fault-async-js"} {
				for _, do := range []string{"raise", "raise-after-write", "raise-odd"} {
					list = append(list, route("/"+plugin+"/"+do, fmt.Sprintf("{name: %s, config: {do: %s}}", plugin, do)))
				}
				list = append(list, route("/"+plugin+"/reject-later", fmt.Sprintf("{name: %s, config: {do: reject-later, ms: 60000}}", plugin)),
					route("/"+plugin+"/reject-after", fmt.Sprintf("{name: %s, config: {do: reject-after}}", plugin)))
			}
			list = append(list, route("/login", "{name: login-js, config: {do: raise}}"))
			entities := routes(up.URL, list...) + "consumers: [{username: ada}]\n"
			g := launch{settings: settings{"plugin_servers": []server{testServer("js", carrier)}}, entities: entities}.start(t)
			pid := g.serverPID(t, "js")
			g.get(t, "/login", "X-User", "ada").want(t, 500)
			for _, plugin := range []string{"fault-js", "fault-async-js"} {
				for _, do := range []string{"raise", "raise-after-write", "raise-odd"} {
					g.get(t, "/"+plugin+"/"+do).want(t, 500).wantHeader(t, "X-Fault")
				}
				g.get(t, "/"+plugin+"/reject-later").want(t, 500).wantHeader(t, "X-Fault") // long before the handler returns
				mark := g.log.mark()
				g.get(t, "/"+plugin+"/reject-after").want(t, 200)
				g.log.wait(t, mark, "the rejection in the log", func(l line) bool {
					return strings.Contains(l.text("msg"), "unhandled rejection") && strings.Contains(l.text("msg"), "boom") && l.has("level", "error", "server", "js")
				})
			}
			if again := g.serverPIDs(t, "js"); !slices.Equal(again, []int{pid}) {
				t.Errorf("the process %d was replaced by %v", pid, again)
			}
		})
	}
}

// A panic in a handler fails its call alone: in the same process others run on, and new ones are served.
func TestLesson04PanicFailsOneCall(t *testing.T) {
	t.Parallel()
	up := echoUpstream(t)
	for _, carrier := range carriers {
		t.Run(carrier, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			list := []string{route("/hold", fmt.Sprintf("{name: fault-go, timeout: 60s, config: {do: hold, dir: %s}}", dir))}
			ends := []string{"raise", "raise-after-write", "raise-odd", "exit-raise"}
			for _, do := range ends {
				list = append(list, route("/"+do, "{name: fault-go, config: {do: "+do+"}}"))
			}
			g := launch{settings: settings{"plugin_servers": []server{testServer("go", carrier)}}, entities: routes(up.URL, list...)}.start(t)
			pid := g.serverPID(t, "go")
			others := holdAt(t, g, "/hold", dir, 4)
			for range 5 {
				for _, do := range ends {
					status := 500
					if do == "exit-raise" {
						status = 418
					}
					g.get(t, "/"+do).want(t, status).wantHeader(t, "X-Fault")
				}
			}
			for _, a := range others.release(t) {
				a.want(t, 200).wantHeader(t, "X-Fault", "left")
			}
			if again := g.serverPIDs(t, "go"); !slices.Equal(again, []int{pid}) {
				t.Errorf("the process %d was replaced by %v", pid, again)
			}
		})
	}
}

// One failure semantics: whatever the language and the carrier, the same end of a handler gives the client the same answer and the log the same words.
func TestLesson07OneFailureSemantics(t *testing.T) {
	t.Parallel()
	up := serve(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Header.Get("X-Fault")) })
	ends := []string{"nothing", "raise", "raise-after-read", "raise-between", "raise-after-write", "raise-odd", "exit", "exit-swallowed", "exit-raise"}
	var list []string
	for _, p := range faultPlugins {
		for _, do := range ends {
			for _, mode := range []string{"closed", "open"} {
				list = append(list, route(faultPath(p.plugin, do, mode), fmt.Sprintf("{name: %s, fail_mode: %s, config: {do: %s}}", p.plugin, mode, do)))
			}
		}
	}
	seen := map[string]map[string]string{} // by end and fail mode: who ended so, and what it looked like
	for _, carrier := range carriers {
		g := launch{settings: settings{"plugin_servers": testServers(carrier)}, entities: routes(up.URL, list...)}.start(t)
		for _, p := range faultPlugins {
			for _, do := range ends {
				for _, mode := range []string{"closed", "open"} {
					key := do + ", " + mode
					if seen[key] == nil {
						seen[key] = map[string]string{}
					}
					seen[key][p.plugin+" over "+carrier] = outside(t, g, faultPath(p.plugin, do, mode), p.plugin, strings.HasPrefix(do, "raise"))
				}
			}
		}
	}
	for key, looks := range seen {
		first := looks["fault-go over msgpack"]
		for who, look := range looks {
			if look != first {
				t.Errorf("%s: %s gives\n%s\nand fault-go over msgpack\n%s", key, who, look, first)
			}
		}
	}
}

// outside is what the world sees of a request: the answer without what differs from one request to the next, and the log line of a failure without
// the plugin's own words.
func outside(t *testing.T, g *gateway, path, plugin string, fails bool) string {
	t.Helper()
	mark := g.log.mark()
	a := g.get(t, path)
	id := a.header.Get("X-Kong-Request-Id")
	look := fmt.Sprintf("%d %q", a.status, strings.ReplaceAll(string(a.body), id, "ID"))
	for _, name := range []string{"Content-Type", "Content-Length", "X-Fault", "Connection"} {
		look += fmt.Sprintf(" %s=%q", name, a.header.Values(name))
	}
	if fails {
		l := g.log.waitFields(t, mark, "msg", "plugin failed", "request_id", id)
		code, _, _ := strings.Cut(l.text("error"), ":")
		look += fmt.Sprintf(" logged %v in %v, %s, %v, of %s: %t", l["level"], l["phase"], code, l["effect"], plugin[:len("fault")], l.has("plugin", plugin))
	}
	return look
}
