package examples

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

const stamps = "\n-- stamped by python\n\n-- stamped by js\n\n-- stamped by go\n"

// Filters and log run for every answer: the upstream's, a plugin's and the gateway's own; where an answer has no body, none is made.
func TestFiltersOfEveryAnswer(t *testing.T) {
	t.Parallel()
	up := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/204":
			w.WriteHeader(http.StatusNoContent)
		case "/304":
			w.WriteHeader(http.StatusNotModified)
		case "/404":
			http.Error(w, "not here", http.StatusNotFound)
		default:
			fmt.Fprint(w, "body")
		}
	})
	stampers := []string{"{name: stamp-go}", "{name: stamp-python}", "{name: stamp-js}"}
	var list []string
	add := func(path string, more ...string) { list = append(list, route(path, append(more, stampers...)...)) }
	add("/200")
	add("/204")
	add("/304")
	add("/404")
	add("/key", "{name: key-auth}")
	for _, l := range languages {
		add("/gate/"+l.name, "{name: gatekeeper-"+l.name+"}")
	}
	dead := fmt.Sprintf("- name: dead\n  url: http://127.0.0.1:%d\n  routes:\n  - %s\n", freePort(t), route("/502", stampers...))
	for _, carrier := range carriers {
		t.Run(carrier, func(t *testing.T) {
			t.Parallel()
			g := launch{settings: settings{"plugin_servers": exampleServers(carrier)}, entities: routes(up.URL, list...) + dead}.start(t)
			for _, c := range []struct {
				method, path string
				status       int
				body         string // before the trailers; "-": no body at all
			}{
				{"GET", "/200", 200, "body"},
				{"HEAD", "/200", 200, "-"},
				{"GET", "/204", 204, "-"},
				{"GET", "/304", 304, "-"},
				{"GET", "/404", 404, "not here\n"},
				{"GET", "/gate/go", 403, "gatekeeper-go"},
				{"GET", "/gate/python", 403, "gatekeeper-python"},
				{"GET", "/gate/js", 403, "gatekeeper-js"},
				{"GET", "/key", 401, "No API key found in request"},
				{"GET", "/502", 502, "An invalid response was received from the upstream server"},
			} {
				mark := g.log.mark()
				a, err := g.do(c.method, c.path, nil, "X-Deny", "1")
				if err != nil {
					t.Errorf("%s %s: %v", c.method, c.path, err)
					continue
				}
				a.want(t, c.status)
				for _, l := range languages {
					a.wantHeader(t, "X-Stamp-"+l.suffix, l.name)
					found := g.log.waitFields(t, mark, "plugin", "stamp-"+l.name, "msg", fmt.Sprintf("stamped %s %s %d", c.method, c.path, c.status))
					if !found.has("request_id", a.header.Get("X-Kong-Request-Id")) {
						t.Errorf("found the line %v, expected that of the request %s", found, a.header.Get("X-Kong-Request-Id"))
					}
				}
				switch {
				case c.body == "-" && len(a.body) > 0:
					t.Errorf("%s %s: found the body %q, expected none", c.method, c.path, a.body)
				case c.body != "-":
					before, ok := strings.CutSuffix(string(a.body), stamps)
					if !ok || !strings.Contains(before, c.body) {
						t.Errorf("%s %s: found the body %q, expected %q and three trailers", c.method, c.path, a.body, c.body)
					}
				}
			}
		})
	}
}

// An exit ends the access phase: what comes later in it does not run, and the upstream is not asked.
func TestLesson23ExitEndsTheChain(t *testing.T) {
	t.Parallel()
	for _, l := range languages {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			up := serve(t, func(_ http.ResponseWriter, r *http.Request) { t.Errorf("the upstream was asked for %s", r.URL) })
			plugins := []string{"{name: gatekeeper-" + l.name + ", config: {header: X-Tone, values: [loud, shrill], message: 'not in this tone'}}"}
			for _, h := range languages {
				plugins = append(plugins, "{name: hello-"+h.name+"}")
			}
			g := launch{settings: settings{"plugin_servers": exampleServers("msgpack")}, entities: routes(up.URL, route("/", plugins...))}.start(t)
			for _, tone := range []string{"loud", "shrill"} {
				a := g.get(t, "/", "X-Tone", tone).want(t, 403)
				if !strings.Contains(string(a.body), "not in this tone") {
					t.Errorf("found %v, expected the configured message", a)
				}
				for _, h := range languages {
					a.wantHeader(t, "X-Hello-"+h.suffix)
				}
			}
		})
	}
}
